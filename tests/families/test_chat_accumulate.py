"""What chat chunks add up to: whatever order, repetition and shape they come in."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk as OfficialChunk

from support.calls import calls_made
from support.chat_chunks import chunk, decoded, end, of_choice
from tokenwire.families import chat
from tokenwire.families.chat_types import ChatCompletionMessageCustomToolCall


def added(*chunks: Any) -> chat.Accumulator:
    accumulator = chat.Accumulator()
    for value in chunks:
        accumulator.add(decoded(value))
    return accumulator


def message_of(*chunks: Any) -> Any:
    return added(*chunks).snapshot().choices[0].message


# -- Text -------------------------------------------------------------------------------


def test_text_adds_up() -> None:
    found = added(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "the "}),
        chunk({"content": "moon"}),
        end(),
    )
    assert found.complete
    assert not found.terminal
    assert found.snapshot().to_dict() == {
        "id": "c",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "the moon"}, "finish_reason": "stop"}
        ],
    }


def test_nothing_adds_up_to_nothing() -> None:
    assert not added().complete
    assert added().snapshot().choices == []


def test_a_snapshot_is_a_value() -> None:
    first_token = {"logprobs": {"content": [{"token": "a"}]}}
    accumulator = added(chunk({"content": "the "}), chunk({}, choice=first_token))
    first = accumulator.snapshot()
    shown = first.to_dict()
    for value in (
        chunk({"content": "moon"}),
        chunk({}, choice={"logprobs": {"content": [{"token": "b"}]}}),
        chunk({"tool_calls": [{"index": 0, "function": {"name": "f"}}]}),
        end(),
    ):
        accumulator.add(decoded(value))
    assert first.to_dict() == shown
    assert accumulator.snapshot().to_dict() != shown


def test_a_role_that_comes_again_stays_one() -> None:
    pieces = [chunk({"role": "assistant", "content": piece}) for piece in ("the ", "moon")]
    message = message_of(*pieces, chunk({"role": ""}))
    assert (message.role, message.content) == ("assistant", "the moon")


def test_parts_are_joined_and_none_is_lost() -> None:
    reference = {"type": "reference", "reference_ids": [1]}
    message = message_of(
        chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}),
        chunk({"content": [{"type": "text", "text": "the "}, reference]}),
        chunk({"content": "moon"}),
        chunk({"content": 7}),
    )
    assert message.content == "the moon7"
    assert message.reasoning_content == "hm"
    assert message.content_parts == [reference]


def test_refusal_and_both_names_of_reasoning() -> None:
    message = message_of(
        chunk({"reasoning_content": "a", "reasoning": "x"}),
        chunk({"reasoning_content": "b", "reasoning": "y"}),
        chunk({"refusal": "I "}),
        chunk({"refusal": "can't"}),
    )
    assert (message.reasoning_content, message.reasoning) == ("ab", "xy")
    assert (message.refusal, message.content) == ("I can't", None)


def test_reasoning_details_of_one_index_and_type_are_one() -> None:
    text = {"type": "reasoning.text", "index": 0}
    secret = {"type": "reasoning.encrypted", "index": 1, "data": "d"}
    message = message_of(
        chunk({"reasoning_details": [{**text, "text": "a", "format": None}]}),
        chunk({"reasoning_details": [{**text, "text": "b", "format": "f"}]}),
        chunk({"reasoning_details": [{**text, "signature": "s", "format": None}]}),
        chunk({"reasoning_details": [secret, "junk", {"text": "c"}]}),
    )
    assert message.reasoning_details == [
        {"type": "reasoning.text", "index": 0, "text": "ab", "format": "f", "signature": "s"},
        {"type": "reasoning.encrypted", "index": 1, "data": "d"},
        "junk",
        {"text": "c"},
    ]


# -- Choices ----------------------------------------------------------------------------


def test_choices_may_be_interleaved_and_come_in_any_order() -> None:
    accumulator = added(
        of_choice(1, {"content": "b"}),
        of_choice(0, {"content": "a"}),
        of_choice(1, {"content": "B"}),
        of_choice(0, {"content": "A"}),
        of_choice(1, {}, "length"),
    )
    assert not accumulator.complete
    accumulator.add(decoded(of_choice(0, {}, "stop")))
    assert accumulator.complete
    choices = accumulator.snapshot().choices
    assert [(choice.index, choice.message.content, choice.finish_reason) for choice in choices] == [
        (0, "aA", "stop"),
        (1, "bB", "length"),
    ]


def test_a_choice_without_an_index_is_told_by_its_place() -> None:
    accumulator = added(chunk(choices=[{"index": None, "delta": {}}, {"index": "x", "delta": {}}]))
    assert sorted(accumulator.choices) == [0, 1]


@pytest.mark.parametrize("reason", ["", None, 3])
def test_a_finish_reason_that_says_nothing_is_none(reason: Any) -> None:
    accumulator = added(chunk({"content": "a"}, choice={"finish_reason": reason}))
    assert not accumulator.complete
    assert accumulator.snapshot().choices[0].finish_reason is None


def test_a_usage_chunk_with_an_empty_choice_leaves_the_verdict() -> None:
    # LiteLLM; and the finish_reason that comes again is no news.
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    accumulator = added(chunk({"content": "a"}), end(), chunk(usage=usage))
    assert accumulator.complete
    assert accumulator.snapshot().choices[0].finish_reason == "stop"
    assert accumulator.snapshot().usage.to_dict() == usage  # type: ignore[union-attr]


# -- What stands beside the choices -----------------------------------------------------


def test_the_last_usage_that_is_not_null_wins() -> None:
    accumulator = added(
        chunk({"content": "a"}, usage={"total_tokens": 1}),
        chunk({"content": "b"}, usage={"total_tokens": 2}),
        chunk({"content": "c"}, usage=None),
        chunk({}, usage="a lot"),
    )
    completion = accumulator.snapshot()
    assert completion.usage is not None
    assert completion.usage.total_tokens == 2
    assert completion.choices[0].message.content == "abc"


def test_empty_names_of_the_first_chunk_are_made_good_by_the_next() -> None:
    azure = {
        "id": "",
        "object": "",
        "created": 0,
        "model": "",
        "choices": [],
        "prompt_filter_results": [{"prompt_index": 0}],
    }
    moderation = {"input": {"type": "error", "code": "c", "message": "m"}, "output": None}
    completion: Any = added(
        azure,
        chunk({"content": "a"}, system_fingerprint="fp", service_tier="flex"),
        chunk({"content": "b"}, moderation=moderation, citations=[]),
        chunk({"content": "c"}, system_fingerprint=None, citations=["u"]),
        chunk({"content": "d"}, id=3, model=None, created="then", citations=None),
        chunk({"content": "e"}, id="d", model="n", created=8, citations=None),  # the first word about these is believed
    ).snapshot()
    assert (completion.id, completion.model, completion.created) == ("c", "m", 7)
    assert (completion.system_fingerprint, completion.service_tier) == ("fp", "flex")
    assert completion.moderation.input.code == "c"
    assert completion.prompt_filter_results == [{"prompt_index": 0}]
    assert completion.citations == ["u"]
    assert completion.choices[0].message.content == "abcde"


def test_the_first_chunk_may_have_odd_names() -> None:
    completion = added(chunk({"content": "a"}, id=3, model=4, created="x")).snapshot()
    assert (completion.id, completion.model, completion.created) == ("", "", 0)


def test_unknown_fields_of_choices_and_deltas_are_kept() -> None:
    choice: Any = added(
        chunk({"ids": [1], "note": "x", "meta": {"a": 1}, "n": 1}, choice={"filter": {"hate": 1}}),
        chunk({"ids": [2], "note": "y", "meta": {"b": 2}, "n": "2"}, choice={"filter": {}}),
        chunk({"annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}, 3]}),
    ).snapshot().choices[0]
    assert choice.filter == {"hate": 1}
    assert (choice.message.ids, choice.message.note) == ([1, 2], "xy")
    assert (choice.message.meta, choice.message.n) == ({"a": 1, "b": 2}, "2")
    assert choice.message.annotations[0].url_citation.url == "u"
    assert choice.message.annotations[1] == 3


@pytest.mark.parametrize("delta", ["Hi", 7, ["Hi"], True])
def test_a_delta_that_is_no_object_changes_nothing_but_the_choice_ends(delta: Any) -> None:
    odd = {"choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]}
    accumulator = added(chunk({"content": "Hello"}), odd)
    assert accumulator.complete
    assert accumulator.snapshot().choices[0].message.content == "Hello"


def test_an_unknown_field_does_not_hide_a_known_one() -> None:
    choice: Any = added(chunk({"content": "a"}, choice={"message": {"content": "b"}})).snapshot().choices[0]
    assert choice.message.content == "a"


def test_audio_and_function_call() -> None:
    message = message_of(
        chunk({"audio": {"id": "au", "transcript": "the "}}),
        chunk({"audio": {"data": "AAA=", "transcript": "moon"}}),
        chunk({"audio": {"id": "", "data": "BBB=", "expires_at": 9, "transcript": None}}),
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"name": "f", "arguments": '{"a"'}}),
        chunk({"function_call": {"arguments": ":1}"}}),
    )
    audio = {"id": "au", "data": "AAA=BBB=", "expires_at": 9, "transcript": "the moon"}
    assert message.audio.to_dict() == audio
    assert message.function_call.to_dict() == {"name": "f", "arguments": '{"a":1}'}


def test_logprobs_add_up() -> None:
    def lp(**fields: Any) -> dict[str, Any]:
        return chunk({"content": "x"}, choice={"logprobs": fields})

    token = {"token": "a", "logprob": -1.5, "bytes": [97], "top_logprobs": []}
    found = added(
        lp(content=[token], refusal=None), lp(content=[token, token]), lp(refusal=[token]), lp(content=[])
    ).snapshot()
    logprobs = found.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.to_dict() == {"content": [token] * 3, "refusal": [token]}
    assert added(lp()).snapshot().choices[0].logprobs is not None
    assert added(chunk({}, choice={"logprobs": [1]})).snapshot().choices[0].logprobs is None


# -- Tool calls ---------------------------------------------------------------------------


def tools(*calls: Any, **choice: Any) -> dict[str, Any]:
    return chunk({"tool_calls": list(calls)}, choice=choice)


def call(arguments: Any = None, *, name: Any = None, **fields: Any) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {"function": function, **fields}


TOOLS: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str, str]]]] = {
    "in pieces, as OpenAI sends them": (
        [
            tools(call("", name="f", index=0, id="a", type="function")),
            tools(call('{"x"', index=0)),
            tools(call(":1}", index=0)),
            tools(call("", name="g", index=1, id="b", type="function")),
            tools(call("{}", index=1)),
        ],
        [("a", "f", '{"x":1}'), ("b", "g", "{}")],
    ),
    "two calls' pieces mixed": (
        [
            tools(call("", name="f", index=0, id="a"), call("", name="g", index=1, id="b")),
            tools(call("{", index=1), call("[", index=0)),
            tools(call("]", index=0)),
            tools(call("}", index=1)),
        ],
        [("a", "f", "[]"), ("b", "g", "{}")],
    ),
    "fragments of one call in one delta": (
        [tools(call("{", name="f", index=0, id="a"), call("}", index=0))],
        [("a", "f", "{}")],
    ),
    "index 1 before index 0": (
        [tools(call("1", name="g", index=1, id="b")), tools(call("0", name="f", index=0, id="a"))],
        [("a", "f", "0"), ("b", "g", "1")],
    ),
    "no index, told by id (Gemini)": (
        [
            tools(call("{", name="f", id="a")),
            tools(call("[", name="g", id="b")),
            tools(call("}", id="a")),
            tools(call("]", id="b")),
        ],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "no index, no id, told by position": (
        [tools(call("{", name="f"), call("[", name="g")), tools(call("}"), call("]"))],
        [("", "f", "{}"), ("", "g", "[]")],
    ),
    "no index and no id after the first": (
        [tools(call("{", name="f", index=0, id="a")), tools(call("}"))],
        [("a", "f", "{}")],
    ),
    "no index, no id, whole calls one after another": (
        [tools(call("{}", name="f")), tools(call("[]", name="g")), tools(call(" "))],
        [("", "f", "{}"), ("", "g", "[] ")],
    ),
    "index 0 for each parallel call (Ollama)": (
        [
            tools(call('{"a":1}', name="f", index=0, id="a")),
            tools(call('{"b":2}', name="g", index=0, id="b")),
            tools(call(" ", index=0)),
            tools(call("\n", index=0, id="a")),
        ],
        [("a", "f", '{"a":1}\n'), ("b", "g", '{"b":2} ')],
    ),
    "index 0 for each, in one delta": (
        [tools(call("1", name="f", index=0, id="a"), call("2", name="f", index=0, id="b"))],
        [("a", "f", "1"), ("b", "f", "2")],
    ),
    "index 0 for two, then index 1": (
        [
            tools(call("1", name="f", index=0, id="a")),
            tools(call("2", name="f", index=0, id="b")),
            tools(call("3", name="f", index=1, id="c")),
        ],
        [("a", "f", "1"), ("b", "f", "2"), ("c", "f", "3")],
    ),
    "whole in one delta with the finish_reason (Groq)": (
        [tools(call("{}", name="f", index=0, id="a"), finish_reason="tool_calls")],
        [("a", "f", "{}")],
    ),
    "id, name and type repeated": (
        [tools(call(piece, name="f", index=0, id="a", type="function")) for piece in ("{", "}")],
        [("a", "f", "{}")],
    ),
    "id, name and type null or empty later": (
        [
            tools(call("{", name="f", index=0, id="a", type="function")),
            tools({"index": 0, "id": "", "type": None, "function": {"name": "", "arguments": "}"}}),
            tools({"index": 0, "id": None, "type": "", "function": {"name": None, "arguments": None}}),
            tools({"index": 0, "function": None}),
        ],
        [("a", "f", "{}")],
    ),
    "an id that comes late": (
        [tools(call("{", name="f", index=0)), tools(call("}", index=0, id="a"))],
        [("a", "f", "{}")],
    ),
    "a name in pieces": (
        [tools(call(name="get_", index=0, id="a")), tools(call("{}", name="moon", index=0))],
        [("a", "get_moon", "{}")],
    ),
    "arguments as JSON, not text": (
        [tools(call({"a": [1]}, name="f", index=0, id="a"))],
        [("a", "f", '{"a":[1]}')],
    ),
    "indexes that begin at 1": (
        [tools(call("{}", name="f", index=1, id="a"))],
        [("a", "f", "{}")],
    ),
    "an id and an index of other shapes": (
        [tools(call("{", name="f", index="0", id=5)), tools(call("}", index="0", id=5)), tools("junk")],
        [("", "f", "{}")],
    ),
}


@pytest.mark.parametrize("name", TOOLS)
def test_tool_calls_are_put_together(name: str) -> None:
    sent, expected = TOOLS[name]
    calls = message_of(*sent).tool_calls
    assert [(made.id, made.function.name, made.function.arguments) for made in calls] == expected
    assert all(made.type == "function" for made in calls)


def test_the_extras_of_a_call_are_kept() -> None:
    made = message_of(
        tools(call("{", name="f", index=0, id="a", extra_content={"google": {"thought_signature": "s"}})),
        tools(call("}", index=0, extra_content=None)),
    ).tool_calls[0]
    assert made.extra_content == {"google": {"thought_signature": "s"}}


def test_a_custom_call() -> None:
    made = message_of(
        tools({"index": 0, "id": "a", "type": "custom", "custom": {"name": "g", "input": "x"}}),
        tools({"index": 0, "custom": {"input": "y"}}),
    ).tool_calls[0]
    assert isinstance(made, ChatCompletionMessageCustomToolCall)
    assert (made.id, made.custom.name, made.custom.input) == ("a", "g", "xy")


# -- Whatever comes -------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1, 1) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
RICH = chunk(
    {
        "role": "assistant",
        "content": "a",
        "refusal": "r",
        "reasoning_content": "x",
        "reasoning": "y",
        "reasoning_details": [{"type": "t", "index": 0, "text": "z", "summary": "s"}],
        "tool_calls": [
            {"index": 0, "id": "i", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"index": 1, "id": "j", "type": "custom", "custom": {"name": "f", "input": "{}"}},
        ],
        "function_call": {"name": "f", "arguments": "{}"},
        "audio": {"id": "a", "data": "d", "expires_at": 1, "transcript": "t"},
        "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}],
    },
    choice={
        "logprobs": {"content": [{"token": "t", "logprob": -1}], "refusal": [{"token": "t", "logprob": -1}]},
        "finish_reason": "stop",
    },
    usage={"total_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}},
    moderation={"input": {"type": "error"}, "output": {"type": "moderation_results", "results": []}},
    service_tier="default",
    system_fingerprint="fp",
)


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(path for key, item in items for path in paths(item, (*here, key)))]


@st.composite
def odd_chunks(draw: Any) -> Any:
    value = copy.deepcopy(RICH)
    for path in draw(st.lists(st.sampled_from(paths(RICH)[1:]), min_size=1, max_size=3)):
        spot: Any = value
        try:
            for key in path[:-1]:
                spot = spot[key]
            assert spot[path[-1]] is not spot  # it must be there still
            spot[path[-1]] = draw(json_values)
        except (LookupError, TypeError):
            continue  # an earlier change took this path away
    return value


@settings(max_examples=200)
@given(st.lists(odd_chunks(), min_size=1, max_size=4))
def test_no_shape_raises_or_is_lost(sent: list[Any]) -> None:
    accumulator = chat.Accumulator()
    helper = chat.Helper()
    for value in sent:
        event = decoded(value)
        assert event.to_dict() == value
        assert chat.decode(chat.encode(event)) == event
        assert isinstance(chat.text(event), str)
        accumulator.add(event)
        for made in helper.events([event]):
            made.to_dict()
            repr(made)
    assert accumulator.complete in (True, False)
    completion = accumulator.snapshot()
    json.dumps(completion.to_dict())
    completion.model_dump()
    for made in helper.end():
        made.to_json()
    helper.final().model_dump_json()


# -- Against the official accumulator -----------------------------------------------------


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    return [without_none(item) for item in value] if isinstance(value, list) else value


LOGPROBS = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}], "refusal": None}
PARITY: dict[str, list[dict[str, Any]]] = {
    "text": [chunk({"role": "assistant", "content": ""}), *(chunk({"content": p}) for p in "moon"), end()],
    "refusal": [chunk({"role": "assistant", "refusal": ""}), chunk({"refusal": "no"}), end()],
    "logprobs": [
        chunk({"role": "assistant", "content": "a"}, choice={"logprobs": LOGPROBS}),
        chunk({"content": "a"}, choice={"logprobs": LOGPROBS}),
        end(),
    ],
    "tools": [
        chunk({"role": "assistant", "content": None}),
        *TOOLS["in pieces, as OpenAI sends them"][0],
        end("tool_calls"),
    ],
    "choices": [
        chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": "a"}, "finish_reason": None}]),
        chunk(choices=[{"index": 1, "delta": {"role": "assistant", "content": "b"}, "finish_reason": None}]),
        of_choice(0, {"content": "A"}),
        of_choice(1, {"content": "B"}),
        of_choice(1, {}, "stop"),
        of_choice(0, {}, "stop"),
    ],
    "usage at the end": [
        chunk({"role": "assistant", "content": "a"}),
        end(),
        chunk(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}),
    ],
    "reasoning": [
        chunk({"role": "assistant", "reasoning_content": "h"}),
        chunk({"reasoning_content": "m"}),
        chunk({"content": "a"}),
        end(),
    ],
    "function_call": [
        chunk({"role": "assistant", "function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}),
        end("function_call"),
    ],
}


@pytest.mark.parametrize("name", PARITY)
def test_the_official_accumulator_agrees(name: str) -> None:
    official = ChatCompletionStreamState()
    for value in PARITY[name]:
        official.handle_chunk(OfficialChunk.construct(**copy.deepcopy(value)))
    expected = without_none(official.get_final_completion().to_dict())
    for choice in expected["choices"]:
        for made in choice["message"].get("tool_calls", ()):
            made.pop("index")  # it leaves the delta's index in; the type has no such field
    assert without_none(added(*PARITY[name]).snapshot().to_dict()) == expected


# -- Cost -----------------------------------------------------------------------------------


KINDS: dict[str, Callable[[int], dict[str, Any]]] = {
    "text": lambda n: chunk({"content": "moon "}),
    "reasoning": lambda n: chunk({"reasoning_content": "hm "}),
    "arguments": lambda n: tools(call("123,", index=0)),
    "many calls": lambda n: tools(call("{}", name="f", index=n, id=str(n))),
    "calls with one index": lambda n: tools(call("{}", name="f", index=0, id=str(n))),
    "unknown fields": lambda n: chunk({"content": "a", "ids": [n]}, provider="p"),
    "logprobs": lambda n: chunk({"content": "a"}, choice={"logprobs": LOGPROBS}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_cost_is_linear(kind: str) -> None:
    def cost(count: int) -> int:
        events = [decoded(KINDS[kind](n)) for n in range(count)]
        accumulator = chat.Accumulator()

        def work() -> None:
            for event in events:
                accumulator.add(event)
            accumulator.snapshot()

        return calls_made(work)

    assert cost(4_000) <= 2.2 * cost(2_000)  # 20,000 and 10,000: see test_cost.py


def test_what_is_unknown_is_not_copied_for_each_that_comes() -> None:
    import tracemalloc

    accumulator = added(chunk({"content": ""}, **{f"x{n}": n for n in range(5_000)}))
    events = [decoded(chunk({"content": ""}, **{f"y{n}": n})) for n in range(10)]
    peaks = []
    tracemalloc.start()
    try:
        for event in events:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            accumulator.add(event)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    assert min(peaks) < 5_000  # bytes; all of them take 300,000
    whole: Any = accumulator.snapshot()
    assert (whole.x4999, whole.y9) == (4_999, 9)


def test_text_is_kept_in_little_memory() -> None:
    # One flat buffer: what 20,000 tokens take must be near what their text takes, not 60 bytes for each.
    import tracemalloc

    event = decoded(chunk({"content": "moon "}))
    accumulator = added(chunk({"content": ""}))
    tracemalloc.start()
    try:
        for _ in range(20_000):
            accumulator.add(event)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 3 * 20_000 * len("moon ")
