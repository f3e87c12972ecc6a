"""The floor of serving under asyncio: the same handler, and one transport.write of pre-encoded bytes for each token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import cast

import payloads
from harness import Call, run_loop

from rivals._serving import FIRST, Stage, listener, port_of, prompt_of, spoken

LABEL = "handler + transport.write"
KIND = "server"
GROUP = "floor"
LOOPS = ("asyncio", "uvloop")
SCENARIOS = ("serve", "serve-paced")
PACKAGES = ("uvloop",)


def run(call: Call, listening: Callable[[int], None]) -> None:
    stage = Stage(call)
    script = payloads.script(call.family, "text", call.tokens)
    words = max(call.tokens, len(payloads.WORDS))
    ticks = dict(zip(payloads.pieces_of_prose(words), payloads.script(call.family, "text", words).ticks, strict=True))

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by name
            self.resumed = asyncio.Event()
            self.resumed.set()

        def data_received(self, data: bytes) -> None:
            body = json.loads(data[data.index(b"\r\n\r\n") + 4 :])
            self.task = asyncio.get_running_loop().create_task(self.answer(prompt_of(body)))

        def pause_writing(self) -> None:
            self.resumed.clear()

        def resume_writing(self) -> None:
            self.resumed.set()

        async def answer(self, prompt: str) -> None:
            write, resumed = self.transport.write, self.resumed
            write(script.opening)
            async for token in spoken(stage, prompt):
                if not resumed.is_set():
                    await resumed.wait()
                write(ticks.get(token) or ticks[FIRST])
            write(script.closing)

    async def main() -> None:
        sock = listener()
        server = await asyncio.get_running_loop().create_server(Server, sock=sock)
        listening(port_of(sock))
        await server.serve_forever()

    run_loop(call.loop, main)
