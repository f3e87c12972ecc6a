"""pyreqwest (Rust): a streamed response, `body_reader.read_chunk()`, split and json.loads by hand."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from harness import Call, Lap, Tally
from pyreqwest.client import Client, ClientBuilder

from rivals._by_hand import Splitter, count

LABEL = "pyreqwest by hand"
KIND = "async"
GROUP = "rival"
LOOPS = ("asyncio", "uvloop")
SCENARIOS = ("firehose", "paced", "paced-slow", "requests", "idle")
PACKAGES = ("pyreqwest",)


@contextlib.asynccontextmanager
async def client(call: Call) -> AsyncIterator[Client]:
    builder = ClientBuilder().error_for_status(True).default_headers(call.headers)
    if call.tls:
        builder = builder.add_root_certificate_pem(Path(call.cafile).read_bytes())
    async with builder.build() as made:
        yield made


async def consume(client: Client, call: Call, lap: Lap) -> Tally:
    total = Tally(0, 0)
    splitter = Splitter()
    # Without the limit it reads 64 KiB before it hands out the first byte: no way to read a live stream.
    request = client.post(call.url).body_json(call.body).streamed_read_buffer_limit(1)
    async with request.build_streamed() as response:
        reader = response.body_reader
        first = await reader.read_chunk()
        assert first is not None
        total += count(splitter.feed(bytes(first)), call)
        lap.open()
        while (data := await reader.read_chunk()) is not None:
            total += count(splitter.feed(bytes(data)), call)
    lap.close()
    return total
