"""What is fuzzed: hostile bytes through each room, by itself and all together.

A target takes any bytes. The first one picks a variant (how the rest is cut into
reads, which framing, which family), the others are what the peer sends. The
invariant is the same for all: nothing comes out but a TokenwireError, and what is
held stays within the Limits. So a target returns, or raises what is a bug.

The seeds are the recordings and the facts of this directory's neighbours.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from support import vectors
from support.facts import FACTS
from tokenwire.errors import RemoteProtocolError, TokenwireError
from tokenwire.families import chat, responses
from tokenwire.pipeline import EventPipeline, HelperPipeline, RawPipeline
from tokenwire.policy import Limits
from tokenwire.refusals import is_stream
from tokenwire.whole import WholeBody
from tokenwire.wire import ClientConnection, Decoder, ServerConnection
from tokenwire.wire.body import ChunkedReader, CloseReader, LengthReader
from tokenwire.wire.buffer import ReceiveBuffer
from tokenwire.wire.coding import decompressor

__all__ = ["MUTATORS", "TARGETS", "seeds"]

#: Small enough that a short input can reach each of them.
LIMITS = Limits(
    receive_buffer=1_024,
    head_bytes=1_024,
    chunk_line_bytes=64,
    trailer_bytes=128,
    event_bytes=512,
    body_bytes=4_096,
    expansion=20.0,
)

#: What a body may unpack to before its expansion is looked at, and one step beyond (policy.py, coding.py).
_UNPACKED = 4 << 20

_FIELDS = [(b"host", b"test"), (b"content-length", b"2")]


class Verse(msgspec.Struct):
    """What some variants ask for as structured output, and as a tool."""

    lines: list[str]
    year: int | None = None


def _pieces(variant: int, data: bytes) -> Iterator[bytes]:
    """The reads: whole, byte by byte, or by some number of bytes; not too many, for speed."""
    size = (len(data), 1, 2, 3, 5, 16, 61, 200)[variant % 8]
    for at in range(0, len(data), size := max(size, len(data) // 24, 1)):
        yield data[at : at + size]


def _receive(buffer: ReceiveBuffer, piece: bytes) -> Iterator[None]:
    """Receive a piece, as a socket does it: into the room that there is. Yields after each read."""
    while piece:
        buffer.reclaim()
        room = buffer.get_buffer()
        count = min(len(room), len(piece))
        room[:count] = piece[:count]
        buffer.buffer_updated(count)
        assert len(buffer.data) <= buffer.limit, "the buffer keeps to its limit"
        piece = piece[count:]
        yield


# -- The wire ------------------------------------------------------------------------------


def head(data: bytes) -> None:
    """Heads: of an answer for the client, or of a request for the server."""
    variant = data[0] if data else 0
    connection: ClientConnection | ServerConnection
    if variant & 0x80:
        connection = ServerConnection(LIMITS)
    else:
        connection = ClientConnection(LIMITS)
        connection.send_request("POST", "/", _FIELDS, b"{}")
    try:
        for piece in _pieces(variant, data[1:]):
            for _ in _receive(connection.buffer, piece):
                if connection.receive_head() is not None:
                    return
    except TokenwireError:
        pass


def body(data: bytes) -> None:
    """Body framing, and content coding in it."""
    variant = data[0] if data else 0
    reader = (ChunkedReader(LIMITS), ChunkedReader(LIMITS), LengthReader(300), CloseReader())[variant >> 3 & 3]
    coding = ("", "gzip", "deflate", "identity, gzip")[variant >> 5 & 3]
    unpack = decompressor(coding, LIMITS)
    buffer = ReceiveBuffer(LIMITS.receive_buffer)
    unpacked = 0
    try:
        for piece in _pieces(variant, data[1:]):
            for _ in _receive(buffer, piece):
                spans: list[tuple[int, int]] = []
                pieces: list[bytes] = []
                try:
                    reader.read(buffer, spans)
                finally:
                    for start, stop in spans:
                        assert 0 <= start < stop <= buffer.end
                        if unpack is not None:
                            unpack.decode(memoryview(buffer.data)[start:stop], pieces)
                unpacked += sum(map(len, pieces))
                assert unpacked <= _UNPACKED + LIMITS.expansion * len(data), "the expansion is bounded"
                if reader.complete:
                    return
        reader.eof()
    except TokenwireError:
        pass


def sse(data: bytes) -> None:
    """Server-sent events."""
    variant = data[0] if data else 0
    decoder = Decoder(LIMITS, error_field=bool(variant & 8))
    try:
        for piece in _pieces(variant, data[1:]):
            for event in decoder.feed(piece):
                assert len(event.data) <= LIMITS.event_bytes + 1
        decoder.residue()
    except TokenwireError:
        pass


# -- The families -------------------------------------------------------------------------------


def _family(family: Any, variant: int, payloads: list[bytes]) -> None:
    asked: dict[str, Any] = {}
    if variant & 0x40:
        asked = {"response_format" if family is chat else "text_format": Verse, "tools": [Verse]}
    helper = family.Helper(**asked)
    for payload in payloads:
        if variant & 0x20:
            _tell(family.decode_whole, payload)
        try:
            event = family.decode(payload)
        except TokenwireError:
            continue
        family.text(event)
        _dump(event)
        family.decode(family.encode(event))
        for told in helper.events([event]):
            _tell(_dump, told)
    _dump(helper.snapshot())
    for told in helper.end():
        _tell(_dump, told)
    _tell(helper.final)


def _dump(value: Any) -> None:
    value.to_json()
    value.model_dump()
    repr(value)


def _tell(read: Callable[..., Any], *arguments: Any) -> None:
    """Where something is to be parsed, what the type's own library raises is as documented."""
    with contextlib.suppress(TokenwireError, msgspec.MsgspecError):
        found = read(*arguments)
        if found is not None:
            _dump(found)


def chat_events(data: bytes) -> None:
    """Chat completions: a payload a line, through the decoder, the accumulator and the helper."""
    _family(chat, data[0] if data else 0, data[1:].split(b"\n"))


def responses_events(data: bytes) -> None:
    """Responses: the same."""
    _family(responses, data[0] if data else 0, data[1:].split(b"\n"))


# -- All together ------------------------------------------------------------------------------


def whole(data: bytes) -> None:
    """A connection from its first byte to its end, as the exchange drives it: the same however it is cut into reads."""
    variant, sent = data[0] if data else 0, data[1:]
    seen = _outcome(variant, _pieces(variant, sent))
    assert seen == _outcome(variant, iter([sent])), "how the bytes are cut into reads changes what comes out"


def _outcome(variant: int, pieces: Iterator[bytes]) -> tuple[list[Any], str]:
    """What came out, as JSON, and the class of the error at the end.

    Bytes that are wrong and too many are either, as the reads may show first.
    """
    family: Any = (chat, responses)[variant >> 3 & 1]
    connection = ClientConnection(LIMITS)
    connection.send_request("POST", "/", _FIELDS, b"{}")
    reader: Any = None
    seen: list[Any] = []
    try:
        for piece in pieces:
            for _ in _receive(connection.buffer, piece):
                if reader is None:
                    found = connection.receive_head()
                    if found is None:
                        continue
                    reader = _reader(variant, family, connection, found)
                _step(reader, reader.receive, seen)
                if reader.done:
                    seen.append(_end(reader, family))
                    return seen, ""
        if reader is None:
            connection.receive_eof()
        else:
            _step(reader, reader.receive_eof, seen)
            seen.append(_end(reader, family))
    except RemoteProtocolError:
        return seen, "RemoteProtocolError or LimitExceededError"
    except TokenwireError as error:
        return seen, type(error).__name__
    return seen, ""


def _reader(variant: int, family: Any, connection: ClientConnection, found: Any) -> Any:
    if found.status_code >= 300 or not is_stream(found) or variant & 0x30 == 0x30:
        return WholeBody(connection, found, LIMITS)
    if variant & 0x20:
        return RawPipeline(connection, found, LIMITS)
    if variant & 0x10:
        return EventPipeline(connection, found, family, LIMITS)
    return HelperPipeline(connection, found, family, family.Helper(), LIMITS)


def _step(reader: Any, read: Callable[[], Any], seen: list[Any]) -> None:
    events = read()
    if isinstance(reader, WholeBody):
        return
    for event in events:
        seen.append((bytes(event.data), event.event) if isinstance(reader, RawPipeline) else event.to_dict())
    if reader.failure is not None:
        raise reader.failure


def _end(reader: Any, family: Any) -> Any:
    if isinstance(reader, WholeBody):
        if reader.head.status_code >= 300:
            raise reader.error()
        return reader.read(family).to_dict()
    return None if reader.accumulator is None else reader.accumulator.snapshot().to_dict()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "head": head,
    "body": body,
    "sse": sse,
    "chat": chat_events,
    "responses": responses_events,
    "whole": whole,
}


# -- Where it begins ------------------------------------------------------------------------------


@functools.cache
def seeds(target: str, size: int) -> list[bytes]:
    """Inputs for a target out of the recordings and the facts, each without its first byte, and at most so long."""
    found: list[bytes] = []
    for name in vectors.names():
        vector = vectors.load(name)
        try:
            start, content = vectors.body(vector)
        except (ValueError, AttributeError):
            continue  # no answer that h11 would take: whole only
        found.append(_seed(target, vector.family, vector.data, start, content))
    for fact in FACTS:
        answer = fact.answer()
        start = answer[: answer.index(b"\r\n\r\n") + 4]
        found.append(_seed(target, fact.family, answer, start, fact.body()))
    ends = {one[:size] for one in found} | {one[-size:] for one in found}
    return sorted(one for one in ends if one)


def _seed(target: str, family: str, data: bytes, start: bytes, content: bytes) -> bytes:
    if target == "head":
        return start
    if target == "body":
        return data[data.find(b"\r\n\r\n") + 4 :]
    if target == "sse":
        return content
    if target == "whole":
        return data
    if target != family:
        return b""
    lines = [line[5:].strip() for line in content.splitlines() if line.startswith(b"data:")]
    # A few of each kind, so that they fit into an input.
    kinds = {bytes(sorted(set(line)))[:40]: line for line in lines if len(line) < 1_500}
    return b"\n".join(itertools.islice(kinds.values(), 8))


# -- Mutations that know JSON ------------------------------------------------------------------------

_ODD: list[Any] = [None, True, 0, -1, 2**63, 2**64, 1.5, "", "0", "🌙", [], {}, [None], [[]], {"": None}, "x" * 40]


def mutate_payloads(data: bytes, max_size: int, rng: random.Random) -> bytes | None:
    """One value somewhere in one payload replaced, dropped, repeated or moved; None where nothing there is JSON."""
    lines = data[1:].split(b"\n")
    at = rng.randrange(len(lines))
    try:
        payload = json.loads(lines[at])
    except (ValueError, RecursionError):
        return None
    places = list(_places(payload))
    if not places:
        return None
    holder, key = rng.choice(places)
    how = rng.randrange(5)
    if how == 0:
        del holder[key]
    elif how == 1:
        other, name = rng.choice(places)
        holder[key] = other[name] if (isinstance(other, dict) and name in other) else json.loads(json.dumps(payload))
    elif how == 2 and isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[key] = rng.choice(_ODD)
    try:
        lines[at] = json.dumps(payload).encode()
    except (ValueError, RecursionError):  # it holds itself now
        return None
    if rng.randrange(4) == 0:
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    made = data[:1] + b"\n".join(lines)
    return made if len(made) <= max_size else None


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from _places(inner)


#: Targets whose inputs byte mutations would hardly ever keep JSON.
MUTATORS: dict[str, Callable[[bytes, int, random.Random], bytes | None]] = {
    "chat": mutate_payloads,
    "responses": mutate_payloads,
}
