"""What every server of the serve scenarios does: the same handler, and for those who have no sessions the same JSON.

A handler says one token, waits until all streams are open and the client says GO (by a
request whose prompt is that), and then says the rest: as fast as it can, or one at each step
of an engine, which gives one token to each stream of its batch, as inference engines do.
"""

from __future__ import annotations

import importlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import payloads
from harness import GO, MODEL, Call

FIRST = payloads.WORDS[0]  # the token that opens a stream
FIRST_TICK = 0.02  # seconds between GO and the first paced token


def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=2048)


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


class Stage:
    """The handler's side of one run."""

    def __init__(self, call: Call) -> None:
        self._pieces = payloads.pieces_of_prose(call.tokens)
        self._interval = call.interval_us / 1e6
        self._loop: Any = importlib.import_module("trio" if call.loop == "trio" else "asyncio")
        self._go: Any = None  # events, made on the loop that they are for
        self._step: Any = None
        self._steps = 0  # taken

    async def tokens(self, prompt: str) -> AsyncIterator[str]:
        """What the model says to this prompt."""
        if prompt == GO:
            await self._lead()
            yield prompt
            return
        if self._go is None:
            self._go, self._step, self._steps = self._loop.Event(), self._loop.Event(), 0
        yield FIRST
        await self._go.wait()
        if not self._interval:
            for piece in self._pieces:
                yield piece
            return
        for number, piece in enumerate(self._pieces):
            while self._steps <= number:
                await self._step.wait()
            yield piece

    async def _lead(self) -> None:
        """Let all streams go on and, where they are paced, take the engine's steps."""
        go, self._go = self._go, None
        go.set()
        if not self._interval:
            return
        due = time.monotonic() + FIRST_TICK
        for _ in self._pieces:
            await self._loop.sleep(max(0.0, due - time.monotonic()))
            due += self._interval
            step, self._step = self._step, self._loop.Event()
            self._steps += 1
            step.set()


async def spoken(stage: Stage, prompt: str) -> AsyncIterator[str]:
    """A handler as each rival writes its own: an async generator around the model's."""
    async for token in stage.tokens(prompt):
        yield token


def prompt_of(body: dict[str, Any]) -> str:
    """The user's words in a request's body, of either family."""
    said: str = body["input"] if "input" in body else body["messages"][-1]["content"]
    return said


# -- The JSON, for servers that leave it to the application --------------------------


class Chat:
    """One answer as chat chunks: dicts, for json.dumps."""

    def __init__(self) -> None:
        self.id = f"chatcmpl-{os.urandom(18).hex()}"
        self.created = int(time.time())

    def chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": MODEL,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        }


class Responses:
    """One answer as the events of a response: dicts, for json.dumps."""

    def __init__(self) -> None:
        self.item = f"msg_{os.urandom(18).hex()}"
        self.response = payloads.response("in_progress", [], None)
        self.where = {"item_id": self.item, "output_index": 0, "content_index": 0}
        self.texts: list[str] = []
        self.number = 0

    def event(self, type_: str, **fields: Any) -> dict[str, Any]:
        self.number += 1
        return {"type": type_, **fields, "sequence_number": self.number - 1}

    def opening(self) -> list[dict[str, Any]]:
        item = {"id": self.item, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
        return [
            self.event("response.created", response=self.response),
            self.event("response.in_progress", response=self.response),
            self.event("response.output_item.added", output_index=0, item=item),
            self.event("response.content_part.added", **self.where, part=part),
        ]

    def delta(self, text: str) -> dict[str, Any]:
        self.texts.append(text)
        return self.event("response.output_text.delta", **self.where, delta=text, logprobs=[])

    def closing(self) -> list[dict[str, Any]]:
        text = "".join(self.texts)
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
        item = {"id": self.item, "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        return [
            self.event("response.output_text.done", **self.where, text=text, logprobs=[]),
            self.event("response.content_part.done", **self.where, part=part),
            self.event("response.output_item.done", output_index=0, item=item),
            self.event("response.completed", response=self.response | {"status": "completed", "output": [item]}),
        ]


def run_uvicorn(app: Any, call: Call, listening: Callable[[int], None]) -> None:
    """uvicorn as its documentation says for production, its log and access log quiet for all alike."""
    import uvicorn

    sock = listener()
    listening(port_of(sock))
    config = uvicorn.Config(app, loop=call.loop, http="auto", log_level="warning", access_log=False)  # type: ignore[arg-type]  # asyncio, uvloop
    uvicorn.Server(config).run(sockets=[sock])
