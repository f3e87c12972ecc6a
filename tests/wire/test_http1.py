"""Heads and connection life: both roles, at every split, and what must be refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import h11
import pytest

from support.splits import bytewise, two_ways
from tokenwire.errors import LimitExceededError, LocalProtocolError, RemoteProtocolError
from tokenwire.policy import Limits
from tokenwire.wire.body import ChunkedReader, CloseReader, LengthReader, Span
from tokenwire.wire.buffer import ReceiveBuffer
from tokenwire.wire.heads import Headers, RequestHead, ResponseHead
from tokenwire.wire.http1 import ClientConnection, ServerConnection

SECRET = "sk-very-secret"

Raw = list[tuple[bytes, bytes]]


def unread(connection: ClientConnection | ServerConnection) -> bytes:
    buffer = connection.buffer
    return bytes(buffer.data[buffer.start : buffer.end])


def read_body(connection: ClientConnection | ServerConnection) -> bytes:
    """What the buffer holds of the body."""
    assert connection.body is not None
    spans: list[Span] = []
    connection.body.read(connection.buffer, spans)
    return b"".join(bytes(connection.buffer.data[start:stop]) for start, stop in spans)


def asked(method: str = "GET", limits: Limits | None = None, headers: Raw | None = None) -> ClientConnection:
    """A client that has sent its request."""
    client = ClientConnection() if limits is None else ClientConnection(limits)
    assert client.send_request(method, "/", [(b"host", b"x"), *(headers or [])])
    return client


def answered(wire: bytes, method: str = "GET", headers: Raw | None = None) -> tuple[ClientConnection, ResponseHead]:
    client = asked(method, headers=headers)
    client.buffer.feed(wire)
    head = client.receive_head()
    assert head is not None
    return client, head


# -- The client's request -------------------------------------------------------


def test_the_bytes_of_a_request() -> None:
    client = ClientConnection()
    wire = client.send_request(
        "POST",
        "/v1/chat/completions?api-version=1",
        [(b"Host", b"x"), (b"Authorization", b"Bearer k"), (b"Content-Length", b"2")],
        b"{}",
    )
    assert wire == (
        b"POST /v1/chat/completions?api-version=1 HTTP/1.1\r\n"
        b"Host: x\r\nAuthorization: Bearer k\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert client.cycles == 1
    assert client.body is None
    assert not client.finished
    assert not client.reusable
    assert not client.persists


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ((b"authorization", b"Bearer sk-very-secret\r\nx-evil: 1"), "authorization"),
        ((b"authorization", b"Bearer sk-very-secret\n"), "authorization"),
        ((b"authorization", b"Bearer sk-very-secret\0"), "authorization"),
        ((b"authorization", b" Bearer sk-very-secret"), "authorization"),
        ((b"X-Custom", b"sk-very-secret\r"), "X-Custom"),
        ((b"x custom", b"sk-very-secret"), "x custom"),
        ((b"x:custom", b"sk-very-secret"), "x:custom"),
        ((b"", b"sk-very-secret"), "''"),
        ((b"host", b"sk-very-secret\n"), "host"),
        ((b"content-length", b"sk-very-secret"), "content-length"),
        ((b"transfer-encoding", b"sk-very-secret"), "transfer-encoding"),
        ((b"\xff", b"sk-very-secret"), "ÿ"),
    ],
)
def test_a_header_that_must_not_be_sent_is_named_and_its_value_never_shown(
    header: tuple[bytes, bytes], named: str
) -> None:
    headers = [header] if header[0] == b"host" else [(b"host", b"x"), header]
    with pytest.raises(LocalProtocolError) as caught:
        ClientConnection().send_request("POST", "/", headers)
    assert named in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__  # h11's own words show the value


@pytest.mark.parametrize(
    ("method", "target", "words"),
    [
        ("GET /evil", "/", "not an HTTP method: 'GET /evil'"),
        ("G\u00c9T", "/", "not an HTTP method"),
        ("GET", "/a b", "not a request target.*'/a b'"),
        ("GET", "/\u00e9", "not a request target"),
        ("GET", "/a\r\nx-evil: 1", "not a request target"),
        ("GET", "/a b?key=sk-very-secret", "not a request target.*'/a b'"),
        ("GET", "", "not a request target"),
    ],
)
def test_a_method_or_target_that_must_not_be_sent(method: str, target: str, words: str) -> None:
    with pytest.raises(LocalProtocolError, match=words) as caught:
        ClientConnection().send_request(method, target, [(b"host", b"x")])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"host", b"a"), (b"host", b"b")],
        [(b"host", b"a"), (b"content-length", b"1"), (b"content-length", b"2")],
        [(b"host", b"a"), (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")],
    ],
)
def test_headers_that_contradict_each_other(headers: Raw) -> None:
    with pytest.raises(LocalProtocolError, match="'host', 'content-length' or 'transfer-encoding'"):
        ClientConnection().send_request("POST", "/", headers, b"x")


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ((b"content-length", b"1"), b"12"),
        ((b"content-length", b"3"), b"12"),
        ((b"x", b"y"), b"12"),
        ((b"Content-Length", b"1"), b""),
        ((b"Transfer-Encoding", b"chunked"), b"2\r\n12\r\n0\r\n\r\n"),
    ],
)
def test_a_body_that_is_not_what_the_head_says(header: tuple[bytes, bytes], body: bytes) -> None:
    # What stands beyond the length would be taken for the next request.
    with pytest.raises(LocalProtocolError, match=r"'(content-length|transfer-encoding)'"):
        ClientConnection().send_request("POST", "/", [(b"host", b"x"), header], body)


def test_a_server_reads_what_a_client_sends() -> None:
    wire = ClientConnection().send_request(
        "POST", "/v1/responses", [(b"Host", b"x"), (b"Content-Length", b"5")], b"hello"
    )
    for pieces in two_ways(wire):
        server = ServerConnection()
        heads, body = [], b""
        for piece in pieces:
            server.buffer.feed(piece)
            if not heads:
                head = server.receive_head()
                if head is None:
                    continue
                heads.append(head)
            body += read_body(server)
        assert [(head.method, head.target, head.http_version) for head in heads] == [("POST", "/v1/responses", "1.1")]
        assert dict(heads[0].headers) == {"host": "x", "content-length": "5"}
        assert body == b"hello"
        assert server.body is not None
        assert server.body.complete


# -- The client's answer ----------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Request-Id: req_1\r\nContent-Length: 5\r\n\r\n"


def test_a_head_cut_at_every_byte_and_the_body_is_left_exactly() -> None:
    for pieces in two_ways(HEAD + b"hello"):
        client = asked()
        came, body = b"", b""
        head = None
        for piece in pieces:
            client.buffer.reclaim()
            client.buffer.feed(piece)
            came += piece
            if head is None:
                head = client.receive_head()
                assert (head is None) == (len(came) < len(HEAD))
                if head is None:
                    assert not client.finished
                    continue
                assert unread(client) == came[len(HEAD) :]
            body += read_body(client)
        assert head is not None
        assert (head.status_code, head.reason, head.http_version, head.request_id) == (200, "OK", "1.1", "req_1")
        assert head.headers["content-type"] == "text/event-stream"
        assert body == b"hello"
        assert client.finished
        assert client.reusable


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        b"HTTP/1.1 103 \r\nContent-Length: 7\r\n\r\n",
    ],
)
def test_interim_answers_are_passed_over(interim: bytes) -> None:
    for pieces in two_ways(interim + HEAD + b"hello"):
        client = asked()
        heads, body = [], b""
        for piece in pieces:
            client.buffer.feed(piece)
            if not heads:
                heads = [head for head in [client.receive_head()] if head is not None]
            if heads:
                body += read_body(client)
        assert [head.status_code for head in heads] == [200]
        assert body == b"hello"


@pytest.mark.parametrize("headers", [[], [(b"connection", b"upgrade"), (b"upgrade", b"websocket")]])
def test_switched_protocols_are_refused(headers: Raw) -> None:
    client = asked(headers=headers)
    client.buffer.feed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
    with pytest.raises(RemoteProtocolError):
        client.receive_head()
    assert not client.reusable
    assert not client.persists


REFUSED_ANSWERS = {
    "both framings": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "lengths that differ": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "a signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
    "a length with an underscore": b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n",
    "an unknown transfer coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "chunked and more": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x16",
    "no status": b"HTTP/1.1\r\n\r\n",
    "two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "NUL": b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
    "a bare CR": b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
    "a blank line first": b"\r\nHTTP/1.1 200 OK\r\n\r\n",
}


@pytest.mark.parametrize("wire", REFUSED_ANSWERS.values(), ids=REFUSED_ANSWERS)
def test_answers_that_are_refused(wire: bytes) -> None:
    for pieces in two_ways(wire):
        client = asked()
        with pytest.raises(RemoteProtocolError) as caught:  # noqa: PT012 - whichever piece it is
            for piece in pieces:
                client.buffer.feed(piece)
                client.receive_head()
        assert not isinstance(caught.value, LimitExceededError)
        assert not client.reusable
        assert not client.persists


# RFC 9112, section 6.3, in its order
FRAMINGS: list[tuple[str, bytes, type, bool]] = [
    ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ChunkedReader, False),
    ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", ChunkedReader, False),
    ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", LengthReader, False),
    ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", LengthReader, False),
    ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", LengthReader, True),
    ("GET", b"HTTP/1.1 200 OK\r\n\r\n", CloseReader, False),
    ("GET", b"HTTP/1.0 200 OK\r\n\r\n", CloseReader, False),
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", LengthReader, True),
    ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", LengthReader, True),
    # "A client MUST ignore any Content-Length or Transfer-Encoding header fields received in such a message."
    ("CONNECT", b"HTTP/1.1 200 OK\r\n\r\n", LengthReader, True),
    ("CONNECT", b"HTTP/1.1 299 OK\r\nContent-Length: 5\r\n\r\n", LengthReader, True),
    ("CONNECT", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", LengthReader, True),
    ("CONNECT", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", LengthReader, True),
    ("CONNECT", b"HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\n", LengthReader, False),
    ("CONNECT", b"HTTP/1.1 407 No\r\nTransfer-Encoding: chunked\r\n\r\n", ChunkedReader, False),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", LengthReader, True),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", LengthReader, True),
]


@pytest.mark.parametrize(("method", "wire", "reader", "complete"), FRAMINGS)
def test_how_a_body_is_delimited(method: str, wire: bytes, reader: type, complete: bool) -> None:
    client, _ = answered(wire, method)
    assert type(client.body) is reader
    assert client.finished == complete


KEPT: list[tuple[bytes, Raw, bool]] = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", [], True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", [], True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", [], False),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n", [], False),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, close\r\n\r\n", [], False),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x\r\nConnection: close\r\n\r\n", [], False),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: closed\r\n\r\n", [], True),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", [], False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", [], False),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", [(b"Connection", b"close")], False),
    (b"HTTP/1.1 204 No Content\r\n\r\n", [], True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", [], False),  # behind it stands another
    (b"HTTP/1.1 204 No Content\r\n\r\njunk", [], False),
]


@pytest.mark.parametrize(("wire", "headers", "kept"), KEPT)
def test_whether_a_connection_is_kept(wire: bytes, headers: Raw, kept: bool) -> None:
    client, _ = answered(wire, headers=headers)
    assert client.finished
    assert client.reusable == kept


def test_a_body_until_close_leaves_no_connection() -> None:
    client, _ = answered(b"HTTP/1.1 200 OK\r\n\r\nhel")
    assert not client.persists
    assert read_body(client) == b"hel"
    client.receive_eof()
    assert client.body is not None
    assert client.body.eof() is None
    assert client.finished
    assert not client.reusable


def test_the_end_of_the_connection_ends_its_use() -> None:
    client, _ = answered(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert client.reusable
    client.receive_eof()
    assert not client.reusable


def test_an_empty_reason_and_one_that_is_not_ascii() -> None:
    # hypercorn's is empty
    for line, reason in ((b"200 ", ""), (b"200", ""), (b"500 Stra\xdfe", "Straße"), (b"200 a b", "a b")):
        client, head = answered(b"HTTP/1.1 " + line + b"\r\nContent-Length: 0\r\n\r\n")
        assert head.reason == reason
        assert client.finished


def test_bare_line_feeds_in_a_head_are_line_ends() -> None:
    # RFC 9112, 2.2: "a recipient MAY recognize a single LF as a line terminator"; h11 does.
    client, head = answered(b"HTTP/1.1 200 OK\nContent-Length: 5\nX: a\n b\n\nhello")
    assert head.headers["x"] == "a b"
    assert read_body(client) == b"hello"


BLANKS = {"spaces": b" " * 20_000, "both": b" \t" * 10_000, "folded lines": b"\r\n\t" * 6_000}


@pytest.mark.parametrize("blanks", BLANKS.values(), ids=BLANKS)
@pytest.mark.parametrize("role", ["client", "server"])
def test_a_field_that_is_mostly_white_space(blanks: bytes, role: str) -> None:
    """h11 would take seconds to refuse one that is bad, so it is not asked; the verdict is the same."""

    def read(rest: bytes) -> ResponseHead | RequestHead | None:
        if role == "client":
            peer: ClientConnection | ServerConnection = asked()
            first = b"HTTP/1.1 103 Early\r\nY: a\r\n\r\nHTTP/1.0 200 OK\r\n"
        else:
            peer, first = ServerConnection(), b"GET / HTTP/1.1\r\nHost: x\r\n"
        wire, head = first + b"X:" + blanks + rest, None
        for at in range(0, len(wire), 5_000):
            peer.buffer.feed(wire[at : at + 5_000])
            head = peer.receive_head()
            if head is not None:
                break
        return head

    for bad in (b"\0\r\n\r\n", b"a\0\r\n\r\n", b"\r\nno field\r\n\r\n"):
        with pytest.raises(RemoteProtocolError, match="not a header field"):
            read(bad)
    if role == "client" or b"\n" not in blanks:  # a request's lines must not be folded
        head = read(b"a\r\nZ: z" + blanks.replace(b"\r\n", b"") + b"\r\n\r\nbody" + blanks)
        assert head is not None
        assert (head.headers["x"], head.headers["z"]) == ("a", "z")


def test_several_cycles_on_one_connection() -> None:
    client = ClientConnection()
    for at in range(5):
        assert client.send_request("GET", f"/{at}", [(b"host", b"x")]).startswith(b"GET /%d " % at)
        assert client.cycles == at + 1
        assert not client.finished
        for byte in bytewise(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-At: %d\r\n\r\n" % at):
            client.buffer.reclaim()
            client.buffer.feed(byte)
            head = client.receive_head()
        assert head is not None
        assert head.headers["x-at"] == str(at)
        client.buffer.feed(b"1\r\n%d\r\n0\r\n\r\n" % at)
        assert read_body(client) == b"%d" % at
        assert client.reusable


@pytest.mark.parametrize("step", [1, 7, 100, 10_000])
def test_the_bound_on_a_head(step: int) -> None:
    limits = Limits(head_bytes=200)

    def feed(wire: bytes) -> ResponseHead | None:
        client, head = asked(limits=limits), None
        for at in range(0, len(wire), step):
            client.buffer.feed(wire[at : at + step])
            head = client.receive_head()
        return head

    def head_of(size: int) -> bytes:
        start = b"HTTP/1.1 200 OK\r\nX: "
        return start + b"x" * (size - len(start) - 4) + b"\r\n\r\n"

    assert len(head_of(200)) == 200
    assert feed(head_of(200)) is not None
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    for wire in (head_of(201), b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200, interim * 9, interim + head_of(200)):
        with pytest.raises(LimitExceededError) as caught:
            feed(wire)
        assert (caught.value.limit, caught.value.allowed) == ("head_bytes", 200)


def test_a_long_body_behind_a_head_is_no_long_head() -> None:
    limits = Limits(head_bytes=200)
    client = asked(limits=limits)
    client.buffer.feed(HEAD + b"x" * 10_000)
    assert client.receive_head() is not None
    assert len(unread(client)) == 10_000


def test_limits_reach_the_body() -> None:
    client = asked(limits=Limits(chunk_line_bytes=5))
    client.buffer.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;extension\r\n")
    assert client.receive_head() is not None
    with pytest.raises(LimitExceededError):
        read_body(client)
    assert ClientConnection(Limits(receive_buffer=100)).buffer.limit == 100
    assert ServerConnection(Limits(receive_buffer=100)).buffer.limit == 100


def test_drain_passes_over_the_rest_of_a_body() -> None:
    client, _ = answered(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    client.drain()
    assert not client.finished
    assert unread(client) == b""
    client.buffer.feed(b"5\r\nworld\r\n0\r\n\r\n")
    client.drain()
    assert client.reusable
    client.drain()  # nothing to do
    assert client.reusable
    ClientConnection().drain()


def test_drain_meets_a_breach() -> None:
    client, _ = answered(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX")
    with pytest.raises(RemoteProtocolError):
        client.drain()
    assert not client.reusable


@pytest.mark.parametrize(
    ("spoiled", "rest", "kept"),
    [
        (False, b"0\r\n\r\n", True),
        (False, b"2\r\n\n\n\r\n0\r\n\r\n", True),  # blank lines are no content
        (False, b"9\r\ndata: x\n\n\r\n0\r\n\r\n", False),
        (True, b"0\r\n\r\n", False),
    ],
)
def test_content_behind_the_end_of_content_spoils_the_connection(spoiled: bool, rest: bytes, kept: bool) -> None:
    client, _ = answered(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    assert read_body(client) == b"hello"
    client.nothing_follows(spoiled=spoiled)
    client.buffer.feed(rest)
    client.drain()
    assert client.finished
    assert client.reusable == kept


# -- What a head says ------------------------------------------------------------------


def test_headers_are_a_mapping_without_regard_to_case() -> None:
    headers = Headers([(b"x-a", b"1"), (b"Set-Cookie", b"a=b"), (b"X-A", b"2"), (b"x-b", b"\xe9")])
    assert headers["X-a"] == "1, 2"
    assert headers.get("x-none") is None
    with pytest.raises(KeyError):
        headers["x-none"]
    assert "X-B" in headers
    assert "x-c" not in headers
    assert 7 not in headers
    assert list(headers) == ["x-a", "set-cookie", "x-b"]
    assert len(headers) == 3
    assert headers["x-b"] == "é"
    assert headers.multi_items() == [("x-a", "1"), ("Set-Cookie", "a=b"), ("X-A", "2"), ("x-b", "é")]
    assert headers == {"x-a": "1, 2", "set-cookie": "a=b", "x-b": "é"}


@pytest.mark.parametrize(
    "name", ["Authorization", "api-key", "X-API-Key", "x-goog-api-key", "Cookie", "Set-Cookie", "Proxy-Authorization"]
)
def test_no_repr_shows_a_secret(name: str) -> None:
    headers = Headers([(name.encode(), SECRET.encode()), (b"x", b"seen")])
    assert repr(headers) == f"Headers({{{name.lower()!r}: '***', 'x': 'seen'}})"
    request = RequestHead("GET", f"/v1?key={SECRET}", headers, "1.1")
    assert repr(request) == "<RequestHead GET /v1>"
    response = ResponseHead(200, "OK", headers, "1.1")
    assert repr(response) == "<ResponseHead 200 OK>"
    assert response.request_id is None


# -- The server's request ---------------------------------------------------------------

POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"


def request(*fields: bytes, body: bytes = b"", line: bytes = b"POST /v1 HTTP/1.1") -> bytes:
    return b"\r\n".join((line, b"Host: x", *fields)) + b"\r\n\r\n" + body


def accepted(wire: bytes) -> ServerConnection:
    server = ServerConnection()
    server.buffer.feed(wire)
    assert server.receive_head() is not None
    return server


def answer_of(wire: bytes, method: str = "POST") -> tuple[h11.Response, bytes, bool]:
    """What h11's client makes of an answer: its head, its body, and whether it may ask again."""
    peer = h11.Connection(h11.CLIENT)
    peer.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(wire)
    body, response = b"", None
    closed = False
    while True:
        event: Any = peer.next_event()
        if isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert response is not None
            assert peer.trailing_data[0] == b""
            return response, body, peer.their_state is h11.DONE and not closed
        elif event is h11.NEED_DATA:
            assert not closed, "the answer has no end"
            peer.receive_data(b"")
            closed = True
        else:
            assert isinstance(event, h11.InformationalResponse)


def test_a_request_cut_at_every_byte_and_the_next_one_stays() -> None:
    first = request(b"Content-Length: 5", body=b"hello")
    wire = first + request(line=b"GET /next HTTP/1.1")
    for pieces in two_ways(wire):
        server = ServerConnection()
        targets, body = [], b""
        for piece in pieces:
            server.buffer.feed(piece)
            while True:
                if server.body is None or server.body.complete:
                    head = server.receive_head()
                    if head is None:
                        break
                    targets.append(head.target)
                body += read_body(server)
                assert server.body is not None
                if not server.body.complete:
                    break
                wire_out = server.send_response(200, [], b"ok")
                assert answer_of(wire_out)[1:] == (b"ok", True)
                assert server.reusable
        assert targets == ["/v1", "/next"]
        assert body == b"hello"


def test_a_pipelined_request_stays_in_the_buffer() -> None:
    second = request(line=b"GET /next HTTP/1.1")
    server = accepted(request(b"Content-Length: 5", body=b"hello") + second)
    assert read_body(server) == b"hello"
    assert unread(server) == second
    with pytest.raises(AssertionError):
        server.receive_head()  # not before the first is answered
    server.send_response(200, [], b"")
    assert unread(server) == second
    head = server.receive_head()
    assert head is not None
    assert (head.method, head.target) == ("GET", "/next")
    assert unread(server) == b""


def test_what_stands_behind_a_head_is_not_held_to_its_lines() -> None:
    server = accepted(request(b"Content-Length: 7", body=b"\n\r\n x\n\t" + request(line=b"GET /next HTTP/1.1")))
    assert read_body(server) == b"\n\r\n x\n\t"
    server.send_response(200, [], b"")
    head = server.receive_head()
    assert head is not None
    assert head.target == "/next"


def test_a_chunked_request_and_one_without_a_body() -> None:
    server = accepted(request(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"))
    assert type(server.body) is ChunkedReader
    assert read_body(server) == b"hello"
    server.send_response(200, [], b"")
    assert server.reusable
    server = accepted(request(line=b"GET / HTTP/1.1"))
    # 6.3, 7: "If this is a request message and none of the above are true, then the message body length is zero"
    assert type(server.body) is LengthReader
    assert server.body.complete


def test_an_empty_line_before_a_request_is_passed_over() -> None:
    """2.2; some clients send one behind a body, and would have taken the refusal for the next request's answer."""
    for pieces in two_ways((b"\r\n" + request(line=b"GET / HTTP/1.1")) * 2):
        server, answered = ServerConnection(), 0
        for piece in pieces:
            server.buffer.feed(piece)
            while server.receive_head() is not None:
                server.send_response(200, [], b"")
                answered += 1
        assert answered == 2


def test_a_connection_that_is_idle_but_for_an_empty_line() -> None:
    server = accepted(request(b"Content-Length: 5", body=b"hello\r\n"))
    assert server.begun
    read_body(server)
    server.send_response(200, [], b"")
    assert server.receive_head() is None
    assert not server.begun
    server.buffer.feed(b"G")
    assert server.receive_head() is None
    assert server.begun


SMUGGLED = {
    "both framings": request(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "both, the other way": request(b"Transfer-Encoding: chunked", b"Content-Length: 5"),
    "lengths that differ": request(b"Content-Length: 5", b"Content-Length: 6"),
    "lengths that differ on one line": request(b"Content-Length: 5, 6"),
    "a signed length": request(b"Content-Length: +5"),
    "a negative length": request(b"Content-Length: -5"),
    "a hexadecimal length": request(b"Content-Length: 0x5"),
    "an underscore in a length": request(b"Content-Length: 1_0"),
    "digits that are not ASCII": request(b"Content-Length: \xd9\xa5"),
    "an empty length": request(b"Content-Length: "),
    "a length of 21 digits": request(b"Content-Length: " + b"0" * 20 + b"5"),
    "a space before the colon": request(b"Transfer-Encoding : chunked"),
    "a tab before the colon": request(b"Content-Length\t: 5"),
    "a coding by another name": request(b"Transfer-Encoding: xchunked"),
    "chunked is not the last": request(b"Transfer-Encoding: chunked, identity"),
    "gzip before it": request(b"Transfer-Encoding: gzip, chunked"),
    "chunked twice": request(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "identity": request(b"Transfer-Encoding: identity"),
    "an empty coding": request(b"Transfer-Encoding: "),
    "a vertical tab": request(b"Transfer-Encoding: \x0bchunked"),
    "HTTP/1.0 with chunks": request(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0"),
    "a bare CR for a line end": b"POST / HTTP/1.1\r\nHost: x\rContent-Length: 5\r\n\r\n",
    "a bare LF for each line end": request(b"Content-Length: 5").replace(b"\r\n", b"\n"),
    "a bare LF for one line end": request(b"X: y\nContent-Length: 5"),
    "a bare LF for the last one": b"POST / HTTP/1.1\r\nHost: x\r\n\n",
    "a bare LF after the request line": b"POST / HTTP/1.1\nHost: x\r\n\r\n",
    "a field folded by a space": request(b"Transfer-Encoding:\r\n chunked"),
    "a field folded by a tab": request(b"X: y\r\n\tz"),
    "a folded field that is no other's": request(b"X: y\r\n Content-Length: 5"),
    "another HTTP": request(line=b"GET / HTTP/2.0"),
    "an older HTTP": request(line=b"GET / HTTP/0.9"),
    "NUL in a value": request(b"X: a\0b"),
    "NUL in a name": request(b"X\0: a"),
    "a line without a colon": request(b"X"),
    "a continuation first": b"POST / HTTP/1.1\r\n Host: x\r\n\r\n",
    "no host": b"POST / HTTP/1.1\r\n\r\n",
    "two hosts": b"POST / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "a space in the target": request(line=b"GET /a b HTTP/1.1"),
    "no version": request(line=b"GET /"),
    "another protocol": request(line=b"GET / HTTQ/1.1"),
    "TLS": b"\x16\x03\x01\x02\x00\x01",
    "two empty lines": b"\r\n\r\n",
    "an empty line that is a bare LF": b"\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a CR before the request line": b"\rGET / HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("wire", SMUGGLED.values(), ids=SMUGGLED)
def test_what_a_server_refuses(wire: bytes) -> None:
    for pieces in two_ways(wire):
        server = ServerConnection()
        with pytest.raises(RemoteProtocolError):  # noqa: PT012 - whichever piece it is
            for piece in pieces:
                server.buffer.feed(piece)
                assert server.receive_head() is None
        assert not server.reusable
        with pytest.raises(RemoteProtocolError):
            server.receive_head()
        # It can still be told so, and that is the last of it.
        response, body, again = answer_of(server.send_response(400, [], b"{}"))
        assert (response.status_code, body, again) == (400, b"{}", False)
        assert dict(response.headers)[b"connection"] == b"close"
        assert not server.reusable


@pytest.mark.parametrize(
    "trailers",
    [b"\n", b"a: b\n\n", b"a: b\r\n\n", b"a: b\n\r\n", b"a: b\r\n c\r\n\r\n", b"a:\r\n\tb\r\n\r\n"],
)
def test_trailers_that_a_server_refuses(trailers: bytes) -> None:
    """As in a head: where another ends the section elsewhere, what is behind it is another request."""
    for pieces in two_ways(b"5\r\nhello\r\n0\r\n" + trailers):
        server = accepted(request(b"Transfer-Encoding: chunked"))
        assert server.body is not None
        with pytest.raises(RemoteProtocolError, match="of the trailer section"):  # noqa: PT012 - whichever piece it is
            for piece in pieces:
                server.buffer.feed(piece)
                server.body.read(server.buffer, [])
        assert not server.body.complete
        assert dict(answer_of(server.send_response(400, [], b"{}"))[0].headers)[b"connection"] == b"close"
        assert not server.reusable


def test_trailers_that_a_server_takes() -> None:
    server = accepted(request(b"Transfer-Encoding: chunked"))
    server.buffer.feed(b"5\r\nhello\r\n0\r\na: b\r\nc: d\r\n\r\n")
    assert read_body(server) == b"hello"
    assert isinstance(server.body, ChunkedReader)
    assert server.body.trailers == [(b"a", b"b"), (b"c", b"d")]


@pytest.mark.parametrize("step", [1, 50, 10_000])
def test_the_bound_on_a_requests_head(step: int) -> None:
    server = ServerConnection(Limits(head_bytes=100))
    wire = request(b"X: " + b"x" * 200)
    with pytest.raises(LimitExceededError) as caught:  # noqa: PT012
        for at in range(0, len(wire), step):
            server.buffer.feed(wire[at : at + step])
            server.receive_head()
    assert caught.value.limit == "head_bytes"
    assert answer_of(server.send_response(431, [], b""))[0].status_code == 431
    assert not server.reusable


# -- 100-continue ----------------------------------------------------------------------------


def test_continue_is_said_once_to_a_client_that_waits() -> None:
    server = accepted(request(b"Content-Length: 5", b"Expect: 100-continue"))
    assert server.send_continue() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert server.send_continue() == b""
    server.buffer.feed(b"hello")
    assert read_body(server) == b"hello"
    assert answer_of(server.send_response(200, [], b"ok"))[1:] == (b"ok", True)


@pytest.mark.parametrize(
    "wire",
    [
        request(b"Content-Length: 5"),
        request(b"Expect: 100-continue"),
        request(b"Content-Length: 0", b"Expect: 100-continue"),
        request(b"Content-Length: 5", b"Expect: 100-continue", line=b"POST / HTTP/1.0"),
    ],
)
def test_continue_is_not_said_where_nobody_waits(wire: bytes) -> None:
    assert accepted(wire).send_continue() == b""


def test_a_final_answer_in_place_of_continue_ends_the_connection() -> None:
    # The client may send its body after all: it would be taken for the next request.
    server = accepted(request(b"Content-Length: 5", b"Expect: 100-continue"))
    assert answer_of(server.send_response(413, [], b"{}"))[1:] == (b"{}", False)
    assert not server.reusable


# -- The server's answer -----------------------------------------------------------------------


def test_the_bytes_of_a_whole_answer() -> None:
    server = accepted(request())
    assert server.send_response(200, [(b"Content-Type", b"application/json")], b"{}", reason="OK") == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    )


def stream(server: ServerConnection, headers: Raw, pieces: Iterable[bytes], status: int = 200) -> bytes:
    wire = server.send_response(status, headers)
    return wire + b"".join(map(server.send_data, pieces)) + server.send_end()


def test_a_streamed_answer_is_chunked() -> None:
    server = accepted(request())
    wire = stream(server, [], [b"hello", b"", b" world"])
    assert wire.endswith(b"\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
    assert answer_of(wire)[1:] == (b"hello world", True)
    assert server.reusable


def test_a_streamed_answer_to_http_1_0_ends_with_the_connection() -> None:
    server = accepted(request(line=b"POST / HTTP/1.0"))
    wire = stream(server, [], [b"hello", b" world"])
    assert wire.endswith(b"\r\n\r\nhello world")
    response, body, again = answer_of(wire)
    assert (body, again) == (b"hello world", False)
    names = dict(response.headers)
    assert b"transfer-encoding" not in names
    assert names[b"connection"] == b"close"
    assert not server.reusable


def test_a_streamed_answer_of_a_known_length() -> None:
    server = accepted(request())
    # Words that look like a framing are none.
    wire = stream(server, [(b"Content-Length", b"11"), (b"X", b"transfer-encoding: chunked")], [b"hello", b" world"])
    assert wire.endswith(b"\r\n\r\nhello world")
    assert answer_of(wire)[1:] == (b"hello world", True)
    assert server.reusable


@pytest.mark.parametrize("status", [200, 404])
def test_an_answer_to_head_has_no_body(status: int) -> None:
    # RFC 9110, 9.3.2
    for whole in (True, False):
        server = accepted(request(line=b"HEAD / HTTP/1.1"))
        wire = server.send_response(status, [], b"hello") if whole else stream(server, [], [b"hello"], status)
        response, body, again = answer_of(wire, "HEAD")
        assert (response.status_code, body, again) == (status, b"", True)
        assert (dict(response.headers).get(b"content-length") == b"5") == whole
        assert wire.endswith(b"\r\n\r\n")
        assert server.reusable


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(status: int) -> None:
    for whole in (True, False):
        server = accepted(request())
        wire = server.send_response(status, [], b"hello") if whole else stream(server, [], [b"hello"], status)
        response, body, again = answer_of(wire)
        assert (response.status_code, body, again) == (status, b"", True)
        # RFC 9110, 8.6: "A server MUST NOT send a Content-Length header field in any response with a status code of
        # 1xx (Informational) or 204 (No Content)."
        assert b"content-length" not in dict(response.headers)
        assert b"transfer-encoding" not in dict(response.headers)
        assert server.reusable


SERVER_KEEPS: list[tuple[bytes, Raw, bool]] = [
    (request(), [], True),
    (request(b"Connection: close"), [], False),
    (request(b"Connection: keep-alive, Close"), [], False),
    (request(line=b"POST / HTTP/1.0"), [], False),
    (request(b"Connection: keep-alive", line=b"POST / HTTP/1.0"), [], False),
    (request(), [(b"Connection", b"close")], False),
    (request(b"Content-Length: 5", body=b"hell"), [], False),  # answered before its body was read
]


@pytest.mark.parametrize(("wire", "headers", "kept"), SERVER_KEEPS)
@pytest.mark.parametrize("whole", [True, False])
def test_whether_a_server_keeps_the_connection(wire: bytes, headers: Raw, kept: bool, whole: bool) -> None:
    server = accepted(wire)
    answer = server.send_response(200, headers, b"ok") if whole else stream(server, headers, [b"ok"])
    response, body, again = answer_of(answer)
    assert body == b"ok"
    assert server.reusable == kept
    assert again == kept  # the client is told
    assert (dict(response.headers).get(b"connection") == b"close") == (not kept)


def test_an_answer_before_any_request_closes() -> None:
    # Too many connections; a head that did not come in time.
    for begun in (False, True):
        server = ServerConnection()
        if begun:
            server.buffer.feed(b"POST / HT")
            assert server.receive_head() is None
        response, body, again = answer_of(server.send_response(408, [], b"{}"))
        assert (response.status_code, body, again) == (408, b"{}", False)
        assert not server.reusable


def test_a_second_answer_is_refused() -> None:
    server = accepted(request())
    server.send_response(200, [], b"ok")
    with pytest.raises(LocalProtocolError, match="answered already"):
        server.send_response(200, [], b"ok")


@pytest.mark.parametrize(
    ("status", "headers", "reason", "words"),
    [
        (200, [(b"x-evil", b"sk-very-secret\r\nset-cookie: a=b")], "", "'x-evil'"),
        (200, [(b"x evil", b"sk-very-secret")], "", "'x evil'"),
        (200, [(b"x", b"y")], "OK\r\nx: sk", "reason"),
        (200, [], "Straße", "reason"),
        (101, [], "", "101"),
        (99, [], "", "99"),
        (200, [(b"content-length", b"7")], "", "contradict each other: 200"),
    ],
)
def test_an_answer_that_must_not_be_sent(status: int, headers: Raw, reason: str, words: str) -> None:
    server = accepted(request())
    with pytest.raises(LocalProtocolError, match=words) as caught:
        server.send_response(status, headers, b"", reason=reason)
    assert "secret" not in str(caught.value)
    # The connection can still say that something went wrong.
    assert answer_of(server.send_response(500, [], b"{}"))[1] == b"{}"


def test_continue_needs_a_request() -> None:
    with pytest.raises(AssertionError, match="receive_head"):
        ServerConnection().send_continue()
    with pytest.raises(AssertionError, match="send_request"):
        ClientConnection().receive_head()


def test_a_whole_conversation_between_the_two() -> None:
    client, server = ClientConnection(), ServerConnection()
    for at in range(3):
        body = b"x" * at * 1_000
        to_server = client.send_request("POST", "/", [(b"host", b"x"), (b"content-length", b"%d" % len(body))], body)
        server.buffer.feed(to_server)
        head = server.receive_head()
        assert head is not None
        assert read_body(server) == body
        client.buffer.feed(stream(server, [], [b"a" * 300, b"b" * 300]))
        assert client.receive_head() is not None
        assert read_body(client) == b"a" * 300 + b"b" * 300
        assert client.reusable
        assert server.reusable
        for buffer in (client.buffer, server.buffer):
            assert isinstance(buffer, ReceiveBuffer)
            buffer.reclaim()
