"""Channel: one request on its way in, and its answer on the way out.

What the pump and the endpoint ask of whoever speaks HTTP for them: a connection of
ours (connection.py), or an ASGI server (asgi.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

__all__ = ["Channel", "ClientGone", "RawHeaders"]

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]


class ClientGone(Exception):
    """The client left, or did not read in time. Nothing can be said to it any more."""


class Channel(Protocol):
    """One request, and the way back to its client.

    method: as it came; "" for a head that could not be read. target: path and query. headers: by lower-case name.

    An answer is one call of `answer`, or any number of `send`. Each is a checkpoint, returns when
    the data has been taken off our hands, and raises ClientGone where the client has gone, or took
    nothing for `ServerLimits.write` seconds. One task sends at a time; another may `watch` meanwhile.

    send_now: as `send`, for a piece that is not the first, and without waiting, or None where there is no such
    way. False: that could not be, or not to its end; what is left is held, and goes ahead of what `send` is given
    next. No checkpoint.
    """

    @property
    def method(self) -> str: ...

    @property
    def target(self) -> str: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def send_now(self) -> Callable[[bytes], bool] | None: ...

    async def read_body(self) -> bytes | bytearray:
        """The whole body. Raises RequestError (400, 408, 413), ClientGone."""

    async def skip_body(self) -> None:
        """Pass over the body of a request that is refused, where another request is to follow. Raises as read_body."""

    async def answer(self, status: int, fields: RawHeaders, body: bytes) -> None:
        """Send a whole answer. fields: without those of its framing."""

    async def send(self, data: bytes, head: RawHeaders | None = None, *, last: bool = False) -> None:
        """Send a piece of the body of an answer with status 200.

        head: its fields, with the first piece. last: the body ends with this piece.
        """

    async def watch(self) -> None:
        """Return when the client has gone."""
