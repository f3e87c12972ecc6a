"""Starlette's StreamingResponse under uvicorn, server-sent events by hand: what vLLM and many others do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

from harness import Call
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from rivals._serving import Chat, Responses, Stage, prompt_of, run_uvicorn

LABEL = "Starlette StreamingResponse, uvicorn"
KIND = "server"
GROUP = "rival"
LOOPS = ("asyncio", "uvloop")
SCENARIOS = ("serve", "serve-paced")
PACKAGES = ("starlette", "uvicorn", "httptools")

EVENT_STREAM = "text/event-stream"


def run(call: Call, listening: Callable[[int], None]) -> None:
    stage = Stage(call)

    async def chat_events(prompt: str) -> AsyncIterator[str]:
        chat = Chat()
        yield f"data: {json.dumps(chat.chunk({'role': 'assistant', 'content': '', 'refusal': None}))}\n\n"
        async for token in stage.tokens(prompt):
            yield f"data: {json.dumps(chat.chunk({'content': token}))}\n\n"
        yield f"data: {json.dumps(chat.chunk({}, 'stop'))}\n\n"
        yield "data: [DONE]\n\n"

    async def response_events(prompt: str) -> AsyncIterator[str]:
        response = Responses()
        for event in response.opening():
            yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
        async for token in stage.tokens(prompt):
            yield f"event: response.output_text.delta\ndata: {json.dumps(response.delta(token))}\n\n"
        for event in response.closing():
            yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"

    async def chat(request: Request) -> StreamingResponse:
        return StreamingResponse(chat_events(prompt_of(await request.json())), media_type=EVENT_STREAM)

    async def responses(request: Request) -> StreamingResponse:
        return StreamingResponse(response_events(prompt_of(await request.json())), media_type=EVENT_STREAM)

    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/responses", responses, methods=["POST"]),
    ]
    run_uvicorn(Starlette(routes=routes), call, listening)
