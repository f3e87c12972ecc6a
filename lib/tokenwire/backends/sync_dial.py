"""Connecting by plain sockets: several addresses at once (RFC 8305), without a thread.

Theory of operation. Every attempt is a connect(2) that does not block, and one poll(2)
waits for all of them. Another begins when the one before has failed, or has had its head
start. The first that stands is taken; whatever else was opened is closed, however
`dial` is left.
"""

from __future__ import annotations

import errno
import math
import os
import select
import socket
import time
from typing import Any, Final

from tokenwire.backends.addresses import DELAY, in_turns, numeric

__all__ = ["LONGEST", "dial", "dial_path", "milliseconds"]

#: Seconds. poll(2) counts milliseconds in an int: whoever waits longer asks again after so many.
LONGEST: Final = 1e6

#: What a connect(2) that goes on says.
_PENDING = (errno.EINPROGRESS, errno.EINTR)


def milliseconds(seconds: float) -> int:
    """As poll(2) counts them: rounded up, so that it is never early."""
    return math.ceil(min(seconds, LONGEST) * 1000)


def dial(host: str, port: int, deadline: float | None) -> socket.socket:
    """A non-blocking socket that is connected to the first of the host's addresses that answers.

    Raises OSError, that of the first to fail where none answers; TimeoutError (without an errno) at the deadline,
    which is for all of them together. Looking up a name has no deadline: getaddrinfo(3) knows none.
    """
    addresses = numeric(host, port) or in_turns(host, socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    poll = select.poll()
    trying: dict[int, socket.socket] = {}
    failures: list[OSError] = []
    try:
        while addresses or trying:
            turn = None
            if addresses:
                try:
                    sock = _begin(*addresses.pop(0))
                except OSError as error:
                    failures.append(error)
                    continue
                trying[sock.fileno()] = sock
                poll.register(sock, select.POLLOUT)
                turn = time.monotonic() + DELAY
            # Until one stands, one fails, or it is the next one's turn.
            for number, _ in _wait(poll, turn if addresses else None, deadline):
                failed = trying[number].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not failed:
                    return trying.pop(number)
                poll.unregister(number)
                trying.pop(number).close()
                failures.append(OSError(failed, os.strerror(failed)))
    finally:
        for sock in trying.values():
            sock.close()
    raise failures[0]


def dial_path(path: str, deadline: float | None) -> socket.socket:
    """A socket that is connected to a Unix socket. Raises as `dial`."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        left = math.inf if deadline is None else max(1e-3, deadline - time.monotonic())
        sock.settimeout(left if left <= LONGEST else None)
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def _begin(family: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        failed = sock.connect_ex(address)
        if failed and failed not in _PENDING:
            raise OSError(failed, os.strerror(failed))
    except BaseException:
        sock.close()
        raise
    return sock


def _wait(poll: select.poll, turn: float | None, deadline: float | None) -> list[tuple[int, int]]:
    """Who has something to tell: nobody where the next one's turn has come. Raises TimeoutError at the deadline."""
    until = min((at for at in (turn, deadline) if at is not None), default=None)
    if until is None:
        return poll.poll()
    left = max(0.0, until - time.monotonic())
    ready = poll.poll(milliseconds(left))
    if not ready and until == deadline and left <= LONGEST:
        raise TimeoutError
    return ready
