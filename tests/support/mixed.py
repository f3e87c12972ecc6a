"""A backend of asyncio's or trio's own time, tasks and events, whose connections are scripts in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import trio
import trio.testing

from tokenwire.backends import named
from tokenwire.backends.base import Origin
from tokenwire.backends.memory import MemoryBackend

ORIGIN = Origin("http", "test", 80)


class Mixed:
    """connect() takes the next script of `peer`; everything else is the real backend's."""

    def __init__(self, name: str, scripts: Iterable[Any] = ()) -> None:
        self.name = name
        self._real = named(name)
        self.peer = MemoryBackend(scripts)
        self.checkpoints = 0
        self.gate: Any = None  # an event that connect() waits for

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._real, attribute)

    async def checkpoint(self) -> None:
        self.checkpoints += 1
        await self._real.checkpoint()

    async def connect(self, origin: Origin, ssl_context: Any, deadline: float | None) -> Any:
        await self._real.checkpoint()
        if self.gate is not None:
            await self.gate.wait(None)
        return await self.peer.connect(origin, ssl_context, deadline)


def run_on(name: str, main: Callable[[], Awaitable[Any]]) -> Any:
    """Run this coroutine function on asyncio, or on trio with a clock that jumps."""
    if name == "trio":
        return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return asyncio.run(main())  # type: ignore[arg-type]
