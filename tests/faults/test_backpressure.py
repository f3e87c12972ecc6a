"""A consumer that stops reading: the server feels it, this process does not, and nothing is lost.

20 MB in each run; TOKENWIRE_LARGE=1 makes it 200 MB.
"""

from __future__ import annotations

import gc
import os
import socket
import ssl
import sys
import threading
from typing import Any

import pytest

import tokenwire
from support.answers import chunk, head, sse
from support.held import resident
from support.loops import PATIENCE, Threaded, Way, listening, plain_and_tls, rounds, trusting, ways

TOTAL = 200_000_000 if os.environ.get("TOKENWIRE_LARGE") else 20_000_000

#: One event: as large as a server sends them when it is in a hurry.
_TEXT = "abcdefghijklmnop" * 1_000
EVENTS = TOTAL // len(_TEXT)

#: How much the process may grow meanwhile.
GROWTH = 1 << 20

#: How often the server tries again, once it is told to wait.
_TRIES = 200


def piece(number: int) -> bytes:
    """The chunk of one event."""
    event = sse(chunk(f"{number:08d}{_TEXT}"))
    return b"%x\r\n%b\r\n" % (len(event), event)


_HEAD = head("Content-Type: text/event-stream", "Transfer-Encoding: chunked")
_DONE = sse(chunk(None, "stop"), done=True)
_END = b"%x\r\n%b\r\n0\r\n\r\n" % (len(_DONE), _DONE)


class Firehose:
    """The server's side: sends as much as it can, and never waits."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setblocking(False)
        self._next = 0
        self._left = memoryview(_HEAD)
        self.sent = 0
        self.over = False

    def push(self) -> bool:
        """Send until it would block. Whether anything went."""
        before = self.sent
        try:
            while not self.over:
                if not self._left:
                    self._refill()
                count = self.sock.send(self._left)
                self._left = self._left[count:]
                self.sent += count
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        return self.sent > before

    def _refill(self) -> None:
        if self._next < EVENTS:
            self._left = memoryview(piece(self._next))
        elif self._next == EVENTS:
            self._left = memoryview(_END)
        else:
            self.over = True
            self._left = memoryview(b"")
        self._next += 1

    def finish(self) -> None:
        """Send the rest, in a thread of its own: now it may wait."""
        self.sock.settimeout(PATIENCE)
        while not self.over:
            if not self._left:
                self._refill()
            self._left = self._left[self.sock.send(self._left) :] if self._left else self._left


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@ways
@plain_and_tls
def test_a_consumer_that_stops_reading(way: Way, tls: bool) -> None:
    backend, sync = way.backend, way.id == "sync"
    kind: Any = tokenwire.Client if sync else tokenwire.AsyncClient

    async def main() -> None:
        with listening(tls) as listener:
            client = kind(
                api_key="k",
                base_url=f"http{'s' * tls}://127.0.0.1:{listener.origin.port}/v1",
                backend=backend,
                ssl_context=trusting() if tls else None,
                max_retries=0,
                timeout=PATIENCE,
            )
            hoses: list[Firehose] = []
            asked = threading.Event()

            def begin() -> None:
                """Take the request, and begin to answer."""
                sock = listener.accept()
                request = b""
                while not request.endswith(b"}"):
                    request += sock.recv(65_536)
                hose = Firehose(sock)
                hoses.append(hose)
                while hose.sent < 100_000:
                    hose.push()
                asked.set()

            beginning = Threaded(begin)
            found = client.chat.completions.create(model="m", messages=[], stream=True)
            stream: Any = found if sync else await found
            batches = iter(stream.batches()) if sync else aiter(stream.batches())
            got = list(next(batches) if sync else await anext(batches))
            beginning.result()
            (hose,) = hoses
            try:
                gc.collect()
                before, quiet, tries = resident(), 0, 0
                # It has stopped to read. The kernel's buffers, and our one, take what they take; then it is over.
                while quiet < _TRIES:
                    quiet = 0 if hose.push() else quiet + 1
                    tries += 1
                    await rounds(backend, 3)
                    assert tries < 100 * _TRIES
                assert not hose.over, "all of it went into buffers"
                assert hose.sent < TOTAL
                grown = resident() - before
                assert grown < GROWTH, f"grown by {grown:,} bytes; sent {hose.sent:,}"

                finishing = Threaded(hose.finish)
                numbers = [number(event) for event in got]
                if sync:
                    for batch in batches:
                        numbers += map(number, batch)
                else:
                    async for batch in batches:
                        numbers += map(number, batch)
                finishing.result()
                assert numbers == [*range(EVENTS), None]
                if not tls:  # a record is less than the buffer holds
                    assert stream.stats.pauses > 0
                assert len(stream.snapshot.choices[0].message.content) == EVENTS * (8 + len(_TEXT))
                client._pools.pool.close()
            finally:
                hose.sock.close()

    way.run(main)


def number(event: Any) -> int | None:
    """Which one it is; None for the last, which is empty."""
    (choice,) = event.choices
    content = choice.delta.content
    if content is None:
        assert choice.finish_reason == "stop"
        return None
    assert content[8:] == _TEXT
    return int(content[:8])
