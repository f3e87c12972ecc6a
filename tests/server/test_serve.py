from __future__ import annotations

import functools
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.served import CHAT, PATIENCE, RESPONSES, RawClient, payloads, serving
from tokenwire.server import (
    Finish,
    Request,
    RequestError,
    ServerLimits,
    Serving,
    Text,
    Usage,
    recite,
)
from tokenwire.server.recite import MODEL

pytestmark = pytest.mark.parametrize("backend", ["asyncio", "trio"])

QUIET = ServerLimits(keep_alive=None)
WHOLE = {**CHAT, "stream": False}


async def hello(request: Request) -> AsyncIterator[str]:
    yield "Hello"
    yield " world"


def said(body: bytes) -> str:
    return "".join(c["delta"].get("content") or "" for p in payloads(body) for c in p["choices"])


# -- Routes and keep-alive -----------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_routes_on_one_connection(backend: str, prefix: str) -> None:
    with serving(hello, backend=backend, models=["a", "b/c"]) as server, RawClient(server) as client:
        client.ask("POST", f"{prefix}/chat/completions", CHAT)
        head, body = client.answer()
        fields = dict(head.headers)
        assert (head.status_code, fields[b"content-type"]) == (200, b"text/event-stream; charset=utf-8")
        assert fields[b"x-request-id"].startswith(b"req_")
        assert said(body) == "Hello world"
        assert body.endswith(b"data: [DONE]\n\n")
        assert {p["model"] for p in payloads(body)} == {"asked"}

        client.ask("POST", f"{prefix}/chat/completions?api-version=1", WHOLE)
        head, body = client.answer()
        assert (head.status_code, dict(head.headers)[b"content-type"]) == (200, b"application/json")
        assert json.loads(body)["choices"][0]["message"]["content"] == "Hello world"

        client.ask("POST", f"{prefix}/responses", RESPONSES)
        _, body = client.answer()
        assert [p["delta"] for p in payloads(body) if p["type"].endswith("text.delta")] == ["Hello", " world"]
        assert payloads(body)[-1]["type"] == "response.completed"
        assert [p["sequence_number"] for p in payloads(body)] == list(range(len(payloads(body))))

        client.ask("GET", f"{prefix}/models")
        head, body = client.answer()
        assert head.status_code == 200
        assert [model["id"] for model in json.loads(body)["data"]] == ["a", "b/c"]
        for name in ("b/c", "b%2Fc"):
            client.ask("GET", f"{prefix}/models/{name}")
            assert json.loads(client.answer()[1])["id"] == "b/c"


def test_pipelined_requests_are_answered_in_order(backend: str) -> None:
    with serving(hello, backend=backend) as server, RawClient(server) as client:
        for body in (CHAT, WHOLE, CHAT):
            client.ask("POST", "/v1/chat/completions", body)
        assert said(client.answer()[1]) == "Hello world"
        assert json.loads(client.answer()[1])["object"] == "chat.completion"
        assert said(client.answer()[1]) == "Hello world"


def test_an_empty_line_behind_a_body(backend: str) -> None:
    """Some clients send one. It was answered by itself, which its client would take for the next request's answer."""
    with serving(hello, backend=backend) as server, RawClient(server) as client:
        for _ in range(2):
            client.ask("POST", "/v1/chat/completions", CHAT)
            client.sock.sendall(b"\r\n")
            assert said(client.answer()[1]) == "Hello world"


def test_connection_close_and_http_1_0(backend: str) -> None:
    with serving(hello, backend=backend) as server:
        with RawClient(server) as client:
            client.ask("POST", "/v1/chat/completions", CHAT, connection="close")
            assert said(client.answer()[1]) == "Hello world"
            assert client.closed()
        with RawClient(server) as client:
            payload = json.dumps(CHAT).encode()
            client.sock.sendall(
                b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(payload)
            )
            client.sock.sendall(payload)
            head, _, body = client.sock.makefile("rb").read().partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert b"transfer-encoding" not in head.lower()
            assert said(body) == "Hello world"


def test_a_chunked_request_body_and_expect_continue(backend: str) -> None:
    with serving(hello, backend=backend) as server, RawClient(server) as client:
        client.sock.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
            b"transfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n"
        )
        interim = b"HTTP/1.1 100 "
        assert client.sock.recv(len(interim)) == interim
        payload = json.dumps(WHOLE).encode()
        client.sock.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(payload), payload))
        rest = client.sock.makefile("rb")
        assert rest.readline() == b"Continue\r\n"
        assert rest.readline() == b"\r\n"
        assert rest.readline().startswith(b"HTTP/1.1 200 ")


def test_a_unix_socket(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with serving(hello, backend=backend, uds=str(path)) as server:
        assert (server.address, server.url) == (str(path), "")
        with RawClient(server) as client:
            client.ask("POST", "/v1/chat/completions", CHAT)
            assert said(client.answer()[1]) == "Hello world"
    assert not path.exists()


def test_a_unix_socket_that_was_left_behind(backend: str, tmp_path: Path) -> None:
    """By a server that was killed: no other could begin until somebody removed it."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    with serving(hello, backend=backend, uds=str(path)) as server, RawClient(server) as client:
        client.ask("POST", "/v1/chat/completions", CHAT)
        assert said(client.answer()[1]) == "Hello world"


def test_a_path_that_is_anothers(backend: str, tmp_path: Path) -> None:
    path, file, link = tmp_path / "s", tmp_path / "file", tmp_path / "link"
    file.touch()
    link.symlink_to(tmp_path / "nowhere")
    with serving(hello, backend=backend, uds=str(path)) as server:
        for taken in (path, file, link):
            with pytest.raises(OSError, match="in use"), serving(hello, backend=backend, uds=str(taken)):
                pass
        with RawClient(server) as client:
            client.ask("POST", "/v1/chat/completions", CHAT)
            assert said(client.answer()[1]) == "Hello world"
    assert file.exists()


# -- Errors --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "code"),
    [
        ("POST", "/v1/chat/completions", b"{", 400, "invalid_json"),
        ("POST", "/v1/chat/completions", b"[]", 400, "invalid_type"),
        ("POST", "/v1/chat/completions", {"messages": []}, 400, "missing_required_parameter"),
        ("POST", "/v1/responses", {"model": "m"}, 400, "missing_required_parameter"),
        ("POST", "/v1/chat/completions", {**CHAT, "n": 2}, 400, "integer_above_max_value"),
        ("POST", "/v1/embeddings", {}, 404, "unknown_url"),
        ("GET", "/", None, 404, "unknown_url"),
        ("GET", "/v1/chat/completions", None, 405, "method_not_supported"),
        ("DELETE", "/v1/models", None, 405, "method_not_supported"),
        ("GET", "/v1/models/gpt-5", None, 404, "model_not_found"),
    ],
)
def test_a_refused_request_leaves_the_connection_open(
    backend: str, method: str, target: str, body: Any, status: int, code: str
) -> None:
    with serving(hello, backend=backend) as server, RawClient(server) as client:
        client.ask(method, target, body)
        head, answer = client.answer()
        assert head.status_code == status
        error = json.loads(answer)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert (error["type"], error["code"]) == ("invalid_request_error", code)
        allowed = "POST" if "completions" in target else "GET"
        assert dict(head.headers).get(b"allow") == (allowed.encode() if status == 405 else None)
        client.ask("POST", "/v1/chat/completions", CHAT)
        assert said(client.answer()[1]) == "Hello world"


def test_head_gets_no_body(backend: str) -> None:
    with serving(hello, backend=backend) as server, RawClient(server) as client:
        client.ask("HEAD", "/v1/models")
        assert client.answer("HEAD")[0].status_code == 405
        client.ask("GET", "/v1/models")
        assert client.answer()[0].status_code == 200


def test_a_body_that_is_not_json_by_its_own_word(backend: str) -> None:
    with serving(hello, backend=backend) as server, RawClient(server) as client:
        client.ask("POST", "/v1/responses", RESPONSES, content_type="text/plain")
        assert client.answer()[0].status_code == 415


@pytest.mark.parametrize("framing", ["length", "chunked", "expect"])
def test_a_body_that_is_too_large(backend: str, framing: str) -> None:
    limits = ServerLimits(body_bytes=1000)
    with serving(hello, backend=backend, limits=limits) as server, RawClient(server) as client:
        start = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
        if framing == "length":
            client.sock.sendall(start + b"content-length: 1001\r\n\r\n" + b"x" * 1001)
        elif framing == "chunked":
            client.sock.sendall(start + b"transfer-encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001)
        else:
            client.sock.sendall(start + b"content-length: 1001\r\nexpect: 100-continue\r\n\r\n")
        head, body = client.answer()
        assert (head.status_code, json.loads(body)["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"POST /v1/responses HTTP/1.1\r\n\r\n", 400),  # no host
        (
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n+1\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\nhost: x\n\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 140_000, 431),
    ],
)
def test_broken_http_is_refused_and_ends_the_connection(backend: str, request_: bytes, status: int) -> None:
    with serving(hello, backend=backend) as server, RawClient(server) as client:
        client.sock.sendall(request_)
        head, body = client.answer()
        assert head.status_code == status
        assert dict(head.headers)[b"connection"] == b"close"
        assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("size", [b"0x1", b"-1", b"1_0", b" 1", b"", b"1;a\nb", b"f" * 21, b"0" * 21 + b"1"])
def test_sizes_of_chunks_that_others_may_read_otherwise(backend: str, size: bytes) -> None:
    with serving(hello, backend=backend) as server, RawClient(server) as client:
        client.sock.sendall(b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        client.sock.sendall(size + b"\r\nx\r\n0\r\n\r\n")
        head, _ = client.answer()
        assert (head.status_code, dict(head.headers)[b"connection"]) == (400, b"close")


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [
        (b"GET http://x/v1/models HTTP/1.1", 400, "bad_target"),
        (b"CONNECT x:443 HTTP/1.1", 400, "bad_target"),
        (b"OPTIONS * HTTP/1.1", 400, "bad_target"),
        (b"GET //v1/models HTTP/1.1", 404, "unknown_url"),
        (b"GET /v1/../v1/models HTTP/1.1", 404, "unknown_url"),
        (b"GET /v1/models HTTP/1.1\r\n" + b"\r\n".join([b"a: b"] * 200), 431, "head_too_large"),
    ],
)
def test_requests_that_are_refused_for_their_head(backend: str, line: bytes, status: int, code: str) -> None:
    with serving(hello, backend=backend) as server, RawClient(server) as client:
        client.sock.sendall(line + b"\r\nhost: x\r\n\r\n")
        head, body = client.answer()
        assert (head.status_code, json.loads(body)["error"]["code"]) == (status, code)


def test_a_request_within_another_is_not_answered(backend: str) -> None:
    """Whatever stands in a body, or behind a request that was refused, is not a request."""
    inner = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"
    for outer in (
        b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(inner),
        b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /nowhere HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0x0\r\n\r\n",
    ):
        with serving(hello, backend=backend) as server, RawClient(server) as client:
            client.sock.sendall(outer + inner)
            client.sock.shutdown(socket.SHUT_WR)
            said = client.sock.makefile("rb").read()
            assert said.count(b"HTTP/1.1 ") == 1, outer


def test_a_head_or_body_that_does_not_come(backend: str) -> None:
    limits = ServerLimits(head=0.05, body=0.05)
    with serving(hello, backend=backend, limits=limits) as server:
        for beginning in (
            b"POST /v1/resp",
            b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{",
        ):
            with RawClient(server) as client:
                client.sock.sendall(beginning)
                head, body = client.answer()
                assert (head.status_code, json.loads(body)["error"]["code"]) == (408, "timeout")


def test_an_idle_connection_is_closed(backend: str) -> None:
    with (
        serving(hello, backend=backend, limits=ServerLimits(idle=0.05)) as server,
        RawClient(server) as client,
    ):
        client.ask("GET", "/v1/models")
        client.answer()
        assert client.closed()


# -- Handlers ------------------------------------------------------------------


def failing(after: int, error: Exception) -> Callable[[Request], AsyncIterator[str]]:
    async def handler(request: Request) -> AsyncIterator[str]:
        for _ in range(after):
            yield "x"
        raise error

    return handler


@pytest.mark.parametrize("stream", [True, False])
def test_a_handler_that_refuses_before_its_first_token(backend: str, stream: bool) -> None:
    error = RequestError(429, "Slow down.", headers={"retry-after": "7"})
    with serving(failing(0, error), backend=backend) as server, RawClient(server) as client:
        for target, body in (("/chat/completions", CHAT), ("/responses", RESPONSES)):
            client.ask("POST", target, {**body, "stream": stream})
            head, answer = client.answer()
            assert head.status_code == 429
            assert dict(head.headers)[b"retry-after"] == b"7"
            assert dict(head.headers)[b"content-type"] == b"application/json"
            assert json.loads(answer)["error"]["message"] == "Slow down."


def test_a_handler_that_fails_in_mid_stream(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    with (
        serving(failing(2, ZeroDivisionError("secret")), backend=backend) as server,
        RawClient(server) as client,
    ):
        client.ask("POST", "/chat/completions", CHAT)
        head, body = client.answer()
        assert head.status_code == 200
        *_, last = payloads(body)
        assert last["error"]["type"] == "server_error"
        assert b"[DONE]" not in body
        client.ask("POST", "/responses", RESPONSES)
        *_, error, failed = payloads(client.answer()[1])
        assert (error["type"], failed["type"]) == ("error", "response.failed")
        client.ask("POST", "/chat/completions", WHOLE)
        head, body = client.answer()
        assert head.status_code == 500
        assert b"secret" not in body
    assert caplog.text.count("ZeroDivisionError: secret") == 3


def test_a_handler_that_yields_nonsense(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    closed = threading.Event()

    async def handler(request: Request) -> AsyncIterator[Any]:
        try:
            yield 1
        finally:
            closed.set()

    with serving(handler, backend=backend) as server, RawClient(server) as client:
        client.ask("POST", "/chat/completions", CHAT)
        assert client.answer()[0].status_code == 500
        assert closed.is_set()
    assert "TypeError: a handler yields strings and tokens, not int" in caplog.text


async def _returns_a_text(request: Request) -> str:
    return "Hello"


def _yields_in_blocking_code(request: Request) -> Iterator[str]:
    yield "Hello"


@pytest.mark.parametrize(
    ("handler", "kind"),
    [(_returns_a_text, "str"), (_yields_in_blocking_code, "generator"), (lambda _: None, "NoneType")],
)
def test_a_handler_of_another_kind(backend: str, handler: Any, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with serving(handler, backend=backend) as server, RawClient(server) as client:
        client.ask("POST", "/chat/completions", CHAT)
        assert client.answer()[0].status_code == 500
    assert f"a handler gives an async iterator of tokens (`async def` with `yield`), not a {kind}" in caplog.text


def test_a_handler_may_return_its_tokens(backend: str) -> None:
    class Tokens:
        """An async iterator that has no aclose."""

        def __init__(self) -> None:
            self.left = ["a", "b"]

        def __aiter__(self) -> Tokens:
            return self

        async def __anext__(self) -> str:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    async def handler(request: Request) -> Tokens:
        return Tokens()

    with serving(handler, backend=backend) as server, RawClient(server) as client:
        client.ask("POST", "/chat/completions", CHAT)
        assert said(client.answer()[1]) == "ab"


def test_what_is_not_a_handler(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    with serving(lambda request: None, backend=backend) as server, RawClient(server) as client:
        client.ask("POST", "/chat/completions", CHAT)
        assert client.answer()[0].status_code == 500


def test_the_request_reaches_the_handler(backend: str) -> None:
    seen: list[Request] = []

    async def handler(request: Request) -> AsyncIterator[Any]:
        seen.append(request)
        assert request.clock is not None
        before = request.clock.now()
        await request.clock.sleep(0)
        assert request.clock.now() >= before
        yield Text("b", 1)
        yield Finish("length", 0)
        yield Usage(1, 2)

    with (
        serving(handler, backend=backend, max_choices=2, model="mine") as server,
        RawClient(server) as client,
    ):
        client.ask(
            "POST", "/chat/completions", {**CHAT, "n": 2, "seed": 4}, x_mine="yes", authorization="secret"
        )
        found = payloads(client.answer()[1])
    assert {p["model"] for p in found} == {"mine"}
    (request,) = seen
    assert (request.n, request.parameters, request.headers["x-mine"]) == (2, {"seed": 4}, "yes")
    assert "secret" not in repr(request)


def test_the_reciting_handler_says_what_it_is(backend: str) -> None:
    with serving(recite, backend=backend) as server, RawClient(server) as client:
        client.ask("GET", "/v1/models")
        assert [model["id"] for model in json.loads(client.answer()[1])["data"]] == [MODEL]
        client.ask("POST", "/v1/chat/completions", {**CHAT, "model": "openai/gpt-4.1-mini"})
        assert {p["model"] for p in payloads(client.answer()[1])} == {MODEL}


# -- Sends ---------------------------------------------------------------------


def test_tokens_that_are_there_together_leave_together(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokenwire.server.pump.PROMPT", PATIENCE)  # however slow the machine is

    async def handler(request: Request) -> AsyncIterator[str]:
        for word in ("a", "b", "c", "d"):
            yield word

    with serving(handler, backend=backend) as server, RawClient(server) as client:
        client.ask("POST", "/chat/completions", CHAT)
        _, chunks = client.chunks()
        # The first token leaves at once; the others with the end, since the handler never waited.
        assert [said(chunk) for chunk in chunks] == ["a", "bcd"]
        assert chunks[-1].endswith(b"data: [DONE]\n\n")


def test_gathered_tokens_leave_as_soon_as_the_handler_waits(backend: str) -> None:
    go_on = threading.Event()

    async def handler(request: Request) -> AsyncIterator[str]:
        assert request.clock is not None
        yield "a"
        yield "b"
        yield "c"
        while not go_on.is_set():
            await request.clock.sleep(0.001)
        yield "d"
        yield "e"

    with serving(handler, backend=backend) as server, RawClient(server) as client:
        client.ask("POST", "/chat/completions", CHAT)
        seen = b""
        while b'"c"' not in seen:  # it comes while the handler waits, or never
            seen += client.sock.recv(65536)
        go_on.set()
        while not seen.endswith(b"0\r\n\r\n"):
            seen += client.sock.recv(65536)
        assert seen.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_each_token_after_a_wait_leaves_alone(backend: str) -> None:
    async def handler(request: Request) -> AsyncIterator[str]:
        assert request.clock is not None
        for word in ("a", "b", "c"):
            yield word
            await request.clock.sleep(0)

    with serving(handler, backend=backend) as server, RawClient(server) as client:
        client.ask("POST", "/chat/completions", CHAT)
        assert [said(chunk) for chunk in client.chunks()[1][:-1]] == ["a", "b", "c"]


def test_no_send_waits_for_an_acknowledgement(backend: str) -> None:
    """Nagle's algorithm and delayed acknowledgements together would hold each second send for 40 ms."""
    with serving(hello, backend=backend) as server, RawClient(server) as client:
        begun = time.perf_counter()
        for _ in range(100):
            client.ask("POST", "/chat/completions", CHAT)
            assert len(client.answer()[1]) > 100
        assert time.perf_counter() - begun < 100 * 0.030


def test_a_firehose_arrives_whole(backend: str) -> None:
    async def handler(request: Request) -> AsyncIterator[str]:
        assert request.clock is not None
        for number in range(20_000):
            yield f"{number} "
            if number % 1000 == 0:
                await request.clock.sleep(0)

    with serving(handler, backend=backend) as server, RawClient(server) as client:
        client.ask("POST", "/chat/completions", CHAT)
        assert said(client.answer()[1]).split() == [str(number) for number in range(20_000)]


def test_a_client_that_does_not_read_blocks_its_own_handler(backend: str) -> None:
    produced: list[int] = []
    full = threading.Event()

    async def slow(request: Request) -> AsyncIterator[str]:
        if request.prompt == "quick":
            yield "quick"
            return
        for number in range(100_000):
            produced.append(number)
            yield "x" * 1000
        full.set()

    limits = ServerLimits(pending_bytes=10_000)
    with serving(slow, backend=backend, limits=limits) as server:
        with RawClient(server, receive_window=10_000) as stuck:
            stuck.ask("POST", "/chat/completions", CHAT)
            assert stuck.sock.recv(100)
            with RawClient(server) as other:  # which is served meanwhile
                other.ask("POST", "/responses", {**WHOLE, "input": "quick"})
                assert json.loads(other.answer()[1])["status"] == "completed"
            # 100 MB would not fit anywhere: the handler stands still, and goes on as we read.
            before = len(produced)
            assert before < 20_000
            while len(produced) < before + 100:
                assert stuck.sock.recv(65536)
        assert not full.is_set()


def test_a_client_that_takes_nothing_for_too_long_is_dropped(backend: str) -> None:
    cancelled = threading.Event()

    async def handler(request: Request) -> AsyncIterator[str]:
        try:
            while True:
                yield "x" * 100_000
        finally:
            cancelled.set()

    with (
        serving(handler, backend=backend, limits=ServerLimits(write=0.05)) as server,
        RawClient(server, receive_window=10_000) as client,
    ):
        client.ask("POST", "/chat/completions", CHAT)
        assert cancelled.wait(PATIENCE)


def test_keep_alive_comments_while_the_handler_is_silent(backend: str) -> None:
    go_on = threading.Event()

    async def handler(request: Request) -> AsyncIterator[str]:
        assert request.clock is not None
        while not go_on.is_set():
            await request.clock.sleep(0.001)
        yield "at last"

    with (
        serving(handler, backend=backend, limits=ServerLimits(keep_alive=0.01)) as server,
        RawClient(server) as client,
    ):
        client.ask("POST", "/chat/completions", CHAT)
        seen = b""
        while seen.count(b": keep-alive\n\n") < 3:
            seen += client.sock.recv(65536)
        assert seen.startswith(b"HTTP/1.1 200 ")
        go_on.set()
        while not seen.endswith(b"0\r\n\r\n"):
            seen += client.sock.recv(65536)
        assert b"at last" in seen


# -- Clients that go away ------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("tokens", [0, 1])
def test_a_client_that_goes_away_cancels_its_handler(backend: str, stream: bool, tokens: int) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def handler(request: Request) -> AsyncIterator[str]:
        assert request.clock is not None
        try:
            for _ in range(tokens):
                yield "x"
            begun.set()
            await request.clock.sleep(3600)
        finally:
            ended.set()

    with serving(handler, backend=backend) as server:
        with RawClient(server) as client:
            client.ask("POST", "/chat/completions", {**CHAT, "stream": stream})
            assert begun.wait(PATIENCE)
            assert not ended.is_set()
        assert ended.wait(PATIENCE)


def test_a_client_that_goes_away_in_the_middle_of_a_firehose(backend: str) -> None:
    ended = threading.Event()

    async def handler(request: Request) -> AsyncIterator[str]:
        try:
            while True:
                yield "x" * 100
        finally:
            ended.set()

    with serving(handler, backend=backend) as server:
        with RawClient(server) as client:
            client.ask("POST", "/chat/completions", CHAT)
            assert client.sock.recv(1000)
        assert ended.wait(PATIENCE)


def test_the_end_of_serve_cancels_handlers(backend: str) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def handler(request: Request) -> AsyncIterator[str]:
        assert request.clock is not None
        try:
            yield "x"
            begun.set()
            await request.clock.sleep(3600)
        finally:
            ended.set()

    with serving(handler, backend=backend) as server:
        client = RawClient(server)
        client.ask("POST", "/chat/completions", CHAT)
        assert begun.wait(PATIENCE)
    assert ended.is_set()
    client.sock.close()


def test_a_client_that_goes_away_before_its_body_is_whole(backend: str) -> None:
    with serving(hello, backend=backend) as server:
        with RawClient(server) as client:
            client.sock.sendall(b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
        with RawClient(server) as client:  # and nobody else notices
            client.ask("POST", "/chat/completions", CHAT)
            assert said(client.answer()[1]) == "Hello world"


def test_a_task_status(backend: str) -> None:
    class Status:
        def __init__(self) -> None:
            self.told: list[Serving] = []

        def started(self, serving: Serving) -> None:
            self.told.append(serving)

    status = Status()
    with serving(functools.partial(hello), backend=backend, task_status=status, limits=QUIET) as server:
        assert status.told == [server]
        with RawClient(server) as client:
            client.ask("POST", "/chat/completions", CHAT)
            assert said(client.answer()[1]) == "Hello world"


def test_an_address_in_use(backend: str) -> None:
    with serving(hello, backend=backend) as server, pytest.raises(OSError, match="in use"):  # noqa: SIM117
        with serving(hello, backend=backend, port=server.address[1]):
            pass


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"port": 70_000}, ValueError, "a port is 0 to 65535, not 70000"),  # it was taken for 4464
        ({"port": -1}, ValueError, "a port is 0 to 65535, not -1"),
        ({"uds": ""}, ValueError, "uds is the path of a Unix socket, not ''"),
        ({"uds": "\0abstract"}, ValueError, "uds is the path of a Unix socket"),
        ({"max_choices": 0}, ValueError, "max_choices is at least 1, not 0"),
    ],
)
def test_options_that_make_no_sense(backend: str, options: dict[str, Any], kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told), serving(hello, backend=backend, **options):
        pass


def test_what_is_called_already_is_no_handler(backend: str) -> None:
    """`serve(handler())`: it was told to each client by a 500."""
    with pytest.raises(TypeError, match="it is a function, not tuple"), serving((), backend=backend):
        pass
