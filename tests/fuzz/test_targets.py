"""The targets of the fuzzer, with what it begins from and some mutations: nothing but a TokenwireError comes out."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from fuzz.targets import MUTATORS, TARGETS, seeds

each = pytest.mark.parametrize("target", TARGETS)


@each
def test_the_seeds(target: str) -> None:
    found = seeds(target, 2_000)
    assert len(found) > 20
    for number, seed in enumerate(found):
        TARGETS[target](bytes([number * 37 % 256]) + seed)


@each
@settings(max_examples=30)
@given(data=st.data())
def test_mutations_of_them(target: str, data: Any) -> None:
    found = seeds(target, 600)
    sent = bytearray([data.draw(st.integers(0, 255))]) + found[data.draw(st.integers(0, len(found) - 1))]
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=4)):
        sent[at % len(sent)] = byte
    TARGETS[target](bytes(sent))
    if target in MUTATORS:
        made = MUTATORS[target](bytes(sent), 2_000, random.Random(data.draw(st.integers(0, 2**32))))
        TARGETS[target](made or b"")


@each
@settings(max_examples=50)
@given(sent=st.binary(max_size=200))
def test_any_bytes(target: str, sent: bytes) -> None:
    TARGETS[target](sent)
