"""What a response is made of: output items, the parts of their content, annotations.

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

import msgspec

from ..record import Member, Record, Unknown

__all__ = [
    "AdditionalTools",
    "Annotation",
    "AnnotationContainerFileCitation",
    "AnnotationFileCitation",
    "AnnotationFilePath",
    "AnnotationURLCitation",
    "ApplyPatchOperation",
    "Caller",
    "CodeInterpreterImage",
    "CodeInterpreterLogs",
    "CodeInterpreterOutput",
    "ContentPart",
    "CreateFile",
    "DeleteFile",
    "FileSearchResult",
    "ImageGenerationCall",
    "LocalShellAction",
    "LocalShellCall",
    "LocalShellCallOutput",
    "Logprob",
    "McpApprovalRequest",
    "McpApprovalResponse",
    "McpCall",
    "McpListTools",
    "McpListToolsTool",
    "PartReasoningText",
    "Program",
    "ProgramOutput",
    "ReasoningContent",
    "ReasoningSummary",
    "ResponseApplyPatchToolCall",
    "ResponseApplyPatchToolCallOutput",
    "ResponseCodeInterpreterToolCall",
    "ResponseCompactionItem",
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
    "ResponseOutputItem",
    "ResponseOutputMessage",
    "ResponseOutputRefusal",
    "ResponseOutputText",
    "ResponseReasoningItem",
    "ResponseToolSearchCall",
    "ResponseToolSearchOutputItem",
    "ShellAction",
    "ShellOutcome",
    "ShellOutput",
    "ShellOutputDelta",
    "TopLogprob",
    "UpdateFile",
    "WebActionFind",
    "WebActionOpenPage",
    "WebActionSearch",
    "WebSearchAction",
    "WebSearchSource",
]


# -- Parts of a message ----------------------------------------------------------


class TopLogprob(Record, kw_only=True):
    """One of the likeliest tokens at a position."""

    token: str = ""
    bytes: list[int] | None = None
    logprob: float = 0.0


class Logprob(Record, kw_only=True):
    """A token of the answer, how likely it was (natural logarithm), and its rivals."""

    token: str = ""
    bytes: list[int] | None = None
    logprob: float = 0.0
    top_logprobs: list[TopLogprob] | None = None


class AnnotationFileCitation(Member, kw_only=True, tag="file_citation"):
    """A file that the text cites. index: its place in the list of files."""

    type: ClassVar[Literal["file_citation"]] = "file_citation"
    file_id: str = ""
    filename: str = ""
    index: int = 0


class AnnotationURLCitation(Member, kw_only=True, tag="url_citation"):
    """A page that the text cites, from start_index to end_index (characters of the text)."""

    type: ClassVar[Literal["url_citation"]] = "url_citation"
    end_index: int = 0
    start_index: int = 0
    title: str = ""
    url: str = ""


class AnnotationContainerFileCitation(Member, kw_only=True, tag="container_file_citation"):
    """A file in a container that the text cites, from start_index to end_index (characters of the text)."""

    type: ClassVar[Literal["container_file_citation"]] = "container_file_citation"
    container_id: str = ""
    end_index: int = 0
    file_id: str = ""
    filename: str = ""
    start_index: int = 0


class AnnotationFilePath(Member, kw_only=True, tag="file_path"):
    """A path to a file. index: its place in the list of files."""

    type: ClassVar[Literal["file_path"]] = "file_path"
    file_id: str = ""
    index: int = 0


_Annotation = AnnotationFileCitation | AnnotationURLCitation | AnnotationContainerFileCitation | AnnotationFilePath
if TYPE_CHECKING:
    Annotation = _Annotation | Unknown
else:
    Annotation = _Annotation  # msgspec takes no untagged member; the open reading adds Unknown


class ResponseOutputText(Member, kw_only=True, tag="output_text"):
    """Text of the answer."""

    type: ClassVar[Literal["output_text"]] = "output_text"
    annotations: list[Annotation] = []
    text: str = ""
    logprobs: list[Logprob] | None = None

    @property
    def parsed(self) -> Any:
        """The text read as the text_format that was given; None where none was (see parsed.py)."""
        return None


class ResponseOutputRefusal(Member, kw_only=True, tag="refusal"):
    """The model declines."""

    type: ClassVar[Literal["refusal"]] = "refusal"
    refusal: str = ""


class PartReasoningText(Member, kw_only=True, tag="reasoning_text"):
    """Reasoning, as a part that is announced in a stream."""

    type: ClassVar[Literal["reasoning_text"]] = "reasoning_text"
    text: str = ""


_ContentPart = ResponseOutputText | ResponseOutputRefusal | PartReasoningText
if TYPE_CHECKING:
    ContentPart = _ContentPart | Unknown
else:
    ContentPart = _ContentPart


# -- Parts of the other items ----------------------------------------------------


class ReasoningSummary(Record, kw_only=True):
    """A part of the summary of what the model thought."""

    type: str = "summary_text"
    text: str = ""


class ReasoningContent(Record, kw_only=True):
    """A part of what the model thought."""

    type: str = "reasoning_text"
    text: str = ""


class Caller(Record, kw_only=True):
    """Who called the tool: the model ("direct"), or a program of its own ("program", caller_id)."""

    type: str = "direct"
    caller_id: str | None = None


class FileSearchResult(Record, kw_only=True):
    """What a file search found. score: 0 to 1."""

    attributes: dict[str, Any] | None = None
    file_id: str | None = None
    filename: str | None = None
    score: float | None = None
    text: str | None = None


class WebSearchSource(Record, kw_only=True):
    """A page that a web search used."""

    type: str = "url"
    url: str = ""


class WebActionSearch(Member, kw_only=True, tag="search"):
    """A web search looks for something."""

    type: ClassVar[Literal["search"]] = "search"
    queries: list[str] | None = None
    query: str | None = None
    sources: list[WebSearchSource] | None = None


class WebActionOpenPage(Member, kw_only=True, tag="open_page"):
    """A web search opens a page."""

    type: ClassVar[Literal["open_page"]] = "open_page"
    url: str | None = None


class WebActionFind(Member, kw_only=True, tag="find_in_page"):
    """A web search looks for something in a page."""

    type: ClassVar[Literal["find_in_page"]] = "find_in_page"
    pattern: str = ""
    url: str = ""


_WebSearchAction = WebActionSearch | WebActionOpenPage | WebActionFind
if TYPE_CHECKING:
    WebSearchAction = _WebSearchAction | Unknown
else:
    WebSearchAction = _WebSearchAction


class CodeInterpreterLogs(Member, kw_only=True, tag="logs"):
    """What the code wrote."""

    type: ClassVar[Literal["logs"]] = "logs"
    logs: str = ""


class CodeInterpreterImage(Member, kw_only=True, tag="image"):
    """An image that the code made."""

    type: ClassVar[Literal["image"]] = "image"
    url: str = ""


_CodeInterpreterOutput = CodeInterpreterLogs | CodeInterpreterImage
if TYPE_CHECKING:
    CodeInterpreterOutput = _CodeInterpreterOutput | Unknown
else:
    CodeInterpreterOutput = _CodeInterpreterOutput


class LocalShellAction(Record, kw_only=True):
    """A command for the caller's machine. timeout_ms: milliseconds."""

    type: str = "exec"
    command: list[str] = []
    env: dict[str, str] = {}
    timeout_ms: int | None = None
    user: str | None = None
    working_directory: str | None = None


class ShellAction(Record, kw_only=True):
    """Shell commands. max_output_length: characters; timeout_ms: milliseconds."""

    commands: list[str] = []
    max_output_length: int | None = None
    timeout_ms: int | None = None


class ShellOutcome(Record, kw_only=True):
    """How a shell command ended: "exit" with its exit_code, or "timeout"."""

    type: str = "exit"
    exit_code: int | None = None


class ShellOutput(Record, kw_only=True):
    """What a shell command wrote."""

    outcome: ShellOutcome | None = None
    stderr: str = ""
    stdout: str = ""
    created_by: str | None = None


class ShellOutputDelta(Record, kw_only=True):
    """A piece of what a shell command wrote."""

    stderr: str | None = None
    stdout: str | None = None


class CreateFile(Member, kw_only=True, tag="create_file"):
    """A patch that makes a file."""

    type: ClassVar[Literal["create_file"]] = "create_file"
    diff: str = ""
    path: str = ""


class DeleteFile(Member, kw_only=True, tag="delete_file"):
    """A patch that removes a file."""

    type: ClassVar[Literal["delete_file"]] = "delete_file"
    path: str = ""


class UpdateFile(Member, kw_only=True, tag="update_file"):
    """A patch that changes a file."""

    type: ClassVar[Literal["update_file"]] = "update_file"
    diff: str = ""
    path: str = ""


_ApplyPatchOperation = CreateFile | DeleteFile | UpdateFile
if TYPE_CHECKING:
    ApplyPatchOperation = _ApplyPatchOperation | Unknown
else:
    ApplyPatchOperation = _ApplyPatchOperation


class McpListToolsTool(Record, kw_only=True):
    """A tool of an MCP server. input_schema: JSON Schema."""

    input_schema: Any = None
    name: str = ""
    annotations: Any = None
    description: str | None = None


# -- The output items ------------------------------------------------------------


class AdditionalTools(Member, kw_only=True, tag="additional_tools"):
    """Tools that were added on the way."""

    type: ClassVar[Literal["additional_tools"]] = "additional_tools"
    id: str = ""
    role: str = ""
    tools: list[Any] = []


class ResponseApplyPatchToolCall(Member, kw_only=True, tag="apply_patch_call"):
    """A change to a file."""

    type: ClassVar[Literal["apply_patch_call"]] = "apply_patch_call"
    id: str = ""
    call_id: str = ""
    operation: ApplyPatchOperation | None = None
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


class ResponseCompactionItem(Member, kw_only=True, tag="compaction"):
    """The conversation so far, compacted and encrypted."""

    type: ClassVar[Literal["compaction"]] = "compaction"
    id: str = ""
    encrypted_content: str = ""
    created_by: str | None = None


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
    action: LocalShellAction | None = None
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


class ResponseOutputMessage(Member, kw_only=True, tag="message"):
    """A message of the model: its text, or its refusal, in parts."""

    type: ClassVar[Literal["message"]] = "message"
    id: str = ""
    content: list[ContentPart] = []
    role: str = "assistant"
    status: str = ""
    phase: str | None = None


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


class ResponseReasoningItem(Member, kw_only=True, tag="reasoning"):
    """What the model thought: in the open (content), in summary, or encrypted."""

    type: ClassVar[Literal["reasoning"]] = "reasoning"
    id: str = ""
    summary: list[ReasoningSummary] = []
    content: list[ReasoningContent] | None = None
    encrypted_content: str | None = None
    status: str | None = None


class ResponseFunctionShellToolCall(Member, kw_only=True, tag="shell_call"):
    """Shell commands to be run."""

    type: ClassVar[Literal["shell_call"]] = "shell_call"
    id: str = ""
    action: ShellAction | None = None
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
    action: WebSearchAction | None = None
    status: str = ""


_ResponseOutputItem = (
    AdditionalTools
    | ResponseApplyPatchToolCall
    | ResponseApplyPatchToolCallOutput
    | ResponseCodeInterpreterToolCall
    | ResponseCompactionItem
    | ResponseComputerToolCall
    | ResponseComputerToolCallOutputItem
    | ResponseCustomToolCall
    | ResponseCustomToolCallOutputItem
    | ResponseFileSearchToolCall
    | ResponseFunctionToolCall
    | ResponseFunctionToolCallOutputItem
    | ImageGenerationCall
    | LocalShellCall
    | LocalShellCallOutput
    | McpApprovalRequest
    | McpApprovalResponse
    | McpCall
    | McpListTools
    | ResponseOutputMessage
    | Program
    | ProgramOutput
    | ResponseReasoningItem
    | ResponseFunctionShellToolCall
    | ResponseFunctionShellToolCallOutput
    | ResponseToolSearchCall
    | ResponseToolSearchOutputItem
    | ResponseFunctionWebSearch
)
if TYPE_CHECKING:
    ResponseOutputItem = _ResponseOutputItem | Unknown
else:
    ResponseOutputItem = _ResponseOutputItem
