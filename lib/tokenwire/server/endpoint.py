"""Endpoint: one handler, and every decision about a request to it, whoever speaks HTTP for us.

Which route, which refusal, which session, which fields and ids: all of that is here, once,
for our own connections (connection.py) and for ASGI servers (asgi.py). What is wrong with a
request is answered in the API's error shape.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

from tokenwire.backends.base import Backend
from tokenwire.server.channel import Channel, ClientGone, RawHeaders
from tokenwire.server.limits import ServerLimits
from tokenwire.server.problem import RequestError
from tokenwire.server.pump import Handler, Pump
from tokenwire.server.reading import read_request
from tokenwire.server.request import Family
from tokenwire.server.routes import models_body, route
from tokenwire.server.session import open_session
from tokenwire.server.stats import Meter, Stats

__all__ = ["Endpoint"]


def _new_id(prefix: str) -> str:
    """An id that nobody can guess: 144 random bits."""
    return prefix + secrets.token_hex(18)


def _fields(content_type: bytes) -> RawHeaders:
    """What every answer's head has."""
    return [(b"content-type", content_type), (b"x-request-id", _new_id("req_").encode())]


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
    ) -> None:
        self._handler = handler
        self._model = getattr(handler, "model", None) if model is None else model
        if models is None:
            models = [] if self._model is None else [self._model]
        self._models = list(models)
        self._max_choices = max_choices
        self.limits = limits
        self._created = time.time()
        self.stats = Stats()

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
                fields = _fields(b"application/json")
                fields += [(name.encode(), value.encode()) for name, value in error.headers.items()]
                await self._whole(channel, meter, error.status, fields, error.body())
        except ClientGone:
            meter.gone = True
            raise
        finally:
            self.stats.end(meter, backend.now())

    async def _answer(self, backend: Backend, channel: Channel, meter: Meter) -> None:
        try:
            where = route(channel.method, channel.target)
        except RequestError:
            await channel.skip_body()
            raise
        meter.family = "models" if where.kind == "model" else where.kind
        body = await channel.read_body()
        if where.kind == "models" or where.kind == "model":
            answer = models_body(where, self._models, created=self._created)
            await self._whole(channel, meter, 200, _fields(b"application/json"), answer)
        else:
            await self._stream(backend, channel, meter, where.kind, body)

    async def _whole(self, channel: Channel, meter: Meter, status: int, fields: RawHeaders, body: bytes) -> None:
        meter.status = status
        await channel.answer(status, fields, body)
        meter.bytes += len(body)

    async def _stream(
        self, backend: Backend, channel: Channel, meter: Meter, family: Family, body: bytes | bytearray
    ) -> None:
        request = read_request(
            family, body, headers=channel.headers, max_choices=self._max_choices, clock=backend
        )
        session = open_session(
            request, model=self._model or request.model, now=time.time(), new_id=_new_id
        )
        fields = _fields(b"text/event-stream; charset=utf-8" if request.stream else b"application/json")
        if request.stream:
            # Proxies must neither keep a stream nor gather it (nginx gathers unless told not to).
            fields += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        meter.streaming = request.stream
        pump = Pump(backend, channel, self.limits, session, request, fields, meter)
        try:
            await pump.run(self._handler)
        finally:
            self.stats.errors += pump.failed
