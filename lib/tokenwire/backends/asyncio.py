"""asyncio, and uvloop through it.

Connections are dialled (asyncio_dial.py) and accepted as plain sockets, in code that
runs alike on every event loop, and then become transports (asyncio_transport.py). TLS
is ours (tls.py), over those.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from tokenwire.backends.asyncio_dial import dial, settle
from tokenwire.backends.asyncio_transport import AsyncioTransport
from tokenwire.backends.asyncio_waits import expire, let_others_run
from tokenwire.backends.base import Backend, Listener, Origin, Start, Transport
from tokenwire.backends.sockets import bound, bound_unix
from tokenwire.backends.tls import HANDSHAKE, secure

T = TypeVar("T")

__all__ = ["AsyncioBackend", "AsyncioTransport", "backend"]

_log = logging.getLogger("tokenwire")

#: What accept(2) raises where the machine, not the peer, is at its limit; and the seconds until it is tried again.
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_RESPITE: Final = 0.1

#: Connections that are accepted before others get a turn.
_ACCEPTS: Final = 64


class AsyncioEvent:
    """One waiter, one future."""

    def __init__(self) -> None:
        self._set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        self._set = True
        waiter = self._waiter
        if waiter is None:
            return
        loop = waiter.get_loop()
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here:
            _wake(waiter)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(_wake, waiter)

    async def wait(self, deadline: float | None) -> bool:
        if self._set:
            await let_others_run()
            return True
        loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        if self._set:  # by another thread, just now
            _wake(waiter)
        timer = None if deadline is None else loop.call_at(deadline, expire, waiter)
        try:
            await waiter
        except TimeoutError:
            return self._set
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()
        return True


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class AsyncioListener:
    """A bound socket."""

    def __init__(self, sock: socket.socket, ssl_context: ssl.SSLContext | None) -> None:
        self.sock = sock
        self.ssl_context = ssl_context
        name = sock.getsockname()
        self.address: tuple[str, int] | str = name if isinstance(name, str) else (name[0], name[1])

        self.stop: Callable[[], None] | None = None  # has the loop forget the socket

    def close(self) -> None:
        if self.stop is not None:
            self.stop()
            self.stop = None
        self.sock.close()


class AsyncioBackend:
    """asyncio, and uvloop."""

    name = "asyncio"

    def run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run(function())

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def clock(self) -> Callable[[], float]:
        clock = asyncio.get_running_loop().time
        if getattr(clock, "__func__", None) is asyncio.BaseEventLoop.time:
            return time.monotonic  # which is what it calls
        return clock

    def token(self) -> Any:
        return asyncio.get_running_loop()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def checkpoint(self) -> None:
        await let_others_run()

    def event(self) -> AsyncioEvent:
        return AsyncioEvent()

    async def connect(self, origin: Origin, ssl_context: ssl.SSLContext | None, deadline: float | None) -> Transport:
        loop = asyncio.get_running_loop()
        transport = AsyncioTransport(loop)
        try:
            async with asyncio.timeout_at(deadline):
                if origin.uds is not None:
                    await loop.create_unix_connection(lambda: transport, origin.uds)
                else:
                    transport.sock = sock = await dial(origin.host, origin.port)
                    await loop.create_connection(lambda: transport, sock=sock)
        except BaseException:
            transport.abort()  # perhaps connected, but cancelled before we were told
            raise
        if ssl_context is None:
            return transport
        return await secure(self, transport, ssl_context, deadline, hostname=origin.host)

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
            return AsyncioListener(bound_unix(uds), ssl_context)
        infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return AsyncioListener(bound(infos[0], reuse_port=reuse_port), ssl_context)

    async def serve(self, listener: Listener, handle: Callable[[Transport], Awaitable[None]]) -> None:
        assert isinstance(listener, AsyncioListener)
        loop = asyncio.get_running_loop()
        sock = listener.sock
        begun: set[socket.socket] = set()  # accepted, and no task has taken them over yet

        async def life(accepted: socket.socket) -> None:
            begun.remove(accepted)
            plain = AsyncioTransport(loop)
            transport: Transport = plain
            try:
                await loop.connect_accepted_socket(lambda: plain, accepted)
                if listener.ssl_context is not None:
                    try:
                        transport = await secure(
                            self, plain, listener.ssl_context, loop.time() + HANDSHAKE, server_side=True
                        )
                    except OSError:
                        return  # nobody to answer
                await handle(transport)
            finally:
                transport.abort()

        def accept() -> None:
            for _ in range(_ACCEPTS):
                try:
                    accepted, _peer = sock.accept()
                except OSError as error:  # BlockingIOError: that was the last; the others are one peer's own
                    if error.errno in _EXHAUSTED:
                        _log.error("no connection can be accepted for %g seconds: %s", _RESPITE, error.strerror)
                        loop.remove_reader(number)
                        pauses.append(loop.call_later(_RESPITE, loop.add_reader, number, accept))
                    return
                accepted.setblocking(False)
                begun.add(accepted)
                alive = life(accepted)
                try:
                    tasks.create_task(alive)
                except RuntimeError:  # a handler has failed just now
                    alive.close()
                    return

        def stop() -> None:
            for pause in pauses:
                pause.cancel()
            loop.remove_reader(number)

        number = sock.fileno()
        pauses: list[asyncio.TimerHandle] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                loop.add_reader(number, accept)
                listener.stop = stop
                try:
                    await loop.create_future()  # until cancelled, by the caller or for a handle that failed
                finally:
                    listener.close()
        except BaseExceptionGroup as group:
            raise _only(group) from None
        finally:
            for accepted in begun:
                accepted.close()

    async def signals(self, numbers: Sequence[int], function: Callable[[int], object]) -> None:
        loop = asyncio.get_running_loop()
        try:
            for number in numbers:
                loop.add_signal_handler(number, function, number)
            await loop.create_future()
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    async def first(self, *functions: Callable[[], Awaitable[None]]) -> None:
        tasks = [asyncio.ensure_future(function()) for function in functions]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            again = await settle(tasks)
            if again is not None:
                raise again
        for task in tasks:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                raise error

    async def tend(self, main: Callable[[Start], Awaitable[None]]) -> None:
        begun: set[asyncio.Task[None]] = set()

        async def one(function: Callable[[], Awaitable[None]]) -> None:
            await function()

        def start(function: Callable[[], Awaitable[None]]) -> None:
            coroutine = one(function)
            try:
                task = tasks.create_task(coroutine)
            except RuntimeError:  # one has failed just now, and all the others are about to be cancelled
                coroutine.close()
                return
            begun.add(task)
            task.add_done_callback(begun.discard)

        try:
            async with asyncio.TaskGroup() as tasks:
                try:
                    await main(start)
                finally:
                    for task in begun:
                        task.cancel()
        except BaseExceptionGroup as group:
            raise _only(group) from None


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a task group has wrapped, where that is one exception."""
    return group.exceptions[0] if len(group.exceptions) == 1 else group


_backend = AsyncioBackend()


def backend() -> Backend:
    """This backend. There is one, for every client."""
    return _backend
