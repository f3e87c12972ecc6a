"""aiohttp: `session.post`, `content.iter_any()`, split and json.loads by hand."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator

import aiohttp
from harness import Call, Lap, Tally

from rivals._by_hand import Splitter, count

LABEL = "aiohttp by hand"
KIND = "async"
GROUP = "rival"
LOOPS = ("asyncio", "uvloop")
SCENARIOS = ("firehose", "paced", "paced-slow", "requests", "idle")
PACKAGES = ("aiohttp",)


@contextlib.asynccontextmanager
async def client(call: Call) -> AsyncIterator[aiohttp.ClientSession]:
    context = ssl.create_default_context(cafile=call.cafile) if call.tls else True
    connector = aiohttp.TCPConnector(limit=0, ssl=context)
    async with aiohttp.ClientSession(connector=connector, headers=call.headers) as session:
        yield session


async def consume(session: aiohttp.ClientSession, call: Call, lap: Lap) -> Tally:
    total = Tally(0, 0)
    splitter = Splitter()
    async with session.post(call.url, json=call.body) as response:
        response.raise_for_status()
        chunks = aiter(response.content.iter_any())
        total += count(splitter.feed(await anext(chunks)), call)
        lap.open()
        async for data in chunks:
            total += count(splitter.feed(data), call)
    lap.close()
    return total
