"""tokenwire.server.asgi under uvicorn: the same handler as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from harness import Call

from rivals._serving import Stage, run_uvicorn
from tokenwire.server import Request, asgi

LABEL = "tokenwire asgi, uvicorn"
KIND = "server"
GROUP = "ours"
LOOPS = ("asyncio", "uvloop")
SCENARIOS = ("serve", "serve-paced")
PACKAGES = ("tokenwire", "msgspec", "uvicorn", "httptools")


def run(call: Call, listening: Callable[[int], None]) -> None:
    stage = Stage(call)

    async def handler(request: Request) -> AsyncIterator[str]:
        async for token in stage.tokens(request.messages[-1].text):
            yield token

    run_uvicorn(asgi(handler), call, listening)
