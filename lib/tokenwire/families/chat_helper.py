"""What stands behind `chat.completions.stream(...)`: events, snapshots, and the final, parsed completion.

Theory of operation. The helper owns an Accumulator and turns what a chunk changed
there into events, in the official helper's order: the deltas, then what is done.
A plain chunk (see chat_accumulate) takes the short way: two small objects.

Done is a guess until the choice has ended: the official helper says that the
content is done when a tool call begins, and that a call is done when the next
begins. So do we, and where more comes after all, a second `done` with the whole
follows at the end.

A snapshot in an event is of the moment of that event. While it is the newest, it
is built from the accumulator; for an older one, the log of what came is replayed.
The log holds the bare text of a chunk wherever that is all there is to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import msgspec

from ..errors import ContentFilterFinishReasonError, LengthFinishReasonError
from .chat_accumulate import Accumulator
from .chat_calls import Call, Log
from .chat_choice import Change, ChoiceLog
from .chat_events import (
    ChatCompletionStreamEvent,
    ChunkEvent,
    ContentDeltaEvent,
    ContentDoneEvent,
    FunctionToolCallArgumentsDeltaEvent,
    FunctionToolCallArgumentsDoneEvent,
    LogprobsContentDeltaEvent,
    LogprobsContentDoneEvent,
    LogprobsRefusalDeltaEvent,
    LogprobsRefusalDoneEvent,
    ReasoningDeltaEvent,
    ReasoningDoneEvent,
    RefusalDeltaEvent,
    RefusalDoneEvent,
)
from .chat_parsed import as_class
from .chat_types import (
    ChatCompletionChunk,
    ChatCompletionMessageFunctionToolCall,
    Choice,
    ParsedChatCompletion,
    ParsedChatCompletionMessage,
    ParsedChoice,
    ParsedFunction,
    ParsedFunctionToolCall,
)
from .parsing import is_type, parse, tool_parsers
from .partial import GrowingJSON, GrowingText
from .views import plain

__all__ = ["Helper"]

_Event: TypeAlias = ChatCompletionStreamEvent[Any]

_CUT = ("length", "content_filter")  # the finish reasons after which no schema can hold


class _State:
    """What has been said about one choice."""

    __slots__ = ("busy", "call", "calls", "done", "ended", "thought")

    def __init__(self) -> None:
        self.busy = False  # a plain chunk is news about more than its text
        self.call: Call | None = None  # the call that is arriving
        self.calls = 0  # how many have a chunk of their own that was kept
        self.done: set[Any] = set()  # fields' names, and calls
        self.ended = False  # the choice's end was told
        self.thought: str | None = None  # which of the two names of reasoning this stream uses


class Helper:
    """The helper of one stream, without I/O: chunks in, events out.

    response_format: a type (see parsing.py), whose object will be `parsed`; else what was sent. tools: types,
    functions and dicts, as they were given.
    """

    def __init__(self, *, response_format: Any = None, tools: Iterable[Any] | None = None) -> None:
        self._type = response_format if is_type(response_format) else None
        self._parsers = tool_parsers(tools)
        # Only content and arguments that somebody may want parsed on the way are kept as JSON.
        self._logs: tuple[Callable[[], Log], Callable[[], Log]] = (
            GrowingText if self._type is None else GrowingJSON,
            GrowingJSON if self._parsers else GrowingText,
        )
        self._accumulator = Accumulator(*self._logs)
        self._take = self._accumulator.take
        self._states: dict[int, _State] = {}
        self._busy = 0  # how many states are
        self._came: list[Any] = []
        # What plain chunks had in common (see alike.py), and where their content went: the choice's index, and the log.
        self._like: object = None
        self._plain: tuple[int, Any] = (0, None)
        self._names: tuple[Any, ...] = ()  # of the last chunk that was kept for them

    @property
    def _to_be_parsed(self) -> bool:
        return self._type is not None or bool(self._parsers)

    @property
    def accumulator(self) -> Accumulator:
        """What `events` adds each chunk to."""
        return self._accumulator

    def events(
        self, run: list[ChatCompletionChunk], like: object = None, texts: Sequence[str] = ()
    ) -> list[_Event]:
        """The events that these chunks bring: each chunk itself first. like, texts: see alike.py."""
        events: list[_Event] = []
        came, snapshot_at = self._came, self._snapshot_at
        if like is not None and like is self._like and not self._busy:
            index, content = self._plain
            write, tell = content.write, content.tell
            for chunk, text in zip(run, texts, strict=True):
                write(text)
                came.append(text if index == 0 else (index, "content", text))
                events.append(ChunkEvent(chunk, snapshot_at, len(came)))
                events.append(ContentDeltaEvent(text, index, content, tell()))
            return events
        take = self._take
        for chunk in run:
            log = take(chunk)
            if log.__class__ is ChoiceLog and not self._busy:
                text = chunk.choices[0].delta.content  # type: ignore[assignment]  # a plain chunk has it
                index, content = log.index, log.content
                assert content is not None  # it went there
                came.append(text if index == 0 else (index, "content", text))
                events.append(ChunkEvent(chunk, snapshot_at, len(came)))
                events.append(ContentDeltaEvent(text, index, content, content.tell()))
            else:
                events += self._events(chunk, log)
        if like is not None and log.__class__ is ChoiceLog:
            self._like, self._plain = like, (log.index, log.content)
        return events

    def _events(
        self, event: ChatCompletionChunk, log: ChoiceLog | list[tuple[ChoiceLog, list[Change]]]
    ) -> list[_Event]:
        """The events of one chunk that is news about more than the text of one choice."""
        changed = log if isinstance(log, list) else [(log, [("content", event.choices[0].delta.content)])]
        self._came.append(self._trace(event, changed))
        events: list[_Event] = [ChunkEvent(event, self._snapshot_at, len(self._came))]
        for log, changes in changed:
            state = self._states.get(log.index)
            if state is None:
                state = self._states[log.index] = _State()
            self._deltas(log, state, changes, events)
            self._dones(log, state, changes, events)
            busy = "content" in state.done or (state.thought is not None and state.thought not in state.done)
            self._busy += busy - state.busy
            state.busy = busy
        return events

    def end(self) -> list[_Event]:
        """At a clean end: what is done now, in choices whose end the server did not tell."""
        events: list[_Event] = []
        for index, state in self._states.items():
            self._all_done(self._accumulator.choices[index], state, events)
        return events

    def snapshot(self) -> ParsedChatCompletion[Any]:
        """The completion as far as it came; what is to be parsed, as far as it can be."""
        return self._built(self._accumulator, final=False)

    def final(self) -> ParsedChatCompletion[Any]:
        """The completion, parsed.

        Raises LengthFinishReasonError or ContentFilterFinishReasonError where something was to be parsed and
        the answer was cut, and what `parse` raises where the answer does not fit the type.
        """
        if self._to_be_parsed:
            for log in self._accumulator.choices.values():
                if log.finish_reason == "length":
                    raise LengthFinishReasonError(completion=self.snapshot())
                if log.finish_reason == "content_filter":
                    raise ContentFilterFinishReasonError(completion=self.snapshot())
        return self._built(self._accumulator, final=True)

    # -- Events ------------------------------------------------------------------------

    def _deltas(
        self, log: ChoiceLog, state: _State, changes: list[Change], events: list[_Event]
    ) -> None:
        index = log.index
        for change in changes:
            field, piece = change[0], change[1]
            if field in ("reasoning_content", "reasoning"):
                if piece and (state.thought is None or state.thought == field):
                    # A stream that uses both names says the same under both.
                    state.thought = field
                    state.done.discard(field)
                    text: Any = getattr(log, field)
                    events.append(ReasoningDeltaEvent(piece, index, text, text.tell()))
                continue
            state.done.discard(field if piece else None)
            if field == "tool_calls":
                self._thought_done(log, state, events)
                call: Call = change[2]
                if not call.custom:
                    if piece:
                        state.done.discard(call)
                    strict = call.name in self._parsers
                    events.append(
                        FunctionToolCallArgumentsDeltaEvent(
                            call.name, call.index, piece, index, call.arguments, change[3], strict
                        )
                    )
            elif field == "content":
                if piece:
                    self._thought_done(log, state, events)
                content: Any = log.content
                events.append(ContentDeltaEvent(piece, index, content, content.tell()))
            elif field == "refusal":
                if piece:
                    self._thought_done(log, state, events)
                refusal: Any = log.refusal
                events.append(RefusalDeltaEvent(piece, index, refusal, refusal.tell()))
            else:
                tokens: Any = (log.logprobs or {}).get(field.removeprefix("logprobs."))
                made = LogprobsContentDeltaEvent if field == "logprobs.content" else LogprobsRefusalDeltaEvent
                events.append(made(list(piece), index, tokens, len(tokens)))

    def _dones(
        self, log: ChoiceLog, state: _State, changes: list[Change], events: list[_Event]
    ) -> None:
        for change in changes:
            if change[0] == "tool_calls" and change[2] is not state.call:
                self._content_done(log, state, events)
                if state.call is not None:
                    self._call_done(log, state, state.call, events)
                state.call = change[2]
        if log.finish_reason is not None and not state.ended:  # some servers say it in each chunk
            state.ended = True
            self._all_done(log, state, events)

    def _all_done(
        self, log: ChoiceLog, state: _State, events: list[_Event]
    ) -> None:
        self._thought_done(log, state, events)
        self._content_done(log, state, events)
        for call in log.calls.all:
            self._call_done(log, state, call, events)

    def _thought_done(
        self, log: ChoiceLog, state: _State, events: list[_Event]
    ) -> None:
        if state.thought is not None and state.thought not in state.done:
            state.done.add(state.thought)
            events.append(ReasoningDoneEvent(str(getattr(log, state.thought)), log.index))

    def _content_done(
        self, log: ChoiceLog, state: _State, events: list[_Event]
    ) -> None:
        done, index = state.done, log.index
        if "content" not in done and log.content is not None and (text := str(log.content)):
            done.add("content")
            events.append(ContentDoneEvent(text, index, self._content_parser(log)))
        if "refusal" not in done and log.refusal is not None:
            done.add("refusal")
            events.append(RefusalDoneEvent(str(log.refusal), index))
        logprobs = log.logprobs or {}
        tokens = logprobs.get("content")
        if "logprobs.content" not in done and tokens is not None:
            done.add("logprobs.content")
            events.append(LogprobsContentDoneEvent(list(tokens), index))
        tokens = logprobs.get("refusal")
        if "logprobs.refusal" not in done and tokens is not None:
            done.add("logprobs.refusal")
            events.append(LogprobsRefusalDoneEvent(list(tokens), index))

    def _call_done(
        self, log: ChoiceLog, state: _State, call: Call, events: list[_Event]
    ) -> None:
        if call not in state.done and not call.custom:
            state.done.add(call)
            events.append(
                FunctionToolCallArgumentsDoneEvent(
                    call.name, call.index, str(call.arguments), log.index, self._call_parser(log, call.name)
                )
            )

    def _content_parser(self, log: ChoiceLog) -> Callable[[str], Any] | None:
        """What reads the whole content; None where it is not to be read, or cannot be."""
        if self._type is None or log.finish_reason in _CUT or (log.refusal is not None and str(log.refusal)):
            return None
        return lambda text: parse(self._type, text)

    def _call_parser(self, log: ChoiceLog, name: str) -> Callable[[str], Any] | None:
        return None if log.finish_reason in _CUT else self._parsers.get(name)

    # -- Snapshots ---------------------------------------------------------------------

    def _trace(self, event: ChatCompletionChunk, changed: list[tuple[ChoiceLog, list[Change]]]) -> Any:
        """What to keep of a chunk for a later replay: its one piece of text, if that is all it brought."""
        names = event.id, event.model, event.system_fingerprint, event.service_tier
        if names != self._names:
            self._names = names
            return event
        if event._open or len(changed) != 1 or len(changed[0][1]) != 1 or event.usage or event.moderation:
            return event
        log, (change,) = changed[0]
        choice = event.choices[0]
        if choice.finish_reason or choice.logprobs or log.index not in self._states:
            return event
        delta, field = choice.delta, change[0]
        if delta.reasoning_details or delta.function_call or delta.audio:
            return event
        if field == "tool_calls":
            piece = (delta.tool_calls or [])[0]
            state, number = self._states[log.index], change[2].place
            if piece.id or (piece.function is not None and piece.function.name) or number >= state.calls:
                state.calls = max(state.calls, number + 1)
                return event  # its replay begins the call
            return (log.index, number, change[1])
        return (log.index, field, change[1]) if change[1] else event

    def _snapshot_at(self, count: int) -> ParsedChatCompletion[Any]:
        """The completion as it was when that many chunks had come."""
        if count == len(self._came):
            return self.snapshot()
        replay = Accumulator(*self._logs)
        for entry in self._came[:count]:
            if entry.__class__ is str:
                replay.log_of(0).write("content", entry)
            elif entry.__class__ is tuple:
                index, field, text = entry
                log = replay.log_of(index)
                if isinstance(field, int):
                    log.calls.all[field].arguments.write(text)
                else:
                    log.write(field, text)
            else:
                replay.add(entry)
        return self._built(replay, final=False)

    def _built(self, accumulator: Accumulator, *, final: bool) -> ParsedChatCompletion[Any]:
        completion = accumulator.snapshot()
        choices = [
            self._parsed_choice(choice, accumulator.choices[choice.index], final)
            for choice in completion.choices
        ]
        return as_class(ParsedChatCompletion, completion, choices=choices)

    def _parsed_choice(self, choice: Choice, log: ChoiceLog, final: bool) -> ParsedChoice[Any]:
        message = choice.message
        parsed = None
        if message.content and self._type is not None:
            parsed = _read(self._content_parser(log), log.content, message.content, log, final)
        calls: Any = message.tool_calls
        if calls is not None:
            known = log.calls.in_order()
            calls = [self._parsed_call(call, own, log, final) for call, own in zip(calls, known, strict=True)]
        changed = as_class(ParsedChatCompletionMessage, message, parsed=parsed, tool_calls=calls)
        return as_class(ParsedChoice, choice, message=changed)

    def _parsed_call(self, call: Any, own: Call, log: ChoiceLog, final: bool) -> Any:
        if not isinstance(call, ChatCompletionMessageFunctionToolCall):
            return call
        parsed = None
        if own.name in self._parsers and call.function.arguments:
            parser = self._call_parser(log, own.name)
            parsed = _read(parser, own.arguments, call.function.arguments, log, final)
        function = as_class(ParsedFunction, call.function, parsed_arguments=parsed)
        return as_class(ParsedFunctionToolCall, call, function=function)


def _read(
    parser: Callable[[str], Any] | None, log: Any, text: str, choice: ChoiceLog, final: bool
) -> Any:
    """The object where the text is whole, else what it holds so far."""
    if final:
        return None if parser is None else parser(text)
    if parser is not None and choice.finish_reason is not None:
        try:
            return parser(text)
        except (ValueError, msgspec.MsgspecError):
            pass  # final() tells; a snapshot shows what there is
    return plain(log.partial(log.tell()))
