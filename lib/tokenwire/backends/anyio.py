"""anyio: any anyio byte stream, on asyncio or trio.

anyio hands out bytes, so each read costs one copy, and its asyncio streams pause and
resume the transport around each read. It is here for those who live in anyio and
bring their own streams; the asyncio and trio backends are the fast ones. TLS is ours
(tls.py), over a plain stream.
"""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

import anyio
import anyio.abc
import anyio.lowlevel
from anyio.abc import SocketAttribute

from tokenwire.backends import detect
from tokenwire.backends.base import Backend, Event, Listener, Origin, Start, Transport
from tokenwire.backends.sockets import tune
from tokenwire.backends.ticks import Delayed
from tokenwire.backends.tls import secure
from tokenwire.wire.buffer import ReceiveBuffer

T = TypeVar("T")

__all__ = ["AnyioBackend", "AnyioTransport", "backend"]

#: Rounds of the event loop in which bytes that have come already reach a stream that is read: the loop
#: looks at its sockets in the first, reads them in the second, and wakes the reader in the third.
_ROUNDS: Final = 4

#: Bytes. A send of more is likely to wait for its peer; and what the peer says meanwhile is kept up to so many.
_MUCH: Final = 65_536


class AnyioTransport:
    """An anyio byte stream."""

    def __init__(self, stream: anyio.abc.ByteStream) -> None:
        self._stream = stream
        self._raw = stream.extra(SocketAttribute.raw_socket, None)  # now: a finalizer may come too late to import
        self._closed = False
        self._early = b""  # what came while a send waited
        self._heard: anyio.Event | None = None  # more of that, while somebody listens for it

    async def receive_into(self, buffer: ReceiveBuffer, deadline: float | None) -> int:
        buffer.reclaim()
        with anyio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
            return await self._receive(buffer)
        assert scope.cancelled_caught
        # Within a scope whose time is up anyio waits for nothing, not even for what is there.
        late = await self.poll(buffer)
        if late is None:
            raise TimeoutError
        return late

    async def poll(self, buffer: ReceiveBuffer) -> int | None:
        # anyio cannot be asked not to wait. So it is asked to, and called back after some rounds of the
        # loop: no clock is in it, and what comes too late stays in the stream.
        buffer.reclaim()
        count: int | None = None
        failure: OSError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_call_back, tasks.cancel_scope)
            try:
                count = await self._receive(buffer)
            except OSError as error:  # kept out of the task group, which would wrap it
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return count

    def coalesced(self, seconds: float) -> Delayed:
        return Delayed(self, _backend, seconds)

    async def _receive(self, buffer: ReceiveBuffer) -> int:
        while self._heard is not None and not self._early:
            await self._heard.wait()
        space = len(buffer.get_buffer())
        if self._early:
            await anyio.lowlevel.checkpoint()
            data, self._early = self._early[:space], self._early[space:]
            buffer.feed(data)
            return len(data)
        try:
            data = await self._stream.receive(space)
        except anyio.EndOfStream:
            return 0
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise self._broken(error) from error
        buffer.feed(data)
        return len(data)

    async def send(self, data: bytes | bytearray | memoryview, deadline: float | None) -> None:
        with anyio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
            try:
                if len(data) > _MUCH:
                    await self._send_and_listen(bytes(data))
                else:
                    await self._stream.send(bytes(data))
            except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
                raise self._broken(error) from error
            return
        assert scope.cancelled_caught
        raise TimeoutError

    async def _send_and_listen(self, data: bytes) -> None:
        # A peer may answer before it has all, and close (413). anyio reads nothing while it sends, and on asyncio
        # a send that fails takes with it what was not read.
        failure: anyio.BrokenResourceError | anyio.ClosedResourceError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen)
            await anyio.lowlevel.checkpoint()  # it listens then: what comes with a reset is read before that is seen
            try:
                await self._stream.send(data)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
                failure = error  # kept out of the task group, which would wrap it
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _listen(self) -> None:
        # The end of the stream, too, is found by whoever reads next; and one who reads already needs no other.
        with contextlib.suppress(
            anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.BusyResourceError
        ):
            while len(self._early) < _MUCH:
                self._heard = heard = anyio.Event()
                try:
                    data = await self._stream.receive(_MUCH)
                    self._early += data  # of which a reader may have taken some meanwhile
                finally:
                    self._heard = None
                    heard.set()

    def abort(self) -> None:
        if self._closed:
            return
        self._closed = True
        # The one public way to close is aclose(), which closes at once and only then has its checkpoint: as
        # far as that it can be driven by hand. (aclose_forcefully rests upon the same.)
        closing = self._stream.aclose()
        try:
            closing.send(None)
        except RuntimeError:  # a finalizer outside of the run: no loop looks at a plain socket any more
            if isinstance(self._raw, socket.socket):
                self._raw.close()
        except (StopIteration, ValueError, OSError):  # the last two: the descriptor has gone already
            pass
        closing.close()

    async def aclose(self) -> None:
        self.abort()
        await anyio.lowlevel.checkpoint()

    def _broken(self, error: Exception) -> OSError:
        if self._closed:
            return ConnectionAbortedError("the connection was closed here")
        cause = error.__cause__
        if isinstance(cause, OSError):
            return cause
        return ConnectionResetError(str(error) or "the connection is closed")


async def _call_back(scope: anyio.CancelScope) -> None:
    for _ in range(_ROUNDS):
        await anyio.lowlevel.checkpoint()
    scope.cancel()


class AnyioBackend:
    """anyio on whichever loop runs."""

    name = "anyio"

    def run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return anyio.run(function)

    def now(self) -> float:
        return anyio.current_time()

    def clock(self) -> Callable[[], float]:
        return anyio.current_time

    def token(self) -> Any:
        return detect().token()  # anyio's own is another object each time

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def checkpoint(self) -> None:
        await anyio.lowlevel.checkpoint()

    def event(self) -> Event:
        return detect().event()  # which other threads may set; anyio's own may not be

    async def connect(self, origin: Origin, ssl_context: ssl.SSLContext | None, deadline: float | None) -> Transport:
        with anyio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
            stream: anyio.abc.ByteStream
            if origin.uds is not None:
                stream = await anyio.connect_unix(origin.uds)
            else:
                stream = await anyio.connect_tcp(origin.host, origin.port)
                tune(stream.extra(SocketAttribute.raw_socket))
            transport = AnyioTransport(stream)
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
        raise NotImplementedError("serving uses the asyncio or the trio backend, whichever runs")

    async def serve(self, listener: Listener, handle: Callable[[Transport], Awaitable[None]]) -> None:
        raise NotImplementedError("serving uses the asyncio or the trio backend, whichever runs")

    async def signals(self, numbers: Sequence[int], function: Callable[[int], object]) -> None:
        await detect().signals(numbers, function)

    async def first(self, *functions: Callable[[], Awaitable[None]]) -> None:
        failures: list[Exception] = []
        async with anyio.create_task_group() as tasks:

            async def one(function: Callable[[], Awaitable[None]]) -> None:
                try:
                    await function()
                except Exception as error:  # kept out of the task group, which would wrap it
                    failures.append(error)
                tasks.cancel_scope.cancel()

            for function in functions:
                tasks.start_soon(one, function)
        if failures:
            raise failures[0]

    async def tend(self, main: Callable[[Start], Awaitable[None]]) -> None:
        await detect().tend(main)  # anyio's own tasks belong to these libraries too


_backend = AnyioBackend()


def backend() -> Backend:
    """This backend. There is one, for every client."""
    return _backend
