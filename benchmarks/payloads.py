"""What the origin says: whole answers, encoded beforehand, event by event.

Every event is one HTTP chunk, as nearly every server sends them. The JSON has the
fields and the sizes that OpenAI's own servers send in 2026, obfuscation included,
so that a client pays for what it would pay for in use. `text` of a script is what
a client must have read when it is done: a benchmark that loses tokens is no benchmark.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

MODEL = "gpt-5.1"
CREATED = 1_763_904_000
CHAT_ID = "chatcmpl-CfQ8oZ0vN3hYx1mT5kR7wB2dL9sJa"
RESPONSE_ID = "resp_0b6f2a1c9d3e4f5a0069231c40a1b081958c7d6e5f4a3b2c1d"
ITEM_ID = "msg_0b6f2a1c9d3e4f5a0069231c41c2d8819597e8f7a6b5c4d3e2"
CALL_ID = "call_h3Yx1mT5kR7wB2dL9sJaQ8oZ"

# Pieces of prose as tokenizers cut it; a few are not ASCII, since text is not.
WORDS = (
    " the", " moon", " rises", ",", " silver", " over", " a", " quiet", " harbour", " where", " boats",
    " lie", " still", ".", "\n\n", "She", " counts", " the", " tides", " by", " heart", ";", " each", " wave",
    " a", " syllable", " of", " some", " older", " song", ".", " \u201c", "Listen", ",\u201d", " says", " the",
    " caf\u00e9", " keeper", ":", " \u6708", "\u304c", " rises", " twice", " tonight", " \u2014", " once",
    " in", " the", " sky", ",",
    " once", " in", " the", " water", " \U0001f319", ".", " Nobody", " argues", " with", " him", ",", " least",
    " of", " all", " \"", "me", "\"",
)  # fmt: skip
PADDING = "aB3dE5fG7hJ9kLmNpQrStUvWxYz"

HEAD_FIELDS = (
    ("Date", "Sun, 23 Nov 2025 12:00:00 GMT"),
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("Transfer-Encoding", "chunked"),
    ("Connection", "keep-alive"),
    ("openai-organization", "example-org"),
    ("openai-processing-ms", "142"),
    ("openai-project", "proj_3QmT5kR7wB2dL9sJaCfQ8oZ0"),
    ("openai-version", "2020-10-01"),
    ("x-ratelimit-limit-requests", "10000"),
    ("x-ratelimit-limit-tokens", "30000000"),
    ("x-ratelimit-remaining-requests", "9999"),
    ("x-ratelimit-remaining-tokens", "29999990"),
    ("x-ratelimit-reset-requests", "6ms"),
    ("x-ratelimit-reset-tokens", "0s"),
    ("x-request-id", "req_6f2a1c9d3e4f5a0b8c7d6e5f4a3b2c1d"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
    ("X-Content-Type-Options", "nosniff"),
    ("Server", "cloudflare"),
    ("CF-RAY", "9a2f1c9d3e4f5a0b-FRA"),
)
HEAD = b"HTTP/1.1 200 OK\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in HEAD_FIELDS) + b"\r\n"
LAST_CHUNK = b"0\r\n\r\n"


@dataclass
class Script:
    """One whole answer. opening: head and first events, sent at once. ticks: one HTTP chunk per token.
    closing: what ends the answer."""

    opening: bytes
    ticks: list[bytes] = field(repr=False)
    closing: bytes
    text: str = field(repr=False)  # the deltas joined: content, or the arguments of the tool call
    payloads: list[bytes] = field(repr=False)  # the JSON of each tick, without any framing

    @cached_property
    def body(self) -> bytes:
        """All that follows the opening."""
        return b"".join(self.ticks) + self.closing

    @cached_property
    def whole(self) -> bytes:
        return self.opening + self.body


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _obfuscation(text: str, of: int = 9) -> str:
    return PADDING[: max(1, of - len(text))]


def pieces_of_prose(tokens: int) -> list[str]:
    return [WORDS[n % len(WORDS)] for n in range(tokens)]


def pieces_of_json(tokens: int) -> list[str]:
    """A JSON object cut into exactly so many pieces: what a model makes of a schema."""
    count = max(1, tokens // 12)
    items = [{"name": f"harbour number {n}", "depth": n * 3, "open": n % 2 == 0} for n in range(count)]
    text = json.dumps({"items": items}, separators=(",", ":"))
    tokens = min(tokens, len(text))
    cuts = [len(text) * n // tokens for n in range(tokens + 1)]
    return [text[a:b] for a, b in itertools.pairwise(cuts)]


def pieces(kind: str, tokens: int) -> list[str]:
    return pieces_of_prose(tokens) if kind == "text" else pieces_of_json(tokens)


# -- Chat completions ----------------------------------------------------------


def chat_chunk(delta: dict[str, Any], finish: str | None = None, padding: str | None = None) -> bytes:
    event: dict[str, Any] = {
        "id": CHAT_ID,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": MODEL,
        "service_tier": "default",
        "system_fingerprint": "fp_3f1a2b4c5d",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        "usage": None,
    }
    if padding is not None:
        event["obfuscation"] = padding
    return _json(event)


def _chat(kind: str, tokens: int) -> Script:
    parts = pieces(kind, tokens)
    if kind == "tools":
        call = {"index": 0, "id": CALL_ID, "type": "function", "function": {"name": "list_harbours", "arguments": ""}}
        first = chat_chunk({"role": "assistant", "content": None, "tool_calls": [call], "refusal": None}, padding="x")
        deltas: list[dict[str, Any]] = [
            {"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in parts
        ]
        last = chat_chunk({}, "tool_calls", padding="x")
    else:
        first = chat_chunk({"role": "assistant", "content": "", "refusal": None}, padding="x")
        deltas = [{"content": part} for part in parts]
        last = chat_chunk({}, "stop", padding="x")
    payloads = [chat_chunk(d, padding=_obfuscation(p)) for d, p in zip(deltas, parts, strict=True)]

    def framed(payload: bytes) -> bytes:
        return _chunk(b"data: %b\n\n" % payload)

    return Script(
        opening=HEAD + framed(first),
        ticks=[framed(payload) for payload in payloads],
        closing=framed(last) + framed(b"[DONE]") + LAST_CHUNK,
        text="".join(parts),
        payloads=payloads,
    )


# -- Responses -----------------------------------------------------------------


def response(status: str, output: list[dict[str, Any]], usage: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "id": RESPONSE_ID,
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": MODEL,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
        "user": None,
        "metadata": {},
    }


def _responses(kind: str, tokens: int) -> Script:
    parts = pieces(kind, tokens)
    text = "".join(parts)
    number = 0

    def payload(type_: str, **fields: Any) -> bytes:
        nonlocal number
        number += 1
        return _json({"type": type_, "sequence_number": number - 1, **fields})

    def framed(type_: str, data: bytes) -> bytes:
        return _chunk(b"event: %b\ndata: %b\n\n" % (type_.encode(), data))

    def event(type_: str, **fields: Any) -> bytes:
        return framed(type_, payload(type_, **fields))

    usage = {
        "input_tokens": 12,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens + 12,
    }
    opening = HEAD + event("response.created", response=response("in_progress", [], None))
    opening += event("response.in_progress", response=response("in_progress", [], None))
    if kind == "tools":
        item_id = "fc_" + ITEM_ID[4:]
        call = {"id": item_id, "type": "function_call", "call_id": CALL_ID, "name": "list_harbours"}
        opening += event(
            "response.output_item.added",
            output_index=0,
            item={**call, "status": "in_progress", "arguments": ""},
        )
        where: dict[str, Any] = {"item_id": item_id, "output_index": 0}
        type_, done = "response.function_call_arguments.delta", "response.function_call_arguments.done"
        payloads = [payload(type_, **where, delta=part, obfuscation=_obfuscation(part)) for part in parts]
        item: dict[str, Any] = {**call, "status": "completed", "arguments": text}
        closing = event(done, **where, name="list_harbours", arguments=text)
    else:
        message: dict[str, Any] = {"id": ITEM_ID, "type": "message", "role": "assistant"}
        part_of: dict[str, Any] = {"type": "output_text", "annotations": [], "logprobs": []}
        where = {"item_id": ITEM_ID, "output_index": 0, "content_index": 0}
        opening += event(
            "response.output_item.added",
            output_index=0,
            item={**message, "status": "in_progress", "content": []},
        )
        opening += event("response.content_part.added", **where, part={**part_of, "text": ""})
        type_ = "response.output_text.delta"
        payloads = [
            payload(type_, **where, delta=part, logprobs=[], obfuscation=_obfuscation(part)) for part in parts
        ]
        closing = event("response.output_text.done", **where, text=text, logprobs=[])
        closing += event("response.content_part.done", **where, part={**part_of, "text": text})
        item = {**message, "status": "completed", "content": [{**part_of, "text": text}]}
    closing += event("response.output_item.done", output_index=0, item=item)
    closing += event("response.completed", response=response("completed", [item], usage))
    return Script(
        opening=opening,
        ticks=[framed(type_, data) for data in payloads],
        closing=closing + LAST_CHUNK,
        text=text,
        payloads=payloads,
    )


@lru_cache(maxsize=32)
def script(family: str, kind: str, tokens: int) -> Script:
    """family: "chat" or "responses". kind: "text", "json" (structured output) or "tools" (one call's arguments)."""
    return _chat(kind, tokens) if family == "chat" else _responses(kind, tokens)


if __name__ == "__main__":
    for name in ("chat", "responses"):
        for sort in ("text", "json", "tools"):
            made = script(name, sort, 2000)
            mean = sum(map(len, made.payloads)) / len(made.payloads)
            print(f"{name:10} {sort:6} {mean:.0f} bytes of JSON a tick, {len(made.whole)} bytes in all")
            print("          ", made.ticks[7])
