"""A real socket that answers with given bytes, to the letter: the same for every client that asks.

The request's X-Vector header names the answer. How the connection ends is part of it.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["Answer", "Loopback", "loopback"]

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_NAME = re.compile(rb"\r\nx-vector: *([^\r]*)", re.IGNORECASE)
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 seconds: close() resets


@dataclass(frozen=True)
class Answer:
    """All that comes on the connection, and then: "open" (it stays so), "eof" or "reset"."""

    data: bytes
    end: str = "open"


@dataclass
class Loopback:
    """url: where it listens. answers: by name; may be added to while it runs. connections: how many it took."""

    url: str
    answers: dict[str, Answer]
    connections: int = 0
    failures: list[BaseException] = field(default_factory=list)


@contextlib.contextmanager
def loopback(answers: Mapping[str, Answer]) -> Iterator[Loopback]:
    """Answer on a free port of 127.0.0.1 until the block ends. What went wrong in a thread is raised here."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    server = Loopback(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", dict(answers))
    open_now: set[socket.socket] = set()
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return  # the block has ended
            server.connections += 1
            open_now.add(sock)
            thread = threading.Thread(target=serve, args=(sock,), daemon=True)
            threads.append(thread)
            thread.start()

    def serve(sock: socket.socket) -> None:
        try:
            with sock:
                while _answer(sock, server.answers):
                    pass
        except OSError:
            pass  # the client went away, as it may
        except BaseException as error:
            server.failures.append(error)
        finally:
            open_now.discard(sock)

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
        for sock in list(open_now):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
    if server.failures:
        raise server.failures[0]


def _answer(sock: socket.socket, answers: Mapping[str, Answer]) -> bool:
    """One request and its answer. Whether another may come on this connection."""
    request = b""
    while b"\r\n\r\n" not in request:
        more = sock.recv(65_536)
        if not more:
            return False
        request += more
    head, _, body = request.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    missing = (int(length[1]) if length else 0) - len(body)
    while missing > 0:
        missing -= len(sock.recv(missing))
    name = _NAME.search(head)
    assert name is not None, "the request names no vector"
    answer = answers[name[1].decode()]
    sock.sendall(answer.data)
    if answer.end == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    return answer.end == "open"
