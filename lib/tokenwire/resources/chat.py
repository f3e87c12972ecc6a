"""`client.chat.completions`: POST /chat/completions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from tokenwire.backends.sync import run
from tokenwire.exchange import Exchange
from tokenwire.families import chat
from tokenwire.helper_streams import AsyncChatCompletionStreamManager, ChatCompletionStreamManager
from tokenwire.pipeline import Family
from tokenwire.raw_response import APIResponse, areceive, receive
from tokenwire.resources.calls import Message, Sender, seen_twice, split
from tokenwire.settings import NOT_GIVEN, NotGiven
from tokenwire.streams import AsyncStream, Source, Stream

if TYPE_CHECKING:
    from tokenwire.families.chat_types import ChatCompletion, ChatCompletionChunk

__all__ = [
    "AsyncChat",
    "AsyncCompletions",
    "AsyncCompletionsWithRawResponse",
    "Chat",
    "Completions",
    "CompletionsWithRawResponse",
]

T = TypeVar("T")

_PATH = "/chat/completions"


def _split(params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    params, options = split(params)
    if params.pop("resume", None):
        raise TypeError("resume=True is for client.responses: a chat completion cannot be asked for again")
    return params, options


class _Calls:
    def __init__(self, client: Sender) -> None:
        self._client = client

    def _asked(self, stream: bool | None, params: dict[str, Any]) -> Exchange:
        params, options = _split(params)
        return self._client._exchange("POST", _PATH, params, stream=bool(stream), **options)

    def _helped(self, params: dict[str, Any]) -> tuple[Exchange, Family, chat.Helper]:
        """A `.stream()` call. Types among its arguments become schemas."""
        params, options = _split(params)
        params = seen_twice(params)
        helper = chat.Helper(response_format=params.get("response_format"), tools=params.get("tools"))
        exchange = self._client._exchange("POST", _PATH, chat.prepare(params), stream=True, **options)
        return exchange, chat, helper


# -- async ---------------------------------------------------------------------


class AsyncChat:
    """`client.chat`"""

    def __init__(self, client: Sender) -> None:
        self.completions = AsyncCompletions(client)


class AsyncCompletions(_Calls):
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

        params: any field of the API, sent as it is; and extra_headers, extra_query,
        extra_body, timeout. Raises APIError and its kin. A checkpoint; cancelled, the
        connection is closed.
        """
        exchange = self._asked(stream, {"model": model, "messages": messages, **params})
        if stream:
            await exchange.open()
            return AsyncStream(Source(exchange, chat))
        return cast("ChatCompletion", await exchange.whole(chat))

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

        response_format may be a type, tools may be functions or types; see families/parsing.py.
        """
        return AsyncChatCompletionStreamManager(*self._helped({"model": model, "messages": messages, **params}))


class AsyncCompletionsWithRawResponse(_Calls):
    """`client.chat.completions.with_raw_response`"""

    @overload
    async def create(
        self, *, messages: Iterable[Message], model: str, stream: Literal[True], **params: Any
    ) -> APIResponse[AsyncStream[ChatCompletionChunk]]: ...
    @overload
    async def create(
        self, *, messages: Iterable[Message], model: str, stream: Literal[False] | None = None, **params: Any
    ) -> APIResponse[ChatCompletion]: ...
    @overload
    async def create(
        self, *, messages: Iterable[Message], model: str, stream: bool | None, **params: Any
    ) -> APIResponse[ChatCompletion | AsyncStream[ChatCompletionChunk]]: ...
    async def create(
        self, *, messages: Iterable[Message], model: str, stream: bool | None = None, **params: Any
    ) -> APIResponse[Any]:
        """As AsyncCompletions.create."""
        return await areceive(self._asked(stream, {"model": model, "messages": messages, **params}), chat, stream)


# -- sync ----------------------------------------------------------------------


class Chat:
    """`client.chat`"""

    def __init__(self, client: Sender) -> None:
        self.completions = Completions(client)


class Completions(_Calls):
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


class CompletionsWithRawResponse(_Calls):
    """`client.chat.completions.with_raw_response`"""

    @overload
    def create(
        self, *, messages: Iterable[Message], model: str, stream: Literal[True], **params: Any
    ) -> APIResponse[Stream[ChatCompletionChunk]]: ...
    @overload
    def create(
        self, *, messages: Iterable[Message], model: str, stream: Literal[False] | None = None, **params: Any
    ) -> APIResponse[ChatCompletion]: ...
    @overload
    def create(
        self, *, messages: Iterable[Message], model: str, stream: bool | None, **params: Any
    ) -> APIResponse[ChatCompletion | Stream[ChatCompletionChunk]]: ...
    def create(
        self, *, messages: Iterable[Message], model: str, stream: bool | None = None, **params: Any
    ) -> APIResponse[Any]:
        """As AsyncCompletions.create."""
        return receive(self._asked(stream, {"model": model, "messages": messages, **params}), chat, stream)
