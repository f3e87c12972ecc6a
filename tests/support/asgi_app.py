"""Applications for the tests under real ASGI servers. What they saw is asked for over HTTP, as all else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from tokenwire.server import Reasoning, Request, RequestError, ServerLimits, ToolCall, Usage, asgi

ended: list[str] = []  # the prompts whose handlers have ended
produced: list[int] = []  # sizes of the flood's tokens


async def handler(request: Request) -> AsyncIterator[Any]:
    """What the prompt says."""
    clock = request.clock
    assert clock is not None
    what, _, name = request.prompt.partition(" ")
    try:
        if what == "hello":
            yield "Hello"
            await clock.sleep(0)
            yield " world"
            yield Usage(3, 2)
        elif what == "library":
            yield type(clock).__name__
        elif what == "tool":
            yield Reasoning("hm")
            yield ToolCall("look_up", '{"word": ')
            yield ToolCall(None, '"moon"}')
        elif what == "fail":
            yield "some"
            raise RequestError(503, "Overloaded.", code="overloaded")
        elif what == "refuse":
            raise RequestError(429, "Slow down.", headers={"Retry-After": "7"})
        elif what == "break":
            raise ZeroDivisionError("secret")
        elif what == "forever":
            yield "x"
            await clock.sleep(3600)
        elif what == "silence":
            await clock.sleep(3600)
        elif what == "flood":
            for _ in range(100_000):
                yield "x" * 1000
                produced.append(1000)
        elif what == "produced":
            yield str(len(produced))
        elif what == "ended":
            while name not in ended:
                await clock.sleep(0.001)
            yield "yes"
    finally:
        ended.append(request.prompt)


limits = ServerLimits(body_bytes=10_000, pending_bytes=10_000, keep_alive=0.05)
app = asgi(handler, models=["a", "b/c"], limits=limits)


async def other(request: StarletteRequest) -> PlainTextResponse:
    return PlainTextResponse("other")


mounted = Starlette(routes=[Route("/other", other), Mount("/llm", app)])
