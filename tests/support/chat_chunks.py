"""Chat chunks as servers send them, with each field in its place; answers.chunk makes the shortest."""

from __future__ import annotations

import json
from typing import Any

from tokenwire.families import chat


def chunk(delta: Any = None, *, choice: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A chunk with one choice. choice, more: further fields, of that and of the chunk."""
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "m",
        "choices": [{"index": 0, "delta": delta or {}, "finish_reason": None, **(choice or {})}],
        **more,
    }


def of_choice(index: Any, delta: Any, reason: str | None = None) -> dict[str, Any]:
    """A chunk of the choice with this index."""
    return chunk(choices=[{"index": index, "delta": delta, "finish_reason": reason}])


def end(reason: str = "stop", delta: Any = None) -> dict[str, Any]:
    """The last chunk of a choice."""
    return chunk(delta, choice={"finish_reason": reason})


def decoded(value: Any) -> chat.ChatCompletionChunk:
    """The event that a payload of this JSON becomes."""
    return chat.decode(json.dumps(value).encode())
