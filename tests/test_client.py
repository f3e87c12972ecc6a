"""Names and defaults: keys, URLs, headers, bodies, paths, and what is refused before a byte is sent."""

from __future__ import annotations

import functools
import json
import os
import types
from typing import Any
from urllib.parse import parse_qsl

import httpx
import openai
import pydantic
import pytest
import trio

import tokenwire
from support.answers import answer, chunk, completion, delta, ended, head, js, response, sse
from support.mixed import Mixed
from tokenwire import LocalProtocolError, Timeouts, TokenwireError
from tokenwire.backends.base import Origin
from tokenwire.backends.memory import REQUEST, MemoryBackend
from tokenwire.settings import resolve

MUME, OPENAI = "https://mume.ai/api/v1", "https://api.openai.com/v1"
CHAT = answer(js(completion("Hi")).encode(), kind="application/json")
RESPONSE = answer(js(response(text="Hi")).encode(), kind="application/json")
STREAM = answer(sse(chunk("Hi"), chunk(None, "stop"), done=True))


@pytest.fixture(autouse=True)
def _no_keys_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("MUME_", "OPENAI_")):
            monkeypatch.delenv(name)


def made(*wires: bytes, **options: Any) -> tuple[tokenwire.Client, MemoryBackend]:
    peer = MemoryBackend([[step for wire in wires for step in (wire, REQUEST)]])
    options = {"api_key": "sk-secret", "base_url": "http://test/v1", "max_retries": 0, **options}
    return tokenwire.Client(backend=peer, **options), peer


class Sent:
    """The request that a peer received last."""

    def __init__(self, peer: MemoryBackend) -> None:
        sent = bytes(peer.connections[-1].sent)
        start = max(sent.rfind(b"POST "), sent.rfind(b"GET "))
        top, _, self.body = sent[start:].partition(b"\r\n\r\n")
        line, *fields = top.decode("latin-1").split("\r\n")
        self.method, self.target, _ = line.split(" ")
        self.fields = [tuple(field.split(": ", 1)) for field in fields]
        self.headers = {name.lower(): value for name, value in self.fields}
        assert len(self.headers) == len(self.fields), "no field twice"

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(client: Any, **params: Any) -> Any:
    return client.chat.completions.create(**{"model": "m", "messages": [], **params})


def sent(*, options: Any = None, **params: Any) -> Sent:
    client, peer = made(CHAT, **(options or {}))
    ask(client, **params)
    return Sent(peer)


# -- Keys and URLs -------------------------------------------------------------------

M, O = {"MUME_API_KEY": "mk"}, {"OPENAI_API_KEY": "ok"}  # noqa: E741
MU, OU = {"MUME_BASE_URL": "https://m.example/v1"}, {"OPENAI_BASE_URL": "https://o.example/v1"}
TWO = {"MUME_BASE_URL": "http://localhost:1", "OPENAI_BASE_URL": "http://localhost:2"}
LOCAL = "http://localhost:8000/v1"


@pytest.mark.parametrize(
    ("api_key", "base_url", "environ", "expected"),
    [
        # Explicit arguments win.
        ("k", LOCAL, {**M, **O, **MU, **OU}, ("k", LOCAL)),
        ("k", LOCAL, {}, ("k", LOCAL)),
        ("k", OPENAI, M, ("k", OPENAI)),
        ("", LOCAL, O, ("", LOCAL)),
        # Else the first pair that has a key, with its own URL.
        (None, None, M, ("mk", MUME)),
        (None, None, O, ("ok", OPENAI)),
        (None, None, {**M, **O}, ("mk", MUME)),
        (None, None, {**M, **MU}, ("mk", MU["MUME_BASE_URL"])),
        (None, None, {**M, **O, **OU}, ("mk", MUME)),
        (None, None, {**O, **OU}, ("ok", OU["OPENAI_BASE_URL"])),
        (None, None, {**O, **MU}, ("ok", OPENAI)),
        (None, None, {**O, **MU, **OU}, ("ok", OU["OPENAI_BASE_URL"])),
        (None, None, {"MUME_API_KEY": "", **O}, ("ok", OPENAI)),
        (None, None, {**M, "MUME_BASE_URL": ""}, ("mk", MUME)),
        # A key of one's own goes to the pair that is set up, else to OpenAI.
        ("k", None, {}, ("k", OPENAI)),
        ("k", None, MU, ("k", MU["MUME_BASE_URL"])),
        ("k", None, OU, ("k", OU["OPENAI_BASE_URL"])),
        ("k", None, M, ("k", MUME)),
        ("k", None, {**MU, **OU}, ("k", MU["MUME_BASE_URL"])),
        # A URL of one's own gets the environment's key, unless it is the other pair's place.
        (None, LOCAL, M, ("mk", LOCAL)),
        (None, LOCAL, O, ("ok", LOCAL)),
        (None, LOCAL, {**M, **O}, ("mk", LOCAL)),
        (None, MUME, {**M, **O}, ("mk", MUME)),
        (None, OPENAI, {**M, **O}, ("ok", OPENAI)),
        (None, "https://API.OpenAI.com/v2", {**M, **O}, ("ok", "https://API.OpenAI.com/v2")),
        (None, "https://o.example:443/x", {**M, **O, **OU}, ("ok", "https://o.example:443/x")),
        (None, "https://o.example:444/x", {**M, **OU}, ("mk", "https://o.example:444/x")),
        (None, "http://localhost:2", {**M, **O, **TWO}, ("ok", "http://localhost:2")),
        # Never to the other one's.
        (None, OPENAI, M, None),
        (None, MUME, O, None),
        (None, "https://api.openai.com.", M, None),
        (None, "http://api.openai.com:80/v1", M, None),
        (None, "https://o.example/other", {**M, **OU}, None),
        (None, "http://localhost:2", {**M, **TWO}, None),
        (None, LOCAL, {}, None),
        (None, None, {}, None),
        (None, None, {**MU, **OU}, None),
    ],
)  # fmt: skip
def test_which_key_goes_where(api_key: Any, base_url: Any, environ: dict[str, str], expected: Any) -> None:
    if expected is None:
        with pytest.raises(TokenwireError, match="no API key") as caught:
            resolve(api_key, base_url, environ)
        assert not {"mk", "ok"} & set(str(caught.value).split())
    else:
        assert resolve(api_key, base_url, environ) == expected


def test_with_options_keeps_an_environments_key_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUME_API_KEY", "mk")
    client = tokenwire.Client(backend=MemoryBackend([[CHAT], [CHAT], [CHAT], [CHAT]]))
    assert client.base_url == MUME
    with pytest.raises(TokenwireError, match=r"no API key for api\.openai\.com"):
        client.with_options(base_url=OPENAI)
    monkeypatch.setenv("OPENAI_API_KEY", "ok")
    peer: Any = client._pools._backend
    for other, key in [
        (client.with_options(base_url=OPENAI.replace("https", "http")), "ok"),
        (client.with_options(base_url=LOCAL), "mk"),
        (client.with_options(base_url=LOCAL, api_key="mine"), "mine"),
        (client.with_options(api_key="mine").with_options(base_url=OPENAI.replace("https", "http")), "mine"),
    ]:
        ask(other)
        assert Sent(peer).headers["authorization"] == f"Bearer {key}"


@pytest.mark.parametrize(
    ("base_url", "origin", "host", "target", "shown"),
    [
        ("http://h", ("http", "h", 80), "h", "/chat/completions", "http://h"),
        ("http://h/", ("http", "h", 80), "h", "/chat/completions", "http://h"),
        ("http://h/v1", ("http", "h", 80), "h", "/v1/chat/completions", "http://h/v1"),
        ("http://h/v1///", ("http", "h", 80), "h", "/v1/chat/completions", "http://h/v1"),
        ("HTTP://H:8000/V1", ("http", "h", 8000), "h:8000", "/V1/chat/completions", "http://h:8000/V1"),
        ("http://h:80/v1", ("http", "h", 80), "h:80", "/v1/chat/completions", "http://h:80/v1"),
        ("http://[::1]/v1", ("http", "::1", 80), "[::1]", "/v1/chat/completions", "http://[::1]/v1"),
        ("http://[::1]:8/v1", ("http", "::1", 8), "[::1]:8", "/v1/chat/completions", "http://[::1]:8/v1"),
        ("http://bücher.example/a/b", ("http", "xn--bcher-kva.example", 80), "xn--bcher-kva.example",
         "/a/b/chat/completions", "http://xn--bcher-kva.example/a/b"),
        ("http://h/v1?api-version=2&key=sk-x", ("http", "h", 80), "h",
         "/v1/chat/completions?api-version=2&key=sk-x", "http://h/v1"),
    ],
)  # fmt: skip
def test_forms_of_a_base_url(base_url: str, origin: Any, host: str, target: str, shown: str) -> None:
    client, peer = made(CHAT, base_url=base_url)
    assert client.base_url == shown
    assert repr(client) == f"<tokenwire.Client {shown}>"
    ask(client)
    assert tuple(peer.origins[0])[:3] == origin
    assert (Sent(peer).headers["host"], Sent(peer).target) == (host, target)


def test_https_is_443() -> None:
    client, _ = made(base_url="https://h/v1")
    assert client._config.origin == Origin("https", "h", 443)


@pytest.mark.parametrize(
    ("base_url", "says"),
    [
        ("", "must be an http or https URL"),
        ("api.example.com/v1", "must be an http or https URL"),
        ("ftp://h/v1", "its scheme is 'ftp'"),
        ("http:///v1", "with a host"),
        ("sk-secret", "must be an http or https URL"),
        ("http://user:sk-secret@h/v1", "must not hold a user name or a password"),
        ("http://sk-secret@h/v1", "must not hold a user name or a password"),
        ("http://h:port/v1", "no valid port"),
        ("http://h:99999/v1", "no valid port"),
        ("http://h:0/v1", "no valid port"),
        ("http://[::1]8000/v1", "no valid port"),
        (f"http://{'h' * 64}/v1", "no valid host"),
        ("http://[::1", "base_url has no valid host"),
        ("http://sk-secret@h\u2100/v1", "base_url has no valid host"),
        ("http://h:sk-secret/v1", "no valid port"),
        # urlsplit would pass over these, and make another URL of them.
        ("http://h\r\n/v1", "control character"),
        ("http://h/v1\r\nX: sk-secret", "control character"),
        ("http://h\t:80/v1", "control character"),
        ("http://h/v1\x00", "control character"),
        ("http://h/v 1", "a blank"),
    ],
)
def test_refused_base_urls(base_url: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        made(base_url=base_url)
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("OPENAI_API_KEY", "k")  # whether it belongs to that URL is asked first
    with pytest.raises(ValueError, match=says) as caught:
        made(base_url=base_url, api_key=None)
    assert "secret" not in str(caught.value)


def test_a_url_in_the_environment_that_is_none_matters_to_who_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://[::1")
    client, _ = made(base_url="http://h/v1", api_key=None)
    assert client.base_url == "http://h/v1"
    with pytest.raises(ValueError, match="base_url has no valid host"):
        made(base_url=None, api_key=None)


def test_a_unix_socket() -> None:
    client, peer = made(CHAT, uds="/run/model.sock")
    ask(client)
    assert peer.origins[0].uds == "/run/model.sock"
    assert Sent(peer).headers["host"] == "test"


# -- Headers ---------------------------------------------------------------------------


def test_the_headers_of_a_call() -> None:
    headers = sent().headers
    assert headers == {
        "host": "test",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": headers["user-agent"],
        "authorization": "Bearer sk-secret",
        "content-type": "application/json",
        "content-length": str(len(b'{"model":"m","messages":[]}')),
    }
    assert headers["user-agent"].startswith(f"tokenwire/{tokenwire.__version__} ")
    client, peer = made(STREAM)
    ask(client, stream=True)
    assert Sent(peer).headers["accept"] == "text/event-stream"


def test_organization_and_project(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = sent(options={"organization": "org", "project": "pro"}).headers
    assert (headers["openai-organization"], headers["openai-project"]) == ("org", "pro")
    monkeypatch.setenv("OPENAI_ORG_ID", "env-org")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "env-pro")
    headers = sent().headers
    assert (headers["openai-organization"], headers["openai-project"]) == ("env-org", "env-pro")
    client, peer = made(CHAT)
    ask(client.with_options(organization="o2", project="p2"))
    assert (Sent(peer).headers["openai-organization"], Sent(peer).headers["openai-project"]) == ("o2", "p2")


def test_settings_can_be_set() -> None:
    """As with the official SDK: a program that renews its token sets it, and must not send the old one."""
    client, peer = made(*[CHAT] * 3)
    ask(client)
    before = client.with_options()
    client.api_key, client.organization, client.project = "sk-new", "org", "pro"
    client.timeout, client.max_retries = 7, 4
    ask(client)
    headers = Sent(peer).headers
    assert headers["authorization"] == "Bearer sk-new"
    assert (headers["openai-organization"], headers["openai-project"]) == ("org", "pro")
    assert (client.api_key, client.organization, client.project) == ("sk-new", "org", "pro")
    assert (client.timeout, client.max_retries) == (Timeouts.of(7), 4)
    client.base_url, client.organization = "http://test/v2/", None
    ask(client)
    assert Sent(peer).target == "/v2/chat/completions"
    assert "openai-organization" not in Sent(peer).headers
    assert (client.base_url, client.organization) == ("http://test/v2", None)
    assert (before.api_key, before.base_url, before.max_retries) == ("sk-secret", "http://test/v1", 0)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("api_key", None, TypeError),
        ("api_key", lambda: "sk-new", TypeError),
        ("base_url", None, TypeError),
        ("base_url", "ftp://test", ValueError),
        ("timeout", -1, ValueError),
        ("max_retries", -1, ValueError),
    ],
)
def test_what_is_set_is_judged(name: str, value: Any, error: type[Exception]) -> None:
    client, peer = made(CHAT)
    with pytest.raises(error, match=name):
        setattr(client, name, value)
    ask(client)
    assert Sent(peer).headers["authorization"] == "Bearer sk-secret"


def test_a_key_of_the_environment_is_not_sent_to_another_place_by_a_url_that_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MUME_API_KEY", "mk")
    client = tokenwire.Client()
    with pytest.raises(TokenwireError, match="no API key"):
        client.base_url = OPENAI
    assert client.base_url == MUME


def test_no_key_no_authorization() -> None:
    assert "authorization" not in sent(options={"api_key": ""}).headers


def test_later_headers_win() -> None:
    headers = sent(
        options={"default_headers": {"X-A": "client", "X-B": "client", "user-agent": "mine"}},
        extra_headers={"x-a": "call", "AUTHORIZATION": "Basic x", "Accept-Encoding": "gzip"},
    ).headers
    assert (headers["x-a"], headers["x-b"], headers["user-agent"]) == ("call", "client", "mine")
    assert (headers["authorization"], headers["accept-encoding"]) == ("Basic x", "gzip")


def test_the_last_of_several_defaults_wins_in_whatever_case() -> None:
    client, peer = made(CHAT, default_headers={"X-A": "1", "x-b": "1"})
    other = client.with_options(default_headers={"x-a": "2"}).with_options(default_headers={"X-A": "3", "X-B": "3"})
    ask(other)
    assert (Sent(peer).headers["x-a"], Sent(peer).headers["x-b"]) == ("3", "3")


@pytest.mark.parametrize("nothing", [None, tokenwire.NOT_GIVEN, openai.NOT_GIVEN, openai.omit])
def test_a_header_can_be_taken_out(nothing: Any) -> None:
    headers = sent(
        options={"default_headers": {"X-A": "1"}},
        extra_headers={"Authorization": nothing, "x-a": nothing, "User-Agent": nothing},
    ).headers
    assert not {"authorization", "x-a", "user-agent"} & set(headers)


def test_a_calls_own_headers_are_gone_with_the_call() -> None:
    client, peer = made(*[CHAT] * 6)
    plain = {"extra_headers": {"X-Trace": "1"}}
    override = {"extra_headers": {"Authorization": "Basic x", "X-Trace": "2"}}
    found = []
    for options in ({}, plain, {}, override, {}):
        ask(client, **options)
        found.append(Sent(peer).headers)
    first = found[0]
    assert found[2] == found[4] == first
    assert first["authorization"] == "Bearer sk-secret"
    assert found[1] == {**first, "x-trace": "1"}
    assert found[3] == {**first, "authorization": "Basic x", "x-trace": "2"}
    other = client.with_options(default_headers={"X-Trace": "3"}, api_key="other")
    ask(other.with_options(), extra_headers=None)
    assert Sent(peer).headers == {**first, "authorization": "Bearer other", "x-trace": "3"}



@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"X-A": "a\r\nX-Evil: 1"}, "x-a"),
        ({"X-A": "a\nb"}, "x-a"),
        ({"X-A": "sk-secret\0"}, "x-a"),
        ({"X A": "a"}, "x a"),
        ({"X-A:": "a"}, "x-a:"),
        ({"X-\r\nEvil": "a"}, "evil"),
        ({"": "a"}, "header ''"),
        ({"X-Ü": "a"}, "x-ü"),
        ({"X-A": "sk-secret \u20ac"}, "x-a"),
        ({"Content-Length": "5"}, "content-length"),
        ({"transfer-encoding": "chunked"}, "transfer-encoding"),
    ],
)
def test_refused_headers_are_named(headers: dict[str, str], named: str) -> None:
    for options, extra in [({"default_headers": headers}, {}), ({}, {"extra_headers": headers})]:
        client, peer = made(CHAT, **options)
        with pytest.raises(LocalProtocolError) as caught:
            ask(client, **extra)
        assert named in str(caught.value).lower()
        assert "secret" not in str(caught.value)
        assert not any(connection.sent for connection in peer.connections), "before a byte is sent"
        if client._pools.pool is not None:
            assert client._pools.pool.counts()["active"] == 0


@pytest.mark.parametrize(
    "options", [{"api_key": "sk-secret\r\nX-Evil: 1"}, {"api_key": "sk-secret\u20ac"}, {"organization": "o\nrg"}]
)
def test_injection_by_a_setting(options: dict[str, str]) -> None:
    client, peer = made(CHAT, **options)
    with pytest.raises(LocalProtocolError, match=r"(?i)the header '(authorization|openai-organization)'") as caught:
        ask(client)
    assert "secret" not in str(caught.value)
    assert not any(connection.sent for connection in peer.connections)


def test_a_header_must_be_a_string() -> None:
    for value in (5, b"x", ["a"]):
        with pytest.raises(TypeError, match="'X-Count' must be a string"):
            sent(extra_headers={"X-Count": value})


@pytest.mark.parametrize("name", [b"X-Count", 5, None])
def test_the_name_of_a_header_must_be_a_string(name: Any) -> None:
    says = f"the name of a header must be a string, not a {type(name).__name__}: {name!r}"
    for headers in ({name: "1"}, {name: None}, {"X-Other": "1", name: "1"}):
        with pytest.raises(TypeError, match=f"^{says}$"):
            sent(extra_headers=headers)
        with pytest.raises(TypeError, match=f"^{says}$"):
            made(default_headers=headers)
        with pytest.raises(TypeError, match=f"^{says}$"):
            made()[0].with_options(default_headers=headers)


# -- Queries and bodies --------------------------------------------------------------------


def query(found: Sent) -> list[tuple[str, str]]:
    return parse_qsl(found.target.partition("?")[2], keep_blank_values=True)


def test_queries() -> None:
    found = sent(
        options={"default_query": {"a": 1, "b": "two"}, "base_url": "http://h/v1?z=0&a=9"},
        extra_query={"b": "2 &é", "c": True, "d": None, "e": ["x", False], "f": openai.omit, "g": {"h": {"i": 1}}},
    )
    assert query(found) == [
        ("z", "0"), ("a", "1"), ("b", "2 &é"), ("c", "true"), ("e[]", "x"), ("e[]", "false"), ("g[h][i]", "1"),
    ]  # fmt: skip
    assert sent(extra_query={"a": "b\r\nX-Evil: 1"}).target == "/v1/chat/completions?a=b%0D%0AX-Evil%3A+1"
    assert sent(extra_query={"a": None}).target == "/v1/chat/completions"


def test_a_base_urls_query_is_sent_as_it_is() -> None:
    options = {"base_url": "http://h/v1?tag=a&tag=b&x="}
    assert query(sent(options=options)) == [("tag", "a"), ("tag", "b"), ("x", "")]
    assert query(sent(options=options, extra_query={"tag": "c"})) == [("tag", "c"), ("x", "")]


def test_every_call_takes_an_extra_body() -> None:
    whole = answer(js(response()).encode(), kind="application/json")
    client, peer = made(whole, whole, whole)
    client.responses.cancel("r", extra_body={"vendor": 1})
    assert (Sent(peer).json, Sent(peer).headers["content-type"]) == ({"vendor": 1}, "application/json")
    client.responses.retrieve("r", extra_body={"vendor": 1})
    assert (Sent(peer).method, Sent(peer).json) == ("GET", {"vendor": 1})
    client.responses.cancel("r", extra_body={})
    assert Sent(peer).headers["content-length"] == "0"


def test_the_body_of_a_call() -> None:
    body = sent(temperature=0.5, stop=None, extra_body={"temperature": 1, "vendor": {"x": [1]}}).json
    assert body == {"model": "m", "messages": [], "temperature": 1, "stop": None, "vendor": {"x": [1]}}
    client, peer = made(STREAM)
    ask(client, stream=True, extra_body={"stream": False})
    assert Sent(peer).json["stream"] is True


@pytest.mark.parametrize("stream", [None, False, tokenwire.NOT_GIVEN, openai.NOT_GIVEN, openai.omit])
def test_not_streamed(stream: Any) -> None:
    client, peer = made(CHAT, RESPONSE)
    assert ask(client, stream=stream).choices[0].message.content == "Hi"
    assert "stream" not in Sent(peer).json
    assert client.responses.create(model="m", input="x", stream=stream).output_text == "Hi"
    assert "stream" not in Sent(peer).json


def test_marks_of_absence_are_left_out() -> None:
    body = sent(stop=openai.NOT_GIVEN, seed=openai.omit, user=tokenwire.NOT_GIVEN, n=None).json
    assert body == {"model": "m", "messages": [], "n": None}


class Message(pydantic.BaseModel):
    role: str
    content: str
    name: str | None = None


def test_what_messages_can_be() -> None:
    one = {"role": "user", "content": "Hi"}
    for messages in (
        [one],
        (one,),
        iter([one]),
        (message for message in [one]),
        {1: one}.values(),
        [Message(role="user", content="Hi")],
        iter([Message(role="user", content="Hi")]),
        [types.MappingProxyType(one)],
    ):
        assert sent(messages=messages).json["messages"] == [one]


def test_what_a_server_sent_goes_back_as_it_came() -> None:
    message = {"role": "assistant", "content": "Hi", "reasoning_x": {"kept": True}}
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    whole = completion()
    whole["choices"][0]["message"] = {**message, "tool_calls": [call]}
    client, peer = made(answer(js(whole).encode(), kind="application/json"), CHAT, CHAT, CHAT)
    got = ask(client).choices[0].message
    for messages in ([got], (got,), iter([got])):
        ask(client, messages=messages)
        assert Sent(peer).json["messages"] == [{**message, "tool_calls": [call]}]
    client, peer = made(CHAT)
    ask(client, messages=[{"role": "assistant", "tool_calls": got.tool_calls}])
    assert Sent(peer).json["messages"][0]["tool_calls"] == [call]


def test_an_output_goes_back_as_input() -> None:
    sent_by_server = response(text="Hi", x_vendor=1)
    client, peer = made(answer(js(sent_by_server).encode(), kind="application/json"), RESPONSE)
    output = client.responses.create(model="m", input="x").output
    client.responses.create(model="m", input=[*output, {"role": "user", "content": "more"}])
    assert Sent(peer).json["input"] == [*sent_by_server["output"], {"role": "user", "content": "more"}]


class Opaque:
    secret = "sk-secret"


@pytest.mark.parametrize("value", [object(), Opaque(), lambda: None, 1 + 2j, [{"deep": object()}], {object(): 1}])
def test_what_is_not_json(value: Any) -> None:
    client, peer = made(CHAT)
    with pytest.raises(TypeError) as caught:
        ask(client, metadata=value)
    assert "secret" not in str(caught.value)
    assert peer.connections == []


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_json_has_no_number_for(number: float) -> None:
    """As the official SDK: sent as null, it would ask for something else."""
    client, peer = made()
    for params in ({"temperature": number}, {"logit_bias": {"1": number}}, {"stop": (1.5, number)}):
        with pytest.raises(ValueError, match=f"cannot hold {number}"):
            ask(client, **params)
    assert peer.connections == []


def test_what_holds_itself() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(TypeError, match="nested too deeply, or holds itself"):
        sent(metadata=circle)


def test_text_that_is_not_unicode() -> None:
    with pytest.raises(LocalProtocolError, match="surrogates not allowed"):
        sent(messages=[{"role": "user", "content": "\ud800"}])


# -- Settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [
        (tokenwire.NOT_GIVEN, Timeouts()),
        (3, Timeouts(connect=3, write=3, read=3, first_event=3, event=3, total=None)),
        (0.5, Timeouts(connect=0.5, write=0.5, read=0.5, first_event=0.5, event=0.5, total=None)),
        (None, Timeouts(connect=None, write=None, read=None, first_event=None, event=None, total=None)),
        (Timeouts(total=9), Timeouts(total=9)),
    ],
)
def test_forms_of_a_timeout(timeout: Any, expected: Timeouts) -> None:
    client, _ = made(STREAM, STREAM, timeout=timeout)
    assert client.timeout == expected
    client, _ = made(STREAM, STREAM)
    assert client.with_options(timeout=timeout).timeout == expected
    assert ask(client, stream=True, timeout=timeout)._source.exchange._request.timeouts == expected
    assert client.timeout == Timeouts()


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "5"])
def test_refused_timeouts(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        made(timeout=timeout)
    with pytest.raises(ValueError, match="timeout"):
        sent(timeout=timeout)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"api_key": lambda: "sk-secret"}, "api_key must be a string, not a function"),
        ({"api_key": b"sk-secret"}, "api_key must be a string, not a bytes"),
        ({"base_url": httpx.URL("http://h/v1")}, "base_url must be a string, not a URL"),
        ({"limits": httpx.Limits()}, r"limits must be a tokenwire\.Limits, not a Limits"),
        ({"http_client": httpx.Client}, "http_client= is the official SDK's"),
    ],
)
def test_an_option_of_another_kind(option: dict[str, Any], says: str) -> None:
    with pytest.raises(TypeError, match=says) as caught:
        made(**option)
    assert "secret" not in str(caught.value)
    if option.keys() & {"api_key", "base_url"}:
        with pytest.raises(TypeError, match=says):
            made()[0].with_options(**option)


def test_what_wrappers_of_the_official_sdk_pass_on() -> None:
    client, peer = made(CHAT, http_client=None, default_headers={"Authorization": None, "api-key": "k"})
    ask(client)
    headers = Sent(peer).headers
    assert "authorization" not in headers
    assert headers["api-key"] == "k"


def test_max_retries() -> None:
    assert made(max_retries=5)[0].max_retries == 5
    assert tokenwire.Client(api_key="k").max_retries == 2
    assert made()[0].with_options(max_retries=7).max_retries == 7
    for refused in (-1, 1.5, "2", None):
        with pytest.raises(ValueError, match="max_retries"):
            made(max_retries=refused)


def test_with_options_shares_the_pool() -> None:
    client, peer = made(CHAT, CHAT, CHAT, default_headers={"X-A": "1"}, default_query={"q": "1"})
    ask(client)
    other = client.with_options(default_headers={"X-B": "2"}, default_query={"r": "2"}, timeout=5)
    ask(other)
    found = Sent(peer)
    assert (found.headers["x-a"], found.headers["x-b"], query(found)) == ("1", "2", [("q", "1"), ("r", "2")])
    ask(client.copy())
    found = Sent(peer)
    assert "x-b" not in found.headers, "the first is as it was"
    assert query(found) == [("q", "1")]
    assert len(peer.connections) == 1
    other.close()
    with pytest.raises(RuntimeError, match="this client is closed"):
        ask(client)


def test_a_closed_client() -> None:
    client, peer = made(CHAT)
    other = client.with_options()
    assert not client.is_closed()
    client.close()
    client.close()
    assert client.is_closed()
    assert other.is_closed()
    for call in (lambda: ask(client), lambda: client.chat.completions.stream(model="m", messages=[])):
        with pytest.raises(RuntimeError, match="this client is closed"):
            call()
    assert peer.connections == []
    with made(STREAM)[0] as client:
        found = ask(client, stream=True)
    assert [text for text in found.text()] == ["Hi"], "what is under way may end"  # noqa: C416
    with pytest.raises(RuntimeError, match="this client is closed"):
        ask(client)


def test_a_closed_async_client() -> None:
    async def main() -> None:
        backend: Any = Mixed("trio", [[STREAM]])
        async with tokenwire.AsyncClient(api_key="k", base_url="http://test", backend=backend) as client:
            found = await ask(client, stream=True)
        assert [text async for text in found.text()] == ["Hi"]
        await client.aclose()
        with pytest.raises(RuntimeError, match="this client is closed"):
            await ask(client)

    trio.run(main)


def test_backends_by_name() -> None:
    with pytest.raises(ValueError, match="unknown backend 'curio'"):
        tokenwire.AsyncClient(api_key="k", backend="curio")
    with pytest.raises(ValueError, match="backend='asyncio' is for async code: Client cannot"):
        tokenwire.Client(api_key="k", backend="asyncio")
    with pytest.raises(ValueError, match="backend='sync' is for blocking code: AsyncClient cannot"):
        tokenwire.AsyncClient(api_key="k", backend="sync")
    with pytest.raises(RuntimeError, match=r"use tokenwire\.Client in blocking code"):
        tokenwire.AsyncClient(api_key="k").chat.completions.stream(model="m", messages=[])


def test_nothing_shows_the_key() -> None:
    client, _ = made(answer(b"no", status="401 No"))
    with pytest.raises(tokenwire.AuthenticationError) as caught:
        ask(client)
    shown = [repr(client), repr(caught.value), str(caught.value), repr(caught.value.response)]
    shown += [repr(client.chat), repr(client.responses), repr(tokenwire.AsyncClient(api_key="sk-secret"))]
    assert "secret" not in "".join(shown)
    assert repr(tokenwire.NOT_GIVEN) == "NOT_GIVEN"
    assert not tokenwire.NOT_GIVEN


# -- Paths --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response_id", "path"),
    [
        ("resp_1", "resp_1"),
        ("a/b", "a%2Fb"),
        ("a?b#c", "a%3Fb%23c"),
        ("é x", "%C3%A9%20x"),
        ("a\r\nb", "a%0D%0Ab"),
        ("...", "..."),
    ],
)
def test_retrieve_and_cancel(response_id: str, path: str) -> None:
    client, peer = made(RESPONSE, RESPONSE)
    assert client.responses.retrieve(response_id).output_text == "Hi"
    found = Sent(peer)
    assert (found.method, found.target, found.body) == ("GET", f"/v1/responses/{path}", b"")
    assert not {"content-length", "content-type"} & set(found.headers)
    assert client.responses.cancel(response_id).id == "r"
    found = Sent(peer)
    assert (found.method, found.target, found.body) == ("POST", f"/v1/responses/{path}/cancel", b"")
    assert found.headers["content-length"] == "0"


@pytest.mark.parametrize("response_id", ["", ".", "..", None, 7])
def test_what_is_no_response_id(response_id: Any) -> None:
    client, peer = made(RESPONSE)
    for call in (client.responses.retrieve, client.responses.cancel):
        with pytest.raises(ValueError, match="response_id"):
            call(response_id)
    assert peer.connections == []


def test_a_retrieved_stream() -> None:
    client, peer = made(answer(sse(delta("Hi"), ended())))
    found = client.responses.retrieve("r", stream=True, starting_after=7, include=["a", "b"], extra_query={"x": 1})
    assert list(found.text()) == ["Hi"]
    assert Sent(peer).headers["accept"] == "text/event-stream"
    assert query(Sent(peer)) == [
        ("stream", "true"), ("starting_after", "7"), ("include[]", "a"), ("include[]", "b"), ("x", "1"),
    ]  # fmt: skip


@pytest.mark.parametrize("resume", [False, True])
def test_nothing_is_left_behind_the_last_event(resume: bool) -> None:
    client, _ = made(answer(sse(done=True)))
    stream = client.responses.retrieve("r", stream=True, starting_after=7, resume=resume)
    assert list(stream) == []
    assert stream.stats.events == 0


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (b"", {"starting_after": 7}),  # as one that was cut
        (sse(delta("Hi"), done=True), {"starting_after": 7}),
        (sse(done=True), {}),
    ],
)
def test_what_does_not_say_that_nothing_is_left_is_cut(body: bytes, asked: dict[str, Any]) -> None:
    client, _ = made(answer(body))
    with pytest.raises(tokenwire.StreamTruncatedError):
        list(client.responses.retrieve("r", stream=True, **asked))


def test_every_call_in_the_other_colour() -> None:
    wires = [CHAT, STREAM, RESPONSE, answer(sse(delta("Hi"), ended())), RESPONSE, RESPONSE]
    wires += [answer(sse(delta("Hi"), ended())), STREAM, answer(sse(delta("Hi"), ended(text="Hi")))]

    async def main() -> list[Any]:
        backend: Any = Mixed("trio", [[step for wire in wires for step in (wire, REQUEST)]])
        client = tokenwire.AsyncClient(api_key="k", base_url="http://test/v1", backend=backend, max_retries=0)
        got: list[Any] = [(await ask(client)).choices[0].message.content]
        got += [text async for text in (await ask(client, stream=True)).text()]
        got.append((await client.responses.create(model="m", input="x")).output_text)
        got += [text async for text in (await client.responses.create(model="m", input="x", stream=True)).text()]
        got.append((await client.responses.retrieve("r")).output_text)
        got.append((await client.responses.cancel("r")).output_text)
        got += [text async for text in (await client.responses.retrieve("r", stream=True)).text()]
        async with client.chat.completions.stream(model="m", messages=[]) as chat:
            got.append((await chat.get_final_completion()).choices[0].message.content)
        async with client.responses.stream(model="m", input="x") as other:
            got.append((await other.get_final_response()).output_text)
        await client.aclose()
        return got

    assert trio.run(main) == ["Hi"] * 9


# -- .stream() -------------------------------------------------------------------------------------


class Weather(pydantic.BaseModel):
    """The weather somewhere."""

    city: str


def test_types_become_schemas_even_out_of_an_iterator() -> None:
    client, peer = made(STREAM, answer(sse(ended(text='{"city":"Rome"}'))), STREAM)
    tool = openai.pydantic_function_tool(Weather)
    with client.chat.completions.stream(model="m", messages=[], response_format=Weather, tools=iter([tool])):
        body = Sent(peer).json
    assert body["stream"] is True
    assert body["response_format"]["json_schema"]["name"] == "Weather"
    assert [one["function"]["name"] for one in body["tools"]] == ["Weather"]
    client, peer = made(answer(sse(ended(text='{"city":"Rome"}'))))
    with client.responses.stream(model="m", input="x", text_format=Weather, tools=iter([])) as found:
        body = Sent(peer).json
        assert body["text"]["format"]["name"] == "Weather"
        assert "text_format" not in body
        assert body["tools"] == []
        assert found.get_final_response().output_parsed == Weather(city="Rome")


# -- Redirects ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
@pytest.mark.parametrize(
    ("location", "whereto"),
    [
        ("https://other.example/v1?token=sk-secret", "to https://other.example"),
        ("//u:sk-secret@other.example:8080/v1", "to //other.example:8080"),
        ("http://test/v1/elsewhere?token=sk-secret", "to http://test"),
        ("/elsewhere", "to another path of its own"),
        ("http://[sk-secret", "nowhere"),
        ("?sk-secret", "nowhere"),
        (None, "nowhere"),
    ],
)
def test_a_redirect_is_refused(location: str | None, whereto: str, status: int) -> None:
    """Whatever was asked for, and wherever it leads: nothing more is sent, to nobody."""
    fields = [] if location is None else [f"Location: {location}"]
    moved = answer(b"", "length", *fields, status=f"{status} Moved")
    asks: list[Any] = [
        ask,
        functools.partial(ask, stream=True),
        lambda client: client.responses.create(model="m", input="x", stream=True),
        lambda client: client.responses.retrieve("r"),
        lambda client: client.responses.retrieve("r", stream=True),
        lambda client: client.responses.cancel("r"),
    ]
    for one in asks:
        client, peer = made(moved)
        with pytest.raises(tokenwire.APIStatusError) as caught:
            one(client)
        assert str(caught.value) == (
            f"Error code: {status} - The server redirects {whereto}. "
            "Redirects are not followed: give the right base_url."
        )
        assert caught.value.status_code == status
        assert peer.origins == [Origin("http", "test", 80)]
        assert bytes(peer.connections[0].sent).count(b"HTTP/1.1") == 1
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("fields", [[], ["Content-Length: 7"], ["Location: https://other.example/v1"]])
def test_not_modified_is_no_redirect(fields: list[str]) -> None:
    """RFC 9110, 15.4.5; and 6.4.1: it has no body, whatever its fields say."""
    client, peer = made(head(*fields, status="304 Not Modified"))
    with pytest.raises(tokenwire.APIStatusError) as caught:
        ask(client, extra_headers={"If-None-Match": '"x"'})
    assert str(caught.value) == (
        "Error code: 304 - Not Modified: a condition in the request, If-None-Match or the like, is not met, "
        "so nothing came."
    )
    assert (caught.value.status_code, caught.value.body) == (304, None)
    assert len(peer.origins) == 1
