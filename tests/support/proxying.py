"""A real HTTP proxy, and an origin behind it: threads and plain sockets, with TLS where it is asked for."""

from __future__ import annotations

import base64
import contextlib
import re
import select
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from support.loops import PATIENCE

_BODY = b'data: {"choices":[{"index":0,"delta":{"content":"moonlight"},"finish_reason":"stop"}]}\n\n'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY


class Accepting:
    """A listener on 127.0.0.1; each connection lives in a thread of its own. Leaving the block ends them all."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        self.failures: list[BaseException] = []
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def life(self, sock: socket.socket) -> None:
        raise NotImplementedError

    def _spawn(self, function: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            with self._lock:
                self._open.add(sock)
            self._spawn(self._serve, sock)

    def _serve(self, bare: socket.socket) -> None:
        bare.settimeout(PATIENCE)
        try:
            # The raw descriptor goes to the TLS socket: `_open` holds what is shut down at the end.
            sock = self._context.wrap_socket(bare, server_side=True) if self._context is not None else bare
            with sock:
                with self._lock:
                    self._open.add(sock)
                self.life(sock)
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side went away, as it may
        except BaseException as error:
            self.failures.append(error)
        finally:
            bare.close()

    def __enter__(self) -> Any:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(PATIENCE)
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        if self.failures:
            raise self.failures[0]


def _request(reader: Any) -> tuple[bytes, bytes]:
    """A request's head and body. Empty where none comes."""
    head, length = b"", 0
    while (line := reader.readline()) not in (b"\r\n", b""):
        head += line
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head, reader.read(length) if length else b""


class Model(Accepting):
    """An origin: answers each request of each connection with the same stream. heads: of the requests."""

    def __init__(self, context: ssl.SSLContext | None = None, answer: bytes = ANSWER) -> None:
        super().__init__(context)
        self._answer = answer
        self.heads: list[bytes] = []

    def life(self, sock: socket.socket) -> None:
        with sock.makefile("rb") as reader:
            while head := _request(reader)[0]:
                self.heads.append(head)
                sock.sendall(self._answer)


class Proxy(Accepting):
    """An HTTP proxy: tunnels for CONNECT, forwards the absolute form. heads: of what it was asked.

    user: "name:password" that it wants, or None. routes: where the hosts are that it can reach ("name:port").
    """

    def __init__(
        self, user: str | None = None, context: ssl.SSLContext | None = None, routes: dict[str, int] | None = None
    ) -> None:
        super().__init__(context)
        self._wanted = None if user is None else b"Basic " + base64.b64encode(user.encode())
        self._routes = routes or {}
        self.heads: list[bytes] = []

    def life(self, sock: socket.socket) -> None:
        with sock.makefile("rb", buffering=0) as reader:  # what follows the head is not the proxy's to buffer
            upstream: socket.socket | None = None
            with contextlib.ExitStack() as stack:
                while head_and_body := self._next(sock, reader, upstream):
                    head, body = head_and_body
                    self.heads.append(head)
                    method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
                    said = re.search(rb"(?i)\r\nproxy-authorization: *([^\r]*)", head)
                    if self._wanted is not None and (said is None or said[1] != self._wanted):
                        sock.sendall(
                            b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n"
                            b'Proxy-Authenticate: Basic realm="tests"\r\n\r\n'
                        )
                        return
                    port = self._routes.get(self._place(method, target))
                    if port is None:
                        sock.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                        return
                    if upstream is None:
                        upstream = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
                    if method == b"CONNECT":
                        # Servers there are that say a length here; RFC 9110, 9.3.6 has it ignored.
                        sock.sendall(b"HTTP/1.1 200 Connection established\r\nContent-Length: 7\r\n\r\n")
                        _relay(sock, upstream)
                        return
                    path = b"/" + target.split(b"/", 3)[3]
                    fields = re.sub(rb"(?i)\r\nproxy-authorization:[^\r]*", b"", head.split(b" ", 2)[2])
                    upstream.sendall(method + b" " + path + b" " + fields + b"\r\n" + body)

    def _next(self, sock: socket.socket, reader: Any, upstream: socket.socket | None) -> tuple[bytes, bytes] | None:
        """The next request; what the origin says meanwhile goes to the client."""
        while upstream is not None:
            if _ready(sock, upstream) is sock:
                break
            data = upstream.recv(65_536)
            if not data:
                return None
            sock.sendall(data)
        head, body = _request(reader)
        return (head, body) if head else None

    @staticmethod
    def _place(method: bytes, target: bytes) -> str:
        if method == b"CONNECT":
            return target.decode()
        place = target.decode().split("/")[2]
        return place if ":" in place else f"{place}:80"


def _ready(*socks: socket.socket) -> socket.socket:
    """One that can be read."""
    for sock in socks:
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return sock
    found: list[socket.socket] = select.select(socks, [], [], PATIENCE)[0]
    return found[0]


def _relay(one: socket.socket, two: socket.socket) -> None:
    """Both ways, until either ends. One thread: an SSLSocket is not for two."""
    while True:
        ready = _ready(one, two)
        data = ready.recv(65_536)
        if not data:
            return
        (two if ready is one else one).sendall(data)
