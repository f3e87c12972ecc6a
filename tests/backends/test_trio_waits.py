"""Under trio few of those who wait have a cancel scope, and each deadline is kept all the same."""

from __future__ import annotations

import random
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
import trio
import trio.testing

from tokenwire.backends.trio import TrioTransport
from tokenwire.backends.trio_waits import Watch
from tokenwire.wire.buffer import ReceiveBuffer

#: More than ever watch.
MANY = 12


@contextmanager
def connections(count: int) -> Iterator[list[tuple[TrioTransport, socket.socket]]]:
    """Connected ones: ours, and the peer's end of each."""
    pairs: list[tuple[TrioTransport, socket.socket]] = []
    try:
        for _ in range(count):
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            theirs.setblocking(False)
            pairs.append((TrioTransport(ours), theirs))
        yield pairs
    finally:
        for transport, theirs in pairs:
            transport.abort()
            theirs.close()


class Outcomes:
    """What became of each wait, and when."""

    def __init__(self) -> None:
        self.of: dict[int, tuple[str, float]] = {}

    async def wait(self, number: int, transport: TrioTransport, deadline: float | None) -> None:
        what = "cancelled"
        try:
            count = await transport.receive_into(ReceiveBuffer(lean=True), deadline)
            what = f"{count} bytes"
        except TimeoutError:
            what = "timeout"
        except ConnectionAbortedError:
            what = "aborted"
        finally:
            self.of[number] = (what, round(trio.current_time() - BEGAN[0], 6))


BEGAN = [0.0]


def run(function: Callable[[], Awaitable[None]]) -> None:
    """Run it by a clock that jumps to the next deadline whenever all wait."""
    clock = trio.testing.MockClock(autojump_threshold=0)

    async def main() -> None:
        BEGAN[0] = trio.current_time()
        with trio.fail_after(1_000):  # of the clock's seconds: a deadline that was forgotten
            await function()

    trio.run(main, clock=clock)


@pytest.mark.parametrize("order", ["later", "sooner", "mixed"])
def test_each_deadline_is_kept_to_the_instant(order: str) -> None:
    async def main() -> None:
        seconds = [float(number) for number in range(1, MANY + 1)]
        if order == "sooner":
            seconds.reverse()
        elif order == "mixed":
            random.Random(7).shuffle(seconds)
        outcomes = Outcomes()
        with connections(MANY) as pairs:
            async with trio.open_nursery() as nursery:
                for number, (transport, _) in enumerate(pairs):
                    nursery.start_soon(outcomes.wait, number, transport, BEGAN[0] + seconds[number])
                    await trio.testing.wait_all_tasks_blocked()
        assert outcomes.of == {number: ("timeout", after) for number, after in enumerate(seconds)}
        assert not Watch.here().followers

    run(main)


@pytest.mark.parametrize("way", ["bytes", "abort", "cancel"])
def test_when_all_who_watch_leave_another_does(way: str) -> None:
    async def main() -> None:
        outcomes = Outcomes()
        with connections(MANY) as pairs:
            async with trio.open_nursery() as nursery:
                scopes = []
                for number, (transport, _) in enumerate(pairs):
                    scopes.append(trio.CancelScope())

                    async def one(number: int = number, transport: TrioTransport = transport) -> None:
                        with scopes[number]:
                            await outcomes.wait(number, transport, BEGAN[0] + 10)

                    nursery.start_soon(one)
                    await trio.testing.wait_all_tasks_blocked()
                # All but one, in the order in which they came: those who watch are the first of them. And the one
                # who is asked next, which is the last who came, leaves at that very moment.
                leaving = [*range(MANY - 2), MANY - 1]
                for number in leaving:
                    transport, theirs = pairs[number]
                    if way == "bytes":
                        theirs.send(b"token")
                    elif way == "abort":
                        transport.abort()
                    else:
                        scopes[number].cancel()
                await trio.testing.wait_all_tasks_blocked()
                assert sorted(outcomes.of) == leaving
        what = {"bytes": "5 bytes", "abort": "aborted", "cancel": "cancelled"}[way]
        assert outcomes.of == {**dict.fromkeys(leaving, (what, 0.0)), MANY - 2: ("timeout", 10.0)}

    run(main)


@pytest.mark.parametrize("seed", range(25))
def test_whatever_happens_each_wait_ends_as_it_should_and_when(seed: int) -> None:
    chance = random.Random(seed)

    async def main() -> None:
        with connections(MANY) as pairs:
            async with trio.open_nursery() as nursery:
                for transport, theirs in pairs:
                    nursery.start_soon(one, transport, theirs)

    async def one(transport: TrioTransport, theirs: socket.socket) -> None:
        for step in range(8):
            outcomes = Outcomes()
            begins = trio.current_time() - BEGAN[0]
            # Never both at once: things happen at halves of a second, deadlines are at quarters.
            after, seconds = chance.randrange(1, 9), chance.choice([None, *range(1, 9)])
            happens = chance.choice(["bytes", "bytes", "bytes", "cancel", *(["abort"] if step == 7 else [])])
            at = begins // 1 + after + 0.5
            until = None if seconds is None else begins // 1 + seconds + 0.25
            async with trio.open_nursery() as nursery:
                scope = trio.CancelScope()

                async def waits(
                    scope: trio.CancelScope = scope, outcomes: Outcomes = outcomes, until: float | None = until
                ) -> None:
                    with scope:
                        await outcomes.wait(0, transport, None if until is None else BEGAN[0] + until)

                nursery.start_soon(waits)
                await trio.sleep_until(BEGAN[0] + at)
                if happens == "bytes":
                    theirs.send(b"x")
                elif happens == "abort":
                    transport.abort()
                else:
                    scope.cancel()
            if until is not None and until < at:
                assert outcomes.of == {0: ("timeout", until)}
                if happens == "bytes":  # they are not lost
                    assert await transport.poll(ReceiveBuffer()) == 1
            else:
                what = {"bytes": "1 bytes", "abort": "aborted", "cancel": "cancelled"}[happens]
                assert outcomes.of == {0: (what, at)}
            await trio.sleep(chance.randrange(3))

    run(main)


def test_a_sender_sends_on_where_the_reader_of_its_socket_is_woken() -> None:
    async def main() -> None:
        outcomes = Outcomes()
        with connections(MANY) as pairs:
            transport, theirs = pairs[-1]
            data = b"x" * 4_000_000

            async def send() -> None:
                await transport.send(data, None)
                outcomes.of[-1] = ("sent", 0.0)

            async with trio.open_nursery() as nursery:
                for number, (each, _) in enumerate(pairs):
                    nursery.start_soon(outcomes.wait, number, each, BEGAN[0] + (2 if each is transport else 5))
                    await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(send)
                await trio.sleep(3)
                assert outcomes.of == {MANY - 1: ("timeout", 2.0)}
                received = 0
                while received < len(data):
                    await trio.lowlevel.wait_readable(theirs)
                    received += len(theirs.recv(1_000_000))
        assert outcomes.of[-1] == ("sent", 0.0)

    run(main)


@pytest.mark.parametrize("way", ["abort", "late"])
def test_one_who_is_asked_to_watch_and_cannot_hands_it_on(way: str) -> None:
    async def main() -> None:
        outcomes = Outcomes()
        with connections(MANY) as pairs:
            last = MANY - 1

            async def one(number: int, transport: TrioTransport) -> None:
                await outcomes.wait(number, transport, BEGAN[0] + (4 if number == last else 10))
                if number == 3:  # the last of those who watched; the last who came has been asked, and not run yet
                    if way == "abort":
                        pairs[last][0].abort()
                    else:
                        clock = trio.lowlevel.current_clock()
                        assert isinstance(clock, trio.testing.MockClock)
                        clock.jump(5)

            async with trio.open_nursery() as nursery:
                for number, (transport, _) in enumerate(pairs):
                    nursery.start_soon(one, number, transport)
                    await trio.testing.wait_all_tasks_blocked()
                for _, theirs in pairs[:4]:
                    theirs.send(b"token")
                    await trio.testing.wait_all_tasks_blocked()
        assert outcomes.of.pop(last) == (("aborted", 0.0) if way == "abort" else ("timeout", 5.0))
        assert outcomes.of == {number: ("5 bytes", 0.0) if number < 4 else ("timeout", 10.0) for number in range(last)}

    run(main)
