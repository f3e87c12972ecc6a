"""Heads: what stands before a body, as values, and read and judged by h11.

Theory of operation. `Head` reads one head out of a ReceiveBuffer through an h11 machine.
`trailing_data`, right after the head, is h11's public exit, and tells how many bytes the
head took: what stands behind it is left in the buffer, to the body.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import h11

from tokenwire.errors import LimitExceededError, LocalProtocolError, RemoteProtocolError
from tokenwire.policy import Limits
from tokenwire.wire.body import check_lines, fields_of
from tokenwire.wire.buffer import ReceiveBuffer

__all__ = ["Headers", "RequestHead", "RequestTemplate", "ResponseHead"]

RawHeaders = list[tuple[bytes, bytes]]


#: Their values are secrets, and no secret is ever shown.
_HIDDEN: Final = frozenset(
    ("api-key", "authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key", "x-goog-api-key")
)


class Headers(Mapping[str, str]):
    """Header fields: a mapping without regard to case. A repeated field's values are joined by ", "."""

    __slots__ = ("_block", "_index", "_raw")

    def __init__(self, raw: RawHeaders | bytes) -> None:
        # As bytes they are a head's own lines, each behind its CR LF, and that is how they stay: a process holds
        # the heads of thousands of streams, and few are ever asked for more than one or two of their fields.
        self._block: bytes = raw if isinstance(raw, bytes) else b""
        self._raw: RawHeaders | None = None if isinstance(raw, bytes) else raw
        self._index: dict[str, str] | None = None

    def _pairs(self) -> RawHeaders:
        if self._raw is not None:
            return self._raw
        lines = (line.partition(b":") for line in self._block[2:-2].split(b"\r\n") if line)
        return [(name.lower(), value.strip(b" \t")) for name, _, value in lines]

    def _indexed(self) -> dict[str, str]:
        if self._index is None:
            self._index = {}
            for name, value in self._pairs():
                key, text = name.decode("latin-1").lower(), value.decode("latin-1")
                known = self._index.get(key)
                # RFC 9110, 5.3: "combine multiple field lines ... separated by a comma"
                self._index[key] = text if known is None else f"{known}, {text}"
        return self._index

    def __getitem__(self, name: str) -> str:
        if self._index is None and self._raw is None:
            found = self._values(name)
            if not found:
                raise KeyError(name)
            return b", ".join(found).decode("latin-1")
        return self._indexed()[name.lower()]

    def _values(self, name: str) -> list[bytes]:
        if ":" in name or not name.isascii():
            return []
        return values(self._block, self._block.lower(), name.lower().encode())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._indexed()

    def __iter__(self) -> Iterator[str]:
        return iter(self._indexed())

    def __len__(self) -> int:
        return len(self._indexed())

    def multi_items(self) -> list[tuple[str, str]]:
        """Each field line of its own, in the order they came."""
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._pairs()]

    def __repr__(self) -> str:
        shown = {name: "***" if name in _HIDDEN else value for name, value in self._indexed().items()}
        return f"Headers({shown!r})"


def values(block: bytes, low: bytes, name: bytes) -> list[bytes]:
    """A field's values in a block of lines, each behind its CR LF. low: the block, and name, in lower case."""
    mark = b"\r\n%b:" % name
    found = []
    at = low.find(mark)
    while at >= 0:
        start = at + len(mark)
        stop = low.index(b"\r\n", start)
        found.append(block[start:stop].strip(b" \t"))
        at = low.find(mark, stop)
    return found


class ResponseHead:
    """What came before a response's body: status_code, reason, headers, http_version."""

    __slots__ = ("headers", "http_version", "reason", "status_code")

    def __init__(self, status_code: int, reason: str, headers: Headers, http_version: str) -> None:
        self.status_code = status_code
        self.reason = reason
        self.headers = headers
        self.http_version = http_version

    @property
    def request_id(self) -> str | None:
        """The server's name for this request (`x-request-id`), or None."""
        return self.headers.get("x-request-id")

    def __repr__(self) -> str:
        return f"<ResponseHead {f'{self.status_code} {self.reason}'.rstrip()}>"


class RequestHead:
    """What came before a request's body: method, target, headers, http_version."""

    __slots__ = ("headers", "http_version", "method", "target")

    def __init__(self, method: str, target: str, headers: Headers, http_version: str) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.http_version = http_version

    def __repr__(self) -> str:
        return f"<RequestHead {self.method} {self.target.split('?')[0]}>"  # a query may hold a key


def tokens(headers: RawHeaders, name: bytes) -> list[bytes]:
    """A comma-separated field's members, in lower case."""
    return [
        token.strip().lower() for key, value in headers if key == name for token in value.split(b",") if token.strip()
    ]


def persists(headers: RawHeaders, http_version: str) -> bool:
    # RFC 9112, 9.3: "If the "close" connection option is present ... the connection will not persist";
    # and with HTTP/1.0 we do not ask for, nor rely on, keep-alive.
    return http_version >= "1.1" and b"close" not in tokens(headers, b"connection")


def both_framings(headers: RawHeaders) -> bool:
    # RFC 9112, 6.1: "A server MAY reject a request that contains both Content-Length and
    # Transfer-Encoding" - the mark of request smuggling and response splitting.
    names = {name for name, _ in headers}
    return b"transfer-encoding" in names and b"content-length" in names


#: What ends a head, as h11 has it.
_HEAD_END: Final = re.compile(rb"\n\r?\n")

#: White space in a row that makes h11 slow: it tries every way to divide what stands behind a colon, where its line is
#: no field. This many bytes cost it a millisecond, and all that fit in a head ten seconds.
_BLANKS: Final = b" " * 512
_TAB_TO_SPACE: Final = bytes.maketrans(b"\t", b" ")


class Head:
    """Reads one head through h11 out of a ReceiveBuffer."""

    __slots__ = ("_fed", "_limits", "_said", "_searched", "h11")

    def __init__(self, role: Any, limits: Limits) -> None:
        self.h11 = h11.Connection(role, max_incomplete_event_size=limits.head_bytes)
        self._limits = limits
        self._fed = 0
        self._searched = 0  # bytes of what h11 holds that are known to end no head
        self._said: bytearray | None = bytearray() if role is h11.SERVER else None

    def next_event(self, buffer: ReceiveBuffer) -> Any:
        """The next event, or None. Raises RemoteProtocolError."""
        if len(buffer):
            self._fed += len(buffer)
            # h11 keeps what it was given, so the buffer lets go of all of it; what was
            # too much comes back by trailing_data.
            data = bytes(memoryview(buffer.data)[buffer.start : buffer.end])
            if self._said is not None:
                self._said += data
            self.h11.receive_data(data)
            buffer.start = buffer.end
        self._check_blanks(self.h11.trailing_data[0])
        try:
            event = self.h11.next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == 431:
                raise self._too_long() from None
            raise RemoteProtocolError(f"the peer broke HTTP: {error}") from None
        # h11 bounds what is unfinished. A head that came whole, and a long row of interim ones, count as well:
        # so the verdict does not hang on how the network cut them.
        if self._fed - len(self.h11.trailing_data[0]) > self._limits.head_bytes:
            raise self._too_long()
        return None if event is h11.NEED_DATA else event

    def _check_blanks(self, pending: bytes) -> None:
        """Where h11 would be slow to judge what it holds, judge it first, by the same rules: what is good it reads
        at once. Raises RemoteProtocolError."""
        end = _HEAD_END.search(pending, self._searched)
        if end is None:
            self._searched = max(0, len(pending) - 2)
            return
        self._searched = 0
        head = pending[: end.end()]
        # Lines that are folded into one count as one.
        if _BLANKS in head.translate(_TAB_TO_SPACE, b"\r\n"):
            fields_of(head[head.index(b"\n") + 1 :], "the head", "a header field")

    def _too_long(self) -> LimitExceededError:
        return LimitExceededError(
            f"a head is longer than {self._limits.head_bytes} bytes (Limits.head_bytes)",
            limit="head_bytes",
            allowed=self._limits.head_bytes,
        )

    def check_lines(self) -> None:
        """For a request's whole head. Raises RemoteProtocolError."""
        assert self._said is not None
        check_lines(self._said[: len(self._said) - len(self.h11.trailing_data[0])], "the head")

    def give_back(self, buffer: ReceiveBuffer) -> None:
        """Leave to the body what came behind the head."""
        behind = len(self.h11.trailing_data[0])
        # A head ends in the piece that was fed last, and that piece still stands where it stood.
        buffer.start = buffer.end - behind


#: RFC 9112, section 3.2, as h11 has it: visible characters.
_TARGET: Final = re.compile(r"[\x21-\x7e]+")

# A field that needs no further judgement: subsets of what h11 takes.
_NAME: Final = re.compile(rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")

#: Fields that say something about the message itself.
_JUDGED: Final = frozenset((b"connection", b"content-length", b"expect", b"host", b"transfer-encoding", b"upgrade"))


class RequestTemplate:
    """A request's head, judged by h11 once and sent many times: all but the target, and the body's length.

    headers: neither content-length nor transfer-encoding, for the body has its own length. sized: that
    length is said, as it must be where there is a body. Raises LocalProtocolError where a part of it must not be sent.
    """

    __slots__ = ("_fields", "_sized", "headers", "method")

    def __init__(self, method: str, headers: RawHeaders, *, sized: bool) -> None:
        try:
            self.method = method.encode("ascii")
            request = h11.Request(method=self.method, target="/", headers=headers)
            head = h11.Connection(h11.CLIENT).send(request) or b""
        except (h11.LocalProtocolError, UnicodeEncodeError):
            raise LocalProtocolError(what_is_wrong(method, "/", headers)) from None
        self.headers: RawHeaders = list(request.headers)
        for name, _ in self.headers:
            if name in (b"content-length", b"transfer-encoding"):
                raise LocalProtocolError(f"the header {name.decode()!r} must not be set: the body has its own length")
        self._fields = head[head.index(b"\r\n") : -2]
        self._sized = sized

    def plus(self, headers: RawHeaders) -> RequestTemplate | None:
        """This head with more fields, none of which it has; None where they are such that h11 must judge the whole."""
        for name, value in headers:
            if name.lower() in _JUDGED or _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
                return None
        other = object.__new__(RequestTemplate)
        other.method, other._sized = self.method, self._sized
        other.headers = self.headers + [(name.lower(), value) for name, value in headers]
        other._fields = self._fields + b"".join([b"%b: %b\r\n" % field for field in headers])
        return other

    def head(self, target: str, length: int) -> bytes:
        """The head's bytes, for a body of this length. Raises LocalProtocolError for what is no target."""
        if _TARGET.fullmatch(target) is None:
            raise LocalProtocolError(_no_target(target))
        assert self._sized or not length, "a body whose length is not said would be the next request"
        said = b"Content-Length: %d\r\n\r\n" % length if self._sized else b"\r\n"
        return b"%b %b HTTP/1.1%b%b" % (self.method, target.encode("ascii"), self._fields, said)

    def __repr__(self) -> str:
        return f"<RequestTemplate {self.method.decode()}>"


def _no_target(target: str) -> str:
    path = target.split("?")[0]  # a query may hold a key
    return f"not a request target, it has characters that must be percent-encoded: {path!r}"


def bad_header(headers: RawHeaders) -> str | None:
    """Which header must not be sent, without its value: that may be a key."""
    for name, value in headers:
        try:
            h11.EndOfMessage(headers=[(name, value)])
        except h11.LocalProtocolError:
            shown = name.decode("latin-1")
            return (
                f"the header {shown!r} must not be sent: its name or value has characters that HTTP forbids, "
                "such as a line end, or it is no length or transfer coding that can be sent"
            )
    return None


def what_is_wrong(method: str, target: str, headers: RawHeaders) -> str:
    """Which part of a refused request head is at fault."""
    bad = bad_header(headers)
    if bad is not None:
        return bad
    sound: RawHeaders = [(b"host", b"localhost")]
    try:
        h11.Request(method=method, target="/", headers=sound)
    except (h11.LocalProtocolError, UnicodeEncodeError):
        return f"not an HTTP method: {method!r}"
    try:
        h11.Request(method="GET", target=target, headers=sound)
    except (h11.LocalProtocolError, UnicodeEncodeError):
        return _no_target(target)
    return "the headers 'host', 'content-length' or 'transfer-encoding' are missing, repeated or contradict each other"
