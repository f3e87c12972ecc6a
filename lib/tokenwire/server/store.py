"""The store: responses that are kept, to be read again, followed and cancelled. Sans-IO.

Theory of operation. A Record is one response that somebody makes, token by token, and
any number of others read. It joins a session to the frames that it has made: the event
with the sequence number N is `events[N]`, so that "the events after N" is a slice.
Whoever reads to the end of that list is told of more by a function that it has left
(`watch`). A Record ends once, by end, fail or cancel; what comes later is passed over,
so that a cancellation need not wait for the handler to be gone.

The Store holds Records by their ids, within the bounds of ServerLimits: when there is
no room, it forgets the one that ended first, and never one that is under way. A Record
that is forgotten while somebody reads it is read to its end all the same.

`now` is any clock that never goes back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from tokenwire.server.limits import DEFAULT_SERVER_LIMITS, ServerLimits
from tokenwire.server.problem import RequestError, as_request_error
from tokenwire.server.responses import ResponsesSession
from tokenwire.server.tokens import Token

__all__ = ["Record", "Store"]


class Record:
    """One response that is kept.

    events: its frames, by their sequence numbers; size: their bytes. done: whether it has ended. failure: why it
    failed, where it did. stop: called when it is cancelled, for whoever makes it; stopped: and is told to make no more.
    """

    def __init__(self, session: ResponsesSession, store: Store, *, background: bool) -> None:
        self._session = session
        self._store = store
        self._whole: bytes | None = None
        self._first: bytes | None = None
        self._begun = False  # whether that is among the events
        self._watchers: set[Callable[[], object]] = set()
        self.id = session.id
        self.background = background
        self.events: list[bytes] = []
        self.size = 0
        self.done = False
        self.failure: RequestError | None = None
        self.stop: Callable[[], object] | None = None
        self.stopped = False

    def whole(self) -> bytes:
        """The response object as it is now, as JSON."""
        return self._session.whole() if self._whole is None else self._whole

    @property
    def told(self) -> bool:
        """Whether it has ended, and its events tell how."""
        return self._whole is not None

    # -- for whoever reads it --------------------------------------------------

    def after(self, position: int, most: int) -> tuple[bytes, int]:
        """The frames from this sequence number on, and the number to go on from: at least one
        frame where there is one, and about `most` bytes."""
        taken = []
        size = 0
        events = self.events
        while position < len(events) and size < most:
            taken.append(events[position])
            size += len(events[position])
            position += 1
        return b"".join(taken), position

    def watch(self, changed: Callable[[], object]) -> None:
        """Have this called, once, when there is more to read, or the end."""
        self._watchers.add(changed)

    def unwatch(self, changed: Callable[[], object]) -> None:
        """Not any more."""
        self._watchers.discard(changed)

    # -- for whoever makes it --------------------------------------------------

    def begin(self) -> None:
        """Have the first events now, and not only with the first token."""
        if not self._begun:
            self._begun = True
            self._keep(self._start())

    def token(self, token: Token) -> None:
        """One token of the handler's. Raises as Session.token does, and RequestError where it outgrows a bound."""
        if self.done:
            return
        first = b"" if self._begun else self._start()
        frames = first + self._session.token(token)
        self._begun = True  # but not by a token that was refused
        if frames:
            self._keep(frames)
            self._store.check(self)

    def end(self, now: float) -> None:
        """The handler has finished."""
        if not self.done:
            self.begin()
            self._finish(self._session.end(), now)

    def fail(self, error: Exception, now: float) -> None:
        """The handler has failed. Where nothing was kept yet, nothing is: a status can still tell of it."""
        if self.done:
            return
        if self._begun:
            self.failure = as_request_error(error)
            self._finish(self._session.fail(self.failure), now)
        else:
            self.drop(error)

    def drop(self, error: Exception) -> None:
        """Have it fail without a word, and forget it."""
        if not self.done:
            self.failure = as_request_error(error)
            self._store.forget(self)
            self.done = True
            self._tell()

    def cancel(self, now: float) -> None:
        """End it where it stands. Does nothing where it has ended."""
        if self.done:
            return
        self.begin()
        self._finish(self._session.cancel(), now)
        if self.stop is not None:
            self.stop()

    def _start(self) -> bytes:
        if self._first is None:
            self._first = self._session.start()
        return self._first

    def _finish(self, last: bytes, now: float) -> None:
        self._whole = self._session.whole()
        del self._session  # its texts are in the whole
        self.done = True
        self._keep(last)
        self._store.ended(self, now)

    def _keep(self, frames: bytes) -> None:
        if frames.count(b"\n\n") == 1:
            self.events.append(frames)
        else:  # JSON has no line end of its own
            self.events += [frame + b"\n\n" for frame in frames.split(b"\n\n")[:-1]]
        self.size += len(frames)
        self._store.size += len(frames)
        self._tell()

    def _tell(self) -> None:
        watchers, self._watchers = self._watchers, set()
        for changed in watchers:
            changed()


class Store:
    """The Records of one endpoint. size: bytes of their events."""

    def __init__(self, limits: ServerLimits = DEFAULT_SERVER_LIMITS) -> None:
        self._limits = limits
        self._records: dict[str, Record] = {}
        # When, of those that have; the first to have ended is the first here. In a plain dict it would be looked for
        # behind all those that are forgotten.
        self._ended: OrderedDict[str, float] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._records)

    def has_room(self, now: float) -> bool:
        """Whether another can be added. It makes room, by forgetting one that has ended, where it must."""
        self._expire(now)
        while len(self._records) >= self._limits.stored or self.size >= self._limits.stored_total_bytes:
            if not self._forget_one():
                return False
        return True

    def add(self, session: ResponsesSession, *, background: bool, now: float) -> Record:
        """A Record for what this session makes. Raises RequestError (429) where there is no room."""
        if not self.has_room(now):
            raise RequestError(
                429,
                f"{len(self._records)} responses that are to be stored are under way: no more can be.",
                code="too_many_stored_responses",
            )
        record = Record(session, self, background=background)
        self._records[record.id] = record
        return record

    def get(self, id: str, now: float) -> Record:
        """The Record with this id. Raises RequestError (404)."""
        self._expire(now)
        record = self._records.get(id)
        if record is None:
            raise RequestError(
                404,
                f"Response with id '{id[:200]}' not found: it was not stored ('store' or 'background' asks for that), "
                f"or ended more than {self._limits.stored_age:g} seconds ago, or had to make room for newer ones.",
                code="response_not_found",
            )
        return record

    # -- for its Records -------------------------------------------------------

    def check(self, record: Record) -> None:
        """Raise RequestError (500) where a Record has outgrown its bounds, which ends it."""
        if record.size > self._limits.stored_bytes:
            raise RequestError(
                500,
                f"The response has more than {self._limits.stored_bytes} bytes of events: it cannot be stored.",
                code="response_too_large",
            )
        while self.size > self._limits.stored_total_bytes:
            if not self._forget_one():
                raise RequestError(
                    500,
                    f"Stored responses under way have more than {self._limits.stored_total_bytes} bytes of events.",
                    code="response_store_full",
                )

    def ended(self, record: Record, now: float) -> None:
        """A Record has ended: it may be forgotten from now on."""
        if record.id in self._records:
            while self.size > self._limits.stored_total_bytes and self._forget_one():
                pass
            self._ended[record.id] = now

    def forget(self, record: Record) -> None:
        """Keep it no longer. Who reads it has it still."""
        if self._records.pop(record.id, None) is not None:
            self._ended.pop(record.id, None)
            self.size -= record.size

    def _forget_one(self) -> bool:
        oldest = next(iter(self._ended), None)
        if oldest is not None:
            self.forget(self._records[oldest])
        return oldest is not None

    def _expire(self, now: float) -> None:
        while self._ended:
            oldest = next(iter(self._ended))
            if self._ended[oldest] + self._limits.stored_age > now:
                return
            self.forget(self._records[oldest])
