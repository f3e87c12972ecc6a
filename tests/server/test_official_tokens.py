"""What a handler yields, as the official Python client's types and accumulators have it.

Each event must be valid for its own type there, and what its stream helpers add up must be the
object that `stream=False` brings.
"""

from __future__ import annotations

import json
import typing
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from support.served import CHAT, RESPONSES, RawClient, payloads, serving
from tokenwire.server import Finish, Reasoning, Refusal, Request, Text, ToolCall, Usage

USAGE = Usage(7, 20, reasoning_tokens=5, cached_tokens=3)

ANSWERS: dict[str, list[Any]] = {
    "text": ["Hello", " ", "world"],
    "nothing": [],
    "reasoning": [Reasoning("I "), Reasoning("think"), "Hello"],
    "summary": [Reasoning("In ", summary=True), Reasoning("short", summary=True), "Hello"],
    "both reasonings": [Reasoning("Long"), Reasoning("Short", summary=True), Text("Hello")],
    "refusal": [Refusal("I "), Refusal("won't.")],
    "half refused": ["Well, ", Refusal("no.")],
    "a call": [ToolCall("look_up"), ToolCall(arguments='{"word":'), ToolCall(arguments=' "moon"}')],
    "two calls": [
        "Let me see.",
        ToolCall("look_up", '{"word": "moon"}', id="call_a"),
        ToolCall("look_up", id="call_b"),
        ToolCall(arguments='{"word": "sun"}'),
    ],
    "cut off": ["Hel", Finish("length")],
    "filtered": ["Hel", Finish("content_filter")],
    "everything": [
        Reasoning("Hm."),
        "Hello",
        ToolCall("look_up", '{"word": "moon"}', id="call_a"),
        Finish("tool_calls"),
        Usage(1, 1),
        USAGE,
    ],
}

TOOL: Any = {
    "type": "function",
    "function": {
        "name": "look_up",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"word": {"type": "string"}},
            "required": ["word"],
            "additionalProperties": False,
        },
    },
}
RESPONSES_TOOL: Any = {"type": "function", **TOOL["function"]}

ANSWERED = pytest.mark.parametrize("answer", ANSWERS)


async def handler(request: Request) -> AsyncIterator[Any]:
    answer = ANSWERS[request.prompt]
    for token in answer:
        yield token
    if not any(isinstance(token, Usage) for token in answer):
        yield USAGE


#: The official events by their types. Each class by itself: the union of all takes seconds to build.
EVENTS = {
    typing.get_args(model.model_fields["type"].annotation)[0]: model
    for model in typing.get_args(typing.get_args(ResponseStreamEvent)[0])
}


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with serving(handler, backend="asyncio", model="mine") as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="key", base_url=server.url, max_retries=0) as client:
        yield client


def asked(answer: str) -> list[Any]:
    return [{"role": "user", "content": answer}]


def events(server: Any, target: str, body: dict[str, Any]) -> list[Any]:
    with RawClient(server) as raw:
        raw.ask("POST", target, body)
        return payloads(raw.answer()[1])


def without(found: Any, *names: str) -> Any:
    """The same without what differs from one answer to another, and what is not there."""
    if isinstance(found, dict):
        return {
            name: without(value, *names)
            for name, value in found.items()
            if name not in names and value is not None and value != ""
        }
    return [without(item, *names) for item in found] if isinstance(found, list) else found


@ANSWERED
def test_chat_chunks_are_valid(server: Any, answer: str) -> None:
    body = {**CHAT, "messages": asked(answer), "stream_options": {"include_usage": True}}
    found = events(server, "/chat/completions", body)
    for chunk in found:
        ChatCompletionChunk.model_validate(chunk)
    assert [chunk["usage"] for chunk in found[:-1]] == [None] * (len(found) - 1)
    assert (found[-1]["choices"], found[-1]["usage"]["completion_tokens"]) == ([], 20)
    for chunk in events(server, "/chat/completions", {**CHAT, "messages": asked(answer)}):
        assert "usage" not in chunk
        assert chunk["choices"]


@ANSWERED
def test_chat_adds_up(client: openai.OpenAI, answer: str) -> None:
    whole = client.chat.completions.create(model="m", messages=asked(answer), tools=[TOOL])
    with client.chat.completions.stream(
        model="m", messages=asked(answer), tools=[TOOL], stream_options={"include_usage": True}
    ) as stream:
        try:
            for _ in stream:
                pass
            final = stream.get_final_completion()
        except (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError):
            assert answer in ("cut off", "filtered")  # the helper's own way to tell of it
            return
    # The helper parses arguments and numbers calls; and it has None, or "", for what was not said.
    names = ("id", "created", "parsed", "parsed_arguments", "index")
    assert without(final.to_dict(), *names) == without(whole.to_dict(), *names)
    assert whole.usage is not None
    assert whole.usage.completion_tokens_details is not None
    assert whole.usage.completion_tokens_details.reasoning_tokens == 5


@ANSWERED
@pytest.mark.parametrize("background", [False, True])
def test_responses_events_are_valid(server: Any, answer: str, background: bool) -> None:
    body = {**RESPONSES, "input": answer, "background": background, "tools": [RESPONSES_TOOL]}
    found = events(server, "/responses", body)
    for event in found:
        assert EVENTS[event["type"]].model_validate(event).to_dict() == event
    assert [event["sequence_number"] for event in found] == list(range(len(found)))


@ANSWERED
def test_responses_are_well_nested(server: Any, answer: str) -> None:
    """Every item and part is added, grows, and is done, before the next; and the last event has them all."""
    first, second, *found, last = events(server, "/responses", {**RESPONSES, "input": answer})
    assert (first["type"], second["type"]) == ("response.created", "response.in_progress")
    items: list[Any] = []
    item: Any = None
    part: Any = None
    said = ""
    for event in found:
        kind = event["type"].removeprefix("response.")
        if kind == "output_item.added":
            assert item is None
            assert event["output_index"] == len(items)
            item, parts = event["item"], []
            assert item["status"] == "in_progress"
            continue
        assert event["output_index"] == len(items)
        if kind == "output_item.done":
            assert part is None
            assert event["item"]["id"] == item["id"]
            if item["type"] == "function_call":
                assert event["item"]["arguments"] == said
            else:
                assert event["item"].get("summary", []) + event["item"]["content"] == parts or (
                    event["item"]["content"] + event["item"]["summary"] == parts
                )
            items.append(event["item"])
            item, said = None, ""
            continue
        assert event["item_id"] == item["id"]
        if kind.endswith("part.added"):
            assert part is None
            part, said = event["part"], ""
        elif kind.endswith("part.done"):
            parts.append(event["part"])
            assert event["part"]["type"] == part["type"]
            assert said in (event["part"].get("text"), event["part"].get("refusal"))
            part = None
        elif kind.endswith(".delta"):
            said += event["delta"]
        else:
            assert kind.endswith(".done")
            assert said in (event.get("text"), event.get("refusal"), event.get("arguments"))
    assert item is None
    assert last["response"]["output"] == items
    assert last["type"] == (
        "response.incomplete" if answer in ("cut off", "filtered") else "response.completed"
    )


@ANSWERED
def test_responses_add_up(client: openai.OpenAI, server: Any, answer: str) -> None:
    whole = client.responses.create(model="m", input=answer, tools=[RESPONSES_TOOL])
    Response.model_validate(whole.to_dict())
    with client.responses.stream(model="m", input=answer, tools=[RESPONSES_TOOL]) as stream:
        for event in stream:
            last: Any = event
        # It has no final response for what is incomplete.
        final = last.response if answer in ("cut off", "filtered") else stream.get_final_response()
    names = ("id", "call_id", "created_at", "parsed", "parsed_arguments")
    assert without(json.loads(final.to_json()), *names) == without(json.loads(whole.to_json()), *names)
    assert whole.usage is not None
    assert whole.usage.input_tokens_details.cached_tokens == 3
    assert whole.usage.output_tokens_details.reasoning_tokens == 5
