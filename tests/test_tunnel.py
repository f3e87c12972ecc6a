"""Through real proxies over real sockets, TLS inside, on every backend; and what hostile ones can do."""

from __future__ import annotations

import base64
import contextlib
import functools
import gc
import logging
import socket
import ssl
import traceback
from typing import Any

import pytest

import tokenwire
from support import loops
from support.loops import PATIENCE, Way, async_ways, listening, ways
from support.proxying import ANSWER, Model, Proxy
from tokenwire import Limits, Timeouts
from tokenwire.backends.base import Origin
from tokenwire.backends.memory import EOF, REQUEST, MemoryBackend
from tokenwire.pool import Pool
from tokenwire.proxy import parse
from tokenwire.requests import build_request

SECRET = "s3cret"
USER = f"alice:{SECRET}"
BASIC = b"Basic " + base64.b64encode(USER.encode())
TLS_URL = "https://api.example/v1"  # no name of any resolver: the proxy alone knows where it is
PLAIN_URL = "http://api.example/v1"


server_side = functools.cache(loops.server_side)


@functools.cache
def mutual() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's context with a certificate of its own, and a server's that wants one."""
    server = loops.server_side("api.example")
    server.verify_mode = ssl.CERT_REQUIRED
    loops.authority().configure_trust(server)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    loops.authority().configure_trust(context)
    loops.authority().issue_cert("client@example.org").configure_cert(context)
    return context, server


def model(tls: bool = True) -> Model:
    return Model(server_side("api.example") if tls else None)


def stream(way: Way, calls: int = 1, **options: Any) -> list[str]:
    """The text of some streams, one after another, through one client."""
    options = {"api_key": "sk-key", "max_retries": 0, "base_url": TLS_URL, **options}
    options.setdefault("ssl_context", loops.trusting())
    ask: Any = {"model": "m", "messages": [], "stream": True}
    if way.id == "sync":
        with tokenwire.Client(**options) as client:
            return ["".join(client.chat.completions.create(**ask).text()) for _ in range(calls)]

    async def main() -> list[str]:
        found = []
        async with tokenwire.AsyncClient(backend=way.backend, **options) as client:
            for _ in range(calls):
                events = await client.chat.completions.create(**ask)
                found.append("".join([text async for text in events.text()]))
        return found

    texts: list[str] = way.run(main)
    return texts


def hidden(error: BaseException) -> str:
    """What an error shows, which holds no credentials."""
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
    assert SECRET not in shown
    assert BASIC.decode()[6:] not in shown
    return str(error)


# -- tunnels ---------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_tunnel(way: Way, scheme: str) -> None:
    """One CONNECT, one connection, and the proxy sees nothing of what is inside. https: TLS in TLS."""
    context = server_side("127.0.0.1") if scheme == "https" else None
    with model() as origin, Proxy(USER, context, {"api.example:443": origin.port}) as proxy:
        url = f"{scheme}://{USER}@127.0.0.1:{proxy.port}"
        assert stream(way, 3, proxy=url) == ["moonlight"] * 3
        assert proxy.heads == [
            b"CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\nProxy-Authorization: " + BASIC + b"\r\n"
        ]
        assert (proxy.accepted, origin.accepted, len(origin.heads)) == (1, 1, 3)
        for head in origin.heads:
            assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\nHost: api.example\r\n")
            assert b"Authorization: Bearer sk-key\r\n" in head
            assert b"proxy" not in head.lower()


@ways
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_requests_that_the_proxy_forwards(way: Way, scheme: str) -> None:
    context = server_side("127.0.0.1") if scheme == "https" else None
    with model(tls=False) as origin, Proxy(USER, context, {"api.example:80": origin.port}) as proxy:
        url = f"{scheme}://{USER}@127.0.0.1:{proxy.port}"
        assert stream(way, 3, base_url=PLAIN_URL, proxy=url) == ["moonlight"] * 3
        assert (proxy.accepted, len(proxy.heads), origin.accepted, len(origin.heads)) == (1, 3, 1, 3)
        for head in proxy.heads:
            assert head.startswith(b"POST http://api.example/v1/chat/completions HTTP/1.1\r\nHost: api.example\r\n")
            assert b"Proxy-Authorization: " + BASIC + b"\r\n" in head
        for head in origin.heads:
            assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
            assert b"proxy" not in head.lower()


@ways
def test_a_client_certificate_goes_through_a_tunnel(way: Way) -> None:
    context, server = mutual()
    with Model(server) as origin, Proxy(routes={"api.example:443": origin.port}) as proxy:
        assert stream(way, proxy=f"http://127.0.0.1:{proxy.port}", ssl_context=context) == ["moonlight"]


@ways
def test_another_hosts_certificate_within_a_tunnel(way: Way) -> None:
    with Model(server_side("other.example")) as origin, Proxy(routes={"api.example:443": origin.port}) as proxy:
        says = rf"Cannot connect to api\.example:443 through the proxy 127\.0\.0\.1:{proxy.port}: .*[Mm]ismatch"
        with pytest.raises(tokenwire.APIConnectionError, match=says):
            stream(way, proxy=f"http://127.0.0.1:{proxy.port}")
        assert origin.heads == []


# -- which proxy ------------------------------------------------------------------------


def test_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    sync = next(way for way in loops.WAYS if way.id == "sync")
    with model() as origin, Proxy(USER, routes={"api.example:443": origin.port}) as proxy:
        monkeypatch.setenv("https_proxy", f"{USER}@127.0.0.1:{proxy.port}")
        assert stream(sync) == ["moonlight"]
        assert len(proxy.heads) == 1
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
        with Model(server_side("localhost")) as near:
            assert stream(sync, base_url=f"https://localhost:{near.port}/v1") == ["moonlight"]
            monkeypatch.delenv("NO_PROXY")
            for off in ("", False):
                assert stream(sync, base_url=f"https://localhost:{near.port}/v1", proxy=off) == ["moonlight"]
            with pytest.raises(tokenwire.ProxyError, match=r"localhost:\d+: 502"):
                stream(sync, base_url=f"https://localhost:{near.port}/v1")
        assert proxy.accepted == 2


def client(**options: Any) -> tuple[tokenwire.Client, Any]:
    made = tokenwire.Client(api_key="k", **{"base_url": PLAIN_URL, **options})
    return made, made._config.origin.proxy


def test_a_client_chooses_for_each_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://one:1")
    monkeypatch.setenv("HTTP_PROXY", "http://two:2")
    monkeypatch.setenv("NO_PROXY", "near.example")
    made, proxy = client()
    assert str(proxy) == "two:2"
    assert str(made.with_options(base_url="https://far.example").copy()._config.origin.proxy) == "one:1"
    assert made.with_options(base_url="https://near.example")._config.origin.proxy is None
    made, proxy = client(proxy="http://three:3")
    assert str(proxy) == "three:3"
    assert str(made.with_options(base_url="https://near.example")._config.origin.proxy) == "three:3"
    made, proxy = client(proxy=False)
    assert proxy is None
    assert made.with_options(base_url="https://far.example")._config.origin.proxy is None


def test_a_unix_socket_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://one:1")
    assert client(uds="/run/s")[1] is None
    assert client(uds="/run/s", proxy=False)[1] is None
    with pytest.raises(ValueError, match=r"uds= and proxy="):
        client(uds="/run/s", proxy="http://two:2")


def test_socks_is_refused_where_the_client_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("socks5://alice:s3cret@p:1080", "socks5h://p"):
        with pytest.raises(ValueError, match=r"^proxy=: SOCKS proxies are not supported") as caught:
            client(proxy=url)
        hidden(caught.value)
        monkeypatch.setenv("ALL_PROXY", url)
        with pytest.raises(ValueError, match=r"^ALL_PROXY: SOCKS proxies are not supported") as caught:
            client()
        hidden(caught.value)


# -- refusals -----------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("url", [TLS_URL, PLAIN_URL], ids=["tunnel", "forward"])
@pytest.mark.parametrize("user", ["", f"mallory:{SECRET}@"], ids=["none", "wrong"])
def test_credentials_that_a_proxy_does_not_take(way: Way, url: str, user: str) -> None:
    """Not tried again: they will not get better."""
    with Proxy(USER) as proxy:
        with pytest.raises(tokenwire.ProxyError) as caught:
            stream(way, base_url=url, proxy=f"http://{user}127.0.0.1:{proxy.port}", max_retries=5)
        port = 443 if url is TLS_URL else 80
        why = "does not take the" if user else "wants a"
        where = " of" if user else ", in"
        assert hidden(caught.value) == (
            f"The proxy 127.0.0.1:{proxy.port} refused to connect to api.example:{port}: "
            f"407 Proxy Authentication Required (it {why} user name and password{where} its URL)."
        )
        assert (caught.value.status_code, caught.value.proxy) == (407, f"127.0.0.1:{proxy.port}")
        assert isinstance(caught.value, tokenwire.APIConnectionError)
        assert proxy.accepted == 1


@ways
def test_a_proxy_that_cannot_reach_the_origin(way: Way) -> None:
    with Proxy() as proxy:
        says = rf"The proxy 127\.0\.0\.1:{proxy.port} refused to connect to api\.example:443: 502 Bad Gateway\."
        with pytest.raises(tokenwire.ProxyError, match=says):
            stream(way, proxy=f"http://127.0.0.1:{proxy.port}")


@ways
def test_no_proxy_there(way: Way) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    says = rf"Cannot connect to api\.example:443 through the proxy 127\.0\.0\.1:{port}: "
    with pytest.raises(tokenwire.APIConnectionError, match=says) as caught:
        stream(way, proxy=f"http://{USER}@127.0.0.1:{port}")
    hidden(caught.value)


@ways
def test_a_silent_proxy_meets_the_connect_clock(way: Way) -> None:
    with listening() as silent:
        with pytest.raises(tokenwire.APITimeoutError, match=r"no connection was made within 0\.05 seconds") as caught:
            stream(way, proxy=f"http://127.0.0.1:{silent.origin.port}", timeout=Timeouts(connect=0.05))
        assert caught.value.clock == "connect"
        # On a machine that is slow the time was up before it had spoken, or dialled at all.
        silent.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError), silent.accept() as peer, peer.makefile("rb") as reader:
            said = reader.read()  # to the end: it was closed
            assert said.startswith(b"CONNECT ") or not said


@async_ways
def test_cancelled_on_its_way_through(way: Way) -> None:
    """The connection is closed, and the slot given back."""
    with listening() as silent:

        async def main() -> None:
            pool = Pool(way.backend, ssl_context=loops.trusting())
            origin = Origin("https", "api.example", 443, None, parse(f"127.0.0.1:{silent.origin.port}", "x"))

            async def connect() -> None:
                await pool.acquire(origin, connect=PATIENCE, deadline=None)

            async def arrive() -> None:
                """Until the whole CONNECT is there."""
                silent.sock.setblocking(False)
                while True:
                    await way.backend.checkpoint()
                    with contextlib.suppress(BlockingIOError):
                        if not peers:
                            peers.append(silent.sock.accept()[0])
                            peers[0].setblocking(False)
                        if peers[0].recv(1_000, socket.MSG_PEEK).endswith(b"\r\n\r\n"):
                            return

            peers: list[socket.socket] = []
            await way.backend.first(connect, arrive)
            await loops.rounds(way.backend)
            assert pool.counts() == {"idle": 0, "draining": 0, "active": 0, "waiting": 0}
            with peers[0] as peer:
                peer.settimeout(PATIENCE)
                with peer.makefile("rb") as reader:
                    assert reader.read().startswith(b"CONNECT ")  # and then the end

        way.run(main)
        gc.collect()


# -- hostile proxies, and retries, in memory ---------------------------------------------------


def scripted(*scripts: Any, **options: Any) -> tuple[tokenwire.Client, MemoryBackend]:
    peer = MemoryBackend(scripts)
    options = {"base_url": TLS_URL, "proxy": f"http://{USER}@p:3128", "max_retries": 0, **options}
    made = tokenwire.Client(api_key="sk-key", backend=peer, **options)
    return made, peer


def ask(made: tokenwire.Client) -> str:
    return "".join(made.chat.completions.create(model="m", messages=[], stream=True).text())


_OK = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    ("script", "kind", "says"),
    [
        ([EOF], "RemoteProtocolError", "the connection was closed without an answer"),
        ([b"HTTP/1.1 200", EOF], "RemoteProtocolError", "the connection was closed without an answer"),
        ([b"SSH-2.0-OpenSSH\r\n\r\n"], "RemoteProtocolError", "the peer broke HTTP: "),
        ([b"HTTP/1.1 101 Switching Protocols\r\n\r\n"], "RemoteProtocolError", "the peer broke HTTP: "),
        ([_OK + b"\x16"], "RemoteProtocolError", "bytes came through the tunnel before the TLS handshake"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2_000], "LimitExceededError", r"1000 bytes \(Limits.head_bytes\)"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2_000 + b"\r\n\r\n"], "LimitExceededError", "longer than 1000 bytes"),
        ([b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100], "LimitExceededError", "longer than 1000 bytes"),
    ],
)
def test_hostile_proxies(script: list[Any], kind: str, says: str) -> None:
    made, peer = scripted(script, limits=Limits(head_bytes=1_000))
    with pytest.raises(tokenwire.APIConnectionError, match=says) as caught:
        ask(made)
    assert type(caught.value).__name__ == kind
    assert caught.value.message == hidden(caught.value)
    assert caught.value.message.startswith("The proxy p:3128 broke the connection to api.example:443: ")
    assert caught.value.message.endswith(".")
    assert peer.connections[0].closed
    assert peer.origins == [Origin("http", "p", 3128)]
    assert made._pools.get().counts()["active"] == 0


def test_a_proxy_that_resets() -> None:
    made, _ = scripted([ConnectionResetError(104, "Connection reset by peer")])
    says = r"^Cannot connect to api\.example:443 through the proxy p:3128: Connection reset by peer\.$"
    with pytest.raises(tokenwire.APIConnectionError, match=says):
        ask(made)


@pytest.mark.parametrize(
    ("status", "tries"), [("302 Found", 1), ("403 Forbidden", 1), ("407 Auth", 1), ("429 Slowly", 3), ("503 Busy", 3)]
)
def test_which_refusals_are_tried_again(status: str, tries: int) -> None:
    refusal = b"HTTP/1.1 %b\r\nContent-Length: 9\r\n\r\n" % status.encode()
    made, peer = scripted(*[[refusal]] * 3, max_retries=2)
    with pytest.raises(tokenwire.ProxyError, match=rf"p:3128 refused to connect to api\.example:443: {status}"):
        ask(made)
    assert len(peer.connections) == tries
    assert all(connection.closed for connection in peer.connections)


def test_interim_answers_are_passed_over() -> None:
    made, _ = scripted([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 5", b"02 Bad\r\n\r\n"])
    with pytest.raises(tokenwire.ProxyError, match=r"502 Bad"):
        ask(made)


def test_an_address_of_ipv6() -> None:
    made, peer = scripted([EOF], base_url="https://[fd00::1]:8443/v1")
    with pytest.raises(tokenwire.RemoteProtocolError):
        ask(made)
    head = b"CONNECT [fd00::1]:8443 HTTP/1.1\r\nHost: [fd00::1]:8443\r\nProxy-Authorization: " + BASIC + b"\r\n\r\n"
    assert peer.connections[0].sent == head


def test_forwarded_in_memory() -> None:
    """Any other status than 407 may be the server's own: it is read as one."""
    refused = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\nbusy"
    denied = b"HTTP/1.1 407 Auth\r\nContent-Length: 4\r\n\r\nbusy"
    made, peer = scripted([refused, REQUEST, ANSWER, REQUEST, denied], base_url="http://h:8080/v1")
    with pytest.raises(tokenwire.InternalServerError, match="busy"):
        ask(made)
    assert ask(made) == "moonlight"
    with pytest.raises(tokenwire.ProxyError, match=r"to h:8080: 407 Auth"):
        ask(made)
    assert peer.origins == [Origin("http", "p", 3128)]
    assert peer.connections[0].sent.count(b"POST http://h:8080/v1/chat/completions HTTP/1.1\r\n") == 3
    assert peer.connections[0].closed


def test_a_407_without_a_proxy_is_the_servers() -> None:
    denied = b"HTTP/1.1 407 Auth\r\nContent-Length: 4\r\n\r\nbusy"
    made, _ = scripted([denied], base_url=PLAIN_URL, proxy=None)
    with pytest.raises(tokenwire.APIStatusError) as caught:
        ask(made)
    assert caught.value.status_code == 407


def test_routes_do_not_share_connections() -> None:
    async def main() -> None:
        pool = Pool(MemoryBackend([[ANSWER, REQUEST, ANSWER]] * 4))
        proxies = [None, parse("p:1", "x"), parse("p:2", "x"), parse("u:p@p:1", "x")]
        for proxy in proxies * 2:
            connection = await pool.acquire(Origin("http", "h", 80, None, proxy), connect=None, deadline=None)
            request = connection.http.send_request("GET", "/", [(b"Host", b"h")])
            await connection.transport.send(request, None)
            assert await connection.transport.receive_into(connection.http.buffer, None)
            assert connection.http.receive_head() is not None
            connection.http.drain()
            pool.release(connection)
        assert pool.made == 4
        assert pool.counts()["idle"] == 4
        pool.close()

    MemoryBackend().run(main)


# -- what is shown -----------------------------------------------------------------------------


def test_no_repr_and_no_log_line_shows_credentials(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    refusal = b"HTTP/1.1 503 Busy\r\n\r\n"
    made, _ = scripted([refusal], [refusal], [refusal], max_retries=2)
    with pytest.raises(tokenwire.ProxyError) as caught:
        ask(made)
    hidden(caught.value)
    request = build_request(made._config, "GET", "/models?x=1", None, stream=False)
    shown = [repr(made), repr(request), repr(request.origin), str(request.origin), repr(request.forwarder), caplog.text]
    for text in shown:
        assert SECRET not in text
        assert BASIC.decode()[6:] not in text
    assert "retry 2" in caplog.text
