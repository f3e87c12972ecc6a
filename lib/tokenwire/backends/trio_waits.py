"""The deadlines of those who wait for sockets under trio.

Theory of operation. trio's one timer is the cancel scope, and to enter and leave one
costs more than all else that a token does: it would be most of a read whose
deadline, as a rule, is minutes away. So of all those who wait in one run a few
watch: they wait within a scope of their own. It ends at their deadline, or when the
first of the others' has come, and then they look whose has passed. The others, who
follow, wait for their socket and nothing else. (trio_ticks.py has a leader for the
same reason: there is no task that does it.)

`rings` is a time by which one who watches wakes: no follower's deadline is before it. It
is not moved when a follower's deadline moves on with each token, so it may come too
soon, as asyncio's timer does (asyncio_transport.py); then it is reckoned anew.

Whoever comes while fewer than `_WATCHERS` watch, watches. So a process with a few
streams has nothing but scopes, and one with many hardly any; and since one who leaves
with a token comes back before long, there is nearly always one who watches. Where the
last one leaves, another is woken to do it. `notify_closing` wakes it, which has trio
forget that it waits; what it finds then tells it why: its socket is closed, its deadline
has passed, or neither.
"""

from __future__ import annotations

import contextlib
import math
import socket
from typing import Final

import trio

__all__ = ["CLOSED", "Watch"]

CLOSED: Final = "the connection was closed here"

#: More than one, or each token of the one would have another woken.
_WATCHERS: Final = 4


class Watch:
    """Who waits to read in one run of trio, and until when.

    crowded: enough watch, so that whoever comes may follow. followers: sockets, and their deadlines. rings: see above.
    """

    __slots__ = ("_scopes", "crowded", "followers", "rings")

    def __init__(self) -> None:
        self._scopes: dict[socket.socket, trio.CancelScope] = {}  # of those who watch
        self.crowded = False
        self.followers: dict[socket.socket, float] = {}
        self.rings = math.inf

    @classmethod
    def here(cls) -> Watch:
        """The one of this run."""
        try:
            return _HERE.get()
        except LookupError:
            watch = cls()
            _HERE.set(watch)
            return watch

    async def watch(self, sock: socket.socket, deadline: float) -> None:
        """Wait until the socket is readable, and see to it that the followers' deadlines are kept.

        Raises TimeoutError at the deadline, trio.ClosedResourceError where the socket is being closed.
        """
        try:
            while True:
                self._scopes[sock] = scope = trio.CancelScope(deadline=min(deadline, self.rings))
                self.crowded = len(self._scopes) >= _WATCHERS
                with scope:
                    await trio.lowlevel.wait_readable(sock)
                    return
                # Only a deadline of ours ends here: the caller's cancellation goes through.
                now = trio.current_time()
                if now >= self.rings:
                    self._wake_the_late(now)
                if now >= deadline:
                    raise TimeoutError
        finally:
            self._scopes.pop(sock, None)
            self.crowded = False
            self.hand_on()

    def woken(self, sock: socket.socket, deadline: float | None) -> None:
        """For one whose wait `notify_closing` has ended: it returns where that one is to wait again, and to watch.

        Raises ConnectionAbortedError, TimeoutError.
        """
        if sock.fileno() < 0:
            self.hand_on()
            raise ConnectionAbortedError(CLOSED)
        if deadline is not None and trio.current_time() >= deadline:
            self.hand_on()
            raise TimeoutError

    def ring_at(self, deadline: float) -> None:
        """Have one wake by then, which is sooner than any would have."""
        self.rings = deadline
        for scope in self._scopes.values():
            if deadline < scope.deadline:
                scope.deadline = deadline

    def hand_on(self) -> None:
        """If nobody watches any more, have a follower do it: the last who came, whose next token is furthest away."""
        if self.followers and not self._scopes:
            self._wake(next(reversed(self.followers)))

    def _wake_the_late(self, now: float) -> None:
        rings = math.inf
        for sock, deadline in list(self.followers.items()):
            if deadline <= now:
                self._wake(sock)
            elif deadline < rings:
                rings = deadline
        self.rings = rings

    def _wake(self, sock: socket.socket) -> None:
        del self.followers[sock]
        with contextlib.suppress(RuntimeError):  # outside of the run: nobody waits any more
            trio.lowlevel.notify_closing(sock)


_HERE: Final[trio.lowlevel.RunVar[Watch]] = trio.lowlevel.RunVar("tokenwire.backends.trio_waits")
