"""The parts that a token goes through, each alone. `python parts.py PART FAMILY COUNT` plays COUNT tokens through one.

`one` is a token a read, as paced streams come; `bulk` is all that the buffer lends room for, as a firehose comes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from payloads import MODEL, Script, script

import tokenwire
from tokenwire.backends.memory import REQUEST, MemoryBackend
from tokenwire.backends.sync import run
from tokenwire.families import chat, responses
from tokenwire.pipeline import EventPipeline
from tokenwire.wire.body import ChunkedReader, chunk
from tokenwire.wire.buffer import ReceiveBuffer
from tokenwire.wire.http1 import ClientConnection
from tokenwire.wire.sse import Decoder

PROMPT = "Write a poem about the moon."
MESSAGES = [{"role": "user", "content": PROMPT}]
MODULES: dict[str, ModuleType] = {"chat": chat, "responses": responses}


def wire(says: Script, count: int) -> list[bytes]:
    """The wire bytes of so many tokens."""
    return [says.ticks[n % len(says.ticks)] for n in range(count)]


def reads(buffer: ReceiveBuffer, says: Script, count: int, bulk: bool) -> Iterator[None]:
    """Each read that brings so many tokens to this buffer: a token, or as much as the buffer lends room for."""
    ticks = wire(says, count)
    for data in [b"".join(ticks)] if bulk else ticks:
        left = memoryview(data)
        while left:
            buffer.reclaim()
            room = buffer.get_buffer()
            size = min(len(room), len(left))
            room[:size] = left[:size]
            buffer.buffer_updated(size)
            left = left[size:]
            yield


def framing(says: Script, family: str, count: int, bulk: bool) -> None:
    buffer, reader = ReceiveBuffer(), ChunkedReader()
    for _ in reads(buffer, says, count, bulk):
        reader.read(buffer, [])


def events(says: Script, family: str, count: int, bulk: bool) -> None:
    decoder = Decoder()
    for data in wire(says, count):
        start = data.index(b"\n") + 1  # the chunk's own frame is another part's work
        decoder.scan(data, [(start, len(data) - 2)], [])


def decode(says: Script, family: str, count: int, bulk: bool) -> None:
    read = MODULES[family].decode
    payloads = says.payloads
    for n in range(count):
        read(payloads[n % len(payloads)])


def accumulate(says: Script, family: str, count: int, bulk: bool) -> None:
    module = MODULES[family]
    add = module.Accumulator().add
    ready = [module.decode(payload) for payload in says.payloads[:100]]
    for n in range(count):
        add(ready[n % 100])


def helper(says: Script, family: str, count: int, bulk: bool) -> None:
    module = MODULES[family]
    turn = module.Helper().events
    ready = [module.decode(payload) for payload in says.payloads[:100]]
    for n in range(count):
        turn([ready[n % 100]])


def pipeline(says: Script, family: str, count: int, bulk: bool) -> None:
    connection = ClientConnection()
    connection.send_request("POST", "/v1", [(b"Host", b"localhost"), (b"Content-Length", b"0")])
    connection.buffer.feed(says.opening)
    head = connection.receive_head()
    assert head is not None
    whole = EventPipeline(connection, head, MODULES[family])
    whole.receive()
    for _ in reads(connection.buffer, says, count, bulk):
        whole.receive()
    assert whole.failure is None
    assert whole.events >= count


def unknown(says: Script, family: str, count: int, bulk: bool) -> None:
    """The pipeline, where each event has a field that no type knows: as many servers send them."""
    datas = (tick[tick.index(b"\n") + 1 : -2] for tick in says.ticks)
    ticks = [chunk(data.replace(b"}\n\n", b',"provider":"somebody"}\n\n')) for data in datas]
    pipeline(replace(says, ticks=ticks), family, count, bulk)


def request(says: Script, family: str, count: int, bulk: bool) -> None:
    """Whole requests on one connection, one token an answer: what is ours of their cost, without a socket."""
    answer = script(family, "text", 1)
    peer = MemoryBackend([[step for _ in range(count) for step in (REQUEST, answer.whole)]])

    async def ask() -> None:
        client = tokenwire.AsyncClient(api_key="sk-benchmark", base_url="http://localhost/v1", backend=peer)
        for _ in range(count):
            stream = (
                await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
                if family == "chat"
                else await client.responses.create(model=MODEL, input=PROMPT, stream=True)
            )
            tokens = [event async for event in stream]
            assert tokens

    run(ask())
    assert len(peer.connections) == 1


PARTS: dict[str, tuple[Callable[[Script, str, int, bool], None], bool]] = {
    "framing, one": (framing, False),
    "framing, bulk": (framing, True),
    "sse, one": (events, False),
    "decode": (decode, False),
    "accumulate": (accumulate, False),
    "helper events": (helper, False),
    "pipeline, one": (pipeline, False),
    "pipeline, bulk": (pipeline, True),
    "unknown field, bulk": (unknown, True),
    "request": (request, False),
}


if __name__ == "__main__":
    part, name, tokens = sys.argv[1:4]
    play, in_bulk = PARTS[part]
    play(script(name, "text", 2000), name, int(tokens), in_bulk)
