"""What a task waits for under asyncio: woken in the callback that the bytes came in, and by nothing else."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from typing import Any

import pytest

from support.loops import PATIENCE, WAYS, Way, connected, taken
from tokenwire.backends import named
from tokenwire.backends.asyncio_waits import Arrival
from tokenwire.backends.base import Transport
from tokenwire.wire.buffer import ReceiveBuffer

on_asyncio = pytest.mark.parametrize(
    "way", [way for way in WAYS if way.id in ("asyncio", "uvloop")], ids=lambda way: way.id
)


async def received(transport: Transport, buffer: ReceiveBuffer) -> bytes:
    await transport.receive_into(buffer, None)
    return taken(buffer)


async def waiting() -> None:
    """All tasks have got as far as they get without the peer."""
    for _ in range(5):
        await asyncio.sleep(0)


@on_asyncio
def test_a_task_that_has_ended_is_not_kept_by_the_connection_that_it_used(way: Way) -> None:
    async def main() -> None:
        async with connected(way.backend, False) as (transport, peer):
            task = asyncio.ensure_future(received(transport, ReceiveBuffer()))
            await waiting()
            peer.sendall(b"x")
            assert await task == b"x"
            gone = weakref.ref(task)
            del task
            await waiting()
            gc.collect()
            assert gone() is None

    way.run(main)


@on_asyncio
def test_the_task_runs_in_its_own_context_also_one_that_it_shares(way: Way) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connected(way.backend, False) as (one, peer), connected(way.backend, False) as (two, other):

            async def read(transport: Transport) -> str:
                await received(transport, ReceiveBuffer())
                assert asyncio.current_task() in tasks
                return variable.get()

            shared = contextvars.copy_context()
            shared.run(variable.set, "shared")
            tasks = [loop.create_task(read(transport), context=shared) for transport in (one, two)]
            await waiting()
            variable.set("of the test")
            peer.sendall(b"x")
            other.sendall(b"x")
            assert await asyncio.gather(*tasks) == ["shared", "shared"]

    way.run(main)


@on_asyncio
def test_what_the_task_raises_is_the_tasks_own(way: Way) -> None:
    async def main() -> None:
        async with connected(way.backend, False) as (transport, peer):
            buffer = ReceiveBuffer()

            async def fail() -> None:
                raise ValueError(await received(transport, buffer))

            task = asyncio.ensure_future(fail())
            await waiting()
            peer.sendall(b"x")
            with pytest.raises(ValueError, match="x"):
                await task
            reading = asyncio.ensure_future(received(transport, buffer))
            peer.sendall(b"y")  # the connection is as it was
            assert await reading == b"y"

    way.run(main)


@on_asyncio
def test_the_wait_of_a_task_in_python(way: Way) -> None:
    """Tasks that are not asyncio's own in C: those of a task factory."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connected(way.backend, False) as (transport, peer):
            buffer = ReceiveBuffer()
            task = asyncio.tasks._PyTask(received(transport, buffer), loop=loop)  # type: ignore[attr-defined]
            await waiting()
            peer.sendall(b"x")
            assert await task == b"x"
            task = asyncio.tasks._PyTask(received(transport, buffer), loop=loop)  # type: ignore[attr-defined]
            await waiting()
            task.cancel("enough")
            with pytest.raises(asyncio.CancelledError, match="enough"):
                await task
            peer.sendall(b"y")
            assert await received(transport, buffer) == b"y"

    way.run(main)


@on_asyncio
def test_cancelled_in_the_very_round_that_bytes_come_nothing_is_lost(way: Way) -> None:
    async def main() -> None:
        async with connected(way.backend, False) as (transport, peer):
            buffer = ReceiveBuffer()
            task = asyncio.ensure_future(received(transport, buffer))
            await waiting()
            assert task.cancel()
            peer.sendall(b"x")  # it is there before the loop looks again
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await received(transport, buffer) == b"x"

    way.run(main)


@on_asyncio
def test_a_wait_that_is_over_cannot_be_cancelled(way: Way) -> None:
    async def main() -> None:
        arrival = Arrival(asyncio.get_running_loop())
        assert not arrival.cancel()
        arrival.end(TimeoutError())
        arrival.result()  # nobody waited, so nobody is told

    way.run(main)


@on_asyncio
def test_a_coroutine_that_is_closed_while_it_waits_leaves_nothing_behind(way: Way) -> None:
    async def main() -> None:
        async with connected(way.backend, False) as (transport, peer):
            buffer = ReceiveBuffer()
            reading = received(transport, buffer)
            reading.send(None)
            reading.close()
            peer.sendall(b"x")
            assert await received(transport, buffer) == b"x"

    way.run(main)


class Nested(asyncio.SelectorEventLoop):
    """A loop that a task of its own may run anew, as nest_asyncio makes of any."""

    _nest_patched = True  # how that marks them

    def nest(self, coroutine: Any) -> Any:
        outer = asyncio.current_task()
        assert outer is not None
        asyncio.tasks._leave_task(self, outer)
        try:
            task = self.create_task(coroutine)
            while not task.done():
                self._run_once()
            return task.result()
        finally:
            asyncio.tasks._enter_task(self, outer)

    def _run_once(self) -> None:
        found = self._selector.select(0 if self._ready else PATIENCE)
        assert found or self._ready, "nothing comes"
        self._process_events(found)
        for _ in range(len(self._ready)):
            if self._ready:  # the rest was done within
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise context["exception"]  # else it would go on for ever


def test_a_loop_that_runs_within_itself_reads_on() -> None:
    """A task that runs in the callback of its socket would hold up whoever reads that within."""
    backend = named("asyncio")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Nested)
        async with connected(backend, False) as (transport, peer):
            peer.sendall(b"one")
            await waiting()
            loop.call_soon(peer.sendall, b"two")
            buffer = ReceiveBuffer()
            assert await received(transport, buffer) == b"one"
            assert await received(transport, buffer) == b"two"
            loop.call_soon(peer.sendall, b"three")
            assert loop.nest(received(transport, buffer)) == b"three"

    with asyncio.Runner(loop_factory=Nested) as runner:
        runner.run(main())
