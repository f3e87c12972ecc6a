"""A background response's stream goes on where its connection broke: no event twice, and none missing."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tokenwire
from support.answers import answer, framed, head, js
from support.loops import PATIENCE, Threaded, Way, reset, ways
from tokenwire import Timeouts
from tokenwire.backends.memory import EOF, MemoryBackend, MemoryTransport, SendFails
from tokenwire.policy import Retry

RESET = ConnectionResetError(104, "Connection reset by peer")
SILENCE = "silence"
WORDS = ("Slow", "ly, ", "silent", "ly, now ", "the moon 🌙")


def _events() -> list[dict[str, Any]]:
    def response(status: str, output: list[Any]) -> dict[str, Any]:
        return {"id": "resp_1", "object": "response", "status": status, "output": output}

    where = {"item_id": "m", "output_index": 0, "content_index": 0}
    message = {"id": "m", "type": "message", "role": "assistant", "status": "completed"}
    whole = {**message, "content": [{"type": "output_text", "text": "".join(WORDS), "annotations": []}]}
    found: list[dict[str, Any]] = [
        {"type": "response.created", "response": response("queued", [])},
        {"type": "response.output_item.added", "output_index": 0, "item": {**message, "content": []}},
        *({"type": "response.output_text.delta", **where, "delta": word} for word in WORDS),
        {"type": "response.output_item.done", "output_index": 0, "item": whole},
        {"type": "response.completed", "response": response("completed", [whole])},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(found)]


EVENTS = _events()
TEXT = "".join(WORDS)


def frames(events: list[dict[str, Any]]) -> bytes:
    return "".join(f"event: {event['type']}\ndata: {js(event)}\n\n" for event in events).encode()


def chunk(event: dict[str, Any]) -> bytes:
    data = frames([event])
    return b"%x\r\n%b\r\n" % (len(data), data)


def begun(events: list[dict[str, Any]]) -> bytes:
    """The head and these events, one in a chunk, without an end."""
    return head("Transfer-Encoding: chunked", "Content-Type: text/event-stream") + b"".join(map(chunk, events))


def whole(events: list[dict[str, Any]]) -> bytes:
    return begun(events) + b"0\r\n\r\n"


def after(number: int | None, events: list[dict[str, Any]] = EVENTS) -> list[dict[str, Any]]:
    return [event for event in events if number is None or event["sequence_number"] > number]


#: number to start after, how many requests came before -> the steps of the answer.
Answer = Callable[[int | None, int], list[Any]]


class _Transport(MemoryTransport):
    async def send(self, data: Any, deadline: float | None) -> None:
        await super().send(data, deadline)
        assert isinstance(self._backend, Peer)
        self._script.extend(self._backend.answered(bytes(data)))


class Peer(MemoryBackend):
    """A server that answers each request by `answer`. asked: the targets of its requests."""

    def __init__(self, answer: Answer, *, refused: int = 0) -> None:
        super().__init__()
        self._answer = answer
        self.asked: list[str] = []
        self.heads: list[bytes] = []
        self.refused: list[OSError] = []

    async def connect(self, *arguments: Any) -> Any:
        if self.asked and self.refused:
            raise self.refused.pop(0)
        transport = _Transport(self, [])
        self.connections.append(transport)
        return transport

    def answered(self, request: bytes) -> list[Any]:
        self.heads.append(request)
        method, target, _ = request.split(b" ", 2)
        asked = f"{method.decode()} {target.decode()}"
        number = re.search(r"starting_after=(\d+)", asked)
        self.asked.append(asked)
        return self._answer(int(number[1]) if number else None, len(self.asked) - 1)


def client_of(peer: Any, **options: Any) -> tokenwire.Client:
    options = {"api_key": "sk-secret", "base_url": "http://test/v1", **options}
    return tokenwire.Client(backend=peer, **options)


def create(client: Any, **options: Any) -> Any:
    options = {"background": True, "stream": True, "resume": True, **options}
    return client.responses.create(model="m", input="x", **options)


def drain(stream: Any) -> tuple[list[Any], Exception | None]:
    """Its events as JSON, and how it failed."""
    got: list[Any] = []
    try:
        for event in stream:
            got.append(event.to_dict())
    except tokenwire.TokenwireError as error:
        return got, error
    return got, None


def is_clean(client: Any, peer: Peer) -> bool:
    """Nothing is in use, and what is not kept is closed."""
    counts = client._pools.pool.counts()
    unused = counts["idle"] + counts["draining"]
    return counts["active"] == counts["waiting"] == 0 and sum(not one.closed for one in peer.connections) == unused


# -- no event twice, and none missing ----------------------------------------------------

ENDS = {"closed": [EOF], "reset": [RESET], "silent": [], "ended": [b"0\r\n\r\n"], "broken": [b"no chunk\r\n"]}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("step", [1, 2, len(EVENTS) - 1])
def test_cut_at_every_event(how: str, step: int) -> None:
    """Each connection brings so many events, and breaks."""

    def cut(number: int | None, _: int) -> list[Any]:
        left = after(number)
        return [whole(left)] if len(left) <= step else [begun(left[:step]), *ENDS[how]]

    peer = Peer(cut)
    client = client_of(peer)
    stream = create(client)
    assert drain(stream) == (EVENTS, None)
    assert stream.snapshot.to_dict() == EVENTS[-1]["response"]
    assert peer.asked[0] == "POST /v1/responses"
    lasts = list(range(step - 1, len(EVENTS) - 1, step))
    assert peer.asked[1:] == [f"GET /v1/responses/resp_1?stream=true&starting_after={last}" for last in lasts]
    assert stream.stats.retries == len(peer.slept) == len(lasts)
    # Something came between any two breaks: each wait is the first one.
    assert all(0.375 <= seconds <= 0.5 for seconds in peer.slept)
    assert stream.stats.events == len(EVENTS)
    assert stream.stats.bytes >= len(begun(EVENTS))
    assert is_clean(client, peer)
    assert list(stream) == []


@pytest.mark.parametrize("end", [EOF, RESET], ids=["closed", "reset"])
@pytest.mark.parametrize("part", [0, 1], ids=["the beginning", "what goes on"])
def test_cut_at_every_byte(part: int, end: Any) -> None:
    """Of one event with its framing, and of the answer's end; the answer begins the stream, or goes on with it."""
    there = after(3) if part else EVENTS
    size, first, second = len(whole(there)), len(begun(there[:1])), len(begun(there[:2]))
    # Before the first event is whole nobody knows the id: that is no matter of resume.
    for at in [*range(0, first if part else 0, 5), *range(first, second + 1), *range(size - 9, size + 1)]:

        def cut(number: int | None, request: int, at: int = at) -> list[Any]:
            if request == part:
                return [whole(after(number))[:at], end]
            return [begun(EVENTS[:4]), EOF] if request < part else [whole(after(number))]

        peer = Peer(cut)
        client = client_of(peer)
        assert drain(create(client)) == (EVENTS, None), at
        assert is_clean(client, peer), at


def test_a_byte_at_a_time() -> None:
    def cut(number: int | None, _: int) -> list[Any]:
        left = after(number)
        data = whole(left) if len(left) <= 3 else begun(left[:3]) + b"5"
        return [*(data[at : at + 1] for at in range(len(data))), EOF]

    assert drain(create(client_of(Peer(cut)))) == (EVENTS, None)


def halves(number: int | None, _: int) -> list[Any]:
    return [begun(EVENTS[:4]), EOF] if number is None else [whole(after(number))]


def test_every_way_to_read() -> None:
    assert "".join(create(client_of(Peer(halves))).text()) == TEXT
    batches = [[event.to_dict() for event in batch] for batch in create(client_of(Peer(halves))).batches()]
    assert batches == [EVENTS[:4], EVENTS[4:]]
    mixed = create(client_of(Peer(halves)))
    got = [next(mixed).to_dict(), *(event.to_dict() for batch in mixed.batches() for event in batch)]
    assert got == EVENTS


def test_raw_is_refused() -> None:
    """Nobody would read the numbers. The stream can still be read as what it is."""
    stream = create(client_of(Peer(halves)))
    with pytest.raises(TypeError, match="raw"):
        stream.raw()
    assert drain(stream) == (EVENTS, None)


def test_the_helpers_stream() -> None:
    client = client_of(Peer(halves))
    with client.responses.stream(model="m", input="x", background=True, resume=True) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        assert snapshots == ["".join(WORDS[: count + 1]) for count in range(len(WORDS))]
        final = stream.get_final_response()
    assert final.output_text == TEXT


def test_the_helpers_stream_of_a_response_that_is_there() -> None:
    """It asks for all of it, and passes over what came before by itself."""
    peer = Peer(halves)
    client = client_of(peer)
    with client.responses.stream(response_id="resp_1", starting_after=2, resume=True) as stream:
        numbers = [event.sequence_number for event in stream]
        assert numbers == list(range(3, len(EVENTS)))
        assert stream.get_final_response().output_text == TEXT
    assert stream.stats.events == len(numbers)
    assert [asked.rpartition("stream=true")[2] for asked in peer.asked] == ["", "&starting_after=3"]


def test_with_raw_response() -> None:
    client = client_of(Peer(halves))
    found = client.responses.with_raw_response.create(model="m", input="x", background=True, stream=True, resume=True)
    assert found.retries_taken == 0
    assert drain(found.parse()) == (EVENTS, None)


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_the_other_colour(loop: str) -> None:
    from tokenwire.backends import named

    async def main() -> None:
        async with tokenwire.AsyncClient(api_key="k", base_url="http://test/v1", backend=Peer(halves)) as client:
            stream = await create(client)
            assert [event.to_dict() async for event in stream] == EVENTS
            stream = await create(client)
            assert "".join([text async for text in stream.text()]) == TEXT
            async with client.responses.stream(model="m", input="x", background=True, resume=True) as helped:
                assert (await helped.get_final_response()).output_text == TEXT
            stream = await client.responses.retrieve("resp_1", stream=True, starting_after=2, resume=True)
            assert [event.to_dict() async for event in stream] == after(2)

    named(loop).run(main)


def test_what_is_asked_for_again() -> None:
    """The rest is asked for as the beginning was: its headers, its query, what it includes."""
    peer = Peer(halves)
    stream = create(
        client_of(peer),
        include=["a.b", "c"],
        stream_options={"include_obfuscation": False},
        extra_headers={"X-Mine": "yes"},
        extra_query={"v": "1"},
        extra_body={"field": 1},
    )
    assert drain(stream) == (EVENTS, None)
    assert peer.asked[1] == (
        "GET /v1/responses/resp_1?stream=true&starting_after=3&include%5B%5D=a.b&include%5B%5D=c"
        "&include_obfuscation=false&v=1"
    )
    assert b"\r\nX-Mine: yes\r\n" in peer.heads[1]
    assert b"\r\nAuthorization: Bearer sk-secret\r\n" in peer.heads[1]
    assert b"Content-Length" not in peer.heads[1]


# -- a stream that is retrieved ------------------------------------------------------------


@pytest.mark.parametrize("start", [None, 0, 4])
def test_retrieved(start: int | None) -> None:
    """Its id is known: it goes on even where nothing came at all."""

    def cut(number: int | None, request: int) -> list[Any]:
        left = after(number)
        return [whole(left)] if request == 3 else [begun(left[: request % 2]), EOF]

    peer = Peer(cut)
    stream = client_of(peer).responses.retrieve(
        "resp_1", stream=True, starting_after=start, resume=True, include=["a"], extra_query={"v": "1"}
    )
    assert drain(stream) == (after(start), None)
    first = after(start)[0]["sequence_number"]
    numbers = [re.findall(r"starting_after=(\d+)", asked) for asked in peer.asked]
    asked = [] if start is None else [str(start)]
    assert numbers == [asked, asked, [str(first)], [str(first)]]
    assert all("include%5B%5D=a" in asked and "v=1" in asked for asked in peer.asked)
    assert stream.stats.retries == 3


def test_the_first_event_takes_too_long() -> None:
    """Its clock counts as well, where there is something to ask for."""

    def cut(number: int | None, request: int) -> list[Any]:
        return [whole(after(number))] if request else [begun([])]

    peer = Peer(cut)
    stream = client_of(peer).responses.retrieve("resp_1", stream=True, resume=True, timeout=Timeouts(first_event=7))
    assert drain(stream) == (EVENTS, None)
    assert 7 < peer.time < 8


# -- what a server may do besides ------------------------------------------------------------


def test_events_that_come_again_are_dropped() -> None:
    """A server that begins too early, or at the very beginning."""

    def cut(number: int | None, _: int) -> list[Any]:
        return [begun(EVENTS[:4]), EOF] if number is None else [whole(EVENTS)]

    stream = create(client_of(Peer(cut)))
    assert drain(stream) == (EVENTS, None)
    assert stream.snapshot.output_text == TEXT
    assert stream.stats.events == len(EVENTS)


@pytest.mark.parametrize("head_first", [False, True])
def test_events_that_are_lost(head_first: bool) -> None:
    """A store that has forgotten: what comes behind the gap is not passed off as the answer."""

    def cut(number: int | None, _: int) -> list[Any]:
        if number is None:
            return [begun(EVENTS[:4]), EOF]
        data = whole(EVENTS[6:])
        return [data[:20], data[20:]] if head_first else [data]

    peer = Peer(cut)
    client = client_of(peer)
    stream = create(client)
    got, error = drain(stream)
    assert got == EVENTS[:4]
    assert isinstance(error, tokenwire.StreamTruncatedError)
    assert str(error).endswith("It cannot be resumed: event 4 was to come, and 6 came.")
    assert error.events == 4
    assert error.snapshot.output_text == stream.snapshot.output_text == "".join(WORDS[:2])
    assert is_clean(client, peer)
    assert list(stream) == []


def test_numbers_with_gaps_of_their_own() -> None:
    """Where they were never dense, a gap tells of nothing."""
    sparse = [{**event, "sequence_number": 10 * number} for number, event in enumerate(EVENTS)]

    def cut(number: int | None, _: int) -> list[Any]:
        return [begun(sparse[:4]), EOF] if number is None else [whole(after(number, sparse))]

    assert drain(create(client_of(Peer(cut)))) == (sparse, None)


def renumbered(*numbers: Any) -> list[dict[str, Any]]:
    plain = [{name: value for name, value in event.items() if name != "sequence_number"} for event in EVENTS]
    return [
        event if number is None else {**event, "sequence_number": number}
        for number, event in zip(numbers, plain, strict=True)
    ]


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ([None] * 9, "its events have no sequence_number"),
        ([0] * 9, "the sequence_number of its events does not rise"),
        ([0, 1, 2, 2, 3, 4, 5, 6, 7], "the sequence_number of its events does not rise"),
        (["0", *range(1, 9)], "its events have no sequence_number"),
        ([0, 1, None, *range(3, 9)], "its events have no sequence_number"),
    ],
    ids=["none", "all 0", "one twice", "text", "one without"],
)
def test_events_that_say_not_where_they_stand(numbers: list[Any], why: str) -> None:
    """llama.cpp, LiteLLM: whole, they are a stream like any other; broken, nobody guesses."""
    events = renumbered(*numbers)
    assert drain(create(client_of(Peer(lambda number, _: [whole(events)])))) == (events, None)
    peer = Peer(lambda number, _: [begun(events[:5]), EOF])
    got, error = drain(create(client_of(peer)))
    assert got == events[:5]
    assert isinstance(error, tokenwire.StreamTruncatedError)
    assert f"cannot be resumed: {why}." in str(error)
    assert len(peer.asked) == 1


def test_numbers_that_end_with_the_first_connection() -> None:
    events = renumbered(*[None] * 9)
    peer = Peer(lambda number, _: [begun(EVENTS[:4]), EOF] if number is None else [whole(events)])
    got, error = drain(create(client_of(peer)))
    assert got == EVENTS[:4]
    assert "its events have no sequence_number" in str(error)


def test_a_keepalive_needs_no_number() -> None:
    alive = {"type": "keepalive"}

    def cut(number: int | None, _: int) -> list[Any]:
        if number is None:
            return [begun(EVENTS[:4]) + chunk(alive), EOF]
        return [begun([]) + chunk(alive) + whole(after(number)).removeprefix(begun([]))]

    got, error = drain(create(client_of(Peer(cut))))
    assert error is None
    assert [event for event in got if event != alive] == EVENTS
    assert got.count(alive) == 2


@pytest.mark.parametrize("found", [None, 5, "", ".", ".."])
def test_an_id_that_is_none(found: Any) -> None:
    created = {**EVENTS[0], "response": {**EVENTS[0]["response"], "id": found}}
    peer = Peer(lambda *_: [begun([created, *EVENTS[1:3]]), EOF])
    got, error = drain(create(client_of(peer)))
    assert got == [created, *EVENTS[1:3]]
    assert isinstance(error, tokenwire.StreamTruncatedError)
    assert "cannot be resumed" in str(error)
    assert len(peer.asked) == 1


def test_an_id_is_quoted() -> None:
    created = {**EVENTS[0], "response": {**EVENTS[0]["response"], "id": "a/../b?c\r\nd"}}

    def cut(number: int | None, _: int) -> list[Any]:
        return [begun([created]), EOF] if number is None else [whole(after(number))]

    peer = Peer(cut)
    assert drain(create(client_of(peer)))[1] is None
    assert peer.asked[1].startswith("GET /v1/responses/a%2F..%2Fb%3Fc%0D%0Ad?stream=true&")


# -- when it does not go on ------------------------------------------------------------------


def test_nothing_came_yet() -> None:
    """The id of a response that is created comes with its first event."""
    peer = Peer(lambda *_: [begun([]), EOF])
    got, error = drain(create(client_of(peer)))
    assert got == []
    assert isinstance(error, tokenwire.StreamTruncatedError)
    assert "cannot be resumed: its id has not come" in str(error)
    assert len(peer.asked) == 1


def breaks_at(count: int, then: list[Any]) -> Answer:
    def answered(number: int | None, _: int) -> list[Any]:
        return [begun(EVENTS[:count]), EOF] if number is None else then

    return answered


@pytest.mark.parametrize("retries", [0, 1, 2, 5])
@pytest.mark.parametrize("then", [[EOF], [begun([]), EOF], [begun([]) + b":\n\n", RESET], [begun(EVENTS[:4]), EOF]])
def test_tries_are_counted(retries: int, then: list[Any]) -> None:
    """Whether the request fails or its stream: what brings no further event was in vain."""
    peer = Peer(breaks_at(4, then))
    client = client_of(peer, max_retries=retries)
    stream = create(client)
    got, error = drain(stream)
    assert got == EVENTS[:4]
    assert isinstance(error, tokenwire.StreamTruncatedError), error
    assert error.events == 4
    assert error.snapshot.output_text == stream.snapshot.output_text == "".join(WORDS[:2])
    assert len(peer.asked) == 1 + retries
    assert stream.stats.retries == retries
    for taken, seconds in enumerate(peer.slept):
        longest = min(0.5 * 2**taken, 8)
        assert 0.75 * longest <= seconds <= longest
    assert ("It cannot be resumed: " in str(error)) == (retries > 0)
    assert is_clean(client, peer)
    assert list(stream) == []
    assert stream.stats.retries == retries


def test_the_count_begins_anew() -> None:
    """Two failures, an event, two failures, an event: the break is a try, and so is each of them."""

    def cut(number: int | None, request: int) -> list[Any]:
        left = after(number)
        return [EOF] if request % 3 else [begun(left[:1]), EOF] if len(left) > 1 else [whole(left)]

    peer = Peer(cut)
    stream = create(client_of(peer, max_retries=3))
    assert drain(stream) == (EVENTS, None)
    assert stream.stats.retries == len(peer.slept) == 3 * (len(EVENTS) - 1)


def test_no_connection_any_more() -> None:
    peer = Peer(breaks_at(4, []))
    peer.refused = [ConnectionRefusedError(111, "Connection refused") for _ in range(3)]
    client = client_of(peer)
    got, error = drain(create(client))
    assert got == EVENTS[:4]
    assert isinstance(error, tokenwire.StreamTruncatedError)
    assert str(error).endswith("It cannot be resumed: Cannot connect to test:80: Connection refused.")
    assert isinstance(error.__cause__, tokenwire.APIConnectionError)
    assert is_clean(client, peer)


@pytest.mark.parametrize("status", ["404 Not Found", "400 Bad Request", "401 Unauthorized", "410 Gone"])
def test_the_server_refuses(status: str) -> None:
    body = js({"error": {"message": "No such response.", "code": "gone"}}).encode()
    peer = Peer(breaks_at(4, [answer(body, status=status, kind="application/json")]))
    client = client_of(peer)
    stream = create(client)
    got, error = drain(stream)
    assert got == EVENTS[:4]
    assert isinstance(error, tokenwire.APIStatusError)
    assert error.status_code == int(status[:3])
    assert error.code == "gone"
    assert "No such response. (asked to go on with the response 'resp_1' after event 3)" in str(error)
    assert isinstance(error.__cause__, tokenwire.StreamTruncatedError)
    assert error.__cause__.events == 4
    assert error.__cause__.snapshot.output_text == stream.snapshot.output_text == "".join(WORDS[:2])
    assert len(peer.asked) == 2
    assert is_clean(client, peer)
    assert list(stream) == []


def test_the_server_is_busy() -> None:
    """And says when to come again."""
    busy = answer(b"{}", "length", "Retry-After: 9", status="503 Busy", kind="application/json")

    def cut(number: int | None, request: int) -> list[Any]:
        return [begun(EVENTS[:4]), EOF] if number is None else [busy] if request == 1 else [whole(after(number))]

    peer = Peer(cut)
    stream = create(client_of(peer))
    assert drain(stream) == (EVENTS, None)
    assert peer.slept[1] == 9
    assert stream.stats.retries == 2


def test_a_server_that_streams_no_stored_response() -> None:
    """It answers with the whole object."""
    peer = Peer(breaks_at(4, [answer(js(EVENTS[-1]["response"]).encode(), kind="application/json")]))
    got, error = drain(create(client_of(peer)))
    assert got == EVENTS[:4]
    assert type(error) is tokenwire.APIError
    assert "asked to go on with the response 'resp_1'" in str(error)
    assert isinstance(error.__cause__, tokenwire.StreamTruncatedError)


def test_a_coding_that_nobody_knows() -> None:
    frame, sent = framed(frames(EVENTS[4:]), "length")
    peer = Peer(breaks_at(4, [head(*frame, "Content-Encoding: zstd", "Content-Type: text/event-stream") + sent]))
    client = client_of(peer)
    got, error = drain(create(client))
    assert got == EVENTS[:4]
    assert isinstance(error, tokenwire.StreamTruncatedError)
    assert "zstd" in str(error)
    assert is_clean(client, peer)


@pytest.mark.parametrize(
    ("tail", "kind"),
    [
        (b'data: {"error": {"message": "overloaded"}}\n\n', tokenwire.APIError),
        (b"data: {nonsense\n\n", tokenwire.StreamDecodeError),
    ],
)
def test_what_is_no_break(tail: bytes, kind: type[Exception]) -> None:
    """The server's own word, and what it would say again."""
    data = begun(EVENTS[:4]) + b"%x\r\n%b\r\n" % (len(tail), tail)
    peer = Peer(lambda *_: [data, EOF])
    got, error = drain(create(client_of(peer)))
    assert got == EVENTS[:4]
    assert type(error) is kind
    assert len(peer.asked) == 1


def test_a_bound_is_no_break() -> None:
    peer = Peer(lambda *_: [begun(EVENTS[:4]) + b"400\r\n" + b"data: " + b"x" * 1000, EOF])
    got, error = drain(create(client_of(peer, limits=tokenwire.Limits(event_bytes=500))))
    assert got == EVENTS[:4]
    assert isinstance(error, tokenwire.LimitExceededError)
    assert len(peer.asked) == 1


@pytest.mark.parametrize(
    ("timeouts", "clock"), [(Timeouts(read=3), "read"), (Timeouts(event=3), "event"), (Timeouts(total=3), "total")]
)
def test_which_clocks_count(timeouts: Timeouts, clock: str) -> None:
    def cut(number: int | None, _: int) -> list[Any]:
        return [begun(EVENTS[:4])] if number is None else [whole(after(number))]

    peer = Peer(cut)
    got, error = drain(create(client_of(peer), timeout=timeouts))
    if clock == "total":
        assert got == EVENTS[:4]
        assert isinstance(error, tokenwire.APITimeoutError)
        assert error.clock == "total"
    else:
        assert (got, error) == (EVENTS, None)
        assert 3 < peer.time < 4


def test_total_spans_all_connections() -> None:
    peer = Peer(lambda number, _: [begun(after(number)[:1])])
    got, error = drain(create(client_of(peer), timeout=Timeouts(event=4, total=10)))
    assert got == EVENTS[:3]
    assert isinstance(error, tokenwire.APITimeoutError)
    assert error.clock == "total"
    assert peer.time == 10


def test_the_request_cannot_be_sent() -> None:
    class Deaf(Peer):
        async def connect(self, *arguments: Any) -> Any:
            transport = await super().connect(*arguments)
            if self.asked:
                transport._script.append(SendFails(RESET))
            return transport

    deaf = Deaf(halves)
    got, error = drain(create(client_of(deaf)))
    assert got == EVENTS[:4]
    assert isinstance(error, tokenwire.StreamTruncatedError)
    assert str(error).endswith("It cannot be resumed: Connection error: Connection reset by peer.")


# -- closed, or interrupted, meanwhile ---------------------------------------------------------


class Interrupted(Peer):
    """Does something of its own while a client waits for its next try."""

    chore: Callable[[], None]

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.chore()


def test_closed_while_it_waits() -> None:
    peer = Interrupted(halves)
    client = client_of(peer)
    stream = create(client)
    peer.chore = stream.close
    got, error = drain(stream)
    assert got == EVENTS[:4]
    assert isinstance(error, tokenwire.StreamConsumedError)
    assert len(peer.asked) == 1
    assert is_clean(client, peer)


def test_closed_while_it_connects() -> None:
    """Nothing is asked any more, and no answer waited for."""

    class Slow(Peer):
        async def connect(self, *arguments: Any) -> Any:
            if self.connections:
                stream.close()
            return await super().connect(*arguments)

    peer = Slow(halves)
    client = client_of(peer)
    stream = create(client)
    got, error = drain(stream)
    assert got == EVENTS[:4]
    assert isinstance(error, tokenwire.StreamConsumedError)
    assert len(peer.connections) == 2
    assert len(peer.asked) == 1
    assert is_clean(client, peer)


def test_closed_while_it_asks() -> None:
    def cut(number: int | None, _: int) -> list[Any]:
        if number is None:
            return [begun(EVENTS[:4]), EOF]
        stream.close()
        return [whole(after(number))]

    peer = Peer(cut)
    client = client_of(peer)
    stream = create(client)
    got, error = drain(stream)
    assert got == EVENTS[:4]
    assert isinstance(error, tokenwire.StreamConsumedError)
    assert len(peer.asked) == 2
    assert is_clean(client, peer)


def test_closed_on_a_later_connection() -> None:
    peer = Peer(lambda number, _: [begun(EVENTS[:4]), EOF] if number is None else [begun(after(number)[:1])])
    client = client_of(peer)
    stream = create(client)
    assert [next(stream).to_dict() for _ in range(5)] == EVENTS[:5]
    stream.close()
    assert is_clean(client, peer)
    with pytest.raises(tokenwire.StreamConsumedError):
        next(stream)


def test_dropped_on_a_later_connection() -> None:
    peer = Peer(lambda number, _: [begun(EVENTS[:4]), EOF] if number is None else [begun(after(number)[:1])])
    client = client_of(peer)
    stream = create(client)
    assert [next(stream).to_dict() for _ in range(5)] == EVENTS[:5]
    del stream
    assert is_clean(client, peer)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, TimeoutError])
@pytest.mark.parametrize("where", ["wait", "request", "later request"])
def test_interrupted(where: str, interruption: type[BaseException]) -> None:
    """As by a cancellation: the stream is over, and nothing is left of it."""

    def interrupt() -> None:
        raise interruption

    def cut(number: int | None, _: int) -> list[Any]:
        if number is None:
            return [begun(EVENTS[:2] if where == "later request" else EVENTS[:4]), EOF]
        return [begun(EVENTS[2:4]), EOF] if number == 1 else [interruption()]

    peer = Interrupted(cut)
    peer.chore = interrupt if where == "wait" else lambda: None
    client = client_of(peer)
    stream = create(client)
    got = [next(stream).to_dict() for _ in range(4)]
    with pytest.raises(interruption):
        next(stream)
    assert got == EVENTS[:4]
    assert is_clean(client, peer)
    with pytest.raises(tokenwire.StreamConsumedError, match="cancelled"):
        next(stream)
    assert list(stream) == []
    assert stream.snapshot.output_text == "".join(WORDS[:2])


def test_one_consumer() -> None:
    peer = Interrupted(halves)
    client = client_of(peer)
    stream = create(client)
    seen: list[Any] = []

    def read() -> None:
        with pytest.raises(tokenwire.BusyResourceError):
            next(stream)
        seen.append("refused")

    peer.chore = read
    assert drain(stream) == (EVENTS, None)
    assert seen == ["refused"]


def test_a_client_that_was_closed() -> None:
    client = client_of(Peer(halves))
    stream = create(client)
    for _ in range(4):
        next(stream)
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        next(stream)


# -- what is asked for must make sense -----------------------------------------------------------


@pytest.mark.parametrize("options", [{"background": False}, {"background": None}, {"stream": False}, {"stream": None}])
def test_only_a_background_stream_can_be_resumed(options: dict[str, Any]) -> None:
    peer = Peer(halves)
    with pytest.raises(ValueError, match="needs stream=True and background=True"):
        create(client_of(peer), **options)
    assert peer.heads == []


def test_background_by_extra_body() -> None:
    assert drain(create(client_of(Peer(halves)), background=None, extra_body={"background": True})) == (EVENTS, None)


def test_other_calls_refuse() -> None:
    client = client_of(Peer(halves))
    with pytest.raises(ValueError, match="needs stream=True"):
        client.responses.retrieve("resp_1", resume=True)
    with pytest.raises(ValueError, match="background=True"):
        client.responses.stream(model="m", input="x", resume=True)
    with pytest.raises(TypeError, match="resume"):
        client.chat.completions.create(model="m", messages=[], stream=True, resume=True)
    with pytest.raises(TypeError, match="resume"):
        client.chat.completions.stream(model="m", messages=[], resume=True)
    with pytest.raises(TypeError, match="resume"):
        client.chat.completions.parse(model="m", messages=[], resume=True)
    with pytest.raises(TypeError, match="resume"):
        client.responses.parse(model="m", input="x", resume=True)
    with pytest.raises(TypeError, match="resume"):
        client.responses.cancel("resp_1", resume=True)


def test_not_asked_for_it_changes_nothing() -> None:
    peer = Peer(halves)
    got, error = drain(create(client_of(peer), resume=False))
    assert got == EVENTS[:4]
    assert isinstance(error, tokenwire.StreamTruncatedError)
    assert "resume" not in str(error)
    assert len(peer.asked) == 1
    assert b"resume" not in peer.heads[0]


# -- over real sockets -------------------------------------------------------------------------


class Cutting:
    """A server that sends so many bytes of each answer, then closes or resets, until one is whole."""

    def __init__(self, cuts: list[int]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        self.cuts = cuts
        self.asked: list[str] = []

    def serve(self) -> None:
        for turn, cut in enumerate([*self.cuts, -1]):
            sock, _ = self.listener.accept()
            with sock:
                sock.settimeout(PATIENCE)
                request = b""
                while b"\r\n\r\n" not in request:
                    request += sock.recv(65_536)
                target = request.split(b" ", 2)[1].decode()
                self.asked.append(target)
                number = re.search(r"starting_after=(\d+)", target)
                data = whole(after(int(number[1]) if number else None))
                sock.sendall(data if cut < 0 else data[:cut])
                if cut >= 0 and turn % 2:
                    reset(sock)


@contextlib.contextmanager
def cutting(cuts: list[int]) -> Iterator[Cutting]:
    server = Cutting(cuts)
    thread = Threaded(server.serve)
    try:
        yield server
        thread.result()
    finally:
        server.listener.close()


@ways
def test_over_sockets(way: Way) -> None:
    """Cut by an end and by a reset in turn, in the midst of an event and behind one."""
    sync = way.id == "sync"
    kind: Any = tokenwire.Client if sync else tokenwire.AsyncClient
    second = len(begun(EVENTS[:2]))
    cuts = [second, len(begun(after(1)[:1])) + 9, 0, len(begun(after(2)[:2])), len(begun(after(4)[:1])) + 30]

    async def main() -> None:
        for read in ("events", "text"):
            with cutting(list(cuts)) as server:
                client = kind(api_key="k", base_url=server.url, backend=way.backend, timeout=PATIENCE)
                client._config.retry = Retry(max_retries=9, first=1e-3)
                stream = create(client) if sync else await create(client)
                found = stream if read == "events" else stream.text()
                got = list(found) if sync else [one async for one in found]
                if read == "text":
                    assert "".join(got) == TEXT
                else:
                    assert [one.to_dict() for one in got] == EVENTS
                assert stream.stats.retries == len(cuts)
                assert len(server.asked) == 1 + len(cuts)
                assert client._pools.pool.counts()["active"] == 0
                if sync:
                    client.close()
                else:
                    await client.aclose()

    way.run(main)
