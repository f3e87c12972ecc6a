"""Pump: from a handler's tokens to the client, in as few sends as promptness allows.

Theory of operation. Three functions run together until one returns:

* produce: steps the handler, has the session turn its tokens into frames, and sends.
* write: sends what produce left behind. It also sees to the keep-alive comments.
* watch: waits for the client to go. That ends the other two, and so cancels the handler.

A token that came after a wait, the first one too, is sent at once, by produce
itself: nothing is gained by holding it, and waking another task for it would
cost more than the send. Nor does that send wait (`_at_once`), where the client keeps up: the
others had their turn while the handler waited. Tokens that the handler yields without waiting are
gathered. They must leave as soon as it does wait; to see that moment, produce drives
the handler's `__anext__` by hand (`_noticing`): an awaitable that waits shows so by
yielding to the event loop, and just then, synchronously, write is woken. So there is
no timer, and no token is ever held while nobody works on the next one. Nor for long while
somebody does: a handler that computes without waiting has what it yielded sent each `PROMPT`
seconds, which also gives the rest of the event loop a turn. Where nothing is sent (with stream=False,
or for tokens that add nothing) it has that turn all the same.

What is gathered or not yet taken by the client is bounded: at
`ServerLimits.pending_bytes` produce waits for the client, and with it this handler,
and no other.

Until the first token the head of the answer is not sent, so that a failure before it
still gets a status of its own. The last frames and the end of the body leave in one
send.
"""

from __future__ import annotations

import functools
import logging
import types
from collections.abc import AsyncIterable, Awaitable, Callable, Generator
from typing import Any, Final, TypeAlias, TypeVar

from tokenwire.backends.base import Backend, Event
from tokenwire.server.channel import Channel, ClientGone, RawHeaders
from tokenwire.server.limits import ServerLimits
from tokenwire.server.problem import RequestError, as_request_error
from tokenwire.server.request import Request
from tokenwire.server.session import KEEP_ALIVE, Session
from tokenwire.server.stats import Meter
from tokenwire.server.tokens import Token

__all__ = ["PROMPT", "Handler", "Producer", "Pump", "close", "iterate", "log"]

T = TypeVar("T")

#: Called with a Request; returns an async iterable of tokens. An async generator function is one.
Handler: TypeAlias = Callable[[Request], AsyncIterable[Token] | Awaitable[AsyncIterable[Token]]]

#: A Handler, or what stands in for one, whose tokens are what its session takes for tokens.
Producer: TypeAlias = Callable[[Request], Any]

log = logging.getLogger("tokenwire.server")

#: Seconds. Nobody sees a hundred updates a second, and at that rate their sends cost nothing.
PROMPT: Final = 0.010


@types.coroutine
def _noticing(awaitable: Any, waits: Callable[[], None]) -> Generator[Any, Any, Any]:
    """Await this, and call waits() should it have to wait.

    This is `yield from`, spelled out, with one look at its first yield.
    """
    steps = awaitable.__await__()
    try:
        trap = steps.send(None)
        waits()
        while True:
            try:
                value = yield trap
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:
                trap = steps.throw(error)
            else:
                if value is None:  # asyncio's only answer: what `yield from` begins with, and it is faster
                    return (yield from steps)
                trap = steps.send(value)
    except StopIteration as done:
        return done.value


class Pump:
    """One answer on its way.

    head: the fields of the answer's head, without those of its framing. meter: told what is sent.
    """

    def __init__(
        self,
        backend: Backend,
        channel: Channel,
        limits: ServerLimits,
        session: Session,
        request: Request,
        head: RawHeaders,
        meter: Meter,
    ) -> None:
        self._backend = backend
        self._channel = channel
        self._limits = limits
        self._session = session
        self._request = request
        self._meter = meter
        self._fields = head
        self._head: RawHeaders | None = head  # until it is sent
        self._first = session.start()
        self._opened = False  # whether that, and the head, are sent or pending
        self._send_now = channel.send_now
        self._now = backend.clock()
        self._pending: list[bytes] = []
        self._size = 0
        self._sending = False
        self._waited = True  # the handler, since the last send; true at first, so that the first token leaves
        self._wake: Event = backend.event()
        self._room: Event | None = None  # what produce waits for while others send
        self._gone = False  # the client
        self._cut = False  # a send was, by a cancellation
        self._closed = False  # no token is taken any more, from a handler that has swallowed its cancellation
        self._done = False
        self.failed = False  # the handler did, by a fault of its own
        self._sent_at = backend.now()

    async def run(self, handler: Producer) -> None:
        """Answer. Raises ClientGone; the handler has been cancelled then.

        Cancelled: so is the handler, and the answer is cut where it stands.
        """

        functions: list[Callable[[], Awaitable[None]]] = [functools.partial(self._produce, handler), self._watch]
        if self._request.stream:
            functions.append(self._write)
        await self._backend.first(*functions)
        if not (self._done or self._gone):
            # asyncio: something that the handler waited for was cancelled, and the handler with it.
            await self._end(self._fail(RuntimeError("the handler was cancelled from within")))
        if self._cut and not self._done:
            # As by a deadline around the handler's `yield`, which holds for the sends between its tokens too.
            raise RuntimeError("the handler was cancelled from within while its tokens were sent: the answer is cut")
        if not self._done:
            raise ClientGone

    # -- produce ---------------------------------------------------------------

    async def _produce(self, handler: Producer) -> None:
        # In one piece: a token goes through each coroutine between the event loop and its handler.
        session, meter = self._session, self._meter
        token_of, handler_waits, at_once = session.token, self._handler_waits, self._at_once
        stream, now = self._request.stream, self._now
        turned = now()
        iterator: Any = None
        try:
            try:
                iterator = await iterate(handler, self._request)
                step = iterator.__anext__
                while True:
                    try:
                        token = await _noticing(step(), handler_waits)
                    except StopAsyncIteration:
                        break
                    frames = token_of(token)
                    meter.tokens += meter.per_token
                    if stream and (frames or not self._opened):
                        left = at_once(frames)
                        if left is not None:
                            await self._add(left)
                    elif self._closed:
                        raise ClientGone
                    elif now() - turned >= PROMPT:
                        await self._backend.checkpoint()
                        turned = now()
                last = session.end()
            finally:
                await close(iterator)
        except ClientGone:
            self._gone = True
        except Exception as error:
            await self._end(self._fail(error))
        else:
            await self._end(self._finish(last))

    async def _end(self, ending: Awaitable[None]) -> None:
        try:
            await ending
            self._done = True
        except ClientGone:
            self._gone = True

    def _handler_waits(self) -> None:
        self._waited = True
        if self._pending:
            self._wake.set()

    def _at_once(self, frames: bytes) -> bytes | None:
        """Send the frames of a token that came after a wait, where that needs no other: what is yet to be added."""
        send_now = self._send_now
        if not self._waited or send_now is None or self._head or self._pending or self._sending or self._closed:
            return frames
        self._sent_at = self._now()
        self._meter.bytes += len(frames)
        if not send_now(frames):
            return b""  # the channel holds the rest, and sends it ahead of this
        self._waited = False
        return None

    async def _add(self, frames: bytes) -> None:
        if self._closed:
            raise ClientGone
        if not self._opened:
            self._open()
        self._pending.append(frames)
        self._size += len(frames)
        full = self._size >= self._limits.pending_bytes
        if self._sending:
            if full:
                await self._wait_for_room()
        elif self._waited or full or self._backend.now() - self._sent_at >= PROMPT:
            self._waited = False
            await self._send_pending()

    def _open(self) -> None:
        """What goes before the first token's frames. The head itself is made as it is sent."""
        self._opened = True
        self._pending.append(self._first)
        self._size += len(self._first)

    async def _finish(self, last: bytes) -> None:
        if not self._request.stream:
            self._meter.status = 200
            await self._channel.answer(200, self._fields, last)
            self._meter.bytes += len(last)
            return
        if not self._opened:
            self._open()
        while self._sending:
            await self._wait_for_room()
        self._sending = True  # for good: no comment may follow the end
        self._pending.append(last)
        # A relay that sees the last event sees the end of the body with it.
        frames, head = self._take()
        await self._channel.send(frames, head, last=True)
        self._meter.bytes += len(frames)

    async def _fail(self, error: Exception) -> None:
        if not isinstance(error, RequestError):
            self.failed = True
            log.error("the handler failed", exc_info=error)
        if self._opened:
            await self._finish(self._session.fail(error))
            return
        told = as_request_error(error)
        fields = [
            *((name, value) for name, value in self._fields if name not in (b"content-type", b"cache-control")),
            (b"content-type", b"application/json"),
            *((name.encode(), value.encode()) for name, value in told.headers.items()),
        ]
        self._sending = True  # and so no comment comes between
        self._meter.status = told.status
        body = told.body()
        await self._channel.answer(told.status, fields, body)
        self._meter.bytes += len(body)

    # -- sending ---------------------------------------------------------------

    async def _send_pending(self) -> None:
        """Send, until nothing is pending. By one task at a time."""
        self._sending = True
        try:
            while self._pending:
                frames, head = self._take()
                await self._channel.send(frames, head)
                self._meter.bytes += len(frames)
        except BaseException as error:
            self._cut = not (self._gone or isinstance(error, ClientGone))
            self._gone = self._closed = True  # nobody knows how much of it has left: nothing can follow
            raise
        finally:
            self._sending = False
            self._make_room()

    def _take(self) -> tuple[bytes, RawHeaders | None]:
        """What is pending, to be sent now; with the head, the first time."""
        frames = b"".join(self._pending)
        self._pending.clear()
        self._size = 0
        self._make_room()
        head, self._head = self._head, None
        self._sent_at = self._backend.now()
        self._meter.status = 200
        return frames, head

    def _make_room(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None

    async def _wait_for_room(self) -> None:
        self._room = room = self._backend.event()
        await room.wait(None)

    async def _write(self) -> None:
        period = self._limits.keep_alive
        try:
            while True:
                if self._pending and not self._sending:
                    await self._send_pending()
                self._wake = wake = self._backend.event()
                due = None if period is None else max(self._sent_at, self._backend.now() - period) + period
                if not await wake.wait(due) and period is not None and self._backend.now() - self._sent_at >= period:
                    self._keep_alive()
        except ClientGone:
            pass

    def _keep_alive(self) -> None:
        self._sent_at = self._backend.now()
        if self._sending or self._pending:
            return  # it is the client who is slow
        if not self._opened:
            self._open()
        self._pending.append(KEEP_ALIVE)

    async def _watch(self) -> None:
        try:
            await self._channel.watch()
            self._gone = True
        finally:
            self._closed = True  # cancelled, too: either produce has ended, or all of this is cut


async def iterate(handler: Producer, request: Request) -> Any:
    """Call the handler: the async iterator of its tokens. Raises TypeError where it gives none."""
    made = handler(request)
    if not hasattr(made, "__aiter__") and hasattr(made, "__await__"):
        made = await made  # an async function that returns its tokens
    if not hasattr(made, "__aiter__"):
        kind = type(made).__name__
        raise TypeError(f"a handler gives an async iterator of tokens (`async def` with `yield`), not a {kind}")
    return made.__aiter__()


async def close(iterator: Any) -> None:
    """Close an async generator: its `finally` blocks run here, and not in some finalizer."""
    aclose: Callable[[], Awaitable[object]] | None = getattr(iterator, "aclose", None)
    if aclose is None:
        return
    try:
        await aclose()
    except BaseExceptionGroup as group:
        # By GeneratorExit a generator is told to close. A task group or nursery around its `yield` wraps that as
        # it does everything, and so nobody would take it for what it is: it would end the server.
        rest = group.split(GeneratorExit)[1]
        if rest is not None:
            raise rest from None
