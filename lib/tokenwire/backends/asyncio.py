"""asyncio, and uvloop through it.

Theory of operation. `BufferedProtocol` lets the event loop read straight into our
ReceiveBuffer: no 256 KiB allocation per read (`data_received`), and no pausing and
resuming round each (streams). The loop pushes: it may read while nobody waits. What
came meanwhile is counted in `_unseen`, and handed out at the next `receive_into`.
Only a buffer that is full pauses the transport, lazily, and that closes the kernel's
window: backpressure.

One timer per connection serves every deadline. It is armed once, and when it fires
early (the deadline has moved on meanwhile) it arms itself anew, so that a read costs
no timer at all.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar

from tokenwire.backends.base import Backend, Listener, Origin, Transport
from tokenwire.wire.buffer import ReceiveBuffer

T = TypeVar("T")

__all__ = ["AsyncioBackend", "AsyncioTransport", "backend"]

#: Seconds until the next address is tried as well (RFC 8305, section 8: 250 ms).
_HAPPY_EYEBALLS_DELAY = 0.25


@types.coroutine
def _let_others_run() -> Generator[None, None, None]:
    yield  # what asyncio.sleep(0) does, without its frame


class AsyncioTransport(asyncio.BufferedProtocol):
    """One connection: asyncio's protocol, and our Transport."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: Any = None
        self._buffer: ReceiveBuffer | None = None
        self._unseen = 0  # bytes in the buffer that no receive has told of yet
        self._eof = self._lost = self._paused = self._blocked = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._closer: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0

    # -- what the event loop calls -------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        # send() returns when all has gone to the kernel, so anything left over blocks it. asyncio's TLS pauses
        # at the mark, where plain sockets pause above it: with 0 it would pause with nothing left over.
        tls = self._transport.get_extra_info("sslcontext") is not None
        self._transport.set_write_buffer_limits(high=1 if tls else 0, low=0)

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._buffer is None:  # the peer spoke before anybody asked
            self._buffer = ReceiveBuffer()
        return self._buffer.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        buffer = self._buffer
        assert buffer is not None
        buffer.buffer_updated(nbytes)
        self._unseen += nbytes
        reader = self._reader
        if reader is not None:
            self._reader = None
            if not reader.done():
                reader.set_result(None)
        if buffer.end - buffer.start >= buffer.limit and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        self._eof = True
        self._wake(self._reader)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._error = exc
        self._stop_timer()
        for waiter in (self._reader, self._writer, self._closer):
            self._wake(waiter)

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self._wake(self._writer)

    @staticmethod
    def _wake(waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # -- the port ------------------------------------------------------------------

    async def receive_into(self, buffer: ReceiveBuffer, deadline: float | None) -> int:
        if self._buffer is not buffer:
            self._bind(buffer)
        buffer.reclaim()
        if self._paused and not buffer.full:
            self._resume()
        if self._unseen:
            await _let_others_run()
        elif not (self._eof or self._lost):
            self._reader = reader = self._loop.create_future()
            if deadline is not None:
                self._arm(deadline)
            try:
                await reader
            finally:
                self._reader = None
        count = self._unseen
        if count:
            self._unseen = 0
            return count
        if self._error is not None:
            raise self._broken()
        return 0

    async def poll(self, buffer: ReceiveBuffer) -> int | None:
        if self._buffer is not buffer:
            self._bind(buffer)
        buffer.reclaim()
        if self._paused and not buffer.full:
            self._resume()
        for _ in range(2):
            # Two rounds of the loop: it looks at its sockets in the first, and reads them in the second.
            if self._unseen or self._eof or self._lost:
                break
            await _let_others_run()
        count = self._unseen
        if count:
            self._unseen = 0
            return count
        if self._error is not None:
            raise self._broken()
        return 0 if self._eof or self._lost else None

    async def send(self, data: bytes | bytearray | memoryview, deadline: float | None) -> None:
        if self._lost or self._transport.is_closing():
            raise self._broken()
        self._transport.write(data)
        while self._blocked and not self._lost:
            self._writer = writer = self._loop.create_future()
            timer = None if deadline is None else self._loop.call_at(deadline, _expire, writer)
            try:
                await writer
            finally:
                self._writer = None
                if timer is not None:
                    timer.cancel()
        if self._lost:
            raise self._broken()

    def abort(self) -> None:
        self._stop_timer()
        if not self._loop.is_closed():
            self._transport.abort()

    async def aclose(self) -> None:
        self._stop_timer()
        self._transport.close()
        if self._lost:
            return
        self._closer = self._loop.create_future()
        try:
            await self._closer
        except BaseException:
            self._transport.abort()
            raise
        finally:
            self._closer = None

    # -- inside --------------------------------------------------------------------

    def _bind(self, buffer: ReceiveBuffer) -> None:
        early, self._buffer = self._buffer, buffer
        if early is not None:
            buffer.feed(memoryview(early.data)[early.start : early.end])

    def _resume(self) -> None:
        self._paused = False
        if not (self._eof or self._lost or self._transport.is_closing()):
            self._transport.resume_reading()

    def _broken(self) -> OSError:
        error = self._error
        if isinstance(error, OSError):
            return error
        broken = ConnectionResetError("the connection is closed" if error is None else str(error))
        broken.__cause__ = error
        return broken

    def _arm(self, deadline: float) -> None:
        self._deadline = deadline
        timer = self._timer
        if timer is None:
            self._timer = self._loop.call_at(deadline, self._ring)
        elif timer.when() > deadline:
            timer.cancel()
            self._timer = self._loop.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._reader is not None:
            if self._loop.time() >= self._deadline:
                _expire(self._reader)
            else:
                self._timer = self._loop.call_at(self._deadline, self._ring)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


class AsyncioEvent:
    """One waiter, one future."""

    def __init__(self) -> None:
        self._set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        self._set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, deadline: float | None) -> bool:
        if self._set:
            await _let_others_run()
            return True
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = None if deadline is None else loop.call_at(deadline, _expire, self._waiter)
        try:
            await self._waiter
        except TimeoutError:
            return self._set
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()
        return True


class AsyncioListener:
    """A bound socket, not yet served."""

    def __init__(self, sock: socket.socket, ssl_context: ssl.SSLContext | None) -> None:
        self.sock = sock
        self.ssl_context = ssl_context

    @property
    def address(self) -> tuple[str, int] | str:
        name = self.sock.getsockname()
        return name if isinstance(name, str) else (name[0], name[1])

    def close(self) -> None:
        self.sock.close()


class AsyncioBackend:
    """asyncio, and uvloop."""

    name = "asyncio"

    def run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run(function())

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def token(self) -> Any:
        return asyncio.get_running_loop()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def checkpoint(self) -> None:
        await _let_others_run()

    def event(self) -> AsyncioEvent:
        return AsyncioEvent()

    async def connect(self, origin: Origin, ssl_context: ssl.SSLContext | None, deadline: float | None) -> Transport:
        loop = asyncio.get_running_loop()
        server_hostname = None if ssl_context is None else origin.host
        made: list[AsyncioTransport] = []

        def factory() -> AsyncioTransport:
            made.append(AsyncioTransport(loop))
            return made[-1]

        try:
            async with asyncio.timeout_at(deadline):
                if origin.uds is not None:
                    await loop.create_unix_connection(
                        factory, origin.uds, ssl=ssl_context, server_hostname=server_hostname
                    )
                else:
                    await loop.create_connection(
                        factory,
                        origin.host,
                        origin.port,
                        ssl=ssl_context,
                        server_hostname=server_hostname,
                        happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY,
                    )
        except BaseException:
            for transport in made:  # connected, but cancelled before we were told
                if transport._transport is not None:
                    transport.abort()
            raise
        return made[-1]

    async def listen(
        self, host: str, port: int, *, uds: str | None = None, ssl_context: ssl.SSLContext | None = None
    ) -> Listener:
        if uds is not None:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.bind(uds)
            except BaseException:
                sock.close()
                raise
        else:
            infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            family, _, _, _, address = infos[0]
            sock = socket.create_server((address[0], address[1]), family=family)
        sock.setblocking(False)
        sock.listen(1024)
        return AsyncioListener(sock, ssl_context)

    async def serve(self, listener: Listener, handle: Callable[[Transport], Awaitable[None]]) -> None:
        assert isinstance(listener, AsyncioListener)
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:

            class Accepted(AsyncioTransport):
                def connection_made(self, transport: asyncio.BaseTransport) -> None:
                    super().connection_made(transport)
                    tasks.create_task(self._life())

                async def _life(self) -> None:
                    try:
                        await handle(self)
                    finally:
                        self.abort() if not self._lost else None

            server = await loop.create_server(
                lambda: Accepted(loop), sock=listener.sock, ssl=listener.ssl_context, backlog=1024
            )
            try:
                await loop.create_future()  # until cancelled
            finally:
                server.close()

    async def first(self, *functions: Callable[[], Awaitable[None]]) -> None:
        async def one(function: Callable[[], Awaitable[None]]) -> None:
            await function()

        tasks: list[asyncio.Future[None]] = [asyncio.ensure_future(one(function)) for function in functions]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            failures = await _cancel_all(tasks)
        if failures:
            raise failures[0]


async def _cancel_all(tasks: list[asyncio.Future[None]]) -> list[BaseException]:
    """Cancel what still runs, wait for all, and tell what they raised on their own."""
    for task in tasks:
        task.cancel()
    again: asyncio.CancelledError | None = None
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:  # ours, a second time: the children still come first
            again = error
    ended = [None if task.cancelled() else task.exception() for task in tasks]
    failures = [failure for failure in ended if failure is not None]
    if again is not None:
        raise again
    return failures


_backend = AsyncioBackend()


def backend() -> Backend:
    return _backend
