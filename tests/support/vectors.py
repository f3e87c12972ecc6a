"""The recordings under tests/vectors: what real servers sent, byte for byte, and what it means.

See README.md there for the fields.
"""

from __future__ import annotations

import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import h11

VECTORS = Path(__file__).parent.parent / "vectors"


class Vector(NamedTuple):
    """One recording."""

    name: str
    data: bytes  # all that came on the connection
    about: dict[str, Any]

    @property
    def expected(self) -> dict[str, Any]:
        found: dict[str, Any] = self.about["expected"]
        return found

    @property
    def family(self) -> str:
        found: str = self.about["family"]
        return found

    @property
    def end(self) -> str:
        """eof, reset, open, or timeout (open, and silent for 20 seconds)."""
        found: str = self.about["response"]["connection_end"]
        return found

    @property
    def asked_to_stream(self) -> bool:
        """Whether a client would have asked for a stream here. A body that is no JSON object did not survive."""
        body = self.about["request"]["body"]
        return bool(self.expected["stream"] or (isinstance(body, dict) and body.get("stream")))

    @property
    def finished(self) -> bool:
        """Whether the HTTP message came whole."""
        return bool(self.about["response"]["message_complete"])


@cache
def load(name: str) -> Vector:
    return Vector(name, (VECTORS / f"{name}.http").read_bytes(), json.loads((VECTORS / f"{name}.json").read_bytes()))


@cache
def names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in VECTORS.glob("*.http")))


def body(vector: Vector) -> tuple[bytes, bytes]:
    """The final head's bytes, and the body without framing and coding, as far as it came. By h11, not by us."""
    machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=1_000_000)
    machine.send(h11.Request(method="POST", target="/", headers=[("host", "test"), ("content-length", "0")]))
    machine.send(h11.EndOfMessage())
    machine.receive_data(vector.data)
    if vector.end == "eof":
        machine.receive_data(b"")
    content, coding = b"", b""
    try:
        while True:
            event = machine.next_event()
            if isinstance(event, h11.Response):
                coding = dict(event.headers).get(b"content-encoding", b"")
            elif isinstance(event, h11.Data):
                content += bytes(event.data)
            elif event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.EndOfMessage):
                break
    except h11.RemoteProtocolError:
        pass  # cut in the middle
    if coding in (b"gzip", b"deflate"):
        content = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(content)
    at = 0
    while True:  # interim heads come before the last one
        end = vector.data.index(b"\r\n\r\n", at) + 4
        if vector.data[at:].split(b" ", 2)[1][:1] != b"1":
            return vector.data[at:end], content
        at = end
