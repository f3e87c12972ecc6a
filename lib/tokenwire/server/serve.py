"""serve: connections in, answers out, over the backend port."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenwire.backends import detect, named
from tokenwire.backends.base import Backend, Transport
from tokenwire.server.channel import ClientGone
from tokenwire.server.connection import Connection
from tokenwire.server.endpoint import Endpoint
from tokenwire.server.limits import DEFAULT_SERVER_LIMITS, ServerLimits
from tokenwire.server.pump import Handler, log

if TYPE_CHECKING:
    import ssl

__all__ = ["Serving", "serve"]

class Serving(NamedTuple):
    """An endpoint that listens.

    address: (host, port), or the path of a Unix socket. url: for clients of the first kind, else "".
    """

    address: tuple[str, int] | str
    url: str


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
    endpoint = Endpoint(handler, model=model, models=models, max_choices=max_choices, limits=limits)

    async def handle(transport: Transport) -> None:
        await converse(endpoint, backend, transport)

    try:
        serving = Serving(listener.address, _url(listener.address, secure=ssl_context is not None))
        if started is not None:
            started(serving)
        if task_status is not None:
            task_status.started(serving)
        await backend.serve(listener, handle)
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


async def converse(endpoint: Endpoint, backend: Backend, transport: Transport) -> None:
    """Serve one connection, and close it. A fault of ours is logged, and ends no other."""
    try:
        await Connection(endpoint, backend, transport).run()
        await transport.aclose()
    except (ClientGone, OSError, TimeoutError):
        transport.abort()
    except Exception as error:
        log.error("a connection failed", exc_info=error)
        transport.abort()
    except BaseException:
        transport.abort()
        raise
