"""Pipeline: one response, bytes in, typed events out.

Theory of operation. After each read the exchange calls `receive`, which takes all
that the connection's buffer holds through the rooms above: body framing finds
slices, content coding unpacks them where there is one, the SSE decoder cuts them
into frames, the family makes each an event. Chunks that are one event each, which is
how nearly every token comes, take the shorter way through wire/whole_chunks.py. One
call per read; nothing is done per token that can be done once per read.

What is wrong never hides what came before it: each room appends to a list that it
was given, and a failure is kept here, in `failure`, until the consumer has had all
the events in front of it.

The end is judged here, once:

* `[DONE]` ends a stream, and completes a chat. The family's accumulator tells
  whether the events themselves were complete (finish reasons; a terminal event).
* The end of the body without either is a truncation, however clean it looks.
* After the marker nothing matters any more, except whether the connection can be
  used again. That holds for what came behind it in the same read, too: how the
  network cuts the bytes must not change the verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from tokenwire.errors import APIError, RemoteProtocolError, StreamDecodeError, StreamTruncatedError
from tokenwire.families.faults import error_in
from tokenwire.policy import DEFAULT_LIMITS, Limits
from tokenwire.refusals import NO_JSON, json_in, not_a_stream
from tokenwire.wire.body import ChunkedReader, Span
from tokenwire.wire.coding import decompressor
from tokenwire.wire.heads import ResponseHead
from tokenwire.wire.http1 import ClientConnection
from tokenwire.wire.sse import Decoder, Frame, ServerSentEvent
from tokenwire.wire.whole_chunks import WholeChunks

__all__ = [
    "Accumulator",
    "Body",
    "EventPipeline",
    "Family",
    "Helper",
    "HelperPipeline",
    "RawPipeline",
]


class Accumulator(Protocol):
    """What a family makes of all the events of one stream."""

    def add_run(self, events: list[Any], /) -> object: ...

    @property
    def complete(self) -> bool:
        """Whether the events so far are a complete answer, should the body end here."""

    @property
    def terminal(self) -> bool:
        """Whether nothing can follow any more."""

    def snapshot(self) -> Any: ...


class Family(Protocol):
    """A module of `families`."""

    @property
    def name(self) -> str: ...

    def decode(self, payload: bytes | bytearray) -> Any: ...

    def decode_run(self, payloads: list[bytes], events: list[Any]) -> None: ...

    def decode_whole(self, payload: bytes | bytearray) -> Any: ...

    def text(self, event: Any) -> str: ...

    @property
    def Accumulator(self) -> Callable[[], Accumulator]: ...


class Helper(Protocol):
    """What a family puts behind `.stream()`: its own events in place of the wire's."""

    @property
    def accumulator(self) -> Accumulator: ...

    def events(self, event: Any) -> list[Any]: ...

    def end(self) -> list[Any]: ...

    def snapshot(self) -> Any: ...

    def final(self) -> Any: ...


_DONE: Final = b"[DONE]"
_TERMINAL: Final = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")

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


class _Stream:
    """What the two kinds of stream have in common: bytes to frames, and the end of the body.

    done: the stream is over, well or badly. failure: what to raise once the events
    before it are delivered, or None.
    """

    __slots__ = ("_body", "_breach", "_buffer", "_decoder", "_preface", "done", "failure")

    def __init__(self, connection: ClientConnection, head: ResponseHead, limits: Limits, *, views: bool) -> None:
        self._body = Body(connection, head, limits)
        self._decoder = Decoder(limits, views=views, error_field=not views)
        self._buffer = connection.buffer
        self._preface: bytearray | None = bytearray()
        self._breach: RemoteProtocolError | None = None  # stands behind the last frame
        self.done = False
        self.failure: Exception | None = None

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
        """[DONE] has come; last: the payload of the read's last frame. "data after [DONE]: not reused"."""
        if self._body.unpack is None:  # compressed, the end of the coding itself would be taken for data
            spoiled = not _is_done(last) or self._decoder.residue() is not None
            self._body.connection.nothing_follows(spoiled=spoiled)

    def _instead_of_events(self) -> APIError | None:
        """The error for what stands where a stream was announced: JSON, or a page, under the wrong media type."""
        if self._preface is None or not self._preface.lstrip().startswith((b"{", b"[", b"<")):
            return None
        return not_a_stream(bytes(self._preface), self._body.head)


def _is_done(payload: Any) -> bool:
    return len(payload) < 32 and bytes(payload).strip() == _DONE


def _is_whole(payload: bytes) -> bool:
    """Whether the rest of a stream is one whole payload: JSON, or [DONE]."""
    return _is_done(payload) or json_in(payload) is not NO_JSON


class EventPipeline(_Stream):
    """One streamed response as typed events.

    accumulator: the family's, fed with every event. events: how many there were on the wire.
    """

    __slots__ = ("_decode", "_decode_run", "_family", "_marked", "_whole_chunks", "accumulator", "events")

    def __init__(
        self,
        connection: ClientConnection,
        head: ResponseHead,
        family: Family,
        limits: Limits = DEFAULT_LIMITS,
        accumulator: Accumulator | None = None,
    ) -> None:
        super().__init__(connection, head, limits, views=False)
        self._family = family
        self._decode = family.decode
        self._decode_run = family.decode_run
        self.accumulator = family.Accumulator() if accumulator is None else accumulator
        self._marked = False  # [DONE] has come
        self.events = 0
        reader = self._body.reader
        self._whole_chunks = (
            WholeChunks(reader, self._decoder)
            if isinstance(reader, ChunkedReader) and self._body.unpack is None and WholeChunks.fits(limits)
            else None
        )

    def receive(self) -> list[Any]:
        """The events that the buffer's bytes complete, in order; an empty list where they complete none.

        Afterwards look at `done` and `failure`.
        """
        decoded: list[Any] = []
        frames: list[Frame] = []
        chunks = self._whole_chunks
        if chunks is None or self._preface is not None:  # the first event shows that it is a stream
            frames = self._frames()
        else:
            payloads: list[bytes] = []
            all_taken = False
            if chunks.in_step:
                all_taken = chunks.take(self._buffer, payloads)
                self._decode_run(payloads, decoded)
                if all_taken and len(decoded) == len(payloads):
                    return self._absorbed(decoded)
            else:
                frames = self._frames(one=True)  # what is under way
                if chunks.in_step and self._breach is None:
                    all_taken = chunks.take(self._buffer, payloads)
            frames += [(payload, "", "", None) for payload in payloads[len(decoded) :]]
            if not all_taken and self._breach is None:
                frames += self._frames()
        events = self._read(frames, decoded)
        if not self.done:
            if self._breach is not None:
                self._fail(self._breach)
            elif self._body.reader.complete:
                self._judge(events, None)
        return events

    def _read(self, frames: list[Frame], decoded: list[Any]) -> list[Any]:
        """The events that were decoded already, and those of these frames behind them."""
        decode = self._decode
        for payload, name, _, _ in frames:
            try:
                event = decode(payload)
            except APIError as error:
                if self._passes(payload, name, error):
                    continue
                break
            if name == "error" and not self._tolerates(payload):
                break
            decoded.append(event)
        events = self._absorbed(decoded)
        if self._marked and not self.accumulator.terminal:
            self._nothing_follows(frames[-1][0])
            if self._family.name != "chat":
                self._truncated("[DONE] came before the terminal event")
        return events

    def _absorbed(self, decoded: list[Any]) -> list[Any]:
        """Add the events of one read to what there is of the answer; what the consumer is to see of them."""
        self.events += len(decoded)
        self.accumulator.add_run(decoded)
        if self.accumulator.terminal:
            self._end_at_terminal(decoded)
        return decoded

    def _end_at_terminal(self, events: list[Any]) -> None:
        """The terminal event has come: what came behind it in the same read came too late to matter."""
        kinds = [getattr(event, "type", "") for event in events]
        end = min((kinds.index(kind) + 1 for kind in _TERMINAL if kind in kinds), default=len(events))
        self.events -= len(events) - end
        del events[end:]
        self.done = True
        self.failure = None

    def receive_eof(self, why: str | None = None) -> list[Any]:
        """The connection has ended: the events that this end completes. Afterwards `done` is True.

        why: in words, where it did not end by a proper close.
        """
        if self.done:
            return []
        events = self._read(self._frames(), [])  # the chunk that had begun, if one waits
        why = self._broken_off(why)
        if not self.done:
            if self._breach is not None:
                self._fail(self._breach)
            else:
                self._judge(events, why)
        return events

    def _passes(self, payload: bytes, name: str, error: APIError) -> bool:
        """Whether the stream goes on behind a payload that is no event: an empty one, a comment sent as data."""
        text = bytes(payload).strip()
        if text == _DONE:
            self.done = self._marked = True
            return False
        if name == "error" and isinstance(error, StreamDecodeError):
            message = text.decode("utf-8", "replace")
            error = APIError(message or "the server sent an error event without a word", body=message)
        elif not text or text.startswith(b":"):
            return True
        self._fail(error)
        return False

    def _tolerates(self, payload: bytes) -> bool:
        """`event: error` makes an error of whatever it holds, unless it names its own type."""
        found = json_in(payload)
        if isinstance(found.get("type"), str) and found["type"].startswith("response."):
            return True  # "event: altered by a proxy: trust the JSON's type"
        error = error_in(found) or APIError(str(found.get("message") or found), body=found)
        self._fail(error)
        return False

    def _judge(self, events: list[Any], why: str | None) -> None:
        """The body has ended, or broken off for this reason: is the answer whole?"""
        self.done = True
        left = self._decoder.residue()
        if left is not None and _is_whole(left.data):
            # No blank line came behind the last event.
            self._preface = None
            events += self._read([left], [])
        if self.accumulator.complete or self.failure is not None or self._marked:
            return
        instead = self._instead_of_events()
        if instead is not None:
            self._fail(instead)
        else:
            self._truncated(why or "the body ended before the terminal event")

    def _truncated(self, why: str) -> None:
        self._fail(
            StreamTruncatedError(
                f"The stream was cut: {why}, after {self.events} events.",
                snapshot=self.accumulator.snapshot(),
                events=self.events,
            )
        )


class HelperPipeline(EventPipeline):
    """One streamed response as the events of `.stream()`."""

    __slots__ = ("_helper",)

    def __init__(
        self,
        connection: ClientConnection,
        head: ResponseHead,
        family: Family,
        helper: Helper,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        super().__init__(connection, head, family, limits, helper.accumulator)
        self._helper = helper

    def _absorbed(self, decoded: list[Any]) -> list[Any]:
        self.events += len(decoded)
        turn = self._helper.events
        events = [made for event in decoded for made in turn(event)]
        if self.accumulator.terminal:
            self._end_at_terminal(events)
        return events

    def receive(self) -> list[Any]:
        return self._ended(super().receive())

    def receive_eof(self, why: str | None = None) -> list[Any]:
        return [] if self.done else self._ended(super().receive_eof(why))

    def _ended(self, events: list[Any]) -> list[Any]:
        if self.done and self.failure is None:
            events += self._helper.end()
        return events


class RawPipeline(_Stream):
    """One streamed response as server-sent events, undecoded; `data` is a view that is true until the next step.

    Only the framing is judged: what the events say is the reader's.
    """

    __slots__ = ("events",)

    accumulator = None

    def __init__(self, connection: ClientConnection, head: ResponseHead, limits: Limits = DEFAULT_LIMITS) -> None:
        connection.buffer.keep()
        super().__init__(connection, head, limits, views=True)
        self.events = 0

    def receive(self) -> list[ServerSentEvent]:
        """The events that the buffer's bytes complete; `[DONE]` is the last, where it comes."""
        events = []
        frames = self._frames()
        for frame in frames:
            events.append(ServerSentEvent._make(frame))
            if _is_done(frame[0]):
                self.done = True
                self._nothing_follows(frames[-1][0])
                break
        self.events += len(events)
        if not self.done:
            if self._breach is not None:
                self._fail(self._breach)
            elif self._body.reader.complete:
                self._end(events)
        return events

    def receive_eof(self, why: str | None = None) -> list[ServerSentEvent]:
        """As EventPipeline.receive_eof."""
        events: list[ServerSentEvent] = []
        if not self.done:
            why = self._broken_off(why)
            self._end(events)
            if why is not None and not (events and _is_done(events[-1].data)):
                self._fail(StreamTruncatedError(f"The stream was cut: {why}.", events=self.events))
        return events

    def _end(self, events: list[ServerSentEvent]) -> None:
        self.done = True
        left = self._decoder.residue()
        if left is not None and _is_whole(left.data):  # half an event is none
            self.events += 1
            events.append(left)
