"""What streams of Responses announce alike is held once, and comes out as it came."""

from __future__ import annotations

import gc
import json
import tracemalloc
from typing import Any

import pytest

from tokenwire.families import responses
from tokenwire.families.responses import keeping


def created(**fields: Any) -> bytes:
    response = {"id": "resp_1", "object": "response", "created_at": 1_763_904_000, "status": "in_progress", **fields}
    return json.dumps({"type": "response.created", "response": response}, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "payload",
    [
        created(),
        created(id="resp_\u00e9\u6708"),
        created(id='quoted " and \\ and \n'),
        created(id="\u0000\u0001"),
        created(id=""),
        created(id="created_at"),
        created(id="resp_1", metadata={"of": "resp_1", "resp_1": "resp_1"}),
        created(created_at=1_763_904_000.5),
        created(created_at=True),
        created(created_at=None),
        created(created_at="1763904000"),
        created(created_at=1, metadata={"created_at": 1, "at": 11}),
        created().replace(b":", b" : "),
        bytearray(created()),
    ],
)
def test_an_announcement_comes_out_as_it_came(payload: bytes | bytearray) -> None:
    event = responses.decode(payload)
    held = keeping.announced(event, event.response.id, event.response.created_at)
    assert isinstance(held, keeping.Announcement)
    assert held.json() == payload
    assert keeping.json_at(held, "response") == json.loads(payload)["response"]


@pytest.mark.parametrize("payload", [created(id=7), created(id=None), created(metadata={"large": "x" * 70_000})])
def test_what_others_will_hardly_resemble_is_kept_by_itself(payload: bytes) -> None:
    event = responses.decode(payload)
    assert keeping.announced(event, event.response.id, event.response.created_at) is payload
    made = responses.ResponseCreatedEvent(response=event.response)
    assert keeping.announced(made, "resp_1") is made


def test_what_is_said_back_to_each_stream_is_held_once() -> None:
    def accumulator(number: int) -> Any:
        fields = {"instructions": "Be brief. " * 2_000, "id": f"resp_{number}", "created_at": 1_763_904_000 + number}
        made = responses.Accumulator()
        item = {"id": f"msg_{number}", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        made.add(responses.decode(created(**fields)))
        made.add(responses.decode(created(**fields).replace(b".created", b".in_progress")))
        made.add(responses.decode(json.dumps({"type": "response.output_item.added", "item": item}).encode()))
        return made

    count = 200
    accumulator(0)
    gc.collect()
    tracemalloc.start()
    try:
        streams = [accumulator(number) for number in range(count)]
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / count < 4_000, "one announcement alone has 20,000 bytes"
    for number, stream in enumerate(streams):
        found = stream.snapshot()
        assert (found.id, found.created_at) == (f"resp_{number}", 1_763_904_000 + number)
        assert found.instructions == "Be brief. " * 2_000
        assert [item.id for item in found.output] == [f"msg_{number}"]


def test_texts_that_nobody_shares_are_not_remembered_for_ever() -> None:
    held = []
    for number in range(200):
        event = responses.decode(created(metadata={"number": str(number)}))
        held.append((keeping.announced(event, event.response.id, event.response.created_at), event))
        common = responses.decode(created(instructions="common"))
        keeping.announced(common, common.response.id, common.response.created_at)
    assert len(keeping._texts) <= 32
    assert any(b"common" in text for text in keeping._texts), "the latest used stay"
    for number, (each, _) in enumerate(held):
        assert keeping.json_at(each, "response", "metadata") == {"number": str(number)}
