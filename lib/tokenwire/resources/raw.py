"""`with_raw_response` of each resource: the same calls, with the HTTP around their answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, overload

from tokenwire.families import chat, responses
from tokenwire.raw_response import APIResponse, areceive, receive
from tokenwire.resources.asked import ChatCalls, ResponsesCalls
from tokenwire.resources.calls import Message
from tokenwire.streams import AsyncStream, Stream

if TYPE_CHECKING:
    from tokenwire.families.chat_types import ChatCompletion, ChatCompletionChunk
    from tokenwire.families.responses import Response, ResponseStreamEvent

__all__ = [
    "AsyncCompletionsWithRawResponse",
    "AsyncResponsesWithRawResponse",
    "CompletionsWithRawResponse",
    "ResponsesWithRawResponse",
]


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
    async def retrieve(
        self, response_id: str, *, stream: bool | None = None, starting_after: int | None = None, **params: Any
    ) -> APIResponse[Any]:
        """As AsyncResponses.retrieve."""
        return await areceive(self._retrieved(response_id, stream, starting_after, params), responses, stream)

    async def cancel(self, response_id: str, **options: Any) -> APIResponse[Response]:
        """As AsyncResponses.cancel."""
        return await areceive(self._cancelled(response_id, options), responses, False)


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
    def retrieve(
        self, response_id: str, *, stream: bool | None = None, starting_after: int | None = None, **params: Any
    ) -> APIResponse[Any]:
        """As AsyncResponses.retrieve."""
        return receive(self._retrieved(response_id, stream, starting_after, params), responses, stream)

    def cancel(self, response_id: str, **options: Any) -> APIResponse[Response]:
        """As AsyncResponses.cancel."""
        return receive(self._cancelled(response_id, options), responses, False)
