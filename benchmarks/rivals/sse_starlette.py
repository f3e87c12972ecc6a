"""sse-starlette under uvicorn: EventSourceResponse over a generator of dicts, as its README shows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from harness import Call
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from rivals._serving import Chat, Responses, Stage, prompt_of, run_uvicorn

LABEL = "sse-starlette, uvicorn"
KIND = "server"
GROUP = "rival"
LOOPS = ("asyncio", "uvloop")
SCENARIOS = ("serve", "serve-paced")
PACKAGES = ("sse-starlette", "starlette", "uvicorn", "httptools")


def run(call: Call, listening: Callable[[int], None]) -> None:
    stage = Stage(call)

    async def chat_events(prompt: str) -> AsyncIterator[dict[str, Any]]:
        chat = Chat()
        yield {"data": json.dumps(chat.chunk({"role": "assistant", "content": "", "refusal": None}))}
        async for token in stage.tokens(prompt):
            yield {"data": json.dumps(chat.chunk({"content": token}))}
        yield {"data": json.dumps(chat.chunk({}, "stop"))}
        yield {"data": "[DONE]"}

    async def response_events(prompt: str) -> AsyncIterator[dict[str, Any]]:
        response = Responses()
        for event in response.opening():
            yield {"event": event["type"], "data": json.dumps(event)}
        async for token in stage.tokens(prompt):
            yield {"event": "response.output_text.delta", "data": json.dumps(response.delta(token))}
        for event in response.closing():
            yield {"event": event["type"], "data": json.dumps(event)}

    async def chat(request: Request) -> EventSourceResponse:
        return EventSourceResponse(chat_events(prompt_of(await request.json())))

    async def responses(request: Request) -> EventSourceResponse:
        return EventSourceResponse(response_events(prompt_of(await request.json())))

    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/responses", responses, methods=["POST"]),
    ]
    run_uvicorn(Starlette(routes=routes), call, listening)
