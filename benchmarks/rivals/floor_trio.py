"""The floor of trio: trio.socket.recv_into alone, into one reused buffer. Bytes are counted, nothing is parsed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import trio
from harness import Call, Lap, Tally

LABEL = "trio.socket.recv_into alone"
KIND = "async"
GROUP = "floor"
LOOPS = ("trio",)
SCENARIOS = ("firehose", "paced", "paced-slow")
PACKAGES = ("trio",)

BUFFER = memoryview(bytearray(65536))  # one for all: nothing is kept


@contextlib.asynccontextmanager
async def client(call: Call) -> AsyncIterator[None]:
    yield None


async def consume(_client: None, call: Call, lap: Lap) -> Tally:
    with trio.socket.socket() as sock:
        sock.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        await sock.connect((call.host, call.port))
        await sock.send(call.raw_request())
        left = len(call.script.opening)
        while left:
            left -= len(await sock.recv(left))
        lap.open()
        left = len(call.script.body)
        while left:
            left -= await sock.recv_into(BUFFER)
        lap.close()
    return call.expected()
