"""The turns of a conversation: chat's messages, and the input items of Responses, in one shape."""

from __future__ import annotations

from typing import Any

import msgspec

from tokenwire.server.checks import as_object, kind_of, missing, typed
from tokenwire.server.request import Call, Message

__all__ = ["message", "turns"]


def message(item: Any, path: str) -> Message:
    """One message of either family. path: where it stands."""
    entry = as_object(item, path)
    role = typed(entry, "role", str, path + ".")
    if not role:
        raise missing(path + ".role")
    text, parts = _content(typed(entry, "content", str, list, path + "."), path + ".content")
    calls = []
    for k, call in enumerate(typed(entry, "tool_calls", list, path + ".") or []):
        at = f"{path}.tool_calls[{k}]"
        one = as_object(call, at)
        function = typed(one, "function", dict, at + ".") or {}
        calls.append(
            Call(
                id=typed(one, "id", str, at + ".") or "",
                name=typed(function, "name", str, at + ".function.") or "",
                arguments=typed(function, "arguments", str, at + ".function.") or "",
            )
        )
    call_id = typed(entry, "tool_call_id", str, path + ".")
    return Message(role=role, text=text, parts=parts, calls=tuple(calls), call_id=call_id)


def turns(items: list[Any]) -> list[Message]:
    """Responses input items. Those that are no turns (references, reasoning) stay in body."""
    messages: list[Message] = []
    calls: dict[int, list[Call]] = {}  # by the place of their message
    for k, item in enumerate(items):
        path = f"input[{k}]"
        entry = as_object(item, path)
        kind = typed(entry, "type", str, path + ".")
        if kind == "message" or (kind is None and "role" in entry):
            messages.append(message(entry, path))
        elif kind == "function_call":
            call = Call(
                id=typed(entry, "call_id", str, path + ".") or "",
                name=typed(entry, "name", str, path + ".") or "",
                arguments=typed(entry, "arguments", str, path + ".") or "",
            )
            # Chat says text and calls in one message; so do we.
            if not messages or messages[-1].role != "assistant":
                messages.append(Message(role="assistant"))
            calls.setdefault(len(messages) - 1, []).append(call)
        elif kind == "function_call_output":
            text, parts = _content(typed(entry, "output", str, list, path + "."), path + ".output")
            call_id = typed(entry, "call_id", str, path + ".")
            messages.append(Message(role="tool", text=text, parts=parts, call_id=call_id))
    for place, made in calls.items():
        said = messages[place]
        messages[place] = msgspec.structs.replace(said, calls=(*said.calls, *made))
    return messages


def _content(content: str | list[Any] | None, path: str) -> tuple[str, tuple[dict[str, Any], ...]]:
    if content is None:
        return "", ()
    if isinstance(content, str):
        return content, ()
    texts, others = [], []
    for k, item in enumerate(content):
        at = f"{path}[{k}]"
        part = as_object(item, at)
        if kind_of(part, at) in ("text", "input_text", "output_text"):
            text = typed(part, "text", str, at + ".")
            if text is None:
                raise missing(at + ".text")
            texts.append(text)
        else:
            others.append(part)
    return "".join(texts), tuple(others)
