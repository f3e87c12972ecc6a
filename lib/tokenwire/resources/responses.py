"""`client.responses`: POST /responses, GET /responses/{id}, POST /responses/{id}/cancel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from tokenwire.backends.sync import run
from tokenwire.families import responses
from tokenwire.helper_streams import AsyncResponseStreamManager, ResponseStreamManager
from tokenwire.resources.asked import ResponsesCalls
from tokenwire.resources.calls import Message
from tokenwire.resources.raw import AsyncResponsesWithRawResponse, ResponsesWithRawResponse
from tokenwire.settings import NOT_GIVEN, NotGiven
from tokenwire.source import Source
from tokenwire.streams import AsyncStream, Stream

if TYPE_CHECKING:
    from tokenwire.families.responses import ParsedResponse, Response, ResponseStreamEvent

__all__ = ["AsyncResponses", "Responses"]

T = TypeVar("T")


# -- async ---------------------------------------------------------------------


class AsyncResponses(ResponsesCalls):
    """`client.responses`: POST /responses, GET /responses/{id}."""

    @property
    def with_raw_response(self) -> AsyncResponsesWithRawResponse:
        """The same calls, which give the whole HTTP response: status, headers, and `parse()`."""
        return AsyncResponsesWithRawResponse(self._client)

    @overload
    async def create(
        self,
        *,
        stream: Literal[True],
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> AsyncStream[ResponseStreamEvent]: ...
    @overload
    async def create(
        self,
        *,
        stream: Literal[False] | None = None,
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> Response: ...
    @overload
    async def create(
        self,
        *,
        stream: bool | None,
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> Response | AsyncStream[ResponseStreamEvent]: ...
    async def create(
        self, *, stream: bool | None = None, **params: Any
    ) -> Response | AsyncStream[ResponseStreamEvent]:
        """Ask for a response: as a stream of events, or whole. As AsyncCompletions.create.

        resume: with stream=True and background=True, True lets the stream go on, behind the last event that
        came, where its connection breaks. See resume.py; where it cannot, the break is raised.
        """
        exchange = self._asked(stream, params)
        if stream:
            await exchange.open()
            return AsyncStream(Source(exchange, responses))
        return cast("Response", await exchange.whole(responses))

    @overload
    async def parse(
        self,
        *,
        text_format: type[T],
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> ParsedResponse[T]: ...
    @overload
    async def parse(
        self,
        *,
        text_format: NotGiven | None = NOT_GIVEN,
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> ParsedResponse[Any]: ...
    @overload
    async def parse(
        self,
        *,
        text_format: object,
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> ParsedResponse[Any]: ...
    async def parse(self, **params: Any) -> ParsedResponse[Any]:
        """A whole response whose text is read as `text_format` (`output_parsed`), and its calls' arguments by their
        tools. As AsyncCompletions.parse.

        parse_as: a type to read the text as in its place, which is not sent.
        """
        exchange, read = self._to_parse(params)
        return cast("ParsedResponse[Any]", read(await exchange.whole(responses)))

    @overload
    def stream(
        self,
        *,
        text_format: type[T],
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> AsyncResponseStreamManager[T]: ...
    @overload
    def stream(
        self,
        *,
        text_format: NotGiven | None = NOT_GIVEN,
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> AsyncResponseStreamManager[None]: ...
    @overload
    def stream(
        self,
        *,
        text_format: object,
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> AsyncResponseStreamManager[Any]: ...
    def stream(self, **params: Any) -> AsyncResponseStreamManager[Any]:
        """A context manager whose stream yields every event, with `snapshot` on text and argument deltas.

        Nothing is sent before it is entered. text_format may be a type, tools may be functions or
        types; see families/parsing.py. response_id: follow a response that was begun before, in place of a new
        one; starting_after: only its events after this sequence_number, with whole snapshots nevertheless.
        """
        return AsyncResponseStreamManager(*self._helped(params))

    @overload
    async def retrieve(
        self, response_id: str, *, stream: Literal[True], starting_after: int | None = None, **params: Any
    ) -> AsyncStream[ResponseStreamEvent]: ...
    @overload
    async def retrieve(
        self,
        response_id: str,
        *,
        stream: Literal[False] | None = None,
        starting_after: int | None = None,
        **params: Any,
    ) -> Response: ...
    @overload
    async def retrieve(
        self, response_id: str, *, stream: bool | None, starting_after: int | None = None, **params: Any
    ) -> Response | AsyncStream[ResponseStreamEvent]: ...
    async def retrieve(
        self, response_id: str, *, stream: bool | None = None, starting_after: int | None = None, **params: Any
    ) -> Response | AsyncStream[ResponseStreamEvent]:
        """A response that was made before: whole, or as a stream.

        starting_after: the sequence_number after which the stream begins; it goes to the server. Where that was
        the last, a server that says so by `[DONE]` ends it without an event; an empty answer is a cut one.
        params: include, include_obfuscation, resume (as `create`), and extra_headers, extra_query, extra_body, timeout,
        coalesce.
        Raises as `create` does: NotFoundError where the server keeps no such response. A checkpoint.
        """
        exchange = self._retrieved(response_id, stream, starting_after, params)
        if stream:
            await exchange.open()
            return AsyncStream(Source(exchange, responses))
        return cast("Response", await exchange.whole(responses))

    async def cancel(self, response_id: str, **options: Any) -> Response:
        """Cancel a background response, and return it as it then stands.

        options: extra_headers, extra_query, extra_body, timeout. Raises as `retrieve` does. A checkpoint.
        """
        return cast("Response", await self._cancelled(response_id, options).whole(responses))


# -- sync ----------------------------------------------------------------------


class Responses(ResponsesCalls):
    """`client.responses`: POST /responses, GET /responses/{id}."""

    @property
    def with_raw_response(self) -> ResponsesWithRawResponse:
        """As AsyncResponses.with_raw_response."""
        return ResponsesWithRawResponse(self._client)

    @overload
    def create(
        self,
        *,
        stream: Literal[True],
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> Stream[ResponseStreamEvent]: ...
    @overload
    def create(
        self,
        *,
        stream: Literal[False] | None = None,
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> Response: ...
    @overload
    def create(
        self,
        *,
        stream: bool | None,
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> Response | Stream[ResponseStreamEvent]: ...
    def create(self, *, stream: bool | None = None, **params: Any) -> Response | Stream[ResponseStreamEvent]:
        """As AsyncResponses.create."""
        exchange = self._asked(stream, params)
        if stream:
            run(exchange.open())
            return Stream(Source(exchange, responses))
        return cast("Response", run(exchange.whole(responses)))

    @overload
    def parse(
        self,
        *,
        text_format: type[T],
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> ParsedResponse[T]: ...
    @overload
    def parse(
        self,
        *,
        text_format: NotGiven | None = NOT_GIVEN,
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> ParsedResponse[Any]: ...
    @overload
    def parse(
        self,
        *,
        text_format: object,
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> ParsedResponse[Any]: ...
    def parse(self, **params: Any) -> ParsedResponse[Any]:
        """As AsyncResponses.parse."""
        exchange, read = self._to_parse(params)
        return cast("ParsedResponse[Any]", read(run(exchange.whole(responses))))

    @overload
    def stream(
        self,
        *,
        text_format: type[T],
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> ResponseStreamManager[T]: ...
    @overload
    def stream(
        self,
        *,
        text_format: NotGiven | None = NOT_GIVEN,
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> ResponseStreamManager[None]: ...
    @overload
    def stream(
        self,
        *,
        text_format: object,
        input: str | Iterable[Message] | NotGiven = NOT_GIVEN,
        model: str | NotGiven = NOT_GIVEN,
        **params: Any,
    ) -> ResponseStreamManager[Any]: ...
    def stream(self, **params: Any) -> ResponseStreamManager[Any]:
        """As AsyncResponses.stream."""
        return ResponseStreamManager(*self._helped(params))

    @overload
    def retrieve(
        self, response_id: str, *, stream: Literal[True], starting_after: int | None = None, **params: Any
    ) -> Stream[ResponseStreamEvent]: ...
    @overload
    def retrieve(
        self,
        response_id: str,
        *,
        stream: Literal[False] | None = None,
        starting_after: int | None = None,
        **params: Any,
    ) -> Response: ...
    @overload
    def retrieve(
        self, response_id: str, *, stream: bool | None, starting_after: int | None = None, **params: Any
    ) -> Response | Stream[ResponseStreamEvent]: ...
    def retrieve(
        self, response_id: str, *, stream: bool | None = None, starting_after: int | None = None, **params: Any
    ) -> Response | Stream[ResponseStreamEvent]:
        """As AsyncResponses.retrieve."""
        exchange = self._retrieved(response_id, stream, starting_after, params)
        if stream:
            run(exchange.open())
            return Stream(Source(exchange, responses))
        return cast("Response", run(exchange.whole(responses)))

    def cancel(self, response_id: str, **options: Any) -> Response:
        """As AsyncResponses.cancel."""
        return cast("Response", run(self._cancelled(response_id, options).whole(responses)))
