"""Heads: what stands before a body, as values, and read and judged by h11.

Theory of operation. `Head` reads one head out of a ReceiveBuffer through an h11 machine.
`trailing_data`, right after the head, is h11's public exit, and tells how many bytes the
head took: what stands behind it is left in the buffer, to the body.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import h11

from tokenwire.errors import LimitExceededError, RemoteProtocolError
from tokenwire.policy import Limits
from tokenwire.wire.buffer import ReceiveBuffer

__all__ = ["Headers", "RequestHead", "ResponseHead"]

RawHeaders = list[tuple[bytes, bytes]]


#: Their values are secrets, and no secret is ever shown.
_HIDDEN: Final = frozenset(
    ("api-key", "authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key", "x-goog-api-key")
)


class Headers(Mapping[str, str]):
    """Header fields: a mapping without regard to case. A repeated field's values are joined by ", "."""

    __slots__ = ("_index", "raw")

    def __init__(self, raw: RawHeaders) -> None:
        self.raw = raw
        self._index: dict[str, str] | None = None

    def _indexed(self) -> dict[str, str]:
        if self._index is None:
            self._index = {}
            for name, value in self.raw:
                key, text = name.decode("latin-1").lower(), value.decode("latin-1")
                known = self._index.get(key)
                # RFC 9110, 5.3: "combine multiple field lines ... separated by a comma"
                self._index[key] = text if known is None else f"{known}, {text}"
        return self._index

    def __getitem__(self, name: str) -> str:
        return self._indexed()[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._indexed()

    def __iter__(self) -> Iterator[str]:
        return iter(self._indexed())

    def __len__(self) -> int:
        return len(self._indexed())

    def multi_items(self) -> list[tuple[str, str]]:
        """Each field line of its own, in the order they came."""
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.raw]

    def __repr__(self) -> str:
        shown = {name: "***" if name in _HIDDEN else value for name, value in self._indexed().items()}
        return f"Headers({shown!r})"


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
        return f"<ResponseHead {self.status_code} {self.reason}>"


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


def persists(headers: RawHeaders, http_version: bytes) -> bool:
    # RFC 9112, 9.3: "If the "close" connection option is present ... the connection will not persist";
    # and with HTTP/1.0 we do not ask for, nor rely on, keep-alive.
    return http_version >= b"1.1" and b"close" not in tokens(headers, b"connection")


def both_framings(headers: RawHeaders) -> bool:
    # RFC 9112, 6.1: "A server MAY reject a request that contains both Content-Length and
    # Transfer-Encoding" - the mark of request smuggling and response splitting.
    names = {name for name, _ in headers}
    return b"transfer-encoding" in names and b"content-length" in names


class Head:
    """Reads one head through h11 out of a ReceiveBuffer."""

    def __init__(self, role: Any, limits: Limits) -> None:
        self.h11 = h11.Connection(role, max_incomplete_event_size=limits.head_bytes)
        self._limits = limits
        self._fed = 0

    def next_event(self, buffer: ReceiveBuffer) -> Any:
        """The next event, or None. Raises RemoteProtocolError."""
        if len(buffer):
            self._fed += len(buffer)
            # h11 keeps what it was given, so the buffer lets go of all of it; what was
            # too much comes back by trailing_data.
            self.h11.receive_data(bytes(memoryview(buffer.data)[buffer.start : buffer.end]))
            buffer.start = buffer.end
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

    def _too_long(self) -> LimitExceededError:
        return LimitExceededError(
            f"a head is longer than {self._limits.head_bytes} bytes (Limits.head_bytes)",
            limit="head_bytes",
            allowed=self._limits.head_bytes,
        )

    def give_back(self, buffer: ReceiveBuffer) -> None:
        """Leave to the body what came behind the head."""
        behind = len(self.h11.trailing_data[0])
        # A head ends in the piece that was fed last, and that piece still stands where it stood.
        buffer.start = buffer.end - behind


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
        path = target.split("?")[0]  # a query may hold a key
        return f"not a request target, it has characters that must be percent-encoded: {path!r}"
    return "the headers 'host', 'content-length' or 'transfer-encoding' are missing, repeated or contradict each other"
