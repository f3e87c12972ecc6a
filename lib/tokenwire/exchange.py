"""Exchange: one request and its response.

Theory of operation. An exchange acquires a connection, sends, reads the head (all
that is sending.py), and then hands out what its pipeline makes of each read. It is
the only place that awaits the network, and it is written once, for every backend.

Trying again happens only here, and only until the head of a good answer is there,
hence before the first event has been delivered.

State changes are synchronous. Whatever interrupts an await (an error, a
cancellation) closes the connection on its way through; that needs no shield.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from tokenwire.backends.ticks import at_once, coalesced
from tokenwire.connections import Connection
from tokenwire.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    BusyResourceError,
    LimitExceededError,
    PoolTimeoutError,
    ProxyError,
    RemoteProtocolError,
    StreamConsumedError,
    TokenwireError,
)
from tokenwire.family import Family, Helper
from tokenwire.pipeline import EventPipeline, HelperPipeline, RawPipeline
from tokenwire.policy import is_timeout, rang
from tokenwire.pool import Pool
from tokenwire.refusals import is_stream, status_refusal
from tokenwire.requests import Request
from tokenwire.sending import Sending, log, words
from tokenwire.whole import WholeBody
from tokenwire.wire.heads import ResponseHead

__all__ = ["Exchange"]

_BUSY: Final = "this stream is being read by another task or thread: it has one consumer"
_CANCELLED: Final = "a read of this stream was cancelled by {}, and that closed it before its end"

#: Events behind which a stream is under way, though none of them was seen to be a token: its tokens may be of a
#: kind that we do not know, or be read raw.
_PRELUDE: Final = 16


class Exchange(Sending):
    """One request and its response, over one connection at a time.

    `open`, `start`, then `read` until it returns nothing; or `whole`.
    """

    __slots__ = ("_coalesce", "_early", "_event_is_nearest", "_reading", "_well", "pipeline")

    def __init__(self, pool: Pool, request: Request) -> None:
        super().__init__(pool, request)
        self.pipeline: EventPipeline | RawPipeline | None = None
        self._early: list[Any] | None = None
        self._reading = False
        self._well = False  # it ended, and well
        self._event_is_nearest = False  # the one deadline that a read needs to know of
        self._coalesce = request.coalesce  # None as soon as it is done, too

    # -- the three ways to use it -----------------------------------------------------

    async def open(self) -> None:
        """Send, with retries, until the head of a stream is there.

        Raises APIError and its kin. A checkpoint; cancelled, it has closed its connection.
        """
        if self.head is not None:
            raise StreamConsumedError("this request was made already: `.stream()` again makes another")
        await self._with_retries(self._begin)
        self._request.body = b""  # it will not be sent again, and the stream may be long

    async def open_after(self, earlier: Exchange, failure: APIConnectionError, tries: int) -> None:
        """Open this one in place of another, which broke off: the failure counts as a try, total's clock runs on.

        tries: how many there were since anything came. Raises the failure where no other is left, else as `open`.
        """
        self._total = earlier._total
        self.stats.retries = tries
        seconds = self._pause(failure)
        if seconds is None:
            raise failure
        await self._rest(seconds)
        if self._ended:  # closed meanwhile
            raise failure
        await self.open()

    def start(self, family: Family | None, helper: Helper | None = None, *, events: int = 0) -> None:
        """Choose what the body is read as: a family's typed events, through its helper where one is
        given, or raw ones (None). Synchronous, once. events: how many came before. Raises RemoteProtocolError."""
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
            pipeline.events = events
            pipeline.rest = self._request.rest
            # What came behind the head in the same read.
            self._early = list(pipeline.receive())
        except BaseException:
            self.abort()
            raise
        if self._early:
            self._note_events()
        timeouts = self._request.timeouts
        self._event_is_nearest = self._total is None and timeouts.event_comes_before_read
        self._settle()
        if self._coalesce is not None:
            self._begin_to_coalesce(self._early)

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
            body = await self._collect(connection, head, asked_for=False)
            raise body.not_a_stream()

    # -- reading a stream ---------------------------------------------------------------

    async def read(self) -> list[Any]:
        """The events of the next read that brings any; an empty list at the end, and ever after.

        Raises what stands behind the last event, once: StreamTruncatedError, APIError,
        APITimeoutError; BusyResourceError where another task or thread is reading. One
        read is one checkpoint. Cancelled, it has closed its connection, and the stream
        is over: the next one raises StreamConsumedError.
        """
        # This is the loop that a token goes through, so it stands in one piece: each
        # further coroutine between the user and the socket would cost every wake-up.
        if self._reading:
            raise BusyResourceError(_BUSY)
        if self._early:
            early, self._early = self._early, None
            return early
        pipeline = self.pipeline
        if pipeline is None:
            return []  # it could not be started, and that was told then
        self._reading = True
        stats, timeouts, now = self.stats, self._request.timeouts, self._now
        try:
            while not pipeline.done:
                connection = self._connection
                if connection is None:
                    return []  # closed meanwhile
                buffer = connection.http.buffer
                until = self._until_event if self._event_is_nearest else self._in_time()[0]
                try:
                    count = await connection.transport.receive_into(buffer, until)
                except OSError as error:
                    if is_timeout(error):
                        if not rang(error, until, now()):
                            raise
                        raise self._timed_out(self._deadline()[1]) from None
                    events = pipeline.receive_eof(words(error))
                else:
                    # `_arrived`, and further down `_note_events`, without their frames.
                    self._progress = now()
                    stats.last_byte = time.monotonic_ns()
                    stats.reads += 1
                    stats.bytes += count
                    if buffer.end >= buffer.limit and buffer.full:
                        stats.pauses += 1
                    events = pipeline.receive() if count else pipeline.receive_eof()
                if pipeline.done:
                    self._settle()
                if events:
                    stats.events = pipeline.events
                    stats.last_event = stats.last_byte
                    if not stats.first_event:
                        self._note_events()
                    elif (seconds := timeouts.event) is not None:
                        self._until_event = self._progress + seconds
                    if self._coalesce is not None:
                        self._begin_to_coalesce(events)
                    return events
                if self._event_is_nearest and not pipeline.done:
                    self._in_time()
        except BaseException as error:
            self._left_by(error)
            raise
        finally:
            self._reading = False
        failure = pipeline.failure
        if not self._ended:
            self._well = failure is None
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

    def _left_by(self, error: BaseException) -> None:
        """A read has raised this. If it is none of ours, a cancellation or what a signal handler raises, it is no end
        of the answer: who reads on all the same is told so."""
        self.abort()
        ours = isinstance(error, TokenwireError)
        self._end(None if ours else StreamConsumedError(_CANCELLED.format(type(error).__name__)))

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

    def _begin_to_coalesce(self, events: list[Any]) -> None:
        """Read in ticks from now on, if the first token has come."""
        connection, pipeline, seconds = self._connection, self.pipeline, self._coalesce
        if connection is None or pipeline is None or seconds is None:
            return
        if pipeline.events >= _PRELUDE or any(map(_is_token, events)):
            transport = coalesced(connection.transport, seconds)
            if transport is not None:
                connection.transport, self._coalesce = transport, None

    def _settle(self) -> None:
        """Give the connection back as soon as the stream is over: before its last events are consumed."""
        pipeline, connection = self.pipeline, self._connection
        if pipeline is None or not pipeline.done or connection is None:
            return
        self._connection = None
        if pipeline.failure is None:
            connection.transport = at_once(connection.transport)
            if isinstance(pipeline, RawPipeline):
                # Its last events are views of memory that the connection's next user would write to.
                connection.http.buffer.let_go()
            self._pool.release(connection)
        else:
            self._pool.discard(connection)
            kind = type(pipeline.failure).__name__  # its words may be the server's
            log.info("%r: ended by %s, after %d events", self._request, kind, pipeline.events)

    # -- answers, and whole bodies -----------------------------------------------------------

    async def _answer(self) -> tuple[Connection, ResponseHead]:
        """Send, and read the head of a good answer. Raises APIStatusError for any other."""
        connection, head = await self._sent()
        if head.status_code >= 300:
            raise await self._refusal(connection, head)
        return connection, head

    async def _refusal(self, connection: Connection, head: ResponseHead) -> APIError:
        """The exception for an answer with a status of 300 or more. However its body ends: that is the news."""
        try:
            body = WholeBody(connection.http, head, self._request.limits)
        except RemoteProtocolError:
            self.abort()
            return status_refusal(b"", head)
        try:
            await self._fill(connection, body, asked_for=False)
        except (OSError, APIConnectionError) as error:
            self.abort()
            if is_timeout(error):
                raise
        except BaseException:
            self.abort()
            raise
        else:
            self._connection = None
            self._pool.release(connection)
        return body.error()

    async def _whole_body(self) -> WholeBody:
        connection, head = await self._answer()
        return await self._collect(connection, head, asked_for=True)

    async def _collect(self, connection: Connection, head: ResponseHead, *, asked_for: bool) -> WholeBody:
        """Read a whole body, and give the connection back."""
        try:
            body = WholeBody(connection.http, head, self._request.limits)
            await self._fill(connection, body, asked_for=asked_for)
        except OSError as error:
            self.abort()
            if is_timeout(error):
                raise
            raise APIConnectionError(f"Connection error: {words(error)}.") from error
        except BaseException:
            self.abort()
            raise
        self._connection = None
        self._pool.release(connection)
        return body

    async def _fill(self, connection: Connection, body: WholeBody, *, asked_for: bool) -> None:
        body.receive()
        while not body.done:
            # Blank lines only keep the line alive. Behind the first word there are no events: none is waited for, but
            # in what was not asked for, which must not hold the call for ever.
            if asked_for and body.begun:
                self._until_event = None
            if await self._read_once(connection):
                body.receive()
            else:
                missing = body.receive_eof()
                if missing is not None:
                    raise APIConnectionError(f"The answer was cut: {missing} missing.")

    # -- trying again -----------------------------------------------------------------------

    async def _with_retries(self, attempt: Callable[[], Any]) -> Any:
        while True:
            try:
                return await attempt()
            except (APIStatusError, APIConnectionError) as error:
                seconds = self._pause(error)
                if seconds is None:
                    raise
            except BaseException:
                self.abort()  # wherever it was: a signal handler may raise between any two lines
                raise
            await self._rest(seconds)

    async def _rest(self, seconds: float) -> None:
        """Wait before another try."""
        self.stats.retries += 1
        log.info("%r: retry %d in %.2f seconds", self._request, self.stats.retries, seconds)
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
        if taken >= retry.max_retries or self._ended:
            return None
        import random  # dear, and wanted only here

        seconds = retry.delay(taken, headers, wall_clock=time.time(), random=random.random())
        if self._total is not None and self._now() + seconds >= self._total:
            return None  # no time is left for another: what went wrong says more than that
        return seconds

    # -- the end ------------------------------------------------------------------------------

    async def checkpoint(self) -> None:
        """Let others run, and cancellation through: as a read that brings nothing. Cancelled, it has closed its
        connection. Raises BusyResourceError."""
        if self._reading:
            raise BusyResourceError(_BUSY)
        self._reading = True
        try:
            await self._backend.checkpoint()
        except BaseException as error:
            self._left_by(error)
            raise
        finally:
            self._reading = False

    @property
    def ended_well(self) -> bool:
        """Whether the stream was read to its end, and that was no error."""
        return self._well

    @property
    def closed(self) -> bool:
        """Whether no connection is held any more."""
        return self._connection is None

    def close(self) -> None:
        """Read no more: what has not been read by now never will be. Synchronous, idempotent."""
        self._early = None
        if not self._ended:  # first, for whoever waits in `read` wakes with the next line
            self._end(StreamConsumedError("this stream was closed before its end"))
        self.abort()


def _is_token(event: Any) -> bool:
    """Whether it carries a part of the answer: a delta of Responses or of a helper, a chunk that says something."""
    if str(getattr(event, "type", "")).endswith("delta"):
        return True
    for choice in getattr(event, "choices", None) or ():
        delta = getattr(choice, "delta", None)
        if getattr(delta, "content", None) or getattr(delta, "tool_calls", None):
            return True
    return False
