"""Clients that send a byte now and then: bounded by the clock, which jumps here."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import trio.testing

from support.served import CHAT
from tokenwire.backends import named
from tokenwire.server import Request, ServerLimits
from tokenwire.server.endpoint import Endpoint
from tokenwire.server.serve import _Lobby

LIMITS = ServerLimits(idle=75, head=20, body=120, write=60)


class Dripping:
    """A transport whose client sends a byte each so many seconds."""

    def __init__(self, data: bytes, seconds: float) -> None:
        self._data = data
        self._seconds = seconds
        self.sent = b""
        self.closed = False

    async def receive_into(self, buffer: Any, deadline: float | None) -> int:
        buffer.reclaim()
        with trio.move_on_at(float("inf") if deadline is None else deadline):
            await trio.sleep(self._seconds if self._data else float("inf"))
            buffer.feed(self._data[:1])
            self._data = self._data[1:]
            return 1
        raise TimeoutError

    async def send(self, data: bytes, deadline: float | None) -> None:
        await trio.lowlevel.checkpoint()
        self.sent += data

    def abort(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


async def handler(request: Request) -> AsyncIterator[str]:
    yield "Hello"


def served(data: bytes, seconds: float, client: type[Dripping] = Dripping) -> tuple[float, bytes]:
    """How long the connection lived, in seconds, and what was answered."""

    async def main() -> tuple[float, bytes]:
        transport: Any = client(data, seconds)
        endpoint = Endpoint(handler, model=None, models=None, max_choices=1, limits=LIMITS)
        await _Lobby(named("trio"), endpoint, lambda: None).receive(transport)
        assert transport.closed
        return trio.current_time(), transport.sent

    clock = trio.testing.MockClock(autojump_threshold=0)
    begun = clock.current_time()
    ended, sent = trio.run(main, clock=clock)
    return ended - begun, sent


BODY = json.dumps({**CHAT, "stream": False}).encode()
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
LONG = b"content-length: 1000\r\n\r\n" + BODY[:-1] + b" " * 900
LINGER = 2  # seconds in which the client may read what was wrong


@pytest.mark.parametrize(
    ("data", "seconds", "lived", "status"),
    [
        (b"", 1, 75, b""),  # says nothing at all: nothing is said to it
        (HEAD + b"x: " + b"y" * 1000, 1, 1 + 20 + LINGER, b"408"),
        (HEAD + b"x: " + b"y" * 1000, 19.5, 19.5 + 20 + LINGER, b"408"),
        (HEAD + LONG, 0.2, (len(HEAD) + len(b"content-length: 1000\r\n\r\n")) * 0.2 + 120 + LINGER, b"408"),
        (HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY, 0.1, None, b"200"),  # slow, and in time
    ],
)
def test_slow_requests(data: bytes, seconds: float, lived: float | None, status: bytes) -> None:
    took, sent = served(data, seconds)
    assert took == pytest.approx(len(data) * seconds if lived is None else lived)
    assert sent[9:12] == status
    if status == b"408":
        assert b"connection: close" in sent.lower()
        assert json.loads(sent.partition(b"\r\n\r\n")[2])["error"]["code"] == "timeout"


class Slow(Dripping):
    """One that takes 40 seconds for the first piece of an answer."""

    async def send(self, data: bytes, deadline: float | None) -> None:
        await trio.sleep(0 if self.sent else 40)
        self.sent += data


def test_no_comment_is_added_while_the_client_is_slow() -> None:
    """Keep-alives are for a handler that is silent: two would be due in that time."""
    body = json.dumps(CHAT).encode()
    _, sent = served(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body, 0, Slow)
    assert b'"content":"Hello"' in sent
    assert sent.endswith(b"0\r\n\r\n")
    assert b": keep-alive" not in sent
