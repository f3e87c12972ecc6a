"""serve: connections in, answers out, over the backend port.

Theory of operation. A Connection takes requests one after another: head, route,
body, answer. What is wrong with a request is answered in the API's error shape;
what is wrong with HTTP itself is answered the same way, and ends the connection.
A connection that is ended while the client may still be sending is read on for a
moment (`_linger`): closed at once, the kernel would reset it, and the client would
lose the answer that tells it what was wrong.
"""

from __future__ import annotations

import contextlib
import email.utils
import os
import secrets
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokenwire._version import __version__
from tokenwire.backends import detect, named
from tokenwire.backends.base import Backend, Transport
from tokenwire.errors import LimitExceededError, RemoteProtocolError
from tokenwire.policy import Limits
from tokenwire.server.limits import DEFAULT_SERVER_LIMITS, ServerLimits
from tokenwire.server.problem import RequestError
from tokenwire.server.pump import ClientGone, Handler, Pump, log
from tokenwire.server.reading import read_request
from tokenwire.server.routes import models_body, route
from tokenwire.server.session import open_session
from tokenwire.wire.body import Span
from tokenwire.wire.heads import RequestHead
from tokenwire.wire.http1 import ServerConnection

if TYPE_CHECKING:
    import ssl

__all__ = ["Serving", "serve"]

#: Seconds, and bytes, that a connection is read on after an answer that ends it.
_LINGER_SECONDS: Final = 2.0
_LINGER_BYTES: Final = 4_194_304

_SERVER: Final = f"tokenwire/{__version__}".encode()


class Serving(NamedTuple):
    """An endpoint that listens.

    address: (host, port), or the path of a Unix socket. url: for clients of the first kind, else "".
    """

    address: tuple[str, int] | str
    url: str


def new_id(prefix: str) -> str:
    """An id that nobody can guess: 144 random bits."""
    return prefix + secrets.token_hex(18)


async def serve(
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    uds: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    backend: Backend | str | None = None,
    model: str | None = None,
    models: Sequence[str] | None = None,
    max_choices: int = 1,
    limits: ServerLimits = DEFAULT_SERVER_LIMITS,
    started: Callable[[Serving], object] | None = None,
    task_status: Any = None,
) -> None:
    """Answer both endpoint families with one handler, until cancelled.

    handler: called with a Request, returns an async iterable of tokens (`str`, or
        those of `tokenwire.server`): an async generator function is one. It is
        cancelled, and closed, as soon as its client goes away. A RequestError out
        of it is told to the client; any other exception is logged, and told as 500.
    host, port: where to listen; port 0 is any free one. uds: a Unix socket's path instead.
    ssl_context: serve TLS with it. backend: "asyncio" or "trio"; found out where None.
    model: the name that answers bear; else the handler's own (`handler.model`), else the one asked for.
    models: the names that GET /v1/models tells; else that one name.
    max_choices: the largest `n` that the handler serves; its tokens then say their choice.
    started: called with a Serving once it listens; task_status, as `nursery.start` passes it, likewise.

    Raises OSError where it cannot listen. Cancelled, it closes every connection at once.
    """
    if backend is None:
        backend = detect()
    elif isinstance(backend, str):
        backend = named(backend)
    listener = await backend.listen(host, port, uds=uds, ssl_context=ssl_context)
    if model is None:
        model = getattr(handler, "model", None)
    if models is None:
        models = [] if model is None else [model]
    endpoint = _Endpoint(backend, handler, limits, model, models, max_choices)
    try:
        serving = Serving(listener.address, _url(listener.address, secure=ssl_context is not None))
        if started is not None:
            started(serving)
        if task_status is not None:
            task_status.started(serving)
        await backend.serve(listener, endpoint.handle)
    finally:
        listener.close()
        if uds is not None:
            with contextlib.suppress(OSError):
                os.unlink(uds)


def _url(address: tuple[str, int] | str, *, secure: bool) -> str:
    if isinstance(address, str):
        return ""
    host, port = address
    # An address that means "every one" is not one that a client can connect to.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http{'s' if secure else ''}://{f'[{host}]' if ':' in host else host}:{port}/v1"


class _Endpoint:
    """What all connections share."""

    def __init__(
        self,
        backend: Backend,
        handler: Handler,
        limits: ServerLimits,
        model: str | None,
        models: Sequence[str],
        max_choices: int,
    ) -> None:
        self.backend = backend
        self.handler = handler
        self.limits = limits
        self.wire_limits = Limits(head_bytes=limits.head_bytes)
        self.model = model
        self.models = models
        self.max_choices = max_choices
        self.created = time.time()
        self._date = (0, b"")

    async def handle(self, transport: Transport) -> None:
        try:
            await _Connection(self, transport).run()
            await transport.aclose()
        except (ClientGone, OSError, TimeoutError):
            transport.abort()
        except Exception as error:  # a fault of ours must not end the other connections
            log.error("a connection failed", exc_info=error)
            transport.abort()
        except BaseException:
            transport.abort()
            raise

    def head(self, content_type: bytes, request_id: bytes) -> list[tuple[bytes, bytes]]:
        """The fields that every answer has."""
        second = int(time.time())
        if self._date[0] != second:
            self._date = (second, email.utils.formatdate(second, usegmt=True).encode())
        return [
            (b"date", self._date[1]),
            (b"server", _SERVER),
            (b"content-type", content_type),
            (b"x-request-id", request_id),
        ]


class _Connection:
    """One connection's life."""

    def __init__(self, endpoint: _Endpoint, transport: Transport) -> None:
        self._endpoint = endpoint
        self._backend = endpoint.backend
        self._limits = endpoint.limits
        self._transport = transport
        self._http = ServerConnection(endpoint.wire_limits)
        self._method = ""

    async def run(self) -> None:
        """Answer requests until the connection ends. Raises ClientGone, OSError or TimeoutError."""
        while await self._cycle():
            pass

    async def _cycle(self) -> bool:
        """One request and its answer: whether another may follow."""
        http = self._http
        self._method = ""
        try:
            head = await self._read_head()
            if head is None:
                return False
            self._method = head.method
            try:
                where = route(head.method, head.target)
            except RequestError:
                if http.body is not None and not http.body.complete and head.headers.get("expect") is None:
                    await self._read_body(head)  # so that the connection can go on
                raise
            body = await self._read_body(head)
            if where.kind == "models" or where.kind == "model":
                endpoint = self._endpoint
                await self._answer(200, models_body(where, endpoint.models, created=endpoint.created))
            else:
                await self._serve(where.kind, head, body)
        except RequestError as error:
            await self._refuse(error)
        except LimitExceededError as error:
            await self._refuse(RequestError(431, f"The request is too large: {error}", code="head_too_large"))
        except RemoteProtocolError as error:
            await self._refuse(RequestError(400, f"The request is not HTTP/1.1: {error}", code="bad_http"))
        if http.reusable:
            return True
        await self._linger()
        return False

    # -- reading ---------------------------------------------------------------

    async def _read_head(self) -> RequestHead | None:
        """The next request's head, or None where the client closed, or stayed idle, before it."""
        http, now = self._http, self._backend.now
        begun = len(http.buffer) > 0
        if not begun:
            http.buffer.shrink()  # it may lie idle for long
        deadline = now() + (self._limits.head if begun else self._limits.idle)
        while (head := http.receive_head()) is None:
            try:
                count = await self._transport.receive_into(http.buffer, deadline)
            except TimeoutError:
                if not begun:
                    return None
                raise RequestError(408, "The request's head did not come in time.", code="timeout") from None
            if count == 0:
                return None
            if not begun:
                begun, deadline = True, now() + self._limits.head
        return head

    async def _read_body(self, head: RequestHead) -> bytearray:
        http, most = self._http, self._limits.body_bytes
        reader = http.body
        assert reader is not None
        body = bytearray()
        if reader.complete:
            return body
        if int(head.headers.get("content-length", "0")) > most:
            raise _too_large(most)
        go_on = http.send_continue()
        if go_on:
            await self._transport.send(go_on, self._backend.now() + self._limits.write)
        deadline = self._backend.now() + self._limits.body
        while True:
            spans: list[Span] = []
            reader.read(http.buffer, spans)
            for start, stop in spans:
                body += memoryview(http.buffer.data)[start:stop]
            if len(body) > most:
                raise _too_large(most)
            if reader.complete:
                return body
            try:
                count = await self._transport.receive_into(http.buffer, deadline)
            except TimeoutError:
                raise RequestError(408, "The request's body did not come in time.", code="timeout") from None
            if count == 0:
                raise ClientGone

    # -- answering -------------------------------------------------------------

    async def _serve(self, family: Any, head: RequestHead, body: bytearray) -> None:
        endpoint = self._endpoint
        headers = {name.lower(): value for name, value in head.headers.items()}
        request = read_request(
            family, body, headers=headers, max_choices=endpoint.max_choices, clock=self._backend
        )
        session = open_session(
            request, model=endpoint.model or request.model, now=time.time(), new_id=new_id
        )
        content_type = b"text/event-stream; charset=utf-8" if request.stream else b"application/json"
        fields = endpoint.head(content_type, new_id("req_").encode())
        if request.stream:
            # Proxies must neither keep a stream nor gather it (nginx gathers unless told not to).
            fields += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        pump = Pump(self._backend, self._transport, self._http, self._limits, session, request, fields)
        await pump.run(endpoint.handler)

    async def _refuse(self, error: RequestError) -> None:
        extra = [(name.encode(), value.encode()) for name, value in error.headers.items()]
        await self._answer(error.status, error.body(), extra)

    async def _answer(self, status: int, body: bytes, extra: Sequence[tuple[bytes, bytes]] = ()) -> None:
        fields = [*self._endpoint.head(b"application/json", new_id("req_").encode()), *extra]
        # RFC 9110, 9.3.2: "the server MUST NOT send content in the response" to HEAD
        data = self._http.send_response(status, fields, b"" if self._method == "HEAD" else body)
        await self._transport.send(data, self._backend.now() + self._limits.write)

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


def _too_large(most: int) -> RequestError:
    return RequestError(413, f"The request's body is larger than {most} bytes.", code="body_too_large")
