"""One connection under asyncio, and uvloop through it.

Theory of operation. `BufferedProtocol` lets the event loop read straight into our
ReceiveBuffer: no 256 KiB allocation per read (`data_received`), and no pausing and
resuming round each (streams). The loop pushes: it may read while nobody waits. What
came meanwhile is counted in `_unseen`, and handed out at the next `receive_into`.
Only a buffer that is full pauses the transport, lazily, and that closes the kernel's
window: backpressure.

One timer per connection serves every deadline. It is armed once, and when it fires
early (the deadline has moved on meanwhile) it arms itself anew, so that a read costs
no timer at all. Nor does it cost a Future: see asyncio_waits.py.
"""

from __future__ import annotations

import asyncio
import math
import os
import types
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from tokenwire.backends.asyncio_waits import arrival, expire, let_others_run
from tokenwire.backends.sockets import rest_of, tune
from tokenwire.backends.ticks import HAS_EPOLL, Delayed
from tokenwire.wire.buffer import ReceiveBuffer

if TYPE_CHECKING:
    import socket

    from tokenwire.backends.base import Transport

__all__ = ["AsyncioTransport"]

#: What a peer that speaks first may send before anybody has asked.
_EARLY: Final = 4_096


class AsyncioTransport(asyncio.BufferedProtocol):
    """One connection: asyncio's protocol, and our Transport."""

    __slots__ = (
        "__weakref__",
        "_aborted",
        "_arrival",
        "_blocked",
        "_buffer",
        "_closer",
        "_deadline",
        "_eof",
        "_error",
        "_loop",
        "_lost",
        "_one_read",
        "_paused",
        "_pid",
        "_rings",
        "_timer",
        "_transport",
        "_unseen",
        "_writer",
        "get_buffer",
        "sock",
    )

    get_buffer: Callable[[int], memoryview]  # type: ignore[assignment] # a slot in place of a method: see _bind

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.sock: socket.socket | None = None  # the loop's very own, where we made it
        self._transport: Any = None
        self._buffer = ReceiveBuffer(_EARLY, lean=True)  # for what a peer says that speaks first
        self.get_buffer = self._buffer.get_buffer
        self._one_read = isinstance(loop, asyncio.SelectorEventLoop)  # a read for each time that the socket is ready
        self._unseen = 0  # bytes in the buffer that no receive has told of yet
        self._eof = self._lost = self._paused = self._blocked = False
        self._error: Exception | None = None
        self._arrival = arrival(loop)  # what the reader waits for
        self._writer: asyncio.Future[None] | None = None
        self._closer: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rings = math.inf  # when the timer does
        self._deadline: float | None = None
        self._aborted = False
        self._pid = os.getpid()

    # -- what the event loop calls -------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        # send() returns when all has gone to the kernel, so anything left over blocks it.
        self._transport.set_write_buffer_limits(high=0)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            # asyncio sets TCP_NODELAY only for sockets that were made with IPPROTO_TCP spelled out; accepted
            # ones inherit their listener's 0.
            tune(sock)
        if self._aborted:  # before it was made
            self._transport.abort()

    def buffer_updated(self, nbytes: int) -> None:
        # For each token: so what other objects would do to themselves stands here, without a frame.
        buffer, arrival = self._buffer, self._arrival
        buffer.end = end = buffer.end + nbytes
        self._unseen += nbytes
        wake_up = arrival.wake_up
        if wake_up is not None:
            if self._one_read or end < len(buffer.data):
                context = arrival.context
                arrival.wake_up = arrival.context = None
                context.run(wake_up, arrival)  # type: ignore[union-attr] # it has one as long as it has a wake_up
            else:
                # The socket may hold more, and uvloop would read on before any other task had its turn. (asyncio
                # turns to the other sockets first. There the reader makes room here and now, and a firehose costs
                # no pause_reading: that is two calls of epoll_ctl a read.)
                arrival.end()
        # Looked at afterwards: the reader may have taken it all, or gone on to another buffer.
        if self._unseen and not self._paused and self._buffer.full:
            self._paused = True
            if not (self._lost or self._transport.is_closing()):
                self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._eof = True
        self._arrival.end()
        return True  # the peer may have closed its half only, and wait for our answer

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if exc is not None and self.sock is not None:
            # Who refuses what we are sending answers first. The loop closes the socket behind this call.
            self._buffer = last = rest_of(self.sock, self._buffer, self._unseen)
            self._unseen = len(last)
        if self._error is None and not self._eof:  # an abort of ours, or the peer's end, came first
            self._error = exc
        self._stop_timer()
        self._arrival.end()
        for waiter in (self._writer, self._closer):
            self._wake(waiter)

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self._wake(self._writer)

    @staticmethod
    def _wake(waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # -- the port ------------------------------------------------------------------

    @types.coroutine
    def receive_into(self, buffer: ReceiveBuffer, deadline: float | None) -> Generator[Any, None, int]:
        buffer.reclaim()
        if self._buffer is not buffer:
            self._bind(buffer)
        if self._paused:
            self._resume()
        if self._unseen:
            yield
        elif not (self._eof or self._lost):
            self._deadline = deadline
            if deadline is not None and deadline < self._rings:
                self._arm(deadline)
            arrival = self._arrival
            arrival._asyncio_future_blocking = True
            try:
                yield arrival
            except TimeoutError:
                yield  # uvloop looks at its timers first, and at its sockets in the same round
                if not (self._unseen or self._eof or self._lost):
                    raise
            except BaseException:
                arrival.let_go()
                raise
        count = self._unseen
        if count:
            self._unseen = 0
            if self._buffer is not buffer:
                return self._take_early(buffer, count)
            return count
        if self._error is not None:
            raise self._broken()
        return 0

    async def poll(self, buffer: ReceiveBuffer) -> int | None:
        buffer.reclaim()
        if self._buffer is not buffer:
            self._bind(buffer)
        if self._paused:
            self._resume()
        for _ in range(2):
            # Two rounds of the loop: it looks at its sockets in the first, and reads them in the second.
            if self._unseen or self._eof or self._lost:
                break
            await let_others_run()
        count = self._unseen
        if count:
            self._unseen = 0
            if self._buffer is not buffer:
                return self._take_early(buffer, count)
            return count
        if self._error is not None:
            raise self._broken()
        return 0 if self._eof or self._lost else None

    async def send(self, data: bytes | bytearray | memoryview, deadline: float | None) -> None:
        if self._lost or self._transport.is_closing():
            await let_others_run()
            raise self._broken()
        self._transport.write(data)
        if not self._blocked:
            await let_others_run()
        while self._blocked and not self._lost:
            self._writer = writer = self._loop.create_future()
            timer = None if deadline is None else self._loop.call_at(deadline, expire, writer)
            try:
                await writer
            finally:
                self._writer = None
                if timer is not None:
                    timer.cancel()
        if self._lost:
            raise self._broken()

    def send_now(self, data: bytes) -> int:
        if self._blocked or self._lost or self._transport.is_closing():
            return 0
        self._transport.write(data)
        return len(data)

    def abort(self) -> None:
        # In a fork's child the transport is the parent's: to close it would take the socket
        # out of the epoll set that the two share.
        if self._aborted or self._pid != os.getpid():
            return
        self._aborted = True
        if self._error is None:
            self._error = ConnectionAbortedError("the connection was closed here")
        self._stop_timer()
        if self._transport is None or self._loop.is_closed():
            return
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._transport.abort()
        else:  # a finalizer, in another thread or between two runs of the loop
            self._loop.call_soon_threadsafe(self._transport.abort)

    async def aclose(self) -> None:
        self._stop_timer()
        if self._blocked:  # a send that was given up: what it left behind may never go
            self.abort()
        self._transport.close()
        if self._lost:
            await let_others_run()
            return
        self._closer = self._loop.create_future()
        try:
            await self._closer
        except BaseException:
            self.abort()
            raise
        finally:
            self._closer = None

    def coalesced(self, seconds: float) -> Transport | None:
        if self._paused or self._eof or self._lost or self._transport.is_closing():
            return None
        if not HAS_EPOLL or self.sock is None:
            from tokenwire.backends.asyncio import backend

            return Delayed(self, backend(), seconds)
        from tokenwire.backends.asyncio_ticks import Ticked  # only for who asks for it

        ticked = Ticked(self, self.sock, seconds)
        self._transport.pause_reading()
        return ticked

    # -- inside --------------------------------------------------------------------

    def _read_on(self) -> None:
        """Have the loop read again, behind a time in which others read the socket."""
        if not (self._eof or self._lost or self._transport.is_closing()):
            self._transport.resume_reading()

    def _bind(self, buffer: ReceiveBuffer) -> None:
        """Read into this buffer from now on, unless bytes that came early must move there first.

        The loop asks the buffer itself for room, which is a frame less for each token. asyncio looks for the method
        each time; uvloop has kept the one that the protocol had when it was set, so it is set again.
        """
        if not self._unseen:
            self._buffer = buffer
            self.get_buffer = buffer.get_buffer
            self._transport.set_protocol(self)
            if self._paused:
                self._resume()

    def _take_early(self, buffer: ReceiveBuffer, count: int) -> int:
        early = self._buffer
        taken = min(count, buffer.limit - len(buffer))
        buffer.feed(memoryview(early.data)[early.start : early.start + taken])
        early.start += taken
        self._unseen = count - taken
        self._bind(buffer)
        return taken

    def _resume(self) -> None:
        if self._buffer.full:
            return
        self._paused = False
        if not (self._eof or self._lost or self._transport.is_closing()):
            self._transport.resume_reading()

    def _broken(self) -> OSError:
        error = self._error
        if isinstance(error, OSError):
            return error
        broken = ConnectionResetError("the connection is closed" if error is None else str(error))
        broken.__cause__ = error
        return broken

    def _arm(self, deadline: float) -> None:
        """Have the timer ring at this time, which is sooner than it would have."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._ring)
        self._rings = deadline

    def _ring(self) -> None:
        self._timer, self._rings = None, math.inf
        deadline = self._deadline
        if self._arrival.wake_up is not None and deadline is not None:
            if self._loop.time() >= deadline:
                self._arrival.end(TimeoutError())
            else:
                self._arm(deadline)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._rings = None, math.inf
