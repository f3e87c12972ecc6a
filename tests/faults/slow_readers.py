"""What test_slow_readers serves, in a process of its own: a firehose, and how much it has said.

    python -m faults.slow_readers asyncio      # prints its port, and serves until it is killed
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import trio

from support.held import resident
from tokenwire.server import Request, Serving, serve

_TEXT = "x" * 4_000

said = [0]


async def handler(request: Request) -> AsyncIterator[str]:
    """Much more than anything between us and the client holds; or, when asked, how things stand."""
    if request.prompt == "how much?":
        yield f"{said[0]} {resident()}"
        return
    for _ in range(100_000):
        said[0] += 1
        yield _TEXT


def tell(serving: Serving) -> None:
    print(serving.address[1], flush=True)


async def main() -> None:
    await serve(handler, port=0, started=tell)


if __name__ == "__main__":
    if sys.argv[1] == "trio":
        trio.run(main)
    else:
        asyncio.run(main())
