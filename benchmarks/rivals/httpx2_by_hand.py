"""httpx2: `client.stream`, `aiter_lines()`, json.loads by hand."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import AsyncIterator

import httpx2
from harness import Call, Lap, Tally

from rivals._by_hand import count

LABEL = "httpx2 by hand"
KIND = "async"
GROUP = "rival"
LOOPS = ("asyncio", "uvloop", "trio")
SCENARIOS = ("firehose", "paced", "paced-slow", "requests", "idle")
PACKAGES = ("httpx2", "httpcore2", "h11")


@contextlib.asynccontextmanager
async def client(call: Call) -> AsyncIterator[httpx2.AsyncClient]:
    verify = ssl.create_default_context(cafile=call.cafile) if call.tls else True
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(headers=call.headers, timeout=600, limits=limits, verify=verify) as made:
        yield made


async def consume(client: httpx2.AsyncClient, call: Call, lap: Lap) -> Tally:
    total = Tally(0, 0)
    async with client.stream("POST", call.url, json=call.body) as response:
        response.raise_for_status()
        lines = response.aiter_lines()
        await anext(lines)
        lap.open()
        async for line in lines:
            if line.startswith("data: ") and line != "data: [DONE]":
                total += count([json.loads(line[6:])], call)
    lap.close()
    return total
