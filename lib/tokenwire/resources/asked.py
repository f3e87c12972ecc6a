"""What a call asks for: its arguments made into an exchange, whoever drives it and whatever reads the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from tokenwire.exchange import Exchange
from tokenwire.families import chat, responses
from tokenwire.families.parsing import is_type, tool_params
from tokenwire.family import Family
from tokenwire.resources.calls import Sender, seen_twice, split
from tokenwire.resume import ResumingExchange

__all__ = ["ChatCalls", "ResponsesCalls"]

_CHAT: Final = "/chat/completions"
_RESPONSES: Final = "/responses"


# -- chat completions ------------------------------------------------------------


def _split(params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    params, options = split(params)
    if params.pop("resume", None):
        raise TypeError("resume=True is for client.responses: a chat completion cannot be asked for again")
    return params, options


def _nothing_to_parse(params: dict[str, Any], name: str) -> None:
    if is_type(params.get(name)):
        raise TypeError(f"create() reads no answer as a type: {name}={params[name]!r} is for parse() and stream()")


def _whole_only(params: dict[str, Any]) -> None:
    if params.pop("stream", None):
        raise TypeError("parse() gives whole objects: a stream is read as a type by stream()")
    if params.pop("resume", None):
        raise TypeError("parse() gives whole objects: resume=True is for streams")


class ChatCalls:
    """The calls of chat completions, for each face of them."""

    def __init__(self, client: Sender) -> None:
        self._client = client

    def _asked(self, stream: bool | None, params: dict[str, Any]) -> Exchange:
        params, options = _split(params)
        _nothing_to_parse(params, "response_format")
        if params.get("tools"):
            params["tools"] = tool_params(params["tools"], "chat")
        return self._client._exchange("POST", _CHAT, params, stream=bool(stream), **options)

    def _to_parse(self, params: dict[str, Any]) -> tuple[Exchange, Callable[[Any], Any]]:
        """A `.parse()` call: the exchange, and what makes the whole object a parsed one."""
        _whole_only(params)
        params, options = _split(params)
        params = seen_twice(params)
        response_format, tools = params.get("response_format"), params.get("tools")
        exchange = self._client._exchange("POST", _CHAT, chat.prepare(params), stream=False, **options)
        return exchange, lambda whole: chat.parse_whole(whole, response_format, tools)

    def _helped(self, params: dict[str, Any]) -> tuple[Exchange, Family, chat.Helper]:
        """A `.stream()` call. Types among its arguments become schemas."""
        params, options = _split(params)
        params = seen_twice(params)
        helper = chat.Helper(response_format=params.get("response_format"), tools=params.get("tools"))
        exchange = self._client._exchange("POST", _CHAT, chat.prepare(params), stream=True, **options)
        return exchange, chat, helper


# -- responses ------------------------------------------------------------------


class ResponsesCalls:
    """The calls of responses, for each face of them."""

    def __init__(self, client: Sender) -> None:
        self._client = client

    def _asked(self, stream: bool | None, params: dict[str, Any]) -> Exchange:
        params, options = split(params)
        _nothing_to_parse(params, "text_format")
        if params.get("tools"):
            params["tools"] = tool_params(params["tools"], "responses")
        resume = params.pop("resume", None)
        exchange = self._client._exchange("POST", _RESPONSES, params, stream=bool(stream), **options)
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

    def _to_parse(self, params: dict[str, Any]) -> tuple[Exchange, Callable[[Any], Any]]:
        """As ChatCalls._to_parse."""
        _whole_only(params)
        params, options = split(params)
        params = seen_twice(params)
        read_as = params.pop("parse_as", params.get("text_format"))
        tools = params.get("tools")
        exchange = self._client._exchange("POST", _RESPONSES, responses.prepare(params), stream=False, **options)
        return exchange, lambda whole: responses.parse_whole(whole, read_as, tools)

    def _helped(self, params: dict[str, Any]) -> tuple[Exchange, Family, responses.Helper]:
        """A `.stream()` call. Types among its arguments become schemas."""
        params, options = split(params)
        params = seen_twice(params)
        if params.get("response_id") is not None or params.get("starting_after") is not None:
            return self._followed(params, options)
        resume = params.pop("resume", None)
        helper = responses.Helper(text_format=params.get("text_format"), tools=params.get("tools"))
        exchange = self._client._exchange("POST", _RESPONSES, responses.prepare(params), stream=True, **options)
        if resume:
            exchange = self._resuming(exchange, True, params, options)
        return exchange, responses, helper

    def _followed(
        self, params: dict[str, Any], options: dict[str, Any]
    ) -> tuple[Exchange, Family, responses.Helper]:
        """A `.stream()` call for a response that was begun before."""
        response_id, after = params.pop("response_id", None), params.pop("starting_after", None)
        text_format, tools = params.pop("text_format", None), params.pop("tools", None)
        new = sorted(params.keys() - {"include", "include_obfuscation", "resume"})
        if new:
            raise ValueError(f"response_id= is of a response that there is: {', '.join(new)} would be for a new one")
        if response_id is None:
            raise ValueError("starting_after= is for a response that there is: give its response_id=, too")
        # All of it is asked for, and what came before is passed over here: else the snapshots would lack it.
        helper = responses.Helper(text_format=text_format, tools=tools, starting_after=after)
        return self._retrieved(response_id, True, None, {**params, **options}), responses, helper

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
            query["include"] = include = list(include)
        if obfuscation is not None:
            query["include_obfuscation"] = obfuscation
        exchange = self._client._exchange(
            "GET", _path_of(response_id), None, stream=bool(stream), query=query, rest=after is not None, **options
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
    if not isinstance(response_id, str) or response_id in ("", ".", ".."):  # a path of its own meaning, however quoted
        raise ValueError(f"not a response_id: {response_id!r}")
    return f"{_RESPONSES}/{quote(response_id, safe='')}{action}"
