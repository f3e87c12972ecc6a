"""The events of a Responses stream: the official SDK's 59 types, and `response.cancelled`.

Each class has every field of the official SDK's class of the same name (a test
holds them together), and a default for each. `type` tells them apart, to type
checkers too. An event of any other type arrives as `UnknownEvent`.

Here are the events of the response as a whole and of its output items, and the
union of all. text_events.py and tool_events.py hold what happens within an item.

The indices and `sequence_number` are declared as the API promises them, int;
where a server left one out (llama.cpp sends none at all) it reads None, since
no number would be true.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar

from ..record import ABSENT
from .event_bases import ItemEvent, StreamEvent, UnknownEvent
from .items import ResponseOutputItem
from .response import Response
from .text_events import ResponseTextDoneEvent, TextEvent
from .tool_events import ToolEvent

if TYPE_CHECKING:
    from .parsed import ParsedResponse

T = TypeVar("T")

__all__ = [
    "ParsedResponseStreamEvent",
    "ResponseCancelledEvent",
    "ResponseCompactionCompactingEvent",
    "ResponseCompletedEvent",
    "ResponseCreatedEvent",
    "ResponseErrorEvent",
    "ResponseFailedEvent",
    "ResponseInProgressEvent",
    "ResponseIncompleteEvent",
    "ResponseOutputItemAddedEvent",
    "ResponseOutputItemDoneEvent",
    "ResponseQueuedEvent",
    "ResponseStreamEvent",
]


class _ResponseEvent(StreamEvent, kw_only=True):
    """An event of the whole response, which it carries."""

    response: Response = ABSENT


class ResponseCreatedEvent(_ResponseEvent, kw_only=True, tag="response.created"):
    """The response exists."""

    type: ClassVar[Literal["response.created"]] = "response.created"


class ResponseQueuedEvent(_ResponseEvent, kw_only=True, tag="response.queued"):
    """The response waits for its turn."""

    type: ClassVar[Literal["response.queued"]] = "response.queued"


class ResponseInProgressEvent(_ResponseEvent, kw_only=True, tag="response.in_progress"):
    """The response is being made."""

    type: ClassVar[Literal["response.in_progress"]] = "response.in_progress"


class ResponseCompactionCompactingEvent(ItemEvent, kw_only=True, tag="response.compaction.compacting"):
    """The conversation is being compacted."""

    type: ClassVar[Literal["response.compaction.compacting"]] = "response.compaction.compacting"


class ResponseOutputItemAddedEvent(StreamEvent, kw_only=True, tag="response.output_item.added"):
    """A new output item begins."""

    type: ClassVar[Literal["response.output_item.added"]] = "response.output_item.added"
    item: ResponseOutputItem = ABSENT
    output_index: int = ABSENT


class ResponseOutputItemDoneEvent(StreamEvent, kw_only=True, tag="response.output_item.done"):
    """An output item, whole."""

    type: ClassVar[Literal["response.output_item.done"]] = "response.output_item.done"
    item: ResponseOutputItem = ABSENT
    output_index: int = ABSENT


class ResponseCompletedEvent(_ResponseEvent, kw_only=True, tag="response.completed"):
    """Terminal: the response is whole, and is carried here."""

    type: ClassVar[Literal["response.completed"]] = "response.completed"


class ResponseIncompleteEvent(_ResponseEvent, kw_only=True, tag="response.incomplete"):
    """Terminal: the response was cut; `response.incomplete_details` says why."""

    type: ClassVar[Literal["response.incomplete"]] = "response.incomplete"


class ResponseFailedEvent(_ResponseEvent, kw_only=True, tag="response.failed"):
    """Terminal: the response failed; `response.error` says why. Delivered, not raised."""

    type: ClassVar[Literal["response.failed"]] = "response.failed"


class ResponseCancelledEvent(_ResponseEvent, kw_only=True, tag="response.cancelled"):
    """Terminal: the response was cancelled. Not in the official types."""

    type: ClassVar[Literal["response.cancelled"]] = "response.cancelled"


class ResponseErrorEvent(StreamEvent, kw_only=True, tag="error"):
    """An error. `decode` raises it as APIError; the class is for servers that send it."""

    type: ClassVar[Literal["error"]] = "error"
    code: str | None = None
    message: str = ""
    param: str | None = None


# All but the two that `.stream(text_format=...)` types more closely.
_CommonEvent = (
    ResponseCreatedEvent
    | ResponseQueuedEvent
    | ResponseInProgressEvent
    | ResponseCompactionCompactingEvent
    | ResponseOutputItemAddedEvent
    | ResponseOutputItemDoneEvent
    | ResponseIncompleteEvent
    | ResponseFailedEvent
    | ResponseCancelledEvent
    | ResponseErrorEvent
    | TextEvent
    | ToolEvent
)
if TYPE_CHECKING:

    class ParsedTextDoneEvent(ResponseTextDoneEvent, Generic[T]):
        """A text that is whole, read as a T."""

        @property
        def parsed(self) -> T | None: ...

    class ParsedCompletedEvent(ResponseCompletedEvent, Generic[T]):
        """The end, with a response whose text is read as a T."""

        response: ParsedResponse[T] = ABSENT

    ResponseStreamEvent = _CommonEvent | ResponseTextDoneEvent | ResponseCompletedEvent | UnknownEvent
    ParsedResponseStreamEvent = _CommonEvent | ParsedTextDoneEvent[T] | ParsedCompletedEvent[T] | UnknownEvent
else:
    ResponseStreamEvent = _CommonEvent | ResponseTextDoneEvent | ResponseCompletedEvent
    ParsedResponseStreamEvent = ResponseStreamEvent
