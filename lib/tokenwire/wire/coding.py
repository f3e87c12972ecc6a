"""Content codings (RFC 9110, section 8.4.1): gzip and deflate, decoded as they come.

We ask for `identity`, but middlewares compress all the same. What has come is
decoded at each read, so that no event waits for the next one, and the expansion
is bounded: a few KiB on the wire cannot become gigabytes here.
"""

from __future__ import annotations

import zlib
from typing import Final

from tokenwire.errors import LimitExceededError, RemoteProtocolError
from tokenwire.policy import DEFAULT_LIMITS, Limits

__all__ = ["Decompressor", "decompressor"]

#: A short body may well expand by more than the allowed ratio; below this it cannot hurt.
_FREE: Final = 1_048_576

#: One piece of output at a time, so that a bomb is noticed before it is unpacked.
_PIECE: Final = 262_144


class Decompressor:
    """One body in gzip (RFC 1952), zlib (RFC 1950) or raw deflate (RFC 1951) form."""

    def __init__(self, coding: str, limits: Limits = DEFAULT_LIMITS) -> None:
        self._coding = coding
        self._limits = limits
        # 32: look at the head and take gzip or zlib. Some send raw deflate under "deflate".
        self._zlib = zlib.decompressobj(32 + zlib.MAX_WBITS)
        self._began = False
        self._received = self._produced = 0

    @property
    def complete(self) -> bool:
        """Whether the end of the compressed body has come."""
        return self._zlib.eof

    def decode(self, data: memoryview, pieces: list[bytes]) -> None:
        """Append what these bytes decode to.

        Raises RemoteProtocolError where they are not of this coding, and
        LimitExceededError above `Limits.expansion`; what was good is appended first.
        """
        self._received += len(data)
        left: bytes | memoryview = data
        while left and not self._zlib.eof:
            try:
                piece = self._zlib.decompress(left, _PIECE)
            except zlib.error as error:
                if not self._began and self._coding == "deflate":
                    self._began = True
                    self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
                    continue
                raise RemoteProtocolError(f"the body is not valid {self._coding}: {error}") from None
            self._began = True
            if piece:
                pieces.append(piece)
                self._produced += len(piece)
            self._check()
            left = self._zlib.unconsumed_tail
        if self._zlib.eof and (left or self._zlib.unused_data):
            self._next_member(bytes(left) or self._zlib.unused_data, pieces)

    def _next_member(self, data: bytes, pieces: list[bytes]) -> None:
        # RFC 1952, 2.2: "A gzip file consists of a series of members". Padding is ignored, as gzip(1) does.
        if self._coding != "gzip" or not data.lstrip(b"\0"):
            return
        self._zlib = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._received -= len(data)
        self.decode(memoryview(data), pieces)

    def _check(self) -> None:
        if self._produced > _FREE and self._produced > self._received * self._limits.expansion:
            raise LimitExceededError(
                f"the body expanded by more than {self._limits.expansion:g} times (Limits.expansion)",
                limit="expansion",
                allowed=self._limits.expansion,
            )


def decompressor(content_encoding: str, limits: Limits = DEFAULT_LIMITS) -> Decompressor | None:
    """What decodes this Content-Encoding, or None where nothing is to be decoded.

    "none" and "utf-8" are seen in the wild for identity. Raises RemoteProtocolError
    for a coding that we did not ask for and cannot decode.
    """
    codings = [token.strip().lower() for token in content_encoding.split(",")]
    real = [token for token in codings if token not in ("", "identity", "none", "utf-8")]
    if not real:
        return None
    if len(real) == 1 and real[0] in ("gzip", "x-gzip", "deflate"):
        return Decompressor(real[0].removeprefix("x-"), limits)
    raise RemoteProtocolError(f"the server sent a content coding that was not asked for: {content_encoding[:80]!r}")
