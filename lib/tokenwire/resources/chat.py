"""`client.chat.completions`: POST /chat/completions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from tokenwire.backends.sync import run
from tokenwire.families import chat
from tokenwire.helper_streams import AsyncChatCompletionStreamManager, ChatCompletionStreamManager
from tokenwire.resources.asked import ChatCalls
from tokenwire.resources.calls import Message, Sender
from tokenwire.resources.raw import AsyncCompletionsWithRawResponse, CompletionsWithRawResponse
from tokenwire.settings import NOT_GIVEN, NotGiven
from tokenwire.source import Source
from tokenwire.streams import AsyncStream, Stream

if TYPE_CHECKING:
    from tokenwire.families.chat_types import ChatCompletion, ChatCompletionChunk, ParsedChatCompletion

__all__ = ["AsyncChat", "AsyncCompletions", "Chat", "Completions"]

T = TypeVar("T")


# -- async ---------------------------------------------------------------------


class AsyncChat:
    """`client.chat`"""

    def __init__(self, client: Sender) -> None:
        self.completions = AsyncCompletions(client)


class AsyncCompletions(ChatCalls):
    """`client.chat.completions`: POST /chat/completions."""

    @property
    def with_raw_response(self) -> AsyncCompletionsWithRawResponse:
        """The same calls, which give the whole HTTP response: status, headers, and `parse()`."""
        return AsyncCompletionsWithRawResponse(self._client)

    @overload
    async def create(
        self, *, messages: Iterable[Message], model: str, stream: Literal[True], **params: Any
    ) -> AsyncStream[ChatCompletionChunk]: ...
    @overload
    async def create(
        self, *, messages: Iterable[Message], model: str, stream: Literal[False] | None = None, **params: Any
    ) -> ChatCompletion: ...
    @overload
    async def create(
        self, *, messages: Iterable[Message], model: str, stream: bool | None, **params: Any
    ) -> ChatCompletion | AsyncStream[ChatCompletionChunk]: ...
    async def create(
        self, *, messages: Iterable[Message], model: str, stream: bool | None = None, **params: Any
    ) -> ChatCompletion | AsyncStream[ChatCompletionChunk]:
        """Ask for a completion: as a stream of chunks, or whole.

        params: any field of the API, sent as it is; and extra_headers, extra_query, extra_body, timeout
        (Timeouts, or seconds), coalesce (seconds). The answer's head is awaited, with stream=False all of it.
        Raises APIStatusError for a status of 300 or more, APIConnectionError and its kin where there was no whole
        answer, TypeError for a body that is no JSON, LocalProtocolError for what HTTP cannot carry, ValueError for
        a bad timeout or coalesce. A checkpoint; cancelled, the connection is closed.
        """
        exchange = self._asked(stream, {"model": model, "messages": messages, **params})
        if stream:
            await exchange.open()
            return AsyncStream(Source(exchange, chat))
        return cast("ChatCompletion", await exchange.whole(chat))

    @overload
    async def parse(
        self, *, messages: Iterable[Message], model: str, response_format: type[T], **params: Any
    ) -> ParsedChatCompletion[T]: ...
    @overload
    async def parse(
        self,
        *,
        messages: Iterable[Message],
        model: str,
        response_format: Mapping[str, object] | NotGiven | None = NOT_GIVEN,
        **params: Any,
    ) -> ParsedChatCompletion[None]: ...
    @overload
    async def parse(
        self, *, messages: Iterable[Message], model: str, response_format: object, **params: Any
    ) -> ParsedChatCompletion[Any]: ...
    async def parse(self, *, messages: Iterable[Message], model: str, **params: Any) -> ParsedChatCompletion[Any]:
        """A whole completion whose content is read as `response_format`, and its calls' arguments by their tools.

        Both may be types, tools also functions; see families/parsing.py. Raises as `create`, and
        LengthFinishReasonError, ContentFilterFinishReasonError and what the type's own library raises where
        there is nothing to read. A checkpoint, as `create`.
        """
        exchange, read = self._to_parse({"model": model, "messages": messages, **params})
        return cast("ParsedChatCompletion[Any]", read(await exchange.whole(chat)))

    @overload
    def stream(
        self, *, messages: Iterable[Message], model: str, response_format: type[T], **params: Any
    ) -> AsyncChatCompletionStreamManager[T]: ...
    @overload
    def stream(
        self,
        *,
        messages: Iterable[Message],
        model: str,
        response_format: Mapping[str, object] | NotGiven | None = NOT_GIVEN,
        **params: Any,
    ) -> AsyncChatCompletionStreamManager[None]: ...
    @overload
    def stream(
        self, *, messages: Iterable[Message], model: str, response_format: object, **params: Any
    ) -> AsyncChatCompletionStreamManager[Any]: ...
    def stream(
        self, *, messages: Iterable[Message], model: str, **params: Any
    ) -> AsyncChatCompletionStreamManager[Any]:
        """A context manager whose stream yields the helper's events: `content.delta` and its kin.

        Nothing is sent before it is entered. response_format may be a type, tools may be functions or
        types; see families/parsing.py.
        """
        return AsyncChatCompletionStreamManager(*self._helped({"model": model, "messages": messages, **params}))


# -- sync ----------------------------------------------------------------------


class Chat:
    """`client.chat`"""

    def __init__(self, client: Sender) -> None:
        self.completions = Completions(client)


class Completions(ChatCalls):
    """`client.chat.completions`: POST /chat/completions."""

    @property
    def with_raw_response(self) -> CompletionsWithRawResponse:
        """As AsyncCompletions.with_raw_response."""
        return CompletionsWithRawResponse(self._client)

    @overload
    def create(
        self, *, messages: Iterable[Message], model: str, stream: Literal[True], **params: Any
    ) -> Stream[ChatCompletionChunk]: ...
    @overload
    def create(
        self, *, messages: Iterable[Message], model: str, stream: Literal[False] | None = None, **params: Any
    ) -> ChatCompletion: ...
    @overload
    def create(
        self, *, messages: Iterable[Message], model: str, stream: bool | None, **params: Any
    ) -> ChatCompletion | Stream[ChatCompletionChunk]: ...
    def create(
        self, *, messages: Iterable[Message], model: str, stream: bool | None = None, **params: Any
    ) -> ChatCompletion | Stream[ChatCompletionChunk]:
        """As AsyncCompletions.create."""
        exchange = self._asked(stream, {"model": model, "messages": messages, **params})
        if stream:
            run(exchange.open())
            return Stream(Source(exchange, chat))
        return cast("ChatCompletion", run(exchange.whole(chat)))

    @overload
    def parse(
        self, *, messages: Iterable[Message], model: str, response_format: type[T], **params: Any
    ) -> ParsedChatCompletion[T]: ...
    @overload
    def parse(
        self,
        *,
        messages: Iterable[Message],
        model: str,
        response_format: Mapping[str, object] | NotGiven | None = NOT_GIVEN,
        **params: Any,
    ) -> ParsedChatCompletion[None]: ...
    @overload
    def parse(
        self, *, messages: Iterable[Message], model: str, response_format: object, **params: Any
    ) -> ParsedChatCompletion[Any]: ...
    def parse(self, *, messages: Iterable[Message], model: str, **params: Any) -> ParsedChatCompletion[Any]:
        """As AsyncCompletions.parse."""
        exchange, read = self._to_parse({"model": model, "messages": messages, **params})
        return cast("ParsedChatCompletion[Any]", read(run(exchange.whole(chat))))

    @overload
    def stream(
        self, *, messages: Iterable[Message], model: str, response_format: type[T], **params: Any
    ) -> ChatCompletionStreamManager[T]: ...
    @overload
    def stream(
        self,
        *,
        messages: Iterable[Message],
        model: str,
        response_format: Mapping[str, object] | NotGiven | None = NOT_GIVEN,
        **params: Any,
    ) -> ChatCompletionStreamManager[None]: ...
    @overload
    def stream(
        self, *, messages: Iterable[Message], model: str, response_format: object, **params: Any
    ) -> ChatCompletionStreamManager[Any]: ...
    def stream(
        self, *, messages: Iterable[Message], model: str, **params: Any
    ) -> ChatCompletionStreamManager[Any]:
        """As AsyncCompletions.stream."""
        return ChatCompletionStreamManager(*self._helped({"model": model, "messages": messages, **params}))
