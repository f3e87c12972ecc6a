"""`client.responses`: POST /responses, GET /responses/{id}, POST /responses/{id}/cancel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload
from urllib.parse import quote

from tokenwire.backends.sync import run
from tokenwire.exchange import Exchange
from tokenwire.families import responses
from tokenwire.helper_streams import AsyncResponseStreamManager, ResponseStreamManager
from tokenwire.pipeline import Family
from tokenwire.raw_response import APIResponse, areceive, receive
from tokenwire.resources.calls import Message, Sender, seen_twice, split
from tokenwire.resume import ResumingExchange
from tokenwire.settings import NOT_GIVEN, NotGiven
from tokenwire.streams import AsyncStream, Source, Stream

if TYPE_CHECKING:
    from tokenwire.families.responses import Response, ResponseStreamEvent

__all__ = ["AsyncResponses", "AsyncResponsesWithRawResponse", "Responses", "ResponsesWithRawResponse"]

T = TypeVar("T")

_PATH = "/responses"


class _Calls:
    def __init__(self, client: Sender) -> None:
        self._client = client

    def _asked(self, stream: bool | None, params: dict[str, Any]) -> Exchange:
        params, options = split(params)
        resume = params.pop("resume", None)
        exchange = self._client._exchange("POST", _PATH, params, stream=bool(stream), **options)
        return self._resuming(exchange, stream, params, options) if resume else exchange

    def _resuming(
        self, first: Exchange, stream: bool | None, params: dict[str, Any], options: dict[str, Any]
    ) -> ResumingExchange:
        """A response that is created, as a stream that outlives its connections."""
        sent = {**params, **(options.get("extra_body") or {})}
        if not (stream and sent.get("background")):
            raise ValueError("resume=True needs stream=True and background=True: no other can be asked for again")
        asked = {name: value for name, value in options.items() if name != "extra_body"}
        if sent.get("include") is not None:
            asked["include"] = sent["include"]
        if isinstance(sent.get("stream_options"), Mapping) and "include_obfuscation" in sent["stream_options"]:
            asked["include_obfuscation"] = sent["stream_options"]["include_obfuscation"]
        return ResumingExchange(first, self._following(asked))

    def _following(self, params: dict[str, Any]) -> Callable[[str, int | None], Exchange]:
        """What asks for the rest of a response, with these parameters of `retrieve`."""
        return lambda response_id, after: self._retrieved(response_id, True, after, dict(params))

    def _helped(self, params: dict[str, Any]) -> tuple[Exchange, Family, responses.Helper]:
        """A `.stream()` call. Types among its arguments become schemas."""
        params, options = split(params)
        resume = params.pop("resume", None)
        params = seen_twice(params)
        helper = responses.Helper(text_format=params.get("text_format"), tools=params.get("tools"))
        exchange = self._client._exchange("POST", _PATH, responses.prepare(params), stream=True, **options)
        if resume:
            exchange = self._resuming(exchange, True, params, options)
        return exchange, responses, helper

    def _retrieved(self, response_id: str, stream: bool | None, after: int | None, params: dict[str, Any]) -> Exchange:
        params, options = split(params)
        resume = params.pop("resume", None)
        include, obfuscation = params.pop("include", None), params.pop("include_obfuscation", None)
        if params:
            raise TypeError(f"retrieve() got an unexpected keyword argument {next(iter(params))!r}")
        query: dict[str, object] = {}
        if stream:
            query["stream"] = "true"
        if after is not None:
            query["starting_after"] = after
        if include is not None:
            query["include[]"] = include = list(include)
        if obfuscation is not None:
            query["include_obfuscation"] = obfuscation
        exchange = self._client._exchange(
            "GET", _path_of(response_id), None, stream=bool(stream), query=query, **options
        )
        if not resume:
            return exchange
        if not stream:
            raise ValueError("resume=True needs stream=True")
        again = self._following({"include": include, "include_obfuscation": obfuscation, **options})
        return ResumingExchange(exchange, again, response_id=response_id, after=after)

    def _cancelled(self, response_id: str, options: dict[str, Any]) -> Exchange:
        return self._client._exchange("POST", _path_of(response_id, "/cancel"), None, stream=False, **options)


def _path_of(response_id: str, action: str = "") -> str:
    if response_id in ("", ".", ".."):  # a path of its own meaning, however it is quoted
        raise ValueError(f"not a response_id: {response_id!r}")
    return f"{_PATH}/{quote(response_id, safe='')}{action}"


# -- async ---------------------------------------------------------------------


class AsyncResponses(_Calls):
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

        text_format may be a type, tools may be functions or types; see families/parsing.py.
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

        starting_after: the sequence_number after which the stream begins; it goes to the server.
        params: include, include_obfuscation, resume (as `create`), and extra_headers, extra_query, timeout.
        """
        exchange = self._retrieved(response_id, stream, starting_after, params)
        if stream:
            await exchange.open()
            return AsyncStream(Source(exchange, responses))
        return cast("Response", await exchange.whole(responses))

    async def cancel(self, response_id: str, **options: Any) -> Response:
        """Cancel a background response."""
        return cast("Response", await self._cancelled(response_id, options).whole(responses))


class AsyncResponsesWithRawResponse(_Calls):
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


class Responses(_Calls):
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


class ResponsesWithRawResponse(_Calls):
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
