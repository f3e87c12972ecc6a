"""Which item, and which part of it, an event of a Responses stream means: while there is one, and once there are more.

One item with one name of each sort is kept without a table, and so is one part. What was known by then must be
known ever after: each test here goes from the one form to the other, and asks by every old name and by the new.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tokenwire.families import responses

Found = dict[str, Any]


def output(*found: Found) -> list[Found]:
    state = responses.Accumulator()
    for one in found:
        state.add(responses.decode(json.dumps(one).encode()))
    made: list[Found] = state.snapshot().to_dict()["output"]
    return made


def text(delta: str, item_id: str = "", index: int | None = None, content_index: int | None = None) -> Found:
    event: Found = {"type": "response.output_text.delta", "delta": delta}
    if item_id:
        event["item_id"] = item_id
    if index is not None:
        event["output_index"] = index
    if content_index is not None:
        event["content_index"] = content_index
    return event


def arguments(delta: str, **at: Any) -> Found:
    return {"type": "response.function_call_arguments.delta", "delta": delta, **at}


def added(kind: str, item_id: str = "", index: int | None = None, **more: Any) -> Found:
    item = {"type": kind, **({"id": item_id} if item_id else {}), **more}
    at = {} if index is None else {"output_index": index}
    return {"type": "response.output_item.added", **at, "item": item}


def texts(items: list[Found]) -> list[str]:
    """Of each item, all that was written to it."""
    return [
        item.get("arguments", "") + "".join(part.get("text", "") for part in item.get("content", ())) for item in items
    ]


# -- One item ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "again",
    [text("2", "a"), text("2", "", 0), text("2"), text("2", "a", 0), text("2", "a", 7), text("2", "z", 0)],
    ids=["id", "index", "neither", "both", "id and another index", "index and another id"],
)
def test_the_one_item_by_each_of_its_names(again: Found) -> None:
    assert texts(output(added("message", "a", 0), text("1", "a", 0), again)) == ["12"]


@pytest.mark.parametrize(
    "other",
    [text("2", "b"), text("2", "", 1), text("2", "b", 1), arguments("2"), arguments("2", item_id="a", output_index=0)],
    ids=["id", "index", "both", "kind", "kind under the same names"],
)
def test_another_item_by_each_of_its_names(other: Found) -> None:
    assert texts(output(added("message", "a", 0), text("1", "a", 0), other)) == ["1", "2"]


def test_a_name_that_comes_later_is_the_one_items_too() -> None:
    events = [text("1"), text("2", "", 3), text("3")]
    assert texts(output(*events)) == ["1", "23"]  # "no index, no id" and "index 3" have nothing in common
    found = output(text("1", "", 3), text("2", "a", 3), text("3", "a"), text("4"))
    assert texts(found) == ["1234"]
    assert found[0]["id"] == "a"
    assert texts(output(text("1", "a"), text("2", "a", 3), text("3", "", 3))) == ["123"]


def test_an_item_without_any_name_is_the_latest_of_its_kind() -> None:
    assert texts(output(text("1"), text("2"), arguments("3"), text("4"), arguments("5"))) == ["124", "35"]


# -- From one to more -------------------------------------------------------------------


def test_a_second_id_of_the_one_item() -> None:
    names = [text("2", "b", 0), text("3", "a"), text("4", "b"), text("5", "", 0), text("6")]
    found = output(added("message", "a", 0), text("1", "a", 0), *names)
    assert texts(found) == ["123456"]
    assert found[0]["id"] == "a"  # the one that was announced


def test_a_second_index_of_the_one_item() -> None:
    names = [text("2", "a", 1), text("3", "", 0), text("4", "", 1), text("5", "a"), text("6")]
    assert texts(output(added("message", "a", 0), text("1", "a", 0), *names)) == ["123456"]


def test_a_second_id_of_an_item_that_has_no_index_is_another_item() -> None:
    assert texts(output(text("1", "a"), text("2", "b"), text("3", "a"), text("4", "b"), text("5"))) == ["13", "245"]


def test_a_second_item() -> None:
    events = [added("message", "a", 0), text("1", "a", 0), added("message", "b", 1)]
    names = [text("2", "a"), text("3", "", 0), text("4", "b"), text("5", "", 1), text("6")]
    assert texts(output(*events, *names)) == ["123", "456"]


def test_a_second_item_of_another_kind_in_the_same_place() -> None:
    events = [added("message", "a", 0), added("function_call", "f", 0, arguments="")]
    names = [text("1", "", 0), arguments("2", output_index=0), text("3"), arguments("4"), text("5", "a")]
    assert texts(output(*events, *names)) == ["135", "24"]


def test_a_second_item_of_the_same_kind_in_the_same_place() -> None:
    events = [added("message", "a", 0), text("1", "", 0), added("message", "b", 0)]
    names = [text("2", "", 0), text("3", "a"), text("4", "b"), text("5", "", 0)]
    assert texts(output(*events, *names)) == ["13", "245"]


def test_a_third_item_of_the_same_kind_in_the_same_place() -> None:
    events = [added("message", "a", 0), added("message", "b", 0), added("message", "c", 0)]
    assert texts(output(*events, text("1", "", 0), text("2", "a"), text("3", "b"))) == ["2", "3", "1"]


def test_the_order_is_that_of_the_indexes_where_all_have_one() -> None:
    assert texts(output(text("1", "a", 1), text("2", "b", 0))) == ["2", "1"]
    assert texts(output(text("1", "a", 1), text("2", "b"))) == ["1", "2"]


def test_an_item_of_tomorrow_takes_whatever_has_its_names() -> None:
    dream = added("dream", "d", 0)
    assert texts(output(dream, arguments("1", item_id="d"), arguments("2", output_index=0))) == ["12"]
    # Not what has none, and not what is another's.
    assert texts(output(dream, arguments("1"), arguments("2", item_id="e"))) == ["", "1", "2"]
    # And with a table just so.
    later = [arguments("1", item_id="d"), arguments("2", output_index=0), text("3", "m"), arguments("4", item_id="f")]
    assert texts(output(dream, added("message", "m", 1, content=[]), *later)) == ["12", "3", "4"]
    # A second one of tomorrow in its place leaves it its id.
    second = [added("nap", "n", 0), arguments("1", output_index=0), arguments("2", item_id="d")]
    assert texts(output(dream, *second)) == ["2", "1"]


@pytest.mark.parametrize("before", [[], [added("message", "m", 5)]], ids=["one item", "a table"])
@pytest.mark.parametrize("item_id", ["r", "", "q"])
def test_a_part_called_output_text_is_reasoning_by_the_id_alone(before: list[Found], item_id: str) -> None:
    part = {"type": "response.content_part.added", "output_index": 0, "part": {"type": "output_text", "text": "1"}}
    found = output(*before, added("reasoning", "r", 0), {**part, **({"item_id": item_id} if item_id else {})})
    owner = next(item for item in found if texts([item]) == ["1"])
    assert owner["type"] == ("reasoning" if item_id == "r" else "message")


def test_the_id_of_the_one_message_is_not_that_of_reasoning() -> None:
    part = {"type": "response.content_part.added", "item_id": "a", "part": {"type": "output_text", "text": "1"}}
    assert [item["type"] for item in output(added("message", "a", 0), part)] == ["message"]


# -- Parts ------------------------------------------------------------------------------


def summary(delta: str, index: int | None = None) -> Found:
    at = {} if index is None else {"summary_index": index}
    return {"type": "response.reasoning_summary_text.delta", "item_id": "r", **at, "delta": delta}


def thought(delta: str, index: int) -> Found:
    return {"type": "response.reasoning_text.delta", "item_id": "r", "content_index": index, "delta": delta}


def test_a_second_part_by_its_index() -> None:
    found = output(text("1", "a", 0, 1), text("2", "a", 0, 0), text("3", "a", 0, 1), text("4", "a", 0, 0))
    assert [part["text"] for part in found[0]["content"]] == ["24", "13"]


def test_a_second_part_by_its_type() -> None:
    refusal = {"type": "response.refusal.delta", "item_id": "a", "content_index": 0, "delta": "No"}
    (found,) = output(text("1", "a", 0, 0), refusal, text("2", "a", 0, 0), {**refusal, "delta": "!"})
    assert found["content"] == [
        {"type": "output_text", "text": "12", "annotations": []},
        {"type": "refusal", "refusal": "No!"},
    ]


def test_a_second_part_by_its_field() -> None:
    (found,) = output(summary("1", 0), thought("2", 0), summary("3", 0), thought("4", 0))
    assert (found["summary"], found["content"]) == (
        [{"type": "summary_text", "text": "13"}],
        [{"type": "reasoning_text", "text": "24"}],
    )


def test_new_parts_without_an_index() -> None:
    new = {"type": "response.reasoning_summary_part.added", "item_id": "r"}
    new["part"] = {"type": "summary_text", "text": ""}  # type: ignore[assignment] # an event is JSON
    (found,) = output(new, summary("1"), new, summary("2"), new, summary("3"), summary("4"))
    assert [part["text"] for part in found["summary"]] == ["1", "2", "34"]


def test_an_item_that_holds_several_parts_when_it_is_announced() -> None:
    parts = [{"type": "output_text", "text": mark, "annotations": []} for mark in "12"]
    (found,) = output(added("message", "a", 0, content=parts), text("3", "a", 0, 1), text("4", "a", 0, 0))
    assert [part["text"] for part in found["content"]] == ["14", "23"]


@pytest.mark.parametrize("count", [1, 2])
def test_an_item_that_is_announced_behind_its_parts(count: int) -> None:
    deltas = [text(str(number), "a", 0, number) for number in range(count)]
    late = added("message", "a", 0, content=[{"type": "output_text", "text": "x", "annotations": []}])
    (found,) = output(*deltas, late)
    assert [part["text"] for part in found["content"]] == ["0", "1"][:count]


def test_an_announced_part_that_says_nothing_is_there() -> None:
    part = {"type": "output_text", "text": "", "annotations": []}
    event = {"type": "response.content_part.added", "item_id": "a", "output_index": 0, "content_index": 0, "part": part}
    (found,) = output(added("message", "a", 0, content=[]), event)
    assert found["content"] == [part]


def test_a_part_is_announced_twice_and_its_text_is_there_once() -> None:
    part = {"type": "output_text", "text": "1", "annotations": []}
    event = {"type": "response.content_part.added", "item_id": "a", "output_index": 0, "content_index": 0, "part": part}
    (found,) = output(added("message", "a", 0, content=[part]), event, text("2", "a", 0, 0))
    assert [entry["text"] for entry in found["content"]] == ["12"]


def test_what_one_stream_said_is_in_no_other() -> None:
    """Of items that were never announced, too, whose JSON is begun here."""
    (one,) = output(summary("1", 0), summary("2", 1))
    (other,) = output(summary("3", 0))
    assert [part["text"] for part in one["summary"]] == ["1", "2"]
    assert [part["text"] for part in other["summary"]] == ["3"]


# -- What a stream that waits holds ----------------------------------------------------------


def size_of(made: object, seen: set[int]) -> int:
    """Bytes of an object and of what only it holds, as far as it is plain: slots, dicts, lists, tuples, texts."""
    if made is None or isinstance(made, (bool, type)) or id(made) in seen:
        return 0
    seen.add(id(made))
    held: list[object] = []
    if isinstance(made, dict):
        held = [*made, *made.values()]
    elif isinstance(made, (list, tuple)):
        held = [*made]
    else:
        slots = [name for cls in type(made).__mro__ for name in getattr(cls, "__slots__", ())]
        held = [getattr(made, name) for name in slots if hasattr(made, name)]
    return sys.getsizeof(made) + sum(size_of(one, seen) for one in held)


def test_what_a_stream_that_waits_for_its_first_token_holds() -> None:
    """Its notes, without the texts that all have in common: two ids of 100 bytes, and no more than 600 besides."""
    item_id, part = "msg_" + "7" * 50, {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    opening = [
        {"type": "response.created", "response": {"id": "resp_1", "created_at": 1767225600, "output": []}},
        added("message", item_id, 0, status="in_progress", role="assistant", content=[]),
        {
            "type": "response.content_part.added",
            "item_id": item_id,
            "output_index": 0,
            "content_index": 0,
            "part": part,
        },
    ]
    first, state = responses.Accumulator(), responses.Accumulator()
    for one in opening:
        first.add(responses.decode(json.dumps(one).encode()))
    for one in opening:
        state.add(responses.decode(json.dumps(one).encode()))
    shared: set[int] = set()
    size_of(first, shared)
    assert size_of(state, shared) < 800
    assert state.snapshot().to_dict()["output"][0]["content"] == [part]


def test_the_id_of_the_last_event_is_the_one_in_the_notes() -> None:
    part = {"type": "output_text", "text": "", "annotations": []}
    item_id = "msg_" + "7" * 50
    event = responses.decode(
        json.dumps(
            {"type": "response.content_part.added", "item_id": item_id, "output_index": 0, "part": part}
        ).encode()
    )
    opened = responses.decode(json.dumps(added("message", item_id, 0, content=[])).encode())
    state = responses.Accumulator()
    state.add(opened)
    state.add(event)
    assert isinstance(event, responses.ResponseContentPartAddedEvent)
    assert isinstance(opened, responses.ResponseOutputItemAddedEvent)
    assert event.item_id is opened.item.id
    assert event.to_dict()["item_id"] == item_id
