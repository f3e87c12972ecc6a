"""TLS through the public face, on every backend and event loop."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import truststore

import tokenwire
from support import loops
from support.loops import Way, ways
from tokenwire.backends.tls import client_context, server_context

_EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":%b}]}\n\n'
_BODY = _EVENT % (b"moon", b"null") + _EVENT % (b"light", b'"stop"')
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


class Serving:
    """A TLS server in a thread: answers each request of each connection with the same stream.

    closing: how a connection ends behind an answer: "keep", "goodbye" (close_notify), "rude" (without).
    """

    def __init__(self, context: ssl.SSLContext, closing: str) -> None:
        self._context = context
        self._closing = closing
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._sock.getsockname()[1]
        self.accepts = 0
        self.protocols: list[str | None] = []  # by ALPN
        self._served = loops.Threaded(self._serve)

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._sock.accept()
            except OSError:
                return
            self.accepts += 1
            sock.settimeout(loops.PATIENCE)
            # Those who do not trust us leave in the middle of a handshake.
            with contextlib.suppress(OSError), sock, self._context.wrap_socket(sock, server_side=True) as secured:
                self.protocols.append(secured.selected_alpn_protocol())
                self._answer(secured)

    def _answer(self, sock: ssl.SSLSocket) -> None:
        with sock.makefile("rb") as requests:
            while requests.readline():
                length = 0
                while (line := requests.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                requests.read(length)
                if self._closing == "keep":
                    sock.sendall(_HEAD + b"Content-Length: %d\r\n\r\n" % len(_BODY) + _BODY)
                    continue
                sock.sendall(_HEAD + b"\r\n" + _BODY)
                if self._closing == "goodbye":
                    sock.unwrap()
                return

    def close(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self._served.result()


@contextlib.contextmanager
def serving(*names: str, context: ssl.SSLContext | None = None, closing: str = "keep") -> Iterator[Serving]:
    server = Serving(context or loops.server_side(*names), closing)
    try:
        yield server
    finally:
        server.close()


def _stream(way: Way, port: int, host: str = "localhost", calls: int = 1, **options: Any) -> list[str]:
    """The text of some streams, one after another, through one client."""
    options = {"api_key": "k", "base_url": f"https://{host}:{port}/v1", "max_retries": 0, **options}
    ask: Any = {"model": "m", "messages": [], "stream": True}
    if way.id == "sync":
        with tokenwire.Client(**options) as client:
            return ["".join(client.chat.completions.create(**ask).text()) for _ in range(calls)]

    async def main() -> list[str]:
        found = []
        async with tokenwire.AsyncClient(backend=way.backend, **options) as client:
            for _ in range(calls):
                stream = await client.chat.completions.create(**ask)
                found.append("".join([text async for text in stream.text()]))
        return found

    texts: list[str] = way.run(main)
    return texts


@ways
@pytest.mark.parametrize("closing", ["keep", "goodbye", "rude"])
def test_our_own_context(way: Way, closing: str) -> None:
    with serving(closing=closing) as server:
        assert _stream(way, server.port, calls=3, ssl_context=loops.trusting()) == ["moonlight"] * 3
        assert server.accepts == (1 if closing == "keep" else 3)


@ways
def test_an_untrusted_certificate(way: Way) -> None:
    with serving() as server:
        with pytest.raises(tokenwire.APIConnectionError, match=r"(?i)verify failed.*local issuer") as caught:
            _stream(way, server.port, ssl_context=ssl.create_default_context())
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        with pytest.raises(tokenwire.APIConnectionError, match=r"(?i)certificate verify failed"):
            _stream(way, server.port)  # nor does the platform


@ways
def test_another_hosts_certificate(way: Way) -> None:
    with (
        serving("other.example", "127.0.0.2") as server,
        pytest.raises(tokenwire.APIConnectionError, match=r"(?i)hostname mismatch.*localhost"),
    ):
        _stream(way, server.port, ssl_context=loops.trusting())


@pytest.mark.parametrize("way", [way for way in loops.WAYS if way.id != "anyio-asyncio"], ids=lambda way: way.id)
def test_a_server_that_misses_our_certificate_says_so(way: Way) -> None:
    """By TLS 1.3 it does so when we have begun to send, and then resets the connection: there is more to be read.

    (Not by anyio on asyncio, where a send that fails takes with it what was not read.)
    """
    context = loops.server_side()
    context.verify_mode = ssl.CERT_REQUIRED
    with (
        serving(context=context) as server,
        pytest.raises(tokenwire.APIConnectionError, match=r"certificate required"),
    ):
        # More than a socket takes at once: it is being sent when the reset comes.
        _stream(way, server.port, ssl_context=loops.trusting(), default_headers={"X-Long": "x" * 2_000_000})


@ways
def test_an_address_is_a_name_too(way: Way) -> None:
    with serving("127.0.0.1") as server:
        assert _stream(way, server.port, "127.0.0.1", ssl_context=loops.trusting()) == ["moonlight"]
    with serving("127.0.0.2") as server, pytest.raises(tokenwire.APIConnectionError, match=r"IP address mismatch"):
        _stream(way, server.port, "127.0.0.1", ssl_context=loops.trusting())


@ways
def test_a_context_of_truststore(way: Way) -> None:
    """It checks certificates in hooks of its own, on some platforms behind the handshake."""
    context = client_context()
    loops.authority().configure_trust(context)
    with serving() as server:
        assert _stream(way, server.port, ssl_context=context) == ["moonlight"]


def test_the_default_trusts_what_the_platform_trusts() -> None:
    context = client_context()
    assert isinstance(context, truststore.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="the platform's store is no file there")
@ways
def test_ssl_cert_file(way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "ca.pem"
    loops.authority().cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    with serving() as server:
        assert _stream(way, server.port) == ["moonlight"]


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="the platform's store is no file there")
def test_ssl_cert_file_of_a_new_process(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    loops.authority().cert_pem.write_to_path(str(bundle))
    with serving() as server:
        code = (
            "import tokenwire\n"
            f"c = tokenwire.Client(api_key='k', base_url='https://localhost:{server.port}/v1', max_retries=0)\n"
            "with c: print(''.join(c.chat.completions.create(model='m', messages=[], stream=True).text()))"
        )
        lib = str(Path(tokenwire.__file__).parent.parent)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env={"SSL_CERT_FILE": str(bundle), "PYTHONPATH": lib},
            capture_output=True,
            text=True,
            timeout=loops.PATIENCE,
            check=False,
        )
    assert (done.stdout, done.stderr) == ("moonlight\n", "")


@ways
def test_alpn_and_the_servers_context(way: Way, tmp_path: Path) -> None:
    """Both of our contexts name HTTP/1.1, and no other."""
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate = loops.authority().issue_cert("localhost")
    certificate.private_key_pem.write_to_path(str(key))
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(str(chain), append=True)
    context = server_context(str(chain), str(key))
    trusted = client_context()
    loops.authority().configure_trust(trusted)
    with serving(context=context) as server:
        assert _stream(way, server.port, ssl_context=trusted) == ["moonlight"]
    assert server.protocols == ["http/1.1"]
