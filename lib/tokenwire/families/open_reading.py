"""The open reading: JSON read without types, and laid over a Record's class without ever refusing.

See record.py for when.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar, Union

import msgspec

from ..errors import StreamDecodeError
from .json_text import plain_json
from .record import Record

__all__ = ["json_object", "open_reading", "unreadable"]

R = TypeVar("R", bound=Record)

#: Makes a JSON value into the declared type, or hands it back where its shape is another. None: nothing to make.
_Builder = Callable[[Any], Any]

_plans: dict[type[Record], Callable[[dict[str, Any]], Record]] = {}


def json_object(payload: bytes | bytearray) -> dict[str, Any]:
    """The JSON object that a payload is. Raises StreamDecodeError where it is none."""
    try:
        found = plain_json(payload)
    except RecursionError:
        raise unreadable(payload, "it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise unreadable(payload, f"it is not UTF-8 ({error.reason} at byte {error.start})") from None
    except msgspec.DecodeError as error:
        raise unreadable(payload, f"it is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise unreadable(payload, "it is not a JSON object")
    return found


def unreadable(payload: bytes | bytearray, why: str) -> StreamDecodeError:
    """The error of a payload that cannot be read."""
    return StreamDecodeError(
        f"The server sent an event that cannot be read: {why}.",
        body=bytes(payload[:200]).decode(errors="replace"),
    )


def open_reading(cls: type[R], value: dict[str, Any]) -> R:
    """Lay an untyped JSON object over a Record class without ever refusing.

    A value of an unexpected shape is kept as it came, an unknown key becomes an
    attribute, a missing one takes the field's default, or None where it has none.
    """
    return typing.cast(R, _plan(cls)(value))


def _plan(cls: type[Record]) -> Callable[[dict[str, Any]], Record]:
    plan = _plans.get(cls)
    if plan is None:
        # Built at the first use of each class: importing costs nothing, and a class may hold itself.
        slot: list[Callable[[dict[str, Any]], Record]] = []
        _plans[cls] = lambda value: slot[0](value)  # noqa: PLW0108 - it is not there yet
        slot.append(_make_plan(cls))
        plan = _plans[cls] = slot[0]
    return plan


def _make_plan(cls: type[Record]) -> Callable[[dict[str, Any]], Record]:
    hints = typing.get_type_hints(cls)
    fields = [field for field in msgspec.structs.fields(cls) if field.name[0] != "_"]
    known = {field.encode_name for field in fields}
    blank = {field.name: None for field in fields if field.required}
    renamed = [(field.encode_name, field.name) for field in fields if field.encode_name != field.name]
    made = [
        (field.name, builder) for field in fields if (builder := _builder(hints[field.name])) is not None
    ]
    config = cls.__struct_config__
    # What is no field and yet no extra: the tag, and the names of methods, which must not be shadowed
    # (to_dict() has those).
    reserved = {*dir(cls), *([config.tag_field] if config.tag is not None else [])}

    def build(value: dict[str, Any]) -> Record:
        arguments = {**blank, **value}
        extra = None
        if not known.issuperset(value):
            extra = {key: arguments.pop(key) for key in value if key not in known}
        for alias, name in renamed:
            if alias in arguments:
                arguments[name] = arguments.pop(alias)
        for name, builder in made:
            item = arguments.get(name)
            if item is not None:
                arguments[name] = builder(item)
        record = cls(**arguments)
        if extra is not None:
            record.__dict__.update({key: item for key, item in extra.items() if key not in reserved})
        return record

    return build


def _builder(hint: Any) -> _Builder | None:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return _union(typing.get_args(hint))
    if origin is list:
        return _list(_builder(typing.get_args(hint)[0]))
    if origin is dict:
        return _dict(_builder(typing.get_args(hint)[1]))
    if isinstance(hint, type) and issubclass(hint, Record):
        return _object({}, hint)
    return None


def _union(members: tuple[Any, ...]) -> _Builder | None:
    """Containers are told apart by the value; Records by their tag.

    An object of another tag becomes the union's one Record without a tag, or what its members name as
    `other` (see Member), else it stays a dict.
    """
    tagged: dict[Any, type[Record]] = {}
    fallback: type[Record] | None = None
    tag_field: str | None = None
    builders: dict[type, _Builder] = {}
    for member in members:
        if isinstance(member, type) and issubclass(member, Record):
            config = member.__struct_config__
            if config.tag is None:
                fallback = member
            else:
                tag_field = config.tag_field
                tagged[config.tag] = member
                fallback = fallback or getattr(member, "other", None)
        else:
            origin = typing.get_origin(member)
            builder = _builder(member)
            if origin is not None and builder is not None:
                builders[origin] = builder
    if tagged or fallback:
        builders[dict] = _object(tagged, fallback, tag_field)
    if not builders:
        return None
    if len(builders) == 1:
        return next(iter(builders.values()))

    def build(value: Any) -> Any:
        builder = builders.get(type(value))
        return value if builder is None else builder(value)

    return build


def _object(
    tagged: dict[Any, type[Record]], fallback: type[Record] | None, tag_field: str | None = None
) -> _Builder:
    def build(value: Any) -> Any:
        if type(value) is not dict:
            return value
        tag = value.get(tag_field) if tagged else None
        cls = tagged.get(tag, fallback) if isinstance(tag, str) else fallback
        return value if cls is None else _plan(cls)(value)

    return build


def _list(builder: _Builder | None) -> _Builder | None:
    if builder is None:
        return None

    def build(value: Any) -> Any:
        return [builder(item) for item in value] if type(value) is list else value

    return build


def _dict(builder: _Builder | None) -> _Builder | None:
    if builder is None:
        return None

    def build(value: Any) -> Any:
        return {key: builder(item) for key, item in value.items()} if type(value) is dict else value

    return build
