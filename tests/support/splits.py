"""Every way the network may cut a run of bytes, for hypothesis and for loops."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from hypothesis import strategies as st

#: Where to cut: taken modulo the length, so that one strategy fits any bytes.
cuts = st.lists(st.integers(min_value=0, max_value=10_000), max_size=6)


def split(data: bytes, at: list[int]) -> list[bytes]:
    """The pieces of data between these positions; none is empty."""
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[start:stop] for start, stop in itertools.pairwise(places)]


def bytewise(data: bytes) -> list[bytes]:
    """One byte at a time."""
    return [data[at : at + 1] for at in range(len(data))]


def two_ways(data: bytes) -> Iterator[list[bytes]]:
    """Whole, byte by byte, and at every two-way split."""
    yield [data]
    yield bytewise(data)
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]
