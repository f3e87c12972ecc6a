"""What an endpoint tells of itself: its numbers, and a line for each request."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.served import CHAT, PATIENCE, RESPONSES, RawClient, serving, within
from tokenwire.server import Request, RequestError, Serving

pytestmark = pytest.mark.parametrize("backend", ["asyncio", "trio"])


async def handler(request: Request) -> AsyncIterator[str]:
    assert request.clock is not None
    if request.prompt == "break":
        raise ZeroDivisionError
    if request.prompt == "refuse":
        raise RequestError(429, "no")
    yield "a"
    yield "b"
    if request.prompt == "forever":
        await request.clock.sleep(3600)


def chat(prompt: str, **fields: Any) -> dict[str, Any]:
    return {**CHAT, "messages": [{"role": "user", "content": prompt}], **fields}


def settled(server: Serving, **wanted: Any) -> dict[str, Any]:
    """The stats, once they say this: a client has its answer a moment before the server has counted it."""
    end = time.monotonic() + PATIENCE
    while not wanted.items() <= (stats := within(server, lambda: server.stats)).items():
        assert time.monotonic() < end, stats
    return stats


def test_the_numbers(backend: str) -> None:
    with serving(handler, backend=backend, models=["m"]) as server:
        assert within(server, lambda: server.stats) == {
            "connections": 0,
            "open": 0,
            "requests": {},
            "under_way": 0,
            "background": 0,
            "streams": 0,
            "tokens": 0,
            "bytes_out": 0,
            "disconnects": 0,
            "errors": 0,
        }
        size = 0
        with RawClient(server) as client:
            for target, body in (
                ("/v1/chat/completions", chat("hi")),
                ("/v1/chat/completions", chat("hi", stream=False)),
                ("/v1/chat/completions", chat("refuse")),
                ("/v1/responses", {**RESPONSES, "input": "hi"}),
                ("/v1/responses", {**RESPONSES, "input": "break"}),
                ("/v1/nowhere", {}),
            ):
                client.ask("POST", target, body)
                size += len(client.answer()[1])
            client.ask("GET", "/v1/models")
            size += len(client.answer()[1])
            assert settled(server, under_way=0) == {
                "connections": 1,
                "open": 1,
                "requests": {
                    "chat": {200: 2, 429: 1},
                    "responses": {200: 1, 500: 1},
                    "other": {404: 1},
                    "models": {200: 1},
                },
                "under_way": 0,
                "background": 0,
                "streams": 0,
                "tokens": 6,
                "bytes_out": size,
                "disconnects": 0,
                "errors": 1,
            }
        settled(server, open=0)


def test_what_is_under_way_counts_as_it_goes(backend: str) -> None:
    with serving(handler, backend=backend) as server:
        with RawClient(server) as client, RawClient(server) as whole:
            client.ask("POST", "/v1/chat/completions", chat("forever"))
            whole.ask("POST", "/v1/chat/completions", chat("forever", stream=False))
            seen = b""
            while b'"b"' not in seen:
                seen += client.sock.recv(65536)
            stats = settled(server, tokens=4, under_way=2)
            assert (stats["streams"], stats["open"], stats["requests"]) == (1, 2, {})
            assert stats["bytes_out"] > 100
        stats = settled(server, disconnects=2)
        assert (stats["under_way"], stats["tokens"], stats["errors"]) == (0, 4, 0)
        assert stats["requests"] == {"chat": {200: 1}}  # of the whole one no byte had left


def test_a_line_for_each_request(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tokenwire.access")
    with serving(handler, backend=backend) as server:
        with RawClient(server) as client:
            client.ask("POST", "/v1/chat/completions?key=secret", chat("hi"), authorization="Bearer secret")
            size = len(client.answer()[1])
            client.ask("POST", "/v1/" + "x" * 1000, {})
            client.answer()
            client.sock.sendall(b"secret\r\n\r\n")
            assert client.answer()[0].status_code == 400
        with RawClient(server) as client:
            client.ask("GET", "http://user:secret@example.com/v1/models")
            assert client.answer("GET")[0].status_code == 400
        with RawClient(server) as client:
            client.ask("POST", "/v1/chat/completions", chat("forever"))
            seen = b""
            while b'"b"' not in seen:
                seen += client.sock.recv(65536)
        settled(server, disconnects=1)
    first, second, third, absolute, fourth = [
        record.getMessage() for record in caplog.records if record.name == "tokenwire.access"
    ]
    assert re.fullmatch(rf"POST /v1/chat/completions 200 tokens=2 bytes={size} seconds=\d+\.\d{{3}}", first)
    assert re.fullmatch(r"POST /v1/x{196} 404 tokens=0 bytes=\d+ seconds=\d+\.\d{3}", second)
    assert re.fullmatch(r"- - 400 tokens=0 bytes=\d+ seconds=\d+\.\d{3}", third)
    assert re.fullmatch(r"POST /v1/chat/completions 200 tokens=2 bytes=\d+ seconds=\d+\.\d{3} gone", fourth)
    assert re.fullmatch(r"GET - 400 tokens=0 bytes=\d+ seconds=\d+\.\d{3}", absolute)
    assert "secret" not in "".join((first, second, third, absolute, fourth))


def test_nothing_is_logged_where_nobody_listens(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    with serving(handler, backend=backend) as server, RawClient(server) as client:
        client.ask("POST", "/v1/chat/completions", chat("hi"))
        client.answer()
    assert caplog.records == []
