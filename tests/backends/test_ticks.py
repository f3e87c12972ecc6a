"""Coalescing: what comes between two ticks comes in one read, nothing too late, and nobody stays behind in a tick."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import trio
import trio.testing

from support.loops import PATIENCE, WAYS, Way, connected, plain_and_tls, reset, rounds, taken, together
from tokenwire.backends import asyncio_ticks, named, trio_ticks
from tokenwire.backends.base import Origin, Transport
from tokenwire.backends.memory import MemoryBackend
from tokenwire.backends.ticks import Delayed, Pace, at_once, coalesced
from tokenwire.wire.buffer import ReceiveBuffer

ticking = pytest.mark.parametrize(
    "way", [way for way in WAYS if way.id in ("asyncio", "uvloop", "trio")], ids=lambda way: way.id
)
delaying = pytest.mark.parametrize(
    "way", [way for way in WAYS if way.id not in ("asyncio", "uvloop", "trio")], ids=lambda way: way.id
)

#: Ticks that come when a test says so, and not before.
NEVER = 3600.0


def ticks() -> list[Any]:
    return [*asyncio_ticks.TICKS.values(), *trio_ticks.TICKS.values()]


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Awaitable[None]]]:
    """No tick is due before this is awaited: it makes each tick that is set due now."""
    monkeypatch.setattr(Pace, "_gap", lambda self: NEVER)

    async def due() -> None:
        for tick in ticks():
            if isinstance(tick, asyncio_ticks.Tick):
                await rounds(named("asyncio"))
                assert tick._timer is not None, "nothing had come"
                tick._timer.cancel()
                tick._loop.call_soon(tick._begin)
            else:
                await trio.testing.wait_all_tasks_blocked()
                assert tick._due is not None, "nothing had come"
                tick._due = 0.0
                assert tick._interrupt is not None
                tick._interrupt.cancel()

    yield due
    assert not ticks()


@contextlib.asynccontextmanager
async def ticked(way: Way, tls: bool = False, seconds: float = 0.5) -> AsyncIterator[tuple[Transport, Any]]:
    """A transport that is coalesced, and its peer."""
    async with connected(way.backend, tls) as (transport, peer):
        if tls:  # what the handshake left to be said
            peer.sendall(b"-")
            buffer = ReceiveBuffer()
            assert await transport.receive_into(buffer, None) == 1
        changed = coalesced(transport, seconds)
        assert changed is not None
        assert len(ticks()) == 1
        try:
            yield changed, peer
        finally:
            changed.abort()


class Reader:
    """A task's reads, and what they brought."""

    def __init__(self, transport: Transport, count: int) -> None:
        self.got: list[bytes] = []
        self.transport, self.count = transport, count

    async def __call__(self) -> None:
        buffer = ReceiveBuffer(lean=True)
        while len(self.got) < self.count:
            await self.transport.receive_into(buffer, None)
            self.got.append(taken(buffer))


@ticking
@plain_and_tls
def test_what_comes_between_two_ticks_comes_in_one_read(
    way: Way, tls: bool, by_hand: Callable[[], Awaitable[None]]
) -> None:
    async def main() -> None:
        async with ticked(way, tls) as (transport, peer):
            reader = Reader(transport, 2)

            async def send() -> None:
                await rounds(way.backend)
                for piece in (b"a", b"b", b"c"):
                    peer.sendall(piece)
                    await rounds(way.backend)
                assert reader.got == []
                await by_hand()
                await rounds(way.backend)
                assert b"".join(reader.got) == b"abc"
                peer.sendall(b"d")
                await by_hand()  # the first tick read something, so it was set again by itself

            await together(way.backend, reader, send)
            assert b"".join(reader.got) == b"abcd"
            assert tls or reader.got == [b"abc", b"d"]

    way.run(main)


@ticking
def test_one_tick_serves_all(way: Way, by_hand: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with ticked(way) as (one, peer), connected(way.backend, False) as (plain, other):
            two = coalesced(plain, 0.5)
            assert two is not None
            assert len(ticks()) == 1
            readers = Reader(one, 1), Reader(two, 1)

            async def send() -> None:
                await rounds(way.backend)
                peer.sendall(b"a")
                other.sendall(b"b")
                await by_hand()

            await together(way.backend, *readers, send)
            assert [reader.got for reader in readers] == [[b"a"], [b"b"]]
            two.abort()

    way.run(main)


@ticking
def test_a_tick_reads_each_once_however_many_turns_it_takes(
    way: Way, by_hand: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where more comes all the while it would never end else, and be no tick."""
    monkeypatch.setattr(asyncio_ticks, "SLICE", 1)

    async def main() -> None:
        async with ticked(way) as (one, peer), connected(way.backend, False) as (plain, other):
            two = coalesced(plain, 0.5)
            assert two is not None
            readers = Reader(one, 2), Reader(two, 2)

            async def send() -> None:
                await rounds(way.backend)
                for piece in (b"a", b"b"):
                    for sock in (peer, other):
                        sock.sendall(piece)
                    await by_hand()
                    while not any(reader.got and piece in reader.got[-1] for reader in readers):
                        await way.backend.checkpoint()
                    if piece == b"a":
                        for sock in (peer, other):
                            sock.sendall(b"c")
                    await rounds(way.backend)
                    assert sum(len(reader.got) for reader in readers) == (2 if piece == b"a" else 4)

            await together(way.backend, *readers, send)
            two.abort()

    way.run(main)


@ticking
def test_other_seconds_have_another_tick(way: Way) -> None:
    async def main() -> None:
        async with ticked(way) as (_, _), connected(way.backend, False) as (plain, _):
            two = coalesced(plain, 0.25)
            assert len(ticks()) == 2
            assert at_once(two) is plain  # type: ignore[arg-type]  # it was there
            assert len(ticks()) == 1
        assert not ticks()

    way.run(main)


@ticking
@pytest.mark.parametrize("how", ["end", "reset"])
def test_the_end_is_seen_on_the_tick(way: Way, how: str, by_hand: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with ticked(way) as (transport, peer):

            async def leave() -> None:
                await rounds(way.backend)
                peer.close() if how == "end" else reset(peer)
                await by_hand()

            async def read() -> None:
                if how == "end":
                    assert await transport.receive_into(ReceiveBuffer(), None) == 0
                else:
                    with pytest.raises(ConnectionResetError):
                        await transport.receive_into(ReceiveBuffer(), None)

            await together(way.backend, read, leave)

    way.run(main)


@ticking
def test_a_deadline_that_falls_between_two_ticks(way: Way, by_hand: Callable[[], Awaitable[None]]) -> None:
    """It ends the wait, but what came before it counts."""

    async def main() -> None:
        async with ticked(way) as (transport, peer):
            buffer = ReceiveBuffer()
            with pytest.raises(TimeoutError):
                await transport.receive_into(buffer, way.backend.now() + 0.01)
            assert len(buffer) == 0
            peer.sendall(b"a")
            assert await transport.receive_into(buffer, way.backend.now() + 0.01) == 1
            assert taken(buffer) == b"a"
            reset(peer)
            with pytest.raises(ConnectionResetError):
                await transport.receive_into(buffer, way.backend.now() + 0.01)

    way.run(main)


@ticking
def test_who_is_elsewhere_is_not_read_for(way: Way, by_hand: Callable[[], Awaitable[None]]) -> None:
    """Its bytes stay with the kernel, and its socket keeps no tick awake."""

    async def main() -> None:
        async with ticked(way) as (one, peer), connected(way.backend, False) as (plain, other):
            two: Any = coalesced(plain, 0.5)
            reader = Reader(one, 1)

            async def send() -> None:
                await rounds(way.backend)
                other.sendall(b"b")
                await by_hand()
                await rounds(way.backend)
                assert not two.registered
                peer.sendall(b"a")
                await by_hand()

            await together(way.backend, reader, send)
            reader = Reader(two, 1)
            await together(way.backend, reader, lambda: _then(way, by_hand))
            assert reader.got == [b"b"]
            assert two.registered
            two.abort()

    way.run(main)


async def _then(way: Way, due: Callable[[], Awaitable[None]]) -> None:
    await rounds(way.backend)
    await due()


@ticking
def test_closed_under_who_waits(way: Way, by_hand: Callable[[], Awaitable[None]]) -> None:
    """Both the one who leads and one who does not."""

    async def main() -> None:
        async with ticked(way) as (one, _), connected(way.backend, False) as (plain, _):
            two = coalesced(plain, 0.5)
            assert two is not None

            async def read(transport: Transport) -> None:
                with pytest.raises(ConnectionAbortedError):
                    await transport.receive_into(ReceiveBuffer(), None)
                with pytest.raises(ConnectionAbortedError):
                    await transport.receive_into(ReceiveBuffer(), None)

            async def leave() -> None:
                await rounds(way.backend)
                two.abort()
                await rounds(way.backend)
                one.abort()

            await together(way.backend, lambda: read(one), lambda: read(two), leave)
            assert not ticks()

    way.run(main)


@ticking
def test_cancelled_it_leaves_nothing(way: Way, by_hand: Callable[[], Awaitable[None]]) -> None:
    """The one who leads first: the other goes on."""

    async def main() -> None:
        async with ticked(way):  # a loop's first connection opens what it keeps
            pass
        await rounds(way.backend)
        before = len(os.listdir("/proc/self/fd"))
        async with ticked(way) as (one, _), connected(way.backend, False) as (plain, other):
            two = coalesced(plain, 0.5)
            assert two is not None
            reader = Reader(two, 1)

            async def nothing() -> None:
                await rounds(way.backend)

            async def leads() -> None:
                await way.backend.first(Reader(one, 1), nothing)
                await rounds(way.backend)
                one.abort()
                other.sendall(b"b")
                await by_hand()

            await together(way.backend, leads, reader)
            assert reader.got == [b"b"]
            two.abort()
        await rounds(way.backend)
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == before

    way.run(main)


@ticking
@plain_and_tls
def test_afterwards_it_is_read_as_ever(way: Way, tls: bool, by_hand: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with ticked(way, tls) as (transport, peer):
            plain = at_once(transport)
            assert not ticks()
            assert at_once(plain) is plain
            buffer = ReceiveBuffer()
            for piece in (b"a", b"b"):
                peer.sendall(piece)
                assert await plain.receive_into(buffer, way.backend.now() + PATIENCE) == 1
                assert taken(buffer) == piece
            peer.close()
            assert await plain.receive_into(buffer, way.backend.now() + PATIENCE) == 0
            plain.abort()

    way.run(main)


@ticking
def test_the_rest_of_the_port(way: Way, by_hand: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with ticked(way) as (transport, peer):
            buffer = ReceiveBuffer()
            assert await transport.poll(buffer) is None
            peer.sendall(b"a")
            assert await transport.poll(buffer) == 1
            assert taken(buffer) == b"a"
            await transport.send(b"b", None)
            assert peer.recv(2) == b"b"
            await transport.aclose()
            assert peer.recv(2) == b""
            assert not ticks()

    way.run(main)


@ticking
def test_what_the_loop_has_read_already_goes_first(way: Way, by_hand: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with connected(way.backend, False) as (plain, peer):
            buffer = ReceiveBuffer()
            peer.sendall(b"a")
            assert await plain.receive_into(buffer, None) == 1
            assert taken(buffer) == b"a"
            peer.sendall(b"b")
            await rounds(way.backend)
            transport = coalesced(plain, 0.5)
            assert transport is not None
            assert await transport.receive_into(buffer, way.backend.now() + 0.01) == 1
            assert taken(buffer) == b"b"
            transport.abort()

    way.run(main)


# -- the bound ------------------------------------------------------------------------


def test_the_pace_keeps_the_bound() -> None:
    """What came right behind a tick's first read is told of by the end of the next, if that takes as long."""
    pace = Pace(0.02)
    assert pace.behind_arrival(5.0) <= 5.0 + 0.02
    for began, took in ((5.0, 0.0), (6.0, 0.004), (7.0, 0.009)):
        pace.begin(began)
        pace.end(began + took)
        due = pace.behind_tick()
        assert began + took <= due
        assert due + took <= began + 0.02
        assert pace.behind_arrival(8.0) + took <= 8.0 + 0.02
    pace.begin(9.0)
    pace.end(10.0)  # nobody could keep it
    assert 9.0 < pace.behind_tick() < 9.02


def test_nothing_is_later_than_asked() -> None:
    """On a clock that jumps: only what the client itself waits for takes time."""
    sent: list[float] = []
    told: list[float] = []
    reads = 0

    async def main() -> None:
        nonlocal reads
        async with connected(named("trio"), False) as (plain, peer), trio.open_nursery() as nursery:
            transport = coalesced(plain, 0.05)
            assert transport is not None

            async def send() -> None:
                for step in (0.0, 0.013, 0.013, 0.013, 0.3, 0.049, 0.051, 0.001, 7.0) * 3:
                    await trio.sleep(step)
                    sent.append(trio.current_time())
                    peer.sendall(b"x")

            nursery.start_soon(send)
            buffer = ReceiveBuffer()
            while len(told) < 27:
                count = await transport.receive_into(buffer, None)
                taken(buffer)
                reads += 1
                told.extend([trio.current_time()] * count)
            transport.abort()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert all(0 <= late - early <= 0.05 for early, late in zip(sent, told, strict=True))
    assert reads < 20
    assert told[-1] < 30, "the clock ran while nothing came"


# -- where there is no tick -------------------------------------------------------------


@delaying
def test_elsewhere_reads_are_put_off(way: Way) -> None:
    async def main() -> None:
        async with connected(way.backend, False) as (plain, peer):
            before = way.backend.now()
            transport = coalesced(plain, 0.02)
            assert isinstance(transport, Delayed)
            assert transport.coalesced(0.02) is transport
            peer.sendall(b"a")
            buffer = ReceiveBuffer()
            assert await transport.receive_into(buffer, None) == 1
            assert way.backend.now() - before >= 0.02 - 0.002  # uvloop's clock counts milliseconds
            assert taken(buffer) == b"a"
            peer.sendall(b"b")
            began = way.backend.now()
            assert await transport.receive_into(buffer, began + 0.001) == 1, "a deadline comes first"
            assert taken(buffer) == b"b"
            assert await transport.poll(buffer) is None
            await transport.send(b"c", None)
            assert peer.recv(2) == b"c"
            assert at_once(transport) is plain
            await transport.aclose()

    way.run(main)


def test_without_epoll(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(name: str) -> None:
        async with connected(named(name), False) as (plain, _):
            transport = coalesced(plain, 0.02)
            assert isinstance(transport, Delayed)
            transport.abort()

    for name in ("asyncio", "trio"):
        module = "asyncio_transport" if name == "asyncio" else name
        monkeypatch.setattr(f"tokenwire.backends.{module}.HAS_EPOLL", False)
        named(name).run(lambda name=name: main(name))  # type: ignore[misc]  # bound now


def test_a_peer_in_memory_is_read_as_ever() -> None:
    async def main() -> None:
        backend = MemoryBackend([[b"a"]])
        transport = await backend.connect(Origin("http", "h", 80), None, None)
        assert coalesced(transport, 0.02) is transport

    named("sync").run(main)
