"""Coalescing under asyncio and uvloop: see ticks.py for how a tick works.

The loop's own reading of a connection is paused meanwhile, once per stream, and the
socket is read here. Deadlines, aborts and the end of the connection end a wait as they
do without coalescing: both wait for the connection's one Arrival.
"""

from __future__ import annotations

import asyncio
import os
import types
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from tokenwire.backends.asyncio_waits import let_others_run
from tokenwire.backends.ticks import SLICE, Members, Pace
from tokenwire.wire.buffer import ReceiveBuffer

if TYPE_CHECKING:
    import socket

    from tokenwire.backends.asyncio_transport import AsyncioTransport

__all__ = ["TICKS", "Tick", "Ticked"]


class Tick(Members["Ticked"]):
    """What reads the sockets of all streams of one loop that can spare so many seconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        super().__init__()
        self._loop = loop
        self._pace = Pace(seconds)
        self._key = (loop, seconds)
        self._ready: list[tuple[int, int]] = []  # what this tick has still to read
        self._timer: asyncio.Handle | None = None
        self._pid = os.getpid()
        self._watching = False
        self._watch()

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop, seconds: float) -> Tick:
        """The one there is, or a new one. It closes when its last member leaves."""
        tick = TICKS.get((loop, seconds))
        if tick is None:
            tick = TICKS[loop, seconds] = cls(loop, seconds)
        return tick

    def leave(self, member: Ticked) -> None:
        """One stream less. From any thread, and after the loop was closed."""
        self.unregister(member)
        self._members -= 1
        if not self._members:
            TICKS.pop(self._key, None)
            if not self._loop.is_closed():
                self._stop()
            self._epoll.close()

    # -- the loop's turn ---------------------------------------------------------------

    def _watch(self) -> None:
        self._watching = True
        self._loop.add_reader(self._epoll.fileno(), self._first)

    def _stop(self) -> None:
        if self._watching:
            self._watching = False
            self._loop.remove_reader(self._epoll.fileno())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _first(self) -> None:
        """Something has come, the first for a while."""
        self._stop()
        self._timer = self._loop.call_at(self._pace.behind_arrival(self._loop.time()), self._begin)

    def _begin(self) -> None:
        """A tick: ask once what is readable. What becomes so meanwhile is the next one's, or this would never end."""
        self._timer = None
        self._pace.begin(self._loop.time())
        self._ready = self._epoll.poll(0, len(self._readers) or 1)
        if self._ready:
            self._read()
        else:
            self._watch()

    def _read(self) -> None:
        """Read some of what is readable, and wake who waits for it."""
        self._timer = None
        ready = self._ready[-SLICE:]
        del self._ready[-SLICE:]
        try:
            readers = self._readers
            for fd, _ in ready:
                reader = readers.get(fd)
                if reader is None:  # left meanwhile
                    continue
                arrival, buffer = reader.arrival, reader.buffer
                if arrival.wake_up is None or buffer is None:
                    self.unregister(reader)
                    continue
                try:
                    reader.count = count = reader.receive(buffer.get_buffer())
                except BlockingIOError:
                    continue
                except OSError as error:
                    reader.error = error
                else:
                    buffer.buffer_updated(count)
                arrival.arrive()
        finally:
            if self._members:
                if self._ready:
                    self._timer = self._loop.call_soon(self._read)
                else:
                    self._pace.end(self._loop.time())
                    self._timer = self._loop.call_at(self._pace.behind_tick(), self._begin)


#: The ticks that have members, by their loop and seconds.
TICKS: Final[dict[tuple[asyncio.AbstractEventLoop, float], Tick]] = {}


class Ticked:
    """A connection that is read on a tick: a Transport. fd, receive: its socket's. registered: in the tick's epoll."""

    __slots__ = ("_inner", "_tick", "arrival", "buffer", "count", "error", "fd", "receive", "registered")

    def __init__(self, inner: AsyncioTransport, sock: socket.socket, seconds: float) -> None:
        self._inner = inner
        self.arrival = inner._arrival
        self.fd = sock.fileno()
        self.receive: Callable[[memoryview], int] = sock.recv_into
        self.buffer: ReceiveBuffer | None = None
        self.count = -1
        self.error: OSError | None = None
        self.registered = False
        self._tick: Tick | None = Tick.of(inner._loop, seconds)
        try:
            self._tick.join(self)
        except BaseException:
            self._leave()
            raise

    @types.coroutine
    def receive_into(self, buffer: ReceiveBuffer, deadline: float | None) -> Generator[Any, None, int]:
        buffer.reclaim()
        inner, arrival = self._inner, self.arrival
        if inner._unseen:  # the loop read it before the ticks began
            yield
            count, inner._unseen = inner._unseen, 0
            return count if inner._buffer is buffer else inner._take_early(buffer, count)
        if self._tick is None or inner._lost:
            raise inner._broken()
        self.buffer = buffer
        if not self.registered:
            self._tick.register(self)
        inner._deadline = deadline
        if deadline is not None and deadline < inner._rings:
            inner._arm(deadline)
        self.count = -1
        arrival._asyncio_future_blocking = True
        try:
            yield arrival
        except TimeoutError:
            self._look(buffer)  # it may have come since the last tick
            if self.count < 0 and self.error is None:
                raise
        except BaseException:
            arrival.let_go()
            raise
        count = self.count
        if count > 0:
            return count
        error, self.error = self.error, None
        if error is not None:
            raise error
        if count < 0:  # it ended here
            raise inner._broken()
        inner._eof = True
        return 0

    def _look(self, buffer: ReceiveBuffer) -> None:
        try:
            self.count = self.receive(buffer.get_buffer())
        except BlockingIOError:
            buffer.reclaim()
        except OSError as error:
            self.error = error
        else:
            buffer.buffer_updated(self.count)

    async def poll(self, buffer: ReceiveBuffer) -> int | None:
        buffer.reclaim()
        await let_others_run()
        if self._tick is None or self._inner._lost:
            raise self._inner._broken()
        self.count = -1
        self._look(buffer)
        error, self.error = self.error, None
        if error is not None:
            raise error
        return None if self.count < 0 else self.count

    async def send(self, data: bytes | bytearray | memoryview, deadline: float | None) -> None:
        await self._inner.send(data, deadline)

    def _leave(self) -> None:
        tick, self._tick = self._tick, None
        if tick is not None and self._inner._pid == os.getpid():  # a fork's child shares the epoll set
            tick.leave(self)
        self.buffer = None

    def abort(self) -> None:
        self._leave()
        self._inner.abort()

    async def aclose(self) -> None:
        self._leave()
        await self._inner.aclose()

    def at_once(self) -> AsyncioTransport:
        self._leave()
        self._inner._read_on()
        return self._inner

    def coalesced(self, seconds: float) -> Ticked:
        return self
