"""A finished response, read as the types that the caller gave: text_format, and tools.

The classes are the official SDK's. What was parsed is no part of the JSON:
`to_dict()`, `model_dump()` and == leave it out. It is read when it is asked for,
once, so that an answer that does not fit stops nobody who wants the rest.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from ...errors import ContentFilterFinishReasonError, LengthFinishReasonError
from ..parsing import is_type, parse, tool_parsers
from ..record import Event, Private, Record
from .items import ResponseOutputMessage
from .parts import ResponseOutputText
from .response import Response
from .tool_items import ResponseFunctionToolCall

__all__ = [
    "Lazy",
    "ParsedResponse",
    "ParsedResponseFunctionToolCall",
    "ParsedResponseOutputText",
    "checked",
    "final_answer",
    "parse_response",
    "parse_whole",
]

T = TypeVar("T")


class Lazy:
    """A text, and what reads it."""

    def __init__(self, read: Callable[[str], Any], text: str) -> None:
        self._read = read
        self._text = text

    @functools.cached_property
    def value(self) -> Any:
        return self._read(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lazy) and self._text == other._text

    __hash__ = None  # type: ignore[assignment] # as the records that hold it


class ParsedResponseOutputText(ResponseOutputText, kw_only=True, tag="output_text"):
    """Text of the answer, with a type to read it as."""

    _parsed: Private = None

    @property
    def parsed(self) -> Any:
        """The text read as the text_format. Raises what the type's own library raises if it does not fit."""
        return self._parsed.value


class ParsedResponseFunctionToolCall(ResponseFunctionToolCall, kw_only=True, tag="function_call"):
    """A call of a function whose arguments have a type."""

    _parsed: Private = None

    @property
    def parsed_arguments(self) -> Any:
        """The arguments read by the tool. Raises what the type's own library raises where they do not fit."""
        return self._parsed.value


class ParsedResponse(Response, Generic[T], kw_only=True):
    """A response whose text is read as a T: `output_parsed`."""

    @property
    def output_parsed(self) -> T | None:
        """The first text of the answer, read as the text_format; None where there is none (a refusal, say).

        Raises what the type's own library raises where the text does not fit.
        """
        for item in self.output if isinstance(self.output, list) else ():
            content = item.content if isinstance(item, ResponseOutputMessage) else None
            for part in content if isinstance(content, list) else ():
                if isinstance(part, ParsedResponseOutputText):
                    return typing.cast(T, part.parsed)
        return None


def final_answer(phase: Any) -> bool:
    """Whether a message of this phase is the answer itself, and not a commentary on the way to it."""
    return phase is None or phase == "final_answer"


def parse_response(
    response: Response, text_format: Any, tools: Mapping[str, Callable[[str], Any]]
) -> ParsedResponse[Any]:
    """A response with its texts and calls laid over the classes above. It is not read yet.

    response: a snapshot, or one that came whole.
    """
    parsed: ParsedResponse[Any] = _as(ParsedResponse, response)
    if isinstance(response.output, list):
        parsed.output = [_parse_item(item, text_format, tools) for item in response.output]
    return parsed


def checked(response: ParsedResponse[Any]) -> ParsedResponse[Any]:
    """The response of a caller who gave a type for its text.

    Raises LengthFinishReasonError or ContentFilterFinishReasonError where the answer was cut, and what the type's
    own library raises where it does not fit.
    """
    reason = getattr(response.incomplete_details, "reason", None)
    if reason == "max_output_tokens":
        raise LengthFinishReasonError(completion=response)
    if reason == "content_filter":
        raise ContentFilterFinishReasonError(completion=response)
    _ = response.output_parsed  # read now: who asked for a type is told here that it does not fit
    return response


def parse_whole(response: Response, text_format: Any, tools: Iterable[Any] | None) -> ParsedResponse[Any]:
    """A response that came whole, behind `responses.parse(...)`: read as at the end of `.stream()`.

    text_format, tools: as they were given. A response that failed is returned. Raises as `checked`.
    """
    tp = text_format if is_type(text_format) else None
    # What was cut is not read: its text fits nothing.
    whole = response.status not in ("incomplete", "failed", "cancelled")
    parsed = parse_response(response, tp if whole else None, tool_parsers(tools) if whole else {})
    parsed._request_id = response._request_id
    return parsed if tp is None else checked(parsed)


def _parse_item(item: Any, text_format: Any, tools: Mapping[str, Callable[[str], Any]]) -> Any:
    if isinstance(item, ResponseFunctionToolCall) and isinstance(item.arguments, str):
        read = tools.get(item.name) if isinstance(item.name, str) else None
        if read is not None:
            call = _as(ParsedResponseFunctionToolCall, item)
            call._parsed = Lazy(read, item.arguments)
            return call
    elif text_format is not None and isinstance(item, ResponseOutputMessage) and final_answer(item.phase):
        message = _as(ResponseOutputMessage, item)
        if isinstance(item.content, list):
            message.content = [_parse_part(part, text_format) for part in item.content]
        return message
    return item


def _parse_part(part: Any, text_format: Any) -> Any:
    if not isinstance(part, ResponseOutputText) or not isinstance(part.text, str):
        return part
    text = _as(ParsedResponseOutputText, part)
    text._parsed = Lazy(functools.partial(parse, text_format), part.text)
    return text


R = TypeVar("R", bound=Record)


def _as(cls: type[R], record: Record) -> R:
    """The same object in a class that adds to its own."""
    made = cls(**{name: getattr(record, name) for name in record.__struct_fields__ if name[0] != "_"})
    if record.__dict__:
        made.__dict__.update(record.__dict__)
    if isinstance(made, Event) and isinstance(record, Event):
        made._json = record._json
    return made
