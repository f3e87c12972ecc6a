"""Cors: which pages of other origins may read the answers (the WHATWG's Fetch standard, section 3.2).

A browser asks first, by OPTIONS, whether a page may send its request: its JSON content type and its
Authorization header both need that. It then hides the answer from the page unless that names its origin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from tokenwire.server.channel import RawHeaders
from tokenwire.server.problem import RequestError

__all__ = ["Cors"]

#: Seconds that a browser may remember a permission. Chromium's own upper bound.
_REMEMBERED: Final = b"7200"

#: What a page may read beside the fields that it always may; the official client looks at these.
_EXPOSED: Final = b"x-request-id, retry-after"


class Cors:
    """The origins that are allowed. "*" is any: then never with credentials (cookies), which browsers forbid too.

    Raises ValueError for what is no origin: scheme://host, with a port where it is not the scheme's own, and no path.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        if isinstance(origins, str):
            raise ValueError(f"cors is a sequence of origins, not one string: [{origins!r}]")
        self._any = "*" in origins
        self._origins = frozenset(_checked(origin) for origin in origins if origin != "*")

    def fields(self, headers: Mapping[str, str]) -> RawHeaders:
        """What an answer to this request says of it."""
        if not (self._any or self._origins):
            return []
        origin = headers.get("origin")
        if origin is None or not (origin in self._origins or self._any):
            return [(b"vary", b"origin")]
        exposed = (b"access-control-expose-headers", _EXPOSED)
        if origin in self._origins:
            return [
                (b"vary", b"origin"),
                (b"access-control-allow-origin", origin.encode("latin-1")),
                (b"access-control-allow-credentials", b"true"),
                exposed,
            ]
        return [(b"vary", b"origin"), (b"access-control-allow-origin", b"*"), exposed]

    def asks(self, method: str, headers: Mapping[str, str]) -> bool:
        """Whether this is a browser's question, and such questions are answered here."""
        return (
            method == "OPTIONS" and "access-control-request-method" in headers and bool(self._any or self._origins)
        )

    def permission(self, headers: Mapping[str, str]) -> RawHeaders:
        """What answers the question beside `fields`. Raises RequestError (403) for an origin that is not allowed."""
        origin = headers.get("origin", "")
        if not (origin in self._origins or self._any):
            raise RequestError(403, f"The origin '{origin[:200]}' is not allowed.", code="origin_not_allowed")
        wanted = headers.get("access-control-request-headers", "")
        return [
            (b"access-control-allow-methods", b"GET, POST"),
            *([(b"access-control-allow-headers", wanted.encode("latin-1"))] if wanted else []),
            (b"access-control-max-age", _REMEMBERED),
        ]


def _checked(origin: str) -> str:
    try:
        parts = urlsplit(origin)
        whole = f"{parts.scheme}://{parts.netloc}"
        wrong = not parts.scheme or not parts.hostname or "@" in parts.netloc or whole != origin or parts.port == 0
    except ValueError:
        wrong = True
    if wrong or origin != origin.lower():
        raise ValueError(f"not an origin: {origin!r}; one looks like https://app.example.com or http://localhost:3000")
    return origin
