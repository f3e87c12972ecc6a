"""Plain sockets, for blocking code.

Theory of operation. The glue above is written once, as `async def`. Here every
coroutine does its work and returns without ever suspending, so that `run` can
drive one to its end with a single send(None): no event loop, no thread.

Sockets are non-blocking, and `poll(2)` does the waiting, so that `poll` (ours) needs no
mode switch. TLS is ours (tls.py), over that: the `ssl` module's sockets take a reset for
an end, and need two system calls a record.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from tokenwire.backends.base import Backend, Listener, Origin, Start, Transport
from tokenwire.backends.sockets import tune
from tokenwire.backends.sync_dial import LONGEST, dial, dial_path, milliseconds
from tokenwire.backends.ticks import Delayed
from tokenwire.wire.buffer import ReceiveBuffer

if TYPE_CHECKING:
    import ssl

__all__ = ["SyncBackend", "SyncTransport", "backend", "run"]

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Drive a coroutine that never suspends to its end."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    coroutine.close()
    raise RuntimeError("a coroutine suspended under the sync backend: it awaited something of an event loop")


class SyncTransport:
    """A connected socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._waiting = 0
        self._aborted = False
        self._pid = os.getpid()

    async def receive_into(self, buffer: ReceiveBuffer, deadline: float | None) -> int:
        buffer.reclaim()
        while True:
            self._wait(select.POLLIN, deadline)
            got = self._receive(buffer)
            if got is not None:
                return got

    async def poll(self, buffer: ReceiveBuffer) -> int | None:
        buffer.reclaim()
        return self._receive(buffer)

    def _receive(self, buffer: ReceiveBuffer) -> int | None:
        try:
            count = self._sock.recv_into(buffer.get_buffer())
        except BlockingIOError:
            return None
        if not count and self._aborted:  # by another thread: the end is our own
            raise ConnectionAbortedError("the connection was closed here")
        buffer.buffer_updated(count)
        return count

    async def send(self, data: bytes | bytearray | memoryview, deadline: float | None) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[self._sock.send(left) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)

    def _wait(self, wanted: int, deadline: float | None) -> None:
        if self._sock.fileno() < 0:
            raise ConnectionAbortedError("the connection was closed here")
        self._waiting += 1
        try:
            _wait(self._sock, self._poll, wanted, deadline)
        finally:
            self._waiting -= 1

    def abort(self) -> None:
        self._aborted = True
        # Another thread that waits in poll(2) would sleep on beside a mere close. A fork's child
        # must not: what it shuts down is its parent's.
        if self._waiting and self._pid == os.getpid():
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    async def aclose(self) -> None:
        self.abort()

    def coalesced(self, seconds: float) -> Delayed:
        return Delayed(self, _backend, seconds)


def _wait(sock: socket.socket, poll: select.poll, wanted: int, deadline: float | None) -> None:
    if wanted != select.POLLIN:
        poll.modify(sock, wanted)
    try:
        if deadline is None:
            poll.poll()
            return
        left = max(0.0, deadline - time.monotonic())  # late deadlines still ask once
        if not poll.poll(milliseconds(left)) and left <= LONGEST:
            raise TimeoutError
    finally:
        if wanted != select.POLLIN:
            poll.modify(sock, select.POLLIN)


class SyncEvent:
    """A lock that is held until it is set.

    threading.Event would do, but for a garbage collection within its own wait or set: a stream that is closed
    there sets it again, and its lock is not reentrant.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        with contextlib.suppress(RuntimeError):  # it was set before
            self._lock.release()

    async def wait(self, deadline: float | None) -> bool:
        left = -1.0 if deadline is None else min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
        if not self._lock.acquire(timeout=left):
            return False
        self.set()  # for ever after
        return True


class SyncBackend:
    """Blocking I/O behind coroutines that never suspend."""

    name = "sync"

    def run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return run(function())

    def now(self) -> float:
        return time.monotonic()

    def clock(self) -> Callable[[], float]:
        return time.monotonic

    def token(self) -> None:
        return None

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def checkpoint(self) -> None:
        return None

    def event(self) -> SyncEvent:
        return SyncEvent()

    async def connect(self, origin: Origin, ssl_context: ssl.SSLContext | None, deadline: float | None) -> Transport:
        transport = SyncTransport(_dial(origin, deadline))
        if ssl_context is None:
            return transport
        from tokenwire.backends.tls import secure

        return await secure(self, transport, ssl_context, deadline, hostname=origin.host)

    async def listen(
        self,
        host: str,
        port: int,
        *,
        uds: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        reuse_port: bool = False,
    ) -> NoReturn:
        raise NotImplementedError("serving needs asyncio or trio")

    async def serve(self, listener: Listener, handle: Callable[[Transport], Awaitable[None]]) -> NoReturn:
        raise NotImplementedError("serving needs asyncio or trio")

    async def signals(self, numbers: Sequence[int], function: Callable[[int], object]) -> NoReturn:
        raise NotImplementedError("serving needs asyncio or trio")

    async def first(self, *functions: Callable[[], Awaitable[None]]) -> NoReturn:
        raise NotImplementedError("serving needs asyncio or trio")

    async def tend(self, main: Callable[[Start], Awaitable[None]]) -> NoReturn:
        raise NotImplementedError("serving needs asyncio or trio")


def _dial(origin: Origin, deadline: float | None) -> socket.socket:
    if origin.uds is not None:
        return dial_path(origin.uds, deadline)
    sock = dial(origin.host, origin.port, deadline)
    try:
        tune(sock)
    except BaseException:
        sock.close()
        raise
    return sock


_backend = SyncBackend()


def backend() -> Backend:
    """This backend. There is one, for every client."""
    return _backend
