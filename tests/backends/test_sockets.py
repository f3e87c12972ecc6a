"""What connections are set to, read off the sockets themselves; Unix sockets and client certificates. All backends."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

import tokenwire
from support import loops
from support.loops import PATIENCE, Way, connected, listening, plain_and_tls, serving_ways, ways
from tokenwire.backends.base import Transport
from tokenwire.backends.sockets import bound, reserved, tune

_BODY = b'data: {"choices":[{"index":0,"delta":{"content":"moonlight"},"finish_reason":"stop"}]}\n\n'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY

_TCP = socket.IPPROTO_TCP


def _options(sock: socket.socket) -> dict[str, int]:
    found = {
        "nodelay": sock.getsockopt(_TCP, socket.TCP_NODELAY),
        "keepalive": sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    }
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_NOTSENT_LOWAT"):
        if hasattr(socket, name):
            found[name] = sock.getsockopt(_TCP, getattr(socket, name))
    return found


def _connected_to(address: Any) -> list[dict[str, int]]:
    """The options of each socket of this process that has a peer there, whichever object holds it."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(os.stat(int(name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as sock:
                if sock.getpeername() == address:
                    found.append(_options(sock))
    return found


_on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it looks into /proc")
_WANTED = {
    "nodelay": 1,
    "keepalive": 1,
    "TCP_KEEPIDLE": 60,
    "TCP_KEEPINTVL": 30,
    "TCP_KEEPCNT": 5,
    "TCP_NOTSENT_LOWAT": 65_536,
}


@_on_linux
@ways
@plain_and_tls
def test_a_connection_is_kept_alive_and_never_delays(way: Way, tls: bool) -> None:
    async def main() -> None:
        async with connected(way.backend, tls) as (_, peer):
            assert _connected_to(peer.getsockname()) == [_WANTED]

    way.run(main)


@_on_linux
@serving_ways
def test_so_is_one_that_was_accepted(way: Way) -> None:
    backend = way.backend

    async def main() -> None:
        listener = await backend.listen("127.0.0.1", 0)
        assert not isinstance(listener.address, str)
        seen = backend.event()
        found: list[dict[str, int]] = []
        peer = socket.create_connection(listener.address)

        async def handle(transport: Transport) -> None:
            found.extend(_connected_to(peer.getsockname()))
            seen.set()

        async def wait() -> None:
            assert await seen.wait(backend.now() + PATIENCE)

        with peer:
            await backend.first(lambda: backend.serve(listener, handle), wait)
        assert found == [_WANTED]

    way.run(main)


class _Refusing:
    """A socket on a platform that refuses each option."""

    family = socket.AF_INET

    def __init__(self) -> None:
        self.asked = 0

    def setsockopt(self, *_: int) -> None:
        self.asked += 1
        raise OSError(22, "Invalid argument")


def test_a_platform_that_refuses_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    sock = _Refusing()
    tune(sock)
    assert sock.asked == 1
    with socket.socket() as bare:
        for name in ("TCP_KEEPIDLE", "TCP_KEEPALIVE", "TCP_KEEPINTVL", "TCP_KEEPCNT"):
            monkeypatch.delattr(socket, name, raising=False)
        tune(bare)
        assert bare.getsockopt(_TCP, socket.TCP_NODELAY) == 1
        assert bare.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


def test_other_sockets_are_left_alone() -> None:
    one, two = socket.socketpair()
    with one, two:
        tune(one)
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


def test_a_timeout_of_the_callers_goes_through() -> None:
    class Alarmed:
        family = socket.AF_INET

        def setsockopt(self, *_: Any) -> None:
            raise TimeoutError("a signal handler's")

    with pytest.raises(TimeoutError):
        tune(Alarmed())


# -- through the public face ---------------------------------------------------------------


def _read_request(sock: socket.socket) -> bytes:
    """A request's head; its body is read too. Empty where none comes."""
    with sock.makefile("rb") as reader:
        head, length = b"", 0
        while (line := reader.readline()) not in (b"\r\n", b""):
            head += line
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        reader.read(length)
    return head


def _stream(way: Way, **options: Any) -> str:
    """The text of one stream, asked for through a client."""
    options = {"api_key": "k", "max_retries": 0, **options}
    ask: Any = {"model": "m", "messages": [], "stream": True}
    if way.id == "sync":
        with tokenwire.Client(**options) as client:
            return "".join(client.chat.completions.create(**ask).text())

    async def main() -> str:
        async with tokenwire.AsyncClient(backend=way.backend, **options) as client:
            stream = await client.chat.completions.create(**ask)
            return "".join([text async for text in stream.text()])

    text: str = way.run(main)
    return text


@ways
def test_a_unix_socket(way: Way, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with listening(uds=path) as listener:

        def serve() -> bytes:
            with listener.accept() as sock:
                head = _read_request(sock)
                sock.sendall(_ANSWER)
                return head

        served = loops.Threaded(serve)
        assert _stream(way, base_url="http://model.example/v1", uds=path) == "moonlight"
        assert b"Host: model.example\r\n" in served.result()


@ways
def test_a_unix_socket_where_nobody_is(way: Way, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with pytest.raises(tokenwire.APIConnectionError, match=f"Cannot connect to {path}: "):
        _stream(way, base_url="http://model.example/v1", uds=path)


@ways
@pytest.mark.parametrize("shown", [True, False], ids=["shown", "missing"])
def test_a_client_certificate(way: Way, shown: bool) -> None:
    server = loops.server_side()
    server.verify_mode = ssl.CERT_REQUIRED
    loops.authority().configure_trust(server)
    context = ssl.create_default_context()
    loops.authority().configure_trust(context)
    if shown:
        loops.authority().issue_cert("client@example.org").configure_cert(context)
    with listening() as listener:

        def serve() -> Any:
            with listener.accept() as bare:
                try:
                    sock = server.wrap_socket(bare, server_side=True)
                except ssl.SSLError as error:
                    return error.reason
                with sock:
                    _read_request(sock)
                    sock.sendall(_ANSWER)
                    found: Any = sock.getpeercert()
                    return found["subjectAltName"]

        served = loops.Threaded(serve)
        url = f"https://localhost:{listener.origin.port}/v1"
        if shown:
            assert _stream(way, base_url=url, ssl_context=context) == "moonlight"
            assert served.result() == (("email", "client@example.org"),)
        else:
            with pytest.raises(tokenwire.APIConnectionError):
                _stream(way, base_url=url, ssl_context=context)
            assert served.result() == "PEER_DID_NOT_RETURN_A_CERTIFICATE"


def test_a_port_is_reserved_though_connections_to_it_ended_lately() -> None:
    """A server that is begun again, now with workers: those of the one before are in TIME_WAIT for a minute."""
    with socket.create_server(("127.0.0.1", 0)) as before:
        address = before.getsockname()
        with socket.create_connection(address) as client:
            before.accept()[0].close()
            assert client.recv(1) == b""
    with reserved(*address) as held:
        assert held.getsockname() == address


def _link_locals() -> list[str]:
    """The addresses that are a link's own, and of which link."""
    with contextlib.suppress(OSError), open("/proc/net/if_inet6") as lines:
        found = [(address, link) for address, *_, link in map(str.split, lines) if address.startswith("fe8")]
        return [f"{socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address))}%{link}" for address, link in found]
    return []


def test_an_address_of_one_link() -> None:
    for host in _link_locals() or pytest.skip("no link has one"):
        info = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with bound(info, reuse_port=False) as listening, socket.create_connection((host, listening.getsockname()[1])):
            pass
