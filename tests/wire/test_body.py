"""Body readers against h11's own, over inputs and over splits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import h11
import pytest
from hypothesis import example, given, settings, strategies as st

from support.splits import bytewise, cuts, split, two_ways
from tokenwire.errors import LimitExceededError, RemoteProtocolError
from tokenwire.policy import Limits
from tokenwire.wire import body as body_room
from tokenwire.wire.body import BodyReader, ChunkedReader, CloseReader, LengthReader, Span, chunk, last_chunk
from tokenwire.wire.buffer import ReceiveBuffer

Trailers = list[tuple[bytes, bytes]]

#: Far above what the strategies make: bounds are our own, and have tests of their own.
WIDE = Limits(chunk_line_bytes=100_000, trailer_bytes=100_000)


class Verdict(NamedTuple):
    """What a reader makes of some bytes and then the end of the connection."""

    body: bytes
    breach: bool  # before the end of the connection
    complete: bool  # before it, too
    rest: bytes | None  # what stands behind a complete body
    trailers: Trailers
    clean_end: bool


def h11s_verdict(framing: bytes, data: bytes, trailers: bool = True) -> Verdict:
    peer = h11.Connection(h11.CLIENT, max_incomplete_event_size=1_000_000)
    peer.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
    assert isinstance(peer.next_event(), h11.Response)
    if data:
        peer.receive_data(data)
    body = b""
    while True:
        try:
            event = peer.next_event()
        except h11.RemoteProtocolError:
            return Verdict(body, True, False, None, [], False)
        if isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return Verdict(body, False, True, peer.trailing_data[0], list(event.headers), True)
        else:
            assert event is h11.NEED_DATA
            break
    peer.receive_data(b"")
    try:
        clean = isinstance(peer.next_event(), h11.EndOfMessage)
    except h11.RemoteProtocolError:
        clean = False
    return Verdict(body, False, False, None, [], clean)


def our_verdict(reader: BodyReader, pieces: list[bytes], *, reclaim: bool = True) -> Verdict:
    buffer = ReceiveBuffer()
    buffer.data[:] = b"\n" * len(buffer.data)  # what stands behind the end is stale, and must not be read
    body = b""
    for at, piece in enumerate(pieces):
        if reclaim:
            buffer.reclaim()
        buffer.feed(piece)
        spans: list[Span] = []
        try:
            reader.read(buffer, spans)
        except RemoteProtocolError:
            breach = True
        else:
            breach = False
        assert all(start < stop for start, stop in spans)
        body += b"".join(bytes(buffer.data[start:stop]) for start, stop in spans)
        if breach:
            assert not reader.complete
            with pytest.raises(RemoteProtocolError):  # and it stays one
                reader.read(buffer, spans)
            assert reader.eof() is not None
            return Verdict(body, True, False, None, [], False)
        if reader.complete:
            rest = bytes(buffer.data[buffer.start : buffer.end]) + b"".join(pieces[at + 1 :])
            before = buffer.start
            reader.read(buffer, spans)  # what stands behind is not the body's
            assert buffer.start == before
            assert reader.eof() is None
            return Verdict(body, False, True, rest, getattr(reader, "trailers", []), True)
    complete = reader.complete
    return Verdict(body, False, complete, b"" if complete else None, [], reader.eof() is None)


def learn(lines: list[bytes]) -> dict[bytes, int]:
    """What _known_lines holds after readers have met these chunk-size lines."""
    known: dict[bytes, int] = {}
    with knowing(known):
        for line in lines:
            buffer = ReceiveBuffer()
            buffer.feed(line + b"\r\n")
            with contextlib.suppress(RemoteProtocolError):
                ChunkedReader().read(buffer, [])
    return known


@contextlib.contextmanager
def knowing(known: dict[bytes, int]) -> Iterator[None]:
    before = body_room._known_lines
    body_room._known_lines = known
    try:
        yield
    finally:
        body_room._known_lines = before


_DIGITS = [b"%c" % digit for digit in b"0123456789abcdefABCDEF+-_x ;\t\r\n"]
#: Every line of two or three bytes that could be taken for a size, and many that could not.
WARM = learn([a + b + c for a in _DIGITS for b in _DIGITS for c in [b"", *_DIGITS]])


def test_the_known_lines_are_sizes_that_h11_takes() -> None:
    assert len(WARM) >= 22**3 - 1 + 22**2 - 1
    for key, size in list(WARM.items())[::7]:
        assert key[:2] == b"\r\n" == key[-2:]
        assert size > 0
        verdict = h11s_verdict(b"transfer-encoding: chunked\r\n", key[2:] + b"x" * size + b"\r\n0\r\n\r\n")
        assert verdict.complete
        assert len(verdict.body) == size


def check_chunked(data: bytes, at: list[int]) -> Verdict:
    expected = h11s_verdict(b"transfer-encoding: chunked\r\n", data)
    for pieces in ([data] if data else [], bytewise(data), split(data, at)):
        cold: dict[bytes, int] = {}
        for known in (cold, cold, WARM):
            with knowing(known):
                assert our_verdict(ChunkedReader(WIDE), pieces) == expected
                assert our_verdict(ChunkedReader(WIDE), pieces, reclaim=False) == expected
    return expected


# -- Strategies: valid bodies, bodies with a fault, and what looks like one -----

_extension = st.sampled_from([b"", b"", b"", b" ", b"\t", b";x", b'; a="b;c"', b";\xff", b";a\rb", b" ;x", b";x \t"])


@st.composite
def _size(draw: st.DrawFn, length: int) -> bytes:
    text = b"%x" % length if draw(st.booleans()) else b"%X" % length
    return text.rjust(draw(st.sampled_from([1, 2, 2, 3, 3, 4, 20])), b"0") + draw(_extension)


_name = st.sampled_from([b"X", b"x-checksum", b"Server-Timing", b"!#$%&'*+-.^_`|~9", b"Content-Length"])
_value = st.sampled_from([b"", b"a", b"a b", b"a\tb", b"\x80\xff", b"12", b"\x01", b"\x7f", b"5, 5"])
_eol = st.sampled_from([b"\r\n", b"\r\n", b"\n"])


@st.composite
def _trailers(draw: st.DrawFn) -> bytes:
    lines = []
    for _ in range(draw(st.integers(0, 3))):
        lines += [draw(_name), b":", draw(st.sampled_from([b"", b" ", b"\t "])), draw(_value), draw(_eol)]
        if draw(st.booleans()):
            lines += [draw(st.sampled_from([b" ", b"\t", b"  "])), draw(_value), draw(_eol)]
    return b"".join(lines) + draw(_eol)


@st.composite
def _bodies(draw: st.DrawFn) -> bytes:
    parts = []
    for data in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=5)):
        parts += [draw(_size(len(data))), b"\r\n", data, b"\r\n"]
    parts += [draw(_size(0)), b"\r\n", draw(_trailers())]
    parts.append(draw(st.sampled_from([b"", b"", b"HTTP/1.1 200 OK\r\n", b"\r\n", b"0\r\n\r\n"])))
    return b"".join(parts)


_SPLINTERS = [
    b"", b"\r", b"\n", b"\r\n", b"0", b"+", b"-", b"_", b"0x", b" ", b"\t", b";", b":", b"\x00", b"\x7f", b"g",
    b"\x0b", b"\x0c", b"5", b"f" * 20,
]  # fmt: skip


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    data = draw(_bodies())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.integers(0, 3))
        data = data[:at] + draw(st.sampled_from(_SPLINTERS)) + data[at + gone :]
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


_near = st.lists(
    st.sampled_from(
        [
            b"0", b"5", b"a", b"00A", b"005", b"001", b"+5", b"-1", b"0x5", b"1_0", b" 5", b"5 ", b"5\t", b"5\x0b",
            b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b";x", b';a="b"', b"f" * 20, b"0" * 21, b"hello", b"hello\r\n",
            b"5\r\nhello\r\n", b"005\r\nhello\r\n", b"0\r\n", b"0\r\n\r\n", b"\r\n\r\n", b"A: b\r\n", b"A : b\r\n",
            b" fold\r\n", b"\tfold\n", b": v\r\n", b"A:b\x00\r\n", b"Content-Length: 1\r\n", b"Content-Length: x\r\n",
            b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n", b"A\r\n",
            b"\xb2\r\n", b"\xef\xbc\x95\r\n",
        ]
    ),
    max_size=9,
).map(b"".join)  # fmt: skip


@settings(deadline=None, max_examples=100)
@given(_bodies(), cuts)
def test_valid_chunked_bodies_as_h11_reads_them(data: bytes, at: list[int]) -> None:
    check_chunked(data, at)


@settings(deadline=None, max_examples=200)
@given(_mutated(), cuts)
def test_mutated_chunked_bodies_as_h11_reads_them(data: bytes, at: list[int]) -> None:
    check_chunked(data, at)


@settings(deadline=None, max_examples=200)
@given(_near, cuts)
@example(b"5\r\nhello\r\n005\r\nhello\r\n005\r\nhello\r\n0\r\n\r\n", [])
@example(b"005\r\nhello\n0\r\n\r\n", [])
@example(b"05\r\nhello\r\n05\r\nhello\r\n005\r\nhello\r\n05\r\nhello\r\n00\r\n\r\n", [])
@example(b"0\r\nA: \x7f\r\nB: \x01\r\n\r\n", [])
def test_near_misses_as_h11_reads_them(data: bytes, at: list[int]) -> None:
    check_chunked(data, at)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=30), cuts)
def test_random_bytes_as_h11_reads_them(data: bytes, at: list[int]) -> None:
    check_chunked(data, at)


CRLF_END = b"0\r\n\r\n"

#: From the specification, not from h11: what must be refused, whoever reads it.
BREACHES = {
    "sign": b"+5\r\nhello\r\n",
    "negative": b"-5\r\nhello\r\n",
    "prefix": b"0x5\r\nhello\r\n",
    "underscore": b"1_0\r\n0123456789abcdef\r\n",
    "leading space": b" 5\r\nhello\r\n",
    "inner space": b"0 5\r\nhello\r\n",
    "empty size": b"\r\nhello\r\n",
    "no size but an extension": b";x\r\nhello\r\n",
    "not ASCII": b"\xef\xbc\x95\r\nhello\r\n",
    "21 digits": b"0" * 20 + b"5\r\nhello\r\n",
    "bare LF behind the size": b"5\nhello\r\n" + CRLF_END,
    "LF in an extension": b"5;a\nb\r\nhello\r\n",
    "bare LF behind the data": b"5\r\nhello\n" + CRLF_END,
    "bare CR behind the data": b"5\r\nhello\r0\r\n\r\n",
    "no CRLF behind the data": b"5\r\nhello5\r\nworld\r\n",
    "data longer than its size": b"5\r\nhello!\r\n" + CRLF_END,
    "trailer without a colon": b"0\r\nA\r\n\r\n",
    "trailer without a name": b"0\r\n: v\r\n\r\n",
    "space before a trailer's colon": b"0\r\nA : v\r\n\r\n",
    "continuation of nothing": b"0\r\n fold\r\n\r\n",
    "NUL in a trailer": b"0\r\nA: \x00\r\n\r\n",
    "CR in a trailer": b"0\r\nA: b\rc\r\n\r\n",
    "lengths that differ": b"0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a transfer coding": b"0\r\nTransfer-Encoding: gzip\r\n\r\n",
}


@pytest.mark.parametrize("breach", BREACHES.values(), ids=BREACHES)
@pytest.mark.parametrize("known", [{}, WARM], ids=["cold", "warm"])
def test_a_breach_raises_behind_what_came_before(breach: bytes, known: dict[bytes, int]) -> None:
    before = b"003\r\nabc\r\n003\r\ndef\r\n"
    own = breach.partition(b"hello")[1]  # a breach behind the data leaves the data good
    good = own if breach.startswith(b"5\r\n") else b""
    for pieces in two_ways(before + breach):
        with knowing(dict(known)):
            verdict = our_verdict(ChunkedReader(), pieces)
        assert verdict.breach
        assert verdict.body == b"abcdef" + good


def test_a_trailer_that_goes_on_in_the_next_line() -> None:
    """RFC 9112, 5.2: "replace each received obs-fold with one or more SP octets"; h11 makes it one."""
    body = b"5\r\nhello\r\n0\r\nA: b\r\n\t c\r\nD: e\r\n\r\n"
    verdict = Verdict(b"hello", False, True, b"", [(b"a", b"b c"), (b"d", b"e")], True)
    for pieces in two_ways(body):
        assert our_verdict(ChunkedReader(), pieces) == verdict
    assert h11s_verdict(b"Transfer-Encoding: chunked\r\n", body) == verdict


@pytest.mark.parametrize("section", [b"\n", b"\r\n", b"A: b\n\n", b"A: b\r\n\n", b"A: b\n\r\n"])
def test_line_ends_that_h11_takes_in_a_trailer_section(section: bytes) -> None:
    """RFC 9112, 2.2: "a recipient MAY recognize a single LF as a line terminator"; in this section h11 does."""
    body = b"5\r\nhello\r\n0\r\n" + section
    named = [(b"a", b"b")] if section.startswith(b"A") else []
    for pieces in two_ways(body):
        assert our_verdict(ChunkedReader(), pieces) == Verdict(b"hello", False, True, b"", named, True)
    assert h11s_verdict(b"Transfer-Encoding: chunked\r\n", body) == Verdict(b"hello", False, True, b"", named, True)


def test_a_breach_says_what_it_met() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"3\r\nabcXY")
    with pytest.raises(RemoteProtocolError, match="not followed by CRLF but by b'XY'"):
        ChunkedReader().read(buffer, [])
    buffer = ReceiveBuffer()
    buffer.feed(b"zz\r\n")
    with pytest.raises(RemoteProtocolError, match="not a chunk-size line: b'zz'"):
        ChunkedReader().read(buffer, [])


@pytest.mark.parametrize(
    ("sent", "missing"),
    [
        (b"", "chunk-size"),
        (b"5", "chunk-size"),
        (b"5\r\n", "chunk-data"),
        (b"5\r\nhell", "chunk-data"),
        (b"5\r\nhello", "chunk footer"),
        (b"5\r\nhello\r", "chunk footer"),
        (b"5\r\nhello\r\n", "chunk-size"),
        (b"5\r\nhello\r\n0\r\n", "trailers"),
        (b"5\r\nhello\r\n0\r\nA: b\r\n", "trailers"),
        (b"5\r\nhello\r\n0\r\n\r\n", None),
    ],
)
def test_what_is_missing_at_the_end(sent: bytes, missing: str | None) -> None:
    for pieces in ([sent], bytewise(sent)):
        reader, buffer = ChunkedReader(), ReceiveBuffer()
        for piece in pieces:
            buffer.feed(piece)
            reader.read(buffer, [])
        assert reader.eof() == missing
        assert reader.complete == (missing is None)


def test_one_span_a_chunk_and_nothing_is_moved() -> None:
    events = [b"x" * 256, b"y" * 300, b"z" * 4_095, b"s", b"w" * 255, b"v" * 16, b"u" * 256]
    wire = b"".join(map(chunk, events)) + last_chunk()
    for known in ({}, WARM):
        buffer, spans = ReceiveBuffer(), []
        buffer._resize(8_192)
        buffer.feed(wire)
        memory = buffer.data
        with knowing(dict(known)):
            ChunkedReader().read(buffer, spans)
        assert [memory[start:stop] for start, stop in spans] == events
        assert buffer.data is memory
        assert buffer.data[: len(wire)] == wire


def test_large_bodies_in_odd_pieces() -> None:
    events = [bytes([65 + at % 26]) * (at * 97 % 5_000 + 1) for at in range(60)]
    wire = b"".join(map(chunk, events)) + last_chunk()
    for step in (1_000, 4_096, 30_000):
        pieces = [wire[at : at + step] for at in range(0, len(wire), step)]
        for known in ({}, WARM):
            with knowing(dict(known)):
                verdict = our_verdict(ChunkedReader(), pieces)
            assert verdict == Verdict(b"".join(events), False, True, b"", [], True)


def test_only_lines_of_two_and_three_bytes_are_remembered() -> None:
    known: dict[bytes, int] = {}
    with knowing(known):
        our_verdict(ChunkedReader(), [b"5\r\nhello\r\n05\r\nhello\r\n0005\r\nhello\r\n5;x\r\nhello\r\n000\r\n\r\n"])
    assert known == {b"\r\n05\r\n": 5, b"\r\n5;x\r\n": 5}


# -- What we refuse and h11 takes: one table ------------------------------------


class Difference(NamedTuple):
    why: str
    limits: Limits
    buffer: int
    just: bytes  # what is still taken
    over: bytes  # what is not
    limit: str


def test_no_line_is_looked_at_twice() -> None:
    # White space that could be divided in many ways, and in none that fits: a million of it would take hours.
    blanks = b" \t" * 500_000
    room = len(blanks) + 100
    limits = Limits(receive_buffer=room, chunk_line_bytes=room, trailer_bytes=room)
    for wire, words in (
        (b"5;" + blanks + b"\n\r\n", "not a chunk-size line"),
        (b"5" + blanks + b"x\r\n", "not a chunk-size line"),
        (b"0\r\nA:" + blanks + b"\0\r\n\r\n", "not a trailer field"),
        (b"0\r\nA: b" + blanks + b"\0\r\n\r\n", "not a trailer field"),
    ):
        buffer = ReceiveBuffer(limits.receive_buffer)
        buffer.feed(wire)
        with pytest.raises(RemoteProtocolError, match=words):
            ChunkedReader(limits).read(buffer, [])


_NARROW = Limits(chunk_line_bytes=10, trailer_bytes=20)

DIFFERENCES = {
    "chunk-line": Difference(
        "RFC 9112, 7.1.1: a recipient ought to limit the total length of chunk extensions",
        _NARROW,
        65_536,
        b"5;3456789a\r\nhello\r\n" + CRLF_END,
        b"5;3456789ab\r\nhello\r\n" + CRLF_END,
        "chunk_line_bytes",
    ),
    "trailers": Difference(
        "trailers are held until they are whole, so they are bounded",
        _NARROW,
        65_536,
        b"0\r\nA: 3456789abcdef\r\n\r\n",
        b"0\r\nA: 3456789abcdefg\r\n\r\n",
        "trailer_bytes",
    ),
    "a known line": Difference(
        "a bound below three bytes holds for lines that were met before, too",
        Limits(chunk_line_bytes=2),
        65_536,
        b"05\r\nhello\r\n05\r\nhello\r\n" + CRLF_END,
        b"05\r\nhello\r\n005\r\nhello\r\n" + CRLF_END,
        "chunk_line_bytes",
    ),
}


@pytest.mark.parametrize("case", DIFFERENCES.values(), ids=DIFFERENCES)
def test_deliberate_differences(case: Difference) -> None:
    assert case.why
    for known in ({}, WARM):
        for pieces in two_ways(case.just):
            with knowing(dict(known)):
                assert our_verdict(ChunkedReader(case.limits), pieces).complete
        assert h11s_verdict(b"transfer-encoding: chunked\r\n", case.over).complete
        for pieces in two_ways(case.over):
            buffer = ReceiveBuffer(case.buffer)
            with knowing(dict(known)):
                reader = ChunkedReader(case.limits)
                with pytest.raises(LimitExceededError) as caught:  # noqa: PT012 - whichever piece it is
                    for piece in pieces:
                        buffer.feed(piece)
                        reader.read(buffer, [])
            assert caught.value.limit == case.limit
            assert caught.value.allowed == getattr(case.limits, case.limit)
            assert f"Limits.{case.limit}" in str(caught.value)


@pytest.mark.parametrize("wire", [b"5;" + b"x" * 60, b"0\r\nA: " + b"x" * 60], ids=["chunk-line", "trailers"])
def test_what_fills_the_buffer_and_cannot_end_is_told(wire: bytes) -> None:
    # It would wait for ever: there is no room for the read that could end it.
    buffer = ReceiveBuffer(32)
    reader = ChunkedReader()
    with pytest.raises(LimitExceededError) as caught:  # noqa: PT012
        for piece in bytewise(wire):
            buffer.reclaim()
            buffer.feed(piece)
            reader.read(buffer, [])
    assert (caught.value.limit, caught.value.allowed) == ("receive_buffer", 32)


def test_an_unfinished_line_is_not_searched_again() -> None:
    searched = 0

    class Counting(bytearray):
        def find(self, sub: Any, start: Any = None, end: Any = None) -> int:  # type: ignore[override] - counted
            nonlocal searched
            searched += end - start
            return super().find(sub, start, end)

    line = b"5;" + b"x" * 4_000
    buffer = ReceiveBuffer()
    buffer.data = Counting(8_192)
    reader = ChunkedReader()
    for at in range(len(line)):
        buffer.data[at : at + 1] = line[at : at + 1]
        buffer.end = at + 1
        reader.read(buffer, [])
    assert searched <= 2 * len(line)


# -- By length, and until close --------------------------------------------------


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 30), st.binary(max_size=40), cuts)
def test_bodies_by_length_as_h11_reads_them(length: int, data: bytes, at: list[int]) -> None:
    expected = h11s_verdict(b"content-length: %d\r\n" % length, data)
    for pieces in ([data] if data else [], bytewise(data), split(data, at)):
        if length == 0:
            assert LengthReader(0).complete
            assert LengthReader(0).eof() is None
            assert expected == Verdict(b"", False, True, data, [], True)
        else:
            assert our_verdict(LengthReader(length), pieces) == expected


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=40), cuts)
def test_bodies_until_close_as_h11_reads_them(data: bytes, at: list[int]) -> None:
    expected = h11s_verdict(b"", data)
    assert expected.clean_end
    for pieces in ([data] if data else [], bytewise(data), split(data, at)):
        reader = CloseReader()
        assert our_verdict(reader, pieces) == expected
        assert reader.complete


def test_a_body_by_length_says_what_is_missing() -> None:
    buffer, spans = ReceiveBuffer(), []
    reader = LengthReader(10)
    buffer.feed(b"abc")
    reader.read(buffer, spans)
    reader.read(buffer, spans)
    assert spans == [(0, 3)]
    assert reader.eof() == "7 of 10 bytes"


def test_an_empty_read_gives_no_span() -> None:
    for reader in (ChunkedReader(), LengthReader(3), CloseReader()):
        spans: list[Span] = []
        reader.read(ReceiveBuffer(), spans)
        assert spans == []
        assert not reader.complete


# -- The writer --------------------------------------------------------------------


@settings(deadline=None, max_examples=100)
@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5))
def test_h11_reads_what_is_written(pieces: list[bytes]) -> None:
    wire = b"".join(map(chunk, pieces)) + last_chunk()
    expected = Verdict(b"".join(pieces), False, True, b"", [], True)
    assert h11s_verdict(b"transfer-encoding: chunked\r\n", wire) == expected
    assert our_verdict(ChunkedReader(), [wire]) == expected
