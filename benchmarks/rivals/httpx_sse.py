"""httpx-sse over httpx: `aconnect_sse` and `sse.json()`, as its README shows."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator

import httpx
from harness import Call, Lap, Tally
from httpx_sse import aconnect_sse

from rivals._by_hand import count

LABEL = "httpx-sse"
KIND = "async"
GROUP = "rival"
LOOPS = ("asyncio", "uvloop", "trio")
SCENARIOS = ("firehose", "paced", "paced-slow", "requests")
PACKAGES = ("httpx-sse", "httpx", "httpcore", "h11")


@contextlib.asynccontextmanager
async def client(call: Call) -> AsyncIterator[httpx.AsyncClient]:
    verify = ssl.create_default_context(cafile=call.cafile) if call.tls else True
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(headers=call.headers, timeout=600, limits=limits, verify=verify) as made:
        yield made


async def consume(client: httpx.AsyncClient, call: Call, lap: Lap) -> Tally:
    total = Tally(0, 0)
    async with aconnect_sse(client, "POST", call.url, json=call.body) as source:
        events = source.aiter_sse()
        await anext(events)
        lap.open()
        async for event in events:
            if event.data != "[DONE]":
                total += count([event.json()], call)
    lap.close()
    return total
