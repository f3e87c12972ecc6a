"""Connecting under asyncio, on any event loop.

Theory of operation. asyncio's own create_connection can stagger its attempts
(RFC 8305), but leaves the losers' tasks behind when it is cancelled; uvloop's cannot
stagger at all. Here every attempt is awaited before `dial` is left, however it is left,
and every socket that is not handed out is closed.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, TypeVar

from tokenwire.backends.addresses import DELAY, Address, in_turns, numeric

__all__ = ["dial", "settle"]

T = TypeVar("T")


async def dial(host: str, port: int) -> socket.socket:
    """A non-blocking socket that is connected to the first of the host's addresses that answers.

    Raises OSError, the first address's where none answers. Cancelled, it has closed all it opened.
    """
    addresses = numeric(host, port) or await _resolve(host, port)
    if len(addresses) == 1:
        return await _attempt(*addresses[0])
    running: list[asyncio.Task[socket.socket]] = []
    failures: list[BaseException] = []
    winner: socket.socket | None = None
    try:
        while addresses or running:
            if addresses:
                running.append(asyncio.ensure_future(_attempt(*addresses.pop(0))))
            done, _ = await asyncio.wait(
                running, timeout=DELAY if addresses else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                error = task.exception()
                if error is not None:
                    running.remove(task)
                    failures.append(error)
                elif winner is None:
                    running.remove(task)
                    winner = task.result()
            if winner is not None:
                return winner
    finally:
        again = await settle(running)
        for task in running:
            if not task.cancelled() and task.exception() is None:
                task.result().close()  # it answered as well, too late
        if again is not None:
            if winner is not None:
                winner.close()
            raise again
    raise failures[0]


async def settle(tasks: list[asyncio.Task[T]]) -> asyncio.CancelledError | None:
    """Cancel what still runs, and wait until all has ended.

    If it is cancelled itself meanwhile, the children still come first: it returns that
    cancellation, for the caller to raise.
    """
    again: asyncio.CancelledError | None = None
    for task in tasks:
        task.cancel()
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            again = error
    return again


async def _attempt(family: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _resolve(host: str, port: int) -> list[Address]:
    """All addresses of a host, in the order in which to try them."""
    return in_turns(host, await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM))
