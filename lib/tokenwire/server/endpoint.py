"""Endpoint: one handler, and every decision about a request to it, whoever speaks HTTP for us.

Which route, which refusal, which session, which fields and ids: all of that is here, once,
for our own connections (connection.py) and for ASGI servers (asgi.py). What is wrong with a
request is answered in the API's error shape.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from tokenwire.backends.base import Backend
from tokenwire.server.background import Background, OnDisconnect, Outliving
from tokenwire.server.channel import Channel, ClientGone, RawHeaders
from tokenwire.server.cors import Cors
from tokenwire.server.limits import ServerLimits
from tokenwire.server.problem import RequestError
from tokenwire.server.pump import Handler, Producer, Pump
from tokenwire.server.reading import read_request
from tokenwire.server.request import Family, Request
from tokenwire.server.responses import ResponsesSession
from tokenwire.server.routes import Route, models_body, route
from tokenwire.server.session import Session, open_session
from tokenwire.server.stats import Meter, Stats
from tokenwire.server.store import Record

__all__ = ["Endpoint"]

#: How routes are counted, where not by their own names.
_FAMILIES: Final = {"model": "models", "response": "responses", "cancel": "responses"}

_JSON: Final = b"application/json"


def _new_id(prefix: str) -> str:
    """An id that nobody can guess: 144 random bits."""
    return prefix + secrets.token_hex(18)


class Endpoint:
    """A handler, and how it is served. The options are those of `serve`."""

    def __init__(
        self,
        handler: Handler,
        *,
        model: str | None,
        models: Sequence[str] | None,
        max_choices: int,
        limits: ServerLimits,
        on_disconnect: OnDisconnect = "cancel",
        cors: Sequence[str] = (),
    ) -> None:
        if not callable(handler):
            raise TypeError(f"a handler is called with each Request: it is a function, not {type(handler).__name__}")
        if max_choices < 1:
            raise ValueError(f"max_choices is at least 1, not {max_choices!r}")
        if on_disconnect not in ("cancel", "finish"):
            raise ValueError(f"on_disconnect is 'cancel' or 'finish', not {on_disconnect!r}")
        if isinstance(models, str):
            raise ValueError(f"models is a sequence of names, not one string: [{models!r}]")
        self._handler = handler
        self._model = getattr(handler, "model", None) if model is None else model
        if models is None:
            models = [] if self._model is None else [self._model]
        self._models = list(models)
        self._max_choices = max_choices
        self.limits = limits
        self._cors = Cors(cors)
        self._created = time.time()
        self.stats = Stats()
        self.background = Background(handler, limits, self.stats, finishes=on_disconnect == "finish")

    async def serve(self, backend: Backend, channel: Channel, wrong: RequestError | None = None) -> None:
        """Answer one request. Raises ClientGone; cancelled, the answer is cut where it stands.

        wrong: what is wrong with the request already.
        """
        meter = self.stats.begin(channel.method, channel.target, backend.now())
        try:
            try:
                if wrong is not None:
                    raise wrong
                await self._answer(backend, channel, meter)
            except RequestError as error:
                fields = self._fields(channel, _JSON)
                fields += [(name.encode(), value.encode()) for name, value in error.headers.items()]
                await self._whole(channel, meter, error.status, fields, error.body())
        except ClientGone:
            meter.gone = True
            raise
        finally:
            self.stats.end(meter, backend.now())

    async def _answer(self, backend: Backend, channel: Channel, meter: Meter) -> None:
        try:
            if self._cors.asks(channel.method, channel.headers):
                where, permission = None, self._cors.permission(channel.headers)
            else:
                where = route(channel.method, channel.target)
        except RequestError:
            await channel.skip_body()
            raise
        if where is None:
            await channel.skip_body()
            await self._whole(channel, meter, 204, self._fields(channel) + permission, b"")
            return
        meter.family = _FAMILIES.get(where.kind, where.kind)
        body = await channel.read_body()
        if where.kind == "models" or where.kind == "model":
            answer = models_body(where, self._models, created=self._created)
            await self._whole(channel, meter, 200, self._fields(channel, _JSON), answer)
        elif where.kind == "response" or where.kind == "cancel":
            await self._stored(backend, channel, meter, where)
        else:
            await self._create(backend, channel, meter, where.kind, body)

    def _fields(self, channel: Channel, content_type: bytes | None = None) -> RawHeaders:
        """What every answer's head has."""
        fields = [(b"x-request-id", _new_id("req_").encode()), *self._cors.fields(channel.headers)]
        return fields if content_type is None else [(b"content-type", content_type), *fields]

    async def _whole(self, channel: Channel, meter: Meter, status: int, fields: RawHeaders, body: bytes) -> None:
        meter.status = status
        await channel.answer(status, fields, body)
        meter.bytes += len(body)

    async def _create(
        self, backend: Backend, channel: Channel, meter: Meter, family: Family, body: bytes | bytearray
    ) -> None:
        background = self.background
        request = read_request(
            family,
            body,
            headers=channel.headers,
            max_choices=self._max_choices,
            keeps=background.keeps,
            clock=backend,
        )
        if request.store and not background.has_room(request, backend.now()):
            request = msgspec.structs.replace(request, store=False)
        model, now = self._model or request.model, time.time()
        if request.store:
            made = ResponsesSession(request, model=model, now=now, new_id=_new_id, stream=True)
            await self._follow_new(backend, channel, meter, request, background.begin(backend, request, made))
            return
        session = open_session(request, model=model, now=now, new_id=_new_id)
        if not background.finishes:
            await self._stream(backend, channel, meter, request, session, self._handler)
            return
        outliving = Outliving(backend, channel)
        await self._stream(backend, outliving, meter, request, session, self._handler)
        if outliving.gone:
            raise ClientGone

    async def _follow_new(
        self, backend: Backend, channel: Channel, meter: Meter, request: Request, record: Record
    ) -> None:
        """The first answer about a response that is kept: its events, or the object, now or at the end."""
        if request.background and not request.stream:
            await self._whole(channel, meter, 200, self._fields(channel, _JSON), record.whole())
            return
        meter.per_token = 0
        follower = self.background.follow(backend, record, stream=request.stream)
        try:
            await self._stream(backend, channel, meter, request, follower, follower)
        except ClientGone:
            if not (request.background or self.background.finishes):
                record.cancel(backend.now())
            raise

    async def _stored(self, backend: Backend, channel: Channel, meter: Meter, where: Route) -> None:
        """What is asked of a response that was made before."""
        background, now = self.background, backend.now()
        record = background.cancel(where.name, now) if where.kind == "cancel" else background.store.get(where.name, now)
        if not where.stream:
            await self._whole(channel, meter, 200, self._fields(channel, _JSON), record.whole())
            return
        meter.per_token = 0
        request = Request(family="responses", model="", stream=True)
        follower = background.follow(backend, record, where.after)
        await self._stream(backend, channel, meter, request, follower, follower)

    async def _stream(
        self,
        backend: Backend,
        channel: Channel,
        meter: Meter,
        request: Request,
        session: Session,
        handler: Producer,
    ) -> None:
        fields = self._fields(channel, b"text/event-stream; charset=utf-8" if request.stream else _JSON)
        if request.stream:
            # Proxies must neither keep a stream nor gather it (nginx gathers unless told not to).
            fields += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        meter.streaming = request.stream
        pump = Pump(backend, channel, self.limits, session, request, fields, meter)
        try:
            await pump.run(handler)
        finally:
            self.stats.errors += pump.failed
