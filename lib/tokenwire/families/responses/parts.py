"""Parts of output items: of a message's content, and of what tools take and give.

The same rules as in items.py.
"""

# ruff: noqa: RUF012 - an empty list or dict as default is a new one for each msgspec object

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..record import ABSENT, Member, Record, Unknown

__all__ = [
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
    "LocalShellAction",
    "Logprob",
    "McpListToolsTool",
    "PartReasoningText",
    "ReasoningContent",
    "ReasoningSummary",
    "ResponseOutputRefusal",
    "ResponseOutputText",
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

    outcome: ShellOutcome = ABSENT
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
