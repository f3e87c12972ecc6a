"""The official SDK over aiohttp: `http_client=DefaultAioHttpClient()`, as its README advises for more concurrency."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator

import openai
from harness import API_KEY, Call

from rivals._official import create as consume

__all__ = ["client", "consume"]

LABEL = "openai create, aiohttp"
KIND = "async"
GROUP = "rival"
LOOPS = ("asyncio", "uvloop")
SCENARIOS = ("firehose", "paced", "paced-slow", "requests", "idle")
PACKAGES = ("openai", "aiohttp", "pydantic")


@contextlib.asynccontextmanager
async def client(call: Call) -> AsyncIterator[openai.AsyncOpenAI]:
    verify = ssl.create_default_context(cafile=call.cafile) if call.tls else True
    transport = openai.DefaultAioHttpClient(verify=verify)
    async with openai.AsyncOpenAI(api_key=API_KEY, base_url=call.base_url, http_client=transport) as made:
        yield made
