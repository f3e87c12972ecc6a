"""One choice of a chat completion, put together from its deltas.

Theory of operation. Everything is append-only, so that an earlier length still
tells the earlier state, and nothing is built before it is asked for. Nothing is
believed about shapes: whatever came of the wrong one is passed over here (the
event has it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import msgspec

from .chat_calls import Calls, Log, grown_name, json_of, says
from .chat_types import (
    Annotation,
    ChatCompletionAudio,
    ChatCompletionMessage,
    ChatCompletionTokenLogprob,
    Choice,
    ChoiceDelta,
    ChoiceDeltaAudio,
    ChoiceDeltaFunctionCall,
    ChoiceDeltaToolCall,
    ChoiceLogprobs,
    ChunkChoice,
    FunctionCall,
)
from .open_reading import open_reading
from .partial import GrowingText
from .record import Record

__all__ = ["Change", "ChoiceLog", "text_of"]

# What one chunk did to one choice: (field, the piece), or for a tool call
# ("tool_calls", the piece of its arguments, the call, where its arguments end now).
Change: TypeAlias = tuple[Any, ...]


def text_of(content: object) -> str:
    """The text in a `content`: the string itself, or the text parts of an array of parts (Mistral)."""
    if type(content) is str:
        return content
    if isinstance(content, list):
        return "".join(_part_text(part, "text") for part in content)
    if isinstance(content, (int, float)) and not isinstance(content, bool):
        return msgspec.json.encode(content).decode()
    return ""


def _part_text(part: object, kind: str) -> str:
    if isinstance(part, str):
        return part if kind == "text" else ""
    if isinstance(part, dict) and part.get("type", "text") == kind:
        return text_of(part.get(kind))
    return ""


def _extras(record: object) -> Iterable[tuple[str, Any]]:
    return record.__dict__.items() if isinstance(record, Record) else ()


#: Unknown fields, folded when asked for: strings and lists grow, objects merge, else the last wins. None: none yet.
_Unknown: TypeAlias = dict[str, list[Any]] | None


def _noted(known: _Unknown, name: str, value: object) -> _Unknown:
    """These unknown fields, and one more value."""
    if says(value):
        if known is None:
            known = {}
        known.setdefault(name, []).append(value)
    return known


def _put(known: _Unknown, record: Record) -> None:
    for name, values in (known or {}).items():
        value = _folded(values)
        if name not in record.__struct_fields__:
            record.__dict__[name] = value
        elif getattr(record, name) is None:
            setattr(record, name, value)


def _folded(values: list[Any]) -> Any:
    if len(values) == 1:
        return values[0]
    if all(isinstance(value, str) for value in values):
        return "".join(values)
    if all(isinstance(value, list) for value in values):
        return [item for value in values for item in value]
    if all(isinstance(value, dict) for value in values):
        return {key: item for value in values for key, item in value.items()}
    return values[-1]


class ChoiceLog:
    """One choice as far as it came: append-only, so that earlier lengths still tell the earlier state."""

    __slots__ = (
        "_arguments",
        "_audio",
        "_calls",
        "_content_log",
        "_details",
        "_extras",
        "_function_call",
        "_message_extras",
        "content",
        "extend_content",
        "finish_reason",
        "index",
        "logprobs",
        "reasoning",
        "reasoning_content",
        "refusal",
        "role",
    )

    def __init__(self, index: int, content: Callable[[], Log], arguments: Callable[[], Log]) -> None:
        self.index = index
        self.role = "assistant"
        self.finish_reason: str | None = None
        self.content: Log | None = None
        self.extend_content: Callable[[str], object] | None = None
        self.refusal: Log | None = None
        self.reasoning_content: Log | None = None
        self.reasoning: Log | None = None
        self._calls: Calls | None = None
        self._arguments = arguments
        self.logprobs: dict[str, list[ChatCompletionTokenLogprob] | None] | None = None
        self._content_log = content
        self._details: list[Any] | None = None
        self._function_call: tuple[str, GrowingText] | None = None
        self._audio: dict[str, Any] | None = None
        self._extras: _Unknown = None
        self._message_extras: _Unknown = None

    @property
    def calls(self) -> Calls:
        """Its calls: made when they are first asked for, for few choices have any."""
        if self._calls is None:
            self._calls = Calls(self._arguments)
        return self._calls

    def add(self, choice: ChunkChoice, opened: bool) -> list[Change]:
        """Take a chunk's choice in, whatever its shape; tells what it changed. opened: its chunk's _open."""
        changes: list[Change] = []
        delta: Any = choice.delta
        if isinstance(delta, ChoiceDelta):
            self._add_delta(delta, changes)
        logprobs: Any = choice.logprobs
        if isinstance(logprobs, ChoiceLogprobs):
            self._add_logprobs(logprobs, changes)
        if choice.finish_reason and isinstance(choice.finish_reason, str):
            self.finish_reason = choice.finish_reason
        if opened:
            for name, value in choice.__dict__.items():
                self._extras = _noted(self._extras, name, value)
            for name, value in _extras(delta):
                self._message_extras = _noted(self._message_extras, name, value)
        return changes

    def write(self, field: str, text: str) -> None:
        """Append to the content, the refusal or the reasoning."""
        log: Log | None = getattr(self, field)
        if log is None:
            log = self._content_log() if field == "content" else GrowingText()
            setattr(self, field, log)
            if field == "content":
                self.extend_content = log.write
        log.write(text)

    def _add_delta(self, delta: ChoiceDelta, changes: list[Change]) -> None:
        if isinstance(delta.reasoning_content, str):
            self.write("reasoning_content", delta.reasoning_content)
            changes.append(("reasoning_content", delta.reasoning_content))
        if isinstance(delta.reasoning, str):
            self.write("reasoning", delta.reasoning)
            changes.append(("reasoning", delta.reasoning))
        content: Any = delta.content
        if content is not None:
            if isinstance(content, list):
                self._add_parts(content, changes)
            said = text_of(content)
            self.write("content", said)
            changes.append(("content", said))
        if isinstance(delta.refusal, str):
            self.write("refusal", delta.refusal)
            changes.append(("refusal", delta.refusal))
        if isinstance(delta.reasoning_details, list):
            if self._details is None:
                self._details = []
            self._details.extend(delta.reasoning_details)
        if delta.role and isinstance(delta.role, str):
            self.role = delta.role
        calls: Any = delta.tool_calls
        if isinstance(calls, list):
            for place, piece in enumerate(calls):
                if isinstance(piece, ChoiceDeltaToolCall):
                    call = self.calls.find(piece, place)
                    text = call.add(piece)
                    changes.append(("tool_calls", text, call, call.arguments.tell()))
        if isinstance(delta.function_call, ChoiceDeltaFunctionCall):
            name, text_log = self._function_call or ("", GrowingText())
            text_log.write(json_of(delta.function_call.arguments))
            self._function_call = grown_name(name, delta.function_call.name), text_log
        if isinstance(delta.audio, ChoiceDeltaAudio):
            self._add_audio(delta.audio)

    def _add_parts(self, parts: list[Any], changes: list[Change]) -> None:
        """Mistral: content as an array. Its thinking is reasoning; other parts stay as content_parts."""
        thought = "".join(_part_text(part, "thinking") for part in parts)
        if thought:
            self.write("reasoning_content", thought)
            changes.append(("reasoning_content", thought))
        known = ("text", "thinking")
        others = [part for part in parts if isinstance(part, dict) and part.get("type", "text") not in known]
        self._message_extras = _noted(self._message_extras, "content_parts", others)

    def _add_audio(self, delta: ChoiceDeltaAudio) -> None:
        audio = self._audio
        if audio is None:
            audio = self._audio = {"data": GrowingText(), "transcript": GrowingText()}
        if delta.id and isinstance(delta.id, str):
            audio["id"] = delta.id
        if isinstance(delta.expires_at, int):
            audio["expires_at"] = delta.expires_at
        for name in ("data", "transcript"):
            if isinstance(piece := getattr(delta, name), str):
                audio[name].write(piece)

    def _add_logprobs(self, logprobs: ChoiceLogprobs, changes: list[Change]) -> None:
        if self.logprobs is None:
            self.logprobs = {"content": None, "refusal": None}
        for name in ("content", "refusal"):
            tokens = getattr(logprobs, name)
            if isinstance(tokens, list):
                log = self.logprobs[name]
                if log is None:
                    log = self.logprobs[name] = []
                log.extend(tokens)
                if tokens:
                    changes.append((f"logprobs.{name}", tokens))

    def build(self) -> Choice:
        """The choice as a value."""
        message = ChatCompletionMessage(
            content=_built(self.content),
            refusal=_built(self.refusal),
            role=self.role,
            reasoning_content=_built(self.reasoning_content),
            reasoning=_built(self.reasoning),
            reasoning_details=_merged_details(self._details or []) or None,
            tool_calls=[call.build() for call in self.calls.in_order()] or None,
        )
        if self._function_call is not None:
            name, arguments = self._function_call
            message.function_call = FunctionCall(name=name, arguments=str(arguments))
        if self._audio is not None:
            texts = {name: str(self._audio[name]) for name in ("data", "transcript")}
            message.audio = ChatCompletionAudio(**{**self._audio, **texts})
        _put(self._message_extras, message)
        if isinstance(message.annotations, list):
            message.annotations = [
                open_reading(Annotation, note) if isinstance(note, dict) else note
                for note in message.annotations
            ]
        choice = Choice(finish_reason=self.finish_reason, index=self.index, message=message)
        if self.logprobs is not None:
            choice.logprobs = ChoiceLogprobs(
                **{name: None if log is None else list(log) for name, log in self.logprobs.items()}
            )
        _put(self._extras, choice)
        return choice


def _built(log: Log | None) -> str | None:
    return None if log is None else str(log)


def _merged_details(details: list[Any]) -> list[Any]:
    """OpenRouter's reasoning_details: pieces with one type and index are one entry, whose text grows."""
    merged: list[Any] = []
    pieces: dict[tuple[str, int], dict[str, Any]] = {}
    for piece in details:
        if not isinstance(piece, dict) or type(piece.get("index")) is not int:
            merged.append(piece)
            continue
        key = (str(piece.get("type")), piece["index"])
        fields = pieces.get(key)
        if fields is None:
            fields = pieces[key] = {}
            merged.append(fields)
        for name, value in piece.items():
            if value is not None or name not in fields:
                fields.setdefault(name, []).append(value)
    for fields in pieces.values():
        for name, values in fields.items():
            grows = name in ("text", "summary") and all(isinstance(value, str) for value in values)
            fields[name] = "".join(values) if grows else values[-1]
    return merged


