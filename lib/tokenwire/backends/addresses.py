"""The addresses of a host, in the order in which they are to be tried (RFC 8305)."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

__all__ = ["DELAY", "Address", "in_turns", "numeric"]

#: What a socket is made of, and connected to.
Address: TypeAlias = tuple[int, Any]

#: Seconds until the next address is tried as well (RFC 8305, section 8: 250 ms).
DELAY: Final = 0.25


def numeric(host: str, port: int) -> list[Address]:
    """An address that needs no look-up, and so no thread; nothing for a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return [(family, (host, port))]
    return []


def in_turns(host: str, found: Iterable[tuple[Any, ...]]) -> list[Address]:
    """What getaddrinfo found, the families taking turns (RFC 8305, section 4). Raises OSError for nothing."""
    addresses: list[Address] = [(family, address) for family, _, _, _, address in found]
    if not addresses:
        raise OSError(f"{host} has no address")
    first = [one for one in addresses if one[0] == addresses[0][0]]
    others = [one for one in addresses if one[0] != addresses[0][0]]
    turns: list[Address] = []
    while first or others:
        turns += first[:1] + others[:1]
        del first[:1], others[:1]
    return turns
