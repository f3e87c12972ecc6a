"""tokenwire.server.serve: one handler, its own connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from harness import Call, run_loop

from rivals._serving import Stage
from tokenwire.server import Request, Serving, serve

LABEL = "tokenwire serve"
KIND = "server"
GROUP = "ours"
LOOPS = ("asyncio", "uvloop", "trio")
SCENARIOS = ("serve", "serve-paced")
PACKAGES = ("tokenwire", "msgspec", "h11", "trio", "uvloop")


def run(call: Call, listening: Callable[[int], None]) -> None:
    stage = Stage(call)

    async def handler(request: Request) -> AsyncIterator[str]:
        async for token in stage.tokens(request.messages[-1].text):
            yield token

    def started(serving: Serving) -> None:
        assert isinstance(serving.address, tuple)
        listening(serving.address[1])

    async def main() -> None:
        await serve(handler, port=0, started=started)

    run_loop(call.loop, main)
