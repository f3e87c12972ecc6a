"""`with_raw_response` of each resource: the same calls, with the HTTP around their answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from tokenwire.families import chat, responses
from tokenwire.raw_response import APIResponse, areceive, receive
from tokenwire.resources.asked import ChatCalls, ResponsesCalls
from tokenwire.resources.calls import Message
from tokenwire.settings import NOT_GIVEN, NotGiven
from tokenwire.streams import AsyncStream, Stream

if TYPE_CHECKING:
    from tokenwire.families.chat_types import ChatCompletion, ChatCompletionChunk, ParsedChatCompletion
    from tokenwire.families.responses import ParsedResponse, Response, ResponseStreamEvent

__all__ = [
    "AsyncCompletionsWithRawResponse",
    "AsyncResponsesWithRawResponse",
    "CompletionsWithRawResponse",
    "ResponsesWithRawResponse",
]

T = TypeVar("T")


# -- async ---------------------------------------------------------------------


class AsyncCompletionsWithRawResponse(ChatCalls):
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

    @overload
    async def parse(
        self, *, messages: Iterable[Message], model: str, response_format: type[T], **params: Any
    ) -> APIResponse[ParsedChatCompletion[T]]: ...
    @overload
    async def parse(
        self,
        *,
        messages: Iterable[Message],
        model: str,
        response_format: Mapping[str, object] | NotGiven | None = NOT_GIVEN,
        **params: Any,
    ) -> APIResponse[ParsedChatCompletion[None]]: ...
    @overload
    async def parse(
        self, *, messages: Iterable[Message], model: str, response_format: object, **params: Any
    ) -> APIResponse[ParsedChatCompletion[Any]]: ...
    async def parse(
        self, *, messages: Iterable[Message], model: str, **params: Any
    ) -> APIResponse[ParsedChatCompletion[Any]]:
        """As AsyncCompletions.parse; read by `parse()` of what it returns."""
        exchange, read = self._to_parse({"model": model, "messages": messages, **params})
        return await areceive(exchange, chat, False, read)


class AsyncResponsesWithRawResponse(ResponsesCalls):
    """`client.responses.with_raw_response`"""

    @overload
    async def create(
        self, *, stream: Literal[True], **params: Any
    ) -> APIResponse[AsyncStream[ResponseStreamEvent]]: ...
    @overload
    async def create(self, *, stream: Literal[False] | None = None, **params: Any) -> APIResponse[Response]: ...
    @overload
    async def create(
        self, *, stream: bool | None, **params: Any
    ) -> APIResponse[Response | AsyncStream[ResponseStreamEvent]]: ...
    async def create(self, *, stream: bool | None = None, **params: Any) -> APIResponse[Any]:
        """As AsyncResponses.create."""
        return await areceive(self._asked(stream, params), responses, stream)

    @overload
    async def retrieve(
        self, response_id: str, *, stream: Literal[True], starting_after: int | None = None, **params: Any
    ) -> APIResponse[AsyncStream[ResponseStreamEvent]]: ...
    @overload
    async def retrieve(
        self,
        response_id: str,
        *,
        stream: Literal[False] | None = None,
        starting_after: int | None = None,
        **params: Any,
    ) -> APIResponse[Response]: ...
    @overload
    async def retrieve(
        self, response_id: str, *, stream: bool | None, starting_after: int | None = None, **params: Any
    ) -> APIResponse[Response | AsyncStream[ResponseStreamEvent]]: ...
    async def retrieve(
        self, response_id: str, *, stream: bool | None = None, starting_after: int | None = None, **params: Any
    ) -> APIResponse[Any]:
        """As AsyncResponses.retrieve."""
        return await areceive(self._retrieved(response_id, stream, starting_after, params), responses, stream)

    async def cancel(self, response_id: str, **options: Any) -> APIResponse[Response]:
        """As AsyncResponses.cancel."""
        return await areceive(self._cancelled(response_id, options), responses, False)

    @overload
    async def parse(
        self,
        *,
        text_format: type[T],
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> APIResponse[ParsedResponse[T]]: ...
    @overload
    async def parse(
        self,
        *,
        text_format: NotGiven | None = NOT_GIVEN,
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> APIResponse[ParsedResponse[Any]]: ...
    @overload
    async def parse(
        self,
        *,
        text_format: object,
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> APIResponse[ParsedResponse[Any]]: ...
    async def parse(self, **params: Any) -> APIResponse[ParsedResponse[Any]]:
        """As AsyncResponses.parse; read by `parse()` of what it returns."""
        exchange, read = self._to_parse(params)
        return await areceive(exchange, responses, False, read)


# -- sync ----------------------------------------------------------------------


class CompletionsWithRawResponse(ChatCalls):
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

    @overload
    def parse(
        self, *, messages: Iterable[Message], model: str, response_format: type[T], **params: Any
    ) -> APIResponse[ParsedChatCompletion[T]]: ...
    @overload
    def parse(
        self,
        *,
        messages: Iterable[Message],
        model: str,
        response_format: Mapping[str, object] | NotGiven | None = NOT_GIVEN,
        **params: Any,
    ) -> APIResponse[ParsedChatCompletion[None]]: ...
    @overload
    def parse(
        self, *, messages: Iterable[Message], model: str, response_format: object, **params: Any
    ) -> APIResponse[ParsedChatCompletion[Any]]: ...
    def parse(
        self, *, messages: Iterable[Message], model: str, **params: Any
    ) -> APIResponse[ParsedChatCompletion[Any]]:
        """As AsyncCompletions.parse; read by `parse()` of what it returns."""
        exchange, read = self._to_parse({"model": model, "messages": messages, **params})
        return receive(exchange, chat, False, read)


class ResponsesWithRawResponse(ResponsesCalls):
    """`client.responses.with_raw_response`"""

    @overload
    def create(self, *, stream: Literal[True], **params: Any) -> APIResponse[Stream[ResponseStreamEvent]]: ...
    @overload
    def create(self, *, stream: Literal[False] | None = None, **params: Any) -> APIResponse[Response]: ...
    @overload
    def create(
        self, *, stream: bool | None, **params: Any
    ) -> APIResponse[Response | Stream[ResponseStreamEvent]]: ...
    def create(self, *, stream: bool | None = None, **params: Any) -> APIResponse[Any]:
        """As AsyncResponses.create."""
        return receive(self._asked(stream, params), responses, stream)

    @overload
    def retrieve(
        self, response_id: str, *, stream: Literal[True], starting_after: int | None = None, **params: Any
    ) -> APIResponse[Stream[ResponseStreamEvent]]: ...
    @overload
    def retrieve(
        self,
        response_id: str,
        *,
        stream: Literal[False] | None = None,
        starting_after: int | None = None,
        **params: Any,
    ) -> APIResponse[Response]: ...
    @overload
    def retrieve(
        self, response_id: str, *, stream: bool | None, starting_after: int | None = None, **params: Any
    ) -> APIResponse[Response | Stream[ResponseStreamEvent]]: ...
    def retrieve(
        self, response_id: str, *, stream: bool | None = None, starting_after: int | None = None, **params: Any
    ) -> APIResponse[Any]:
        """As AsyncResponses.retrieve."""
        return receive(self._retrieved(response_id, stream, starting_after, params), responses, stream)

    def cancel(self, response_id: str, **options: Any) -> APIResponse[Response]:
        """As AsyncResponses.cancel."""
        return receive(self._cancelled(response_id, options), responses, False)

    @overload
    def parse(
        self,
        *,
        text_format: type[T],
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> APIResponse[ParsedResponse[T]]: ...
    @overload
    def parse(
        self,
        *,
        text_format: NotGiven | None = NOT_GIVEN,
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> APIResponse[ParsedResponse[Any]]: ...
    @overload
    def parse(
        self,
        *,
        text_format: object,
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> APIResponse[ParsedResponse[Any]]: ...
    def parse(self, **params: Any) -> APIResponse[ParsedResponse[Any]]:
        """As AsyncResponses.parse; read by `parse()` of what it returns."""
        exchange, read = self._to_parse(params)
        return receive(exchange, responses, False, read)
