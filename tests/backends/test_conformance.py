"""One suite that every backend passes, on every event loop, plain and over TLS."""

from __future__ import annotations

import contextlib
import functools
import gc
import math
import os
import select
import socket
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from support.loops import (
    PATIENCE,
    Listening,
    Threaded,
    Way,
    async_ways,
    connected,
    listening,
    plain_and_tls,
    reset,
    rounds,
    server_side,
    serving_ways,
    taken,
    together,
    trusting,
    ways,
)
from tokenwire.backends import named
from tokenwire.backends.base import Origin, Start, Transport
from tokenwire.wire.buffer import ReceiveBuffer


def everything(peer: socket.socket) -> bytes:
    """All that a peer receives until the end."""
    pieces = []
    while piece := peer.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


async def receive_all(transport: Transport, buffer: ReceiveBuffer, deadline: float | None, want: int = -1) -> bytes:
    data = bytearray()
    while len(data) != want:
        count = await transport.receive_into(buffer, deadline)
        assert count == len(buffer)
        if not count:
            break
        data += taken(buffer)
    return bytes(data)


#: uvloop's clock counts milliseconds.
TICK = 0.002

BIG = bytes(range(256)) * 8192  # 2 MiB, more than any buffer on the way


# -- connecting ---------------------------------------------------------------------


@ways
def test_refused(way: Way) -> None:
    with listening() as listener:
        origin = listener.origin

    async def main() -> None:
        with pytest.raises(OSError, match=r"(?i)refused|connect") as caught:
            await way.backend.connect(origin, None, way.backend.now() + PATIENCE)
        assert not isinstance(caught.value, TimeoutError)

    way.run(main)


@ways
def test_unknown_host(way: Way) -> None:
    async def main() -> None:
        with pytest.raises(OSError, match=r"."):
            await way.backend.connect(Origin("http", "host.invalid", 80), None, way.backend.now() + PATIENCE)

    way.run(main)


@ways
def test_by_name(way: Way) -> None:
    with listening() as listener:

        async def main() -> None:
            origin = listener.origin._replace(host="localhost")
            transport = await way.backend.connect(origin, None, way.backend.now() + PATIENCE)
            listener.accept().close()
            assert await transport.receive_into(ReceiveBuffer(), way.backend.now() + PATIENCE) == 0
            await transport.aclose()

        way.run(main)


@ways
def test_nobody_answers(way: Way) -> None:
    """A listener whose queue is full takes no more connections, and does not say so."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as waiting:
        for _ in range(16):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            if one.connect_ex(full.getsockname()) and not select.select([], [one], [], 0.1)[1]:
                break
        else:
            pytest.skip("the queue of a listener has no end here")

        async def main() -> None:
            began = way.backend.now()
            with pytest.raises(TimeoutError) as caught:
                await way.backend.connect(Origin("http", *full.getsockname()), None, began + 0.05)
            assert caught.value.errno is None  # ours, not the kernel's
            assert way.backend.now() >= began + 0.05 - TICK

        way.run(main)


@ways
def test_a_handshake_has_a_deadline(way: Way) -> None:
    with listening() as listener:  # which says nothing

        async def main() -> None:
            origin = listener.origin._replace(scheme="https")
            with pytest.raises(TimeoutError):
                await way.backend.connect(origin, trusting(), way.backend.now() + 0.5)

        way.run(main)
        with listener.accept() as peer:
            assert everything(peer)  # a ClientHello, and the end: nothing is left open


@ways
def test_a_handshake_that_is_broken_off(way: Way) -> None:
    with listening() as listener:
        closing = Threaded(lambda: listener.accept().close())

        async def main() -> None:
            origin = listener.origin._replace(scheme="https")
            with pytest.raises(OSError, match=r"(?i)closed|reset|eof"):
                await way.backend.connect(origin, trusting(), way.backend.now() + PATIENCE)

        way.run(main)
        closing.result()


@ways
def test_tls_to_a_peer_that_speaks_none(way: Way) -> None:
    with listening() as listener:

        def plain() -> None:
            with listener.accept() as peer:
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                with contextlib.suppress(ConnectionError):
                    everything(peer)

        answering = Threaded(plain)

        async def main() -> None:
            origin = listener.origin._replace(scheme="https")
            with pytest.raises(ssl.SSLError):
                await way.backend.connect(origin, trusting(), way.backend.now() + PATIENCE)

        way.run(main)
        answering.result()


@ways
@plain_and_tls
def test_unix_socket(way: Way, tls: bool, tmp_path: Path) -> None:
    with listening(tls, str(tmp_path / "s")) as listener:
        accepting = Threaded(listener.accept)

        async def main() -> None:
            transport = await way.backend.connect(
                listener.origin, trusting() if tls else None, way.backend.now() + PATIENCE
            )
            with accepting.result() as peer:
                peer.sendall(b"hello")
                buffer = ReceiveBuffer()
                assert await transport.receive_into(buffer, None) == 5
                await transport.send(b"and back", None)
                assert peer.recv(100) == b"and back"
                await transport.aclose()
                assert peer.recv(100) == b""

        way.run(main)


@async_ways
@plain_and_tls
def test_connect_cancelled_at_every_round(way: Way, tls: bool) -> None:
    """Whenever it is cancelled, no descriptor is left over, and nobody complains later."""
    backend = way.backend

    def handshake(listener: Listening) -> None:
        with contextlib.suppress(OSError):
            listener.accept().close()

    way.run(functools.partial(rounds, backend))  # what an event loop opens once and for all
    for patience in [*range(12), 20, 40]:
        before = len(os.listdir("/proc/self/fd"))
        with listening(tls) as listener:
            accepting = Threaded(functools.partial(handshake, listener))
            made: list[Transport] = []

            async def connect(listener: Listening = listener, made: list[Transport] = made) -> None:
                made.append(await backend.connect(listener.origin, trusting() if tls else None, None))

            async def main(
                patience: int = patience,
                connect: Callable[[], Awaitable[None]] = connect,
                made: list[Transport] = made,
            ) -> None:
                await backend.first(functools.partial(rounds, backend, patience), connect)
                for transport in made:
                    transport.abort()
                await rounds(backend)

            way.run(main)
            with socket.socket() as last:  # where nobody came, somebody must
                last.connect(listener.sock.getsockname())
            accepting.result()
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == before, patience


# -- bytes ------------------------------------------------------------------------------


@ways
@plain_and_tls
def test_both_directions(way: Way, tls: bool) -> None:
    async def main() -> None:
        async with connected(way.backend, tls) as (transport, peer):
            buffer = ReceiveBuffer()
            for data in (b"one", b"", b"two", bytearray(b"three"), memoryview(b"xfourx")[1:-1]):
                await transport.send(data, way.backend.now() + PATIENCE)
                assert not data or peer.recv(100) == bytes(data)
                peer.sendall(b"re:" + data)
                assert await transport.receive_into(buffer, way.backend.now() + PATIENCE) == 3 + len(data)
                assert taken(buffer) == b"re:" + bytes(data)

    way.run(main)


@ways
@plain_and_tls
@pytest.mark.parametrize("limit", [65_536, 4_097, 100])
def test_large_both_ways(way: Way, tls: bool, limit: int) -> None:
    backend = way.backend

    async def main() -> None:
        async with connected(backend, tls) as (transport, peer):
            half = BIG[: 200_000 if limit == 100 else None]
            sending = Threaded(lambda: peer.sendall(half)) if not tls else None

            def answer() -> bytes:
                data = b""
                while len(data) < len(half):
                    data += peer.recv(65536)
                if tls:  # an SSLSocket is not for two threads
                    peer.sendall(half)
                return data

            answering = Threaded(answer)
            deadline = backend.now() + PATIENCE

            async def receive() -> None:
                assert await receive_all(transport, ReceiveBuffer(limit), deadline, len(half)) == half

            async def send() -> None:
                await transport.send(half, deadline)

            if way.id == "sync":
                await send()
                await receive()
            else:
                await together(backend, receive, send)
            assert answering.result() == half
            if sending is not None:
                sending.result()

    way.run(main)


@ways
@plain_and_tls
def test_the_peer_speaks_first_and_at_length(way: Way, tls: bool) -> None:
    """What comes before anybody asks is kept, in order, and as much of it as may be."""
    backend = way.backend

    async def main() -> None:
        async with connected(backend, tls) as (transport, peer):
            sending = Threaded(lambda: (peer.sendall(BIG), peer.close()))
            await rounds(backend, 50)
            assert await receive_all(transport, ReceiveBuffer(100), backend.now() + PATIENCE, 5_000) == BIG[:5_000]
            # another buffer, as when TLS or another reader takes over
            assert await receive_all(transport, ReceiveBuffer(), backend.now() + PATIENCE) == BIG[5_000:]
            sending.result()

    way.run(main)


# -- the end ------------------------------------------------------------------------------


@ways
@plain_and_tls
@pytest.mark.parametrize("goodbye", [True, False], ids=["close_notify", "without"])
def test_end_of_stream(way: Way, tls: bool, goodbye: bool) -> None:
    """All that was sent comes before the end, also where the end comes right behind it."""
    backend = way.backend

    async def main() -> None:
        async with connected(backend, tls) as (transport, peer):

            def send() -> None:
                peer.sendall(BIG)
                if isinstance(peer, ssl.SSLSocket) and goodbye:
                    with contextlib.suppress(OSError):
                        peer.unwrap().close()
                peer.close()

            sending = Threaded(send)
            buffer = ReceiveBuffer()
            assert await receive_all(transport, buffer, backend.now() + PATIENCE) == BIG
            assert await transport.receive_into(buffer, backend.now() + PATIENCE) == 0  # and again
            assert await transport.poll(buffer) == 0
            if tls and goodbye:
                await transport.aclose()  # our half of it
            sending.result()

    way.run(main)


@ways
def test_half_closed(way: Way) -> None:
    """A peer that will send no more may still want to hear."""

    async def main() -> None:
        async with connected(way.backend, False) as (transport, peer):
            peer.sendall(b"last words")
            peer.shutdown(socket.SHUT_WR)
            buffer = ReceiveBuffer()
            assert await receive_all(transport, buffer, way.backend.now() + PATIENCE) == b"last words"
            await transport.send(b"answer", way.backend.now() + PATIENCE)
            assert peer.recv(100) == b"answer"
            await transport.aclose()
            assert peer.recv(100) == b""

    way.run(main)


@ways
@plain_and_tls
def test_reset(way: Way, tls: bool) -> None:
    backend = way.backend

    async def main() -> None:
        async with connected(backend, tls) as (transport, peer):
            reset(peer)
            with pytest.raises(OSError, match=r"(?i)reset"):
                await transport.receive_into(ReceiveBuffer(), backend.now() + PATIENCE)
            with contextlib.suppress(OSError):  # the kernel tells it once; from then on it is the end
                assert await transport.poll(ReceiveBuffer()) == 0
            with pytest.raises(OSError, match=r"."):  # noqa: PT012
                for _ in range(3):
                    await transport.send(b"x", backend.now() + PATIENCE)
            await transport.aclose()

    way.run(main)


@ways
def test_what_came_before_a_reset_comes_first(way: Way) -> None:
    """A server that refuses a request while it is sent answers, and closes: whatever we send then is reset."""
    backend = way.backend

    async def main() -> None:
        async with connected(backend, False) as (transport, peer):

            def refuse() -> None:
                assert peer.recv(1)
                peer.sendall(BIG[:30_000])
                peer.close()  # with all the rest unread

            refusing = Threaded(refuse)
            with pytest.raises(OSError, match=r"(?i)reset|broken"):
                await transport.send(BIG * 4, backend.now() + PATIENCE)
            refusing.result()
            buffer, answer = ReceiveBuffer(), bytearray()
            with contextlib.suppress(OSError):  # the reset may be told again behind it
                while await transport.poll(buffer):
                    answer += taken(buffer)
            assert answer == BIG[:30_000]

    way.run(main)


@ways
@plain_and_tls
def test_aclose(way: Way, tls: bool) -> None:
    async def main() -> None:
        async with connected(way.backend, tls) as (transport, peer):
            await transport.send(b"goodbye", None)
            await transport.aclose()
            await transport.aclose()
            transport.abort()
            # ragged ends are not suppressed there: without a close_notify this raises
            assert everything(peer) == b"goodbye"

    way.run(main)


#: A record of TLS 1.3 that nobody has encrypted.
FORGED = b"\x17\x03\x03\x00\x20" + bytes(32)


@ways
def test_a_forged_record_is_no_end(way: Way) -> None:
    """What came before it is received, and then it breaks the connection."""
    backend = way.backend

    async def main() -> None:
        async with connected(backend, True) as (transport, peer):
            peer.sendall(b"whole")
            with socket.socket(fileno=os.dup(peer.fileno())) as wire:
                wire.sendall(FORGED)
            buffer = ReceiveBuffer()
            assert await receive_all(transport, buffer, backend.now() + PATIENCE, 5) == b"whole"
            for _ in range(2):
                with pytest.raises(ssl.SSLError):
                    await transport.receive_into(buffer, backend.now() + PATIENCE)

    way.run(main)


@ways
@plain_and_tls
def test_abort(way: Way, tls: bool) -> None:
    backend = way.backend

    async def main() -> None:
        async with connected(backend, tls) as (transport, peer):
            transport.abort()
            transport.abort()
            for _ in range(2):
                with pytest.raises(OSError, match=r"."):
                    await transport.receive_into(ReceiveBuffer(), backend.now() + PATIENCE)
                with pytest.raises(OSError, match=r"."):
                    await transport.send(b"x", backend.now() + PATIENCE)
                with pytest.raises(OSError, match=r"."):
                    await transport.poll(ReceiveBuffer())
            await transport.aclose()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                assert everything(peer) == b""

    way.run(main)


@async_ways
@plain_and_tls
def test_abort_wakes_a_receiver(way: Way, tls: bool) -> None:
    backend = way.backend

    async def main() -> None:
        async with connected(backend, tls) as (transport, _):

            async def receive() -> None:
                with pytest.raises(ConnectionAbortedError):
                    await transport.receive_into(ReceiveBuffer(), backend.now() + PATIENCE)

            async def abort() -> None:
                await rounds(backend)
                transport.abort()

            await together(backend, receive, abort)

    way.run(main)


@plain_and_tls
def test_abort_wakes_a_thread(tls: bool) -> None:
    backend: Any = named("sync")

    async def main() -> None:
        async with connected(backend, tls) as (transport, _):

            async def receive() -> None:
                with pytest.raises(OSError, match=r"(?i)closed|descriptor"):
                    await transport.receive_into(ReceiveBuffer(), backend.now() + PATIENCE)

            receiving = Threaded(lambda: backend.run(receive))
            state: Any = getattr(transport, "_inner", transport)
            patience = backend.now() + PATIENCE
            while not state._waiting and backend.now() < patience:
                os.sched_yield()
            transport.abort()
            receiving.result()

    backend.run(main)


# -- clocks ------------------------------------------------------------------------------


@ways
@plain_and_tls
def test_receive_deadline(way: Way, tls: bool) -> None:
    backend = way.backend

    async def main() -> None:
        async with connected(backend, tls) as (transport, peer):
            buffer = ReceiveBuffer()
            for seconds in (0.02, 0.01, 0.03):
                began = backend.now()
                with pytest.raises(TimeoutError) as caught:
                    await transport.receive_into(buffer, began + seconds)
                assert caught.value.errno is None
                assert backend.now() >= began + seconds - TICK
            # It had no other effect.
            peer.sendall(b"late")
            assert await transport.receive_into(buffer, backend.now() + PATIENCE) == 4
            assert taken(buffer) == b"late"

    way.run(main)


@ways
@plain_and_tls
def test_what_is_there_is_received_however_late(way: Way, tls: bool) -> None:
    """Whoever reads may have been elsewhere until its deadline had passed."""
    backend = way.backend

    async def main() -> None:
        async with connected(backend, tls) as (transport, peer):
            buffer = ReceiveBuffer()
            for _ in range(10):
                with pytest.raises(TimeoutError):
                    await transport.receive_into(buffer, backend.now() - 1)
                peer.sendall(b"there")
                assert await transport.receive_into(buffer, backend.now() - 1) == 5
                assert taken(buffer) == b"there"
            peer.sendall(b"last")
            peer.close()
            assert await transport.receive_into(buffer, backend.now() - 1) == 4
            assert await transport.receive_into(buffer, backend.now() - 1) == 0

    way.run(main)


@ways
@pytest.mark.parametrize("unix", [False, True])
@pytest.mark.parametrize("seconds", [1e7, 1e12, math.inf])
def test_a_deadline_however_far(way: Way, seconds: float, unix: bool, tmp_path: Path) -> None:
    backend = way.backend

    async def main() -> None:
        with listening(uds=str(tmp_path / "s") if unix else None) as listener:
            accepting = Threaded(listener.accept)
            deadline = backend.now() + seconds
            transport = await backend.connect(listener.origin, None, deadline)
            with accepting.result() as peer:
                await transport.send(b"asked", deadline)
                assert peer.recv(100) == b"asked"
                peer.sendall(b"there")
                assert await transport.receive_into(ReceiveBuffer(), deadline) == 5
                event = backend.event()
                event.set()
                assert await event.wait(deadline)
                await transport.aclose()

    way.run(main)


def test_who_waits_longer_than_poll_can_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = named("sync")
    monkeypatch.setattr("tokenwire.backends.sync.LONGEST", 0.002)

    async def main() -> None:
        async with connected(backend, False) as (transport, _):
            until = backend.now() + 0.02
            with pytest.raises(TimeoutError):
                await transport.receive_into(ReceiveBuffer(), until)
            assert backend.now() >= until

    backend.run(main)


@ways
@plain_and_tls
def test_send_deadline(way: Way, tls: bool) -> None:
    backend = way.backend

    async def main() -> None:
        async with connected(backend, tls) as (transport, _):
            began = backend.now()
            with pytest.raises(TimeoutError) as caught:  # noqa: PT012
                for _ in range(32):
                    await transport.send(BIG, began + 0.2)
            assert caught.value.errno is None
            if tls:  # a part of a record may have left: the peer could decrypt nothing behind it
                with pytest.raises(ConnectionAbortedError):
                    await transport.send(b"x", backend.now() + PATIENCE)

    way.run(main)


@ways
@plain_and_tls
def test_what_the_peer_said_before_it_took_no_more(way: Way, tls: bool) -> None:
    """As a server that answers 413, and closes with most of the request unread: which resets the connection."""
    backend = way.backend
    stuck = threading.Event()
    sent = 0

    async def main() -> None:
        async with connected(backend, tls) as (transport, peer):

            async def send() -> None:
                nonlocal sent
                with pytest.raises(OSError, match=r".") as caught:  # noqa: PT012
                    while True:
                        await transport.send(BIG, backend.now() + PATIENCE)
                        sent += 1
                assert not isinstance(caught.value, TimeoutError)

            async def wait_for_that() -> None:
                seen = -1
                while seen != sent:
                    seen = sent
                    await rounds(backend)
                stuck.set()

            def refuse() -> None:
                assert stuck.wait(PATIENCE)
                peer.sendall(b"too much")
                peer.close()

            refusing = Threaded(refuse)
            if way.id == "sync":
                stuck.set()
                await send()
            else:
                await together(backend, send, wait_for_that)
            refusing.result()
            buffer = ReceiveBuffer()
            assert await transport.poll(buffer) == 8
            assert taken(buffer) == b"too much"

    way.run(main)


@async_ways
@plain_and_tls
def test_receiving_while_a_send_waits(way: Way, tls: bool) -> None:
    backend = way.backend
    heard: list[bytes] = []
    sent = 0

    async def main() -> None:
        async with connected(backend, tls) as (transport, peer):

            async def send() -> None:
                nonlocal sent
                while True:
                    await transport.send(BIG, backend.now() + PATIENCE)
                    sent += 1

            async def receive() -> None:
                seen = -1
                while seen != sent:
                    seen = sent
                    await rounds(backend)
                for word in (b"slow", b"ly", b"silently"):
                    peer.sendall(word)
                    heard.append(await receive_all(transport, ReceiveBuffer(), backend.now() + PATIENCE, len(word)))

            await backend.first(send, receive)

    way.run(main)
    assert heard == [b"slow", b"ly", b"silently"]


@async_ways
@plain_and_tls
def test_a_goodbye_behind_a_send_that_was_given_up(way: Way, tls: bool) -> None:
    """The window is full, so nothing more can be said: it closes all the same."""
    backend = way.backend

    async def main() -> None:
        async with connected(backend, tls) as (transport, _):
            with pytest.raises(TimeoutError):  # noqa: PT012
                for _ in range(32):
                    await transport.send(BIG, backend.now() + 0.05)

            async def close() -> None:
                await transport.aclose()

            async def clock() -> None:
                await backend.sleep(PATIENCE)
                pytest.fail("it hangs")

            await backend.first(close, clock)

    way.run(main)


@async_ways
def test_sending_without_waiting(way: Way) -> None:
    """What is taken arrives, in order; a full window takes no more, and a connection that was closed nothing."""
    backend = way.backend

    async def main() -> None:
        async with connected(backend, False) as (transport, peer):
            send_now: Callable[[bytes], int] | None = getattr(transport, "send_now", None)
            if send_now is None:
                pytest.skip("this backend always waits")
            taken = 0
            while count := send_now(BIG[taken % len(BIG) :]):
                taken += count
                assert taken < 1 << 30
            left = memoryview(BIG)[taken % len(BIG) :]
            got = bytearray()

            async def send() -> None:
                await transport.send(left, backend.now() + PATIENCE)
                await backend.event().wait(None)

            async def receive() -> None:
                peer.setblocking(False)
                while len(got) < taken + len(left):
                    try:
                        got.extend(peer.recv(1 << 20))
                    except BlockingIOError:
                        await backend.sleep(0.001)

            await backend.first(send, receive)
            assert bytes(got) == BIG * (len(got) // len(BIG))
            transport.abort()
            assert send_now(b"late") == 0

    way.run(main)


# -- polls --------------------------------------------------------------------------------


@ways
@plain_and_tls
def test_poll(way: Way, tls: bool) -> None:
    backend = way.backend

    async def main() -> None:
        async with connected(backend, tls) as (transport, peer):
            buffer = ReceiveBuffer()
            for _ in range(30):
                assert await transport.poll(buffer) is None
                peer.sendall(b"there")
                assert await transport.poll(buffer) == 5  # at once: it has come already
                assert taken(buffer) == b"there"
            peer.sendall(b"last")
            peer.close()
            assert await transport.poll(buffer) == 4
            assert taken(buffer) == b"last"
            # Of a plain socket the end has come as well.
            assert await transport.poll(buffer) == 0
            assert await transport.receive_into(buffer, backend.now() + PATIENCE) == 0

    way.run(main)


@ways
@plain_and_tls
def test_poll_takes_what_a_small_buffer_left(way: Way, tls: bool) -> None:
    backend = way.backend

    async def main() -> None:
        async with connected(backend, tls) as (transport, peer):
            peer.sendall(b"0123456789" * 5)
            data = b""
            buffer = ReceiveBuffer(7)
            while True:
                count = await transport.poll(buffer)
                if count is None:
                    break
                assert 0 < count <= 7
                data += taken(buffer)
            assert data == b"0123456789" * 5

    way.run(main)


# -- buffers --------------------------------------------------------------------------------


@ways
def test_backpressure(way: Way) -> None:
    """A receiver that does not read makes its peer's send block, and holds no more than its limit."""
    backend = way.backend

    async def main() -> None:
        async with connected(backend, False) as (transport, peer):
            buffer = ReceiveBuffer(10_000)
            peer.sendall(b"x")
            assert await transport.receive_into(buffer, backend.now() + PATIENCE) == 1
            taken(buffer)
            peer.setblocking(False)
            sent, idle = 0, 0
            while idle < 20:
                try:
                    sent += peer.send(BIG)
                    idle = 0
                except BlockingIOError:
                    idle += 1
                assert sent < 64 * len(BIG), "nothing blocks"
                await rounds(backend)
                assert len(buffer) <= 10_000
            peer.setblocking(True)
            Threaded(lambda: peer.shutdown(socket.SHUT_WR)).result()
            left = sent
            while count := await transport.receive_into(buffer, backend.now() + PATIENCE):
                assert count <= len(buffer) <= 10_000
                left -= len(taken(buffer))
            assert left == 0

    way.run(main)


@ways
@plain_and_tls
def test_views_stay_true_until_the_next_step(way: Way, tls: bool) -> None:
    """The loop may read at any time; what was handed out does not change under its reader's hands."""
    backend = way.backend

    async def main() -> None:
        async with connected(backend, tls) as (transport, peer):
            buffer = ReceiveBuffer()
            for turn in range(8):
                data = bytes([turn]) * 3_000
                peer.sendall(data)
                got = 0
                while got < len(data):
                    got += await transport.receive_into(buffer, backend.now() + PATIENCE)
                view = memoryview(buffer.data)[buffer.start : buffer.end]
                assert view == data
                buffer.start = buffer.end
                peer.sendall(b"more" * 4_000)
                await rounds(backend)
                assert view == data
                rest = b""
                while len(rest) < 16_000:
                    await transport.receive_into(buffer, backend.now() + PATIENCE)
                    rest += taken(buffer)
                assert rest == b"more" * 4_000

    way.run(main)


# -- tasks ------------------------------------------------------------------------------------


@async_ways
@plain_and_tls
def test_each_call_lets_others_run(way: Way, tls: bool) -> None:
    backend = way.backend
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await backend.checkpoint()

    async def main() -> None:
        async with connected(backend, tls) as (transport, peer):
            buffer = ReceiveBuffer(64)
            event = backend.event()
            event.set()

            async def poll() -> None:
                assert await transport.poll(buffer)
                taken(buffer)

            async def each() -> None:
                steps: list[Any] = [
                    lambda: transport.send(b"x", None),
                    poll,
                    lambda: event.wait(None),
                    backend.checkpoint,
                    transport.aclose,
                    transport.aclose,
                ]
                await rounds(backend)
                for number, step in enumerate(steps):
                    before = turns
                    await step()
                    await step()  # trio draws lots: within two rounds everyone has had a turn
                    assert turns > before, number
                    if not number:
                        peer.sendall(b"yz" * 100)  # for the poll

            async def reads() -> None:
                await rounds(backend)
                for _ in range(5):
                    peer.sendall(b"z" * 640)  # ten times the buffer
                    got = 0
                    while got < 640:
                        before = turns
                        for _ in range(2):
                            got += await transport.receive_into(buffer, None)
                            taken(buffer)
                        assert turns > before

            await backend.first(reads, count)
            await backend.first(each, count)

    way.run(main)


@async_ways
@plain_and_tls
def test_a_receive_that_is_cancelled_loses_nothing(way: Way, tls: bool) -> None:
    backend = way.backend

    async def main() -> None:
        async with connected(backend, tls) as (transport, peer):
            buffer = ReceiveBuffer()
            data = b""

            async def receive() -> None:
                nonlocal data
                count = await transport.receive_into(buffer, backend.now() + PATIENCE)
                data += taken(buffer)
                assert count

            for patience in [*range(8), 15]:
                await backend.first(functools.partial(rounds, backend, patience), receive)
                peer.sendall(b"a")  # comes in while nobody waits
                await backend.first(functools.partial(rounds, backend, patience), receive)
            while data.count(b"a") < 9:
                await receive()
            assert data == b"a" * 9

    way.run(main)
    gc.collect()


@async_ways
@plain_and_tls
def test_cancelled_and_closed_leaves_nothing_behind(way: Way, tls: bool) -> None:
    backend = way.backend
    way.run(functools.partial(rounds, backend))
    for patience in range(6):

        async def main(patience: int = patience) -> None:
            async with connected(backend, tls) as (transport, peer):

                async def receive() -> None:
                    await transport.receive_into(ReceiveBuffer(), backend.now() + PATIENCE)

                await backend.first(functools.partial(rounds, backend, patience), receive)
                transport.abort()
                peer.close()

        before = len(os.listdir("/proc/self/fd"))
        way.run(main)
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == before


@ways
def test_events(way: Way) -> None:
    backend = way.backend

    async def main() -> None:
        event = backend.event()
        began = backend.now()
        assert not await event.wait(began + 0.02)
        assert backend.now() >= began + 0.02 - TICK
        event.set()
        event.set()
        assert await event.wait(None)
        assert await event.wait(backend.now() - 1)  # set is set, however late one asks
        if way.id == "sync":
            return
        later = backend.event()

        async def wait() -> None:
            assert await later.wait(backend.now() + PATIENCE)

        async def wake() -> None:
            await rounds(backend)
            later.set()

        await together(backend, wait, wake)

    way.run(main)


@ways
def test_another_thread_sets_an_event(way: Way) -> None:
    backend = way.backend

    async def main() -> None:
        event = backend.event()
        began = backend.now()

        def other() -> None:
            select.select([], [], [], 0.02)  # by now the loop sleeps, as a rule: that it wakes is what is to be shown
            event.set()

        setting = Threaded(other)
        assert await event.wait(began + PATIENCE)
        assert backend.now() - began < PATIENCE / 2
        setting.result()
        assert await event.wait(began)

    way.run(main)


def test_an_event_that_is_set_within_its_own_wait() -> None:
    """As a stream would that the collector closes there. Here it happens at each line of the wait, and of the set."""
    backend = named("sync")

    def waited(event: Any) -> bool:
        def trace(frame: Any, what: str, _: Any) -> Any:
            if frame.f_code.co_name not in ("acquire", "release", "__exit__", "__init__"):
                event.set()
            return trace

        async def wait() -> bool:
            return bool(await event.wait(None))

        sys.settrace(trace)
        return backend.run(wait)

    assert Threaded(lambda: waited(backend.event())).result()


@ways
def test_token_and_clock(way: Way) -> None:
    backend = way.backend

    async def main() -> Any:
        before = backend.now()
        await backend.sleep(0.01)
        assert backend.now() >= before + 0.01 - TICK
        token = backend.token()
        await backend.checkpoint()
        assert backend.token() is token
        return token

    first, second = way.run(main), way.run(main)
    if way.id == "sync":
        assert first is second is None
    else:
        assert first is not None
        assert first is not second


# -- first ---------------------------------------------------------------------------------------


@async_ways
def test_first_cancels_the_others_and_waits_for_them(way: Way) -> None:
    backend = way.backend
    ended: list[str] = []

    async def slow(name: str) -> None:
        try:
            await backend.sleep(PATIENCE)
        finally:
            ended.append(name)

    async def main() -> None:
        await backend.first(lambda: slow("a"), functools.partial(rounds, backend), lambda: slow("b"))
        assert sorted(ended) == ["a", "b"]

    way.run(main)


@async_ways
def test_first_raises_what_one_raised(way: Way) -> None:
    backend = way.backend

    async def fail() -> None:
        await rounds(backend)
        raise LookupError("out of it, and not in a group")

    async def main() -> None:
        with pytest.raises(LookupError, match="not in a group"):
            await backend.first(functools.partial(backend.sleep, PATIENCE), fail)
        with pytest.raises(LookupError):  # at the first step
            await backend.first(lambda: _raise(LookupError()), functools.partial(backend.sleep, PATIENCE))

    way.run(main)


async def _raise(error: Exception) -> None:
    raise error


@async_ways
def test_first_cancelled_from_outside(way: Way) -> None:
    backend = way.backend
    ended: list[str] = []

    async def slow() -> None:
        try:
            await backend.sleep(PATIENCE)
        finally:
            ended.append("inner")

    async def main() -> None:
        await backend.first(functools.partial(rounds, backend), lambda: backend.first(slow, slow))
        assert ended == ["inner", "inner"]

    way.run(main)


# -- serving --------------------------------------------------------------------------------------


async def echo(transport: Transport) -> None:
    buffer = ReceiveBuffer()
    while await transport.receive_into(buffer, None):
        await transport.send(taken(buffer), None)
    await transport.aclose()


@serving_ways
@plain_and_tls
@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_serve(way: Way, tls: bool, unix: bool, tmp_path: Path) -> None:
    backend = way.backend

    async def main() -> None:
        uds = str(tmp_path / "s") if unix else None
        listener = await backend.listen("127.0.0.1", 0, uds=uds, ssl_context=server_side() if tls else None)
        if isinstance(listener.address, str):
            assert listener.address == uds
            origin = Origin("http", "localhost", 80, uds)
        else:
            origin = Origin("http", *listener.address)

        async def one() -> None:
            transport = await backend.connect(origin, trusting() if tls else None, backend.now() + PATIENCE)
            buffer = ReceiveBuffer()
            for data in (b"hello", BIG[:100_000]):
                await transport.send(data, backend.now() + PATIENCE)
                assert await receive_all(transport, buffer, backend.now() + PATIENCE, len(data)) == data
            await transport.aclose()

        await backend.first(lambda: backend.serve(listener, echo), lambda: together(backend, *[one] * 10))
        listener.close()
        with pytest.raises(OSError, match=r"."):
            await backend.connect(origin, None, backend.now() + PATIENCE)

    way.run(main)


@serving_ways
@plain_and_tls
def test_serve_survives_those_who_knock_and_go(way: Way, tls: bool) -> None:
    backend = way.backend

    async def main() -> None:
        listener = await backend.listen("127.0.0.1", 0, ssl_context=server_side() if tls else None)
        assert not isinstance(listener.address, str)
        address = listener.address

        async def clients() -> None:
            for words in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"):
                with socket.create_connection(address) as rude:
                    rude.sendall(words)
                    await rounds(backend)
                    reset(rude)
                await rounds(backend)
            context = trusting() if tls else None
            transport = await backend.connect(Origin("http", *address), context, backend.now() + PATIENCE)
            await transport.send(b"still there?", None)
            assert await transport.receive_into(ReceiveBuffer(), backend.now() + PATIENCE) == 12
            await transport.aclose()

        async def handle(transport: Transport) -> None:
            with contextlib.suppress(OSError):
                await echo(transport)

        await backend.first(lambda: backend.serve(listener, handle), clients)

    way.run(main)


@serving_ways
@pytest.mark.parametrize("patience", [0, 1, 2, 3, 5, 8])
def test_serve_cancelled_ends_its_handlers(way: Way, patience: int) -> None:
    """However far each connection has come: begun handlers end by cancellation, and all is closed."""
    backend = way.backend
    begun: list[int] = []
    ended: list[int] = []

    async def handle(transport: Transport) -> None:
        begun.append(1)
        try:
            await transport.receive_into(ReceiveBuffer(), None)
        finally:
            ended.append(1)

    async def main() -> None:
        listener = await backend.listen("127.0.0.1", 0)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(listener.address)) for _ in range(5)]  # type: ignore[arg-type]
            await backend.first(lambda: backend.serve(listener, handle), functools.partial(rounds, backend, patience))
            assert len(begun) == len(ended)
            listener.close()
            for client in clients:
                client.settimeout(PATIENCE)
                with contextlib.suppress(ConnectionError):
                    await rounds(backend, 3)
                    assert client.recv(1) == b""

    way.run(functools.partial(rounds, backend))
    before = len(os.listdir("/proc/self/fd"))
    way.run(main)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


@serving_ways
def test_serve_lets_a_handlers_failure_through(way: Way) -> None:
    backend = way.backend
    ended: list[int] = []

    async def handle(transport: Transport) -> None:
        buffer = ReceiveBuffer()
        try:
            await transport.receive_into(buffer, None)
        finally:
            ended.append(1)
        if taken(buffer) == b"fail":
            raise LookupError("a handler's")

    async def main() -> None:
        listener = await backend.listen("127.0.0.1", 0)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(listener.address)) for _ in range(3)]  # type: ignore[arg-type]

            async def fail() -> None:
                await rounds(backend, 20)
                clients[0].sendall(b"fail")
                await backend.sleep(PATIENCE)

            with pytest.raises(LookupError, match="a handler's"):
                await backend.first(lambda: backend.serve(listener, handle), fail)
            assert len(ended) == 3

    way.run(main)


@serving_ways
def test_listen_on_what_is_taken(way: Way, tmp_path: Path) -> None:
    backend = way.backend

    async def main() -> None:
        first = await backend.listen("127.0.0.1", 0)
        assert not isinstance(first.address, str)
        with pytest.raises(OSError, match=r"(?i)in use"):
            await backend.listen("127.0.0.1", first.address[1])
        first.close()
        first.close()
        with pytest.raises(OSError, match=r"."):
            await backend.listen("", 0, uds=str(tmp_path / "no" / "such" / "folder"))

    way.run(main)


# -- tasks that outlive who began them -------------------------------------------------------------


@async_ways
def test_tend_lets_a_task_outlive_who_began_it(way: Way) -> None:
    backend = way.backend
    seen: list[str] = []

    async def main() -> None:
        over = backend.event()

        async def outlives() -> None:
            await rounds(backend)
            seen.append("outlived")
            over.set()

        async def within(start: Start) -> None:
            async def begins() -> None:
                start(outlives)

            await backend.first(begins, functools.partial(backend.sleep, PATIENCE))
            seen.append("begun")
            await over.wait(None)

        await backend.tend(within)

    way.run(main)
    assert seen == ["begun", "outlived"]


@async_ways
@pytest.mark.parametrize("how", ["returns", "raises", "is cancelled"])
@pytest.mark.parametrize("patience", [0, 3])
def test_tend_ends_what_it_has_begun(way: Way, how: str, patience: int) -> None:
    backend = way.backend
    begun: list[int] = []
    ended: list[int] = []

    async def waits() -> None:
        begun.append(1)
        try:
            await backend.sleep(PATIENCE)
        finally:
            ended.append(1)

    async def within(start: Start) -> None:
        start(waits)
        start(waits)
        await rounds(backend, patience)
        if how == "raises":
            raise LookupError("main's own")
        if how == "is cancelled":
            await backend.sleep(PATIENCE)

    async def main() -> None:
        if how == "raises":
            with pytest.raises(LookupError, match="main's own"):
                await backend.tend(within)
        elif how == "returns":
            await backend.tend(within)
        else:
            await backend.first(lambda: backend.tend(within), functools.partial(rounds, backend, patience))
        assert len(begun) == len(ended)

    way.run(main)
    assert patience == 0 or len(begun) == 2


@async_ways
def test_tend_lets_a_tasks_failure_through(way: Way) -> None:
    backend = way.backend
    ended: list[str] = []

    async def waits(name: str) -> None:
        try:
            await backend.sleep(PATIENCE)
        finally:
            ended.append(name)

    async def within(start: Start) -> None:
        start(functools.partial(waits, "other"))
        await rounds(backend, 3)
        start(lambda: _raise(LookupError("a task's")))
        try:
            await waits("main")
        finally:
            start(functools.partial(waits, "too late"))

    async def main() -> None:
        with pytest.raises(LookupError, match="a task's"):
            await backend.tend(within)

    way.run(main)
    assert {"main", "other"} <= set(ended)
