"""What is particular to single backends: several addresses, finalizers, forks, full machines."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import tokenwire
from support.loops import PATIENCE, WAYS, Way, connected, listening, rounds, serving_ways, taken
from tokenwire.backends import addresses as addresses_module, asyncio_dial, named, sync_dial
from tokenwire.backends.base import Origin, Transport
from tokenwire.wire.buffer import ReceiveBuffer

ON_ASYNCIO = [way for way in WAYS if way.id in ("asyncio", "uvloop")]
DIALLING = [*ON_ASYNCIO, *(way for way in WAYS if way.id == "sync")]
dialling = pytest.mark.parametrize("way", DIALLING, ids=lambda way: way.id)
on_asyncio = pytest.mark.parametrize("way", ON_ASYNCIO, ids=lambda way: way.id)


@contextlib.contextmanager
def _silent() -> Iterator[tuple[str, int]]:
    """The address of a listener whose queue is full: nobody answers there."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as waiting:
        for _ in range(8):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        yield full.getsockname()


def _refusing() -> tuple[str, int]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address: tuple[str, int] = sock.getsockname()
    return address


def _resolving(monkeypatch: pytest.MonkeyPatch, *found: tuple[str, int]) -> None:
    """A name has these addresses. (uvloop looks up by itself.)"""
    entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in found]

    async def resolve(host: str, port: int) -> list[Any]:
        return addresses_module.in_turns(host, entries)

    monkeypatch.setattr(asyncio_dial, "_resolve", resolve)
    monkeypatch.setattr(sync_dial.socket, "getaddrinfo", lambda *_, **__: entries)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.id)
def test_why_no_address_answers_is_told(way: Way) -> None:
    """trio and anyio say that all attempts failed, and asyncio of each no more than its address."""
    options: Any = {"api_key": "k", "base_url": "http://{}:{}/v1".format(*_refusing()), "max_retries": 0}

    async def ask() -> None:
        async with tokenwire.AsyncClient(backend=way.backend, **options) as client:
            await client.responses.create(model="m", input="x")

    def ask_sync() -> None:
        with tokenwire.Client(**options) as client:
            client.responses.create(model="m", input="x")

    with pytest.raises(tokenwire.APIConnectionError, match=r"Cannot connect to 127\.0\.0\.1:\d+: Connection refused\."):
        ask_sync() if way.id == "sync" else way.run(ask)


def _head_start(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    for module in (asyncio_dial, sync_dial):
        monkeypatch.setattr(module, "DELAY", seconds)


def _sockets() -> int:
    """How many this process holds. (uvloop opens descriptors of its own as it goes.)"""
    found = 0
    for entry in os.scandir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that the directory was read by
            found += os.readlink(entry.path).startswith("socket:")
    return found


# -- several addresses -------------------------------------------------------------------


def test_families_take_turns() -> None:
    def entry(family: int, name: str) -> Any:
        return (family, socket.SOCK_STREAM, 0, "", (name, 80))

    six, four = socket.AF_INET6, socket.AF_INET
    found = [entry(six, "::1"), entry(six, "::2"), entry(four, "1"), entry(four, "2"), entry(four, "3")]
    names = [address[0] for _, address in addresses_module.in_turns("host.example", found)]
    assert names == ["::1", "1", "::2", "2", "3"]
    assert [address[0] for _, address in addresses_module.in_turns("host.example", found[2:])] == ["1", "2", "3"]
    with pytest.raises(OSError, match=r"host\.example has no address"):
        addresses_module.in_turns("host.example", [])


@pytest.mark.parametrize(
    ("host", "family"),
    [
        ("127.0.0.1", socket.AF_INET),
        ("::1", socket.AF_INET6),
        ("localhost", None),
        ("127.1", None),
        ("fe80::1%lo", None),
    ],
)
def test_what_needs_no_look_up(host: str, family: int | None) -> None:
    assert addresses_module.numeric(host, 80) == ([] if family is None else [(family, (host, 80))])


@dialling
def test_the_next_address_is_tried_when_one_refuses(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once: it has no head start any more."""
    _head_start(monkeypatch, PATIENCE)
    with listening() as listener:
        _resolving(monkeypatch, _refusing(), _refusing(), listener.sock.getsockname())

        async def main() -> None:
            began = way.backend.now()
            transport = await way.backend.connect(Origin("http", "two.example", 80), None, began + PATIENCE)
            assert way.backend.now() - began < PATIENCE
            transport.abort()
            listener.accept().close()

        way.run(main)
        gc.collect()


@dialling
def test_the_next_address_is_tried_when_one_is_slow(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    _head_start(monkeypatch, 0.01)
    with listening() as listener, _silent() as silent:
        _resolving(monkeypatch, silent, silent, listener.sock.getsockname(), silent)

        async def main() -> None:
            origin = Origin("http", "two.example", 80)
            before = _sockets()
            transport = await way.backend.connect(origin, None, way.backend.now() + PATIENCE)
            made = _sockets() - before
            transport.abort()
            listener.accept().close()
            assert made == 1
            if way.id != "sync":
                assert len(asyncio.all_tasks()) == 1

        way.run(main)
        gc.collect()


@dialling
def test_all_refuse(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    _resolving(monkeypatch, _refusing(), _refusing())

    async def main() -> None:
        with pytest.raises(ConnectionRefusedError):
            await way.backend.connect(Origin("http", "two.example", 80), None, None)

    way.run(main)


@dialling
def test_a_deadline_over_all_addresses(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    _head_start(monkeypatch, 0.01)
    with _silent() as silent:
        _resolving(monkeypatch, silent, silent, silent)

        async def main() -> None:
            with pytest.raises(TimeoutError) as caught:
                await way.backend.connect(Origin("http", "two.example", 80), None, way.backend.now() + 0.05)
            assert caught.value.errno is None, "our clock, not the kernel's"
            if way.id != "sync":
                assert len(asyncio.all_tasks()) == 1

        before = _sockets()
        way.run(main)
        gc.collect()
        assert _sockets() == before


@on_asyncio
@pytest.mark.parametrize("patience", range(8))
def test_two_answer_and_it_is_cancelled(way: Way, patience: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The winner, and those who answered too late, are closed."""
    _head_start(monkeypatch, 0.0)
    with listening() as one, listening() as two:
        _resolving(monkeypatch, *[listener.sock.getsockname() for listener in (one, two, one, two)])

        async def main() -> None:
            made: list[Transport] = []

            async def connect() -> None:
                made.append(await way.backend.connect(Origin("http", "two.example", 80), None, None))

            async def wait() -> None:
                await rounds(way.backend, patience)

            await way.backend.first(wait, connect)
            for transport in made:
                transport.abort()
            await rounds(way.backend)

        way.run(main)
        before = _sockets()
        way.run(main)
        gc.collect()
        assert _sockets() == before


# -- several addresses, sync -------------------------------------------------------------


def _connect_sync() -> Transport:
    backend = named("sync")
    origin = Origin("http", "two.example", 80)
    made: Transport = backend.run(lambda: backend.connect(origin, None, backend.now() + PATIENCE))
    return made


def test_sync_takes_one_of_two_that_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    _head_start(monkeypatch, 0.0)
    before = _sockets()
    with listening() as one, listening() as two:
        _resolving(monkeypatch, *[listener.sock.getsockname() for listener in (one, two, one, two)])
        _connect_sync().abort()
    assert _sockets() == before


def test_sync_is_told_of_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolving(monkeypatch)
    with pytest.raises(OSError, match=r"two\.example has no address"):
        _connect_sync()


def test_a_family_that_this_machine_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a host without IPv6: no socket can even be made. The others are tried."""
    with listening() as listener:
        found = [(4711, 1, 6, "", ("::1", 80)), (socket.AF_INET, 1, 6, "", listener.sock.getsockname())]
        monkeypatch.setattr(sync_dial.socket, "getaddrinfo", lambda *_, **__: found)
        _connect_sync().abort()
        found.pop()
        with pytest.raises(OSError, match=r"family"):
            _connect_sync()


def test_sync_is_interrupted_while_it_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    """By Ctrl-C, say: what was opened is closed."""
    _head_start(monkeypatch, 0.0)

    def interrupt(*_: object) -> Any:
        raise KeyboardInterrupt

    before = _sockets()
    with _silent() as silent:
        _resolving(monkeypatch, silent, silent)
        monkeypatch.setattr(sync_dial, "_wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            _connect_sync()
    assert _sockets() == before


# -- late aborts ---------------------------------------------------------------------------


@on_asyncio
def test_abort_out_of_another_thread(way: Way) -> None:
    """A finalizer runs in any thread. asyncio's own methods are for the loop's thread alone."""

    async def main() -> None:
        async with connected(way.backend, False) as (transport, peer):
            failures: list[BaseException] = []

            def finalize() -> None:
                try:
                    transport.abort()
                except BaseException as error:
                    failures.append(error)

            thread = threading.Thread(target=finalize)
            thread.start()
            with pytest.raises(ConnectionAbortedError):
                await transport.receive_into(ReceiveBuffer(), way.backend.now() + PATIENCE)
            thread.join()
            assert not failures
            assert peer.recv(1) == b""

    way.run(main)


@pytest.mark.parametrize("way", [way for way in WAYS if way.id != "uvloop"], ids=lambda way: way.id)
def test_abort_behind_the_end_of_the_loop(way: Way) -> None:
    """It raises nothing, whatever is left of the loop.

    (uvloop itself hangs in close() where a transport is left open and warnings are errors.)
    """
    left: list[Transport] = []
    with listening() as listener:

        async def main() -> None:
            left.append(await way.backend.connect(listener.origin, None, None))
            left.append(await way.backend.connect(listener.origin, None, None))
            left[0].abort()
            await rounds(way.backend)

        way.run(main)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # asyncio's own: nobody closed it in time
            while left:
                left.pop().abort()
            gc.collect()


@on_asyncio
def test_a_forks_child_leaves_the_parents_loop_alone(way: Way) -> None:
    async def main() -> None:
        async with connected(way.backend, False) as (transport, peer):
            state: Any = transport
            state._pid = -1  # as if in another process
            transport.abort()
            state._pid = os.getpid()
            peer.sendall(b"still heard")
            buffer = ReceiveBuffer()
            assert await transport.receive_into(buffer, way.backend.now() + PATIENCE) == 11
            assert taken(buffer) == b"still heard"

    way.run(main)


# -- serving ----------------------------------------------------------------------------------


@serving_ways
def test_a_machine_at_its_limit_accepts_later(way: Way) -> None:
    """EMFILE out of accept(2) is not the end of a server."""
    import resource

    backend = way.backend

    async def main() -> None:
        listener = await backend.listen("127.0.0.1", 0)
        assert not isinstance(listener.address, str)
        address = listener.address
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

        async def handle(transport: Transport) -> None:
            await transport.send(b"welcome", None)
            await transport.aclose()

        async def client() -> None:
            with socket.socket() as sock:
                sock.settimeout(PATIENCE)
                highest = max(int(name) for name in os.listdir("/proc/self/fd"))
                spare = [os.dup(0) for _ in range(highest + 1 - _sockets() + 2)]
                resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare) + 1, hard))
                try:
                    sock.connect(address)
                    await rounds(backend, 20)
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                    for number in spare:
                        os.close(number)
                sock.setblocking(False)
                until = backend.now() + PATIENCE
                while backend.now() < until:
                    await backend.checkpoint()
                    try:
                        assert sock.recv(7) == b"welcome"
                        return
                    except BlockingIOError:
                        continue
                pytest.fail("nobody answered")

        await backend.first(lambda: backend.serve(listener, handle), client)

    way.run(main)
