"""A background response of the real endpoint, through a relay that cuts every connection until the stream is whole."""

from __future__ import annotations

import random
import select
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

import tokenwire
from support.loops import PATIENCE, WAYS, Way, reset
from support.proxying import Accepting
from support.served import serving
from tokenwire.policy import Retry
from tokenwire.server import Request

TOKENS = 120
TEXT = "".join(f"{number} " for number in range(TOKENS))


async def count(request: Request) -> AsyncIterator[str]:
    """Some tokens in each of its writes, and writes that are apart."""
    assert request.clock is not None
    for number in range(TOKENS):
        yield f"{number} "
        if number % 7 == 0:
            await request.clock.sleep(0.0005)


class Relay(Accepting):
    """Relays to a port. cuts: how many bytes of an answer each connection lets through before it ends, or None."""

    def __init__(self, port: int, cuts: list[int]) -> None:
        super().__init__()
        self._upstream = port
        self.cuts = cuts

    def life(self, sock: socket.socket) -> None:
        left = self.cuts.pop(0) if self.cuts else None
        with socket.create_connection(("127.0.0.1", self._upstream), PATIENCE) as upstream:
            while left is None or left > 0:
                ready = select.select([sock, upstream], [], [], PATIENCE)[0]
                assert ready, "nobody says anything any more"
                data = ready[0].recv(65_536)
                if not data:
                    return
                if ready[0] is sock:
                    upstream.sendall(data)
                    continue
                sock.sendall(data[:left])
                if left is not None:
                    left -= len(data)
        if len(self.cuts) % 2:
            reset(sock)


async def through(way: Way, server: Any, cuts: list[int], how: str) -> None:
    sync = way.id == "sync"
    kind: Any = tokenwire.Client if sync else tokenwire.AsyncClient
    with Relay(server.address[1], cuts) as relay:
        url = f"http://127.0.0.1:{relay.port}/v1"
        client = kind(api_key="k", base_url=url, backend=way.backend, timeout=PATIENCE)
        client._config.retry = Retry(max_retries=20, first=1e-4, longest=1e-4)
        asked: Any = {"model": "m", "input": "count", "background": True, "resume": True}
        if how == "helper":
            if sync:
                with client.responses.stream(**asked) as stream:
                    final = stream.get_final_response()
            else:
                async with client.responses.stream(**asked) as stream:
                    final = await stream.get_final_response()
            assert final.output_text == TEXT
        else:
            created = client.responses.create(stream=True, **asked)
            stream = created if sync else await created
            got = list(stream) if sync else [event async for event in stream]
            assert "".join(event.delta for event in got if event.type == "response.output_text.delta") == TEXT
            assert stream.snapshot.output_text == TEXT
            # What the server has of it, in one piece, behind the relay's back.
            with tokenwire.Client(api_key="k", base_url=server.url, max_retries=0) as plain:
                stored = list(plain.responses.retrieve(got[0].response.id, stream=True))
            assert [event.to_dict() for event in got] == [event.to_dict() for event in stored]
            assert [event.sequence_number for event in got] == list(range(len(got)))
        assert not cuts, "every cut was made"
        # A break behind the terminal event is none; one before the first head costs a try of the request's own.
        assert 10 <= stream.stats.retries <= 20
        assert client._pools.pool.counts()["active"] == 0
        if sync:
            client.close()
        else:
            await client.aclose()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_every_connection_is_cut(backend: str) -> None:
    chance = random.Random(backend)
    with serving(count, backend=backend) as server:
        for way in WAYS:
            for how in ("events", "helper") if way.id in ("sync", "trio") else ("events",):
                # Somewhere in the head, in the midst of an event, behind some; the first brings the id.
                cuts = [chance.randrange(900, 1200), *(chance.choice((30, 400, 1100, 1700)) for _ in range(19))]
                way.run(lambda way=way, cuts=cuts, how=how: through(way, server, cuts, how))  # type: ignore[misc]
