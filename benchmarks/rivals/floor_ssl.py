"""The floor under TLS: epoll and SSLSocket.recv_into one reused buffer. Bytes are counted, nothing is parsed."""

from __future__ import annotations

import select
import socket
import ssl

from harness import Call, Lap, Tally

LABEL = "ssl + epoll alone"
KIND = "whole"
GROUP = "floor"
LOOPS = ("none",)
SCENARIOS = ("firehose", "paced", "paced-slow")
PACKAGES: tuple[str, ...] = ()


def run(call: Call, lap: Lap) -> Tally:
    context = ssl.create_default_context(cafile=call.cafile)
    opening, body = len(call.script.opening), len(call.script.body)
    epoll = select.epoll()
    socks: dict[int, ssl.SSLSocket] = {}
    for _ in range(call.streams):
        plain = socket.create_connection(("127.0.0.1", call.tls_port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock = context.wrap_socket(plain, server_hostname="localhost")
        sock.sendall(call.raw_request())
        left = opening
        while left:
            left -= len(sock.recv(left))
        sock.setblocking(False)
        socks[sock.fileno()] = sock
        epoll.register(sock.fileno(), select.EPOLLIN)
    buffer = memoryview(bytearray(65536))
    unread = dict.fromkeys(socks, body)
    for _ in socks:
        lap.open()
    running = len(socks)
    while running:
        for fd, _events in epoll.poll():
            sock = socks[fd]
            try:
                unread[fd] -= sock.recv_into(buffer)
                while sock.pending():
                    unread[fd] -= sock.recv_into(buffer)
            except ssl.SSLWantReadError:
                continue  # half a record
            if not unread[fd]:
                running -= 1
    for sock in socks.values():
        lap.close()
        sock.close()
    epoll.close()
    each = call.expected()
    return Tally(each.tokens * call.streams, each.chars * call.streams)
