"""Handlers that are closed between two tokens, with a task group or a nursery around their `yield`.

What tells a generator to close, GeneratorExit, comes out of those in a group, which is no Exception: it ended the
server, and with it every other answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest
import trio

from support.served import CHAT, PATIENCE, RESPONSES, RawClient, serving
from tokenwire.server import Request

pytestmark = [
    pytest.mark.parametrize("backend", ["asyncio", "trio"]),
    pytest.mark.parametrize("whose", ["native", "anyio"]),
]


class Held:
    """A handler with a task beside its tokens: it says them for ever, or "token" once, and then what is none."""

    def __init__(self, backend: str, whose: str) -> None:
        self.groups = (backend, whose)
        self.begun, self.ended = threading.Event(), threading.Event()

    @contextlib.asynccontextmanager
    async def group(self) -> AsyncIterator[Any]:
        backend, whose = self.groups
        if whose == "anyio":
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep_forever)
                yield tasks
        elif backend == "trio":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                yield nursery
        else:
            async with asyncio.TaskGroup() as native:
                native.create_task(asyncio.Event().wait())
                yield native

    async def handler(self, request: Request) -> AsyncIterator[Any]:
        if request.prompt == "plain":
            yield "Hello"
            return
        try:
            async with self.group():
                if request.prompt == "nonsense":
                    yield "token"
                    yield 7
                while True:
                    yield "x" * 1000
                    self.begun.set()
        finally:
            self.ended.set()


@contextlib.contextmanager
def held(backend: str, whose: str) -> Iterator[tuple[Any, Held]]:
    """The server, which answers the next client as ever when the block has ended."""
    handlers = Held(backend, whose)
    with serving(handlers.handler, backend=backend) as server:
        yield server, handlers
        assert handlers.ended.wait(PATIENCE)
        with RawClient(server) as client:
            client.ask("POST", "/chat/completions", asking("plain"))
            assert b"Hello" in client.answer()[1]


def asking(prompt: str) -> dict[str, Any]:
    return {**CHAT, "messages": [{"role": "user", "content": prompt}]}


def test_a_client_that_goes_away(backend: str, whose: str) -> None:
    with held(backend, whose) as (server, _), RawClient(server) as client:
        client.ask("POST", "/chat/completions", asking("endless"))
        assert client.sock.recv(1000)


def test_what_is_no_token(backend: str, whose: str, caplog: pytest.LogCaptureFixture) -> None:
    with held(backend, whose) as (server, _), RawClient(server) as client:
        client.ask("POST", "/chat/completions", asking("nonsense"))
        assert b"server_error" in client.answer()[1]
    assert "TypeError: a handler yields strings and tokens, not int" in caplog.text


def test_a_response_in_the_background_that_is_cancelled(backend: str, whose: str) -> None:
    with held(backend, whose) as (server, handlers), RawClient(server) as client:
        client.ask("POST", "/responses", {**RESPONSES, "input": "endless", "stream": False, "background": True})
        id = json.loads(client.answer()[1])["id"]
        assert handlers.begun.wait(PATIENCE)
        client.ask("POST", f"/responses/{id}/cancel")
        assert json.loads(client.answer()[1])["status"] == "cancelled"
