"""Frames: one response's bytes, by framing, content coding and the SSE decoder, as frames; and how its body ends.

The base of the pipelines, which say what the frames are.
"""

from __future__ import annotations

from typing import Any, Final

from tokenwire.errors import APIError, RemoteProtocolError
from tokenwire.policy import Limits
from tokenwire.refusals import not_a_stream
from tokenwire.wire.body import ChunkedReader, Span
from tokenwire.wire.coding import decompressor
from tokenwire.wire.heads import ResponseHead
from tokenwire.wire.http1 import ClientConnection
from tokenwire.wire.sse import Decoder, Frame

__all__ = ["DONE", "Body", "Frames", "is_done"]

#: The sentinel behind the last event: this and nothing else.
DONE: Final = b"[DONE]"

#: How much of a stream without a single event is kept to tell what it was instead.
_PREFACE: Final = 65_536


class Body:
    """Where the slices of one response's body come from: framing, then content coding."""

    __slots__ = ("connection", "head", "reader", "unpack")

    def __init__(self, connection: ClientConnection, head: ResponseHead, limits: Limits) -> None:
        assert connection.body is not None, "receive_head comes first"
        self.connection = connection
        self.head = head
        self.reader = connection.body
        self.unpack = decompressor(head.headers.get("content-encoding", ""), limits)

    def unpacked(self, spans: list[Span], pieces: list[bytes]) -> None:
        """Append what these spans of the buffer unpack to. Raises RemoteProtocolError behind what was good."""
        assert self.unpack is not None
        view = memoryview(self.connection.buffer.data)
        for start, stop in spans:
            self.unpack.decode(view[start:stop], pieces)


class Frames:
    """What the two kinds of stream have in common: bytes to frames, and the end of the body.

    done: the stream is over, well or badly. failure: what to raise once the events
    before it are delivered, or None. events: how many have come. rest: it is the rest of
    a stream, of which nothing may be left.
    """

    __slots__ = ("_body", "_breach", "_buffer", "_decoder", "_preface", "done", "events", "failure", "rest")

    def __init__(self, connection: ClientConnection, head: ResponseHead, limits: Limits, *, views: bool) -> None:
        self._body = Body(connection, head, limits)
        self._decoder = Decoder(limits, views=views, error_field=not views)
        self._buffer = connection.buffer
        self._preface: bytearray | None = bytearray()
        self._breach: RemoteProtocolError | None = None  # stands behind the last frame
        self.done = False
        self.failure: Exception | None = None
        self.events = 0
        self.rest = False

    def _frames(self, *, one: bool = False) -> list[Frame]:
        """All the frames that the buffer's bytes complete; a breach behind them is kept in `_breach`.

        one: no further than the end of the chunk that is under way.
        """
        frames: list[Frame] = []
        spans: list[Span] = []
        body = self._body
        try:
            if one:
                assert isinstance(body.reader, ChunkedReader)
                body.reader.read(self._buffer, spans, one=True)
            else:
                body.reader.read(self._buffer, spans)
        except RemoteProtocolError as error:
            self._breach = error
        try:
            if body.unpack is None:
                if self._preface is not None:
                    self._keep_preface(self._buffer.data, spans)
                self._decoder.scan(self._buffer.data, spans, frames)
            else:
                self._scan_unpacked(spans, frames)
        except RemoteProtocolError as error:
            self._breach = error  # it stands before what the framing may have had to say
        if frames:
            self._preface = None
        return frames

    def _scan_unpacked(self, spans: list[Span], frames: list[Frame]) -> None:
        pieces: list[bytes] = []
        try:
            self._body.unpacked(spans, pieces)
        finally:
            for piece in pieces:
                if self._preface is not None:
                    self._keep_preface(piece, [(0, len(piece))])
                self._decoder.scan(piece, [(0, len(piece))], frames)

    def _keep_preface(self, data: bytes | bytearray, spans: list[Span]) -> None:
        assert self._preface is not None
        for start, stop in spans:
            self._preface += data[start : min(stop, start + _PREFACE - len(self._preface))]

    def _broken_off(self, why: str | None) -> str | None:
        """The connection has ended, for this reason if any is known: what cuts the body, or None where it is whole."""
        self._body.connection.receive_eof()
        missing = self._body.reader.eof()
        if why is None and missing is not None:
            why = f"the connection was closed with the body unfinished ({missing} missing)"
        return why

    def _fail(self, error: Exception) -> None:
        self.done = True
        self.failure = error

    def _nothing_follows(self, last: Any) -> None:
        """[DONE] has come; last: the payload of the read's last frame. Data behind it spoil the connection."""
        if self._body.unpack is None:  # compressed, the end of the coding itself would be taken for data
            spoiled = not is_done(last) or self._decoder.residue() is not None
            self._body.connection.nothing_follows(spoiled=spoiled)

    def _instead_of_events(self) -> APIError | None:
        """The error for what stands where a stream was announced: JSON, or a page, under the wrong media type."""
        if self._preface is None or not self._preface.lstrip().startswith((b"{", b"[", b"<")):
            return None
        return not_a_stream(bytes(self._preface), self._body.head)


def is_done(payload: bytes | bytearray | memoryview) -> bool:
    """Whether a payload is the sentinel, but for white space around it."""
    return len(payload) < 32 and bytes(payload).strip() == DONE
