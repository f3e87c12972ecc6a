"""How long a handler goes on when its client has gone: from the client's FIN to the handler's cancellation.

    pytest -n0 -s tests/server/test_leaving.py     # prints the figures
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import AsyncIterator

import pytest

from support.served import CHAT, PATIENCE, RawClient, serving
from tokenwire.server import Request

ROUNDS = 50


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("doing", ["waiting", "yielding"])
def test_from_fin_to_cancellation(backend: str, doing: str) -> None:
    over: list[float] = []
    begun, ended = threading.Event(), threading.Event()

    async def handler(request: Request) -> AsyncIterator[str]:
        assert request.clock is not None
        try:
            yield "x"
            begun.set()
            while True:
                await request.clock.sleep(3600 if doing == "waiting" else 0.0005)
                yield "x"
        finally:
            over.append(time.perf_counter())
            ended.set()

    took = []
    with serving(handler, backend=backend) as server:
        for _ in range(ROUNDS):
            begun.clear()
            ended.clear()
            with RawClient(server) as client:
                client.ask("POST", "/v1/chat/completions", CHAT)
                assert begun.wait(PATIENCE)
                assert client.sock.recv(10)
                left = time.perf_counter()
            assert ended.wait(PATIENCE)
            took.append(over.pop() - left)
    milliseconds = sorted(1000 * seconds for seconds in took)
    print(
        f"\n{backend}, {doing}: from FIN to cancellation {statistics.median(milliseconds):.2f} ms in the median, "
        f"{milliseconds[int(ROUNDS * 0.95)]:.2f} in 95 of 100, {milliseconds[-1]:.2f} at most"
    )
    assert statistics.median(milliseconds) < 1000  # and not when the next keep-alive cannot be sent
