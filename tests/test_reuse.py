"""Streams one after another use one connection: over sockets, counted by the server, and through memory."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

import tokenwire
from support import vectors
from support.loops import Way, ways
from support.replay import PATIENCE, Played, replaying
from tokenwire.backends.memory import EOF, REQUEST, MemoryBackend

TURNS = 20
LAST_CHUNK = b"0\r\n\r\n"

#: Streams of both families that end by [DONE] or by a terminal event, with the last chunk behind it.
STREAMS = ["h11-vllmlike-chat", "hyper-vllmlike-chat", "h11-ssestarlette-resp"]
WHOLE = ["h11-chat-nostream", "nginx-gzip-nostream"]


class Split(Played):
    """Everything but the last chunk; that comes only after the client has read the stream to its end."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.consumed = threading.Event()
        self.sent = threading.Event()

    def play(self, sock: socket.socket) -> None:
        assert self.data.endswith(LAST_CHUNK)
        sock.sendall(self.data[: -len(LAST_CHUNK)])
        assert self.consumed.wait(PATIENCE)
        sock.sendall(LAST_CHUNK)
        self.sent.set()

    def go_on(self) -> None:
        """The stream is over. Returns once the last chunk has arrived, too."""
        self.consumed.set()
        assert self.sent.wait(PATIENCE)


def _arguments(vector: vectors.Vector, stream: bool) -> dict[str, Any]:
    if vector.family == "chat":
        return {"model": "m", "messages": [], "stream": stream}
    return {"model": "m", "input": "", "stream": stream}


def _turns(way: Way, vector: vectors.Vector, options: dict[str, Any], between: Callable[[], object]) -> list[int]:
    """How many events each of the streams had; 1 for a whole answer."""
    stream = vector.asked_to_stream
    arguments = _arguments(vector, stream)
    counts = []
    if way.id == "sync":
        with tokenwire.Client(api_key="k", max_retries=0, **options) as client:
            create: Any = client.chat.completions.create if vector.family == "chat" else client.responses.create
            for _ in range(TURNS):
                found = create(**arguments)
                counts.append(len(list(found)) if stream else 1)
                between()
        return counts

    async def main() -> None:
        async with tokenwire.AsyncClient(api_key="k", max_retries=0, backend=way.backend, **options) as client:
            create: Any = client.chat.completions.create if vector.family == "chat" else client.responses.create
            for _ in range(TURNS):
                found = await create(**arguments)
                counts.append(len([event async for event in found]) if stream else 1)
                between()

    way.run(main)
    return counts


@ways
@pytest.mark.parametrize("name", [*STREAMS, *WHOLE])
def test_one_connection(way: Way, name: str) -> None:
    vector = vectors.load(name)
    assert vector.end == "open"
    with replaying(lambda head, body: Played(vector.data)) as server:
        counts = _turns(way, vector, {"base_url": server.url}, lambda: None)
        assert counts == [vector.expected["json_events"]] * TURNS
        assert (server.accepts, len(server.requests)) == (1, TURNS)


@ways
@pytest.mark.parametrize("name", STREAMS)
def test_one_connection_though_the_last_chunk_comes_later(way: Way, name: str) -> None:
    vector = vectors.load(name)
    answers: list[Split] = []

    def answer(head: bytes, body: bytes) -> Split:
        answers.append(Split(vector.data))
        return answers[-1]

    with replaying(answer) as server:
        counts = _turns(way, vector, {"base_url": server.url}, lambda: answers.pop().go_on())
        assert counts == [vector.expected["json_events"]] * TURNS
        assert (server.accepts, len(server.requests)) == (1, TURNS)


@ways
def test_a_server_that_closes_is_left(way: Way) -> None:
    """One connection for each, and never a failure: the end of one is seen before the next request."""
    vector = vectors.load("llama-chat-plain")
    with replaying(lambda head, body: Played(vector.data, "eof")) as server:
        counts = _turns(way, vector, {"base_url": server.url}, lambda: None)
        assert counts == [34] * TURNS
        assert server.accepts == TURNS


# -- through memory, where each read is ours ---------------------------------------------


def _sync_streams(peer: MemoryBackend, vector: vectors.Vector, turns: int) -> None:
    with tokenwire.Client(api_key="k", base_url="http://test/v1", max_retries=0, backend=peer) as client:
        for _ in range(turns):
            stream = client.chat.completions.create(model="m", messages=[], stream=True)
            assert len(list(stream)) == vector.expected["json_events"]


@pytest.mark.parametrize("cut", range(1, len(LAST_CHUNK) + 1))
def test_the_last_chunk_in_a_read_of_its_own(cut: int) -> None:
    """Wherever the last chunk is cut, the next acquire finishes it with reads that do not wait."""
    vector = vectors.load("h11-vllmlike-chat")
    at = len(vector.data) - cut
    script: list[Any] = []
    for _ in range(TURNS):
        script += [REQUEST, vector.data[:at], *(vector.data[i : i + 1] for i in range(at, len(vector.data)))]
    peer = MemoryBackend([script])
    _sync_streams(peer, vector, TURNS)
    assert len(peer.connections) == 1


def test_a_last_chunk_that_is_still_under_way_is_not_waited_for() -> None:
    vector = vectors.load("h11-vllmlike-chat")
    unfinished = [REQUEST, vector.data[: -len(LAST_CHUNK)]]
    peer = MemoryBackend([unfinished, [REQUEST, vector.data, REQUEST, vector.data]])
    _sync_streams(peer, vector, 3)
    assert len(peer.connections) == 2
    assert peer.time == 0.0  # nothing waited


_UNASKED = b"HTTP/1.1 408 Request Timeout\r\n\r\n"


@pytest.mark.parametrize(
    "tail",
    [[LAST_CHUNK, _UNASKED], [LAST_CHUNK + _UNASKED], [LAST_CHUNK, EOF], [EOF], [b"junk"], [LAST_CHUNK[:3], EOF]],
)
def test_what_cannot_be_finished_is_not_used_again(tail: list[Any]) -> None:
    vector = vectors.load("h11-vllmlike-chat")
    first = [REQUEST, vector.data[: -len(LAST_CHUNK)], *tail]
    peer = MemoryBackend([first, [REQUEST, vector.data]])
    _sync_streams(peer, vector, 2)
    assert len(peer.connections) == 2
    assert peer.connections[0].closed
