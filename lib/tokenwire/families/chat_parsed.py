"""A whole chat completion, read as the types that the caller gave: behind `chat.completions.parse(...)`.

The classes are the official SDK's, and the same as at the end of `.stream()`. Here
too an answer that was cut is an error where something was to be parsed, and only there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

from ..errors import ContentFilterFinishReasonError, LengthFinishReasonError
from .chat_types import (
    ChatCompletion,
    ChatCompletionMessage,
    ChatCompletionMessageFunctionToolCall,
    Choice,
    Function,
    ParsedChatCompletion,
    ParsedChatCompletionMessage,
    ParsedChoice,
    ParsedFunction,
    ParsedFunctionToolCall,
)
from .parsing import is_type, parse, tool_parsers
from .record import Record

__all__ = ["as_class", "parse_whole"]

R = TypeVar("R", bound=Record)

_Parsers: TypeAlias = Mapping[str, Callable[[str], Any]]


def as_class(cls: type[R], record: Record, **changed: Any) -> R:
    """A record as its subclass, with some fields changed."""
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    made = cls(**{**fields, **changed})
    made.__dict__.update(record.__dict__)
    return made


def parse_whole(
    completion: ChatCompletion, response_format: Any, tools: Iterable[Any] | None
) -> ParsedChatCompletion[Any]:
    """The completion with `message.parsed` and `parsed_arguments`; its JSON has them too.

    Raises LengthFinishReasonError or ContentFilterFinishReasonError, with the completion on it, where something
    was to be parsed and the answer was cut; and what `parse` raises where it does not fit the type.
    """
    tp = response_format if is_type(response_format) else None
    parsers = tool_parsers(tools)
    choices: Any = completion.choices
    if not isinstance(choices, list):
        return as_class(ParsedChatCompletion, completion)
    if tp is not None or parsers:
        reasons = [choice.finish_reason for choice in choices if isinstance(choice, Choice)]
        if "length" in reasons:
            raise LengthFinishReasonError(completion=_laid(completion, None, {}))
        if "content_filter" in reasons:
            raise ContentFilterFinishReasonError(completion=_laid(completion, None, {}))
    return _laid(completion, tp, parsers)


def _laid(completion: ChatCompletion, tp: Any, parsers: _Parsers) -> ParsedChatCompletion[Any]:
    choices = [_choice(choice, tp, parsers) for choice in completion.choices]
    return as_class(ParsedChatCompletion, completion, choices=choices, _json=None)


def _choice(choice: Any, tp: Any, parsers: _Parsers) -> Any:
    if not isinstance(choice, Choice) or not isinstance(choice.message, ChatCompletionMessage):
        return choice
    message = choice.message
    content, calls = message.content, message.tool_calls
    parsed = None
    if tp is not None and isinstance(content, str) and content and not message.refusal:
        parsed = parse(tp, content)
    changed: dict[str, Any] = {"parsed": parsed}
    if isinstance(calls, list):
        changed["tool_calls"] = [_call(call, parsers) for call in calls]
    return as_class(ParsedChoice, choice, message=as_class(ParsedChatCompletionMessage, message, **changed))


def _call(call: Any, parsers: _Parsers) -> Any:
    if not isinstance(call, ChatCompletionMessageFunctionToolCall) or not isinstance(call.function, Function):
        return call
    name, arguments = call.function.name, call.function.arguments
    parser = parsers.get(name) if isinstance(name, str) and isinstance(arguments, str) else None
    parsed = None if parser is None else parser(arguments)
    function = as_class(ParsedFunction, call.function, parsed_arguments=parsed)
    return as_class(ParsedFunctionToolCall, call, function=function)
