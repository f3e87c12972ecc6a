"""Records as values: copies, changes, pickles; nothing is lost on the way, and to_dict() tells the truth."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from fastapi.encoders import jsonable_encoder
from openai._models import construct_type
from openai.types import chat as official_chat, responses as official_responses

from tokenwire import bodies
from tokenwire.families import chat, chat_types, responses
from tokenwire.families.open_reading import open_reading
from tokenwire.families.record import Record

CHUNK = {
    "id": "c",
    "model": "m",
    "usage": None,
    "provider": "Groq",
    "choices": [{"index": 0, "delta": {"content": "Hi", "mood": "calm"}, "finish_reason": None, "native": 1}],
}
DELTA = {"type": "response.output_text.delta", "item_id": "msg", "delta": "Hi", "logprobs": [], "mood": {"calm": True}}
EVENTS = {"chat": (chat.decode, CHUNK), "responses": (responses.decode, DELTA)}

events = pytest.mark.parametrize(("decode", "sent"), EVENTS.values(), ids=EVENTS)


def read(decode: Any, sent: Any) -> Any:
    return decode(json.dumps(sent).encode())


def same(event: Any) -> Any:
    return pickle.loads(pickle.dumps(event))


@events
@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, same, lambda event: event.model_copy(deep=True)])
def test_a_copy_loses_nothing(make: Any, decode: Any, sent: dict[str, Any]) -> None:
    event = read(decode, sent)
    made = make(event)
    assert made is not event
    assert made == event
    assert made.to_dict() == sent
    assert made.model_extra == event.model_extra != {}


def test_a_deep_copy_has_the_unknown_fields_of_what_it_holds() -> None:
    chunk = read(chat.decode, CHUNK)
    for made in (copy.deepcopy(chunk), same(chunk), chunk.model_copy(deep=True)):
        assert made.choices[0].native == 1
        assert made.choices[0].delta.mood == "calm"
        assert made.choices[0] is not chunk.choices[0]


@events
def test_a_changed_copy_tells_of_the_change(decode: Any, sent: dict[str, Any]) -> None:
    event = read(decode, sent)
    made = event.model_copy(update={"model": "moon-1", "place": "here"})
    assert (made.model, made.place) == ("moon-1", "here")
    assert made.to_dict() == {**sent, "model": "moon-1", "place": "here"}
    assert json.loads(made.to_json()) == made.to_dict()
    assert event.to_dict() == sent
    assert event.model_extra.keys().isdisjoint({"place"})
    assert read(decode, made.to_dict()) == made


def test_a_changed_copy_may_hold_records() -> None:
    chunk = read(chat.decode, CHUNK)
    made = chunk.model_copy(update={"usage": chat_types.CompletionUsage(prompt_tokens=1, total_tokens=1)})
    assert made.to_dict()["usage"] == {"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1}


def test_a_chunk_that_was_changed_is_added_up_as_what_it_is() -> None:
    accumulator = chat.Accumulator()
    plain = read(chat.decode, {**CHUNK, "choices": [{"index": 0, "delta": {"content": "Hi"}}], "provider": "x"})
    for event in (plain, plain.model_copy(update={"choices": None}), plain.model_copy(update={"provider": "Groq"})):
        accumulator.add(event)
    found = accumulator.snapshot()
    assert found.choices[0].message.content == "HiHi"
    assert found.model_extra == {"provider": "Groq"}


def test_a_record_within() -> None:
    choice = read(chat.decode, CHUNK).choices[0]
    made = choice.model_copy(update={"index": 3})
    assert made.to_dict() == {"index": 3, "delta": {"content": "Hi", "mood": "calm"}, "native": 1}
    assert (made.index, made.native, choice.index) == (3, 1, 0)


def test_structs_replace_leaves_the_json_as_it_came() -> None:
    """A limit of msgspec's own function: model_copy is what to use."""
    chunk = read(chat.decode, CHUNK)
    assert msgspec.structs.replace(chunk, model="moon-1").to_dict() == CHUNK
    assert chunk.model_copy(update={"model": "moon-1"}).to_dict() != CHUNK


@pytest.mark.skipif(sys.version_info < (3, 13), reason="copy.replace came with Python 3.13")
@events
def test_copy_replace(decode: Any, sent: dict[str, Any]) -> None:
    made = copy.replace(read(decode, sent), model="moon-1")  # type: ignore[attr-defined]  # not in 3.11's stubs
    assert made.to_dict() == {**sent, "model": "moon-1"}


@events
def test_dunder_replace(decode: Any, sent: dict[str, Any]) -> None:
    assert read(decode, sent).__replace__(model="moon-1").to_dict() == {**sent, "model": "moon-1"}


# -- What the families' own types do not need, and a Record can -------------------------


class Leaf(Record, kw_only=True):
    n: int | None = None


class Tree(Record, kw_only=True):
    by_name: dict[str, Leaf] | None = None
    either: list[Leaf] | Leaf | str | None = None
    schema_: str | None = msgspec.field(default=None, name="schema")


def test_an_open_reading_of_every_container() -> None:
    tree = open_reading(
        Tree, {"by_name": {"a": {"n": 1, "x": 2}}, "either": [{"n": 3}, 4], "schema": "s", "to_dict": 5, "y": 6}
    )
    assert tree.by_name is not None
    assert (type(tree.by_name["a"]), tree.by_name["a"].n, tree.by_name["a"].x) == (Leaf, 1, 2)  # type: ignore[attr-defined] # an extra
    assert tree.either == [Leaf(n=3), 4]
    assert (tree.schema_, tree.model_extra) == ("s", {"y": 6})
    assert callable(tree.to_dict), "a key must not shadow a method"
    assert open_reading(Tree, {"either": {"n": 7}}).either == Leaf(n=7)
    assert open_reading(Tree, {"either": "text", "by_name": ["no", "dict"]}) == Tree(
        either="text",
        by_name=["no", "dict"],  # type: ignore[arg-type] # kept as it came
    )


def test_records_as_json() -> None:
    tree = Tree(either=[Leaf(n=1), Leaf()], schema_="s")
    assert json.loads(tree.to_json()) == tree.to_dict() == {"either": [{"n": 1}, {}], "schema": "s"}
    assert tree.to_json(indent=2) == json.dumps(tree.to_dict(), indent=2)
    everything = {"by_name": None, "either": [{"n": 1}, {"n": None}], "schema": "s"}
    assert json.loads(tree.model_dump_json()) == tree.model_dump() == everything
    assert tree.model_dump(exclude_none=True) == {"either": [{"n": 1}, {}], "schema": "s"}
    assert tree.model_dump(exclude_unset=True) == tree.to_dict()


@pytest.mark.parametrize("option", ["include", "exclude", "exclude_defaults"])
def test_what_a_dump_cannot_choose_is_refused(option: str) -> None:
    record = read(*EVENTS["chat"])
    with pytest.raises(TypeError, match=f"knows no {option}="):
        record.model_dump(**{option: {"id"}})
    with pytest.raises(TypeError, match=f"knows no {option}="):
        record.model_dump_json(**{option: {"id"}})
    assert record.model_dump(**{option: None}, by_alias=True, warnings=False) == record.model_dump()


@events
def test_a_record_as_a_dict_of_what_it_holds(decode: Any, sent: dict[str, Any]) -> None:
    """fastapi.encoders.jsonable_encoder calls dict() for what it does not know, at each depth."""
    record = read(decode, sent)
    found = dict(record)
    assert found == {name: getattr(record, name) for name in record.model_dump()}
    assert found.keys() >= sent.keys()
    assert jsonable_encoder(record) == record.model_dump()
    assert jsonable_encoder({"x": [record]}, exclude_none=True) == {"x": [record.model_dump(exclude_none=True)]}


def test_events_compare_by_what_they_say() -> None:
    event, spaced = read(chat.decode, CHUNK), chat.decode(json.dumps(CHUNK, indent=1).encode())
    assert event == spaced
    assert event != CHUNK
    assert event != read(chat.decode, {**CHUNK, "provider": "other"})
    assert pickle.loads(pickle.dumps(Leaf(n=1))) == Leaf(n=1)
    assert event.model_copy() == event
    assert json.loads(event.to_json(indent=2)) == CHUNK
    assert event.to_json(indent=2).startswith('{\n  "id"')


def test_a_changed_copy_of_a_chunk_that_was_all_known() -> None:
    known = {"id": "c", "choices": [{"index": 0, "delta": {"content": "Hi"}}]}
    made = read(chat.decode, known).model_copy(update={"choices": []})
    assert (made.id, made.choices, made.to_dict()) == ("c", [], {"id": "c", "choices": []})
    assert chat.text(made) == ""


# -- Against the official types ------------------------------------------------------------------------------

TEXT_DELTA = {
    "type": "response.output_text.delta",
    "sequence_number": 4,
    "item_id": "i",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hi",
    "logprobs": [],
}
MESSAGE = {"role": "assistant", "content": "Hi", "refusal": None}
COMPLETION = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop", "logprobs": None}],
}
PLAIN_CHUNK = {
    "id": "c",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}],
}
OFFICIAL: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "chunk": (official_chat.ChatCompletionChunk, chat.decode, PLAIN_CHUNK),
    "chunk with reasoning": (
        official_chat.ChatCompletionChunk,
        chat.decode,
        {**PLAIN_CHUNK, "choices": [{"index": 0, "delta": {"reasoning_content": "Hm", "mood": "calm"}}]},
    ),
    "completion": (official_chat.ChatCompletion, chat.decode_whole, COMPLETION),
    "delta": (official_responses.ResponseTextDeltaEvent, responses.decode, TEXT_DELTA),
    "padded delta": (
        official_responses.ResponseTextDeltaEvent,
        responses.decode,
        {**TEXT_DELTA, "obfuscation": "x", "model": "m"},
    ),
    "response": (
        official_responses.ResponseCompletedEvent,
        responses.decode,
        {
            "type": "response.completed",
            "sequence_number": 9,
            "response": {
                "id": "r",
                "object": "response",
                "created_at": 1.0,
                "model": "m",
                "output": [],
                "parallel_tool_calls": True,
                "store": True,
                "tool_choice": "auto",
                "tools": [],
            },
        },
    ),
}
both = pytest.mark.parametrize(("model", "decode", "sent"), OFFICIAL.values(), ids=OFFICIAL)


def within(value: Any) -> Iterator[Any]:
    """A typed object, and all that it holds."""
    if isinstance(value, list):
        for item in value:
            yield from within(item)
    elif hasattr(value, "model_dump"):
        yield value
        for _, inner in value:
            yield from within(inner)


@both
def test_a_dump_is_the_official_one(model: Any, decode: Any, sent: dict[str, Any]) -> None:
    """A message is sent back as its dump: an API that is strict takes no field that it does not know, null or not."""
    theirs: Any = construct_type(type_=model, value=sent)
    ours = read(decode, sent)
    for one, other in zip(within(theirs), within(ours), strict=True):
        assert other.model_dump() == one.model_dump()
        assert dict(other).keys() == dict(one).keys()
        assert other.model_extra == one.model_extra
        assert json.loads(other.model_dump_json(exclude_none=True)) == one.model_dump(exclude_none=True)
    assert ours.model_dump(exclude_unset=True) == theirs.model_dump(exclude_unset=True)


def rename(event: Any) -> None:
    event.model = "alias"


def rewrite(event: Any) -> None:
    event.choices[0].delta.content = "Ho"
    event.choices[0].finish_reason = "stop"


def blank(event: Any) -> None:
    event.choices[0].delta.content = None
    event.id = ""


def say_more(event: Any) -> None:
    event.provider = "here"
    event.choices[0].delta.mood = ["calm"]
    event.service_tier = "flex"
    event.choices[0].delta.reasoning_content = "Hm"


def drop(event: Any) -> None:
    event.choices = []


def double(event: Any) -> None:
    event.choices.append(event.choices[0].model_copy(update={"index": 1, "finish_reason": "stop"}))


@pytest.mark.parametrize("change", [rename, rewrite, blank, say_more, drop, double], ids=lambda change: change.__name__)
def test_what_is_set_is_dumped(change: Any) -> None:
    """As with the official types: a proxy that renames the model must not send the old name on."""
    theirs: Any = construct_type(type_=official_chat.ChatCompletionChunk, value=PLAIN_CHUNK)
    ours = read(chat.decode, PLAIN_CHUNK)
    for event in (theirs, ours):
        change(event)
    for options in ({}, {"exclude_unset": True}, {"exclude_none": True}, {"exclude_unset": True, "exclude_none": True}):
        dumped = theirs.model_dump(**options)
        assert dumped != PLAIN_CHUNK
        assert ours.model_dump(**options) == dumped
        assert json.loads(ours.model_dump_json(**options)) == dumped
    assert ours.to_dict() == PLAIN_CHUNK  # what the server sent


def test_a_message_that_is_sent_back_has_its_content() -> None:
    """As the official one: there are servers that know no message without, though it be null beside its calls."""
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    sent = {**COMPLETION, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    theirs: Any = construct_type(type_=official_chat.ChatCompletion, value=sent)
    ours = read(chat.decode_whole, sent)
    assert theirs.choices[0].message.to_dict() == ours.choices[0].message.to_dict() == message
    assert json.loads(bodies.encoded({"messages": [ours.choices[0].message]})) == {"messages": [message]}


def test_what_is_set_in_a_list_of_several_kinds_is_dumped() -> None:
    sent = {"id": "r", "output": [{"type": "reasoning", "id": "a", "summary": []}, {"type": "message", "id": "b"}]}
    whole = read(responses.decode_whole, sent)
    whole.output.reverse()
    assert whole.model_dump(exclude_unset=True) == {"id": "r", "output": [item.to_dict() for item in whole.output]}
    whole.output.pop()
    assert [item["type"] for item in whole.model_dump(exclude_unset=True)["output"]] == ["message"]


@events
def test_what_was_read_otherwise_than_it_came_was_not_set(decode: Any, sent: dict[str, Any]) -> None:
    for odd in ({"choices": None}, {"choices": [{"index": 0, "delta": None}]}, {"type": 5}, {"output_index": "0"}):
        came = {**sent, **odd}
        assert read(decode, came).model_dump(exclude_unset=True) == came
    call = {"id": "a", "function": {"name": "f", "arguments": "{}"}}  # of no type
    whole = {"id": "c", "choices": [{"index": 0, "message": {"tool_calls": [call], "refusal": None}}]}
    assert read(chat.decode_whole, whole).model_dump(exclude_unset=True) == whole


def test_what_a_stream_adds_to_its_last_event_was_not_set() -> None:
    sent = {"type": "response.completed", "response": {"id": "r", "status": "completed"}}
    helper = responses.Helper()
    [delta, last] = helper.events([read(responses.decode, TEXT_DELTA), read(responses.decode, sent)])
    assert last.response.output_text == "Hi"
    assert (delta.model_dump(exclude_unset=True), last.model_dump(exclude_unset=True)) == (TEXT_DELTA, sent)
