"""The Responses family: both readings, and what the events add up to."""

from __future__ import annotations

from tokenwire.families import responses


def test_a_text_delta() -> None:
    event = responses.decode(
        b'{"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":0,'
        b'"content_index":0,"delta":"The","logprobs":[]}'
    )
    assert event.type == "response.output_text.delta"
    assert (event.delta, event.item_id, event.sequence_number) == ("The", "msg_1", 4)
    assert responses.text(event) == "The"
