"""A scripted peer for your own tests: answers streamed and whole, cut and broken, recorded and replayed.

    from tokenwire.testing import MemoryBackend, answered, requests, streamed

    peer = MemoryBackend([streamed(Path("moon.sse").read_bytes()), answered({"error": "busy"}, status=429)])
    client = tokenwire.Client(api_key="k", base_url="http://test/v1", backend=peer)
    ...
    assert requests(peer)[0].json()["model"] == "a-model"

Each answer is the script of one connection and ends it, so the first request gets the
first answer, a retry the next one. Nothing here waits: time is the peer's own
(`peer.time`), and jumps to the deadline where an answer stays out. Client and
AsyncClient, on any event loop, take the same peer.

A recording is the body of a streamed answer, to the byte: server-sent events, which
can be read and mended in an editor. `b"".join(event.encode() for event in stream.raw())`
makes one; so does `curl --no-buffer`.
"""

from __future__ import annotations

import http
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from tokenwire.backends.memory import EOF, MemoryBackend, Step
from tokenwire.policy import Limits
from tokenwire.wire.body import Span, chunk, last_chunk
from tokenwire.wire.heads import Headers
from tokenwire.wire.http1 import ServerConnection
from tokenwire.wire.sse import ServerSentEvent, encode

__all__ = ["EOF", "MemoryBackend", "SentRequest", "answered", "requests", "streamed"]

#: Where a recording can be cut between two events.
_BETWEEN: Final = re.compile(rb"(?<=\n\n)|(?<=\n\r\n)")


def streamed(
    events: bytes | Iterable[Mapping[str, Any] | ServerSentEvent | str | Step],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> list[Step]:
    """A streamed answer. Each event comes with a read of its own.

    events: a recording; or one event after another: a mapping is sent as JSON (under its
    "type" as the event's name, where it has one, as the Responses family does), a str as
    it is ("[DONE]"), bytes raw, for what is no event (b": a comment\\n\\n"). An exception
    is what the client's read raises at that place; EOF ends the connection there: the
    stream was cut. Without either, the answer ends as it should.
    headers: more of them. Raises TypeError for an event of another kind.
    """
    steps: list[Step] = [_head(status, {"content-type": "text/event-stream", "transfer-encoding": "chunked"}, headers)]
    for event in _BETWEEN.split(events) if isinstance(events, bytes) else events:
        if isinstance(event, BaseException) or event is EOF:
            return [*steps, event]
        data = _frame(event)
        if data:
            steps.append(chunk(data))
    return [*steps, last_chunk(), EOF]


def _frame(event: object) -> bytes:
    if isinstance(event, bytes):
        return event
    if isinstance(event, ServerSentEvent):
        return event.encode()
    if isinstance(event, str):
        return encode(event)
    if isinstance(event, Mapping):
        kind = event.get("type")
        return encode(json.dumps(event), event=kind if isinstance(kind, str) else "")
    raise TypeError(f"an event is a mapping, a ServerSentEvent, a str, bytes, an exception or EOF, not {event!r}")


def answered(
    body: Mapping[str, Any] | str | bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> list[Step]:
    """A whole answer: of stream=False, or an error. A mapping is sent as JSON; headers: more of them."""
    data = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "application/json" if isinstance(body, Mapping) else "text/plain"
    return [_head(status, {"content-type": kind, "content-length": str(len(data))}, headers) + data, EOF]


def _head(status: int, fields: dict[str, str], more: Mapping[str, str] | None) -> bytes:
    fields |= {"connection": "close"}
    fields |= {name.lower(): value for name, value in (more or {}).items()}
    known = {one.value: one.phrase for one in http.HTTPStatus}
    lines = [f"HTTP/1.1 {status} {known.get(status, '')}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class SentRequest(NamedTuple):
    """A request as the client sent it. target: the path and query. headers: by name, in any case."""

    method: str
    target: str
    headers: Headers
    body: bytes

    def json(self) -> Any:
        """The body, read as JSON. Raises ValueError where it is none."""
        return json.loads(self.body)


def requests(peer: MemoryBackend) -> list[SentRequest]:
    """The requests that a peer was sent, in order; one that was not sent whole is left out."""
    found = []
    for connection in peer.connections:
        server = ServerConnection(Limits(receive_buffer=max(65_536, len(connection.sent))))
        server.buffer.feed(connection.sent)
        while (head := server.receive_head()) is not None:
            assert server.body is not None
            spans: list[Span] = []
            server.body.read(server.buffer, spans)
            if not server.body.complete:
                break
            body = b"".join(bytes(server.buffer.data[start:stop]) for start, stop in spans)
            found.append(SentRequest(head.method, head.target, head.headers, body))
            server.send_response(200, [(b"content-length", b"0")])
            if not server.reusable:
                break
    return found
