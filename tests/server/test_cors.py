"""Pages of other origins: which may ask, and which may read the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import h11
import pytest

from support.served import CHAT, RawClient, payloads, serving
from tokenwire.server import Request, RequestError, asgi
from tokenwire.server.cors import Cors

MINE = "https://app.example.com"
LOCAL = "http://localhost:3000"
THEIRS = "https://evil.example.com"


async def handler(request: Request) -> AsyncIterator[str]:
    if request.prompt == "refuse":
        raise RequestError(429, "no")
    yield "Hello"


def cors_of(head: h11.Response) -> dict[str, str]:
    """The fields that a browser looks at, each of which comes once."""
    found = [
        (name.decode(), value.decode())
        for name, value in head.headers
        if name.startswith(b"access-control-") or name == b"vary"
    ]
    assert len(found) == len(dict(found))
    return dict(found)


EXPOSED = {"access-control-expose-headers": "x-request-id, retry-after"}
LISTED = {
    "vary": "origin",
    "access-control-allow-origin": MINE,
    "access-control-allow-credentials": "true",
} | EXPOSED
ANY = {"vary": "origin", "access-control-allow-origin": "*"} | EXPOSED


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("cors", "origin", "told"),
    [
        ([], MINE, {}),
        ([MINE, LOCAL], MINE, LISTED),
        ([MINE, LOCAL], LOCAL, LISTED | {"access-control-allow-origin": LOCAL}),
        ([MINE], THEIRS, {"vary": "origin"}),
        ([MINE], "", {"vary": "origin"}),
        (["*"], THEIRS, ANY),
        (["*"], "null", ANY),
        (["*", MINE], THEIRS, ANY),
        (["*", MINE], MINE, LISTED),
    ],
)
def test_answers(backend: str, cors: list[str], origin: str, told: dict[str, str]) -> None:
    """Never "*" together with credentials. Errors say the same as answers do: pages want to read them as well."""
    headers = {"origin": origin} if origin else {}
    with serving(handler, backend=backend, cors=cors) as server, RawClient(server) as client:
        client.ask("POST", "/v1/chat/completions", CHAT, **headers)
        head, body = client.answer()
        assert cors_of(head) == told
        assert payloads(body)[-1]["choices"][0]["finish_reason"] == "stop"
        refused: dict[str, Any] = {**CHAT, "messages": [{"role": "user", "content": "refuse"}]}
        for method, target, asked, status in (
            ("POST", "/v1/chat/completions", refused, 429),
            ("POST", "/v1/chat/completions", {}, 400),
            ("GET", "/v1/models", None, 200),
            ("GET", "/nowhere", None, 404),
        ):
            client.ask(method, target, asked, **headers)
            head, _ = client.answer()
            assert head.status_code == status
            assert cors_of(head) == told


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_browsers_question(backend: str) -> None:
    with serving(handler, backend=backend, cors=[MINE]) as server, RawClient(server) as client:
        asking = {
            "access_control_request_method": "POST",
            "access_control_request_headers": "authorization,content-type,x-stainless-os",
        }
        client.ask("OPTIONS", "/v1/chat/completions", origin=MINE, **asking)
        head, body = client.answer()
        assert (head.status_code, body) == (204, b"")
        assert b"content-length" not in dict(head.headers)
        assert cors_of(head) == LISTED | {
            "access-control-allow-methods": "GET, POST",
            "access-control-allow-headers": asking["access_control_request_headers"],
            "access-control-max-age": "7200",
        }
        client.ask("OPTIONS", "/v1/models", origin=MINE, access_control_request_method="GET")
        assert "access-control-allow-headers" not in cors_of(client.answer()[0])
        client.ask("OPTIONS", "/v1/chat/completions", origin=THEIRS, **asking)
        head, body = client.answer()
        assert (head.status_code, cors_of(head)) == (403, {"vary": "origin"})
        assert b"origin_not_allowed" in body
        client.ask("OPTIONS", "/v1/chat/completions", origin=MINE)  # that asks for no permission
        assert client.answer()[0].status_code == 405


def test_off_by_default() -> None:
    with serving(handler, backend="asyncio") as server, RawClient(server) as client:
        client.ask("OPTIONS", "/v1/responses", origin=MINE, access_control_request_method="POST")
        head, _ = client.answer()
        assert (head.status_code, cors_of(head)) == (405, {})


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "app.example.com",
        "https://",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://app.example.com?a",
        "https://user@app.example.com",
        "https://app.example.com:0",
        "https://app.example.com:port",
        "HTTPS://app.example.com",
        "https://[::1",
        "null",
    ],
)
def test_what_is_no_origin(origin: str) -> None:
    with pytest.raises(ValueError, match="not an origin"):
        asgi(handler, cors=[origin])


def test_one_string_is_not_a_sequence_of_origins() -> None:
    with pytest.raises(ValueError, match="a sequence of origins"):
        Cors(MINE)
