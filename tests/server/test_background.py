"""Responses in the background, over real sockets: what goes on without its client, and how it is found again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from support.served import CHAT, PATIENCE, RESPONSES, RawClient, payloads, serving, within
from tokenwire.server import Reciter, Request, RequestError, ServerLimits, Usage, recite
from tokenwire.server.responses import ResponsesSession

pytestmark = pytest.mark.parametrize("backend", ["asyncio", "trio"])

BACKGROUND = {**RESPONSES, "background": True}
QUIET = ServerLimits(keep_alive=None)


class Gate:
    """A handler that says what it is told to, and a record of what became of it."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.ended = threading.Event()
        self.finished = threading.Event()
        self.words: list[str | None] = []

    def say(self, *words: str | None) -> None:
        """None: the end."""
        self.words += words

    async def handler(self, request: Request) -> AsyncIterator[Any]:
        assert request.clock is not None
        self.begun.set()
        said = 0
        try:
            while True:
                while said == len(self.words):
                    await request.clock.sleep(0.001)
                word = self.words[said]
                said += 1
                if word is None:
                    break
                yield word
            yield Usage(1, said)
            self.finished.set()
        finally:
            self.ended.set()


def whole(server: Any, method: str, target: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    with RawClient(server) as client:
        client.ask(method, target, body)
        head, answer = client.answer(method)
        assert dict(head.headers)[b"content-type"] == b"application/json"
        return head.status_code, json.loads(answer)


def error(server: Any, method: str, target: str, body: Any = None) -> tuple[int, str | None, str]:
    status, answer = whole(server, method, target, body)
    return status, answer["error"]["param"], answer["error"]["code"]


def until(seen: Callable[[], bool]) -> None:
    """Ask again and again; the timeout of the thread that serves is not ours to wait for."""
    give_up = time.monotonic() + PATIENCE
    while not seen():
        assert time.monotonic() < give_up
        time.sleep(0.002)


class Reader:
    """A client that reads a stream, event by event."""

    def __init__(self, server: Any, method: str, target: str, body: Any = None) -> None:
        self.client = RawClient(server)
        self.client.ask(method, target, body)
        self._lines = self.client.sock.makefile("rb")
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            self.head += self._lines.readline()
        assert self.head.startswith(b"HTTP/1.1 200 ")
        assert b"content-type: text/event-stream" in self.head.lower()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self.client.sock.close()

    def next(self) -> Any:
        """The next event ("[DONE]" as that), or None at the end of the body."""
        while line := self._lines.readline():
            if line == b"0\r\n":
                return None
            if line.startswith(b"data: "):
                data = line[6:].strip()
                return "[DONE]" if data == b"[DONE]" else json.loads(data)
        raise AssertionError("the body was cut")

    def rest(self) -> list[Any]:
        found = []
        while (event := self.next()) is not None:
            found.append(event)
        return found


def text(events: list[Any]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


def test_a_stream_that_is_left_goes_on_and_is_followed(backend: str) -> None:
    gate = Gate()
    with serving(gate.handler, backend=backend, limits=QUIET) as server:
        gate.say("Hello")
        seen = []
        with Reader(server, "POST", "/v1/responses", BACKGROUND) as first:
            while not seen or not text(seen):
                seen.append(first.next())
        id = seen[0]["response"]["id"]
        assert [event["type"] for event in seen[:3]] == [
            "response.created",
            "response.queued",
            "response.in_progress",
        ]
        status, found = whole(server, "GET", f"/v1/responses/{id}")
        assert (status, found["status"], found["background"], found["store"]) == (200, "in_progress", True, True)
        assert not gate.ended.is_set()
        after = f"/v1/responses/{id}?stream=true&starting_after={seen[-1]['sequence_number']}"
        with Reader(server, "GET", after) as second, Reader(server, "GET", after) as third:
            gate.say(" world")
            seen.append(second.next())
            assert third.next() == seen[-1]
            gate.say("!", None)
            rest = second.rest()
            assert third.rest() == rest
            seen += rest
        assert text(seen) == "Hello world!"
        assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
        assert seen[-1]["type"] == "response.completed"
        assert whole(server, "GET", f"/v1/responses/{id}") == (200, seen[-1]["response"])
        # Once it has ended, from any event on.
        for after_number in (-1, 0, 5, len(seen) - 2, len(seen) - 1):
            query = "" if after_number < 0 else f"&starting_after={after_number}"
            with Reader(server, "GET", f"/responses/{id}?stream=true{query}") as again:
                # Where nothing is left, that is said: an empty body would look cut.
                assert again.rest() == (seen[after_number + 1 :] or ["[DONE]"])


def test_without_a_stream_the_answer_does_not_wait(backend: str) -> None:
    gate = Gate()
    with serving(gate.handler, backend=backend, limits=QUIET) as server:
        with RawClient(server) as client:
            client.ask("POST", "/v1/responses", {**BACKGROUND, "stream": False})
            head, answer = client.answer()
            begun = json.loads(answer)
            assert (head.status_code, begun["status"], begun["output"]) == (200, "queued", [])
            client.ask("GET", f"/v1/responses/{begun['id']}")  # the connection goes on
            assert json.loads(client.answer()[1])["status"] in ("queued", "in_progress")
        with Reader(server, "GET", f"/v1/responses/{begun['id']}?stream=true") as reader:
            gate.say("Hello", None)
            events = reader.rest()
        assert text(events) == "Hello"
        status, ended = whole(server, "GET", f"/v1/responses/{begun['id']}")
        assert (status, ended["status"], ended["output"][0]["content"][0]["text"]) == (200, "completed", "Hello")


def test_cancel(backend: str) -> None:
    gate = Gate()
    with serving(gate.handler, backend=backend, limits=QUIET) as server:
        gate.say("Hello")
        with Reader(server, "POST", "/v1/responses", BACKGROUND) as reader:
            events = [reader.next()]
            while not text(events):
                events.append(reader.next())
            id = events[0]["response"]["id"]
            status, answer = whole(server, "POST", f"/v1/responses/{id}/cancel", {})
            assert (status, answer["status"]) == (200, "cancelled")
            assert gate.ended.wait(PATIENCE)
            events += reader.rest()
        assert not gate.finished.is_set()
        assert events[-1] == {
            "type": "response.cancelled",
            "response": answer,
            "sequence_number": len(events) - 1,
        }
        assert answer["output"][0]["content"][0]["text"] == "Hello"
        assert whole(server, "POST", f"/v1/responses/{id}/cancel") == (200, answer)  # as the API: idempotent
        assert whole(server, "GET", f"/v1/responses/{id}") == (200, answer)


def test_cancel_of_one_that_has_ended(backend: str) -> None:
    with serving(recite, backend=backend) as server:
        with Reader(server, "POST", "/v1/responses", BACKGROUND) as reader:
            last = reader.rest()[-1]["response"]
        assert whole(server, "POST", f"/v1/responses/{last['id']}/cancel") == (200, last)
        assert last["status"] == "completed"


def test_refusals(backend: str) -> None:
    with serving(recite, backend=backend) as server:
        assert error(server, "GET", "/v1/responses/resp_1") == (404, None, "response_not_found")
        assert error(server, "POST", "/v1/responses/resp_1/cancel") == (404, None, "response_not_found")
        assert error(server, "GET", "/v1/responses/resp_1/cancel") == (405, None, "method_not_supported")
        assert error(server, "POST", "/v1/responses/resp_1") == (405, None, "method_not_supported")
        assert error(server, "GET", "/v1/responses/resp_1/other") == (404, None, "unknown_url")
        assert error(server, "POST", "/responses", {**BACKGROUND, "store": False}) == (
            400,
            "background",
            "invalid_value",
        )
        with Reader(server, "POST", "/v1/responses", BACKGROUND) as reader:
            events = reader.rest()
        at = f"/v1/responses/{events[0]['response']['id']}"
        for query, param in (
            ("stream=true&starting_after=-1", "starting_after"),
            ("stream=true&starting_after=x", "starting_after"),
            ("stream=true&starting_after=", "starting_after"),
            ("stream=true&starting_after=%D9%A1", "starting_after"),
            ("stream=true&starting_after=1e3", "starting_after"),
            (f"stream=true&starting_after={'9' * 5000}", "starting_after"),
            (f"stream=true&starting_after={len(events)}", "starting_after"),
            ("starting_after=1", "starting_after"),
            ("stream=perhaps", "stream"),
        ):
            assert error(server, "GET", f"{at}?{query}") == (400, param, "invalid_value"), query
        # What was not stored, under its own id.
        status, plain = whole(server, "POST", "/v1/responses", {**RESPONSES, "stream": False})
        assert (status, plain["store"]) == (200, False)
        assert error(server, "GET", f"/v1/responses/{plain['id']}") == (404, None, "response_not_found")


def test_a_store_that_is_full(backend: str) -> None:
    gate = Gate()
    with serving(gate.handler, backend=backend, limits=ServerLimits(stored=1)) as server:
        _, first = whole(server, "POST", "/v1/responses", {**BACKGROUND, "stream": False})
        for stream in (True, False):
            refused = error(server, "POST", "/v1/responses", {**BACKGROUND, "stream": stream})
            assert refused == (429, None, "too_many_stored_responses")
        whole(server, "POST", f"/v1/responses/{first['id']}/cancel")
        assert whole(server, "POST", "/v1/responses", {**BACKGROUND, "stream": False})[0] == 200


def test_an_endpoint_that_keeps_nothing(backend: str) -> None:
    with serving(recite, backend=backend, limits=ServerLimits(stored=0)) as server:
        refused = error(server, "POST", "/v1/responses", BACKGROUND)
        assert refused == (400, "background", "unsupported_value")
        status, answer = whole(server, "POST", "/v1/responses", {**RESPONSES, "store": True, "stream": False})
        assert (status, answer["status"], answer["store"]) == (200, "completed", False)


def test_the_numbers_of_the_background(backend: str) -> None:
    gate = Gate()
    gate.say("Hello", " world")
    with serving(gate.handler, backend=backend) as server:
        with Reader(server, "POST", "/v1/responses", BACKGROUND) as reader:
            events = [reader.next()]
            while text(events) != "Hello world":
                events.append(reader.next())
            stats = within(server, lambda: server.stats)
            assert (stats["background"], stats["tokens"], stats["streams"]) == (1, 2, 1)
        until(lambda: bool(within(server, lambda: server.stats["disconnects"]) == 1))
        gate.say(None)
        until(lambda: bool(within(server, lambda: server.stats["background"]) == 0))
        whole(server, "GET", f"/v1/responses/{events[0]['response']['id']}")
        stats = within(server, lambda: server.stats)
        assert stats["tokens"] == 3  # those of the handler, Usage too; not what followers were sent
        assert stats["errors"] == 0


@pytest.mark.parametrize("stream", [True, False])
def test_in_the_foreground_what_asks_to_be_stored_is(backend: str, stream: bool) -> None:
    with serving(recite, backend=backend) as server:
        if stream:
            with Reader(server, "POST", "/v1/responses", {**RESPONSES, "store": True}) as reader:
                events = reader.rest()
            assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
            answer = events[-1]["response"]
        else:
            _, answer = whole(server, "POST", "/v1/responses", {**RESPONSES, "store": True, "stream": False})
        assert (answer["status"], answer["store"], answer["background"]) == ("completed", True, False)
        at = f"/v1/responses/{answer['id']}"
        assert whole(server, "GET", at) == (200, answer)
        with Reader(server, "GET", f"{at}?stream=true") as reader:
            assert reader.rest()[-1]["response"] == answer
        assert error(server, "POST", f"{at}/cancel") == (400, None, "response_not_in_background")


@pytest.mark.parametrize("stream", [True, False])
def test_in_the_foreground_a_client_that_goes_away_cancels(backend: str, stream: bool) -> None:
    gate = Gate()
    gate.say("Hello")
    with serving(gate.handler, backend=backend) as server:
        with RawClient(server) as client:
            client.ask("POST", "/v1/responses", {**RESPONSES, "store": True, "stream": stream})
            assert gate.begun.wait(PATIENCE)
        assert gate.ended.wait(PATIENCE)
    assert not gate.finished.is_set()


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("stream", [True, False])
def test_a_handler_that_refuses(backend: str, background: bool, stream: bool) -> None:
    async def refuses(request: Request) -> AsyncIterator[str]:
        raise RequestError(403, "Not today.")
        yield

    body = {**RESPONSES, "store": True, "background": background, "stream": stream}
    with serving(refuses, backend=backend) as server:
        if not background:  # as without a store
            assert whole(server, "POST", "/v1/responses", body)[0] == 403
            return
        if stream:
            with Reader(server, "POST", "/v1/responses", body) as reader:
                events = reader.rest()
            assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
            assert events[-2]["message"] == "Not today."
            id = events[0]["response"]["id"]
        else:
            id = whole(server, "POST", "/v1/responses", body)[1]["id"]
            until(lambda: whole(server, "GET", f"/v1/responses/{id}")[1]["status"] == "failed")
        assert whole(server, "GET", f"/v1/responses/{id}")[1]["error"]["message"] == "Not today."


@pytest.mark.parametrize("stream", [True, False])
def test_a_handler_that_fails_in_mid_stream(backend: str, stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def fails(request: Request) -> AsyncIterator[str]:
        yield "Hello"
        raise ZeroDivisionError("secret")

    with serving(fails, backend=backend) as server, RawClient(server) as client:
        client.ask("POST", "/v1/responses", {**RESPONSES, "store": True, "stream": stream})
        head, answer = client.answer()
        if stream:
            assert [event["type"] for event in payloads(answer)[-2:]] == ["error", "response.failed"]
        else:
            assert (head.status_code, json.loads(answer)["error"]["code"]) == (500, "internal_error")
        assert b"secret" not in answer
    assert caplog.text.count("ZeroDivisionError: secret") == 1


def test_what_cannot_even_be_told_of_ends_nobody_else(
    backend: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(request: Request) -> AsyncIterator[str]:
        yield "Hello"
        if request.background:
            raise ZeroDivisionError

    def broken(session: ResponsesSession, error: BaseException) -> bytes:
        raise TypeError("no JSON")

    monkeypatch.setattr(ResponsesSession, "fail", broken)
    with serving(fails, backend=backend) as server:
        with Reader(server, "POST", "/v1/responses", BACKGROUND) as reader:
            assert reader.rest()[-1]["type"] == "response.output_text.delta"  # cut off: the client can tell
        assert whole(server, "POST", "/v1/responses", {**RESPONSES, "stream": False})[1]["status"] == "completed"
        until(lambda: within(server, lambda: server.stats["background"]) == 0)
    assert "TypeError: no JSON" in caplog.text


def test_a_response_that_outgrows_the_store(backend: str) -> None:
    async def endless(request: Request) -> AsyncIterator[str]:
        while True:
            yield "x" * 100

    with (
        serving(endless, backend=backend, limits=ServerLimits(stored_bytes=100_000)) as server,
        Reader(server, "POST", "/v1/responses", BACKGROUND) as reader,
    ):
        *_, told, failed = reader.rest()
    assert (told["code"], failed["response"]["status"]) == ("response_too_large", "failed")


def test_a_handler_that_never_waits_does_not_starve_the_others(backend: str) -> None:
    stop = threading.Event()

    async def endless(request: Request) -> AsyncIterator[str]:
        while request.prompt == "endless" and not stop.is_set():
            yield ""
        yield "quick"

    with serving(endless, backend=backend) as server:
        whole(server, "POST", "/v1/responses", {**BACKGROUND, "stream": False, "input": "endless"})
        status, answer = whole(server, "POST", "/v1/responses", {**RESPONSES, "stream": False})
        stop.set()
        assert (status, answer["status"]) == (200, "completed")


def test_one_who_does_not_read_holds_back_nobody(backend: str) -> None:
    async def much(request: Request) -> AsyncIterator[str]:
        for _ in range(3000):
            yield "x" * 1000

    with serving(much, backend=backend) as server, RawClient(server, receive_window=10_000) as stuck:
        stuck.ask("POST", "/v1/responses", BACKGROUND)
        seen = b""
        while b"\r\n\r\n" not in seen or b"resp_" not in seen:
            seen += stuck.sock.recv(2000)
        id = "resp_" + seen.split(b"resp_")[1][:36].decode()
        with Reader(server, "GET", f"/v1/responses/{id}?stream=true") as other:
            events = other.rest()
        assert events[-1]["type"] == "response.completed"
        assert len(text(events)) == 3_000_000


def test_the_end_of_serve_cancels_what_is_in_the_background(backend: str) -> None:
    gate = Gate()
    with serving(gate.handler, backend=backend) as server:
        whole(server, "POST", "/v1/responses", {**BACKGROUND, "stream": False})
        assert gate.begun.wait(PATIENCE)
    assert gate.ended.is_set()
    assert not gate.finished.is_set()


def test_keep_alive_comments_while_the_handler_is_silent(backend: str) -> None:
    gate = Gate()
    with (
        serving(gate.handler, backend=backend, limits=ServerLimits(keep_alive=0.01)) as server,
        RawClient(server) as client,
    ):
        client.ask("POST", "/v1/responses", BACKGROUND)
        seen = b""
        while seen.count(b": keep-alive\n\n") < 2:
            seen += client.sock.recv(65536)


# -- on_disconnect="finish" ----------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("target", "body"), [("/chat/completions", CHAT), ("/responses", {**RESPONSES, "store": False})]
)
def test_finish_lets_the_handler_of_one_who_leaves_go_on(
    backend: str, target: str, body: dict[str, Any], stream: bool
) -> None:
    gate = Gate()
    gate.say("Hello")
    with serving(gate.handler, backend=backend, on_disconnect="finish") as server:
        with RawClient(server) as client:
            client.ask("POST", target, {**body, "stream": stream})
            assert gate.begun.wait(PATIENCE)
            if stream:
                assert client.sock.recv(10)
        gate.say(*["more"] * 1000)
        gate.say("x" * 300_000)
        gate.say(None)
        assert gate.finished.wait(PATIENCE)
        # Who stays is answered as ever.
        with RawClient(server) as client:
            client.ask("POST", target, {**body, "stream": stream})
            assert client.answer()[1].count(b"more") >= 1000


def test_finish_of_one_who_leaves_in_the_middle_of_a_send(backend: str) -> None:
    over = threading.Event()

    async def much(request: Request) -> AsyncIterator[str]:
        for _ in range(300):
            yield "x" * 100_000
        over.set()

    with serving(much, backend=backend, on_disconnect="finish") as server:
        with RawClient(server, receive_window=10_000) as client:
            client.ask("POST", "/chat/completions", CHAT)
            assert client.sock.recv(10)
        assert over.wait(PATIENCE)


def test_finish_is_not_for_ever(backend: str) -> None:
    gate = Gate()
    gate.say("Hello")
    with serving(gate.handler, backend=backend, on_disconnect="finish") as server, RawClient(server) as client:
        client.ask("POST", "/chat/completions", CHAT)
        assert gate.begun.wait(PATIENCE)
    assert gate.ended.is_set()
    assert not gate.finished.is_set()


def test_finish_keeps_the_events(backend: str) -> None:
    gate = Gate()
    gate.say("Hello")
    with serving(gate.handler, backend=backend, on_disconnect="finish") as server:
        with Reader(server, "POST", "/responses", RESPONSES) as reader:
            created = reader.next()["response"]
        assert (created["store"], created["background"]) == (True, False)
        gate.say(" world", None)
        with Reader(server, "GET", f"/responses/{created['id']}?stream=true&starting_after=0") as reader:
            events = reader.rest()
        assert text(events) == "Hello world"
        assert events[-1]["type"] == "response.completed"


def test_finish_without_room_in_the_store(backend: str) -> None:
    """What did not ask to be stored is answered all the same."""
    gate = Gate()
    with (
        serving(gate.handler, backend=backend, on_disconnect="finish", limits=ServerLimits(stored=1)) as server,
        Reader(server, "POST", "/responses", BACKGROUND),
    ):
        assert error(server, "POST", "/responses", {**RESPONSES, "store": True})[0] == 429
        gate.say("Hello")
        with Reader(server, "POST", "/responses", RESPONSES) as reader:
            assert reader.next()["response"]["store"] is False


def test_a_pace(backend: str) -> None:
    with (
        serving(Reciter(tokens_per_second=1000), backend=backend) as server,
        Reader(server, "POST", "/responses", BACKGROUND) as reader,
    ):
        assert reader.rest()[-1]["type"] == "response.completed"


def test_one_string_is_no_list_of_models(backend: str) -> None:
    with pytest.raises(ValueError, match=r"models is a sequence of names, not one string: \['moon'\]"):  # noqa: SIM117
        with serving(recite, backend=backend, models="moon"):
            pass


def test_what_is_no_way_to_go_on(backend: str) -> None:
    with pytest.raises(ValueError, match="'cancel' or 'finish', not 'stay'"):  # noqa: SIM117
        with serving(recite, backend=backend, on_disconnect="stay"):
            pass
