"""tokenwire, `create(stream=True)`: the official SDK's code with another client."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator

from harness import API_KEY, Call

import tokenwire
from rivals._official import create as consume

__all__ = ["client", "consume"]

LABEL = "tokenwire create"
KIND = "async"
GROUP = "ours"
LOOPS = ("asyncio", "uvloop", "trio")
SCENARIOS = ("firehose", "paced", "paced-slow", "requests", "idle", "tools", "structured")
PACKAGES = ("tokenwire", "msgspec", "h11", "trio", "uvloop")


def unavailable() -> str | None:
    return None if hasattr(tokenwire, "AsyncClient") else "tokenwire has no AsyncClient yet"


@contextlib.asynccontextmanager
async def client(call: Call) -> AsyncIterator[tokenwire.AsyncClient]:
    limits = tokenwire.Limits(max_connections=20_000) if call.streams > 900 else None
    context = ssl.create_default_context(cafile=call.cafile) if call.tls else None
    async with tokenwire.AsyncClient(
        api_key=API_KEY, base_url=call.base_url, limits=limits, ssl_context=context
    ) as made:
        yield made
