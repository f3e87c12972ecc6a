"""Stats: what an endpoint has done since it began, as plain numbers, and a line for each request.

The line goes to the logger "tokenwire.access", at INFO: method, path, status, tokens, bytes, seconds.
Neither holds a query, a header or a body: there may be keys and secrets in them.
"""

from __future__ import annotations

import logging
from typing import Any, Final

__all__ = ["Meter", "Stats", "access"]

access: Final = logging.getLogger("tokenwire.access")

_LONGEST: Final = 200  # characters of a path that are logged


class Meter:
    """One request: what it has cost so far."""

    __slots__ = ("begun", "bytes", "family", "gone", "method", "path", "per_token", "status", "streaming", "tokens")

    def __init__(self, method: str, target: str, begun: float) -> None:
        self.method = method
        # What is meant for a proxy may hold a password ("http://user:password@host/"), and is no path.
        self.path = target.partition("?")[0] if target.startswith("/") else ""
        self.begun = begun
        self.family = "other"  # or "chat", "responses", "models"
        self.status = 0  # no answer has begun
        self.streaming = False
        self.gone = False
        self.tokens = 0
        self.per_token = 1  # or 0: what is sent was yielded in the background, and counted there
        self.bytes = 0


class Stats:
    """The numbers of one endpoint."""

    def __init__(self) -> None:
        self.connections = 0
        self.open = 0
        self.errors = 0
        self.background = 0
        self._disconnects = 0
        self.tokens = 0
        self._bytes = 0
        self._requests: dict[str, dict[int, int]] = {}
        self._under_way: set[Meter] = set()

    def begin(self, method: str, target: str, now: float) -> Meter:
        """A request has come."""
        meter = Meter(method, target, now)
        self._under_way.add(meter)
        return meter

    def end(self, meter: Meter, now: float) -> None:
        """It has ended, however it did."""
        self._under_way.remove(meter)
        self.tokens += meter.tokens
        self._bytes += meter.bytes
        self._disconnects += meter.gone
        if meter.status:
            statuses = self._requests.setdefault(meter.family, {})
            statuses[meter.status] = statuses.get(meter.status, 0) + 1
        access.info(
            "%s %s %s tokens=%d bytes=%d seconds=%.3f%s",
            meter.method or "-",
            meter.path[:_LONGEST] or "-",
            meter.status or "-",
            meter.tokens,
            meter.bytes,
            now - meter.begun,
            " gone" if meter.gone else "",
        )

    def snapshot(self) -> dict[str, Any]:
        """Now, as a dict of its own:

        connections: those accepted. open: those open now. (Under an ASGI server both are 0: they are its own.)
        requests: those answered, by family ("chat", "responses", "models", "other") and status.
        under_way: those not answered to the end yet. streams: those of them that stream.
        background: handlers that run apart from any request. tokens: what handlers have yielded.
        bytes_out: of answers' bodies, before their framing.
        disconnects: clients who left, or took nothing for too long, before their answer's end.
        errors: failures that are no client's fault; each is logged.
        """
        under_way = self._under_way
        return {
            "connections": self.connections,
            "open": self.open,
            "requests": {family: dict(statuses) for family, statuses in self._requests.items()},
            "under_way": len(under_way),
            "streams": sum(meter.streaming for meter in under_way),
            "background": self.background,
            "tokens": self.tokens + sum(meter.tokens for meter in under_way),
            "bytes_out": self._bytes + sum(meter.bytes for meter in under_way),
            "disconnects": self._disconnects,
            "errors": self.errors,
        }
