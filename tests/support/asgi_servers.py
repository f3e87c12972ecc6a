"""Real ASGI servers over real sockets: each in a thread of its own, and granian, which wants one, in a process."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import trio

from support.served import PATIENCE, serving
from tokenwire.server import Application, asgi

SERVERS = ("uvicorn", "hypercorn-asyncio", "hypercorn-trio", "granian")


def _uvicorn(app: Any, sock: socket.socket, stopping: list[Callable[[], object]]) -> None:
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, log_level="error", lifespan="on", timeout_graceful_shutdown=1)
    )
    stopping.append(lambda: setattr(server, "should_exit", True))
    asyncio.run(server.serve(sockets=[sock]))


def _hypercorn_config(sock: socket.socket) -> Any:
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{os.dup(sock.fileno())}"]
    config.graceful_timeout = 0.1
    config.errorlog = logging.getLogger("tokenwire.test")
    return config


def _hypercorn_asyncio(app: Any, sock: socket.socket, stopping: list[Callable[[], object]]) -> None:
    from hypercorn.asyncio import serve

    async def main() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        stopping.append(lambda: loop.call_soon_threadsafe(stop.set))
        await serve(app, _hypercorn_config(sock), shutdown_trigger=stop.wait)

    asyncio.run(main())


def _hypercorn_trio(app: Any, sock: socket.socket, stopping: list[Callable[[], object]]) -> None:
    from hypercorn.trio import serve

    async def main() -> None:
        token, stop = trio.lowlevel.current_trio_token(), trio.Event()
        stopping.append(lambda: token.run_sync_soon(stop.set))
        await serve(app, _hypercorn_config(sock), shutdown_trigger=stop.wait)

    trio.run(main)


def _granian(app: str, sock: socket.socket, stopping: list[Callable[[], object]]) -> None:
    port = sock.getsockname()[1]
    sock.close()  # it takes a number, not a socket
    options = ["--interface", "asgi", "--port", str(port), "--no-ws", "--log-level", "error", app]
    with subprocess.Popen(
        [sys.executable, "-m", "granian", *options], cwd=Path(__file__).parent.parent, stderr=subprocess.PIPE
    ) as process:
        stopping.append(process.terminate)
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 0, said


_RUN = {
    "uvicorn": _uvicorn,
    "hypercorn-asyncio": _hypercorn_asyncio,
    "hypercorn-trio": _hypercorn_trio,
}


@contextlib.contextmanager
def under(server: str, app: str | Application) -> Iterator[tuple[str, int]]:
    """Run an application under one of SERVERS: the address where it listens.

    app: its name (module:name), or, for those in a thread, itself.
    """
    sock = socket.create_server(("127.0.0.1", 0))
    address = sock.getsockname()
    stopping: list[Callable[[], object]] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            if server == "granian":
                assert isinstance(app, str)
                _granian(app, sock, stopping)
            elif isinstance(app, str):
                module, _, attribute = app.partition(":")
                _RUN[server](getattr(importlib.import_module(module), attribute), sock, stopping)
            else:
                _RUN[server](app, sock, stopping)
        except BaseException as error:
            failed.append(error)
        finally:
            sock.close()

    thread = threading.Thread(target=run, name=server, daemon=True)
    thread.start()
    # Nobody tells when a server has begun to answer; asking again is the only way to know.
    end = time.monotonic() + PATIENCE
    while not _answers(address):
        assert time.monotonic() < end, f"{server} does not answer: {failed}"
        time.sleep(0.01)
    try:
        yield address
    finally:
        stopping[0]()
        thread.join(PATIENCE)
        assert not thread.is_alive(), f"{server} does not stop"
    assert not failed, failed


def _answers(address: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=PATIENCE) as client:
        client.sendall(b"GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        return client.recv(9) == b"HTTP/1.1 "
    return False


#: The ways to serve a handler that the official clients meet.
ENDPOINTS = ("asyncio", "trio", "uvicorn")


@contextlib.contextmanager
def endpoint(kind: str, handler: Any) -> Iterator[str]:
    """Serve a handler in one of ENDPOINTS: its URL, for a client."""
    if kind == "uvicorn":
        with under(kind, asgi(handler)) as (host, port):
            yield f"http://{host}:{port}/v1"
    else:
        with serving(handler, backend=kind) as server:
            yield server.url
