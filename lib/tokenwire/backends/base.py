"""The port: what the rest of the house asks of a way to do I/O, and all that it asks.

Rules for every implementation; the conformance suite holds each to them.

* Deadlines are points in time on the backend's own clock, `now()`, or None for
  never. A call that reaches its deadline raises TimeoutError and has no other effect.
  What is there already is received however late that is: whoever reads may have been
  elsewhere until its deadline had passed.
* A broken connection raises an OSError (ConnectionResetError, ssl.SSLError, ...),
  whatever the library calls it.
* Every `async` method is a checkpoint, except on backends whose coroutines never
  suspend (sync, memory). When it is cancelled, what was received stays received;
  of what was to be sent a part may have left. The caller aborts.
* One task receives at a time, and one sends; the two may be different tasks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from tokenwire.proxy import authority
from tokenwire.wire.buffer import ReceiveBuffer

if TYPE_CHECKING:
    import ssl

    from tokenwire.proxy import Proxy

T = TypeVar("T")

__all__ = ["Backend", "Coalesces", "Event", "Listener", "Origin", "SendsNow", "Start", "Transport"]

#: Begins an async function in a task of its own, and returns at once.
Start = Callable[[Callable[[], Awaitable[None]]], object]


class Origin(NamedTuple):
    """Where a connection goes. scheme: "http" or "https". uds: the path of a Unix socket to use instead of TCP.

    proxy: what it goes through; no backend looks at that, tunnel.py does. Equal origins share connections.
    """

    scheme: str
    host: str
    port: int
    uds: str | None = None
    proxy: Proxy | None = None

    @property
    def place(self) -> str:
        """In words, for errors and logs."""
        where = self.uds or authority(self.host, self.port)
        return where if self.proxy is None else f"{where} through the proxy {self.proxy}"


class Transport(Protocol):
    """One connected byte stream, TLS included."""

    def receive_into(self, buffer: ReceiveBuffer, deadline: float | None) -> Awaitable[int]:
        """Wait for bytes and put them into the buffer: how many, or 0 at the end of the stream.

        It begins with `buffer.reclaim()`: views of the step before are taken back.
        """

    async def poll(self, buffer: ReceiveBuffer) -> int | None:
        """As `receive_into`, for what is there already: None where nothing is. It never waits for the peer."""

    async def send(self, data: bytes | bytearray | memoryview, deadline: float | None) -> None:
        """Hand all the data to the kernel."""

    def abort(self) -> None:
        """Close at once, without a goodbye. Synchronous, idempotent, never raises."""

    async def aclose(self) -> None:
        """Say goodbye (TLS close_notify) and close. Idempotent; cancelled, it has closed all the same."""


class SendsNow(Protocol):
    """What some transports can besides."""

    def send_now(self, data: bytes) -> int:
        """Hand over what can be without waiting: how many bytes. 0 where the connection is broken: `send` says so.

        No checkpoint: for those who come from one.
        """


class Coalesces(Protocol):
    """What some transports can besides: see ticks.py, whose functions ask them."""

    def coalesced(self, seconds: float) -> Transport | None:
        """The same connection, whose bytes may be told of so many seconds after they came. None: not now."""

    def at_once(self) -> Transport:
        """The one that it was before; of what `coalesced` gives."""


class Event(Protocol):
    """Something to wait for, once."""

    def set(self) -> None:
        """Wake whoever waits, now or later. Synchronous, from any thread: a collection there may close a stream."""

    async def wait(self, deadline: float | None) -> bool:
        """Whether it was set before the deadline."""


class Listener(Protocol):
    """A bound and listening socket. address: (host, port), or a Unix socket's path."""

    @property
    def address(self) -> tuple[str, int] | str: ...

    def close(self) -> None:
        """Accept no more. Idempotent. What `serve` has accepted already is served on."""


class Backend(Protocol):
    """A way to do I/O."""

    @property
    def name(self) -> str: ...

    def run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run an async function to its end, in a loop of its own: the blocking door into this backend."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""

    def clock(self) -> Callable[[], float]:
        """What tells `now()` to those who ask for each read: without a look-up of who runs."""

    def token(self) -> Any:
        """What the connections made here belong to: the running loop or trio run; None where to nothing."""

    async def sleep(self, seconds: float) -> None:
        """Wait for so long."""

    async def checkpoint(self) -> None:
        """Let others run, and cancellation through."""

    def event(self) -> Event:
        """A new one, not set."""

    async def connect(self, origin: Origin, ssl_context: ssl.SSLContext | None, deadline: float | None) -> Transport:
        """A connection, with TLS where origin.scheme is "https"."""

    async def listen(
        self,
        host: str,
        port: int,
        *,
        uds: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        reuse_port: bool = False,
    ) -> Listener:
        """Bind and listen. port 0: any free one; see the listener's address.

        reuse_port: others may listen there too who say so as well (SO_REUSEPORT); the kernel deals out connections.
        """

    async def serve(self, listener: Listener, handle: Callable[[Transport], Awaitable[None]]) -> None:
        """Call handle(transport) in a task of its own for each connection, until cancelled.

        Cancelled, it closes the listener, cancels every handle and waits for them.
        An exception out of a handle goes through.
        """

    async def signals(self, numbers: Sequence[int], function: Callable[[int], object]) -> None:
        """Call function(number), in a task's turn, for each of these signals that comes; until cancelled.

        In the main thread. Afterwards they do what is their default.
        """

    async def first(self, *functions: Callable[[], Awaitable[None]]) -> None:
        """Run these together; as soon as one returns or raises, cancel the others and wait for them."""

    async def tend(self, main: Callable[[Start], Awaitable[None]]) -> None:
        """Run main(start). start, called from any task of this run, begins one that may outlive who began it.

        Once main has returned, raised or been cancelled, those are cancelled and waited for.
        An exception out of one of them cancels main and the others, and goes through.
        """
