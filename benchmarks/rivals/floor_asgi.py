"""The floor of serving under uvicorn: the same handler, and one ASGI send of pre-encoded bytes for each token."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import payloads
from harness import Call

from rivals._serving import FIRST, Stage, prompt_of, run_uvicorn, spoken

LABEL = "handler + ASGI send, uvicorn"
KIND = "server"
GROUP = "floor"
LOOPS = ("asyncio", "uvloop")
SCENARIOS = ("serve", "serve-paced")
PACKAGES = ("uvicorn", "httptools")


def event_of(chunk: bytes) -> bytes:
    """The event in an HTTP chunk: uvicorn makes its own."""
    return chunk[chunk.index(b"\r\n") + 2 : -2]


def run(call: Call, listening: Callable[[int], None]) -> None:
    stage = Stage(call)
    words = max(call.tokens, len(payloads.WORDS))
    ticks = map(event_of, payloads.script(call.family, "text", words).ticks)
    events = dict(zip(payloads.pieces_of_prose(words), ticks, strict=True))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"  # uvicorn takes it for an application without a lifespan
        body = b""
        while True:
            event = await receive()
            body += event["body"]
            if not event["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async for token in spoken(stage, prompt_of(json.loads(body))):
            data = events.get(token) or events[FIRST]
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    run_uvicorn(app, call, listening)
