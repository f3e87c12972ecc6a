"""Content codings (RFC 9110, section 8.4.1): gzip and deflate, decoded as they come.

We ask for `identity`, but middlewares compress all the same. What has come is
decoded at each read, so that no event waits for the next one, and the expansion
is bounded: a few KiB on the wire cannot become gigabytes here.
"""

from __future__ import annotations

import contextlib
import zlib
from typing import Final

from tokenwire.errors import LimitExceededError, RemoteProtocolError
from tokenwire.policy import DEFAULT_LIMITS, Limits

__all__ = ["Decompressor", "decompressor"]

#: A short body may well expand by more than the allowed ratio; below this it cannot hurt.
_FREE: Final = 1_048_576

#: One piece of output at a time, so that a bomb is noticed before it is unpacked.
_PIECE: Final = 262_144

#: One piece of input at a time: zlib copies what follows a member, and members may be tiny and many.
_FED: Final = 4_096


def _is_wrapped(head: bytes) -> bool:
    """Whether "deflate" is what it should be, zlib's format, or gzip by the wrong name: some send raw deflate."""
    # RFC 1950, 2.2: "CM = 8 denotes the deflate compression method"; "CMF and FLG, when viewed as a
    # 16-bit unsigned integer stored in MSB order, is a multiple of 31". RFC 1952: ID1 = 31, ID2 = 139.
    return (head[0] & 15 == 8 and int.from_bytes(head[:2], "big") % 31 == 0) or head.startswith(b"\x1f\x8b")


class Decompressor:
    """One body in gzip (RFC 1952), zlib (RFC 1950) or raw deflate (RFC 1951) form. coding: "gzip" or "deflate"."""

    def __init__(self, coding: str, limits: Limits = DEFAULT_LIMITS) -> None:
        self._coding = coding
        self._limits = limits
        # 32: look at the head and take gzip or zlib, whatever the coding was called.
        self._zlib = zlib.decompressobj(32 + zlib.MAX_WBITS)
        self._head: bytes | None = b"" if coding == "deflate" else None
        self._received = self._produced = 0

    @property
    def complete(self) -> bool:
        """Whether the end of the compressed body has come."""
        return self._zlib.eof

    def decode(self, data: bytes | bytearray | memoryview, pieces: list[bytes]) -> None:
        """Append what these bytes decode to.

        Raises RemoteProtocolError where they are not of this coding, and
        LimitExceededError above `Limits.expansion`; what was good is appended first.
        """
        self._received += len(data)
        if self._head is not None:
            self._head += data
            if len(self._head) < 2:
                return  # one byte decodes to nothing in any of the three forms
            data, head, self._head = self._head, self._head, None
            if not _is_wrapped(head):
                self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
        view = memoryview(data)
        for start in range(0, len(view), _FED):
            self._decode(bytes(view[start : start + _FED]), pieces)

    def _decode(self, data: bytes, pieces: list[bytes]) -> None:
        while data:
            if self._zlib.eof:
                # RFC 1952, 2.2: "A gzip file consists of a series of members". Zeros between and
                # behind them are padding, as gzip(1) has it. What follows the other forms is ignored.
                data = data.lstrip(b"\0") if self._coding == "gzip" else b""
                if not data:
                    return
                self._zlib = zlib.decompressobj(16 + zlib.MAX_WBITS)
            before, count, produced = self._zlib.copy(), len(pieces), self._produced
            try:
                self._inflate(data, pieces)
            except zlib.error as error:
                # zlib keeps to itself what came before the breach: go there once more, byte by byte.
                del pieces[count:]
                self._zlib, self._produced = before, produced
                with contextlib.suppress(zlib.error):
                    for at in range(len(data)):  # pragma: no branch - the byte that breaks it is among them
                        self._inflate(data[at : at + 1], pieces)
                raise RemoteProtocolError(f"the body is not valid {self._coding}: {error}") from None
            data = self._zlib.unused_data

    def _inflate(self, data: bytes, pieces: list[bytes]) -> None:
        """Append all that data gives, up to the end of a member: nothing waits for the next read."""
        size = _PIECE
        # A full piece: there may be more, even where all of data went in.
        while not self._zlib.eof and (data or size == _PIECE):
            piece = self._zlib.decompress(data, _PIECE)
            size = len(piece)
            if piece:
                pieces.append(piece)
                self._produced += size
                self._check()
            data = self._zlib.unconsumed_tail

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
