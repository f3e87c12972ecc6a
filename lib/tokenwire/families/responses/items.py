"""What a response is made of: its output items. Their parts are in parts.py, those of tools in tool_items.py.

Each class has every field of the official SDK's class of the same name (a test
holds them together). Every field has a default, since nearly every one is
missing somewhere: text reads "", a list [], what is optional None. Where the
official types list the known values of a string (status, role), these say
`str`, because servers say more. What hardly anybody touches (a computer's
screenshots, the schemas of tools) stays plain JSON, `Any`.

`type` tells the members of each union apart, to type checkers too. An object
whose type is not in its union arrives as `Unknown`.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

# ruff: noqa: RUF012 - an empty list or dict as default is a new one for each msgspec object

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..record import Member, Unknown
from .parts import ContentPart, ReasoningContent, ReasoningSummary
from .tool_items import ToolItem

__all__ = [
    "AdditionalTools",
    "Program",
    "ProgramOutput",
    "ResponseCompactionItem",
    "ResponseOutputItem",
    "ResponseOutputMessage",
    "ResponseReasoningItem",
]


class ResponseOutputMessage(Member, kw_only=True, tag="message"):
    """A message of the model: its text, or its refusal, in parts."""

    type: ClassVar[Literal["message"]] = "message"
    id: str = ""
    content: list[ContentPart] = []
    role: str = "assistant"
    status: str = ""
    phase: str | None = None


class ResponseReasoningItem(Member, kw_only=True, tag="reasoning"):
    """What the model thought: in the open (content), in summary, or encrypted."""

    type: ClassVar[Literal["reasoning"]] = "reasoning"
    id: str = ""
    summary: list[ReasoningSummary] = []
    content: list[ReasoningContent] | None = None
    encrypted_content: str | None = None
    status: str | None = None


class ResponseCompactionItem(Member, kw_only=True, tag="compaction"):
    """The conversation so far, compacted and encrypted."""

    type: ClassVar[Literal["compaction"]] = "compaction"
    id: str = ""
    encrypted_content: str = ""
    created_by: str | None = None


class Program(Member, kw_only=True, tag="program"):
    """A program that the model wrote to call tools."""

    type: ClassVar[Literal["program"]] = "program"
    id: str = ""
    call_id: str = ""
    code: str = ""
    fingerprint: str = ""


class ProgramOutput(Member, kw_only=True, tag="program_output"):
    """What such a program answered."""

    type: ClassVar[Literal["program_output"]] = "program_output"
    id: str = ""
    call_id: str = ""
    result: str = ""
    status: str = ""


class AdditionalTools(Member, kw_only=True, tag="additional_tools"):
    """Tools that were added on the way."""

    type: ClassVar[Literal["additional_tools"]] = "additional_tools"
    id: str = ""
    role: str = ""
    tools: list[Any] = []


_ResponseOutputItem = (
    ResponseOutputMessage
    | ResponseReasoningItem
    | ResponseCompactionItem
    | Program
    | ProgramOutput
    | AdditionalTools
    | ToolItem
)
if TYPE_CHECKING:
    ResponseOutputItem = _ResponseOutputItem | Unknown
else:
    ResponseOutputItem = _ResponseOutputItem
