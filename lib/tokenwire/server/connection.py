"""Connection: one client's socket, and its requests one after another.

Theory of operation. Head, endpoint, head again while the connection persists. What is
wrong with HTTP itself is answered in the API's error shape too, and ends the connection.
A connection that is ended while the client may still be sending is read on for a
moment (`_linger`): closed at once, the kernel would reset it, and the client would
lose the answer that tells it what was wrong.
"""

from __future__ import annotations

import contextlib
import email.utils
import time
from collections.abc import Callable, Mapping
from typing import Final

from tokenwire._version import __version__
from tokenwire.backends.base import Backend, Transport
from tokenwire.errors import LimitExceededError, RemoteProtocolError
from tokenwire.policy import Limits
from tokenwire.server.channel import ClientGone, RawHeaders
from tokenwire.server.endpoint import Endpoint
from tokenwire.server.limits import ServerLimits
from tokenwire.server.problem import RequestError, body_late, body_too_large
from tokenwire.wire.body import Span
from tokenwire.wire.heads import RequestHead
from tokenwire.wire.http1 import ServerConnection

__all__ = ["Connection"]

#: Seconds, and bytes, that a connection is read on after an answer that ends it.
_LINGER_SECONDS: Final = 2.0
_LINGER_BYTES: Final = 4_194_304

_SERVER: Final = f"tokenwire/{__version__}".encode()


class _Date:
    """The field Date, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._value = b""

    def __call__(self) -> bytes:
        second = int(time.time())
        if self._second != second:
            self._second, self._value = second, email.utils.formatdate(second, usegmt=True).encode()
        return self._value


_date = _Date()


class Connection:
    """One connection's life."""

    def __init__(self, endpoint: Endpoint, backend: Backend, transport: Transport) -> None:
        self._endpoint = endpoint
        self._limits = endpoint.limits
        self._backend = backend
        self._transport = transport
        self._http = ServerConnection(Limits(head_bytes=endpoint.limits.head_bytes))
        self._idle = True  # no byte of a request has come
        self._closing = False

    def finish(self) -> None:
        """Let the request under way, if there is one, be the last."""
        self._closing = True
        if self._idle:
            self._transport.abort()  # nobody waits for a word

    async def run(self) -> None:
        """Answer requests until the connection ends. Raises ClientGone, OSError or TimeoutError."""
        while await self._cycle():
            pass

    async def _cycle(self) -> bool:
        """One request and its answer: whether another may follow."""
        endpoint, http = self._endpoint, self._http
        try:
            head = await self._read_head()
        except RequestError as error:
            await endpoint.serve(self._backend, self._channel(None), error)
        else:
            if head is None:
                return False
            await endpoint.serve(self._backend, self._channel(head), self._wrong_with(head))
        if http.reusable and not self._closing:
            return True
        await self._linger()
        return False

    def _wrong_with(self, head: RequestHead) -> RequestError | None:
        fields, most = len(head.headers.multi_items()), self._limits.head_fields
        if fields > most:
            return RequestError(431, f"The request has {fields} header fields, of {most}.", code="head_too_large")
        # RFC 9112, 3.2: absolute form is for requests to a proxy, authority form for CONNECT. What another on the
        # way makes of them is not what we would.
        if not head.target.startswith("/"):
            return RequestError(400, "The request's target is not a path, and this is no proxy.", code="bad_target")
        return None

    def _channel(self, head: RequestHead | None) -> _WireChannel:
        return _WireChannel(self._backend, self._transport, self._http, self._limits, head, self._own)

    def _own(self, fields: RawHeaders) -> RawHeaders:
        """The fields of an answer, with those of the server itself."""
        own = [(b"date", _date()), (b"server", _SERVER), *fields]
        if self._closing and self._http.reusable:
            own.append((b"connection", b"close"))
        return own

    async def _read_head(self) -> RequestHead | None:
        """The next request's head, or None where the client closed, or stayed idle, before it."""
        http, now = self._http, self._backend.now
        begun, deadline = False, now() + self._limits.idle
        while True:
            try:
                head = http.receive_head()
            except (LimitExceededError, RemoteProtocolError) as error:
                raise _not_http(error) from None
            finally:
                self._idle = not http.begun
            if head is not None:
                return head
            if self._idle:
                http.buffer.shrink()  # it may lie idle for long
            elif not begun:
                begun, deadline = True, now() + self._limits.head
            try:
                count = await self._transport.receive_into(http.buffer, deadline)
            except TimeoutError:
                if not begun:
                    return None
                raise RequestError(408, "The request's head did not come in time.", code="timeout") from None
            if count == 0:
                return None

    async def _linger(self) -> None:
        """Read on, to no end, until the client closes; for a short time, and not much."""
        reader = self._http.body
        if reader is not None and reader.complete and not len(self._http.buffer):
            return  # nothing of the client's is on its way that anybody knows of
        buffer = self._http.buffer
        deadline = self._backend.now() + _LINGER_SECONDS
        left = _LINGER_BYTES
        with contextlib.suppress(OSError, TimeoutError):
            while left > 0:
                buffer.start = buffer.end
                count = await self._transport.receive_into(buffer, deadline)
                if count == 0:
                    return
                left -= count


class _WireChannel:
    """One request on a connection, and its answer."""

    def __init__(
        self,
        backend: Backend,
        transport: Transport,
        http: ServerConnection,
        limits: ServerLimits,
        head: RequestHead | None,
        own: Callable[[RawHeaders], RawHeaders],
    ) -> None:
        self._backend = backend
        self._transport = transport
        self._http = http
        self._limits = limits
        self._own = own
        self._held = b""  # framed, and not sent yet
        self._now: Callable[[bytes], int] | None = getattr(transport, "send_now", None)
        self.send_now = None if self._now is None else self._send_now
        self.method = "" if head is None else head.method
        self.target = "" if head is None else head.target
        self.headers: Mapping[str, str] = (
            {} if head is None else {name.lower(): value for name, value in head.headers.items()}
        )

    # -- reading ---------------------------------------------------------------

    async def read_body(self) -> bytearray:
        http, most = self._http, self._limits.body_bytes
        reader = http.body
        assert reader is not None
        body = bytearray()
        if reader.complete:
            return body
        if int(self.headers.get("content-length", "0")) > most:
            raise body_too_large(most)
        go_on = http.send_continue()
        if go_on:
            await self._send(go_on)
        deadline = self._backend.now() + self._limits.body
        while True:
            spans: list[Span] = []
            try:
                reader.read(http.buffer, spans)
            except (LimitExceededError, RemoteProtocolError) as error:
                raise _not_http(error) from None
            for start, stop in spans:
                body += memoryview(http.buffer.data)[start:stop]
            if len(body) > most:
                raise body_too_large(most)
            if reader.complete:
                return body
            try:
                count = await self._transport.receive_into(http.buffer, deadline)
            except TimeoutError:
                raise body_late() from None
            if count == 0:
                raise ClientGone

    async def skip_body(self) -> None:
        if self.headers.get("expect") is None:  # else it does not come before we ask for it
            await self.read_body()

    async def watch(self) -> None:
        buffer = self._http.buffer
        try:
            while not buffer.full:
                if not await self._transport.receive_into(buffer, None):
                    return
        except OSError:
            return
        # The next requests are here already, more than may wait; a failing send will tell.
        await self._backend.event().wait(None)

    # -- answering -------------------------------------------------------------

    async def answer(self, status: int, fields: RawHeaders, body: bytes) -> None:
        await self._send(self._http.send_response(status, self._own(fields), body))

    async def send(self, data: bytes, head: RawHeaders | None = None, *, last: bool = False) -> None:
        http = self._http
        # The head says how the data is framed, and so comes first.
        opening = b"" if head is None else http.send_response(200, self._own(head))
        framed = opening + http.send_data(data)
        if last:
            framed += http.send_end()
        if self._held:
            framed, self._held = self._held + framed, b""
        try:  # as _send does, without its frame: this is each token's way
            await self._transport.send(framed, self._backend.now() + self._limits.write)
        except (OSError, TimeoutError):
            raise ClientGone from None

    def _send_now(self, data: bytes) -> bool:
        assert self._now is not None
        framed = self._http.send_data(data)
        sent = self._now(framed)
        if sent == len(framed):
            return True
        self._held = framed[sent:]
        return False

    async def _send(self, data: bytes) -> None:
        try:
            await self._transport.send(data, self._backend.now() + self._limits.write)
        except (OSError, TimeoutError):
            raise ClientGone from None


def _not_http(error: LimitExceededError | RemoteProtocolError) -> RequestError:
    if isinstance(error, LimitExceededError):
        return RequestError(431, f"The request is too large: {error}", code="head_too_large")
    return RequestError(400, f"The request is not HTTP/1.1: {error}", code="bad_http")
