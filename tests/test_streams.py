"""What the user iterates: one consumer, three ways to read, early ends, in both colours."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import itertools
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import trio
import trio.testing

import tokenwire
from support.answers import answer, chunk, delta, ended, head, sse, texts, usage_chunk
from support.held import counts
from support.mixed import Mixed, run_on
from support.threads import PATIENCE, ThreadServer
from tokenwire import BusyResourceError, StreamConsumedError
from tokenwire.backends.memory import EOF, REQUEST, MemoryBackend

WORDS = ["Now", " ", "is", " ", "the", " ", "time"]
CHAT = sse(*map(chunk, WORDS), chunk(None, "stop"), usage_chunk(), done=True)
RESPONSES = sse(*map(delta, WORDS), ended(text="".join(WORDS)))
BODIES = {"chat": CHAT, "responses": RESPONSES}
FAMILY = pytest.mark.parametrize("family", BODIES)
LOOPS = pytest.mark.parametrize("loop", ["asyncio", "trio"])


class Colour:
    """One way to write the same test for Client and for AsyncClient on either loop."""

    def __init__(self, name: str) -> None:
        self.name = name

    def client(self, *scripts: Any) -> Any:
        options: Any = {"api_key": "k", "base_url": "http://test", "max_retries": 0}
        if self.name == "sync":
            return tokenwire.Client(backend=MemoryBackend(scripts), **options)
        return tokenwire.AsyncClient(backend=Mixed(self.name, scripts), **options)

    def run(self, main: Callable[[], Awaitable[Any]]) -> Any:
        if self.name != "sync":
            return run_on(self.name, main)
        coroutine: Any = main()
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("it suspended")

    async def wait(self, value: Any) -> Any:
        return value if self.name == "sync" else await value

    async def create(self, client: Any, family: str = "chat") -> Any:
        if family == "chat":
            return await self.wait(client.chat.completions.create(model="m", messages=[], stream=True))
        return await self.wait(client.responses.create(model="m", input="x", stream=True))

    def manager(self, client: Any, family: str = "chat") -> Both:
        if family == "chat":
            return Both(client.chat.completions.stream(model="m", messages=[]))
        return Both(client.responses.stream(model="m", input="x"))

    async def next(self, iterator: Any) -> Any:
        if self.name == "sync":
            return next(iterator, None)
        return await anext(iterator, None)

    async def list(self, iterable: Any) -> list[Any]:
        return list(iterable) if self.name == "sync" else [item async for item in iterable]


class Both:
    """`async with` over a manager of either colour."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._sync = hasattr(manager, "__enter__")

    async def __aenter__(self) -> Any:
        return self._manager.__enter__() if self._sync else await self._manager.__aenter__()

    async def __aexit__(self, *details: Any) -> Any:
        return self._manager.__exit__(*details) if self._sync else await self._manager.__aexit__(*details)


@pytest.fixture(params=["sync", "asyncio", "trio"])
def colour(request: pytest.FixtureRequest) -> Colour:
    return Colour(request.param)


def cut(wire: bytes, size: int = 100) -> list[Any]:
    """In pieces; then the server closes, so that the next request takes another connection."""
    return [*(wire[at : at + size] for at in range(0, len(wire), size)), EOF]


# -- The ways to read --------------------------------------------------------------


@FAMILY
@pytest.mark.parametrize("size", [7, 100, 10_000])
def test_every_way_tells_the_same(colour: Colour, family: str, size: int) -> None:
    wire = answer(BODIES[family], "chunked")

    async def main() -> None:
        client = colour.client(*[cut(wire, size)] * 4)
        events = await colour.list(await colour.create(client, family))
        assert texts(events)[: len(WORDS)] == WORDS
        assert len(events) == len(WORDS) + (2 if family == "chat" else 1)
        batches = await colour.list((await colour.create(client, family)).batches())
        assert all(batches)
        assert [event for batch in batches for event in batch] == events
        assert await colour.list((await colour.create(client, family)).text()) == WORDS
        found = await colour.create(client, family)
        data = [bytes(one.data) for one in await colour.list(Kept(colour, found.raw()))]
        assert sse(*[one.decode() for one in data]) == BODIES[family]
        assert found.snapshot is None

    colour.run(main)


class Kept:
    """Raw events with data of their own: a view ends with the next step."""

    def __init__(self, colour: Colour, iterator: Any) -> None:
        self._iterator = iterator

    def __iter__(self) -> Iterator[Any]:
        for event in self._iterator:
            assert type(event.data) is memoryview
            yield event._replace(data=bytes(event.data))

    async def __aiter__(self) -> Any:
        async for event in self._iterator:
            assert type(event.data) is memoryview
            yield event._replace(data=bytes(event.data))


@FAMILY
def test_the_response_and_the_snapshot(colour: Colour, family: str) -> None:
    wire = answer(BODIES[family], "length", "x-request-id: req_1")

    async def main() -> None:
        found = await colour.create(colour.client(cut(wire)), family)
        assert (found.response.status_code, found.response.request_id) == (200, "req_1")
        assert found.response.headers["Content-Type"] == "text/event-stream"
        assert found.snapshot is None
        first = await colour.next(found)
        assert texts([first]) == ["Now"]
        assert text_of(found.snapshot).startswith("Now")
        await colour.list(found)
        assert text_of(found.snapshot) == "".join(WORDS)
        assert found.stats.events == len(WORDS) + (2 if family == "chat" else 1)

    colour.run(main)


def text_of(snapshot: Any) -> str:
    return snapshot.choices[0].message.content if hasattr(snapshot, "choices") else snapshot.output_text


def test_batches_after_a_first_event_lose_nothing(colour: Colour) -> None:
    async def main() -> None:
        for body in (CHAT, sse(*[chunk(str(at)) for at in range(500)], done=True)):
            whole = answer(gzip.compress(body), "length", "Content-Encoding: gzip")  # one read, one batch
            client = colour.client([whole], [whole])
            every = await colour.list(await colour.create(client))
            for taken in (1, 3):
                found = await colour.create(colour.client([whole]))
                got = [await colour.next(found) for _ in range(taken)]
                for batch in await colour.list(found.batches()):
                    got += batch
                assert got == every

    colour.run(main)


def test_events_after_batches(colour: Colour) -> None:
    async def main() -> None:
        found = await colour.create(colour.client(cut(answer(CHAT, "chunked"), 150)))
        got = list(await colour.next(found.batches()))
        got += await colour.list(found)
        assert texts(got)[:7] == WORDS

    colour.run(main)


def test_two_ways_at_once_are_refused(colour: Colour) -> None:
    wire = answer(CHAT, "chunked")

    async def main() -> None:
        client = colour.client(*[cut(wire)] * 4)
        found = await colour.create(client)
        await colour.next(found)
        with pytest.raises(StreamConsumedError, match="being read as events already: it cannot be read as raw"):
            found.raw()
        assert len(await colour.list(found)) == 8
        for read in (
            colour.next,
            lambda found: colour.list(found.batches()),
            lambda found: colour.list(found.text()),
        ):
            found = await colour.create(client)
            events = found.raw()
            assert bytes((await colour.next(events)).data).startswith(b"{")
            with pytest.raises(StreamConsumedError, match="being read as raw already"):
                await read(found)
            with pytest.raises(StreamConsumedError, match="being read as raw already"):
                found.raw()
            assert len(await colour.list(events)) == 9

    colour.run(main)


def test_raw_views_outlive_the_connections_next_use(colour: Colour) -> None:
    """The stream has ended, its connection carries the next one; its last events are views still."""
    wire = answer(sse(chunk("first"), done=True), "length")
    other = answer(sse(chunk("other"), done=True), "length")
    assert len(wire) == len(other)

    async def main() -> None:
        client = colour.client([wire, REQUEST, other])
        event = await colour.next((await colour.create(client)).raw())
        assert counts(client) == {"idle": 1}
        found = await colour.create(client)
        assert found.stats.reused
        assert await colour.list(found.text()) == ["other"]
        assert b"first" in bytes(event.data)

    colour.run(main)


@pytest.mark.parametrize("framing", ["chunked", "small chunks", "length"])
def test_many_streams_one_connection(colour: Colour, framing: str) -> None:
    wire = answer(CHAT, framing)

    async def main() -> None:
        client = colour.client([step for _ in range(5) for step in (*cut(wire)[:-1], REQUEST)])
        for read in (lambda f: f, lambda f: f.text(), lambda f: f.batches(), lambda f: Kept(colour, f.raw())):
            assert await colour.list(read(await colour.create(client)))
        async with colour.manager(client) as found:
            await colour.list(found)
        assert client._pools.pool.made == 1

    colour.run(main)


# -- Ends ------------------------------------------------------------------------------


def test_after_the_end_there_is_nothing(colour: Colour) -> None:
    async def main() -> None:
        found = await colour.create(colour.client([answer(CHAT, "chunked")]))
        await colour.list(found)
        for _ in range(2):
            assert await colour.next(found) is None
            assert await colour.list(found.batches()) == []
            await colour.wait(found.close())
        assert await colour.list(found.text()) == []

    colour.run(main)


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_a_failure_comes_once_and_behind_every_event(colour: Colour, framing: str) -> None:
    wire = answer(sse(*map(chunk, WORDS)), framing)

    async def main() -> None:
        for read in (lambda f: f, lambda f: f.batches(), lambda f: f.text()):
            client = colour.client([wire, EOF])
            found = await colour.create(client)
            iterator = read(found)
            got: list[Any] = []
            with pytest.raises(tokenwire.StreamTruncatedError) as caught:
                await into(colour, got, iterator)
            assert (len(got), caught.value.events) in ((7, 7), (1, 7))
            assert caught.value.snapshot.choices[0].message.content == "".join(WORDS)
            assert await colour.next(iterator) is None
            assert await colour.next(found) is None
            assert counts(client) == {}

    colour.run(main)


async def into(colour: Colour, got: list[Any], iterator: Any) -> None:
    while (item := await colour.next(iterator)) is not None:
        got.append(item)


def test_a_timeout_ends_it(colour: Colour) -> None:
    async def main() -> None:
        client = colour.client([answer(CHAT, "chunked").partition(b'" "')[0]])
        found = await colour.create(client.with_options(timeout=0.01))
        got: list[Any] = []
        with pytest.raises(tokenwire.APITimeoutError, match="Timeouts"):
            await into(colour, got, found)
        assert len(got) == found.stats.events == 1
        assert await colour.next(found) is None
        assert text_of(found.snapshot) == "Now"

    colour.run(main)


@pytest.mark.parametrize("begin", [0, 1, 3])
def test_closed_before_its_end(colour: Colour, begin: int) -> None:
    """What is left is never handed out as if it were all."""

    async def main() -> None:
        for size in (100, 10_000):
            client = colour.client(cut(answer(CHAT, "chunked"), size))
            found = await colour.create(client)
            for _ in range(begin):
                await colour.next(found)
            for _ in range(2):
                await colour.wait(found.close())
            assert counts(client).get("active", 0) == 0
            with pytest.raises(StreamConsumedError, match="closed"):
                await colour.next(found)
            if begin:
                assert await colour.next(found) is None, "raised once, like any other failure"
                assert text_of(found.snapshot).startswith("Now")
                with pytest.raises(StreamConsumedError):
                    found.raw()

    colour.run(main)


def test_the_context_manager_closes(colour: Colour) -> None:
    async def main() -> None:
        client = colour.client(cut(answer(CHAT, "chunked")))
        async with Both(await colour.create(client)) as found:
            await colour.next(found)
            assert counts(client) == {"active": 1}
        assert counts(client) == {}
        with pytest.raises(StreamConsumedError, match="closed before its end"):
            await colour.list(found)
        if colour.name != "sync":
            await found.aclose()

    colour.run(main)


def test_a_stream_that_is_dropped_lets_go_at_once(colour: Colour) -> None:
    async def main() -> None:
        client = colour.client(*[cut(answer(CHAT, "chunked"))] * 4)
        gc.disable()  # by reference counting alone
        try:
            for read in (None, lambda f: f, lambda f: f.batches(), lambda f: Kept(colour, f.raw())):
                found: Any = await colour.create(client)
                iterator = None if read is None else read(found)
                if read is not None and not isinstance(iterator, Kept):
                    await colour.next(iterator)
                assert counts(client) == {"active": 1}
                del found, iterator
                assert counts(client) == {}
        finally:
            gc.enable()

    colour.run(main)


def test_break_lets_go_at_once(colour: Colour) -> None:
    async def main() -> None:
        client = colour.client(*[cut(answer(CHAT, "chunked"))] * 3)
        if colour.name == "sync":
            for _ in client.chat.completions.create(model="m", messages=[], stream=True):
                break
            assert counts(client) == {}
            for _ in client.chat.completions.create(model="m", messages=[], stream=True).text():
                break
        else:
            async for _ in await client.chat.completions.create(model="m", messages=[], stream=True):
                break
            assert counts(client) == {}
            async for _ in (await client.chat.completions.create(model="m", messages=[], stream=True)).text():
                break
        assert counts(client) == {}

    colour.run(main)


# -- Real sockets: nothing warns, and the server sees it at once -----------------------------

FIRST = head("Transfer-Encoding: chunked") + b"%x\r\n%b\r\n" % (len(sse(chunk("x"))), sse(chunk("x")))


class Left:
    """A server that begins a stream, and notes when its client has gone."""

    def __init__(self) -> None:
        self.gone = threading.Semaphore(0)

    def __call__(self, sock: socket.socket, requests: Iterator[bytes]) -> None:
        next(requests)
        sock.sendall(FIRST)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
        self.gone.release()

    def wait(self) -> None:
        assert self.gone.acquire(timeout=PATIENCE)


@pytest.mark.parametrize("managed", [False, True])
@pytest.mark.parametrize("backend", ["asyncio", "trio", "anyio", "sync"])
def test_break_on_real_sockets(backend: str, managed: bool) -> None:
    left = Left()
    with ThreadServer(left) as server:
        if backend == "sync":
            client = tokenwire.Client(api_key="k", base_url=server.url)
            found = client.chat.completions.create(model="m", messages=[], stream=True)
            if managed:
                with found:
                    for _ in found:
                        break
            else:
                for _ in found:
                    break
                del found
            left.wait()
            assert counts(client) == {}
            client.close()
            return

        async def main() -> None:
            client = tokenwire.AsyncClient(api_key="k", base_url=server.url, backend=backend)
            stream: Any = await client.chat.completions.create(model="m", messages=[], stream=True)
            if managed:
                async with stream:
                    async for _ in stream:
                        break
            else:
                async for _ in stream:
                    break
                del stream
            assert counts(client) == {}
            to_thread = trio.to_thread.run_sync if backend == "trio" else asyncio.to_thread
            await to_thread(left.wait)
            await client.aclose()

        run_on_real(backend, main)
    gc.collect()


def run_on_real(backend: str, main: Callable[[], Awaitable[None]]) -> None:
    if backend == "trio":
        trio.run(main)
    else:
        asyncio.run(main())  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["asyncio", "trio", "anyio", "sync"])
def test_a_client_that_is_dropped_closes_its_sockets(backend: str) -> None:
    """-W error makes a ResourceWarning of any that is left."""

    def life(sock: socket.socket, requests: Iterator[bytes]) -> None:
        for _ in requests:
            sock.sendall(answer(CHAT, "chunked"))

    with ThreadServer(life) as server:
        if backend == "sync":
            client = tokenwire.Client(api_key="k", base_url=server.url)
            assert list(client.chat.completions.create(model="m", messages=[], stream=True).text()) == WORDS
            del client
        else:

            async def main() -> None:
                client = tokenwire.AsyncClient(api_key="k", base_url=server.url, backend=backend)
                found = await client.chat.completions.create(model="m", messages=[], stream=True)
                assert [text async for text in found.text()] == WORDS

            run_on_real(backend, main)
        gc.collect()


# -- One consumer ------------------------------------------------------------------------------


@LOOPS
def test_a_second_task_is_refused(loop: str) -> None:
    left = Left()
    with ThreadServer(left) as server:

        async def main() -> None:
            client = tokenwire.AsyncClient(api_key="k", base_url=server.url)
            stream: Any = await client.chat.completions.create(model="m", messages=[], stream=True)
            await anext(stream)
            waiting: Any = anext(stream).__await__()
            step = waiting.send(None)  # it waits for the socket
            for read in (anext(stream), anext(stream.batches()), anext(stream.text())):
                with pytest.raises(BusyResourceError, match="one consumer"):
                    await read
            assert step is not None
            waiting.close()
            assert counts(client) == {}, "the reader was cancelled"
            await client.aclose()

        if loop == "asyncio":
            asyncio.run(main())
        else:
            trio.run(trio_two_readers, server.url)


async def trio_two_readers(url: str) -> None:
    client = tokenwire.AsyncClient(api_key="k", base_url=url)
    stream: Any = await client.chat.completions.create(model="m", messages=[], stream=True)
    await anext(stream)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(anext, stream)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(BusyResourceError, match="one consumer"):
            await anext(stream)
        nursery.cancel_scope.cancel()
    assert counts(client) == {}
    with pytest.raises(StreamConsumedError, match="cancelled"):
        await anext(stream)
    assert await anext(stream, None) is None, "and told so once"
    await client.aclose()


def test_a_second_thread_is_refused_and_close_wakes_the_first() -> None:
    left = Left()
    with ThreadServer(left) as server:
        client = tokenwire.Client(api_key="k", base_url=server.url)
        stream = client.chat.completions.create(model="m", messages=[], stream=True)
        next(stream)
        raised: list[BaseException] = []

        def read() -> None:
            try:
                next(stream)
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        while not stream._source.exchange._reading:
            thread.join(0.001)
        with pytest.raises(BusyResourceError, match="one consumer"):
            next(stream)
        stream.close()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert [type(error) for error in raised] == [StreamConsumedError]
        client.close()


# -- Checkpoints ---------------------------------------------------------------------------------


@LOOPS
@pytest.mark.parametrize("way", ["events", "text"])
def test_a_firehose_does_not_starve_its_neighbours(loop: str, way: str) -> None:
    """1,000 events in one read from a backend whose reads never suspend."""
    body = sse(*[chunk("x") for _ in range(1000)], done=True)
    wire = answer(gzip.compress(body), "length", "Content-Encoding: gzip")
    backend = Mixed(loop, [[wire]])
    client = tokenwire.AsyncClient(api_key="k", base_url="http://test", backend=backend)  # type: ignore[arg-type]

    async def main() -> None:
        found = await client.chat.completions.create(model="m", messages=[], stream=True)
        seen = 0
        at: list[int] = []
        over = False

        async def neighbour() -> None:
            while not over:
                at.append(seen)
                await backend.checkpoint()

        async def consume() -> None:
            nonlocal seen, over
            async for _ in found.text() if way == "text" else found:
                seen += 1
            over = True

        if loop == "asyncio":
            await asyncio.gather(neighbour(), consume())
        else:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(neighbour)
                nursery.start_soon(consume)
        assert seen == 1000
        # trio shuffles who goes first in each round: two of our slices may come one after the other.
        slices = 1 if loop == "asyncio" else 2
        assert max(after - before for before, after in itertools.pairwise(at)) <= 256 * slices

    run_on(loop, main)


@LOOPS
def test_cancelled_between_two_slices(loop: str) -> None:
    body = sse(*[chunk("x") for _ in range(600)], done=True)
    # Not complete: [DONE] has not come, so the connection is held.
    wire = answer(body, "chunked")[:-40]
    packed = gzip.compress(body[:-20])
    backend = Mixed(loop, [[answer(packed, "chunked", "Content-Encoding: gzip")[:-5]]])
    assert len(packed) < len(wire)
    client = tokenwire.AsyncClient(api_key="k", base_url="http://test", backend=backend)  # type: ignore[arg-type]

    async def main() -> None:
        found = await client.chat.completions.create(model="m", messages=[], stream=True)
        seen = 0

        async def consume() -> None:
            nonlocal seen
            async for _ in found:
                seen += 1
                if seen == 256:
                    cancel()

        if loop == "asyncio":
            task = asyncio.create_task(consume())
            cancel = task.cancel
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            with trio.CancelScope() as scope:
                cancel = scope.cancel  # type: ignore[assignment]
                await consume()
            assert scope.cancelled_caught
        assert seen == 256
        assert counts(client) == {}
        with pytest.raises(StreamConsumedError, match="a read of this stream was cancelled"):
            await anext(found)
        assert [batch async for batch in found.batches()] == []

    run_on(loop, main)


class Pausing(MemoryBackend):
    """meanwhile: what others do while one is between two slices."""

    meanwhile: Callable[[], Awaitable[Any]]

    async def checkpoint(self) -> None:
        await self.meanwhile()


async def sliced() -> tuple[Any, Pausing, list[Any]]:
    """A stream of 600 events that came in one read and goes on; and the first of its slices, consumed."""
    body = gzip.compress(sse(*[chunk(str(n)) for n in range(600)]))
    backend = Pausing([[answer(body, "chunked", "Content-Encoding: gzip")[:-5]]])
    client = tokenwire.AsyncClient(api_key="k", base_url="http://test", backend=backend)
    found = await client.chat.completions.create(model="m", messages=[], stream=True)
    return found, backend, [await anext(found) for _ in range(256)]


def test_a_second_task_between_two_slices() -> None:
    async def main() -> None:
        found, backend, got = await sliced()

        async def second() -> None:
            with pytest.raises(BusyResourceError):
                await anext(found)

        backend.meanwhile = second
        got += [await anext(found) for _ in range(256)]
        assert texts(got) == [str(n) for n in range(512)]
        await found.aclose()

    run_on("asyncio", main)


def test_closed_between_two_slices() -> None:
    async def main() -> None:
        found, backend, _ = await sliced()
        backend.meanwhile = found.aclose
        with pytest.raises(StreamConsumedError):
            await anext(found)
        assert [event async for event in found] == []

    run_on("asyncio", main)


@pytest.mark.parametrize("why", ["it was closed", "its coding is unknown"])
def test_what_cannot_be_started_is_told_once(colour: Colour, why: str) -> None:
    fields = [] if why == "it was closed" else ["Content-Encoding: rot13"]
    client = colour.client([answer(CHAT, "chunked", *fields)])

    async def main() -> None:
        found = await colour.create(client)
        if why == "it was closed":
            await colour.wait(found.close())
        with pytest.raises(tokenwire.TokenwireError):
            await colour.next(found)
        assert await colour.list(found) == []

    colour.run(main)


# -- .stream() -------------------------------------------------------------------------------------


@FAMILY
def test_the_helpers_stream(colour: Colour, family: str) -> None:
    wire = answer(BODIES[family], "chunked")

    async def main() -> None:
        client = colour.client(*[cut(wire)] * 6)
        async with colour.manager(client, family) as found:
            kinds = [event.type for event in await colour.list(found)]
        if family == "chat":
            assert kinds == ["chunk", "content.delta"] * 7 + ["chunk", "content.done", "chunk"]
        else:
            assert kinds == ["response.output_text.delta"] * 7 + ["response.completed"]
        async with colour.manager(client, family) as found:
            assert await colour.list(found.text()) == WORDS
            assert text_of(found.snapshot) == "".join(WORDS)
        async with colour.manager(client, family) as found:
            flat = [event for batch in await colour.list(found.batches()) for event in batch]
            assert [event.type for event in flat] == kinds
        async with colour.manager(client, family) as found:
            assert len(await colour.list(found.raw())) == len(WORDS) + (3 if family == "chat" else 1)
        async with colour.manager(client, family) as found:
            await colour.next(found)
            assert await colour.wait(found.until_done()) is found
            assert await colour.next(found) is None
            final = found.get_final_completion() if family == "chat" else found.get_final_response()
            assert text_of(await colour.wait(final)) == "".join(WORDS)
        async with colour.manager(client, family) as found:
            final = found.get_final_completion() if family == "chat" else found.get_final_response()
            assert text_of(await colour.wait(final)) == "".join(WORDS)
            if family == "chat":
                assert text_of(found.current_completion_snapshot) == "".join(WORDS)
        assert text_of(
            await colour.wait(found.get_final_completion() if family == "chat" else found.get_final_response())
        ) == "".join(WORDS), "read to its end, it may be asked after the block too"

    colour.run(main)


def test_a_helpers_stream_left_early(colour: Colour) -> None:
    async def main() -> None:
        client = colour.client(cut(answer(CHAT, "chunked")), [answer(b"no", status="401 No")])
        async with colour.manager(client) as found:
            await colour.next(found)
        assert counts(client) == {}
        with pytest.raises(StreamConsumedError, match="closed before its end"):
            await colour.wait(found.get_final_completion())
        with pytest.raises(tokenwire.AuthenticationError):
            async with colour.manager(client):
                raise AssertionError("no stream to enter")
        assert counts(client) == {"idle": 1}

    colour.run(main)


def test_a_helpers_stream_that_is_cut(colour: Colour) -> None:
    async def main() -> None:
        client = colour.client([answer(sse(*map(chunk, WORDS)), "close"), EOF])
        async with colour.manager(client) as found:
            with pytest.raises(tokenwire.StreamTruncatedError) as caught:
                await colour.wait(found.get_final_completion())
            assert caught.value.events == len(WORDS)
            assert text_of(caught.value.snapshot) == "".join(WORDS)

    colour.run(main)


def test_a_manager_that_is_never_entered(colour: Colour) -> None:
    async def main() -> None:
        client = colour.client()
        colour.manager(client)
        assert counts(client) == {}

    colour.run(main)


@pytest.mark.parametrize("way", ["batches", "raw"])
def test_closed_before_what_came_with_the_head_was_read(colour: Colour, way: str) -> None:
    async def main() -> None:
        for framing in ("chunked", "close"):
            found = await colour.create(colour.client(cut(answer(CHAT, framing), 10_000)))
            iterator = getattr(found, way)()
            await colour.wait(found.close())
            with pytest.raises(StreamConsumedError, match="closed before its end"):
                await colour.next(iterator)

    colour.run(main)
