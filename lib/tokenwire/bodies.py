"""Bodies: what a call asks for, as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from tokenwire.errors import LocalProtocolError
from tokenwire.families.chat_events import HelperEvent
from tokenwire.families.record import Record

__all__ = ["encoded"]

#: JSON's own kinds of value, that hold no other.
_LEAVES: Final = frozenset((str, int, float, bool, type(None)))


def _encodable(value: Any) -> Any:
    """What msgspec does not know: pydantic models, and iterables of messages."""
    if isinstance(value, type):
        raise TypeError(f"a request cannot hold a class: {value!r}")
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json", exclude_unset=True, by_alias=True)
    if isinstance(value, Mapping):
        return _with_plain_records(dict(value))
    if isinstance(value, Iterable):
        return _with_plain_records(list(value))
    raise TypeError(f"a request cannot hold a {type(value).__name__}")


def _finite(value: float) -> float:
    """The number. Raises ValueError for what JSON has no number for: msgspec would write null, and so ask otherwise."""
    if not math.isfinite(value):
        raise ValueError(f"a request cannot hold {value}: JSON has no such number")
    return value


def _is_plain(values: Iterable[Any]) -> bool:
    """Whether there is nothing in them, at any depth, but JSON's own kinds of value."""
    for value in values:
        kind = type(value)
        if kind in _LEAVES:
            if kind is float:
                _finite(value)
            continue
        if kind is dict:
            if not _is_plain(value.values()):
                return False
        elif kind is not list or not _is_plain(value):
            return False
    return True


def _with_plain_records(value: Any) -> Any:
    """The same value, with what a server sent us as the server sent it: unknown fields kept, nothing added."""
    if type(value) is str:
        return value
    if type(value) is float:
        return _finite(value)
    if isinstance(value, (Record, HelperEvent)):
        return value.to_dict()
    if isinstance(value, dict):
        return {name: _with_plain_records(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_plain_records(item) for item in value]
    return value


_encode: Final = msgspec.json.Encoder(enc_hook=_encodable).encode


def encoded(fields: dict[str, Any]) -> bytes:
    """The JSON of a request's fields.

    Raises TypeError for what is no JSON, ValueError for nan and infinity, LocalProtocolError for what is no text.
    """
    try:
        return _encode(fields if _is_plain(fields.values()) else _with_plain_records(fields))
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"the request holds text that is not Unicode: {error.reason}") from None
    except RecursionError:
        raise TypeError("the request holds a value that is nested too deeply, or holds itself") from None
