"""Coalescing: one wake-up serves many tokens, for those who can wait a little.

Theory of operation. A paced stream costs a wake-up per token: the loop's selector
returns, one socket is read, one task runs. With coalescing, sockets are read on a tick.
All the streams of one event loop that can spare equally long share one tick: an epoll
object of its own, in which each socket is registered once, and which the loop does not
look into. On the tick it is asked once what is readable; that is read, and each reader
is woken there and then. (asyncio_ticks.py, trio_ticks.py.)

When is the next tick? An epoll object is itself readable when one of its sockets is. So
as long as nothing comes, the loop watches that one descriptor, and no timer runs. The
first arrival sets the timer. A tick that read something sets it again, at once; one
that found nothing goes back to watching. A busy tick is thus one timer, and an idle one costs
nothing, however many streams there are.

The bound. What came behind the reads of one tick is read by the end of the next, so from
the start of one to the end of the next may pass no more than was asked: the timer is
set earlier by what the last tick took, and by the millisecond to which timers are rounded.

A socket that is readable while its reader is elsewhere is taken out of the set, and put back when
the reader returns: it would keep the set readable for ever. Nothing is read for who does
not ask, so the kernel's window closes as ever.

Where there is no epoll, or one thread per stream (sync), reads are put off instead: see Delayed.
"""

from __future__ import annotations

import contextlib
import select
from typing import Final, Generic, Protocol, TypeVar, cast

from tokenwire.backends.base import Backend, Transport
from tokenwire.wire.buffer import ReceiveBuffer

__all__ = ["HAS_EPOLL", "SLICE", "Delayed", "Member", "Members", "Pace", "at_once", "coalesced"]

HAS_EPOLL: Final = hasattr(select, "epoll")

#: What a tick asks for: bytes, or the end. A reset is told unasked.
_READABLE: Final = getattr(select, "EPOLLIN", 1)

#: Sockets that one turn of a tick reads before others of the loop have theirs.
SLICE: Final = 256

#: Seconds. Selectors count in milliseconds, and round up.
_ROUNDING: Final = 0.001


def coalesced(transport: Transport, seconds: float) -> Transport | None:
    """The same connection, read in ticks: what comes may be told of so many seconds later. Synchronous.

    None where it cannot be now, because its buffer is full or it has ended: ask again behind the next read.
    Where the transport knows no such thing, or the machine has nothing left for it, itself.
    """
    change = getattr(transport, "coalesced", None)
    try:
        return transport if change is None else cast("Transport | None", change(seconds))
    except OSError:  # no descriptor or no memory is left for another epoll set: it is read as ever
        return transport


def at_once(transport: Transport) -> Transport:
    """The connection that `coalesced` was given, read as ever from now on. Synchronous, idempotent."""
    change = getattr(transport, "at_once", None)
    return transport if change is None else cast(Transport, change())


class Member(Protocol):
    """A stream's connection. registered: whether its socket, fd, is in the tick's set."""

    fd: int
    registered: bool


M = TypeVar("M", bound=Member)


class Members(Generic[M]):
    """The streams that share a tick, and the epoll set of their sockets, in which each is registered once."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._members = 0
        self._readers: dict[int, M] = {}  # those registered, by descriptor

    def join(self, member: M) -> None:
        """One stream more."""
        self._members += 1
        self.register(member)

    def register(self, member: M) -> None:
        """Ask for its socket."""
        self._epoll.register(member.fd, _READABLE)
        self._readers[member.fd] = member
        member.registered = True

    def unregister(self, member: M) -> None:
        """Ask for it no more. Idempotent."""
        if member.registered:
            member.registered = False
            del self._readers[member.fd]
            with contextlib.suppress(OSError):  # the loop has closed, and its sockets with it
                self._epoll.unregister(member.fd)


class Pace:
    """When a tick is due. seconds: how long at most what came may wait."""

    __slots__ = ("_began", "_busy", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._began = self._busy = 0.0

    def begin(self, now: float) -> None:
        """A tick begins."""
        self._began = now

    def end(self, now: float) -> None:
        """All, or one more, of those for whom it read something have been told."""
        self._busy = now - self._began

    def behind_arrival(self, now: float) -> float:
        """When the tick is due behind what came now, the first for a while."""
        return now + self._gap()

    def behind_tick(self) -> float:
        """When the tick is due behind the last one."""
        return self._began + self._gap()

    def _gap(self) -> float:
        # Where telling alone takes that long nobody can keep the bound, and the loop's others must live.
        return max(self.seconds - self._busy - _ROUNDING, self.seconds / 4)


class Delayed:
    """A connection that is read so many seconds after its last read, or later: a Transport.

    What came meanwhile comes in one read; what comes later is told of at once.
    """

    def __init__(self, inner: Transport, backend: Backend, seconds: float) -> None:
        self._inner = inner
        self._backend = backend
        self._seconds = seconds
        self._last = backend.now()

    async def receive_into(self, buffer: ReceiveBuffer, deadline: float | None) -> int:
        due = self._last + self._seconds
        if deadline is not None:
            due = min(due, deadline)
        pause = due - self._backend.now()
        if pause > 0:
            await self._backend.sleep(pause)
        count = await self._inner.receive_into(buffer, deadline)
        self._last = self._backend.now()
        return count

    async def poll(self, buffer: ReceiveBuffer) -> int | None:
        return await self._inner.poll(buffer)

    async def send(self, data: bytes | bytearray | memoryview, deadline: float | None) -> None:
        await self._inner.send(data, deadline)

    def abort(self) -> None:
        self._inner.abort()

    async def aclose(self) -> None:
        await self._inner.aclose()

    def at_once(self) -> Transport:
        return self._inner

    def coalesced(self, seconds: float) -> Transport:
        self._seconds = seconds
        return self
