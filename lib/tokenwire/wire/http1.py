"""HTTP/1.1 connections: heads and connection life by h11, bodies by body.py.

Theory of operation. One ClientConnection (or ServerConnection) lives as long as
its socket. h11 judges and writes the heads that we send, and reads those that we
receive (heads.py); a response's head of the most common shape is read without it, to
the same effect (plain.py). From there on the body is ours, by offsets in the
ReceiveBuffer (body.py).

What h11 would otherwise have done is done here, each where its rule is quoted:
how the body is delimited (RFC 9112, section 6.3) and whether the connection may
be used again (section 9.3).
"""

from __future__ import annotations

from typing import Final

import h11

from tokenwire.errors import LocalProtocolError, RemoteProtocolError
from tokenwire.policy import DEFAULT_LIMITS, Limits
from tokenwire.wire.body import (
    BodyReader,
    ChunkedReader,
    CloseReader,
    LengthReader,
    Span,
    chunk,
    last_chunk,
)
from tokenwire.wire.buffer import ReceiveBuffer
from tokenwire.wire.heads import (
    Head,
    Headers,
    RawHeaders,
    RequestHead,
    RequestTemplate,
    ResponseHead,
    bad_header,
    both_framings,
    persists,
    tokens,
    what_is_wrong,
)
from tokenwire.wire.plain import plain_response

__all__ = ["ClientConnection", "ServerConnection"]

_SWITCHED: Final = 101


class ClientConnection:
    """The client's half of one connection, through any number of requests, one after another.

    send_request -> receive_head until it answers -> read body -> send_request again while `reusable`.
    lean: see ReceiveBuffer.
    """

    __slots__ = (
        "_asked_close",
        "_head",
        "_limits",
        "_method",
        "_over",
        "_persists",
        "_sent",
        "body",
        "buffer",
        "cycles",
    )

    def __init__(self, limits: Limits = DEFAULT_LIMITS, *, lean: bool = False) -> None:
        self.buffer = ReceiveBuffer(limits.receive_buffer, lean=lean)
        self._limits = limits
        self._method = b""
        self._sent: RawHeaders | None = None  # the fields of a request that has no answer yet
        self._head: Head | None = None  # reads the answer's head, where that takes h11
        self._asked_close = False
        self._persists = True
        self._over = False  # the content said so; its framing may still be under way
        self.body: BodyReader | None = None
        self.cycles = 0

    def send_request(self, method: str, target: str, headers: RawHeaders, body: bytes = b"") -> bytes:
        """The bytes of a whole request. headers hold the body's content-length.

        Raises LocalProtocolError, before a byte of it exists, where a part of the
        head must not be sent: a line end in a value, say, or a length that is not
        the body's.
        """
        try:
            request = h11.Request(method=method.encode("ascii"), target=target.encode("ascii"), headers=headers)
            head = h11.Connection(h11.CLIENT).send(request) or b""
        except (h11.LocalProtocolError, UnicodeEncodeError):
            raise LocalProtocolError(what_is_wrong(method, target, headers)) from None
        fields: RawHeaders = list(request.headers)
        # What the head says of the body must be so: bytes beyond it would be the next request.
        if tokens(fields, b"transfer-encoding"):
            raise LocalProtocolError("the header 'transfer-encoding' must not be sent: the body has a length")
        if int((tokens(fields, b"content-length") or [b"0"])[0]) != len(body):
            raise LocalProtocolError(f"the header 'content-length' is not the body's: that has {len(body)} bytes")
        self._begin(request.method, fields)
        return head + body

    def send_template(self, template: RequestTemplate, target: str, body: bytes = b"") -> bytes:
        """The bytes of a whole request, out of a head that was judged before. Raises LocalProtocolError for a
        target that must not be sent."""
        head = template.head(target, len(body))
        self._begin(template.method, template.headers)
        return head + body

    def _begin(self, method: bytes, fields: RawHeaders) -> None:
        self._method, self._sent = method, fields
        self._asked_close = b"close" in tokens(fields, b"connection")
        self._head = None
        self.body = None
        self._over = False
        self._persists = False  # until the response says so
        self.cycles += 1

    def receive_head(self) -> ResponseHead | None:
        """The response's head, once it is whole; interim (1xx) responses are passed over.

        Raises RemoteProtocolError.
        """
        assert self._sent is not None, "send_request comes first"
        read = plain_response(self.buffer, self._limits.head_bytes) if self._head is None else None
        if read is None:
            read = self._read_by_h11(self._sent)
            if read is None:
                return None
        head, framing = read
        self.body = self._body_reader(head.status_code, framing)
        # 9.6: "A client that sends a "close" connection option MUST NOT send further requests".
        # And a body that ends with the connection leaves none to use again.
        self._persists = (
            persists(framing, head.http_version) and not self._asked_close and not isinstance(self.body, CloseReader)
        )
        self._head = self._sent = None
        return head

    def _read_by_h11(self, sent: RawHeaders) -> tuple[ResponseHead, RawHeaders] | None:
        """The head of the response, and its fields; None until it is whole."""
        if self._head is None:
            self._head = Head(h11.CLIENT, self._limits)
            # What it makes of an answer hangs on what was asked.
            self._head.h11.send(h11.Request(method=self._method, target=b"/", headers=sent))
        while True:
            event = self._head.next_event(self.buffer)
            if event is None:
                return None
            if isinstance(event, h11.InformationalResponse):
                if event.status_code == _SWITCHED:
                    raise RemoteProtocolError("the server switched protocols (101), which was not asked for")
                continue
            self._head.give_back(self.buffer)
            raw: RawHeaders = list(event.headers)
            reason, version = event.reason.decode("latin-1"), event.http_version.decode("ascii")
            return ResponseHead(event.status_code, reason, Headers(raw), version), raw

    def _body_reader(self, status: int, headers: RawHeaders) -> BodyReader:
        """RFC 9112, section 6.3, in its order. h11 has judged the fields' own syntax already."""
        # 1. "Any response to a HEAD request and any response with a 1xx, 204, or 304 status code is always
        # terminated by the first empty line after the header fields"
        if self._method == b"HEAD" or status in (204, 304):
            return LengthReader(0)
        # 2. "Any 2xx (Successful) response to a CONNECT request implies that the connection will become a tunnel
        # ... A client MUST ignore any Content-Length or Transfer-Encoding header fields received in such a message."
        if self._method == b"CONNECT" and status < 300:
            return LengthReader(0)
        if both_framings(headers):
            raise RemoteProtocolError("the response has both Content-Length and Transfer-Encoding")
        # 4. "If a Transfer-Encoding header field is present and the chunked transfer coding is the final encoding"
        if tokens(headers, b"transfer-encoding"):
            return ChunkedReader(self._limits)
        # 6. "If a valid Content-Length header field is present ..., its decimal value defines the expected length"
        lengths = tokens(headers, b"content-length")
        if lengths:
            return LengthReader(int(lengths[0]))
        # 8. "the message body length is determined by the number of octets received prior to the server closing"
        return CloseReader()

    def receive_eof(self) -> None:
        """The peer closed: nothing more will come, and the connection will not be used again."""
        self._persists = False

    @property
    def finished(self) -> bool:
        """Whether the response has been read to its end."""
        return self.body is not None and self.body.complete

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent: the response is finished, the server keeps the
        connection, and nothing stands behind the response."""
        return self.finished and self._persists and not len(self.buffer)

    @property
    def persists(self) -> bool:
        """Whether the connection could be reused once the response is finished."""
        return self._persists

    def nothing_follows(self, *, spoiled: bool) -> None:
        """The content has ended, whatever the framing says. More content behind that, or spoiled,
        which tells that there was some already, and the connection is not used again."""
        self._over = True
        if spoiled:
            self._persists = False

    def drain(self) -> None:
        """Pass over what the buffer holds of the body. Raises RemoteProtocolError."""
        if self.body is not None and not self.body.complete:
            spans: list[Span] = []
            self.body.read(self.buffer, spans)
            if self._over and any(self.buffer.data[start:stop].strip() for start, stop in spans):
                self._persists = False


class ServerConnection:
    """The server's half of one connection, through any number of requests, one after another.

    receive_head until it answers -> read body -> send_response, then send_data and
    send_end where it had no body of its own -> receive_head again while `reusable`.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.buffer = ReceiveBuffer(limits.receive_buffer)
        self._limits = limits
        self._head: Head | None = None
        self._persists = True
        self._method = b""
        self._skipped = False  # an empty line before a request
        self._refusal: RemoteProtocolError | None = None
        self._bodiless = self._chunked = False
        self._responded = False
        self.body: BodyReader | None = None

    def receive_head(self) -> RequestHead | None:
        """The next request's head, once it is whole.

        Raises RemoteProtocolError: answer with 400 (431 for a LimitExceededError)
        by `send_response`, and close.
        """
        assert self.body is None or self._responded, "the request before is answered first"
        if self._refusal is not None:
            raise self._refusal  # nobody knows where the next request would begin
        if self._head is None or self._responded:
            if not self._past_empty_line():
                return None
            self._skipped = False
            self._head = Head(h11.SERVER, self._limits)
            self._method = b""
            self.body = None
            self._responded = False
        try:
            event = self._head.next_event(self.buffer)
            if event is None:
                return None
            self._head.check_lines()
            if not event.http_version.startswith(b"1."):
                raise RemoteProtocolError(f"the request is HTTP/{event.http_version.decode('ascii')}")
            raw: RawHeaders = list(event.headers)
            if both_framings(raw):
                raise RemoteProtocolError("the request has both Content-Length and Transfer-Encoding")
            # 6.1: "A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding
            # header field MUST treat the message as if the framing is faulty"
            if event.http_version < b"1.1" and tokens(raw, b"transfer-encoding"):
                raise RemoteProtocolError("an HTTP/1.0 request has Transfer-Encoding")
        except RemoteProtocolError as error:
            self._persists = False
            self._refusal = error
            raise
        # RFC 9112, section 6.3: for a request, 4. chunked, 6. Content-Length, 7. "the message body length is zero"
        lengths = tokens(raw, b"content-length")
        if tokens(raw, b"transfer-encoding"):
            self.body = ChunkedReader(self._limits, strict=True)
        else:
            self.body = LengthReader(int(lengths[0]) if lengths else 0)
        self._method = event.method
        self._persists = persists(raw, event.http_version.decode("ascii"))
        self._head.give_back(self.buffer)
        return RequestHead(
            event.method.decode("ascii"), event.target.decode("ascii"), Headers(raw), event.http_version.decode("ascii")
        )

    @property
    def begun(self) -> bool:
        """Whether a request has begun to come that is not answered yet."""
        return self._head is not None and not self._responded

    def _past_empty_line(self) -> bool:
        """Whether a request begins behind it. RFC 9112, 2.2: "a server that is expecting to receive and parse a
        request-line SHOULD ignore at least one empty line (CRLF) received prior to the request-line": some clients
        end a body with one."""
        buffer = self.buffer
        if not self._skipped and buffer.data.startswith(b"\r\n", buffer.start, buffer.end):
            buffer.start += 2
            self._skipped = True
        return len(buffer) > 0 and (self._skipped or buffer.data[buffer.start : buffer.end] != b"\r")

    def send_continue(self) -> bytes:
        """The interim 100 response, where the client waits for it before it sends its body; else b""."""
        assert self._head is not None, "receive_head comes first"
        machine = self._head.h11
        if not machine.they_are_waiting_for_100_continue or self.body is None or self.body.complete:
            return b""
        return machine.send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")) or b""

    def send_response(self, status: int, headers: RawHeaders, body: bytes | None = None, *, reason: str = "") -> bytes:
        """A response's head, with its whole body where that is given; else the body follows by `send_data`.

        What answers HEAD, or has status 204 or 304, has no body, whatever is given.
        Raises LocalProtocolError for a header that must not be sent, and for a second response.
        """
        if self._responded:
            raise LocalProtocolError("the request has been answered already")
        if not (reason.isascii() and reason.isprintable()):  # h11 would let a line end pass
            raise LocalProtocolError(f"not a reason phrase: {reason!r}")
        machine = self._head.h11 if self._head is not None else h11.Connection(h11.SERVER)
        if machine.their_state is h11.ERROR or self.body is None or not self.body.complete:
            self._persists = False  # what stands unread would be taken for the next request
        # RFC 9110, 9.3.2: "the server MUST NOT send content in the response" to HEAD; 6.4.1: "All 1xx, 204,
        # and 304 responses do not include content."
        empty = status in (204, 304)
        self._bodiless = empty or self._method == b"HEAD"
        fields = list(headers)
        if body is not None and not empty:
            fields.append((b"content-length", b"%d" % len(body)))
        if not self._persists:
            fields.append((b"connection", b"close"))
        try:
            response = h11.Response(status_code=status, headers=fields, reason=reason.encode())
            head = machine.send(response) or b""
        except h11.LocalProtocolError:
            raise LocalProtocolError(
                bad_header(fields) or f"not a status, or headers that contradict each other: {status}"
            ) from None
        self._responded = True
        said: RawHeaders = list(response.headers)
        if b"close" in tokens(said, b"connection"):
            self._persists = False
        by_length = bool(tokens(said, b"content-length"))
        # h11 has said "chunked" to a client that knows it, for a body whose length was not said. To others the
        # end of the connection is the end of the body: theirs never persists.
        self._chunked = not (self._bodiless or by_length) and (machine.their_http_version or b"") >= b"1.1"
        return head if body is None or self._bodiless else head + body

    def send_data(self, data: bytes) -> bytes:
        """A piece of the response's body, framed as the head promised."""
        if self._bodiless:
            return b""
        return chunk(data) if self._chunked and data else data

    def send_end(self) -> bytes:
        """The end of the response's body."""
        return last_chunk() if self._chunked else b""

    @property
    def reusable(self) -> bool:
        """Whether another request may follow on this connection."""
        return self._persists
