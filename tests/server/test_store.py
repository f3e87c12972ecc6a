"""Responses that are kept, by hand: no event loop, and a clock that is a number."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from support.served import NOW, RESPONSES, frames, payloads
from tokenwire.errors import LocalProtocolError
from tokenwire.server import Finish, RequestError, ServerLimits, Text, Usage
from tokenwire.server.reading import read_request
from tokenwire.server.responses import ResponsesSession
from tokenwire.server.store import Record, Store

_ids = itertools.count()


def session(**fields: Any) -> ResponsesSession:
    request = read_request("responses", json.dumps({**RESPONSES, **fields}).encode(), headers={}, keeps="asked")
    return ResponsesSession(
        request, model="answering", now=NOW, new_id=lambda prefix: f"{prefix}{next(_ids)}", stream=True
    )


def added(store: Store, now: float = 0, *, background: bool = True, **fields: Any) -> Record:
    return store.add(session(background=background, store=True, **fields), background=background, now=now)


def ended(store: Store, now: float, text: str = "x") -> Record:
    record = added(store, now)
    record.token(text)
    record.end(now)
    return record


def say(record: Record, text: str, times: int) -> None:
    for _ in range(times):
        record.token(text)


def said(record: Record) -> list[Any]:
    return payloads(b"".join(record.events))


def types(record: Record) -> list[str]:
    return [event["type"].removeprefix("response.") for event in said(record)]


OPENED = ["created", "queued", "in_progress"]
ITEM = ["output_item.added", "content_part.added", "output_text.delta"]
ITEM_DONE = ["output_text.done", "content_part.done", "output_item.done"]


@pytest.mark.parametrize("stream", [True, False])
def test_each_event_stands_at_its_sequence_number(stream: bool) -> None:
    record = added(Store(), stream=stream)
    record.begin()
    assert types(record) == OPENED
    record.token("Hello")
    record.token(" world\n\n")
    record.token(Usage(1, 2))
    record.end(1)
    assert types(record) == [*OPENED, *ITEM, "output_text.delta", *ITEM_DONE, "completed"]
    assert [event["sequence_number"] for event in said(record)] == list(range(len(record.events)))
    for event in record.events:
        assert len(frames(event)) == 1
    assert json.loads(record.whole()) == said(record)[-1]["response"]


def test_the_object_as_it_grows() -> None:
    record = added(Store(), metadata={"k": "v"})
    status = [json.loads(record.whole())["status"]]
    record.begin()
    status.append(json.loads(record.whole())["status"])
    record.token("Hello")
    record.end(1)
    whole = json.loads(record.whole())
    assert [*status, whole["status"]] == ["queued", "in_progress", "completed"]
    assert [event["response"]["status"] for event in said(record)[:3]] == ["queued", "queued", "in_progress"]
    assert (whole["id"], whole["background"], whole["store"], whole["metadata"]) == (record.id, True, True, {"k": "v"})
    assert whole["output"][0]["content"][0]["text"] == "Hello"


def test_in_the_foreground_the_first_events_come_with_the_first_token() -> None:
    record = added(Store(), background=False)
    assert record.events == []
    record.token("Hello")
    assert types(record) == ["created", "in_progress", *ITEM]
    assert said(record)[0]["response"]["background"] is False


def test_without_a_token() -> None:
    record = added(Store())
    record.end(1)
    assert types(record) == [*OPENED, "completed"]


def test_cancelled_in_the_middle() -> None:
    stops: list[str] = []
    record = added(Store())
    record.stop = lambda: stops.append("stopped")
    record.token("Hello")
    record.cancel(1)
    before = list(record.events)
    record.cancel(2)
    record.token(" world")
    record.end(2)
    record.fail(ValueError(), 2)
    assert record.events == before
    assert stops == ["stopped"]
    assert types(record) == [*OPENED, *ITEM, *ITEM_DONE, "cancelled"]
    whole = json.loads(record.whole())
    assert (whole["status"], whole["output"][0]["status"]) == ("cancelled", "incomplete")
    assert whole["output"][0]["content"][0]["text"] == "Hello"
    assert said(record)[-1]["response"] == whole


def test_cancelled_before_anything() -> None:
    record = added(Store())
    record.cancel(1)
    assert types(record) == [*OPENED, "cancelled"]


def test_cancelled_when_it_has_ended() -> None:
    record = ended(Store(), 1)
    record.cancel(2)
    assert json.loads(record.whole())["status"] == "completed"


def test_failed_in_the_middle() -> None:
    store = Store()
    record = added(store)
    record.token("Hello")
    record.fail(RequestError(429, "Slow down."), 1)
    assert types(record)[-2:] == ["error", "failed"]
    assert record.failure is not None
    assert record.failure.status == 429
    whole = json.loads(store.get(record.id, 2).whole())
    assert (whole["status"], whole["error"]) == ("failed", {"code": "rate_limit_exceeded", "message": "Slow down."})


def test_failed_before_its_first_event_it_was_never_there() -> None:
    store = Store()
    record = added(store, background=False)
    told: list[str] = []
    record.watch(lambda: told.append("told"))
    with pytest.raises(LocalProtocolError):
        record.token(Text("x", 1))  # a response has one choice
    record.fail(ZeroDivisionError("secret"), 1)
    assert record.done
    assert told == ["told"]
    assert record.events == []
    assert record.failure is not None
    assert record.failure.status == 500
    with pytest.raises(RequestError, match="not found"):
        store.get(record.id, 1)
    assert (len(store), store.size) == (0, 0)


def test_incomplete() -> None:
    record = added(Store())
    record.token("Hello")
    record.token(Finish("length"))
    record.end(1)
    assert types(record)[-1] == "incomplete"
    assert json.loads(record.whole())["incomplete_details"] == {"reason": "max_output_tokens"}


# -- Reading -------------------------------------------------------------------


def test_events_after_any_number() -> None:
    record = ended(Store(), 0)
    for position in range(len(record.events) + 1):
        assert record.after(position, 10**9) == (b"".join(record.events[position:]), len(record.events))
    one, position = record.after(3, 1)
    assert (one, position) == (record.events[3], 4)
    assert record.after(3, len(one) + 1)[1] == 5


def test_whoever_watches_is_told_once_of_each_change() -> None:
    record = added(Store())
    told: list[str] = []

    def one() -> None:
        told.append("one")

    def other() -> None:
        told.append("other")

    record.watch(one)
    record.watch(other)
    record.unwatch(other)
    record.unwatch(other)
    record.token("Hello")
    record.token(" world")
    assert told == ["one"]
    record.watch(one)
    record.token(Usage(1, 1))  # no event
    assert told == ["one"]
    record.end(1)
    assert told == ["one", "one"]


# -- Bounds --------------------------------------------------------------------


def test_unknown() -> None:
    with pytest.raises(RequestError, match="'resp_nothing' not found") as caught:
        Store().get("resp_nothing", 0)
    assert (caught.value.status, caught.value.code) == (404, "response_not_found")


def test_age_counts_from_the_end() -> None:
    store = Store(ServerLimits(stored_age=10))
    record = added(store, 0)
    record.token("x")
    assert store.get(record.id, 1000) is record
    record.end(1000)
    assert store.get(record.id, 1009.9) is record
    with pytest.raises(RequestError, match="not found"):
        store.get(record.id, 1010)
    assert (len(store), store.size) == (0, 0)


def test_the_first_to_have_ended_makes_room() -> None:
    store = Store(ServerLimits(stored=3))
    slow, first, second = added(store), added(store), added(store)
    second.end(1)
    first.end(2)
    third = added(store, 3)
    assert store.get(first.id, 3) is first
    assert store.get(slow.id, 3) is slow
    with pytest.raises(RequestError, match="not found"):
        store.get(second.id, 3)
    added(store, 4)
    with pytest.raises(RequestError, match=r"3 responses .* under way") as caught:
        added(store, 4)
    assert (caught.value.status, caught.value.code) == (429, "too_many_stored_responses")
    assert not store.has_room(4)
    third.end(5)
    assert store.has_room(5)
    assert len(store) == 2


def test_a_response_that_is_forgotten_can_be_read_to_its_end() -> None:
    store = Store(ServerLimits(stored=1))
    record = ended(store, 1)
    ended(store, 2)
    assert record.after(0, 10**9)[1] == len(record.events)
    assert len(store) == 1


def test_a_response_that_outgrows_its_bound_fails() -> None:
    store = Store(ServerLimits(stored_bytes=20_000))
    record = added(store)
    with pytest.raises(RequestError, match="more than 20000 bytes") as caught:
        say(record, "x" * 100, 1000)
    assert record.size < 21_000
    record.fail(caught.value, 1)
    assert types(record)[-2:] == ["error", "failed"]
    assert said(record)[-2]["code"] == "response_too_large"
    assert [event["sequence_number"] for event in said(record)] == list(range(len(record.events)))


def test_all_of_them_together_are_bounded() -> None:
    store = Store(ServerLimits(stored_total_bytes=100_000))
    old = [ended(store, now, "x" * 1000) for now in range(50)]
    assert store.size <= 100_000
    assert 3 < len(store) < 50
    record = added(store, 100)
    with pytest.raises(RequestError, match="more than 100000 bytes") as caught:
        say(record, "y" * 1000, 1000)
    assert caught.value.code == "response_store_full"
    assert len(store) == 1  # all that had ended have made room
    assert old[0].done
    with pytest.raises(RequestError, match="under way"):
        added(store, 100)
    record.fail(caught.value, 101)
    assert store.has_room(102)
    assert (len(store), store.size) == (0, 0)
