"""The SSE decoder against the WHATWG rules, read slowly off the page; and the encoder against the decoder."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from support.splits import bytewise, cuts, split, two_ways
from tokenwire.errors import LimitExceededError
from tokenwire.policy import Limits
from tokenwire.wire import sse
from tokenwire.wire.sse import Decoder, Frame, ServerSentEvent, encode, encode_comment

Seen = tuple[str, str, str, int | None]  # data, event, id, retry


class Reference:
    """HTML, sections 9.2.5 and 9.2.6, on the whole text at once, in the words of the page."""

    def __init__(self, raw: bytes) -> None:
        # "Streams must be decoded using the UTF-8 decode algorithm", which "strips one leading UTF-8
        # Byte Order Mark (BOM), if any".
        text = raw.decode("utf-8", "replace")
        if text.startswith("\ufeff"):
            text = text[1:]
        self.data_buffer = self.event_type_buffer = self.last_event_id_buffer = ""
        self.last_event_id_string = ""
        self.retry: int | None = None  # set by a line of this block
        self.dispatched: list[Seen] = []
        # "Lines must be separated by either a U+000D CARRIAGE RETURN U+000A LINE FEED (CRLF) character pair,
        # a single U+000A LINE FEED (LF) character, or a single U+000D CARRIAGE RETURN (CR) character."
        # The last piece has no end: "Once the end of the file is reached, any pending data must be discarded."
        for line in re.split("\r\n|\n|\r", text)[:-1]:
            self.line(line)

    def line(self, line: str) -> None:
        if line == "":
            self.dispatch()
        elif line.startswith(":"):
            pass
        elif ":" in line:
            field, _, value = line.partition(":")
            self.field(field, value[1:] if value.startswith(" ") else value)
        else:
            self.field(line, "")

    def field(self, field: str, value: str) -> None:
        if field == "event":
            self.event_type_buffer = value
        elif field == "data":
            self.data_buffer += value + "\n"
        elif field == "id":
            if "\0" not in value:
                self.last_event_id_buffer = value
        elif field == "retry" and re.fullmatch("[0-9]+", value):
            self.retry = int(value)

    def dispatch(self) -> None:
        self.last_event_id_string = self.last_event_id_buffer
        if self.data_buffer != "":
            data = self.data_buffer.removesuffix("\n")
            self.dispatched.append((data, self.event_type_buffer, self.last_event_id_string, self.retry))
        self.data_buffer = self.event_type_buffer = ""
        self.retry = None


def expected(raw: bytes) -> list[Seen]:
    return Reference(raw).dispatched


def seen(frame: Frame | ServerSentEvent) -> Seen:
    data, event, last_id, retry = frame
    return bytes(data).decode("utf-8", "replace"), event, last_id, retry


def decoded(pieces: list[bytes], decoder: Decoder | None = None) -> list[Seen]:
    decoder = decoder or Decoder()
    return [seen(event) for piece in pieces for event in decoder.feed(piece)]


# -- Strategies -------------------------------------------------------------------

_ends = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r\n", "\r"])
_ODD = ["", " ", "  two", "x", "[DONE]", ": a comment", "a:b", "a\0b", "é✓🎉", "\x0b", "\ufeff"]
_values = st.one_of(
    st.sampled_from([*_ODD, '{"a": "\u2028\u2029\u0085"}']),
    st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=8),
)
_fields = st.sampled_from(
    ["data", "data", "data", "event", "id", "retry", "error", "", "Data", "data ", " data", "dat", "foo", "\ufeffdata"]
)


@st.composite
def _lines(draw: st.DrawFn) -> str:
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return ""
    if kind == 1:
        return ":" + draw(_values)
    if kind == 2:
        return draw(_fields)
    if kind == 3:
        return "retry:" + draw(st.sampled_from(["1", " 3000", " 007", "-1", "+1", "1.5", " 1 ", "", "٣", "1" * 18]))
    return draw(_fields) + ":" + draw(st.sampled_from(["", " "])) + draw(_values)


@st.composite
def _events(draw: st.DrawFn) -> str:
    """The shape of nearly all: an optional type, one line of data, a blank line."""
    end = draw(_ends)
    head = draw(st.sampled_from(["", "", "event: response.output_text.delta", "event: ping", "event: ", "event:x"]))
    value = draw(_values)
    return (head + end if head else "") + "data: " + value + end + draw(st.sampled_from([end, end, "\n", "\r", "\r\n"]))


@st.composite
def _streams(draw: st.DrawFn) -> bytes:
    parts = [draw(st.sampled_from(["", "", "", "\ufeff", "\ufeff\ufeff"]))]
    for whole in draw(st.lists(st.booleans(), max_size=8)):
        if whole:
            parts.append(draw(_events()))
        else:
            parts += [draw(_lines()), draw(_ends), draw(st.sampled_from(["", "", "\n", "\r\n", "\r"]))]
    parts.append(draw(st.sampled_from(["", "", "data: unfinished", "data: x\n", "d", "\ufeff"])))
    return "".join(parts).encode()


_rubble = st.lists(
    st.sampled_from(
        [
            b"\n", b"\n", b"\r", b"\r\n", b"\n\n", b"data", b"data:", b"data: ", b"data: x", b"event: ", b"event: e",
            b"event", b"id: 7", b"id", b"id:\0", b"retry: 5", b":", b": c", b" ", b"x", b"\xef", b"\xbb", b"\xbf",
            b"\xef\xbb\xbf", b"\xff", b"\xe2\x82", b"\0", b"data: x\n\n", b"data: y\r\n\r\n", b"data: z\r\r",
            b"event: e\ndata: x\n\n", b"event: e\r\ndata: x\r\n\r\n",
        ]
    ),
    max_size=12,
).map(b"".join)  # fmt: skip


# -- Against the reference ----------------------------------------------------------


def check(raw: bytes, at: list[int]) -> None:
    whole = expected(raw)
    for pieces in ([raw], bytewise(raw), split(raw, at)):
        for views in (False, True):
            decoder = Decoder(views=views)
            assert decoded(pieces, decoder) == whole
            reference = Reference(raw)
            assert decoder.last_event_id == reference.last_event_id_string
            # What is left at the end, "as if a blank line had come".
            end = expected(raw + b"\n\n")[len(whole) :]
            residue = decoder.residue()
            assert ([] if residue is None else [seen(residue)]) == end
            assert decoder.residue() is None


@settings(deadline=None, max_examples=180)
@given(_streams(), cuts)
@example(b"id: 1\n: c\ndata: x\n\n", [])
@example(b"id: 1\n", [])
@example(b"event: a\rb\ndata: x\n\n", [])
@example(b"event: a\rdata: x\r\n\n", [])
@example(b"data: a\rdata: b\n\n", [])
@example(b"retry: 1\n: c\ndata: x\n\n", [])
def test_streams_as_the_specification_reads_them(raw: bytes, at: list[int]) -> None:
    check(raw, at)


@settings(deadline=None, max_examples=300)
@given(_rubble, cuts)
@example(b"\xef\xbb\xbf: c\ndata: x\n\n", [1, 2])
@example(b"\xef\xbb\xbf\n\ndata: x\n\n", [])
@example(b"data: x\n\r\n", [8, 9])
def test_rubble_as_the_specification_reads_it(raw: bytes, at: list[int]) -> None:
    check(raw, at)


@settings(deadline=None, max_examples=200)
@given(_rubble)
def test_each_event_comes_with_the_byte_that_completes_it(raw: bytes) -> None:
    # Also after a CR, behind which an LF may or may not follow: nothing waits for a byte that may never come.
    decoder = Decoder()
    got: list[Seen] = []
    for at, byte in enumerate(bytewise(raw)):
        got += decoded([byte], decoder)
        assert got == expected(raw[: at + 1])


@settings(deadline=None, max_examples=100)
@given(_streams(), cuts, st.booleans())
def test_slices_of_one_buffer(raw: bytes, at: list[int], views: bool) -> None:
    """The way the pipeline calls it: slices with framing between them, and empty ones."""
    buffer, spans = bytearray(b"5\r\n"), [(0, 0), (3, 3)]
    for piece in split(raw, at):
        spans += [(len(buffer), len(buffer) + len(piece)), (len(buffer), len(buffer))]
        buffer += piece + b"\r\n5\r\n"
    frames: list[Frame] = []
    decoder = Decoder(views=views)
    decoder.scan(buffer, spans, frames)
    assert [seen(frame) for frame in frames] == expected(raw)


def test_an_empty_slice_changes_nothing() -> None:
    decoder, frames = Decoder(), list[Frame]()
    decoder.scan(b"", [(0, 0)], frames)
    decoder.scan(b"\xef\xbb\xbfdata: x\r", [(0, 11)], frames)
    decoder.scan(b"", [(0, 0)], frames)
    decoder.scan(b"\ndata: y\n\n", [(0, 10)], frames)
    assert [seen(frame) for frame in frames] == [("x\ny", "", "", None)]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_feed_takes_any_bytes(kind: Any) -> None:
    decoder = Decoder()
    assert decoder.feed(kind(b"")) == []
    assert decoder.feed(kind(b"data: x\n\n")) == [ServerSentEvent(b"x")]


# -- The facts of the wire, one by one ------------------------------------------------

_X = ("x", "", "", None)

#: The table "Server-sent events" of what servers send; expectations by hand.
FACTS: dict[str, tuple[bytes, list[Seen]]] = {
    "OpenRouter's comment": (b": OPENROUTER PROCESSING\n\ndata: x\n\n", [_X]),
    "DeepSeek's comment": (b": keep-alive\n\n: keep-alive\n\ndata: x\n\n", [_X]),
    "sse-starlette's comment": (b": ping - 2025-01-01 00:00:00+00:00\r\n\r\ndata: x\r\n\r\n", [_X]),
    "mlx-lm's comment": (b": keepalive 12/340\n\n", []),
    "llama.cpp's comment": (b":\n\n:\n\ndata: x\n\n:\n\n", [_X]),
    "a comment after an id dispatches nothing": (
        b"id: 1\ndata: x\n\n: c\n\n: c\n\ndata: y\n\n",
        [("x", "", "1", None), ("y", "", "1", None)],
    ),
    "a comment within an event": (b"data: x\n: c\ndata: y\n\n", [("x\ny", "", "", None)]),
    "CRLF": (b"event: e\r\ndata: x\r\n\r\n", [("x", "e", "", None)]),
    "CR": (b"event: e\rdata: x\r\rdata: y\r\r", [("x", "e", "", None), ("y", "", "", None)]),
    "mixed": (b"event: e\rdata: x\r\ndata: y\n\r\ndata: z\n\r", [("x\ny", "e", "", None), ("z", "", "", None)]),
    "no space": (b"data:x\n\n", [_X]),
    "one space at most": (b"data:  x\n\n", [(" x", "", "", None)]),
    "a tab is data": (b"data:\tx\n\n", [("\tx", "", "", None)]),
    "empty data": (b"data:\n\n", [("", "", "", None)]),
    "empty data with a space": (b"data: \n\n", [("", "", "", None)]),
    "data without a colon": (b"data\n\n", [("", "", "", None)]),
    "two empty lines of data": (b"data\ndata\n\n", [("\n", "", "", None)]),
    "an event without data": (b"event: ping\n\ndata: x\n\n", [_X]),
    "retry alone": (b"retry: 3000\n\ndata: x\n\n", [_X]),
    "retry": (b"retry: 3000\ndata: x\n\ndata: x\n\n", [("x", "", "", 3000), _X]),
    "no number": (b"retry: 3s\nretry: -1\nretry: \xd9\xa3\nretry\ndata: x\n\n", [_X]),
    "several lines of data": (b'data: {\ndata:   "a": 1\ndata: }\n\n', [('{\n  "a": 1\n}', "", "", None)]),
    "U+2028, U+2029, U+0085": (
        'data: {"a":"\u2028\u2029\u0085\x0b\x0c\x1c"}\n\n'.encode(),
        [('{"a":"\u2028\u2029\u0085\x0b\x0c\x1c"}', "", "", None)],
    ),
    "byte order mark": (b"\xef\xbb\xbfdata: x\n\n", [_X]),
    "byte order mark before a comment": (b"\xef\xbb\xbf:\n\ndata: x\n\n", [_X]),
    "byte order mark before an event": (b"\xef\xbb\xbfevent: e\r\ndata: x\r\n\r\n", [("x", "e", "", None)]),
    "only one of two": (b"\xef\xbb\xbf\xef\xbb\xbfdata: y\n\ndata: x\n\n", [_X]),
    "only at the start": (b"\n\xef\xbb\xbfdata: y\n\ndata: x\n\n", [_X]),
    "half a byte order mark": (b"\xef\xbbdata: y\n\ndata: x\n\n", [_X]),
    "a CR between two lines of data": (b"data: x\rdata: y\n\n", [("x\ny", "", "", None)]),
    "no blank line at the end": (b"data: x\n\ndata: y\n", [_X]),
    "a comment that was framed as data": (b"data: : OPENROUTER\n\n", [(": OPENROUTER", "", "", None)]),
    "the marker": (b"data: [DONE]\n\n", [("[DONE]", "", "", None)]),
    "invalid UTF-8": (b"event: \xff\ndata: \xc3(\n\n", [("\ufffd(", "\ufffd", "", None)]),
    "id": (b"id: 1\ndata: x\n\ndata: y\n\n", [("x", "", "1", None), ("y", "", "1", None)]),
    "id without a value": (b"id: 1\ndata: x\n\nid\ndata: x\n\n", [("x", "", "1", None), _X]),
    "id with NUL": (b"id: 1\ndata: x\n\nid: a\0b\ndata: y\n\n", [("x", "", "1", None), ("y", "", "1", None)]),
    "id of a block without data": (b"id: 1\n\ndata: x\n\n", [("x", "", "1", None)]),
    "the last of two types": (b"event: a\nevent: b\ndata: x\n\n", [("x", "b", "", None)]),
    "an empty type": (b"event: a\nevent\ndata: x\n\n", [_X]),
    "a type after its data": (b"data: x\nevent: e\n\n", [("x", "e", "", None)]),
    "names are exact": (b"Data: y\ndata : y\n data: y\ndatas: y\n\ndata: x\n\n", [_X]),
    "blank lines": (b"\n\r\n\r\n\n\ndata: x\n\n\n\n", [_X]),
    "the field error is no event": (b'error: {"code": 500}\n\ndata: x\n\n', [_X]),
}


@pytest.mark.parametrize("fact", FACTS.values(), ids=FACTS)
@pytest.mark.parametrize("views", [False, True])
def test_facts(fact: tuple[bytes, list[Seen]], views: bool) -> None:
    raw, events = fact
    assert expected(raw) == events
    for pieces in two_ways(raw):
        assert decoded(pieces, Decoder(views=views)) == events


@pytest.mark.parametrize("fact", FACTS.values(), ids=FACTS)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_facts_with_every_line_end(fact: tuple[bytes, list[Seen]], end: bytes) -> None:
    raw, events = fact
    raw = re.sub(b"\r\n|\n|\r", end, raw)
    for pieces in two_ways(raw):
        assert decoded(pieces) == events


def test_a_character_cut_by_the_read() -> None:
    raw = 'data: {"a":"é✓🎉"}\n\n'.encode()
    for pieces in two_ways(raw):
        (event,) = [event for decoder in [Decoder()] for piece in pieces for event in decoder.feed(piece)]
        assert json.loads(bytes(event.data)) == {"a": "é✓🎉"}


@pytest.mark.parametrize("first", [b"data: x\r", b"data: x\n\r", b"data: x\r\n\r"])
def test_nothing_waits_behind_a_cr(first: bytes) -> None:
    decoder = Decoder()
    if first == b"data: x\r":
        assert decoder.feed(first) == []
        first = b"\r"
    assert decoded([first], decoder) == [_X]
    assert decoded([b"\n"], decoder) == []  # the LF that may follow is no second line
    assert decoded([b"data: x\n\n"], decoder) == [_X]


def test_a_retry_of_more_digits_than_a_time_has() -> None:
    # The specification sets no bound; 10 ** 18 milliseconds are 30 million years, and int() has a bound of its own.
    assert decoded([b"retry: %s\ndata: x\n\n" % (b"9" * 18)]) == [("x", "", "", int("9" * 18))]
    assert decoded([b"retry: %s\ndata: x\n\n" % (b"9" * 19)]) == [_X]
    assert decoded([b"retry: %s\ndata: x\n\n" % (b"9" * 5_000)]) == [_X]


def test_types_beyond_those_that_are_remembered() -> None:
    raw = b"".join(b"event: e%d\ndata: %d\n\n" % (at, at) for at in range(600))
    assert decoded([raw + raw]) == [(str(at), f"e{at}", "", None) for at in range(600)] * 2


def test_a_type_too_long_to_be_remembered() -> None:
    name = "n" * 1000
    raw = f"event: {name}\ndata: x\n\n".encode()
    assert [(frame.data, frame.event) for frame in Decoder().feed(raw * 2)] == [(b"x", name)] * 2


def test_the_field_error_where_it_is_asked_for() -> None:
    raw = b'data: x\n\nerror: {"code": 500}\n\ndata: x\n\n'
    for pieces in two_ways(raw):
        for views in (False, True):
            decoder = Decoder(error_field=True, views=views)
            assert decoded(pieces, decoder) == [_X, ('{"code": 500}', "error", "", None), _X]


def test_the_field_error_replaces_what_came_of_the_data() -> None:
    assert decoded([b'data: {"par\nerror: no\n\n'], Decoder(error_field=True)) == [("no", "error", "", None)]
    assert decoded([b"error\n\n"], Decoder(error_field=True)) == [("", "error", "", None)]


# -- The end -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        (b"", None),
        (b"data: x\n\n", None),
        (b"data: x", ServerSentEvent(b"x")),
        (b"data: x\n", ServerSentEvent(b"x")),
        (b"data: x\r", ServerSentEvent(b"x")),
        (b"data: x\r\n", ServerSentEvent(b"x")),
        (b"data: x\ndata: y", ServerSentEvent(b"x\ny")),
        (b"id: 7\nevent: e\nretry: 5\ndata: x", ServerSentEvent(b"x", "e", "7", 5)),
        (b"event: e\n", None),
        (b": comment", None),
        (b"da", None),
        (b"data", ServerSentEvent(b"")),
        (b"\xef\xbb\xbf", None),
        (b"\xef\xbb\xbfdata: x", ServerSentEvent(b"x")),
    ],
)
@pytest.mark.parametrize("views", [False, True])
def test_residue(raw: bytes, left: ServerSentEvent | None, views: bool) -> None:
    for pieces in two_ways(raw) if raw else [[]]:
        decoder = Decoder(views=views)
        for piece in pieces:
            decoder.feed(piece)
        assert decoder.residue() == left
        assert decoder.residue() is None


# -- Views --------------------------------------------------------------------------------


def test_views_show_the_buffer_and_copies_do_not() -> None:
    for views in (True, False):
        for end in (b"\n", b"\r\n"):
            raw = bytearray(b"event: e" + end + b"data: abc" + end + end)
            frames: list[Frame] = []
            Decoder(views=views).scan(raw, [(0, len(raw))], frames)
            ((payload, name, _, _),) = frames
            assert (payload, name) == (b"abc", "e")
            at = raw.index(b"abc")
            raw[at : at + 3] = b"xyz"
            assert payload == (b"xyz" if views else b"abc")
            assert isinstance(payload, memoryview) == views


def test_a_view_of_an_event_in_pieces_is_its_own() -> None:
    decoder = Decoder(views=True)
    assert decoder.feed(b"data: ab") == []
    (event,) = decoder.feed(b"c\n\n")
    decoder.feed(b"data: something else\n\n")
    assert isinstance(event.data, memoryview)
    assert event.data == b"abc"


def test_a_payload_is_bytes_or_a_bytearray() -> None:
    # The JSON decoder takes both; a memoryview only where views were asked for.
    kinds = {type(event.data) for event in Decoder().feed(b"data: x\n\ndata: a\ndata: b\n\nid: 1\ndata: c\n\n")}
    assert kinds == {bytes, bytearray}


# -- Cost ----------------------------------------------------------------------------------


class Counted:
    """How many bytes the decoder looks at, by both of its ways to look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        pattern = sse._EVENT
        counted = self

        class Pattern:
            @staticmethod
            def match(data: bytes, pos: int, end: int) -> re.Match[bytes] | None:
                # Two lines at most are gone through.
                stop = bytes.find(data, b"\n", pos, end)
                stop = end if stop < 0 else bytes.find(data, b"\n", stop + 1, end)
                counted.bytes += (end if stop < 0 else stop) - pos
                return pattern.match(data, pos, end)

        monkeypatch.setattr(sse, "_EVENT", Pattern)

    def of(self, data: bytes) -> bytes:
        counted = self

        class Data(bytes):
            def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
                at = super().find(sub, start, end)
                counted.bytes += (len(self) if end is None else end) - start if at < 0 else at - start + 1
                return at

        return Data(data)


@pytest.mark.parametrize("step", [700, 16_384, 10**9])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_huge_event_costs_what_its_size_is(monkeypatch: pytest.MonkeyPatch, step: int, end: bytes) -> None:
    counted = Counted(monkeypatch)
    payload = b'{"b64_json":"' + b"A" * 4_000_000 + b'"}'
    raw = b"event: image" + end + b"data: " + payload + end + end
    decoder = Decoder()
    events = [event for at in range(0, len(raw), step) for event in decoder.feed(counted.of(raw[at : at + step]))]
    assert [(bytes(event.data) == payload, event.event) for event in events] == [(True, "image")]
    assert counted.bytes < 5 * len(raw)


SHAPES = {
    "LF": b"data: x\n\n",
    "CRLF": b"data: x\r\n\r\n",
    "CR": b"data: x\r\r",
    "CR with a type": b"event: e\rdata: x\r\r",
    "types with CR, data with LF": b"event: e\rdata: x\n\n",
    "comments": b":\n\n",
    "ids": b"id: 1\n: c\ndata: x\n\n",
    "many lines": b"data: x\ndata: y\n" * 20 + b"\n",
    "ignored fields": b"foo: bar\n" * 20 + b"\n",
}


@pytest.mark.parametrize("last", [b"", b"\n", b"data: x\n\n"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_no_shape_is_quadratic(monkeypatch: pytest.MonkeyPatch, shape: bytes, last: bytes) -> None:
    counted = Counted(monkeypatch)
    raw = shape * 1_000 + last
    got = decoded([counted.of(raw)])
    assert len(got) == 1_000 * len(expected(shape)) + len(expected(last))
    assert counted.bytes < 6 * len(raw)


# -- Limits -----------------------------------------------------------------------------------


def until_limit(pieces: list[bytes], limit: int) -> tuple[list[Seen], bool]:
    decoder, frames = Decoder(Limits(event_bytes=limit)), list[Frame]()
    try:
        for piece in pieces:
            decoder.scan(piece, [(0, len(piece))], frames)
    except LimitExceededError:
        return [seen(frame) for frame in frames], True
    return [seen(frame) for frame in frames], False


#: Streams whose second event has exactly 40 bytes, its field names included and its line ends not.
FORTY = {
    "one line": b"data: ok\n\ndata: %s\n\n" % (b"x" * 34),
    "CRLF": b"data: ok\r\n\r\ndata: %s\r\n\r\n" % (b"x" * 34),
    "CR": b"data: ok\r\rdata: %s\r\r" % (b"x" * 34),
    "with a type": b"data: ok\n\nevent: abc\ndata: %s\n\n" % (b"x" * 24),
    "lines": b"data: ok\n\ndata: %s\ndata: %s\n\n" % (b"x" * 14, b"y" * 14),
    "ignored fields": b"data: ok\n\nfoo: %s\ndata: %s\n\n" % (b"x" * 15, b"y" * 14),
    "an id": b"data: ok\n\nid: %s\ndata: %s\n\n" % (b"x" * 16, b"y" * 14),
    "a comment": b"data: ok\n\n:%s\ndata: %s\n\n" % (b"x" * 39, b"y" * 34),
    "behind a byte order mark": b"\xef\xbb\xbf: c\ndata: ok\n\ndata: %s\n\n" % (b"x" * 34),
}


@pytest.mark.parametrize("raw", FORTY.values(), ids=FORTY)
def test_the_limit_in_every_gear(raw: bytes) -> None:
    events = expected(raw)
    assert len(events) == 2
    for pieces in two_ways(raw):
        assert until_limit(pieces, 40) == (events, False)
        assert until_limit(pieces, 39) == (events[:1], True)


@settings(deadline=None, max_examples=200)
@given(st.one_of(_streams(), _rubble), cuts, st.integers(1, 30))
def test_the_limit_is_the_same_whatever_the_split(raw: bytes, at: list[int], limit: int) -> None:
    got, over = until_limit([raw], limit)
    assert got == expected(raw)[: len(got)]
    assert over or got == expected(raw)
    for pieces in (bytewise(raw), split(raw, at)):
        assert until_limit(pieces, limit) == (got, over)


def test_a_long_stream_of_small_events_never_meets_the_limit() -> None:
    # What was ignored, and ids, must not add up from one event to the next.
    for shape in (*SHAPES.values(), b"foo\n:\ndata: x\n\n", b"foo\n:\n"):
        got, over = until_limit([shape] * 1_000, 600)
        assert not over
        assert len(got) == 1_000 * len(expected(shape))


def test_what_the_error_says() -> None:
    with pytest.raises(LimitExceededError, match=r"larger than 9 bytes \(Limits\.event_bytes\)") as caught:
        Decoder(Limits(event_bytes=9)).feed(b"data: 7890\n\n")
    assert (caught.value.limit, caught.value.allowed) == ("event_bytes", 9)


def test_an_event_without_an_end_meets_the_limit() -> None:
    for piece in (b"x" * 100, b"data: x\n", b"foo\n", b":" + b"x" * 100):
        decoder = Decoder(Limits(event_bytes=1_000))
        with pytest.raises(LimitExceededError):  # noqa: PT012 - some time
            for _ in range(1_000):
                decoder.feed(piece)


def test_an_event_is_sent_on_as_it_came() -> None:
    raw = b"event: delta\nid: 7\nretry: 5\ndata: {\ndata: }\n\n"
    (event,) = Decoder().feed(raw)
    assert event.encode() == raw
    assert ServerSentEvent(memoryview(b"x")).encode() == b"data: x\n\n"


# -- The encoder ------------------------------------------------------------------------------------

_one_line_text = st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)


@settings(deadline=None, max_examples=200)
@given(
    st.text(alphabet=st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=40),
    _one_line_text,
    st.one_of(st.none(), _one_line_text.filter(lambda text: "\0" not in text)),
    st.one_of(st.none(), st.integers(0, 10**18 - 1)),
    cuts,
)
def test_what_is_encoded_is_decoded(data: str, event: str, id: str | None, retry: int | None, at: list[int]) -> None:
    raw = encode(data, event=event, id=id, retry=retry)
    assert encode(data.encode(), event=event, id=id, retry=retry) == raw
    assert expected(raw) == [(data, event, id or "", retry)]
    for pieces in ([raw], bytewise(raw), split(raw, at)):
        for views in (False, True):
            assert decoded(pieces, Decoder(views=views)) == [(data, event, id or "", retry)]


def test_the_bytes_of_an_event() -> None:
    assert encode("x") == b"data: x\n\n"
    assert encode(b"a\nb", event="e", id="1", retry=5) == b"event: e\nid: 1\nretry: 5\ndata: a\ndata: b\n\n"
    assert encode("x", id="") == b"id: \ndata: x\n\n"
    assert encode("") == b"data: \n\n"
    assert encode("x", retry=0) == b"retry: 0\ndata: x\n\n"


@pytest.mark.parametrize("data", ["a\rb", "a\r\nb", b"a\rb", b"a\r\nb"])
def test_a_cr_becomes_a_line_end(data: str | bytes) -> None:
    assert decoded([encode(data)]) == [("a\nb", "", "", None)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"event": "a\nb"}, "event must not contain a line end"),
        ({"event": "a\rb"}, "event must not contain a line end"),
        ({"id": "a\nb"}, "id must not contain a line end"),
        ({"id": "\r"}, "id must not contain a line end"),
        ({"id": "a\0"}, "id must not contain U"),
        ({"retry": -1}, "retry must not be negative: -1"),
    ],
)
def test_what_cannot_be_encoded(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        encode("x", **arguments)


@pytest.mark.parametrize("text", ["", "keep-alive", "é", "data: x\n\ndata: y", "a\r\rb", "data: x\r\n\r\n"])
def test_a_comment_dispatches_nothing(text: str) -> None:
    raw = encode_comment(text)
    assert raw.startswith(b": ")
    assert raw.endswith(b"\n\n")
    decoder = Decoder()
    assert decoded([raw], decoder) == []
    assert decoder.residue() is None
    assert decoded([encode("x", id="1") + raw + encode("y")]) == [("x", "", "1", None), ("y", "", "1", None)]
