"""httpx2's own server-sent events: `client.sse(...)` and `event.json()`."""

from __future__ import annotations

import httpx2
from harness import Call, Lap, Tally

from rivals._by_hand import count
from rivals.httpx2_by_hand import client

__all__ = ["client", "consume"]

LABEL = "httpx2 client.sse"
KIND = "async"
GROUP = "rival"
LOOPS = ("asyncio", "uvloop", "trio")
SCENARIOS = ("firehose", "paced", "paced-slow", "requests")
PACKAGES = ("httpx2", "httpcore2", "h11")


async def consume(client: httpx2.AsyncClient, call: Call, lap: Lap) -> Tally:
    total = Tally(0, 0)
    async with client.sse(call.url, method="POST", json=call.body) as source:
        events = aiter(source)
        await anext(events)
        lap.open()
        async for event in events:
            if event.data != "[DONE]":
                total += count([event.json()], call)
    lap.close()
    return total
