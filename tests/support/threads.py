"""A server of threads and plain sockets, one thread for each connection; it counts."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

#: Longer than anything here takes: only a test that fails waits this long.
PATIENCE = 20.0


class ThreadServer:
    """Calls life(socket, its requests' bodies) for each connection. accepted, answered: how many so far."""

    def __init__(self, life: Callable[[socket.socket, Iterator[bytes]], Any]) -> None:
        self._life = life
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.accepted = self.answered = 0
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._main = threading.Thread(target=self._accept)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        with sock, sock.makefile("rb") as reader, contextlib.suppress(ConnectionError):  # the client has gone
            self._life(sock, self._requests(reader))

    def _requests(self, reader: Any) -> Iterator[bytes]:
        while reader.readline():
            length = 0
            while (line := reader.readline().strip()) != b"":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            yield reader.read(length)
            with self._lock:
                self.answered += 1

    def __enter__(self) -> ThreadServer:
        self._main.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._main.join(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
