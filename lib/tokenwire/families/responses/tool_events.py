"""Events of tools: their calls as they grow, and how those that the API runs go on.

The same rules as in events.py.
"""

# ruff: noqa: RUF012 - an empty list or dict as default is a new one for each msgspec object

from __future__ import annotations

from typing import ClassVar, Literal

from ..record import ABSENT
from .event_bases import Delta, GrowingDelta, ItemDelta, ItemEvent, StreamEvent
from .parts import ShellOutput, ShellOutputDelta

__all__ = [
    "ResponseCodeInterpreterCallCodeDeltaEvent",
    "ResponseCodeInterpreterCallCodeDoneEvent",
    "ResponseCodeInterpreterCallCompletedEvent",
    "ResponseCodeInterpreterCallInProgressEvent",
    "ResponseCodeInterpreterCallInterpretingEvent",
    "ResponseCustomToolCallInputDeltaEvent",
    "ResponseCustomToolCallInputDoneEvent",
    "ResponseFileSearchCallCompletedEvent",
    "ResponseFileSearchCallInProgressEvent",
    "ResponseFileSearchCallSearchingEvent",
    "ResponseFunctionCallArgumentsDeltaEvent",
    "ResponseFunctionCallArgumentsDoneEvent",
    "ResponseImageGenCallCompletedEvent",
    "ResponseImageGenCallGeneratingEvent",
    "ResponseImageGenCallInProgressEvent",
    "ResponseImageGenCallPartialImageEvent",
    "ResponseMcpCallArgumentsDeltaEvent",
    "ResponseMcpCallArgumentsDoneEvent",
    "ResponseMcpCallCompletedEvent",
    "ResponseMcpCallFailedEvent",
    "ResponseMcpCallInProgressEvent",
    "ResponseMcpListToolsCompletedEvent",
    "ResponseMcpListToolsFailedEvent",
    "ResponseMcpListToolsInProgressEvent",
    "ResponseShellCallCommandAddedEvent",
    "ResponseShellCallCommandDeltaEvent",
    "ResponseShellCallCommandDoneEvent",
    "ResponseShellCallOutputContentDeltaEvent",
    "ResponseShellCallOutputContentDoneEvent",
    "ResponseWebSearchCallCompletedEvent",
    "ResponseWebSearchCallInProgressEvent",
    "ResponseWebSearchCallSearchingEvent",
]


class ResponseCodeInterpreterCallCompletedEvent(
    ItemEvent, kw_only=True, tag="response.code_interpreter_call.completed"
):
    """The code interpreter has finished."""

    type: ClassVar[Literal["response.code_interpreter_call.completed"]] = "response.code_interpreter_call.completed"


class ResponseCodeInterpreterCallInProgressEvent(
    ItemEvent, kw_only=True, tag="response.code_interpreter_call.in_progress"
):
    """A call of the code interpreter has begun."""

    type: ClassVar[Literal["response.code_interpreter_call.in_progress"]] = "response.code_interpreter_call.in_progress"


class ResponseCodeInterpreterCallInterpretingEvent(
    ItemEvent, kw_only=True, tag="response.code_interpreter_call.interpreting"
):
    """The code interpreter is running its code."""

    type: ClassVar[Literal["response.code_interpreter_call.interpreting"]] = (
        "response.code_interpreter_call.interpreting"
    )


class ResponseCodeInterpreterCallCodeDeltaEvent(
    ItemDelta, kw_only=True, tag="response.code_interpreter_call_code.delta"
):
    """A piece of the code that the interpreter will run."""

    type: ClassVar[Literal["response.code_interpreter_call_code.delta"]] = "response.code_interpreter_call_code.delta"


class ResponseCodeInterpreterCallCodeDoneEvent(
    ItemEvent, kw_only=True, tag="response.code_interpreter_call_code.done"
):
    """The interpreter's code, whole."""

    type: ClassVar[Literal["response.code_interpreter_call_code.done"]] = "response.code_interpreter_call_code.done"
    code: str = ""


class ResponseCustomToolCallInputDeltaEvent(ItemDelta, kw_only=True, tag="response.custom_tool_call_input.delta"):
    """A piece of a custom tool's input."""

    type: ClassVar[Literal["response.custom_tool_call_input.delta"]] = "response.custom_tool_call_input.delta"


class ResponseCustomToolCallInputDoneEvent(ItemEvent, kw_only=True, tag="response.custom_tool_call_input.done"):
    """A custom tool's input, whole."""

    type: ClassVar[Literal["response.custom_tool_call_input.done"]] = "response.custom_tool_call_input.done"
    input: str = ""


class ResponseFileSearchCallCompletedEvent(ItemEvent, kw_only=True, tag="response.file_search_call.completed"):
    """The file search has finished."""

    type: ClassVar[Literal["response.file_search_call.completed"]] = "response.file_search_call.completed"


class ResponseFileSearchCallInProgressEvent(ItemEvent, kw_only=True, tag="response.file_search_call.in_progress"):
    """A file search has begun."""

    type: ClassVar[Literal["response.file_search_call.in_progress"]] = "response.file_search_call.in_progress"


class ResponseFileSearchCallSearchingEvent(ItemEvent, kw_only=True, tag="response.file_search_call.searching"):
    """The file search is searching."""

    type: ClassVar[Literal["response.file_search_call.searching"]] = "response.file_search_call.searching"


class ResponseFunctionCallArgumentsDeltaEvent(GrowingDelta, kw_only=True, tag="response.function_call_arguments.delta"):
    """A piece of the JSON of a function call's arguments."""

    type: ClassVar[Literal["response.function_call_arguments.delta"]] = "response.function_call_arguments.delta"


class ResponseFunctionCallArgumentsDoneEvent(ItemEvent, kw_only=True, tag="response.function_call_arguments.done"):
    """A function call's arguments, whole, as JSON text."""

    type: ClassVar[Literal["response.function_call_arguments.done"]] = "response.function_call_arguments.done"
    arguments: str = ""


class ResponseImageGenCallCompletedEvent(ItemEvent, kw_only=True, tag="response.image_generation_call.completed"):
    """The image is made."""

    type: ClassVar[Literal["response.image_generation_call.completed"]] = "response.image_generation_call.completed"


class ResponseImageGenCallGeneratingEvent(ItemEvent, kw_only=True, tag="response.image_generation_call.generating"):
    """An image is being made."""

    type: ClassVar[Literal["response.image_generation_call.generating"]] = "response.image_generation_call.generating"


class ResponseImageGenCallInProgressEvent(ItemEvent, kw_only=True, tag="response.image_generation_call.in_progress"):
    """The making of an image has begun."""

    type: ClassVar[Literal["response.image_generation_call.in_progress"]] = "response.image_generation_call.in_progress"


class ResponseImageGenCallPartialImageEvent(
    ItemEvent, kw_only=True, tag="response.image_generation_call.partial_image"
):
    """An early look at the image, base64."""

    type: ClassVar[Literal["response.image_generation_call.partial_image"]] = (
        "response.image_generation_call.partial_image"
    )
    partial_image_b64: str = ""
    partial_image_index: int = ABSENT
    background: str | None = None
    output_format: str | None = None
    quality: str | None = None
    size: str | None = None


class ResponseMcpCallCompletedEvent(ItemEvent, kw_only=True, tag="response.mcp_call.completed"):
    """The MCP call has finished."""

    type: ClassVar[Literal["response.mcp_call.completed"]] = "response.mcp_call.completed"


class ResponseMcpCallFailedEvent(ItemEvent, kw_only=True, tag="response.mcp_call.failed"):
    """The MCP call failed."""

    type: ClassVar[Literal["response.mcp_call.failed"]] = "response.mcp_call.failed"


class ResponseMcpCallInProgressEvent(ItemEvent, kw_only=True, tag="response.mcp_call.in_progress"):
    """An MCP call has begun."""

    type: ClassVar[Literal["response.mcp_call.in_progress"]] = "response.mcp_call.in_progress"


class ResponseMcpCallArgumentsDeltaEvent(ItemDelta, kw_only=True, tag="response.mcp_call_arguments.delta"):
    """A piece of the JSON of an MCP call's arguments."""

    type: ClassVar[Literal["response.mcp_call_arguments.delta"]] = "response.mcp_call_arguments.delta"


class ResponseMcpCallArgumentsDoneEvent(ItemEvent, kw_only=True, tag="response.mcp_call_arguments.done"):
    """An MCP call's arguments, whole, as JSON text."""

    type: ClassVar[Literal["response.mcp_call_arguments.done"]] = "response.mcp_call_arguments.done"
    arguments: str = ""


class ResponseMcpListToolsCompletedEvent(ItemEvent, kw_only=True, tag="response.mcp_list_tools.completed"):
    """The list of an MCP server's tools is here."""

    type: ClassVar[Literal["response.mcp_list_tools.completed"]] = "response.mcp_list_tools.completed"


class ResponseMcpListToolsFailedEvent(ItemEvent, kw_only=True, tag="response.mcp_list_tools.failed"):
    """The list of an MCP server's tools could not be had."""

    type: ClassVar[Literal["response.mcp_list_tools.failed"]] = "response.mcp_list_tools.failed"


class ResponseMcpListToolsInProgressEvent(ItemEvent, kw_only=True, tag="response.mcp_list_tools.in_progress"):
    """An MCP server is being asked for its tools."""

    type: ClassVar[Literal["response.mcp_list_tools.in_progress"]] = "response.mcp_list_tools.in_progress"


class ResponseShellCallCommandAddedEvent(StreamEvent, kw_only=True, tag="response.shell_call_command.added"):
    """A shell command begins."""

    type: ClassVar[Literal["response.shell_call_command.added"]] = "response.shell_call_command.added"
    command: str = ""
    command_index: int = ABSENT
    output_index: int = ABSENT


class ResponseShellCallCommandDeltaEvent(Delta, kw_only=True, tag="response.shell_call_command.delta"):
    """A piece of a shell command."""

    type: ClassVar[Literal["response.shell_call_command.delta"]] = "response.shell_call_command.delta"
    command_index: int = ABSENT
    output_index: int = ABSENT


class ResponseShellCallCommandDoneEvent(StreamEvent, kw_only=True, tag="response.shell_call_command.done"):
    """A shell command, whole."""

    type: ClassVar[Literal["response.shell_call_command.done"]] = "response.shell_call_command.done"
    command: str = ""
    command_index: int = ABSENT
    output_index: int = ABSENT


class ResponseShellCallOutputContentDeltaEvent(
    ItemEvent, kw_only=True, tag="response.shell_call_output_content.delta"
):
    """A piece of what a shell command wrote."""

    type: ClassVar[Literal["response.shell_call_output_content.delta"]] = "response.shell_call_output_content.delta"
    command_index: int = ABSENT
    delta: ShellOutputDelta = ABSENT


class ResponseShellCallOutputContentDoneEvent(ItemEvent, kw_only=True, tag="response.shell_call_output_content.done"):
    """What a shell command wrote, whole."""

    type: ClassVar[Literal["response.shell_call_output_content.done"]] = "response.shell_call_output_content.done"
    command_index: int = ABSENT
    output: list[ShellOutput] = []


class ResponseWebSearchCallCompletedEvent(ItemEvent, kw_only=True, tag="response.web_search_call.completed"):
    """The web search has finished."""

    type: ClassVar[Literal["response.web_search_call.completed"]] = "response.web_search_call.completed"


class ResponseWebSearchCallInProgressEvent(ItemEvent, kw_only=True, tag="response.web_search_call.in_progress"):
    """A web search has begun."""

    type: ClassVar[Literal["response.web_search_call.in_progress"]] = "response.web_search_call.in_progress"


class ResponseWebSearchCallSearchingEvent(ItemEvent, kw_only=True, tag="response.web_search_call.searching"):
    """The web search is searching."""

    type: ClassVar[Literal["response.web_search_call.searching"]] = "response.web_search_call.searching"


ToolEvent = (
    ResponseCodeInterpreterCallCodeDeltaEvent
    | ResponseCodeInterpreterCallCodeDoneEvent
    | ResponseCodeInterpreterCallCompletedEvent
    | ResponseCodeInterpreterCallInProgressEvent
    | ResponseCodeInterpreterCallInterpretingEvent
    | ResponseCustomToolCallInputDeltaEvent
    | ResponseCustomToolCallInputDoneEvent
    | ResponseFileSearchCallCompletedEvent
    | ResponseFileSearchCallInProgressEvent
    | ResponseFileSearchCallSearchingEvent
    | ResponseFunctionCallArgumentsDeltaEvent
    | ResponseFunctionCallArgumentsDoneEvent
    | ResponseImageGenCallCompletedEvent
    | ResponseImageGenCallGeneratingEvent
    | ResponseImageGenCallInProgressEvent
    | ResponseImageGenCallPartialImageEvent
    | ResponseMcpCallArgumentsDeltaEvent
    | ResponseMcpCallArgumentsDoneEvent
    | ResponseMcpCallCompletedEvent
    | ResponseMcpCallFailedEvent
    | ResponseMcpCallInProgressEvent
    | ResponseMcpListToolsCompletedEvent
    | ResponseMcpListToolsFailedEvent
    | ResponseMcpListToolsInProgressEvent
    | ResponseShellCallCommandAddedEvent
    | ResponseShellCallCommandDeltaEvent
    | ResponseShellCallCommandDoneEvent
    | ResponseShellCallOutputContentDeltaEvent
    | ResponseShellCallOutputContentDoneEvent
    | ResponseWebSearchCallCompletedEvent
    | ResponseWebSearchCallInProgressEvent
    | ResponseWebSearchCallSearchingEvent
)
