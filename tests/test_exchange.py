"""One request over scripted connections, in virtual time: clocks, retries, stale connections, early answers."""

from __future__ import annotations

import email.utils
import itertools
import logging
import math
import re
import ssl
import time
from collections.abc import Iterable
from typing import Any

import pytest

import tokenwire
from support.answers import answer, chunk, completion, head, js, sse
from support.held import counts
from tokenwire import Limits, Timeouts
from tokenwire.backends.memory import EOF, REQUEST, MemoryBackend, SendFails
from tokenwire.requests import Request
from tokenwire.stats import Stats

STREAM = answer(sse(chunk("Hi"), chunk(None, "stop"), done=True), "chunked")
WHOLE = answer(js(completion("Hi")).encode(), kind="application/json")
RESET = ConnectionResetError(104, "Connection reset by peer")
BEGUN = head("Transfer-Encoding: chunked")


def in_chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def made(*scripts: Any, **options: Any) -> tuple[tokenwire.Client, MemoryBackend]:
    peer = MemoryBackend(scripts)
    options = {"api_key": "sk-secret", "base_url": "http://test/v1", **options}
    return tokenwire.Client(backend=peer, **options), peer


def stream(client: tokenwire.Client, **options: Any) -> Any:
    return client.chat.completions.create(model="m", messages=[], stream=True, **options)


def whole(client: tokenwire.Client, **options: Any) -> Any:
    return client.chat.completions.create(model="m", messages=[], **options)


def bodies(peer: MemoryBackend) -> list[bytes]:
    """Every request's bytes, by connection."""
    return [bytes(connection.sent) for connection in peer.connections]


# -- Clocks --------------------------------------------------------------------


class Paced(MemoryBackend):
    """A peer whose reads each come some seconds after the one before: a number in a script lets them pass."""

    async def connect(self, *arguments: Any) -> Any:
        transport: Any = await super().connect(*arguments)
        receive = transport.receive_into

        async def receive_into(buffer: Any, deadline: float | None) -> int:
            script = transport._script
            if script and isinstance(script[0], float):
                due = self.time + script[0]
                if deadline is not None and due > deadline:
                    script[0] = due - deadline
                    self.time = deadline
                    raise TimeoutError
                script.popleft()
                self.time = due
            return int(await receive(buffer, deadline))

        transport.receive_into = receive_into
        return transport


def paced(script: Iterable[Any], timeouts: Timeouts) -> tuple[tokenwire.Client, Paced]:
    peer = Paced([script])
    return tokenwire.Client(api_key="k", base_url="http://test", backend=peer, timeout=timeouts, max_retries=0), peer


NEVER = Timeouts(connect=None, write=None, read=None, first_event=None, event=None, total=None)
PING = in_chunk(b": ping\n\n")
EVENT = in_chunk(sse(chunk("x")))


@pytest.mark.parametrize(
    ("clock", "script", "after", "events"),
    [
        # (clock set to 10 s, what comes, when it must ring, how many events before)
        ("read", [], 10.0, None),
        ("read", [9.0, BEGUN, 9.0, PING], 28.0, 0),
        ("read", [BEGUN, 9.0, EVENT, 9.0, PING], 28.0, 1),
        ("first_event", [], 10.0, None),
        ("first_event", [6.0, BEGUN], 10.0, 0),
        ("first_event", [1.0, BEGUN, 4.0, PING, 4.0, PING, 4.0, PING], 10.0, 0),
        ("event", [50.0, BEGUN, 50.0, EVENT], 110.0, 1),
        ("event", [BEGUN, EVENT, 9.0, EVENT, 4.0, PING, 4.0, PING, 4.0, PING], 19.0, 2),
        ("event", [BEGUN + EVENT, 4.0, in_chunk(b"data:\n\n"), 4.0, in_chunk(b"data: : ping\n\n")], 10.0, 1),
        ("total", [9.0, BEGUN], 10.0, 0),
        ("total", [3.0, BEGUN, 3.0, EVENT, 3.0, EVENT], 10.0, 2),
    ],
)
def test_each_clock_rings_on_its_own(clock: str, script: list[Any], after: float, events: int | None) -> None:
    client, peer = paced(script, Timeouts(**{**timeouts_of(NEVER), clock: 10.0}))
    got: list[Any] = []
    with pytest.raises(tokenwire.APITimeoutError) as caught:
        got.extend(iter_into(got, stream(client)))
    assert (caught.value.clock, caught.value.seconds) == (clock, 10.0)
    assert f"within 10 seconds (Timeouts.{clock})" in str(caught.value)
    assert peer.time == after
    assert len(got) == (events or 0)
    assert counts(client) == {}
    assert all(connection.closed for connection in peer.connections)


class Hasty(MemoryBackend):
    """A peer that never lets us wait: whatever is to come is there, and to read it takes a second."""

    async def connect(self, *arguments: Any) -> Any:
        transport: Any = await super().connect(*arguments)
        receive = transport.receive_into

        async def receive_into(buffer: Any, deadline: float | None) -> int:
            self.time += 1.0
            return int(await receive(buffer, deadline))

        transport.receive_into = receive_into
        return transport


@pytest.mark.parametrize(
    ("clock", "script", "after", "events"),
    [
        ("first_event", [BEGUN, *[PING] * 99], 10.0, 0),
        ("event", [BEGUN, EVENT, *[PING] * 99], 12.0, 1),
        ("event", [BEGUN, *[PING] * 9, EVENT, *[PING] * 99], 21.0, 1),
        ("total", [BEGUN, *[EVENT] * 99], 10.0, 9),
        ("total", [BEGUN, *[PING] * 99], 10.0, 0),
        ("first_event", [head("Content-Length: 200"), *[b"\n"] * 200], 10.0, None),
        ("total", [head("Content-Length: 200"), *[b"{"] * 200], 10.0, None),
        ("first_event", [bytes([byte]) for byte in BEGUN], 10.0, None),
    ],
)
def test_a_clock_rings_though_bytes_never_cease(
    clock: str, script: list[Any], after: float, events: int | None
) -> None:
    peer = Hasty([script])
    timeouts = Timeouts(**{**timeouts_of(NEVER), clock: 10.0})
    client = tokenwire.Client(api_key="k", base_url="http://test", backend=peer, timeout=timeouts, max_retries=0)
    got: list[Any] = []
    with pytest.raises(tokenwire.APITimeoutError) as caught:
        whole(client) if events is None else iter_into(got, stream(client))
    assert (peer.time, caught.value.clock, len(got)) == (after, clock, events or 0)
    assert counts(client) == {}


def test_what_comes_late_and_ends_the_stream_is_no_timeout() -> None:
    peer = Hasty([[BEGUN, EVENT, *[PING] * 9, in_chunk(sse(done=True)) + b"0\r\n\r\n"]])
    timeouts = Timeouts(**{**timeouts_of(NEVER), "event": 10.0})
    client = tokenwire.Client(api_key="k", base_url="http://test", backend=peer, timeout=timeouts, max_retries=0)
    assert len([*stream(client)]) == 1
    assert counts(client) == {"idle": 1}


def test_an_early_answer_has_clocks_of_its_own() -> None:
    body = js({"error": {"message": "too large"}}).encode()
    refused = answer(body, status="413 Too Large").removesuffix(body)
    peer = Paced(
        [
            [8.0, answer(b"", "length", "Connection: close", status="500 No")],
            [SendFails(BrokenPipeError(32, "Broken pipe")), refused, 5.0, body],
        ]
    )
    timeouts = Timeouts(**{**timeouts_of(NEVER), "first_event": 10.0})
    client = tokenwire.Client(api_key="k", base_url="http://test", backend=peer, timeout=timeouts, max_retries=1)
    with pytest.raises(tokenwire.APIStatusError, match="Error code: 413 - too large"):
        whole(client)


@pytest.mark.parametrize("total", [None, 11.0])
@pytest.mark.parametrize("event", [None, 4.0, 6.0])
@pytest.mark.parametrize("first_event", [None, 4.0, 6.0])
@pytest.mark.parametrize("read", [None, 2.5, 4.0, 6.0])
def test_of_several_clocks_the_first_to_run_out_rings(
    read: float | None, first_event: float | None, event: float | None, total: float | None
) -> None:
    if read is event is total is None:
        event = 50.0  # else it would wait for ever
    arrivals = [(1.0, BEGUN), (3.0, PING), (5.0, EVENT), (8.0, PING), (10.5, PING), (13.0, EVENT), (math.inf, EVENT)]
    last_read, last_event, events, when, clock = 0.0, 0.0, 0, math.inf, ""
    for at, data in arrivals:
        waits = {"event": event} if events else {"first_event": first_event}
        rings = [
            *((last_event + seconds, name) for name, seconds in waits.items() if seconds is not None),
            *((last_read + seconds, "read") for seconds in [read] if seconds is not None),
            *((seconds, "total") for seconds in [total] if seconds is not None),
        ]
        when, clock = min(rings, key=lambda ring: ring[0], default=(math.inf, ""))  # of two at once, the first here
        if when < at:
            break
        last_read = at
        if data is EVENT:
            last_event, events = at, events + 1

    gaps = [at - before for (before, _), (at, _) in itertools.pairwise([(0.0, b""), *arrivals[:-1]])]
    script = [part for gap, (_, data) in zip(gaps, arrivals, strict=False) for part in (gap, data)]
    timeouts = Timeouts(connect=None, write=None, read=read, first_event=first_event, event=event, total=total)
    client, peer = paced(script, timeouts)
    got: list[Any] = []
    with pytest.raises(tokenwire.APITimeoutError) as caught:
        iter_into(got, stream(client))
    assert (peer.time, caught.value.clock, len(got)) == (when, clock, events)


def timeouts_of(value: Timeouts) -> dict[str, Any]:
    return {name: getattr(value, name) for name in Timeouts.__slots__}


def iter_into(got: list[Any], events: Any) -> list[Any]:
    for event in events:
        got.append(event)
    return []


def test_the_clocks_have_words_of_their_own() -> None:
    said = set()
    for clock, script in [
        ("read", []),
        ("first_event", [BEGUN]),
        ("event", [BEGUN + EVENT]),
        ("total", []),
        ("write", [SendFails(None)]),
    ]:
        client, _ = paced(script, Timeouts(**{**timeouts_of(NEVER), clock: 0.5}))
        with pytest.raises(tokenwire.APITimeoutError, match=rf"within 0\.5 seconds \(Timeouts\.{clock}\)") as caught:
            list(stream(client))
        said.add(str(caught.value).split(" within")[0])
    assert len(said) == 5


@pytest.mark.parametrize("clock", ["connect", "total"])
def test_connecting_takes_too_long(clock: str) -> None:
    class Slow(MemoryBackend):
        async def connect(self, origin: Any, ssl_context: Any, deadline: float | None) -> Any:
            assert deadline is not None
            self.time = deadline
            raise TimeoutError

    peer = Slow()
    client = tokenwire.Client(
        api_key="k",
        base_url="http://test",
        backend=peer,
        timeout=Timeouts(**{**timeouts_of(NEVER), "connect": 10.0, clock: 3.0}),
        max_retries=0,
    )
    with pytest.raises(tokenwire.APITimeoutError) as caught:
        stream(client)
    assert (caught.value.clock, caught.value.seconds, peer.time) == (clock, 3.0, 3.0)
    assert counts(client) == {}


class Early(MemoryBackend):
    """Its timers ring a little early, as uvloop's do: they count in milliseconds."""

    async def connect(self, origin: Any, context: Any, deadline: float | None) -> Any:
        if self.scripts:
            return await super().connect(origin, context, deadline)
        assert deadline is not None
        self.time = deadline - 0.0004
        raise TimeoutError

    def event(self) -> Any:
        event = super().event()

        async def wait(deadline: float) -> bool:
            self.time = deadline - 0.0004
            return False

        event.wait = wait  # type: ignore[method-assign]
        return event


@pytest.mark.parametrize("connect", [None, 20.0])
@pytest.mark.parametrize("waits_for", ["a slot", "a connection"])
def test_a_timer_that_rings_early_is_totals_all_the_same(waits_for: str, connect: float | None) -> None:
    peer = Early([[STREAM[:-20]]])
    limits = Limits(max_connections=1 if waits_for == "a slot" else 2)
    client = tokenwire.Client(api_key="k", base_url="http://test", backend=peer, limits=limits)
    with stream(client):
        timeout = Timeouts(connect=connect, total=10.0)
        with pytest.raises(tokenwire.APITimeoutError, match=r"within 10 seconds \(Timeouts.total\)"):
            whole(client, timeout=timeout)
        assert peer.time == 10.0 - 0.0004
        assert counts(client) == {"active": 1}


ALARM = TimeoutError("the caller's alarm")


@pytest.mark.parametrize("timeout", [None, 60.0])
@pytest.mark.parametrize(
    "script",
    [
        ALARM,
        [ALARM],
        [SendFails(ALARM)],
        [BEGUN, ALARM],
        [head("Content-Length: 9", status="503 Busy"), ALARM],
        [head("Content-Length: 9", "Content-Type: application/json"), ALARM],
    ],
    ids=["connect", "head", "send", "first event", "a refusal's body", "a whole body"],
)
def test_a_timeout_that_comes_before_its_time_is_the_callers(script: Any, timeout: float | None) -> None:
    """`signal.alarm` and a handler that raises it: nothing may take that for a clock of ours, and try again."""
    peer = MemoryBackend([script])
    client = tokenwire.Client(api_key="k", base_url="http://test", backend=peer, timeout=timeout)
    with pytest.raises(TimeoutError) as caught:
        list(stream(client))
    assert caught.value is ALARM
    assert (counts(client), peer.slept) == ({}, [])
    assert all(connection.closed for connection in peer.connections)


def test_a_timeout_of_the_callers_while_a_kept_connection_is_looked_at() -> None:
    client, peer = made([STREAM, ALARM])
    list(stream(client))
    with pytest.raises(TimeoutError) as caught:
        stream(client)
    assert caught.value is ALARM
    assert (counts(client), len(peer.connections)) == ({}, 1)


@pytest.mark.parametrize("nth", range(1, 15))
def test_interrupted_at_a_line_of_the_log(nth: int, caplog: pytest.LogCaptureFixture) -> None:
    """As by a signal handler that raises where no network is waited for. Nothing is left of it."""
    client, peer = made(
        [head("Content-Length: 0", "Retry-After: 0", status="503 Busy"), EOF],
        [STREAM[:-5], STREAM[-5:], REQUEST, STREAM, REQUEST, BEGUN + EVENT, EOF],
    )
    lines = 0

    def interrupt(_: logging.LogRecord) -> bool:
        nonlocal lines
        lines += 1
        if lines == nth:
            raise KeyboardInterrupt
        return True

    def three() -> None:
        for _ in range(2):
            list(stream(client))
        with pytest.raises(tokenwire.StreamTruncatedError):
            list(stream(client))

    logger = logging.getLogger("tokenwire")
    caplog.set_level(logging.DEBUG, logger="tokenwire")
    logger.addFilter(interrupt)
    try:
        three()
    except KeyboardInterrupt:
        assert lines == nth
    finally:
        logger.removeFilter(interrupt)
    assert "active" not in counts(client)
    assert [connection for connection in peer.connections if not connection.closed] == [
        connection.transport for connection in client._pools.pool._unused  # type: ignore[union-attr]
    ]


def test_behind_a_timeout_of_the_callers_the_stream_does_not_end_as_if_it_were_whole() -> None:
    client, _ = made([BEGUN + EVENT, ALARM])
    found = stream(client)
    next(found)
    with pytest.raises(TimeoutError):
        next(found)
    with pytest.raises(tokenwire.StreamConsumedError, match="cancelled by TimeoutError"):
        next(found)


def test_the_kernels_own_timeout_is_a_broken_connection() -> None:
    etimedout = TimeoutError(110, "Connection timed out")
    for script in (etimedout, [etimedout], [SendFails(etimedout)]):
        client, _ = made(script, max_retries=0)
        with pytest.raises(tokenwire.APIConnectionError, match="Connection timed out") as caught:
            stream(client)
        assert type(caught.value) is tokenwire.APIConnectionError
        assert counts(client) == {}
    client, _ = made([BEGUN + EVENT, etimedout], max_retries=0)
    with pytest.raises(tokenwire.StreamTruncatedError, match="Connection timed out"):
        list(stream(client))


def test_a_whole_answer_is_timed_until_its_first_word() -> None:
    """DeepSeek sends blank lines while it works: they feed `read`, and no other clock."""
    json_head = head("Transfer-Encoding: chunked", "Content-Type: application/json")
    blanks = [6.0, in_chunk(b"\n")] * 9
    timeouts = Timeouts(**{**timeouts_of(NEVER), "read": 10.0, "first_event": 20.0})
    client, peer = paced([json_head, *blanks], timeouts)
    with pytest.raises(tokenwire.APITimeoutError) as caught:
        whole(client)
    assert (caught.value.clock, peer.time) == ("first_event", 20.0)
    word = in_chunk(js(completion("Hi")).encode())
    slow = [json_head, *blanks[:4], in_chunk(b" "), word[:20], 9.0, word[20:30], 9.0, word[30:], b"0\r\n\r\n"]
    client, peer = paced(slow, timeouts)
    assert whole(client).choices[0].message.content == "Hi"
    assert peer.time == 30.0


@pytest.mark.parametrize(
    ("ask", "status", "told"),
    [
        (stream, "500 Oops", tokenwire.InternalServerError),  # the news, however its body ends
        (whole, "500 Oops", tokenwire.InternalServerError),
        (stream, "200 OK", tokenwire.APITimeoutError),
    ],
)
def test_what_was_not_asked_for_does_not_hold_the_call_for_ever(ask: Any, status: str, told: type[Exception]) -> None:
    """An error, or a page in place of a stream, that comes bit by bit: no event is in it."""
    page_head = head("Transfer-Encoding: chunked", "Content-Type: text/html", status=status)
    timeouts = Timeouts(**{**timeouts_of(NEVER), "read": 10.0, "first_event": 20.0})
    client, peer = paced([page_head, *[6.0, in_chunk(b"<p>")] * 9], timeouts)
    with pytest.raises(told):
        ask(client)
    assert peer.time == 20.0
    assert counts(client) == {}


def test_total_spans_the_retries() -> None:
    busy = answer(b"", status="503 Busy")
    client, peer = made(*[[busy, EOF]] * 9, max_retries=8, timeout=Timeouts(total=4.0))
    with pytest.raises(tokenwire.InternalServerError):  # and not a clock: nothing says more than that
        stream(client)
    # 0.375 to 0.5, 0.75 to 1, 1.5 to 2: then 3 to 4 more would be too late.
    assert 2.6 < peer.time <= 3.5
    assert len(peer.slept) == 3
    client, peer = made([busy, EOF], [], timeout=Timeouts(total=4.0))
    with pytest.raises(tokenwire.APITimeoutError, match="total"):
        stream(client)
    assert peer.time == 4.0


def test_no_clock_at_all() -> None:
    client, _ = made([STREAM], timeout=None)
    assert list(stream(client).text()) == ["Hi"]
    client, _ = made([], timeout=None)
    with pytest.raises(RuntimeError, match="would hang"):
        stream(client)
    assert counts(client) == {}


# -- Retries -------------------------------------------------------------------

RETRIED = [408, 409, 429, 500, 502, 503, 504, 529]
NOT_RETRIED = [300, 301, 307, 400, 401, 403, 404, 405, 410, 413, 422, 451]


@pytest.mark.parametrize("status", RETRIED)
def test_statuses_worth_another_try(status: int) -> None:
    refusal = answer(b"no", status=f"{status} No")
    client, peer = made([refusal, REQUEST, refusal, REQUEST, STREAM])
    found = stream(client)
    assert list(found.text()) == ["Hi"]
    assert found.stats.retries == 2
    # "min(0.5 * 2**n, 8) seconds, times 1 - 0.25 * random()"
    assert 0.375 <= peer.slept[0] <= 0.5
    assert 0.75 <= peer.slept[1] <= 1.0
    assert len(peer.slept) == 2
    sent = bodies(peer)[0]
    assert sent == sent[: len(sent) // 3] * 3, "each try sends the same bytes"


@pytest.mark.parametrize("status", NOT_RETRIED)
def test_statuses_that_are_final(status: int) -> None:
    client, peer = made([answer(b"no", status=f"{status} No")])
    with pytest.raises(tokenwire.APIStatusError) as caught:
        stream(client)
    assert caught.value.status_code == status
    assert peer.slept == []


@pytest.mark.parametrize(("status", "said", "tries"), [(400, "true", 3), (503, "false", 1), (503, "maybe", 3)])
def test_the_server_says_whether(status: int, said: str, tries: int) -> None:
    refusal = answer(b"", "length", f"x-should-retry: {said}", status=f"{status} No")
    client, peer = made([refusal, REQUEST, refusal, REQUEST, refusal])
    with pytest.raises(tokenwire.APIStatusError):
        stream(client)
    assert len(peer.slept) == tries - 1
    assert bodies(peer)[0].count(b"POST ") == tries


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        ("Retry-After: 7", 7.0),
        ("Retry-After: 0.25", 0.25),
        ("retry-after-ms: 1500", 1.5),
        ("Retry-After: 120", 120.0),
        ("Retry-After: 121", None),
        ("Retry-After: 0", None),
        ("Retry-After: -5", None),
        ("Retry-After: soon", None),
        ("X-Other: 7", None),
    ],
)
def test_the_server_says_when(field: str, seconds: float | None) -> None:
    client, peer = made([answer(b"", "length", field, "Connection: close", status="429 Slow")], [STREAM])
    stream(client)
    if seconds is not None:
        assert peer.slept == [seconds]
    else:
        assert 0.375 <= peer.slept[0] <= 0.5


def test_the_server_says_when_by_a_date() -> None:
    date = email.utils.formatdate(time.time() + 60, usegmt=True)
    client, peer = made([answer(b"", "length", f"Retry-After: {date}", status="429 Slow"), REQUEST, STREAM])
    stream(client)
    assert 50 < peer.slept[0] <= 60


@pytest.mark.parametrize(
    "script", [RESET, [RESET], [EOF], [b"HTTP/1.1 200", EOF], [b"nonsense\r\n\r\n"], [SendFails(RESET)]]
)
def test_broken_connections_are_tried_again(script: Any) -> None:
    client, peer = made(script, script, [STREAM])
    found = stream(client)
    assert list(found.text()) == ["Hi"]
    assert found.stats.retries == 2
    assert found.stats.reused is False
    assert len(peer.slept) == 2
    assert counts(client) == {"idle": 1}


@pytest.mark.parametrize("ask", [stream, whole])
@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (RESET, tokenwire.APIConnectionError),
        ([EOF], tokenwire.RemoteProtocolError),
        ([], tokenwire.APITimeoutError),
        ([answer(b"", status="500 No"), EOF], tokenwire.InternalServerError),
    ],
)
def test_max_retries(script: Any, kind: type[Exception], ask: Any) -> None:
    for retries in (0, 1, 4):
        client, peer = made(*[script] * 5, max_retries=retries)
        with pytest.raises(kind) as caught:
            ask(client)
        assert type(caught.value) is kind
        assert len(peer.slept) == retries


def test_a_clock_is_tried_again() -> None:
    client, peer = made([], [STREAM], timeout=10)
    assert list(stream(client).text()) == ["Hi"]
    assert 10.375 <= peer.time <= 10.5


def test_no_try_after_the_head_of_a_stream() -> None:
    for script in ([BEGUN, EOF], [BEGUN, RESET], [BEGUN + in_chunk(sse({"error": "no"}))], [BEGUN + EVENT, EOF]):
        client, peer = made(script, [STREAM])
        with pytest.raises(tokenwire.APIError):
            list(stream(client))
        assert (len(peer.connections), peer.slept) == (1, [])


def test_what_trying_again_cannot_help() -> None:
    for script, options in [
        ([head("X: " + "x" * 500)], {"limits": Limits(head_bytes=300)}),
        ([answer(b"{}", kind="application/json")], {}),
        ([answer(b"<html>", kind="text/html")], {}),
    ]:
        client, peer = made(script, [STREAM], **options)  # type: ignore[arg-type]
        with pytest.raises(tokenwire.APIError):
            stream(client)
        assert (len(peer.connections), peer.slept) == (1, [])


def test_a_cut_whole_answer_is_tried_again() -> None:
    for cut in (EOF, RESET):
        client, peer = made([WHOLE[:-3], cut], [WHOLE])
        assert whole(client).choices[0].message.content == "Hi"
        assert len(peer.slept) == 1
        client, _ = made([WHOLE[:-3], cut], max_retries=0)
        with pytest.raises(tokenwire.APIConnectionError, match=r"3 of \d+ bytes|reset by peer"):
            whole(client)


def test_a_broken_whole_answer() -> None:
    for wire in (head("Content-Encoding: br", "Content-Length: 1") + b"x", BEGUN + b"zz\r\n"):
        client, _ = made([wire], max_retries=0)
        with pytest.raises(tokenwire.RemoteProtocolError):
            whole(client)
        assert counts(client) == {}


# -- Refusals whose body fails ------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        [head("Content-Length: 9", status="401 No") + b"half", EOF],
        [head("Content-Length: 9", status="401 No") + b"half", RESET],
        [head("Content-Length: 9", status="401 No") + b"half"],  # and silence, to the end of patience
        [head("Transfer-Encoding: chunked", status="401 No") + in_chunk(b"half") + b"zz\r\n"],
        [head("Content-Encoding: br", "Content-Length: 4", status="401 No") + b"\xff\xff\xff\xff"],
        [head("Content-Encoding: gzip", "Content-Length: 4", status="401 No") + b"half"],
    ],
)
def test_a_refusal_is_told_however_its_body_ends(script: list[Any]) -> None:
    client, peer = made(script, timeout=10)
    with pytest.raises(tokenwire.AuthenticationError) as caught:
        stream(client)
    assert str(caught.value) in ("Error code: 401 - half", "Error code: 401 - No")
    assert counts(client) == {}
    assert peer.connections[0].closed
    assert peer.slept == []


def test_a_whole_refusal_leaves_the_connection() -> None:
    client, peer = made([answer(b"no", status="401 No"), REQUEST, STREAM])
    with pytest.raises(tokenwire.AuthenticationError):
        stream(client)
    assert counts(client) == {"idle": 1}
    stream(client)
    assert len(peer.connections) == 1


# -- Early answers --------------------------------------------------------------------

TOO_LARGE = answer(js({"error": {"message": "too large"}}).encode(), status="413 Content Too Large")
PIPE = BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("error", [PIPE, RESET, None])
@pytest.mark.parametrize("rest", [[], [EOF], [RESET]])
def test_an_answer_that_came_before_the_request_was_sent(error: OSError | None, rest: list[Any]) -> None:
    client, peer = made([SendFails(error), TOO_LARGE[:20], TOO_LARGE[20:], *rest])
    with pytest.raises(tokenwire.APIStatusError, match="Error code: 413 - too large"):
        stream(client)
    assert counts(client) == {}, "half a request was sent: the connection cannot be used again"
    assert peer.connections[0].closed
    assert peer.slept == []


@pytest.mark.parametrize("rest", [[], [EOF], [RESET], [TOO_LARGE[:20]], [TOO_LARGE[:20], EOF], [TOO_LARGE[:20], RESET]])
def test_no_answer_is_there_when_sending_fails(rest: list[Any]) -> None:
    client, _ = made([SendFails(PIPE), *rest], max_retries=0)
    with pytest.raises(tokenwire.APIConnectionError, match="Broken pipe"):
        stream(client)
    client, _ = made([SendFails(None), *rest], max_retries=0)
    with pytest.raises(tokenwire.APITimeoutError, match="write"):
        stream(client)
    assert counts(client) == {}


def test_what_was_read_tells_more_than_the_send_that_failed() -> None:
    """TLS 1.3: a server that misses the client's certificate says so, and closes, while the request is on its way."""
    alert = ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required")
    client, _ = made([SendFails(RESET), alert], max_retries=0)
    with pytest.raises(tokenwire.APIConnectionError, match="certificate required") as caught:
        stream(client)
    assert caught.value.__cause__ is alert
    assert counts(client) == {}


def test_nonsense_in_place_of_an_early_answer() -> None:
    client, _ = made([SendFails(PIPE), b"nonsense\r\n\r\n"], max_retries=0)
    with pytest.raises(tokenwire.RemoteProtocolError):
        stream(client)
    assert counts(client) == {}


# -- Connections that are kept -----------------------------------------------------------


@pytest.mark.parametrize("death", [[EOF], [RESET], [REQUEST, EOF], [REQUEST, RESET], [SendFails(PIPE)], [b"unasked"]])
def test_a_stale_connection_is_replaced_without_a_retry(death: list[Any]) -> None:
    """Whether it is seen to be dead before the request is sent, while, or after."""
    client, peer = made([STREAM, *death], [STREAM], max_retries=0)
    assert list(stream(client).text()) == ["Hi"]
    assert counts(client) == {"idle": 1}
    found = stream(client)
    assert list(found.text()) == ["Hi"]
    assert (found.stats.retries, found.stats.reused) == (0, False)
    assert peer.slept == []
    assert len(peer.connections) == 2
    assert counts(client) == {"idle": 1}
    assert bodies(peer)[1] == bodies(peer)[0][: len(bodies(peer)[1])], "replayed byte for byte"


@pytest.mark.parametrize("death", [EOF, RESET])
def test_a_kept_connection_that_began_to_answer_is_not_stale(death: Any) -> None:
    client, peer = made([STREAM, REQUEST, b"HTTP/1.1 200 OK\r\n", death], [STREAM], max_retries=0)
    list(stream(client))
    with pytest.raises(tokenwire.APIConnectionError):
        stream(client)
    assert len(peer.connections) == 1, "a POST is not sent twice once any byte of an answer was seen"


def test_every_stale_connection_is_tried_before_a_new_one() -> None:
    client, peer = made([STREAM, REQUEST, RESET], [STREAM, REQUEST, RESET], [STREAM], max_retries=0)
    first, second = stream(client), stream(client)
    list(first), list(second)
    assert counts(client) == {"idle": 2}
    assert list(stream(client).text()) == ["Hi"]
    assert len(peer.connections) == 3


def test_many_streams_use_one_connection() -> None:
    script: list[Any] = []
    for _ in range(20):
        script += [STREAM[:-5], STREAM[-5:], REQUEST]
    client, peer = made(script)
    reused = []
    for _ in range(20):
        found = stream(client)
        reused.append(found.stats.reused)
        assert list(found.text()) == ["Hi"]
        assert counts(client) == {"draining": 1}
    assert len(peer.connections) == 1
    assert reused == [False] + [True] * 19


# -- Others ----------------------------------------------------------------------------


def test_interim_answers_are_passed_over() -> None:
    client, _ = made([b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", STREAM])
    assert list(stream(client).text()) == ["Hi"]


def test_stats_of_a_stream() -> None:
    begin = STREAM.index(b"\r\n\r\n") + 4
    pieces = [STREAM[:30], STREAM[30:begin], STREAM[begin:]]
    client, _ = made([answer(b"busy", status="503 Busy"), REQUEST, *pieces])
    before = time.monotonic_ns()
    found = stream(client)
    list(found)
    stats = found.stats
    assert (stats.retries, stats.reused, stats.events) == (1, True, 2)
    assert stats.bytes == len(STREAM), "of the answer that counted"
    assert stats.reads == len(pieces)
    order = [
        before, stats.started, stats.connected, stats.sent, stats.first_byte, stats.head, stats.first_event,
        stats.last_event, stats.last_byte, time.monotonic_ns(),
    ]  # fmt: skip
    assert order == sorted(order)
    assert stats.first_byte < stats.head < stats.first_event, "each taken at its read"
    assert f"bytes={len(STREAM)}" in repr(stats)


def test_chunks_that_the_receive_buffer_cannot_hold() -> None:
    words = [f"t{number} " for number in range(20)]
    body = b"".join(in_chunk(sse(chunk(word, obfuscation="o" * 200))) for word in words)
    wire = BEGUN + body + in_chunk(sse(done=True)) + b"0\r\n\r\n"
    for room in range(100, 700, 7):
        client, _ = made([wire], limits=Limits(receive_buffer=room))
        assert list(stream(client).text()) == words, room


def test_pauses_are_reads_that_left_no_room() -> None:
    begin = STREAM.index(b"\r\n\r\n") + 4
    room = len(STREAM) - begin + 1
    client, _ = made([STREAM[:begin], STREAM[begin:]], limits=Limits(receive_buffer=room))
    found = stream(client)
    list(found)
    assert (found.stats.pauses, found.stats.reads) == (0, 2)
    client, _ = made([STREAM], limits=Limits(receive_buffer=room))
    found = stream(client)
    list(found)
    assert (found.stats.pauses, found.stats.reads) == (1, 2)
    # Each try counts for itself, as its bytes do.
    big = answer(b"x" * room, status="503 Busy")
    client, _ = made([big, REQUEST, STREAM[:begin], STREAM[begin:]], limits=Limits(receive_buffer=room))
    found = stream(client)
    list(found)
    assert (found.stats.pauses, found.stats.reads) == (0, 2)


def test_stats_before_anything_came() -> None:
    stats = Stats()
    assert (stats.first_byte, stats.first_event, stats.events, stats.reused) == (0, 0, 0, False)


def test_events_in_the_same_read_as_the_head_are_counted() -> None:
    client, _ = made([STREAM])
    found = stream(client)
    assert found.stats.first_event == 0, "nothing is decoded before it is asked for"
    next(found)
    assert found.stats.first_event == found.stats.head == found.stats.first_byte


def test_nothing_secret_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    refusal = answer(b"no", status="503 No")
    client, _ = made([STREAM, REQUEST, refusal, REQUEST, refusal, REQUEST, RESET], [BEGUN, EOF], max_retries=2)
    list(stream(client))
    shown = [repr(client), str(client.__dict__.keys())]
    found = stream(client, extra_query={"token": "sk-secret"})
    shown += [repr(found.response), repr(found.response.headers), repr(found._source.exchange._request)]
    with pytest.raises(tokenwire.StreamTruncatedError) as caught:
        list(found)
    shown += [repr(caught.value), str(caught.value), caplog.text]
    assert "retry 1" in caplog.text
    assert "StreamTruncatedError" in caplog.text
    assert "sk-secret" not in "".join(shown)


def test_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A line for each thing that happens to a connection; of what is said on it nothing."""
    caplog.set_level("DEBUG", "tokenwire")
    tail = STREAM.index(b"0\r\n\r\n", STREAM.index(b"[DONE]"))
    client, _ = made([answer(b"no", status="503 No"), REQUEST, STREAM[:tail], STREAM[tail:], REQUEST, BEGUN, EOF])
    list(stream(client))
    with pytest.raises(tokenwire.StreamTruncatedError):
        list(stream(client))
    told = [re.sub(r"[0-9]+\.[0-9]+ seconds", "N seconds", record.message) for record in caplog.records]
    request = "<Request POST test:80/v1/chat/completions>"
    size = len(client._pools.pool.backend.connections[0].sent) // 3  # type: ignore[union-attr]
    assert told == [
        "connected to test:80 in N seconds",
        f"{request}: sent, {size} bytes over a new connection",
        f"{request}: answered by 503, request id None",
        f"{request}: retry 1 in N seconds",
        f"{request}: sent, {size} bytes over a kept connection",
        f"{request}: answered by 200, request id None",
        "<Connection test:80 draining>: drained 5 bytes of its last answer",
        f"{request}: sent, {size} bytes over a kept connection",
        f"{request}: answered by 200, request id None",
        f"{request}: ended by StreamTruncatedError, after 0 events",
    ]
    assert {record.name for record in caplog.records} == {"tokenwire"}


def test_a_request_shows_where_it_goes() -> None:
    client, _ = made([STREAM])
    found = stream(client)
    request: Request = found._source.exchange._request
    assert repr(request) == "<Request POST test:80/v1/chat/completions>"


def test_a_manager_is_entered_once() -> None:
    client, _ = made([STREAM], [STREAM])
    manager = client.chat.completions.stream(model="m", messages=[])
    with manager as found:
        assert found.get_final_completion().choices[0].message.content == "Hi"
    with pytest.raises(tokenwire.StreamConsumedError):
        manager.__enter__()
    assert counts(client) == {"idle": 1}


def test_a_bug_in_a_family_closes_the_connection() -> None:
    class Broken:
        name = "broken"

        def __init__(self) -> None:
            self.broken = True

        def __getattr__(self, name: str) -> Any:
            from tokenwire.families import chat

            return getattr(chat, name)

        def decode(self, payload: bytes) -> Any:
            raise ZeroDivisionError

    for pieces in ([STREAM], [STREAM[:100], STREAM[100:]]):
        client, _ = made(pieces)
        found = stream(client)
        found._source.family = Broken()
        with pytest.raises(ZeroDivisionError):
            next(found)
        assert counts(client) == {}
        if len(pieces) > 1:  # read in part: what is left was not the end of it
            with pytest.raises(tokenwire.StreamConsumedError, match="ZeroDivisionError"):
                next(found)
        assert list(found) == []


def test_interrupted_while_it_reads_a_body() -> None:
    for status, ask in (("401 No", stream), ("200 OK", whole)):
        half = head("Content-Length: 9", "Content-Type: application/json", status=status) + b"half"
        client, peer = made([half], timeout=None)
        with pytest.raises(RuntimeError, match="would hang"):  # the memory backend's own word: no APIError
            ask(client)
        assert counts(client) == {}
        assert peer.connections[0].closed


def test_a_whole_answer_until_close() -> None:
    wire = answer(js(completion("Hi")).encode(), "close", kind="application/json")
    client, _ = made([wire, EOF])
    assert whole(client).choices[0].message.content == "Hi"
    assert counts(client) == {}
