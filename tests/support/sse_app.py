"""A model behind Starlette, served as two kinds of servers do it: by sse-starlette's defaults, and as vLLM does.

/sse/...: EventSourceResponse, with CRLF line ends and its pings, which come here between any two events and not each
15 seconds. /raw/...: a bare StreamingResponse. The prompt "fail" breaks in the midst.
"""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import anyio
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

WORDS = ("Slow", "ly, ", "silent", "ly, now ", "the moon \N{CRESCENT MOON}", " walks the night")
TEXT = "".join(WORDS)


def chat(words: tuple[str, ...] = WORDS) -> list[dict[str, Any]]:
    """The chunks of a chat completion."""

    def one(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}

    return [one({"role": "assistant", "content": ""}), *(one({"content": word}) for word in words), one({}, "stop")]


def responses(words: tuple[str, ...] = WORDS) -> list[dict[str, Any]]:
    """The events of a response."""
    answer = {"id": "r", "object": "response", "status": "in_progress", "output": []}
    message = {"id": "i", "type": "message", "role": "assistant", "status": "completed"}
    whole = {**message, "content": [{"type": "output_text", "text": "".join(words), "annotations": []}]}
    where = {"item_id": "i", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": answer},
        {"type": "response.output_item.added", "output_index": 0, "item": {**message, "content": []}},
        *({"type": "response.output_text.delta", **where, "delta": word} for word in words),
        {"type": "response.output_item.done", "output_index": 0, "item": whole},
        {"type": "response.completed", "response": {**answer, "status": "completed", "output": [whole]}},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


async def _events(asked: dict[str, Any]) -> AsyncGenerator[tuple[str | None, str], None]:
    """(name or None, data) of each."""
    is_chat = "messages" in asked
    found = chat() if is_chat else responses()
    failing = "fail" in json.dumps(asked)
    for number, event in enumerate(found):
        if number == 3:
            await anyio.sleep(0.001)  # what came goes out by itself
            if failing:
                raise ZeroDivisionError("as it was asked to")
        yield event.get("type"), json.dumps(event, ensure_ascii=False)
    if is_chat:
        yield None, "[DONE]"


async def by_sse_starlette(request: Request) -> Response:
    asked = await request.json()

    async def found() -> AsyncIterator[dict[str, str]]:
        number = 0
        async with contextlib.aclosing(_events(asked)) as events:
            async for name, data in events:
                number += 1
                yield {"data": data, "id": str(number), **({} if name is None else {"event": name})}
                yield {"comment": f"ping - {datetime.datetime.now(datetime.UTC)}"}

    return EventSourceResponse(found())


async def by_hand(request: Request) -> Response:
    asked = await request.json()

    async def found() -> AsyncIterator[str]:
        async with contextlib.aclosing(_events(asked)) as events:
            async for name, data in events:
                yield f"data: {data}\n\n" if name is None else f"event: {name}\ndata: {data}\n\n"

    return StreamingResponse(found(), media_type="text/event-stream")


app = Starlette(
    routes=[
        Route(f"/{kind}/{path}", endpoint, methods=["POST"])
        for kind, endpoint in (("sse", by_sse_starlette), ("raw", by_hand))
        for path in ("chat/completions", "responses")
    ]
)
