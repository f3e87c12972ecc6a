"""A request body, read into a Request, or refused in the words of the official API.

Fields that we know must have their type; those that we do not know pass through,
in `parameters` and `body`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from tokenwire.families.depth import DEEPEST, SHALLOW, too_deep
from tokenwire.server.checks import as_object, count, invalid, kind_of, missing, name_of, typed
from tokenwire.server.problem import RequestError
from tokenwire.server.request import Clock, Family, Message, Request, Tool
from tokenwire.server.turns import message, turns

__all__ = ["Keeps", "read_request"]

Keeps: TypeAlias = Literal["none", "asked", "all"]

# Fields that attributes of Request cover; the others are its parameters.
_BOTH = {"model", "tools", "tool_choice", "parallel_tool_calls", "stream", "stream_options"}
_COVERED = {
    "chat": _BOTH
    | {"messages", "response_format", "reasoning_effort", "max_tokens", "max_completion_tokens", "n"},
    "responses": _BOTH
    | {"input", "instructions", "text", "reasoning", "max_output_tokens", "background", "store"},
}

# What the official API admits in those of the parameters that it knows too.
_KINDS: Mapping[Family, Mapping[str, tuple[type, ...]]] = {
    "chat": {
        "frequency_penalty": (float,),
        "logit_bias": (dict,),
        "logprobs": (bool,),
        "metadata": (dict,),
        "presence_penalty": (float,),
        "seed": (int,),
        "service_tier": (str,),
        "stop": (str, list),
        "store": (bool,),
        "temperature": (float,),
        "top_logprobs": (int,),
        "top_p": (float,),
        "user": (str,),
    },
    "responses": {
        "include": (list,),
        "max_tool_calls": (int,),
        "metadata": (dict,),
        "service_tier": (str,),
        "stream_options": (dict,),
        "temperature": (float,),
        "top_logprobs": (int,),
        "top_p": (float,),
        "truncation": (str,),
        "user": (str,),
    },
}


def read_request(
    family: Family,
    payload: bytes | bytearray,
    *,
    headers: Mapping[str, str],
    max_choices: int = 1,
    keeps: Keeps = "none",
    clock: Clock | None = None,
) -> Request:
    """Read one request body. headers: by lower-case name.

    max_choices: the largest `n` that the handler serves. keeps: which responses the endpoint
    keeps: none, those that ask for it (`store`, `background`), or all that do not decline it.
    Raises RequestError (400, or 415 for a body that does not call itself JSON).
    """
    media = headers.get("content-type")
    if media is not None and media.partition(";")[0].strip().lower() != "application/json":
        raise RequestError(
            415,
            f"Unsupported content type: '{media[:80]}'. This API method only accepts 'application/json'.",
            code="unsupported_content_type",
        )
    coding = headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity"):
        raise RequestError(
            415,
            f"Unsupported content encoding: '{coding[:80]}'. This API takes bodies as they are.",
            code="unsupported_content_encoding",
        )
    body = _read_json(payload)
    for name in ("model", "messages" if family == "chat" else "input"):
        if body.get(name) is None:
            raise missing(name)
    model = typed(body, "model", str)
    if not model:
        raise invalid("model", "empty_string", "Invalid 'model': empty string.")
    fields: dict[str, Any] = {
        "family": family,
        "model": model,
        "stream": bool(typed(body, "stream", bool)),
        "parallel_tool_calls": typed(body, "parallel_tool_calls", bool) is not False,
        "parameters": {key: value for key, value in body.items() if key not in _COVERED[family]},
        "body": body,
        "headers": headers,
        "clock": clock,
    }
    for name, kinds in _KINDS[family].items():
        typed(body, name, *kinds)
    _read_tools(body, fields)
    if family == "chat":
        _read_chat(body, fields, max_choices)
    else:
        _read_responses(body, fields)
        _read_store(body, fields, keeps)
    messages: tuple[Message, ...] = fields["messages"]
    fields["instructions"] = "\n\n".join(
        m.text for m in messages if m.role in ("system", "developer") and m.text
    )
    return Request(**fields)


def _read_json(payload: bytes | bytearray) -> dict[str, Any]:
    # What only just can be read cannot be laid out again in the answer, which tells of the request.
    if len(payload) > SHALLOW and too_deep(payload):
        raise RequestError(
            400,
            f"We could not parse the JSON body of your request: it nests deeper than {DEEPEST} levels.",
            code="invalid_json",
        )
    try:
        body = msgspec.json.decode(payload)
    # A lone surrogate and broken UTF-8 are ValueErrors; what nests deep and is no JSON is a RecursionError.
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise RequestError(
            400, f"We could not parse the JSON body of your request: {error}.", code="invalid_json"
        ) from None
    if not isinstance(body, dict):
        raise RequestError(
            400, f"Invalid body: expected a JSON object, but got {name_of(body)} instead.", code="invalid_type"
        )
    return body


def _read_chat(body: dict[str, Any], fields: dict[str, Any], max_choices: int) -> None:
    messages = typed(body, "messages", list)
    if not messages:
        raise invalid(
            "messages", "empty_array", "Invalid 'messages': empty array. Expected at least one message."
        )
    fields["messages"] = tuple(message(item, f"messages[{k}]") for k, item in enumerate(messages))
    n = count(body, "n")
    if n is not None:
        if n > max_choices:
            raise invalid(
                "n",
                "integer_above_max_value",
                f"Invalid 'n': this endpoint answers with at most {max_choices} choice"
                f"{'s' if max_choices > 1 else ''}, but got {n} instead.",
            )
        fields["n"] = n
    options = typed(body, "stream_options", dict) or {}
    fields["include_usage"] = bool(typed(options, "include_usage", bool, "stream_options."))
    old, new = count(body, "max_tokens"), count(body, "max_completion_tokens")
    fields["max_tokens"] = old if new is None else new
    fields["reasoning"] = _effort(typed(body, "reasoning_effort", str))
    wanted = typed(body, "response_format", dict)
    if wanted is not None:
        _read_format(
            wanted, typed(wanted, "json_schema", dict, "response_format."), "response_format", fields
        )


def _read_responses(body: dict[str, Any], fields: dict[str, Any]) -> None:
    given = typed(body, "input", str, list)
    messages = [Message(role="user", text=given)] if isinstance(given, str) else turns(given)
    instructions = typed(body, "instructions", str)
    if instructions:
        messages.insert(0, Message(role="system", text=instructions))
    fields["messages"] = tuple(messages)
    fields["max_tokens"] = count(body, "max_output_tokens")
    reasoning = typed(body, "reasoning", dict) or {}
    fields["reasoning"] = _effort(typed(reasoning, "effort", str, "reasoning."))
    fields["reasoning_summary"] = typed(reasoning, "summary", str, "reasoning.")
    text = typed(body, "text", dict) or {}
    wanted = typed(text, "format", dict, "text.")
    if wanted is not None:
        _read_format(wanted, wanted, "text.format", fields)
    # No conversation is kept between requests, so this can only be refused; silence would lose what was said.
    previous = typed(body, "previous_response_id", str)
    if previous is not None:
        raise invalid(
            "previous_response_id",
            "previous_response_not_found",
            f"Previous response with id '{previous}' not found.",
        )


def _read_store(body: dict[str, Any], fields: dict[str, Any], keeps: Keeps) -> None:
    background, store = bool(typed(body, "background", bool)), typed(body, "store", bool)
    if background and keeps == "none":
        raise invalid(
            "background", "unsupported_value", "This endpoint does not run responses in the background."
        )
    if background and store is False:
        raise invalid(
            "background",
            "invalid_value",
            "A response in the background must be stored: 'store' must not be false where 'background' is true.",
        )
    fields["background"] = background
    fields["store"] = background or (keeps != "none" and (store or (store is None and keeps == "all")))


def _effort(value: str | None) -> str | None:
    return None if value == "none" else value


def _read_format(
    wanted: dict[str, Any], spec: dict[str, Any] | None, path: str, fields: dict[str, Any]
) -> None:
    kind = typed(wanted, "type", str, path + ".")
    if kind not in ("text", "json_object", "json_schema"):
        raise invalid(
            path + ".type",
            "invalid_value",
            f"Invalid value: '{kind}'. Supported values are: 'text', 'json_object', and 'json_schema'.",
        )
    fields["format"] = kind
    if kind == "json_schema":
        if path == "response_format":
            path += ".json_schema"
        schema = typed(spec or {}, "schema", dict, path + ".")
        if schema is None:
            raise missing(path + ".schema")
        fields["schema"] = schema
        fields["schema_name"] = typed(spec or {}, "name", str, path + ".")


def _read_tools(body: dict[str, Any], fields: dict[str, Any]) -> None:
    tools = []
    for k, item in enumerate(typed(body, "tools", list) or []):
        path = f"tools[{k}]"
        entry = as_object(item, path)
        if kind_of(entry, path) != "function":
            continue
        # Chat nests the function, Responses does not.
        inner = typed(entry, "function", dict, path + ".")
        if inner is not None:
            entry, path = inner, path + ".function"
        name = typed(entry, "name", str, path + ".")
        if not name:
            raise missing(path + ".name")
        tools.append(
            Tool(
                name=name,
                description=typed(entry, "description", str, path + ".") or "",
                schema=typed(entry, "parameters", dict, path + ".") or {},
                strict=bool(typed(entry, "strict", bool, path + ".")),
            )
        )
    fields["tools"] = tuple(tools)
    choice = typed(body, "tool_choice", str, dict)
    if choice is None:
        return
    if isinstance(choice, dict):
        kind = kind_of(choice, "tool_choice")
        # Chat nests what is chosen, Responses does not.
        inner = typed(choice, kind, dict, "tool_choice.") if kind in ("function", "allowed_tools") else None
        chosen, path = (choice, "tool_choice.") if inner is None else (inner, f"tool_choice.{kind}.")
        if kind == "function":
            name = typed(chosen, "name", str, path)
            if not name:
                raise missing(path + "name")
            if name not in [tool.name for tool in tools]:
                raise invalid(
                    "tool_choice", "invalid_value", f"Tool choice '{name}' not found in 'tools' parameter."
                )
            fields["tool_choice"], fields["tool_name"] = "required", name
        elif kind == "allowed_tools" and typed(chosen, "mode", str, path) == "required":
            fields["tool_choice"] = "required"
    elif choice in ("auto", "none", "required"):
        fields["tool_choice"] = choice
    else:
        raise invalid(
            "tool_choice",
            "invalid_value",
            f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'.",
        )
    if fields.get("tool_choice") == "required" and not body.get("tools"):
        raise invalid(
            "tool_choice", "invalid_value", "Tool choice 'required' must be specified with 'tools' parameter."
        )
