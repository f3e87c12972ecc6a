"""The official Python client, unmodified, over real sockets: against our own server and under uvicorn."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import openai
import pydantic
import pytest
import trustme

import tokenwire
from support.asgi_servers import ENDPOINTS, endpoint
from support.served import PATIENCE, serving
from tokenwire.server import Reasoning, Refusal, Request, RequestError, recite
from tokenwire.server.recite import MODEL, pick

PROMPT = "Write a poem about the moon."
MESSAGES: list[Any] = [{"role": "user", "content": PROMPT}]
POEM = pick(PROMPT).text


@pytest.fixture(scope="module", params=ENDPOINTS)
def client(request: pytest.FixtureRequest) -> Iterator[openai.OpenAI]:
    with (
        endpoint(request.param, recite) as url,
        openai.OpenAI(api_key="key", base_url=url, max_retries=0) as client,
    ):
        yield client


def test_chat(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="m", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == POEM
    assert {chunk.model for chunk in chunks} == {MODEL}
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    whole = client.chat.completions.create(model="m", messages=MESSAGES)
    assert whole.choices[0].message.content == POEM
    assert whole.usage == chunks[-1].usage


def test_chat_helper(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == final.choices[0].message.content == POEM


def test_responses(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="m", input=PROMPT, stream=True))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == POEM
    assert [event.sequence_number for event in events] == list(range(len(events)))
    whole = client.responses.create(model="m", input=[{"type": "message", "role": "user", "content": PROMPT}])
    assert (whole.output_text, whole.model, whole.status) == (POEM, MODEL, "completed")
    assert whole.usage is not None
    assert whole.usage.total_tokens == whole.usage.input_tokens + whole.usage.output_tokens


def test_responses_helper(client: openai.OpenAI) -> None:
    with client.responses.stream(model="m", input=PROMPT) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == final.output_text == POEM


class Answer(pydantic.BaseModel):
    title: str
    lines: list[str]
    stars: int | None


def test_structured_output(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="m", messages=MESSAGES, response_format=Answer) as stream:
        completion = stream.get_final_completion()
    parsed = completion.choices[0].message.parsed
    assert isinstance(parsed, Answer)
    with client.responses.stream(model="m", input=PROMPT, text_format=Answer) as stream2:
        assert stream2.get_final_response().output_parsed == parsed
    assert client.responses.parse(model="m", input=PROMPT, text_format=Answer).output_parsed == parsed


class LookUp(pydantic.BaseModel):
    word: str
    count: int


def test_tool_calls(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="m",
        messages=MESSAGES,
        tools=[openai.pydantic_function_tool(LookUp)],
        tool_choice="required",
    ) as stream:
        completion = stream.get_final_completion()
    (call,) = completion.choices[0].message.tool_calls or ()
    assert completion.choices[0].finish_reason == "tool_calls"
    assert isinstance(call.function.parsed_arguments, LookUp)
    tool: Any = {
        "type": "function",
        "name": "LookUp",
        "parameters": LookUp.model_json_schema(),
        "strict": False,
    }
    with client.responses.stream(
        model="m", input=PROMPT, tools=[tool], tool_choice={"type": "function", "name": "LookUp"}
    ) as stream2:
        (item,) = stream2.get_final_response().output
    assert item.type == "function_call"
    assert LookUp(**json.loads(item.arguments)) == call.function.parsed_arguments


def test_length_and_reasoning(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="m", messages=MESSAGES, max_completion_tokens=3)
    assert whole.choices[0].finish_reason == "length"
    response = client.responses.create(model="m", input=PROMPT, reasoning={"effort": "low"})
    assert [item.type for item in response.output] == ["reasoning", "message"]
    events = list(client.responses.create(model="m", input=PROMPT, max_output_tokens=3, stream=True))
    assert events[-1].type == "response.incomplete"


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("openai/gpt-4.1-mini")


def test_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="m", messages=MESSAGES, n=2)
    assert (caught.value.param, caught.value.code) == ("n", "integer_above_max_value")
    with pytest.raises(openai.BadRequestError, match="pattern"):
        client.responses.create(
            model="m",
            input=PROMPT,
            stream=True,
            text={
                "format": {"type": "json_schema", "name": "x", "schema": {"type": "string", "pattern": "x"}}
            },
        )


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_failures_refusals_and_leaving(kind: str) -> None:
    left = threading.Event()

    async def handler(request: Request) -> AsyncIterator[Any]:
        assert request.clock is not None
        if request.prompt == "fail":
            yield "some"
            raise RequestError(503, "Overloaded.", code="overloaded")
        if request.prompt == "refuse":
            yield Reasoning("hm")
            yield Refusal("No.")
            return
        try:
            while True:
                yield "more "
                await request.clock.sleep(0.001)
        finally:
            left.set()

    def ask(prompt: str) -> list[Any]:
        return [{"role": "user", "content": prompt}]

    with (
        endpoint(kind, handler) as url,
        openai.OpenAI(api_key="key", base_url=url, max_retries=0) as client,
    ):
        stream = client.chat.completions.create(model="m", messages=ask("fail"), stream=True)
        with pytest.raises(openai.APIError, match="Overloaded") as caught:
            list(stream)
        assert caught.value.code == "overloaded"
        *_, error, failed = client.responses.create(model="m", input="fail", stream=True)
        assert (error.type, failed.type) == ("error", "response.failed")
        with client.chat.completions.stream(model="m", messages=ask("refuse")) as helper:
            assert helper.get_final_completion().choices[0].message.refusal == "No."
        with client.chat.completions.stream(model="m", messages=ask("go on")) as helper:
            for event in helper:
                if event.type == "content.delta":
                    break
        assert left.wait(PATIENCE)


@pytest.mark.parametrize("kind", ENDPOINTS)
@pytest.mark.parametrize("library", [openai, tokenwire], ids=["official", "ours"])
def test_a_stream_that_is_cancelled_meanwhile(kind: str, library: Any) -> None:
    async def handler(request: Request) -> AsyncIterator[Any]:
        assert request.clock is not None
        yield "Hello"
        await request.clock.sleep(3600)

    with (
        endpoint(kind, handler) as url,
        library.OpenAI(api_key="key", base_url=url, max_retries=0) as client,
    ):
        events = []
        for event in client.responses.create(model="m", input="x", background=True, stream=True):
            events.append(event)
            if event.type == "response.output_text.delta":
                assert client.responses.cancel(events[0].response.id).status == "cancelled"
        # Not one of the official types; and yet it comes through, and ends the stream.
        assert events[-1].type == "response.cancelled"
        assert client.responses.retrieve(events[0].response.id).output_text == "Hello"


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_in_the_background(kind: str) -> None:
    begun, ended, go_on = threading.Event(), threading.Event(), threading.Event()

    async def handler(request: Request) -> AsyncIterator[Any]:
        assert request.clock is not None
        if request.prompt == "last":
            begun.set()
        try:
            yield "Hello"
            while not go_on.is_set():
                await request.clock.sleep(0.001)
            yield " world"
        finally:
            ended.set()

    with (
        endpoint(kind, handler) as url,
        openai.OpenAI(api_key="key", base_url=url, max_retries=0) as client,
    ):
        with client.responses.create(model="m", input="x", background=True, stream=True) as stream:
            for event in stream:
                if event.type == "response.created":
                    id = event.response.id
                if event.type == "response.output_text.delta":
                    break
        assert client.responses.retrieve(id).status == "in_progress"
        resumed = client.responses.retrieve(id, stream=True, starting_after=event.sequence_number)
        go_on.set()
        rest = list(resumed)
        assert [one.sequence_number for one in rest] == list(
            range(event.sequence_number + 1, event.sequence_number + 1 + len(rest))
        )
        assert rest[-1].type == "response.completed"
        with tokenwire.Client(api_key="key", base_url=url, max_retries=0) as ours:
            for either in (client, ours):  # nothing is left: that is no cut
                assert list(either.responses.retrieve(id, stream=True, starting_after=rest[-1].sequence_number)) == []
        with client.responses.stream(response_id=id, starting_after=0) as helper:
            assert helper.get_final_response().output_text == "Hello world"
        assert client.responses.retrieve(id).output_text == "Hello world"
        go_on.clear()
        queued = client.responses.create(model="m", input="x", background=True)
        assert queued.status == "queued"
        assert client.responses.cancel(queued.id).status == "cancelled"
        assert client.responses.retrieve(queued.id).status == "cancelled"
        with pytest.raises(openai.NotFoundError, match="not found"):
            client.responses.retrieve("resp_nothing")
        client.responses.create(model="m", input="last", background=True)
        assert begun.wait(PATIENCE)
        ended.clear()
    assert ended.is_set()  # no handler outlives its endpoint


def test_many_at_once() -> None:
    async def main(url: str) -> list[str]:
        async with openai.AsyncOpenAI(api_key="key", base_url=url, max_retries=0) as client:

            async def one(number: int) -> str:
                said = ""
                stream = await client.responses.create(model="m", input=f"{number} moons", stream=True)
                async for event in stream:
                    if event.type == "response.output_text.delta":
                        said += event.delta
                return said

            return await asyncio.gather(*(one(number) for number in range(20)))

    for backend in ("asyncio", "trio"):
        with serving(recite, backend=backend) as server:
            assert asyncio.run(main(server.url)) == [pick(f"{number} moons").text for number in range(20)]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_tls(backend: str) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with (
        serving(recite, backend=backend, ssl_context=context) as server,
        openai.OpenAI(
            api_key="key", base_url=server.url, max_retries=0, http_client=httpx2.Client(verify=trusting)
        ) as client,
    ):
        assert server.url.startswith("https://127.0.0.1:")
        for _ in range(10):
            chunks = list(client.chat.completions.create(model="m", messages=MESSAGES, stream=True))
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == POEM
