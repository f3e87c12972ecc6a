"""What a client and this process hold: connections and memory."""

from __future__ import annotations

import os
from typing import Any


def counts(client: Any) -> dict[str, int]:
    """What the client's pool holds, without what there is none of."""
    assert client._pools.pool is not None
    return {name: count for name, count in client._pools.pool.counts().items() if count}


def resident() -> int:
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
