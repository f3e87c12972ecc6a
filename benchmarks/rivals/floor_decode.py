"""The floor of typed events: msgspec decodes each payload into a typed object. No bytes are moved."""

from __future__ import annotations

from typing import Any

import msgspec
from harness import Call, Lap, Tally

LABEL = "bare msgspec decode"
KIND = "whole"
GROUP = "floor"
LOOPS = ("none",)
SCENARIOS = ("firehose",)
PACKAGES = ("msgspec",)


class Delta(msgspec.Struct):
    content: str | None = None


class Choice(msgspec.Struct, kw_only=True):
    index: int
    delta: Delta
    logprobs: Any = None
    finish_reason: str | None = None


class Chunk(msgspec.Struct, kw_only=True):
    id: str
    object: str
    created: int
    model: str
    service_tier: str | None = None
    system_fingerprint: str | None = None
    choices: list[Choice]
    usage: Any = None
    obfuscation: str | None = None


class TextDelta(msgspec.Struct, kw_only=True, tag_field="type", tag="response.output_text.delta"):
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    delta: str
    logprobs: list[Any] = []
    obfuscation: str | None = None


def run(call: Call, lap: Lap) -> Tally:
    chat = call.family == "chat"
    decode: Any = msgspec.json.Decoder(Chunk if chat else TextDelta).decode
    payloads = call.script.payloads
    tokens = chars = 0
    for _ in range(call.streams):
        lap.open()
    for _ in range(call.streams):
        if chat:
            for payload in payloads:
                text = decode(payload).choices[0].delta.content
                tokens += 1
                chars += len(text)
        else:
            for payload in payloads:
                chars += len(decode(payload).delta)
                tokens += 1
    for _ in range(call.streams):
        lap.close()
    return Tally(tokens, chars)
