"""The events of a Responses stream: the official SDK's 59 types, and `response.cancelled`.

Each class has every field of the official SDK's class of the same name (a test
holds them together), and a default for each. `type` tells them apart, to type
checkers too. An event of any other type arrives as `UnknownEvent`.

The indices and `sequence_number` are declared as the API promises them, int;
where a server left one out (llama.cpp sends none at all) it reads None, since
no number would be true.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

# ruff: noqa: RUF012 - an empty list or dict as default is a new one for each msgspec object

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from ..record import Event, Private
from .items import (
    Annotation,
    ContentPart,
    Logprob,
    ReasoningSummary,
    ResponseOutputItem,
    ShellOutput,
    ShellOutputDelta,
)
from .response import ABSENT, Response

if TYPE_CHECKING:
    from .parsed import ParsedResponse

T = TypeVar("T")

__all__ = [
    "ParsedResponseStreamEvent",
    "ResponseAudioDeltaEvent",
    "ResponseAudioDoneEvent",
    "ResponseAudioTranscriptDeltaEvent",
    "ResponseAudioTranscriptDoneEvent",
    "ResponseCancelledEvent",
    "ResponseCodeInterpreterCallCodeDeltaEvent",
    "ResponseCodeInterpreterCallCodeDoneEvent",
    "ResponseCodeInterpreterCallCompletedEvent",
    "ResponseCodeInterpreterCallInProgressEvent",
    "ResponseCodeInterpreterCallInterpretingEvent",
    "ResponseCompactionCompactingEvent",
    "ResponseCompletedEvent",
    "ResponseContentPartAddedEvent",
    "ResponseContentPartDoneEvent",
    "ResponseCreatedEvent",
    "ResponseCustomToolCallInputDeltaEvent",
    "ResponseCustomToolCallInputDoneEvent",
    "ResponseErrorEvent",
    "ResponseFailedEvent",
    "ResponseFileSearchCallCompletedEvent",
    "ResponseFileSearchCallInProgressEvent",
    "ResponseFileSearchCallSearchingEvent",
    "ResponseFunctionCallArgumentsDeltaEvent",
    "ResponseFunctionCallArgumentsDoneEvent",
    "ResponseImageGenCallCompletedEvent",
    "ResponseImageGenCallGeneratingEvent",
    "ResponseImageGenCallInProgressEvent",
    "ResponseImageGenCallPartialImageEvent",
    "ResponseInProgressEvent",
    "ResponseIncompleteEvent",
    "ResponseMcpCallArgumentsDeltaEvent",
    "ResponseMcpCallArgumentsDoneEvent",
    "ResponseMcpCallCompletedEvent",
    "ResponseMcpCallFailedEvent",
    "ResponseMcpCallInProgressEvent",
    "ResponseMcpListToolsCompletedEvent",
    "ResponseMcpListToolsFailedEvent",
    "ResponseMcpListToolsInProgressEvent",
    "ResponseOutputItemAddedEvent",
    "ResponseOutputItemDoneEvent",
    "ResponseOutputTextAnnotationAddedEvent",
    "ResponseQueuedEvent",
    "ResponseReasoningSummaryPartAddedEvent",
    "ResponseReasoningSummaryPartDoneEvent",
    "ResponseReasoningSummaryTextDeltaEvent",
    "ResponseReasoningSummaryTextDoneEvent",
    "ResponseReasoningTextDeltaEvent",
    "ResponseReasoningTextDoneEvent",
    "ResponseRefusalDeltaEvent",
    "ResponseRefusalDoneEvent",
    "ResponseShellCallCommandAddedEvent",
    "ResponseShellCallCommandDeltaEvent",
    "ResponseShellCallCommandDoneEvent",
    "ResponseShellCallOutputContentDeltaEvent",
    "ResponseShellCallOutputContentDoneEvent",
    "ResponseStreamEvent",
    "ResponseTextDeltaEvent",
    "ResponseTextDoneEvent",
    "ResponseWebSearchCallCompletedEvent",
    "ResponseWebSearchCallInProgressEvent",
    "ResponseWebSearchCallSearchingEvent",
    "StreamEvent",
    "UnknownEvent",
]


class StreamEvent(Event, kw_only=True, tag_field="type"):
    """What all events have. sequence_number: the event's place in the stream."""

    sequence_number: int = ABSENT


class _ItemEvent(StreamEvent, kw_only=True):
    """An event of one output item: its id, and its place in the output."""

    item_id: str = ""
    output_index: int = ABSENT


class _Delta(StreamEvent, kw_only=True):
    """A piece of something. obfuscation: padding of OpenAI's; model: LiteLLM says it on each event."""

    delta: str = ""
    model: str | None = None
    obfuscation: str | None = None


class _ItemDelta(_Delta, kw_only=True):
    """A piece of an output item."""

    item_id: str = ""
    output_index: int = ABSENT


class _Growing(_ItemDelta, kw_only=True):
    """A delta that, under `.stream()`, knows the whole text that it ends."""

    _text: Private = None  # the text that grows, and
    _end: Private = 0  # where this delta ended it

    @property
    def snapshot(self) -> str:
        """The text up to and with this delta. A value, laid out when asked for.

        Raises AttributeError for an event that did not come out of `.stream()`.
        """
        if self._text is None:
            raise AttributeError("only the events of .stream() have a snapshot")
        text: str = self._text.upto(self._end)
        return text


class _ResponseEvent(StreamEvent, kw_only=True):
    """An event of the whole response, which it carries."""

    response: Response = ABSENT


class UnknownEvent(Event, kw_only=True, tag=False):
    """An event of a type that this version does not know: its type ("" if none), each key by attribute."""

    if TYPE_CHECKING:
        # At run time any string. Declared so, a comparison of `type` with a known one rules this class out.
        type: Literal["(unknown)"]

        def __getattr__(self, name: str) -> Any: ...
    else:
        type: str = ""


class ResponseErrorEvent(StreamEvent, kw_only=True, tag="error"):
    """An error. `decode` raises it as APIError; the class is for servers that send it."""

    type: ClassVar[Literal["error"]] = "error"
    code: str | None = None
    message: str = ""
    param: str | None = None


class ResponseAudioDeltaEvent(_Delta, kw_only=True, tag="response.audio.delta"):
    """A piece of audio, base64."""

    type: ClassVar[Literal["response.audio.delta"]] = "response.audio.delta"


class ResponseAudioDoneEvent(StreamEvent, kw_only=True, tag="response.audio.done"):
    """The audio is whole."""

    type: ClassVar[Literal["response.audio.done"]] = "response.audio.done"


class ResponseAudioTranscriptDeltaEvent(_Delta, kw_only=True, tag="response.audio.transcript.delta"):
    """A piece of the transcript of the audio."""

    type: ClassVar[Literal["response.audio.transcript.delta"]] = "response.audio.transcript.delta"


class ResponseAudioTranscriptDoneEvent(StreamEvent, kw_only=True, tag="response.audio.transcript.done"):
    """The transcript of the audio is whole."""

    type: ClassVar[Literal["response.audio.transcript.done"]] = "response.audio.transcript.done"


class ResponseCodeInterpreterCallCompletedEvent(
    _ItemEvent, kw_only=True, tag="response.code_interpreter_call.completed"
):
    """The code interpreter has finished."""

    type: ClassVar[Literal["response.code_interpreter_call.completed"]] = "response.code_interpreter_call.completed"


class ResponseCodeInterpreterCallInProgressEvent(
    _ItemEvent, kw_only=True, tag="response.code_interpreter_call.in_progress"
):
    """A call of the code interpreter has begun."""

    type: ClassVar[Literal["response.code_interpreter_call.in_progress"]] = "response.code_interpreter_call.in_progress"


class ResponseCodeInterpreterCallInterpretingEvent(
    _ItemEvent, kw_only=True, tag="response.code_interpreter_call.interpreting"
):
    """The code interpreter is running its code."""

    type: ClassVar[Literal["response.code_interpreter_call.interpreting"]] = (
        "response.code_interpreter_call.interpreting"
    )


class ResponseCodeInterpreterCallCodeDeltaEvent(
    _ItemDelta, kw_only=True, tag="response.code_interpreter_call_code.delta"
):
    """A piece of the code that the interpreter will run."""

    type: ClassVar[Literal["response.code_interpreter_call_code.delta"]] = "response.code_interpreter_call_code.delta"


class ResponseCodeInterpreterCallCodeDoneEvent(
    _ItemEvent, kw_only=True, tag="response.code_interpreter_call_code.done"
):
    """The interpreter's code, whole."""

    type: ClassVar[Literal["response.code_interpreter_call_code.done"]] = "response.code_interpreter_call_code.done"
    code: str = ""


class ResponseCompactionCompactingEvent(_ItemEvent, kw_only=True, tag="response.compaction.compacting"):
    """The conversation is being compacted."""

    type: ClassVar[Literal["response.compaction.compacting"]] = "response.compaction.compacting"


class ResponseCompletedEvent(_ResponseEvent, kw_only=True, tag="response.completed"):
    """Terminal: the response is whole, and is carried here."""

    type: ClassVar[Literal["response.completed"]] = "response.completed"


class ResponseContentPartAddedEvent(_ItemEvent, kw_only=True, tag="response.content_part.added"):
    """A new part of an item's content begins."""

    type: ClassVar[Literal["response.content_part.added"]] = "response.content_part.added"
    content_index: int = ABSENT
    part: ContentPart = ABSENT


class ResponseContentPartDoneEvent(_ItemEvent, kw_only=True, tag="response.content_part.done"):
    """A part of an item's content, whole."""

    type: ClassVar[Literal["response.content_part.done"]] = "response.content_part.done"
    content_index: int = ABSENT
    part: ContentPart = ABSENT


class ResponseCreatedEvent(_ResponseEvent, kw_only=True, tag="response.created"):
    """The response exists."""

    type: ClassVar[Literal["response.created"]] = "response.created"


class ResponseCustomToolCallInputDeltaEvent(_ItemDelta, kw_only=True, tag="response.custom_tool_call_input.delta"):
    """A piece of a custom tool's input."""

    type: ClassVar[Literal["response.custom_tool_call_input.delta"]] = "response.custom_tool_call_input.delta"


class ResponseCustomToolCallInputDoneEvent(_ItemEvent, kw_only=True, tag="response.custom_tool_call_input.done"):
    """A custom tool's input, whole."""

    type: ClassVar[Literal["response.custom_tool_call_input.done"]] = "response.custom_tool_call_input.done"
    input: str = ""


class ResponseFailedEvent(_ResponseEvent, kw_only=True, tag="response.failed"):
    """Terminal: the response failed; `response.error` says why. Delivered, not raised."""

    type: ClassVar[Literal["response.failed"]] = "response.failed"


class ResponseFileSearchCallCompletedEvent(_ItemEvent, kw_only=True, tag="response.file_search_call.completed"):
    """The file search has finished."""

    type: ClassVar[Literal["response.file_search_call.completed"]] = "response.file_search_call.completed"


class ResponseFileSearchCallInProgressEvent(_ItemEvent, kw_only=True, tag="response.file_search_call.in_progress"):
    """A file search has begun."""

    type: ClassVar[Literal["response.file_search_call.in_progress"]] = "response.file_search_call.in_progress"


class ResponseFileSearchCallSearchingEvent(_ItemEvent, kw_only=True, tag="response.file_search_call.searching"):
    """The file search is searching."""

    type: ClassVar[Literal["response.file_search_call.searching"]] = "response.file_search_call.searching"


class ResponseFunctionCallArgumentsDeltaEvent(_Growing, kw_only=True, tag="response.function_call_arguments.delta"):
    """A piece of the JSON of a function call's arguments."""

    type: ClassVar[Literal["response.function_call_arguments.delta"]] = "response.function_call_arguments.delta"


class ResponseFunctionCallArgumentsDoneEvent(_ItemEvent, kw_only=True, tag="response.function_call_arguments.done"):
    """A function call's arguments, whole, as JSON text."""

    type: ClassVar[Literal["response.function_call_arguments.done"]] = "response.function_call_arguments.done"
    arguments: str = ""


class ResponseImageGenCallCompletedEvent(_ItemEvent, kw_only=True, tag="response.image_generation_call.completed"):
    """The image is made."""

    type: ClassVar[Literal["response.image_generation_call.completed"]] = "response.image_generation_call.completed"


class ResponseImageGenCallGeneratingEvent(_ItemEvent, kw_only=True, tag="response.image_generation_call.generating"):
    """An image is being made."""

    type: ClassVar[Literal["response.image_generation_call.generating"]] = "response.image_generation_call.generating"


class ResponseImageGenCallInProgressEvent(_ItemEvent, kw_only=True, tag="response.image_generation_call.in_progress"):
    """The making of an image has begun."""

    type: ClassVar[Literal["response.image_generation_call.in_progress"]] = "response.image_generation_call.in_progress"


class ResponseImageGenCallPartialImageEvent(
    _ItemEvent, kw_only=True, tag="response.image_generation_call.partial_image"
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


class ResponseInProgressEvent(_ResponseEvent, kw_only=True, tag="response.in_progress"):
    """The response is being made."""

    type: ClassVar[Literal["response.in_progress"]] = "response.in_progress"


class ResponseIncompleteEvent(_ResponseEvent, kw_only=True, tag="response.incomplete"):
    """Terminal: the response was cut; `response.incomplete_details` says why."""

    type: ClassVar[Literal["response.incomplete"]] = "response.incomplete"


class ResponseMcpCallCompletedEvent(_ItemEvent, kw_only=True, tag="response.mcp_call.completed"):
    """The MCP call has finished."""

    type: ClassVar[Literal["response.mcp_call.completed"]] = "response.mcp_call.completed"


class ResponseMcpCallFailedEvent(_ItemEvent, kw_only=True, tag="response.mcp_call.failed"):
    """The MCP call failed."""

    type: ClassVar[Literal["response.mcp_call.failed"]] = "response.mcp_call.failed"


class ResponseMcpCallInProgressEvent(_ItemEvent, kw_only=True, tag="response.mcp_call.in_progress"):
    """An MCP call has begun."""

    type: ClassVar[Literal["response.mcp_call.in_progress"]] = "response.mcp_call.in_progress"


class ResponseMcpCallArgumentsDeltaEvent(_ItemDelta, kw_only=True, tag="response.mcp_call_arguments.delta"):
    """A piece of the JSON of an MCP call's arguments."""

    type: ClassVar[Literal["response.mcp_call_arguments.delta"]] = "response.mcp_call_arguments.delta"


class ResponseMcpCallArgumentsDoneEvent(_ItemEvent, kw_only=True, tag="response.mcp_call_arguments.done"):
    """An MCP call's arguments, whole, as JSON text."""

    type: ClassVar[Literal["response.mcp_call_arguments.done"]] = "response.mcp_call_arguments.done"
    arguments: str = ""


class ResponseMcpListToolsCompletedEvent(_ItemEvent, kw_only=True, tag="response.mcp_list_tools.completed"):
    """The list of an MCP server's tools is here."""

    type: ClassVar[Literal["response.mcp_list_tools.completed"]] = "response.mcp_list_tools.completed"


class ResponseMcpListToolsFailedEvent(_ItemEvent, kw_only=True, tag="response.mcp_list_tools.failed"):
    """The list of an MCP server's tools could not be had."""

    type: ClassVar[Literal["response.mcp_list_tools.failed"]] = "response.mcp_list_tools.failed"


class ResponseMcpListToolsInProgressEvent(_ItemEvent, kw_only=True, tag="response.mcp_list_tools.in_progress"):
    """An MCP server is being asked for its tools."""

    type: ClassVar[Literal["response.mcp_list_tools.in_progress"]] = "response.mcp_list_tools.in_progress"


class ResponseOutputItemAddedEvent(StreamEvent, kw_only=True, tag="response.output_item.added"):
    """A new output item begins."""

    type: ClassVar[Literal["response.output_item.added"]] = "response.output_item.added"
    item: ResponseOutputItem = ABSENT
    output_index: int = ABSENT


class ResponseOutputItemDoneEvent(StreamEvent, kw_only=True, tag="response.output_item.done"):
    """An output item, whole."""

    type: ClassVar[Literal["response.output_item.done"]] = "response.output_item.done"
    item: ResponseOutputItem = ABSENT
    output_index: int = ABSENT


class ResponseOutputTextAnnotationAddedEvent(_ItemEvent, kw_only=True, tag="response.output_text.annotation.added"):
    """A new annotation of a part of the text."""

    type: ClassVar[Literal["response.output_text.annotation.added"]] = "response.output_text.annotation.added"
    annotation: Annotation | None = None
    annotation_index: int = ABSENT
    content_index: int = ABSENT


class ResponseTextDeltaEvent(_Growing, kw_only=True, tag="response.output_text.delta"):
    """A piece of the answer: the event that nearly every stream is made of."""

    type: ClassVar[Literal["response.output_text.delta"]] = "response.output_text.delta"
    content_index: int = ABSENT
    logprobs: list[Logprob] = []


class ResponseTextDoneEvent(_ItemEvent, kw_only=True, tag="response.output_text.done"):
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


class ResponseQueuedEvent(_ResponseEvent, kw_only=True, tag="response.queued"):
    """The response waits for its turn."""

    type: ClassVar[Literal["response.queued"]] = "response.queued"


class ResponseReasoningSummaryPartAddedEvent(_ItemEvent, kw_only=True, tag="response.reasoning_summary_part.added"):
    """A new part of a reasoning summary begins."""

    type: ClassVar[Literal["response.reasoning_summary_part.added"]] = "response.reasoning_summary_part.added"
    part: ReasoningSummary = ABSENT
    summary_index: int = ABSENT


class ResponseReasoningSummaryPartDoneEvent(_ItemEvent, kw_only=True, tag="response.reasoning_summary_part.done"):
    """A part of a reasoning summary, whole."""

    type: ClassVar[Literal["response.reasoning_summary_part.done"]] = "response.reasoning_summary_part.done"
    part: ReasoningSummary = ABSENT
    summary_index: int = ABSENT
    status: str | None = None


class ResponseReasoningSummaryTextDeltaEvent(_ItemDelta, kw_only=True, tag="response.reasoning_summary_text.delta"):
    """A piece of a reasoning summary."""

    type: ClassVar[Literal["response.reasoning_summary_text.delta"]] = "response.reasoning_summary_text.delta"
    summary_index: int = ABSENT


class ResponseReasoningSummaryTextDoneEvent(_ItemEvent, kw_only=True, tag="response.reasoning_summary_text.done"):
    """A reasoning summary's text, whole."""

    type: ClassVar[Literal["response.reasoning_summary_text.done"]] = "response.reasoning_summary_text.done"
    summary_index: int = ABSENT
    text: str = ""


class ResponseReasoningTextDeltaEvent(_ItemDelta, kw_only=True, tag="response.reasoning_text.delta"):
    """A piece of reasoning."""

    type: ClassVar[Literal["response.reasoning_text.delta"]] = "response.reasoning_text.delta"
    content_index: int = ABSENT


class ResponseReasoningTextDoneEvent(_ItemEvent, kw_only=True, tag="response.reasoning_text.done"):
    """A part of the reasoning, whole."""

    type: ClassVar[Literal["response.reasoning_text.done"]] = "response.reasoning_text.done"
    content_index: int = ABSENT
    text: str = ""


class ResponseRefusalDeltaEvent(_ItemDelta, kw_only=True, tag="response.refusal.delta"):
    """A piece of a refusal."""

    type: ClassVar[Literal["response.refusal.delta"]] = "response.refusal.delta"
    content_index: int = ABSENT


class ResponseRefusalDoneEvent(_ItemEvent, kw_only=True, tag="response.refusal.done"):
    """A refusal, whole."""

    type: ClassVar[Literal["response.refusal.done"]] = "response.refusal.done"
    content_index: int = ABSENT
    refusal: str = ""


class ResponseShellCallCommandAddedEvent(StreamEvent, kw_only=True, tag="response.shell_call_command.added"):
    """A shell command begins."""

    type: ClassVar[Literal["response.shell_call_command.added"]] = "response.shell_call_command.added"
    command: str = ""
    command_index: int = ABSENT
    output_index: int = ABSENT


class ResponseShellCallCommandDeltaEvent(_Delta, kw_only=True, tag="response.shell_call_command.delta"):
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
    _ItemEvent, kw_only=True, tag="response.shell_call_output_content.delta"
):
    """A piece of what a shell command wrote."""

    type: ClassVar[Literal["response.shell_call_output_content.delta"]] = "response.shell_call_output_content.delta"
    command_index: int = ABSENT
    delta: ShellOutputDelta = ABSENT


class ResponseShellCallOutputContentDoneEvent(_ItemEvent, kw_only=True, tag="response.shell_call_output_content.done"):
    """What a shell command wrote, whole."""

    type: ClassVar[Literal["response.shell_call_output_content.done"]] = "response.shell_call_output_content.done"
    command_index: int = ABSENT
    output: list[ShellOutput] = []


class ResponseWebSearchCallCompletedEvent(_ItemEvent, kw_only=True, tag="response.web_search_call.completed"):
    """The web search has finished."""

    type: ClassVar[Literal["response.web_search_call.completed"]] = "response.web_search_call.completed"


class ResponseWebSearchCallInProgressEvent(_ItemEvent, kw_only=True, tag="response.web_search_call.in_progress"):
    """A web search has begun."""

    type: ClassVar[Literal["response.web_search_call.in_progress"]] = "response.web_search_call.in_progress"


class ResponseWebSearchCallSearchingEvent(_ItemEvent, kw_only=True, tag="response.web_search_call.searching"):
    """The web search is searching."""

    type: ClassVar[Literal["response.web_search_call.searching"]] = "response.web_search_call.searching"


class ResponseCancelledEvent(_ResponseEvent, kw_only=True, tag="response.cancelled"):
    """Terminal: the response was cancelled. Not in the official types."""

    type: ClassVar[Literal["response.cancelled"]] = "response.cancelled"


# All but the two that `.stream(text_format=...)` types more closely.
_CommonEvent = (
    ResponseErrorEvent
    | ResponseAudioDeltaEvent
    | ResponseAudioDoneEvent
    | ResponseAudioTranscriptDeltaEvent
    | ResponseAudioTranscriptDoneEvent
    | ResponseCodeInterpreterCallCompletedEvent
    | ResponseCodeInterpreterCallInProgressEvent
    | ResponseCodeInterpreterCallInterpretingEvent
    | ResponseCodeInterpreterCallCodeDeltaEvent
    | ResponseCodeInterpreterCallCodeDoneEvent
    | ResponseCompactionCompactingEvent
    | ResponseContentPartAddedEvent
    | ResponseContentPartDoneEvent
    | ResponseCreatedEvent
    | ResponseCustomToolCallInputDeltaEvent
    | ResponseCustomToolCallInputDoneEvent
    | ResponseFailedEvent
    | ResponseFileSearchCallCompletedEvent
    | ResponseFileSearchCallInProgressEvent
    | ResponseFileSearchCallSearchingEvent
    | ResponseFunctionCallArgumentsDeltaEvent
    | ResponseFunctionCallArgumentsDoneEvent
    | ResponseImageGenCallCompletedEvent
    | ResponseImageGenCallGeneratingEvent
    | ResponseImageGenCallInProgressEvent
    | ResponseImageGenCallPartialImageEvent
    | ResponseInProgressEvent
    | ResponseIncompleteEvent
    | ResponseMcpCallCompletedEvent
    | ResponseMcpCallFailedEvent
    | ResponseMcpCallInProgressEvent
    | ResponseMcpCallArgumentsDeltaEvent
    | ResponseMcpCallArgumentsDoneEvent
    | ResponseMcpListToolsCompletedEvent
    | ResponseMcpListToolsFailedEvent
    | ResponseMcpListToolsInProgressEvent
    | ResponseOutputItemAddedEvent
    | ResponseOutputItemDoneEvent
    | ResponseOutputTextAnnotationAddedEvent
    | ResponseTextDeltaEvent
    | ResponseQueuedEvent
    | ResponseReasoningSummaryPartAddedEvent
    | ResponseReasoningSummaryPartDoneEvent
    | ResponseReasoningSummaryTextDeltaEvent
    | ResponseReasoningSummaryTextDoneEvent
    | ResponseReasoningTextDeltaEvent
    | ResponseReasoningTextDoneEvent
    | ResponseRefusalDeltaEvent
    | ResponseRefusalDoneEvent
    | ResponseShellCallCommandAddedEvent
    | ResponseShellCallCommandDeltaEvent
    | ResponseShellCallCommandDoneEvent
    | ResponseShellCallOutputContentDeltaEvent
    | ResponseShellCallOutputContentDoneEvent
    | ResponseWebSearchCallCompletedEvent
    | ResponseWebSearchCallInProgressEvent
    | ResponseWebSearchCallSearchingEvent
    | ResponseCancelledEvent
)
if TYPE_CHECKING:

    class ParsedTextDoneEvent(ResponseTextDoneEvent, Generic[T]):
        """A text that is whole, read as a T."""

        @property
        def parsed(self) -> T | None: ...

    class ParsedCompletedEvent(ResponseCompletedEvent, Generic[T]):
        """The end, with a response whose text is read as a T."""

        response: ParsedResponse[T] = ABSENT

    ResponseStreamEvent = _CommonEvent | ResponseTextDoneEvent | ResponseCompletedEvent | UnknownEvent
    ParsedResponseStreamEvent = _CommonEvent | ParsedTextDoneEvent[T] | ParsedCompletedEvent[T] | UnknownEvent
else:
    ResponseStreamEvent = _CommonEvent | ResponseTextDoneEvent | ResponseCompletedEvent
    ParsedResponseStreamEvent = ResponseStreamEvent
