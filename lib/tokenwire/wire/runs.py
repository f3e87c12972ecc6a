"""Runs of chunks that hold exactly one event each, cut into the events' payloads.

Theory of operation. Nearly every server of tokens sends each event as a chunk of its
own, so nearly every read is a run of

    138 CRLF [event: name LF] data: {...} LF LF CRLF

A chunk says how long it is, so each part of it has its place, and nothing need be
searched for. `_runs.c` looks at those places: that is how it is done wherever there was
a compiler. What stands here gives the same answers (a test holds the two together), and
looks for other ways, since in Python a step for each part is what costs most.

One regular expression cuts a whole run into (head, payload) pairs, without a step of
Python in between: contiguous by construction, since what does not have this shape is
swallowed by its second branch, to the end. A head, which is the chunk-size line, the
`event:` line and `data: `, says how long its payload must be. It is judged once, by
the very rules of body.py and sse.py, and remembered; after that one look-up and one
comparison prove that framing and event agree.

A read that brings many tokens is, moreover, nearly always a run of one type of event.
What such a run must look like, byte by byte, follows from its payloads alone. So only
these are searched for, the run is written anew around them, and compared with what
came (`_Usual`): a comparison for all in place of one for each.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import chain, repeat
from typing import Final, TypeAlias

__all__ = ["LARGEST", "Cut", "Runs", "compiled", "cutter"]

#: `cut(data, start, end, line_end)`: the payloads of the run that `data[start:end]` begins with, and where it ends.
#: line_end: the length of what ends a line, 1 (LF) or 2 (CRLF).
Cut: TypeAlias = Callable[[bytearray, int, int, int], tuple[list[bytes], int]]

#: The same by C; None where there was no compiler.
compiled: Cut | None
try:
    from tokenwire.wire._runs import cut as compiled
except ImportError:
    compiled = None

#: The largest chunk-data of this shape, in bytes: a chunk-size of three hex digits.
LARGEST: Final = 0xFFF

# RFC 9112, 7.1: "chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF". Two or three digits: 16 to 4,095 bytes,
# which is every token there is. The payload is a JSON object, by its first and last byte. It may not hold a CR, which
# would end its line: that is looked at afterwards, for a class of characters costs five times what `.` does.
_HEAD: Final = re.compile(rb"([0-9A-Fa-f]{2,3})\r\n(?:event: (.*)\n)?data: ")

# Sizes are few and event types too, but both are the peer's choice: so many heads are remembered, of this length.
_HEADS: Final = 8_192
_HEAD_BYTES: Final = 128
_TYPES: Final = 64

_flat: Final = chain.from_iterable

#: Bytes that hold some events: what is less is sooner cut into pairs. And how many of them show the usual type.
_MANY: Final = 2_048
_FEW: Final = 4


class _Usual(dict[int, bytes]):
    """Runs of one type of event: the head that stands before a payload of so many bytes.

    The chunk-size in digits as nearly every server writes them: lower case, no zero in front.
    """

    def __init__(self, lines: bytes, tail: bytes) -> None:
        self._lines = lines  # between the chunk-size line and the payload
        self._tail = tail
        self.payloads = re.compile(re.escape(lines) + rb"(\{.*\})" + tail).findall

    def __missing__(self, length: int) -> bytes:
        size = len(self._lines) + length + len(self._tail) - 2
        if size > LARGEST:
            return b""  # which no chunk begins with
        head = self[length] = b"%x\r\n%b" % (size, self._lines)
        return head

    def take(self, data: bytearray, pos: int, end: int) -> tuple[list[bytes], int]:
        """The payloads of the run that stands here, and its bytes; none where it is not all of this type."""
        payloads = self.payloads(data, pos, end)
        run = b"".join(_flat(zip(map(self.__getitem__, map(len, payloads)), payloads, repeat(self._tail))))
        if data.startswith(run, pos) and 13 not in b"\n".join(payloads):
            return payloads, len(run)
        return [], 0


class _Shape:
    """The usual chunk, by how its lines end.

    runs: cuts a run of them. tail: what ends each. known: head -> the length that its payload must have, or -1
    where the head is none of the usual. usual: the same by what stands between the size and the payload.
    """

    def __init__(self, line_end: bytes) -> None:
        self.line_end = line_end
        self.tail = 2 * line_end + b"\r\n"
        self.tail_length = len(self.tail)
        self.known: dict[bytes, int] = {}
        self.runs = re.compile(rb"([0-9A-Fa-f]{2,3}\r\n(?:event: .*\n)?data: )(\{.*\})" + self.tail + rb"|(?s:.)+")
        self.usual: dict[bytes, _Usual] = {}

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

    def usual_in(self, pairs: list[tuple[bytes, bytes]]) -> _Usual | None:
        """What this run, which was good, lets one expect of the next, if anything."""
        head, payload = pairs[-1]
        lines = head[head.index(b"\n") + 1 :]
        if not pairs[0][0].endswith(b"\n" + lines):
            return None  # of more than one type
        usual = self.usual.get(lines)
        if usual is None:
            if len(head) > _HEAD_BYTES:
                return None
            if len(self.usual) >= _TYPES:
                self.usual.clear()
            usual = self.usual[lines] = _Usual(lines, self.tail)
        return usual if usual[len(payload)] == head else None  # or its digits are others


_SHAPES: Final = (_Shape(b"\n"), _Shape(b"\r\n"))


class Runs:
    """The cutting, in Python, for one response."""

    __slots__ = ("_usual",)

    def __init__(self) -> None:
        self._usual: _Usual | None = None

    def cut(self, data: bytearray, start: int, end: int, line_end: int) -> tuple[list[bytes], int]:
        """See `Cut`."""
        shape, pos = _SHAPES[line_end - 1], start
        payloads: list[bytes] = []
        if self._usual is not None and end - pos > _MANY:
            payloads, length = self._usual.take(data, pos, end)
            pos += length
            if not length:
                self._usual = None
        known, tail = shape.known, shape.tail_length
        pairs = shape.runs.findall(data, pos, end)
        for head, payload in pairs:
            size = len(payload)
            if (known.get(head) != size and (head in known or shape.judge(head) != size)) or 13 in payload:
                break
            payloads.append(payload)
            pos += len(head) + size + tail
        if len(payloads) >= _FEW and self._usual is None:
            self._usual = shape.usual_in(pairs[: len(payloads)])
        return payloads, pos


def cutter() -> Cut:
    """What cuts the runs of one response."""
    return compiled or Runs().cut
