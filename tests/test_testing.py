"""What tokenwire.testing gives to other people's tests, used as they would."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import trio

import tokenwire
from tokenwire.backends.memory import EOF as MEMORY_EOF
from tokenwire.testing import EOF, MemoryBackend, answered, requests, streamed
from tokenwire.wire import Decoder, ServerSentEvent

MESSAGES: list[Any] = [{"role": "user", "content": "the moon"}]


def delta(text: str, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


CHUNKS = [delta("mo"), delta("on"), delta("", "stop")]


def client(peer: MemoryBackend, **options: Any) -> tokenwire.Client:
    return tokenwire.Client(api_key="k", base_url="http://test/v1", backend=peer, **options)


def ask(of: tokenwire.Client) -> tokenwire.Stream[Any]:
    return of.chat.completions.create(model="m", messages=MESSAGES, stream=True)


def test_events_come_one_read_each_and_the_answer_ends() -> None:
    peer = MemoryBackend([streamed([*CHUNKS, "[DONE]"], headers={"X-Request-Id": "req_1"})])
    stream = ask(client(peer))
    assert [[event.choices[0].delta.content for event in batch] for batch in stream.batches()] == [["mo"], ["on"], [""]]
    assert stream.response.request_id == "req_1"
    assert stream.snapshot.choices[0].message.content == "moon"


def test_an_event_is_named_by_its_type() -> None:
    events = [
        {"type": "response.output_text.delta", "delta": "moon"},
        {"type": "response.completed", "response": {"id": "r", "status": "completed"}},
    ]
    peer = MemoryBackend([streamed(events)])
    got = list(client(peer).responses.create(model="m", input="the moon", stream=True))
    assert [event.type for event in got] == [event["type"] for event in events]
    peer = MemoryBackend([streamed(events)])
    raw = client(peer).responses.create(model="m", input="the moon", stream=True).raw()
    assert [event.event for event in raw] == [event["type"] for event in events]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_recording_replays_to_the_byte(end: str) -> None:
    lines = [": hello", "", 'data: {"a": 1}', "", "id: 7", "event: x", "data: two", "data: lines", "", "data: [DONE]"]
    recording = end.join([*lines, "", ""]).encode()
    steps = streamed(recording)
    assert len(steps) == 7  # head, comment, three events, last chunk, end
    recorded = b"".join(event.encode() for event in ask(client(MemoryBackend([steps]))).raw())
    assert Decoder().feed(recorded) == Decoder().feed(recording)
    # And a recording of the replay is the same recording.
    again = b"".join(event.encode() for event in ask(client(MemoryBackend([streamed(recorded)]))).raw())
    assert again == recorded


def test_a_stream_that_is_cut_and_one_that_breaks() -> None:
    assert EOF is MEMORY_EOF
    for end in (EOF, ConnectionResetError(104, "reset")):
        stream = ask(client(MemoryBackend([streamed([CHUNKS[0], end, CHUNKS[1]])])))
        got = []
        with pytest.raises(tokenwire.APIConnectionError) as caught:
            got.extend(stream.text())
        assert got == ["mo"]
        assert isinstance(caught.value, tokenwire.StreamTruncatedError)
        assert caught.value.snapshot.choices[0].message.content == "mo"


def test_what_is_no_event_goes_as_it_is() -> None:
    stream = ask(client(MemoryBackend([streamed([b": nothing\n\n", CHUNKS[0], b"data: {broken\n\n"])])))
    assert next(stream.text()) == "mo"
    with pytest.raises(tokenwire.StreamDecodeError):
        next(stream)
    with pytest.raises(TypeError, match=r"an event is a mapping, .* not 3"):
        streamed([3])  # type: ignore[list-item]  # that is the point


def test_whole_answers_and_errors_and_what_was_asked() -> None:
    busy = answered({"error": {"message": "slow down", "code": "busy"}}, status=429, headers={"Retry-After": "7"})
    whole = answered({"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": "moon"}}]})
    peer = MemoryBackend([busy, whole])
    completion = client(peer).chat.completions.create(model="m", messages=MESSAGES, max_tokens=3)
    assert completion.choices[0].message.content == "moon"
    assert peer.slept == [7.0]
    first, second = requests(peer)
    assert first == second
    assert (first.method, first.target) == ("POST", "/v1/chat/completions")
    assert first.headers["Authorization"] == "Bearer k"
    assert first.json() == {"model": "m", "messages": MESSAGES, "max_tokens": 3}
    with pytest.raises(tokenwire.BadRequestError, match="not like this"):
        ask(client(MemoryBackend([answered("not like this", status=400)])))
    with pytest.raises(tokenwire.APIResponseValidationError):
        client(MemoryBackend([answered(b"\xff")])).chat.completions.create(model="m", messages=MESSAGES)


def test_a_large_request_is_read_whole() -> None:
    peer = MemoryBackend([streamed([*CHUNKS, "[DONE]"])])
    large = [{"role": "user", "content": "x" * 300_000}]
    client(peer).chat.completions.create(model="m", messages=large, stream=True).close()
    assert requests(peer)[0].json()["messages"] == large


def test_a_request_that_was_not_sent_whole_is_left_out() -> None:
    peer = MemoryBackend([streamed(CHUNKS)])
    ask(client(peer)).close()
    del peer.connections[0].sent[-1:]
    assert requests(peer) == []


def test_silence_runs_into_the_deadline_at_once() -> None:
    script = streamed(CHUNKS)[:2]  # and nothing more
    stream = ask(client(MemoryBackend([script]), timeout=tokenwire.Timeouts(event=600)))
    assert next(stream.text()) == "mo"
    with pytest.raises(tokenwire.APITimeoutError):
        next(stream)


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_the_same_peer_serves_async_code(loop: str) -> None:
    async def main() -> None:
        peer = MemoryBackend([streamed([*CHUNKS, "[DONE]"])])
        async with tokenwire.AsyncClient(api_key="k", base_url="http://test/v1", backend=peer) as client:
            stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            assert [text async for text in stream.text()] == ["mo", "on"]

    asyncio.run(main()) if loop == "asyncio" else trio.run(main)


def test_an_event_is_encoded_with_all_that_it_has() -> None:
    event = ServerSentEvent(memoryview(b"a\nb"), "x", "7", 5)
    assert Decoder().feed(event.encode()) == [(b"a\nb", "x", "7", 5)]
    assert ServerSentEvent(b"a").encode() == b"data: a\n\n"
