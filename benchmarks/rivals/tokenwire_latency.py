"""tokenwire, `batches()`: when each token was delivered, against when the origin sent it."""

from __future__ import annotations

import itertools
import time
from typing import Any

from harness import MODEL, Call, Control, Lap, Tally

import tokenwire
from rivals._official import MESSAGES
from rivals.tokenwire_create import client, unavailable

__all__ = ["client", "consume", "more", "unavailable"]

LABEL = "tokenwire batches()"
KIND = "async"
GROUP = "ours"
LOOPS = ("asyncio", "uvloop", "trio")
SCENARIOS = ("latency",)
PACKAGES = ("tokenwire", "msgspec", "h11", "trio", "uvloop")

#: Each stream's number, and the times of its tokens on the clock that the origin has too.
_told: dict[str, list[float]] = {}
_numbers = itertools.count()


async def consume(client: tokenwire.AsyncClient, call: Call, lap: Lap) -> Tally:
    tokens = chars = 0
    number = str(next(_numbers))
    told = _told[number] = []
    stream = await client.chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True, extra_query={"stream": number}
    )
    batches = aiter(stream.batches())
    await anext(batches)
    lap.open()
    async for chunks in batches:
        now = time.monotonic()
        for chunk in chunks:
            if chunk.choices and (text := chunk.choices[0].delta.content):
                tokens += 1
                chars += len(text)
                told.append(now)
    lap.close()
    return Tally(tokens, chars)


def more(control: Control) -> dict[str, Any]:
    """How late tokens were: milliseconds by percentile, how many in each bin of 2 ms, and the first of each stream."""
    late: list[float] = []
    first: list[float] = []
    for number, sent in control.stamps().items():
        each = [(told - at) * 1e3 for told, at in zip(_told[number], sent, strict=True)]
        first.append(each[0])
        late += each[1:]
    bins: dict[int, int] = {}
    for one in late:
        bins[int(one // 2) * 2] = bins.get(int(one // 2) * 2, 0) + 1
    return {"latency_ms": _percentiles(late), "first_ms": _percentiles(first), "bins": sorted(bins.items())}


def _percentiles(values: list[float]) -> dict[str, float]:
    values.sort()
    at = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: values[min(int(len(values) * share), len(values) - 1)] for name, share in at.items()}
