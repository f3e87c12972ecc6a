"""The whole response: what `stream=False` answers, what lifecycle events carry, what a stream adds up to.

The same rules as in items.py: every field of the official class, every field
with a default, the rest plain JSON. Four more fields are here because the API
sends them although the official types do not list them.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

# ruff: noqa: RUF012 - an empty list or dict as default is a new one for each msgspec object

from __future__ import annotations

from typing import Any, ClassVar

from ..record import ABSENT, Event, Private, Record
from .items import ResponseOutputItem, ResponseOutputMessage
from .parts import ResponseOutputText

__all__ = [
    "Conversation",
    "IncompleteDetails",
    "InputTokensDetails",
    "OutputTokensDetails",
    "Reasoning",
    "Response",
    "ResponseError",
    "ResponsePrompt",
    "ResponseTextConfig",
    "ResponseTextFormat",
    "ResponseUsage",
]


class ResponseError(Record, kw_only=True):
    """Why a response failed."""

    code: str = ""
    message: str = ""
    misalignment: Any = None
    param: str | None = None
    type: str | None = None


class IncompleteDetails(Record, kw_only=True):
    """Why a response was cut: "max_output_tokens", "content_filter", ..."""

    reason: str | None = None


class Reasoning(Record, kw_only=True):
    """How the model was asked to think."""

    context: str | None = None
    effort: str | None = None
    generate_summary: str | None = None
    mode: str | None = None
    summary: str | None = None


class ResponseTextFormat(Record, kw_only=True):
    """The form that the text must have. schema: JSON Schema, where type is "json_schema"."""

    type: str = "text"
    name: str | None = None
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseTextConfig(Record, kw_only=True):
    """What was asked of the text."""

    format: ResponseTextFormat | None = None
    verbosity: str | None = None


class Conversation(Record, kw_only=True):
    """The conversation that the response belongs to."""

    id: str = ""


class ResponsePrompt(Record, kw_only=True):
    """The prompt template that was used."""

    id: str = ""
    variables: dict[str, Any] | None = None
    version: str | None = None


class InputTokensDetails(Record, kw_only=True):
    """Breakdown of the input tokens."""

    cache_write_tokens: int = ABSENT
    cached_tokens: int = 0
    cache_write_tokens_details: Any = None


class OutputTokensDetails(Record, kw_only=True):
    """Breakdown of the output tokens."""

    reasoning_tokens: int = 0


class ResponseUsage(Record, kw_only=True):
    """How many tokens the request used."""

    input_tokens: int = 0
    input_tokens_details: InputTokensDetails = ABSENT
    output_tokens: int = 0
    output_tokens_details: OutputTokensDetails = ABSENT
    total_tokens: int = 0


class Response(Event, kw_only=True):
    """A response. created_at, completed_at: seconds since the epoch."""

    unofficial: ClassVar[frozenset[str]] = frozenset(("billing", "frequency_penalty", "presence_penalty", "store"))

    id: str = ""
    access_programs: Any = None
    created_at: float = ABSENT
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: Any = None
    metadata: dict[str, Any] | None = None
    model: str = ""
    object: str = "response"
    output: list[ResponseOutputItem] = []
    parallel_tool_calls: bool = ABSENT
    temperature: float | None = None
    tool_choice: Any = None
    tools: list[Any] = []
    top_p: float | None = None
    background: bool | None = None
    completed_at: float | None = None
    conversation: Conversation | None = None
    image: Any = None
    input_transformations: list[Any] | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    moderation: Any = None
    previous_response_id: str | None = None
    prompt: ResponsePrompt | None = None
    prompt_cache_diagnostics: Any = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    reasoning: Reasoning | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    status: str | None = None
    text: ResponseTextConfig | None = None
    tool_usage: Any = None
    top_logprobs: int | None = None
    truncation: str | None = None
    usage: ResponseUsage | None = None
    user: str | None = None
    # Those of `unofficial`:
    billing: Any = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    store: bool | None = None
    _request_id: Private = None  # str or None: the `x-request-id` of the answer that this was the body of

    @property
    def output_text(self) -> str:
        """The text of all messages of the output, joined. Refusals and reasoning are not in it."""
        # An open reading may have left anything where a list or an item should be.
        output = self.output if isinstance(self.output, list) else []
        messages = [item.content for item in output if isinstance(item, ResponseOutputMessage)]
        return "".join(
            part.text
            for content in messages
            if isinstance(content, list)
            for part in content
            if isinstance(part, ResponseOutputText) and isinstance(part.text, str)
        )

    @property
    def output_parsed(self) -> Any:
        """The answer read as the text_format that was given; None where none was (see parsed.py)."""
        return None
