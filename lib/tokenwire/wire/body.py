"""Message body framing (RFC 9112, sections 6 and 7): chunked, by length, until close.

Theory of operation. A reader is given the ReceiveBuffer after each read and
appends to `spans` the (start, stop) offsets of the body bytes that it found:
slices of the buffer's own bytearray, so that nothing is moved. What it has
understood it consumes, so that what stays behind is at most one unfinished
line.

Offsets into one bytearray are what makes this cheap (0.4 us for a chunk, where
h11's own body path costs 5). The price is that the rules of section 6.3 are
ours to keep, as strictly as h11 keeps them; a property test holds each reader to
h11's verdict over inputs and splits.

A reader that finds a breach raises RemoteProtocolError, after it has appended
all that came before it: out-parameters, so that nothing is lost on the way.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

import h11

from tokenwire.errors import LimitExceededError, RemoteProtocolError
from tokenwire.policy import DEFAULT_LIMITS, Limits
from tokenwire.wire.buffer import ReceiveBuffer

__all__ = [
    "BodyReader",
    "ChunkedReader",
    "CloseReader",
    "LengthReader",
    "Span",
    "check_lines",
    "chunk",
    "fields_of",
    "last_chunk",
]

Span = tuple[int, int]


class BodyReader(Protocol):
    """What the three readers have in common."""

    complete: bool
    """Whether the whole body has been read, its framing included."""

    def read(self, buffer: ReceiveBuffer, spans: list[Span]) -> None:
        """Append the offsets of the body bytes in the buffer, and consume them.

        Raises RemoteProtocolError after everything before the breach was appended.
        """

    def eof(self) -> str | None:
        """The peer closed: None where that ends the body cleanly, else what is missing, in words."""


# -- Chunked -------------------------------------------------------------------

# "chunk-size = 1*HEXDIG" and, in 7.1.1, "a recipient MUST ignore unrecognized
# chunk extensions". 20 digits and trailing white space are h11's bounds. Here and below possessive: no line makes
# it try twice.
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,20})(?:;.*+|[ \t]*+)")

# RFC 9112, section 5: "field-line = field-name ":" OWS field-value OWS". Which bytes a value may
# hold is h11's word, so that a trailer is judged as a header is.
_FIELD_LINE: Final = re.compile(
    rb"([-!#$%&'*+.^_`|~0-9A-Za-z]++):[ \t]*+((?:[^\x00\s]++(?:[ \t]++[^\x00\s]++)*+)?+)[ \t]*+"
)
_SECTION_END: Final = re.compile(rb"\n\r?\n")

# Chunk footer and next chunk-size line, as one key -> the size. An event of 256 to 4,095
# bytes in a chunk of its own, nearly every token there is, has a line of three digits:
# one look-up judges all seven bytes; a second one those of two digits. Of two and three bytes there
# are fewer than 20,000 such lines, those with extensions and white space included.
_known_lines: dict[bytes, int] = {}

_SIZE, _DATA, _FOOTER, _TRAILERS, _DONE = range(5)
_MISSING: Final = ("chunk-size", "chunk-data", "chunk footer", "trailers", "nothing")


class ChunkedReader:
    """RFC 9112, section 7.1.

    "chunked-body = *chunk last-chunk trailer-section CRLF
     chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF"

    strict: the trailers' lines, too, are held to `check_lines`, as a request's must be.
    """

    __slots__ = ("_known", "_left", "_limits", "_searched", "_state", "_strict", "complete", "trailers")

    def __init__(self, limits: Limits = DEFAULT_LIMITS, *, strict: bool = False) -> None:
        self._limits = limits
        self._strict = strict
        # What is known must not get past a bound that would refuse it.
        self._known = _known_lines if limits.chunk_line_bytes >= 3 else {}
        self._state = _SIZE
        self._left = 0  # bytes of chunk-data still to come
        self._searched = 0  # bytes of an unfinished line or section that were searched already
        self.complete = False
        self.trailers: list[tuple[bytes, bytes]] = []

    def read(self, buffer: ReceiveBuffer, spans: list[Span], *, one: bool = False) -> None:
        """As BodyReader.read. one: stop behind the chunk that is under way."""
        data, pos, end = buffer.data, buffer.start, buffer.end
        known, run_end = self._known.get, 0 if one else end
        state, left = self._state, self._left
        try:
            while pos < end:
                if state == _SIZE:
                    eol = data.find(b"\r\n", pos + self._searched, end)
                    if eol < 0:
                        # All of it may be the line, but for a CR at its end, which may be half of a CRLF.
                        self._searched = end - pos - data.endswith(b"\r", pos, end)
                        self._bound("chunk_line_bytes", "a chunk-size line", self._searched)
                        self._room_for("a chunk-size line", end - pos, buffer)
                        return
                    self._searched = 0
                    line = data[pos:eol]
                    left = self._size(line)
                    if len(line) in (2, 3) and left:
                        self._known[b"\r\n%b\r\n" % bytes(line)] = left
                    pos = eol + 2
                    state = _DATA if left else _TRAILERS
                elif state == _DATA:
                    stop = pos + left
                    while stop + 7 <= run_end:
                        spans.append((pos, stop))
                        # The usual case: CRLF and a chunk-size line that was judged before.
                        size = known(bytes(data[stop : stop + 7]))
                        pos = stop + 7
                        if size is None:
                            size = known(bytes(data[stop : stop + 6]))
                            pos = stop + 6
                            if size is None:
                                pos, left, state = stop, 0, _FOOTER
                                break
                        left = size
                        stop = pos + size
                    else:
                        if stop > end:
                            if pos < end:
                                spans.append((pos, end))
                            left = stop - end
                            pos = end
                            return
                        spans.append((pos, stop))
                        pos, left, state = stop, 0, _FOOTER
                elif state == _FOOTER:
                    if not b"\r\n".startswith(data[pos : min(pos + 2, end)]):
                        raise RemoteProtocolError(
                            f"the chunk's data is not followed by CRLF but by {bytes(data[pos : min(pos + 2, end)])!r}"
                        )
                    if end - pos < 2:
                        return
                    pos += 2
                    state = _SIZE
                    if one:
                        return
                elif state == _TRAILERS:
                    stop = self._trailer_end(data, pos, end)
                    if stop < 0:
                        self._room_for("the trailer section", end - pos, buffer)
                        return
                    self._read_trailers(bytes(data[pos:stop]))
                    pos = stop
                    state = _DONE
                    self.complete = True
                else:
                    return
        finally:
            buffer.start, self._state, self._left = pos, state, left

    @property
    def between_chunks(self) -> bool:
        """Whether the next byte is the first of a chunk-size line."""
        return self._state == _SIZE and not self._searched

    def eof(self) -> str | None:
        """As BodyReader.eof."""
        return None if self.complete else _MISSING[self._state]

    def _bound(self, limit: str, what: str, length: int) -> None:
        allowed: int = getattr(self._limits, limit)
        if length > allowed:
            raise LimitExceededError(
                f"{what} is longer than {allowed} bytes (Limits.{limit})", limit=limit, allowed=allowed
            )

    def _room_for(self, what: str, length: int, buffer: ReceiveBuffer) -> None:
        """An unfinished line stays in the buffer: one that fills it would wait for its end for ever."""
        if length >= buffer.limit:
            raise LimitExceededError(
                f"{what} is longer than the {buffer.limit} bytes of Limits.receive_buffer",
                limit="receive_buffer",
                allowed=buffer.limit,
            )

    def _size(self, line: bytearray) -> int:
        self._bound("chunk_line_bytes", "a chunk-size line", len(line))
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise RemoteProtocolError(f"not a chunk-size line: {bytes(line[:80])!r}")
        return int(match[1], 16)

    def _trailer_end(self, data: bytearray, pos: int, end: int) -> int:
        """Where the trailer section ends, its blank line included; -1 while it has not come."""
        if data.startswith(b"\n", pos, end):
            return pos + 1
        if data.startswith(b"\r\n", pos, end):
            return pos + 2
        match = _SECTION_END.search(data, pos + self._searched, end)
        length = (match.end() if match else end) - pos
        self._bound("trailer_bytes", "the trailer section", length)
        if match is None:
            self._searched = max(0, length - 2)  # what may be the beginning of its end
            return -1
        return match.end()

    def _read_trailers(self, section: bytes) -> None:
        if self._strict:
            check_lines(section, "the trailer section")
        trailers = fields_of(section, "the trailer section", "a trailer field")
        try:
            self.trailers = list(h11.EndOfMessage(headers=trailers).headers)
        except h11.ProtocolError as error:
            raise RemoteProtocolError(f"bad trailers: {error}") from None


def fields_of(section: bytes, where: str, what: str) -> list[tuple[bytes, bytes]]:
    """The names and values of field lines that a blank line ends. Raises RemoteProtocolError for what is none."""
    lines: list[bytearray] = []
    for raw in section.split(b"\n")[:-2]:
        line = raw.removesuffix(b"\r")
        if line[:1] in (b" ", b"\t"):  # obs-fold: a continuation of the line before
            if not lines:
                raise RemoteProtocolError(f"{where} begins with a continuation line")
            lines[-1] += b" " + line.lstrip(b" \t")
        else:
            lines.append(bytearray(line))
    fields: list[tuple[bytes, bytes]] = []
    for whole in lines:
        match = _FIELD_LINE.fullmatch(whole)
        if match is None:
            raise RemoteProtocolError(f"not {what}: {bytes(whole[:80])!r}")
        fields.append((bytes(match[1]), bytes(match[2])))
    return fields


def check_lines(section: bytes | bytearray, where: str) -> None:
    """For a request's head or trailers: refuse lines that others may read in another way than h11 does.

    Where two on the way disagree about a line, requests are smuggled. Raises RemoteProtocolError.
    """
    # RFC 9112, 2.2: "a recipient MAY recognize a single LF as a line terminator". We do not.
    if section.count(b"\n") != section.count(b"\r\n"):
        raise RemoteProtocolError(f"a line of {where} ends with a bare LF")
    # 5.2: "A server that receives an obs-fold in a request message ... MUST either reject the message ... or
    # replace each received obs-fold with one or more SP octets"
    if b"\r\n " in section or b"\r\n\t" in section:
        raise RemoteProtocolError(f"a field of {where} goes on in the next line (obs-fold)")


def chunk(data: bytes) -> bytes:
    """One chunk with these data, which must not be empty: an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk() -> bytes:
    """The end of a chunked body, without trailers."""
    return b"0\r\n\r\n"


# -- By length, and until close ------------------------------------------------


class LengthReader:
    """A body of Content-Length bytes (RFC 9112, section 6.3, item 6)."""

    __slots__ = ("_left", "_length", "complete")

    def __init__(self, length: int) -> None:
        self._length = self._left = length
        self.complete = length == 0

    def read(self, buffer: ReceiveBuffer, spans: list[Span]) -> None:
        """As BodyReader.read."""
        count = min(self._left, len(buffer))
        if count:
            spans.append((buffer.start, buffer.start + count))
            buffer.start += count
            self._left -= count
            self.complete = self._left == 0

    def eof(self) -> str | None:
        """As BodyReader.eof."""
        return None if self.complete else f"{self._left} of {self._length} bytes"


class CloseReader:
    """A body that ends when the connection does (RFC 9112, section 6.3, item 8)."""

    __slots__ = ("complete",)

    def __init__(self) -> None:
        self.complete = False

    def read(self, buffer: ReceiveBuffer, spans: list[Span]) -> None:
        """As BodyReader.read."""
        if len(buffer):
            spans.append((buffer.start, buffer.end))
            buffer.start = buffer.end

    def eof(self) -> str | None:
        """As BodyReader.eof."""
        self.complete = True
        return None
