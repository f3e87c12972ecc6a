"""The two ways of cutting a run, compiled and in Python: that they are one, and that the compiled one is careful.

What a run is, and what is none, stands in test_whole_chunks.py, for both.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings, strategies as st

from support.modules import imported_without
from tokenwire.wire import runs
from tokenwire.wire.body import chunk
from tokenwire.wire.runs import Cut, Runs

compiled_only = pytest.mark.skipif(
    runs.compiled is None and "TOKENWIRE_COMPILED" not in os.environ, reason="nothing is compiled here"
)


def compiled() -> Cut:
    assert runs.compiled is not None, "the compiled part is wanted (TOKENWIRE_COMPILED) and was not built"
    return runs.compiled


@pytest.fixture(params=["compiled", "python"])
def cut(request: pytest.FixtureRequest) -> Cut:
    if request.param == "python":
        return Runs().cut
    if runs.compiled is None:
        pytest.skip("nothing is compiled here")
    return runs.compiled


ONE = chunk(b'data: {"number":1}\n\n')


def test_a_run_is_cut_from_start_to_end_and_no_further(cut: Cut) -> None:
    assert cut(bytearray(b"??" + ONE * 3 + b"??"), 2, 2 + 3 * len(ONE), 1) == ([b'{"number":1}'] * 3, 2 + 3 * len(ONE))
    assert cut(bytearray(ONE * 3), len(ONE), 2 * len(ONE) + 5, 1) == ([b'{"number":1}'], 2 * len(ONE))
    assert cut(bytearray(ONE), 0, 0, 1) == ([], 0)


def test_the_ends_of_lines_are_those_that_were_asked_for(cut: Cut) -> None:
    crlf = chunk(b'event: a\r\ndata: {"number":1}\r\n\r\n')
    assert cut(bytearray(crlf), 0, len(crlf), 2) == ([b'{"number":1}'], len(crlf))
    assert cut(bytearray(crlf), 0, len(crlf), 1) == ([], 0)
    assert cut(bytearray(ONE), 0, len(ONE), 2) == ([], 0)


@pytest.mark.parametrize("end", range(len(ONE)))
def test_what_stands_behind_the_end_is_not_looked_at(cut: Cut, end: int) -> None:
    assert cut(bytearray(ONE), 0, end, 1) == ([], 0)


def test_a_type_whose_name_begins_like_an_error_is_none(cut: Cut) -> None:
    for name, taken in ((b"errors", 1), (b"erro", 1), (b"Error", 1), (b"", 1), (b"error", 0)):
        wire = chunk(b'event: %b\ndata: {"number":1}\n\n' % name)
        assert len(cut(bytearray(wire), 0, len(wire), 1)[0]) == taken, name


def test_without_a_compiler_it_is_python_that_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    again = imported_without(runs, "tokenwire.wire._runs", monkeypatch)
    assert again.compiled is None
    assert again.cutter()(bytearray(ONE), 0, len(ONE), 1) == ([b'{"number":1}'], len(ONE))


# -- They are one ----------------------------------------------------------------------

lines = [b"", b"event: delta\n", b"event: delta\r\n", b"event: error\n", b"event: x\ry\n", b"event: \n"]
names = st.sampled_from(lines)
insides = st.sampled_from([b"", b'"n":1', b'"' + b"x" * 300 + b'"', b"\n", b"\r", b"}\n\n\r\n14\r\ndata: {"])
ends = st.sampled_from([b"\n\n", b"\n\n", b"\r\n\r\n", b"\n", b"\n\n\n"])
datas = st.builds(lambda name, inside, end: name + b"data: {" + inside + b"}" + end, names, insides, ends)


@st.composite
def wires(draw: st.DrawFn) -> bytes:
    """Chunks of about the right shape; some bytes of them are others."""
    wire = bytearray()
    for data in draw(st.lists(datas, max_size=6)):
        digits = draw(st.sampled_from([b"%x", b"%x", b"%X", b"0%x", b"%x;x"]))
        said = digits % (len(data) + draw(st.sampled_from([0, 0, 0, 1])))
        wire += (said + b"\r\n" + data + b"\r\n") * draw(st.sampled_from([1, 1, 20]))
    for at, byte in draw(st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 255)), max_size=2)):
        if wire:
            wire[at % len(wire)] = byte
    return bytes(wire)


@compiled_only
@given(wires(), st.integers(0, 60), st.integers(0, 60), st.sampled_from([1, 2]))
@settings(max_examples=500)
def test_compiled_or_not_the_payloads_are_the_same(wire: bytes, before: int, behind: int, line_end: int) -> None:
    data = bytearray(wire)
    start = min(before % 3, len(data))  # mostly at a chunk's beginning
    end = max(start, len(data) - behind)
    python = Runs().cut
    expected = python(data, start, end, line_end)
    assert compiled()(data, start, end, line_end) == expected
    assert python(data, start, end, line_end) == expected  # by what it remembers, too


# -- Careful -------------------------------------------------------------------------------


@compiled_only
@pytest.mark.parametrize(
    "arguments",
    [(-1, 5, 1), (6, 5, 1), (0, len(ONE) + 1, 1), (0, 5, 0), (0, 5, 3), (0, 2**70, 1)],
    ids=["before the beginning", "end before start", "behind the end", "no line end", "too long a line end", "huge"],
)
def test_places_outside_of_the_data_are_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises((ValueError, OverflowError)):
        compiled()(bytearray(ONE), *arguments)


@compiled_only
def test_what_are_no_bytes_is_refused() -> None:
    with pytest.raises(TypeError):
        compiled()("text", 0, 1, 1)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(TypeError, match="4 arguments"):
        compiled()(bytearray(ONE))  # type: ignore[call-arg]  # that is the point


@compiled_only
def test_memory_that_was_looked_at_is_let_go() -> None:
    data = bytearray(ONE)
    compiled()(data, 0, len(data), 1)
    data += b"grows"  # BufferError, were it still held
    with pytest.raises(ValueError, match="from 9 to 3"):
        compiled()(data, 9, 3, 1)
    data += b"and again"
