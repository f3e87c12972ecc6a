"""Answers of a server, built byte by byte: heads, three framings, bodies of events, and every way to cut them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

#: Body framing: in one chunk, in chunks of a few bytes each, by length, until close.
FRAMINGS = ("chunked", "small chunks", "length", "close")

_SMALL = 7


def head(*fields: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    """A response's head: "Name: value" each."""
    return "\r\n".join([f"HTTP/{version} {status}", *fields, "", ""]).encode()


def framed(body: bytes, framing: str) -> tuple[list[str], bytes]:
    """The head's fields for this framing, and the body in it."""
    if framing == "length":
        return [f"Content-Length: {len(body)}"], body
    if framing == "close":
        return [], body
    size = _SMALL if framing == "small chunks" else max(1, len(body))
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return ["Transfer-Encoding: chunked"], b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def answer(
    body: bytes, framing: str = "length", *fields: str, status: str = "200 OK", kind: str | None = "text/event-stream"
) -> bytes:
    """A whole response. kind: its Content-Type."""
    frame, sent = framed(body, framing)
    kinds = [] if kind is None else [f"Content-Type: {kind}"]
    return head(*frame, *kinds, *fields, status=status) + sent


def positions(body: bytes, framing: str, start: int) -> list[int]:
    """For each byte of the body, where it stands in a response whose body begins at `start`."""
    if framing in ("length", "close"):
        return [start + at for at in range(len(body))]
    size = _SMALL if framing == "small chunks" else max(1, len(body))
    found, at = [], start
    for begin in range(0, len(body), size):
        length = min(size, len(body) - begin)
        at += len(b"%x\r\n" % length)
        found += range(at, at + length)
        at += length + 2
    return found


def splits(data: bytes) -> Iterator[list[bytes]]:
    """The data whole, byte by byte, and in two at every place."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


def js(value: Any) -> str:
    """JSON as short as it can be."""
    return json.dumps(value, separators=(",", ":"))


def sse(*payloads: Any, done: bool = False, eol: str = "\n") -> bytes:
    """One event for each payload (JSON; text as it is), and [DONE]."""
    data = [one if isinstance(one, str) else js(one) for one in payloads] + ["[DONE]"] * done
    return "".join(f"data: {one}{eol}{eol}" for one in data).encode()


# -- Chat ----------------------------------------------------------------------


def chunk(content: str | None = None, finish: str | None = None, *, index: int = 0, **more: Any) -> dict[str, Any]:
    """A chat chunk with one choice."""
    choice: dict[str, Any] = {"index": index, "delta": {} if content is None else {"content": content}}
    if finish is not None:
        choice["finish_reason"] = finish
    return {"choices": [choice], **more}  # as short as it can be: it is cut at every byte


def usage_chunk() -> dict[str, Any]:
    """The chunk of usage that has no choices."""
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    return {**chunk(), "choices": [], "usage": usage}


def completion(content: str = "Hi", **more: Any) -> dict[str, Any]:
    """A whole chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **more}


# -- Responses -----------------------------------------------------------------


def response(status: str = "completed", text: str | None = None, **more: Any) -> dict[str, Any]:
    """A whole Response, with one message where a text is given."""
    parts = [] if text is None else [{"type": "output_text", "text": text, "annotations": []}]
    message = {"id": "i", "type": "message", "role": "assistant", "status": "completed", "content": parts}
    output = [] if text is None else [message]
    return {"id": "r", "object": "response", "status": status, "output": output, **more}


def delta(text: str) -> dict[str, Any]:
    """A text delta."""
    where = {"item_id": "i", "output_index": 0, "content_index": 0}
    return {"type": "response.output_text.delta", **where, "delta": text}


def ended(how: str = "completed", **more: Any) -> dict[str, Any]:
    """A terminal event: completed, incomplete, failed or cancelled."""
    return {"type": f"response.{how}", "response": response(how, **more)}


def texts(events: Iterable[Any]) -> list[str]:
    """The contents of chat chunks, or the deltas of Responses events, one for each event."""
    found = []
    for event in events:
        choices = getattr(event, "choices", None)
        if choices is None:
            found.append(getattr(event, "delta", "") or "")
        else:
            found.append("".join(choice.delta.content or "" for choice in choices))
    return found
