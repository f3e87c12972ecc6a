"""What the events of a Responses stream add up to.

Theory of operation. `add` is called for every event of every stream, so it only
notes: the text of a delta goes to the end of a buffer, of any other event the JSON
is kept. All else waits until somebody asks for a `snapshot`, which is built
in plain JSON, from the JSON that arrived, so that unknown fields, nulls and
items of tomorrow pass through it untouched, and is then read like a whole answer.

Notes are kept per output item and per part of it (see notes.py). Which item an event
means is naming.py's to say.

A server's later word about an item is believed: the terminal response before
`output_item.done`, that before `output_item.added`. What a later word leaves out
(an item, its text, its annotations) is filled from the notes.

Not kept: partial images and audio, which are no part of a response.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from ..partial import GrowingText
from . import events, text_events, tool_events
from .keeping import announced, json_at, kept
from .naming import Naming, usable
from .notes import Item, build, complete
from .places import DELTAS, STATUSES, WHOLES
from .reading import read_response
from .response import Response
from .text_events import ResponseTextDeltaEvent

__all__ = ["Accumulator"]

_NOWHERE: Final = object()
# What grows before the first delta, and a write that is never called: the same for all streams.
_NOTHING: Final = GrowingText()
_WRITE_NOTHING: Final = _NOTHING.write


class Accumulator(Naming):
    """Adds up the events of one Responses stream, from wherever it starts.

    terminal: a terminal event was seen, so iteration is over, whatever the connection still brings.
    complete: the family's verdict at the end of the body; here it is the same.
    """

    __slots__ = (
        "_completed",
        "_content_index",
        "_grown",
        "_item_id",
        "_last",
        "_lifecycle",
        "_output_index",
        "_write",
        "complete",
        "like",
        "terminal",
    )

    def __init__(self) -> None:
        super().__init__()
        self._lifecycle: Any = None  # the latest word about the whole response, as `kept`
        self._completed = False  # whether that is response.completed
        # Plain attributes: they are looked at after each read.
        self.terminal = False
        self.complete = False
        # Where the last text delta went: most often, the next one goes there too.
        self._item_id: Any = _NOWHERE
        self._output_index: Any = None
        self._content_index: Any = None
        self._grown = _NOTHING
        self._write: Callable[[str], object] = _WRITE_NOTHING
        self.like: object = None  # what the deltas that went there have in common: see alike.py
        # The same for each other kind of delta: item_id, output_index, index, and the text that grew. None until one
        # comes.
        self._last: dict[type, tuple[Any, Any, Any, GrowingText]] | None = None

    def add(self, event: Any) -> None:
        """Note one event. Takes any event of any shape."""
        if type(event) is not ResponseTextDeltaEvent:
            note = _NOTES.get(type(event))
            if note is not None:
                note(self, event)
        elif (
            event.item_id == self._item_id
            and event.output_index == self._output_index
            and event.content_index == self._content_index
            and not event.logprobs
            and type(event.delta) is str
        ):
            self._write(event.delta)
        else:
            self._text_delta(event)

    def add_run(self, events: list[Any], like: object = None, texts: Sequence[str] = ()) -> list[Any]:
        """Note each of these, and give them back. like, texts: what is common to them, and not (see alike.py)."""
        if like is not None and like is self.like:
            self._write("".join(texts))
            return events
        add = self.add
        for event in events:
            add(event)
        if like is not None:
            self.remember(like, event)
        return events

    def remember(self, like: object, event: Any) -> None:
        """Remember what the event that was added last has in common with others: if it was text, so are they, and go
        to the same place."""
        if type(event) is ResponseTextDeltaEvent and not event.logprobs:
            self.like = like

    @property
    def completed(self) -> bool:
        """The stream ended with response.completed."""
        return self._completed

    def grown_by(self, event: Any) -> GrowingText:
        """The text that the latest delta added to; event: that delta, not one of text."""
        assert self._last is not None
        return self._last[type(event)][3]

    def phase_of(self, event: Any) -> Any:
        """The phase of the message that an event belongs to, as it was announced, or None."""
        return self._find(event, "message").phase

    def snapshot(self) -> Response:
        """The response so far: a value, built anew from all that was noted. Cost: its length."""
        found = json_at(self._lifecycle, "response")
        if not isinstance(found, dict):
            found = {}
        output = found.get("output")
        if self.terminal and isinstance(output, list) and output:
            found["output"] = complete(output, self._in_order())
        else:
            found["output"] = [build(item) for item in self._in_order()]
        return read_response(msgspec.json.encode(found))

    def _forget(self) -> None:
        """Where the last deltas went says nothing about the next ones, now that something new began."""
        self._item_id = _NOWHERE
        self._last = self.like = None

    # -- Notes about items ------------------------------------------------------------

    def _item_added(self, event: events.ResponseOutputItemAddedEvent) -> None:
        self._announce(event.item, event.output_index, announced(event, getattr(event.item, "id", None)))

    def _announce(self, item: Any, index: Any, word: Any) -> None:
        kind, item_id = getattr(item, "type", None), getattr(item, "id", None)
        if not usable(kind):
            return
        known = self._known(item_id, index, kind)
        if known is not None and known.added is not None and usable(item_id) and item_id != known.item_id:
            known = None  # another item in the same place: the index cannot be trusted here
            self._unname(index, kind)
        if known is None:
            known = self._new(kind)
        if known.added is None:
            known.announce(item, word)
        self._name(known, item_id, index)
        self._forget()

    def _item_done(self, event: events.ResponseOutputItemDoneEvent) -> None:
        kind, item_id = getattr(event.item, "type", None), getattr(event.item, "id", None)
        if usable(kind):
            item = self._known(item_id, event.output_index, kind) or self._new(kind)
            item.done = kept(event)
            self._name(item, item_id, event.output_index)

    def _status(self, event: Any) -> None:
        kind, status = STATUSES[type(event)]
        self._find(event, kind).status = status

    def _begun(self, event: Any) -> None:
        response = event.response
        self._lifecycle = announced(event, getattr(response, "id", None), getattr(response, "created_at", None))
        output = getattr(response, "output", None)
        if isinstance(output, list):
            for index, item in enumerate(output):
                self._announce(item, index, item)

    def _ended(self, event: Any) -> None:
        self.terminal = self.complete = True
        if isinstance(event.response, Response) or self._lifecycle is None:
            self._lifecycle = kept(event)
            self._completed = isinstance(event, events.ResponseCompletedEvent)

    # -- Notes about parts ------------------------------------------------------------

    def _text_delta(self, event: text_events.ResponseTextDeltaEvent) -> None:
        item = self._find(event, "message")
        part = item.part("content", event.content_index, "output_text")
        grown = part.growing()
        if isinstance(event.delta, str):
            grown.write(event.delta)
        if event.logprobs and isinstance(event.logprobs, list):
            part.logprobs = part.logprobs or []
            part.logprobs += event.logprobs
        self._item_id, self._output_index = item.same(event.item_id), event.output_index
        self._content_index = event.content_index
        self._grown, self._write, self.like = grown, grown.write, None

    def _delta(self, event: Any) -> None:
        kind, field, part_kind, by = DELTAS[type(event)]
        item_id, index = getattr(event, "item_id", ""), getattr(event, by, None)
        if self._last is None:
            self._last = {}
        last = self._last.get(type(event))
        if last is None or last[:3] != (item_id, event.output_index, index):
            part = self._find(event, kind).part(field, index, part_kind)
            last = self._last[type(event)] = (item_id, event.output_index, index, part.growing())
        if isinstance(event.delta, str):
            last[3].write(event.delta)

    def _whole(self, event: Any) -> None:
        kind, field, part_kind, index, told = WHOLES[type(event)]
        part = self._find(event, kind).part(field, getattr(event, index, None), part_kind)
        part.tell(getattr(event, told))
        logprobs = getattr(event, "logprobs", None)
        if isinstance(logprobs, list) and logprobs:
            part.logprobs = logprobs

    def _part_added(self, event: Any) -> None:
        item = self._item_of_part(event)
        if item is not None:
            part = item.part("content", event.content_index, event.part.type, new=True)
            part.first = _announced_in(item, event)
            part.begin(getattr(event.part, "text", None))
            part.begin(getattr(event.part, "refusal", None))

    def _part_done(self, event: Any) -> None:
        item = self._item_of_part(event)
        if item is not None:
            part = item.part("content", event.content_index, event.part.type)
            part.last = kept(event)
            part.tell(getattr(event.part, "text", None))
            part.tell(getattr(event.part, "refusal", None))

    def _item_of_part(self, event: Any) -> Item | None:
        kind = getattr(event.part, "type", None)
        if not isinstance(kind, str):
            return None
        self._forget()
        return self._of_content(event, kind)

    def _of_content(self, event: Any, part_kind: str) -> Item:
        """The item of a content part. Reasoning, too, may call its parts output_text."""
        kind = "reasoning" if part_kind == "reasoning_text" else "message"
        if self._has_named(event.item_id, "reasoning"):
            kind = "reasoning"
        return self._find(event, kind)

    def _summary_added(self, event: text_events.ResponseReasoningSummaryPartAddedEvent) -> None:
        item = self._find(event, "reasoning")
        part = item.part("summary", event.summary_index, "summary_text", new=True)
        part.first = _announced_in(item, event)
        part.begin(getattr(event.part, "text", None))
        self._forget()

    def _summary_done(self, event: text_events.ResponseReasoningSummaryPartDoneEvent) -> None:
        part = self._find(event, "reasoning").part("summary", event.summary_index, "summary_text")
        part.last = kept(event)
        part.tell(getattr(event.part, "text", None))

    def _annotation(self, event: text_events.ResponseOutputTextAnnotationAddedEvent) -> None:
        part = self._find(event, "message").part("content", event.content_index, "output_text")
        part.annotations = part.annotations or []
        part.annotations.append(kept(event))

    def _command_added(self, event: tool_events.ResponseShellCallCommandAddedEvent) -> None:
        part = self._find(event, "shell_call").part("commands", event.command_index, "", new=True)
        part.begin(event.command)
        self._forget()

    def _shell_output(self, event: tool_events.ResponseShellCallOutputContentDeltaEvent) -> None:
        item = self._find(event, "shell_call_output")
        for stream in ("stdout", "stderr"):
            written = getattr(event.delta, stream, None)
            if isinstance(written, str):
                item.part("output", event.command_index, stream).growing().write(written)

    def _shell_output_done(self, event: tool_events.ResponseShellCallOutputContentDoneEvent) -> None:
        self._find(event, "shell_call_output").part("output", event.command_index, "whole").last = kept(event)


def _announced_in(item: Item, event: Any) -> Any:
    """The event that announced a part of this item, as `announced`."""
    # One text for the id, wherever it stands: the event is the last one of a stream that waits for its first token.
    event.item_id = item.same(event.item_id)
    return announced(event, event.item_id)


_NOTES: dict[type, Callable[[Accumulator, Any], None]] = {
    **dict.fromkeys(DELTAS, Accumulator._delta),
    **dict.fromkeys(WHOLES, Accumulator._whole),
    **dict.fromkeys(STATUSES, Accumulator._status),
    events.ResponseCreatedEvent: Accumulator._begun,
    events.ResponseQueuedEvent: Accumulator._begun,
    events.ResponseInProgressEvent: Accumulator._begun,
    events.ResponseCompletedEvent: Accumulator._ended,
    events.ResponseIncompleteEvent: Accumulator._ended,
    events.ResponseFailedEvent: Accumulator._ended,
    events.ResponseCancelledEvent: Accumulator._ended,
    events.ResponseOutputItemAddedEvent: Accumulator._item_added,
    events.ResponseOutputItemDoneEvent: Accumulator._item_done,
    text_events.ResponseContentPartAddedEvent: Accumulator._part_added,
    text_events.ResponseContentPartDoneEvent: Accumulator._part_done,
    text_events.ResponseReasoningSummaryPartAddedEvent: Accumulator._summary_added,
    text_events.ResponseReasoningSummaryPartDoneEvent: Accumulator._summary_done,
    text_events.ResponseOutputTextAnnotationAddedEvent: Accumulator._annotation,
    tool_events.ResponseShellCallCommandAddedEvent: Accumulator._command_added,
    tool_events.ResponseShellCallOutputContentDeltaEvent: Accumulator._shell_output,
    tool_events.ResponseShellCallOutputContentDoneEvent: Accumulator._shell_output_done,
}
