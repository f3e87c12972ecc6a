"""Streams: what the user iterates, in two colours over one core.

Theory of operation. `Source` is the core (source.py). It is written once, with `async`;
AsyncStream awaits it, and Stream drives the very same coroutines over the sync backend,
where they never suspend, once per socket read and not once per event.

Events are handed out of a plain list iterator, so the cost of an event is that of
one `__anext__` (or `__next__`). All iterators are classes: an async generator that is
left early is closed by nobody in particular, and these need no closing but their
source's. A source that is dropped closes its connection at once.

Checkpoints: `batches()` is one read, and one checkpoint, per batch. Per-event
iteration has a checkpoint at each read and at least every 256 events, so that a
firehose cannot starve its neighbours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from tokenwire.backends.sync import run
from tokenwire.errors import BusyResourceError
from tokenwire.source import StreamBase
from tokenwire.wire.sse import ServerSentEvent

__all__ = ["AsyncStream", "Stream"]

E = TypeVar("E")


# -- async ---------------------------------------------------------------------


class AsyncStream(StreamBase[E]):
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

        Not a checkpoint: nothing in it waits. Closed before its end, the stream raises StreamConsumedError at the
        next read.
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


class Stream(StreamBase[E]):
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

        Closed before its end, it raises StreamConsumedError at the next read.
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
