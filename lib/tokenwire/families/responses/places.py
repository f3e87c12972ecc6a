"""Where in an item it goes what an event tells, by the type of the event."""

from __future__ import annotations

from . import text_events, tool_events

__all__ = ["DELTAS", "STATUSES", "WHOLES"]

# Event: the item's type, the field, the type of the part, the attribute that has its index.
DELTAS: dict[type, tuple[str, str, str, str]] = {
    text_events.ResponseRefusalDeltaEvent: ("message", "content", "refusal", "content_index"),
    text_events.ResponseReasoningTextDeltaEvent: ("reasoning", "content", "reasoning_text", "content_index"),
    text_events.ResponseReasoningSummaryTextDeltaEvent: ("reasoning", "summary", "summary_text", "summary_index"),
    tool_events.ResponseFunctionCallArgumentsDeltaEvent: ("function_call", "arguments", "", ""),
    tool_events.ResponseMcpCallArgumentsDeltaEvent: ("mcp_call", "arguments", "", ""),
    tool_events.ResponseCustomToolCallInputDeltaEvent: ("custom_tool_call", "input", "", ""),
    tool_events.ResponseCodeInterpreterCallCodeDeltaEvent: ("code_interpreter_call", "code", "", ""),
    tool_events.ResponseShellCallCommandDeltaEvent: ("shell_call", "commands", "", "command_index"),
}

# The same, and the attribute that has the whole text.
WHOLES: dict[type, tuple[str, str, str, str, str]] = {
    text_events.ResponseTextDoneEvent: ("message", "content", "output_text", "content_index", "text"),
    text_events.ResponseRefusalDoneEvent: ("message", "content", "refusal", "content_index", "refusal"),
    text_events.ResponseReasoningTextDoneEvent: ("reasoning", "content", "reasoning_text", "content_index", "text"),
    text_events.ResponseReasoningSummaryTextDoneEvent: (
        "reasoning",
        "summary",
        "summary_text",
        "summary_index",
        "text",
    ),
    tool_events.ResponseFunctionCallArgumentsDoneEvent: ("function_call", "arguments", "", "", "arguments"),
    tool_events.ResponseMcpCallArgumentsDoneEvent: ("mcp_call", "arguments", "", "", "arguments"),
    tool_events.ResponseCustomToolCallInputDoneEvent: ("custom_tool_call", "input", "", "", "input"),
    tool_events.ResponseCodeInterpreterCallCodeDoneEvent: ("code_interpreter_call", "code", "", "", "code"),
    tool_events.ResponseShellCallCommandDoneEvent: ("shell_call", "commands", "", "command_index", "command"),
}

# Event: the item's type, and the status that the event tells.
STATUSES: dict[type, tuple[str, str]] = {
    tool_events.ResponseWebSearchCallInProgressEvent: ("web_search_call", "in_progress"),
    tool_events.ResponseWebSearchCallSearchingEvent: ("web_search_call", "searching"),
    tool_events.ResponseWebSearchCallCompletedEvent: ("web_search_call", "completed"),
    tool_events.ResponseFileSearchCallInProgressEvent: ("file_search_call", "in_progress"),
    tool_events.ResponseFileSearchCallSearchingEvent: ("file_search_call", "searching"),
    tool_events.ResponseFileSearchCallCompletedEvent: ("file_search_call", "completed"),
    tool_events.ResponseCodeInterpreterCallInProgressEvent: ("code_interpreter_call", "in_progress"),
    tool_events.ResponseCodeInterpreterCallInterpretingEvent: ("code_interpreter_call", "interpreting"),
    tool_events.ResponseCodeInterpreterCallCompletedEvent: ("code_interpreter_call", "completed"),
    tool_events.ResponseImageGenCallInProgressEvent: ("image_generation_call", "in_progress"),
    tool_events.ResponseImageGenCallGeneratingEvent: ("image_generation_call", "generating"),
    tool_events.ResponseImageGenCallCompletedEvent: ("image_generation_call", "completed"),
    tool_events.ResponseMcpCallInProgressEvent: ("mcp_call", "in_progress"),
    tool_events.ResponseMcpCallCompletedEvent: ("mcp_call", "completed"),
    tool_events.ResponseMcpCallFailedEvent: ("mcp_call", "failed"),
}
