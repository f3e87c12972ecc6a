"""What a stream of chat chunks adds up to.

Theory of operation. Nearly every chunk of a stream is plain: one choice, one
piece of content, and nothing else. `Accumulator.add` recognizes it by the fields
that must be None, and appends its text to that choice's buffer; a chunk that is
`_open` may hold anything anywhere, and is never plain. Every other chunk takes the slow path, which believes
nothing about shapes. Nothing is built before `snapshot()` is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import msgspec

from .chat_types import (
    Annotation,
    ChatCompletion,
    ChatCompletionAudio,
    ChatCompletionChunk,
    ChatCompletionMessage,
    ChatCompletionMessageCustomToolCall,
    ChatCompletionMessageFunctionToolCall,
    ChatCompletionTokenLogprob,
    Choice,
    ChoiceDelta,
    ChoiceDeltaAudio,
    ChoiceDeltaFunctionCall,
    ChoiceDeltaToolCall,
    ChoiceDeltaToolCallFunction,
    ChoiceLogprobs,
    ChunkChoice,
    CompletionUsage,
    Custom,
    Function,
    FunctionCall,
)
from .partial import GrowingJSON, GrowingText
from .record import Record, open_reading

__all__ = ["Accumulator", "Call", "Change", "ChoiceLog", "Log", "text_of"]

# What one chunk did to one choice: (field, the piece), or for a tool call
# ("tool_calls", the piece of its arguments, the call, where its arguments end now).
Change: TypeAlias = tuple[Any, ...]
Log: TypeAlias = GrowingText | GrowingJSON


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


def _says(value: object) -> bool:
    """Whether a value tells anything: servers repeat a field as null, empty, or {}."""
    return value is not None and value != "" and value != {} and value != []


def _extras(record: object) -> Iterable[tuple[str, Any]]:
    return record.__dict__.items() if isinstance(record, Record) else ()


class _Extras:
    """Unknown fields, folded when asked for: strings and lists grow, objects merge, else the last wins."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[str, list[Any]] = {}

    def add(self, name: str, value: object) -> None:
        if _says(value):
            self._seen.setdefault(name, []).append(value)

    def put_on(self, record: Record) -> None:
        for name, values in self._seen.items():
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


class Call:
    """One tool call as far as it came."""

    __slots__ = ("arguments", "custom", "extras", "id", "index", "name")

    def __init__(self, index: int, arguments: Log) -> None:
        self.index = index
        self.id = ""
        self.name = ""
        self.custom = False
        self.arguments = arguments
        self.extras: dict[str, Any] = {}

    def add(self, delta: ChoiceDeltaToolCall) -> str:
        """Take a delta in; returns the piece of arguments in it."""
        if not self.id and isinstance(delta.id, str):
            self.id = delta.id
        function: Any = delta.function
        pieces = ""
        if isinstance(function, ChoiceDeltaToolCallFunction):
            self.name = _grown_name(self.name, function.name)
            pieces = _json_of(function.arguments)
        for name, value in _extras(delta):
            if name == "custom" and isinstance(value, dict):
                # Not in the official chunk types, but in those of the whole message.
                self.custom = True
                self.name = _grown_name(self.name, value.get("name"))
                pieces = _json_of(value.get("input"))
            elif _says(value):
                self.extras[name] = value
        self.arguments.write(pieces)
        return pieces

    def build(self) -> ChatCompletionMessageFunctionToolCall | ChatCompletionMessageCustomToolCall:
        text = str(self.arguments)
        call: ChatCompletionMessageFunctionToolCall | ChatCompletionMessageCustomToolCall
        if self.custom:
            call = ChatCompletionMessageCustomToolCall(id=self.id, custom=Custom(input=text, name=self.name))
        else:
            call = ChatCompletionMessageFunctionToolCall(
                id=self.id, function=Function(arguments=text, name=self.name)
            )
        if self.extras:
            call.__dict__.update(self.extras)
        return call


def _grown_name(name: str, piece: object) -> str:
    """Names come whole, or whole again with each delta; a different one is the next piece of it."""
    return name + piece if isinstance(piece, str) and piece != name else name


def _json_of(arguments: object) -> str:
    """Arguments are JSON text; a server that sends the JSON itself means the same."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else msgspec.json.encode(arguments).decode()


class ChoiceLog:
    """One choice as far as it came: append-only, so that earlier lengths still tell the earlier state."""

    __slots__ = (
        "_audio",
        "_by_id",
        "_by_index",
        "_by_place",
        "_details",
        "_extras",
        "_function_call",
        "_log",
        "_message_extras",
        "calls",
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

    def __init__(self, index: int, log: Callable[[], Log] = GrowingText) -> None:
        self.index = index
        self.role = "assistant"
        self.finish_reason: str | None = None
        self.content: Log | None = None
        self.extend_content: Callable[[str], object] | None = None
        self.refusal: Log | None = None
        self.reasoning_content: Log | None = None
        self.reasoning: Log | None = None
        self.calls: list[Call] = []
        self.logprobs: dict[str, list[ChatCompletionTokenLogprob] | None] | None = None
        self._log = log
        self._by_index: dict[int, Call] = {}
        self._by_place: dict[int, Call] = {}
        self._by_id: dict[str, Call] = {}
        self._details: list[Any] = []
        self._function_call: tuple[str, GrowingText] | None = None
        self._audio: dict[str, Any] | None = None
        self._extras = _Extras()
        self._message_extras = _Extras()

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
                self._extras.add(name, value)
            for name, value in _extras(delta):
                self._message_extras.add(name, value)
        return changes

    def write(self, field: str, text: str) -> None:
        """Append to the content, the refusal or the reasoning."""
        log: Log | None = getattr(self, field)
        if log is None:
            log = self._log() if field == "content" else GrowingText()
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
            self._details.extend(delta.reasoning_details)
        if delta.role and isinstance(delta.role, str):
            self.role = delta.role
        calls: Any = delta.tool_calls
        if isinstance(calls, list):
            for place, piece in enumerate(calls):
                if isinstance(piece, ChoiceDeltaToolCall):
                    call = self._call(piece, place)
                    text = call.add(piece)
                    changes.append(("tool_calls", text, call, call.arguments.tell()))
        if isinstance(delta.function_call, ChoiceDeltaFunctionCall):
            name, text_log = self._function_call or ("", GrowingText())
            text_log.write(_json_of(delta.function_call.arguments))
            self._function_call = _grown_name(name, delta.function_call.name), text_log
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
        self._message_extras.add("content_parts", others)

    def _call(self, delta: ChoiceDeltaToolCall, place: int) -> Call:
        """Which call a delta belongs to.

        The explicit index is the key, unless the delta carries a new id for an index that another id
        has taken: then it is a new call. With no index: by id, else by position.
        """
        index: Any = delta.index
        call_id: Any = delta.id
        if not isinstance(call_id, str):
            call_id = ""
        taken: dict[int, Call] = self._by_index
        if type(index) is not int:
            taken, index = self._by_place, place
        call = taken.get(index)
        if call_id and (taken is self._by_place or (call is not None and call.id not in ("", call_id))):
            call = self._by_id.get(call_id)
        if call is None:
            call = self._new_call(index if taken is self._by_index else None)
        taken[index] = call
        if call_id:
            self._by_id.setdefault(call_id, call)
        return call

    def _new_call(self, index: int | None) -> Call:
        if index is None or any(call.index == index for call in self.calls):
            index = max((call.index for call in self.calls), default=-1) + 1
        call = Call(index, self._log())
        self.calls.append(call)
        return call

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
            reasoning_details=_merged_details(self._details) or None,
            tool_calls=[call.build() for call in sorted(self.calls, key=_index)] or None,
        )
        if self._function_call is not None:
            name, arguments = self._function_call
            message.function_call = FunctionCall(name=name, arguments=str(arguments))
        if self._audio is not None:
            texts = {name: str(self._audio[name]) for name in ("data", "transcript")}
            message.audio = ChatCompletionAudio(**{**self._audio, **texts})
        self._message_extras.put_on(message)
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
        self._extras.put_on(choice)
        return choice


def _index(entry: Call | ChoiceLog) -> int:
    return entry.index


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


class Accumulator:
    """What the chunks so far add up to. `add` never raises; `snapshot()` is a value.

    log: makes what keeps the content and the arguments (GrowingJSON where they are to be read on the way).
    """

    terminal = False  # a usage chunk may follow the last choice's end, so no event ends the iteration

    def __init__(self, log: Callable[[], Log] = GrowingText) -> None:
        self.choices: dict[int, ChoiceLog] = {}
        self._log = log
        self._plain: dict[int, ChoiceLog] = {}
        self._id = ""
        self._model = ""
        self._created = 0
        self._latest: dict[str, Any] = {}
        self._extras: dict[str, Any] = {}

    def add(self, event: ChatCompletionChunk) -> ChoiceLog | list[tuple[ChoiceLog, list[Change]]]:
        """Take a chunk in.

        Gives the choice to whose content it appended, where it did nothing else; else what it did to which.
        """
        if not event._open and event.usage is None and event.moderation is None:
            choices = event.choices
            if len(choices) == 1:
                choice = choices[0]
                delta = choice.delta
                content = delta.content
                if (
                    content.__class__ is str
                    and choice.finish_reason is None
                    and choice.logprobs is None
                    and delta.tool_calls is None
                    and delta.refusal is None
                    and delta.reasoning_content is None
                    and delta.reasoning is None
                    and delta.reasoning_details is None
                    and delta.function_call is None
                    and delta.audio is None
                ):
                    log = self._plain.get(choice.index)
                    if log is not None:
                        log.extend_content(content)  # type: ignore[misc]  # told by _plain
                        return log
        return self._add_any(event)

    def _add_any(self, event: ChatCompletionChunk) -> list[tuple[ChoiceLog, list[Change]]]:
        """Take a chunk of any shape in."""
        if not self._id and isinstance(event.id, str):
            self._id = event.id
        if not self._model and isinstance(event.model, str):
            self._model = event.model
        if not self._created and isinstance(event.created, int):
            self._created = event.created
        latest = self._latest
        usage: Any = event.usage
        if isinstance(usage, CompletionUsage):
            latest["usage"] = usage
        if event.system_fingerprint is not None:
            latest["system_fingerprint"] = event.system_fingerprint
        if event.service_tier is not None:
            latest["service_tier"] = event.service_tier
        if event.moderation is not None:
            latest["moderation"] = event.moderation
        if event._open:
            for name, value in event.__dict__.items():
                if _says(value):
                    self._extras[name] = value
        changed = []
        choices: Any = event.choices
        if isinstance(choices, list):
            for place, choice in enumerate(choices):
                if isinstance(choice, ChunkChoice):
                    index: Any = choice.index
                    log = self.log_of(index if type(index) is int else place)
                    changed.append((log, log.add(choice, event._open)))
                    if log.content is not None:
                        self._plain[log.index] = log
        return changed

    def log_of(self, index: int) -> ChoiceLog:
        """The log of the choice with that index."""
        log = self.choices.get(index)
        if log is None:
            log = self.choices[index] = ChoiceLog(index, self._log)
        return log

    @property
    def complete(self) -> bool:
        """Whether at least one choice was seen, and each choice that was seen has ended."""
        return bool(self.choices) and all(log.finish_reason is not None for log in self.choices.values())

    def snapshot(self) -> ChatCompletion:
        """The completion as far as it came: a value, built for this call."""
        completion = ChatCompletion(
            id=self._id,
            choices=[log.build() for log in sorted(self.choices.values(), key=_index)],
            created=self._created,
            model=self._model,
            **self._latest,
        )
        if self._extras:
            completion.__dict__.update(self._extras)
        return completion
