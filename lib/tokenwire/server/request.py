"""Request: what a client asked for, in one shape for both families."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

__all__ = ["Call", "Clock", "Family", "Message", "Request", "Tool"]

Family: TypeAlias = Literal["chat", "responses"]
ToolChoice: TypeAlias = Literal["auto", "none", "required"]
Format: TypeAlias = Literal["text", "json_object", "json_schema"]


class Clock(Protocol):
    """The time of whatever runs the handler: asyncio's or trio's."""

    def now(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float, /) -> Awaitable[object]:
        """Wait. A checkpoint."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of the conversation.

    role: "system", "developer", "user", "assistant" or "tool". text: its text parts,
    joined. parts: the other ones (images, audio, files), as they came. calls: the
    tool calls of an assistant. call_id: whose result a tool's message is.
    """

    role: str
    text: str = ""
    parts: tuple[dict[str, Any], ...] = ()
    calls: tuple[Call, ...] = ()
    call_id: str | None = None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call that an assistant made earlier. arguments: their JSON text."""

    id: str
    name: str
    arguments: str


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function that the model may call. schema: of its arguments, a JSON schema."""

    name: str
    description: str = ""
    schema: dict[str, Any] = {}
    strict: bool = False


class Request(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a client asked for.

    messages: the whole conversation; instructions stand first in it, as a system message.
    instructions: the text of all system and developer messages, or "".
    tools: the functions among the tools; the others are in body.
    tool_choice, tool_name: "required" with a tool_name is the choice of that function. Without one any of the
        body's tools will do, which may hold no function.
    format, schema, schema_name: how the text must look; schema is a JSON schema for "json_schema".
    reasoning: the effort asked for ("low", "medium", ...), or None; reasoning_summary likewise.
    max_tokens: the most tokens to answer with, reasoning included, or None.
    parameters: every field of the body that no attribute here covers (temperature, stop, seed, ...).
    include_usage: a stream's usage chunk was asked for. body: the JSON as it came.
    background: the response goes on without its client. store: it is kept, for GET /responses/{id}.
    headers: by lower-case name. They may hold a key, so no repr shows them.
    clock: now() and sleep() of the library that runs the handler, or None without one.
    """

    family: Family
    model: str
    messages: tuple[Message, ...] = ()
    instructions: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    tool_name: str | None = None
    parallel_tool_calls: bool = True
    format: Format = "text"
    schema: dict[str, Any] | None = None
    schema_name: str | None = None
    reasoning: str | None = None
    reasoning_summary: str | None = None
    max_tokens: int | None = None
    stream: bool = False
    n: int = 1
    include_usage: bool = False
    background: bool = False
    store: bool = False
    parameters: dict[str, Any] = {}
    body: dict[str, Any] = {}
    headers: Mapping[str, str] = {}
    clock: Clock | None = None

    @property
    def prompt(self) -> str:
        """The text of the last user message, or "" where there is none."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.text
        return ""

    def __repr__(self) -> str:
        return (
            f"Request(family={self.family!r}, model={self.model!r}, {len(self.messages)} messages, "
            f"stream={self.stream!r}, prompt={self.prompt[:80]!r})"
        )
