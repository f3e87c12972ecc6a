"""The end of an endpoint: what is under way is finished, within bounds, and nothing else is begun."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from support.served import CHAT, PATIENCE, RESPONSES, RawClient, payloads, serving, within
from tokenwire.server import Request, ServerLimits, Serving

pytestmark = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class Held:
    """A handler whose second token waits until it is let go."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.begun = threading.Event()
        self.ended = threading.Event()

    async def __call__(self, request: Request) -> AsyncIterator[str]:
        assert request.clock is not None
        try:
            yield "first"
            self.begun.set()
            while not self.go_on.is_set():
                await request.clock.sleep(0.001)
            yield " last"
        finally:
            self.ended.set()


def hang_up(server: Serving, seconds: float | None = None) -> None:
    within(server, lambda: server.shutdown(seconds))


def nobody_answers(address: tuple[str, int] | str) -> bool:
    """Whether a new connection is refused, or closed without a word."""
    assert not isinstance(address, str)
    with contextlib.suppress(ConnectionError), socket.create_connection(address, timeout=PATIENCE) as late:
        late.sendall(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
        return late.recv(1) == b""
    return True


def test_streams_go_on_and_idle_connections_close(backend: str) -> None:
    handler = Held()
    with serving(handler, backend=backend) as server, RawClient(server) as streaming, RawClient(server) as idle:
        idle.ask("GET", "/v1/models")
        assert idle.answer()[0].status_code == 200
        streaming.ask("POST", "/v1/chat/completions", CHAT)
        assert handler.begun.wait(PATIENCE)
        hang_up(server)
        assert idle.closed()
        assert nobody_answers(server.address)
        assert not handler.ended.is_set()
        handler.go_on.set()
        body = streaming.answer()[1]
        assert "".join(c["delta"].get("content") or "" for p in payloads(body) for c in p["choices"]) == "first last"
        assert streaming.closed()
    assert nobody_answers(server.address)


def test_what_takes_too_long_is_cut(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    handler = Held()
    limits = ServerLimits(shutdown=0.05)
    with serving(handler, backend=backend, limits=limits) as server, RawClient(server) as client:
        client.ask("POST", "/v1/chat/completions", CHAT)
        assert handler.begun.wait(PATIENCE)
        hang_up(server)
        assert handler.ended.wait(PATIENCE)
        seen = b""
        with contextlib.suppress(ConnectionError):
            while piece := client.sock.recv(65536):
                seen += piece
        assert b'"first"' in seen
        assert b"[DONE]" not in seen
        assert not seen.endswith(b"0\r\n\r\n")  # the client can tell
    assert "shutdown: 1 connections are cut" in caplog.text


def test_a_shorter_deadline_afterwards(backend: str) -> None:
    handler = Held()
    with serving(handler, backend=backend) as server, RawClient(server) as client:
        client.ask("POST", "/v1/chat/completions", CHAT)
        assert handler.begun.wait(PATIENCE)
        hang_up(server, 3600)
        assert not handler.ended.is_set()
        hang_up(server, 0)
        assert handler.ended.wait(PATIENCE)


def test_a_shorter_deadline_afterwards_for_the_background(backend: str) -> None:
    handler = Held()
    with serving(handler, backend=backend) as server, RawClient(server) as client:
        client.ask("POST", "/v1/responses", {**RESPONSES, "stream": False, "background": True})
        assert handler.begun.wait(PATIENCE)
        hang_up(server, 3600)
        assert client.answer()[0].status_code == 200
        assert client.closed()  # nothing but the background is waited for
        hang_up(server, 0)
        assert handler.ended.wait(PATIENCE)


@pytest.mark.parametrize("body", [CHAT, {**RESPONSES, "background": True}])
def test_a_handler_that_swallows_its_cancellation_is_not_waited_for(backend: str, body: dict[str, Any]) -> None:
    """asyncio tells a task only once."""
    begun = threading.Event()
    give_up = time.monotonic() + PATIENCE

    async def stubborn(request: Request) -> AsyncIterator[str]:
        assert request.clock is not None
        yield "x"
        begun.set()
        with contextlib.suppress(asyncio.CancelledError, trio.Cancelled):
            await request.clock.sleep(3600)
        while time.monotonic() < give_up:
            yield "y"

    with serving(stubborn, backend=backend) as server, RawClient(server) as client:
        client.ask("POST", "/v1/chat/completions" if body is CHAT else "/v1/responses", body)
        assert begun.wait(PATIENCE)
        hang_up(server, 0)
        with contextlib.suppress(ConnectionError):
            while client.sock.recv(65536):
                pass
    assert time.monotonic() < give_up


def test_a_request_that_has_begun_is_the_last_one(backend: str) -> None:
    handler = Held()
    handler.go_on.set()
    with serving(handler, backend=backend) as server, RawClient(server) as client:
        payload = json.dumps({**RESPONSES, "stream": False}).encode()
        head = "POST /v1/responses HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
        client.sock.sendall((head % len(payload)).encode())
        assert client.sock.recv(65536).startswith(b"HTTP/1.1 100 ")  # the head has been read
        hang_up(server)
        client.sock.sendall(payload)
        answer, body = client.answer()
        assert (answer.status_code, json.loads(body)["status"]) == (200, "completed")
        assert dict(answer.headers)[b"connection"] == b"close"
        assert client.closed()


def test_nothing_is_open(backend: str) -> None:
    with serving(Held(), backend=backend) as server:
        hang_up(server)
    assert nobody_answers(server.address)


def test_a_path_is_given_up_at_once(backend: str, tmp_path: Path) -> None:
    """The next process may listen there while the streams of this one end."""
    path = tmp_path / "s"
    old, new = Held(), Held()
    new.go_on.set()
    with serving(old, backend=backend, uds=str(path)) as server, RawClient(server) as client:
        client.ask("POST", "/v1/chat/completions", CHAT)
        assert old.begun.wait(PATIENCE)
        hang_up(server)
        within(server, lambda: None)
        while path.exists():
            within(server, lambda: None)
        with serving(new, backend=backend, uds=str(path)) as successor:
            old.go_on.set()
            assert b"[DONE]" in client.answer()[1]
            assert client.closed()
            with RawClient(successor) as other:
                other.ask("POST", "/v1/chat/completions", CHAT)
                assert b"[DONE]" in other.answer()[1]
            assert os.path.exists(path)


def test_the_background_has_its_time_too(backend: str) -> None:
    handler = Held()
    with serving(handler, backend=backend) as server, RawClient(server) as client:
        client.ask("POST", "/v1/responses", {**RESPONSES, "stream": False, "background": True})
        assert json.loads(client.answer()[1])["status"] == "queued"
        assert handler.begun.wait(PATIENCE)
        hang_up(server)
        assert client.closed()
        assert not handler.ended.is_set()
        handler.go_on.set()
        assert handler.ended.wait(PATIENCE)
    assert nobody_answers(server.address)


def test_the_background_is_cut_in_the_end(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    handler = Held()
    with serving(handler, backend=backend) as server, RawClient(server) as client:
        client.ask("POST", "/v1/responses", {**RESPONSES, "stream": False, "background": True})
        assert handler.begun.wait(PATIENCE)
        hang_up(server, 0.05)
        assert handler.ended.wait(PATIENCE)
    assert not handler.go_on.is_set()
    assert "1 responses in the background are cut" in caplog.text
