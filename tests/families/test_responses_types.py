"""The Responses types against the official ones: nothing that they have may be missing here."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union

import msgspec
import pydantic
import pytest
from openai.lib.streaming.responses import _events as helper_events
from openai.types import responses as official
from openai.types.responses import parsed_response
from openai.types.responses.response_output_item import ResponseOutputItem as OfficialOutputItem

from tokenwire.families import responses
from tokenwire.families.record import Record
from tokenwire.families.responses import events, items, response

# Ours beyond the official types.
EXTRA_EVENTS = {"response.cancelled"}

# Plain JSON here, where the official types go on. Anything new must be typed or added here on purpose.
OPEN = {
    "AdditionalTools.tools",
    "ImageGenerationCall.error",
    "ImageGenerationCall.svg_usage",
    "InputTokensDetails.cache_write_tokens_details",
    "McpCall.error",
    "Response.access_programs",
    "Response.image",
    "Response.input_transformations",
    "Response.instructions",
    "Response.moderation",
    "Response.prompt_cache_diagnostics",
    "Response.prompt_cache_options",
    "Response.tool_choice",
    "Response.tool_usage",
    "Response.tools",
    "ResponseComputerToolCall.action",
    "ResponseComputerToolCall.actions",
    "ResponseComputerToolCall.pending_safety_checks",
    "ResponseComputerToolCallOutputItem.acknowledged_safety_checks",
    "ResponseComputerToolCallOutputItem.output",
    "ResponseCustomToolCallOutputItem.output",
    "ResponseError.misalignment",
    "ResponseFunctionShellToolCall.environment",
    "ResponseFunctionToolCallOutputItem.output",
    "ResponsePrompt.variables",
    "ResponseToolSearchOutputItem.tools",
}

# One class here, where the official types have several: of some of them these are no fields.
MAY_BE_NONE = {
    "Caller.caller_id",
    "Logprob.bytes",
    "Logprob.top_logprobs",
    "ResponseTextFormat.name",
    "ResponseTextFormat.schema",
    "ShellOutcome.exit_code",
    "TopLogprob.bytes",
}


def models(hint: Any) -> list[type[pydantic.BaseModel]]:
    """The official models in a type."""
    if isinstance(hint, type) and issubclass(hint, pydantic.BaseModel):
        return [hint]
    return [model for part in typing.get_args(hint) if not isinstance(part, str) for model in models(part)]


def records(hint: Any) -> list[type[Record]]:
    """Our Records in a type."""
    if isinstance(hint, type) and issubclass(hint, Record):
        return [hint]
    return [record for part in typing.get_args(hint) for record in records(part)]


def official_type(model: type[pydantic.BaseModel]) -> str | None:
    """The value of `type` that marks an official model."""
    field = model.model_fields.get("type")
    hint = field.annotation if field is not None else None
    values = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
    return values[0] if values else None


def members(union: Any) -> list[type[pydantic.BaseModel]]:
    while typing.get_origin(union) is Annotated:
        union = typing.get_args(union)[0]
    assert typing.get_origin(union) in (Union, types.UnionType)
    return models(union)


def ours_for(model: type[pydantic.BaseModel], candidates: list[type[Record]]) -> type[Record] | None:
    by_tag = {record.__struct_config__.tag: record for record in candidates}
    return by_tag.get(official_type(model)) or by_tag.get(None)


def missing(model: type[pydantic.BaseModel], ours: type[Record], seen: set[Any]) -> Iterator[str]:
    """What an official model has and ours lacks, at any depth."""
    if (model, ours) in seen:
        return
    seen.add((model, ours))
    hints = typing.get_type_hints(ours)
    fields = {field.encode_name: field.name for field in msgspec.structs.fields(ours)}
    config = ours.__struct_config__
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key == config.tag_field and config.tag == official_type(model):
            continue
        if key not in fields:
            yield f"{ours.__name__}.{key}"
            continue
        asked = type(None) in typing.get_args(hints[fields[key]]) and f"{ours.__name__}.{key}" not in MAY_BE_NONE
        if asked and type(None) not in typing.get_args(field.annotation):
            yield f"{ours.__name__}.{key} may be None"  # which a type checker would have everybody ask
        inner = models(field.annotation)
        if inner and not records(hints[fields[key]]):
            if f"{ours.__name__}.{key}" not in OPEN:
                yield f"{ours.__name__}.{key} is not typed"
            continue
        for one in inner:
            counterpart = ours_for(one, records(hints[fields[key]]))
            if counterpart is None:
                yield f"{ours.__name__}.{key}: {one.__name__} ({official_type(one)})"
            else:
                yield from missing(one, counterpart, seen)


def test_every_official_event_with_every_field() -> None:
    known = {cls.__struct_config__.tag: cls for cls in typing.get_args(events.ResponseStreamEvent)}
    theirs = members(official.ResponseStreamEvent)
    assert len(theirs) == 59
    lacking = [
        lack
        for model in theirs
        for lack in missing(model, known.pop(official_type(model), responses.UnknownEvent), set())
    ]
    assert lacking == []
    assert set(known) == EXTRA_EVENTS


def test_the_official_names() -> None:
    known = {cls.__struct_config__.tag: cls for cls in typing.get_args(events.ResponseStreamEvent)}
    for model in members(official.ResponseStreamEvent):
        assert known[official_type(model)].__name__ == model.__name__


def test_every_official_output_item_with_every_field() -> None:
    known = {cls.__struct_config__.tag: cls for cls in typing.get_args(items.ResponseOutputItem)}
    for model in members(OfficialOutputItem):
        ours = known.pop(official_type(model))
        assert ours.__name__ == model.__name__
        assert list(missing(model, ours, set())) == []
    assert known == {}


def test_the_response_with_every_field() -> None:
    assert list(missing(official.Response, response.Response, set())) == []


def test_the_check_sees_what_is_missing() -> None:
    class Poor(Record, kw_only=True):
        id: str = ""
        model: str | None = None
        usage: Any = None

    lacking = set(missing(official.Response, Poor, set()))
    assert "Poor.output" in lacking
    assert "Poor.usage is not typed" in lacking
    assert "Poor.model may be None" in lacking


@pytest.mark.parametrize(
    "cls",
    [cls for cls in vars(responses).values() if isinstance(cls, type) and issubclass(cls, Record)],
    ids=lambda cls: cls.__name__,
)
def test_type_is_the_tag(cls: type[Record]) -> None:
    """What one reads as `type` is what the JSON says."""
    tag = cls.__struct_config__.tag
    if tag is not None and not cls.__subclasses__():
        assert cls.type == tag  # type: ignore[attr-defined]  # each tagged class has it


def test_everything_exported_is_there() -> None:
    assert len(responses.__all__) == len(set(responses.__all__))
    for name in responses.__all__:
        assert hasattr(responses, name)


# -- What `.stream()` adds ---------------------------------------------------------------


def lacking(model: type[pydantic.BaseModel], ours: type[Record]) -> list[str]:
    """The fields of an official class that are neither fields nor properties of ours."""
    fields = {field.encode_name for field in msgspec.structs.fields(ours)}
    properties = {name for cls in ours.__mro__ for name, value in vars(cls).items() if isinstance(value, property)}
    known = fields | properties | {ours.__struct_config__.tag_field}
    theirs = {field.alias or name for name, field in model.model_fields.items()}
    return [f"{ours.__name__}.{name}" for name in theirs - known]


def test_every_event_of_the_official_helper_with_every_field() -> None:
    known = {cls.__struct_config__.tag: cls for cls in typing.get_args(events.ResponseStreamEvent)}
    theirs = members(helper_events.ResponseStreamEvent)
    assert len(theirs) >= 50
    assert [lack for model in theirs for lack in lacking(model, known[official_type(model)])] == []
    # What the helper adds to them stands in no JSON, so that it is no field here.
    added = {}
    for model in theirs:
        fields = {field.encode_name for field in msgspec.structs.fields(known[official_type(model)])}
        if more := model.model_fields.keys() - fields - {"type"}:
            added[official_type(model)] = more
    assert added == {
        "response.output_text.delta": {"snapshot"},
        "response.output_text.done": {"parsed"},
        "response.function_call_arguments.delta": {"snapshot"},
    }


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (parsed_response.ParsedResponse, responses.ParsedResponse),
        (parsed_response.ParsedResponseOutputMessage, items.ResponseOutputMessage),
        (parsed_response.ParsedResponseOutputText, responses.ParsedResponseOutputText),
        (parsed_response.ParsedResponseFunctionToolCall, responses.ParsedResponseFunctionToolCall),
    ],
    ids=lambda cls: cls.__name__,
)
def test_what_is_parsed_has_every_official_field(theirs: type[pydantic.BaseModel], ours: type[Record]) -> None:
    assert lacking(theirs, ours) == []
    properties = [name for name, value in vars(theirs).items() if isinstance(value, property)]
    assert [name for name in properties if name[0] != "_" and not hasattr(ours, name)] == []


def test_every_kind_of_parsed_item_is_known() -> None:
    known = {cls.__struct_config__.tag for cls in typing.get_args(items.ResponseOutputItem)}
    theirs = members(parsed_response.ParsedResponseOutputItem)
    assert len(theirs) > 20
    # Of an action alone, which no output item is.
    assert {official_type(model) for model in theirs} - known == {"exec"}
