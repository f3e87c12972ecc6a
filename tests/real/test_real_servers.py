"""Real servers in front of a model, real proxies in between: both families, on every backend."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

import tokenwire
from support import loops
from support.asgi_servers import SERVERS, under
from support.loops import ASYNC, PATIENCE, WAYS, Way
from support.proxying import Model
from support.real import nginx, program, tinyproxy
from support.sse_app import TEXT, chat, responses

APP = "support.sse_app:app"


class Asked:
    """One client's streams, on its backend. What comes back is text, for either family."""

    def __init__(self, client: Any, sync: bool) -> None:
        self.client = client
        self.sync = sync

    async def stream(self, family: str, prompt: str = "Hello", **options: Any) -> Any:
        if family == "chat":
            messages = [{"role": "user", "content": prompt}]
            found = self.client.chat.completions.create(model="m", messages=messages, stream=True, **options)
        else:
            found = self.client.responses.create(model="m", input=prompt, stream=True, **options)
        return found if self.sync else await found

    async def events(self, stream: Any) -> list[dict[str, Any]]:
        found = list(stream) if self.sync else [event async for event in stream]
        return [event.to_dict() for event in found]

    async def text(self, stream: Any, pieces: list[str]) -> None:
        if self.sync:
            for piece in stream.text():
                pieces.append(piece)  # what came before a failure counts
        else:
            async for piece in stream.text():
                pieces.append(piece)


@contextlib.asynccontextmanager
async def asking(way: Way, url: str, **options: Any) -> Any:
    sync = way.id == "sync"
    kind: Any = tokenwire.Client if sync else tokenwire.AsyncClient
    client = kind(api_key="sk-key", base_url=url, backend=way.backend, max_retries=0, timeout=PATIENCE, **options)
    try:
        yield Asked(client, sync)
    finally:
        if sync:
            client.close()
        else:
            await client.aclose()


EXPECTED = {"chat": chat(), "responses": responses()}


async def whole_streams(asked: Asked, **options: Any) -> list[Any]:
    """Both families, to their ends: nothing is missing. The heads of the answers."""
    heads = []
    for family, expected in EXPECTED.items():
        stream = await asked.stream(family, **options)
        assert await asked.events(stream) == expected
        assert stream.snapshot is not None
        heads.append(stream.response)
    return heads


async def failing_streams(asked: Asked) -> None:
    """What breaks in the midst is told so, behind all that came."""
    for family in EXPECTED:
        pieces: list[str] = []
        with pytest.raises(tokenwire.StreamTruncatedError) as caught:
            await asked.text(await asked.stream(family, "fail"), pieces)
        assert "".join(pieces) == TEXT[: len("".join(pieces))] != ""
        assert caught.value.events == 3


@pytest.mark.parametrize("server", SERVERS)
def test_asgi_servers(server: str) -> None:
    """By sse-starlette's defaults (pings, CRLF), and by a bare StreamingResponse as vLLM does it."""
    with under(server, APP) as (host, port):
        for way in WAYS:
            for kind in ("sse", "raw"):

                async def main(way: Way = way, kind: str = kind) -> None:
                    async with asking(way, f"http://{host}:{port}/{kind}") as asked:
                        await whole_streams(asked)
                        if kind == "raw" and way.id in ("trio", "sync"):
                            await failing_streams(asked)

                way.run(main)


def test_through_nginx(tmp_path: Path) -> None:
    """Buffering or not, gzip, HTTP/1.0 or 1.1 to the server behind it; a server that fails."""
    program("nginx")
    gzip = "gzip on; gzip_types text/event-stream; gzip_min_length 1; gzip_proxied any;"
    modern = "proxy_http_version 1.1; proxy_set_header Connection '';"
    locations = {
        "/buffered": "",
        "/direct": f"proxy_buffering off; {modern}",
        "/gzip": f"{gzip} {modern}",
        "/gzip-direct": f"proxy_buffering off; {gzip}",
        "/bare": "chunked_transfer_encoding off;",
    }
    with under("uvicorn", APP) as (_, port), nginx(tmp_path, port, locations) as url:
        for turn, way in enumerate(WAYS):

            async def main(way: Way = way, turn: int = turn) -> None:
                for path in locations:
                    turn += 1  # each path with one kind here, and with the other on the next backend
                    kind = ("sse", "raw")[turn % 2]
                    async with asking(way, f"{url}{path}/{kind}") as asked:
                        fields = {"Accept-Encoding": "gzip"} if "gzip" in path else {}
                        for head in await whole_streams(asked, extra_headers=fields):
                            assert head.headers["server"].startswith("nginx")
                            assert head.headers.get("content-encoding") == fields.get("Accept-Encoding")
                        # Without chunks, an answer ends where its connection does.
                        if path == "/bare":
                            assert asked.client._pools.pool.made == 2
                        if kind == "raw" and way.id in ("asyncio", "trio", "sync"):
                            await failing_streams(asked)

            way.run(main)
        with tokenwire.Client(api_key="k", base_url=f"{url}/nowhere", max_retries=0) as client:
            with pytest.raises(tokenwire.NotFoundError) as caught:
                client.responses.create(model="m", input="x", stream=True)
            assert caught.value.response.headers["content-type"].startswith("text/html")
    # The server is gone, and nginx says so in its own words.
    with (
        nginx(tmp_path, port, locations) as url,
        tokenwire.Client(api_key="k", base_url=f"{url}/direct/raw", max_retries=0) as client,
        pytest.raises(tokenwire.InternalServerError) as caught,
    ):
        client.responses.create(model="m", input="x", stream=True)
    assert caught.value.status_code == 502


def test_through_tinyproxy(tmp_path: Path) -> None:
    """CONNECT, with TLS inside; the absolute form for http; whom it does not let through."""
    program("tinyproxy")
    tls = loops.server_side()
    with Model(tls) as model, Model(tls) as beyond, Model() as plain:
        with tinyproxy(tmp_path, user="alice:s3cret", reaches=model.port) as port:
            proxy = f"http://alice:s3cret@127.0.0.1:{port}"
            trusting: dict[str, Any] = {"ssl_context": loops.trusting()}
            for way in WAYS:

                async def main(way: Way = way) -> None:
                    for url in (f"https://localhost:{model.port}/v1", f"http://127.0.0.1:{plain.port}/v1"):
                        async with asking(way, url, proxy=proxy, **trusting) as asked:
                            for _ in range(2):
                                pieces: list[str] = []
                                await asked.text(await asked.stream("chat"), pieces)
                                assert pieces == ["moonlight"]
                            if url.startswith("https"):
                                assert asked.client._pools.pool.made == 1
                    refused = [
                        (f"https://localhost:{model.port}/v1", proxy.replace("s3cret", "guess"), 401, 407),
                        (f"https://localhost:{beyond.port}/v1", proxy, 403, 403),
                        (f"https://localhost:{model.port}/v1", f"http://127.0.0.1:{port}", 407, 407),
                    ]
                    for url, through, *statuses in refused:
                        async with asking(way, url, proxy=through, **trusting) as asked:
                            with pytest.raises(tokenwire.ProxyError) as caught:
                                await asked.stream("chat")
                            assert caught.value.status_code in statuses
                            assert caught.value.proxy == f"127.0.0.1:{port}"
                            assert "guess" not in str(caught.value)

                way.run(main)
        assert not beyond.heads, "nothing went beyond the proxy"
        assert all(b"Proxy-Authorization" not in head and b"s3cret" not in head for head in model.heads)
        assert len(model.heads) == 2 * len(WAYS) == 2 * (len(ASYNC) + 1)
