"""Resume: the stream of a background response that goes on when its connection breaks.

Theory of operation. A background response lives on the server, not in a connection, and
each of its events has a `sequence_number`. A ResumingExchange is the exchange that began
the stream; when its connection breaks, another takes its place, which asks for
`GET /responses/{id}?stream=true&starting_after=<the last number>`, and so on. All of them
feed one accumulator, through one `_Order`, which stands where a helper stands (between the
wire's events and the consumer's) and knows what the next number is:

* An event that the server sends again is dropped before it counts anywhere.
* Numbers that were dense up to the break and are not across it tell of events that are
  lost: the stream ends there, and says so.
* Where events have no number, or numbers that do not rise (llama.cpp, LiteLLM), nobody
  can say where to go on, and nobody guesses: the break is raised, and says why.

What is a break: any APIConnectionError of a read. The connection was closed or reset, the
body ended without its terminal event, HTTP was broken, `Timeouts.read` or `.event` ran out
(`.first_event` too, where the response's id was known from the start). What is none: an error
that the server reports, an event that is no JSON, a bound of Limits, `Timeouts.total`,
which spans all.

Tries are counted as for requests (Retry): each break is one, and so is each request that
fails behind it, with the same back-off. The count begins anew once a further event has
come: a proxy that cuts every minute does not end a response of an hour. When none is
left, the first error since the last event is raised. A server that refuses (404: it has
forgotten the response) is believed: that is what is raised, with the break as its cause.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tokenwire.errors import (
    APIConnectionError,
    APIError,
    BusyResourceError,
    StreamConsumedError,
    StreamTruncatedError,
    TokenwireError,
)
from tokenwire.exchange import Exchange
from tokenwire.family import Accumulator, Family, Helper

__all__ = ["ResumingExchange"]

_log = logging.getLogger("tokenwire")

E = TypeVar("E", bound=APIError)

#: What asks for the rest: (the response's id, the number after which it begins or None for all) -> a GET.
Follow = Callable[[str, int | None], Exchange]


class _Lost(TokenwireError):
    """The server does not go on where it was asked to. Said in words."""


class _Order:
    """A helper before the helper: what has come, where the stream stands, and what comes next.

    count: how many were handed on. last: the last event's number, or None. seam: whether the connection
    is a new one, and no further event has come on it yet. flaw: why nobody could say where to go on, or "".
    """

    def __init__(self, family: Family, helper: Helper | None) -> None:
        self._helper = helper
        self.accumulator: Accumulator = family.Accumulator() if helper is None else helper.accumulator
        self.last: int | None = None
        self.count = 0
        self.flaw = ""
        self.seam = False
        self._dense = True  # each number was the one before and 1

    def events(self, run: list[Any], like: object = None, texts: Sequence[str] = ()) -> list[Any]:
        found = []
        for event in run:
            if self._is_next(event):
                if self._helper is None:
                    self.accumulator.add(event)
                    found.append(event)
                else:
                    found += self._helper.events([event])
        self.count += len(found)
        return found

    def _is_next(self, event: Any) -> bool:
        """Whether it has not come before. Raises _Lost at a seam that does not fit."""
        number, last = getattr(event, "sequence_number", None), self.last
        if type(number) is not int:
            if getattr(event, "type", "") != "keepalive":  # OpenAI's has no number at times, and says nothing
                self.flaw = "its events have no sequence_number"
                if self.seam:
                    raise _Lost(self.flaw)
            return True
        if last is not None:
            if self.seam and number <= last:
                return False
            if self.seam and self._dense and number != last + 1:
                raise _Lost(f"event {last + 1} was to come, and {number} came")
            if number <= last:
                self.flaw = "the sequence_number of its events does not rise"
            if number != last + 1:
                self._dense = False
        self.last = number
        self.seam = False
        return True

    def end(self) -> list[Any]:
        return [] if self._helper is None else self._helper.end()

    def snapshot(self) -> Any:
        return self.accumulator.snapshot()

    def final(self) -> Any:
        return None if self._helper is None else self._helper.final()


class ResumingExchange(Exchange):
    """An exchange whose stream goes on over others. As Exchange, but for `raw()`, which it refuses.

    follow: what asks for the rest. response_id, after: of a stream that is retrieved; one that is
    created learns its id from its events.
    """

    def __init__(
        self, first: Exchange, follow: Follow, *, response_id: str | None = None, after: int | None = None
    ) -> None:
        super().__init__(first._pool, first._request)
        self._follow = follow
        self._response_id = response_id
        self._after = after
        self._family: Family | None = None
        self._order: _Order | None = None
        self._later: Exchange | None = None  # the one that is read now; None: this
        self._opening: Exchange | None = None  # the one that is to be next
        self._resuming = False
        self._shut = False
        self._broken: APIConnectionError | None = None  # the first break since the last event
        self._tries = 0
        self._before = (0, 0, 0, 0)  # bytes, reads, pauses and retries of the exchanges before the later one

    def start(self, family: Family | None, helper: Helper | None = None, *, events: int = 0) -> None:
        """As Exchange.start. Raises TypeError for raw events: nobody reads their numbers."""
        if family is None:
            raise TypeError("a stream with resume=True has no raw(): it must know its events, to go on behind the last")
        self._family, self._order = family, _Order(family, helper)
        super().start(family, self._order, events=events)

    async def read(self) -> list[Any]:
        """As Exchange.read; where the connection breaks it goes on, if it can, and waits until then.

        Raises the break where it cannot, and APIStatusError where the server refuses.
        """
        while True:
            if self._resuming:
                raise BusyResourceError("this stream is being read by another task or thread: it has one consumer")
            try:
                return await self._read_on()
            except _Lost as lost:
                raise self._given_up(str(lost)) from None
            except APIConnectionError as error:
                self._resuming = True
                try:
                    await self._resume(error)
                except BaseException as interruption:
                    if not isinstance(interruption, TokenwireError):
                        self._left_by(interruption)
                    raise
                finally:
                    self._resuming = False

    async def _read_on(self) -> list[Any]:
        later = self._later
        if later is None:
            return await super().read()
        try:
            return await later.read()
        finally:
            self._tally(later)

    async def _resume(self, latest: APIConnectionError) -> None:
        """Let another exchange take up the stream. Raises where none can."""
        order = self._order
        assert order is not None
        if self._broken is None or not order.seam:
            # Without its traceback, which holds the frame that holds this.
            self._broken, self._tries = latest.with_traceback(None), 0
        if order.flaw:
            raise self._given_up(order.flaw)
        response_id = self._response_id or order.accumulator.snapshot().id
        if not response_id or not isinstance(response_id, str):
            raise self._given_up("its id has not come")
        after = self._after if order.last is None else order.last
        place = f"the response {response_id!r}" + ("" if after is None else f" after event {after}")
        try:
            self._opening = later = self._follow(response_id, after)
        except ValueError as error:  # the server's idea of an id
            raise self._given_up(str(error)) from None
        stats = self.stats
        self._before = (stats.bytes, stats.reads, stats.pauses, stats.retries - self._tries)
        order.seam = True
        try:
            _log.info("%r: it broke off, %s is to go on", self._request, place)
            await later.open_after(self, latest, self._tries)
            if self._shut:
                raise StreamConsumedError("this stream was closed before its end")
            later.start(self._family, order, events=order.count)
            self._later = later
        except _Lost as lost:
            raise self._given_up(str(lost)) from None
        except APIConnectionError as error:
            if error is latest:  # no try is left
                raise self._given_up(f"{self._tries} tries brought nothing" if self._tries else "") from None
            raise self._given_up(error.message) from error
        except APIError as error:
            raise _amended(error, f"(asked to go on with {place})") from self._given_up("")
        finally:
            self._tries = later.stats.retries
            self._tally(later)
            self._opening = None
            if self._later is not later:
                later.abort()
            del latest  # a frame and an error that hold each other wait for the collector

    def _given_up(self, why: str) -> Exception:
        """The error of a stream that does not go on: its break. why: in words, or ""."""
        broken, self._broken = self._broken, None
        if self._shut:
            return StreamConsumedError("this stream was closed before its end")
        assert broken is not None
        assert self._order is not None
        if isinstance(broken, StreamTruncatedError):
            broken.events = self._order.count
        return _amended(broken, f"It cannot be resumed: {why.rstrip('.')}.") if why else broken

    def _tally(self, later: Exchange) -> None:
        """Put what all exchanges add up to into `stats`."""
        stats, more = self.stats, later.stats
        size, reads, pauses, retries = self._before
        stats.bytes, stats.reads, stats.pauses = size + more.bytes, reads + more.reads, pauses + more.pauses
        stats.retries = retries + more.retries
        assert self._order is not None
        stats.events = self._order.count
        stats.last_byte = more.last_byte or stats.last_byte
        stats.last_event = more.last_event or stats.last_event
        stats.first_event = stats.first_event or more.first_event

    # -- the end ------------------------------------------------------------------------------

    def _end(self, failure: Exception | None) -> None:
        super()._end(failure)
        if self._later is not None:  # it is the one that is asked
            self._later._end(failure)

    async def checkpoint(self) -> None:
        """As Exchange.checkpoint."""
        later = self._later
        await (super().checkpoint() if later is None else later.checkpoint())

    @property
    def ended_well(self) -> bool:
        """As Exchange.ended_well."""
        return self._well if self._later is None else self._later.ended_well

    @property
    def closed(self) -> bool:
        """As Exchange.closed."""
        return self._connection is None and all(one.closed for one in (self._later, self._opening) if one is not None)

    def close(self) -> None:
        """As Exchange.close."""
        self._shut = True
        for one in (self._later, self._opening):
            if one is not None:
                one.close()
        super().close()

    def abort(self) -> None:
        """As Exchange.abort."""
        for one in (self._later, self._opening):
            if one is not None:
                one.abort()
        super().abort()


def _amended(error: E, words: str) -> E:
    """The same error, with more to its message."""
    error.message = f"{error.message} {words}"
    error.args = (error.message,)
    return error
