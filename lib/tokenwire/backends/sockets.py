"""Sockets that listen, and what every TCP connection of ours is set to, whichever library runs it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from typing import Any, Final

from tokenwire.policy import is_timeout
from tokenwire.wire.buffer import ReceiveBuffer

__all__ = ["bound", "bound_unix", "reserved", "rest_of", "tune"]

#: Keep-alive, in seconds and probes, where the platform lets us say. Idle 60: well within the shortest time after which
#: gateways forget a silent connection (Azure 240 s, AWS 350 s). A peer that has vanished is noticed after 60 + 5 x 30
#: seconds, even by who waits without a clock. TCP_KEEPALIVE is what macOS calls TCP_KEEPIDLE.
_KEEP_ALIVE: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPALIVE": 60, "TCP_KEEPINTVL": 30, "TCP_KEEPCNT": 5}

#: Bytes that the kernel takes from us ahead of what it can send. By default it takes megabytes for a peer that reads
#: slowly: who sends would notice late that nobody reads, and a thousand such peers would cost gigabytes.
_NOT_SENT: Final = 65_536

#: Connections that the kernel holds for us until we accept them.
_BACKLOG: Final = 1024


def bound(info: Any, *, reuse_port: bool) -> socket.socket:
    """A socket that listens at the address of a getaddrinfo answer. Raises OSError."""
    family, _, _, _, address = info
    # The whole address: a link's own (fe80::1%eth0) says its link in its fourth part.
    sock = socket.create_server(address, family=family, backlog=_BACKLOG, reuse_port=reuse_port)
    sock.setblocking(False)
    return sock


def reserved(host: str, port: int) -> socket.socket:
    """A socket that keeps this port for those who share it, and does not listen itself. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # As create_server has it: connections that ended lately, of one who did not share it, are in nobody's way.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


def bound_unix(path: str) -> socket.socket:
    """A Unix socket that listens at this path. A socket there that nobody listens at any more, as a process that was
    killed leaves it behind, makes way. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            sock.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _abandoned(path):
                raise
            os.unlink(path)
            sock.bind(path)
        sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _abandoned(path: str) -> bool:
    if not stat.S_ISSOCK(os.lstat(path).st_mode):  # to connect to a file is refused, too
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # where many wait to be accepted, somebody listens
        return probe.connect_ex(path) == errno.ECONNREFUSED


def tune(sock: Any) -> None:
    """TCP_NODELAY, SO_KEEPALIVE, TCP_NOTSENT_LOWAT for a socket of TCP, or what stands for one; nothing for others.

    Without the first a token waits up to 40 ms for the acknowledgement of the last one. A platform that
    refuses (macOS: EINVAL on a connection that was reset meanwhile) is not asked again: none of it is needed.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (*_KEEP_ALIVE.items(), ("TCP_NOTSENT_LOWAT", _NOT_SENT)):
            option = getattr(socket, name, None)
            if option is not None:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
    except OSError as error:
        if is_timeout(error):  # no word of the platform's: a signal handler's
            raise


def rest_of(sock: socket.socket, early: ReceiveBuffer, unseen: int) -> ReceiveBuffer:
    """What a broken connection has brought and nobody has seen: the last unseen bytes of a buffer, which leave it, and
    behind them what the kernel still holds, as far as there is room."""
    rest = ReceiveBuffer()
    rest.feed(memoryview(early.data)[early.end - unseen : early.end])
    early.end -= unseen
    with contextlib.suppress(OSError):  # the kernel holds no more
        while not rest.full and (count := sock.recv_into(rest.get_buffer())):
            rest.buffer_updated(count)
    return rest
