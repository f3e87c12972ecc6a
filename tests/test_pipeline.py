"""The pipeline without a network: each fact of the wire, under each framing, cut in every way."""

from __future__ import annotations

import gzip
import itertools
import zlib
from dataclasses import dataclass
from typing import Any

import pytest

from support.answers import (
    FRAMINGS,
    answer,
    chunk,
    completion,
    delta,
    ended,
    head,
    js,
    response,
    splits,
    sse,
    texts,
    usage_chunk,
)
from tokenwire.errors import (
    APIError,
    APIResponseValidationError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    LimitExceededError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RemoteProtocolError,
    StreamDecodeError,
    StreamTruncatedError,
    UnprocessableEntityError,
)
from tokenwire.families import chat, responses
from tokenwire.pipeline import EventPipeline, HelperPipeline, RawPipeline
from tokenwire.policy import DEFAULT_LIMITS, Limits
from tokenwire.refusals import is_stream, status_refusal
from tokenwire.whole import WholeBody
from tokenwire.wire.heads import Headers, RequestTemplate, ResponseHead
from tokenwire.wire.http1 import ClientConnection
from tokenwire.wire.sse import ServerSentEvent

FAMILIES: dict[str, Any] = {"chat": chat, "responses": responses}
#: Judged once: there are a hundred thousand answers to it here.
REQUEST = RequestTemplate("POST", [(b"host", b"t")], sized=True)


class Played:
    """What came of one answer, played in these pieces and then closed."""

    def __init__(
        self, pieces: list[bytes], make: Any, *, eof: str | None = "closed", limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self.connection = connection = ClientConnection(limits)
        connection.send_template(REQUEST, "/")
        self.pipeline: Any = None
        self.events: list[Any] = []
        for piece in pieces:
            left = memoryview(piece)
            while left:
                connection.buffer.reclaim()
                room = connection.buffer.get_buffer()
                count = min(len(room), len(left))
                room[:count] = left[:count]
                connection.buffer.buffer_updated(count)
                left = left[count:]
                if self.pipeline is None:
                    found = connection.receive_head()
                    if found is None:
                        continue
                    self.pipeline = make(connection, found, limits)
                self._take(self.pipeline.receive())
                if self.pipeline.done:
                    return
        if eof is not None:
            self._take(self.pipeline.receive_eof(None if eof == "closed" else eof))
            assert self.pipeline.done

    def _take(self, events: list[Any]) -> None:
        for event in events:
            # A raw event's view ends with the next step.
            raw_event = isinstance(event, ServerSentEvent)
            self.events.append(event._replace(data=bytes(event.data)) if raw_event else event)

    @property
    def failure(self) -> Any:
        return self.pipeline.failure


def events_of(family: str) -> Any:
    return lambda connection, found, limits: EventPipeline(connection, found, FAMILIES[family], limits)


def raw(connection: ClientConnection, found: ResponseHead, limits: Limits) -> RawPipeline:
    return RawPipeline(connection, found, limits)


# -- Streams -------------------------------------------------------------------


@dataclass
class Row:
    """One fact. body: the content. texts: of each event that must come. failure: what is raised behind them."""

    name: str
    body: bytes
    texts: list[str]
    failure: type[Exception] | None = None
    says: str = ""
    family: str = "chat"
    code: str | None = None

    def __str__(self) -> str:
        return self.name


HI = [chunk("H"), chunk("i")]
END = chunk(None, "stop")
OOPS = {"message": "out of memory", "type": "server_error", "code": "oom"}

THE_END = [
    Row("finish and [DONE]", sse(*HI, END, done=True), ["H", "i", ""]),
    Row("[DONE] without any finish_reason", sse(*HI, done=True), ["H", "i"]),
    Row("finish_reason without [DONE]", sse(*HI, END), ["H", "i", ""]),
    Row("neither", sse(*HI), ["H", "i"], StreamTruncatedError, "after 2 events"),
    Row("nothing at all", b"", [], StreamTruncatedError, "after 0 events"),
    Row("only keep-alives", b": ping\n\n:\n\n", [], StreamTruncatedError, "after 0 events"),
    Row("data after [DONE]", sse(*HI, done=True) + sse(chunk("late")), ["H", "i"]),
    Row("an error after [DONE]", sse(*HI, done=True) + sse({"error": OOPS}), ["H", "i"]),
    Row("usage between finish_reason and [DONE]", sse(*HI, END, usage_chunk(), done=True), ["H", "i", "", ""]),
    Row("usage behind finish_reason, no [DONE]", sse(*HI, END, usage_chunk()), ["H", "i", "", ""]),
    Row("one choice of two has ended", sse(chunk("a"), chunk("b", index=1), END), ["a", "b", ""], StreamTruncatedError),
    Row(
        "both choices have ended, 1 before 0",
        sse(chunk("b", "stop", index=1), chunk("a", "length")),
        ["b", "a"],
    ),
    Row("no choice at all", sse(usage_chunk()), [""], StreamTruncatedError, "after 1 event."),
    Row("[DONE]xyz is not [DONE]", b"data: [DONE]xyz\n\n", [], StreamDecodeError, "not JSON"),
    Row("[DONE] in spaces", sse(*HI) + b"data:   [DONE]  \n\n", ["H", "i"]),
    Row("no blank line behind [DONE]", sse(*HI) + b"data: [DONE]\n", ["H", "i"]),
    Row("no line end behind [DONE]", sse(*HI) + b"data: [DONE]", ["H", "i"]),
    Row("no blank line behind the last event", sse(*HI, END)[:-1], ["H", "i", ""]),
    Row("no line end behind the last event", sse(*HI, END)[:-2], ["H", "i", ""]),
    Row("half an event at the end", sse(*HI)[:-5], ["H"], StreamTruncatedError, "after 1 event."),
    Row("half an event behind the end", sse(*HI, END) + b'data: {"id"', ["H", "i", ""]),
]

SSE = [
    Row("CR LF", sse(*HI, END, done=True, eol="\r\n"), ["H", "i", ""]),
    Row("CR", sse(*HI, END, done=True, eol="\r"), ["H", "i", ""]),
    Row("comments between events", b": PROCESSING\n\n" + sse(*HI) + b": ping\n\n" + sse(END), ["H", "i", ""]),
    Row("a comment as data", sse(": OPENROUTER PROCESSING", *HI, ": x", done=True), ["H", "i"]),
    Row("empty data", b"data:\n\ndata: \n\ndata\n\n" + sse(*HI, done=True), ["H", "i"]),
    Row("an event without data, a retry", b"event: ping\n\nretry: 10\n\nid: 7\n\n" + sse(*HI, done=True), ["H", "i"]),
    Row("no space behind the colon", sse(*HI, END, done=True).replace(b"data: ", b"data:"), ["H", "i", ""]),
    Row("JSON over several lines", sse(js(chunk("H")).replace(",", ",\ndata: "), END), ["H", ""]),
    Row("a byte order mark", b"\xef\xbb\xbf" + sse(*HI, done=True), ["H", "i"]),
    Row(
        "line ends of Unicode",
        sse(chunk("a\u2028b\u2029c\x85d"), END).decode("unicode_escape").encode(),
        ["a\u2028b\u2029c\x85d", ""],
    ),
    Row("many bytes to a character", sse(js(chunk("@"))).replace(b"@", "é€😀".encode()) + sse(END), ["é€😀", ""]),
    Row("not UTF-8", sse(*HI) + b'data: {"id":"\xff"}\n\n' + sse(END), ["H", "i"], StreamDecodeError, "not UTF-8"),
    Row(
        "not UTF-8 in a text",
        sse(*HI) + sse(chunk("@")).replace(b"@", b"a\xc3") + sse(END),
        ["H", "i"],
        StreamDecodeError,
        "not UTF-8",
    ),
    Row("not JSON", sse(*HI, "{oops", END), ["H", "i"], StreamDecodeError, "not JSON"),
    Row("no object", sse(*HI, "[1]", END), ["H", "i"], StreamDecodeError, "not a JSON object"),
    # How deep is too deep differs between Pythons (the families' own tests go deeper): refused it is, either way.
    Row("too deep", sse(*HI, "[" * 5000), ["H", "i"], StreamDecodeError, "cannot be read"),
]

ERRORS = [
    Row("an error object", sse(*HI, {"error": OOPS}), ["H", "i"], APIError, "out of memory", code="oom"),
    Row("an error object, then [DONE]", sse(*HI, {"error": OOPS}, done=True), ["H", "i"], APIError, "out of memory"),
    Row("an error, then more", sse(*HI, {"error": OOPS}, chunk("late")), ["H", "i"], APIError, "out of memory"),
    Row("an error as the first event", sse({"error": OOPS}), [], APIError, "out of memory", code="oom"),
    Row("a bare string", sse({"error": "no room", "error_type": "overload"}), [], APIError, "no room"),
    Row(
        "object: error", sse({"object": "error", "message": "no room", "code": 40}), [], APIError, "no room", code="40"
    ),
    Row(
        "event: error, flat", b"event: error\n" + sse({"message": "flat", "code": "f"}), [], APIError, "flat", code="f"
    ),
    Row("event: error, with an id", b"event: error\n" + sse({"id": "7", "message": "flat"}), [], APIError, "flat"),
    Row("event: error, nested", b"event: error\n" + sse({"error": OOPS}), [], APIError, "out of memory", code="oom"),
    Row("event: error, a text", b"event: error\ndata: the cat got it\n\n", [], APIError, "the cat got it"),
    Row("event: error, a silent one", b"event: error\ndata:\n\n", [], APIError, "without a word"),
    Row("event: error around a chunk", b"event: error\n" + sse(chunk("H")), [], APIError, "'choices': [{"),
    Row(
        "the error field",
        sse(*HI) + b"error: " + js(OOPS).encode() + b"\n\n",
        ["H", "i"],
        APIError,
        "out of memory",
        code="oom",
    ),
    Row("the error field, a text", b"error: no room\n\n", [], APIError, "no room"),
    Row("the error field, no blank line", b'error: {"message":"no room"}', [], APIError, "no room"),
    Row(
        "finish_reason: error",
        sse(chunk("H"), chunk(None, "error", error=OOPS)),
        ["H"],
        APIError,
        "out of memory",
        code="oom",
    ),
    Row("detail", sse(*HI, {"detail": "gone"}), ["H", "i"], APIError, "gone"),
    Row(
        "a JSON error in place of a stream",
        b"\n\n" + js({"error": OOPS}).encode(),
        [],
        APIError,
        "out of memory",
        code="oom",
    ),
    Row("a list of one error", js([{"error": OOPS}]).encode(), [], APIError, "out of memory", code="oom"),
    Row(
        "a whole answer in place of a stream",
        js(completion("Hi")).encode(),
        [],
        APIError,
        "where a stream was asked for",
    ),
    Row("a page in place of a stream", b"<html>Log in</html>", [], APIError, "<html>Log in</html>"),
]

RESPONSES = [
    Row("completed", sse(delta("H"), delta("i"), ended()), ["H", "i", ""], family="responses"),
    Row("completed, and [DONE]", sse(delta("H"), ended(), done=True), ["H", ""], family="responses"),
    Row("incomplete", sse(delta("H"), ended("incomplete")), ["H", ""], family="responses"),
    Row("failed is an event", sse(delta("H"), ended("failed", error=OOPS)), ["H", ""], family="responses"),
    Row("cancelled", sse(ended("cancelled")), [""], family="responses"),
    Row("more behind the end", sse(delta("H"), ended(), delta("late")), ["H", ""], family="responses"),
    Row("an error behind the end", sse(delta("H"), ended(), {"error": OOPS}), ["H", ""], family="responses"),
    Row(
        "not terminated", sse(delta("H")), ["H"], StreamTruncatedError, "before the terminal event", family="responses"
    ),
    Row(
        "only [DONE]", sse(delta("H"), done=True), ["H"], StreamTruncatedError, "[DONE] came before", family="responses"
    ),
    Row(
        "no line end behind [DONE]",
        sse(delta("H")) + b"data: [DONE]",
        ["H"],
        StreamTruncatedError,
        "[DONE]",
        family="responses",
    ),
    Row("no blank line behind the end", sse(delta("H"), ended())[:-2], ["H", ""], family="responses"),
    Row(
        "type: error",
        sse(delta("H"), {"type": "error", "message": "no room", "code": "full", "param": None}),
        ["H"],
        APIError,
        "no room",
        "responses",
        "full",
    ),
    Row("an error as chat has it", sse({"error": OOPS}), [], APIError, "out of memory", "responses", "oom"),
    Row(
        "event: error upon an event with a type",
        b"event: error\n" + sse(delta("H")) + sse(ended()),
        ["H", ""],
        family="responses",
    ),
    Row("an untyped keepalive", sse({"type": "keepalive"}, ended()), ["", ""], family="responses"),
    Row("a JSON error", js({"error": OOPS}).encode(), [], APIError, "out of memory", "responses", "oom"),
]


def check(row: Row, played: Played) -> None:
    assert texts(played.events) == row.texts
    assert played.pipeline.events == len(row.texts)
    failure = played.failure
    if row.failure is None:
        assert failure is None
        return
    assert type(failure) is row.failure
    assert row.says in str(failure)
    if row.code is not None:
        assert failure.code == row.code
    if isinstance(failure, StreamTruncatedError):
        assert failure.events == len(row.texts)
        assert played_text(failure.snapshot) == "".join(row.texts)


def played_text(snapshot: Any) -> str:
    if hasattr(snapshot, "choices"):
        return "".join(choice.message.content or "" for choice in snapshot.choices)
    return str(snapshot.output_text)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("row", THE_END + SSE + ERRORS + RESPONSES, ids=str)
def test_a_stream_is_what_it_is_however_it_is_cut(row: Row, framing: str) -> None:
    wire = answer(row.body, framing)
    begin = wire.index(b"\r\n\r\n") + 4  # where a head is cut makes no difference to its body
    cuts = itertools.islice(splits(wire[begin:]), None if framing != "small chunks" else 2)
    for pieces in cuts if len(row.body) < 2000 else [[wire[begin:]]]:
        check(row, Played([wire[:begin], *pieces], events_of(row.family)))


@pytest.mark.parametrize("row", THE_END + ERRORS, ids=str)
def test_head_and_body_in_one_read(row: Row) -> None:
    check(row, Played([answer(row.body, "chunked")], events_of(row.family)))


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "raw deflate", "none", "utf-8", "identity"])
def test_a_coding_nobody_asked_for(coding: str) -> None:
    body = sse(*HI, END, done=True)
    packed = {
        "gzip": gzip.compress,
        "x-gzip": gzip.compress,
        "deflate": zlib.compress,
        "raw deflate": lambda data: zlib.compress(data, wbits=-15),
    }.get(coding, lambda data: data)(body)
    wire = answer(packed, "small chunks", f"Content-Encoding: {coding.removeprefix('raw ')}")
    for pieces in splits(wire):
        played = Played(pieces, events_of("chat"))
        assert texts(played.events) == ["H", "i", ""]
        assert played.failure is None


def test_events_are_flushed_as_they_are_compressed() -> None:
    packer = zlib.compressobj(wbits=31)
    pieces = [head("Content-Encoding: gzip", "Connection: close")]
    for event in (sse(chunk("H")), sse(chunk("i"))):
        pieces.append(packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH))
    assert texts(Played(pieces[:2], events_of("chat"), eof=None).events) == ["H"]
    played = Played(pieces, events_of("chat"))
    assert texts(played.events) == ["H", "i"]
    assert isinstance(played.failure, StreamTruncatedError)


def test_an_error_compressed_in_place_of_a_stream() -> None:
    wire = answer(gzip.compress(js({"error": OOPS}).encode()), "length", "Content-Encoding: gzip")
    for pieces in splits(wire):
        failure = Played(pieces, events_of("chat")).failure
        assert type(failure) is APIError
        assert failure.message == "out of memory"


def test_broken_compression_comes_behind_its_good_events() -> None:
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(sse(*HI)) + packer.flush(zlib.Z_SYNC_FLUSH) + b"\xff" * 40
    for pieces in splits(answer(packed, "small chunks", "Content-Encoding: gzip")):
        played = Played(pieces, events_of("chat"))
        assert texts(played.events) == ["H", "i"]
        assert type(played.failure) is RemoteProtocolError


def test_a_coding_that_cannot_be_decoded() -> None:
    with pytest.raises(RemoteProtocolError, match="'br'"):
        Played([answer(b"", "length", "Content-Encoding: br")], events_of("chat"))


# -- Framing broken ----------------------------------------------------------------

CHUNKED = head("Transfer-Encoding: chunked")


def in_chunks(*bodies: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(body), body) for body in bodies)


@pytest.mark.parametrize("make", [events_of("chat"), raw], ids=["events", "raw"])
@pytest.mark.parametrize("junk", [b"zz\r\n", b"-1\r\n", b" 5\r\n", b"5\r\n12345X"])
def test_broken_chunks_come_behind_the_good_events(junk: bytes, make: Any) -> None:
    wire = CHUNKED + in_chunks(sse(*HI)) + junk
    for pieces in splits(wire):
        played = Played(pieces, make)
        assert len(played.events) == 2
        assert type(played.failure) is RemoteProtocolError


@pytest.mark.parametrize("make", [events_of("chat"), raw], ids=["events", "raw"])
def test_broken_chunks_behind_done_do_not_matter(make: Any) -> None:
    wire = CHUNKED + in_chunks(sse(*HI, done=True)) + b"zz\r\n"
    for pieces in splits(wire):
        played = Played(pieces, make)
        assert played.failure is None
        played.connection.buffer.feed(b"\r\nzz\r\nzz\r\n")
        with pytest.raises(RemoteProtocolError):  # whoever would use the connection again finds out
            played.connection.drain()


def test_an_error_event_wins_over_the_broken_chunk_behind_it() -> None:
    for pieces in splits(CHUNKED + in_chunks(sse(*HI, {"error": OOPS})) + b"zz\r\n"):
        failure = Played(pieces, events_of("chat")).failure
        assert type(failure) is APIError
        assert failure.message == "out of memory"


def test_an_event_too_large_comes_behind_the_others() -> None:
    wire = answer(sse(*HI) + b"data: " + b"x" * 700 + b"\n\n", "chunked")
    for pieces in splits(wire):
        played = Played(pieces, events_of("chat"), limits=Limits(event_bytes=600))
        assert texts(played.events) == ["H", "i"]
        assert type(played.failure) is LimitExceededError
        assert (played.failure.limit, played.failure.allowed) == ("event_bytes", 600)


@pytest.mark.parametrize("make", [events_of("chat"), raw], ids=["events", "raw"])
@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_the_last_chunk_is_missing(framing: str, make: Any) -> None:
    """ "last event there, 0 CR LF CR LF missing: complete, connection not reused"; before that: truncated."""
    wire = answer(sse(*HI, END), framing)[: -5 if framing == "chunked" else -1]
    for why in ("closed", "Connection reset by peer"):
        played = Played([wire], make, eof=why)
        assert len(played.events) == 3
        assert not played.connection.reusable
        if make is raw:
            assert isinstance(played.failure, StreamTruncatedError)
            assert played.failure.events == 3
        else:
            assert played.failure is None
    cut = Played([answer(sse(*HI), framing)[:-7]], make, eof="Connection reset by peer")
    assert isinstance(cut.failure, StreamTruncatedError)
    assert "Connection reset by peer" in str(cut.failure)


def test_eof_says_what_is_missing() -> None:
    cut = Played([CHUNKED + in_chunks(sse(*HI))], events_of("chat"))
    assert str(cut.failure) == (
        "The stream was cut: the connection was closed with the body unfinished (chunk-size missing), after 2 events."
    )
    assert Played([CHUNKED + in_chunks(sse(*HI, done=True))], events_of("chat"), eof=None).failure is None


def test_eof_after_the_end_brings_nothing() -> None:
    for make in (events_of("chat"), raw, with_helper("chat")):
        played = Played([answer(sse(*HI, END, done=True))], make)
        assert played.pipeline.receive_eof() == []
        assert played.failure is None


def the_rest(connection: ClientConnection, found: ResponseHead, limits: Limits) -> EventPipeline:
    pipeline: EventPipeline = events_of("responses")(connection, found, limits)
    pipeline.rest = True
    return pipeline


@pytest.mark.parametrize("framing", ["length", "chunked", "small chunks", "close"])
def test_done_alone_says_that_nothing_was_left(framing: str) -> None:
    for pieces in splits(answer(sse(done=True), framing)):
        played = Played(pieces, the_rest)
        assert (played.events, played.failure) == ([], None)
    for body, count in ((b"", 0), (sse(delta("Hi"), done=True), 1)):
        for pieces in splits(answer(body, framing)):
            cut = Played(pieces, the_rest)
            assert isinstance(cut.failure, StreamTruncatedError)
            assert (len(cut.events), cut.failure.events) == (count, count)


# -- Whether the connection can be used again ----------------------------------------


@pytest.mark.parametrize("make", [events_of("chat"), raw], ids=["events", "raw"])
@pytest.mark.parametrize(
    ("behind", "apart", "reusable"),
    [
        *[(behind, apart, True) for behind in (b"", b"\n\r\n") for apart in (False, True)],
        *[(behind, apart, False) for behind in (sse(chunk("late")), b"data: {") for apart in (False, True)],
        (b": bye\n\n", False, True),
    ],
)
def test_data_behind_done_spoil_the_connection(behind: bytes, apart: bool, reusable: bool, make: Any) -> None:
    done = sse(*HI, done=True)
    wire = [in_chunks(done), in_chunks(behind) if behind else b"", b"0\r\n\r\n"]
    played = Played([CHUNKED, *wire] if apart else [CHUNKED + b"".join(wire)], make, eof=None)
    assert played.failure is None
    connection = played.connection
    if apart:  # what the pool does with a connection that drains
        connection.buffer.feed(b"".join(wire[1:]))
        connection.drain()
    assert connection.finished
    assert connection.reusable is reusable


def test_done_in_a_compressed_body_leaves_the_connection() -> None:
    packed = gzip.compress(sse(*HI, done=True))
    wire = answer(packed, "chunked", "Content-Encoding: gzip")
    played = Played([wire[:-12], wire[-12:]], events_of("chat"), eof=None)
    if not played.connection.finished:
        played.connection.buffer.feed(wire[-12:])
        played.connection.drain()
    assert played.connection.reusable


def test_the_terminal_event_leaves_the_connection() -> None:
    """LiteLLM sends [DONE] behind it."""
    played = Played([CHUNKED, in_chunks(sse(ended()))], events_of("responses"), eof=None)
    assert played.pipeline.done
    played.connection.buffer.feed(in_chunks(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    played.connection.drain()
    assert played.connection.reusable


# -- Helpers -------------------------------------------------------------------------


def with_helper(family: str) -> Any:
    def make(connection: ClientConnection, found: ResponseHead, limits: Limits) -> HelperPipeline:
        return HelperPipeline(connection, found, FAMILIES[family], FAMILIES[family].Helper(), limits)

    return make


def test_a_helper_says_what_is_done_at_a_clean_end_only() -> None:
    whole = answer(sse(*HI, END, done=True), "chunked")
    kinds = [
        "chunk", "content.delta", "chunk", "content.delta", "chunk", "content.done",
    ]  # fmt: skip
    for pieces in splits(whole):
        played = Played(pieces, with_helper("chat"))
        assert [event.type for event in played.events] == kinds
        assert played.pipeline.events == 3
    for end in ("closed", "reset"):
        cut = Played([answer(sse(*HI), "close")], with_helper("chat"), eof=end)
        assert [event.type for event in cut.events] == kinds[:4]
        assert isinstance(cut.failure, StreamTruncatedError)
        assert cut.failure.events == 2
        assert cut.failure.snapshot.choices[0].message.content == "Hi"


def test_a_helper_of_responses_ends_at_the_terminal_event() -> None:
    for pieces in splits(answer(sse(delta("Hi"), ended(text="Hi"), delta("late")), "small chunks")):
        played = Played(pieces, with_helper("responses"))
        assert [event.type for event in played.events] == ["response.output_text.delta", "response.completed"]
        assert played.pipeline.events == 2
        assert played.failure is None


@pytest.mark.parametrize("make", [events_of("responses"), with_helper("responses")], ids=["events", "helper"])
def test_nothing_comes_behind_the_terminal_event_of_a_run_of_chunks(make: Any) -> None:
    run = in_chunks(*map(sse, (delta("Hi"), ended(text="Hi"), delta("late"))))
    first = CHUNKED + in_chunks(sse(delta("Hi ")))  # which shows that it is a stream
    for pieces in splits(run):
        played = Played([first, *pieces], make)
        assert texts(played.events) == ["Hi ", "Hi", ""]
        assert played.events[-1].type == "response.completed"
        assert played.pipeline.events == 3
        assert played.failure is None


# -- Raw -------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", FRAMINGS)
def test_raw_events_are_what_was_sent(framing: str) -> None:
    body = b"event: one\nid: 7\nretry: 5\ndata: a\n\n: ping\n\ndata: b\ndata: c\n\ndata: [DONE]\n\ndata: late\n\n"
    for pieces in splits(answer(body, framing)):
        played = Played(pieces, raw)
        assert [tuple(event) for event in played.events] == [
            (b"a", "one", "7", 5),
            (b"b\nc", "", "7", None),
            (b"[DONE]", "", "7", None),
        ]
        assert played.failure is None


def test_raw_does_not_judge_what_the_events_say() -> None:
    for body in (sse({"error": OOPS}), b"data: not json\n\n", b"event: error\ndata: x\n\n"):
        for framing in FRAMINGS:
            played = Played([answer(body, framing)], raw)
            assert len(played.events) == 1
            assert played.failure is None


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize(("tail", "count"), [(b'data: {"a":1}', 3), (b"data: [DONE]", 3), (b'data: {"a":', 2)])
def test_raw_takes_a_last_event_only_whole(framing: str, tail: bytes, count: int) -> None:
    for pieces in splits(answer(sse(*HI) + tail, framing)):
        played = Played(pieces, raw)
        assert len(played.events) == played.pipeline.events == count
        assert played.failure is None


def test_raw_done_without_a_line_end_is_the_end() -> None:
    played = Played([CHUNKED + in_chunks(b"data: [DONE]")], raw, eof="Connection reset by peer")
    assert [event.data for event in played.events] == [b"[DONE]"]
    assert played.failure is None


# -- Whole bodies ------------------------------------------------------------------------


def whole(wire: bytes, limits: Limits = DEFAULT_LIMITS) -> Any:
    """Played in every way: always the same."""
    found = []
    for pieces in splits(wire):
        connection = ClientConnection(limits)
        connection.send_template(REQUEST, "/")
        body = None
        for piece in pieces:
            connection.buffer.reclaim()
            connection.buffer.feed(piece)
            if body is None:
                parsed = connection.receive_head()
                if parsed is None:
                    continue
                body = WholeBody(connection, parsed, limits)
            body.receive()
        assert body is not None
        if not body.done:
            assert body.receive_eof() is None
        found.append(body)
    assert len({body.content for body in found}) == 1
    return found[0]


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("ahead", [b"", b"\n\n\n", b"\r\n \t"])
def test_a_whole_answer(framing: str, ahead: bytes) -> None:
    body = whole(answer(ahead + js(completion("Hi")).encode(), framing, kind="application/json"))
    assert body.read(chat).choices[0].message.content == "Hi"
    body = whole(answer(ahead + js(response(text="Hi")).encode(), framing, kind="application/json"))
    assert body.read(responses).output_text == "Hi"


@pytest.mark.parametrize("sent", [b"", b"Not Found", b"<html>", b"[1]", b"\xff", sse(*HI)])
def test_a_whole_answer_that_is_none(sent: bytes) -> None:
    body = whole(answer(sent, kind="application/json"))
    for family in (chat, responses):
        with pytest.raises(APIResponseValidationError, match="not a JSON object") as caught:
            body.read(family)
        assert caught.value.status_code == 200
        assert caught.value.body == sent.decode(errors="replace")


def test_an_error_in_a_whole_answer() -> None:
    for family in (chat, responses):
        with pytest.raises(APIError, match="out of memory") as caught:
            whole(answer(b"\n\n" + js({"error": OOPS}).encode())).read(family)
        assert caught.value.code == "oom"


def test_a_whole_answer_is_bounded() -> None:
    for framing in FRAMINGS:
        with pytest.raises(LimitExceededError, match="body_bytes"):
            whole(answer(b"x" * 101, framing), Limits(body_bytes=100))
        whole(answer(b"x" * 100, framing), Limits(body_bytes=100))


class Looked(bytearray):
    """Counts the bytes that are looked at for white space."""

    count = 0

    def strip(self, *given: Any) -> bytearray:
        self.count += len(self)
        return super().strip(*given)

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        self.count += len(found) if isinstance(at, slice) else 1
        return found


def test_each_blank_line_ahead_of_a_whole_answer_is_looked_at_once() -> None:
    connection = ClientConnection()
    connection.send_template(REQUEST, "/")
    connection.buffer.feed(head())
    parsed = connection.receive_head()
    assert parsed is not None
    body = WholeBody(connection, parsed)
    body._content = looked = Looked()
    for _ in range(1_000):
        connection.buffer.feed(b"\r\n")
        body.receive()
        assert not body.begun
    connection.buffer.feed(b" {}")
    body.receive()
    assert body.begun
    assert (body.content, len(looked)) == (b"{}", 2_003)
    assert looked.count <= 2 * len(looked)


def test_what_is_missing_of_a_whole_answer() -> None:
    connection = ClientConnection()
    connection.send_template(REQUEST, "/")
    connection.buffer.feed(answer(b"12345")[:-2])
    parsed = connection.receive_head()
    assert parsed is not None
    body = WholeBody(connection, parsed)
    body.receive()
    assert body.receive_eof() == "2 of 5 bytes"
    assert not connection.reusable


def test_what_was_good_of_a_broken_whole_answer_is_kept() -> None:
    for wire in (
        CHUNKED + in_chunks(b"good") + b"zz\r\n",
        head("Content-Encoding: gzip") + gzip.compress(b"good")[:-8] + b"\0" * 8,
    ):
        connection = ClientConnection()
        connection.send_template(REQUEST, "/")
        connection.buffer.feed(wire)
        parsed = connection.receive_head()
        assert parsed is not None
        body = WholeBody(connection, parsed)
        with pytest.raises(RemoteProtocolError):
            body.receive()
        assert body.content == b"good"


BY_STATUS = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    418: APIStatusError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    500: InternalServerError,
    503: InternalServerError,
    529: InternalServerError,
}


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize(("status", "kind"), BY_STATUS.items())
def test_the_class_of_a_status(status: int, kind: type[APIStatusError], framing: str) -> None:
    wire = answer(js({"error": OOPS}).encode(), framing, "x-request-id: req", status=f"{status} Odd", kind=None)
    error = whole(wire).error()
    assert type(error) is kind
    assert (error.status_code, error.request_id, error.code, error.body) == (status, "req", "oom", OOPS)
    assert str(error) == f"Error code: {status} - out of memory"


@pytest.mark.parametrize(
    ("sent", "message", "body"),
    [
        (js({"error": OOPS}), "out of memory", OOPS),
        (js({"error": "no room"}), "no room", {"error": "no room"}),
        (js({"detail": "Not Found"}), "Not Found", {"detail": "Not Found"}),
        (js({"message": "m", "code": 3}), "m", {"message": "m", "code": 3}),
        (js([{"error": OOPS}]), "out of memory", OOPS),
        (js({"status": "bad"}), '{"status":"bad"}', {"status": "bad"}),
        (js([1, 2]), "[1,2]", [1, 2]),
        ("Not Found", "Not Found", "Not Found"),
        ("<html>no</html>", "<html>no</html>", "<html>no</html>"),
        ("x" * 600, "x" * 500, "x" * 600),
        ("", "Odd", None),
        ("data: " + js({"error": OOPS}) + "\n\ndata: [DONE]\n\n", "out of memory", OOPS),
        ("event: error\ndata: " + js({"error": OOPS}), "out of memory", OOPS),
        (": ping\n\nerror: " + js(OOPS), "out of memory", OOPS),
        ("data: oops\n\n", "data: oops", "data: oops\n\n"),
    ],
)
def test_what_an_error_says(sent: str, message: str, body: Any) -> None:
    """JSON, text, HTML, nothing, server-sent events: the server's message, never a parse error."""
    for kind in ("application/json", "text/html", "text/event-stream", None):
        error = whole(answer(sent.encode(), status="404 Odd", kind=kind)).error()
        assert type(error) is NotFoundError
        assert str(error) == f"Error code: 404 - {message}"
        assert error.body == body


def test_an_error_without_a_word() -> None:
    assert str(whole(answer(b"", status="500 ")).error()) == "Error code: 500 - no body"
    assert str(whole(answer(b"\xff\xfe", status="500 ")).error()) == "Error code: 500 - \ufffd\ufffd"
    found = ResponseHead(502, "Bad Gateway", Headers([]), "1.1")
    error = status_refusal(b"", found)
    assert type(error) is InternalServerError
    assert str(error) == "Error code: 502 - Bad Gateway"


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("https://other.example:8/v1?token=secret", "redirects to https://other.example:8."),
        ("https://user:secret@other.example/v1", "redirects to https://other.example."),
        ("//other.example/secret", "redirects to //other.example."),
        ("/v2/secret", "redirects to another path of its own."),
        ("", "redirects nowhere."),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_told_and_not_followed(status: int, location: str, says: str) -> None:
    error = whole(answer(b"moved: secret", "length", f"Location: {location}", status=f"{status} Moved")).error()
    assert type(error) is APIStatusError
    assert (
        str(error) == f"Error code: {status} - The server {says} Redirects are not followed: give the right base_url."
    )
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        ("text/event-stream", True),
        ("text/event-stream;", True),
        ("Text/Event-Stream; charset=latin-1", True),
        ("text/plain", True),
        ("", True),
        ("application/octet-stream", True),
        ("application/json", False),
        ("Application/JSON; charset=utf-8", False),
        ("application/problem+json", False),
        ("text/html", False),
    ],
)
def test_what_can_be_a_stream(kind: str, verdict: bool) -> None:
    raw_headers = [(b"content-type", kind.encode())] if kind else []
    assert is_stream(ResponseHead(200, "OK", Headers(raw_headers), "1.1")) is verdict


@pytest.mark.parametrize(
    ("sent", "kind", "message", "body"),
    [
        (js({"error": OOPS}), "application/json", "out of memory", OOPS),
        ("<html>", "text/html", "The server answered with text/html where a stream was asked for: <html>", "<html>"),
        ("", "text/html", "The server answered with text/html where a stream was asked for: no body", None),
        ("[1]", None, "The server answered with no media type where a stream was asked for: [1]", [1]),
    ],
)
def test_what_is_not_a_stream(sent: str, kind: str | None, message: str, body: Any) -> None:
    error = whole(answer(sent.encode(), kind=kind)).not_a_stream()
    assert type(error) is APIError
    assert error.message == message
    assert error.body == body
