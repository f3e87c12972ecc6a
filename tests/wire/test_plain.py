"""Plain heads, read without h11: h11's verdict for any head and any split, and which heads they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from support.splits import cuts, split
from tokenwire.errors import LocalProtocolError, RemoteProtocolError
from tokenwire.policy import Limits
from tokenwire.wire import http1
from tokenwire.wire.buffer import ReceiveBuffer
from tokenwire.wire.heads import Headers, RequestTemplate
from tokenwire.wire.http1 import ClientConnection
from tokenwire.wire.plain import plain_response

COMMON = (
    b"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2029 00:00:00 GMT\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\nx-request-id: req_1\r\nSet-Cookie: a=b; Path=/\r\n"
    b"set-cookie:c=d\t \r\nX-Empty:\r\nX-Odd: caf\xe9 \t tea\r\n\r\n"
)


def verdict(pieces: list[bytes], method: str, *, by_h11: bool) -> Any:
    """All that a client learns from a response's head: its words, how the body is framed, what stands behind it."""
    client = ClientConnection(Limits(head_bytes=300))
    client.send_request(method, "/", [(b"host", b"x")])
    with pytest.MonkeyPatch.context() as patch:
        if by_h11:
            patch.setattr(http1, "plain_response", lambda buffer, limit: None)
        head, left = None, list(pieces)
        try:
            while head is None and left:
                client.buffer.feed(left.pop(0))
                head = client.receive_head()
        except RemoteProtocolError as error:
            return type(error), client.persists
    if head is None:
        return None
    buffer, body = client.buffer, client.body
    return (
        (head.status_code, head.reason, head.http_version, head.headers.multi_items(), dict(head.headers)),
        (type(body), getattr(body, "_length", None), body is not None and body.complete, client.persists),
        bytes(buffer.data[buffer.start : buffer.end]),
        left,
    )


def check(wire: bytes, at: list[int], method: str = "POST") -> None:
    for pieces in ([wire] if wire else [], split(wire, at)):
        assert verdict(pieces, method, by_h11=False) == verdict(pieces, method, by_h11=True), pieces


NAMES = ["Content-Length", "content-length", "Transfer-Encoding", "TRANSFER-ENCODING", "Connection", "X"]
VALUES = [
    b"5", b"0", b"5, 5", b"+5", b"-5", b"05", b"1_0", b"9" * 18, b"9" * 19, b"9" * 21, b"\xb2", b"chunked", b"Chunked",
    b"gzip", b"chunked, chunked", b"close", b"Close", b"x, close", b"keep-alive", b"", b" ", b"a b", b"a\tb",
    b"caf\xe9", b"a\x01b", b"a\x7fb", b"a\x0bb", b"a\0b", b"a\rb", b"a\nb", b"\x85", b"\xa0", b":",
]  # fmt: skip

_methods = st.sampled_from(["POST", "GET", "HEAD", "CONNECT"])
_names = st.sampled_from(NAMES)
_values = st.one_of(st.sampled_from(VALUES), st.binary(max_size=4))
_spaces = st.sampled_from([b"", b" ", b"\t", b" \t "])
_ends = st.sampled_from([b"\r\n"] * 9 + [b"\n", b"\r", b"\r\n "])
_fields = st.tuples(_names.map(str.encode), _spaces, _values, _spaces, _ends).map(
    lambda parts: parts[0] + b":" + b"".join(parts[1:])
)
_lines = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n"] * 6
    + [b"HTTP/1.1 200\r\n", b"HTTP/1.1 200 \r\n", b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 304 X\r\n"]
    + [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", b"HTTP/1.1 101 X\r\n", b"HTTP/1.1 600 X\r\n"]
    + [b"HTTP/1.0 200 OK\r\n", b"HTTP/2.0 200 OK\r\n", b"http/1.1 200 OK\r\n", b"HTTP/1.1  200 OK\r\n"]
    + [b"HTTP/1.1 503 \xe9\r\n", b"HTTP/1.1 200 O\x01\r\n", b"HTTP/1.1 99 X\r\n", b"HTTP/1.1 2000 OK\r\n"]
    + [b"\r\nHTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\n"]
)
_heads = st.tuples(
    _lines, st.lists(_fields, max_size=5).map(b"".join), st.sampled_from([b"\r\n", b"\r\n", b"\n", b""])
).map(b"".join)
_behind = st.sampled_from([b"", b"5\r\nhello\r\n", b"\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])


@pytest.mark.parametrize("name", NAMES)
def test_every_value_as_h11_reads_it(name: str) -> None:
    for value in VALUES:
        line = b"%b: %b\r\n" % (name.encode(), value)
        for more in (b"", line, b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"):
            check(b"HTTP/1.1 200 OK\r\n" + line + more + b"\r\nhello", [])


@settings(max_examples=150)
@given(_heads, _behind, cuts, _methods)
@example(COMMON, b"hello", [7], "POST")
@example(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300 + b"\r\n\r\n", b"", [], "POST")  # longer than the limit
def test_invented_heads_as_h11_reads_them(head: bytes, behind: bytes, at: list[int], method: str) -> None:
    check(head + behind, at, method)


@settings(max_examples=100)
@given(st.integers(0, len(COMMON)), st.integers(0, 3), st.binary(max_size=3), cuts)
def test_a_mutated_head_as_h11_reads_it(place: int, length: int, new: bytes, at: list[int]) -> None:
    check(COMMON[:place] + new + COMMON[place + length :], at)


def plain(wire: bytes, limit: int = 1000) -> bool:
    buffer = ReceiveBuffer()
    buffer.feed(wire)
    found = plain_response(buffer, limit)
    assert (buffer.start > 0) == (found is not None), "what is not plain is left to h11, whole"
    return found is not None


def test_which_heads_are_plain() -> None:
    """Without this, a reader that takes none would pass."""
    assert plain(COMMON)
    assert plain(b"HTTP/1.1 200\r\n\r\n")
    assert plain(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 12\r\n\r\n{")
    assert not plain(COMMON[:-1])
    assert not plain(COMMON, len(COMMON) - 1)
    assert plain(COMMON, len(COMMON))
    assert not plain(b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), "a folded line"
    assert not plain(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"), "h11 writes it in lower case"


# -- Headers that are still lines ------------------------------------------------------

LINES = COMMON[COMMON.index(b"\r\n") : -2]


def test_headers_read_out_of_their_lines_are_the_same_mapping() -> None:
    pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in Headers(LINES).multi_items()]
    lazy, known = Headers(LINES), Headers(pairs)
    for name in (*known, "X-REQUEST-ID", "none", "", "date: mon, 01 jan 2029 00", "a\r\nx-empty", "\u212a", "caf\xe9"):
        assert lazy.get(name) == known.get(name), name
    assert lazy["set-cookie"] == "a=b; Path=/, c=d"
    assert lazy["x-empty"] == ""
    assert lazy["x-odd"] == "caf\xe9 \t tea"
    assert list(lazy) == list(known)
    assert lazy == known
    assert lazy.multi_items() == known.multi_items()
    assert lazy["X-Request-Id"] == "req_1", "once they are parsed, too"
    assert repr(lazy) == repr(known)
    assert len(Headers(b"\r\n")) == 0
    with pytest.raises(KeyError, match="None-Such"):
        Headers(LINES)["None-Such"]


# -- Request heads that are judged once ---------------------------------------------------

KEY = (b"Authorization", b"Bearer sk-very-secret")


def test_a_template_is_sent_as_the_same_request_would_be() -> None:
    fields = [(b"Accept", b"text/event-stream"), (b"Host", b"x"), KEY]
    template = RequestTemplate("POST", fields, sized=True)
    for target, body in [("/v1", b"{}"), ("/v1?a=%20", b""), ("/v2", b"x" * 1000)]:
        once, again = ClientConnection(), ClientConnection()
        wire = once.send_template(template, target, body)
        assert wire == again.send_request("POST", target, [*fields, (b"Content-Length", b"%d" % len(body))], body)
        assert once.cycles == 1
    wire = RequestTemplate("GET", fields, sized=False).head("/v1/responses/r", 0)
    assert wire == again.send_request("GET", "/v1/responses/r", fields)
    assert "secret" not in repr(template)


def test_a_template_with_more_fields() -> None:
    template = RequestTemplate("POST", [(b"Host", b"x"), KEY], sized=True)
    longer = template.plus([(b"X-Trace", b"1 2"), (b"x-empty", b"")])
    assert longer is not None
    fields = [(b"Host", b"x"), KEY, (b"X-Trace", b"1 2"), (b"x-empty", b""), (b"Content-Length", b"1")]
    assert longer.head("/", 1) + b"1" == ClientConnection().send_request("POST", "/", fields, b"1")
    assert b"X-Trace" not in template.head("/", 1)
    assert (b"x-trace", b"1 2") in longer.headers


@pytest.mark.parametrize(
    "field",
    [(b"x y", b"1"), (b"", b"1"), (b"x:", b"1"), (b"x", b"1\r\ny: 2"), (b"x", b"1\n"), (b"x", b" 1"), (b"x", b"1 "),
     (b"x", b"\0"), (b"x", b"\x7f"), (b"x\n", b"1"), (b"Connection", b"close"), (b"host", b"y"), (b"Upgrade", b"h2c")],
)  # fmt: skip
def test_fields_that_h11_must_judge(field: tuple[bytes, bytes]) -> None:
    template = RequestTemplate("POST", [(b"Host", b"x")], sized=True)
    assert template.plus([(b"x-sound", b"1"), field]) is None


@pytest.mark.parametrize(
    ("method", "fields", "words"),
    [
        ("POST", [(b"Host", b"x"), (b"Authorization", b"sk-very-secret\r\nx: y")], "Authorization"),
        ("POST", [(b"Host", b"x"), (b"Content-Length", b"0")], "'content-length' must not be set"),
        ("POST", [(b"Host", b"x"), (b"Transfer-Encoding", b"chunked")], "'transfer-encoding' must not be set"),
        ("POST", [], "'host'"),
        ("P\u00d6ST", [(b"Host", b"x")], "not an HTTP method"),
        ("PO ST", [(b"Host", b"x")], "not an HTTP method"),
    ],
)
def test_a_template_that_must_not_be_sent(method: str, fields: list[tuple[bytes, bytes]], words: str) -> None:
    with pytest.raises(LocalProtocolError, match=words) as caught:
        RequestTemplate(method, fields, sized=True)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("target", ["", "/a b", "/a\r\nx: y", "/\u00e9", "/a\x7f", "/a b?key=sk-very-secret"])
def test_a_target_that_must_not_be_sent(target: str) -> None:
    client = ClientConnection()
    template = RequestTemplate("POST", [(b"Host", b"x")], sized=True)
    with pytest.raises(LocalProtocolError, match="not a request target") as caught:
        client.send_template(template, target, b"{}")
    assert "secret" not in str(caught.value)
    assert client.cycles == 0


def test_a_template_asks_to_close() -> None:
    template = RequestTemplate("POST", [(b"Host", b"x"), (b"Connection", b"close")], sized=True)
    client = ClientConnection()
    client.send_template(template, "/")
    client.buffer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert client.receive_head() is not None
    assert not client.persists


def test_an_answer_that_takes_h11_behind_a_template() -> None:
    client = ClientConnection()
    client.send_template(RequestTemplate("POST", [(b"Host", b"x")], sized=True), "/v1", b"{}")
    client.buffer.feed(b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n")
    head = client.receive_head()
    assert head is not None
    assert head.headers["x"] == "a b"
    assert client.reusable
