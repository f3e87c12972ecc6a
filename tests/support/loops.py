"""Every way to run a backend, and a peer of plain sockets to talk to."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, NamedTuple, TypeVar

import pytest
import trustme

from tokenwire.backends import named
from tokenwire.backends.base import Backend, Origin, Transport
from tokenwire.wire.buffer import ReceiveBuffer

T = TypeVar("T")

#: Longer than anything here takes: only a test that fails waits this long.
PATIENCE = 20.0


class Way(NamedTuple):
    """One way: a backend, on one event loop."""

    id: str
    backend: Backend
    run: Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]


def _uvloop(function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    import asyncio

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(function())


def _anyio(function: Callable[[], Coroutine[Any, Any, Any]], loop: str) -> Any:
    import anyio

    return anyio.run(function, backend=loop)


def _ways() -> list[Way]:
    found = [Way(name, named(name), named(name).run) for name in ("asyncio", "trio")]
    try:
        import uvloop  # noqa: F401
    except ImportError:
        pass
    else:
        found.append(Way("uvloop", named("asyncio"), _uvloop))
    for loop in ("asyncio", "trio"):
        found.append(Way(f"anyio-{loop}", named("anyio"), functools.partial(_anyio, loop=loop)))
    found.append(Way("sync", named("sync"), named("sync").run))
    return found


WAYS = _ways()
ASYNC = [way for way in WAYS if way.id != "sync"]
SERVING = [way for way in ASYNC if not way.id.startswith("anyio")]

ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.id)
async_ways = pytest.mark.parametrize("way", ASYNC, ids=lambda way: way.id)
serving_ways = pytest.mark.parametrize("way", SERVING, ids=lambda way: way.id)
plain_and_tls = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


# -- certificates -------------------------------------------------------------------


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


def server_side(*names: str) -> ssl.SSLContext:
    """A server's context with a certificate for these names, by the authority of the tests."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(*(names or ("127.0.0.1", "localhost"))).configure_cert(context)
    return context


@functools.cache
def trusting() -> ssl.SSLContext:
    """A client's context that trusts the authority of the tests, and no other."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


# -- a peer -------------------------------------------------------------------------


class Listening:
    """A listening socket, and what connects to it."""

    def __init__(self, tls: bool = False, uds: str | None = None) -> None:
        if uds is None:
            self.sock = socket.create_server(("127.0.0.1", 0))
            host, port = self.sock.getsockname()
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.bind(uds)
            self.sock.listen()
            host, port = "localhost", 80
        self.sock.settimeout(PATIENCE)
        self.origin = Origin("https" if tls else "http", host, port, uds)
        self.context = server_side() if tls else None

    def accept(self) -> socket.socket:
        sock, _ = self.sock.accept()
        sock.settimeout(PATIENCE)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # sent is then arrived, over loopback
        if self.context is not None:
            try:
                sock = self.context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False)
            except BaseException:
                sock.close()
                raise
        return sock


@contextlib.contextmanager
def listening(tls: bool = False, uds: str | None = None) -> Iterator[Listening]:
    peer = Listening(tls, uds)
    try:
        yield peer
    finally:
        peer.sock.close()


class Threaded:
    """A function in a thread of its own; `result` waits for it and raises what it raised."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._found: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found = self._function()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error
        return self._found


@contextlib.asynccontextmanager
async def connected(backend: Backend, tls: bool) -> AsyncIterator[tuple[Transport, socket.socket]]:
    """A transport and its peer, a blocking socket. Both are closed at the end."""
    with listening(tls) as listener:
        accepting = Threaded(listener.accept)
        transport = await backend.connect(
            listener.origin, trusting() if tls else None, backend.now() + PATIENCE
        )
        peer = accepting.result()
        try:
            yield transport, peer
        finally:
            transport.abort()
            peer.close()


def reset(peer: socket.socket) -> None:
    """Close so that the other side is told of it by a reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


# -- what the tests do ----------------------------------------------------------------


def taken(buffer: ReceiveBuffer) -> bytes:
    """Consume all that a buffer holds."""
    data = bytes(buffer.data[buffer.start : buffer.end])
    buffer.start = buffer.end
    return data


async def rounds(backend: Backend, count: int = 10) -> None:
    """Let others run, some times."""
    for _ in range(count):
        await backend.checkpoint()


async def together(backend: Backend, *functions: Callable[[], Awaitable[None]]) -> None:
    """Run all to their ends; whoever fails ends the others."""
    left = len(functions)
    over = [backend.event() for _ in functions]

    async def one(function: Callable[[], Awaitable[None]], mine: Any) -> None:
        nonlocal left
        await function()
        left -= 1
        if not left:
            for event in over:
                event.set()
        await mine.wait(None)

    await backend.first(*(functools.partial(one, each, event) for each, event in zip(functions, over, strict=True)))
