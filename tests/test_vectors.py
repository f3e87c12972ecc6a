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
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from functools import cache, partial
from typing import Any

import pytest

import tokenwire
from support import outcome, vectors
from support.loops import together
from support.replay import Played, Replay, replaying
from tokenwire.backends import named
from tokenwire.backends.asyncio_transport import AsyncioTransport
from tokenwire.backends.memory import EOF, MemoryBackend
from tokenwire.wire.buffer import ReceiveBuffer

NAMES = vectors.names()
BACKENDS = ["asyncio", "trio", "anyio", "sync"]

#: Twenty-one recordings are longer, and their frames repeat. Event loops read all but 1,500 bytes at either end of
#: those by 23 bytes, a prime, so that the cuts wander through the frames; TOKENWIRE_ALL_SPLITS=1 by the byte.
_LONG, _SINGLY, _MIDDLE = 8_192, 1_500, 23

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


def _watched(vector: vectors.Vector) -> Callable[[int], object]:
    """To be told of each event of this recording: it lets the server know when all have been read."""
    read = _read[vector.name] = threading.Event()

    def seen(count: int) -> None:
        if count == vector.expected["json_events"]:
            read.set()

    return seen


def _play(
    backend: str, played: Sequence[tuple[vectors.Vector, dict[str, Any]]], everywhere: bool = True
) -> list[outcome.Outcome]:
    """The outcomes of these recordings, each asked for with its options: at once, where the backend has a loop."""
    if backend == "sync":
        found = []
        for vector, options in played:
            with tokenwire.Client(**options) as client:
                found.append(outcome.call(client, vector, _watched(vector)))
        return found
    run = named(backend)
    of: dict[str, outcome.Outcome] = {}

    async def one(vector: vectors.Vector, options: dict[str, Any]) -> None:
        _reading.set(_Reading(vector, everywhere))
        async with tokenwire.AsyncClient(backend=backend, **options) as client:
            of[vector.name] = await outcome.acall(client, vector, _watched(vector))

    run.run(lambda: together(run, *(partial(one, *each) for each in played)))
    return [of[vector.name] for vector, _ in played]


@pytest.mark.parametrize("name", NAMES)
def test_over_sockets(server: Replay, name: str) -> None:
    vector = vectors.load(name)
    for backend in BACKENDS:
        (found,) = _play(backend, [(vector, _options(server, name, "whole"))])
        outcome.check(found, vector)
        assert found.plain() == _reference(name), backend


#: Recordings of about one length, longest first: those that are read at once share the turns of the event loop, of
#: which there would be one for each byte of each.
_BY_LENGTH = sorted(NAMES, key=lambda name: -len(vectors.load(name).data))
_AT_ONCE = [_BY_LENGTH[at : at + 8] for at in range(0, len(NAMES), 8)]


class _Reading:
    """How much of a recording has been read."""

    def __init__(self, vector: vectors.Vector, everywhere: bool) -> None:
        self.size = len(vector.data)
        self.everywhere = everywhere or self.size <= _LONG
        self.taken = 0

    @property
    def room(self) -> int:
        return 1 if self.everywhere or not _SINGLY <= self.taken < self.size - _SINGLY else _MIDDLE


#: What the task that is running reads. (asyncio calls a connection's protocol in the context that it was made in.)
_reading: ContextVar[_Reading] = ContextVar("_reading")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("names", _AT_ONCE, ids="+".join)
def test_one_byte_a_read(
    server: Replay, names: list[str], backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is with the kernel, and each read has room for one byte of it: what the network joins stays apart."""
    expected = [_reference(name) for name in names]  # now: it is not to be read by the byte
    lend = ReceiveBuffer.get_buffer

    def room(buffer: ReceiveBuffer, sizehint: int = -1) -> memoryview:
        return lend(buffer)[: _reading.get().room]

    def counting(update: Callable[[Any, int], None]) -> Callable[[Any, int], None]:
        def count(told: Any, nbytes: int) -> None:
            _reading.get().taken += nbytes
            update(told, nbytes)

        return count

    everywhere = backend == "sync" or bool(os.environ.get("TOKENWIRE_ALL_SPLITS"))
    if everywhere or len(vectors.load(names[0]).data) <= _LONG:
        monkeypatch.setattr(ReceiveBuffer, "get_buffer", lambda buffer, sizehint=-1: lend(buffer)[:1])
    else:
        monkeypatch.setattr(ReceiveBuffer, "get_buffer", room)
        # Whoever is told of a read. (asyncio's transport tells the buffer nothing: it moves its end by itself.)
        for told in (ReceiveBuffer, AsyncioTransport):
            monkeypatch.setattr(told, "buffer_updated", counting(told.buffer_updated))
    # The clocks, which would be set anew for each byte, have their own tests. (The server's patience ends a hang.)
    played = [(vectors.load(name), _options(server, name, "bytewise") | {"timeout": None}) for name in names]
    for (vector, _), whole, found in zip(played, expected, _play(backend, played, everywhere), strict=True):
        outcome.check(found, vector)
        assert found.plain() == whole, vector.name
        if found.stats is not None and (everywhere or len(vector.data) <= _LONG):
            # Where the end of the stream is no byte, it is a read of its own, too.
            assert found.stats.bytes <= found.stats.reads <= found.stats.bytes + 1, vector.name
        elif found.stats is not None:
            # The last read of the middle may end behind it, and one may come before there is all that it has room for.
            middle = len(vector.data) - 2 * _SINGLY
            least = found.stats.bytes - middle + middle // _MIDDLE - _MIDDLE
            assert least <= found.stats.reads <= 1.2 * least, vector.name


def test_silence_is_told_by_the_event_clock(server: Replay) -> None:
    vector = vectors.load(SILENT)
    found: dict[str, outcome.Outcome] = {}

    def play(backend: str) -> None:
        options = _options(server, SILENT, "silent")
        (found[backend],) = _play(backend, [(vector, options | {"timeout": tokenwire.Timeouts(event=1.0)})])

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


