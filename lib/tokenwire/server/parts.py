"""The kinds of content that a Responses item has, and what the API calls each of them where."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

__all__ = ["REASONING", "REFUSAL", "SUMMARY", "TEXT", "Part", "made"]


class Part(NamedTuple):
    """How one kind of content is spoken of."""

    item: str  # the type of the item that it stands in
    field: str  # the item's list of such parts
    type: str  # the part's own type
    key: str  # where the part keeps its text
    part_event: str  # events of the part: + ".added", ".done"
    text_event: str  # events of its text: + ".delta", ".done"
    counter: str  # the name of its index


TEXT: Final = Part(
    "message",
    "content",
    "output_text",
    "text",
    "response.content_part",
    "response.output_text",
    "content_index",
)
REFUSAL: Final = Part(
    "message", "content", "refusal", "refusal", "response.content_part", "response.refusal", "content_index"
)
REASONING: Final = Part(
    "reasoning",
    "content",
    "reasoning_text",
    "text",
    "response.content_part",
    "response.reasoning_text",
    "content_index",
)
SUMMARY: Final = Part(
    "reasoning",
    "summary",
    "summary_text",
    "text",
    "response.reasoning_summary_part",
    "response.reasoning_summary_text",
    "summary_index",
)


def made(part: Part, text: str) -> dict[str, Any]:
    """A part with this text, as it stands in its item."""
    whole: dict[str, Any] = {"type": part.type}
    if part is TEXT:
        whole |= {"annotations": [], "logprobs": []}
    whole[part.key] = text
    return whole
