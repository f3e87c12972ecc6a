"""tokenwire with `coalesce=0.1`, `batches()`: when each token was delivered, against when the origin sent it."""

from __future__ import annotations

from rivals.tokenwire_coalesce_100ms import client
from rivals.tokenwire_create import unavailable
from rivals.tokenwire_latency import consume, more

__all__ = ["client", "consume", "more", "unavailable"]

LABEL = "tokenwire batches(), coalesce=0.1"
KIND = "async"
GROUP = "ours"
LOOPS = ("asyncio", "uvloop", "trio")
SCENARIOS = ("latency",)
PACKAGES = ("tokenwire", "msgspec", "h11", "trio", "uvloop")
