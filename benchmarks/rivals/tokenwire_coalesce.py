"""tokenwire with `coalesce=0.02`, read by `batches()`: one wake-up serves many tokens."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from harness import Call

import tokenwire
from rivals import tokenwire_create
from rivals.tokenwire_batches import consume
from rivals.tokenwire_create import unavailable

__all__ = ["client", "consume", "unavailable"]

LABEL = "tokenwire batches(), coalesce=0.02"
KIND = "async"
GROUP = "ours"
LOOPS = ("asyncio", "uvloop", "trio")
SCENARIOS = ("coalesce",)
PACKAGES = ("tokenwire", "msgspec", "h11", "trio", "uvloop")

SPARE = 0.02


@contextlib.asynccontextmanager
async def client(call: Call, seconds: float = SPARE) -> AsyncIterator[tokenwire.AsyncClient]:
    async with tokenwire_create.client(call) as made:
        yield made.with_options(coalesce=seconds)
