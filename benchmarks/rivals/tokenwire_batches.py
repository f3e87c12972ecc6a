"""tokenwire, `create(stream=True)` read by `batches()`: one list of typed events per socket read."""

from __future__ import annotations

from harness import MODEL, PROMPT, Call, Lap, Tally

import tokenwire
from rivals._official import MESSAGES, deltas
from rivals.tokenwire_create import client, unavailable

__all__ = ["client", "consume", "unavailable"]

LABEL = "tokenwire batches()"
KIND = "async"
GROUP = "ours"
LOOPS = ("asyncio", "uvloop", "trio")
SCENARIOS = ("firehose", "paced", "paced-slow", "coalesce")
PACKAGES = ("tokenwire", "msgspec", "h11", "trio", "uvloop")


async def consume(client: tokenwire.AsyncClient, call: Call, lap: Lap) -> Tally:
    tokens = chars = 0
    if call.family == "responses":
        wanted = deltas(call)
        stream = await client.responses.create(model=MODEL, input=PROMPT, stream=True)
        batches = aiter(stream.batches())
        await anext(batches)
        lap.open()
        async for events in batches:
            for event in events:
                if event.type == wanted:
                    tokens += 1
                    chars += len(event.delta)
    else:
        stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        batches = aiter(stream.batches())
        await anext(batches)
        lap.open()
        async for chunks in batches:
            for chunk in chunks:
                if chunk.choices and (text := chunk.choices[0].delta.content):
                    tokens += 1
                    chars += len(text)
    lap.close()
    return Tally(tokens, chars)
