"""ServerLimits: bounds on what a client can make the serving half hold, or wait for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["DEFAULT_SERVER_LIMITS", "ServerLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """Sizes in bytes, times in seconds.

    head_bytes: a request's head; above it, 431.
    head_fields: header fields of a request; above it, 431.
    body_bytes: a request's body; above it, 413. 32 MiB: a conversation with images.
    pending_bytes: frames that wait for a client who reads slowly, or are gathered
        while the handler yields without waiting. At this mark the handler waits.
    idle: how long a connection may lie unused between requests.
    head, body: from a head's first byte to its last, and the same for a body. Above it, 408.
    write: how long a client may take no byte of what is ready for it.
    keep_alive: how long a stream may be silent before a comment is sent; None for never.
    shutdown: how long the answers under way may take once a graceful shutdown has begun.
    stored: responses that are kept, those under way included. 1,000: above it the one that
        ended first is forgotten, and where none has ended, 429. 0: none is, and what asks for the
        background is refused.
    stored_bytes: events of one kept response, within its last ones. 32 MiB: about 140,000 text deltas,
        more than models answer with; a response that outgrows it fails.
    stored_total_bytes: the same of all of them. 256 MiB: what a small machine can spare.
    stored_age: how long a response is kept once it has ended. Ten minutes, as the official API
        does for background responses.

    Raises ValueError for what is no such number: times and sizes are positive, but for shutdown, stored and stored_age,
    which may be 0.
    """

    head_bytes: int = 65_536
    head_fields: int = 200
    body_bytes: int = 33_554_432
    pending_bytes: int = 65_536
    idle: float = 75.0
    head: float = 20.0
    body: float = 120.0
    write: float = 60.0
    keep_alive: float | None = 15.0
    shutdown: float = 20.0
    stored: int = 1_000
    stored_bytes: int = 33_554_432
    stored_total_bytes: int = 268_435_456
    stored_age: float = 600.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if name == "keep_alive" and value is None:
                continue
            zero = name in ("shutdown", "stored", "stored_age")
            if not (isinstance(value, (int, float)) and (value > 0 or (zero and value == 0))):
                or_none = ", or None for never" if name == "keep_alive" else ""
                raise ValueError(
                    f"ServerLimits.{name} must be a {'number that is not negative' if zero else 'positive number'}"
                    f"{or_none}, not {value!r}"
                )


DEFAULT_SERVER_LIMITS: Final = ServerLimits()
