"""What `.stream()` gives, in both colours: its classes, the final object, and what leaving it does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import tokenwire
from support.answers import answer, chunk, sse
from support.facts import CHAT, RESPONSES
from tokenwire.backends.memory import EOF, MemoryBackend
from tokenwire.backends.sync import run
from tokenwire.types.chat import ParsedChatCompletion
from tokenwire.types.responses import ParsedResponse


class Poem(msgspec.Struct):
    title: str


CUT = next(fact for fact in CHAT if fact.name == "neither")


def options(fact: Any) -> dict[str, Any]:
    return {"api_key": "k", "base_url": "http://test", "backend": MemoryBackend([[fact.answer(), EOF]])}


def connection(client: Any) -> Any:
    (found,) = client._pools._backend.connections
    return found


def test_nothing_is_sent_before_the_stream_is_entered() -> None:
    with tokenwire.Client(**options(CHAT[0])) as client:
        manager = client.chat.completions.stream(model="m", messages=[])
        assert client._pools._backend.connections == []  # type: ignore[union-attr]
        with manager as stream:
            assert type(stream) is tokenwire.ChatCompletionStream
            assert connection(client).sent


def test_chat() -> None:
    with (
        tokenwire.Client(**options(CHAT[0])) as client,
        client.chat.completions.stream(model="m", messages=[]) as stream,
    ):
        assert next(stream).type == "chunk"
        assert stream.until_done() is stream
        assert list(stream) == []
        final = stream.get_final_completion()
        assert type(final) is ParsedChatCompletion
        assert final.choices[0].message.content == "The moon"
        assert stream.current_completion_snapshot == stream.snapshot == final


def of_many() -> dict[str, Any]:
    """A client whose server sends all chunks at once."""
    wire = answer(sse(*(chunk(f"{number} ") for number in range(300)), chunk(None, "stop"), done=True))
    return {"api_key": "k", "base_url": "http://test", "backend": MemoryBackend([[wire, EOF]])}


def is_of(event: Any, snapshot: Any) -> bool:
    """Whether the snapshot is of the moment of this event."""
    if event.type == "chunk":
        return bool(snapshot == event.snapshot)
    content = event.snapshot if event.type == "content.delta" else event.content
    return bool(snapshot.choices[0].message.content == content)


def test_the_current_snapshot_is_of_the_event_that_was_handed_out() -> None:
    """As with the official helper: who shows it with each event sees it grow, also where one read brought them all."""
    with (
        tokenwire.Client(**of_many()) as client,
        client.chat.completions.stream(model="m", messages=[]) as stream,
    ):
        assert next(stream).type == "chunk"
        assert stream.current_completion_snapshot.choices[0].message.content == "0 "
        assert len(stream.snapshot.choices[0].message.content or "") > 2  # all that was read
        assert [event for event in stream if not is_of(event, stream.current_completion_snapshot)] == []
        assert stream.current_completion_snapshot == stream.get_final_completion()


def test_the_current_snapshot_of_an_async_stream() -> None:
    async def main() -> list[Any]:
        async with (
            tokenwire.AsyncClient(**of_many()) as client,
            client.chat.completions.stream(model="m", messages=[]) as stream,
        ):
            return [event async for event in stream if not is_of(event, stream.current_completion_snapshot)]

    assert run(main()) == []


def test_responses() -> None:
    with (
        tokenwire.Client(**options(RESPONSES[0])) as client,
        client.responses.stream(model="m", input="") as stream,
    ):
        assert type(stream) is tokenwire.ResponseStream
        assert "".join(stream.text()) == "The moon"
        final = stream.get_final_response()
        assert type(final) is ParsedResponse
        assert final.output_text == stream.snapshot.output_text == "The moon"
        assert final.output_parsed is None


def test_each_family_has_its_own_methods() -> None:
    for cls in (tokenwire.ChatCompletionStream, tokenwire.AsyncChatCompletionStream):
        assert not hasattr(cls, "get_final_response")
    for cls in (tokenwire.ResponseStream, tokenwire.AsyncResponseStream):
        assert not hasattr(cls, "get_final_completion")


def test_leaving_early_closes_the_connection() -> None:
    with tokenwire.Client(**options(CHAT[0])) as client:
        with client.chat.completions.stream(model="m", messages=[]):
            assert not connection(client).closed
        assert connection(client).closed


def test_a_cut_is_told_by_the_final_object_too() -> None:
    with tokenwire.Client(**options(CUT)) as client, client.chat.completions.stream(model="m", messages=[]) as stream:
        with pytest.raises(tokenwire.StreamTruncatedError):
            stream.get_final_completion()
        assert stream.current_completion_snapshot.choices[0].message.content == "The "


def test_async() -> None:
    async def chat() -> None:
        async with tokenwire.AsyncClient(**options(CHAT[0])) as client:
            manager = client.chat.completions.stream(model="m", messages=[])
            assert client._pools._backend.connections == []  # type: ignore[union-attr]
            async with manager as stream:
                assert type(stream) is tokenwire.AsyncChatCompletionStream
                assert (await anext(stream)).type == "chunk"
                assert await stream.until_done() is stream
                final = await stream.get_final_completion()
                assert type(final) is ParsedChatCompletion
                assert final.choices[0].message.content == "The moon"
                assert stream.current_completion_snapshot == stream.snapshot == final

    async def responses() -> None:
        async with (
            tokenwire.AsyncClient(**options(RESPONSES[0])) as client,
            client.responses.stream(model="m", input="") as stream,
        ):
            assert type(stream) is tokenwire.AsyncResponseStream
            assert "".join([text async for text in stream.text()]) == "The moon"
            final = await stream.get_final_response()
            assert type(final) is ParsedResponse
            assert final.output_text == stream.snapshot.output_text == "The moon"

    async def left() -> None:
        async with tokenwire.AsyncClient(**options(CHAT[0])) as client:
            async with client.chat.completions.stream(model="m", messages=[]):
                assert not connection(client).closed
            assert connection(client).closed

    run(chat())
    run(responses())
    run(left())


@pytest.mark.parametrize("typed", [False, True], ids=["text", "a type"])
def test_after_an_error_that_was_caught_there_is_no_final_object(typed: bool) -> None:
    """A cut-off answer is never taken for a whole one, also by whoever passed over the error."""
    asked: dict[str, Any] = {"response_format": Poem} if typed else {}
    with (
        tokenwire.Client(**options(CUT)) as client,
        client.chat.completions.stream(model="m", messages=[], **asked) as stream,
    ):
        with pytest.raises(tokenwire.StreamTruncatedError) as told:
            stream.until_done()
        assert list(stream) == []
        with pytest.raises(tokenwire.StreamTruncatedError, match="no whole answer") as again:
            stream.get_final_completion()
        assert again.value.snapshot == stream.snapshot
        assert again.value.events == told.value.events > 0


def test_after_an_error_that_was_caught_there_is_no_final_response_either() -> None:
    cut = next(fact for fact in RESPONSES if b"response.completed" in fact.answer())

    async def main() -> None:
        wire = cut.answer()
        answer = wire[: wire.index(b"response.completed") - 20]
        backend = MemoryBackend([[answer, EOF]])
        async with (
            tokenwire.AsyncClient(api_key="k", base_url="http://test", backend=backend) as client,
            client.responses.stream(model="m", input="") as stream,
        ):
            with pytest.raises(tokenwire.StreamTruncatedError):
                await stream.until_done()
            with pytest.raises(tokenwire.StreamTruncatedError, match="no whole answer"):
                await stream.get_final_response()

    run(main())
