"""Streams: what the user iterates, in two colours over one core.

Theory of operation. `Source` is the core: one exchange, its reading mode, its one
consumer. It is written once, with `async`; AsyncStream awaits it, and Stream drives
the very same coroutines over the sync backend, where they never suspend, once per
socket read and not once per event.

Events are handed out of a plain list iterator, so the cost of an event is that of
one `__anext__` (or `__next__`). All iterators are classes: an async generator that is
left early is closed by nobody in particular, and these need no closing but their
source's. A source that is dropped closes its connection at once.

Checkpoints: `batches()` is one read, and one checkpoint, per batch. Per-event
iteration has a checkpoint at each read and at least every 256 events, so that a
firehose cannot starve its neighbours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from tokenwire.backends.sync import run
from tokenwire.errors import BusyResourceError, StreamConsumedError, StreamTruncatedError
from tokenwire.exchange import Exchange
from tokenwire.family import Family, Helper
from tokenwire.stats import Stats
from tokenwire.wire.heads import ResponseHead
from tokenwire.wire.sse import ServerSentEvent

__all__ = ["AsyncStream", "Source", "Stream"]

E = TypeVar("E")

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


class _StreamBase(Generic[E]):
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

    @property
    def snapshot(self) -> Any:
        """What the events read so far add up to: a ChatCompletion or a Response; None before the first read.

        Events count from the moment they were read off the socket, which may be a
        little before they are handed out.
        """
        return self._source.snapshot()

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


# -- async ---------------------------------------------------------------------


class AsyncStream(_StreamBase[E]):
    """A streamed response: `async for event in stream`.

    One consumer; a second one gets BusyResourceError. Iterating raises, after every
    event that arrived was delivered: StreamTruncatedError where the stream was cut,
    APIError where the server reported an error in it, APITimeoutError where a clock of
    Timeouts ran out. A checkpoint at each read and at least every 256 events.
    Cancelled, the connection is closed and the stream is over: read again, it raises StreamConsumedError. So
    a deadline is for the whole loop; one for each event is Timeouts.event.
    """

    __slots__ = ()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        for event in self._ready:
            return event
        source = self._source
        if self._rest is not None:
            try:
                await source.exchange.checkpoint()
            except BusyResourceError:
                raise
            except BaseException:
                self._drop()
                raise
            rest, self._rest = self._rest, None
            if rest is not None:  # else it was closed meanwhile
                return self._slice(*rest)  # type: ignore[return-value] # a batch is never empty
        if source.mode != "events":
            source.choose("events")
        batch: list[E] = await source.exchange.read()
        if len(batch) == 1:  # a token a read, as models send them
            return batch[0]
        if not batch:
            raise StopAsyncIteration
        return self._slice(batch, 0)  # type: ignore[return-value]

    def batches(self) -> AsyncIterator[list[E]]:
        """One list of events per socket read: the fastest loop. One true checkpoint each."""
        self._source.choose("events")
        return _AsyncBatches(self)

    def text(self) -> AsyncIterator[str]:
        """Just the text deltas, the same for both families. Checkpoints as per-event iteration."""
        return _AsyncText(self)

    def raw(self) -> AsyncIterator[ServerSentEvent]:
        """Server-sent events undecoded, for relays and recorders, `[DONE]` included.

        Zero-copy: `data` is a memoryview that is true until the next step. Only the
        framing is judged: StreamTruncatedError where HTTP itself tells of a cut.
        """
        self._source.choose("raw")
        return _AsyncRaw(self)

    async def aclose(self) -> None:
        """Close: the connection is kept where the response was over, else closed at once. Idempotent.

        Not a checkpoint: nothing in it waits. Read before its end and then closed, the stream raises
        StreamConsumedError when it is read again.
        """
        self._close()

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


class _AsyncBatches(Generic[E]):
    def __init__(self, stream: AsyncStream[E]) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[E]:
        stream = self._stream
        begun = stream._begun()
        if begun:  # per-event iteration came before
            return begun
        batch: list[E] = await stream._source.exchange.read()
        if not batch:
            raise StopAsyncIteration
        return batch


class _AsyncText(Generic[E]):
    def __init__(self, stream: AsyncStream[E]) -> None:
        self._stream = stream
        self._text = stream._source.text_of()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        while True:
            text = self._text(await self._stream.__anext__())
            if text:
                return text


class _AsyncRaw(Generic[E]):
    def __init__(self, stream: AsyncStream[E]) -> None:
        self._stream = stream
        self._ready: Iterator[ServerSentEvent] = iter(())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ServerSentEvent:
        for event in self._ready:
            return event
        batch = await self._stream._source.exchange.read()
        if not batch:
            raise StopAsyncIteration
        self._ready = iter(batch)
        return next(self._ready)


# -- sync ----------------------------------------------------------------------


class Stream(_StreamBase[E]):
    """A streamed response: `for event in stream`. As AsyncStream, for blocking code."""

    __slots__ = ()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> E:
        for event in self._ready:
            return event
        source = self._source
        if source.mode != "events":
            source.choose("events")
        batch: list[E] = run(source.exchange.read())
        if len(batch) == 1:
            return batch[0]
        if not batch:
            raise StopIteration
        self._ready = iter(batch)
        return next(self._ready)

    def batches(self) -> Iterator[list[E]]:
        """One list of events per socket read: the fastest loop."""
        self._source.choose("events")
        return _Batches(self)

    def text(self) -> Iterator[str]:
        """Just the text deltas, the same for both families."""
        return filter(None, map(self._source.text_of(), self))

    def raw(self) -> Iterator[ServerSentEvent]:
        """Server-sent events undecoded. As AsyncStream.raw."""
        self._source.choose("raw")
        return _Raw(self)

    def close(self) -> None:
        """Close: the connection is kept where the response was over, else closed at once. Idempotent.

        Read before its end and then closed, it raises StreamConsumedError when it is read again.
        """
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


class _Batches(Generic[E]):
    def __init__(self, stream: Stream[E]) -> None:
        self._stream = stream

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[E]:
        stream = self._stream
        begun = stream._begun()
        if begun:  # per-event iteration came before
            return begun
        batch: list[E] = run(stream._source.exchange.read())
        if not batch:
            raise StopIteration
        return batch


class _Raw(Generic[E]):
    def __init__(self, stream: Stream[E]) -> None:
        self._stream = stream
        self._ready: Iterator[ServerSentEvent] = iter(())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ServerSentEvent:
        for event in self._ready:
            return event
        batch = run(self._stream._source.exchange.read())
        if not batch:
            raise StopIteration
        self._ready = iter(batch)
        return next(self._ready)
