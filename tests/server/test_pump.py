"""The pump, on scripted transports: what leaves when, and what a cancellation at any await leaves behind."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any

import pytest
import trio

from support.served import CHAT, PATIENCE, RESPONSES, RawClient, serving
from tokenwire.backends import named
from tokenwire.server import Request, RequestError
from tokenwire.server.channel import ClientGone
from tokenwire.server.endpoint import Endpoint
from tokenwire.server.limits import DEFAULT_SERVER_LIMITS
from tokenwire.server.pump import _noticing
from tokenwire.server.serve import _Lobby, url_of

# -- Noticing a wait -----------------------------------------------------------


@types.coroutine
def trap(value: Any) -> Generator[Any, Any, Any]:
    return (yield value)


def noticed(coroutine: Any) -> tuple[Any, list[str]]:
    """What drives this coroutine, and a list that grows when it waits."""
    waits: list[str] = []
    return _noticing(coroutine, lambda: waits.append("waits")), waits


def test_noticing_what_does_not_wait() -> None:
    async def ready() -> str:
        return "ready"

    driver, waits = noticed(ready())
    with pytest.raises(StopIteration) as done:
        driver.send(None)
    assert (done.value.value, waits) == ("ready", [])


@pytest.mark.parametrize("first", [1, None])
def test_noticing_what_waits_passes_everything_through(first: int | None) -> None:
    async def waiting() -> list[Any]:
        found = [await trap("one")]
        try:
            await trap("two")
        except KeyError as error:
            found.append(repr(error))
        found.append(await trap("three"))
        return found

    driver, waits = noticed(waiting())
    assert driver.send(None) == "one"
    assert waits == ["waits"]
    assert driver.send(first) == "two"
    assert driver.throw(KeyError("k")) == "three"
    with pytest.raises(StopIteration) as done:
        driver.send(3)
    assert done.value.value == [first, "KeyError('k')", 3]
    assert waits == ["waits"]


@pytest.mark.parametrize("traps", [0, 1])
def test_noticing_lets_errors_through(traps: int) -> None:
    async def failing() -> None:
        for _ in range(traps):
            await trap(None)
        raise ZeroDivisionError

    driver, _ = noticed(failing())
    for _ in range(traps):
        driver.send(None)
    with pytest.raises(ZeroDivisionError):
        driver.send(None)


@pytest.mark.parametrize("resumed", [0, 1])
def test_noticing_closed_closes(resumed: int) -> None:
    closed = []

    async def waiting() -> None:
        try:
            await trap(None)
            await trap(None)
        finally:
            closed.append(True)

    driver, _ = noticed(waiting())
    for _ in range(1 + resumed):
        driver.send(None)
    driver.close()
    assert closed == [True]


# -- Scripted transports -------------------------------------------------------


class Scripted:
    """A transport whose client sends a script, a piece per read, and then waits, or leaves."""

    def __init__(
        self, script: list[bytes], step: Callable[[], Awaitable[None]], *, leaves: bool = False
    ) -> None:
        self.script = list(script)
        self.step = step
        self.leaves = leaves
        self.sent: list[bytes] = []
        self.ended = ""

    async def receive_into(self, buffer: Any, deadline: float | None) -> int:
        await self.step()
        buffer.reclaim()
        if self.script:
            room = buffer.limit - len(buffer)
            data, rest = self.script[0][:room], self.script[0][room:]
            self.script[:1] = [rest] if rest else []
            buffer.feed(data)
            return len(data)
        if self.leaves:
            return 0
        if deadline is not None:
            raise TimeoutError
        await self.forever()
        return 0

    async def forever(self) -> None:
        raise NotImplementedError

    async def poll(self, buffer: Any) -> int | None:
        raise NotImplementedError

    async def send(self, data: Any, deadline: float | None) -> None:
        await self.step()
        self.sent.append(bytes(data))

    def abort(self) -> None:
        self.ended = self.ended or "aborted"

    async def aclose(self) -> None:
        self.ended = "closed"
        await self.step()


def asking(body: dict[str, Any], target: str = "/chat/completions") -> list[bytes]:
    payload = json.dumps(body).encode()
    head = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    return [head % (target.encode(), len(payload)), payload[:10], payload[10:]]


class Life:
    """What became of one handler."""

    def __init__(self) -> None:
        self.begun = self.ended = 0

    async def handler(self, request: Request) -> AsyncIterator[str]:
        assert request.clock is not None
        self.begun += 1
        try:
            for word in ("a", "b", "c"):
                yield word
                yield word
                await request.clock.sleep(0)
        finally:
            self.ended += 1


def live_asyncio(life: Any, script: list[bytes], at: int, **options: Any) -> tuple[Scripted, bool, int]:
    """One connection's life, cancelled at the await number `at`: the transport, whether it was cancelled, awaits."""
    steps = 0

    async def main() -> tuple[Scripted, bool]:
        async def step() -> None:
            nonlocal steps
            steps += 1
            if steps == at:
                task.cancel()
            await asyncio.sleep(0)

        transport = Scripted(script, step, leaves=options.get("leaves", False))
        transport.forever = lambda: asyncio.get_running_loop().create_future()  # type: ignore[assignment,method-assign,return-value]
        task = asyncio.ensure_future(served("asyncio", life, transport, **options))
        await asyncio.wait([task])
        cancelled = task.cancelled()
        if not cancelled:
            task.result()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return transport, cancelled

    return (*asyncio.run(main()), steps)


def live_trio(life: Any, script: list[bytes], at: int, **options: Any) -> tuple[Scripted, bool, int]:
    steps = 0

    async def main() -> tuple[Scripted, bool]:
        with trio.CancelScope() as scope:

            async def step() -> None:
                nonlocal steps
                steps += 1
                if steps == at:
                    scope.cancel()
                await trio.lowlevel.checkpoint()

            transport = Scripted(script, step, leaves=options.get("leaves", False))
            transport.forever = trio.sleep_forever  # type: ignore[method-assign]
            await served("trio", life, transport, **options)
        return transport, scope.cancelled_caught

    return (*trio.run(main), steps)


LIVES = pytest.mark.parametrize("live", [live_asyncio, live_trio])


async def served(name: str, life: Any, transport: Any, *, on_disconnect: Any = "cancel", **_: Any) -> None:
    handler = life.handler if isinstance(life, Life) else life
    endpoint = Endpoint(
        handler,
        model=None,
        models=None,
        max_choices=1,
        limits=DEFAULT_SERVER_LIMITS,
        on_disconnect=on_disconnect,
    )
    backend = named(name)
    await endpoint.background.tend(
        backend, lambda: _Lobby(backend, endpoint, lambda: None).receive(transport)
    )


@LIVES
@pytest.mark.parametrize("stream", [True, False])
def test_cancelled_at_every_await(live: Any, stream: bool) -> None:
    script = asking({**CHAT, "stream": stream})
    life = Life()
    transport, cancelled, steps = live(life, script, 0)
    assert (cancelled, transport.ended, life.begun, life.ended) == (False, "closed", 1, 1)
    whole = b"".join(transport.sent)
    assert b"".join(transport.sent).count(b'"content":"a"') == (2 if stream else 0)
    assert steps > 5
    for at in range(1, steps + 1):
        life = Life()
        transport, cancelled, _ = live(life, script, at)
        assert life.begun == life.ended
        sent = b"".join(transport.sent)
        if transport.ended == "closed":
            # Said goodbye only behind the whole answer; the last awaits may be over before a cancellation is seen.
            # (Ids and times differ, and tokens may share a chunk or not.)
            assert sent.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n") if stream else len(sent) == len(whole)
        else:
            assert (transport.ended, cancelled) == ("aborted", True)


@LIVES
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("how", ["stored", "finish"])
def test_cancelled_at_every_await_apart_from_its_connection(live: Any, stream: bool, how: str) -> None:
    """A handler that may outlive its connection does not outlive the server."""
    body = {**RESPONSES, "stream": stream, "store": how == "stored"}
    options = {"on_disconnect": "finish" if how == "finish" else "cancel"}
    life = Life()
    transport, cancelled, steps = live(life, asking(body, "/responses"), 0, **options)
    assert (cancelled, transport.ended, life.begun, life.ended) == (False, "closed", 1, 1)
    if stream:  # who sees the last event sees the end with it
        assert b"response.completed" in transport.sent[-1]
        assert transport.sent[-1].endswith(b"\r\n0\r\n\r\n")
    assert steps > 5
    for at in range(1, steps + 1):
        life = Life()
        transport, _, _ = live(life, asking(body, "/responses"), at, **options)
        assert life.begun == life.ended
        assert transport.ended in ("closed", "aborted")


class Prompt(Scripted):
    """A transport that takes at most so many bytes of each piece without waiting."""

    room = 0

    def send_now(self, data: bytes) -> int:
        taken = data[: self.room]
        self.sent.append(taken)
        return len(taken)


@pytest.mark.parametrize("room", [0, 7, 1_000_000])
@pytest.mark.parametrize("name", ["asyncio", "trio"])
def test_tokens_that_come_after_a_wait_leave_without_another(
    name: str, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And whatever of them finds no room follows in order."""
    monkeypatch.setattr(Prompt, "room", room)
    words = [f"word-{number}" for number in range(20)]

    async def handler(request: Request) -> AsyncIterator[str]:
        assert request.clock is not None
        for word in words:
            await request.clock.sleep(0)
            yield word

    backend = named(name)

    async def main() -> Prompt:
        transport = Prompt(asking(CHAT), backend.checkpoint)
        transport.forever = lambda: backend.sleep(3600)  # type: ignore[method-assign]
        await served(name, handler, transport)
        return transport

    transport = backend.run(main)
    assert transport.ended == "closed"
    head, _, body = b"".join(transport.sent).partition(b"\r\n\r\n")
    said = b""
    while body:  # RFC 9112, 7.1
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        said, body = said + body[:length], body[length + 2 :]
    chunks = [json.loads(line[6:]) for line in said.split(b"\n") if line.startswith(b"data: {")]
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks] == ["", *words, None]
    assert head.startswith(b"HTTP/1.1 200 ")
    if room > 1000:  # the head with the first token, a send for each of the others, the end
        assert len(transport.sent) == len(words) + 1


@LIVES
def test_an_answer_without_tokens(live: Any) -> None:
    async def silent(request: Request) -> AsyncIterator[str]:
        return
        yield

    transport, _, _ = live(silent, asking(CHAT), 0)
    assert len(transport.sent) == 1
    assert transport.sent[0].endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    transport, _, _ = live(silent, asking(RESPONSES, "/responses"), 0)
    (sent,) = transport.sent
    assert sent.index(b"response.created") < sent.index(b"response.completed")


@LIVES
def test_the_head_leaves_with_the_first_token(live: Any) -> None:
    transport, _, _ = live(Life(), asking(CHAT), 0)
    assert transport.sent[0].startswith(b"HTTP/1.1 200 ")
    assert transport.sent[0].count(b'"content":"a"') == 1
    assert b'"role":"assistant"' in transport.sent[0]
    assert b"".join(transport.sent[1:]).count(b'"content":"a"') == 1
    assert b"HTTP/1.1" not in b"".join(transport.sent[1:])


def tokens_in(transport: Scripted, token: bytes = b'"content":"w') -> list[int]:
    """How many tokens each send had that had any."""
    counts = [sent.count(token) for sent in transport.sent]
    return [count for count in counts if count]


@LIVES
def test_how_many_sends_tokens_take(live: Any) -> None:
    """50 bursts of 20: the first of each burst leaves at once, the others when the handler waits."""

    async def bursts(request: Request) -> AsyncIterator[str]:
        assert request.clock is not None
        for _ in range(50):
            await request.clock.sleep(0)
            for _ in range(20):
                yield "w"

    transport, _, _ = live(bursts, asking(CHAT), 0)
    found = tokens_in(transport)
    assert sum(found) == 1000
    assert len(found) <= 100
    assert found[0] == 1


@LIVES
def test_a_handler_that_computes_without_waiting_is_sent_all_the_same(live: Any) -> None:
    """Its own thread is the event loop's: nothing could be sent meanwhile but by the pump itself."""

    async def computes(request: Request) -> AsyncIterator[str]:
        for _ in range(3):
            time.sleep(0.011)
            yield "w"

    transport, _, _ = live(computes, asking(CHAT), 0)
    assert tokens_in(transport) == [1, 1, 1]
    transport, _, _ = live(computes, asking({**RESPONSES, "background": True}, "/responses"), 0)
    assert tokens_in(transport, b'"delta":"w') == [1, 1, 1]


@LIVES
@pytest.mark.parametrize("cut", [1, 2])
def test_a_client_that_leaves_before_its_request_is_whole(live: Any, cut: int) -> None:
    life = Life()
    transport, _, _ = live(life, asking(CHAT)[:cut], 0, leaves=True)
    assert (transport.sent, life.begun) == ([], 0)
    transport, _, _ = live(life, [b"POST /chat"], 0, leaves=True)
    assert (transport.sent, transport.ended) == ([], "closed")


@LIVES
def test_headers_of_an_error_that_must_not_be_sent(live: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> AsyncIterator[str]:
        raise RequestError(400, "x", headers={"bad": "line\nend"})
        yield

    transport, _, _ = live(handler, asking(CHAT), 0)
    assert b"".join(transport.sent).startswith(b"HTTP/1.1 500 ")
    assert caplog.records[0].exc_info is not None
    assert caplog.records[0].exc_info[0] is ValueError


@LIVES
def test_a_handlers_own_deadline_that_cuts_a_send(live: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It was told, and counted, as a client who left."""

    async def handler(request: Request) -> AsyncIterator[str]:
        if live is live_trio:
            with trio.CancelScope() as scope:
                scope.cancel()
                yield "a"
        else:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            yield "a"

    transport, cancelled, _ = live(handler, asking(CHAT), 0)
    assert (transport.sent, transport.ended, cancelled) == ([], "aborted", False)
    assert "RuntimeError: the handler was cancelled from within while its tokens were sent" in caplog.text


@pytest.mark.parametrize("stream", [True, False])
def test_a_handler_that_swallows_its_cancellation(stream: bool) -> None:
    """asyncio tells a task only once."""
    swallowed = []

    async def stubborn(request: Request) -> AsyncIterator[str]:
        yield "x"
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            swallowed.append(True)
        while True:
            yield "y"

    transport, cancelled, _ = live_asyncio(stubborn, asking({**CHAT, "stream": stream}), 0, leaves=True)
    assert (swallowed, transport.ended, cancelled) == ([True], "aborted", False)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("target", "body", "last"),
    [
        ("/v1/chat/completions", CHAT, b'"internal_error"'),
        ("/v1/chat/completions", {**CHAT, "stream": False}, b'"internal_error"'),
        ("/v1/responses", RESPONSES, b"response.failed"),
        ("/v1/responses", {**RESPONSES, "background": True}, b"response.failed"),
    ],
)
def test_a_handler_that_is_cancelled_by_what_it_waits_for(
    target: str, body: dict[str, Any], last: bytes, first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A task of its own that somebody has cancelled: asyncio has no other name for that."""

    async def handler(request: Request) -> AsyncIterator[str]:
        if not first:
            yield "x"
        inner = asyncio.ensure_future(asyncio.sleep(3600))
        inner.cancel()
        await inner
        yield "never"

    with serving(handler, backend="asyncio") as server, RawClient(server) as client:
        client.ask("POST", target, body)
        head, answer = client.answer()
        early = first and not body.get("background")
        assert head.status_code == (200 if body["stream"] and not early else 500)
        assert (b'"internal_error"' if early else last) in answer
        client.ask("GET", "/v1/models")  # the connection is as good as before
        assert client.answer("GET")[0].status_code == 200
        assert server.stats["errors"] == 1
    assert "the handler was cancelled from within" in caplog.text


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(("word", "stream"), [("x", False), ("", True), ("", False)])
def test_a_handler_that_never_waits_gives_others_a_turn(backend: str, word: str, stream: bool) -> None:
    """Nothing of it is sent, and so no send gives one."""
    begun = threading.Event()
    ended = threading.Event()
    give_up = time.monotonic() + PATIENCE

    async def endless(request: Request) -> AsyncIterator[str]:
        try:
            while time.monotonic() < give_up:
                begun.set()
                yield word
        finally:
            ended.set()

    with serving(endless, backend=backend) as server, RawClient(server) as other:
        with RawClient(server) as client:
            client.ask("POST", "/v1/chat/completions", {**CHAT, "stream": stream})
            assert begun.wait(PATIENCE)
            other.ask("GET", "/v1/models")
            assert other.answer("GET")[0].status_code == 200
            assert not ended.is_set()
        assert ended.wait(PATIENCE)
        assert time.monotonic() < give_up  # it was cancelled, as its client had left


def test_more_pipelined_bytes_than_may_wait() -> None:
    """The watch stops: the answers come all the same, one after another."""
    last = b"".join(asking({**CHAT, "padding": "x" * 5000}))
    count = 40  # 200 KB, of which 64 may wait
    requests = last.replace(b"connection: close\r\n", b"") * (count - 1) + last
    pieces = [requests[k : k + 4096] for k in range(0, len(requests), 4096)]
    life = Life()
    transport, _, _ = live_asyncio(life, pieces, 0)
    assert life.begun == life.ended == count
    assert b"".join(transport.sent).count(b"data: [DONE]") == count


def test_urls() -> None:
    assert url_of(("127.0.0.1", 1), secure=False) == "http://127.0.0.1:1/v1"
    assert url_of(("0.0.0.0", 1), secure=True) == "https://127.0.0.1:1/v1"
    assert url_of(("::", 1), secure=False) == "http://[::1]:1/v1"
    assert url_of("/tmp/s", secure=False) == ""


def test_client_gone_is_no_error_of_the_library() -> None:
    assert not issubclass(ClientGone, OSError)
