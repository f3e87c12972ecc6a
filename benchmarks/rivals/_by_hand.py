"""Server-sent events split by hand, for the HTTP libraries that know none: as short as people write it."""

from __future__ import annotations

import json
from typing import Any

from harness import Call, Tally


class Splitter:
    """Bytes in, JSON objects out. Ends at [DONE]."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> list[Any]:
        *events, self.rest = (self.rest + data).split(b"\n\n")
        found = []
        for event in events:
            payload = event[event.index(b"data: ") + 6 :]
            if payload != b"[DONE]":
                found.append(json.loads(payload))
        return found


def count(events: list[Any], call: Call) -> Tally:
    """The text deltas among the events."""
    tokens = chars = 0
    if call.family == "responses":
        for event in events:
            if event["type"] == "response.output_text.delta":
                tokens += 1
                chars += len(event["delta"])
    else:
        for event in events:
            if event["choices"] and (text := event["choices"][0]["delta"].get("content")):
                tokens += 1
                chars += len(text)
    return Tally(tokens, chars)
