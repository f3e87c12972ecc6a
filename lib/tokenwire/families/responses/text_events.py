"""Events of what the model says and thinks: text, refusals, reasoning, audio; content parts and annotations.

The same rules as in events.py.
"""

# ruff: noqa: RUF012 - an empty list or dict as default is a new one for each msgspec object

from __future__ import annotations

from typing import Any, ClassVar, Literal

from ..record import ABSENT, Private
from .event_bases import Delta, GrowingDelta, ItemDelta, ItemEvent, StreamEvent
from .parts import Annotation, ContentPart, Logprob, ReasoningSummary

__all__ = [
    "ResponseAudioDeltaEvent",
    "ResponseAudioDoneEvent",
    "ResponseAudioTranscriptDeltaEvent",
    "ResponseAudioTranscriptDoneEvent",
    "ResponseContentPartAddedEvent",
    "ResponseContentPartDoneEvent",
    "ResponseOutputTextAnnotationAddedEvent",
    "ResponseReasoningSummaryPartAddedEvent",
    "ResponseReasoningSummaryPartDoneEvent",
    "ResponseReasoningSummaryTextDeltaEvent",
    "ResponseReasoningSummaryTextDoneEvent",
    "ResponseReasoningTextDeltaEvent",
    "ResponseReasoningTextDoneEvent",
    "ResponseRefusalDeltaEvent",
    "ResponseRefusalDoneEvent",
    "ResponseTextDeltaEvent",
    "ResponseTextDoneEvent",
]


class ResponseAudioDeltaEvent(Delta, kw_only=True, tag="response.audio.delta"):
    """A piece of audio, base64."""

    type: ClassVar[Literal["response.audio.delta"]] = "response.audio.delta"


class ResponseAudioDoneEvent(StreamEvent, kw_only=True, tag="response.audio.done"):
    """The audio is whole."""

    type: ClassVar[Literal["response.audio.done"]] = "response.audio.done"


class ResponseAudioTranscriptDeltaEvent(Delta, kw_only=True, tag="response.audio.transcript.delta"):
    """A piece of the transcript of the audio."""

    type: ClassVar[Literal["response.audio.transcript.delta"]] = "response.audio.transcript.delta"


class ResponseAudioTranscriptDoneEvent(StreamEvent, kw_only=True, tag="response.audio.transcript.done"):
    """The transcript of the audio is whole."""

    type: ClassVar[Literal["response.audio.transcript.done"]] = "response.audio.transcript.done"


class ResponseContentPartAddedEvent(ItemEvent, kw_only=True, tag="response.content_part.added"):
    """A new part of an item's content begins."""

    type: ClassVar[Literal["response.content_part.added"]] = "response.content_part.added"
    content_index: int = ABSENT
    part: ContentPart = ABSENT


class ResponseContentPartDoneEvent(ItemEvent, kw_only=True, tag="response.content_part.done"):
    """A part of an item's content, whole."""

    type: ClassVar[Literal["response.content_part.done"]] = "response.content_part.done"
    content_index: int = ABSENT
    part: ContentPart = ABSENT


class ResponseOutputTextAnnotationAddedEvent(ItemEvent, kw_only=True, tag="response.output_text.annotation.added"):
    """A new annotation of a part of the text."""

    type: ClassVar[Literal["response.output_text.annotation.added"]] = "response.output_text.annotation.added"
    annotation: Annotation | None = None
    annotation_index: int = ABSENT
    content_index: int = ABSENT


class ResponseTextDeltaEvent(GrowingDelta, kw_only=True, tag="response.output_text.delta"):
    """A piece of the answer: the event that nearly every stream is made of."""

    type: ClassVar[Literal["response.output_text.delta"]] = "response.output_text.delta"
    content_index: int = ABSENT
    logprobs: list[Logprob] = []


class ResponseTextDoneEvent(ItemEvent, kw_only=True, tag="response.output_text.done"):
    """A part of the answer's text, whole."""

    type: ClassVar[Literal["response.output_text.done"]] = "response.output_text.done"
    content_index: int = ABSENT
    logprobs: list[Logprob] = []
    text: str = ""
    _parsed: Private = None

    @property
    def parsed(self) -> Any:
        """Under `.stream(text_format=...)`: the text read as that type, when asked for; else None.

        Raises what the type's own library raises where the text does not fit.
        """
        return None if self._parsed is None else self._parsed.value


class ResponseReasoningSummaryPartAddedEvent(ItemEvent, kw_only=True, tag="response.reasoning_summary_part.added"):
    """A new part of a reasoning summary begins."""

    type: ClassVar[Literal["response.reasoning_summary_part.added"]] = "response.reasoning_summary_part.added"
    part: ReasoningSummary = ABSENT
    summary_index: int = ABSENT


class ResponseReasoningSummaryPartDoneEvent(ItemEvent, kw_only=True, tag="response.reasoning_summary_part.done"):
    """A part of a reasoning summary, whole."""

    type: ClassVar[Literal["response.reasoning_summary_part.done"]] = "response.reasoning_summary_part.done"
    part: ReasoningSummary = ABSENT
    summary_index: int = ABSENT
    status: str | None = None


class ResponseReasoningSummaryTextDeltaEvent(ItemDelta, kw_only=True, tag="response.reasoning_summary_text.delta"):
    """A piece of a reasoning summary."""

    type: ClassVar[Literal["response.reasoning_summary_text.delta"]] = "response.reasoning_summary_text.delta"
    summary_index: int = ABSENT


class ResponseReasoningSummaryTextDoneEvent(ItemEvent, kw_only=True, tag="response.reasoning_summary_text.done"):
    """A reasoning summary's text, whole."""

    type: ClassVar[Literal["response.reasoning_summary_text.done"]] = "response.reasoning_summary_text.done"
    summary_index: int = ABSENT
    text: str = ""


class ResponseReasoningTextDeltaEvent(ItemDelta, kw_only=True, tag="response.reasoning_text.delta"):
    """A piece of reasoning."""

    type: ClassVar[Literal["response.reasoning_text.delta"]] = "response.reasoning_text.delta"
    content_index: int = ABSENT


class ResponseReasoningTextDoneEvent(ItemEvent, kw_only=True, tag="response.reasoning_text.done"):
    """A part of the reasoning, whole."""

    type: ClassVar[Literal["response.reasoning_text.done"]] = "response.reasoning_text.done"
    content_index: int = ABSENT
    text: str = ""


class ResponseRefusalDeltaEvent(ItemDelta, kw_only=True, tag="response.refusal.delta"):
    """A piece of a refusal."""

    type: ClassVar[Literal["response.refusal.delta"]] = "response.refusal.delta"
    content_index: int = ABSENT


class ResponseRefusalDoneEvent(ItemEvent, kw_only=True, tag="response.refusal.done"):
    """A refusal, whole."""

    type: ClassVar[Literal["response.refusal.done"]] = "response.refusal.done"
    content_index: int = ABSENT
    refusal: str = ""


# All but ResponseTextDoneEvent, which `.stream(text_format=...)` types more closely.
TextEvent = (
    ResponseAudioDeltaEvent
    | ResponseAudioDoneEvent
    | ResponseAudioTranscriptDeltaEvent
    | ResponseAudioTranscriptDoneEvent
    | ResponseContentPartAddedEvent
    | ResponseContentPartDoneEvent
    | ResponseOutputTextAnnotationAddedEvent
    | ResponseReasoningSummaryPartAddedEvent
    | ResponseReasoningSummaryPartDoneEvent
    | ResponseReasoningSummaryTextDeltaEvent
    | ResponseReasoningSummaryTextDoneEvent
    | ResponseReasoningTextDeltaEvent
    | ResponseReasoningTextDoneEvent
    | ResponseRefusalDeltaEvent
    | ResponseRefusalDoneEvent
    | ResponseTextDeltaEvent
)
