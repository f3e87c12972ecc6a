"""`with_raw_response`, `_request_id`, and that both behave as in the official package."""

from __future__ import annotations

import codecs
import gc
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

import tokenwire
from support.facts import CHAT, RESPONSES
from support.loopback import Answer, Loopback, loopback
from tokenwire.backends.memory import EOF, REQUEST, MemoryBackend
from tokenwire.backends.sync import run

COMPLETION = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
RESPONSE = {"id": "r1", "object": "response", "status": "completed", "output": []}


def answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def whole(found: Any, **headers: str) -> bytes:
    headers = {"content_type": "application/json", "x_request_id": "req_7", **headers}
    return answer(json.dumps(found).encode(), **headers)


def stream(fact: Any, **headers: str) -> bytes:
    headers = {"content_type": "text/event-stream", "x_request_id": "req_8", **headers}
    return answer(fact.body(), **headers)


ANSWERS = {
    "chat": whole(COMPLETION, x_shard="4"),
    "chat-stream": stream(CHAT[0], x_shard="5"),
    "responses": whole(RESPONSE),
    "responses-stream": stream(RESPONSES[0]),
    "unnamed": answer(json.dumps(COMPLETION).encode(), content_type="application/json"),
    "not-json": answer(b"Moonlight.", content_type="text/plain"),
    "error-in-200": whole({"error": {"message": "The engine died."}}),
    "chat-bom": answer(codecs.BOM_UTF8 + json.dumps(COMPLETION).encode(), content_type="application/json"),
    "no-bom": answer(codecs.BOM_UTF8 + b'{"error": {"message": "No.", "code": "c"}}', "404 Not Found"),
    "no": answer(b'{"error": {"message": "No.", "code": "c"}}', "404 Not Found", x_request_id="req_9"),
}
ASKED: dict[str, Any] = {"model": "m", "messages": []}


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with loopback({name: Answer(data) for name, data in ANSWERS.items()}) as running:
        yield running


@pytest.fixture(params=["openai", "tokenwire"])
def client(request: pytest.FixtureRequest, server: Loopback) -> Iterator[Any]:
    make = {"openai": openai.OpenAI, "tokenwire": tokenwire.Client}[request.param]
    with make(api_key="k", base_url=server.url, max_retries=0) as made:
        yield made


def vector(name: str) -> dict[str, Any]:
    return {"extra_headers": {"X-Vector": name}}


# -- both packages ----------------------------------------------------------------------


def test_a_whole_completion(client: Any) -> None:
    raw = client.chat.completions.with_raw_response.create(**ASKED, **vector("chat"))
    assert raw.status_code == 200
    assert raw.headers["X-Shard"] == raw.headers.get("x-shard") == "4"
    assert raw.request_id == "req_7"
    assert raw.retries_taken == 0
    assert json.loads(raw.content) == json.loads(raw.text) == COMPLETION
    completion = raw.parse()
    assert completion.to_dict() == COMPLETION
    assert completion._request_id == "req_7"
    assert raw.parse() is completion


def test_a_body_behind_a_byte_order_mark(client: Any) -> None:
    assert client.chat.completions.create(**ASKED, **vector("chat-bom")).to_dict() == COMPLETION
    if isinstance(client, tokenwire.Client):  # the official package reads no error behind one
        with pytest.raises(tokenwire.NotFoundError) as caught:
            client.chat.completions.create(**ASKED, **vector("no-bom"))
        assert (caught.value.code, caught.value.body) == ("c", {"message": "No.", "code": "c"})


def test_a_stream_of_chunks(client: Any) -> None:
    raw = client.chat.completions.with_raw_response.create(**ASKED, stream=True, **vector("chat-stream"))
    assert (raw.status_code, raw.headers["x-shard"], raw.request_id) == (200, "5", "req_8")
    assert raw.http_version == "HTTP/1.1"
    chunks = raw.parse()
    assert raw.parse() is chunks
    with chunks:
        assert [chunk.to_dict() for chunk in chunks] == CHAT[0].sent


def test_responses(client: Any) -> None:
    for raw in (
        client.responses.with_raw_response.create(model="m", input="", **vector("responses")),
        client.responses.with_raw_response.retrieve("r1", **vector("responses")),
        client.responses.with_raw_response.cancel("r1", **vector("responses")),
    ):
        assert (raw.status_code, raw.request_id) == (200, "req_7")
        assert raw.parse().to_dict() == RESPONSE
        assert raw.parse()._request_id == "req_7"


def test_streams_of_responses(client: Any) -> None:
    for raw in (
        client.responses.with_raw_response.create(model="m", input="", stream=True, **vector("responses-stream")),
        client.responses.with_raw_response.retrieve("r1", stream=True, **vector("responses-stream")),
    ):
        assert raw.request_id == "req_8"
        with raw.parse() as events:
            assert [event.to_dict() for event in events] == RESPONSES[0].sent


def test_whole_answers_know_their_request(client: Any) -> None:
    completion = client.chat.completions.create(**ASKED, **vector("chat"))
    assert completion._request_id == "req_7"
    assert completion.to_dict() == COMPLETION
    assert "_request_id" not in completion.model_dump()
    assert client.responses.create(model="m", input="", **vector("responses"))._request_id == "req_7"
    assert client.responses.retrieve("r1", **vector("responses"))._request_id == "req_7"
    assert client.chat.completions.create(**ASKED, **vector("unnamed"))._request_id is None


def test_a_status_that_says_no_is_raised(client: Any) -> None:
    for ask in (client.chat.completions.with_raw_response.create, client.chat.completions.create):
        for streamed in (False, True):
            with pytest.raises(Exception, match="No") as caught:
                ask(**ASKED, stream=streamed, **vector("no"))
            assert type(caught.value).__name__ == "NotFoundError"
            assert (caught.value.status_code, caught.value.request_id, caught.value.code) == (404, "req_9", "c")


# -- ours ---------------------------------------------------------------------------------


def memory(*scripts: Any, **options: Any) -> dict[str, Any]:
    options = {"max_retries": 0, **options}
    return {"api_key": "k", "base_url": "http://test/v1", "backend": MemoryBackend(scripts), **options}


def one_connection(*names: str) -> list[Any]:
    return [step for name in names for step in (REQUEST, ANSWERS[name])]


def test_what_is_asked_is_what_create_asks() -> None:
    sent = []
    for raw in (False, True):
        with tokenwire.Client(**memory(one_connection("chat", "responses"))) as client:
            completions, responses = client.chat.completions, client.responses
            if raw:
                completions, responses = completions.with_raw_response, responses.with_raw_response  # type: ignore[assignment]
            completions.create(**ASKED, temperature=0.5, extra_query={"a": "b"}, extra_headers={"x-a": "1"})
            responses.cancel("r/1")
            sent.append([bytes(connection.sent) for connection in client._pools._backend.connections])  # type: ignore[union-attr]
    assert sent[0] == sent[1]
    assert b"POST /v1/chat/completions?a=b HTTP/1.1\r\n" in sent[0][0]
    assert b"POST /v1/responses/r%2F1/cancel HTTP/1.1\r\n" in sent[0][0]


def test_a_body_that_is_none_is_told_when_it_is_parsed() -> None:
    with tokenwire.Client(**memory([ANSWERS["not-json"], EOF], [ANSWERS["error-in-200"], EOF])) as client:
        raw = client.chat.completions.with_raw_response.create(**ASKED)
        assert raw.text == "Moonlight."
        with pytest.raises(tokenwire.APIResponseValidationError):
            raw.parse()
        raw = client.chat.completions.with_raw_response.create(**ASKED)
        assert raw.request_id == "req_7"
        with pytest.raises(tokenwire.APIError, match=r"The engine died\."):
            raw.parse()


def test_a_stream_has_no_content() -> None:
    with tokenwire.Client(**memory([ANSWERS["chat-stream"]])) as client:
        raw = client.chat.completions.with_raw_response.create(**ASKED, stream=True)
        with pytest.raises(TypeError, match="parse"):
            _ = raw.content
        raw.parse().close()


def test_retries_are_counted() -> None:
    failed = answer(b"", "503 Service Unavailable")
    with tokenwire.Client(**memory([REQUEST, failed, REQUEST, ANSWERS["chat"]], max_retries=2)) as client:
        assert client.chat.completions.with_raw_response.create(**ASKED).retries_taken == 1


def test_a_raw_stream_that_is_dropped_closes_its_connection() -> None:
    with tokenwire.Client(**memory([ANSWERS["chat-stream"]])) as client:
        raw = client.chat.completions.with_raw_response.create(**ASKED, stream=True)
        (connection,) = client._pools._backend.connections  # type: ignore[union-attr]
        assert not connection.closed
        del raw
        gc.collect()
        assert connection.closed


def test_no_key_is_shown() -> None:
    with tokenwire.Client(**memory([ANSWERS["chat"]])) as client:
        raw = client.chat.completions.with_raw_response.create(**ASKED)
        assert repr(raw) == "<APIResponse [200 OK]>"


def test_async() -> None:
    names = ["chat", "chat-stream", "responses", "responses-stream", "responses", "responses-stream", "responses"]

    async def main() -> None:
        async with tokenwire.AsyncClient(**memory(one_connection(*names))) as client:
            completions, responses = client.chat.completions.with_raw_response, client.responses.with_raw_response
            raw = await completions.create(**ASKED)
            assert raw.parse().to_dict() == COMPLETION
            assert raw.parse()._request_id == raw.request_id == "req_7"
            chunks = await completions.create(**ASKED, stream=True)
            assert (chunks.status_code, chunks.request_id) == (200, "req_8")
            async with chunks.parse() as stream:
                assert [chunk.to_dict() async for chunk in stream] == CHAT[0].sent
            assert (await responses.create(model="m", input="")).parse().to_dict() == RESPONSE
            events = (await responses.create(model="m", input="", stream=True)).parse()
            assert [event.to_dict() async for event in events] == RESPONSES[0].sent
            assert (await responses.retrieve("r1")).parse().to_dict() == RESPONSE
            events = (await responses.retrieve("r1", stream=True, starting_after=3)).parse()
            assert [event.to_dict() async for event in events] == RESPONSES[0].sent
            assert (await responses.cancel("r1")).parse().to_dict() == RESPONSE

    run(main())
