"""The floor of asyncio: a BufferedProtocol into one reused buffer. Bytes are counted, nothing is parsed."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

from harness import Call, Lap, Tally

LABEL = "asyncio BufferedProtocol alone"
KIND = "async"
GROUP = "floor"
LOOPS = ("asyncio", "uvloop")
SCENARIOS = ("firehose", "paced", "paced-slow")
PACKAGES: tuple[str, ...] = ("uvloop",)

BUFFER = memoryview(bytearray(65536))  # one for all: nothing is kept


class Counter(asyncio.BufferedProtocol):
    def __init__(self, opening: int, body: int) -> None:
        self.left = opening
        self.body = body
        self.reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def get_buffer(self, _sizehint: int) -> memoryview:
        return BUFFER

    def buffer_updated(self, count: int) -> None:
        self.left -= count
        if not self.left:
            self.reached.set_result(None)

    def expect_body(self) -> None:
        self.left += self.body
        self.reached = asyncio.get_running_loop().create_future()


@contextlib.asynccontextmanager
async def client(call: Call) -> AsyncIterator[ssl.SSLContext | None]:
    yield ssl.create_default_context(cafile=call.cafile) if call.tls else None


async def consume(context: ssl.SSLContext | None, call: Call, lap: Lap) -> Tally:
    loop = asyncio.get_running_loop()
    transport, counter = await loop.create_connection(
        lambda: Counter(len(call.script.opening), len(call.script.body)), call.host, call.port, ssl=context
    )
    transport.write(call.raw_request())
    await counter.reached
    counter.expect_body()
    lap.open()
    await counter.reached
    lap.close()
    transport.close()
    return call.expected()
