"""Source: one response's events for one consumer, and what both colours of a stream show of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from tokenwire.errors import StreamConsumedError, StreamTruncatedError
from tokenwire.exchange import Exchange
from tokenwire.family import Family, Helper
from tokenwire.stats import Stats
from tokenwire.wire.heads import ResponseHead

if TYPE_CHECKING:
    from tokenwire.families.chat_events import ChatCompletionStreamEvent
    from tokenwire.families.chat_types import ChatCompletion, ChatCompletionChunk, ParsedChatCompletion
    from tokenwire.families.responses import ParsedResponseStreamEvent, Response, ResponseStreamEvent

__all__ = ["Source", "StreamBase"]

E = TypeVar("E")
T = TypeVar("T")

#: Exhausted, so one is enough.
_NONE: Iterator[Any] = iter(())

#: Events between two checkpoints of per-event iteration, within one read. Rarely needed: a read brings about a
#: hundred. A checkpoint in the middle of them is dear, for in a process with many streams each then holds events
#: that are decoded and not consumed, which no cache has room for: 1 us more for each token of 20 streams.
_SLICE = 256


class Source(Generic[E]):
    """One response's events, for one consumer, without a colour.

    helper: what turns its events into those of `.stream()`, or None.
    """

    __slots__ = ("exchange", "family", "helper", "mode")

    def __init__(self, exchange: Exchange, family: Family, helper: Helper | None = None) -> None:
        self.exchange = exchange
        self.family = family
        self.helper = helper
        self.mode = ""

    def choose(self, mode: str) -> None:
        """Read in this mode, "events" or "raw", from now on. Raises StreamConsumedError where another was begun."""
        if self.mode == mode == "events":
            return
        if self.mode:
            raise StreamConsumedError(f"this stream is being read as {self.mode} already: it cannot be read as {mode}")
        self.mode = mode
        try:
            self.exchange.start(self.family if mode == "events" else None, self.helper)
        except TypeError:  # refused before it began: it may be read in another way
            self.mode = ""
            raise

    def snapshot(self) -> Any:
        """What the events so far add up to, or None in raw mode and before the first read."""
        if self.helper is not None:
            return self.helper.snapshot()
        pipeline = self.exchange.pipeline
        return None if pipeline is None or pipeline.accumulator is None else pipeline.accumulator.snapshot()

    def final(self) -> Any:
        """The helper's final object. Raises StreamTruncatedError where an error ended the stream, and was told then."""
        assert self.helper is not None
        if not self.exchange.ended_well:
            raise StreamTruncatedError(
                "There is no whole answer: the stream was ended by an error, which was raised when it was read.",
                snapshot=self.snapshot(),
                events=self.exchange.stats.events,
            )
        return self.helper.final()

    def close(self) -> None:
        """End it: the connection is closed unless its response was over. Synchronous, idempotent."""
        self.exchange.close()

    def text_of(self) -> Callable[[Any], str]:
        """What finds the text delta in an event."""
        text = self.family.text
        if self.helper is None or self.family.name != "chat":
            return text  # the helper of Responses hands out the wire's own events
        return lambda event: text(event.chunk) if event.type == "chunk" else ""

    def __del__(self) -> None:
        if not self.exchange.closed:
            self.exchange.abort()


class Snapshot:
    """What the events read so far add up to: a ChatCompletion or a Response, a value.

    None before the first read, and of raw events; behind `.stream()` it is never None. Events
    count from the moment they were read off the socket, which may be a little before they are
    handed out.
    """

    # Not a property, whose type could not tell by the stream's events what they add up to.

    @overload
    def __get__(self, stream: StreamBase[ChatCompletionChunk], owner: object) -> ChatCompletion | None: ...
    @overload
    def __get__(self, stream: StreamBase[ResponseStreamEvent], owner: object) -> Response | None: ...
    @overload
    def __get__(self, stream: StreamBase[ChatCompletionStreamEvent[T]], owner: object) -> ParsedChatCompletion[T]: ...
    @overload
    def __get__(self, stream: StreamBase[ParsedResponseStreamEvent[T]], owner: object) -> Response: ...
    @overload
    def __get__(self, stream: StreamBase[Any] | None, owner: object) -> Any: ...
    def __get__(self, stream: StreamBase[Any] | None, owner: object) -> Any:
        return self if stream is None else stream._source.snapshot()


class StreamBase(Generic[E]):
    """What both colours show."""

    __slots__ = ("__weakref__", "_ready", "_rest", "_source")

    def __init__(self, source: Source[E]) -> None:
        self._source = source
        self._ready: Iterator[E] = _NONE
        self._rest: tuple[list[E], int] | None = None  # a large batch, and how much of it is ready

    @property
    def response(self) -> ResponseHead:
        """The head of the server's answer: status_code, headers, request_id."""
        head = self._source.exchange.head
        assert head is not None
        return head

    @property
    def stats(self) -> Stats:
        """When what happened, and how much of it."""
        return self._source.exchange.stats

    snapshot = Snapshot()

    def _slice(self, batch: list[E], start: int) -> E | None:
        """Make the next slice of a batch ready, and return its first event."""
        if len(batch) == 1:
            return batch[0]  # and nothing is held of it while the stream waits
        stop = start + _SLICE
        if len(batch) > stop:
            self._rest = (batch, stop)
            batch = batch[start:stop]
        elif start:
            batch = batch[start:]
        self._ready = iter(batch)
        return next(self._ready, None)

    def _ahead(self) -> Iterator[E]:
        """What per-event iteration has read and not handed out; it stays so."""
        batch, stop = self._rest or ([], 0)
        return chain(copy(self._ready), islice(batch, stop, None))

    def _begun(self) -> list[E]:
        """What per-event iteration has read and not handed out."""
        begun = [*self._ready]
        if self._rest is not None:
            batch, stop = self._rest
            begun += batch[stop:]
        self._drop()
        return begun

    def _drop(self) -> None:
        self._ready, self._rest = _NONE, None

    def _close(self) -> None:
        self._drop()
        self._source.close()
