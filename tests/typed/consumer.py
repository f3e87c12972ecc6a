"""What a user's type checker knows of tokenwire. Checked by mypy --strict and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import assert_type

import tokenwire
from tokenwire import APIResponse, AsyncStream, Stream
from tokenwire.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessageParam,
    ChatCompletionMessageToolCall,
    ChatCompletionToolParam,
    ChatCompletionUserMessageParam,
    ChunkChoice,
    CompletionUsage,
    ParsedChatCompletion,
)
from tokenwire.types.responses import (
    ParsedResponse,
    Response,
    ResponseFunctionToolCall,
    ResponseInputParam,
    ResponseStreamEvent,
    ToolParam,
)


@dataclass
class Verse:
    line: str
    feet: int


MESSAGES = [{"role": "user", "content": "One line about the moon."}]

client = tokenwire.Client()
aclient = tokenwire.AsyncClient()


# -- chat completions -----------------------------------------------------------


def chat() -> None:
    whole = client.chat.completions.create(model="m", messages=MESSAGES)
    assert_type(whole, ChatCompletion)
    assert_type(whole.choices[0].message.content, str | None)
    assert_type(whole.usage, CompletionUsage | None)
    again = client.chat.completions.create(
        model="m",
        messages=[{"role": "system", "content": "Be brief."}, whole.choices[0].message],
        stream=False,
        temperature=0.5,
        timeout=3.0,
    )
    assert_type(again, ChatCompletion)

    stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    assert_type(stream, Stream[ChatCompletionChunk])
    with stream:
        for chunk in stream:
            assert_type(chunk, ChatCompletionChunk)
            for choice in chunk.choices:
                assert_type(choice, ChunkChoice)
                assert_type(choice.delta.content, str | None)
                for call in choice.delta.tool_calls or []:
                    assert_type(call.index, int)
    for batch in stream.batches():
        assert_type(batch, list[ChatCompletionChunk])
    for text in stream.text():
        assert_type(text, str)
    assert_type(stream.response.status_code, int)
    assert_type(stream.response.request_id, str | None)
    assert_type(stream.stats, tokenwire.Stats)
    assert_type(stream.snapshot, ChatCompletion | None)

    parsed = client.chat.completions.parse(model="m", messages=MESSAGES, response_format=Verse)
    assert_type(parsed, ParsedChatCompletion[Verse])
    assert_type(parsed.choices[0].message.parsed, Verse | None)
    assert_type(client.chat.completions.parse(model="m", messages=MESSAGES), ParsedChatCompletion[None])

    flag = bool(MESSAGES)
    either = client.chat.completions.create(model="m", messages=MESSAGES, stream=flag)
    assert_type(either, ChatCompletion | Stream[ChatCompletionChunk])


def chat_events() -> None:
    with client.chat.completions.stream(model="m", messages=MESSAGES, response_format=Verse) as stream:
        assert_type(stream, tokenwire.ChatCompletionStream[Verse])
        for event in stream:
            assert_type(event.to_json(), str)
            if event.type == "chunk":
                assert_type(event.chunk, ChatCompletionChunk)
                assert_type(event.choice_index, int | None)
            elif event.type == "content.delta":
                assert_type(event.delta, str)
                assert_type(event.snapshot, str)
            elif event.type == "content.done":
                assert_type(event.content, str)
                assert_type(event.parsed, Verse | None)
            elif event.type == "refusal.delta" or event.type == "reasoning.delta":
                assert_type(event.snapshot, str)
            elif event.type == "refusal.done":
                assert_type(event.refusal, str)
            elif event.type == "reasoning.done":
                assert_type(event.reasoning, str)
            elif event.type == "tool_calls.function.arguments.delta":
                assert_type(event.arguments_delta, str)
            elif event.type == "tool_calls.function.arguments.done":
                assert_type(event.name, str)
                assert_type(event.index, int)
            elif event.type == "logprobs.content.delta" or event.type == "logprobs.content.done":
                assert_type(event.content[0].logprob, float)
            else:
                assert_type(event.refusal[0].token, str)
        final = stream.get_final_completion()
        assert_type(final, ParsedChatCompletion[Verse])
        assert_type(final.choices[0].message.parsed, Verse | None)
        for made in final.choices[0].message.tool_calls or []:
            assert_type(made.function.arguments, str)
        assert_type(stream.current_completion_snapshot, ParsedChatCompletion[Verse])
        assert_type(stream.snapshot, ParsedChatCompletion[Verse])
        assert_type(stream.until_done(), tokenwire.ChatCompletionStream[Verse])

    with client.chat.completions.stream(model="m", messages=MESSAGES, temperature=1) as plain:
        assert_type(plain, tokenwire.ChatCompletionStream[None])
        assert_type(plain.get_final_completion(), ParsedChatCompletion[None])
    with client.chat.completions.stream(
        model="m", messages=MESSAGES, response_format={"type": "json_object"}
    ) as by_schema:
        assert_type(by_schema, tokenwire.ChatCompletionStream[None])


async def async_chat() -> None:
    assert_type(await aclient.chat.completions.create(model="m", messages=MESSAGES), ChatCompletion)
    stream = await aclient.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    assert_type(stream, AsyncStream[ChatCompletionChunk])
    assert_type(stream.snapshot, ChatCompletion | None)
    async with stream:
        async for chunk in stream:
            assert_type(chunk, ChatCompletionChunk)
    async for batch in stream.batches():
        assert_type(batch, list[ChatCompletionChunk])
    async for text in stream.text():
        assert_type(text, str)
    async with aclient.chat.completions.stream(model="m", messages=MESSAGES, response_format=Verse) as helped:
        assert_type(helped, tokenwire.AsyncChatCompletionStream[Verse])
        async for event in helped:
            if event.type == "content.done":
                assert_type(event.parsed, Verse | None)
        assert_type(await helped.get_final_completion(), ParsedChatCompletion[Verse])


# -- responses --------------------------------------------------------------------


def responses() -> None:
    parsed = client.responses.parse(model="m", input="", text_format=Verse)
    assert_type(parsed, ParsedResponse[Verse])
    assert_type(parsed.output_parsed, Verse | None)

    whole = client.responses.create(model="m", input="One line about the moon.")
    assert_type(whole, Response)
    assert_type(whole.output_text, str)
    if whole.usage is not None:
        assert_type(whole.usage.output_tokens_details.reasoning_tokens, int)
    for item in whole.output:
        if item.type == "function_call":
            assert_type(item, ResponseFunctionToolCall)
            assert_type(item.arguments, str)
        elif item.type == "message":
            for part in item.content:
                if part.type == "output_text":
                    assert_type(part.text, str)
                elif part.type == "refusal":
                    assert_type(part.refusal, str)
    client.responses.create(model="m", input=[*MESSAGES, *whole.output], previous_response_id=whole.id)

    stream = client.responses.create(model="m", input=MESSAGES, stream=True)
    assert_type(stream, Stream[ResponseStreamEvent])
    assert_type(stream.snapshot, Response | None)
    for event in stream:
        if event.type == "response.output_text.delta":
            assert_type(event.delta, str)
        elif event.type == "response.completed":
            assert_type(event.response, Response)
        elif event.type == "response.function_call_arguments.done":
            assert_type(event.arguments, str)

    assert_type(client.responses.retrieve("r1"), Response)
    assert_type(client.responses.retrieve("r1", stream=True, starting_after=3), Stream[ResponseStreamEvent])
    assert_type(client.responses.cancel("r1"), Response)


def response_events() -> None:
    with client.responses.stream(model="m", input="Hello", text_format=Verse) as stream:
        assert_type(stream, tokenwire.ResponseStream[Verse])
        for event in stream:
            if event.type == "response.output_text.delta" or event.type == "response.function_call_arguments.delta":
                assert_type(event.snapshot, str)
            elif event.type == "response.output_text.done":
                assert_type(event.parsed, Verse | None)
            elif event.type == "response.completed":
                assert_type(event.response, ParsedResponse[Verse])
                assert_type(event.response.output_parsed, Verse | None)
            elif event.type == "response.failed":
                assert_type(event.response, Response)
        final = stream.get_final_response()
        assert_type(final, ParsedResponse[Verse])
        assert_type(final.output_parsed, Verse | None)
        assert_type(final.output_text, str)
        assert_type(stream.snapshot, Response)
    with client.responses.stream(model="m", input="Hello") as plain:
        assert_type(plain.get_final_response(), ParsedResponse[None])


async def async_responses() -> None:
    assert_type(await aclient.responses.create(model="m", input="Hello"), Response)
    stream = await aclient.responses.create(model="m", input="Hello", stream=True)
    assert_type(stream, AsyncStream[ResponseStreamEvent])
    assert_type(stream.snapshot, Response | None)
    async with aclient.responses.stream(model="m", input="Hello", text_format=Verse) as helped:
        assert_type(helped, tokenwire.AsyncResponseStream[Verse])
        async for event in helped:
            if event.type == "response.completed":
                assert_type(event.response.output_parsed, Verse | None)
        assert_type(await helped.get_final_response(), ParsedResponse[Verse])
    assert_type(await aclient.responses.retrieve("r1"), Response)
    assert_type(await aclient.responses.retrieve("r1", stream=True), AsyncStream[ResponseStreamEvent])
    assert_type(await aclient.responses.cancel("r1"), Response)


# -- what is asked, annotated ---------------------------------------------------------


def annotated() -> None:
    messages: list[ChatCompletionMessageParam] = [{"role": "system", "content": "Be brief."}]
    messages.append(ChatCompletionUserMessageParam(role="user", content="Hello"))
    tools: list[ChatCompletionToolParam] = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    assert_type(
        client.chat.completions.create(model="m", messages=messages, tools=tools, stream=True),
        Stream[ChatCompletionChunk],
    )
    asked: ResponseInputParam = [{"role": "user", "content": "Hello"}]
    called: list[ToolParam] = [{"type": "web_search"}]
    assert_type(client.responses.create(model="m", input=asked, tools=called), Response)

    def answers(calls: list[ChatCompletionMessageToolCall]) -> list[ChatCompletionMessageParam]:
        return [{"role": "tool", "tool_call_id": call.id, "content": call.function.arguments} for call in calls]

    assert_type(answers([]), list[ChatCompletionMessageParam])


# -- raw responses ------------------------------------------------------------------


async def raw(flag: bool) -> None:
    answer = client.chat.completions.with_raw_response.create(model="m", messages=MESSAGES)
    assert_type(answer, APIResponse[ChatCompletion])
    assert_type(answer.parse(), ChatCompletion)
    assert_type(answer.headers["x-request-id"], str)
    assert_type(answer.request_id, str | None)
    streamed = client.chat.completions.with_raw_response.create(model="m", messages=MESSAGES, stream=True)
    assert_type(streamed.parse(), Stream[ChatCompletionChunk])
    assert_type(client.responses.with_raw_response.create(model="m", input="Hello").parse(), Response)
    assert_type(client.responses.with_raw_response.retrieve("r1", stream=True).parse(), Stream[ResponseStreamEvent])
    either = client.responses.with_raw_response.retrieve("r1", stream=flag).parse()
    assert_type(either, Response | Stream[ResponseStreamEvent])
    aeither = (await aclient.responses.with_raw_response.retrieve("r1", stream=flag)).parse()
    assert_type(aeither, Response | AsyncStream[ResponseStreamEvent])
    later = await aclient.chat.completions.with_raw_response.create(model="m", messages=MESSAGES, stream=True)
    assert_type(later.parse(), AsyncStream[ChatCompletionChunk])
    assert_type((await aclient.responses.with_raw_response.cancel("r1")).parse(), Response)


# -- the rest -------------------------------------------------------------------------


def the_rest() -> None:
    other = client.with_options(max_retries=0, timeout=None)
    assert_type(other, tokenwire.Client)
    try:
        other.responses.create(model="m", input="Hello")
    except tokenwire.APIStatusError as error:
        assert_type(error.status_code, int)
        assert_type(error.response.headers.get("retry-after"), str | None)
    except tokenwire.StreamTruncatedError as error:
        assert_type(error.message, str)


async def good(request: tokenwire.server.Request) -> AsyncIterator[tokenwire.server.Token]:
    yield request.prompt


async def whole_text(request: tokenwire.server.Request) -> str:
    return request.prompt


async def served() -> None:
    await tokenwire.server.serve(good)
    await tokenwire.server.serve(whole_text)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - no tokens
