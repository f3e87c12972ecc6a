"""The floor of an asyncio client: as floor_buffered, and each read wakes the task that waits for it.

Nothing is parsed. The wake-up is tokenwire's own (a Future costs more): what is above this is what a client does with
the bytes, and what is in this no client can save that hands its tokens to an `async for`.
"""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import AsyncIterator, Generator
from typing import Any

from harness import Call, Lap, Tally

from tokenwire.backends.asyncio_waits import Arrival

LABEL = "asyncio BufferedProtocol, a task woken for each read"
KIND = "async"
GROUP = "floor"
LOOPS = ("asyncio", "uvloop")
SCENARIOS = ("paced", "paced-slow")
PACKAGES: tuple[str, ...] = ("uvloop",)

BUFFER = memoryview(bytearray(65536))  # one for all: nothing is kept


class Waking(asyncio.BufferedProtocol):
    def __init__(self) -> None:
        self.arrival = Arrival(asyncio.get_running_loop())
        self.unseen = 0

    def get_buffer(self, _sizehint: int) -> memoryview:
        return BUFFER

    def buffer_updated(self, count: int) -> None:
        self.unseen += count
        if self.arrival.wake_up is not None:
            self.arrival.arrive()

    @types.coroutine
    def receive(self) -> Generator[Any, None, int]:
        if not self.unseen:
            self.arrival._asyncio_future_blocking = True
            yield self.arrival
        count, self.unseen = self.unseen, 0
        return count


class Reads:
    """`async for`: how many bytes each read brought, until all have come."""

    def __init__(self, waking: Waking, size: int) -> None:
        self.waking = waking
        self.left = size

    def __aiter__(self) -> Reads:
        return self

    async def __anext__(self) -> int:
        if not self.left:
            raise StopAsyncIteration
        count: int = await self.waking.receive()
        self.left -= count
        return count


@contextlib.asynccontextmanager
async def client(_call: Call) -> AsyncIterator[None]:
    yield None


async def consume(_client: None, call: Call, lap: Lap) -> Tally:
    loop = asyncio.get_running_loop()
    transport, waking = await loop.create_connection(Waking, call.host, call.port)
    transport.write(call.raw_request())
    async for _ in Reads(waking, len(call.script.opening)):
        pass
    lap.open()
    async for _ in Reads(waking, len(call.script.body)):
        pass
    lap.close()
    transport.close()
    return call.expected()
