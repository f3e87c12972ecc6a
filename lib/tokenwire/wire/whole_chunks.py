"""The usual case, both layers at once: chunks that hold exactly one event each.

Theory of operation. Nearly every server of tokens sends each event as a chunk of its
own, so nearly every read is a run of such chunks, and `runs` cuts a whole run by one
call. Here stands when that may be done: between two chunks and two events, and under
bounds that nothing of this shape could pass.

What has any other shape is left to body.py and sse.py, at the position where it begins.
So is the end of the body. The beginning of a chunk of this shape, at the end of a read,
is left in the buffer until its rest has come, but only where it cannot hold a whole
event yet: an event never waits for the byte behind it.
"""

from __future__ import annotations

import re
from typing import Final

from tokenwire.policy import Limits
from tokenwire.wire.body import ChunkedReader
from tokenwire.wire.buffer import ReceiveBuffer
from tokenwire.wire.runs import LARGEST, cutter
from tokenwire.wire.sse import Decoder

__all__ = ["WholeChunks"]

# What a chunk that waits begins with. A size of 0 is the last chunk's.
_SIZE_LINE: Final = re.compile(rb"([1-9A-Fa-f][0-9A-Fa-f]{0,2})\r\n")
_HALF_A_LINE: Final = re.compile(rb"[1-9A-Fa-f][0-9A-Fa-f]{0,2}\r?")

_LF: Final = 1  # the length of what ends a line
_CRLF: Final = 2

#: What ends a chunk of this shape.
_TAILS: Final = {_LF: b"\n\n\r\n", _CRLF: b"\r\n\r\n\r\n"}


class WholeChunks:
    """Takes runs of one-event chunks out of the buffer, for one response."""

    __slots__ = ("_cut", "_decoder", "_line_end", "_reader", "settled")

    def __init__(self, reader: ChunkedReader, decoder: Decoder) -> None:
        self._reader = reader
        self._decoder = decoder
        self._cut = cutter()
        self._line_end = _LF
        #: In step for certain: nothing was left to the reader and the decoder since.
        self.settled = False

    @staticmethod
    def fits(limits: Limits) -> bool:
        """Whether no bound that was set could be passed by a chunk of this shape."""
        return limits.event_bytes >= LARGEST and limits.chunk_line_bytes >= 3

    @property
    def in_step(self) -> bool:
        """Whether the next byte begins a chunk, and an event."""
        return self.settled or (self._reader.between_chunks and self._decoder.fresh)

    def take(self, buffer: ReceiveBuffer) -> list[bytes]:
        """The payloads of the run that the buffer begins with; it is consumed. Only while `in_step`.

        Afterwards `settled` says whether that was all: what still stands in the buffer, if anything, is the
        beginning of a chunk and must stay there. Else the rest is the readers' to take.
        """
        data, end = buffer.data, buffer.end
        payloads, pos = self._cut(data, buffer.start, end, self._line_end)
        buffer.start = pos
        if pos == end or _may_wait(data, pos, end, buffer.limit):
            self.settled = True
            return payloads
        self.settled = False
        if not payloads and data.find(_TAILS[self._line_end], pos, end) < 0:
            self._line_end = _CRLF if self._line_end == _LF else _LF  # for the next read
        return payloads


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
