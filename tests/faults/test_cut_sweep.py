"""Answers cut over real sockets, by the server's end and by its reset, through every backend.

TOKENWIRE_ALL_CUTS=1 cuts a few small recordings of every kind after every byte, and all of them on each side of
every line end: of the head, the framing and the events (of long ones, of the first and the last hundred). Else each
run takes some of both. What must come out, and after every byte of every recording, in memory: test_cut_everywhere.py.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from typing import Any

import pytest

import tokenwire
from support import cuts
from support.loops import PATIENCE, Threaded, Way, ways
from support.vectors import Vector, load, names
from tokenwire.backends.base import Origin
from tokenwire.backends.memory import EOF, MemoryBackend

ALL = bool(os.environ.get("TOKENWIRE_ALL_CUTS"))

#: Chunked, compressed, both families, an error in the stream, a refusal, a whole object.
FEW = (
    "llama-chat-zero-token",
    "nginx-gzip-chat",
    "litellm-resp-mock",
    "llama-chat-miderror",
    "tf-chat-err-model",
    "h11-chat-nostream",
)
_LONG = 8_192


class Watched:
    """A backend whose connections tell how many bytes were read of them."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.arrived = threading.Event()
        self.left = 0

    def expect(self, count: int) -> None:
        """`arrived` is set as soon as so many bytes were read."""
        self.left = count
        self.arrived.clear()
        if not count:
            self.arrived.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def connect(self, origin: Origin, context: Any, deadline: float | None) -> Any:
        return _WatchedTransport(self, await self._backend.connect(origin, context, deadline))


class _WatchedTransport:
    def __init__(self, watched: Watched, inner: Any) -> None:
        self._watched = watched
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def receive_into(self, buffer: Any, deadline: float | None) -> int:
        count: int = await self._inner.receive_into(buffer, deadline)
        self._watched.left -= count
        if self._watched.left <= 0:
            self._watched.arrived.set()
        return count


def serve(listener: socket.socket, watched: Watched, data: bytes, where: list[cuts.Cut], how: str) -> None:
    """One connection and one answer for each cut."""
    for cut in where:
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(PATIENCE)
            request = b""
            while not request.endswith(b"}"):  # the body is JSON, and short
                request += sock.recv(65_536)
            watched.expect(cut.at)
            sock.sendall(data[: cut.at])
            if how == "RST":
                # A reset makes the client's kernel drop what was not read yet.
                assert watched.arrived.wait(PATIENCE), "what was sent is not read"
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def whole(vector: Vector) -> cuts.Found:
    """What comes of the answer where nothing cuts it."""
    with tokenwire.Client(
        api_key="k", base_url="http://test/v1", max_retries=0, backend=MemoryBackend([[vector.data, EOF]])
    ) as client:
        return cuts.take(client, vector)


def sweep(way: Way, how: str, jobs: list[tuple[Vector, list[int]]]) -> None:
    """Cut each of these recordings at these places."""
    sync = way.id == "sync"
    kind: Any = tokenwire.Client if sync else tokenwire.AsyncClient
    watched = Watched(way.backend)
    planned = [(vector, cuts.cuts(vector, offsets)) for vector, offsets in jobs]

    async def main() -> None:
        client = kind(api_key="k", base_url=url, backend=watched, max_retries=0, timeout=PATIENCE)
        for vector, where in planned:
            reference = whole(vector)
            for cut in where:
                found = cuts.take(client, vector) if sync else await cuts.atake(client, vector)
                cuts.judge(vector, cut, how, reference, found)
                counts = client._pools.pool.counts()
                assert counts["active"] == counts["waiting"] == 0, cut
                # A whole answer's connection is kept, and has been closed behind it: the next cut needs its own.
                client._pools.pool.close()
                client._pools.pool = None

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        serving = Threaded(
            lambda: [serve(listener, watched, vector.data, where, how) for vector, where in planned]
        )
        way.run(main)
        serving.result()


@ways
@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("name", FEW)
def test_cut_after_every_byte(name: str, how: str, way: Way) -> None:
    vector = load(name)
    size, salt = len(vector.data), sum(f"{name}{how}{way.id}".encode())
    some = {*range(salt % 61, size, 61), *range(size - 8, size + 1)}
    sweep(way, how, [(vector, list(range(size + 1)) if ALL else sorted(some))])


@ways
@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("part", range(8))
def test_cut_beside_line_ends(part: int, how: str, way: Way) -> None:
    jobs = []
    for vector in map(load, names()[part::8]):
        ends = cuts.line_ends(vector)
        if ALL:
            chosen = ends if len(vector.data) <= _LONG else ends[:100] + ends[-100:]
        else:
            chosen = [ends[sum(f"{vector.name}{how}{way.id}".encode()) * 7919 % len(ends)]]
        jobs.append((vector, chosen))
    sweep(way, how, jobs)
