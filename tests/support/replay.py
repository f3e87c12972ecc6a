"""A server that plays recordings back, over real sockets: plain threads, no event loop, no sleeping.

It reads one request (head, and body by its length), plays the bytes, and reads the next
one, as long as the connection is to stay open.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

#: Longer than anything here takes: only a test that fails waits this long.
PATIENCE = 30.0


class Played:
    """How to answer: the bytes, and how to end.

    end: "eof" closes, "reset" resets, anything else goes on to the next request, or waits for the client to close.
    read: set by the client once it has read what it needs: a reset waits for it, since it makes the client's
        kernel drop what was not read yet (as Linux 6 does).
    """

    def __init__(self, data: bytes, end: str = "open", *, read: threading.Event | None = None) -> None:
        self.data = data
        self.end = end
        self.read = read

    def play(self, sock: socket.socket) -> None:
        sock.sendall(self.data)


class Replay:
    """The server. address: where it listens. accepts: connections so far. requests: what was asked, in order.

    answer(head, body): what to play for a request.
    """

    def __init__(self, answer: Callable[[bytes, bytes], Played]) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.address: tuple[str, int] = self._listener.getsockname()
        self.url = f"http://127.0.0.1:{self.address[1]}/v1"
        self.accepts = 0
        self.requests: list[bytes] = []
        self.failures: list[BaseException] = []

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # closed
            with self._lock:
                self.accepts += 1
                self._open.add(sock)
                thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
                self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            sock.settimeout(PATIENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end = "open"
            with sock.makefile("rb") as requests:
                while end not in ("eof", "reset"):
                    head = self._head(requests)
                    if not head:
                        return
                    length = 0
                    for line in head.lower().split(b"\r\n"):
                        if line.startswith(b"content-length:"):
                            length = int(line.partition(b":")[2])
                    body = requests.read(length)
                    with self._lock:
                        self.requests.append(head + body)
                    played = self._answer(head, body)
                    played.play(sock)
                    end = played.end
                    if end == "reset" and played.read is not None:
                        assert played.read.wait(PATIENCE)
            if end == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except (ConnectionError, TimeoutError):
            pass  # the client left early, as clients do
        except BaseException as error:
            self.failures.append(error)
        finally:
            sock.close()
            with self._lock:
                self._open.discard(sock)

    @staticmethod
    def _head(requests: object) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line: bytes = requests.readline()  # type: ignore[attr-defined]
            if not line:
                return b""
            head += line
        return head

    @contextlib.contextmanager
    def running(self) -> Iterator[Replay]:
        acceptor = threading.Thread(target=self._accept, daemon=True)
        acceptor.start()
        try:
            yield self
        finally:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(2)
            self._listener.close()
            acceptor.join(PATIENCE)
            with self._lock:
                for sock in self._open:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
            for thread in self._threads:
                thread.join(PATIENCE)
            assert not self.failures, self.failures


def replaying(answer: Callable[[bytes, bytes], Played]) -> contextlib.AbstractContextManager[Replay]:
    """A server that runs until the block ends."""
    return Replay(answer).running()
