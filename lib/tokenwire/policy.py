"""Timeouts, Limits and Retry: values, and pure functions over them.

Nothing here reads a clock or draws a random number: now and the random part are
passed in, so that every decision can be tested by a table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

__all__ = ["DEFAULT_LIMITS", "DEFAULT_TIMEOUTS", "Limits", "Retry", "Timeouts", "is_timeout", "rang"]

#: Seconds by which a timer may ring too soon: uvloop counts in milliseconds, the clock of Windows in sixty-fourths.
_EARLY: Final = 0.02


def _exceeds(value: object, bound: float) -> bool:
    """Whether it is a number, and larger."""
    try:
        return bool(value > bound)  # type: ignore[operator] # that is the question
    except TypeError:
        return False


def is_timeout(error: BaseException) -> bool:
    """Whether somebody's time is up: ours, or that of the caller, whose signal handler may raise this anywhere.

    What the machine says of a network that timed out is none: that has an errno.
    """
    return isinstance(error, TimeoutError) and error.errno is None


def rang(error: BaseException, until: float | None, now: float) -> bool:
    """Whether it was our time that was up, behind a wait that was to end then."""
    return is_timeout(error) and until is not None and now >= until - _EARLY


class HttpTimeout(Protocol):
    """What an httpx.Timeout has, and httpx2's, in seconds. `import tokenwire` brings in neither."""

    connect: float | None
    write: float | None
    read: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long to wait for what, in seconds. None: without end.

    connect: until a connection stands, TLS included.
    write: until the request has been handed to the kernel.
    read: between any two reads. Keep-alives feed this clock.
    first_event: from the request's last byte to the first data event.
    event: between two data events. Keep-alives do not feed these two.
    total: the whole call, retries and resumes included.

    A server that sends nothing but keep-alives is caught by the event clocks,
    a dead network by `read`. The defaults are those of the official SDK: 5
    seconds to connect, 10 minutes for all else, no bound on the whole.
    """

    connect: float | None = 5.0
    write: float | None = 600.0
    read: float | None = 600.0
    first_event: float | None = 600.0
    event: float | None = 600.0
    total: float | None = None

    def __post_init__(self) -> None:
        for name in ("connect", "write", "read", "first_event", "event", "total"):
            value = getattr(self, name)
            if value is not None and not _exceeds(value, 0):
                raise ValueError(f"Timeouts.{name} must be a positive number of seconds, or None, not {value!r}")

    @property
    def event_comes_before_read(self) -> bool:
        """Whether `read`, which each read moves on, can never run out before the clock of the next event does."""
        read, clocks = self.read, (self.first_event, self.event)
        return read is None or all(seconds is not None and seconds <= read for seconds in clocks)

    @classmethod
    def of(cls, value: Timeouts | HttpTimeout | float | None) -> Timeouts:
        """What a caller means by `timeout=`: a number of seconds is every clock but total; None is no clock.

        An httpx.Timeout, as people give the official SDK, is its three clocks of the same names; its `read` is
        the event clocks' too. (Its `pool` is Limits.pool_timeout here.)
        """
        if isinstance(value, Timeouts):
            return value
        if value is None or _exceeds(value, 0):
            clock: Any = value
            return cls(connect=clock, write=clock, read=clock, first_event=clock, event=clock)
        try:
            connect, write, read = value.connect, value.write, value.read  # type: ignore[union-attr] # or it has none
        except AttributeError:
            raise ValueError(f"timeout must be a positive number of seconds, or None, not {value!r}") from None
        return cls(connect=connect, write=write, read=read, first_event=read, event=read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what a peer can make us hold or do. A breach is a LimitExceededError that names the bound.

    receive_buffer: bytes of a response that wait for a slow consumer; then the
        kernel's window closes, and the server feels it. 32 KiB is a hundred tokens:
        what is read at once is decoded at once, and should still be in the
        processor's cache when it is consumed (16 and 64 KiB cost a tenth more).
    head_bytes: status line and header fields. 64 KiB: twice what large gateways send.
    chunk_line_bytes: one chunk-size line with its extensions (RFC 9112, 7.1.1).
    trailer_bytes: the trailer section after the last chunk.
    event_bytes: one server-sent event. 32 MiB: image events and whole reasoning
        traces have several MB. (How deep its JSON may nest is no setting: families/depth.py.)
    body_bytes: one whole (not streamed) answer, or one error body.
    expansion: how many bytes one byte of gzip or deflate may become, counted over
        the whole body, once past the first MiB. deflate cannot exceed 1,032.
    max_connections, max_idle: connections of one client, in all and unused.
    idle_expiry: seconds that an unused connection is kept.
    pool_timeout: seconds to wait for a free connection.
    """

    receive_buffer: int = 32_768
    head_bytes: int = 65_536
    chunk_line_bytes: int = 4_096
    trailer_bytes: int = 16_384
    event_bytes: int = 33_554_432
    body_bytes: int = 134_217_728
    expansion: float = 200.0
    max_connections: int = 1_000
    max_idle: int = 100
    idle_expiry: float = 60.0
    pool_timeout: float | None = 600.0

    def __post_init__(self) -> None:
        # receive_buffer: less than a CRLF could not be read at all.
        least = {"receive_buffer": 2, "max_idle": 0, "idle_expiry": 0, "pool_timeout": 0}
        for name in self.__slots__:
            value = getattr(self, name)
            if name == "pool_timeout" and value is None:
                continue
            if value != least.get(name, 1) and not _exceeds(value, least.get(name, 1)):
                raise ValueError(f"Limits.{name} must be at least {least.get(name, 1)}, not {value!r}")


DEFAULT_TIMEOUTS: Final = Timeouts()
DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Whether and when to try again, as the official SDK does it.

    max_retries: tries after the first. first, longest: seconds of back-off before
    the second try, and its bound. longest_asked: seconds of a server's Retry-After
    that we honour; asked for more, we fall back to our own.
    """

    max_retries: int = 2
    first: float = 0.5
    longest: float = 8.0
    longest_asked: float = 120.0

    def wants(self, status: int, headers: Mapping[str, str]) -> bool:
        """Whether an answer with this status is worth another try."""
        # The server's own word goes first.
        said = headers.get("x-should-retry")
        if said == "true":
            return True
        if said == "false":
            return False
        return status in (408, 409, 429) or status >= 500

    def delay(self, retries_taken: int, headers: Mapping[str, str], *, wall_clock: float, random: float) -> float:
        """Seconds to wait before the next try.

        retries_taken: how many were made before. wall_clock: seconds since the
        epoch, for a Retry-After that is a date. random: in [0, 1).
        """
        asked = retry_after(headers, wall_clock=wall_clock)
        if asked is not None and 0 < asked <= self.longest_asked:
            return asked
        # 2.0 ** 1024 overflows; long before that the bound holds.
        backoff = min(self.first * 2.0 ** min(retries_taken, 64), self.longest)
        return backoff * (1 - 0.25 * random)


def retry_after(headers: Mapping[str, str], *, wall_clock: float) -> float | None:
    """Seconds that the server asks us to wait, or None.

    `retry-after-ms` (OpenAI, Azure), else RFC 9110 section 10.2.3: "Retry-After
    = HTTP-date / delay-seconds".
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    import email.utils  # dear, and wanted only for a date

    try:
        date = email.utils.parsedate_tz(value)
        return None if date is None else email.utils.mktime_tz(date) - wall_clock
    except (ValueError, OverflowError):
        return None  # the day 99, the year 99999: no date at all


def _number(value: str | None) -> float | None:
    try:
        number = math.nan if value is None else float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
