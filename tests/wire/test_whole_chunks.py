"""The usual case in one step: what it takes, what it leaves, and that nobody can tell it from the two readers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from support.splits import cuts, split
from tokenwire.families import chat, responses
from tokenwire.pipeline import EventPipeline
from tokenwire.policy import Limits
from tokenwire.wire import runs
from tokenwire.wire.body import ChunkedReader, chunk, last_chunk
from tokenwire.wire.buffer import ReceiveBuffer
from tokenwire.wire.http1 import ClientConnection
from tokenwire.wire.sse import Decoder
from tokenwire.wire.whole_chunks import WholeChunks


@pytest.fixture(scope="module", params=["compiled", "python"], autouse=True)
def _cut_by(request: pytest.FixtureRequest) -> Iterator[None]:
    """All of this holds for either way of cutting."""
    if request.param == "compiled" and runs.compiled is None:
        pytest.skip("nothing is compiled here")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr(runs, "compiled", None)
        yield


HELLO = b'{"choices":[{"index":0,"delta":{"content":"Hello"}}]}'
LONG = b'{"x":"%b"}' % (b"x" * 92)  # 100 bytes


def fresh(reader: ChunkedReader | None = None) -> WholeChunks:
    decoder = Decoder()
    decoder.feed(b"\n")  # behind the first line no byte order mark can come any more
    return WholeChunks(ChunkedReader() if reader is None else reader, decoder)


def taken(wire: bytes, chunks: WholeChunks | None = None) -> tuple[list[bytes], bytes, bool]:
    """The payloads, the bytes that are left, and whether they may wait."""
    buffer = ReceiveBuffer()
    buffer.feed(wire)
    chunks = chunks or fresh()
    assert chunks.in_step
    payloads = chunks.take(buffer)
    return payloads, bytes(buffer.data[buffer.start : buffer.end]), chunks.settled


def event(payload: bytes = HELLO, name: bytes = b"", end: bytes = b"\n") -> bytes:
    return (b"event: " + name + end if name else b"") + b"data: " + payload + 2 * end


# -- What it takes -------------------------------------------------------------------


def test_a_run_of_events_each_in_a_chunk_of_its_own() -> None:
    wire = b"".join(chunk(event(b'{"number":%d}' % n)) for n in range(100))
    assert taken(wire) == ([b'{"number":%d}' % n for n in range(100)], b"", True)


def test_event_lines_and_sizes_of_either_case() -> None:
    data = event(HELLO, b"response.output_text.delta")
    assert taken(chunk(data) + b"%X\r\n%b\r\n" % (len(data), data)) == ([HELLO, HELLO], b"", True)


def test_lines_that_end_in_crlf_from_the_second_read_on() -> None:
    chunks = fresh()
    wire = chunk(event(end=b"\r\n")) + chunk(event(HELLO, b"delta", end=b"\r\n"))
    assert taken(wire, chunks) == ([], wire, False)  # the first is the readers'
    assert taken(wire, chunks) == ([HELLO, HELLO], b"", True)
    wire = chunk(event())
    assert taken(wire, chunks) == ([], wire, False)
    assert taken(wire, chunks) == ([HELLO], b"", True)


@pytest.mark.parametrize("cut", range(1, len(chunk(event())) - 4))
def test_the_beginning_of_a_chunk_waits_for_its_rest(cut: int) -> None:
    wire = chunk(event())
    assert taken(wire + wire[:cut]) == ([HELLO], wire[:cut], True)


# -- What it leaves to the readers -----------------------------------------------------


@pytest.mark.parametrize(
    "left",
    [
        pytest.param(chunk(event())[:-2], id="a whole event whose chunk is not closed"),
        pytest.param(chunk(event() + event())[: len(chunk(event()))], id="a whole event in a larger chunk"),
        pytest.param(chunk(event(end=b"\r")), id="lines that end in CR"),
        pytest.param(chunk(b": keep-alive\n\n"), id="a comment"),
        pytest.param(chunk(b"id: 1\n" + event()), id="an id"),
        pytest.param(chunk(event(b"[%b]" % LONG)), id="a payload that is no object"),
        pytest.param(chunk(b"data:" + HELLO + b"\n\n"), id="no space"),
        pytest.param(chunk(event(b"[DONE]")), id="a size of one digit"),
        pytest.param(chunk(b"data: {\ndata: }\n\n" + b" " * 16), id="two lines of data"),
        pytest.param(chunk(event(b'{"a":1,\r"b":2}')), id="a CR inside, which ends the line"),
        pytest.param(chunk(event(HELLO, b"a\rb")), id="a CR inside the event's name"),
        pytest.param(chunk(event(HELLO, b"error")), id="event: error"),
        pytest.param(chunk(event()).replace(b"\r\n", b";x=y\r\n", 1), id="a chunk extension"),
        pytest.param(b"00" + chunk(event()), id="a size of four digits"),
        pytest.param(last_chunk(), id="the last chunk"),
        pytest.param(b"0\r\n", id="the last chunk, before its trailers"),
        pytest.param(b"%x\r\n%b\r\n" % (len(event()) + 1, event()), id="a size that is too large"),
        pytest.param(b"%x\r\n%b\r\n" % (len(event()) - 1, event()), id="a size that is too small"),
        pytest.param(b"10\r\n%b\r\n" % event(LONG), id="a size that has no room for its lines"),
        pytest.param(b"!" + chunk(event()), id="junk before the size"),
        pytest.param(chunk(event())[:-2] + b"\n\n" + chunk(event()), id="a footer that is none"),
        pytest.param(chunk(event(b'{"x":"%b"}' % (b"x" * 5000))), id="more than the shape may hold"),
    ],
)
def test_anything_else_is_left_where_it_begins(left: bytes) -> None:
    assert taken(chunk(event()) + left) == ([HELLO], left, False)
    payloads, rest, waits = taken(left)
    assert (payloads, rest, waits) == ([], left, False)


def test_a_line_of_another_kind_in_the_crlf_shape() -> None:
    chunks = fresh()
    usual = chunk(event(HELLO, b"delta", end=b"\r\n"))
    taken(usual, chunks)
    odd = chunk(b"event: delta\ndata: " + HELLO + b"\r\n\r\n")  # its first line ends in LF
    assert taken(usual + odd, chunks) == ([HELLO], odd, False)


def test_a_chunk_whose_data_has_come_does_not_wait_for_its_footer() -> None:
    long = b"fff\r\ndata: " + b"x" * 4090
    assert taken(chunk(event()) + long) == ([HELLO], long, False)


@pytest.mark.parametrize(("length", "waits"), [(100, True), (101, False)])
def test_what_waits_takes_no_more_than_half_of_the_buffer(length: int, waits: bool) -> None:
    """Else the rest of it might find no room."""
    buffer, chunks = ReceiveBuffer(200), fresh()
    buffer.feed(chunk(event()) + b"ff\r\ndata: {".ljust(length, b"x"))
    assert chunks.take(buffer) == [HELLO]
    assert (len(buffer), chunks.settled) == (length, waits)


def test_nothing_is_taken_in_the_middle_of_a_chunk_or_of_an_event() -> None:
    reader = ChunkedReader()
    buffer = ReceiveBuffer()
    buffer.feed(b"ff\r\ndata")
    reader.read(buffer, [])
    assert not fresh(reader).in_step
    assert not WholeChunks(ChunkedReader(), Decoder()).in_step  # a byte order mark may come
    buffer.feed(b": " + b" " * 249 + b"\r\n")
    reader.read(buffer, [])
    assert fresh(reader).in_step
    decoder = Decoder()
    decoder.feed(b"data: half")
    assert not WholeChunks(reader, decoder).in_step


def test_bounds_that_the_shape_could_pass_switch_it_off() -> None:
    assert WholeChunks.fits(Limits())
    assert not WholeChunks.fits(Limits(event_bytes=4094))
    assert not WholeChunks.fits(Limits(chunk_line_bytes=2))


def test_what_is_remembered_of_heads_is_bounded() -> None:
    chunks = fresh()
    long = chunk(event(LONG, b"n" * 200))
    for _ in range(2):
        assert taken(long * 50, chunks) == ([LONG] * 50, b"", True)
    for number in range(9_000):
        name = b"%d" % number
        assert taken(chunk(event(HELLO, name)), chunks) == ([HELLO], b"", True)
    for number in range(100):  # and so is what is remembered of types whose runs are long
        name = b"t%d" % number
        for _ in range(2):
            assert taken(chunk(event(HELLO, name)) * 50, chunks) == ([HELLO] * 50, b"", True)


# -- Long runs of one type -----------------------------------------------------------------

TYPED = event(HELLO, b"delta")


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(chunk(event(HELLO)), id="an event of another type"),
        pytest.param(chunk(event(LONG, b"other")), id="an event of another length and type"),
        pytest.param(chunk(event(b'{"a":1,\r"b":2}', b"delta")), id="a CR inside, which ends the line"),
        pytest.param(chunk(event(HELLO, b"error")), id="event: error"),
        pytest.param(b"0" + chunk(TYPED), id="a size with a zero in front"),
        pytest.param(b"%X\r\n%b\r\n" % (len(event(LONG)), event(LONG)), id="a size in upper case"),
        pytest.param(b"%x\r\n%b\r\n" % (len(TYPED) + 1, TYPED), id="a size that is too large"),
        pytest.param(chunk(event(b'{"x":"%b"}' % (b"x" * 5000), b"delta")), id="more than the shape may hold"),
        pytest.param(chunk(b": ping\n\n"), id="a comment"),
        pytest.param(last_chunk(), id="the end"),
        pytest.param(chunk(TYPED)[:-1], id="a whole event whose chunk is not closed"),
        pytest.param(chunk(TYPED)[:-9], id="the beginning of an event"),
    ],
)
def test_a_long_run_is_taken_as_far_as_pairs_of_it_would_be(odd: bytes, end: bytes) -> None:
    odd = odd.replace(b"\n\n\r\n", end + end + b"\r\n")
    run = chunk(event(HELLO, b"delta", end)) * 60 + chunk(event(LONG, b"delta", end)) * 3
    known = fresh()
    if end != b"\n":
        taken(run, known)  # what tells it that lines end in CRLF
    for wire in (run, run + odd, run, run + odd + run, odd + run, run):
        alone = fresh()
        alone._line_end = known._line_end
        found: list[bytes] = []
        rest, waits = wire, True
        while rest and waits:  # so little at a time that nothing but pairs comes into question
            payloads, left, waits = taken(rest[:1_000], alone)
            found += payloads
            if not payloads:
                break
            rest = left + rest[1_000:]
        assert taken(wire, known)[:2] == (found, rest)


# -- A run that the strict reading does not take ------------------------------------------


def opened(family: Any) -> tuple[ClientConnection, EventPipeline]:
    """A chunked answer whose head has come."""
    connection = ClientConnection()
    connection.send_request("POST", "/v1", [(b"Host", b"localhost"), (b"Content-Length", b"0")])
    connection.buffer.feed(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    head = connection.receive_head()
    assert head is not None
    return connection, EventPipeline(connection, head, family)


def play(*reads: bytes) -> tuple[list[Any], EventPipeline]:
    """The events of a chat stream that comes in these reads."""
    connection, pipeline = opened(chat)
    found = list(pipeline.receive())
    for read in reads:
        connection.buffer.reclaim()
        connection.buffer.feed(read)
        found += pipeline.receive()
    return found, pipeline


def test_an_odd_event_in_a_run_is_read_openly_and_those_behind_it_too() -> None:
    odd = b'{"choices":[{"index":0,"delta":{"content":"odd"}}],"x_new":1}'
    found, pipeline = play(chunk(event()), chunk(event()) + chunk(event(odd)) + chunk(event()))
    assert [made.choices[0].delta.content for made in found] == ["Hello", "Hello", "odd", "Hello"]
    assert (found[2].x_new, pipeline.failure) == (1, None)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (b"not JSON at all, but long enough", "not JSON"),
        (b'{"a":' + b"[" * 250 + b"]" * 250 + b"}", "nested too deeply"),
        (b'{"error":{"message":"no more"}}', "no more"),
        (b'{"choices":[]} {"choices":[]}', "not JSON"),
        (HELLO + HELLO[:-3], "not JSON"),  # the second has its end in the next event
    ],
    ids=["no JSON", "too deep", "an error", "two in one", "one and a half"],
)
def test_a_bad_event_in_a_run_ends_it_behind_those_before(bad: bytes, words: str) -> None:
    found, pipeline = play(chunk(event()), chunk(event()) + chunk(event(bad)) + chunk(event()))
    assert len(found) == 2
    assert pipeline.done
    assert words in str(pipeline.failure)


def test_a_beginning_that_waited_is_read_when_the_body_breaks_off() -> None:
    whole = b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
    found, pipeline = play(chunk(event()), chunk(event(whole))[:-4])  # no blank line came behind it
    assert len(found) == 1
    assert not pipeline.done
    assert [made.choices[0].finish_reason for made in pipeline.receive_eof()] == ["stop"]
    assert (pipeline.done, pipeline.failure) == (True, None)


# -- Nobody can tell ---------------------------------------------------------------------

TERMINAL = b'{"type":"response.completed","response":{"id":"r","object":"response","output":[]}}'
payloads = st.sampled_from(
    [
        HELLO,
        b'{"choices":[{"index":0,"delta":{"content":"' + b"long " * 60 + b'"}}]}',
        b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
        b'{"choices":[],"usage":{"total_tokens":3}}',
        b'{"unknown":{"deep":[1,2]},"choices":[{"delta":{"content":7}}]}',
        b'{"type":"response.output_text.delta","delta":"text","item_id":"i","output_index":0,"content_index":0}',
        TERMINAL,
        b'{"error":{"message":"no","code":"c"}}',
        b"[DONE]",
        b"[DONE]      ",
        b"             ",
        b": a comment as data",
        b"not JSON at all",
        b"\xff\xfe not UTF-8, of some length",
        b"[" * 300 + b"]" * 300,
        b'{"a":1,\r"b":2}',
    ]
)
names = st.sampled_from([b"", b"", b"response.output_text.delta", b"error", b"x\ry"])
ends = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r"])
events = st.builds(event, payloads, names, ends)


def spoiled(data: bytes, at: int, byte: bytes) -> bytes:
    """These data with one byte replaced."""
    at %= len(data)
    return data[:at] + byte + data[at + 1 :]


pieces = st.one_of(
    events.map(chunk),
    st.builds(bytes.__mul__, events.map(chunk), st.sampled_from([1, 9, 40])),  # long runs have a way of their own
    st.lists(events, min_size=2, max_size=3).map(b"".join).map(chunk),
    st.builds(lambda data, at: b"".join(map(chunk, split(data, [at]))), events, st.integers(0, 400)),
    st.sampled_from([chunk(b": ping\n\n"), chunk(b"\n"), chunk(b"id: 3\nretry: 5\n\n")]),
    st.sampled_from([last_chunk(), b"0\r\nx: y\r\n\r\n"]),
    st.builds(spoiled, events.map(chunk), st.integers(0, 400), st.binary(max_size=2)),
)
bodies = st.lists(pieces, max_size=8).map(b"".join)


def outcome(wire: bytes, at: list[int], family: Any) -> tuple[Any, ...]:
    """All that can be told of a response that comes in these reads, and then ends."""
    connection, pipeline = opened(family)
    found = list(pipeline.receive())
    reads = []
    for piece in [chunk(event()), *split(wire, at)]:  # the first event shows that it is a stream
        if pipeline.done:
            break
        connection.buffer.reclaim()
        connection.buffer.feed(piece)
        came = pipeline.receive()
        found += came
        reads.append(len(came))
    reusable = connection.reusable
    found += pipeline.receive_eof()
    failure = pipeline.failure
    snapshot = pipeline.accumulator.snapshot().to_dict()
    return (
        [made.to_dict() for made in found],
        reads,  # no event waits for a byte behind it
        pipeline.events,
        type(failure),
        str(failure),
        reusable,
        snapshot,
    )


@given(bodies, cuts, st.sampled_from([chat, responses]))
@settings(max_examples=300)
def test_with_it_and_without_it_a_response_is_the_same(wire: bytes, at: list[int], family: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WholeChunks, "fits", lambda limits: False)
        expected = outcome(wire, at, family)
    assert outcome(wire, at, family) == expected
