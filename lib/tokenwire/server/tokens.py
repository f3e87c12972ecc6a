"""What a handler may yield besides plain strings.

A `str` is the same as `Text(str)` of choice 0, and the cheapest of all.

Each raises TypeError where it is made with a field of another type: what JSON can hold all the same
(bytes, a dict of arguments) would reach the client as something else than was said.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

__all__ = ["Finish", "FinishReason", "Reasoning", "Refusal", "Text", "Token", "ToolCall", "Usage"]

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


def _is_text(token: Any, name: str) -> None:
    value = getattr(token, name)
    if type(value) is str:
        return
    if not isinstance(value, str):
        raise TypeError(f"{type(token).__name__}.{name} is a str, not {type(value).__name__}")
    msgspec.structs.force_setattr(token, name, str.__str__(value))  # msgspec encodes no subclass


def _is_count(token: Any, *names: str) -> None:
    for name in names:
        value = getattr(token, name)
        if type(value) is not int:
            raise TypeError(f"{type(token).__name__}.{name} is an int, not {type(value).__name__}")


class Text(msgspec.Struct, frozen=True):
    """A piece of the answer's text. choice: which of the `n` choices it belongs to."""

    text: str
    choice: int = 0

    def __post_init__(self) -> None:
        _is_text(self, "text")
        _is_count(self, "choice")


class Reasoning(msgspec.Struct, frozen=True):
    """A piece of the reasoning that goes before the answer.

    Chat sends it as `delta.reasoning_content`, as DeepSeek, vLLM and SGLang do;
    Responses as a reasoning item. summary: a piece of its summary rather than of
    the reasoning itself; chat has one field for both.
    """

    text: str
    summary: bool = False
    choice: int = 0

    def __post_init__(self) -> None:
        _is_text(self, "text")
        _is_count(self, "choice")


class Refusal(msgspec.Struct, frozen=True):
    """A piece of a refusal to answer."""

    text: str
    choice: int = 0

    def __post_init__(self) -> None:
        _is_text(self, "text")
        _is_count(self, "choice")


class ToolCall(msgspec.Struct, frozen=True):
    """A call of one of the request's tools, whole or in pieces.

    A name begins a call. Pieces without a name go on with the call of that id, or,
    without an id, with the last one. In a response (not in a chat) nothing else may come
    between the pieces of a call. id: made up where a call begins without one.
    arguments: a piece of the JSON text of the arguments.
    """

    name: str | None = None
    arguments: str = ""
    id: str | None = None
    choice: int = 0

    def __post_init__(self) -> None:
        if self.name is not None:
            _is_text(self, "name")
        if self.id is not None:
            _is_text(self, "id")
        _is_text(self, "arguments")
        _is_count(self, "choice")


class Usage(msgspec.Struct, frozen=True):
    """How many tokens the answer took. The last one yielded counts.

    output_tokens includes the reasoning_tokens, input_tokens the cached_tokens.
    """

    input_tokens: int
    output_tokens: int
    reasoning_tokens: int = 0
    cached_tokens: int = 0

    def __post_init__(self) -> None:
        _is_count(self, "input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens")


class Finish(msgspec.Struct, frozen=True):
    """The end of a choice, and why. After it only Usage may follow.

    A handler that just ends has finished with "tool_calls" where it called a
    tool, else with "stop".
    """

    reason: FinishReason = "stop"
    choice: int = 0

    def __post_init__(self) -> None:
        _is_text(self, "reason")
        _is_count(self, "choice")


Token: TypeAlias = str | Text | Reasoning | Refusal | ToolCall | Usage | Finish
