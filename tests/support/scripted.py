"""A real loopback server inside the test's own event loop: no thread, no clock, no sleeping.

`pump` does what there is to do on its sockets, without waiting. A test calls it in every round
of its loop, and so decides by itself what has come, and what not yet, at each step of its client.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from support.loops import PATIENCE, server_side
from tokenwire.backends.base import Backend

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class _Connection:
    """One accepted connection, and what is still to be sent on it."""

    def __init__(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.shaking = tls is not None
        self.sock = sock
        if tls is not None:
            self.sock = tls.wrap_socket(
                sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
            )
        self.asked = b""
        self.pieces: deque[bytes] = deque()


class Scripted:
    """answer(head and body of a request): the pieces of its answer.

    free: send them all at once. Else one for each `credit`, which `pump` uses up.
    gulp: bytes that one pump reads, at the most, of a connection. chore: called once, by the next pump.
    window: what a client may send ahead, in bytes.
    """

    def __init__(
        self, *, tls: bool = False, host: str = "127.0.0.1", gulp: int = 1 << 20, window: int | None = None
    ) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        if window is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)  # what it accepts inherits it
        self._listener.setblocking(False)
        self._knocks = select.poll()
        self._knocks.register(self._listener, select.POLLIN)
        self._context = server_side() if tls else None
        self.url = f"http{'s' if tls else ''}://{host}:{self._listener.getsockname()[1]}/v1"
        self.answer: Callable[[bytes], list[bytes]] = lambda request: []
        self.free = True
        self.credit = False
        self.gulp = gulp
        self.chore: Callable[[], object] | None = None
        self.accepted = 0
        self.open: list[_Connection] = []

    def close(self) -> None:
        self._listener.close()
        for one in self.open:
            one.sock.close()

    def pump(self) -> None:
        """Accept, read and send what can be, now."""
        chore, self.chore = self.chore, None
        if chore is not None:
            chore()
        while self._knocks.poll(0):  # `accept` would tell of nobody by an exception, each time
            sock, _ = self._listener.accept()
            self.accepted += 1
            self.open.append(_Connection(sock, self._context))
        for one in list(self.open):
            try:
                alive = self._serve(one)
            except (BlockingIOError, ssl.SSLWantReadError):
                alive = True
            except (ConnectionError, ssl.SSLError):
                alive = False
            if not alive:
                one.sock.close()
                self.open.remove(one)

    def _serve(self, one: _Connection) -> bool:
        """Whether it is still open."""
        if one.shaking:
            one.sock.do_handshake()  # type: ignore[attr-defined]
            one.shaking = False
        try:
            data = one.sock.recv(self.gulp)
            if not data:
                return False
            one.asked += data
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        head, blank, body = one.asked.partition(b"\r\n\r\n")
        if blank:
            length = _LENGTH.search(head)
            if len(body) >= (int(length[1]) if length else 0):
                one.asked = b""
                one.pieces.extend(self.answer(head + blank + body))
        while one.pieces and (self.free or self.credit):
            self.credit = False
            one.sock.send(one.pieces.popleft())
        return True

    async def serve(self, backend: Backend) -> None:
        """Pump in every round of the loop, until cancelled."""
        patience = time.monotonic() + 3 * PATIENCE
        while True:
            self.pump()
            await backend.checkpoint()
            assert time.monotonic() < patience, "the client is stuck"


async def until(backend: Backend, condition: Callable[[], Any]) -> None:
    """Let others run until this holds."""
    patience = time.monotonic() + PATIENCE
    while not condition():
        await backend.checkpoint()
        assert time.monotonic() < patience, "what should have come about did not"
