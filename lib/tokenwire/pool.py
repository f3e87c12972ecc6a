"""Pool: who owns which connection.

Theory of operation. A connection is in one of three states:

    IDLE      nobody uses it; the next request may.
    ACTIVE    one exchange owns it.
    DRAINING  its stream has ended (the terminal event came), but not yet its body:
              the last chunk is still under way. Whoever acquires it next finishes it
              with a read that does not wait.

A slot is a connection, or the right to make one. There are `max_connections` of
them. A slot is taken by `acquire` and given back by `release` or `discard`, and by
nothing else. Given back while others wait, it goes to the one who has waited
longest, by hand, so that nobody overtakes.

Every mutation is synchronous and stands behind one lock, so a cancellation can only
fall between two consistent states, and `Client` may be used from many threads. The
lock is reentrant: a garbage collection inside it may close a stream.

There are no background tasks. Connections that idled too long go at the next acquire.
"""

from __future__ import annotations

import bisect
import enum
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from tokenwire.backends.base import Backend, Event, Origin, Transport
from tokenwire.errors import PoolTimeoutError, RemoteProtocolError
from tokenwire.policy import DEFAULT_LIMITS, Limits
from tokenwire.wire.http1 import ClientConnection

if TYPE_CHECKING:
    import ssl

__all__ = ["Connection", "Pool", "State"]


class State(enum.Enum):
    """What a connection is doing."""

    IDLE = "idle"
    ACTIVE = "active"
    DRAINING = "draining"
    CLOSED = "closed"


class Connection:
    """One connection: its transport, and its HTTP. Owned by one exchange while ACTIVE."""

    __slots__ = ("http", "idle_since", "origin", "state", "transport")

    def __init__(self, origin: Origin, transport: Transport, limits: Limits) -> None:
        self.origin = origin
        self.transport = transport
        self.http = ClientConnection(limits)
        self.state = State.ACTIVE
        self.idle_since = 0.0

    @property
    def used(self) -> bool:
        """Whether it has carried a request before: it may have gone stale."""
        return self.http.cycles > 0

    def __repr__(self) -> str:
        return f"<Connection {self.origin.host}:{self.origin.port} {self.state.value}>"


def _idle_since(connection: Connection) -> float:
    return connection.idle_since


class _Waiter:
    """One who waits for a slot. granted: a connection, or True for the right to make one."""

    __slots__ = ("event", "granted", "origin")

    def __init__(self, origin: Origin, event: Event) -> None:
        self.origin = origin
        self.event = event
        self.granted: Connection | bool = False


class Pool:
    """The connections of one client."""

    def __init__(
        self, backend: Backend, limits: Limits = DEFAULT_LIMITS, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self.backend = backend
        self._limits = limits
        self._ssl_context = ssl_context
        self._lock = threading.RLock()
        self._unused: list[Connection] = []  # IDLE and DRAINING, the longest unused first
        self._slots = 0  # taken: the unused, the active, and those being made
        self._waiters: deque[_Waiter] = deque()
        self._closed = False
        self._pid = os.getpid()
        self._token: Any = None
        self.made = 0

    # -- what others ask ------------------------------------------------------------

    async def acquire(self, origin: Origin, *, connect: float | None, deadline: float | None) -> Connection:
        """A connection to this origin, ACTIVE: one that is there, or a new one. A checkpoint.

        connect: seconds that making one may take. deadline: when to give up at all.
        Raises PoolTimeoutError, TimeoutError (connect), OSError. Cancelled, it has
        taken nothing.
        """
        self._belongs_here()
        unfinished: list[Connection] = []
        while True:
            with self._lock:
                self._expire()
                found: Connection | bool | _Waiter = self._take(origin, unfinished)
            if isinstance(found, _Waiter):
                found = await self._wait(found, deadline)
            if found is True:
                return await self._connect(origin, connect, deadline)
            assert isinstance(found, Connection)
            if await self._fits(found):
                return found
            unfinished.append(found)

    def release(self, connection: Connection) -> None:
        """Give back a connection whose response is over: it is kept if it can be, else closed. Synchronous."""
        with self._lock:
            if connection.state is not State.ACTIVE:
                return
            http = connection.http
            if http.reusable:
                connection.state = State.IDLE
            elif http.persists and not http.finished:
                connection.state = State.DRAINING
            else:
                self._close(connection)
                return
            if self._closed or self._pid != os.getpid() or self._dead_loop():
                self._close(connection)
                return
            http.buffer.shrink()
            connection.idle_since = self.backend.now()
            if self._waiters:
                self._grant(connection)
                return
            self._unused.append(connection)
            while len(self._unused) > self._limits.max_idle:
                self._close(self._unused[0])

    def discard(self, connection: Connection) -> None:
        """Close a connection, whatever it was doing. Synchronous, idempotent."""
        with self._lock:
            self._close(connection)

    def close(self) -> None:
        """Close all that is unused; what is active closes when it is given back. Synchronous, idempotent."""
        with self._lock:
            self._closed = True
            for connection in list(self._unused):
                self._close(connection)

    def counts(self) -> dict[str, int]:
        """How many connections are idle, draining, active (being made, included), and how many callers wait."""
        with self._lock:
            idle = sum(connection.state is State.IDLE for connection in self._unused)
            return {
                "idle": idle,
                "draining": len(self._unused) - idle,
                "active": self._slots - len(self._unused),
                "waiting": len(self._waiters),
            }

    # -- inside, under the lock -------------------------------------------------------

    def _take(self, origin: Origin, unfinished: list[Connection]) -> Connection | bool | _Waiter:
        """A connection but these, or True for the right to make one, or a place in the queue."""
        if not self._waiters:
            # The one used last: it is the likeliest to be alive.
            for connection in reversed(self._unused):
                if connection.origin == origin and connection not in unfinished:
                    self._unused.remove(connection)
                    return connection
            if self._slots < self._limits.max_connections:
                self._slots += 1
                return True
            if self._unused:
                self._close(self._unused[0])
                self._slots += 1
                return True
        waiter = _Waiter(origin, self.backend.event())
        self._waiters.append(waiter)
        return waiter

    def _grant(self, connection: Connection | None) -> None:
        """Hand a slot, with its connection or empty, to who waits longest. The slot stays taken."""
        waiter = self._waiters.popleft()
        if connection is not None and connection.origin != waiter.origin:
            self._shut(connection)
            connection = None
        waiter.granted = True if connection is None else connection
        waiter.event.set()

    def _give_back(self) -> None:
        """One slot is free again."""
        if self._waiters:
            self._grant(None)
        else:
            self._slots -= 1

    def _close(self, connection: Connection) -> None:
        if connection.state is not State.CLOSED:
            if connection in self._unused:
                self._unused.remove(connection)
            self._shut(connection)
            self._give_back()

    @staticmethod
    def _shut(connection: Connection) -> None:
        connection.state = State.CLOSED
        connection.transport.abort()

    def _expire(self) -> None:
        oldest = self.backend.now() - self._limits.idle_expiry
        while self._unused and self._unused[0].idle_since < oldest:
            self._close(self._unused[0])

    # -- inside, awaiting ---------------------------------------------------------------

    async def _wait(self, waiter: _Waiter, deadline: float | None) -> Connection | bool:
        patience = self._limits.pool_timeout
        until = None if patience is None else self.backend.now() + patience
        if deadline is not None:
            until = deadline if until is None else min(until, deadline)
        try:
            await waiter.event.wait(until)
        except BaseException:
            self._leave(waiter)
            raise
        if waiter.granted is False:
            self._leave(waiter)
            if deadline is not None and until == deadline:
                raise TimeoutError
            raise PoolTimeoutError(
                f"no connection became free within {patience:g} seconds (Limits.pool_timeout): "
                f"all {self._limits.max_connections} are in use (Limits.max_connections)"
            )
        return waiter.granted

    def _leave(self, waiter: _Waiter) -> None:
        """Stop to wait. What was granted meanwhile goes to the next."""
        with self._lock:
            if waiter.granted is False:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
            elif waiter.granted is True:
                self._give_back()
            else:
                assert isinstance(waiter.granted, Connection)
                waiter.granted.state = State.ACTIVE
                self.release(waiter.granted)

    async def _connect(self, origin: Origin, seconds: float | None, deadline: float | None) -> Connection:
        until = None if seconds is None else self.backend.now() + seconds
        if deadline is not None:
            until = deadline if until is None else min(until, deadline)
        try:
            context = self._context() if origin.scheme == "https" else None
            transport = await self.backend.connect(origin, context, until)
        except BaseException:
            with self._lock:
                self._give_back()
            raise
        self.made += 1
        return Connection(origin, transport, self._limits)

    async def _fits(self, connection: Connection) -> bool:
        """Finish a connection that drains, and see whether one that idles is still alive."""
        http = connection.http
        try:
            while True:
                got = await connection.transport.poll(http.buffer)
                if got is None:
                    break
                if got == 0 or connection.state is State.IDLE:
                    self.discard(connection)  # closed by the server, or it spoke out of turn
                    return False
                http.drain()
                if http.finished:
                    break
        except (OSError, RemoteProtocolError):
            self.discard(connection)
            return False
        except BaseException:
            self.discard(connection)
            raise
        if connection.state is State.DRAINING and not http.reusable:
            if http.finished:
                self.discard(connection)
            else:
                self._put_back(connection)
            return False
        connection.state = State.ACTIVE
        return True

    def _put_back(self, connection: Connection) -> None:
        """Its body has not ended yet. This acquire does not wait for that; a later one may find it ended."""
        with self._lock:
            if self._closed:
                self._close(connection)
            elif self._waiters:
                self._grant(connection)
            else:
                bisect.insort(self._unused, connection, key=_idle_since)

    def _context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            from tokenwire.backends.tls import client_context

            self._ssl_context = client_context()
        return self._ssl_context

    # -- loops and forks ----------------------------------------------------------------

    def _belongs_here(self) -> None:
        """Refuse a second loop, forget a parent's sockets, refuse after close."""
        if self._closed:
            raise RuntimeError("this client is closed")
        if self._pid != os.getpid():
            # A fork: these sockets are the parent's. Closing our descriptors does not close theirs;
            # writing would.
            self._lock = threading.RLock()
            self._pid = os.getpid()
            for connection in self._unused:
                self._shut(connection)
            self._unused = []
            self._waiters = deque()
            self._slots = 0
            self._token = None
        token = self.backend.token()
        if self._token is None:
            self._token = token
        elif self._token is not token:
            raise RuntimeError(
                "this AsyncClient belongs to the event loop that first used it, and now another one runs: "
                "make one client per loop"
            )

    def _dead_loop(self) -> bool:
        """Whether the loop that the connections belong to is not the one running here (a late finalizer)."""
        if self._token is None:
            return False
        try:
            return self.backend.token() is not self._token
        except RuntimeError:
            return True
