"""The events of `chat.completions.stream(...)`: the official helper's, plus reasoning.

Each has the official class's name, `type` and fields (openai/lib/streaming/chat/
_events.py), and `choice_index`, so that the choices of n > 1 can be told apart
(`index` is the official name of a tool call's place). `type` is a Literal, so that
it narrows.

What is costly to build is a property, built when it is looked at: from a text
that only grows, and the length that it had at that moment. So it is a value, and
costs nothing when nobody looks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

import msgspec

from .chat_calls import Log
from .chat_types import ChatCompletionChunk, ChatCompletionTokenLogprob, ChunkChoice, ParsedChatCompletion
from .record import Record
from .views import plain

__all__ = [
    "ChatCompletionStreamEvent",
    "ChunkEvent",
    "ContentDeltaEvent",
    "ContentDoneEvent",
    "FunctionToolCallArgumentsDeltaEvent",
    "FunctionToolCallArgumentsDoneEvent",
    "HelperEvent",
    "LogprobsContentDeltaEvent",
    "LogprobsContentDoneEvent",
    "LogprobsRefusalDeltaEvent",
    "LogprobsRefusalDoneEvent",
    "ReasoningDeltaEvent",
    "ReasoningDoneEvent",
    "RefusalDeltaEvent",
    "RefusalDoneEvent",
]

T = TypeVar("T")


class HelperEvent(msgspec.Struct):
    """An event that the helper makes of the chunks."""

    names: ClassVar[tuple[str, ...]] = ()

    def to_dict(self) -> dict[str, Any]:
        """Its fields as plain JSON values."""
        return {name: _plain(getattr(self, name)) for name in self.names}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict()` as JSON text. indent: spaces per level, or None for one line."""
        text = msgspec.json.encode(self.to_dict())
        return (text if indent is None else msgspec.json.format(text, indent=indent)).decode()

    def model_dump(self, **_ignored: Any) -> dict[str, Any]:
        """`to_dict()`, by the name that people know from the official types."""
        return self.to_dict()

    def model_dump_json(self, *, indent: int | None = None, **_ignored: Any) -> str:
        """`to_json()`, by the name that people know from the official types."""
        return self.to_json(indent=indent)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.names)
        return f"{type(self).__name__}({shown})"

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.names)

    def __ne__(self, other: object) -> bool:
        return not self == other  # a Struct's own would compare all fields

    __hash__ = None  # type: ignore[assignment]  # as any value that holds lists

    def __reduce__(self) -> tuple[Callable[..., HelperEvent], tuple[Any, ...]]:
        # What is built when it is looked at is built now: the stream's own log stays with the stream.
        held: dict[str, Any] = {name: getattr(self, name) for name in self.__struct_fields__}
        told = {name: plain(getattr(self, name)) for name in self.names}
        parsed = told.get("parsed", told.get("parsed_arguments"))
        if "_log" in held:
            held["_log"] = _Told(told.get("snapshot", told.get("arguments")), parsed)
        elif "_snapshot" in held:
            held["_snapshot"] = _Told(told["snapshot"], None)
        elif "_all" in held:
            held["_all"] = told["snapshot"]
        elif "_parse" in held:
            held |= {"_parse": None, "_parsed": parsed}
        return _copied, (type(self), held)


class _Told:
    """What a copy of an event has in place of the stream's log, and of what makes its snapshot: their answers."""

    def __init__(self, snapshot: Any, parsed: Any) -> None:
        self._snapshot = snapshot
        self._parsed = parsed

    def upto(self, end: int) -> Any:
        return self._snapshot

    __call__ = upto

    def partial(self, end: int) -> Any:
        return self._parsed


def _copied(kind: type[HelperEvent], held: dict[str, Any]) -> HelperEvent:
    return kind(**held)


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    value = plain(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    dump = getattr(value, "model_dump", None)
    return msgspec.to_builtins(value) if dump is None else dump(mode="json")


class ChunkEvent(HelperEvent):
    """A chunk arrived.

    snapshot: the completion as of this chunk. choice_index: its one choice's; None where it has none or
    several.
    """

    names = ("type", "chunk", "snapshot", "choice_index")

    chunk: ChatCompletionChunk
    _snapshot: Callable[[int], ParsedChatCompletion[Any]]
    _at: int
    type: Literal["chunk"] = "chunk"

    @property
    def snapshot(self) -> ParsedChatCompletion[Any]:
        return self._snapshot(self._at)

    @property
    def choice_index(self) -> int | None:
        choices: Any = self.chunk.choices
        if isinstance(choices, list) and len(choices) == 1 and isinstance(choices[0], ChunkChoice):
            return choices[0].index
        return None


class ContentDeltaEvent(HelperEvent):
    """Text arrived.

    snapshot: the choice's text so far. parsed: where a type was asked for, the JSON in it so far; what is not
    closed yet is a read-only PartialDict or PartialList, which stands for a dict or a list. `to_dict()` has
    plain ones throughout.
    """

    names = ("type", "delta", "snapshot", "parsed", "choice_index")

    delta: str
    choice_index: int
    _log: Log
    _end: int
    type: Literal["content.delta"] = "content.delta"

    @property
    def snapshot(self) -> str:
        return self._log.upto(self._end)

    @property
    def parsed(self) -> Any:
        return self._log.partial(self._end)


class ContentDoneEvent(HelperEvent, Generic[T]):
    """A choice's text is whole.

    parsed: where a type was asked for, the object; None after a refusal, or where the text was cut. It raises
    what `parse` raises where the text does not fit the type.
    """

    names = ("type", "content", "parsed", "choice_index")

    content: str
    choice_index: int
    _parse: Callable[[str], Any] | None = None
    _parsed: Any = None
    type: Literal["content.done"] = "content.done"

    @property
    def parsed(self) -> T | None:
        if self._parse is not None:
            self._parsed = self._parse(self.content)
            self._parse = None
        parsed: T | None = self._parsed
        return parsed


class RefusalDeltaEvent(HelperEvent):
    """A piece of refusal arrived. snapshot: the refusal so far."""

    names = ("type", "delta", "snapshot", "choice_index")

    delta: str
    choice_index: int
    _log: Log
    _end: int
    type: Literal["refusal.delta"] = "refusal.delta"

    @property
    def snapshot(self) -> str:
        return self._log.upto(self._end)


class RefusalDoneEvent(HelperEvent):
    """A choice's refusal is whole."""

    names = ("type", "refusal", "choice_index")

    refusal: str
    choice_index: int
    type: Literal["refusal.done"] = "refusal.done"


class ReasoningDeltaEvent(HelperEvent):
    """A piece of reasoning arrived (`reasoning_content` or `reasoning`). snapshot: the reasoning so far."""

    names = ("type", "delta", "snapshot", "choice_index")

    delta: str
    choice_index: int
    _log: Log
    _end: int
    type: Literal["reasoning.delta"] = "reasoning.delta"

    @property
    def snapshot(self) -> str:
        return self._log.upto(self._end)


class ReasoningDoneEvent(HelperEvent):
    """The reasoning ended: content, a refusal, a tool call or the choice's end came.

    Comes again, with the whole of it, where the model goes on reasoning after that.
    """

    names = ("type", "reasoning", "choice_index")

    reasoning: str
    choice_index: int
    type: Literal["reasoning.done"] = "reasoning.done"


class FunctionToolCallArgumentsDeltaEvent(HelperEvent):
    """A piece of a function call arrived.

    index: the call's place. arguments: their JSON text so far. parsed_arguments: what it holds so far, where
    the tool has a strict schema, as in ContentDeltaEvent.parsed. arguments_delta: the piece.
    """

    names = ("type", "name", "index", "arguments", "parsed_arguments", "arguments_delta", "choice_index")

    name: str
    index: int
    arguments_delta: str
    choice_index: int
    _log: Log
    _end: int
    _strict: bool
    type: Literal["tool_calls.function.arguments.delta"] = "tool_calls.function.arguments.delta"

    @property
    def arguments(self) -> str:
        return self._log.upto(self._end)

    @property
    def parsed_arguments(self) -> Any:
        return self._log.partial(self._end) if self._strict else None


class FunctionToolCallArgumentsDoneEvent(HelperEvent):
    """A function call is whole.

    parsed_arguments: read by the tool's schema, None where it has none. It raises what `parse` raises where
    they do not fit it.
    """

    names = ("type", "name", "index", "arguments", "parsed_arguments", "choice_index")

    name: str
    index: int
    arguments: str
    choice_index: int
    _parse: Callable[[str], Any] | None = None
    _parsed: Any = None
    type: Literal["tool_calls.function.arguments.done"] = "tool_calls.function.arguments.done"

    @property
    def parsed_arguments(self) -> Any:
        if self._parse is not None:
            self._parsed = self._parse(self.arguments)
            self._parse = None
        return self._parsed


class LogprobsContentDeltaEvent(HelperEvent):
    """Log probabilities of content arrived. snapshot: all of the choice's so far."""

    names = ("type", "content", "snapshot", "choice_index")

    content: list[ChatCompletionTokenLogprob]
    choice_index: int
    _all: list[ChatCompletionTokenLogprob]
    _end: int
    type: Literal["logprobs.content.delta"] = "logprobs.content.delta"

    @property
    def snapshot(self) -> list[ChatCompletionTokenLogprob]:
        return self._all[: self._end]


class LogprobsContentDoneEvent(HelperEvent):
    """The log probabilities of a choice's content are whole."""

    names = ("type", "content", "choice_index")

    content: list[ChatCompletionTokenLogprob]
    choice_index: int
    type: Literal["logprobs.content.done"] = "logprobs.content.done"


class LogprobsRefusalDeltaEvent(HelperEvent):
    """Log probabilities of a refusal arrived. snapshot: all of the choice's so far."""

    names = ("type", "refusal", "snapshot", "choice_index")

    refusal: list[ChatCompletionTokenLogprob]
    choice_index: int
    _all: list[ChatCompletionTokenLogprob]
    _end: int
    type: Literal["logprobs.refusal.delta"] = "logprobs.refusal.delta"

    @property
    def snapshot(self) -> list[ChatCompletionTokenLogprob]:
        return self._all[: self._end]


class LogprobsRefusalDoneEvent(HelperEvent):
    """The log probabilities of a choice's refusal are whole."""

    names = ("type", "refusal", "choice_index")

    refusal: list[ChatCompletionTokenLogprob]
    choice_index: int
    type: Literal["logprobs.refusal.done"] = "logprobs.refusal.done"


ChatCompletionStreamEvent: TypeAlias = (
    ChunkEvent
    | ContentDeltaEvent
    | ContentDoneEvent[T]
    | RefusalDeltaEvent
    | RefusalDoneEvent
    | ReasoningDeltaEvent
    | ReasoningDoneEvent
    | FunctionToolCallArgumentsDeltaEvent
    | FunctionToolCallArgumentsDoneEvent
    | LogprobsContentDeltaEvent
    | LogprobsContentDoneEvent
    | LogprobsRefusalDeltaEvent
    | LogprobsRefusalDoneEvent
)
