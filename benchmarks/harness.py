"""What a rival is told, and the window in which its CPU is counted.

A rival is a module in `rivals/`. It has

    LABEL        what the table calls it
    KIND         "async", "sync", "whole" or "server"
    LOOPS        which of "asyncio", "uvloop", "trio" it runs under ("none" for sync and whole)
    SCENARIOS    which scenarios it can play
    PACKAGES     whose versions the report states; all must be importable
    GROUP        "ours", "rival" or "floor"

and, by KIND,

    async        client(call) -> async context manager; async consume(client, call, lap) -> Tally
    sync         client(call) -> context manager; consume(client, call, lap) -> Tally
    whole        run(call, lap) -> Tally: it plays all the streams of the call itself
    server       run(call, listening): serve until the process is ended; listening(port) once that can be connected to

consume plays one stream: send the request, take the first event, `lap.open()`, read the rest,
`lap.close()`. The window of a lap opens when the last of its streams has said open() and closes
when the last has said close(): set-up is outside (the request scenario counts set-up instead).
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import payloads

API_KEY = "sk-benchmark"
PROMPT = "Write a poem about the moon."
MODEL = payloads.MODEL
GO = "GO"  # the prompt that a server of the serve scenarios answers by letting all its streams go on


class Unavailable(Exception):
    """The rival cannot run here; the text says why."""


def run_loop(loop: str, main: Callable[[], Awaitable[Any]]) -> Any:
    """Run an async function on the loop of this name."""
    if loop == "trio":
        import trio

        return trio.run(main)
    if loop == "uvloop":
        try:
            import uvloop
        except ImportError as error:
            raise Unavailable("uvloop is not installed") from error
        return uvloop.run(main())  # type: ignore[arg-type]  # a coroutine
    return asyncio.run(main())  # type: ignore[arg-type]  # a coroutine


class Tally(NamedTuple):
    """What one stream delivered. tokens: text deltas (or argument deltas). chars: their length."""

    tokens: int
    chars: int

    def __add__(self, other: object) -> Tally:
        assert isinstance(other, Tally)
        return Tally(self.tokens + other.tokens, self.chars + other.chars)


@dataclass
class Call:
    """One measurement, as the worker gets it."""

    rival: str
    scenario: str
    family: str = "chat"
    loop: str = "asyncio"
    tls: bool = False
    streams: int = 20
    tokens: int = 2000
    interval_us: int = 0
    repeat: int = 1  # how often each of `streams` sends a request, one after the other
    plain_port: int = 0
    tls_port: int = 0
    control_port: int = 0
    cafile: str = ""
    warm: bool = True
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return {"tools": "tools", "structured": "json"}.get(self.scenario, "text")

    @property
    def plan(self) -> str:
        name = {"requests": "once", "idle": "idle"}
        name |= dict.fromkeys(("paced", "paced-slow", "coalesce", "latency"), "paced")
        text = f"{name.get(self.scenario, 'firehose')}-{self.kind}-{self.tokens}"
        return f"{text}-{self.interval_us}" if self.interval_us else text

    @property
    def script(self) -> payloads.Script:
        return payloads.script(self.family, self.kind, self.tokens)

    @property
    def port(self) -> int:
        return self.tls_port if self.tls else self.plain_port

    @property
    def host(self) -> str:
        # The certificate says localhost; without TLS an address saves each rival the look-up.
        return "localhost" if self.tls else "127.0.0.1"

    @property
    def base_url(self) -> str:
        return f"http{'s' if self.tls else ''}://{self.host}:{self.port}/{self.plan}/v1"

    @property
    def path(self) -> str:
        return "/responses" if self.family == "responses" else "/chat/completions"

    @property
    def url(self) -> str:
        return self.base_url + self.path

    @property
    def body(self) -> dict[str, Any]:
        """The request of those who build it by hand."""
        return self.asking(PROMPT)

    def asking(self, prompt: str) -> dict[str, Any]:
        """The body of a request with this prompt."""
        if self.family == "responses":
            return {"model": MODEL, "input": prompt, "stream": True}
        return {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "stream": True}

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {API_KEY}"}

    def raw_request(self) -> bytes:
        """The request of the floors, who have no HTTP."""
        body = json.dumps(self.body).encode()
        target = f"/{self.plan}/v1{self.path}"
        head = f"POST {target} HTTP/1.1\r\nHost: {self.host}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    def expected(self) -> Tally:
        """What one stream delivers."""
        return Tally(len(self.script.ticks), len(self.script.text))


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident() -> int:
    """Bytes of memory that this process has resident now."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


class Control:
    """The line to the origin."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = self.sock.makefile("rb")

    def go(self) -> None:
        self.sock.sendall(b"GO\n")

    def stats(self) -> dict[str, Any]:
        self.sock.sendall(b"STATS\n")
        stats: dict[str, Any] = json.loads(self.lines.readline())
        return stats

    def stamps(self) -> dict[str, list[float]]:
        """When the tokens of each numbered paced stream were sent, since this was asked last."""
        self.sock.sendall(b"STAMPS\n")
        stamps: dict[str, list[float]] = json.loads(self.lines.readline())
        return stamps

    def reset(self) -> None:
        self.sock.sendall(b"RESET\n")
        self.lines.readline()

    def close(self) -> None:
        self.lines.close()
        self.sock.close()


class Lap:
    """The window of a measurement over so many streams at once. May be run through more than once: it sums."""

    def __init__(self, control: Control, streams: int) -> None:
        self.control = control
        self.streams = streams
        self.opened = 0
        self.closed = 0
        self.cpu = 0.0
        self.wall = 0.0
        self._cpu = 0.0
        self._wall = 0.0

    def open(self) -> None:
        """One more stream has its first event and waits for the rest."""
        self.opened += 1
        if self.opened == self.streams:
            gc.collect()
            self._wall = time.perf_counter()
            self._cpu = cpu()
            self.control.go()

    def close(self) -> None:
        """One more stream has been read to its end."""
        self.closed += 1
        if self.closed == self.streams:
            self.cpu += cpu() - self._cpu
            self.wall += time.perf_counter() - self._wall
            self.opened = self.closed = 0
