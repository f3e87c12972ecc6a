"""The usual case, both layers at once: chunks that hold exactly one event each.

Theory of operation. Nearly every server of tokens sends each event as a chunk of its
own, so nearly every read is a run of

    138 CRLF [event: name LF] data: {...} LF LF CRLF

One regular expression cuts a whole run into (head, payload) pairs, without a step of
Python in between: contiguous by construction, since what does not have this shape is
swallowed by its second branch, to the end. A head, which is the chunk-size line, the
`event:` line and `data: `, says how long its payload must be. It is judged once, by
the very rules of body.py and sse.py, and remembered; after that one look-up and one
comparison prove that framing and event agree.

What has any other shape is left to those two, at the position where it begins. So is
the end of the body. The beginning of a chunk of this shape, at the end of a read, is
left in the buffer until its rest has come, but only where it cannot hold a whole event
yet: an event never waits for the byte behind it.
"""

from __future__ import annotations

import re
from typing import Final

from tokenwire.policy import Limits
from tokenwire.wire.body import ChunkedReader
from tokenwire.wire.buffer import ReceiveBuffer
from tokenwire.wire.sse import Decoder

__all__ = ["WholeChunks"]

# RFC 9112, 7.1: "chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF". Two or three digits: 16 to 4,095 bytes,
# which is every token there is. The payload may not hold a CR, which would end its line: that is looked at
# afterwards, for a class of characters costs five times what `.` does.
_HEAD: Final = re.compile(rb"([0-9A-Fa-f]{2,3})\r\n(?:event: (.*)\n)?data: ")

# What a chunk that waits begins with. A size of 0 is the last chunk's.
_SIZE_LINE: Final = re.compile(rb"([1-9A-Fa-f][0-9A-Fa-f]{0,2})\r\n")
_HALF_A_LINE: Final = re.compile(rb"[1-9A-Fa-f][0-9A-Fa-f]{0,2}\r?")

#: The largest chunk of this shape: three hex digits.
_LARGEST: Final = 0xFFF

# Sizes are few and event types too, but both are the peer's choice: so many heads are remembered, of this length.
_HEADS: Final = 8_192
_HEAD_BYTES: Final = 128


class _Shape:
    """The usual chunk, by how its lines end.

    runs: cuts a run of them. tail: what ends each. known: head -> the length that its payload must have, or -1
    where the head is none of the usual.
    """

    def __init__(self, line_end: bytes) -> None:
        self.line_end = line_end
        self.tail = 2 * line_end + b"\r\n"
        self.known: dict[bytes, int] = {}
        self.runs = re.compile(rb"([0-9A-Fa-f]{2,3}\r\n(?:event: .*\n)?data: )(.*)" + self.tail + rb"|(?s:.)+")

    def judge(self, head: bytes) -> int:
        """How long the payload behind this head must be; -1 where that is not for this room to say."""
        size = -1
        match = _HEAD.fullmatch(head)
        if match is not None:
            name, own = match[2], self.line_end[:-1]
            if name is not None and name.endswith(own):
                name = name[: len(name) - len(own)]
                usual = b"\r" not in name and name != b"error"  # that makes an error of whatever follows
            else:
                usual = name is None
            if usual:
                behind_size = len(head) - len(match[1]) - 2
                size = max(-1, int(match[1], 16) - behind_size - 2 * len(self.line_end))
        if len(head) <= _HEAD_BYTES and len(self.known) < _HEADS:
            self.known[head] = size
        return size


_LF: Final = _Shape(b"\n")
_CRLF: Final = _Shape(b"\r\n")


class WholeChunks:
    """Takes runs of one-event chunks out of the buffer, for one response."""

    __slots__ = ("_decoder", "_reader", "_shape", "settled")

    def __init__(self, reader: ChunkedReader, decoder: Decoder) -> None:
        self._reader = reader
        self._decoder = decoder
        self._shape = _LF
        #: In step for certain: nothing was left to the reader and the decoder since.
        self.settled = False

    @staticmethod
    def fits(limits: Limits) -> bool:
        """Whether no bound that was set could be passed by a chunk of this shape."""
        return limits.event_bytes >= _LARGEST and limits.chunk_line_bytes >= 3

    @property
    def in_step(self) -> bool:
        """Whether the next byte begins a chunk, and an event."""
        return self.settled or (self._reader.between_chunks and self._decoder.fresh)

    def take(self, buffer: ReceiveBuffer, payloads: list[bytes]) -> bool:
        """Append the payloads of the run that the buffer begins with, and consume it. Only while `in_step`.

        Whether that was all: what still stands in the buffer, if anything, is the
        beginning of a chunk and must stay there. Else the rest is the readers' to take.
        """
        data, pos, end = buffer.data, buffer.start, buffer.end
        shape = self._shape
        known, tail = shape.known, len(shape.tail)
        for head, payload in shape.runs.findall(data, pos, end):
            size = known.get(head)
            if size is None:
                size = shape.judge(head)
            if size != len(payload) or 13 in payload:
                break
            payloads.append(payload)
            pos += len(head) + size + tail
        buffer.start = pos
        if pos == end or _may_wait(data, pos, end, buffer.limit):
            self.settled = True
            return True
        self.settled = False
        if not payloads and data.find(shape.tail, pos, end) < 0:
            self._shape = _CRLF if shape is _LF else _LF  # for the next read
        return False


def _may_wait(data: bytearray, pos: int, end: int, limit: int) -> bool:
    """Whether what begins here is part of a chunk that has not come whole, and holds no whole event."""
    line = _SIZE_LINE.match(data, pos, end)
    if line is None:
        return _HALF_A_LINE.fullmatch(data, pos, end) is not None
    inside = line.end()
    if end - inside >= int(line[1], 16) or end - pos > limit // 2:
        return False
    # An event ends with two line ends.
    return data.count(b"\n", inside, end) + data.count(b"\r", inside, end) - data.count(b"\r\n", inside, end) <= 1
