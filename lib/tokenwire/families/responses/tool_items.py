"""Output items of tools: what the model calls, and what came of it.

The same rules as in items.py. A function of the caller's own comes first; then the
tools that the API runs, or asks the caller to run, by the name of their item.
"""

# ruff: noqa: RUF012 - an empty list or dict as default is a new one for each msgspec object

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from ..record import ABSENT, Member
from .parts import (
    ApplyPatchOperation,
    Caller,
    CodeInterpreterOutput,
    FileSearchResult,
    LocalShellAction,
    McpListToolsTool,
    ShellAction,
    ShellOutput,
    WebSearchAction,
)

__all__ = [
    "ImageGenerationCall",
    "LocalShellCall",
    "LocalShellCallOutput",
    "McpApprovalRequest",
    "McpApprovalResponse",
    "McpCall",
    "McpListTools",
    "ResponseApplyPatchToolCall",
    "ResponseApplyPatchToolCallOutput",
    "ResponseCodeInterpreterToolCall",
    "ResponseComputerToolCall",
    "ResponseComputerToolCallOutputItem",
    "ResponseCustomToolCall",
    "ResponseCustomToolCallOutputItem",
    "ResponseFileSearchToolCall",
    "ResponseFunctionShellToolCall",
    "ResponseFunctionShellToolCallOutput",
    "ResponseFunctionToolCall",
    "ResponseFunctionToolCallOutputItem",
    "ResponseFunctionWebSearch",
    "ResponseToolSearchCall",
    "ResponseToolSearchOutputItem",
]


class ResponseFunctionToolCall(Member, kw_only=True, tag="function_call"):
    """A call of one of the caller's functions. arguments: JSON text."""

    type: ClassVar[Literal["function_call"]] = "function_call"
    arguments: str = ""
    call_id: str = ""
    name: str = ""
    id: str | None = None
    async_: bool | None = msgspec.field(name="async", default=None)
    caller: Caller | None = None
    namespace: str | None = None
    status: str | None = None

    @property
    def parsed_arguments(self) -> Any:
        """The arguments read by the tool that was given; None where none was (see parsed.py)."""
        return None


class ResponseFunctionToolCallOutputItem(Member, kw_only=True, tag="function_call_output"):
    """What one of the caller's functions answered."""

    type: ClassVar[Literal["function_call_output"]] = "function_call_output"
    id: str = ""
    output: Any = None
    status: str = ""
    call_id: str | None = None
    caller: Caller | None = None
    created_by: str | None = None
    name: str | None = None
    namespace: str | None = None


class ResponseApplyPatchToolCall(Member, kw_only=True, tag="apply_patch_call"):
    """A change to a file."""

    type: ClassVar[Literal["apply_patch_call"]] = "apply_patch_call"
    id: str = ""
    call_id: str = ""
    operation: ApplyPatchOperation = ABSENT
    status: str = ""
    caller: Caller | None = None
    created_by: str | None = None


class ResponseApplyPatchToolCallOutput(Member, kw_only=True, tag="apply_patch_call_output"):
    """What came of that change."""

    type: ClassVar[Literal["apply_patch_call_output"]] = "apply_patch_call_output"
    id: str = ""
    call_id: str = ""
    status: str = ""
    caller: Caller | None = None
    created_by: str | None = None
    output: str | None = None


class ResponseCodeInterpreterToolCall(Member, kw_only=True, tag="code_interpreter_call"):
    """Code that was run, and what it put out."""

    type: ClassVar[Literal["code_interpreter_call"]] = "code_interpreter_call"
    id: str = ""
    code: str | None = None
    container_id: str = ""
    outputs: list[CodeInterpreterOutput] | None = None
    status: str = ""


class ResponseComputerToolCall(Member, kw_only=True, tag="computer_call"):
    """What the model wants done at a computer."""

    type: ClassVar[Literal["computer_call"]] = "computer_call"
    id: str = ""
    call_id: str = ""
    pending_safety_checks: list[Any] = []
    status: str = ""
    action: Any = None
    actions: list[Any] | None = None


class ResponseComputerToolCallOutputItem(Member, kw_only=True, tag="computer_call_output"):
    """What the computer showed."""

    type: ClassVar[Literal["computer_call_output"]] = "computer_call_output"
    id: str = ""
    call_id: str = ""
    output: Any = None
    status: str = ""
    acknowledged_safety_checks: list[Any] | None = None
    created_by: str | None = None


class ResponseCustomToolCall(Member, kw_only=True, tag="custom_tool_call"):
    """A call of a custom tool. input: free text."""

    type: ClassVar[Literal["custom_tool_call"]] = "custom_tool_call"
    call_id: str = ""
    input: str = ""
    name: str = ""
    id: str | None = None
    async_: bool | None = msgspec.field(name="async", default=None)
    caller: Caller | None = None
    namespace: str | None = None


class ResponseCustomToolCallOutputItem(Member, kw_only=True, tag="custom_tool_call_output"):
    """What a custom tool answered."""

    type: ClassVar[Literal["custom_tool_call_output"]] = "custom_tool_call_output"
    call_id: str = ""
    output: Any = None
    id: str = ""
    caller: Caller | None = None
    status: str = ""
    created_by: str | None = None


class ResponseFileSearchToolCall(Member, kw_only=True, tag="file_search_call"):
    """A search in the files of vector stores, and what it found."""

    type: ClassVar[Literal["file_search_call"]] = "file_search_call"
    id: str = ""
    queries: list[str] = []
    status: str = ""
    results: list[FileSearchResult] | None = None


class ImageGenerationCall(Member, kw_only=True, tag="image_generation_call"):
    """An image that was made. result: base64."""

    type: ClassVar[Literal["image_generation_call"]] = "image_generation_call"
    id: str = ""
    result: str | None = None
    status: str = ""
    action: str | None = None
    background: str | None = None
    error: Any = None
    output_format: str | None = None
    quality: str | None = None
    revised_prompt: str | None = None
    size: str | None = None
    svg_usage: Any = None


class LocalShellCall(Member, kw_only=True, tag="local_shell_call"):
    """A command to be run on the caller's machine."""

    type: ClassVar[Literal["local_shell_call"]] = "local_shell_call"
    id: str = ""
    action: LocalShellAction = ABSENT
    call_id: str = ""
    status: str = ""


class LocalShellCallOutput(Member, kw_only=True, tag="local_shell_call_output"):
    """What that command wrote."""

    type: ClassVar[Literal["local_shell_call_output"]] = "local_shell_call_output"
    id: str = ""
    output: str = ""
    status: str | None = None


class McpApprovalRequest(Member, kw_only=True, tag="mcp_approval_request"):
    """The model asks whether it may call a tool on an MCP server."""

    type: ClassVar[Literal["mcp_approval_request"]] = "mcp_approval_request"
    id: str = ""
    arguments: str = ""
    name: str = ""
    server_label: str = ""


class McpApprovalResponse(Member, kw_only=True, tag="mcp_approval_response"):
    """The answer to such a request."""

    type: ClassVar[Literal["mcp_approval_response"]] = "mcp_approval_response"
    id: str = ""
    approval_request_id: str = ""
    approve: bool = False
    reason: str | None = None


class McpCall(Member, kw_only=True, tag="mcp_call"):
    """A call of a tool on an MCP server. arguments: JSON text."""

    type: ClassVar[Literal["mcp_call"]] = "mcp_call"
    id: str = ""
    arguments: str = ""
    name: str = ""
    server_label: str = ""
    approval_request_id: str | None = None
    error: Any = None
    output: str | None = None
    status: str | None = None


class McpListTools(Member, kw_only=True, tag="mcp_list_tools"):
    """The tools of an MCP server."""

    type: ClassVar[Literal["mcp_list_tools"]] = "mcp_list_tools"
    id: str = ""
    server_label: str = ""
    tools: list[McpListToolsTool] = []
    error: str | None = None


class ResponseFunctionShellToolCall(Member, kw_only=True, tag="shell_call"):
    """Shell commands to be run."""

    type: ClassVar[Literal["shell_call"]] = "shell_call"
    id: str = ""
    action: ShellAction = ABSENT
    call_id: str = ""
    environment: Any | None | None = None
    status: str = ""
    caller: Caller | None = None
    created_by: str | None = None


class ResponseFunctionShellToolCallOutput(Member, kw_only=True, tag="shell_call_output"):
    """What those shell commands wrote."""

    type: ClassVar[Literal["shell_call_output"]] = "shell_call_output"
    id: str = ""
    call_id: str = ""
    max_output_length: int | None = None
    output: list[ShellOutput] = []
    status: str = ""
    caller: Caller | None = None
    created_by: str | None = None


class ResponseToolSearchCall(Member, kw_only=True, tag="tool_search_call"):
    """A search for tools."""

    type: ClassVar[Literal["tool_search_call"]] = "tool_search_call"
    id: str = ""
    arguments: Any = None
    call_id: str | None = None
    execution: str = ""
    status: str = ""
    created_by: str | None = None


class ResponseToolSearchOutputItem(Member, kw_only=True, tag="tool_search_output"):
    """The tools that a search found."""

    type: ClassVar[Literal["tool_search_output"]] = "tool_search_output"
    id: str = ""
    call_id: str | None = None
    execution: str = ""
    status: str = ""
    tools: list[Any] = []
    created_by: str | None = None


class ResponseFunctionWebSearch(Member, kw_only=True, tag="web_search_call"):
    """A web search."""

    type: ClassVar[Literal["web_search_call"]] = "web_search_call"
    id: str = ""
    action: WebSearchAction = ABSENT
    status: str = ""


ToolItem = (
    ImageGenerationCall
    | LocalShellCall
    | LocalShellCallOutput
    | McpApprovalRequest
    | McpApprovalResponse
    | McpCall
    | McpListTools
    | ResponseApplyPatchToolCall
    | ResponseApplyPatchToolCallOutput
    | ResponseCodeInterpreterToolCall
    | ResponseComputerToolCall
    | ResponseComputerToolCallOutputItem
    | ResponseCustomToolCall
    | ResponseCustomToolCallOutputItem
    | ResponseFileSearchToolCall
    | ResponseFunctionShellToolCall
    | ResponseFunctionShellToolCallOutput
    | ResponseFunctionToolCall
    | ResponseFunctionToolCallOutputItem
    | ResponseFunctionWebSearch
    | ResponseToolSearchCall
    | ResponseToolSearchOutputItem
)
