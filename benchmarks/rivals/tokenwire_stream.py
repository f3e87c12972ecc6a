"""tokenwire's `.stream()` helper: the official SDK's code with another client."""

from __future__ import annotations

from harness import Call, Lap, Tally

import tokenwire
from rivals._official import helper
from rivals.tokenwire_create import client, unavailable

__all__ = ["client", "consume", "unavailable"]

LABEL = "tokenwire .stream()"
KIND = "async"
GROUP = "ours"
LOOPS = ("asyncio", "uvloop", "trio")
SCENARIOS = ("firehose", "paced", "paced-slow", "requests", "tools", "structured", "snapshots")
PACKAGES = ("tokenwire", "msgspec", "h11", "trio", "uvloop")


async def consume(client: tokenwire.AsyncClient, call: Call, lap: Lap) -> Tally:
    return await helper(client, call, lap, _tool(call))


def _tool(call: Call) -> object:
    def tool(model: type, *, name: str) -> object:
        schema = model.model_json_schema()  # type: ignore[attr-defined]  # a pydantic class
        definition = {"name": name, "parameters": schema, "strict": True}
        if call.family == "responses":
            return {"type": "function", **definition}
        return {"type": "function", "function": definition}

    return tool
