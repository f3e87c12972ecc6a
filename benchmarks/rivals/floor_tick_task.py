"""The floor of coalescing in asyncio: as floor_tick, and each read wakes the task that waits for it.

Nothing is parsed. The wake-up is tokenwire's own (a Future costs more).
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import types
from collections.abc import AsyncIterator, Generator
from typing import Any

from harness import Call, Lap, Tally

from rivals.floor_epoll import connect, receive_opening
from rivals.floor_tick import TICK
from tokenwire.backends.asyncio_waits import Arrival

LABEL = "bare epoll + recv_into, each 20 ms, a task woken for each read"
KIND = "async"
GROUP = "floor"
LOOPS = ("asyncio",)
SCENARIOS = ("coalesce",)
PACKAGES: tuple[str, ...] = ()

BUFFER = memoryview(bytearray(65536))  # one for all: nothing is kept


class Reader:
    """A socket, and the task that waits for it."""

    def __init__(self, call: Call) -> None:
        self.sock = connect(call)
        self.sock.sendall(call.raw_request())
        receive_opening(self.sock, len(call.script.opening))
        self.sock.setblocking(False)
        self.arrival = Arrival(asyncio.get_running_loop())
        self.count = 0

    @types.coroutine
    def receive(self) -> Generator[Any, None, int]:
        self.arrival._asyncio_future_blocking = True
        yield self.arrival
        return self.count


class Ticking:
    """Once in a tick: what is readable is read, and who waits for it woken."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.readers: dict[int, Reader] = {}
        self.timer = asyncio.get_running_loop().call_later(TICK, self.tick)

    def tick(self) -> None:
        for fd, _events in self.epoll.poll(0, len(self.readers) or 1):
            reader = self.readers[fd]
            reader.count = reader.sock.recv_into(BUFFER)
            reader.arrival.arrive()
        self.timer = asyncio.get_running_loop().call_later(TICK, self.tick)

    def close(self) -> None:
        self.timer.cancel()
        self.epoll.close()


@contextlib.asynccontextmanager
async def client(_call: Call) -> AsyncIterator[Ticking]:
    with contextlib.closing(Ticking()) as ticking:
        yield ticking


async def consume(ticking: Ticking, call: Call, lap: Lap) -> Tally:
    reader = Reader(call)
    fd = reader.sock.fileno()
    ticking.readers[fd] = reader
    ticking.epoll.register(fd, select.EPOLLIN)
    lap.open()
    left = len(call.script.body)
    while left:
        left -= await reader.receive()
    lap.close()
    ticking.epoll.unregister(fd)
    del ticking.readers[fd]
    reader.sock.close()
    return call.expected()
