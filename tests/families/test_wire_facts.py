"""Each fact about real servers' events (support/facts.py), through the public face, whole and byte by byte."""

from __future__ import annotations

from typing import Any

import pytest

import tokenwire
from support.facts import FACTS, Fact
from tokenwire.backends.memory import EOF, MemoryBackend

facts = pytest.mark.parametrize("fact", FACTS, ids=lambda fact: f"{fact.family}-{fact.name}")
cuts = pytest.mark.parametrize("size", [None, 1], ids=["whole", "byte by byte"])


def client(fact: Fact, size: int | None) -> tokenwire.Client:
    answer = fact.answer()
    pieces = [answer] if size is None else [answer[at : at + size] for at in range(0, len(answer), size)]
    return tokenwire.Client(api_key="k", base_url="http://test", backend=MemoryBackend([[*pieces, EOF]]))


def contains(found: Any, expected: Any) -> bool:
    """Whether all that is expected is there; what is not named may be anything. None may be left out."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            contains(found.get(name), value) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(contains(one, other) for one, other in zip(found, expected, strict=True))
        )
    return type(found) is type(expected) and found == expected


def consume(stream: Any, fact: Fact) -> list[Any]:
    """All its events; asserts that it ends as the fact says."""
    events: list[Any] = []
    if not fact.error:
        events.extend(stream)
        return events
    kind = tokenwire.StreamTruncatedError if fact.error == "cut" else tokenwire.APIError
    with pytest.raises(kind) as caught:
        events.extend(stream)
    if fact.error != "cut":
        assert type(caught.value) is tokenwire.APIError
        assert caught.value.message == fact.error
    return events


@facts
@cuts
def test_every_event_arrives_as_it_was_sent(fact: Fact, size: int | None) -> None:
    with client(fact, size) as its:
        if fact.family == "chat":
            stream: Any = its.chat.completions.create(model="m", messages=[], stream=True)
        else:
            stream = its.responses.create(model="m", input="", stream=True)
        events = consume(stream, fact)
    reported = bool(fact.error) and fact.error != "cut"
    assert [event.to_dict() for event in events] == fact.sent[: len(fact.sent) - reported]
    for what, expected in fact.seen.items():
        assert eval(what, {"events": events}) == expected, what
    if fact.final:
        assert contains(stream.snapshot.to_dict(), fact.final), stream.snapshot.to_dict()


@facts
@cuts
def test_the_helper_ends_with_the_same(fact: Fact, size: int | None) -> None:
    with client(fact, size) as its:
        if fact.family == "chat":
            manager: Any = its.chat.completions.stream(model="m", messages=[])
        else:
            manager = its.responses.stream(model="m", input="")
        with manager as stream:
            events = consume(stream, fact)
            if fact.family == "chat":
                arrived = [event.chunk.to_dict() for event in events if event.type == "chunk"]
            else:
                arrived = [event.to_dict() for event in events]
            assert arrived == fact.sent[: len(arrived)]
            if fact.error:
                found = stream.snapshot
            elif fact.family == "chat":
                found = stream.get_final_completion()
            else:
                found = stream.get_final_response()
    if fact.final:
        assert contains(found.to_dict(), fact.final), found.to_dict()


def test_each_fact_has_a_name_of_its_own() -> None:
    assert len({(fact.family, fact.name) for fact in FACTS}) == len(FACTS)
