"""serve: connections in, answers out, over the backend port."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tokenwire.backends import detect, named
from tokenwire.backends.base import Backend, Event, Transport
from tokenwire.server.background import OnDisconnect
from tokenwire.server.channel import ClientGone
from tokenwire.server.connection import Connection
from tokenwire.server.endpoint import Endpoint
from tokenwire.server.limits import DEFAULT_SERVER_LIMITS, ServerLimits
from tokenwire.server.pump import Handler, log
from tokenwire.server.stats import Stats

if TYPE_CHECKING:
    import ssl

__all__ = ["Serving", "serve", "url_of"]


class Serving:
    """An endpoint that listens.

    address: (host, port), or the path of a Unix socket. url: for clients of the first kind, else "".
    """

    def __init__(self, address: tuple[str, int] | str, url: str, lobby: _Lobby) -> None:
        self.address = address
        self.url = url
        self._lobby = lobby

    def shutdown(self, seconds: float | None = None) -> None:
        """Begin a graceful shutdown: `serve` returns when it is done.

        No new connection is accepted, and idle ones are closed at once. Answers under way have these
        seconds (None: `ServerLimits.shutdown`), and are then cancelled. Called again, the new deadline
        counts. Synchronous; from another thread, go through asyncio's `loop.call_soon_threadsafe` or trio's
        `TrioToken.run_sync_soon`.
        """
        self._lobby.shutdown(seconds)

    @property
    def stats(self) -> dict[str, Any]:
        """What the endpoint has done so far, as a plain dict that is yours.

        connections, open (now); requests, by family and status; under_way and streams (now); tokens,
        bytes_out, disconnects, errors. `Stats.snapshot` describes each.
        """
        return self._lobby.stats.snapshot()

    def __repr__(self) -> str:
        return f"<Serving {self.url or self.address}>"


async def serve(
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    uds: str | None = None,
    reuse_port: bool = False,
    ssl_context: ssl.SSLContext | None = None,
    backend: Backend | str | None = None,
    model: str | None = None,
    models: Sequence[str] | None = None,
    max_choices: int = 1,
    limits: ServerLimits = DEFAULT_SERVER_LIMITS,
    on_disconnect: OnDisconnect = "cancel",
    cors: Sequence[str] = (),
    started: Callable[[Serving], object] | None = None,
    task_status: Any = None,
) -> None:
    """Answer both endpoint families with one handler, until cancelled, or shut down (`Serving.shutdown`).

    handler: called with a Request, returns an async iterable of tokens (`str`, or
        those of `tokenwire.server`): an async generator function is one. It is
        cancelled, and closed, as soon as its client goes away. A RequestError out
        of it is told to the client; any other exception is logged, and told as 500.
    host, port: where to listen; port 0 is any free one. uds: a Unix socket's path instead.
    ssl_context: serve TLS with it. backend: "asyncio" or "trio"; found out where None.
    model: the name that answers bear; else the handler's own (`handler.model`), else the one asked for.
    models: the names that GET /v1/models tells; else that one name.
    max_choices: the largest `n` that the handler serves; its tokens then say their choice.
    on_disconnect: what becomes of a handler whose client goes away. "cancel": it is cancelled, unless the
        response is in the background (`background=True`). "finish": it goes on to its end; of a
        response that does not decline to be stored the events are kept, to be asked for by its id.
    cors: origins whose pages may use the endpoint ("https://app.example.com"); "*" is any, without cookies.
    reuse_port: share the port with other processes that say so too (SO_REUSEPORT).
    started: called with a Serving once it listens; task_status, as `nursery.start` passes it, likewise.

    Raises OSError where it cannot listen, and TypeError or ValueError for options that make no sense.
    Cancelled, it closes every connection, and cancels every handler, at once.
    """
    if backend is None:
        backend = detect()
    elif isinstance(backend, str):
        backend = named(backend)
    endpoint = Endpoint(
        handler,
        model=model,
        models=models,
        max_choices=max_choices,
        limits=limits,
        on_disconnect=on_disconnect,
        cors=cors,
    )
    if not 0 <= port <= 65_535:  # a look-up takes the last 16 bits of any number
        raise ValueError(f"a port is 0 to 65535, not {port!r}")
    if uds is not None and (not uds or "\0" in uds):
        raise ValueError(f"uds is the path of a Unix socket, not {uds!r}")
    listener = await backend.listen(host, port, uds=uds, ssl_context=ssl_context, reuse_port=reuse_port)
    with contextlib.ExitStack() as door:  # closed once: its path may be another's by then
        if uds is not None:
            door.callback(_unlink, uds)
        door.callback(listener.close)
        lobby = _Lobby(backend, endpoint, door.close)
        serving = Serving(listener.address, url_of(listener.address, secure=ssl_context is not None), lobby)
        if started is not None:
            started(serving)
        if task_status is not None:
            task_status.started(serving)
        await endpoint.background.tend(
            backend, lambda: backend.first(lambda: backend.serve(listener, lobby.receive), lobby.close)
        )


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def url_of(address: tuple[str, int] | str, *, secure: bool) -> str:
    """The URL for clients of what listens at this address, or "" where that is a path."""
    if isinstance(address, str):
        return ""
    host, port = address
    # An address that means "every one" is not one that a client can connect to.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http{'s' if secure else ''}://{f'[{host}]' if ':' in host else host}:{port}/v1"


class _Lobby:
    """The connections that are open, and the way out of it."""

    def __init__(self, backend: Backend, endpoint: Endpoint, shut: Callable[[], object]) -> None:
        self._backend = backend
        self._endpoint = endpoint
        self._shut = shut  # the door: nobody comes in any more
        self._open: set[Connection] = set()
        self._deadline: float | None = None  # none is asked for yet
        self._changed: Event = backend.event()  # a deadline is set, or the last connection has closed

    async def receive(self, transport: Transport) -> None:
        """Serve one connection, and close it."""
        connection = Connection(self._endpoint, self._backend, transport)
        if self._deadline is not None:
            connection.finish()  # it was shaking hands meanwhile
        self._open.add(connection)
        stats = self._endpoint.stats
        stats.connections += 1
        stats.open += 1
        try:
            await connection.run()
            await transport.aclose()
        except (ClientGone, OSError, TimeoutError):
            transport.abort()
        except Exception as error:  # a fault of ours must not end the other connections
            transport.abort()
            stats.errors += 1
            log.error("a connection failed", exc_info=error)
        except BaseException:
            transport.abort()
            raise
        finally:
            stats.open -= 1
            self._open.remove(connection)
            if self._deadline is not None and not self._open:
                self._changed.set()

    @property
    def stats(self) -> Stats:
        return self._endpoint.stats

    def shutdown(self, seconds: float | None) -> None:
        self._deadline = self._backend.now() + (self._endpoint.limits.shutdown if seconds is None else seconds)
        self._changed.set()

    async def close(self) -> None:
        """Wait for a shutdown to be asked for, and to be over."""
        await self._changed.wait(None)
        self._shut()
        for connection in self._open:
            connection.finish()
        background = self._endpoint.background
        while self._open or background.under_way:
            self._changed = self._backend.event()
            background.ended = self._changed.set
            if not await self._changed.wait(self._deadline):
                if self._open:
                    log.warning("shutdown: %d connections are cut", len(self._open))
                if background.under_way:
                    log.warning("shutdown: %d responses in the background are cut", background.under_way)
                return
