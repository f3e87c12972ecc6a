"""Records as values: copies, changes, pickles; nothing is lost on the way, and to_dict() tells the truth."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from typing import Any

import msgspec
import pytest

from tokenwire.families import chat, chat_types, responses

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
