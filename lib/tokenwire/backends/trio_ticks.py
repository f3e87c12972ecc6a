"""Coalescing under trio: see ticks.py for how a tick works.

There is no task that ticks. Of those who wait, one leads: it watches, sleeps until the
tick is due, reads for all, and reschedules those for whom it read something. When it
leaves, with bytes of its own, at its deadline or cancelled, it hands that on to another
of those who sleep; where none does, the next who comes leads.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Final

import trio

from tokenwire.backends.ticks import Members, Pace
from tokenwire.wire.buffer import ReceiveBuffer

if TYPE_CHECKING:
    import socket

    from tokenwire.backends.trio import TrioTransport

__all__ = ["TICKS", "Tick", "Ticked"]


class Tick(Members["Ticked"]):
    """What reads the sockets of all streams of one run that can spare so many seconds."""

    def __init__(self, token: Any, seconds: float) -> None:
        super().__init__()
        self._key = (token, seconds)
        self._sleeping: dict[Ticked, None] = {}  # those who wait and do not lead, the longest first
        self._due: float | None = None  # None: nothing has come, and it is watched for
        self._busy = False  # the last tick read something: the next is due without an arrival
        self._interrupt: trio.CancelScope | None = None
        self.pace = Pace(seconds)
        self.leader: Ticked | None = None

    @classmethod
    def of(cls, seconds: float) -> Tick:
        """The one there is in this run, or a new one. It closes when its last member leaves."""
        key = (trio.lowlevel.current_trio_token(), seconds)
        tick = TICKS.get(key)
        if tick is None:
            tick = TICKS[key] = cls(*key)
        return tick

    def leave(self, member: Ticked) -> None:
        """One stream less; if it waits, it wakes. From any thread, and after the run."""
        self.unregister(member)
        self._members -= 1
        if member is self.leader:
            if self._interrupt is not None:
                self._interrupt.cancel()
        elif member in self._sleeping:
            self._wake(member)
        if not self._members:
            TICKS.pop(self._key, None)
            self._epoll.close()

    # -- waiting -------------------------------------------------------------------------

    async def sleep(self, member: Ticked) -> None:
        """Wait until the leader has read something for this one, or it is to lead itself."""

        def abort(_: Any) -> trio.lowlevel.Abort:
            del self._sleeping[member]
            return trio.lowlevel.Abort.SUCCEEDED

        self._sleeping[member] = None
        await trio.lowlevel.wait_task_rescheduled(abort)

    async def lead(self) -> None:
        """Wait for the tick and read, for all. Or be interrupted, and have read nothing."""
        with trio.CancelScope() as interrupt:
            self._interrupt = interrupt
            try:
                if self._busy:
                    self._due, self._busy = self.pace.behind_tick(), False
                elif self._due is None:
                    await trio.lowlevel.wait_readable(self._epoll.fileno())
                    self._due = self.pace.behind_arrival(trio.current_time())
                await trio.sleep_until(self._due)
            finally:
                self._interrupt = None
        if interrupt.cancelled_caught:
            return
        self._due = None
        self.pace.begin(trio.current_time())
        for fd, _ in self._epoll.poll(0, len(self._readers) or 1):
            reader = self._readers[fd]
            if reader.buffer is None:
                self.unregister(reader)
                continue
            self._busy = True
            if reader.look(reader.buffer):
                reader.buffer = None
                if reader in self._sleeping:
                    self._wake(reader)

    def hand_on(self) -> None:
        """The leader leaves."""
        self.leader = next(iter(self._sleeping), None)
        if self.leader is not None:
            self._wake(self.leader)

    def _wake(self, member: Ticked) -> None:
        del self._sleeping[member]
        assert member.task is not None
        with contextlib.suppress(RuntimeError, AttributeError):  # outside of the run: nobody waits any more
            trio.lowlevel.reschedule(member.task)


#: The ticks that have members, by their run and seconds.
TICKS: Final[dict[tuple[Any, float], Tick]] = {}


class Ticked:
    """A connection that is read on a tick: a Transport. buffer: where to, while its reader waits."""

    __slots__ = ("_count", "_error", "_inner", "_pid", "_sock", "_tick", "buffer", "fd", "registered", "task")

    def __init__(self, inner: TrioTransport, sock: socket.socket, seconds: float) -> None:
        self._inner = inner
        self._sock = sock
        self._pid = os.getpid()
        self._count = -1
        self._error: OSError | None = None
        self.fd = sock.fileno()
        self.buffer: ReceiveBuffer | None = None
        self.task: trio.lowlevel.Task | None = None
        self.registered = False
        self._tick: Tick | None = Tick.of(seconds)
        try:
            self._tick.join(self)
        except BaseException:
            self._leave()
            raise

    async def receive_into(self, buffer: ReceiveBuffer, deadline: float | None) -> int:
        buffer.reclaim()
        self._count, self._error = -1, None
        if deadline is None:
            await self._wait(buffer)
        else:
            with trio.CancelScope(deadline=deadline) as scope:
                await self._wait(buffer)
            if scope.cancelled_caught and not self.look(buffer):  # it may have come since the last tick
                raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._count

    async def _wait(self, buffer: ReceiveBuffer) -> None:
        tick = self._tick
        if tick is None:
            raise ConnectionAbortedError("the connection was closed here")
        if not self.registered:
            tick.register(self)
        self.buffer, self.task = buffer, trio.lowlevel.current_task()
        try:
            while self._count < 0 and self._error is None:
                if self._tick is None:
                    raise ConnectionAbortedError("the connection was closed here")
                if tick.leader is None:
                    tick.leader = self
                if tick.leader is self:
                    await tick.lead()
                else:
                    await tick.sleep(self)
            tick.pace.end(trio.current_time())
        finally:
            self.buffer = self.task = None
            if tick.leader is self:
                tick.hand_on()

    def look(self, buffer: ReceiveBuffer) -> bool:
        """Read what there is; whether there was anything."""
        try:
            self._count = self._sock.recv_into(buffer.get_buffer())
        except BlockingIOError:
            return False
        except OSError as error:
            self._error = error
        else:
            buffer.buffer_updated(self._count)
        return True

    async def poll(self, buffer: ReceiveBuffer) -> int | None:
        return await self._inner.poll(buffer)

    async def send(self, data: bytes | bytearray | memoryview, deadline: float | None) -> None:
        await self._inner.send(data, deadline)

    def _leave(self) -> None:
        tick, self._tick = self._tick, None
        if tick is not None and self._pid == os.getpid():  # a fork's child shares the epoll set
            tick.leave(self)

    def abort(self) -> None:
        self._leave()
        self._inner.abort()

    async def aclose(self) -> None:
        self._leave()
        await self._inner.aclose()

    def at_once(self) -> TrioTransport:
        self._leave()
        return self._inner

    def coalesced(self, seconds: float) -> Ticked:
        return self
