"""The ASGI application, under real servers over real sockets, with our client and the official one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import openai
import pytest
import trio
import trio.testing

import tokenwire
from support.asgi_servers import SERVERS, under
from support.served import CHAT, RawClient, payloads
from tokenwire.server import Application, Request, ServerLimits, asgi


class Under(NamedTuple):
    server: str
    address: tuple[str, int]
    url: str


@pytest.fixture(scope="module", params=SERVERS)
def up(request: pytest.FixtureRequest) -> Iterator[Under]:
    with under(request.param, "support.asgi_app:app") as (host, port):
        yield Under(request.param, (host, port), f"http://{host}:{port}/v1")


@pytest.fixture
def client(up: Under) -> Iterator[tokenwire.Client]:
    with tokenwire.Client(api_key="k", base_url=up.url, max_retries=0) as client:
        yield client


@pytest.fixture
def official(up: Under) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=up.url, max_retries=0) as client:
        yield client


def raw(up: Under, **options: Any) -> RawClient:
    return RawClient(up.address, **options)


def ask(prompt: str) -> list[Any]:
    return [{"role": "user", "content": prompt}]


def said(client: Any, prompt: str) -> str:
    return str(client.responses.create(model="m", input=prompt).output_text)


@pytest.mark.parametrize("whose", ["ours", "official"])
def test_both_families_streamed_and_whole(whose: str, client: Any, official: Any) -> None:
    client = {"ours": client, "official": official}[whose]
    chunks = list(
        client.chat.completions.create(
            model="m", messages=ask("hello"), stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "Hello world"
    assert (chunks[-2].choices[0].finish_reason, chunks[-1].usage.total_tokens) == ("stop", 5)
    whole = client.chat.completions.create(model="m", messages=ask("hello"))
    assert whole.choices[0].message.content == "Hello world"
    events = list(client.responses.create(model="m", input="hello", stream=True))
    assert [event.delta for event in events if event.type == "response.output_text.delta"] == ["Hello", " world"]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"
    assert said(client, "hello") == "Hello world"


def test_it_runs_on_what_runs_it(up: Under, client: tokenwire.Client) -> None:
    library = "TrioBackend" if up.server == "hypercorn-trio" else "AsyncioBackend"
    assert said(client, "library") == library


@pytest.mark.parametrize("whose", ["ours", "official"])
def test_the_helpers(whose: str, client: Any, official: Any) -> None:
    client = {"ours": client, "official": official}[whose]
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    with client.chat.completions.stream(model="m", messages=ask("tool"), tools=[tool]) as stream:
        completion = stream.get_final_completion()
    (call,) = completion.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("look_up", '{"word": "moon"}')
    with client.responses.stream(model="m", input="hello") as stream:
        assert stream.get_final_response().output_text == "Hello world"


def test_models(official: openai.OpenAI) -> None:
    assert [model.id for model in official.models.list()] == ["a", "b/c"]
    assert official.models.retrieve("b/c").id == "b/c"
    with pytest.raises(openai.NotFoundError):
        official.models.retrieve("d")


def test_errors_in_the_apis_shape(official: openai.OpenAI) -> None:
    def create(prompt: str, **options: Any) -> Any:
        return official.chat.completions.create(model="m", messages=ask(prompt), **options)

    with pytest.raises(openai.BadRequestError) as bad:
        create("hello", n=2)
    assert (bad.value.param, bad.value.code) == ("n", "integer_above_max_value")
    for stream in (True, False):
        with pytest.raises(openai.RateLimitError, match="Slow down") as slow:
            create("refuse", stream=stream)
        assert slow.value.response.headers["retry-after"] == "7"
        assert slow.value.request_id is not None
        with pytest.raises(openai.InternalServerError) as broken:
            create("break", stream=stream)
        assert "secret" not in str(broken.value)
    with pytest.raises(openai.APIError, match="Overloaded") as failed:
        list(create("fail", stream=True))
    assert failed.value.code == "overloaded"
    *_, error, last = official.responses.create(model="m", input="fail", stream=True)
    assert (error.type, last.type) == ("error", "response.failed")


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "code"),
    [
        ("POST", "/v1/chat/completions", b"{", 400, "invalid_json"),
        ("POST", "/v1/embeddings", {}, 404, "unknown_url"),
        ("GET", "/v1/responses", None, 405, "method_not_supported"),
        ("POST", "/responses?api-version=1", b"x" * 10_001, 413, "body_too_large"),
    ],
)
def test_refused_requests(up: Under, method: str, target: str, body: Any, status: int, code: str) -> None:
    with raw(up) as client:
        client.ask(method, target, body)
        head, answer = client.answer()
    assert (head.status_code, json.loads(answer)["error"]["code"]) == (status, code)
    fields = [name for name, _ in head.headers]
    for name in (b"content-type", b"content-length", b"x-request-id"):
        assert fields.count(name) == 1
    assert fields.count(b"date") <= 1


def test_a_chunked_body_that_is_too_large(up: Under) -> None:
    with raw(up) as client:
        client.sock.sendall(
            b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            b"1388\r\n" + b"x" * 5000 + b"\r\n1389\r\n" + b"x" * 5001 + b"\r\n0\r\n\r\n"
        )
        head, body = client.answer()
    assert (head.status_code, json.loads(body)["error"]["code"]) == (413, "body_too_large")


def test_head_gets_no_body(up: Under) -> None:
    with raw(up) as client:
        client.ask("HEAD", "/v1/models")
        assert client.answer("HEAD")[0].status_code == 405
        client.ask("GET", "/v1/models")
        assert client.answer()[0].status_code == 200


def test_a_stream_says_what_proxies_need(up: Under) -> None:
    with raw(up) as client:
        client.ask("POST", "/v1/chat/completions", {**CHAT, "messages": ask("hello")})
        head, body = client.answer()
    fields = dict(head.headers)
    assert fields[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert (fields[b"cache-control"], fields[b"x-accel-buffering"]) == (b"no-cache", b"no")
    assert payloads(body)[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("what", ["forever", "silence", "flood"])
def test_a_client_that_goes_away_cancels_its_handler(up: Under, client: tokenwire.Client, what: str) -> None:
    prompt = f"{what} {up.server}"
    with raw(up) as leaving:
        leaving.ask("POST", "/v1/chat/completions", {**CHAT, "messages": ask(prompt)})
        assert leaving.sock.recv(100)  # for silence: the first keep-alive comment
    assert said(client, f"ended {prompt}") == "yes"


def test_a_client_that_goes_away_before_a_whole_answer(up: Under, client: tokenwire.Client) -> None:
    prompt = f"silence whole {up.server}"
    with raw(up) as leaving:
        leaving.ask("POST", "/v1/chat/completions", {**CHAT, "stream": False, "messages": ask(prompt)})
        said(client, "hello")  # the other request has been read by now, or it is read before its end is
    assert said(client, f"ended {prompt}") == "yes"


def test_keep_alive_comments(up: Under) -> None:
    with raw(up) as client:
        client.ask("POST", "/v1/chat/completions", {**CHAT, "messages": ask("forever")})
        seen = b""
        while seen.count(b": keep-alive\n\n") < 2:
            seen += client.sock.recv(65536)


def test_a_client_that_does_not_read_blocks_its_own_handler(up: Under, client: tokenwire.Client) -> None:
    before = int(said(client, "produced"))
    with raw(up, receive_window=10_000) as stuck:
        stuck.ask("POST", "/v1/chat/completions", {**CHAT, "messages": ask("flood")})
        assert stuck.sock.recv(100)
        # 100 MB would fit nowhere: the handler stands still while others are served, and goes on as we read.
        produced = int(said(client, "produced"))
        assert produced - before < 50_000
        while int(said(client, "produced")) < produced + 100:
            for _ in range(100):
                assert stuck.sock.recv(65536)


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn-trio"])
def test_mounted_in_a_larger_application(server: str) -> None:
    with (
        under(server, "support.asgi_app:mounted") as (host, port),
        openai.OpenAI(api_key="k", base_url=f"http://{host}:{port}/llm/v1", max_retries=0) as client,
    ):
        stream = client.chat.completions.create(model="m", messages=ask("hello"), stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Hello world"
        assert [model.id for model in client.models.list()] == ["a", "b/c"]
        with pytest.raises(openai.NotFoundError, match="v2"):
            client.get("/../v2/models", cast_to=object)
        # It has no lifespan there, and so nowhere to put what outlives a connection.
        with pytest.raises(openai.BadRequestError, match="in the background"):
            client.responses.create(model="m", input="hello", background=True)
        stored = client.responses.create(model="m", input="hello", store=True)
        assert (stored.output_text, stored.to_dict()["store"]) == ("Hello world", False)
        with raw(Under(server, (host, port), "")) as plain:
            plain.ask("GET", "/other")
            assert plain.answer()[1] == b"other"


# -- A scripted server, whose clock jumps ---------------------------------------


class Scripted:
    """What an ASGI server would say, an event per receive, and then nothing; and what it was told."""

    def __init__(self, *script: dict[str, Any], send: Callable[[], Awaitable[None]] | None = None) -> None:
        self.script = list(script)
        self.sent: list[dict[str, Any]] = []
        self._send = send
        self.asked = 0

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        if not self.script:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        return self.script.pop(0)

    async def send(self, event: Any) -> None:
        self.sent.append(event)
        await trio.lowlevel.checkpoint()
        if self._send is not None:
            await self._send()

    @property
    def told(self) -> tuple[int, Any]:
        """The status, and the body as JSON."""
        assert [event["type"] for event in self.sent] == ["http.response.start", "http.response.body"]
        return self.sent[0]["status"], json.loads(self.sent[1]["body"])


    @property
    def told_nobody(self) -> int:
        """The status of an answer without a body."""
        start, end = self.sent
        assert end == {"type": "http.response.body", "body": b"", "more_body": False}
        status: int = start["status"]
        return status


async def forever(request: Request) -> AsyncIterator[str]:
    while True:
        yield "x"
        await trio.sleep(1)


def run(server: Scripted, handler: Any = forever, kind: str = "http", **scope: Any) -> float:
    """Let the application serve one scope: the seconds that it took."""
    app: Application = asgi(handler, limits=ServerLimits(body=30, write=40, keep_alive=None), models=["a%2Fb"])
    scope = {"type": kind, "method": "POST", "path": "/responses", "headers": []} | scope

    async def main() -> float:
        begun = trio.current_time()
        await app(scope, server.receive, server.send)
        return trio.current_time() - begun

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def body(piece: dict[str, Any] | bytes, *, more: bool = False) -> dict[str, Any]:
    data = piece if isinstance(piece, bytes) else json.dumps(piece).encode()
    return {"type": "http.request", "body": data, "more_body": more}


def test_a_body_that_does_not_come() -> None:
    server = Scripted(body(b"{", more=True))
    assert run(server) == 30
    status, told = server.told
    assert (status, told["error"]["code"]) == (408, "timeout")


class Piece(bytes):
    """Counts those that are held."""

    held = 0

    def __init__(self, _: bytes) -> None:
        Piece.held += 1

    def __del__(self) -> None:
        Piece.held -= 1


def test_the_pieces_of_a_body_are_not_kept() -> None:
    """They may be two bytes each, and an object for each takes twenty times as much."""
    payload = json.dumps({"model": "m", "input": "moon" * 100}).encode()
    most = 0

    class Server(Scripted):
        async def receive(self) -> dict[str, Any]:
            nonlocal most
            most = max(most, Piece.held)
            if self.asked * 2 > len(payload):
                return await super().receive()
            self.asked += 1
            piece = payload[self.asked * 2 - 2 : self.asked * 2]
            return {"type": "http.request", "body": Piece(piece), "more_body": self.asked * 2 <= len(payload)}

    async def echo(request: Request) -> AsyncIterator[str]:
        yield request.prompt

    server = Server()
    run(server, echo)
    assert server.told[1]["output"][0]["content"][0]["text"] == "moon" * 100
    assert most <= 2


def test_a_client_that_leaves_within_its_body() -> None:
    server = Scripted(body(b"{", more=True), {"type": "http.disconnect"})
    assert run(server) == 0
    assert server.told_nobody == 499


def test_a_client_that_leaves_before_the_first_token() -> None:
    """Nobody hears the answer, but for middlewares between: Starlette's raised "No response returned."."""

    async def handler(request: Request) -> AsyncIterator[str]:
        await trio.sleep_forever()
        yield "x"

    server = Scripted(body({"model": "m", "input": "x", "stream": True}), {"type": "http.disconnect"})
    assert run(server, handler) == 0
    assert server.told_nobody == 499


def test_a_client_that_leaves_before_the_first_token_of_a_server_that_says_so() -> None:
    async def broken() -> None:
        raise BrokenPipeError

    server = Scripted(body(b"{", more=True), {"type": "http.disconnect"}, send=broken)
    assert run(server) == 0


@pytest.mark.parametrize("digits", [11, 5_000])  # more than Python makes an int of
def test_a_length_that_is_too_large_is_not_waited_for(digits: int) -> None:
    server = Scripted()
    run(server, headers=[(b"Content-Length", b"9" * digits)])
    assert server.told[0] == 413
    assert server.asked == 0


def test_a_client_that_takes_nothing_for_too_long() -> None:
    """From the send that got stuck: once or twice the limit, as the watch looks again."""
    server = Scripted(body({"model": "m", "input": "x", "stream": True}), send=trio.sleep_forever)
    assert 40 <= run(server) <= 80
    assert [event["type"] for event in server.sent] == ["http.response.start"]


def test_a_client_that_reads_slowly_is_served() -> None:
    async def slow() -> None:
        await trio.sleep(39)

    async def ten(request: Request) -> AsyncIterator[str]:
        for _ in range(10):
            yield "x"
            await trio.lowlevel.checkpoint()

    server = Scripted(body({"model": "m", "input": "x", "stream": True}), send=slow)
    assert run(server, ten) >= 10 * 39
    assert server.sent[-1]["more_body"] is False
    assert b"response.completed" in server.sent[-1]["body"]


def test_a_server_that_says_by_send_that_the_client_has_gone() -> None:
    ended = []

    async def handler(request: Request) -> AsyncIterator[str]:
        try:
            while True:
                yield "x"
                await trio.sleep(1)
        finally:
            ended.append(trio.current_time())

    calls = 0

    async def third() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise BrokenPipeError

    run(Scripted(body({"model": "m", "input": "x", "stream": True}), send=third), handler)
    assert len(ended) == 1


@pytest.mark.parametrize(
    ("path", "root", "status"),
    [
        ("/v1/models", "", 200),
        ("/v1/models/a%2Fb", "", 200),  # the path is unquoted already: that is the name itself
        ("/v1/models/a/b", "", 404),
        ("/llm/v1/models", "/llm", 200),
        ("/llm/v1/models", "/llm/", 200),
        ("/v1/models", "/llm", 200),  # a server that keeps the prefix to itself
        ("/llmv1/models", "/llm", 404),
        ("/llm/v1/models", "", 404),
    ],
)
def test_paths(path: str, root: str, status: int) -> None:
    server = Scripted(body(b""))
    run(server, method="GET", path=path, root_path=root, query_string=b"a=%2F")
    assert server.told[0] == status


def test_repeated_header_fields_are_joined() -> None:
    seen = []

    async def handler(request: Request) -> AsyncIterator[str]:
        seen.append(dict(request.headers))
        yield "x"

    server = Scripted(body({"model": "m", "input": "x"}))
    run(server, handler, headers=[(b"X-Mine", b"1"), (b"x-mine", b"2"), (b"x-other", b"3")])
    assert seen == [{"x-mine": "1, 2", "x-other": "3"}]


def test_the_lifespan() -> None:
    server = Scripted({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    run(server, kind="lifespan")
    assert [event["type"] for event in server.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_a_websocket_is_refused() -> None:
    server = Scripted({"type": "websocket.connect"})
    run(server, kind="websocket")
    assert [event["type"] for event in server.sent] == ["websocket.close"]


def test_a_scope_of_another_kind() -> None:
    with pytest.raises(NotImplementedError, match="carrier pigeon"):
        run(Scripted(), kind="carrier pigeon")
