"""Responses: the events of a stream, whole responses and their items, and what is parsed of them."""

from __future__ import annotations

from typing import Any, TypeAlias

from tokenwire.families.responses import (
    ParsedResponse,
    ParsedResponseFunctionToolCall,
    ParsedResponseOutputText,
    StreamEvent,
    UnknownEvent,
    events,
    items,
    parts,
    response,
    text_events,
    tool_events,
    tool_items,
)
from tokenwire.families.responses.events import *  # noqa: F403 - __all__ says which
from tokenwire.families.responses.items import *  # noqa: F403
from tokenwire.families.responses.parts import *  # noqa: F403
from tokenwire.families.responses.response import *  # noqa: F403
from tokenwire.families.responses.text_events import *  # noqa: F403
from tokenwire.families.responses.tool_events import *  # noqa: F403
from tokenwire.families.responses.tool_items import *  # noqa: F403

__all__ = ["ParsedResponse", "ParsedResponseFunctionToolCall", "ParsedResponseOutputText"]
__all__ += ["StreamEvent", "UnknownEvent"]
__all__ += events.__all__
__all__ += items.__all__
__all__ += parts.__all__
__all__ += response.__all__
__all__ += text_events.__all__
__all__ += tool_events.__all__
__all__ += tool_items.__all__

# What one asks with, for annotations: JSON as the API describes it, in plain dicts. What is in them is the API's to
# judge; the official SDK's own are taken as well.

CustomToolParam: TypeAlias = dict[str, Any]
EasyInputMessageParam: TypeAlias = dict[str, Any]
FileSearchToolParam: TypeAlias = dict[str, Any]
FunctionToolParam: TypeAlias = dict[str, Any]
ResponseConversationParam: TypeAlias = dict[str, Any]
ResponseFormatTextConfigParam: TypeAlias = dict[str, Any]
ResponseFormatTextJSONSchemaConfigParam: TypeAlias = dict[str, Any]
ResponseFunctionToolCallParam: TypeAlias = dict[str, Any]
ResponseInputAudioParam: TypeAlias = dict[str, Any]
ResponseInputContentParam: TypeAlias = dict[str, Any]
ResponseInputFileParam: TypeAlias = dict[str, Any]
ResponseInputImageParam: TypeAlias = dict[str, Any]
ResponseInputItemParam: TypeAlias = dict[str, Any]
ResponseInputMessageContentListParam: TypeAlias = list[dict[str, Any]]
ResponseInputParam: TypeAlias = list[dict[str, Any]]
ResponseInputTextParam: TypeAlias = dict[str, Any]
ResponseOutputMessageParam: TypeAlias = dict[str, Any]
ResponseOutputTextParam: TypeAlias = dict[str, Any]
ResponsePromptParam: TypeAlias = dict[str, Any]
ResponseReasoningItemParam: TypeAlias = dict[str, Any]
ResponseTextConfigParam: TypeAlias = dict[str, Any]
ToolChoiceFunctionParam: TypeAlias = dict[str, Any]
ToolChoiceTypesParam: TypeAlias = dict[str, Any]
ToolParam: TypeAlias = dict[str, Any]
WebSearchToolParam: TypeAlias = dict[str, Any]

__all__ += [
    "CustomToolParam",
    "EasyInputMessageParam",
    "FileSearchToolParam",
    "FunctionToolParam",
    "ResponseConversationParam",
    "ResponseFormatTextConfigParam",
    "ResponseFormatTextJSONSchemaConfigParam",
    "ResponseFunctionToolCallParam",
    "ResponseInputAudioParam",
    "ResponseInputContentParam",
    "ResponseInputFileParam",
    "ResponseInputImageParam",
    "ResponseInputItemParam",
    "ResponseInputMessageContentListParam",
    "ResponseInputParam",
    "ResponseInputTextParam",
    "ResponseOutputMessageParam",
    "ResponseOutputTextParam",
    "ResponsePromptParam",
    "ResponseReasoningItemParam",
    "ResponseTextConfigParam",
    "ToolChoiceFunctionParam",
    "ToolChoiceTypesParam",
    "ToolParam",
    "WebSearchToolParam",
]
