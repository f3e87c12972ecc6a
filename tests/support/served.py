"""What the tests of the serving half share: a session run by hand, and its frames read back."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import h11
import trio

from tokenwire.server.reading import read_request
from tokenwire.server.serve import Serving, serve
from tokenwire.server.session import Session, open_session

T = TypeVar("T")

NOW = 1_700_000_000.5
CHAT: dict[str, Any] = {"model": "asked", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
RESPONSES: dict[str, Any] = {"model": "asked", "input": "Hello", "stream": True}


def opened(family: Any, body: dict[str, Any], **options: Any) -> Session:
    """A session for this body that answers as "answering", with ids that count."""
    request = read_request(family, json.dumps(body).encode(), headers={}, **options)
    count = itertools.count()
    return open_session(request, model="answering", now=NOW, new_id=lambda prefix: f"{prefix}{next(count)}")


def run(family: Any, body: dict[str, Any], tokens: Iterable[Any], **options: Any) -> bytes:
    """The whole body that these tokens make."""
    session = opened(family, body, **options)
    return session.start() + b"".join([session.token(token) for token in tokens]) + session.end()


def frames(body: bytes) -> list[tuple[str, str]]:
    """(event name or "", data) of each frame; asserts the exact form that we write."""
    assert body.endswith(b"\n\n")
    found = []
    for block in body[:-2].decode().split("\n\n"):
        lines = block.split("\n")
        name = lines.pop(0).removeprefix("event: ") if lines[0].startswith("event: ") else ""
        assert len(lines) == 1, block
        assert lines[0].startswith("data: "), block
        found.append((name, lines[0].removeprefix("data: ")))
    return found


def payloads(body: bytes) -> list[Any]:
    """The JSON of each frame; [DONE], which must then be the last, is left out."""
    data = [data for _, data in frames(body)]
    if "[DONE]" in data:
        assert data.index("[DONE]") == len(data) - 1
        data.pop()
    return [json.loads(one) for one in data]


# -- Over sockets --------------------------------------------------------------

#: Longer than anything here takes: only a test that fails waits this long.
PATIENCE = 20.0


#: By endpoint, what calls a function in the loop that runs it.
_INTO: dict[Serving, Callable[[Callable[[], object]], object]] = {}


def within(server: Serving, function: Callable[[], T]) -> T:
    """Call a function where this endpoint runs: what it returns."""
    told: queue.SimpleQueue[T] = queue.SimpleQueue()
    _INTO[server](lambda: told.put(function()))
    return told.get(timeout=PATIENCE)


@contextlib.contextmanager
def serving(handler: Any, *, backend: str, **options: Any) -> Iterator[Serving]:
    """`serve` in a thread of its own, until the block ends; what it raised is raised here."""
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    options.setdefault("port", 0)

    async def on_asyncio() -> None:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        enter = loop.call_soon_threadsafe
        stop = functools.partial(enter, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await serve(
                handler, backend=backend, started=lambda found: told.put((found, stop, enter)), **options
            )

    async def on_trio() -> None:
        token = trio.lowlevel.current_trio_token()
        with trio.CancelScope() as scope:
            stop = functools.partial(token.run_sync_soon, scope.cancel)
            enter = token.run_sync_soon
            await serve(handler, started=lambda found: told.put((found, stop, enter)), **options)

    def main() -> None:
        try:
            if backend == "asyncio":
                asyncio.run(on_asyncio())
            else:
                trio.run(on_trio)
        except BaseException as error:
            told.put((error, None, None))
        else:
            told.put((None, None, None))

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    found, stop, enter = told.get(timeout=PATIENCE)
    if isinstance(found, BaseException):
        raise found
    _INTO[found] = enter
    try:
        yield found
    finally:
        del _INTO[found]
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            stop()
        ended, *_ = told.get(timeout=PATIENCE)
        thread.join(PATIENCE)
        assert not thread.is_alive()
        if isinstance(ended, BaseException):
            raise ended


class RawClient:
    """A plain socket that speaks HTTP by h11, and tells the reads apart."""

    def __init__(self, server: Serving | tuple[str, int], *, receive_window: int | None = None) -> None:
        address = server if isinstance(server, tuple) else server.address
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX)
        else:
            self.sock = socket.socket()
        if receive_window is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_window)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(address)
        self._kept = b""

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> None:
        """Send a request. A body that is not bytes goes as JSON."""
        payload = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        fields = {"host": "test", "content-type": "application/json", "content-length": str(len(payload))}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.sock.sendall(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + payload)

    def answer(self, method: str = "POST") -> tuple[h11.Response, bytes]:
        """One whole answer. Reads no byte of the next one twice."""
        machine = h11.Connection(h11.CLIENT)
        machine.send(
            h11.Request(method=method, target="/", headers=[("host", "test"), ("content-length", "0")])
        )
        machine.send(h11.EndOfMessage())
        machine.receive_data(self._kept) if self._kept else None
        head: Any = None
        body = b""
        while True:
            event = machine.next_event()
            if event is h11.NEED_DATA:
                machine.receive_data(self.sock.recv(65536))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self._kept = machine.trailing_data[0]
                return head, body
            else:
                assert not isinstance(event, h11.ConnectionClosed), "closed without an answer"

    def chunks(self) -> tuple[bytes, list[bytes]]:
        """The head of a chunked answer, and its chunks: what was sent together."""
        stream = self.sock.makefile("rb")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += stream.read(1)
        found = []
        while True:
            size = int(stream.readline(), 16)
            data = stream.read(size)
            assert stream.read(2) == b"\r\n"
            if not size:
                return head, found
            found.append(data)

    def closed(self) -> bool:
        """Whether nothing but the end comes any more."""
        return not self._kept and self.sock.recv(1) == b""
