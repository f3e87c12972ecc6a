"""`coalesce=`: where it can be said, when it begins, and that a stream is the same with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import tokenwire
from support.answers import chunk, delta, ended, head, response, sse, texts
from support.loops import PATIENCE, WAYS, Way, async_ways, plain_and_tls, trusting
from support.scripted import Scripted, until
from tokenwire.backends import asyncio_ticks, trio_ticks
from tokenwire.backends.ticks import Members, Pace

ticking = pytest.mark.parametrize(
    "way", [way for way in WAYS if way.id in ("asyncio", "uvloop", "trio")], ids=lambda way: way.id
)
families = pytest.mark.parametrize("family", ["chat", "responses"])

HEAD = head("Content-Type: text/event-stream", "Transfer-Encoding: chunked")
WORDS = [f"{number} " for number in range(40)]

#: What comes before the first token, and what behind the last.
OPENING: dict[str, list[Any]] = {
    "chat": [chunk("")],
    "responses": [{"type": f"response.{kind}", "response": response("in_progress")} for kind in ("created", "queued")],
}
CLOSING: dict[str, list[Any]] = {"chat": [chunk(None, "stop"), "[DONE]"], "responses": [ended()]}


def pieces(*events: Any) -> list[bytes]:
    """A piece for each event: an HTTP chunk."""
    return [b"%x\r\n%b\r\n" % (len(one), one) for one in map(sse, events)]


def tokens(family: str, words: list[str]) -> list[Any]:
    return [chunk(word) if family == "chat" else delta(word) for word in words]


def ticks() -> list[Any]:
    return [*asyncio_ticks.TICKS, *trio_ticks.TICKS]


def begin(client: Any, family: str, **options: Any) -> Any:
    if family == "chat":
        return client.chat.completions.create(model="m", messages=[], stream=True, **options)
    return client.responses.create(model="m", input="x", stream=True, **options)


def play(
    way: Way, main: Callable[[Scripted, tokenwire.AsyncClient], Awaitable[None]], *, tls: bool = False, **options: Any
) -> None:
    """Run main with a server in its own loop, and a client of it."""
    server = Scripted(tls=tls)

    async def both() -> None:
        async def with_client() -> None:
            context = trusting() if tls else None
            async with tokenwire.AsyncClient(
                api_key="k", base_url=server.url, backend=way.backend, ssl_context=context, timeout=PATIENCE, **options
            ) as client:
                await main(server, client)

        await way.backend.first(lambda: server.serve(way.backend), with_client)

    try:
        way.run(both)
    finally:
        server.close()
    assert not ticks()


@async_ways
@families
@plain_and_tls
def test_a_stream_is_the_same_and_its_connection_is_used_again(way: Way, family: str, tls: bool) -> None:
    async def main(server: Scripted, client: tokenwire.AsyncClient) -> None:
        events = OPENING[family] + tokens(family, WORDS) + CLOSING[family]
        server.answer = lambda request: [HEAD, *pieces(*events), b"0\r\n\r\n"]
        for _ in range(2):
            stream = await begin(client, family)
            assert [word for word in texts([event async for event in stream]) if word] == WORDS
        assert server.accepted == 1

    play(way, main, tls=tls, coalesce=0.002)


@ticking
@families
def test_the_first_token_waits_for_no_tick(way: Way, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does what comes before it. The ticks of this test never come."""
    monkeypatch.setattr(Pace, "_gap", lambda self: 3600.0)

    async def main(server: Scripted, client: tokenwire.AsyncClient) -> None:
        server.answer = lambda request: [HEAD, *pieces(*OPENING[family], *tokens(family, ["a"]))]
        server.free = False

        async def credits() -> None:
            while True:
                server.credit = True
                await way.backend.checkpoint()

        async def read() -> None:
            events = aiter(await begin(client, family, coalesce=0.01))
            while not texts([await anext(events)])[0]:
                pass
            assert len(ticks()) == 1
            await events.aclose()
            assert not ticks()

        await way.backend.first(credits, read)

    play(way, main)


@ticking
def test_raw_events_begin_after_some(way: Way) -> None:
    """They are not looked into."""

    async def main(server: Scripted, client: tokenwire.AsyncClient) -> None:
        server.answer = lambda request: [HEAD, *pieces(*tokens("chat", WORDS))]
        server.free = False
        server.credit = True  # for the head
        stream = await begin(client, "chat")
        try:
            events = stream.raw()
            for count in range(1, 17):
                server.credit = True  # one event a read, however slow this machine is
                await anext(events)
                assert len(ticks()) == (count == 16)
        finally:
            await stream.aclose()

    play(way, main, coalesce=0.01)


@ticking
@pytest.mark.parametrize("step", ["__init__", "register"])
def test_without_a_descriptor_for_the_tick_it_is_read_as_ever(
    way: Way, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: Any) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Members, step, exhausted)

    async def main(server: Scripted, client: tokenwire.AsyncClient) -> None:
        server.answer = lambda request: [HEAD, *pieces(*tokens("chat", WORDS), *CLOSING["chat"]), b"0\r\n\r\n"]
        for _ in range(2):
            events = [event async for event in await begin(client, "chat")]
            assert texts(events) == [*WORDS, ""]
        assert server.accepted == 1

    play(way, main, coalesce=0.002)


@async_ways
def test_a_cut_is_told_behind_all_that_came(way: Way) -> None:
    async def main(server: Scripted, client: tokenwire.AsyncClient) -> None:
        server.answer = lambda request: [HEAD, *pieces(*tokens("chat", WORDS))]

        seen: list[str] = []

        async def read() -> None:
            events = aiter(await begin(client, "chat"))
            while len(seen) < len(WORDS):
                seen.extend(texts([await anext(events)]))
            with pytest.raises(tokenwire.StreamTruncatedError) as caught:
                await anext(events)
            assert seen == WORDS
            assert caught.value.events == len(WORDS)

        async def cut_then_wait() -> None:
            await until(way.backend, lambda: seen)
            server.open.pop().sock.close()
            await way.backend.event().wait(None)

        await way.backend.first(read, cut_then_wait)

    play(way, main, coalesce=0.002)


@ticking
def test_a_call_and_with_options_have_their_own(way: Way) -> None:
    async def main(server: Scripted, client: tokenwire.AsyncClient) -> None:
        server.answer = lambda request: [HEAD, *pieces(*tokens("responses", WORDS))]
        none = client.with_options(coalesce=None)
        some = none.with_options(coalesce=0.003)
        for asked, options, wanted in (
            (client, {}, 0.002),
            (client, {"coalesce": 0.001}, 0.001),
            (client, {"coalesce": 0}, None),
            (client, {"coalesce": None}, None),
            (none, {}, None),
            (some, {}, 0.003),
            (some.with_options(max_retries=1), {}, 0.003),
        ):
            streams = [
                await begin(asked, "responses", **options),
                await asked.responses.retrieve("r", stream=True, **options),
            ]
            for stream in streams:
                batches, count = aiter(stream.batches()), 0
                while count < len(WORDS):
                    count += len(await anext(batches))
                assert [key[1] for key in ticks()] == ([] if wanted is None else [wanted])
                await stream.aclose()
        async with client.responses.stream(model="m", input="x", coalesce=0.004) as helped:
            for _ in WORDS:
                await anext(helped)
            assert [key[1] for key in ticks()] == [0.004]

    play(way, main, coalesce=0.002)


@pytest.mark.parametrize("bad", [-0.01, 10, 1.001, float("nan"), float("inf"), "0.01", True, [0.01]])
def test_what_it_cannot_be(bad: Any) -> None:
    client = tokenwire.Client(api_key="k", base_url="http://127.0.0.1:9/v1", coalesce=1)
    refused = pytest.raises(ValueError, match=r"^coalesce must be seconds from 0 to 1 \(0\.01 is ten milliseconds\)")
    with refused:
        tokenwire.AsyncClient(api_key="k", coalesce=bad)
    with refused:
        client.with_options(coalesce=bad)
    with refused:
        client.chat.completions.create(model="m", messages=[], stream=True, coalesce=bad)
    with refused:
        client.responses.retrieve("r", stream=True, coalesce=bad)
    client.close()


def test_blocking_code() -> None:
    from support.loopback import Answer, loopback

    events = pieces(*tokens("chat", WORDS), *CLOSING["chat"])
    with loopback({"a": Answer(HEAD + b"".join(events) + b"0\r\n\r\n")}) as server:
        with tokenwire.Client(api_key="k", base_url=server.url, default_headers={"X-Vector": "a"}, coalesce=0.001) as c:
            for _ in range(2):
                assert "".join(begin(c, "chat").text()) == "".join(WORDS)
        assert server.connections == 1
