"""Sending: one request on its way, up to the head of its answer; and the clocks of the whole call.

A connection from the pool that turns out to be dead, before a byte of an answer was
seen, is replaced by another without spending a retry.

A server may answer before it has the whole request, 413 say, and close: then sending
fails. What it said is looked for before that is reported.

Clocks (see Timeouts) are arithmetic: each read gets the nearest of its deadlines,
and when it passes, the one that was nearest is the one that is named. Keep-alives
move `read`, and nothing else.

A TimeoutError that comes before its time is not ours: a signal handler of the caller's
raised it, as they do. It goes through, and nothing is tried again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time

from tokenwire.backends.base import Backend
from tokenwire.connections import Connection
from tokenwire.errors import APIConnectionError, APITimeoutError, RemoteProtocolError, StreamConsumedError
from tokenwire.policy import is_timeout, rang
from tokenwire.pool import Overdue, Pool
from tokenwire.requests import Request
from tokenwire.stats import Stats
from tokenwire.wire.buffer import ReceiveBuffer
from tokenwire.wire.heads import ResponseHead

__all__ = ["Sending"]

log = logging.getLogger("tokenwire")


class _Stale(Exception):
    """A connection from the pool was dead before a byte of an answer came."""


class Sending:
    """One request, over one connection at a time."""

    __slots__ = (
        "__weakref__",
        "_backend",
        "_connection",
        "_ended",
        "_event_clock",
        "_now",
        "_pool",
        "_progress",
        "_request",
        "_total",
        "_until_event",
        "head",
        "stats",
    )

    def __init__(self, pool: Pool, request: Request) -> None:
        pool.check()
        self._pool = pool
        self._backend: Backend = pool.backend
        self._request = request
        self._connection: Connection | None = None
        self._ended = False  # nothing more is to be had
        self.head: ResponseHead | None = None
        self.stats = Stats()
        self._now = self._backend.clock()
        now = self._now()
        total = request.timeouts.total
        self._total = None if total is None else now + total
        self._until_event: float | None = None  # the event clock, and its name
        self._event_clock = "first_event"
        self._progress = now

    async def _sent(self) -> tuple[Connection, ResponseHead]:
        """Acquire, send, and read the head of the answer, whatever it says."""
        while True:
            try:
                connection, head = await self._try()
                break
            except _Stale:
                log.debug("%r: a kept connection was dead, another is taken", self._request)
        request = self._request
        if head.status_code == 407 and request.forwarder is not None:
            self.abort()  # other refusals may be the server's own: they are read as such
            raise request.forwarder.refusal(request.origin.host, request.origin.port, 407, head.reason)
        log.debug("%r: answered by %d, request id %r", request, head.status_code, head.request_id)
        self.head = head
        return connection, head

    async def _try(self) -> tuple[Connection, ResponseHead]:
        request, stats = self._request, self.stats
        self._connection = connection = await self._acquire()
        if self._ended:  # closed meanwhile: nobody waits for an answer any more
            self.abort()
            raise StreamConsumedError("this stream was closed before its end")
        stats.reused = reused = connection.used
        stats.connected = time.monotonic_ns()
        stats.first_byte = stats.bytes = stats.reads = stats.pauses = 0
        http, transport = connection.http, connection.transport
        try:
            target, proxy = request.target, request.forwarder
            if proxy is not None:
                target = proxy.absolute(request.origin.host, request.origin.port, target)
            data = http.send_template(request.template, target, request.body)
            until, clock = self._nearest(request.timeouts.write, "write")
            try:
                await transport.send(data, until)
            except OSError as error:
                if is_timeout(error) and not rang(error, until, self._now()):
                    raise
                self._wait_from_now()
                early = await self._early_answer(connection)
                if early is not None:
                    return connection, early
                if rang(error, until, self._now()):
                    raise self._timed_out(clock) from None
                raise
            stats.sent = time.monotonic_ns()
            log.debug("%r: sent, %d bytes over a %s connection", request, len(data), "kept" if reused else "new")
            self._wait_from_now()
            while True:
                count = await self._read_once(connection)
                if count:
                    head = http.receive_head()
                    if head is not None:
                        stats.head = stats.last_byte
                        return connection, head
                elif reused and not stats.first_byte:
                    raise _Stale
                else:
                    raise RemoteProtocolError("The server closed the connection without an answer.")
        except OSError as error:
            self.abort()
            if is_timeout(error):
                raise
            if reused and not stats.first_byte:
                raise _Stale from None
            raise APIConnectionError(f"Connection error: {words(error)}.") from error
        except BaseException:
            self.abort()
            raise

    async def _early_answer(self, connection: Connection) -> ResponseHead | None:
        """The head of what the server said before it took no more of our request, where it is there already.

        Raises OSError where it can be read why: TLS has alerts.
        """
        http, head = connection.http, None
        with contextlib.suppress(ConnectionError):  # that it broke is known
            while head is None:
                count = await connection.transport.poll(http.buffer)
                if not count:
                    return None
                self._arrived(count, http.buffer)
                head = http.receive_head()
            http.receive_eof()  # half a request has been sent: nothing can follow it
            self.stats.head = self.stats.last_byte
        return head

    async def _acquire(self) -> Connection:
        request = self._request
        try:
            return await self._pool.acquire(
                request.origin, connect=request.timeouts.connect, deadline=self._total
            )
        except Overdue as error:
            raise self._timed_out(error.clock) from None
        except OSError as error:
            if is_timeout(error):
                raise
            raise APIConnectionError(f"Cannot connect to {request.origin.place}: {words(error)}.") from error

    # -- reading, and the clocks ----------------------------------------------------------------

    async def _read_once(self, connection: Connection) -> int:
        """One read, until the nearest deadline. Raises APITimeoutError, OSError."""
        until, clock = self._in_time()
        try:
            count = await connection.transport.receive_into(connection.http.buffer, until)
        except TimeoutError as error:
            if not rang(error, until, self._now()):
                raise
            raise self._timed_out(clock) from None
        self._arrived(count, connection.http.buffer)
        return count

    def _deadline(self) -> tuple[float | None, str]:
        """The nearest deadline of a read, and the clock that it belongs to."""
        until, clock = self._until_event, self._event_clock
        seconds = self._request.timeouts.read
        if seconds is not None:
            # `_progress` is the time of the last byte, so no clock is read for this.
            read_until = self._progress + seconds
            if until is None or read_until < until:
                until, clock = read_until, "read"
        if self._total is not None and (until is None or self._total < until):
            return self._total, "total"
        return until, clock

    def _wait_from_now(self) -> None:
        """The request has been sent, as far as it will be: the clocks of its answer begin."""
        first = self._request.timeouts.first_event
        self._progress = self._now()
        self._until_event = None if first is None else self._progress + first
        self._event_clock = "first_event"

    def _in_time(self) -> tuple[float | None, str]:
        """As _deadline. Raises APITimeoutError where the last bytes came behind it: so it is with a peer that never
        lets us wait, for what is there is received however late."""
        until, clock = self._deadline()
        if until is not None and until <= self._progress:
            raise self._timed_out(clock)
        return until, clock

    def _arrived(self, count: int, buffer: ReceiveBuffer) -> None:
        """A read has ended."""
        self._progress = self._now()
        stats = self.stats
        stats.last_byte = at = time.monotonic_ns()
        stats.reads += 1
        stats.bytes += count
        if buffer.end - buffer.start >= buffer.limit:  # `full`, without a call: this is for each read
            stats.pauses += 1
        if not stats.first_byte and count:
            stats.first_byte = at

    def _nearest(self, seconds: float | None, clock: str) -> tuple[float | None, str]:
        until = None if seconds is None else self._now() + seconds
        if self._total is not None and (until is None or self._total < until):
            return self._total, "total"
        return until, clock

    def _timed_out(self, clock: str) -> APITimeoutError:
        """The error of one of our clocks."""
        seconds: float = getattr(self._request.timeouts, clock)
        what = {
            "connect": "no connection was made",
            "write": "the request could not be sent",
            "read": "the server sent nothing",
            "first_event": "no first event came",
            "event": "no further event came",
            "total": "the call did not end",
        }[clock]
        message = f"Request timed out: {what} within {seconds:g} seconds (Timeouts.{clock})."
        return APITimeoutError(message, clock=clock, seconds=seconds)

    # -- the end ------------------------------------------------------------------------------

    def abort(self) -> None:
        """Close the connection, whatever it is doing. Synchronous, idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.discard(connection)


def words(error: OSError) -> str:
    """What the machine says of it: of the first address's failure, where all failed and that is all we were told."""
    first: object = error.__cause__
    if isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if error.errno is None and isinstance(first, OSError):
        error = first
    if error.errno and type(error).__module__ == "builtins":  # a look-up's and TLS's numbers are their own
        return os.strerror(error.errno)  # asyncio and trio put the address there
    return error.strerror or str(error) or type(error).__name__
