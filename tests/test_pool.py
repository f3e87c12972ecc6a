"""Who owns which connection: turns, limits, deaths, loops, forks, threads. No slot is ever lost."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import trio

import tokenwire
from support.answers import answer, chunk, head, sse
from support.mixed import ORIGIN, Mixed, run_on
from support.threads import PATIENCE, ThreadServer
from tokenwire import Limits, PoolTimeoutError
from tokenwire.backends.base import Origin
from tokenwire.backends.memory import EOF, REQUEST, MemoryBackend, MemoryTransport
from tokenwire.backends.sync import run
from tokenwire.connections import Connection, State
from tokenwire.pool import Pool, _after_fork
from tokenwire.wire.buffer import ReceiveBuffer

OTHER = Origin("http", "other", 80)
RESET = ConnectionResetError(104, "Connection reset by peer")
LOOPS = pytest.mark.parametrize("loop", ["asyncio", "trio"])


def pool_of(*scripts: Any, **limits: Any) -> tuple[Pool, MemoryBackend]:
    peer = MemoryBackend(scripts)
    return Pool(peer, Limits(**limits)), peer


def take(pool: Pool, origin: Origin = ORIGIN, *, deadline: float | None = None) -> Connection:
    return run(pool.acquire(origin, connect=5.0, deadline=deadline))


def used(connection: Connection, *, body: bytes = b"", fields: str = "Content-Length: 0") -> Connection:
    """As after a response that has this head and this much of a body."""
    http = connection.http
    http.send_request("POST", "/", [(b"host", b"t"), (b"content-length", b"0")])
    http.buffer.feed(head(fields) + body)
    assert http.receive_head() is not None
    http.drain()
    return connection


CHUNKED = "Transfer-Encoding: chunked"


def draining(connection: Connection) -> Connection:
    """As after [DONE], the last chunk still under way."""
    return used(connection, body=b"1\r\nx\r\n", fields=CHUNKED)


def counts(pool: Pool) -> dict[str, int]:
    return {name: count for name, count in pool.counts().items() if count}


# -- One caller ------------------------------------------------------------------


def test_a_connection_is_used_again() -> None:
    pool, peer = pool_of([])
    first = take(pool)
    assert counts(pool) == {"active": 1}
    assert repr(first) == "<Connection test:80 active>"
    assert not first.used
    pool.release(used(first))
    assert counts(pool) == {"idle": 1}
    assert take(pool) is first
    assert first.used
    assert (pool.made, len(peer.connections)) == (1, 1)


def test_the_one_used_last_is_taken_first() -> None:
    pool, _ = pool_of([], [])
    first, second = take(pool), take(pool)
    pool.release(used(second))
    pool.release(used(first))
    assert take(pool) is first
    assert take(pool) is second


def test_an_origin_keeps_to_itself() -> None:
    pool, peer = pool_of([], [], [])
    pool.release(used(take(pool)))
    for origin in (OTHER, Origin("http", "test", 81), Origin("http", "test", 80, "/socket")):
        if peer.scripts:
            pool.release(used(take(pool, origin)))
    assert len(peer.connections) == 3
    assert peer.origins == [ORIGIN, OTHER, Origin("http", "test", 81)]


@pytest.mark.parametrize("death", [[EOF], [RESET], [b"unasked"]])
def test_a_dead_connection_is_not_handed_out(death: list[Any]) -> None:
    pool, peer = pool_of(death, [])
    first = take(pool)
    pool.release(used(first))
    second = take(pool)
    assert second is not first
    assert peer.connections[0].closed
    assert first.state is State.CLOSED
    assert counts(pool) == {"active": 1}


def test_a_dead_one_gives_way_to_a_living_one() -> None:
    pool, _ = pool_of([], [EOF])
    living, dead = take(pool), take(pool)
    pool.release(used(living))
    pool.release(used(dead))
    assert take(pool) is living
    assert counts(pool) == {"active": 1}


@pytest.mark.parametrize(
    ("fields", "body"),
    [("Connection: close\r\nContent-Length: 0", b""), ("X: until close", b"x"), ("Content-Length: 0", b"more")],
)
def test_what_cannot_be_reused_is_closed(fields: str, body: bytes) -> None:
    pool, peer = pool_of([])
    pool.release(used(take(pool), body=body, fields=fields))
    assert counts(pool) == {}
    assert peer.connections[0].closed


def test_given_back_twice() -> None:
    pool, _ = pool_of([])
    connection = used(take(pool))
    pool.release(connection)
    pool.release(connection)
    assert counts(pool) == {"idle": 1}
    pool.discard(connection)
    pool.discard(connection)
    pool.release(connection)
    assert counts(pool) == {}


def test_max_idle() -> None:
    pool, peer = pool_of([], [], [], max_idle=2)
    for connection in [take(pool), take(pool), take(pool)]:
        pool.release(used(connection))
    assert counts(pool) == {"idle": 2}
    assert [transport.closed for transport in peer.connections] == [True, False, False], "the longest unused goes"
    pool, peer = pool_of([], max_idle=0)
    pool.release(used(take(pool)))
    assert counts(pool) == {}
    assert peer.connections[0].closed


def test_idle_expiry() -> None:
    pool, peer = pool_of([], [], [], idle_expiry=60.0)
    first, second = take(pool), take(pool)
    pool.release(used(first))
    peer.time = 30.0
    pool.release(used(second))
    peer.time = 60.0
    pool.release(take(pool))  # the second: it was used last
    assert counts(pool) == {"idle": 2}
    peer.time = 60.1
    assert take(pool) is second
    assert first.state is State.CLOSED
    assert counts(pool) == {"active": 1}


def test_another_origins_idle_connection_makes_room() -> None:
    pool, peer = pool_of([], [], [], max_connections=2)
    first, second = take(pool), take(pool)
    pool.release(used(first))
    pool.release(used(second))
    other = take(pool, OTHER)
    assert first.state is State.CLOSED, "the longest unused goes"
    assert other.origin == OTHER
    assert counts(pool) == {"active": 1, "idle": 1}
    assert len(peer.connections) == 3


def test_no_room_in_time() -> None:
    pool, peer = pool_of([], max_connections=1, pool_timeout=7.0)
    held = take(pool)
    with pytest.raises(PoolTimeoutError) as caught:
        take(pool)
    assert str(caught.value) == (
        "no connection became free within 7 seconds (Limits.pool_timeout): all 1 are in use (Limits.max_connections)"
    )
    assert peer.time == 7.0
    with pytest.raises(TimeoutError):
        take(pool, deadline=10.0)
    assert peer.time == 10.0
    assert counts(pool) == {"active": 1}
    pool.release(used(held))
    assert take(pool) is held


def test_waiting_without_end() -> None:
    pool, _ = pool_of([], max_connections=1, pool_timeout=None)
    take(pool)
    with pytest.raises(RuntimeError, match="would hang"):
        take(pool)
    with pytest.raises(TimeoutError):
        take(pool, deadline=10.0)
    assert counts(pool) == {"active": 1}


def test_a_connect_that_fails_gives_its_slot_back() -> None:
    pool, _ = pool_of(ConnectionRefusedError(111, "no"), KeyboardInterrupt(), [], max_connections=1)
    for error in (ConnectionRefusedError, KeyboardInterrupt):
        with pytest.raises(error):
            take(pool)
        assert counts(pool) == {}
    take(pool)


def test_tls_gets_a_context_once() -> None:
    contexts = []

    class Secure(MemoryBackend):
        async def connect(self, origin: Any, ssl_context: Any, deadline: float | None) -> Any:
            contexts.append(ssl_context)
            return await super().connect(origin, ssl_context, deadline)

    secure = Origin("https", "test", 443)
    pool = Pool(Secure([[], []]))
    take(pool, secure), take(pool, secure)
    assert contexts[0] is contexts[1] is not None
    pool = Pool(Secure([[]]))
    take(pool)
    assert contexts[2] is None


def test_the_sooner_of_two_deadlines_to_connect() -> None:
    asked = []

    class Asked(MemoryBackend):
        async def connect(self, origin: Any, ssl_context: Any, deadline: float | None) -> Any:
            asked.append(deadline)
            return await super().connect(origin, ssl_context, deadline)

    backend = Asked([[]] * 4)
    backend.time = 100.0
    pool = Pool(backend)
    for seconds, deadline in [(5.0, None), (5.0, 103.0), (5.0, 110.0), (None, 103.0)]:
        run(pool.acquire(ORIGIN, connect=seconds, deadline=deadline))
    assert asked == [105.0, 103.0, 105.0, 103.0]


# -- Draining ------------------------------------------------------------------------


@pytest.mark.parametrize("rest", [[b"0\r\n\r\n"], [b"0", b"\r\n\r", b"\n"], [b"3\r\nabc\r\n0\r\nX: trailer\r\n\r\n"]])
def test_a_later_acquire_finishes_what_drains(rest: list[bytes]) -> None:
    pool, peer = pool_of(rest)
    connection = draining(take(pool))
    pool.release(connection)
    assert counts(pool) == {"draining": 1}
    assert take(pool) is connection
    assert connection.state is State.ACTIVE
    assert (connection.http.reusable, len(peer.connections)) == (True, 1)


def test_what_drains_is_never_waited_for() -> None:
    pool, peer = pool_of([], [])
    slow = draining(take(pool))
    pool.release(slow)
    second = take(pool)
    assert second is not slow
    assert counts(pool) == {"draining": 1, "active": 1}
    assert peer.time == 0.0
    peer.connections[0]._script.append(b"0\r\n\r\n")
    assert take(pool) is slow, "put back, it was finished by a later acquire"


def test_what_drains_keeps_its_place_in_time() -> None:
    pool, peer = pool_of([], [], [], idle_expiry=60.0)
    slow, other = draining(take(pool)), take(pool)
    pool.release(slow)
    peer.time = 50.0
    pool.release(used(other))
    third = take(pool, OTHER)
    assert take(pool) is other
    peer.time = 61.0
    pool.release(used(third))
    take(pool, OTHER)
    assert slow.state is State.CLOSED, "looked at in between, it is still the longest unused"


@pytest.mark.parametrize("rest", [[EOF], [RESET], [b"zz\r\n"], [b"0\r\n\r\nmore"]])
def test_what_drains_badly_is_replaced(rest: list[Any]) -> None:
    pool, peer = pool_of(rest, [], max_connections=1)
    slow = draining(take(pool))
    pool.release(slow)
    assert take(pool) is not slow
    assert peer.connections[0].closed
    assert counts(pool) == {"active": 1}


def test_what_goes_on_and_on_is_given_up() -> None:
    pool, peer = pool_of([b"1000\r\n" + b"x" * 4096 + b"\r\n"] * 1000, [])
    slow = draining(take(pool))
    pool.release(slow)
    assert take(pool) is not slow
    assert peer.connections[0].closed
    assert len(peer.connections[0]._script) > 900, "a new connection costs less than reading all that"


def test_data_behind_the_end_spoil_what_drains() -> None:
    pool, _ = pool_of([b"5\r\ndata:\r\n"], [])
    slow = draining(take(pool))
    slow.http.nothing_follows(spoiled=False)
    pool.release(slow)
    assert take(pool) is not slow
    assert slow.state is State.CLOSED


def test_what_drains_gives_way_when_all_is_taken() -> None:
    pool, peer = pool_of([], [], max_connections=1)
    slow = draining(take(pool))
    pool.release(slow)
    second = take(pool)
    assert slow.state is State.CLOSED
    assert counts(pool) == {"active": 1}
    assert len(peer.connections) == 2
    assert second.state is State.ACTIVE


def test_others_that_are_idle_are_tried_behind_what_drains() -> None:
    pool, _ = pool_of([], [], [], max_connections=2)
    idle, slow = take(pool), take(pool)
    pool.release(used(idle))
    pool.release(draining(slow))
    assert take(pool) is idle
    assert counts(pool) == {"active": 1, "draining": 1}


def test_few_of_many_that_drain_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look is a round of the event loop, and some servers never end a body."""
    looked: list[object] = []
    poll = MemoryTransport.poll

    async def counted(self: MemoryTransport, buffer: ReceiveBuffer) -> int | None:
        looked.append(self)
        return await poll(self, buffer)

    monkeypatch.setattr(MemoryTransport, "poll", counted)
    pool, peer = pool_of(*[[] for _ in range(32)])
    idle, *slow = [take(pool) for _ in range(31)]
    for connection in (used(idle), *map(draining, slow)):
        peer.time += 1.0
        pool.release(connection)
    assert take(pool) is idle
    assert take(pool) not in slow
    assert len(looked) < 12
    assert counts(pool) == {"draining": 30, "active": 2}
    looked.clear()
    peer.connections[30]._script.append(b"0\r\n\r\n")
    assert take(pool) is slow[29]
    assert len(looked) == 2, "the last one used first; what there is of it, and nothing more"


def test_what_drains_with_no_idle_allowed() -> None:
    pool, _ = pool_of([], [], max_idle=1, max_connections=3)
    slow = draining(take(pool))
    pool.release(slow)
    pool._limits = Limits(max_idle=0)
    take(pool)
    assert slow.state is State.CLOSED
    assert counts(pool) == {"active": 1}


# -- Closing ----------------------------------------------------------------------------


def test_a_closed_pool() -> None:
    pool, peer = pool_of([], [], [])
    active, idle = take(pool), take(pool)
    pool.release(used(idle))
    pool.close()
    pool.close()
    assert idle.state is State.CLOSED
    assert active.state is State.ACTIVE
    assert counts(pool) == {"active": 1}
    with pytest.raises(RuntimeError, match="this client is closed"):
        take(pool)
    pool.release(used(active))
    assert counts(pool) == {}
    assert all(transport.closed for transport in peer.connections)


def test_closed_while_it_looks_at_what_drains() -> None:
    pool, peer = pool_of([], [])
    slow = draining(take(pool))
    pool.release(slow)
    poll = peer.connections[0].poll

    async def closing(buffer: Any) -> int | None:
        pool.close()
        return await poll(buffer)

    peer.connections[0].poll = closing  # type: ignore[method-assign]
    take(pool)
    assert slow.state is State.CLOSED
    assert counts(pool) == {"active": 1}


def test_a_pool_that_is_dropped_closes_what_is_unused() -> None:
    pool, peer = pool_of([])
    pool.release(used(take(pool)))
    del pool
    assert peer.connections[0].closed


# -- Many callers ---------------------------------------------------------------------------


class Group:
    """Tasks on either loop, to be cancelled one by one."""

    def __init__(self, loop: str) -> None:
        self.loop = loop
        self._nursery: Any = None

    async def __aenter__(self) -> Group:
        self._nursery = asyncio.TaskGroup() if self.loop == "asyncio" else trio.open_nursery()
        self._tasks = await self._nursery.__aenter__()
        return self

    async def __aexit__(self, *details: Any) -> None:
        await self._nursery.__aexit__(*details)

    def start(self, function: Callable[[], Awaitable[None]]) -> Callable[[], Any]:
        """Run it, and return what cancels it."""
        if self.loop == "asyncio":
            return self._tasks.create_task(function()).cancel  # type: ignore[no-any-return]
        scope = trio.CancelScope()

        async def scoped() -> None:
            with scope:
                await function()

        self._tasks.start_soon(scoped)
        return scope.cancel


async def settle() -> None:
    """Let every task come as far as it can."""
    checkpoint = trio.lowlevel.checkpoint if "trio" in sys.modules and trio.lowlevel.in_trio_run() else None
    for _ in range(20):
        await (asyncio.sleep(0) if checkpoint is None else checkpoint())


@LOOPS
@pytest.mark.parametrize("how", ["release", "drain", "discard", "other origin"])
def test_who_waits_longest_is_served_first(loop: str, how: str) -> None:
    async def main() -> None:
        backend = Mixed(loop, [[]] * 30)
        pool = Pool(backend, Limits(max_connections=2, pool_timeout=PATIENCE))  # type: ignore[arg-type]
        order: list[int] = []

        async def one(number: int) -> None:
            origin = OTHER if how == "other origin" and number % 3 == 0 else ORIGIN
            connection = await pool.acquire(origin, connect=5.0, deadline=None)
            order.append(number)
            assert pool.counts()["active"] <= 2
            await settle()
            if how == "discard":
                pool.discard(connection)
            else:
                pool.release(draining(connection) if how == "drain" else used(connection))

        async with Group(loop) as group:
            for number in range(10):
                group.start(lambda number=number: one(number))  # type: ignore[misc]
                await backend.checkpoint()
                await backend.checkpoint()
        assert order == list(range(10))
        assert counts(pool).get("active", 0) == 0
        if how == "release":
            assert pool.made == 2
        pool.close()

    run_on(loop, main)


@LOOPS
def test_two_who_wait_do_not_hand_a_stuck_connection_to_and_fro(loop: str) -> None:
    """The body of a stream that said [DONE] never ends, and two wait for its slot."""

    async def main() -> None:
        backend = Mixed(loop, [[]] * 3)
        pool = Pool(backend, Limits(max_connections=1, pool_timeout=PATIENCE))  # type: ignore[arg-type]
        held = await pool.acquire(ORIGIN, connect=5.0, deadline=None)
        got: list[Connection] = []

        async def one() -> None:
            got.append(await pool.acquire(ORIGIN, connect=5.0, deadline=None))

        async with Group(loop) as group:
            group.start(one)
            group.start(one)
            await settle()
            pool.release(draining(held))
            await settle()
            assert len(got) == 1
            assert held.state is State.CLOSED
            pool.release(draining(got[0]))
        assert len(got) == 2
        assert counts(pool) == {"active": 1}

    run_on(loop, main)


@LOOPS
def test_a_waiter_is_refused_when_the_client_closes(loop: str) -> None:
    async def main() -> None:
        pool = Pool(Mixed(loop, [[], []]), Limits(max_connections=1, pool_timeout=PATIENCE))  # type: ignore[arg-type]
        held = await pool.acquire(ORIGIN, connect=5.0, deadline=None)
        refused = []

        async def one() -> None:
            with pytest.raises(RuntimeError, match="this client is closed"):
                await pool.acquire(ORIGIN, connect=5.0, deadline=None)
            refused.append(True)

        async with Group(loop) as group:
            group.start(one)
            group.start(one)
            await settle()
            pool.close()
            pool.release(used(held))  # its slot goes to one who is about to be refused
        assert refused == [True, True]
        assert counts(pool) == {}

    run_on(loop, main)


@LOOPS
def test_the_pool_timeout_is_real(loop: str) -> None:
    async def main() -> None:
        seconds = 0.01 if loop == "asyncio" else 500.0  # trio's clock jumps
        pool = Pool(Mixed(loop, [[]]), Limits(max_connections=1, pool_timeout=seconds))  # type: ignore[arg-type]
        await pool.acquire(ORIGIN, connect=5.0, deadline=None)
        with pytest.raises(PoolTimeoutError, match=f"within {seconds:g} seconds"):
            await pool.acquire(ORIGIN, connect=5.0, deadline=None)
        assert counts(pool) == {"active": 1}

    run_on(loop, main)


@LOOPS
@pytest.mark.parametrize("slot", ["used", "draining", "discarded"])
@pytest.mark.parametrize("step", range(12))
def test_a_waiter_cancelled_at_any_step_loses_no_slot(loop: str, slot: str, step: int) -> None:
    """Two wait; a slot comes at step 4; the first is cancelled at each step before and after."""

    async def main() -> None:
        backend = Mixed(loop, [[b"0\r\n\r\n"] if slot == "draining" else [], [], [], []])
        pool = Pool(backend, Limits(max_connections=1, pool_timeout=PATIENCE))  # type: ignore[arg-type]
        held = await pool.acquire(ORIGIN, connect=5.0, deadline=None)
        got: dict[str, Connection] = {}

        async def one(name: str) -> None:
            connection = await pool.acquire(ORIGIN, connect=5.0, deadline=None)
            got[name] = connection
            pool.release(used(connection))

        async with Group(loop) as group:
            cancel = group.start(lambda: one("first"))
            await settle()
            group.start(lambda: one("second"))
            await settle()
            assert counts(pool) == {"active": 1, "waiting": 2}
            for at in range(12):
                if at == 4:
                    if slot == "discarded":
                        pool.discard(held)
                    else:
                        pool.release(draining(held) if slot == "draining" else used(held))
                if at == step:
                    cancel()
                await backend.checkpoint()
        assert "second" in got
        assert "first" in got or step < 11, "nothing is left to be cancelled by then"
        assert counts(pool) == {"idle": 1}
        assert await pool.acquire(ORIGIN, connect=5.0, deadline=None) is got["second"]
        pool.close()

    run_on(loop, main)


@LOOPS
@pytest.mark.parametrize("step", range(6))
@pytest.mark.parametrize("state", ["new", "idle", "draining"])
def test_an_acquire_cancelled_at_any_step_loses_no_slot(loop: str, state: str, step: int) -> None:
    async def main() -> None:
        backend = Mixed(loop, [[b"0\r\n\r\n"] if state == "draining" else []] * 4)
        pool = Pool(backend, Limits(max_connections=2, pool_timeout=PATIENCE))  # type: ignore[arg-type]
        poll_waits(backend)
        if state != "new":
            connection = await pool.acquire(ORIGIN, connect=5.0, deadline=None)
            pool.release(draining(connection) if state == "draining" else used(connection))

        async def one() -> None:
            pool.release(used(await pool.acquire(ORIGIN, connect=5.0, deadline=None)))

        async with Group(loop) as group:
            cancel = group.start(one)
            for _ in range(step):
                await backend.checkpoint()
            cancel()
        assert counts(pool) in ({}, {"idle": 1}, {"draining": 1})
        alive = [transport for transport in backend.peer.connections if not transport.closed]
        assert len(alive) == sum(counts(pool).values())
        await one()
        assert counts(pool) == {"idle": 1}

    run_on(loop, main)


def poll_waits(backend: Mixed) -> None:
    """Give poll the checkpoint that it has on a real loop."""
    connect = backend.peer.connect

    async def connecting(*arguments: Any) -> Any:
        transport: Any = await connect(*arguments)
        poll = transport.poll

        async def polling(buffer: Any) -> Any:
            await backend.checkpoint()
            return await poll(buffer)

        transport.poll = polling
        return transport

    backend.peer.connect = connecting  # type: ignore[method-assign]


# -- Loops ----------------------------------------------------------------------------------


def client_on(loop: str) -> tuple[tokenwire.AsyncClient, Mixed]:
    wire = answer(sse(chunk("Hi"), done=True), "length")
    backend = Mixed(loop, [[wire, REQUEST, wire]] * 3)
    return tokenwire.AsyncClient(api_key="k", base_url="http://test", backend=backend), backend  # type: ignore[arg-type]


async def ask(client: tokenwire.AsyncClient) -> list[str]:
    found = await client.chat.completions.create(model="m", messages=[], stream=True)
    return [text async for text in found.text()]


@LOOPS
def test_a_second_loop_is_told_so(loop: str) -> None:
    client, backend = client_on(loop)
    assert run_on(loop, lambda: ask(client)) == ["Hi"]
    with pytest.raises(RuntimeError, match="belongs to the event loop that first used it"):
        run_on(loop, lambda: ask(client))
    assert len(backend.peer.connections) == 1


def test_the_other_library_is_told_so() -> None:
    client, _ = client_on("asyncio")
    assert run_on("asyncio", lambda: ask(client)) == ["Hi"]
    with pytest.raises(RuntimeError, match="belongs to the event loop that first used it"):
        run_on("trio", lambda: ask(client))
    with pytest.raises(RuntimeError, match=r"belongs to the event loop that first used it, and now .* none"):
        client.chat.completions.stream(model="m", messages=[])


@LOOPS
def test_given_back_on_another_loop_it_is_closed(loop: str) -> None:
    backend = Mixed(loop, [[]])
    pool = Pool(backend)  # type: ignore[arg-type]

    async def first() -> Connection:
        return await pool.acquire(ORIGIN, connect=5.0, deadline=None)

    connection = run_on(loop, first)

    async def second() -> None:
        pool.release(used(connection))

    run_on(loop, second)
    assert counts(pool) == {}
    assert backend.peer.connections[0].closed


# -- Threads ----------------------------------------------------------------------------------


def streaming(sock: socket.socket, requests: Iterator[bytes]) -> None:
    wire = answer(sse(chunk("Hi"), chunk(None, "stop"), done=True), "chunked")
    for _ in requests:
        sock.sendall(wire[:60])
        sock.sendall(wire[60:])


def test_a_client_under_64_threads() -> None:
    with ThreadServer(streaming) as server:
        client = tokenwire.Client(
            api_key="k", base_url=server.url, limits=Limits(max_connections=8, pool_timeout=PATIENCE), max_retries=0
        )
        got: list[str] = []
        failures: list[BaseException] = []
        start = threading.Barrier(64)

        def one() -> None:
            try:
                start.wait(20)
                for number in range(6):
                    found = client.chat.completions.create(model="m", messages=[], stream=True)
                    if number % 3 == 2:
                        next(found)
                        found.close()  # early: its connection is gone, its slot is not
                        got.append("Hi")
                    else:
                        got.append("".join(found.text()))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=one) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        pool = client._pools.pool
        assert pool is not None
        found = pool.counts()
        client.close()
        assert failures == []
        assert got == ["Hi"] * 64 * 6
        assert found["active"] == found["waiting"] == 0
        assert found["idle"] + found["draining"] <= 8
        assert pool.counts() == {"idle": 0, "draining": 0, "active": 0, "waiting": 0}
    assert server.answered == 64 * 6
    assert server.accepted == pool.made


def test_a_thread_that_waits_is_woken() -> None:
    with ThreadServer(streaming) as server:
        client = tokenwire.Client(
            api_key="k", base_url=server.url, limits=Limits(max_connections=1, pool_timeout=PATIENCE)
        )
        held = client.chat.completions.create(model="m", messages=[], stream=True)
        got: list[str] = []

        def other() -> None:
            got.extend(client.chat.completions.create(model="m", messages=[], stream=True).text())

        thread = threading.Thread(target=other)
        thread.start()
        pool = client._pools.pool
        assert pool is not None
        while not pool.counts()["waiting"]:
            thread.join(0.001)
        held.close()
        thread.join(20)
        assert got == ["Hi"]
        client.close()


# -- Forks ---------------------------------------------------------------------------------------


def test_a_fork_leaves_the_parents_connections_alone() -> None:
    """Idle and streaming connections cross a fork: the child writes to none, and the parent goes on with both."""
    program = textwrap.dedent("""
        import gc, os, sys, threading
        import tokenwire
        from support.answers import answer, chunk, sse
        from tokenwire import Limits
        import socket

        listener = socket.create_server(("127.0.0.1", 0))
        wire = answer(sse(chunk("Hi"), chunk(None, "stop"), done=True), "chunked")

        def request(sock):
            data = b""
            while not data.endswith(b"[]}") and not data.endswith(b"true}"):
                data += sock.recv(4096)
            return data

        client = tokenwire.Client(
            api_key="k", base_url="http://127.0.0.1:%d" % listener.getsockname()[1],
            limits=Limits(max_connections=2), max_retries=0,
        )
        def ask():
            return client.chat.completions.create(model="m", messages=[], stream=True)

        def serve(sent):
            sock, _ = listener.accept()
            request(sock)
            sock.sendall(sent)
            return sock

        def with_server(sent, action):
            held = []
            thread = threading.Thread(target=lambda: held.append(serve(sent)))
            thread.start()
            found = action()
            thread.join()
            return held[0], found

        cut = wire.index(b"data: ") + 4
        active_end, active = with_server(wire[:cut], ask)
        idle_end, _ = with_server(wire, lambda: list(ask()))
        pool = client._pools.pool
        assert pool.counts() == {"idle": 1, "draining": 0, "active": 1, "waiting": 0}, pool.counts()

        holding, release = threading.Event(), threading.Event()
        def hold():  # the pool's lock is held by another thread at the moment of the fork
            with pool._lock:
                holding.set()
                release.wait(20)
        holder = threading.Thread(target=hold)
        holder.start()
        holding.wait(20)
        child = os.fork()
        if child == 0:
            try:
                assert pool.counts() == {"idle": 0, "draining": 0, "active": 0, "waiting": 0}
                listener.settimeout(20)
                try:
                    # What it took from there, its parent would never see.
                    raise AssertionError(next(active.text()))
                except tokenwire.APIConnectionError:
                    pass
                del active
                gc.collect()
                assert pool.counts()["active"] == 0, pool.counts()
                end, events = with_server(wire, lambda: list(ask()))
                assert len(events) == 2
                assert pool.counts()["idle"] == 1 and pool.made == 3
                client.close()
                os._exit(0)
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
        release.set()
        holder.join()
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        # Nobody wrote to either, and nobody shut either down.
        for end in (active_end, idle_end):
            end.setblocking(False)
            try:
                raise AssertionError(end.recv(10))
            except BlockingIOError:
                end.setblocking(True)
        active_end.sendall(wire[cut:])
        assert "".join(active.text()) == "Hi"
        thread = threading.Thread(target=lambda: (request(active_end), active_end.sendall(wire)))
        thread.start()
        assert len(list(ask())) == 2
        thread.join()
        assert pool.made == 2
        client.close()
        for sock in (active_end, idle_end, listener):
            sock.close()
        print("fine")
    """)
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == ("fine\n", "")


def test_after_a_fork_a_loops_connections_are_only_forgotten() -> None:
    """Closing one would take it out of the selector that parent and child share."""
    backend = Mixed("asyncio", [[], []])
    pool = Pool(backend)  # type: ignore[arg-type]

    async def main() -> Connection:
        idle, active = [await pool.acquire(ORIGIN, connect=5.0, deadline=None) for _ in range(2)]
        pool.release(used(idle))
        return active

    active = asyncio.run(main())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        pool.discard(active)
        pool.release(active)
        touched = any(transport.closed for transport in backend.peer.connections)
        os.write(writing, b"%d%d" % (touched, any(pool.counts().values())))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 2) == b"00"
    os.close(reading)
    os.close(writing)
    assert counts(pool) == {"active": 1, "idle": 1}


@pytest.mark.parametrize("bound", [False, True])
def test_what_a_child_does_with_its_inheritance(bound: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same without a process of its own, so that it can be measured."""
    pool, peer = pool_of([], [], [])
    idle, active = take(pool), take(pool)
    idle.loop = active.loop = object() if bound else None
    pool.release(used(idle))
    monkeypatch.setattr("tokenwire.pool._pools", [pool])
    monkeypatch.setattr("tokenwire.pool._inherited", inherited := [])
    monkeypatch.setattr(os, "getpid", lambda: -1)
    _after_fork()
    assert pool.counts() == {"idle": 0, "draining": 0, "active": 0, "waiting": 0}
    assert idle.state is State.CLOSED
    pool.release(used(active))
    pool.discard(active)
    assert pool.counts() == {"idle": 0, "draining": 0, "active": 0, "waiting": 0}
    # A plain descriptor is closed: else the server would not see the parent's own close.
    assert [transport.closed for transport in peer.connections] == [not bound] * 2
    assert set(inherited) == ({idle, active} if bound else set())
    mine = take(pool)
    pool.release(used(mine))
    assert take(pool) is mine
