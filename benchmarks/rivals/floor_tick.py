"""The floor of coalescing: once in 20 ms, one epoll_wait for all sockets and one recv_into for each that is readable.

Bytes are counted, nothing is parsed. It says what is left to save where each read brings one token.
"""

from __future__ import annotations

import select
import socket
import time

from harness import Call, Lap, Tally

from rivals.floor_epoll import connect, receive_opening

LABEL = "bare epoll + recv_into, each 20 ms"
KIND = "whole"
GROUP = "floor"
LOOPS = ("none",)
SCENARIOS = ("coalesce",)
PACKAGES: tuple[str, ...] = ()

TICK = 0.02


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
        time.sleep(TICK)
        for fd, _events in epoll.poll(0, len(socks)):
            left[fd] -= socks[fd].recv_into(buffer)
            if not left[fd]:
                epoll.unregister(fd)
                running -= 1
    for sock in socks.values():
        lap.close()
        sock.close()
    epoll.close()
    each = call.expected()
    return Tally(each.tokens * call.streams, each.chars * call.streams)
