"""Consuming the official SDK's surface. openai and tokenwire share it, so this is the same code for both."""

from __future__ import annotations

from typing import Any

from harness import MODEL, PROMPT, Call, Lap, Tally
from pydantic import BaseModel


class Harbour(BaseModel):
    name: str
    depth: int
    open: bool


class Harbours(BaseModel):
    """What payloads.pieces_of_json is the JSON of."""

    items: list[Harbour]


MESSAGES = [{"role": "user", "content": PROMPT}]


def deltas(call: Call) -> str:
    """The type of the Responses events that carry the text."""
    return "response.function_call_arguments.delta" if call.kind == "tools" else "response.output_text.delta"


async def create(client: Any, call: Call, lap: Lap) -> Tally:
    """`create(stream=True)`, either family."""
    tokens = chars = 0
    if call.family == "responses":
        wanted = deltas(call)
        events = aiter(await client.responses.create(model=MODEL, input=PROMPT, stream=True))
        await anext(events)
        lap.open()
        async for event in events:
            if event.type == wanted:
                tokens += 1
                chars += len(event.delta)
    else:
        chunks = aiter(await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
        await anext(chunks)
        lap.open()
        if call.kind == "tools":
            async for chunk in chunks:
                for choice in chunk.choices:
                    for tool_call in choice.delta.tool_calls or ():
                        if tool_call.function and (piece := tool_call.function.arguments):
                            tokens += 1
                            chars += len(piece)
        else:
            async for chunk in chunks:
                if chunk.choices and (text := chunk.choices[0].delta.content):
                    tokens += 1
                    chars += len(text)
    lap.close()
    return Tally(tokens, chars)


def create_sync(client: Any, call: Call, lap: Lap) -> Tally:
    """`create(stream=True)` of the blocking client."""
    tokens = chars = 0
    if call.family == "responses":
        wanted = deltas(call)
        events = iter(client.responses.create(model=MODEL, input=PROMPT, stream=True))
        next(events)
        lap.open()
        for event in events:
            if event.type == wanted:
                tokens += 1
                chars += len(event.delta)
    else:
        chunks = iter(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
        next(chunks)
        lap.open()
        for chunk in chunks:
            if chunk.choices and (text := chunk.choices[0].delta.content):
                tokens += 1
                chars += len(text)
    lap.close()
    return Tally(tokens, chars)


async def helper(client: Any, call: Call, lap: Lap, tool: Any = None) -> Tally:
    """The `.stream()` helper: its events, and the whole answer at the end.

    tool: what makes a tool of a pydantic class. The snapshots scenario also reads the
    accumulated text beside each delta.
    """
    options: dict[str, Any] = {}
    tokens = chars = seen = 0
    snapshots = call.scenario == "snapshots"
    if call.family == "responses":
        if call.kind == "json":
            options["text_format"] = Harbours
        elif call.kind == "tools":
            options["tools"] = [tool(Harbours, name="list_harbours")]
        wanted = deltas(call)
        async with client.responses.stream(model=MODEL, input=PROMPT, **options) as stream:
            events = aiter(stream)
            await anext(events)
            lap.open()
            async for event in events:
                if event.type == wanted:
                    tokens += 1
                    chars += len(event.delta)
                    if snapshots:
                        seen = len(event.snapshot)
            final = await stream.get_final_response()
            text = final.output[0].arguments if call.kind == "tools" else final.output_text
            parsed = final.output_parsed if call.kind == "json" else None
    else:
        if call.kind == "json":
            options["response_format"] = Harbours
        elif call.kind == "tools":
            options["tools"] = [tool(Harbours, name="list_harbours")]
        async with client.chat.completions.stream(model=MODEL, messages=MESSAGES, **options) as stream:
            events = aiter(stream)
            await anext(events)
            lap.open()
            if call.kind == "tools":
                async for event in events:
                    if event.type == "tool_calls.function.arguments.delta" and event.arguments_delta:
                        tokens += 1
                        chars += len(event.arguments_delta)
            else:
                async for event in events:
                    if event.type == "content.delta" and event.delta:
                        tokens += 1
                        chars += len(event.delta)
                        if snapshots:
                            seen = len(event.snapshot)
            message = (await stream.get_final_completion()).choices[0].message
            text = message.tool_calls[0].function.arguments if call.kind == "tools" else message.content
            parsed = message.parsed if call.kind == "json" else None
    lap.close()
    assert text == call.script.text, "the accumulated answer is not what the origin sent"
    assert not snapshots or seen == len(text)
    assert call.kind != "json" or isinstance(parsed, Harbours)
    return Tally(tokens, chars)
