"""anyio: any anyio byte stream, on asyncio or trio.

anyio hands out bytes, so each read costs one copy, and its asyncio streams pause and
resume the transport around each read. It is here for those who live in anyio and
bring their own streams; the asyncio and trio backends are the fast ones.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import anyio
import anyio.abc
import anyio.lowlevel
from anyio.streams.tls import TLSStream

from tokenwire.backends import detect
from tokenwire.backends.base import Backend, Listener, Origin, Transport
from tokenwire.wire.buffer import ReceiveBuffer

T = TypeVar("T")

__all__ = ["AnyioBackend", "AnyioTransport", "backend"]

#: Seconds that `poll` lets a stream look for bytes that have come already: anyio cannot be asked not to wait.
_GRACE = 0.001


class AnyioTransport:
    """An anyio byte stream."""

    def __init__(self, stream: anyio.abc.ByteStream) -> None:
        self._stream = stream

    async def receive_into(self, buffer: ReceiveBuffer, deadline: float | None) -> int:
        buffer.reclaim()
        with anyio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
            try:
                data = await self._stream.receive(len(buffer.get_buffer()))
            except anyio.EndOfStream:
                return 0
            except anyio.BrokenResourceError as error:
                if isinstance(error.__cause__, ssl.SSLEOFError):
                    return 0  # closed without close_notify, as many do
                raise _broken(error) from error
            except anyio.ClosedResourceError as error:
                raise _broken(error) from error
            buffer.feed(data)
            return len(data)
        assert scope.cancelled_caught
        raise TimeoutError

    async def poll(self, buffer: ReceiveBuffer) -> int | None:
        try:
            return await self.receive_into(buffer, anyio.current_time() + _GRACE)
        except TimeoutError:
            return None

    async def send(self, data: bytes | bytearray | memoryview, deadline: float | None) -> None:
        with anyio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
            try:
                await self._stream.send(bytes(data))
            except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
                raise _broken(error) from error
            return
        assert scope.cancelled_caught
        raise TimeoutError

    def abort(self) -> None:
        # anyio's aclose is the only close there is. Underneath lies a socket that both loops let us shut.
        stream: Any = self._stream
        while isinstance(stream, TLSStream):
            stream = stream.transport_stream
        transport = getattr(stream, "_transport", None)  # asyncio's, which closes its socket itself
        if transport is not None:
            transport.abort()
            return
        trio_socket = getattr(stream, "_trio_socket", None)
        if trio_socket is not None:
            trio_socket.close()

    async def aclose(self) -> None:
        await anyio.aclose_forcefully(self._stream)


def _broken(error: Exception) -> OSError:
    cause = error.__cause__
    if isinstance(cause, OSError):
        return cause
    return ConnectionResetError(str(error) or "the connection is closed")


class AnyioEvent:
    """anyio.Event with a deadline."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, deadline: float | None) -> bool:
        with anyio.CancelScope(deadline=math.inf if deadline is None else deadline):
            await self._event.wait()
        return self._event.is_set()


class AnyioBackend:
    """anyio on whichever loop runs."""

    name = "anyio"

    def run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return anyio.run(function)

    def now(self) -> float:
        return anyio.current_time()

    def token(self) -> Any:
        return detect().token()  # anyio's own is another object each time

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def checkpoint(self) -> None:
        await anyio.lowlevel.checkpoint()

    def event(self) -> AnyioEvent:
        return AnyioEvent()

    async def connect(self, origin: Origin, ssl_context: ssl.SSLContext | None, deadline: float | None) -> Transport:
        with anyio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
            stream: Any
            if origin.uds is not None:
                stream = await anyio.connect_unix(origin.uds)
            else:
                stream = await anyio.connect_tcp(origin.host, origin.port)
            if ssl_context is not None:
                plain = stream
                try:
                    stream = await TLSStream.wrap(
                        plain, hostname=origin.host, ssl_context=ssl_context, standard_compatible=False
                    )
                except BaseException as error:
                    AnyioTransport(plain).abort()
                    if isinstance(error, (anyio.BrokenResourceError, anyio.EndOfStream)):
                        raise _broken(error) from error
                    raise
            return AnyioTransport(stream)
        assert scope.cancelled_caught
        raise TimeoutError

    async def listen(
        self, host: str, port: int, *, uds: str | None = None, ssl_context: ssl.SSLContext | None = None
    ) -> Listener:
        raise NotImplementedError("serving uses the asyncio or the trio backend, whichever runs")

    async def serve(self, listener: Listener, handle: Callable[[Transport], Awaitable[None]]) -> None:
        raise NotImplementedError("serving uses the asyncio or the trio backend, whichever runs")

    async def first(self, *functions: Callable[[], Awaitable[None]]) -> None:
        async with anyio.create_task_group() as tasks:

            async def one(function: Callable[[], Awaitable[None]]) -> None:
                await function()
                tasks.cancel_scope.cancel()

            for function in functions:
                tasks.start_soon(one, function)


_backend = AnyioBackend()


def backend() -> Backend:
    return _backend
