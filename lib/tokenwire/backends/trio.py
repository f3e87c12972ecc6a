"""trio.

Theory of operation. Connections use the socket itself: `wait_readable`, then
one non-blocking `recv_into` straight into the ReceiveBuffer. Every read waits in the
kernel's queue first and so is a full checkpoint. TLS is ours (tls.py), over that.
"""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import trio

from tokenwire.backends.base import Backend, Listener, Origin, Start, Transport
from tokenwire.backends.sockets import bound, bound_unix, tune
from tokenwire.backends.ticks import HAS_EPOLL, Delayed
from tokenwire.backends.tls import HANDSHAKE, secure
from tokenwire.backends.trio_waits import CLOSED, Watch
from tokenwire.wire.buffer import ReceiveBuffer

T = TypeVar("T")

__all__ = ["TrioBackend", "TrioTransport", "backend"]


class TrioTransport:
    """A connected non-blocking socket."""

    __slots__ = ("_closed", "_sock", "_waiting", "_watch")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._closed = False
        self._waiting = 0
        self._watch = Watch.here()

    async def receive_into(self, buffer: ReceiveBuffer, deadline: float | None) -> int:
        buffer.reclaim()
        # A token goes through here, so this stands in one piece: a further coroutine would be two calls more.
        sock, watch = self._sock, self._watch
        if self._closed:
            raise ConnectionAbortedError(CLOSED)
        self._waiting += 1
        try:
            while True:
                try:
                    if deadline is None:
                        await trio.lowlevel.wait_readable(sock)
                    elif watch.crowded:
                        followers = watch.followers
                        followers[sock] = deadline
                        if deadline < watch.rings:
                            watch.ring_at(deadline)
                        woken = False
                        try:
                            await trio.lowlevel.wait_readable(sock)
                        except trio.ClosedResourceError:
                            woken = True
                            raise
                        finally:
                            if followers.pop(sock, None) is None and not woken:
                                watch.hand_on()  # it was to watch, and leaves with bytes of its own or cancelled
                    else:
                        await watch.watch(sock, deadline)
                    count = sock.recv_into(buffer.get_buffer())
                except BlockingIOError:
                    continue
                except trio.ClosedResourceError:
                    watch.woken(sock, deadline)
                    continue
                except OSError:
                    if self._closed:
                        raise ConnectionAbortedError(CLOSED) from None
                    raise
                buffer.buffer_updated(count)
                return count
        except TimeoutError as error:
            # Within a scope whose time is up trio waits for nothing, not even for what is there.
            late = None if error.errno is not None else self._look(buffer)
            if late is None:
                raise
            return late
        finally:
            self._waiting -= 1

    async def poll(self, buffer: ReceiveBuffer) -> int | None:
        await trio.lowlevel.checkpoint()
        buffer.reclaim()
        return self._look(buffer)

    def _look(self, buffer: ReceiveBuffer) -> int | None:
        try:
            count = self._sock.recv_into(buffer.get_buffer())
        except BlockingIOError:
            buffer.reclaim()
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
                await self._wait_writable(deadline)

    def send_now(self, data: bytes) -> int:
        try:
            return self._sock.send(data)
        except OSError:
            return 0

    async def _wait_writable(self, deadline: float | None) -> None:
        if self._closed:
            raise ConnectionAbortedError(CLOSED)
        self._waiting += 1
        try:
            with trio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
                await trio.lowlevel.wait_writable(self._sock)
        except trio.ClosedResourceError:
            if self._closed:
                raise ConnectionAbortedError(CLOSED) from None
            return  # a reader of the same socket was woken
        finally:
            self._waiting -= 1
        if scope.cancelled_caught:  # the caller's cancellation goes through
            raise TimeoutError

    def abort(self) -> None:
        self._closed = True
        if self._waiting:
            with contextlib.suppress(RuntimeError):  # outside of the run: nobody waits any more
                trio.lowlevel.notify_closing(self._sock)
        self._sock.close()

    async def aclose(self) -> None:
        self.abort()
        await trio.lowlevel.checkpoint()

    def coalesced(self, seconds: float) -> Transport:
        if not HAS_EPOLL:
            return Delayed(self, _backend, seconds)
        from tokenwire.backends.trio_ticks import Ticked  # only for who asks for it

        return Ticked(self, self._sock, seconds)


class TrioEvent:
    """trio.Event with a deadline."""

    def __init__(self) -> None:
        self._event = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    def set(self) -> None:
        try:
            here = trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:
            here = False
        if here:
            self._event.set()
        else:
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._event.set)

    async def wait(self, deadline: float | None) -> bool:
        with trio.CancelScope(deadline=math.inf if deadline is None else deadline):
            await self._event.wait()
        return self._event.is_set()


class TrioListener:
    """A bound socket."""

    def __init__(self, listener: trio.SocketListener, ssl_context: ssl.SSLContext | None) -> None:
        self.listener = listener
        self.ssl_context = ssl_context
        self.accepting: trio.CancelScope | None = None

    @property
    def address(self) -> tuple[str, int] | str:
        name = self.listener.socket.getsockname()
        return name if isinstance(name, str) else (name[0], name[1])

    def close(self) -> None:
        if self.accepting is not None:
            self.accepting.cancel()  # closed under its waiter, the socket would raise there
        else:
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

    def clock(self) -> Callable[[], float]:
        return trio.lowlevel.current_clock().current_time

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
            transport = _bare(stream)
            if ssl_context is None:
                return transport
            return await secure(self, transport, ssl_context, None, hostname=origin.host)
        assert scope.cancelled_caught
        raise TimeoutError

    async def listen(
        self,
        host: str,
        port: int,
        *,
        uds: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        reuse_port: bool = False,
    ) -> Listener:
        if uds is not None:
            await trio.lowlevel.checkpoint()
            sock = bound_unix(uds)
        else:
            infos = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            sock = bound(infos[0], reuse_port=reuse_port)
        return TrioListener(trio.SocketListener(trio.socket.from_stdlib_socket(sock)), ssl_context)

    async def serve(self, listener: Listener, handle: Callable[[Transport], Awaitable[None]]) -> None:
        assert isinstance(listener, TrioListener)

        async def life(stream: trio.SocketStream) -> None:
            transport: Transport = _bare(stream)
            try:
                if listener.ssl_context is not None:
                    try:
                        transport = await secure(
                            self, transport, listener.ssl_context, self.now() + HANDSHAKE, server_side=True
                        )
                    except OSError:
                        return  # nobody to answer
                await handle(transport)
            finally:
                transport.abort()

        try:
            async with trio.open_nursery() as connections:
                try:
                    with trio.CancelScope() as listener.accepting:
                        await trio.serve_listeners(life, [listener.listener], handler_nursery=connections)
                finally:
                    listener.accepting = None
                await trio.sleep_forever()  # until cancelled, by the caller or for a handle that failed
        except BaseExceptionGroup as group:
            raise _only(group) from None

    async def signals(self, numbers: Sequence[int], function: Callable[[int], object]) -> None:
        with trio.open_signal_receiver(*numbers) as received:
            async for number in received:
                function(number)

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

    async def tend(self, main: Callable[[Start], Awaitable[None]]) -> None:
        try:
            async with trio.open_nursery() as nursery:
                await main(nursery.start_soon)
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise _only(group) from None


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What nurseries have wrapped, one in the other, where that is one exception."""
    failure: BaseException = group
    while isinstance(failure, BaseExceptionGroup) and len(failure.exceptions) == 1:
        failure = failure.exceptions[0]
    return failure


def _bare(stream: trio.SocketStream) -> TrioTransport:
    """trio's own socket object hides what wait_readable takes: move its descriptor into a plain one."""
    family = stream.socket.family
    sock = socket.socket(family, socket.SOCK_STREAM, 0, fileno=stream.socket.detach())
    sock.setblocking(False)
    tune(sock)
    return TrioTransport(sock)


_backend = TrioBackend()


def backend() -> Backend:
    """This backend. There is one, for every client."""
    return _backend
