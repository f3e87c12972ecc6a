"""The chat family: types, the two readings, errors inside a 200, and the way back to JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tokenwire.errors import APIError, StreamDecodeError
from tokenwire.families import chat


def chunk(delta: dict[str, Any] | None = None, **more: Any) -> bytes:
    return json.dumps(
        {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 7,
            "model": "m",
            "choices": [{"index": 0, "delta": delta or {}, "finish_reason": None}],
            **more,
        }
    ).encode()


def test_a_plain_chunk_is_typed_and_keeps_its_payload() -> None:
    payload = chunk({"content": "moon"})
    event = chat.decode(payload)
    assert event.choices[0].delta.content == "moon"
    assert event._json is payload
    assert event.to_dict() == json.loads(payload)
    assert chat.text(event) == "moon"


def test_text_adds_up() -> None:
    accumulator = chat.Accumulator()
    for piece in ("the ", "pale ", "moon"):
        accumulator.add(chat.decode(chunk({"content": piece})))
    assert accumulator.snapshot().choices[0].message.content == "the pale moon"
    assert not accumulator.complete


@pytest.mark.parametrize("payload", [b"{", b"[]", b'{"id": "\xff"}', b'{"a":' * 100_000])
def test_what_is_not_a_json_object_is_a_decode_error(payload: bytes) -> None:
    with pytest.raises(StreamDecodeError) as caught:
        chat.decode(payload)
    assert caught.value.body == payload[:200].decode(errors="replace")


def test_an_error_raises_with_the_servers_message() -> None:
    with pytest.raises(APIError, match="^no$") as caught:
        chat.decode(b'{"error": {"message": "no", "code": 500}}')
    assert caught.value.body == {"message": "no", "code": 500}
