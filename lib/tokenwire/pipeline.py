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
  Alone, it completes what was asked for behind an event (`starting_after`), too: that
  event was the last. An empty body says nothing of the kind.
* The end of the body without either is a truncation, however clean it looks.
* After the marker nothing matters any more, except whether the connection can be
  used again. That holds for what came behind it in the same read, too: how the
  network cuts the bytes must not change the verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tokenwire.errors import APIError, StreamDecodeError, StreamTruncatedError
from tokenwire.families.faults import error_in
from tokenwire.family import Accumulator, Family, Helper, Reading
from tokenwire.frames import DONE, Frames, is_done
from tokenwire.policy import DEFAULT_LIMITS, Limits
from tokenwire.refusals import NO_JSON, json_in
from tokenwire.wire.body import ChunkedReader
from tokenwire.wire.heads import ResponseHead
from tokenwire.wire.http1 import ClientConnection
from tokenwire.wire.sse import Frame, ServerSentEvent
from tokenwire.wire.whole_chunks import WholeChunks

__all__ = ["EventPipeline", "HelperPipeline", "RawPipeline"]

_TERMINAL: Final = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")


def _is_whole(payload: bytes | bytearray | memoryview) -> bool:
    """Whether the rest of a stream is one whole payload: JSON, or [DONE]."""
    return is_done(payload) or json_in(payload) is not NO_JSON


def _nameless(payloads: list[bytes]) -> list[Frame]:
    """These as frames that say no more than their data."""
    return [(payload, "", "", None) for payload in payloads]


class EventPipeline(Frames):
    """One streamed response as typed events.

    accumulator: the family's, fed with every event. events: how many there were on the wire.
    """

    __slots__ = ("_decode", "_family", "_marked", "_reading", "_take_in", "_whole_chunks", "accumulator")

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
        self._reading: Reading | None = None  # from the first run on: a stream that waits has none
        self.accumulator = family.Accumulator() if accumulator is None else accumulator
        #: Takes events of the wire in, and gives those that the consumer is to see.
        self._take_in: Callable[..., list[Any]] = self.accumulator.add_run
        self._marked = False  # [DONE] has come
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
        chunks = self._whole_chunks
        frames = None if chunks is not None and chunks.settled else self._unless_a_run()
        if frames is not None:
            events: list[Any] = []
        else:
            assert chunks is not None
            payloads = chunks.take(self._buffer)
            reading = self._reading
            if reading is None:
                self._reading = reading = self._family.Reading()
            decoded = reading.run(payloads)
            self.events += len(decoded)
            events = self._take_in(decoded, reading.like, reading.texts)
            if chunks.settled and len(decoded) == len(payloads):
                if self.accumulator.terminal:
                    self._end_at_terminal(events)
                return events
            frames = _nameless(payloads[len(decoded) :])
            if not chunks.settled:
                frames += self._frames()
        self._read(frames, events)
        if not self.done:
            if self._breach is not None:
                self._fail(self._breach)
            elif self._body.reader.complete:
                self._judge(events, None)
        return events

    def _unless_a_run(self) -> list[Frame] | None:
        """The frames of a read; None where the buffer begins with a chunk and an event, for WholeChunks to take."""
        chunks = self._whole_chunks
        if chunks is None or self._preface is not None:  # the first event shows it is a stream
            return self._frames()
        if chunks.in_step:
            return None
        frames = self._frames(one=True)  # what is under way
        if chunks.in_step and self._breach is None:
            if not frames:
                return None  # it was the end of a chunk
            frames += _nameless(chunks.take(self._buffer))
        if self._breach is None and not chunks.settled:
            frames += self._frames()
        return frames

    def _read(self, frames: list[Frame], events: list[Any]) -> None:
        """Append what these frames give to the events of this read."""
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
        events += self._take_in(decoded)
        if self.accumulator.terminal:
            self._end_at_terminal(events)
        elif self._marked:
            self._nothing_follows(frames[-1][0])
            if self._family.name != "chat" and not (self.rest and self.events == 0):
                self._truncated("[DONE] came before the terminal event")

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
        events: list[Any] = []
        self._read(self._frames(), events)  # the chunk that had begun, if one waits
        self._judge(events, self._broken_off(why))
        return events

    def _passes(self, payload: bytes, name: str, error: APIError) -> bool:
        """Whether the stream goes on behind a payload that is no event: an empty one, a comment sent as data."""
        text = bytes(payload).strip()
        if text == DONE:
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
            return True  # a proxy has altered the event line: the JSON's own type is believed
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
            self._read([left], events)
        if self.accumulator.complete or self.failure is not None or self._marked:
            return
        instead = self._instead_of_events()
        if instead is not None:
            self._fail(instead)
        else:
            self._truncated(why or "the body ended before the terminal event")

    def _truncated(self, why: str) -> None:
        behind = "1 event" if self.events == 1 else f"{self.events} events"
        self._fail(
            StreamTruncatedError(
                f"The stream was cut: {why}, after {behind}.",
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
        self._take_in = helper.events

    def receive(self) -> list[Any]:
        return self._ended(super().receive())

    def receive_eof(self, why: str | None = None) -> list[Any]:
        return [] if self.done else self._ended(super().receive_eof(why))

    def _ended(self, events: list[Any]) -> list[Any]:
        if self.done and self.failure is None:
            events += self._helper.end()
        return events


class RawPipeline(Frames):
    """One streamed response as server-sent events, undecoded; `data` is a view that is true until the next step.

    Only the framing is judged: what the events say is the reader's.
    """

    __slots__ = ()

    accumulator = None

    def __init__(self, connection: ClientConnection, head: ResponseHead, limits: Limits = DEFAULT_LIMITS) -> None:
        connection.buffer.keep()
        super().__init__(connection, head, limits, views=True)

    def receive(self) -> list[ServerSentEvent]:
        """The events that the buffer's bytes complete; `[DONE]` is the last, where it comes."""
        events = []
        frames = self._frames()
        for frame in frames:
            events.append(ServerSentEvent._make(frame))
            if is_done(frame[0]):
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
            if why is not None and not (events and is_done(events[-1].data)):
                self._fail(StreamTruncatedError(f"The stream was cut: {why}.", events=self.events))
        return events

    def _end(self, events: list[ServerSentEvent]) -> None:
        self.done = True
        left = self._decoder.residue()
        if left is not None and _is_whole(left.data):  # half an event is none
            self.events += 1
            events.append(left)
