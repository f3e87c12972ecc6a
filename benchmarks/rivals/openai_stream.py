"""The official SDK's `.stream()` helper, as its helpers.md shows it: events, snapshots, parsed answers."""

from __future__ import annotations

import openai
from harness import Call, Lap, Tally

from rivals._official import helper
from rivals.openai_create import client

__all__ = ["client", "consume"]

LABEL = "openai .stream()"
KIND = "async"
GROUP = "rival"
LOOPS = ("asyncio", "uvloop", "trio")
SCENARIOS = ("firehose", "paced", "paced-slow", "requests", "tools", "structured", "snapshots")
PACKAGES = ("openai", "httpx2", "httpcore2", "h11", "pydantic")


async def consume(client: openai.AsyncOpenAI, call: Call, lap: Lap) -> Tally:
    return await helper(client, call, lap, _tool(call))


def _tool(call: Call) -> object:
    if call.family == "chat":
        return openai.pydantic_function_tool

    def tool(model: type, *, name: str) -> object:
        # The Responses API takes the same definition one level up.
        definition = openai.pydantic_function_tool(model, name=name)["function"]
        return {"type": "function", **definition}

    return tool
