"""Answers cut over real sockets, by the server's end and by its reset, through every backend.

Each run takes some places of each recording: of line ends, of the head, the framing and the events; and more of a
few. TOKENWIRE_ALL_CUTS=1 cuts after every byte of every recording of up to 8 kB, and of longer ones after every byte
of both ends and each 97th between; TOKENWIRE_ALL_CUTS=2 cuts those everywhere, too (which takes hours; each recording
is then a test of its own, for -k to choose). What must come out, and after every byte of every recording, in memory:
test_cut_everywhere.py.
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

ALL = int(os.environ.get("TOKENWIRE_ALL_CUTS", "0"))

#: Those that each run takes more of: chunked, compressed, both families, an error in the stream, a refusal, an object.
FEW = (
    "llama-chat-zero-token",
    "nginx-gzip-chat",
    "litellm-resp-mock",
    "llama-chat-miderror",
    "tf-chat-err-model",
    "h11-chat-nostream",
)
_LONG = 8_192
_ENDS = 2_048

#: What one test takes: where the sweep is whole, one recording.
_PARTS = {name: [name] for name in names()} if ALL else {str(part): names()[part::8] for part in range(8)}


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


def _offsets(vector: Vector, salt: int) -> list[int]:
    """Where to cut it; salt: for other places in each backend and way to end."""
    if ALL:
        return cuts.offsets(vector, _LONG if ALL == 1 else None, _ENDS)
    size, ends = len(vector.data), cuts.line_ends(vector)
    some = {ends[salt * 7919 % len(ends)]}
    if vector.name in FEW:
        some |= {*range(salt % 61, size, 61), *range(size - 8, size + 1)}
    return sorted(some)


@ways
@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("part", _PARTS)
def test_cut(part: str, how: str, way: Way) -> None:
    vectors = map(load, _PARTS[part])
    sweep(way, how, [(v, _offsets(v, sum(f"{v.name}{how}{way.id}".encode()))) for v in vectors])
