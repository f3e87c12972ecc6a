"""What a field of a request body must be, and the official API's words for one that is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenwire.server.problem import RequestError

__all__ = ["as_object", "count", "invalid", "kind_of", "missing", "name_of", "typed"]


def invalid(param: str, code: str, message: str) -> RequestError:
    """What is raised for a field that is wrong."""
    return RequestError(400, message, param=param, code=code)


def missing(param: str) -> RequestError:
    """What is raised for a field that must be there, and is not."""
    return invalid(param, "missing_required_parameter", f"Missing required parameter: '{param}'.")


_NAMES: Mapping[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "a boolean",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def name_of(value: object) -> str:
    """What JSON calls the type of a value."""
    return _NAMES[type(value)]


def typed(entry: dict[str, Any], key: str, *rest: Any) -> Any:
    """entry[key], which is of one of these types, or None where it is absent or null.

    rest: the types (an int is a float, too); last, if it is a string, what stands before key in the path.
    """
    value = entry.get(key)
    if value is None or type(value) in rest or (type(value) is int and float in rest):
        return value
    prefix = rest[-1] if isinstance(rest[-1], str) else ""
    expected = " or ".join(_NAMES[kind] for kind in rest if isinstance(kind, type))
    raise invalid(
        prefix + key,
        "invalid_type",
        f"Invalid type for '{prefix}{key}': expected {expected}, but got {name_of(value)} instead.",
    )


def as_object(value: Any, path: str) -> dict[str, Any]:
    """The value, which is an object. path: where it stands."""
    if isinstance(value, dict):
        return value
    raise invalid(
        path,
        "invalid_type",
        f"Invalid type for '{path}': expected an object, but got {name_of(value)} instead.",
    )


def count(body: dict[str, Any], key: str) -> int | None:
    """A whole number of at least 1, or None."""
    value: int | None = typed(body, key, int)
    if value is not None and value < 1:
        raise invalid(
            key,
            "integer_below_min_value",
            f"Invalid '{key}': integer below minimum value. Expected a value >= 1, but got {value} instead.",
        )
    return value


def kind_of(entry: dict[str, Any], path: str) -> str:
    """The type that an object calls itself."""
    kind: str | None = typed(entry, "type", str, path + ".")
    if not kind:
        raise missing(path + ".type")
    return kind
