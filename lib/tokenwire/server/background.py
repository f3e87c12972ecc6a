"""Responses that are kept: made in a task of their own, and followed by whoever asks.

Theory of operation. The handler of a stored response does not run in its client's
connection but in a task of the server's own scope (`tend`), and writes into a Record
(store.py). Every client, the one that asked first too, follows the Record: a Follower
stands where the handler stands otherwise, and yields frames that are made already. So the
Pump, with its backpressure, its gathering of small frames and its keep-alive comments,
sends these answers like any other; a client that does not read holds back its own
follower, and neither the handler nor other followers.

The handler ends with its tokens, with `POST /responses/{id}/cancel`, or with the server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, TypeAlias

from tokenwire.backends.base import Backend, Start
from tokenwire.server.channel import Channel, ClientGone, RawHeaders
from tokenwire.server.limits import ServerLimits
from tokenwire.server.problem import RequestError
from tokenwire.server.pump import PROMPT, Handler, close, iterate, log
from tokenwire.server.reading import Keeps
from tokenwire.server.request import Request
from tokenwire.server.responses import ResponsesSession
from tokenwire.server.stats import Stats
from tokenwire.server.store import Record, Store

__all__ = ["Background", "OnDisconnect", "Outliving"]

OnDisconnect: TypeAlias = Literal["cancel", "finish"]

#: Tokens that a handler may yield without waiting before others get a turn; or those of PROMPT seconds.
_TURN: Final = 64

#: Rounds of the event loop until a follower has woken (one) and has sent (two), in whatever order each is run.
_ROUNDS: Final = 3


class Follower:
    """Handler and session in one: its tokens are the frames of a Record, from a sequence number on, to its end.

    stream: what it yields is wanted; else only the object, once it is whole.
    """

    def __init__(self, backend: Backend, record: Record, position: int, most: int, *, stream: bool) -> None:
        self._backend = backend
        self._record = record
        self._position = position
        self._most = most
        self._stream = stream
        self._silent = bool(record.events)  # that a response is there can be told before its next event comes

    # -- as a handler ----------------------------------------------------------

    def __call__(self, request: Request) -> Follower:
        return self

    def __aiter__(self) -> Follower:
        return self

    async def __anext__(self) -> bytes:
        """What there is, or comes next. Raises RequestError where the response has no frame to tell of its failure."""
        record = self._record
        if self._silent and self._stream and self._position == len(record.events):
            self._silent = False
            return b""  # the head leaves
        while not record.done and (self._position == len(record.events) or not self._stream):
            changed = self._backend.event()
            record.watch(changed.set)
            try:
                await changed.wait(None)
            finally:
                record.unwatch(changed.set)
        if record.failure is not None and not (self._stream and record.events):
            raise record.failure
        frames, position = record.after(self._position, self._most)
        if record.done and (position == len(record.events) or not self._stream):
            raise StopAsyncIteration  # the last frames leave with the end of the body
        self._position = position
        return frames

    # -- as a session ----------------------------------------------------------

    def start(self) -> bytes:
        return b""

    def token(self, token: Any) -> bytes:
        frames: bytes = token
        return frames

    def end(self) -> bytes:
        record = self._record
        if not self._stream:
            return record.whole()
        # Where the event that was named is the last there is, an empty body would look like one that was cut.
        return record.after(self._position, self._most)[0] or (b"data: [DONE]\n\n" if record.told else b"")

    def fail(self, error: BaseException) -> bytes:
        return b""  # a Record that fails has told so in its frames


class Outliving:
    """A channel for a handler that is to go on when its client has gone: then what it sends is passed over.

    gone: whether that is so.
    """

    def __init__(self, backend: Backend, channel: Channel) -> None:
        self._backend = backend
        self._channel = channel
        self.gone = False
        self.method = channel.method
        self.target = channel.target
        self.headers = channel.headers
        self.send_now = None

    async def read_body(self) -> bytes | bytearray:
        return await self._channel.read_body()

    async def skip_body(self) -> None:
        await self._channel.skip_body()

    async def answer(self, status: int, fields: RawHeaders, body: bytes) -> None:
        await self._unless_gone(lambda: self._channel.answer(status, fields, body))

    async def send(self, data: bytes, head: RawHeaders | None = None, *, last: bool = False) -> None:
        await self._unless_gone(lambda: self._channel.send(data, head, last=last))

    async def watch(self) -> None:
        await self._channel.watch()
        self.gone = True
        await self._backend.event().wait(None)

    async def _unless_gone(self, sends: Callable[[], Awaitable[None]]) -> None:
        if self.gone:
            await self._backend.checkpoint()
            return
        try:
            await sends()
        except ClientGone:
            self.gone = True


class Background:
    """The stored responses of one endpoint, and the tasks that make them.

    finishes: whether handlers in the foreground, too, go on when their clients have gone.
    """

    def __init__(self, handler: Handler, limits: ServerLimits, stats: Stats, *, finishes: bool) -> None:
        self._handler = handler
        self._limits = limits
        self._start: Start | None = None
        self._stats = stats
        self.ended: Callable[[], object] | None = None  # called as one of the tasks ends
        self.finishes = finishes
        self.store = Store(limits)

    @property
    def keeps(self) -> Keeps:
        """Which responses are kept: none outside of `tend`."""
        if self._start is None or self._limits.stored == 0:
            return "none"
        return "all" if self.finishes else "asked"

    async def tend(self, backend: Backend, main: Callable[[], Awaitable[None]]) -> None:
        """Run main. The handlers that are begun here meanwhile are cancelled, and waited for, when it ends."""

        async def within(start: Start) -> None:
            self._start = start
            try:
                await main()
            finally:
                self._start = None

        await backend.tend(within)

    @property
    def under_way(self) -> int:
        """How many of those handlers have not ended."""
        return self._stats.background

    def has_room(self, request: Request, now: float) -> bool:
        """Whether there is room to keep this one; True for one that asks for it, which `begin` refuses."""
        return request.background or request.body.get("store") is True or self.store.has_room(now)

    def begin(self, backend: Backend, request: Request, session: ResponsesSession) -> Record:
        """Have the handler answer in a task of its own. Raises RequestError (429) where the store is full."""
        assert self._start is not None, "only within tend()"
        record = self.store.add(session, background=request.background, now=backend.now())
        stopped = backend.event()
        record.stop = stopped.set

        async def stop() -> None:
            try:
                await stopped.wait(None)
            finally:
                record.stopped = True

        async def life() -> None:
            try:
                await backend.first(lambda: self._make(backend, record, request), stop)
                # asyncio: something that the handler waited for was cancelled, and the handler with it.
                if not record.done:
                    self._failed(backend, record, RuntimeError("the handler was cancelled from within"))
            except Exception as error:  # a fault of ours must not end the server
                self._stats.errors += 1
                log.error("a response in the background failed", exc_info=error)
                record.drop(error)
            finally:
                self._stats.background -= 1
                if self.ended is not None:
                    self.ended()

        self._stats.background += 1
        self._start(life)
        return record

    def follow(self, backend: Backend, record: Record, after: int = -1, *, stream: bool = True) -> Follower:
        """The events after this sequence number. Raises RequestError (400) where there is no event of that number."""
        if 0 <= after >= len(record.events):
            raise RequestError(
                400,
                f"'starting_after' is {after}, but the last event so far has the sequence number "
                f"{len(record.events) - 1}.",
                param="starting_after",
                code="invalid_value",
            )
        return Follower(backend, record, after + 1, self._limits.pending_bytes, stream=stream)

    def cancel(self, id: str, now: float) -> Record:
        """Cancel the response with this id, if it has not ended. Raises RequestError (404, 400)."""
        record = self.store.get(id, now)
        if not record.background:
            raise RequestError(
                400, "Only a response in the background can be cancelled.", code="response_not_in_background"
            )
        record.cancel(now)
        return record

    async def _make(self, backend: Backend, record: Record, request: Request) -> None:
        iterator: Any = None
        try:
            if record.background:
                record.begin()
            try:
                iterator = await iterate(self._handler, request)
                step = iterator.__anext__
                left = 1  # the first token reaches its followers at once
                turned = backend.now()
                while not (record.done or record.stopped):  # cancelled, and the handler has swallowed that
                    try:
                        token = await step()
                    except StopAsyncIteration:
                        break
                    record.token(token)
                    self._stats.tokens += 1
                    left -= 1
                    if left == 0 or backend.now() - turned >= PROMPT:
                        for _ in range(_ROUNDS):
                            await backend.checkpoint()
                        left, turned = _TURN, backend.now()
            finally:
                await close(iterator)
            if not record.stopped:
                record.end(backend.now())
        except Exception as error:
            self._failed(backend, record, error)

    def _failed(self, backend: Backend, record: Record, error: Exception) -> None:
        if not isinstance(error, RequestError):
            self._stats.errors += 1
            log.error("the handler failed", exc_info=error)
        record.fail(error, backend.now())
