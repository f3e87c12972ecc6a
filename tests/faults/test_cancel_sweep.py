"""Every scenario, cancelled at each of its suspensions in turn.

Theory of operation. `drive` stands between a coroutine and its event loop. It sees each
suspension pass, on any loop, and at the k-th it cancels: by the task, or by a scope around it.
The server (support.scripted) runs in the same loop and sends one piece for each suspension, so
that nothing depends on time. k grows until a run ends before it is cancelled.
"""

from __future__ import annotations

import asyncio
import gc
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import Any, NamedTuple

import anyio
import pytest
import trio

import tokenwire
from support.answers import answer, chunk, delta, ended, response, sse, texts, usage_chunk
from support.loops import WAYS, Way, trusting
from support.scripted import Scripted, until
from tokenwire.backends import asyncio_ticks, trio_ticks
from tokenwire.backends.base import Backend
from tokenwire.policy import Retry

WORDS = ["Now", " ", "is"]
CHAT = answer(sse(*map(chunk, WORDS), chunk(None, "stop"), usage_chunk(), done=True), "chunked")
HEAD = CHAT.index(b"\r\n\r\n") + 4
#: The same, in a chunk for each event, as servers send it: the last chunk can then come later.
EVENTS = [b"%x\r\n%b\r\n" % (len(one) + 2, one + b"\n\n") for one in CHAT[HEAD:].split(b"\r\n")[1].split(b"\n\n")[:-1]]
STREAM = [CHAT[:HEAD], *EVENTS, b"0\r\n\r\n"]
BUSY = answer(b"{}", "length", "retry-after-ms: 1", status="503 Service Unavailable", kind="application/json")


class Flavour(NamedTuple):
    """A way to run the client, and a way to cancel it.

    task: Task.cancel(). late: the same, in the moment when what it waits for has come already.
    scope: a cancel scope, which cancels again at every further await.
    """

    way: Way
    how: str

    def __str__(self) -> str:
        return f"{self.way.id}-{self.how}"


HOW = {
    "asyncio": ("task", "late", "scope"),
    "uvloop": ("task", "late"),
    "trio": ("scope",),
    "anyio-asyncio": ("task", "scope"),
    "anyio-trio": ("scope",),
}
FLAVOURS = [Flavour(way, how) for way in WAYS for how in HOW.get(way.id, ())]


class Count:
    """How many suspensions there were, and whether the k-th was reached; and which functions were awaited then."""

    def __init__(self, k: int) -> None:
        self.k = k
        self.seen = 0
        self.cancelled = False
        self.where: set[str] = set()


def awaited(coroutine: Any) -> Iterator[str]:
    """The names of the functions that a suspended coroutine is in, from the outermost on."""
    while True:
        code = getattr(coroutine, "cr_code", None) or getattr(coroutine, "gi_code", None)
        if code is None:
            return
        yield code.co_name
        coroutine = coroutine.cr_await if hasattr(coroutine, "cr_await") else coroutine.gi_yieldfrom


@types.coroutine
def drive(
    main: Coroutine[Any, Any, Any],
    count: Count,
    suspended: Callable[[int], None],
    cancel: Callable[[], object] | None,
) -> Generator[Any, Any, Any]:
    """Run `main`; tell of each suspension; at the k-th, cancel. cancel None: as what it waits for has come."""
    step: Callable[[Any], Any] = main.send
    value: Any = None
    while True:
        try:
            trap = step(value)
        except StopIteration as stop:
            return stop.value
        count.seen += 1
        suspended(count.seen)
        mine = count.seen == count.k
        if mine:
            count.where.update(awaited(main))
        if mine and cancel is not None:
            count.cancelled = True
            cancel()
        try:
            value = yield trap
        except BaseException as error:
            step, value = main.throw, error
        else:
            step = main.send
            if mine and cancel is None:
                count.cancelled = True
                step, value = main.throw, asyncio.CancelledError()


async def run_cancelled(
    flavour: Flavour, main: Callable[[], Coroutine[Any, Any, Any]], count: Count, suspended: Callable[[int], None]
) -> Any:
    """The result of main, or None where it ended by cancellation. Anything else goes through."""
    if flavour.how == "scope":
        scope: Any = trio.CancelScope() if flavour.way.id == "trio" else anyio.CancelScope()
        with scope:
            return await drive(main(), count, suspended, scope.cancel)
        assert scope.cancelled_caught
        return None

    async def life() -> Any:
        own = asyncio.current_task()
        assert own is not None
        return await drive(main(), count, suspended, None if flavour.how == "late" else own.cancel)

    task = asyncio.ensure_future(life())
    await asyncio.wait([task])
    return None if task.cancelled() else task.result()


def tasks(flavour: Flavour) -> int:
    """How many there are."""
    if flavour.way.id.endswith("trio"):
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


# -- scenarios ----------------------------------------------------------------------


class Bench:
    """What a scenario works with."""

    def __init__(self, backend: Backend, server: Scripted, client: tokenwire.AsyncClient) -> None:
        self.backend = backend
        self.server = server
        self.client = client
        self.holder: Any = None
        self.reused = False

    async def stream(self, content: str = "x") -> list[str]:
        messages: Any = [{"role": "user", "content": content}]
        found = await self.client.chat.completions.create(model="m", messages=messages, stream=True)
        return [text for text in texts([event async for event in found]) if text]


class Scenario:
    """The happy way: connect, send, head, events, the end; one piece comes for each suspension."""

    tls = False
    host = "127.0.0.1"
    limits = tokenwire.Limits()
    gulp = 1 << 20
    window: int | None = None
    coalesce: float | None = None

    def answers(self) -> list[list[bytes]]:
        """The pieces of each answer, in the order of the requests; the last one goes for all that follow."""
        return [STREAM]

    async def before(self, bench: Bench) -> None:
        """What is done before, and not cancelled."""

    async def main(self, bench: Bench) -> Any:
        return await bench.stream()

    def suspended(self, bench: Bench, seen: int) -> None:
        bench.server.credit = True

    async def after(self, bench: Bench) -> None:
        """What is undone after."""

    wants: Any = WORDS
    where = "read"  # what it is there for: the function that is waited in
    reuses = False  # whether a whole run is to do with one connection


class Connect(Scenario):
    """By name: a look-up, and the first of two addresses, or the only one, answers."""

    where = "connect"
    host = "localhost"


class Tls(Scenario):
    where = "handshake"
    tls = True
    host = "localhost"


class Send(Scenario):
    """The server takes the request slowly: 4 MB, through a narrow window."""

    where = "send"
    window: int | None = 1 << 16
    gulp = 1 << 19

    async def main(self, bench: Bench) -> Any:
        return await bench.stream("x" * 4_000_000)


class Head(Scenario):
    where = "_read_once"

    def answers(self) -> list[list[bytes]]:
        return [[*(CHAT[at : at + 9] for at in range(0, HEAD, 9)), *(CHAT[HEAD - HEAD % 9 + 9 :],)]]


class MidEvent(Scenario):
    def answers(self) -> list[list[bytes]]:
        body = b"".join(EVENTS) + b"0\r\n\r\n"
        return [[CHAT[:HEAD], *(body[at : at + 23] for at in range(0, len(body), 23))]]


class MidEventTls(MidEvent):
    tls = True


class Drain(Scenario):
    """The last chunk comes when the next request looks for a connection, or even later."""

    where = "poll"

    async def main(self, bench: Bench) -> Any:
        before = bench.server.accepted
        found = [await bench.stream()]
        await bench.backend.checkpoint()
        found.append(await bench.stream())
        bench.reused |= bench.server.accepted == before + 1
        return found

    reuses = True
    wants = [WORDS] * 2


class DrainTls(Drain):
    tls = True


class RetrySleep(Scenario):
    where = "sleep"

    def answers(self) -> list[list[bytes]]:
        return [[BUSY], [BUSY], STREAM]


class Resume(Scenario):
    """The stream of a background response ends too early, and another request brings the rest."""

    def answers(self) -> list[list[bytes]]:
        created = {"type": "response.created", "response": response("in_progress")}
        events = [created, *map(delta, WORDS), ended()]
        pieces = [sse({**event, "sequence_number": number}) for number, event in enumerate(events)]
        chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
        return [[CHAT[:HEAD], *chunks[:2], b"0\r\n\r\n"], [CHAT[:HEAD], *chunks[2:], b"0\r\n\r\n"]]

    async def before(self, bench: Bench) -> None:
        bench.client._config.retry = Retry(first=1e-4)

    async def main(self, bench: Bench) -> Any:
        stream = await bench.client.responses.create(model="m", input="x", background=True, stream=True, resume=True)
        return [text for text in texts([event async for event in stream]) if text]


class PoolWait(Scenario):
    """The one connection is held; it is let go while the second request waits for it."""

    where = "_wait"
    limits = tokenwire.Limits(max_connections=1)
    lets_go_at = 1
    whole = False

    async def before(self, bench: Bench) -> None:
        bench.server.free = True
        found = await bench.client.chat.completions.create(model="m", messages=[], stream=True)
        bench.holder = aiter(found.batches())
        await anext(bench.holder)
        bench.server.free = False

    def answers(self) -> list[list[bytes]]:
        return [STREAM[:2], STREAM]

    def suspended(self, bench: Bench, seen: int) -> None:
        bench.server.credit = True
        if seen == self.lets_go_at:
            bench.server.chore = bench.holder._stream._close

    async def after(self, bench: Bench) -> None:
        bench.holder._stream._close()


class PoolWaitLong(PoolWait):
    """Nobody lets it go before the cancellation: the second waits in a queue with a third."""

    lets_go_at = 2

    async def main(self, bench: Bench) -> Any:
        await bench.backend.checkpoint()
        return await bench.stream()


class Coalesced(Drain):
    """The streams are read in ticks; then their connection is waited with, and drained, as ever."""

    where = "read"  # a late tick brings the last chunk, too, and leaves nothing to wait for
    coalesce = 0.001


class CoalescedTls(Coalesced):
    tls = True


SCENARIOS = [
    Scenario, Connect, Tls, Send, Head, MidEvent, MidEventTls, Drain, DrainTls, RetrySleep, Resume, PoolWait,
    PoolWaitLong, Coalesced, CoalescedTls,
]  # fmt: skip


@pytest.mark.parametrize("flavour", FLAVOURS, ids=str)
@pytest.mark.parametrize("kind", SCENARIOS, ids=lambda kind: kind.__name__)
def test_cancelled_at_every_suspension(kind: type[Scenario], flavour: Flavour) -> None:
    scenario, backend = kind(), flavour.way.backend
    server = Scripted(tls=scenario.tls, host=scenario.host, gulp=scenario.gulp, window=scenario.window)

    async def sweep() -> None:
        client = tokenwire.AsyncClient(
            api_key="k",
            base_url=server.url,
            backend=backend,
            limits=scenario.limits,
            ssl_context=trusting() if scenario.tls else None,
            coalesce=scenario.coalesce,
        )
        bench = Bench(backend, server, client)
        met: set[str] = set()  # the functions that a cancellation came in

        async def once(k: int) -> bool:
            """Whether it was cancelled."""
            queue = scenario.answers()
            server.answer = lambda request: queue.pop(0) if len(queue) > 1 else queue[0]
            server.free = server.credit = False
            await scenario.before(bench)
            server.chore = None
            living, count = tasks(flavour), Count(k)
            found = await run_cancelled(
                flavour, lambda: scenario.main(bench), count, lambda seen: scenario.suspended(bench, seen)
            )
            met.update(count.where)
            assert tasks(flavour) == living, f"{k}: a task is left"
            if found is None:
                assert count.cancelled, k
            else:
                # trio delivers at the next await what comes while a read succeeds: behind the last there is none.
                late = flavour.how == "scope" and k == count.seen
                assert late or not count.cancelled, f"{k}: its cancellation was swallowed"
                assert found == scenario.wants, k
            await scenario.after(bench)
            assert [*asyncio_ticks.TICKS, *trio_ticks.TICKS] == [], f"{k}: somebody ticks on"
            pool = client._pools.pool
            if pool is None:  # cancelled before it was made
                return count.cancelled
            counts = pool.counts()
            assert counts["active"] == counts["waiting"] == 0, (k, counts)
            unused = counts["idle"] + counts["draining"]
            assert pool._slots == unused <= 1 + (kind.wants != WORDS), (k, counts)
            # What the pool does not keep is closed, and the server is told of it.
            await until(backend, lambda: len(server.open) == unused)
            server.free = True
            server.answer = lambda request: STREAM
            assert await bench.stream() == WORDS, f"{k}: the next request"
            counts = pool.counts()
            assert (counts["active"], counts["waiting"]) == (0, 0), (k, counts)
            pool.close()  # each begins anew, with no connection
            client._pools.pool = None
            await until(backend, lambda: not server.open)
            return count.cancelled

        k = 1
        while await once(k):
            k += 1
        assert scenario.where in met, "it was not cancelled there"
        assert not scenario.reuses or bench.reused, "the last chunk was met nowhere"
        await client.aclose()

    async def main() -> None:
        await backend.first(lambda: server.serve(backend), sweep)

    try:
        flavour.way.run(main)
    finally:
        server.close()
    gc.collect()
