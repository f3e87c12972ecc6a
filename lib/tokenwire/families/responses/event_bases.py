"""What the events of a Responses stream have in common, and the event of a type that nobody knows.

The same rules as in events.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..record import ABSENT, Event, Private

__all__ = [
    "Delta",
    "GrowingDelta",
    "ItemDelta",
    "ItemEvent",
    "StreamEvent",
    "UnknownEvent",
]


class StreamEvent(Event, kw_only=True, tag_field="type"):
    """What all events have. sequence_number: the event's place in the stream."""

    sequence_number: int = ABSENT


class ItemEvent(StreamEvent, kw_only=True):
    """An event of one output item: its id, and its place in the output."""

    item_id: str = ""
    output_index: int = ABSENT


class Delta(StreamEvent, kw_only=True):
    """A piece of something. obfuscation: padding of OpenAI's; model: LiteLLM says it on each event."""

    unofficial: ClassVar[frozenset[str]] = frozenset(("model", "obfuscation"))

    delta: str = ""
    model: str | None = None
    obfuscation: str | None = None


class ItemDelta(Delta, kw_only=True):
    """A piece of an output item."""

    item_id: str = ""
    output_index: int = ABSENT


class GrowingDelta(ItemDelta, kw_only=True):
    """A delta that, under `.stream()`, knows the whole text that it ends."""

    _text: Private = None  # the text that grows, and
    _end: Private = 0  # where this delta ended it

    @property
    def snapshot(self) -> str:
        """The text up to and with this delta. A value, laid out when asked for.

        Raises AttributeError for an event that did not come out of `.stream()`.
        """
        if self._text is None:
            raise AttributeError("only the events of .stream() have a snapshot")
        text: str = self._text.upto(self._end)
        return text


class UnknownEvent(Event, kw_only=True, tag=False):
    """An event of a type that this version does not know: its type ("" if none), each key by attribute."""

    if TYPE_CHECKING:
        # At run time any string. Declared so, a comparison of `type` with a known one rules this class out.
        type: Literal["(unknown)"]

        def __getattr__(self, name: str) -> Any: ...
    else:
        type: str = ""
