"""What serving asks of a backend beside connections: a listener that stops, a port that is shared, signals."""

from __future__ import annotations

import functools
import os
import signal
import socket
import sys

import pytest

from support.loops import PATIENCE, Way, rounds, serving_ways, taken
from tokenwire.backends.base import Origin, Transport
from tokenwire.wire.buffer import ReceiveBuffer


@serving_ways
def test_a_listener_that_stops_leaves_its_connections_alone(way: Way) -> None:
    backend = way.backend

    async def echo_once(transport: Transport) -> None:
        buffer = ReceiveBuffer()
        while await transport.receive_into(buffer, backend.now() + PATIENCE):
            await transport.send(taken(buffer), None)

    async def main() -> None:
        listener = await backend.listen("127.0.0.1", 0)
        assert not isinstance(listener.address, str)
        origin = Origin("http", *listener.address)

        async def client() -> None:
            transport = await backend.connect(origin, None, backend.now() + PATIENCE)
            for word in (b"before", b"after"):
                await transport.send(word, None)
                buffer = ReceiveBuffer()
                assert await transport.receive_into(buffer, backend.now() + PATIENCE) == len(word)
                assert taken(buffer) == word
                listener.close()
                listener.close()
                await rounds(backend)
                with pytest.raises(OSError, match=r"."):
                    await backend.connect(origin, None, backend.now() + PATIENCE)
            await transport.aclose()

        await backend.first(lambda: backend.serve(listener, echo_once), client)

    way.run(main)


@serving_ways
def test_a_port_may_be_shared_where_both_say_so(way: Way) -> None:
    async def main() -> None:
        one = await way.backend.listen("127.0.0.1", 0, reuse_port=True)
        assert not isinstance(one.address, str)
        two = await way.backend.listen("127.0.0.1", one.address[1], reuse_port=True)
        assert one.address == two.address
        with pytest.raises(OSError, match="in use"):
            await way.backend.listen("127.0.0.1", one.address[1])
        one.close()
        with socket.create_connection(two.address, timeout=PATIENCE):  # type: ignore[arg-type] # no path
            pass
        two.close()

    way.run(main)


@serving_ways
@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_signals(way: Way) -> None:
    """They wake a loop that waits, and afterwards do what they did before anybody listened."""
    backend = way.backend
    came: list[int] = []

    async def main() -> None:
        done = backend.event()

        def function(number: int) -> None:
            came.append(number)
            if len(came) == 2:
                done.set()

        async def send() -> None:
            await rounds(backend)
            os.kill(os.getpid(), signal.SIGUSR1)
            while not came:
                await backend.checkpoint()
            os.kill(os.getpid(), signal.SIGUSR2)
            assert await done.wait(backend.now() + PATIENCE)

        await backend.first(functools.partial(backend.signals, (signal.SIGUSR1, signal.SIGUSR2), function), send)

    way.run(main)
    assert came == [signal.SIGUSR1, signal.SIGUSR2]
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
