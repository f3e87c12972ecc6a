"""Connections: what a pool keeps, and who waits for one."""

from __future__ import annotations

import enum

from tokenwire.backends.base import Event, Origin, Transport
from tokenwire.policy import Limits
from tokenwire.wire.http1 import ClientConnection

__all__ = ["Connection", "State", "Waiter"]


class State(enum.Enum):
    """What a connection is doing."""

    IDLE = "idle"
    ACTIVE = "active"
    DRAINING = "draining"
    CLOSED = "closed"


class Connection:
    """One connection: its transport, and its HTTP. Owned by one exchange while ACTIVE."""

    __slots__ = ("http", "idle_since", "loop", "origin", "pid", "state", "transport")

    def __init__(self, origin: Origin, transport: Transport, limits: Limits, pid: int, loop: object) -> None:
        self.origin = origin
        self.transport = transport
        self.pid, self.loop = pid, loop  # where it was made
        self.http = ClientConnection(limits, lean=True)
        self.state = State.ACTIVE
        self.idle_since = 0.0

    @property
    def used(self) -> bool:
        """Whether it has carried a request before: it may have gone stale."""
        return self.http.cycles > 0

    def __repr__(self) -> str:
        return f"<Connection {self.origin.host}:{self.origin.port} {self.state.value}>"


class Waiter:
    """One who waits for a slot. connection: the one that came with it, or None for the right to make one."""

    __slots__ = ("connection", "event", "has_slot", "origin")

    def __init__(self, origin: Origin, event: Event) -> None:
        self.origin = origin
        self.event = event
        self.has_slot = False
        self.connection: Connection | None = None
