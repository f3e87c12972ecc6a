"""Answers cut after every byte, over real sockets: by the server's end, and by its reset.

What must come out is told by h11 and by the events' own lines, not by us: every event that was
whole before the cut, and then a clean end or a typed error. TOKENWIRE_ALL_CUTS=1 takes every
offset of every short recording; else each run takes every 127th of a few, and all that are near the end.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import struct
import threading
from typing import Any

import pytest

import tokenwire
from support.loops import PATIENCE, Threaded, Way, ways
from support.vectors import Vector, body, load, names
from tokenwire.backends.base import Origin

ALL = bool(os.environ.get("TOKENWIRE_ALL_CUTS"))
_LONGEST = 8_000

#: No errors among them: one that is refused, or reported in the stream, ends otherwise (tests/test_vectors.py).
FEW = ("node-chat-nodone", "llama-chat-zero-token", "tf-resp-plain", "node-chat-crlf")


def _fit(vector: Vector) -> bool:
    """Whether it is a good, short, plain stream."""
    if not (vector.expected["stream"] and vector.asked_to_stream and len(vector.data) <= _LONGEST):
        return False
    head, content = body(vector)
    if head.split()[1] != b"200" or b"content-encoding" in head.lower() or b"error" in content:
        return False
    return content.startswith((b"data:", b"event:", b":")) and b"\r\r" not in content


VECTORS = [name for name in names() if _fit(load(name))] if ALL else FEW


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


def serve(listener: socket.socket, watched: Watched, data: bytes, cuts: list[int], how: str) -> None:
    """One connection and one answer for each cut."""
    for at in cuts:
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(PATIENCE)
            request = b""
            while not request.endswith(b"}"):  # the body is JSON, and short
                request += sock.recv(65_536)
            watched.expect(at)
            sock.sendall(data[:at])
            if how == "RST":
                # A reset makes the client's kernel drop what was not read yet.
                assert watched.arrived.wait(PATIENCE), "what was sent is not read"
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def offsets(vector: Vector, salt: int) -> list[int]:
    size = len(vector.data)
    if ALL:
        return list(range(size + 1))
    return sorted({*range(salt % 127, size, 127), *range(size - 8, size + 1)})


@functools.cache
def whole(name: str, at: int) -> tuple[bool, list[str]]:
    """Whether the head is whole at this cut, and the data of every event that is, [DONE] included. By h11."""
    vector = load(name)
    end = vector.data.index(b"\r\n\r\n") + 4
    if at < end:
        return False, []
    # As if it stayed open: what h11 tells then is all that has come.
    _, content = body(Vector(vector.name, vector.data[:at], {"response": {"connection_end": "open"}}))
    if content.endswith(b"\r"):
        content = content[:-1]
    found = []
    *blocks, last = content.replace(b"\r\n", b"\n").decode(errors="replace").split("\n\n")
    for block in (*blocks, last):
        lines = [line[5:].removeprefix(" ") for line in block.split("\n") if line.startswith("data:")]
        if lines:
            found.append("\n".join(lines))
    # The blank line behind the last event may be what was cut: its JSON tells whether the rest is there.
    if "data:" in last and found[-1] != "[DONE]" and not _is_json(found[-1]):
        found.pop()
    return True, found


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def complete(family: str, data: list[str]) -> bool:
    """Whether these events are a whole answer (wire facts): by their own words."""
    if "[DONE]" in data:
        return True
    events = [json.loads(one) for one in data]
    if family == "responses":
        return any(event.get("type", "").removeprefix("response.") in ENDS for event in events)
    choices = [choice for event in events for choice in event.get("choices", ())]
    seen = {choice.get("index", 0) for choice in choices}
    return bool(seen) and seen == {choice.get("index", 0) for choice in choices if choice.get("finish_reason")}


ENDS = ("completed", "incomplete", "failed", "cancelled")


async def read(client: Any, family: str, sync: bool) -> tuple[bool, list[Any], Exception | None]:
    """Whether there was a stream, its events, and how it failed."""
    got: list[Any] = []
    begun = False
    if family == "chat":
        create, asked = client.chat.completions.create, {"messages": []}
    else:
        create, asked = client.responses.create, {"input": "x"}
    try:
        found = create(model="m", stream=True, **asked)
        stream: Any = found if sync else await found
        begun = True
        if sync:
            for event in stream:
                got.append(event)  # what came before a failure counts
        else:
            async for event in stream:
                got.append(event)
    except tokenwire.TokenwireError as error:
        return begun, got, error
    return begun, got, None


@ways
@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("name", VECTORS)
def test_cut_after_every_byte(name: str, how: str, way: Way) -> None:
    vector = load(name)
    family = "responses" if vector.family.startswith("resp") else "chat"
    cuts = offsets(vector, sum(f"{name}{how}{way.id}".encode()))
    watched = Watched(way.backend)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(PATIENCE)
    sync = way.id == "sync"
    kind: Any = tokenwire.Client if sync else tokenwire.AsyncClient

    async def main() -> None:
        client = kind(
            api_key="k",
            base_url=f"http://127.0.0.1:{listener.getsockname()[1]}/v1",
            backend=watched,
            max_retries=0,
            timeout=PATIENCE,
        )
        for at in cuts:
            begun, got, failure = await read(client, family, sync)
            there, data = whole(name, at)
            expected = [json.loads(one) for one in data if one != "[DONE]"]
            assert begun == there, at
            assert [event.to_dict() for event in got] == expected, at
            if complete(family, data):
                assert failure is None, at
            elif begun:
                assert type(failure) is tokenwire.StreamTruncatedError, (at, failure)
                assert failure.events == len(expected), at
            else:
                assert isinstance(failure, tokenwire.APIConnectionError), (at, failure)
                assert not isinstance(failure, (tokenwire.StreamTruncatedError, tokenwire.APITimeoutError)), at
            counts = client._pools.pool.counts()
            assert counts["active"] == counts["waiting"] == 0, at
            # A whole answer's connection is kept, and has been closed behind it: the next cut needs its own.
            client._pools.pool.close()
            client._pools.pool = None

    serving = Threaded(lambda: serve(listener, watched, vector.data, cuts, how))
    try:
        way.run(main)
        serving.result()
    finally:
        listener.close()
