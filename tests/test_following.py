"""`responses.stream(response_id=...)`: a response that was begun before, followed as in the official package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pydantic
import pytest

import tokenwire
from support.answers import answer, js, sse
from support.facts import STREAM
from support.loopback import Answer, Loopback, loopback
from tokenwire.backends.memory import EOF, MemoryBackend
from tokenwire.backends.sync import run

NUMBERED = [{**event, "sequence_number": at} for at, event in enumerate(STREAM)]


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with loopback({"stream": Answer(answer(sse(*NUMBERED)))}) as running:
        yield running


@pytest.fixture(params=["openai", "tokenwire"])
def client(request: pytest.FixtureRequest, server: Loopback) -> Iterator[Any]:
    make = {"openai": openai.OpenAI, "tokenwire": tokenwire.Client}[request.param]
    with make(api_key="k", base_url=server.url, max_retries=0) as made:
        yield made


@pytest.mark.parametrize("after", [None, 0, 5, len(NUMBERED)])
def test_events_after_a_number_with_whole_snapshots(client: Any, after: int | None) -> None:
    asked = {} if after is None else {"starting_after": after}
    with client.responses.stream(response_id="r1", extra_headers={"X-Vector": "stream"}, **asked) as stream:
        events = list(stream)
        final = stream.get_final_response()
    first = 0 if after is None else after + 1
    assert [event.sequence_number for event in events] == list(range(first, len(NUMBERED)))
    texts = [event.snapshot for event in events if event.type == "response.output_text.delta"]
    assert texts == [text for at, text in [(4, "The "), (5, "The moon")] if at >= first]
    assert final.output_text == "The moon"


@pytest.mark.parametrize(
    "asked",
    [
        {"response_id": "r1", "input": "Hi"},
        {"response_id": "r1", "model": "m"},
        {"starting_after": 3},
        {"starting_after": 3, "input": "Hi", "model": "m"},
    ],
)
def test_a_new_one_is_another_call(client: Any, asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"response_id|id must be"):
        client.responses.stream(**asked)


class Line(pydantic.BaseModel):
    line: str


def test_what_is_asked_and_how_it_is_read() -> None:
    text = '{"line": "The moon"}'
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    whole = {"id": "r/1", "status": "completed", "output": [item]}
    body = sse({"type": "response.completed", "response": whole})  # no number: told all the same

    async def main() -> None:
        peer = MemoryBackend([[answer(body), EOF]])
        async with (
            tokenwire.AsyncClient(api_key="k", base_url="http://t", backend=peer) as client,
            client.responses.stream(
                response_id="r/1", starting_after=7, text_format=Line, include=["reasoning"], model=tokenwire.omit
            ) as stream,
        ):
            assert [event.type async for event in stream] == ["response.completed"]
            final = await stream.get_final_response()
        assert final.output_parsed == Line(line="The moon")
        asked = bytes(peer.connections[0].sent).split(b"\r\n")[0]
        assert asked == b"GET /responses/r%2F1?stream=true&include%5B%5D=reasoning HTTP/1.1"

    run(main())


def test_the_official_marks_for_nothing() -> None:
    assert tokenwire.omit is tokenwire.not_given is tokenwire.NOT_GIVEN
    assert tokenwire.Omit is tokenwire.NotGiven
    reply = {"id": "r", "output": []}
    peer = MemoryBackend([[answer(js(reply).encode(), kind="application/json"), EOF]])
    with tokenwire.Client(api_key="k", base_url="http://t", backend=peer) as client:
        client.responses.create(model="m", input="Hi", temperature=tokenwire.omit, top_p=tokenwire.not_given)
    assert b"temperature" not in peer.connections[0].sent
    assert b"top_p" not in peer.connections[0].sent
