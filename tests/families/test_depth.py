"""JSON that nests deeper than anything can follow it is refused where it comes in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from support.answers import answer, chunk, sse
from tokenwire import Client, StreamDecodeError
from tokenwire.backends.memory import EOF, MemoryBackend
from tokenwire.families import chat, responses
from tokenwire.families.depth import DEEPEST, SHALLOW, too_deep
from tokenwire.refusals import NO_JSON, json_in


def nested(levels: int, kind: str = "[") -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if kind == "[" or (kind == "[{" and level % 2) else {"a": value}
    return value


@pytest.mark.parametrize("kind", ["[", "{", "[{"])
def test_the_bound(kind: str) -> None:
    assert not too_deep(json.dumps(nested(DEEPEST, kind)).encode())
    assert too_deep(json.dumps(nested(DEEPEST + 1, kind)).encode())
    assert too_deep(json.dumps([nested(3), nested(DEEPEST, kind), nested(3)]).encode())


@pytest.mark.parametrize(
    ("beside", "count"),
    [([], 20_000), (nested(DEEPEST - 1), 30), ([nested(100), {"a": []}], 300)],
    ids=["one among many that are shallow", "many", "one among many that are half as deep"],
)
def test_the_bound_in_company(beside: Any, count: int) -> None:
    """By rounds where they soon leave little to look at, else by one walk."""
    company = [beside] * count
    assert not too_deep(json.dumps([*company, nested(DEEPEST - 1), *company]).encode())
    assert too_deep(json.dumps([*company, nested(DEEPEST), *company]).encode())


def test_what_is_shallow_is_not_asked_for() -> None:
    deep = json.dumps(nested(DEEPEST + 1), separators=(",", ":")).encode().replace(b"1", b"")
    assert len(deep) > SHALLOW


def levels_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, (dict, list)) + max(map(levels_of, inner), default=0)


texts = st.text('[]{}"\\a', max_size=6)


@settings(max_examples=40)
@given(st.recursive(texts, lambda one: st.lists(one, max_size=3) | st.dictionaries(texts, one, max_size=3)))
def test_brackets_in_strings_are_none(value: Any) -> None:
    padding = "[[]]" * DEEPEST  # else so few are not looked at
    levels = levels_of([value, padding])
    assert not too_deep(json.dumps([value, padding]).encode())
    around = nested(DEEPEST - levels)
    text = json.dumps(around).replace("1", json.dumps([value, padding]))
    assert not too_deep(text.encode())
    assert too_deep(b"[" + text.encode() + b"]")


def test_what_is_no_json_is_not_deep() -> None:
    assert not too_deep(b"[" * 1_000)
    assert json_in(b"[" * 1_000) is NO_JSON


@pytest.mark.parametrize("end", [b"", b"\\"])
def test_a_string_that_is_not_closed_is_looked_at_once(end: bytes) -> None:
    # Were each of its quotes taken for the beginning of another, a million of them would take hours.
    assert not too_deep(b"[" * (DEEPEST + 1) + b'"' + b'\\"' * 1_000_000 + end)


DEEP = json.dumps(nested(400, "[{"))
EVENTS = [
    (chat, '{"choices": [{"index": 0, "delta": {"content": [{"type": "x", "x": %s}]}}]}'),
    (chat, '{"choices": [], "mood": %s}'),
    (chat, '{"choices": [{"index": 0, "delta": {"reasoning_details": [%s]}}]}'),
    (responses, '{"type": "moon", "mood": %s}'),
    (responses, '{"type": "response.completed", "response": {"output": [{"type": "message", "content": %s}]}}'),
]


@pytest.mark.parametrize(("family", "text"), EVENTS)
def test_no_family_reads_it(family: Any, text: str) -> None:
    for read in (family.decode, family.decode_whole):
        with pytest.raises(StreamDecodeError, match="nested too deeply"):
            read((text % DEEP).encode())
    event = family.decode((text % json.dumps(nested(150))).encode())
    assert event.to_dict() == json.loads(text % json.dumps(nested(150)))
    helper = family.Helper()
    for made in helper.events([event]):
        made.to_json()
        made.model_dump(exclude_none=True)
    assert helper.snapshot().to_dict()


def test_a_stream_tells_what_came_before() -> None:
    body = sse(chunk("Hi"), chunk(mood=nested(400)), done=True)
    with Client(api_key="k", base_url="http://t", backend=MemoryBackend([[answer(body), EOF]])) as client:
        stream = client.chat.completions.create(model="m", messages=[], stream=True)
        assert next(stream).choices[0].delta.content == "Hi"
        with pytest.raises(StreamDecodeError, match="nested too deeply"):
            next(stream)
