"""The helper behind chat.completions.stream(): its events, snapshots, and final, parsed completion."""

from __future__ import annotations

import copy
import json
import pickle
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import openai
import pydantic
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState, _events
from openai.types.chat import ChatCompletionChunk as OfficialChunk

from support.calls import calls_made
from support.chat_chunks import chunk, decoded, end, of_choice
from tokenwire.errors import ContentFilterFinishReasonError, LengthFinishReasonError
from tokenwire.families import chat, chat_events
from tokenwire.families.chat_calls import Call
from tokenwire.families.partial import PartialParser


def call(arguments: str | None, index: int | None = 0, **fields: Any) -> dict[str, Any]:
    name = fields.pop("name", None)
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return chunk({"tool_calls": [{"index": index, "function": function, **fields}]})


def events_of(helper: chat.Helper, *chunks: Any) -> list[Any]:
    return [event for value in chunks for event in helper.events([decoded(value)])]


def brief(events: list[Any]) -> list[tuple[Any, ...]]:
    """Each event but `chunk` as its type and what it tells first."""
    return [
        (event.type, getattr(event, event.names[1] if event.names[1] != "name" else "arguments"))
        for event in events
        if event.type != "chunk"
    ]


# -- The types of the events ------------------------------------------------------------


def test_the_official_events_are_all_here_with_all_their_fields() -> None:
    official = [
        typing.get_origin(member) or member
        for member in typing.get_args(_events.ChatCompletionStreamEvent)
    ]
    assert len(official) == 11
    for theirs in official:
        name = theirs.__name__.partition("[")[0]
        ours = getattr(chat_events, name)
        assert set(theirs.model_fields) <= set(ours.names), name
        (kind,) = typing.get_args(theirs.model_fields["type"].annotation)
        (field,) = [field for field in msgspec.structs.fields(ours) if field.name == "type"]
        assert field.default == kind
        assert typing.get_args(field.type) == (kind,)  # a Literal, so that it narrows


def test_each_event_knows_its_choice() -> None:
    for event_class in typing.get_args(chat_events.ChatCompletionStreamEvent):
        assert "choice_index" in event_class.names
    helper = chat.Helper()
    events = events_of(
        helper,
        of_choice(1, {"content": "b"}),
        of_choice(0, {"content": "a"}),
        of_choice(1, {"content": "B"}),
        of_choice(0, {"reasoning": "r"}),
        of_choice(1, {}, "stop"),
        of_choice(0, {}, "stop"),
    )
    assert [(event.type, event.choice_index) for event in events if event.type != "reasoning.done"] == [
        ("chunk", 1),
        ("content.delta", 1),
        ("chunk", 0),
        ("content.delta", 0),
        ("chunk", 1),
        ("content.delta", 1),
        ("chunk", 0),
        ("reasoning.delta", 0),
        ("chunk", 1),
        ("content.done", 1),
        ("chunk", 0),
        ("content.done", 0),
    ]
    assert [event.snapshot for event in events if event.type == "content.delta"] == ["b", "a", "bB"]


def test_a_chunk_of_several_choices_or_none_has_no_one_index() -> None:
    two = chunk(choices=[{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "b"}}])
    events = events_of(chat.Helper(), two, chunk(choices=[]), chunk(choices=None), chunk(choices=["junk"]))
    assert [event.choice_index for event in events] == [None, 0, 1, None, None, None]


def test_events_are_plain_values() -> None:
    first, delta = events_of(chat.Helper(), chunk({"content": "moon"}))
    assert delta.to_dict() == {
        "type": "content.delta",
        "delta": "moon",
        "snapshot": "moon",
        "parsed": None,
        "choice_index": 0,
    }
    assert json.loads(delta.to_json(indent=2)) == delta.to_dict() == delta.model_dump(mode="json")
    assert json.loads(delta.model_dump_json()) == delta.to_dict()
    assert "snapshot='moon'" in repr(delta)
    assert first.to_dict()["chunk"] == chunk({"content": "moon"})
    again = events_of(chat.Helper(), chunk({"content": "moon"}))
    assert [first, delta] == again
    assert not first != again[0]  # noqa: SIM202  # != is told apart from ==
    assert not delta != again[1]  # noqa: SIM202
    assert delta != first
    assert first != "moon"
    with pytest.raises(TypeError):
        hash(delta)


# -- What comes when ----------------------------------------------------------------------


def test_text() -> None:
    helper = chat.Helper()
    events = events_of(
        helper, chunk({"role": "assistant", "content": ""}), chunk({"content": "the "}), chunk({"content": "moon"})
    )
    assert brief(events) == [("content.delta", ""), ("content.delta", "the "), ("content.delta", "moon")]
    assert brief(events_of(helper, end())) == [("content.done", "the moon")]
    assert helper.end() == []


def test_what_the_server_did_not_end_is_done_at_the_end() -> None:
    # Ollama: [DONE] with finish_reason null to the end.
    helper = chat.Helper()
    events_of(helper, chunk({"content": "moon"}), call("{}", name="f", id="a"))
    assert brief(helper.end()) == [("tool_calls.function.arguments.done", "{}")]
    assert helper.end() == []
    assert helper.final().choices[0].finish_reason is None


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_done_when_something_else_comes(name: str) -> None:
    for following, kind in (
        (chunk({"content": "a"}), "content.delta"),
        (chunk({"refusal": "a"}), "refusal.delta"),
        (call("a", name="f", id="i"), "tool_calls.function.arguments.delta"),
    ):
        events = events_of(
            chat.Helper(), chunk({"content": "", name: "h"}), chunk({"content": "", name: "m"}), following, end()
        )
        assert [event for event in brief(events) if event[0] != "content.delta"][:3] == [
            ("reasoning.delta", "h"),
            ("reasoning.delta", "m"),
            ("reasoning.done", "hm"),
        ]
        assert kind in [event.type for event in events]
        assert [event.snapshot for event in events if event.type == "reasoning.delta"] == ["h", "hm"]
        assert sum(event.type == "reasoning.done" for event in events) == 1
    assert brief(events_of(chat.Helper(), chunk({name: "h"}), end())) == [
        ("reasoning.delta", "h"),
        ("reasoning.done", "h"),
    ]


def test_reasoning_under_both_names_is_told_once() -> None:
    events = events_of(
        chat.Helper(), chunk({"reasoning_content": "h", "reasoning": "h"}), chunk({"reasoning": "m"}), end()
    )
    assert brief(events) == [("reasoning.delta", "h"), ("reasoning.done", "h")]


def test_reasoning_that_goes_on_is_done_again() -> None:
    helper = chat.Helper()
    events = events_of(
        helper,
        chunk({"reasoning": "a"}),
        chunk({"content": "x"}),
        chunk({"reasoning": "b"}),
        chunk({"content": "y"}),
        chunk({"content": "z"}),
        end(),
    )
    assert brief(events) == [
        ("reasoning.delta", "a"),
        ("reasoning.done", "a"),
        ("content.delta", "x"),
        ("reasoning.delta", "b"),
        ("reasoning.done", "ab"),
        ("content.delta", "y"),
        ("content.delta", "z"),
        ("content.done", "xyz"),
    ]


def test_a_call_is_done_when_the_next_begins() -> None:
    events = events_of(
        chat.Helper(),
        chunk({"content": "hm"}),
        call("{", name="f", id="a"),
        call("}"),
        call("[]", 1, name="g", id="b"),
        end("tool_calls"),
    )
    kind = "tool_calls.function.arguments"
    assert brief(events) == [
        ("content.delta", "hm"),
        (f"{kind}.delta", "{"),
        ("content.done", "hm"),
        (f"{kind}.delta", "{}"),
        (f"{kind}.delta", "[]"),
        (f"{kind}.done", "{}"),
        (f"{kind}.done", "[]"),
    ]
    assert [(e.name, e.index, e.arguments_delta) for e in events if e.type == f"{kind}.delta"] == [
        ("f", 0, "{"),
        ("f", 0, "}"),
        ("g", 1, "[]"),
    ]
    assert [(e.name, e.index) for e in events if e.type == f"{kind}.done"] == [("f", 0), ("g", 1)]


def test_whole_calls_in_one_chunk_with_the_finish_reason_are_all_done() -> None:
    # Groq, Gemini, Ollama; the official helper forgets the last of them.
    calls = [
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
        {"index": 0, "id": "b", "function": {"name": "g", "arguments": "[]"}},
    ]
    events = events_of(chat.Helper(), end("tool_calls", {"tool_calls": calls}))
    kind = "tool_calls.function.arguments"
    assert [(e.type, e.index, e.name, e.arguments) for e in events[1:]] == [
        (f"{kind}.delta", 0, "f", "{}"),
        (f"{kind}.delta", 1, "g", "[]"),
        (f"{kind}.done", 0, "f", "{}"),
        (f"{kind}.done", 1, "g", "[]"),
    ]


def test_done_comes_again_with_the_whole_where_more_came_after_it() -> None:
    events = events_of(
        chat.Helper(),
        chunk({"content": "a"}),
        call("{", name="f", id="a"),
        call("[", 1, name="g", id="b"),
        call("}"),
        call("", 1),
        chunk({"content": "b"}),
        chunk({"content": "c"}),
        end("tool_calls"),
    )
    done = [entry for entry in brief(events) if entry[0].endswith("done")]
    kind = "tool_calls.function.arguments.done"
    assert done == [("content.done", "a"), (kind, "{"), (kind, "["), (kind, "{}"), ("content.done", "abc")]


def test_an_end_that_is_told_with_each_chunk_is_believed_once() -> None:
    # Told each time, the whole would be copied for each token.
    helper = chat.Helper()
    events = events_of(helper, *[end("stop", {"content": piece}) for piece in "abc"]) + helper.end()
    assert [entry for entry in brief(events) if entry[0].endswith("done")] == [
        ("content.done", "a"),
        ("content.done", "abc"),
    ]
    assert helper.final().choices[0].message.content == "abc"


def test_custom_calls_make_no_function_events() -> None:
    custom = {"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}
    helper = chat.Helper(tools=[{"type": "function", "function": {"name": "f", "strict": True}}])
    events = events_of(helper, chunk({"tool_calls": [custom]}), end("tool_calls"))
    assert brief(events) == []
    made: Any = helper.final().choices[0].message.tool_calls
    assert made[0].custom.input == "x"


def test_logprobs() -> None:
    def token(text: str) -> dict[str, Any]:
        return {"token": text, "logprob": -1.0, "bytes": None, "top_logprobs": []}

    events = events_of(
        chat.Helper(),
        chunk({"content": "a"}, choice={"logprobs": {"content": [token("a")], "refusal": [token("r")]}}),
        chunk({"content": "b"}, choice={"logprobs": {"content": [token("b")], "refusal": []}}),
        end(),
    )
    told = [event for event in events if event.type.startswith("logprobs")]
    assert [(event.type, [lp.token for lp in getattr(event, event.names[1])]) for event in told] == [
        ("logprobs.content.delta", ["a"]),
        ("logprobs.refusal.delta", ["r"]),
        ("logprobs.content.delta", ["b"]),
        ("logprobs.content.done", ["a", "b"]),
        ("logprobs.refusal.done", ["r"]),
    ]
    snapshots = [[lp.token for lp in event.snapshot] for event in told if event.type.endswith("delta")]
    assert snapshots == [["a"], ["r"], ["a", "b"]]
    assert told[0].to_dict()["snapshot"][0]["token"] == "a"


# -- Snapshots are values -----------------------------------------------------------------

STORY = [
    chunk({"role": "assistant", "content": ""}, system_fingerprint="fp"),
    chunk({"reasoning_content": "h"}),
    chunk({"reasoning_content": "m"}, service_tier="flex"),
    chunk({"content": "a"}),
    chunk({"content": "b"}),
    chunk({"content": "!"}, provider="p"),
    of_choice(1, {"content": "B"}),
    of_choice(1, {"content": "C"}),
    of_choice(1, {"refusal": "no"}),
    call("", name="f", id="i"),
    call("{"),
    call("}"),
    chunk({"reasoning_details": [{"text": "t"}], "reasoning_content": ""}),
    chunk({"content": "x"}, choice={"logprobs": {"content": [{"token": "x"}]}}),
    chunk({"reasoning_content": "k"}),
    chunk({"content": "y"}),
    chunk({"content": "z", "function_call": {"name": "f"}}),
    end("tool_calls"),
    chunk(choices=[], usage={"total_tokens": 3}),
]


@pytest.mark.parametrize("schema", [False, True])
def test_an_earlier_events_snapshot_is_of_its_moment(schema: bool) -> None:
    tools = [{"type": "function", "function": {"name": "f", "strict": True}}] if schema else None
    helper = chat.Helper(tools=tools)
    kept: list[Any] = []
    fresh: list[Any] = []
    for value in STORY:
        for event in helper.events([decoded(value)]):
            kept.append(event)
            fresh.append(event.to_dict())
    assert [event.to_dict() for event in reversed(kept)] == fresh[::-1]
    # And each chunk's snapshot is what the chunks up to it add up to.
    for count, event in enumerate([event for event in kept if event.type == "chunk"], 1):
        accumulator = chat.Accumulator()
        for value in STORY[:count]:
            accumulator.add(decoded(value))
        plain = event.snapshot.to_dict()
        for choice in plain["choices"]:
            for made in choice["message"].get("tool_calls", ()):
                made["function"].pop("parsed_arguments", None)
        assert plain == accumulator.snapshot().to_dict()


def test_an_earlier_snapshot_of_a_call_that_begins_without_a_name() -> None:
    helper = chat.Helper()
    calls = [call("{", 0), call("}", 0), call("[]", 1)]
    events = events_of(helper, chunk({"content": "a"}), *calls, chunk({"content": "b"}))
    snapshots = [event.snapshot.choices[0].message for event in events if event.type == "chunk"]
    told = [[made.function.arguments for made in message.tool_calls or ()] for message in snapshots]
    assert told == [[], ["{"], ["{}"], ["{}", "[]"], ["{}", "[]"]]
    assert [message.content for message in snapshots] == ["a", "a", "a", "a", "ab"]


def test_the_current_snapshot() -> None:
    helper = chat.Helper()
    assert not helper.accumulator.complete
    assert helper.snapshot().choices == []
    events_of(helper, chunk({"content": "a"}))
    before = helper.snapshot()
    events_of(helper, chunk({"content": "b"}))
    assert before.choices[0].message.content == "a"
    assert helper.snapshot().choices[0].message.content == "ab"


# -- Structured output -------------------------------------------------------------------------


class Verse(msgspec.Struct):
    lines: list[str]
    year: int | None = None


@dataclass
class VerseData:
    lines: list[str]
    year: int | None


class VerseDict(typing.TypedDict):
    lines: list[str]
    year: int | None


class VerseModel(pydantic.BaseModel):
    lines: list[str]
    year: int | None


VERSE = '{"lines": ["the moon", "is bright"], "year": 1850}'
FORMATS: list[tuple[Any, Any]] = [
    (Verse, Verse(["the moon", "is bright"], 1850)),
    (VerseData, VerseData(["the moon", "is bright"], 1850)),
    (VerseDict, {"lines": ["the moon", "is bright"], "year": 1850}),
    (VerseModel, VerseModel(lines=["the moon", "is bright"], year=1850)),
]


@pytest.mark.parametrize(("response_format", "expected"), FORMATS)
def test_the_answer_is_parsed(response_format: Any, expected: Any) -> None:
    helper = chat.Helper(response_format=response_format)
    events = events_of(helper, *(chunk({"content": piece}) for piece in VERSE), end())
    done = events[-1]
    assert done.type == "content.done"
    assert done.parsed == expected
    assert done.parsed is done.parsed
    final = helper.final()
    assert final.choices[0].message.parsed == expected
    assert helper.snapshot().choices[0].message.parsed == expected
    plain = {"lines": ["the moon", "is bright"], "year": 1850}
    assert done.to_dict()["parsed"] == plain
    assert final.to_dict()["choices"][0]["message"]["parsed"] == plain
    assert json.loads(final.to_json())["choices"][0]["message"]["parsed"] == plain


def test_the_deltas_carry_what_is_parsed_so_far() -> None:
    helper = chat.Helper(response_format=Verse)
    events = events_of(helper, *(chunk({"content": p}) for p in ('{"lines": ["the', ' moon"', ', "is', '"]', "}")))
    deltas = [event for event in events if event.type == "content.delta"]
    assert [event.parsed for event in deltas] == [
        {"lines": []},
        {"lines": ["the moon"]},
        {"lines": ["the moon"]},
        {"lines": ["the moon", "is"]},
        {"lines": ["the moon", "is"]},
    ]
    assert events[-2].snapshot.choices[0].message.parsed == {"lines": ["the moon", "is"]}
    assert deltas[0].parsed == {"lines": []}


def test_what_was_not_asked_for_is_not_parsed() -> None:
    for response_format in (None, {"type": "json_object"}):
        helper = chat.Helper(response_format=response_format)
        events = events_of(helper, chunk({"content": VERSE}), end())
        assert [event.parsed for event in events if event.type.startswith("content")] == [None, None]
        assert helper.final().choices[0].message.parsed is None


def test_an_empty_answer_is_not_parsed() -> None:
    helper = chat.Helper(response_format=Verse)
    events_of(helper, chunk({"content": ""}), end())
    assert helper.final().choices[0].message.parsed is None


def test_a_refusal_is_not_parsed() -> None:
    helper = chat.Helper(response_format=Verse)
    events = events_of(helper, chunk({"content": "x", "refusal": "no"}), end())
    assert brief(events)[-2:] == [("content.done", "x"), ("refusal.done", "no")]
    assert events[-2].parsed is None
    assert helper.final().choices[0].message.parsed is None


def test_an_answer_that_does_not_fit_is_told_by_final() -> None:
    helper = chat.Helper(response_format=Verse)
    events = events_of(helper, chunk({"content": '{"lines": 3}'}), end())
    with pytest.raises(msgspec.ValidationError):
        _ = events[-1].parsed
    assert helper.snapshot().choices[0].message.parsed == {"lines": 3}
    with pytest.raises(msgspec.ValidationError):
        helper.final()


@pytest.mark.parametrize(
    ("reason", "error"),
    [("length", LengthFinishReasonError), ("content_filter", ContentFilterFinishReasonError)],
)
def test_an_answer_that_was_cut(reason: str, error: Any) -> None:
    sent = [chunk({"content": '{"lines": ["a", "b'}), end(reason)]
    strict = {"type": "function", "function": {"name": "f", "strict": True}}
    for asked in ({"response_format": Verse}, {"tools": [strict]}, {"response_format": Verse, "tools": [strict]}):
        helper = chat.Helper(**asked)
        events = events_of(helper, *sent)
        assert events[-1].type == "content.done"
        assert events[-1].parsed is None
        with pytest.raises(error) as caught:
            helper.final()
        assert caught.value.completion.choices[0].message.content == '{"lines": ["a", "b'
        assert caught.value.completion.choices[0].finish_reason == reason
    # Nothing was to be parsed: it is an answer as any other.
    loose = {"type": "function", "function": {"name": "f"}}
    for asked in ({}, {"tools": [loose]}, {"response_format": {"type": "json_object"}}):
        helper = chat.Helper(**asked)
        events_of(helper, *sent)
        assert helper.final().choices[0].finish_reason == reason


# -- Tools ----------------------------------------------------------------------------------------


def get_weather(city: str, days: int = 1) -> str:
    """The forecast."""
    return f"{city}: {days}"


def test_arguments_are_parsed_by_the_tool() -> None:
    class Forecast(pydantic.BaseModel):
        city: str

    tools = [
        get_weather,
        Verse,
        openai.pydantic_function_tool(Forecast),
        {"type": "function", "function": {"name": "strict", "strict": True, "parameters": {}}},
        {"type": "function", "function": {"name": "loose", "parameters": {}}},
    ]
    sent = [
        ("get_weather", '{"city": "Paris", "days": 2}', {"city": "Paris", "days": 2}),
        ("Verse", '{"lines": ["a"]}', Verse(["a"])),
        ("Forecast", '{"city": "Paris"}', Forecast(city="Paris")),
        ("strict", '{"a": [1, {}]}', {"a": [1, {}]}),
        ("loose", '{"a": 1}', None),
        ("unknown", '{"a": 1}', None),
    ]
    helper = chat.Helper(tools=tools)
    events = events_of(
        helper,
        *(call(arguments, n, name=name, id=str(n)) for n, (name, arguments, _) in enumerate(sent)),
        end("tool_calls"),
    )
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert [event.parsed_arguments for event in done] == [expected for _, _, expected in sent]
    assert done[1].parsed_arguments is done[1].parsed_arguments
    for message in (helper.final().choices[0].message, helper.snapshot().choices[0].message):
        calls = message.tool_calls or []
        assert [made.function.parsed_arguments for made in calls] == [  # type: ignore[union-attr]
            expected for _, _, expected in sent
        ]


def test_deltas_of_arguments_carry_what_is_parsed_so_far() -> None:
    helper = chat.Helper(tools=[get_weather])
    events = events_of(
        helper, call("", name="get_weather", id="i"), call('{"city": "Par'), call('is"'), call(', "days": 2')
    )
    deltas = [event for event in events if event.type == "tool_calls.function.arguments.delta"]
    assert [event.parsed_arguments for event in deltas] == [
        None,
        {},
        {"city": "Paris"},
        {"city": "Paris", "days": 2},
    ]
    assert deltas[1].arguments == '{"city": "Par'
    made: Any = helper.snapshot().choices[0].message.tool_calls
    assert made[0].function.parsed_arguments == {"city": "Paris", "days": 2}
    loose = events_of(chat.Helper(tools=[get_weather]), call("{}", name="other", id="i"))
    assert loose[-1].parsed_arguments is None


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, lambda event: pickle.loads(pickle.dumps(event))])
def test_a_copied_event_tells_the_same(make: Callable[[Any], Any]) -> None:
    """As a queue between processes copies it; what has no end yet is frozen as it is."""
    helper = chat.Helper(response_format=Verse, tools=[Verse])
    logprobs = {"logprobs": {"content": [{"token": "x"}], "refusal": [{"token": "y"}]}}
    events = events_of(
        helper,
        chunk({"reasoning_content": "Hm"}),
        chunk({"content": '{"lines": ["a", '}, choice=logprobs),
        of_choice(1, {"refusal": "no"}),
        chunk({"content": '"b"]}'}),
        call("", name="Verse", id="i"),
        call('{"lines": ["4'),
        call('2"]}'),
        end("tool_calls"),
        of_choice(1, {}, "stop"),
    )
    kinds = [typing.get_origin(kind) or kind for kind in typing.get_args(chat_events.ChatCompletionStreamEvent)]
    assert {type(event) for event in events} == set(kinds)
    for event in events:
        made = make(event)
        assert made == event
        assert type(made) is type(event)
        assert made.to_dict() == event.to_dict()


def test_arguments_that_do_not_fit_are_told_by_final() -> None:
    helper = chat.Helper(tools=[get_weather])
    events = events_of(helper, call('{"city": 3}', name="get_weather", id="i"), end("tool_calls"))
    with pytest.raises(msgspec.ValidationError):
        _ = events[-1].parsed_arguments
    with pytest.raises(msgspec.ValidationError):
        helper.final()


def test_a_call_without_arguments_yet_has_none_parsed() -> None:
    helper = chat.Helper(tools=[get_weather])
    events_of(helper, call("", name="get_weather", id="i"))
    made: Any = helper.final().choices[0].message.tool_calls
    assert made[0].function.parsed_arguments is None


# -- Against the official helper ---------------------------------------------------------------------


def official_events(chunks: list[Any], **asked: Any) -> tuple[list[dict[str, Any]], Any]:
    state: Any = ChatCompletionStreamState(**asked)
    told = []
    for value in chunks:
        for event in state.handle_chunk(OfficialChunk.construct(**copy.deepcopy(value))):
            if event.type != "chunk":
                told.append(json.loads(event.model_dump_json(warnings=False)))
    return told, state


def our_events(chunks: list[Any], **asked: Any) -> tuple[list[dict[str, Any]], chat.Helper]:
    helper = chat.Helper(**asked)
    told = []
    for value in chunks:
        for event in helper.events([decoded(value)]):
            if event.type != "chunk" and not event.type.startswith("reasoning"):
                told.append({k: v for k, v in event.to_dict().items() if k != "choice_index"})
    return told, helper


TOKEN = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
PARITY: dict[str, list[dict[str, Any]]] = {
    "text": [chunk({"role": "assistant", "content": ""}), *(chunk({"content": p}) for p in VERSE), end()],
    "refusal": [chunk({"role": "assistant", "refusal": ""}), chunk({"refusal": "n"}), chunk({"refusal": "o"}), end()],
    "logprobs": [
        chunk(
            {"role": "assistant", "content": "a"},
            choice={"logprobs": {"content": [copy.deepcopy(TOKEN)], "refusal": None}},
        ),
        chunk({"content": "a"}, choice={"logprobs": {"content": [copy.deepcopy(TOKEN)], "refusal": None}}),
        end(),
    ],
    "tools": [
        chunk({"role": "assistant", "content": None}),
        call("", name="Verse", id="a", type="function"),
        *(call(piece) for piece in VERSE),
        call("", 1, name="loose", id="b", type="function"),
        call("{}", 1),
        end("tool_calls"),
    ],
    "text, then tools": [
        chunk({"role": "assistant", "content": "hm"}),
        call("", name="Verse", id="a", type="function"),
        call(VERSE),
        end("tool_calls"),
    ],
    "reasoning": [
        chunk({"role": "assistant", "content": None, "reasoning_content": "hm"}),
        chunk({"content": VERSE}),
        end(),
    ],
    "choices": [
        of_choice(0, {"role": "assistant", "content": "[1"}),
        of_choice(1, {"role": "assistant", "content": "[2"}),
        of_choice(1, {"content": "]"}),
        of_choice(0, {"content": "]"}),
    ],
}


@pytest.mark.parametrize("name", PARITY)
def test_the_official_helper_tells_the_same(name: str) -> None:
    class Verse(pydantic.BaseModel):
        lines: list[str]
        year: int | None

    tools = [
        openai.pydantic_function_tool(Verse),
        {"type": "function", "function": {"name": "loose", "parameters": {}}},
    ]
    schema = Verse if name in ("text", "reasoning") else None
    theirs, state = official_events(
        PARITY[name], input_tools=tools, **({} if schema is None else {"response_format": schema})
    )
    ours, helper = our_events(PARITY[name], tools=tools, response_format=schema)
    assert ours == theirs
    for our_choice, their_choice in zip(
        helper.final().choices, state.get_final_completion().choices, strict=True
    ):
        mine, yours = our_choice.message, their_choice.message
        assert (mine.content, mine.refusal, mine.parsed) == (yours.content, yours.refusal, yours.parsed)
        assert [
            (made.id, made.function.name, made.function.arguments, made.function.parsed_arguments)  # type: ignore[union-attr]
            for made in mine.tool_calls or ()
        ] == [
            (made.id, made.function.name, made.function.arguments, made.function.parsed_arguments)
            for made in yours.tool_calls or ()
        ]


# -- Cost ----------------------------------------------------------------------------------------------


ITEM = '{"id": 12, "name": "moon", "tags": ["a", "b"], "note": "said \\"hi\\""}, '
COSTS: dict[str, tuple[dict[str, Any], Callable[[int], dict[str, Any]]]] = {
    "text": ({}, lambda n: chunk({"content": "moon "})),
    "reasoning": ({}, lambda n: chunk({"reasoning_content": "hm "})),
    "arguments": ({}, lambda n: call("123,", name=None)),
    "structured output": (
        {"response_format": Verse},
        lambda n: chunk({"content": '{"lines": [' if n == 0 else ITEM[n % len(ITEM)]}),
    ),
    "structured arguments": (
        {"tools": [Verse]},
        lambda n: call('{"lines": [' if n == 0 else ITEM[n % len(ITEM)], name=None if n else "Verse"),
    ),
    "one long string": (
        {"response_format": Verse},
        lambda n: chunk({"content": '{"lines": ["' if n == 0 else 'moon \\"' if n % 2 else " sun"}),
    ),
}


@pytest.mark.parametrize("kind", COSTS)
def test_cost_is_linear_also_where_each_partial_parse_is_looked_at(kind: str) -> None:
    asked, make = COSTS[kind]

    def cost(count: int) -> int:
        chunks = [decoded(make(n)) for n in range(count)]
        helper = chat.Helper(**asked)

        def work() -> None:
            for value in chunks:
                delta: Any = helper.events([value])[-1]
                getattr(delta, "parsed", None)
                getattr(delta, "parsed_arguments", None)
            helper.end()
            helper.snapshot()

        return calls_made(work)

    assert cost(4_000) <= 2.2 * cost(2_000)  # 20,000 and 10,000: see test_cost.py


def test_a_call_is_not_looked_for_among_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    def equal(one: Call, other: object) -> bool:
        nonlocal compared
        compared += 1
        return one is other

    monkeypatch.setattr(Call, "__eq__", equal)
    monkeypatch.setattr(Call, "__hash__", object.__hash__)
    helper = chat.Helper()
    events_of(helper, *[call("{}", n, name="f", id=str(n)) for n in range(100)], *[call(" ", n) for n in range(100)])
    helper.end()
    assert compared < 1_000
    assert len(helper.snapshot().choices[0].message.tool_calls or ()) == 100


def test_each_character_is_scanned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scanned = 0
    feed = PartialParser.feed

    def counted(self: PartialParser, text: str) -> None:
        nonlocal scanned
        scanned += len(text)
        feed(self, text)

    monkeypatch.setattr(PartialParser, "feed", counted)
    helper = chat.Helper(response_format=Verse)
    events = events_of(helper, *(chunk({"content": piece}) for piece in VERSE))
    assert scanned == 0  # nobody has looked
    for event in events:
        if event.type == "content.delta":
            _ = event.parsed
    assert scanned == len(VERSE)
