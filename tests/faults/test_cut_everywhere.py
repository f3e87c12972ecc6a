"""Every recording, cut after its bytes, by the server's end and by its reset: through the public face, in memory.

The outcome is a complete answer or a typed error, every whole event before the cut was delivered, and nothing hangs
(memory would tell of a read that waits). TOKENWIRE_ALL_CUTS=1 cuts after every byte (of the eight recordings over
16 kB, after every byte of both ends and each 97th between; TOKENWIRE_ALL_CUTS=2 cuts those everywhere, too). Else
each recording is cut on each side of some of its line ends, and in their midst. The same over sockets:
test_cut_sweep.py.
"""

from __future__ import annotations

import os

import pytest

import tokenwire
from support import cuts, vectors
from support.vectors import Vector
from tokenwire.backends.memory import EOF, MemoryBackend

ALL = int(os.environ.get("TOKENWIRE_ALL_CUTS", "0"))

_LONG = 16_384
_ENDS = 4_096


def _offsets(vector: Vector, how: str) -> list[int]:
    size = len(vector.data)
    if ALL:
        return cuts.offsets(vector, _LONG if ALL == 1 else None, _ENDS)
    # Near some of the line ends, others each time; and the end of the head, and all of the end.
    ends = cuts.line_ends(vector)
    some = ends[sum(map(ord, vector.name + how)) % 13 :: max(1, len(ends) // 16)]
    head = vector.data.index(b"\r\n\r\n")
    places = {*some, *(at - 20 for at in some), head + 2, head + 3, head + 4, size - 1, size}
    return sorted(at for at in places if 0 <= at <= size)


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("name", vectors.names())
def test_cut(name: str, how: str) -> None:
    vector = vectors.load(name)
    peer = MemoryBackend()
    with tokenwire.Client(api_key="k", base_url="http://test/v1", max_retries=0, backend=peer) as client:
        peer.scripts.append([vector.data, EOF])
        whole = cuts.take(client, vector)
        for cut in cuts.cuts(vector, _offsets(vector, how)):
            client._pools.pool.close()  # a whole answer's connection is kept; the next cut needs its own
            client._pools.pool = None
            peer.connections.clear()
            # An exception that is raised again and again keeps all the frames that it went through.
            end = EOF if how == "FIN" else ConnectionResetError(104, "Connection reset by peer")
            peer.scripts.append([vector.data[: cut.at], end] if cut.at else [end])
            cuts.judge(vector, cut, how, whole, cuts.take(client, vector))
            counts = client._pools.pool.counts()
            (connection,) = peer.connections
            assert counts["active"] == counts["waiting"] == 0, cut.at
            assert counts["idle"] + counts["draining"] == (not connection.closed), cut.at
