"""Many streams at once in one process, some of which go wrong: all the others must not notice.

    PYTHONPATH=lib python tests/faults/load.py --streams 2000 --loop trio

One stream in a hundred is cut by the server, one is cancelled by its consumer, one stalls until
Timeouts.event runs out. The server is a process of its own: one thread over epoll, which sends each
stream a token in each interval, and costs a few microseconds for each.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import gc
import json
import os
import re
import resource
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import trio

import tokenwire

TOKENS = 200

#: Where it goes wrong for those for whom it does.
_WRONG_AT = 100

#: Tokens before the server stops, by a stream's fate. Who is cancelled is so while more of them come, but no end.
_STOPS = {"end": _WRONG_AT, "reset": _WRONG_AT, "stall": _WRONG_AT, "cancel": _WRONG_AT + 50}

#: Groups of streams that are served one after another within an interval.
_GROUPS = 20

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_FATE = re.compile(rb'"model": ?"([a-z]+)"')


# -- the server -----------------------------------------------------------------------


def _chunk(payload: object) -> bytes:
    data = b"data: " + (payload if isinstance(payload, bytes) else json.dumps(payload).encode()) + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def _token(number: int) -> bytes:
    choice = {"index": 0, "delta": {"content": f"{number} "}, "finish_reason": None}
    return _chunk({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})


def _pieces() -> list[bytes]:
    """The head; a token each; the end."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    last = _chunk({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + _chunk(b"[DONE]")
    return [head, *map(_token, range(TOKENS)), last + b"0\r\n\r\n"]


class _Served:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.asked = b""
        self.fate = ""
        self.next = 0
        self.unsent = b""


class _Server:
    def __init__(self, interval: float) -> None:
        self._step = interval / _GROUPS
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._epoll.register(sys.stdin, select.EPOLLIN)
        self._all: dict[int, _Served] = {}
        self._groups: list[set[_Served]] = [set() for _ in range(_GROUPS)]
        self._pieces = _pieces()
        self._joined = 0

    def run(self) -> None:
        """Until standard input ends."""
        due, turn = time.monotonic(), 0
        while True:
            for number, _ in self._epoll.poll(max(0.0, due - time.monotonic())):
                if number == self._listener.fileno():
                    self._accept()
                elif number == sys.stdin.fileno():
                    return
                else:
                    self._read(self._all[number])
            now = time.monotonic()
            if now >= due:
                for one in list(self._groups[turn]):
                    self._send(one, turn)
                turn = (turn + 1) % _GROUPS
                due = max(due + self._step, now - 1.0)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                sock, _ = self._listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._all[sock.fileno()] = _Served(sock)
                self._epoll.register(sock, select.EPOLLIN)

    def _read(self, one: _Served) -> None:
        try:
            data = one.sock.recv(65_536)
        except ConnectionError:
            data = b""
        if not data:
            self._drop(one)
            return
        one.asked += data
        head, blank, body = one.asked.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if blank and length and len(body) >= int(length[1]):
            fate = _FATE.search(body)
            one.asked, one.next, one.fate = b"", 0, fate[1].decode() if fate else ""
            self._joined += 1
            self._groups[self._joined % _GROUPS].add(one)

    def _send(self, one: _Served, turn: int) -> None:
        if not one.unsent:
            if one.next > _STOPS.get(one.fate, TOKENS + 1):
                self._groups[turn].discard(one)
                if one.fate in ("end", "reset"):
                    self._drop(one, reset=one.fate == "reset")
                return
            if one.next == len(self._pieces):
                self._groups[turn].discard(one)
                return
            one.unsent = self._pieces[one.next]
            one.next += 1
        try:
            one.unsent = one.unsent[one.sock.send(one.unsent) :]
        except BlockingIOError:
            pass
        except ConnectionError:
            self._drop(one)

    def _drop(self, one: _Served, *, reset: bool = False) -> None:
        for group in self._groups:
            group.discard(one)
        del self._all[one.sock.fileno()]
        if reset:
            one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.sock.close()


@contextlib.contextmanager
def serving(interval: float) -> Iterator[str]:
    """A server in a process of its own; its URL."""
    command = [sys.executable, __file__, "--serve", "--interval", str(interval)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.stdin.close()


# -- the client -----------------------------------------------------------------------


def fates(streams: int) -> list[str]:
    """One in a hundred each, and one at least; cuts are ends and resets by turns."""
    each = max(1, streams // 100)
    wrong = ["end", "reset"] * each
    found = [*wrong[: max(2, each)], *["cancel"] * each, *["stall"] * each]
    found += ["good"] * (streams - len(found))
    # Spread over all, in an order that is always the same.
    return [found[at * 7919 % streams] for at in range(streams)] if streams % 7919 else found


class Run:
    """One run: what became of each stream, and what it cost."""

    def __init__(self, url: str, streams: int, event: float, event_of_all: bool) -> None:
        self.url = url
        self.fates = fates(streams)
        self.event = event
        self.event_of_all = event_of_all
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []
        self.tokens = 0
        self.counts: dict[str, int] = {}
        self.left = self.tasks_left = 0
        self.seconds = self.cpu = 0.0

    def client(self) -> tokenwire.AsyncClient:
        streams = len(self.fates)
        limits = tokenwire.Limits(max_connections=streams, max_idle=streams)
        return tokenwire.AsyncClient(api_key="k", base_url=self.url, max_retries=0, limits=limits)

    async def stream(self, client: tokenwire.AsyncClient, fate: str, cancel: Any) -> None:
        """One stream, to its end."""
        words: list[str] = []
        impatient = fate == "stall" or self.event_of_all
        timeout = tokenwire.Timeouts(connect=60, event=self.event if impatient else 600)
        outcome = "broken"
        try:
            found = await client.chat.completions.create(
                model=fate, messages=[{"role": "user", "content": "x"}], stream=True, timeout=timeout
            )
            async for text in found.text():
                words.append(text)
                if fate == "cancel" and len(words) == _WRONG_AT:
                    cancel()
            outcome = "good"
        except tokenwire.StreamTruncatedError:
            outcome = "cut"
        except tokenwire.APITimeoutError as error:
            outcome = f"timeout of {error.clock}"
        except tokenwire.TokenwireError as error:
            outcome = f"{type(error).__name__}: {error}"
        except BaseException:
            outcome = "cancelled"
            raise
        finally:
            self._judge(fate, outcome, words)

    def _judge(self, fate: str, outcome: str, words: list[str]) -> None:
        self.outcomes[outcome] += 1
        self.tokens += len(words)
        wanted = {"good": "good", "end": "cut", "reset": "cut", "cancel": "cancelled", "stall": "timeout of event"}
        count = len(words)
        right = {
            "good": count == TOKENS,
            "end": count == _WRONG_AT,
            "reset": count <= _WRONG_AT,  # the kernel drops what was not read yet
            "cancel": _WRONG_AT <= count < TOKENS,
            "stall": count == _WRONG_AT or (count < _WRONG_AT and not self.event_of_all),
        }[fate]
        if outcome != wanted[fate] or not right or words != [f"{number} " for number in range(count)]:
            self.wrong.append(f"{fate}: {outcome} after {count} tokens")

    def finish(self, client: tokenwire.AsyncClient) -> None:
        pool = client._pools.pool
        assert pool is not None
        self.counts = pool.counts()

    async def on_asyncio(self) -> None:
        client, loop = self.client(), asyncio.get_running_loop()

        async def one(fate: str) -> None:
            task = asyncio.current_task()
            assert task is not None
            await self.stream(client, fate, lambda: loop.call_soon(task.cancel))

        before = descriptors()
        tasks = [asyncio.ensure_future(one(fate)) for fate in self.fates]
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()
        self.finish(client)
        self.tasks_left = len(asyncio.all_tasks()) - 1
        await client.aclose()
        for _ in range(5):
            await asyncio.sleep(0)
        self.left = descriptors() - before

    async def on_trio(self) -> None:
        client = self.client()
        token = trio.lowlevel.current_trio_token()

        async def one(fate: str) -> None:
            with trio.CancelScope() as scope:
                await self.stream(client, fate, lambda: token.run_sync_soon(scope.cancel))

        before, living = descriptors(), trio.lowlevel.current_statistics().tasks_living
        async with trio.open_nursery() as nursery:
            for fate in self.fates:
                nursery.start_soon(one, fate)
        self.finish(client)
        self.tasks_left = trio.lowlevel.current_statistics().tasks_living - living
        await client.aclose()
        self.left = descriptors() - before

    def run(self, loop: str) -> None:
        gc.collect()
        begun, cpu = time.monotonic(), time.process_time()
        if loop == "trio":
            trio.run(self.on_trio)
        elif loop == "uvloop":
            import uvloop

            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self.on_asyncio())
        else:
            asyncio.run(self.on_asyncio())
        self.seconds, self.cpu = time.monotonic() - begun, time.process_time() - cpu

    def check(self) -> None:
        """All went as it had to, and nothing is left behind."""
        assert not self.wrong, f"{len(self.wrong)} of {len(self.fates)}: {self.wrong[:5]}"
        assert sum(self.outcomes.values()) == len(self.fates)
        assert self.counts["active"] == self.counts["waiting"] == 0, self.counts
        assert self.counts["idle"] + self.counts["draining"] == self.fates.count("good"), self.counts
        assert self.left == 0, f"{self.left} descriptors are left"
        assert self.tasks_left == 0


def descriptors() -> int:
    """How many sockets this process holds. (Loops open pipes of their own when they first need one.)"""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return found


def allow_descriptors() -> None:
    """As many as this process may have: each stream needs one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard > 0 else soft, hard))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--loop", choices=["asyncio", "uvloop", "trio"], default="asyncio")
    parser.add_argument("--streams", type=int, default=2_000)
    parser.add_argument("--interval", type=float, default=0.1, help="seconds between two tokens of a stream")
    parser.add_argument("--event", type=float, default=10.0, help="Timeouts.event of every stream, in seconds")
    parser.add_argument("--serve", action="store_true", help="be the server: for its own use")
    asked = parser.parse_args()
    allow_descriptors()
    if asked.serve:
        server = _Server(asked.interval)
        print(server.port, flush=True)
        server.run()
        return
    with serving(asked.interval) as url:
        run = Run(url, asked.streams, asked.event, True)
        run.run(asked.loop)
    run.check()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{asked.loop}: {asked.streams} streams, {run.tokens} tokens in {run.seconds:.1f} s; "
        f"{run.cpu:.1f} s of CPU, {run.cpu / run.tokens * 1e6:.1f} us a token; peak {peak:.0f} MiB; "
        + ", ".join(f"{count} {name}" for name, count in sorted(run.outcomes.items()))
        + f"; kept {run.counts}; left: {run.left} descriptors, {run.tasks_left} tasks"
    )


if __name__ == "__main__":
    main()
