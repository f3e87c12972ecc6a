"""`with_raw_response`: an answer with its HTTP around it, as people know it from the official SDK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from tokenwire.backends.sync import run
from tokenwire.exchange import Exchange
from tokenwire.family import Family
from tokenwire.source import Source
from tokenwire.streams import AsyncStream, Stream
from tokenwire.whole import WholeBody
from tokenwire.wire.heads import Headers, ResponseHead

__all__ = ["APIResponse", "areceive", "receive"]

R = TypeVar("R")


class APIResponse(Generic[R]):
    """An answer of the server. R: what `parse()` makes of it.

    A streamed one holds its connection until the stream is read, closed or dropped.
    """

    def __init__(
        self,
        exchange: Exchange,
        family: Family,
        body: WholeBody | None,
        stream: Any,
        read: Callable[[Any], Any] | None = None,
    ) -> None:
        assert exchange.head is not None
        self._head: ResponseHead = exchange.head
        self._family = family
        self._body = body
        self._parsed = stream
        self._read = read
        #: Tries after the first that this answer took.
        self.retries_taken: int = exchange.stats.retries

    @property
    def status_code(self) -> int:
        """200, or what else there is below 300: others are raised."""
        return self._head.status_code

    @property
    def headers(self) -> Headers:
        """The header fields: a mapping without regard to case."""
        return self._head.headers

    @property
    def request_id(self) -> str | None:
        """The server's name for this request (`x-request-id`), or None."""
        return self._head.request_id

    @property
    def http_version(self) -> str:
        """Such as "HTTP/1.1"."""
        return f"HTTP/{self._head.http_version}"

    @property
    def content(self) -> bytes:
        """The body, unpacked. Raises TypeError for a stream: its body is `parse().raw()`."""
        if self._body is None:
            raise TypeError("a stream has no content: read it by parse()")
        return self._body.content

    @property
    def text(self) -> str:
        """The body as text. As `content`."""
        return self.content.decode("utf-8", "replace")

    def parse(self) -> R:
        """The whole object, or the stream; the same one each time.

        Raises APIError for an error in it, APIResponseValidationError where it is no JSON object.
        """
        if self._parsed is None:
            assert self._body is not None
            whole = self._body.read(self._family)
            self._parsed = whole if self._read is None else self._read(whole)
        return cast(R, self._parsed)

    def __repr__(self) -> str:
        return f"<APIResponse [{f'{self._head.status_code} {self._head.reason}'.rstrip()}]>"


async def areceive(
    exchange: Exchange, family: Family, stream: bool | None, read: Callable[[Any], Any] | None = None
) -> APIResponse[Any]:
    """Send, and take the answer: its head, and the body unless it is a stream. Raises as Exchange.open.

    read: what makes the whole object the one that `parse()` gives.
    """
    if stream:
        await exchange.open()
        return APIResponse(exchange, family, None, AsyncStream(Source(exchange, family)))
    return APIResponse(exchange, family, await exchange.body(), None, read)


def receive(
    exchange: Exchange, family: Family, stream: bool | None, read: Callable[[Any], Any] | None = None
) -> APIResponse[Any]:
    """As areceive."""
    if stream:
        run(exchange.open())
        return APIResponse(exchange, family, None, Stream(Source(exchange, family)))
    return APIResponse(exchange, family, run(exchange.body()), None, read)
