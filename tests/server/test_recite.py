from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, strategies as st

from support.served import CHAT, RESPONSES, payloads, run
from tokenwire.server import Finish, Reasoning, Reciter, RequestError, ToolCall, Usage, recite
from tokenwire.server.reading import read_request
from tokenwire.server.recite import MODEL, pick, tokens
from tokenwire.server.schema import sample
from tokenwire.server.verse import POEMS

TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {
            "type": "object",
            "properties": {"word": {"type": "string"}, "count": {"type": "integer", "minimum": 3}},
            "required": ["word", "count"],
        },
    },
}


def said(family: Any, body: dict[str, Any], *, by: Reciter = recite, **options: Any) -> list[Any]:
    """Every token of the answer to this body."""
    request = read_request(family, json.dumps(body).encode(), headers={}, **options)

    async def collect() -> list[Any]:
        return [token async for token in by(request)]

    return asyncio.run(collect())


def asking(prompt: str, **fields: Any) -> dict[str, Any]:
    return {**CHAT, "messages": [{"role": "user", "content": prompt}], **fields}


def text(found: list[Any]) -> str:
    return "".join(token for token in found if isinstance(token, str))


@given(st.text())
def test_tokens_joined_are_the_text(given_text: str) -> None:
    assert "".join(tokens(given_text)) == given_text


def test_tokens_are_like_a_models() -> None:
    assert tokens("The moon's\nclock, in-the  hall;\n\n月") == [
        *("The", " moon's", "\n", "clock", ",", " in", "-", "the", " ", " hall", ";", "\n\n", "月")
    ]


@pytest.mark.parametrize("prompt", ["Write a poem about the moon.", "MOONS?", "moon"])
def test_the_moon_brings_a_poem_about_the_moon(prompt: str) -> None:
    assert "moon" in pick(prompt).text.lower()


def test_a_poem_of_the_prompts_own_words() -> None:
    assert pick("Who has seen the wind in the trees?").title == "Who Has Seen the Wind?"
    assert pick("a haiku about a frog").author == "松尾芭蕉"


def test_every_poem_can_be_reached_and_two_speak_of_the_moon() -> None:
    assert {pick(" ".join(poem.about)) for poem in POEMS} == set(POEMS)
    assert sum("moon" in poem.about and "moon" in poem.text.lower() for poem in POEMS) >= 2


def test_the_same_prompt_brings_the_same_tokens_in_both_families() -> None:
    prompt = "Write a poem about the moon."
    first = said("chat", asking(prompt))
    assert said("chat", asking(prompt)) == first == said("responses", {**RESPONSES, "input": prompt})
    assert text(first) == pick(prompt).text
    *words, usage = first
    assert usage == Usage(input_tokens=7, output_tokens=len(words))


def test_the_name_is_honest() -> None:
    assert recite.model == MODEL == "tokenwire-recite-1"


def test_usage_counts_the_whole_conversation() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "user", "content": "Hello"},
    ]
    assert said("chat", {**CHAT, "messages": messages})[-1].input_tokens == 3 + 1 + 1


@pytest.mark.parametrize(
    ("family", "body"),
    [
        ("chat", asking("moon", max_tokens=5)),
        ("chat", asking("moon", max_completion_tokens=5)),
        ("responses", {**RESPONSES, "input": "moon", "max_output_tokens": 5}),
    ],
)
def test_token_limits(family: str, body: dict[str, Any]) -> None:
    found = said(family, body)
    assert found == [*tokens(pick("moon").text)[:5], Finish("length"), Usage(1, 5)]
    last = payloads(run(family, {**body, "stream_options": {"include_usage": True}}, found))[-1]
    if family == "chat":
        assert last["usage"]["completion_tokens"] == 5
    else:
        assert last["type"] == "response.incomplete"


def test_a_limit_that_is_not_reached() -> None:
    whole = said("chat", asking("moon"))
    assert said("chat", asking("moon", max_tokens=len(whole) - 1)) == whole


def test_reasoning() -> None:
    for family, body in (
        ("chat", asking("the moon", reasoning_effort="low")),
        ("responses", {**RESPONSES, "input": "the moon", "reasoning": {"effort": "low"}}),
    ):
        found = said(family, body)
        thoughts = [token for token in found if isinstance(token, Reasoning)]
        assert found[: len(thoughts)] == thoughts
        assert "".join(token.text for token in thoughts).startswith("The prompt speaks of moon; I recite")
        assert not any(token.summary for token in thoughts)
        usage = found[-1]
        assert (usage.reasoning_tokens, usage.output_tokens) == (len(thoughts), len(found) - 1)


def test_reasoning_summaries_and_none() -> None:
    body = {**RESPONSES, "reasoning": {"effort": "high", "summary": "auto"}, "max_output_tokens": 3}
    found = said("responses", body)
    assert [token.summary for token in found[:3]] == [True] * 3
    assert found[-1] == Usage(1, 3, reasoning_tokens=3)
    assert not any(
        isinstance(token, Reasoning) for token in said("chat", asking("x", reasoning_effort="none"))
    )


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "look_up"}}])
def test_a_tool_that_must_be_called(choice: Any) -> None:
    body = asking("x", tools=[TOOL], tool_choice=choice)
    found = said("chat", body)
    assert found[0] == ToolCall("look_up")
    arguments = json.loads("".join(token.arguments for token in found[:-1]))
    assert set(arguments) == {"word", "count"}
    assert isinstance(arguments["word"], str)
    assert arguments["count"] >= 3
    whole = json.loads(run("chat", {**body, "stream": False}, found))["choices"][0]
    assert whole["finish_reason"] == "tool_calls"


def test_a_tool_that_must_be_called_and_is_no_function() -> None:
    body = {**RESPONSES, "tools": [{"type": "web_search"}], "tool_choice": "required"}
    with pytest.raises(RequestError, match="calls functions only") as caught:
        said("responses", body)
    assert (caught.value.status, caught.value.param) == (400, "tool_choice")


def test_the_tool_that_the_prompt_speaks_of() -> None:
    other = {"type": "function", "function": {"name": "other"}}
    body = asking("Please look_up the moon", tools=[other, TOOL], tool_choice="required")
    assert said("chat", body)[0] == ToolCall("look_up")
    body = asking("hello", tools=[other, TOOL], tool_choice="required")
    assert said("chat", body)[:2] == [ToolCall("other"), ToolCall(arguments="{}")]
    assert text(said("chat", asking("hello", tools=[TOOL])))  # auto: it recites


def test_json_formats() -> None:
    schema = {"type": "object", "properties": {"verse": {"type": "string"}}, "required": ["verse"]}
    found = said(
        "responses", {**RESPONSES, "text": {"format": {"type": "json_schema", "name": "v", "schema": schema}}}
    )
    assert list(json.loads(text(found))) == ["verse"]
    found = said("chat", asking("moon", response_format={"type": "json_object"}))
    assert json.loads(text(found))["title"] == pick("moon").title


def test_more_choices() -> None:
    found = said("chat", asking("moon", n=2, max_tokens=3), max_choices=2)
    body = run("chat", asking("moon", n=2, stream=False), found, max_choices=2)
    choices = json.loads(body)["choices"]
    assert [c["message"]["content"] for c in choices] == ["".join(tokens(pick("moon").text)[:3])] * 2
    assert [c["finish_reason"] for c in choices] == ["length", "length"]
    assert found[-1] == Usage(1, 6)


class FakeClock:
    """Time that passes only by sleeping, and by a little more than was asked for."""

    def __init__(self) -> None:
        self.time = 100.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds + 0.01


def test_the_pace_does_not_drift() -> None:
    clock = FakeClock()
    found = said("chat", asking("moon", max_tokens=50), by=Reciter(tokens_per_second=10), clock=clock)
    assert len(clock.slept) == 50
    assert clock.slept[0] == pytest.approx(0.1)
    assert clock.slept[1:] == pytest.approx(
        [0.09] * 49
    )  # each sleep makes up for what the last one overslept
    assert clock.time == pytest.approx(100 + 5 + 0.01)
    assert found == said("chat", asking("moon", max_tokens=50))


def test_a_pace_without_a_clock_is_none() -> None:
    assert said("chat", asking("x"), by=Reciter(tokens_per_second=0.001))


@pytest.mark.parametrize("pace", [0, -1, float("nan")])
def test_a_pace_that_is_none(pace: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Reciter(tokens_per_second=pace)


# -- JSON schemas --------------------------------------------------------------


def words() -> Iterator[str]:
    while True:
        yield "moon"


LOOP = {"type": "object", "properties": {"next": {"$ref": "#"}, "v": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "moon"),
        ({}, "moon"),
        ({"type": "string", "minLength": 7}, "moon moon"),
        ({"type": "string", "maxLength": 2}, "mo"),
        ({"type": "string", "minLength": 5, "maxLength": 5}, "moon "),
        ({"type": "string", "format": "date"}, "1824-06-01"),
        ({"type": "string", "format": "unheard-of"}, "moon"),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 10}, 10),
        ({"type": "integer", "exclusiveMinimum": 10}, 11),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "integer", "exclusiveMaximum": -3}, -4),
        ({"type": "integer", "minimum": 10, "multipleOf": 7}, 14),
        ({"type": "number", "minimum": 0.2, "maximum": 0.4}, pytest.approx(0.3)),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"minimum": 2}, 2),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["string", "null"]}, "moon"),
        ({"type": ["null"]}, None),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": {"x": [1]}}, {"x": [1]}),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
        ({"oneOf": [{"type": "null"}]}, None),
        (
            {"allOf": [{"type": "object"}, {"properties": {"x": {"type": "integer"}}, "required": ["x"]}]},
            {"x": 1},
        ),
        (
            {
                "properties": {"a": {"type": "integer"}},
                "required": ["a"],
                "allOf": [{"properties": {"b": {"const": 2}}, "required": ["b"]}],
            },
            {"a": 1, "b": 2},
        ),
        ({"required": ["unspoken"]}, {"unspoken": "moon"}),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, [1, 1, 1]),
        ({"type": "array", "maxItems": 0}, []),
        ({"prefixItems": [{"const": "a"}, {"const": "b"}], "minItems": 2}, ["a", "b"]),
        ({"items": True}, ["moon"]),
        (
            {"$ref": "#/$defs/x~1y", "$defs": {"x/y": {"type": "integer", "minimum": 4}}},
            4,
        ),
    ],
)
def test_samples(schema: dict[str, Any], value: Any) -> None:
    assert sample(schema, words()) == value


def test_recursive_schemas_end() -> None:
    found = sample(LOOP, words())
    assert found["next"]["next"]["next"] == {"next": {}, "v": 1}
    tree = {
        "type": "object",
        "properties": {
            "left": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
            "leaf": {"type": ["string", "null"]},
        },
        "required": ["left", "leaf"],
    }
    assert '"left": null, "leaf": null' in json.dumps(sample(tree, words()))
    deep = {"type": "array", "items": {"$ref": "#"}}
    assert json.dumps(sample(deep, words())) == "[[[[[]]]]]"


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "string", "pattern": "^a$"}, "pattern"),
        ({"type": "object", "properties": {"x": {"$ref": "#"}}, "required": ["x"]}, "without end"),
        ({"$ref": "#"}, "circle"),
        ({"$ref": "#/nowhere"}, "nowhere"),
        ({"$ref": "https://example.org"}, "point into it"),
        ({"type": "unheard-of"}, "not a type"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "bounds"),
        ({"type": "integer", "minimum": 0.2, "maximum": 0.4}, "bounds"),
        ({"type": "array", "minItems": 10**9}, "too many"),
        ({"type": "string", "minLength": 10**9}, "too long"),
        ({"type": "integer", "minimum": "x"}, "malformed"),
        ({"type": "object", "properties": 1}, "malformed"),
        ({"type": "number", "multipleOf": 0}, "malformed"),
        ({"type": "array", "items": False}, "admits nothing"),
        ({"type": "object", "required": [False]}, "no string"),
        # Each is small, and the product of its sizes is not.
        ({"type": "array", "minItems": 9_000, "items": {"const": "moon" * 1_000}}, "too large"),
        ({"type": "array", "minItems": 9_000, "items": {"enum": ["moon" * 1_000]}}, "too large"),
        ({"type": "array", "minItems": 9_000, "items": {"minLength": 9_000}}, "too large"),
        ({"type": "array", "minItems": 9_000, "items": {"$ref": "#/" + "x" * 1_000}, "x" * 1_000: {}}, "too large"),
        ({"type": "array", "minItems": 9_000, "items": {"anyOf": [{}] * 1_000}}, "too large"),
        ({"type": "array", "minItems": 9_000, "items": {"required": ["moon"] * 1_000}}, "too many"),
        ({"allOf": [{"properties": {str(n): {}}, "required": [str(n)]} for n in range(2_000)]}, "too large"),
    ],
)
def test_schemas_that_cannot_be_satisfied(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        sample(schema, words())
    assert (caught.value.status, caught.value.code) == (400, "invalid_json_schema")
