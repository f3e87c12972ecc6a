"""The floor: bare epoll and recv_into one reused buffer. Bytes are counted, nothing is parsed."""

from __future__ import annotations

import select
import socket

from harness import Call, Lap, Tally

LABEL = "bare epoll + recv_into"
KIND = "whole"
GROUP = "floor"
LOOPS = ("none",)
SCENARIOS = ("firehose", "paced", "paced-slow", "coalesce")
PACKAGES: tuple[str, ...] = ()


def connect(call: Call) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", call.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def receive_opening(sock: socket.socket, size: int) -> None:
    left = size
    while left:
        left -= len(sock.recv(left))


def run(call: Call, lap: Lap) -> Tally:
    opening, body = len(call.script.opening), len(call.script.body)
    epoll = select.epoll()
    socks: dict[int, socket.socket] = {}
    for _ in range(call.streams):
        sock = connect(call)
        sock.sendall(call.raw_request())
        receive_opening(sock, opening)
        sock.setblocking(False)
        socks[sock.fileno()] = sock
        epoll.register(sock.fileno(), select.EPOLLIN)
    buffer = memoryview(bytearray(65536))
    left = dict.fromkeys(socks, body)
    for _ in socks:
        lap.open()
    running = len(socks)
    while running:
        for fd, _events in epoll.poll():
            left[fd] -= socks[fd].recv_into(buffer)
            if not left[fd]:
                running -= 1
    for sock in socks.values():
        lap.close()
        sock.close()
    epoll.close()
    each = call.expected()
    return Tally(each.tokens * call.streams, each.chars * call.streams)
