"""The types of the chat completions family: the official ones, plus the field's own reasoning.

Each class has every field of the official SDK's class of the same name (a test
holds them together). Every field has a default, because nearly every one is
missing somewhere; where the official types list the known values of a string
(finish_reason, role, service_tier), these say `str`, because servers say more.

Source: https://platform.openai.com/docs/api-reference/chat/streaming
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

import msgspec

from .record import ABSENT, Event, Private, Record

__all__ = [
    "Annotation",
    "AnnotationURLCitation",
    "ChatCompletion",
    "ChatCompletionAudio",
    "ChatCompletionChunk",
    "ChatCompletionMessage",
    "ChatCompletionMessageCustomToolCall",
    "ChatCompletionMessageFunctionToolCall",
    "ChatCompletionTokenLogprob",
    "Choice",
    "ChoiceDelta",
    "ChoiceDeltaAudio",
    "ChoiceDeltaFunctionCall",
    "ChoiceDeltaToolCall",
    "ChoiceDeltaToolCallFunction",
    "ChoiceLogprobs",
    "ChunkChoice",
    "CompletionTokensDetails",
    "CompletionUsage",
    "Custom",
    "Function",
    "FunctionCall",
    "Moderation",
    "ModerationError",
    "ModerationResult",
    "ModerationResults",
    "ParsedChatCompletion",
    "ParsedChatCompletionMessage",
    "ParsedChoice",
    "ParsedFunction",
    "ParsedFunctionToolCall",
    "PromptTokensDetails",
    "TopLogprob",
]

T = TypeVar("T")

_REASONING = frozenset(("reasoning_content", "reasoning", "reasoning_details"))


# -- Both: usage, log probabilities, moderation ----------------------------------


class CompletionTokensDetails(Record, kw_only=True):
    """Breakdown of tokens used in a completion."""

    accepted_prediction_tokens: int | None = None
    audio_tokens: int | None = None
    reasoning_tokens: int | None = None
    rejected_prediction_tokens: int | None = None
    text_tokens: int | None = None


class PromptTokensDetails(Record, kw_only=True):
    """Breakdown of tokens used in the prompt."""

    audio_tokens: int | None = None
    cache_write_tokens: int | None = None
    cached_tokens: int | None = None
    image_tokens: int | None = None
    text_tokens: int | None = None


class CompletionUsage(Record, kw_only=True):
    """How many tokens the request used."""

    completion_tokens: int = 0
    prompt_tokens: int = 0
    total_tokens: int = 0
    completion_tokens_details: CompletionTokensDetails | None = None
    prompt_tokens_details: PromptTokensDetails | None = None


class TopLogprob(Record, kw_only=True):
    """One of the likeliest tokens at a position."""

    token: str = ""
    bytes: list[int] | None = None
    logprob: float = 0.0


class ChatCompletionTokenLogprob(Record, kw_only=True):
    """A token of the answer, how likely it was (natural logarithm), and its rivals."""

    token: str = ""
    bytes: list[int] | None = None
    logprob: float = 0.0
    top_logprobs: list[TopLogprob] = msgspec.field(default_factory=list)


class ChoiceLogprobs(Record, kw_only=True):
    """Log probabilities of the tokens of the content and of the refusal."""

    content: list[ChatCompletionTokenLogprob] | None = None
    refusal: list[ChatCompletionTokenLogprob] | None = None


class ModerationResult(Record, kw_only=True):
    """A moderation result for the request's input or the generated output."""

    categories: dict[str, bool] = msgspec.field(default_factory=dict)
    category_applied_input_types: dict[str, list[str]] = msgspec.field(default_factory=dict)
    category_scores: dict[str, float] = msgspec.field(default_factory=dict)
    flagged: bool = False
    model: str = ""
    type: str = "moderation_result"


class ModerationResults(Record, kw_only=True, tag_field="type", tag="moderation_results"):
    """The moderation worked; `type` is "moderation_results"."""

    type: ClassVar[Literal["moderation_results"]] = "moderation_results"
    model: str = ""
    results: list[ModerationResult] = msgspec.field(default_factory=list)


class ModerationError(Record, kw_only=True, tag_field="type", tag="error"):
    """The moderation failed; `type` is "error"."""

    type: ClassVar[Literal["error"]] = "error"
    code: str = ""
    message: str = ""


class Moderation(Record, kw_only=True):
    """Moderation of the request's input and of the output, where it was asked for."""

    input: ModerationResults | ModerationError = ABSENT
    output: ModerationResults | ModerationError = ABSENT


# -- A chunk of a stream -----------------------------------------------------------


class ChoiceDeltaFunctionCall(Record, kw_only=True):
    """Deprecated by the API in favour of tool calls."""

    arguments: str | None = None
    name: str | None = None


class ChoiceDeltaToolCallFunction(Record, kw_only=True):
    """What a chunk adds to a function call: its name, or a piece of its arguments' JSON text."""

    arguments: str | None = None
    name: str | None = None


class ChoiceDeltaToolCall(Record, kw_only=True):
    """What a chunk adds to one tool call. index: the call's place (None where the server sent none)."""

    index: int = ABSENT
    id: str | None = None
    function: ChoiceDeltaToolCallFunction | None = None
    type: str | None = None


class ChoiceDeltaAudio(Record, kw_only=True):
    """A piece of spoken answer. data: base64. expires_at: Unix seconds."""

    id: str | None = None
    data: str | None = None
    expires_at: int | None = None
    transcript: str | None = None


class ChoiceDelta(Record, kw_only=True):
    """What a chunk adds to a choice's message.

    content: text; where a server sends an array of parts (Mistral), the array as it came.
    reasoning_content, reasoning, reasoning_details: the model's thinking, under the three names in use
    (DeepSeek, SGLang, vLLM; vLLM, OpenRouter, Groq; OpenRouter).
    """

    unofficial: ClassVar[frozenset[str]] = _REASONING

    content: str | None = None
    role: str | None = None
    refusal: str | None = None
    tool_calls: list[ChoiceDeltaToolCall] | None = None
    function_call: ChoiceDeltaFunctionCall | None = None
    audio: ChoiceDeltaAudio | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Any] | None = None


class ChunkChoice(Record, kw_only=True):
    """One choice's part of a chunk. A choice that came without a delta has an empty one."""

    index: int = 0
    delta: ChoiceDelta = msgspec.field(default_factory=ChoiceDelta)
    finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None


class ChatCompletionChunk(Event, kw_only=True):
    """One event of a streamed chat completion. created: Unix seconds."""

    # Something in it was unknown, or not of its declared shape, and was kept as it came. Where this is
    # False, the chunk's shape is proved, and it holds nothing beyond the declared fields.
    _open: bool = False

    id: str = ""
    object: str = "chat.completion.chunk"
    created: int = 0
    model: str = ""
    choices: list[ChunkChoice] = msgspec.field(default_factory=list)
    usage: CompletionUsage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    moderation: Moderation | None = None
    obfuscation: str | None = None


# -- A whole answer ----------------------------------------------------------------


class AnnotationURLCitation(Record, kw_only=True):
    """A web page that the message cites. start_index, end_index: characters of the message."""

    end_index: int = 0
    start_index: int = 0
    title: str = ""
    url: str = ""


class Annotation(Record, kw_only=True):
    """A note on the message's content: a citation."""

    type: str = "url_citation"
    url_citation: AnnotationURLCitation = ABSENT


class ChatCompletionAudio(Record, kw_only=True):
    """A spoken answer. data: base64. expires_at: Unix seconds."""

    id: str = ""
    data: str = ""
    expires_at: int = 0
    transcript: str = ""


class FunctionCall(Record, kw_only=True):
    """Deprecated by the API in favour of tool calls."""

    arguments: str = ""
    name: str = ""


class Function(Record, kw_only=True):
    """The function to call. arguments: JSON text, as the model wrote it: it may be invalid."""

    arguments: str = ""
    name: str = ""


class ParsedFunction(Function, kw_only=True):
    """A Function with its arguments read by the tool's schema, or None where the tool had none."""

    parsed_arguments: Any = None


class Custom(Record, kw_only=True):
    """The custom tool to call, and its free-form input."""

    input: str = ""
    name: str = ""


class ChatCompletionMessageFunctionToolCall(Record, kw_only=True, tag_field="type", tag="function"):
    """A call of a function; `type` is "function"."""

    type: ClassVar[Literal["function"]] = "function"
    id: str = ""
    function: Function = msgspec.field(default_factory=Function)


class ParsedFunctionToolCall(
    ChatCompletionMessageFunctionToolCall, kw_only=True, tag_field="type", tag="function"
):
    """A call of a function, with parsed arguments."""

    function: ParsedFunction = msgspec.field(default_factory=ParsedFunction)


class ChatCompletionMessageCustomToolCall(Record, kw_only=True, tag_field="type", tag="custom"):
    """A call of a custom tool; `type` is "custom"."""

    type: ClassVar[Literal["custom"]] = "custom"
    id: str = ""
    custom: Custom = msgspec.field(default_factory=Custom)


ToolCall: TypeAlias = ChatCompletionMessageFunctionToolCall | ChatCompletionMessageCustomToolCall
if TYPE_CHECKING:
    # As the official type has it, which need not be asked for its kind. Custom calls come to who gives custom tools.
    ParsedToolCall: TypeAlias = ParsedFunctionToolCall
else:
    ParsedToolCall: TypeAlias = ParsedFunctionToolCall | ChatCompletionMessageCustomToolCall


class ChatCompletionMessage(Record, kw_only=True):
    """The model's message. reasoning_content, reasoning, reasoning_details: as in ChoiceDelta."""

    unofficial: ClassVar[frozenset[str]] = _REASONING
    # It is sent back, with the calls' results; and there are servers that refuse it without its `content: null`.
    always: ClassVar[frozenset[str]] = frozenset(("content",))

    content: str | None = None
    refusal: str | None = None
    role: str = "assistant"
    annotations: list[Annotation] | None = None
    audio: ChatCompletionAudio | None = None
    function_call: FunctionCall | None = None
    tool_calls: list[ToolCall] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Any] | None = None


class ParsedChatCompletionMessage(ChatCompletionMessage, Generic[T], kw_only=True):
    """A message with its content read by the response format; None where none was given, or on a refusal."""

    # As in the official SDK: a list of the subclass, which the list above cannot be by the letter.
    tool_calls: list[ParsedToolCall] | None = None  # type: ignore[assignment]
    parsed: T | None = None


class Choice(Record, kw_only=True):
    """One answer. finish_reason: why it ended, or None where the server did not say (so far)."""

    finish_reason: str | None = None
    index: int = 0
    logprobs: ChoiceLogprobs | None = None
    message: ChatCompletionMessage = msgspec.field(default_factory=ChatCompletionMessage)


class ParsedChoice(Choice, Generic[T], kw_only=True):
    """One answer, with a parsed message."""

    message: ParsedChatCompletionMessage[T] = msgspec.field(default_factory=ParsedChatCompletionMessage)


class ChatCompletion(Event, kw_only=True):
    """A whole chat completion: what a request without stream=True gives, and what a stream adds up to.

    created: Unix seconds.
    """

    id: str = ""
    choices: list[Choice] = msgspec.field(default_factory=list)
    created: int = 0
    model: str = ""
    object: str = "chat.completion"
    metadata: dict[str, str] | None = None
    moderation: Moderation | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    usage: CompletionUsage | None = None
    _request_id: Private = None  # str or None: the `x-request-id` of the answer that this was the body of


class ParsedChatCompletion(ChatCompletion, Generic[T], kw_only=True):
    """A chat completion with parsed messages."""

    # As in the official SDK: a list of the subclass, which a list of Choice cannot be by the letter.
    choices: list[ParsedChoice[T]] = msgspec.field(default_factory=list)  # type: ignore[assignment]
