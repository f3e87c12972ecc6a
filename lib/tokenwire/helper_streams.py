"""What `.stream()` gives: streams of the helper's events, with the final object, and the managers around them.

T is the type that the answer is read as: what was given as response_format or
text_format, or None.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from tokenwire.backends.sync import run
from tokenwire.exchange import Exchange
from tokenwire.families.chat_events import ChatCompletionStreamEvent, ChunkEvent
from tokenwire.family import Family, Helper
from tokenwire.source import Source, StreamBase
from tokenwire.streams import AsyncStream, Stream

if TYPE_CHECKING:
    from tokenwire.families.chat_types import ParsedChatCompletion
    from tokenwire.families.responses import (
        ParsedResponse,
        ParsedResponseStreamEvent as _ResponseEvent,  # noqa: F401 - only type checkers can subscript it
    )

__all__ = [
    "AsyncChatCompletionStream",
    "AsyncChatCompletionStreamManager",
    "AsyncHelperStream",
    "AsyncResponseStream",
    "AsyncResponseStreamManager",
    "ChatCompletionStream",
    "ChatCompletionStreamManager",
    "HelperStream",
    "ResponseStream",
    "ResponseStreamManager",
]

E = TypeVar("E")
T = TypeVar("T")


def _current(stream: StreamBase[Any]) -> ParsedChatCompletion[Any]:
    """A chat stream's completion without the chunks that were read and not handed out yet."""
    ahead = next((event for event in stream._ahead() if type(event) is ChunkEvent), None)
    found: ParsedChatCompletion[Any] = stream._source.snapshot() if ahead is None else ahead._snapshot(ahead._at - 1)
    return found


# -- async ---------------------------------------------------------------------


class AsyncHelperStream(AsyncStream[E]):
    """A stream of a helper's events. As AsyncStream."""

    async def until_done(self) -> Self:
        """Consume what is left. A checkpoint at each read. Raises as iterating does."""
        self._source.choose("events")
        while await self._source.exchange.read():
            pass
        self._drop()
        return self

    async def _final(self) -> Any:
        await self.until_done()
        return self._source.final()


class AsyncChatCompletionStream(AsyncHelperStream[ChatCompletionStreamEvent[T]], Generic[T]):
    """`async for event in stream`: `content.delta` and its kin. As AsyncStream."""

    async def get_final_completion(self) -> ParsedChatCompletion[T]:
        """The whole ChatCompletion, `parsed` where a type was given; consumes what is left.

        A checkpoint at each read. Raises LengthFinishReasonError or ContentFilterFinishReasonError where a type
        was given and the answer could not be finished, what the type's own library raises where the answer does
        not fit it, and as iterating does: also StreamTruncatedError where that has raised already.
        """
        final: ParsedChatCompletion[T] = await self._final()
        return final

    @property
    def current_completion_snapshot(self) -> ParsedChatCompletion[T]:
        """The ChatCompletion as of the event that was handed out last: a value. Of all that was read: `snapshot`."""
        return _current(self)


class AsyncResponseStream(AsyncHelperStream["_ResponseEvent[T]"], Generic[T]):
    """`async for event in stream`: the wire's events, deltas with `snapshot`. As AsyncStream."""

    async def get_final_response(self) -> ParsedResponse[T]:
        """The whole Response, also after `incomplete` and `failed`; consumes what is left.

        A checkpoint at each read. Raises LengthFinishReasonError or ContentFilterFinishReasonError where a type
        was given and the answer could not be finished, what the type's own library raises where the answer does
        not fit it, and as iterating does: also StreamTruncatedError where that has raised already.
        """
        final: ParsedResponse[T] = await self._final()
        return final


# -- sync ----------------------------------------------------------------------


class HelperStream(Stream[E]):
    """A stream of a helper's events. As Stream."""

    def until_done(self) -> Self:
        """Consume what is left. Raises as iterating does."""
        self._source.choose("events")
        while run(self._source.exchange.read()):
            pass
        self._drop()
        return self


class ChatCompletionStream(HelperStream[ChatCompletionStreamEvent[T]], Generic[T]):
    """`for event in stream`: `content.delta` and its kin. As Stream."""

    def get_final_completion(self) -> ParsedChatCompletion[T]:
        """As AsyncChatCompletionStream.get_final_completion."""
        final: ParsedChatCompletion[T] = self.until_done()._source.final()
        return final

    @property
    def current_completion_snapshot(self) -> ParsedChatCompletion[T]:
        """The ChatCompletion as of the event that was handed out last: a value. Of all that was read: `snapshot`."""
        return _current(self)


class ResponseStream(HelperStream["_ResponseEvent[T]"], Generic[T]):
    """`for event in stream`: the wire's events, deltas with `snapshot`. As Stream."""

    def get_final_response(self) -> ParsedResponse[T]:
        """As AsyncResponseStream.get_final_response."""
        final: ParsedResponse[T] = self.until_done()._source.final()
        return final


# -- managers ------------------------------------------------------------------


class _Manager(Generic[T]):
    def __init__(self, exchange: Exchange, family: Family, helper: Helper) -> None:
        # Held here too: a stream that nobody names lives as long as the block.
        self._source: Source[Any] = Source(exchange, family, helper)


class _AsyncManager(_Manager[T]):
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.close()


class AsyncChatCompletionStreamManager(_AsyncManager[T]):
    """`async with` sends the request and gives the stream; leaving closes it, as AsyncStream.aclose.

    Entering is a checkpoint, and raises as `create` does; cancelled there, the connection is closed.
    """

    async def __aenter__(self) -> AsyncChatCompletionStream[T]:
        await self._source.exchange.open()
        return AsyncChatCompletionStream(self._source)


class AsyncResponseStreamManager(_AsyncManager[T]):
    """`async with` sends the request and gives the stream; leaving closes it, as AsyncStream.aclose.

    Entering is a checkpoint, and raises as `create` does; cancelled there, the connection is closed.
    """

    async def __aenter__(self) -> AsyncResponseStream[T]:
        await self._source.exchange.open()
        return AsyncResponseStream(self._source)


class _SyncManager(_Manager[T]):
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.close()


class ChatCompletionStreamManager(_SyncManager[T]):
    """`with` sends the request, and raises as `create` does; it gives the stream, and leaving closes that."""

    def __enter__(self) -> ChatCompletionStream[T]:
        run(self._source.exchange.open())
        return ChatCompletionStream(self._source)


class ResponseStreamManager(_SyncManager[T]):
    """`with` sends the request, and raises as `create` does; it gives the stream, and leaving closes that."""

    def __enter__(self) -> ResponseStream[T]:
        run(self._source.exchange.open())
        return ResponseStream(self._source)
