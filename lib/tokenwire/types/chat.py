"""Chat completions: chunks, whole answers, the events of `.stream()`, and what their partial parses are made of."""

from __future__ import annotations

from typing import Any, TypeAlias

from tokenwire.families import chat_events, chat_types
from tokenwire.families.chat_events import *  # noqa: F403 - __all__ says which
from tokenwire.families.chat_types import *  # noqa: F403
from tokenwire.families.chat_types import ChatCompletionMessageFunctionToolCall, ToolCall
from tokenwire.families.views import PartialDict, PartialList

__all__: list[str] = ["PartialDict", "PartialList"]
__all__ += chat_events.__all__
__all__ += chat_types.__all__

#: As the official package has them: a call of a function, and of either kind.
ChatCompletionMessageToolCall: TypeAlias = ChatCompletionMessageFunctionToolCall
ChatCompletionMessageToolCallUnion: TypeAlias = ToolCall

# What one asks with, for annotations: JSON as the API describes it, in plain dicts. What is in them is the API's to
# judge; the official SDK's own are taken as well.

ChatCompletionAllowedToolChoiceParam: TypeAlias = dict[str, Any]
ChatCompletionAllowedToolsParam: TypeAlias = dict[str, Any]
ChatCompletionAssistantMessageParam: TypeAlias = dict[str, Any]
ChatCompletionAudioParam: TypeAlias = dict[str, Any]
ChatCompletionContentPartImageParam: TypeAlias = dict[str, Any]
ChatCompletionContentPartInputAudioParam: TypeAlias = dict[str, Any]
ChatCompletionContentPartParam: TypeAlias = dict[str, Any]
ChatCompletionContentPartRefusalParam: TypeAlias = dict[str, Any]
ChatCompletionContentPartTextParam: TypeAlias = dict[str, Any]
ChatCompletionCustomToolParam: TypeAlias = dict[str, Any]
ChatCompletionDeveloperMessageParam: TypeAlias = dict[str, Any]
ChatCompletionFunctionCallOptionParam: TypeAlias = dict[str, Any]
ChatCompletionFunctionMessageParam: TypeAlias = dict[str, Any]
ChatCompletionFunctionToolParam: TypeAlias = dict[str, Any]
ChatCompletionMessageCustomToolCallParam: TypeAlias = dict[str, Any]
ChatCompletionMessageFunctionToolCallParam: TypeAlias = dict[str, Any]
ChatCompletionMessageParam: TypeAlias = dict[str, Any]
ChatCompletionMessageToolCallParam: TypeAlias = dict[str, Any]
ChatCompletionMessageToolCallUnionParam: TypeAlias = dict[str, Any]
ChatCompletionNamedToolChoiceCustomParam: TypeAlias = dict[str, Any]
ChatCompletionNamedToolChoiceParam: TypeAlias = dict[str, Any]
ChatCompletionPredictionContentParam: TypeAlias = dict[str, Any]
ChatCompletionStreamOptionsParam: TypeAlias = dict[str, Any]
ChatCompletionSystemMessageParam: TypeAlias = dict[str, Any]
ChatCompletionToolChoiceOptionParam: TypeAlias = str | dict[str, Any]
ChatCompletionToolMessageParam: TypeAlias = dict[str, Any]
ChatCompletionToolParam: TypeAlias = dict[str, Any]
ChatCompletionToolUnionParam: TypeAlias = dict[str, Any]
ChatCompletionUserMessageParam: TypeAlias = dict[str, Any]
CreateChatCompletionRequestMessageParam: TypeAlias = dict[str, Any]

__all__ += [
    "ChatCompletionAllowedToolChoiceParam",
    "ChatCompletionAllowedToolsParam",
    "ChatCompletionAssistantMessageParam",
    "ChatCompletionAudioParam",
    "ChatCompletionContentPartImageParam",
    "ChatCompletionContentPartInputAudioParam",
    "ChatCompletionContentPartParam",
    "ChatCompletionContentPartRefusalParam",
    "ChatCompletionContentPartTextParam",
    "ChatCompletionCustomToolParam",
    "ChatCompletionDeveloperMessageParam",
    "ChatCompletionFunctionCallOptionParam",
    "ChatCompletionFunctionMessageParam",
    "ChatCompletionFunctionToolParam",
    "ChatCompletionMessageCustomToolCallParam",
    "ChatCompletionMessageFunctionToolCallParam",
    "ChatCompletionMessageParam",
    "ChatCompletionMessageToolCall",
    "ChatCompletionMessageToolCallParam",
    "ChatCompletionMessageToolCallUnion",
    "ChatCompletionMessageToolCallUnionParam",
    "ChatCompletionNamedToolChoiceCustomParam",
    "ChatCompletionNamedToolChoiceParam",
    "ChatCompletionPredictionContentParam",
    "ChatCompletionStreamOptionsParam",
    "ChatCompletionSystemMessageParam",
    "ChatCompletionToolChoiceOptionParam",
    "ChatCompletionToolMessageParam",
    "ChatCompletionToolParam",
    "ChatCompletionToolUnionParam",
    "ChatCompletionUserMessageParam",
    "CreateChatCompletionRequestMessageParam",
]
