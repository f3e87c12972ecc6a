"""Many clients that read slowly, or not at all: what the server holds for each is bounded, however much it has read.

100 of them in each run; TOKENWIRE_LARGE=1 makes it 1,000.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.served import CHAT, RawClient
from tokenwire.server.limits import DEFAULT_SERVER_LIMITS

READERS = 1_000 if os.environ.get("TOKENWIRE_LARGE") else 100


#: The receive window of each, and so most of what the kernel takes for it.
WINDOW = 16_384

#: Bytes of memory that one stuck reader may cost: what is pending for it, what is being sent to it, the event
#: loop's own copy of that, and as much again twice for all else.
EACH = 5 * DEFAULT_SERVER_LIMITS.pending_bytes

#: What each of them reads, a little at a time: three times what it may cost, so that a server which kept a third of
#: what went through it would be found out. (Less than that says nothing: how much of its share each one takes up
#: where it stands still, and what the allocator keeps, is the schedule's.)
READ = 3 * EACH
SIP = 30_720  # a divisor of that


@contextlib.contextmanager
def firehose(backend: str) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-m", "faults.slow_readers", backend]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        try:
            yield "127.0.0.1", int(process.stdout.readline())
        finally:
            process.kill()


class Onlooker:
    """A client that is served at once, however many are stuck."""

    def __init__(self, client: RawClient) -> None:
        self._client = client

    def look(self) -> tuple[int, int]:
        """How many tokens all handlers have yielded, and the server's memory."""
        question = {**CHAT, "stream": False, "messages": [{"role": "user", "content": "how much?"}]}
        self._client.ask("POST", "/v1/chat/completions", question)
        answer = json.loads(self._client.answer()[1])
        said, resident = answer["choices"][0]["message"]["content"].split()
        return int(said), int(resident)

    def when_all_stand_still(self) -> tuple[int, int]:
        """The same, once three looks in a row have seen no handler move."""
        seen: list[tuple[int, int]] = []
        while len(seen) < 3 or len({said for said, _ in seen[-3:]}) > 1:
            seen.append(self.look())
        return seen[-1]


def sips(readers: list[RawClient], onlooker: Onlooker) -> int:
    """Have each of them read READ bytes, in turns: the server's memory at its peak."""
    peak = 0
    for _ in range(READ // SIP):
        for reader in readers:
            left = SIP
            while left:
                left -= len(reader.sock.recv(left))
        peak = max(peak, onlooker.look()[1])
    return peak


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_slow_readers(backend: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * READERS + 200
    if needed > hard:
        pytest.skip(f"{READERS} connections need more descriptors than the {hard} that are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    try:
        with firehose(backend) as address, RawClient(address) as client, contextlib.ExitStack() as stack:
            onlooker = Onlooker(client)
            _, before = onlooker.look()
            readers = [stack.enter_context(RawClient(address, receive_window=WINDOW)) for _ in range(READERS)]
            for reader in readers:
                reader.ask("POST", "/v1/chat/completions", CHAT)
            onlooker.when_all_stand_still()
            said, stuck = onlooker.when_all_stand_still()
            peak = sips(readers, onlooker)
            more, after = onlooker.when_all_stand_still()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    at_rest, at_peak, at_the_end = ((what - before) / READERS / 1024 for what in (stuck, peak, after))
    print(
        f"\n{backend}: {READERS} stuck readers cost {at_rest:.0f} KiB each; while each read {READ / 1024:g} KiB, "
        f"{at_peak:.0f} at the peak, and {at_the_end:.0f} in the end"
    )
    assert READ % SIP == 0
    assert more - said > 0.8 * READERS * READ / 4_200  # so the handlers have gone on, each by what was read
    assert stuck - before < READERS * EACH
    assert peak - before < READERS * EACH
