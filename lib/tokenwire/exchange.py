"""Exchange: one request and its response.

Theory of operation. An exchange acquires a connection, sends, reads the head, and
then hands out what its pipeline makes of each read. It is the only place that
awaits the network, and it is written once, for every backend.

Trying again happens only here, and only until the head of a good answer is there,
hence before the first event has been delivered. A connection from the pool that
turns out to be dead, before a byte of an answer was seen, is replaced by another
without spending a retry.

State changes are synchronous. Whatever interrupts an await (an error, a
cancellation) closes the connection on its way through; that needs no shield.

A server may answer before it has the whole request, 413 say, and close: then sending
fails. What it said is looked for before that is reported.

Clocks (see Timeouts) are arithmetic: each read gets the nearest of its deadlines,
and when it passes, the one that was nearest is the one that is named. Keep-alives
move `read`, and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from tokenwire.backends.base import Backend, Origin
from tokenwire.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    BusyResourceError,
    LimitExceededError,
    PoolTimeoutError,
    ProxyError,
    RemoteProtocolError,
    StreamConsumedError,
)
from tokenwire.pipeline import (
    EventPipeline,
    Family,
    Helper,
    HelperPipeline,
    RawPipeline,
)
from tokenwire.policy import Limits, Retry, Timeouts
from tokenwire.pool import Connection, Pool
from tokenwire.proxy import Proxy, authority
from tokenwire.refusals import is_stream, status_refusal
from tokenwire.whole import WholeBody
from tokenwire.wire.http1 import RawHeaders, ResponseHead

__all__ = ["Exchange", "Request", "Stats"]

_log = logging.getLogger("tokenwire")


class Request:
    """What is to be sent, kept whole so that it can be sent again."""

    __slots__ = ("body", "headers", "limits", "method", "origin", "retry", "target", "timeouts")

    def __init__(
        self,
        method: str,
        origin: Origin,
        target: str,
        headers: RawHeaders,
        body: bytes,
        *,
        timeouts: Timeouts,
        limits: Limits,
        retry: Retry,
    ) -> None:
        self.method = method
        self.origin = origin
        self.target = target
        self.headers = headers
        self.body = body
        self.timeouts = timeouts
        self.limits = limits
        self.retry = retry

    @property
    def forwarder(self) -> Proxy | None:
        """The proxy that reads the request itself, and forwards it; None where there is none, or a tunnel."""
        return self.origin.proxy if self.origin.scheme == "http" else None

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.origin.host}:{self.origin.port}{self.target.split('?')[0]}>"


class Stats:
    """When what happened, and how much of it. Times are time.monotonic_ns(), taken at the read; 0: not yet.

    started: the call. connected: a connection was there. sent: the request was with the
    kernel. first_byte, last_byte: of the answer. head: its head was whole. first_event,
    last_event: the reads that brought them. bytes, reads, events: of the answer.
    retries: tries after the first. reused: whether the connection had been used before.
    """

    __slots__ = (
        "bytes",
        "connected",
        "events",
        "first_byte",
        "first_event",
        "head",
        "last_byte",
        "last_event",
        "reads",
        "retries",
        "reused",
        "sent",
        "started",
    )

    def __init__(self) -> None:
        self.started = time.monotonic_ns()
        self.connected = self.sent = self.first_byte = self.last_byte = 0
        self.head = self.first_event = self.last_event = 0
        self.bytes = self.reads = self.events = self.retries = 0
        self.reused = False

    def __repr__(self) -> str:
        return f"Stats({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


class _Stale(Exception):
    """A connection from the pool was dead before a byte of an answer came."""


class Exchange:
    """One request and its response, over one connection at a time.

    `open`, `start`, then `read` until it returns nothing; or `whole`.
    """

    def __init__(self, pool: Pool, request: Request) -> None:
        pool.check()
        self._pool = pool
        self._backend: Backend = pool.backend
        self._request = request
        self._connection: Connection | None = None
        self.head: ResponseHead | None = None
        self.pipeline: EventPipeline | RawPipeline | None = None
        self.stats = Stats()
        self._early: list[Any] | None = None
        now = self._backend.now()
        total = request.timeouts.total
        self._total = None if total is None else now + total
        self._reading = False
        self._ended = False
        self._until_event: float | None = None  # the event clock, and its name
        self._event_clock = "first_event"
        self._progress = now

    # -- the three ways to use it -----------------------------------------------------

    async def open(self) -> None:
        """Send, with retries, until the head of a stream is there.

        Raises APIError and its kin. A checkpoint; cancelled, it has closed its connection.
        """
        if self.head is not None:
            raise StreamConsumedError("this request was made already: `.stream()` again makes another")
        await self._with_retries(self._begin)

    def start(self, family: Family | None, helper: Helper | None = None) -> None:
        """Choose what the body is read as: a family's typed events, through its helper where one is
        given, or raw ones (None). Synchronous, once. Raises RemoteProtocolError."""
        connection, head = self._connection, self.head
        if connection is None or head is None:
            raise StreamConsumedError("this stream is closed")
        try:
            limits = self._request.limits
            pipeline: EventPipeline | RawPipeline
            if family is None:
                pipeline = RawPipeline(connection.http, head, limits)
            elif helper is None:
                pipeline = EventPipeline(connection.http, head, family, limits)
            else:
                pipeline = HelperPipeline(connection.http, head, family, helper, limits)
            self.pipeline = pipeline
            # What came behind the head in the same read.
            self._early = list(pipeline.receive())
        except BaseException:
            self.abort()
            raise
        if self._early:
            self._note_events()
        self._settle()

    async def whole(self, family: Family) -> Any:
        """Send, with retries, and return the family's whole object. Raises as `open`."""
        return (await self.body()).read(family)

    async def body(self) -> WholeBody:
        """Send, with retries, and return the whole body of a good answer. Raises as `open`."""
        body: WholeBody = await self._with_retries(self._whole_body)
        return body

    async def _begin(self) -> None:
        connection, head = await self._answer()
        if not is_stream(head):
            body = await self._collect(connection, head)
            raise body.not_a_stream()

    # -- reading a stream ---------------------------------------------------------------

    async def read(self) -> list[Any]:
        """The events of the next read that brings any; an empty list at the end, and ever after.

        Raises what stands behind the last event, once: StreamTruncatedError, APIError,
        APITimeoutError; BusyResourceError where another task or thread is reading. One
        read is one checkpoint. Cancelled, it has closed its connection, and the stream
        is over.
        """
        # This is the loop that a token goes through, so it stands in one piece: each
        # further coroutine between the user and the socket would cost every wake-up.
        if self._reading:
            raise BusyResourceError("this stream is being read by another task or thread: it has one consumer")
        if self._early:
            early, self._early = self._early, None
            return early
        pipeline = self.pipeline
        assert pipeline is not None, "start comes first"
        self._reading = True
        try:
            while not pipeline.done:
                connection = self._connection
                if connection is None:
                    return []  # closed meanwhile
                until, clock = self._deadline()
                try:
                    count = await connection.transport.receive_into(connection.http.buffer, until)
                except OSError as error:
                    if isinstance(error, TimeoutError) and error.errno is None:
                        raise self._timed_out(clock) from None
                    events = pipeline.receive_eof(_words(error))
                else:
                    self._arrived(count)
                    events = pipeline.receive() if count else pipeline.receive_eof()
                if events:
                    self._note_events()
                if pipeline.done:
                    self._settle()
                if events:
                    return events
        except BaseException:
            self.abort()
            self._end(None)
            raise
        finally:
            self._reading = False
        failure = pipeline.failure
        self._end(None)
        if failure is not None:
            raise failure
        return []

    def _end(self, failure: Exception | None) -> None:
        """Nothing more is to be had from the stream; the next who asks gets this."""
        self._ended = True
        pipeline = self.pipeline
        if pipeline is not None:
            pipeline.done, pipeline.failure = True, failure

    def _note_events(self) -> None:
        stats = self.stats
        assert self.pipeline is not None
        stats.events = self.pipeline.events
        stats.last_event = stats.last_byte
        if not stats.first_event:
            stats.first_event = stats.last_byte
        seconds = self._request.timeouts.event
        self._until_event = None if seconds is None else self._progress + seconds
        self._event_clock = "event"

    def _settle(self) -> None:
        """Give the connection back as soon as the stream is over: before its last events are consumed."""
        pipeline, connection = self.pipeline, self._connection
        if pipeline is None or not pipeline.done or connection is None:
            return
        self._connection = None
        if pipeline.failure is None:
            if isinstance(pipeline, RawPipeline):
                # Its last events are views of memory that the connection's next user would write to.
                connection.http.buffer.let_go()
            self._pool.release(connection)
        else:
            _log.debug("%r ended with %s", self._request, type(pipeline.failure).__name__)
            self._pool.discard(connection)

    # -- one try --------------------------------------------------------------------------

    async def _answer(self) -> tuple[Connection, ResponseHead]:
        """Acquire, send, and read the head of a good answer. Raises APIStatusError for any other."""
        while True:
            try:
                connection, head = await self._try()
                break
            except _Stale:
                _log.debug("%r: a kept connection was dead, another is taken", self._request)
        request = self._request
        if head.status_code == 407 and request.forwarder is not None:
            self.abort()  # other refusals may be the server's own: they are read as such
            raise request.forwarder.refusal(request.origin.host, request.origin.port, 407, head.reason)
        self.head = head
        if head.status_code >= 300:
            raise await self._refusal(connection, head)
        return connection, head

    async def _try(self) -> tuple[Connection, ResponseHead]:
        request, stats = self._request, self.stats
        self._connection = connection = await self._acquire()
        stats.reused = reused = connection.used
        stats.connected = time.monotonic_ns()
        stats.first_byte = stats.bytes = stats.reads = 0
        http, transport = connection.http, connection.transport
        try:
            target, headers = request.target, request.headers
            proxy = request.forwarder
            if proxy is not None:
                target = proxy.absolute(request.origin.host, request.origin.port, target)
                headers = [*headers, *proxy.headers]
            data = http.send_request(request.method, target, headers, request.body)
            until, clock = self._nearest(request.timeouts.write, "write")
            try:
                await transport.send(data, until)
            except OSError as error:
                early = await self._early_answer(connection)
                if early is not None:
                    return connection, early
                if isinstance(error, TimeoutError) and error.errno is None:
                    raise self._timed_out(clock) from None
                raise
            stats.sent = time.monotonic_ns()
            first = request.timeouts.first_event
            self._progress = self._backend.now()
            self._until_event = None if first is None else self._progress + first
            self._event_clock = "first_event"
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
            if reused and not stats.first_byte:
                raise _Stale from None
            raise APIConnectionError(f"Connection error: {_words(error)}.") from error
        except BaseException:
            self.abort()
            raise

    async def _early_answer(self, connection: Connection) -> ResponseHead | None:
        """The head of what the server said before it stopped to take our request, where it is there already."""
        http, head = connection.http, None
        with contextlib.suppress(OSError):
            while head is None:
                count = await connection.transport.poll(http.buffer)
                if not count:
                    return None
                self._arrived(count)
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
        except TimeoutError as error:
            if error.errno is not None:
                raise APIConnectionError(f"Connection error: {_words(error)}.") from error
            clock = "connect"
            if self._total is not None and self._backend.now() >= self._total:
                clock = "total"
            raise self._timed_out(clock) from None
        except OSError as error:
            origin = request.origin
            where = origin.uds or authority(origin.host, origin.port)
            if origin.proxy is not None:
                where += f" through the proxy {origin.proxy}"
            raise APIConnectionError(f"Cannot connect to {where}: {_words(error)}.") from error

    async def _read_once(self, connection: Connection) -> int:
        """One read, until the nearest deadline. Raises APITimeoutError, OSError."""
        until, clock = self._deadline()
        try:
            count = await connection.transport.receive_into(connection.http.buffer, until)
        except TimeoutError as error:
            if error.errno is not None:
                raise
            raise self._timed_out(clock) from None
        self._arrived(count)
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

    def _arrived(self, count: int) -> None:
        """A read has ended."""
        self._progress = self._backend.now()
        stats = self.stats
        stats.last_byte = at = time.monotonic_ns()
        stats.reads += 1
        stats.bytes += count
        if not stats.first_byte and count:
            stats.first_byte = at

    def _nearest(self, seconds: float | None, clock: str) -> tuple[float | None, str]:
        until = None if seconds is None else self._backend.now() + seconds
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

    # -- whole bodies ---------------------------------------------------------------------

    async def _whole_body(self) -> WholeBody:
        connection, head = await self._answer()
        return await self._collect(connection, head)

    async def _collect(self, connection: Connection, head: ResponseHead) -> WholeBody:
        """Read a whole body, and give the connection back."""
        try:
            body = WholeBody(connection.http, head, self._request.limits)
            await self._fill(connection, body)
        except OSError as error:
            self.abort()
            raise APIConnectionError(f"Connection error: {_words(error)}.") from error
        except BaseException:
            self.abort()
            raise
        self._connection = None
        self._pool.release(connection)
        return body

    async def _fill(self, connection: Connection, body: WholeBody) -> None:
        body.receive()
        while not body.done:
            if body.begun:  # blank lines only keep the line alive; behind the first word there are no events
                self._until_event = None
            if await self._read_once(connection):
                body.receive()
            else:
                missing = body.receive_eof()
                if missing is not None:
                    raise APIConnectionError(f"The answer was cut: {missing} missing.")

    async def _refusal(self, connection: Connection, head: ResponseHead) -> APIError:
        """The exception for an answer with a status of 300 or more. However its body ends: that is the news."""
        try:
            body = WholeBody(connection.http, head, self._request.limits)
        except RemoteProtocolError:
            self.abort()
            return status_refusal(b"", head)
        try:
            await self._fill(connection, body)
        except (OSError, APIConnectionError):
            self.abort()
        except BaseException:
            self.abort()
            raise
        else:
            self._connection = None
            self._pool.release(connection)
        return body.error()

    # -- trying again -----------------------------------------------------------------------

    async def _with_retries(self, attempt: Callable[[], Any]) -> Any:
        while True:
            try:
                return await attempt()
            except (APIStatusError, APIConnectionError) as error:
                seconds = self._pause(error)
                if seconds is None:
                    raise
            self.stats.retries += 1
            _log.info("%r: retry %d in %.2f seconds", self._request, self.stats.retries, seconds)
            await self._backend.sleep(seconds)

    def _pause(self, error: APIStatusError | APIConnectionError) -> float | None:
        """Seconds until another try, or None where there is to be none."""
        retry, taken = self._request.retry, self.stats.retries
        headers: Mapping[str, str] = {}
        if isinstance(error, APIStatusError):
            headers = error.response.headers
            if not retry.wants(error.status_code, headers):
                return None
        elif isinstance(error, (PoolTimeoutError, LimitExceededError)) or getattr(error, "clock", "") == "total":
            return None  # trying again cannot help
        elif isinstance(error, ProxyError) and not retry.wants(error.status_code, headers):
            return None  # it wants a password, or does not want us
        if taken >= retry.max_retries:
            return None
        seconds = retry.delay(taken, headers, wall_clock=time.time(), random=random.random())
        if self._total is not None and self._backend.now() + seconds >= self._total:
            return None  # no time is left for another: what went wrong says more than that
        return seconds

    # -- the end ------------------------------------------------------------------------------

    async def checkpoint(self) -> None:
        """Let others run, and cancellation through. Cancelled, it has closed its connection."""
        try:
            await self._backend.checkpoint()
        except BaseException:
            self.abort()
            self._end(None)
            raise

    @property
    def closed(self) -> bool:
        """Whether no connection is held any more."""
        return self._connection is None

    def close(self) -> None:
        """Stop to read: what has not been read by now never will be. Synchronous, idempotent."""
        self._early = None
        if not self._ended:  # first, for whoever waits in `read` wakes with the next line
            self._end(StreamConsumedError("this stream was closed before its end"))
        self.abort()

    def abort(self) -> None:
        """Close the connection, whatever it is doing. Synchronous, idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.discard(connection)


def _words(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
