"""A value that a JSON schema admits, made of given words; the same ones bring the same value.

The part of JSON Schema that the API admits for tools and structured outputs: type,
properties, items, enum, const, anyOf, oneOf, allOf, $ref, the bounds of numbers,
strings and arrays, the common formats. Of optional properties only those are left
out that would go on for ever.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tokenwire.server.problem import RequestError

__all__ = ["sample"]

#: How deep a value may nest before optional properties and array items are left out.
_DEEP: Final = 4
#: And how deep before the schema is taken for one that only an endless value would satisfy.
_ENDLESS: Final = 64
#: The most values, and the most characters of one string, that are worth making.
_MOST: Final = 10_000
#: The most steps that are worth taking: parts of schemas looked at, and characters written. A client gives the schema,
#: and those who share the event loop with it wait: a tenth of a second, and not the product of all its sizes.
_STEPS: Final = 1_000_000

_FORMATS: Final = {
    "date": "1824-06-01",
    "time": "00:00:00Z",
    "date-time": "1824-06-01T00:00:00Z",
    "duration": "P1D",
    "email": "moon@example.org",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.org/moon",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample(schema: dict[str, Any], words: Iterator[str]) -> Any:
    """A JSON value that the schema admits. words: an endless supply for its strings.

    Raises RequestError (400) for a schema that it cannot satisfy.
    """
    try:
        return _Sampler(schema, words).value(schema, 0)
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError):
        raise _refuse("it is malformed") from None


def _refuse(why: str) -> RequestError:
    return RequestError(
        400, f"The reciting model cannot satisfy this JSON schema: {why}.", code="invalid_json_schema"
    )


class _Sampler:
    def __init__(self, root: dict[str, Any], words: Iterator[str]) -> None:
        self._root = root
        self._words = words
        self._made = 0
        self._left = _STEPS

    def _spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise _refuse("it is too large")

    def value(self, schema: Any, depth: int) -> Any:
        self._made += 1
        if depth > _ENDLESS:
            raise _refuse("it nests without end")
        if self._made > _MOST:
            raise _refuse("its values are too many")
        if schema is True or schema == {}:
            return next(self._words)
        if not isinstance(schema, dict):
            raise _refuse(f"{repr(schema)[:80]} admits nothing")
        schema = self._resolved(schema, depth)
        if "const" in schema or schema.get("enum"):
            given = schema["const"] if "const" in schema else schema["enum"][0]
            self._spend(len(msgspec.json.encode(given)))
            return given
        for key in ("anyOf", "oneOf"):
            if schema.get(key):
                rest = {name: item for name, item in schema.items() if name != key}
                self._spend(len(schema[key]))
                return self.value(self._merged(rest, _branch(schema[key], depth)), depth + 1)
        return self._of_type(_type(schema, depth), schema, depth)

    def _resolved(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        """The schema with its $ref and allOf laid into it."""
        for _ in range(_ENDLESS):
            if "$ref" in schema:
                rest = {name: item for name, item in schema.items() if name != "$ref"}
                schema = self._merged(rest, self._find(schema["$ref"]))
            elif schema.get("allOf"):
                parts = schema["allOf"]
                schema = {name: item for name, item in schema.items() if name != "allOf"}
                for part in parts:
                    schema = self._merged(schema, part)
            else:
                return schema
        raise _refuse("its $ref goes round in a circle")

    def _find(self, ref: Any) -> Any:
        if not isinstance(ref, str) or not ref.startswith("#"):
            raise _refuse(f"$ref {repr(ref)[:80]} does not point into it")
        self._spend(len(ref))
        found: Any = self._root
        for part in ref[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or name not in found:
                raise _refuse(f"$ref {ref[:80]!r} points nowhere")
            found = found[name]
        return found

    def _merged(self, one: dict[str, Any], other: Any) -> dict[str, Any]:
        """Both schemas as one: properties and required fields of both, the second one's word for the rest."""
        if not isinstance(other, dict):
            return one
        self._spend(len(one) + len(other))
        merged = {**one, **other}
        if "properties" in one and "properties" in other:
            merged["properties"] = {**one["properties"], **other["properties"]}
            self._spend(len(merged["properties"]))
        if "required" in one and "required" in other:
            merged["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
            self._spend(len(merged["required"]))
        return merged

    def _of_type(self, kind: str, schema: dict[str, Any], depth: int) -> Any:
        if kind == "object":
            required = schema.get("required") or []
            if not all(isinstance(name, str) for name in required):
                raise _refuse("a property's name is no string")
            properties = schema.get("properties") or {}
            self._spend(len(properties) + len(required))
            needed = set(required)
            return {
                name: self.value(properties.get(name, True), depth + 1)
                for name in [*properties, *(name for name in required if name not in properties)]
                if name in needed or depth < _DEEP
            }
        if kind == "array":
            fewest = max(schema.get("minItems", 0), 0 if depth >= _DEEP else 1)
            count = min(fewest, schema.get("maxItems", fewest))
            first = (schema.get("prefixItems") or [])[:count]
            rest = schema.get("items", True)
            return [self.value(item, depth + 1) for item in first] + [
                self.value(rest, depth + 1) for _ in range(count - len(first))
            ]
        if kind == "string":
            return self._string(schema)
        if kind in ("integer", "number"):
            return _number(schema, whole=kind == "integer")
        return kind == "boolean" or None  # else null

    def _string(self, schema: dict[str, Any]) -> str:
        if "pattern" in schema:
            raise _refuse("it has a pattern")
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        longest = schema.get("maxLength")
        if schema.get("minLength", 0) > _MOST:
            raise _refuse("its strings are too long")
        self._spend(schema.get("minLength", 0))
        text = next(self._words)
        while len(text) < schema.get("minLength", 0):
            text += " " + next(self._words)
        return text if longest is None else text[:longest]


def _branch(branches: list[Any], depth: int) -> Any:
    """The first branch that is more than null; deep down, the one that ends."""
    null = [branch for branch in branches if branch.get("type") == "null"]
    flat = [branch for branch in branches if branch.get("type") in ("string", "number", "integer", "boolean")]
    more = [branch for branch in branches if branch.get("type") != "null"]
    return (null or flat or branches)[0] if depth >= _DEEP else (more or branches)[0]


def _type(schema: dict[str, Any], depth: int) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        # "null" ends what would not end otherwise.
        others = [one for one in kind if one != "null"]
        kind = "null" if "null" in kind and (depth >= _DEEP or not others) else others[0] if others else None
    if kind is None:
        if "properties" in schema or "required" in schema:
            return "object"
        if "items" in schema or "prefixItems" in schema:
            return "array"
        if {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"} & schema.keys():
            return "number"
        return "string"
    if kind not in ("object", "array", "string", "integer", "number", "boolean", "null"):
        raise _refuse(f"{repr(kind)[:80]} is not a type")
    return str(kind)


def _number(schema: dict[str, Any], *, whole: bool) -> int | float:
    """An admitted number near 1, or else near a bound."""
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    step = schema.get("multipleOf", 1)
    tries: list[float] = []
    for near in (1, low, high):
        if math.isfinite(near):
            below = math.floor(near / step) * step
            above = math.ceil(near / step) * step
            tries += [above, below, above + step, below - step]
    if "multipleOf" not in schema and math.isfinite(low) and math.isfinite(high):
        tries.append((low + high) / 2)
    for number in tries:
        excluded = number in (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum"))
        if low <= number <= high and not excluded and not (whole and number != int(number)):
            return int(number) if number == int(number) else number
    raise _refuse("no number lies within its bounds")
