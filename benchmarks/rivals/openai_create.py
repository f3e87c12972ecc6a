"""The official SDK, `create(stream=True)`, as its README shows it under "Streaming responses"."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator

import openai
from harness import API_KEY, Call

from rivals._official import create as consume

__all__ = ["client", "consume"]

LABEL = "openai create"
KIND = "async"
GROUP = "rival"
LOOPS = ("asyncio", "uvloop", "trio")
SCENARIOS = ("firehose", "paced", "paced-slow", "requests", "idle", "tools", "structured")
PACKAGES = ("openai", "httpx2", "httpcore2", "h11", "pydantic")


@contextlib.asynccontextmanager
async def client(call: Call) -> AsyncIterator[openai.AsyncOpenAI]:
    verify = ssl.create_default_context(cafile=call.cafile) if call.tls else True
    transport = openai.DefaultAsyncHttpxClient(verify=verify)
    async with openai.AsyncOpenAI(api_key=API_KEY, base_url=call.base_url, http_client=transport) as made:
        yield made
