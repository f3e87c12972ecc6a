"""Stats: when what happened in one call, and how much of it."""

from __future__ import annotations

import time

__all__ = ["Stats"]


class Stats:
    """When what happened, and how much of it. Times are time.monotonic_ns(), taken at the read; 0: not yet.

    So `(first_event - started) / 1e9` is the seconds to the first event; within a loop over `batches()`, or over
    events, last_event is when the one at hand was read.

    started: the call. connected: a connection was there. sent: the request was with the
    kernel. first_byte, last_byte: of the answer. head: its head was whole. first_event,
    last_event: the reads that brought them. bytes, reads, events: of the answer. pauses: reads
    that left no room (Limits.receive_buffer), so that the server was held back, or soon would be.
    retries: tries after the first. reused: whether the connection had been used before.
    """

    __slots__ = (
        "bytes",
        "connected",
        "events",
        "first_byte",
        "first_event",
        "head",
        "last_byte",
        "last_event",
        "pauses",
        "reads",
        "retries",
        "reused",
        "sent",
        "started",
    )

    def __init__(self) -> None:
        self.started = time.monotonic_ns()
        self.connected = self.sent = self.first_byte = self.last_byte = 0
        self.head = self.first_event = self.last_event = 0
        self.bytes = self.reads = self.pauses = self.events = self.retries = 0
        self.reused = False

    def __repr__(self) -> str:
        return f"Stats({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"
