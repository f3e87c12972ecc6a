"""The origin: says pre-encoded answers over raw sockets, in a process of its own.

Theory of operation. One thread, one epoll, no HTTP library: every byte of every answer
is made before the clock starts, so that a token costs the origin one `send` (paced) or a
small part of one (firehose, 256 KiB a call). Its own CPU per token is part of each result.

What it says stands in the path, so that any client needs only another base URL:

    /{plan}-{kind}-{tokens}[-{interval_us}]/v1/chat/completions    or .../v1/responses

    plan  once      all of it in one write, at once (the request scenario)
          firehose  opening; after GO the rest, as fast as the socket takes it
          paced     opening; after GO one token each interval, streams evenly out of phase
          idle      opening and then nothing, for ever
    kind  text, json, tools (see payloads.py)

Opening is the head and the events before the first token. GO is a line on the control
port: the client says it once all its streams are open, so that no set-up is in the window.

The control port speaks lines: GO (start what waits), STAMPS (when the tokens of numbered
paced streams were sent), STATS (one line of JSON: CPU seconds
used, tokens sent, the worst lateness in seconds of a paced token since the last STATS),
RESET (forget all that is running). The origin ends when its control listener's first
peer is gone and standard input is closed.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import resource
import select
import socket
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from payloads import Script, script

SEND_AT_ONCE = 256 * 1024
PR_SET_TIMERSLACK = 29
FIRST_TICK = 0.02  # seconds between GO and the first paced token


@dataclass(slots=True)
class Connection:
    sock: socket.socket
    handshaking: bool = False
    inbox: bytearray = field(default_factory=bytearray)
    outbox: memoryview | None = None  # what the socket would not take yet
    script: Script | None = None
    plan: str = ""
    interval: float = 0.0
    stream: str = ""  # its number, where the client gave it one


@dataclass(slots=True)
class Parade:
    """Paced streams that were released together: tick k of stream n is due at start + (k + n / N) * interval."""

    members: list[Connection]
    script: Script
    start: float
    step: float
    next: int = 0


class Origin:
    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.epoll = select.epoll()
        self.handlers: dict[int, Callable[[int], None]] = {}
        self.connections: dict[int, Connection] = {}
        self.waiting: list[Connection] = []
        self.parades: list[Parade] = []
        self.context = context
        self.tokens = 0
        self.lateness = 0.0
        self.stamps: dict[str, list[float]] = {}  # of numbered streams: when each token was sent
        self.running = True
        self.ports = {"plain": self.listen(False), "control": self.listen_control()}
        if context is not None:
            self.ports["tls"] = self.listen(True)
        self.watch(sys.stdin.fileno(), self.on_stdin)

    # -- Listening -------------------------------------------------------------

    def watch(self, fd: int, handler: Callable[[int], None], events: int = select.EPOLLIN) -> None:
        self.handlers[fd] = handler
        self.epoll.register(fd, events)

    def unwatch(self, fd: int) -> None:
        self.handlers.pop(fd, None)
        with contextlib.suppress(OSError):
            self.epoll.unregister(fd)

    @staticmethod
    def listener() -> socket.socket:
        # On every address, so that 10,000 clients may also come to 127.0.0.2, .3, ...
        sock = socket.create_server(("0.0.0.0", 0), backlog=4096)
        sock.setblocking(False)
        return sock

    def listen(self, tls: bool) -> int:
        listener = self.listener()

        def accept(_events: int) -> None:
            with contextlib.suppress(BlockingIOError):
                while True:
                    sock, _peer = listener.accept()
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    sock.setblocking(False)
                    if tls:
                        assert self.context is not None
                        sock = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                    connection = Connection(sock, handshaking=tls)
                    self.connections[sock.fileno()] = connection
                    self.epoll.register(sock.fileno(), select.EPOLLIN)

        self.watch(listener.fileno(), accept)
        return int(listener.getsockname()[1])

    # -- One connection --------------------------------------------------------

    def drop(self, connection: Connection) -> None:
        fd = connection.sock.fileno()
        if fd < 0:
            return
        self.unwatch(fd)
        self.connections.pop(fd, None)
        with contextlib.suppress(ValueError):
            self.waiting.remove(connection)
        connection.script = None
        connection.sock.close()

    def on_event(self, connection: Connection, events: int) -> None:
        try:
            if connection.handshaking:
                assert isinstance(connection.sock, ssl.SSLSocket)
                connection.sock.do_handshake()
                connection.handshaking = False
            if connection.outbox is not None:
                self.flush(connection)
            if events & ~select.EPOLLOUT:
                self.read(connection)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self.drop(connection)

    def read(self, connection: Connection) -> None:
        data = connection.sock.recv(65536)
        if not data:
            self.drop(connection)
            return
        inbox = connection.inbox
        inbox += data
        head_end = inbox.find(b"\r\n\r\n")
        if head_end < 0:
            return
        length = 0
        at = inbox[:head_end].lower().find(b"content-length:")
        if at >= 0:
            length = int(inbox[at + 15 : head_end].split(b"\r\n", 1)[0])
        elif b"ransfer-" in inbox[:head_end] and not inbox.endswith(b"0\r\n\r\n"):
            return  # a chunked request: its end is known because it sends nothing after it
        if len(inbox) < head_end + 4 + length:
            return
        target = inbox[: inbox.find(b"\r")].split(b" ")[1].decode()
        inbox.clear()
        self.answer(connection, target)

    def answer(self, connection: Connection, target: str) -> None:
        _, plan, rest = target.split("/", 2)
        name, kind, tokens, *interval = plan.split("-")
        family = "responses" if rest.startswith("v1/responses") else "chat"
        says = script(family, kind, int(tokens))
        if name == "once":
            self.tokens += len(says.ticks)
            self.send(connection, says.whole)
            return
        connection.plan, connection.script = name, says
        connection.stream = rest.partition("?stream=")[2]
        connection.interval = int(interval[0]) / 1e6 if interval else 0.0
        if name != "idle":
            self.waiting.append(connection)
        self.send(connection, says.opening)

    def send(self, connection: Connection, data: bytes) -> None:
        view = memoryview(data)
        if connection.outbox is not None:
            connection.outbox = memoryview(bytes(connection.outbox) + data)
            return
        try:
            if len(view) <= SEND_AT_ONCE:
                sent = connection.sock.send(view)
                if sent == len(view):
                    return
                view = view[sent:]
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self.drop(connection)
            return
        connection.outbox = view
        self.epoll.modify(connection.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def flush(self, connection: Connection) -> None:
        assert connection.outbox is not None
        sent = connection.sock.send(connection.outbox[:SEND_AT_ONCE])
        if sent == len(connection.outbox):
            connection.outbox = None
            self.epoll.modify(connection.sock.fileno(), select.EPOLLIN)
        else:
            connection.outbox = connection.outbox[sent:]

    # -- Control ---------------------------------------------------------------

    def on_stdin(self, _events: int) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            self.running = False

    def listen_control(self) -> int:
        listener = self.listener()

        def accept(_events: int) -> None:
            sock, _peer = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def command(_events: int) -> None:
                said = sock.recv(4096)
                for line in said.split():
                    self.command(sock, line)
                if not said:
                    self.unwatch(sock.fileno())
                    sock.close()

            self.watch(sock.fileno(), command)

        self.watch(listener.fileno(), accept)
        return int(listener.getsockname()[1])

    def command(self, sock: socket.socket, line: bytes) -> None:
        if line == b"GO":
            self.go()
        elif line == b"RESET":
            self.parades.clear()
            for connection in list(self.connections.values()):
                self.drop(connection)
            sock.sendall(b"{}\n")
        elif line == b"STAMPS":
            stamps, self.stamps = self.stamps, {}
            sock.setblocking(True)  # it is long, and nothing else is to be done
            sock.sendall(json.dumps(stamps).encode() + b"\n")
            sock.setblocking(False)
        elif line == b"STATS":
            usage = resource.getrusage(resource.RUSAGE_SELF)
            stats = {
                "cpu": usage.ru_utime + usage.ru_stime,
                "tokens": self.tokens,
                "lateness": self.lateness,
                "open": len(self.connections),
            }
            self.lateness = 0.0
            sock.sendall(json.dumps(stats).encode() + b"\n")

    def go(self) -> None:
        waiting, self.waiting = self.waiting, []
        paced = [c for c in waiting if c.plan == "paced"]
        if paced:
            step = paced[0].interval / len(paced)
            assert paced[0].script is not None
            self.parades.append(Parade(paced, paced[0].script, time.monotonic() + FIRST_TICK, step))
        for connection in waiting:
            if connection.plan == "firehose" and connection.script is not None:
                self.tokens += len(connection.script.ticks)
                self.send(connection, connection.script.body)

    # -- The loop --------------------------------------------------------------

    def tick(self) -> float | None:
        """Send every paced token that is due. Returns the time of the next one, or None where none waits."""
        soonest: float | None = None
        for parade in list(self.parades):
            says, count = parade.script, len(parade.members)
            while True:
                now = time.monotonic()
                due = parade.start + parade.next * parade.step
                if due > now:
                    soonest = due if soonest is None else min(due, soonest)
                    break
                self.lateness = max(self.lateness, now - due)
                number, which = divmod(parade.next, count)
                if number > len(says.ticks):
                    self.parades.remove(parade)
                    break
                parade.next += 1
                connection = parade.members[which]
                if connection.script is None:
                    continue  # it has gone
                if number < len(says.ticks):
                    self.tokens += 1
                    if connection.stream:
                        self.stamps.setdefault(connection.stream, []).append(time.monotonic())
                    self.send(connection, says.ticks[number])
                else:
                    self.send(connection, says.closing)
        return soonest

    def run(self) -> None:
        connections, handlers, poll = self.connections, self.handlers, self.epoll.poll
        while self.running:
            due = self.tick() if self.parades else None
            for fd, events in poll(None if due is None else 0):
                connection = connections.get(fd)
                if connection is not None:
                    self.on_event(connection, events)
                elif fd in handlers:
                    handlers[fd](events)
            if due is not None:
                # epoll counts in milliseconds, which is longer than the gap between two tokens of 200 streams.
                gap = due - time.monotonic()
                if gap > 0:
                    time.sleep(min(gap, 0.002))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core", type=int, help="pin to this core")
    parser.add_argument("--cert", help="PEM file with a certificate and its key: serve TLS too")
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)  # sleeps end when they should, not 50 us later
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = None
    if options.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.cert)
    origin = Origin(context)
    print(json.dumps(origin.ports), flush=True)
    origin.run()


if __name__ == "__main__":
    main()
