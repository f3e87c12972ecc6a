"""A scripted peer in memory: for our tests, and for yours.

    peer = MemoryBackend([[b"HTTP/1.1 200 OK\\r\\n...", b"data: ...", EOF]])
    client = tokenwire.Client(api_key="k", base_url="http://test", backend=peer)

Each connection that the client makes takes the next script: a list of what its reads
bring. bytes: one read brings just these (more reads where they do not fit). EOF: the
peer closes. An exception: that read raises it. REQUEST: what follows comes only after
another request was begun. SendFails(error): the request's sending raises it, or
is not taken before its deadline, for None. The end of a script: silence. Silence lasts until the
deadline, and time is the backend's own: it jumps there at once. Silence without a
deadline is a RuntimeError, for a test that would hang.

Nothing here ever suspends, so it serves Client and AsyncClient alike, on any loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from tokenwire.backends.base import Listener, Origin, Start, Transport
from tokenwire.backends.sync import run
from tokenwire.wire.buffer import ReceiveBuffer

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")

__all__ = ["EOF", "REQUEST", "MemoryBackend", "MemoryTransport", "SendFails"]


class _Mark:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


EOF: Final = _Mark("EOF")
REQUEST: Final = _Mark("REQUEST")


class SendFails:
    """A step of a script: the next request cannot be sent. error: what its send raises; None: it is never taken."""

    def __init__(self, error: OSError | None) -> None:
        self.error = error


Step = bytes | BaseException | _Mark | SendFails


class MemoryTransport:
    """One scripted connection. sent: all that the client wrote. closed: whether it has closed its end."""

    def __init__(self, backend: MemoryBackend, script: Iterable[Step]) -> None:
        self._backend = backend
        self._script = deque(script)
        self._asked = False  # a request was begun since the last step
        self.sent = bytearray()
        self.closed = False

    async def receive_into(self, buffer: ReceiveBuffer, deadline: float | None) -> int:
        got = await self.poll(buffer)
        if got is not None:
            return got
        if deadline is None:
            raise RuntimeError("the scripted peer is silent, and nobody set a deadline: this would hang")
        self._backend.time = max(self._backend.time, deadline)
        raise TimeoutError

    async def poll(self, buffer: ReceiveBuffer) -> int | None:
        if self.closed:
            raise ConnectionAbortedError("the connection was closed here")
        buffer.reclaim()
        while self._script and self._script[0] is REQUEST:
            if not self._asked:
                return None
            self._asked = False
            self._script.popleft()
        if not self._script:
            return None
        step = self._script[0]
        self._asked = False
        if isinstance(step, BaseException):
            self._script.popleft()
            raise step
        if isinstance(step, _Mark):
            return 0
        if isinstance(step, SendFails):
            return None
        room = buffer.get_buffer()
        count = min(len(room), len(step))
        room[:count] = step[:count]
        buffer.buffer_updated(count)
        if count < len(step):
            self._script[0] = memoryview(step)[count:]  # type: ignore[assignment]  # a slice without a copy
        else:
            self._script.popleft()
        return count

    async def send(self, data: bytes | bytearray | memoryview, deadline: float | None) -> None:
        if self.closed:
            raise ConnectionAbortedError("the connection was closed here")
        self.sent += data
        self._asked = True
        step = next((step for step in self._script if step is not REQUEST), None)
        if isinstance(step, SendFails):
            self._script.remove(step)
            if step.error is not None:
                raise step.error
            if deadline is None:
                raise RuntimeError("the scripted peer takes nothing, and nobody set a deadline: this would hang")
            self._backend.time = max(self._backend.time, deadline)
            raise TimeoutError

    def abort(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.abort()


class MemoryEvent:
    """Set or not; nobody else runs while one waits."""

    def __init__(self, backend: MemoryBackend) -> None:
        self._backend = backend
        self._set = False

    def set(self) -> None:
        self._set = True

    async def wait(self, deadline: float | None) -> bool:
        if not self._set:
            if deadline is None:
                raise RuntimeError("nobody will set this event: this would hang")
            self._backend.time = max(self._backend.time, deadline)
        return self._set


class MemoryBackend:
    """Hands out scripted connections, one script each; an exception in place of a script is a connect that fails.

    connections: those made so far, in order. origins: where each was to go.
    time: the clock, seconds; sleeping and waiting move it. slept: the pauses before retries, seconds.
    tokenwire.testing has what writes scripts and reads requests.
    """

    name = "memory"

    def __init__(self, scripts: Iterable[Iterable[Step] | BaseException] = ()) -> None:
        self.scripts: deque[Iterable[Step] | BaseException] = deque(scripts)
        self.connections: list[MemoryTransport] = []
        self.origins: list[Origin] = []
        self.slept: list[float] = []
        self.time = 0.0

    def run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return run(function())

    def now(self) -> float:
        return self.time

    def clock(self) -> Callable[[], float]:
        return self.now

    def token(self) -> None:
        return None

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    async def checkpoint(self) -> None:
        return None

    def event(self) -> MemoryEvent:
        return MemoryEvent(self)

    async def connect(self, origin: Origin, ssl_context: ssl.SSLContext | None, deadline: float | None) -> Transport:
        self.origins.append(origin)
        if not self.scripts:
            raise ConnectionRefusedError("no script is left for another connection")
        script = self.scripts.popleft()
        if isinstance(script, BaseException):
            raise script
        transport = MemoryTransport(self, script)
        self.connections.append(transport)
        return transport

    async def listen(
        self,
        host: str,
        port: int,
        *,
        uds: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        reuse_port: bool = False,
    ) -> NoReturn:
        raise NotImplementedError("nothing can connect to memory")

    async def serve(self, listener: Listener, handle: Callable[[Transport], Awaitable[None]]) -> NoReturn:
        raise NotImplementedError("nothing can connect to memory")

    async def signals(self, numbers: Sequence[int], function: Callable[[int], object]) -> NoReturn:
        raise NotImplementedError("memory sends no signals")

    async def first(self, *functions: Callable[[], Awaitable[None]]) -> NoReturn:
        raise NotImplementedError("nothing runs beside anything in memory")

    async def tend(self, main: Callable[[Start], Awaitable[None]]) -> NoReturn:
        raise NotImplementedError("nothing runs beside anything in memory")
