"""The serve scenarios: a server in a process of its own, and a client that costs it nothing but what it asks.

Theory of operation. The server is measured: its CPU is read from the kernel's clock of that
process. The client (this process, on the other core) is one epoll over raw sockets: it sends its
requests, waits until each stream has said its first token, reads the clock, says GO, keeps every
byte until each body has ended, and reads the clock again. Only then is anything parsed: each stream
must have brought every token as an event of its own, with the text that the handler said.

    python serving.py CALL    be the server of this call (JSON); prints the port, and serves until ended
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import io
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any, cast

import payloads
from harness import GO, PROMPT, Call, Tally, Unavailable

LAST_CHUNK = b"\r\n0\r\n\r\n"
TIMEOUT = 120.0  # seconds that a run may take, only there to stop a hang


def cpu_of(pid: int) -> float:
    """Seconds of CPU, user and system, that a process has used: clock_getcpuclockid(3), which Python lacks."""
    return time.clock_gettime((~pid << 3) | 2)


@contextlib.contextmanager
def server(call: Call, core: int | None) -> Iterator[tuple[int, int]]:
    """A server in a process of its own: (its id, its port)."""
    command = [sys.executable, __file__, json.dumps({**asdict(call), "core": core})]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise Unavailable(f"{call.rival} did not start: exit status {process.wait()}")
        yield process.pid, int(line)
    finally:
        process.kill()  # some servers wait for their streams, or say a long goodbye
        process.stdout.close()
        process.wait()


def request(call: Call, prompt: str) -> bytes:
    body = json.dumps(call.asking(prompt)).encode()
    head = (
        f"POST /v1{call.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer sk-benchmark\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Stream:
    """One answer: all its bytes, and whether they have ended."""

    def __init__(self, port: int, asks: bytes) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(asks)
        self.sock.setblocking(False)
        self.pieces: list[bytes] = []
        self.tail = b""

    def read(self) -> None:
        data = self.sock.recv(262_144)
        if not data:
            raise ConnectionError("the server closed a stream before its end: " + repr(b"".join(self.pieces)[:300]))
        self.pieces.append(data)
        self.tail = (self.tail + data[-7:])[-7:]

    @property
    def ended(self) -> bool:
        return self.tail == LAST_CHUNK


def drain(streams: list[Stream], until: Any, deadline: float) -> None:
    """Read these streams until each fulfils a condition."""
    poll = select.epoll()
    waiting = {stream.sock.fileno(): stream for stream in streams if not until(stream)}
    for fd in waiting:
        poll.register(fd, select.EPOLLIN)
    while waiting:
        ready = poll.poll(deadline - time.monotonic())
        if not ready:
            raise TimeoutError(f"{len(waiting)} streams have not ended")
        for fd, _events in ready:
            stream = waiting[fd]
            stream.read()
            if until(stream):
                poll.unregister(fd)
                del waiting[fd]
    poll.close()


class _Said:
    """A socket that has said all it will, for http.client."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self.data)


def delivered(call: Call, raw: bytes) -> tuple[list[str], bytes]:
    """The deltas of one answer, one for each event that has any, and its body."""
    response = http.client.HTTPResponse(cast(Any, _Said(raw)))
    response.begin()
    body = response.read()
    if response.status != 200:
        raise RuntimeError(f"status {response.status}: {body[:300]!r}")
    found: list[str] = []
    for line in body.replace(b"\r\n", b"\n").split(b"\n"):
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        if call.family == "responses":
            text = event["delta"] if event["type"] == "response.output_text.delta" else ""
        else:
            text = event["choices"][0]["delta"].get("content") if event["choices"] else ""
        if text:
            found.append(text)
    return found, body


def play(call: Call, pid: int, port: int) -> dict[str, Any]:
    """All the streams of a call, once."""
    deadline = time.monotonic() + TIMEOUT
    asks = request(call, PROMPT)
    text = payloads.WORDS[0]
    first = json.dumps(text).encode() + b"}" if call.family == "chat" else json.dumps(text).encode() + b","
    streams = [Stream(port, asks) for _ in range(call.streams)]
    drain(streams, lambda stream: first in b"".join(stream.pieces), deadline)
    begun, wall = cpu_of(pid), time.perf_counter()
    go = Stream(port, request(call, GO))
    drain([*streams, go], lambda stream: stream.ended, deadline)
    used, took = cpu_of(pid) - begun, time.perf_counter() - wall
    said = [text, *payloads.pieces_of_prose(call.tokens)]
    sends = 0
    total = Tally(0, 0)
    for stream in streams:
        stream.sock.close()
        found, _body = delivered(call, b"".join(stream.pieces))
        if found != said:
            raise RuntimeError(f"a stream brought {len(found)} deltas of {len(said)}, or others")
        sends += len(stream.pieces)
        total += Tally(len(found) - 1, sum(map(len, found)) - len(text))
    go.sock.close()
    return {
        "tokens": total.tokens,
        "chars": total.chars,
        "streams": len(streams),
        "cpu_us_per_token": used / total.tokens * 1e6,
        "cpu_seconds": used,
        "wall_seconds": took,
        "busy": used / took,
        "reads": sends,
    }


def measure_server(call: Call, core: int | None) -> dict[str, Any]:
    """CPU of the server for each token served."""
    with server(call, core) as (pid, port):
        if call.warm:
            play(replace(call, tokens=call.tokens), pid, port)  # the same: the server was told how much to say
        return play(call, pid, port)


def main() -> None:
    given = json.loads(sys.argv[1])
    core = given.pop("core")
    if core is not None:
        os.sched_setaffinity(0, {core})
    call = Call(**given)
    importlib.import_module(f"rivals.{call.rival}").run(call, lambda port: print(port, flush=True))


if __name__ == "__main__":
    main()
