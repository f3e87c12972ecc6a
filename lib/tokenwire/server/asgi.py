"""asgi: the same handler, sessions and decisions, for a server that speaks HTTP for us.

    app = tokenwire.server.asgi(handler)      # uvicorn module:app, hypercorn, granian
    starlette_app.mount("/llm", app)          # or a part of a larger application

Theory of operation. The application makes a Channel of the server's receive and send, and
hands it to the endpoint. It runs on asyncio or trio, whichever runs it. Backpressure is the
server's: its `send` waits for a slow client, and so does the handler. `http.disconnect`
cancels the handler at once.

Nothing here cancels a `receive` or a `send` and then goes on: not every server keeps what a
cancelled call would have brought.
"""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, Final, TypeAlias

from tokenwire.backends import detect
from tokenwire.backends.base import Backend
from tokenwire.server.background import OnDisconnect
from tokenwire.server.channel import ClientGone, RawHeaders
from tokenwire.server.endpoint import Endpoint
from tokenwire.server.limits import DEFAULT_SERVER_LIMITS, ServerLimits
from tokenwire.server.problem import body_late, body_too_large
from tokenwire.server.pump import Handler

__all__ = ["Application", "asgi"]

#: nginx's status for a client who closed before the answer.
_GONE: Final = 499

Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]


def asgi(
    handler: Handler,
    *,
    model: str | None = None,
    models: Sequence[str] | None = None,
    max_choices: int = 1,
    limits: ServerLimits = DEFAULT_SERVER_LIMITS,
    on_disconnect: OnDisconnect = "cancel",
    cors: Sequence[str] = (),
) -> Application:
    """An ASGI 3 application that answers both endpoint families with one handler.

    The parameters are those of `serve`. Of the limits, body_bytes, body, pending_bytes, write and
    keep_alive hold here; the others are the server's own business. Its routes are those of `serve`,
    below the prefix that it is mounted at.

    What outlives its connection (background=True, store=True) lives in the server's lifespan: it is
    refused where there is none, as in an application that is mounted.
    """
    return Application(
        Endpoint(
            handler,
            model=model,
            models=models,
            max_choices=max_choices,
            limits=limits,
            on_disconnect=on_disconnect,
            cors=cors,
        )
    )


class Application:
    """An ASGI 3 application; `asgi` makes one."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    @property
    def stats(self) -> dict[str, Any]:
        """What it has done so far: as `Serving.stats`, without connections, which are the server's."""
        return self._endpoint.stats.snapshot()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one scope: http, or lifespan; a WebSocket is closed before it opens (the server says 403)."""
        kind = scope["type"]
        if kind == "http":
            backend = detect()
            channel = _AsgiChannel(backend, scope, receive, send, self._endpoint.limits)
            try:
                await self._endpoint.serve(backend, channel)
            except ClientGone:
                await channel.leave()
        elif kind == "lifespan":
            await self._lifespan(receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise NotImplementedError(f"an ASGI scope of type {kind!r}")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup

        async def between() -> None:
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown

        await self._endpoint.background.tend(detect(), between)
        await send({"type": "lifespan.shutdown.complete"})


class _AsgiChannel:
    """One http scope."""

    def __init__(
        self, backend: Backend, scope: Mapping[str, Any], receive: Receive, send: Send, limits: ServerLimits
    ) -> None:
        self._backend = backend
        self._receive = receive
        self._to_server = send
        self._limits = limits
        self.send_now = None  # a server's send may wait
        self._more = True  # of the request's body
        self._sending_since: float | None = None
        self._silent = True  # nothing was sent
        self.method: str = scope["method"]
        self.target = _target(scope)
        self.headers = _joined(scope["headers"])

    # -- reading ---------------------------------------------------------------

    async def read_body(self) -> bytearray:
        most = self._limits.body_bytes
        length = self.headers.get("content-length", "0")
        if length.isdecimal() and (len(length) > 20 or int(length) > most):  # what has more digits int may refuse
            raise body_too_large(most)
        body = bytearray()  # not a list of pieces, each of which may be two bytes, and takes thirty more

        async def read() -> None:
            while self._more:
                event = await self._receive()
                if event["type"] == "http.disconnect":
                    raise ClientGone
                piece = event.get("body", b"")
                if len(body) + len(piece) > most:
                    raise body_too_large(most)
                body.extend(piece)
                self._more = event.get("more_body", False)

        await self._backend.first(read, lambda: self._backend.sleep(self._limits.body))
        if self._more:
            raise body_late()
        return body

    async def skip_body(self) -> None:
        """What of it is left is the server's to pass over."""

    async def watch(self) -> None:
        async def listen() -> None:
            while (await self._receive())["type"] != "http.disconnect":
                pass  # what is left of a body that nobody reads

        await self._backend.first(listen, self._stuck)

    async def _stuck(self) -> None:
        """Return when the server has not taken what was sent for `write` seconds; or, at worst, twice that."""
        patience = self._limits.write
        while True:
            since = self._sending_since
            left = patience if since is None else since + patience - self._backend.now()
            if left <= 0:
                return
            await self._backend.sleep(left)

    # -- answering -------------------------------------------------------------

    async def answer(self, status: int, fields: RawHeaders, body: bytes) -> None:
        # RFC 9110, 8.6: "A server MUST NOT send a Content-Length header field in any response with a status
        # code of 1xx (Informational) or 204 (No Content)."
        framed = fields if status == 204 else [*fields, (b"content-length", b"%d" % len(body))]
        # RFC 9110, 9.3.2: "the server MUST NOT send content in the response" to HEAD
        await self._send(b"" if self.method == "HEAD" else body, (status, framed), last=True)

    async def send(self, data: bytes, head: RawHeaders | None = None, *, last: bool = False) -> None:
        if head is not None or last or len(data) >= self._limits.pending_bytes:
            await self._send(data, None if head is None else (200, head), last=last)
            return
        self._sending_since = self._backend.now()
        try:  # as _tell does, without its frame: this is each token's way
            await self._to_server({"type": "http.response.body", "body": data, "more_body": True})
        except OSError:
            raise ClientGone from None
        finally:
            self._sending_since = None

    async def _send(self, data: bytes, head: tuple[int, RawHeaders] | None, *, last: bool) -> None:
        if head is not None:
            self._silent = False
            status, fields = head
            lower = [(name.lower(), value) for name, value in fields]  # as the specification wants them
            await self._tell({"type": "http.response.start", "status": status, "headers": lower})
        await self._tell({"type": "http.response.body", "body": data, "more_body": not last})
        if len(data) >= self._limits.pending_bytes:
            # A handler that never waits sends such pieces alone. A server's send may not wait either (uvicorn's
            # does only for a slow client), and then nobody else would get a turn, `watch` included.
            await self._backend.checkpoint()

    async def leave(self) -> None:
        """Say something, though the client has gone, where nothing was said. The server passes it over; but a
        middleware between (Starlette's BaseHTTPMiddleware) takes who says nothing for an application that has failed.
        """
        if self._silent:
            with contextlib.suppress(ClientGone):
                await self._send(b"", (_GONE, []), last=True)

    async def _tell(self, event: Event) -> None:
        self._sending_since = self._backend.now()
        try:
            await self._to_server(event)
        except OSError:  # ASGI 2.4: "send() raises some subclass of OSError" where the client has gone
            raise ClientGone from None
        finally:
            self._sending_since = None


def _target(scope: Mapping[str, Any]) -> str:
    """The path below the prefix that the application is mounted at, quoted again: the server has unquoted it."""
    path: str = scope["path"]
    prefix: str = scope.get("root_path", "").rstrip("/")
    if prefix and path.startswith(prefix + "/"):
        path = path.removeprefix(prefix)
    query = scope.get("query_string", b"").decode("latin-1")
    return urllib.parse.quote(path) + (f"?{query}" if query else "")


def _joined(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header fields by lower-case name; a repeated one's values are joined by ", " (RFC 9110, 5.3)."""
    fields: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        fields[key] = f"{fields[key]}, {text}" if key in fields else text
    return fields
