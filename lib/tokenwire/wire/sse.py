"""Server-sent events (WHATWG HTML, section 9.2): the decoder and the encoder, one room.

Theory of operation. The decoder is fed slices of somebody's buffer, as offsets,
and emits one frame per dispatched event. It works in two gears:

* The fast gear takes an event that lies whole in the slice and has the shape
  that nearly all have, `data: ...` between optional `event: ...` and a blank line.
  One match of one regular expression, no state.
* The slow gear is the specification's line machine. It takes everything else, a
  line at a time, and keeps its state between slices: a multi-line event, a
  comment, an `id:`, CR line ends, an event cut by the end of the slice.

An unfinished line is carried over in a bytearray of its own that grows as bytes
come and is searched only where it is new: the cost of an event of several MB is
linear in its size, and each of its bytes is moved once.

A line ends at LF, CR LF or CR, and nowhere else: U+2028 and its like are data.
A CR that ends a slice ends its line at once; that an LF follows is found out
later, and the LF is skipped. So no event ever waits for a byte that may not come.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from tokenwire.errors import LimitExceededError
from tokenwire.policy import DEFAULT_LIMITS, Limits
from tokenwire.wire.body import Span

__all__ = ["Decoder", "Frame", "ServerSentEvent", "encode", "encode_comment"]

#: data, event, id, retry: what a ServerSentEvent is made of, without the cost of making one.
Frame = tuple[Any, str, str, int | None]


class ServerSentEvent(NamedTuple):
    """One dispatched event.

    data: the payload, bytes-like; its lines are joined by LF.
    event: the event type; "" where none was sent (the specification's "message").
    id: the last event ID, also where an earlier event set it.
    retry: the reconnection time in milliseconds, where this event sets it.
    """

    data: bytes | bytearray | memoryview
    event: str = ""
    id: str = ""
    retry: int | None = None

    def encode(self) -> bytes:
        """The event, ready to be sent on: for relays and recorders. See encode."""
        return encode(bytes(self.data), event=self.event, id=self.id or None, retry=self.retry)


_BOM: Final = b"\xef\xbb\xbf"

#: Event types are few, and the same in all streams: each is decoded once, and kept for all. The servers choose
#: them, so their number and length are bounded; one that comes too late is decoded each time.
_names: Final[dict[bytes, str]] = {}
_NAMES: Final = 256
_NAME_BYTES: Final = 128

# The shape of nearly every event. `.` is any byte but LF, so a group may end in the CR of a CR LF,
# or hold a CR that is a line end of its own: that is looked at afterwards.
_EVENT: Final = re.compile(rb"(?:event: (.*)\n)?data: (.*)\n\r?\n")


class Decoder:
    """Bytes to server-sent events, for one stream.

    views: hand out payloads as memoryviews of the fed buffer, which are true
        until that buffer is used again; else each payload is its own copy.
    error_field: take a field named `error` for an event of that type. The
        specification ignores it; llama.cpp's server used it until September 2025.
    """

    __slots__ = (
        "_data",
        "_error_field",
        "_event",
        "_first_line",
        "_id",
        "_idle",
        "_limit",
        "_line",
        "_next_lf",
        "_retry",
        "_size",
        "_skip_lf",
        "_views",
        "last_event_id",
    )

    def __init__(
        self, limits: Limits = DEFAULT_LIMITS, *, views: bool = False, error_field: bool = False
    ) -> None:
        self._limit = limits.event_bytes
        self._views = views
        self._error_field = error_field
        self._first_line = True
        self._skip_lf = False
        self.last_event_id = ""
        self._id = ""  # the specification's buffer: it becomes the last event ID at the next blank line
        self._line: bytearray | None = None  # an unfinished line
        # Where the slow gear saw the next LF of this slice, its end if there is none. Up to there lines
        # end in CR alone, so the fast gear would search in vain, and for each line anew.
        self._next_lf = -1
        self._clear()

    def _clear(self) -> None:
        """Forget the event under construction."""
        self._idle = True
        self._data: bytearray | None = None
        self._size = 0
        self._event = ""
        self._retry: int | None = None

    @property
    def fresh(self) -> bool:
        """Whether the next byte begins an event: nothing is under construction, no line, no CR LF."""
        return self._idle and not self._first_line and not self._skip_lf

    def feed(self, data: bytes | bytearray | memoryview) -> list[ServerSentEvent]:
        """The events that these bytes complete.

        Raises LimitExceededError above `Limits.event_bytes`.
        """
        frames: list[Frame] = []
        source = data if isinstance(data, (bytes, bytearray)) else bytes(data)
        if source:
            self.scan(source, [(0, len(source))], frames)
        return [ServerSentEvent._make(frame) for frame in frames]

    def scan(self, data: bytes | bytearray, spans: list[Span], frames: list[Frame]) -> None:
        """Append the frames that these slices of data, (start, stop) each, complete.

        Raises LimitExceededError above `Limits.event_bytes`, after it has appended
        every event before.
        """
        match, append, names = _EVENT.match, frames.append, _names
        view = memoryview(data) if self._views else None
        limit = self._limit
        for first, end in spans:
            pos = first
            if self._skip_lf and pos < end:
                self._skip_lf = False
                if data.startswith(b"\n", pos, end):
                    pos += 1
            if self._first_line and pos < end and self._line is None and data[pos] != _BOM[0]:
                self._first_line = False
            small = end - pos <= limit
            while pos < end:
                if self._idle and small and self._next_lf < pos:
                    event = match(data, pos, end)
                    if event is not None:
                        name: str | None = ""
                        if event[1] is not None:
                            name = names.get(event[1])
                            if name is None:
                                name = self._learn(event[1])
                        if view is None:
                            payload: Any = event[2]
                            if 13 in payload:
                                payload = payload.removesuffix(b"\r")
                                if 13 in payload:
                                    name = None
                        else:
                            start, stop = event.span(2)
                            cr = data.find(b"\r", start, stop)
                            if cr >= 0:
                                if cr < stop - 1:
                                    name = None
                                stop = cr
                            payload = view[start:stop]
                        if name is not None:
                            append((payload, name, self.last_event_id, None))
                            pos = event.end()
                            continue
                pos = self._one_line(data, pos, end, frames)
            self._next_lf = -1

    # -- the slow gear -----------------------------------------------------------

    @staticmethod
    def _learn(raw: bytes) -> str | None:
        """An event type seen for the first time, or None where a lone CR cuts its line in two."""
        line = raw.removesuffix(b"\r")
        if b"\r" in line:
            return None
        name = line.decode("utf-8", "replace")
        if len(_names) < _NAMES and len(raw) <= _NAME_BYTES:
            _names[raw] = name
        return name

    def _one_line(self, data: bytes | bytearray, pos: int, end: int, frames: list[Frame]) -> int:
        """Take one line, or the beginning of one, and return the position behind it."""
        if self._next_lf < pos:
            lf = data.find(b"\n", pos, end)
            self._next_lf = end if lf < 0 else lf
        lf = self._next_lf
        stop = data.find(b"\r", pos, lf)
        if stop < 0:
            stop = lf
        if stop == end:
            self._grow(end - pos)
            if self._line is None:
                self._line = bytearray()
            self._line += memoryview(data)[pos:end]
            self._idle = False
            return end
        after = stop + 1
        if data.startswith(b"\r", stop, after):
            if after == end:
                self._skip_lf = True
            elif after == lf:
                after += 1
        if self._line is None:
            line = bytearray(memoryview(data)[pos:stop])
        else:
            line = self._line
            line += memoryview(data)[pos:stop]
            self._line = None
        self._grow(stop - pos)
        self._process(line, frames)
        return after

    def _grow(self, count: int) -> None:
        self._size += count
        if self._size > self._limit:
            raise LimitExceededError(
                f"an event is larger than {self._limit} bytes (Limits.event_bytes)",
                limit="event_bytes",
                allowed=self._limit,
            )

    def _process(self, line: bytearray, frames: list[Frame]) -> None:
        """9.2.6: "process the line"."""
        if self._first_line:
            # "One leading U+FEFF BYTE ORDER MARK character must be ignored if any are present."
            self._first_line = False
            if line.startswith(_BOM):
                del line[:3]
        if not line:
            self._dispatch(frames)
            return
        colon = line.find(b":")
        if colon == 0:
            # A comment is no part of an event: it neither dispatches one nor counts to its size.
            self._size -= len(line)
            if self._data is None and not self._event and self._retry is None and self._id == self.last_event_id:
                self._clear()  # nothing is held, so the lines that were ignored count no more
            return
        self._idle = False
        if colon < 0:
            name, value_at = bytes(line), len(line)
        else:
            # "If value starts with a U+0020 SPACE character, remove it from value."
            name = bytes(line[:colon])
            value_at = colon + (2 if line.startswith(b" ", colon + 1) else 1)
        if name == b"data":
            del line[:value_at]  # cuts the front off in place: the payload itself is not moved
            if self._data is None:
                self._data = line
            else:
                self._data += b"\n"
                self._data += line
        elif name == b"event":
            self._event = line[value_at:].decode("utf-8", "replace")
        elif name == b"id":
            # "If the field value does not contain U+0000 NULL ... Otherwise, ignore the field."
            if b"\0" not in line:
                self._id = line[value_at:].decode("utf-8", "replace")
        elif name == b"retry":
            # "If the field value consists of only ASCII digits". 18 of them are 30 million years.
            value = bytes(line[value_at:])
            if value.isdigit() and len(value) <= 18:
                self._retry = int(value)
        elif name == b"error" and self._error_field:
            del line[:value_at]
            self._data = line
            self._event = "error"

    def _dispatch(self, frames: list[Frame]) -> None:
        # "Set the last event ID string of the event source to the value of the last event ID buffer."
        self.last_event_id = self._id
        # "If the data buffer is an empty string, set the data buffer and the event type buffer to the
        # empty string and return." A `data` line without a value is not that: its buffer holds an LF.
        if self._data is not None:
            payload: Any = memoryview(self._data) if self._views else self._data
            frames.append((payload, self._event, self.last_event_id, self._retry))
        self._clear()

    def residue(self) -> ServerSentEvent | None:
        """What is left at the end of the stream, as if a blank line had come; None where nothing is.

        "Once the end of the file is reached, any pending data must be discarded":
        but some servers send no blank line after their last event, so the caller
        may look whether this one is whole.
        """
        frames: list[Frame] = []
        if self._line is not None:
            line, self._line = self._line, None
            self._process(line, frames)
        self._dispatch(frames)
        return ServerSentEvent._make(frames[0]) if frames else None


# -- The encoder ---------------------------------------------------------------


def _one_line(name: str, value: str) -> bytes:
    if "\n" in value or "\r" in value:
        raise ValueError(f"a server-sent event's {name} must not contain a line end: {value!r}")
    return f"{name}: {value}\n".encode()


def encode(
    data: str | bytes, *, event: str = "", id: str | None = None, retry: int | None = None
) -> bytes:
    """One event, ready to be sent. decode(encode(x)) == x.

    data: the payload; each of its lines becomes a `data:` line. A CR, which the
    format cannot carry, becomes a line end. retry: milliseconds. Raises ValueError
    for a line end in event or id, a NULL in id, or a negative retry.
    """
    lines = []
    if event:
        lines.append(_one_line("event", event))
    if id is not None:
        if "\0" in id:
            raise ValueError("a server-sent event's id must not contain U+0000")
        lines.append(_one_line("id", id))
    if retry is not None:
        if retry < 0:
            raise ValueError(f"a server-sent event's retry must not be negative: {retry}")
        lines.append(b"retry: %d\n" % retry)
    payload = data.encode() if isinstance(data, str) else data
    if b"\r" in payload:
        payload = payload.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines += [b"data: %b\n" % line for line in payload.split(b"\n")]
    lines.append(b"\n")
    return b"".join(lines)


def encode_comment(text: str = "") -> bytes:
    """A comment, which every client ignores: a keep-alive."""
    return b": %b\n\n" % text.replace("\r", " ").replace("\n", " ").encode()
