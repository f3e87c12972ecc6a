"""Structured output, for both families: types to schemas, answers to objects, functions to tools.

A type here is a msgspec Struct, a dataclass, a TypedDict, or a pydantic model or
dataclass. pydantic is met only in what the user passes: it is never imported
before. The schemas are in the strict form that the API asks for, made as the
official SDK makes it (openai/lib/_pydantic.py).
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

__all__ = [
    "is_type",
    "parse",
    "pydantic_function_tool",
    "pydantic_responses_function_tool",
    "response_format_param",
    "schema_of",
    "text_format_param",
    "tool_param",
    "tool_params",
    "tool_parsers",
]

_Schema: TypeAlias = dict[str, Any]
Family: TypeAlias = Literal["chat", "responses"]


# -- Which types -----------------------------------------------------------------


def _is_pydantic_model(tp: Any) -> bool:
    return inspect.isclass(tp) and hasattr(tp, "model_validate_json") and hasattr(tp, "model_json_schema")


def _is_pydantic_like(tp: Any) -> bool:
    """A pydantic dataclass, or a TypedDict with a pydantic configuration."""
    return hasattr(tp, "__pydantic_config__")


def is_type(value: object) -> bool:
    """Whether it is a type that `schema_of` and `parse` take (and not, say, a dict for the API)."""
    tp: Any = typing.get_origin(value) or value
    return inspect.isclass(tp) and (
        issubclass(tp, msgspec.Struct)
        or dataclasses.is_dataclass(tp)
        or typing.is_typeddict(tp)
        or _is_pydantic_model(tp)
    )


def _checked(tp: Any) -> Any:
    if not is_type(tp):
        raise TypeError(
            f"Expected a msgspec Struct, a dataclass, a TypedDict or a pydantic model, not {tp!r}"
        )
    return tp


def _adapter(tp: Any) -> Any:
    import pydantic  # the type is pydantic's own, so it is there already

    return pydantic.TypeAdapter(tp)


# -- Schemas -----------------------------------------------------------------------


def schema_of(tp: Any) -> _Schema:
    """The strict JSON schema of a type: nothing beyond its properties, and all of them required.

    Raises TypeError for a type of another kind, or one whose JSON is not an object.
    """
    _checked(tp)
    made: _Schema
    if _is_pydantic_model(tp):
        made = tp.model_json_schema()
    elif _is_pydantic_like(tp):
        made = _adapter(tp).json_schema()
    else:
        made = msgspec.json.schema(tp)
    schema = _strict(made, made, ())
    if "$ref" in made:
        _drop_unused(schema)
    if schema.get("type") != "object":
        raise TypeError(f"The JSON of {tp!r} is not an object, and the API takes no other schema")
    return schema


def _strict(node: _Schema, root: _Schema, within: tuple[str, ...]) -> _Schema:
    """The strict form of one schema. within: the definitions that are being laid out around it."""
    node = dict(node)
    # The variants of a tagged union tell themselves apart; the API does not know this keyword.
    if "anyOf" in node:
        node.pop("discriminator", None)
    if node.get("default", ...) is None:
        del node["default"]  # null is allowed by the type already
    if "enum" in node and "type" not in node:
        kinds = {_ENUM_TYPES.get(type(value)) for value in node["enum"]}
        if len(kinds) == 1 and None not in kinds:
            node["type"] = kinds.pop()
    if len(node.get("allOf", ())) == 1:
        node = {**node.pop("allOf")[0], **node}
    ref = node.get("$ref")
    if ref is not None and len(node) > 1:
        # A $ref with company is not allowed: lay the definition out here.
        if ref in within:
            return {"$ref": ref}
        del node["$ref"]
        return _strict({**_resolved(ref, root), **node}, root, (*within, ref))
    if node.get("type") == "object":
        node.setdefault("additionalProperties", False)
    if "properties" in node:
        node["required"] = list(node["properties"])
    for keyword in ("$defs", "properties"):
        if keyword in node:
            node[keyword] = {name: _strict(part, root, within) for name, part in node[keyword].items()}
    for keyword in ("anyOf", "allOf"):
        if keyword in node:
            node[keyword] = [_strict(part, root, within) for part in node[keyword]]
    if isinstance(node.get("items"), dict):
        node["items"] = _strict(node["items"], root, within)
    return node


_ENUM_TYPES = {str: "string", int: "integer"}


def _resolved(ref: str, root: _Schema) -> _Schema:
    found: Any = root
    for key in ref.removeprefix("#/").split("/"):
        found = found[key]
    return typing.cast(_Schema, found)


def _drop_unused(schema: _Schema) -> None:
    """Forget the definitions that nothing refers to, now that the root's has been laid out in place."""
    definitions = schema.get("$defs", {})
    wanted: set[str] = set()
    look = [{key: part for key, part in schema.items() if key != "$defs"}]
    while look:
        fresh = set(_refs(look.pop())) - wanted
        wanted |= fresh
        look += [definitions[name] for name in fresh]
    kept = {name: part for name, part in definitions.items() if name in wanted}
    schema.pop("$defs", None)
    if kept:
        schema["$defs"] = kept


def _refs(node: Any) -> Iterable[str]:
    if isinstance(node, dict):
        if isinstance(ref := node.get("$ref"), str):
            yield ref.removeprefix("#/$defs/")
        for part in node.values():
            yield from _refs(part)
    elif isinstance(node, list):
        for part in node:
            yield from _refs(part)


# -- Parameters of a request -------------------------------------------------------


def _format(tp: Any) -> _Schema:
    return {"name": _api_name(tp), "schema": schema_of(tp), "strict": True}


def _api_name(tp: Any) -> str:
    """A name the API takes: letters, digits, _ and -, at most 64."""
    name = repr(tp).replace(f"{tp.__module__}.", "") if typing.get_origin(tp) else tp.__name__
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:64]


def response_format_param(response_format: Any) -> Any:
    """What to send as chat's `response_format`. Anything but a type is sent as it is."""
    if isinstance(response_format, Mapping) or response_format is None:
        return response_format
    return {"type": "json_schema", "json_schema": _format(_checked(response_format))}


def text_format_param(text_format: Any) -> Any:
    """What to send as Responses' `text.format`. Anything but a type is sent as it is."""
    if isinstance(text_format, Mapping) or text_format is None:
        return text_format
    return {"type": "json_schema", **_format(_checked(text_format))}


# -- Answers -------------------------------------------------------------------------


def parse(tp: Any, text: str) -> Any:
    """The text read as the type.

    Raises what the type's own library raises where the text does not fit: msgspec.ValidationError or
    msgspec.DecodeError, or pydantic.ValidationError.
    """
    if _is_pydantic_model(tp):
        return tp.model_validate_json(text)
    if _is_pydantic_like(tp):
        return _adapter(tp).validate_json(text)
    return _decoder(tp).decode(text)


@functools.lru_cache(maxsize=256)
def _decoder(tp: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(tp)


# -- Tools ---------------------------------------------------------------------------


class _ToolOfType(dict[str, Any]):
    """A tool, as the API describes it, that knows the type of its arguments. As the official SDK's own."""

    def __init__(self, described: _Schema, model: Any) -> None:
        super().__init__(described)
        self.model = model


def _of_type(model: Any, name: str | None, description: str | None, **more: Any) -> _ToolOfType:
    schema = schema_of(model)
    if description is None:
        description = model.__doc__ if _is_pydantic_model(model) else schema.get("description")
    described = {"name": name or _api_name(model), "strict": True, "parameters": schema, **more}
    return _ToolOfType(described if description is None else {**described, "description": description}, model)


def pydantic_function_tool(
    model: Any, *, name: str | None = None, description: str | None = None
) -> dict[str, Any]:
    """A tool for chat completions whose arguments are read as this type, which need not be pydantic's.

    To be given as one of `tools`, where the type may stand itself, too; this gives it another name or description
    than its own. Raises TypeError as `schema_of`.
    """
    return {"type": "function", "function": _of_type(model, name, description)}


def pydantic_responses_function_tool(
    model: Any, *, name: str | None = None, description: str | None = None, defer_loading: Any = None
) -> dict[str, Any]:
    """As pydantic_function_tool, for Responses. defer_loading: a bool, sent where it is given."""
    more = {"defer_loading": defer_loading} if isinstance(defer_loading, bool) else {}
    return _of_type(model, name, description, type="function", **more)


def tool_param(tool: Any, family: Family) -> Any:
    """What to send as one of `tools`, for a type or a plain function. A dict is sent as it is; but what
    `pydantic_function_tool` made, ours or the official SDK's, is for Responses, too.

    A function's name, docstring and annotated parameters become the tool's; `Annotated[..., msgspec.Meta(
    description=...)]` describes a parameter. Raises TypeError for a function that cannot be called by name
    alone, or has a parameter without annotation.
    """
    if isinstance(tool, Mapping):
        inner = tool.get("function")
        if family == "responses" and isinstance(inner, Mapping) and hasattr(inner, "model"):
            return {"type": "function", **inner}
        return tool
    tp = tool if is_type(tool) else _arguments_of(tool)
    schema = schema_of(tp)
    name = _api_name(tool)
    described = schema.pop("description", None) if tp is tool else inspect.getdoc(tool)
    function: _Schema = {"name": name, "strict": True, "parameters": schema}
    if described:
        function["description"] = described
    return {"type": "function", **({"function": function} if family == "chat" else function)}


def tool_params(tools: Iterable[Any], family: Family) -> list[Any]:
    """`tool_param` of each."""
    return [tool_param(tool, family) for tool in tools]


def tool_parsers(tools: Iterable[Any] | None) -> dict[str, Callable[[str], Any]]:
    """For each tool whose arguments have a schema to hold to: its name, and what reads their JSON text.

    A type gives its instance; a plain function a dict, to be called with (`f(**arguments)`); a strict
    dict, of either family, plain JSON values, or its type where `pydantic_function_tool` made it, ours or the
    official SDK's.
    """
    parsers: dict[str, Callable[[str], Any]] = {}
    for tool in tools or ():
        if isinstance(tool, Mapping):
            function = tool.get("function", tool)
            if tool.get("type") == "function" and isinstance(function, Mapping):
                model = getattr(function, "model", None)
                if model is not None:
                    parsers[function["name"]] = functools.partial(parse, model)
                elif function.get("strict"):
                    parsers[function["name"]] = msgspec.json.decode
        elif is_type(tool):
            parsers[_api_name(tool)] = functools.partial(parse, tool)
        else:
            parsers[_api_name(tool)] = functools.partial(_parse_arguments, _arguments_of(tool))
    return parsers


def _parse_arguments(struct: type[msgspec.Struct], text: str) -> dict[str, Any]:
    found = parse(struct, text)
    return {name: getattr(found, name) for name in struct.__struct_fields__}


def _arguments_of(function: Any) -> type[msgspec.Struct]:
    """A Struct of a function's parameters."""
    if not inspect.isroutine(function):
        raise TypeError(f"Expected a function, a type with a schema or a dict as a tool, not {function!r}")
    hints = typing.get_type_hints(function, include_extras=True)
    fields: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"{function!r} cannot be a tool: {parameter} cannot be passed by name")
        if parameter.name not in hints:
            raise TypeError(f"{function!r} cannot be a tool: {parameter.name} has no annotation")
        field = (parameter.name, hints[parameter.name])
        fields.append(field if parameter.default is parameter.empty else (*field, parameter.default))
    return msgspec.defstruct(function.__name__, fields, kw_only=True)
