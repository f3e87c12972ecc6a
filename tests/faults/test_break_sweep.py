"""`break` out of every loop, with and without the context manager, on every backend, over real sockets.

The pool's slot is free in the very next line, the server sees the connection close, and nobody
complains, then or later (-W error). The answer has not ended: nothing but the break lets go.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import queue
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tokenwire
from support.answers import chunk, head, sse
from support.held import counts
from support.loops import PATIENCE, Threaded, Way, listening, plain_and_tls, rounds, trusting, ways

#: Three events in one read, and no end.
_EVENTS = sse(chunk("a"), chunk("b"), chunk("c"))
BEGUN = head("Content-Type: text/event-stream", "Transfer-Encoding: chunked") + b"%x\r\n%b\r\n" % (
    len(_EVENTS),
    _EVENTS,
)

MODES: dict[str, Callable[[Any], Any]] = {
    "events": lambda stream: stream,
    "batches": lambda stream: stream.batches(),
    "text": lambda stream: stream.text(),
    "raw": lambda stream: stream.raw(),
}


class Answering:
    """Answers each request, and tells of each client that has gone."""

    def __init__(self, accept: Callable[[], socket.socket], count: int) -> None:
        self.gone: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._accept = accept
        self.thread = Threaded(lambda: [self._one() for _ in range(count)])

    def _one(self) -> None:
        with self._accept() as sock:
            request = b""
            while not request.endswith(b"}"):
                request += sock.recv(65_536)
            sock.sendall(BEGUN)
            with contextlib.suppress(ConnectionError, OSError):
                assert sock.recv(1) == b""
        self.gone.put("gone")


def sockets() -> int:
    """How many descriptors this process holds."""
    return len(os.listdir("/proc/self/fd"))


@contextlib.contextmanager
def by_counting() -> Iterator[None]:
    """No garbage collection: what lets go does so at once."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@ways
@plain_and_tls
@pytest.mark.parametrize("taken", [1, 2, 3])
def test_break(way: Way, tls: bool, taken: int) -> None:
    """Out of the loop at the first event of a read, in its midst, and where all of it was taken."""
    sync = way.id == "sync"
    kind: Any = tokenwire.Client if sync else tokenwire.AsyncClient
    manners = ("bare", "managed", "closed", "helper", "helper text")

    async def main() -> None:
        with listening(tls) as listener:
            cases = [(mode, manner) for mode in MODES for manner in manners if mode == "events" or "h" not in manner]
            server = Answering(listener.accept, len(cases))
            client = kind(
                api_key="k",
                base_url=f"http{'s' * tls}://127.0.0.1:{listener.origin.port}/v1",
                backend=way.backend,
                ssl_context=trusting() if tls else None,
                max_retries=0,
                timeout=PATIENCE,
            )
            for mode, manner in cases:
                left: Callable[..., Any] = leave_sync if sync else leave
                with by_counting():
                    ending = left(client, MODES[mode], manner, 1 if mode == "batches" else taken)
                    if ending is not None:
                        await ending
                    assert counts(client) == {}, (mode, manner)
                await rounds(way.backend, 3)
                assert server.gone.get(timeout=PATIENCE) == "gone", (mode, manner)
            server.thread.result()
            if sync:
                client.close()
            else:
                await client.aclose()
            await rounds(way.backend, 3)

    way.run(functools.partial(rounds, way.backend))  # a loop's first run opens what it keeps
    before = sockets()
    way.run(main)
    gc.collect()
    assert sockets() <= before


async def leave(client: Any, mode: Callable[[Any], Any], manner: str, taken: int) -> None:
    asked = {"model": "m", "messages": []}
    seen = 0
    if manner.startswith("helper"):
        async with client.chat.completions.stream(**asked) as helped:
            async for _ in helped.text() if manner.endswith("text") else helped:
                seen += 1
                if seen == taken:
                    break
        return
    if manner == "bare":
        async for _ in mode(await client.chat.completions.create(stream=True, **asked)):
            seen += 1
            if seen == taken:
                break
        return
    stream = await client.chat.completions.create(stream=True, **asked)
    if manner == "closed":
        async for _ in mode(stream):
            seen += 1
            if seen == taken:
                break
        await stream.close()
        return
    async with stream:
        async for _ in mode(stream):
            seen += 1
            if seen == taken:
                break


def leave_sync(client: Any, mode: Callable[[Any], Any], manner: str, taken: int) -> None:
    asked = {"model": "m", "messages": []}
    if manner.startswith("helper"):
        with client.chat.completions.stream(**asked) as helped:
            for seen, _ in enumerate(helped.text() if manner.endswith("text") else helped, 1):
                if seen == taken:
                    break
        return
    if manner == "bare":
        for seen, _ in enumerate(mode(client.chat.completions.create(stream=True, **asked)), 1):
            if seen == taken:
                break
        return
    stream = client.chat.completions.create(stream=True, **asked)
    if manner == "closed":
        for seen, _ in enumerate(mode(stream), 1):
            if seen == taken:
                break
        stream.close()
        return
    with stream:
        for seen, _ in enumerate(mode(stream), 1):
            if seen == taken:
                break
