"""The recordings of eleven real servers, through the public face, held to the expectation beside each.

Three ways to play them:

* over real sockets, through every backend, whole and byte by byte, where each byte is a read of its own;
* through memory, where each read brings what we say: two pieces, cut anywhere;
* their bodies anew, in other line ends and under other framings.

All must give the same events, to the letter.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

import tokenwire
from support import outcome, vectors
from support.replay import Played, Replay, replaying
from tokenwire.backends import named
from tokenwire.backends.memory import EOF, MemoryBackend
from tokenwire.wire.buffer import ReceiveBuffer

NAMES = vectors.names()
BACKENDS = ["asyncio", "trio", "anyio", "sync"]

#: Twenty-one recordings are longer, and their frames repeat. Event loops read all but 2,000 bytes at either end of
#: those by 13 bytes, a prime, so that the cuts wander through the frames; TOKENWIRE_ALL_SPLITS=1 by the byte.
_LONG, _SINGLY, _MIDDLE = 8_192, 2_000, 13

#: The one recording whose end is silence. Over sockets it is closed here; its silence has tests of its own.
SILENT = "llama-chat-sigterm"


def test_all_are_here() -> None:
    assert len(NAMES) == 123


# -- over sockets ------------------------------------------------------------------


#: Per recording: the client has read all its events.
_read: defaultdict[str, threading.Event] = defaultdict(threading.Event)


def _answer(head: bytes, body: bytes) -> Played:
    _, name, mode, _ = head.split(b" ", 2)[1].decode().split("/", 3)
    vector = vectors.load(name)
    end = "eof" if name == SILENT and mode != "silent" else vector.end
    return Played(vector.data, end, read=_read[name])


@pytest.fixture(scope="module")
def server() -> Iterator[Replay]:
    with replaying(_answer) as running:
        yield running


def _options(server: Replay, name: str, mode: str) -> dict[str, Any]:
    host, port = server.address
    return {"api_key": "k", "base_url": f"http://{host}:{port}/{name}/{mode}", "max_retries": 0}


def _play(vector: vectors.Vector, backend: str, options: dict[str, Any]) -> outcome.Outcome:
    read = _read[vector.name] = threading.Event()

    def seen(count: int) -> None:
        if count == vector.expected["json_events"]:
            read.set()

    if backend == "sync":
        with tokenwire.Client(**options) as client:
            return outcome.call(client, vector, seen)

    async def main() -> outcome.Outcome:
        async with tokenwire.AsyncClient(backend=backend, **options) as client:
            return await outcome.acall(client, vector, seen)

    return named(backend).run(main)


@pytest.mark.parametrize("name", NAMES)
def test_over_sockets(server: Replay, name: str) -> None:
    vector = vectors.load(name)
    for backend in BACKENDS:
        found = _play(vector, backend, _options(server, name, "whole"))
        outcome.check(found, vector)
        assert found.plain() == _reference(name), backend


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NAMES)
def test_one_byte_a_read(server: Replay, name: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is with the kernel, and each read has room for one byte of it: what the network joins stays apart."""
    vector = vectors.load(name)
    size, lend, update = len(vector.data), ReceiveBuffer.get_buffer, ReceiveBuffer.buffer_updated
    everywhere = size <= _LONG or backend == "sync" or bool(os.environ.get("TOKENWIRE_ALL_SPLITS"))
    taken = 0

    def middle(buffer: ReceiveBuffer, sizehint: int = -1) -> memoryview:
        return lend(buffer)[: _MIDDLE if _SINGLY <= taken < size - _SINGLY else 1]

    def count(buffer: ReceiveBuffer, nbytes: int) -> None:
        nonlocal taken
        taken += nbytes
        update(buffer, nbytes)

    if everywhere:
        monkeypatch.setattr(ReceiveBuffer, "get_buffer", lambda buffer, sizehint=-1: lend(buffer)[:1])
    else:
        monkeypatch.setattr(ReceiveBuffer, "get_buffer", middle)
        monkeypatch.setattr(ReceiveBuffer, "buffer_updated", count)
    found = _play(vector, backend, _options(server, name, "bytewise"))
    outcome.check(found, vector)
    assert found.plain() == _reference(name)
    if found.stats is not None and everywhere:
        # Where the end of the stream is no byte, it is a read of its own, too.
        assert found.stats.bytes <= found.stats.reads <= found.stats.bytes + 1


def test_silence_is_told_by_the_event_clock(server: Replay) -> None:
    vector = vectors.load(SILENT)
    found: dict[str, outcome.Outcome] = {}

    def play(backend: str) -> None:
        options = _options(server, SILENT, "silent")
        found[backend] = _play(vector, backend, options | {"timeout": tokenwire.Timeouts(event=1.0)})

    threads = [threading.Thread(target=play, args=(backend,)) for backend in BACKENDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for backend in BACKENDS:
        error = found[backend].error
        assert isinstance(error, tokenwire.APITimeoutError), repr(error)
        assert (error.clock, error.seconds) == ("event", 1.0)
        outcome.check_chat(found[backend], vector)
        assert found[backend].plain()[0] == _reference(SILENT)[0]


# -- through memory ----------------------------------------------------------------


def _remember(pieces: list[Any], vector: vectors.Vector) -> outcome.Outcome:
    with tokenwire.Client(
        api_key="k", base_url="http://test/v1", max_retries=0, backend=MemoryBackend([pieces])
    ) as client:
        return outcome.call(client, vector)


def _end(vector: vectors.Vector) -> list[Any]:
    if vector.end == "reset":
        return [ConnectionResetError(104, "Connection reset by peer")]
    return [EOF] if vector.end == "eof" or vector.name == SILENT else []


@cache
def _reference(name: str) -> Any:
    vector = vectors.load(name)
    return _remember([vector.data, *_end(vector)], vector).plain()


def test_silence_through_memory() -> None:
    vector = vectors.load(SILENT)
    found = _remember([vector.data], vector)
    assert isinstance(found.error, tokenwire.APITimeoutError)
    assert found.error.clock == "event"
    outcome.check_chat(found, vector)


def test_a_connection_that_stays_open_behind_the_marker_is_not_waited_for() -> None:
    # Memory would tell of a read that waits: it has no clock but its own, and raises.
    vector = vectors.load("node-chat-hang")
    assert vector.end == "timeout"
    outcome.check(_remember([vector.data], vector), vector)


def _splits(data: bytes) -> list[int]:
    """Where to cut in two. All places are too many for each run (TOKENWIRE_ALL_SPLITS=1 plays them): 16,
    shifted by the length, and all around the end of the head and the first and last frames."""
    if os.environ.get("TOKENWIRE_ALL_SPLITS"):
        return list(range(1, len(data)))
    body = data.index(b"\r\n\r\n")
    edges = {*range(body - 2, body + 24), *range(len(data) - 24, len(data))}
    step = max(13, len(data) // 16)
    return sorted(at for at in edges | set(range(1 + len(data) % step, len(data), step)) if 0 < at < len(data))


@pytest.mark.parametrize("name", [name for name in NAMES if len(vectors.load(name).data) < 10_000])
def test_cut_in_two(name: str) -> None:
    vector = vectors.load(name)
    expected = _reference(name)
    for at in _splits(vector.data):
        found = _remember([vector.data[:at], vector.data[at:], *_end(vector)], vector)
        assert found.plain() == expected, at


# -- other line ends, other framings -----------------------------------------------

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def _chunked(body: bytes) -> list[Any]:
    """In chunks of 97 bytes, which no event respects."""
    pieces = [body[at : at + 97] for at in range(0, len(body), 97)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return [_HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"]


def _by_length(body: bytes) -> list[Any]:
    return [_HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body]


def _until_close(body: bytes) -> list[Any]:
    return [_HEAD + b"\r\n" + body, EOF]


STREAMS = [
    name
    for name in NAMES
    if vectors.load(name).expected["stream"] and vectors.load(name).expected["outcome"] != "http_error"
]


@pytest.mark.parametrize("name", STREAMS)
def test_line_ends_and_framings(name: str) -> None:
    vector = vectors.load(name)
    _, body = vectors.body(vector)
    for line_end in (b"\n", b"\r\n", b"\r"):
        lines = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", line_end)
        for framing in (_chunked, _by_length, _until_close):
            found = _remember(framing(lines), vector)
            # Framed anew, a cut stream ends like a whole one: only its events tell.
            outcome.check(found, vector)
            assert found.plain() == _reference(name), (line_end, framing)


