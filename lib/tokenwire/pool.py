"""Pool: who owns which connection.

Theory of operation. Until it is closed, a connection is in one of three states:

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

After a fork the child's pool begins empty. The connections it inherits are the
parent's: it gives them up there and then, without a word on the wire, also one that a
stream reads. (What the child took from it, the parent would miss.)
"""

from __future__ import annotations

import bisect
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tokenwire.backends.base import Backend, Origin, Transport
from tokenwire.connections import Connection, State, Waiter
from tokenwire.errors import PoolTimeoutError, RemoteProtocolError
from tokenwire.policy import DEFAULT_LIMITS, Limits, is_timeout, rang
from tokenwire.tunnel import connect

if TYPE_CHECKING:
    import ssl

__all__ = ["Overdue", "Pool"]

_log = logging.getLogger("tokenwire")

#: Bytes behind the end of a stream that are worth reading to keep its connection: the last chunk,
#: trailers, a [DONE]. A new connection costs less than more of them.
_DRAIN = 65_536

#: Connections that drain, of which one acquire sees whether they have ended. A look takes rounds of the event loop, and
#: some servers never end a body: a hundred such looks, in a process with a thousand streams, are seconds.
_LOOKS = 4


class Overdue(TimeoutError):
    """One of the caller's own deadlines has passed. clock: which, "connect" or "total"."""

    def __init__(self, clock: str) -> None:
        super().__init__()
        self.clock = clock


def _idle_since(connection: Connection) -> float:
    return connection.idle_since


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
        self._open: set[Connection] = set()  # these and the ACTIVE ones: for a fork's child
        self._slots = 0  # taken: the unused, the active, and those being made
        self._waiters: deque[Waiter] = deque()
        self._closed = False
        self._pid = os.getpid()
        self._token: Any = None
        self.made = 0
        _pools.add(self)

    def __del__(self) -> None:
        for connection in self._unused:
            self._shut(connection)

    # -- what others ask ------------------------------------------------------------

    def check(self) -> None:
        """Refuse to be used after close, and by a second event loop: RuntimeError. Synchronous."""
        if self._closed:
            raise RuntimeError("this client is closed")
        if not self._at_home():
            raise RuntimeError(
                "this AsyncClient belongs to the event loop that first used it, and now another one runs, "
                "or none: make one client per loop"
            )

    async def acquire(self, origin: Origin, *, connect: float | None, deadline: float | None) -> Connection:
        """A connection to this origin, ACTIVE: one that is there, or a new one. A checkpoint.

        connect: seconds that making one may take. deadline: when to give up at all.
        Raises PoolTimeoutError, Overdue, OSError; ProxyError,
        RemoteProtocolError for what a proxy said; RuntimeError as `check`.
        Cancelled, it has taken nothing.
        """
        self.check()
        unfinished: list[Connection] = []
        with self._lock:
            self._expire()
            found: Connection | Waiter | None = self._take(origin)
        if isinstance(found, Waiter):
            found = await self._wait(found, deadline)
        while found is not None:
            # From here on a slot is ours, and stays so until we have something to show for it.
            if await self._fits(found):
                found.state = State.ACTIVE
                return found
            with self._lock:
                found = self._other(found, unfinished)
        return await self._connect(origin, connect, deadline)

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
            if self._closed or not self._at_home():
                self._close(connection)
                return
            http.buffer.shrink()
            connection.idle_since = self.backend.now()
            if self._waiters:
                self._grant(connection)
            else:
                self._keep(connection)

    def discard(self, connection: Connection) -> None:
        """Close a connection, whatever it was doing. Synchronous, idempotent."""
        with self._lock:
            self._close(connection)

    def close(self) -> None:
        """Close all that is unused; what is active closes when it is given back, and whoever waits is
        refused. Synchronous, idempotent."""
        with self._lock:
            self._closed = True
            for connection in list(self._unused):
                self._close(connection)
            for waiter in self._waiters:
                waiter.event.set()

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

    def _take(self, origin: Origin) -> Connection | Waiter | None:
        """A slot: a connection, or None for the right to make one. Else a place in the queue."""
        # While others wait nothing is unused: all that is given back goes to them.
        found = self._unused_one(origin, ())
        if found is not None:
            return found
        if self._slots < self._limits.max_connections:
            self._slots += 1
            return None
        if self._unused:
            self._shut(self._unused.pop(0))
            return None
        waiter = Waiter(origin, self.backend.event())
        self._waiters.append(waiter)
        return waiter

    def _unused_one(self, origin: Origin, but: Sequence[Connection]) -> Connection | None:
        # The one used last: it is the likeliest to be alive.
        for connection in reversed(self._unused):
            if connection.state is State.DRAINING and len(but) >= _LOOKS:
                continue
            if connection.origin == origin and connection not in but:
                self._unused.remove(connection)
                return connection
        return None

    def _other(self, unfit: Connection, unfinished: list[Connection]) -> Connection | None:
        """What to take for one that does not fit, and with its slot: another, or None for the right to make one."""
        other = self._unused_one(unfit.origin, unfinished)
        if unfit.state is State.CLOSED:
            if other is not None:
                self._give_back()
            return other
        # Its body has not ended yet. We do not wait for that; a later acquire may find it ended.
        unfinished.append(unfit)
        if other is None and self._slots >= self._limits.max_connections:  # so it is while others wait
            self._shut(unfit)
            return None
        if other is None:
            self._slots += 1
        self._keep(unfit)
        return other

    def _keep(self, connection: Connection) -> None:
        """Put it among the unused, or close it where that is not wanted any more."""
        if self._closed:
            self._close(connection)
            return
        bisect.insort(self._unused, connection, key=_idle_since)
        while len(self._unused) > self._limits.max_idle:
            self._close(self._unused[0])

    def _grant(self, connection: Connection | None) -> None:
        """Hand a slot, with its connection or empty, to who waits longest. The slot stays taken."""
        waiter = self._waiters.popleft()
        if connection is not None and connection.origin != waiter.origin:
            self._shut(connection)
            connection = None
        waiter.has_slot = True
        waiter.connection = connection
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

    def _shut(self, connection: Connection) -> None:
        connection.state = State.CLOSED
        self._open.discard(connection)
        if connection.loop is not None and connection.pid != os.getpid():
            # A fork's child shares its parent's selector: to close here would deafen the parent.
            _inherited.append(connection)
        else:
            connection.transport.abort()

    def _expire(self) -> None:
        oldest = self.backend.now() - self._limits.idle_expiry
        while self._unused and self._unused[0].idle_since < oldest:
            self._close(self._unused[0])

    # -- inside, awaiting ---------------------------------------------------------------

    async def _wait(self, waiter: Waiter, deadline: float | None) -> Connection | None:
        """Wait for a slot; then as _take."""
        patience = self._limits.pool_timeout
        until = None if patience is None else self.backend.now() + patience
        if deadline is not None:
            until = deadline if until is None else min(until, deadline)
        try:
            await waiter.event.wait(until)
            with self._lock:
                if waiter.has_slot and not self._closed:
                    return waiter.connection
        except BaseException:
            self._leave(waiter)
            raise
        self._leave(waiter)
        self.check()
        if until == deadline:
            raise Overdue("total")
        raise PoolTimeoutError(
            f"no connection became free within {patience:g} seconds (Limits.pool_timeout): "
            f"all {self._limits.max_connections} are in use (Limits.max_connections)"
        )

    def _leave(self, waiter: Waiter) -> None:
        """Wait no more. What was granted meanwhile goes to the next."""
        with self._lock:
            if not waiter.has_slot:
                self._waiters.remove(waiter)
            elif waiter.connection is None:
                self._give_back()
            else:
                waiter.connection.state = State.ACTIVE
                self.release(waiter.connection)

    async def _connect(self, origin: Origin, seconds: float | None, deadline: float | None) -> Connection:
        until = None if seconds is None else self.backend.now() + seconds
        if deadline is not None:
            until = deadline if until is None else min(until, deadline)
        began = self.backend.now()
        transport: Transport | None = None
        try:
            transport = await connect(self.backend, origin, self._context, self._limits, until)
            _log.debug("connected to %s in %.3f seconds", origin.place, self.backend.now() - began)
            connection = Connection(origin, transport, self._limits, self._pid, self._token)
            with self._lock:
                self.made += 1
                self._open.add(connection)
            return connection
        except BaseException as error:
            if transport is not None:
                transport.abort()
            with self._lock:
                self._give_back()
            if rang(error, until, self.backend.now()):
                raise Overdue("total" if until == deadline else "connect") from None
            raise

    async def _fits(self, connection: Connection) -> bool:
        """Finish a connection that drains, and see whether one that idles is still alive.

        One that can never fit is shut, and its slot is still the caller's.
        """
        http, drained = connection.http, 0
        try:
            while True:
                got = await connection.transport.poll(http.buffer)
                if got is None:
                    break
                drained += got
                if got == 0 or http.finished or drained > _DRAIN:
                    self._shut(connection)  # closed by the server, or it spoke out of turn, or on and on
                    return False
                http.drain()
            if drained:
                _log.debug("%r: drained %d bytes of its last answer", connection, drained)
        except (OSError, RemoteProtocolError) as error:
            if is_timeout(error):  # the caller's
                self.discard(connection)
                raise
            self._shut(connection)
            return False
        except BaseException:
            self.discard(connection)
            raise
        if http.reusable:
            return True
        if http.finished or not http.persists:
            self._shut(connection)
        return False

    def _context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            from tokenwire.backends.tls import client_context

            self._ssl_context = client_context()
        return self._ssl_context

    # -- loops and forks ----------------------------------------------------------------

    def _at_home(self) -> bool:
        """Whether this is the event loop that first used it."""
        try:
            token = self.backend.token()
        except RuntimeError:  # no loop at all: a late finalizer
            return False
        if self._token is None:
            self._token = token
        return self._token is token

    def _forked(self) -> None:
        """In the child: nothing here is ours."""
        self._lock = threading.RLock()  # another thread of the parent may hold it
        self._pid = os.getpid()
        self._unused = []
        for connection in list(self._open):
            self._shut(connection)
        self._waiters = deque()
        self._slots = 0
        self._token = None


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
_inherited: list[Connection] = []


def _after_fork() -> None:
    for pool in list(_pools):
        pool._forked()


os.register_at_fork(after_in_child=_after_fork)
