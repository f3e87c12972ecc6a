"""Pipeline: one response, bytes in, typed events out.

Theory of operation. After each read the exchange calls `receive`, which takes all
that the connection's buffer holds through the rooms above: body framing finds
slices, content coding unpacks them where there is one, the SSE decoder cuts them
into frames, the family makes each an event. One call per read; nothing is done per
token that can be done once per read.

What is wrong never hides what came before it: each room appends to a list that it
was given, and a failure is kept here, in `failure`, until the consumer has had all
the events in front of it.

The end is judged here, once:

* `[DONE]` ends a stream, and completes a chat. The family's accumulator tells
  whether the events themselves were complete (finish reasons; a terminal event).
* The end of the body without either is a truncation, however clean it looks.
* After the marker nothing matters any more, except whether the connection can be
  used again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from tokenwire.errors import (
    APIError,
    APIResponseValidationError,
    LimitExceededError,
    RemoteProtocolError,
    StreamDecodeError,
    StreamTruncatedError,
    status_error,
)
from tokenwire.families.faults import error_in
from tokenwire.policy import DEFAULT_LIMITS, Limits
from tokenwire.wire.body import Span
from tokenwire.wire.coding import decompressor
from tokenwire.wire.http1 import ClientConnection, ResponseHead
from tokenwire.wire.sse import Decoder, Frame, ServerSentEvent

__all__ = [
    "Accumulator",
    "EventPipeline",
    "Family",
    "Helper",
    "HelperPipeline",
    "RawPipeline",
    "WholeBody",
    "is_stream",
]


class Accumulator(Protocol):
    """What a family makes of all the events of one stream."""

    def add(self, event: Any, /) -> object: ...

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

#: How much of a stream without a single event is kept to tell what it was instead.
_PREFACE: Final = 65_536


def is_stream(head: ResponseHead) -> bool:
    """Whether this body can be a stream of events.

    Servers are careless with the media type (`text/event-stream;`, text/plain, none),
    so only what is certainly something else counts as such.
    """
    media_type = head.headers.get("content-type", "").split(";")[0].strip().lower()
    return media_type not in ("application/json", "application/problem+json", "text/html")


class _Body:
    """Where the slices of one response's body come from: framing, then content coding."""

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

    def __init__(self, connection: ClientConnection, head: ResponseHead, limits: Limits, *, views: bool) -> None:
        self._body = _Body(connection, head, limits)
        self._decoder = Decoder(limits, views=views, error_field=not views)
        self._buffer = connection.buffer
        self._preface: bytearray | None = bytearray()
        self.done = False
        self.failure: Exception | None = None

    def _frames(self) -> list[Frame]:
        """All the frames that the buffer's bytes complete; a breach is kept in `failure`."""
        frames: list[Frame] = []
        spans: list[Span] = []
        body = self._body
        try:
            body.reader.read(self._buffer, spans)
        except RemoteProtocolError as error:
            self._fail(error)
        try:
            if body.unpack is None:
                if self._preface is not None:
                    self._keep_preface(self._buffer.data, spans)
                self._decoder.scan(self._buffer.data, spans, frames)
            else:
                self._scan_unpacked(spans, frames)
        except RemoteProtocolError as error:
            self._fail(error)
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

    def _fail(self, error: Exception) -> None:
        self.done = True
        if self.failure is None:
            self.failure = error

    def _instead_of_events(self) -> APIError | None:
        """The error that stands where a stream was announced: a JSON body under the wrong media type."""
        if self._preface is None:
            return None
        try:
            found = msgspec.json.decode(bytes(self._preface))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return error_in(found) if isinstance(found, dict) else None


def _is_whole(payload: bytes) -> bool:
    """Whether the rest of a stream is one whole payload: JSON, or [DONE]."""
    if bytes(payload).strip() == _DONE:
        return True
    try:
        msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


class EventPipeline(_Stream):
    """One streamed response as typed events.

    accumulator: the family's, fed with every event. events: how many there were on the wire.
    """

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
        self.accumulator = family.Accumulator() if accumulator is None else accumulator
        self._add = self.accumulator.add
        self._marked = False  # [DONE] has come
        self.events = 0

    def receive(self) -> list[Any]:
        """The events that the buffer's bytes complete, in order; an empty list where they complete none.

        Afterwards look at `done` and `failure`.
        """
        events: list[Any] = []
        self._read(self._frames(), events)
        if not self.done:
            if self.accumulator.terminal:
                self._cut_behind_terminal(events)
                self.done = True
            elif self._body.reader.complete:
                self._judge(events, None)
        return events

    def _read(self, frames: list[Frame], events: list[Any]) -> None:
        decode = self._decode
        decoded: list[Any] = []
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
        self.events += len(decoded)
        self._absorb(decoded, events)

    def _absorb(self, decoded: list[Any], events: list[Any]) -> None:
        add = self._add
        for event in decoded:
            add(event)
        events += decoded

    def receive_eof(self, why: str | None = None) -> list[Any]:
        """The connection has ended: the events that this end completes. Afterwards `done` is True.

        why: in words, where it did not end by a proper close.
        """
        events: list[Any] = []
        if not self.done:
            self._body.connection.receive_eof()
            missing = self._body.reader.eof()
            if why is None and missing is not None:
                why = f"the connection was closed with the body unfinished ({missing} missing)"
            self._judge(events, why)
        return events

    def _passes(self, payload: bytes, name: str, error: APIError) -> bool:
        """Whether the stream goes on behind a payload that is no event: an empty one, a comment sent as data."""
        text = bytes(payload).strip()
        if text == _DONE:
            self.done = self._marked = True
            if self._family.name != "chat" and not self.accumulator.complete:
                self._truncated("[DONE] came before the terminal event")
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
        found = msgspec.json.decode(payload)
        if isinstance(found.get("type"), str) and found["type"].startswith("response."):
            return True  # "event: altered by a proxy: trust the JSON's type"
        error = error_in(found) or APIError(str(found.get("message") or found), body=found)
        self._fail(error)
        return False

    def _cut_behind_terminal(self, events: list[Any]) -> None:
        terminal = {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
        for at, event in enumerate(events):
            if getattr(event, "type", None) in terminal:
                self.events -= len(events) - at - 1
                del events[at + 1 :]
                return

    def _judge(self, events: list[Any], why: str | None) -> None:
        """The body has ended, or broken off for this reason: is the answer whole?"""
        self.done = True
        left = self._decoder.residue()
        if left is not None and _is_whole(left.data):
            # No blank line came behind the last event.
            self._preface = None
            self._read([left], events)
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

    def _absorb(self, decoded: list[Any], events: list[Any]) -> None:
        for event in decoded:
            events += self._helper.events(event)

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

    accumulator = None

    def __init__(self, connection: ClientConnection, head: ResponseHead, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(connection, head, limits, views=True)
        self.events = 0

    def receive(self) -> list[ServerSentEvent]:
        """The events that the buffer's bytes complete; `[DONE]` is the last, where it comes."""
        events = []
        for frame in self._frames():
            events.append(ServerSentEvent._make(frame))
            if len(frame[0]) < 16 and bytes(frame[0]).strip() == _DONE:
                self.done = True
                break
        self.events += len(events)
        if not self.done and self._body.reader.complete:
            self._end(events)
        return events

    def receive_eof(self, why: str | None = None) -> list[ServerSentEvent]:
        """As EventPipeline.receive_eof."""
        events: list[ServerSentEvent] = []
        if not self.done:
            self._body.connection.receive_eof()
            missing = self._body.reader.eof()
            self._end(events)
            if why is None and missing is not None:
                why = f"the connection was closed with the body unfinished ({missing} missing)"
            if why is not None and not (events and bytes(events[-1].data).strip() == _DONE):
                self._fail(StreamTruncatedError(f"The stream was cut: {why}.", events=self.events))
        return events

    def _end(self, events: list[ServerSentEvent]) -> None:
        self.done = True
        left = self._decoder.residue()
        if left is not None:
            self.events += 1
            events.append(left)


class WholeBody:
    """One response that is not streamed: collected, bounded, and read at its end."""

    def __init__(self, connection: ClientConnection, head: ResponseHead, limits: Limits = DEFAULT_LIMITS) -> None:
        self._body = _Body(connection, head, limits)
        self._limits = limits
        self._content = bytearray()
        self.head = head
        self.done = self._body.reader.complete

    def receive(self) -> None:
        """Take what the buffer holds. Raises RemoteProtocolError."""
        spans: list[Span] = []
        self._body.reader.read(self._body.connection.buffer, spans)
        if self._body.unpack is None:
            data = self._body.connection.buffer.data
            for start, stop in spans:
                self._content += data[start:stop]
        else:
            pieces: list[bytes] = []
            self._body.unpacked(spans, pieces)
            for piece in pieces:
                self._content += piece
        if len(self._content) > self._limits.body_bytes:
            raise LimitExceededError(
                f"the body is larger than {self._limits.body_bytes} bytes (Limits.body_bytes)",
                limit="body_bytes",
                allowed=self._limits.body_bytes,
            )
        self.done = self._body.reader.complete

    def receive_eof(self) -> str | None:
        """The connection has ended: None where the body is whole, else what is missing, in words."""
        self._body.connection.receive_eof()
        self.done = True
        return self._body.reader.eof()

    @property
    def content(self) -> bytes:
        """The body, without the blank lines that some servers send ahead of it to keep the line alive."""
        return bytes(self._content.lstrip(b"\r\n \t"))

    def text(self) -> str:
        """The body as text; what is not UTF-8 is replaced."""
        return self.content.decode("utf-8", "replace")

    def error(self) -> APIError:
        """The exception that this answer with a status of 400 or more stands for. It never raises another."""
        body, message = self._explained()
        status = self.head.status_code
        return status_error(f"Error code: {status} - {message}", response=self.head, body=body)

    def not_a_stream(self) -> APIError:
        """The exception for this answer where a stream was asked for."""
        body, message = self._explained()
        media_type = self.head.headers.get("content-type", "")
        return APIError(f"The server answered with {media_type} where a stream was asked for: {message}", body=body)

    def read(self, family: Family) -> Any:
        """The family's whole object.

        Raises APIError for an error in it, APIResponseValidationError where it is no JSON object.
        """
        try:
            return family.decode_whole(self.content)
        except StreamDecodeError as error:
            raise APIResponseValidationError(
                f"The server's answer is not a JSON object: {error.message}",
                response=self.head,
                body=self.text()[:_SHOWN],
            ) from None

    def _explained(self) -> tuple[object, str]:
        """The error object, or else the text, and a message out of either."""
        try:
            found = msgspec.json.decode(self._sse_data() or self.content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            text = self.text()
            return text or None, text[:_SHOWN].strip() or self.head.reason or "no body"
        if isinstance(found, dict):
            error = error_in(found)
            if error is not None:
                return error.body, error.message
        return found, msgspec.json.encode(found).decode()[:_SHOWN]

    def _sse_data(self) -> bytes | None:
        """The first event's data, where an error's body comes framed as a stream."""
        if "event-stream" not in self.head.headers.get("content-type", ""):
            return None
        try:
            events = Decoder(self._limits).feed(self.content)
        except LimitExceededError:
            return None
        return bytes(events[0].data) if events else None


#: How many characters of a body an error's message shows.
_SHOWN: Final = 500
