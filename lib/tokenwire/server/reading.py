"""A request body, read into a Request, or refused in the words of the official API.

Fields that we know must have their type; those that we do not know pass through,
in `parameters` and `body`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from tokenwire.server.problem import RequestError
from tokenwire.server.request import Call, Clock, Family, Message, Request, Tool

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
    body = _read_json(payload)
    for name in ("model", "messages" if family == "chat" else "input"):
        if body.get(name) is None:
            raise _missing(name)
    model = _typed(body, "model", str)
    if not model:
        raise _invalid("model", "empty_string", "Invalid 'model': empty string.")
    fields: dict[str, Any] = {
        "family": family,
        "model": model,
        "stream": bool(_typed(body, "stream", bool)),
        "parallel_tool_calls": _typed(body, "parallel_tool_calls", bool) is not False,
        "parameters": {key: value for key, value in body.items() if key not in _COVERED[family]},
        "body": body,
        "headers": headers,
        "clock": clock,
    }
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
    try:
        body = msgspec.json.decode(payload)
    # A lone surrogate and broken UTF-8 are ValueErrors; deep nesting is a RecursionError.
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise RequestError(
            400, f"We could not parse the JSON body of your request: {error}.", code="invalid_json"
        ) from None
    if not isinstance(body, dict):
        raise RequestError(
            400, f"Invalid body: expected a JSON object, but got {_name(body)} instead.", code="invalid_type"
        )
    return body


def _read_chat(body: dict[str, Any], fields: dict[str, Any], max_choices: int) -> None:
    messages = _typed(body, "messages", list)
    if not messages:
        raise _invalid(
            "messages", "empty_array", "Invalid 'messages': empty array. Expected at least one message."
        )
    fields["messages"] = tuple(_message(item, f"messages[{k}]") for k, item in enumerate(messages))
    n = _count(body, "n")
    if n is not None:
        if n > max_choices:
            raise _invalid(
                "n",
                "integer_above_max_value",
                f"Invalid 'n': this endpoint answers with at most {max_choices} choice"
                f"{'s' if max_choices > 1 else ''}, but got {n} instead.",
            )
        fields["n"] = n
    options = _typed(body, "stream_options", dict) or {}
    fields["include_usage"] = bool(_typed(options, "include_usage", bool, "stream_options."))
    old, new = _count(body, "max_tokens"), _count(body, "max_completion_tokens")
    fields["max_tokens"] = old if new is None else new
    fields["reasoning"] = _effort(_typed(body, "reasoning_effort", str))
    wanted = _typed(body, "response_format", dict)
    if wanted is not None:
        _read_format(
            wanted, _typed(wanted, "json_schema", dict, "response_format."), "response_format", fields
        )


def _read_responses(body: dict[str, Any], fields: dict[str, Any]) -> None:
    given = _typed(body, "input", str, list)
    messages = [Message(role="user", text=given)] if isinstance(given, str) else _items(given)
    instructions = _typed(body, "instructions", str)
    if instructions:
        messages.insert(0, Message(role="system", text=instructions))
    fields["messages"] = tuple(messages)
    fields["max_tokens"] = _count(body, "max_output_tokens")
    reasoning = _typed(body, "reasoning", dict) or {}
    fields["reasoning"] = _effort(_typed(reasoning, "effort", str, "reasoning."))
    fields["reasoning_summary"] = _typed(reasoning, "summary", str, "reasoning.")
    text = _typed(body, "text", dict) or {}
    wanted = _typed(text, "format", dict, "text.")
    if wanted is not None:
        _read_format(wanted, wanted, "text.format", fields)
    # No conversation is kept between requests, so this can only be refused; silence would lose what was said.
    previous = _typed(body, "previous_response_id", str)
    if previous is not None:
        raise _invalid(
            "previous_response_id",
            "previous_response_not_found",
            f"Previous response with id '{previous}' not found.",
        )


def _read_store(body: dict[str, Any], fields: dict[str, Any], keeps: Keeps) -> None:
    background, store = bool(_typed(body, "background", bool)), _typed(body, "store", bool)
    if background and keeps == "none":
        raise _invalid(
            "background", "unsupported_value", "This endpoint does not run responses in the background."
        )
    if background and store is False:
        raise _invalid(
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
    kind = _typed(wanted, "type", str, path + ".")
    if kind not in ("text", "json_object", "json_schema"):
        raise _invalid(
            path + ".type",
            "invalid_value",
            f"Invalid value: '{kind}'. Supported values are: 'text', 'json_object', and 'json_schema'.",
        )
    fields["format"] = kind
    if kind == "json_schema":
        if path == "response_format":
            path += ".json_schema"
        schema = _typed(spec or {}, "schema", dict, path + ".")
        if schema is None:
            raise _missing(path + ".schema")
        fields["schema"] = schema
        fields["schema_name"] = _typed(spec or {}, "name", str, path + ".")


def _read_tools(body: dict[str, Any], fields: dict[str, Any]) -> None:
    tools = []
    for k, item in enumerate(_typed(body, "tools", list) or []):
        path = f"tools[{k}]"
        entry = _object(item, path)
        if entry.get("type") != "function":
            continue
        # Chat nests the function, Responses does not.
        inner = _typed(entry, "function", dict, path + ".")
        if inner is not None:
            entry, path = inner, path + ".function"
        name = _typed(entry, "name", str, path + ".")
        if not name:
            raise _missing(path + ".name")
        tools.append(
            Tool(
                name=name,
                description=_typed(entry, "description", str, path + ".") or "",
                schema=_typed(entry, "parameters", dict, path + ".") or {},
                strict=bool(_typed(entry, "strict", bool, path + ".")),
            )
        )
    fields["tools"] = tuple(tools)
    choice = _typed(body, "tool_choice", str, dict)
    if choice is None:
        return
    if isinstance(choice, dict):
        function = _typed(choice, "function", dict, "tool_choice.") or choice
        name = _typed(function, "name", str, "tool_choice.")
        if choice.get("type") == "function":
            if name not in [tool.name for tool in tools]:
                raise _invalid(
                    "tool_choice", "invalid_value", f"Tool choice '{name}' not found in 'tools' parameter."
                )
            fields["tool_choice"], fields["tool_name"] = "required", name
        elif choice.get("mode") == "required":  # type: allowed_tools
            fields["tool_choice"] = "required"
    elif choice in ("auto", "none", "required"):
        fields["tool_choice"] = choice
    else:
        raise _invalid(
            "tool_choice",
            "invalid_value",
            f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'.",
        )
    if fields.get("tool_choice") == "required" and not tools:
        raise _invalid(
            "tool_choice", "invalid_value", "Tool choice 'required' must be specified with 'tools' parameter."
        )


# -- Messages and items --------------------------------------------------------


def _message(item: Any, path: str) -> Message:
    entry = _object(item, path)
    role = _typed(entry, "role", str, path + ".")
    if not role:
        raise _missing(path + ".role")
    text, parts = _content(_typed(entry, "content", str, list, path + "."), path + ".content")
    calls = []
    for k, call in enumerate(_typed(entry, "tool_calls", list, path + ".") or []):
        at = f"{path}.tool_calls[{k}]"
        one = _object(call, at)
        function = _typed(one, "function", dict, at + ".") or {}
        calls.append(
            Call(
                id=_typed(one, "id", str, at + ".") or "",
                name=_typed(function, "name", str, at + ".function.") or "",
                arguments=_typed(function, "arguments", str, at + ".function.") or "",
            )
        )
    call_id = _typed(entry, "tool_call_id", str, path + ".")
    return Message(role=role, text=text, parts=parts, calls=tuple(calls), call_id=call_id)


def _items(items: list[Any]) -> list[Message]:
    """Responses input items. Those that are no turns (references, reasoning) stay in body."""
    messages: list[Message] = []
    for k, item in enumerate(items):
        path = f"input[{k}]"
        entry = _object(item, path)
        kind = _typed(entry, "type", str, path + ".")
        if kind == "message" or (kind is None and "role" in entry):
            messages.append(_message(entry, path))
        elif kind == "function_call":
            call = Call(
                id=_typed(entry, "call_id", str, path + ".") or "",
                name=_typed(entry, "name", str, path + ".") or "",
                arguments=_typed(entry, "arguments", str, path + ".") or "",
            )
            # Chat says text and calls in one message; so do we.
            last = messages[-1] if messages and messages[-1].role == "assistant" else None
            if last is None:
                messages.append(Message(role="assistant", calls=(call,)))
            else:
                messages[-1] = msgspec.structs.replace(last, calls=(*last.calls, call))
        elif kind == "function_call_output":
            text, parts = _content(_typed(entry, "output", str, list, path + "."), path + ".output")
            call_id = _typed(entry, "call_id", str, path + ".")
            messages.append(Message(role="tool", text=text, parts=parts, call_id=call_id))
    return messages


def _content(content: str | list[Any] | None, path: str) -> tuple[str, tuple[dict[str, Any], ...]]:
    if content is None:
        return "", ()
    if isinstance(content, str):
        return content, ()
    texts, others = [], []
    for k, item in enumerate(content):
        part = _object(item, f"{path}[{k}]")
        if part.get("type") in ("text", "input_text", "output_text"):
            texts.append(_typed(part, "text", str, f"{path}[{k}].") or "")
        else:
            others.append(part)
    return "".join(texts), tuple(others)


# -- Checks --------------------------------------------------------------------


def _invalid(param: str, code: str, message: str) -> RequestError:
    return RequestError(400, message, param=param, code=code)


def _missing(param: str) -> RequestError:
    return _invalid(param, "missing_required_parameter", f"Missing required parameter: '{param}'.")


_NAMES: Mapping[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "a boolean",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def _name(value: object) -> str:
    return _NAMES[type(value)]


def _typed(entry: dict[str, Any], key: str, *rest: Any) -> Any:
    """entry[key], which is of one of these types, or None where it is absent or null.

    rest: the types; last, if it is a string, what stands before key in the path.
    """
    value = entry.get(key)
    if value is None or type(value) in rest:
        return value
    prefix = rest[-1] if isinstance(rest[-1], str) else ""
    expected = " or ".join(_NAMES[kind] for kind in rest if isinstance(kind, type))
    raise _invalid(
        prefix + key,
        "invalid_type",
        f"Invalid type for '{prefix}{key}': expected {expected}, but got {_name(value)} instead.",
    )


def _object(value: Any, path: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise _invalid(
        path,
        "invalid_type",
        f"Invalid type for '{path}': expected an object, but got {_name(value)} instead.",
    )


def _count(body: dict[str, Any], key: str) -> int | None:
    """A whole number of at least 1, or None."""
    value: int | None = _typed(body, key, int)
    if value is not None and value < 1:
        raise _invalid(
            key,
            "integer_below_min_value",
            f"Invalid '{key}': integer below minimum value. Expected a value >= 1, but got {value} instead.",
        )
    return value
