"""Through the public face: what 20,000 deltas cost, against 10,000; and that snapshots are values there too."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

import tokenwire
from support.calls import calls_made
from tokenwire.backends.memory import EOF, MemoryBackend

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


class Numbers(msgspec.Struct):
    numbers: list[int]
    note: str = ""


def chat_chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def chat_text(pieces: list[str]) -> list[dict[str, Any]]:
    return [*(chat_chunk({"content": piece}) for piece in pieces), chat_chunk({}, "stop")]


def chat_arguments(pieces: list[str]) -> list[dict[str, Any]]:
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "Numbers", "arguments": ""}}
    rest = ({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces)
    return [chat_chunk({"tool_calls": [first]}), *map(chat_chunk, rest), chat_chunk({}, "tool_calls")]


def completed(item: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [item]}},
    ]


def response_text(pieces: list[str]) -> list[dict[str, Any]]:
    where = {"item_id": "i", "output_index": 0, "content_index": 0}
    text, item = "".join(pieces), {"id": "i", "type": "message", "role": "assistant", "status": "completed"}
    return [
        {"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        *({"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []} for piece in pieces),
        {"type": "response.output_text.done", **where, "text": text, "logprobs": []},
        *completed({**item, "content": [{"type": "output_text", "text": text, "annotations": []}]}),
    ]


def response_arguments(pieces: list[str]) -> list[dict[str, Any]]:
    where, text = {"item_id": "i", "output_index": 0}, "".join(pieces)
    item = {"id": "i", "type": "function_call", "call_id": "call_1", "name": "Numbers", "status": "completed"}
    return [
        {"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "arguments": ""}},
        *({"type": "response.function_call_arguments.delta", **where, "delta": piece} for piece in pieces),
        {"type": "response.function_call_arguments.done", **where, "name": "Numbers", "arguments": text},
        *completed({**item, "arguments": text}),
    ]


def json_in(count: int) -> list[str]:
    """JSON of a Numbers in that many pieces: half of it one long array, half one long string, which grow by each."""
    return ['{"numbers": [', *["1, "] * (count // 2 - 2), '2], "note": "', *["moon "] * (count // 2 - 1), '"}']


def plain_in(count: int) -> list[str]:
    return ["moon "] * count


#: How the deltas come, what they say, and what is asked for.
KINDS: dict[str, tuple[Callable[[list[str]], list[dict[str, Any]]], Callable[[int], list[str]], dict[str, Any]]] = {
    "chat: text": (chat_text, plain_in, {}),
    "chat: tool arguments": (chat_arguments, json_in, {"tools": [Numbers]}),
    "chat: structured output": (chat_text, json_in, {"response_format": Numbers}),
    "responses: text": (response_text, plain_in, {}),
    "responses: tool arguments": (response_arguments, json_in, {"tools": [Numbers]}),
    "responses: structured output": (response_text, json_in, {"text_format": Numbers}),
}


def opened(kind: str, count: int, *, one_by_one: bool = False) -> tuple[tokenwire.Client, Any]:
    """A client whose peer streams that many deltas, at once or one by one, and the manager of the stream."""
    shape, pieces, asked = KINDS[kind]
    body = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in shape(pieces(count))]
    script = [HEAD, *(body if one_by_one else [b"".join(body)]), EOF]
    client = tokenwire.Client(api_key="k", base_url="http://t", backend=MemoryBackend([script]))
    if kind.startswith("chat"):
        return client, client.chat.completions.stream(model="m", messages=[], **asked)
    return client, client.responses.stream(model="m", input="", **asked)


def final(stream: Any) -> Any:
    return stream.get_final_completion() if hasattr(stream, "get_final_completion") else stream.get_final_response()


@pytest.mark.parametrize("kind", KINDS)
def test_the_cost_is_linear(kind: str) -> None:
    seen: list[int] = []

    def cost(count: int) -> int:
        client, manager = opened(kind, count)

        def work() -> None:
            deltas, kept = 0, []
            with manager as stream:
                for event in stream:
                    if event.type.endswith(".delta"):
                        deltas += 1
                        # Partial parses: those that there are, looked at each time, and kept.
                        kept.append(getattr(event, "parsed", None))
                        kept.append(getattr(event, "parsed_arguments", None))
                assert final(stream) is not None
            seen.append(deltas)

        with client:
            return calls_made(work)

    small, large = cost(10_000), cost(20_000)
    assert large <= 2.2 * small
    assert seen[0] >= 10_000
    assert seen[1] >= 20_000


@pytest.mark.parametrize("kind", KINDS)
def test_an_earlier_snapshot_does_not_change(kind: str) -> None:
    """Each as it was when it was new, looked at again when all is over."""
    client, manager = opened(kind, 30, one_by_one=True)
    events: list[tuple[Any, Any]] = []
    snapshots: list[tuple[Any, Any]] = []
    with client, manager as stream:
        for event in stream:
            events.append((event, told(event)))
            snapshots.append((stream.snapshot, stream.snapshot.to_dict()))
        assert final(stream) is not None
    assert [told(event) for event, _ in events] == [then for _, then in events]
    assert [snapshot.to_dict() for snapshot, _ in snapshots] == [then for _, then in snapshots]
    assert len({json.dumps(then) for _, then in snapshots}) >= 30, "each delta adds to it"


def told(event: Any) -> Any:
    found = event.to_dict()
    for name in ("snapshot", "arguments"):
        if isinstance(getattr(event, name, None), str):
            found[name] = getattr(event, name)
    return found


def test_tools_may_come_from_a_generator() -> None:
    """The helper and the request both read them."""
    body = b"".join(
        b"data: " + json.dumps(event).encode() + b"\n\n" for event in chat_arguments(['{"numbers": [1]}'])
    )
    peer = MemoryBackend([[HEAD, body, EOF]])
    with (
        tokenwire.Client(api_key="k", base_url="http://t", backend=peer) as client,
        client.chat.completions.stream(model="m", messages=[], tools=(tool for tool in [Numbers])) as stream,
    ):
        (call,) = stream.get_final_completion().choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == Numbers([1])  # type: ignore[union-attr]
    (tool,) = json.loads(bytes(peer.connections[0].sent).partition(b"\r\n\r\n")[2])["tools"]
    assert tool["function"]["name"] == "Numbers"
