"""trio.

Theory of operation. Plain connections use the socket itself: `wait_readable`, then
one non-blocking `recv_into` straight into the ReceiveBuffer. Every read waits in the
kernel's queue first and so is a full checkpoint. TLS goes through trio.SSLStream,
which hands out bytes: one copy.
"""

from __future__ import annotations

import math
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import trio

from tokenwire.backends.base import Backend, Listener, Origin, Transport
from tokenwire.wire.buffer import ReceiveBuffer

T = TypeVar("T")

__all__ = ["TrioBackend", "TrioSocketTransport", "TrioStreamTransport", "backend"]


class TrioSocketTransport:
    """A connected non-blocking socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._waiting = 0

    async def receive_into(self, buffer: ReceiveBuffer, deadline: float | None) -> int:
        buffer.reclaim()
        while True:
            await self._wait(trio.lowlevel.wait_readable, deadline)
            try:
                count = self._sock.recv_into(buffer.get_buffer())
            except BlockingIOError:
                continue
            buffer.buffer_updated(count)
            return count

    async def poll(self, buffer: ReceiveBuffer) -> int | None:
        await trio.lowlevel.checkpoint()
        buffer.reclaim()
        try:
            count = self._sock.recv_into(buffer.get_buffer())
        except BlockingIOError:
            return None
        buffer.buffer_updated(count)
        return count

    async def send(self, data: bytes | bytearray | memoryview, deadline: float | None) -> None:
        await trio.lowlevel.checkpoint()
        left = memoryview(data)
        while left:
            try:
                left = left[self._sock.send(left) :]
            except BlockingIOError:
                await self._wait(trio.lowlevel.wait_writable, deadline)

    async def _wait(self, ready: Callable[[socket.socket], Awaitable[None]], deadline: float | None) -> None:
        if self._sock.fileno() < 0:
            raise ConnectionAbortedError("the connection was closed here")
        self._waiting += 1
        try:
            if deadline is None:
                await ready(self._sock)
                return
            with trio.CancelScope(deadline=deadline) as scope:
                await ready(self._sock)
                return
        except trio.ClosedResourceError:
            raise ConnectionAbortedError("the connection was closed here") from None
        finally:
            self._waiting -= 1
        # Only a deadline of our own ends here: the caller's cancellation goes through.
        assert scope.cancelled_caught
        raise TimeoutError

    def abort(self) -> None:
        if self._waiting:
            trio.lowlevel.notify_closing(self._sock)
        self._sock.close()

    async def aclose(self) -> None:
        self.abort()
        await trio.lowlevel.checkpoint()


class TrioStreamTransport:
    """Any trio stream: TLS."""

    def __init__(self, stream: Any, sock: Any) -> None:
        self._stream = stream
        self._sock = sock

    async def receive_into(self, buffer: ReceiveBuffer, deadline: float | None) -> int:
        buffer.reclaim()
        with trio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
            try:
                data = await self._stream.receive_some(len(buffer.get_buffer()))
            except trio.BrokenResourceError as error:
                if isinstance(error.__cause__, ssl.SSLEOFError):
                    return 0  # closed without close_notify, as many do
                raise _broken(error) from error
            except trio.ClosedResourceError as error:
                raise _broken(error) from error
            buffer.feed(data)
            return len(data)
        assert scope.cancelled_caught
        raise TimeoutError

    async def poll(self, buffer: ReceiveBuffer) -> int | None:
        # A deadline that has passed lets the checkpoint at the end of a read through only where
        # bytes are there already: trio.SSLStream tries its own store, then the socket, before it waits.
        try:
            return await self.receive_into(buffer, trio.current_time() + _GRACE)
        except TimeoutError:
            return None

    async def send(self, data: bytes | bytearray | memoryview, deadline: float | None) -> None:
        with trio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise _broken(error) from error
            return
        assert scope.cancelled_caught
        raise TimeoutError

    def abort(self) -> None:
        self._sock.close()

    async def aclose(self) -> None:
        try:
            with trio.CancelScope(deadline=trio.current_time() + _GOODBYE):
                await self._stream.aclose()
        finally:
            self.abort()


#: Seconds that `poll` lets TLS look for bytes that have come already.
_GRACE = 0.001

#: Seconds to wait for the peer's close_notify.
_GOODBYE = 1.0


def _broken(error: Exception) -> OSError:
    cause = error.__cause__
    if isinstance(cause, OSError):
        return cause
    return ConnectionResetError(str(error) or "the connection is closed")


class TrioEvent:
    """trio.Event with a deadline."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, deadline: float | None) -> bool:
        with trio.CancelScope(deadline=math.inf if deadline is None else deadline):
            await self._event.wait()
        return self._event.is_set()


class TrioListener:
    """A bound socket."""

    def __init__(self, listener: trio.SocketListener, ssl_context: ssl.SSLContext | None) -> None:
        self.listener = listener
        self.ssl_context = ssl_context

    @property
    def address(self) -> tuple[str, int] | str:
        name = self.listener.socket.getsockname()
        return name if isinstance(name, str) else (name[0], name[1])

    def close(self) -> None:
        self.listener.socket.close()


class TrioBackend:
    """trio."""

    name = "trio"

    def run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            return trio.run(function)
        except BaseExceptionGroup as group:
            # Ctrl-C comes up through nurseries, each of which wraps it.
            interrupts, others = group.split(KeyboardInterrupt)
            if interrupts is not None and others is None:
                raise KeyboardInterrupt from None
            raise

    def now(self) -> float:
        return trio.current_time()

    def token(self) -> Any:
        return trio.lowlevel.current_trio_token()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()

    def event(self) -> TrioEvent:
        return TrioEvent()

    async def connect(self, origin: Origin, ssl_context: ssl.SSLContext | None, deadline: float | None) -> Transport:
        with trio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
            if origin.uds is not None:
                stream = await trio.open_unix_socket(origin.uds)
            else:
                stream = await trio.open_tcp_stream(origin.host, origin.port)
            if ssl_context is None:
                return _bare(stream)
            return await _secure(
                stream,
                trio.SSLStream(stream, ssl_context, server_hostname=origin.host, https_compatible=True),
            )
        assert scope.cancelled_caught
        raise TimeoutError

    async def listen(
        self, host: str, port: int, *, uds: str | None = None, ssl_context: ssl.SSLContext | None = None
    ) -> Listener:
        if uds is not None:
            sock = trio.socket.socket(trio.socket.AF_UNIX)
            try:
                await sock.bind(uds)
            except BaseException:
                sock.close()
                raise
            sock.listen(1024)
            return TrioListener(trio.SocketListener(sock), ssl_context)
        listeners = await trio.open_tcp_listeners(port, host=host, backlog=1024)
        for extra in listeners[1:]:  # one address is what was asked for
            extra.socket.close()
        return TrioListener(listeners[0], ssl_context)

    async def serve(self, listener: Listener, handle: Callable[[Transport], Awaitable[None]]) -> None:
        assert isinstance(listener, TrioListener)
        context = listener.ssl_context

        async def life(stream: trio.SocketStream) -> None:
            transport: Transport
            if context is None:
                transport = _bare(stream)
            else:
                try:
                    transport = await _secure(
                        stream, trio.SSLStream(stream, context, server_side=True, https_compatible=True)
                    )
                except OSError:
                    return  # the handshake failed: nobody to answer
            try:
                await handle(transport)
            finally:
                transport.abort()

        await trio.serve_listeners(life, [listener.listener])

    async def first(self, *functions: Callable[[], Awaitable[None]]) -> None:
        failures: list[Exception] = []
        async with trio.open_nursery() as nursery:

            async def one(function: Callable[[], Awaitable[None]]) -> None:
                try:
                    await function()
                except Exception as error:  # kept out of the nursery, which would raise it in a group
                    failures.append(error)
                nursery.cancel_scope.cancel()

            for function in functions:
                nursery.start_soon(one, function)
        if failures:
            raise failures[0]


def _bare(stream: trio.SocketStream) -> TrioSocketTransport:
    """trio's own socket object hides what wait_readable takes: move its descriptor into a plain one."""
    family = stream.socket.family
    sock = socket.socket(family, socket.SOCK_STREAM, 0, fileno=stream.socket.detach())
    sock.setblocking(False)
    return TrioSocketTransport(sock)


async def _secure(stream: trio.SocketStream, secured: trio.SSLStream[trio.SocketStream]) -> TrioStreamTransport:
    try:
        await secured.do_handshake()
    except BaseException as error:
        stream.socket.close()
        if isinstance(error, trio.BrokenResourceError):
            raise _broken(error) from error
        raise
    return TrioStreamTransport(secured, stream.socket)


_backend = TrioBackend()


def backend() -> Backend:
    return _backend
