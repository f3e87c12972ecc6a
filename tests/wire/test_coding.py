"""Content codings: decoded as they come, whatever the split; bombs are bounded; garbage is a typed error."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given, settings, strategies as st

from support.splits import bytewise, cuts, split, two_ways
from tokenwire.errors import LimitExceededError, RemoteProtocolError
from tokenwire.policy import Limits
from tokenwire.wire.coding import Decompressor, decompressor

WBITS = {"gzip": 31, "zlib": 15, "raw": -15}
CODING = {"gzip": "gzip", "zlib": "deflate", "raw": "deflate"}
FORMS = list(WBITS)

MIB = 1_048_576


def packed(form: str, events: list[bytes], level: int = 6) -> list[bytes]:
    """One piece for each event, flushed, and one for the end."""
    packer = zlib.compressobj(level, wbits=WBITS[form])
    return [packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH) for event in events] + [packer.flush()]


def unpacked(coding: str, pieces: list[bytes], limits: Limits = Limits()) -> bytes:  # noqa: B008 - frozen
    unpack = Decompressor(coding, limits)
    out: list[bytes] = []
    for piece in pieces:
        unpack.decode(memoryview(piece), out)
    assert unpack.complete
    assert b"" not in out
    return b"".join(out)


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None, max_examples=60)
@given(events=st.lists(st.binary(max_size=60), max_size=4), at=cuts, level=st.sampled_from([0, 1, 9]))
def test_every_form_whatever_the_split(form: str, events: list[bytes], at: list[int], level: int) -> None:
    wire = b"".join(packed(form, events, level))
    for pieces in ([wire], bytewise(wire), split(wire, at)):
        assert unpacked(CODING[form], pieces) == b"".join(events)


@pytest.mark.parametrize("form", FORMS)
def test_each_event_is_there_as_soon_as_it_was_flushed(form: str) -> None:
    events = [b"data: %d\n\n" % at for at in range(20)]
    *pieces, end = packed(form, events)
    unpack = Decompressor(CODING[form])
    for event, piece in zip(events, pieces, strict=True):
        out: list[bytes] = []
        unpack.decode(memoryview(piece), out)
        assert b"".join(out) == event
        assert not unpack.complete
    unpack.decode(memoryview(end), [])
    assert unpack.complete


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [262_143, 262_144, 262_145, 2 * 262_144, 600_000, MIB])
def test_nothing_waits_in_the_decoder_for_the_next_read(form: str, size: int) -> None:
    # All the input has gone in while output is still to come: output comes in bounded pieces.
    piece, end = packed(form, [b"x" * size])
    out: list[bytes] = []
    unpack = Decompressor(CODING[form])
    unpack.decode(memoryview(piece), out)
    assert sum(map(len, out)) == size
    assert max(map(len, out)) <= 262_144
    unpack.decode(memoryview(end), out)
    assert unpack.complete


@pytest.mark.parametrize("form", FORMS)
def test_every_prefix_gives_all_that_zlib_can_give(form: str) -> None:
    wire = b"".join(packed(form, [b"x" * 300_000, b"y"]))
    for stop in range(len(wire)):
        out: list[bytes] = []
        Decompressor(CODING[form]).decode(wire[:stop], out)
        assert b"".join(out) == zlib.decompressobj(WBITS[form]).decompress(wire[:stop])


def test_gzip_under_the_name_of_deflate_and_zlib_under_the_name_of_gzip() -> None:
    for pieces in two_ways(gzip.compress(b"hello", mtime=0)):
        assert unpacked("deflate", pieces) == b"hello"
    for pieces in two_ways(zlib.compress(b"hello")):
        assert unpacked("gzip", pieces) == b"hello"


def test_nothing_at_all_is_not_complete() -> None:
    for coding in ("gzip", "deflate"):
        unpack = Decompressor(coding)
        out: list[bytes] = []
        unpack.decode(b"", out)
        assert out == []
        assert not unpack.complete


@pytest.mark.parametrize("form", FORMS)
def test_a_cut_body_is_not_complete_at_any_place(form: str) -> None:
    wire = b"".join(packed(form, [b"hello, hello"]))
    for stop in range(len(wire)):
        unpack = Decompressor(CODING[form])
        out: list[bytes] = []
        unpack.decode(wire[:stop], out)
        assert not unpack.complete
        assert b"hello, hello".startswith(b"".join(out))


# -- Members and what stands behind ------------------------------------------------


@pytest.mark.parametrize("padding", [b"", b"\0", b"\0" * 9])
def test_gzip_members_one_after_another(padding: bytes) -> None:
    wire = gzip.compress(b"one ", mtime=0) + padding + gzip.compress(b"two", mtime=0) + padding
    for pieces in two_ways(wire):
        assert unpacked("gzip", pieces) == b"one two"


def test_ten_thousand_tiny_members() -> None:
    member = gzip.compress(b"", mtime=0)
    wire = member * 10_000 + gzip.compress(b"end", mtime=0)
    assert unpacked("gzip", [wire]) == b"end"


def test_a_second_member_that_is_cut_is_not_complete() -> None:
    unpack = Decompressor("gzip")
    out: list[bytes] = []
    unpack.decode(gzip.compress(b"one", mtime=0), out)
    assert unpack.complete
    unpack.decode(b"\x1f", out)
    assert not unpack.complete


@pytest.mark.parametrize("form", ["zlib", "raw"])
def test_what_stands_behind_the_other_forms_is_ignored(form: str) -> None:
    for pieces in two_ways(b"".join(packed(form, [b"hello"])) + b"junk"):
        assert unpacked("deflate", pieces) == b"hello"


def test_junk_behind_gzip_is_an_error_behind_the_text() -> None:
    for pieces in two_ways(gzip.compress(b"hello", mtime=0) + b"junk"):
        out, error = until_error("gzip", pieces)
        assert out == b"hello"
        assert "not valid gzip" in str(error)


# -- Garbage ------------------------------------------------------------------------


def until_error(coding: str, pieces: list[bytes], limits: Limits = Limits()) -> tuple[bytes, Exception | None]:  # noqa: B008
    unpack = Decompressor(coding, limits)
    out: list[bytes] = []
    try:
        for piece in pieces:
            unpack.decode(piece, out)
    except RemoteProtocolError as error:
        return b"".join(out), error
    return b"".join(out), None


@pytest.mark.parametrize(
    ("coding", "wire"),
    [
        ("gzip", b"data: hello\n\n"),
        ("gzip", b"\x1f\x8b\x07" + b"\0" * 20),
        ("gzip", b"\0\0"),
        ("deflate", b"data: hello\n\n"),  # 'd': a block of type 2, whose tables do not hold
        ("deflate", b"\xff\xff"),  # a block of type 3: there is none
        ("deflate", b"\x78\x9c\xff\xff"),
    ],
)
def test_garbage_is_a_typed_error(coding: str, wire: bytes) -> None:
    for pieces in two_ways(wire):
        out, error = until_error(coding, pieces)
        assert out == b""
        assert f"not valid {coding}" in str(error)
        assert not isinstance(error, LimitExceededError)


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_damage_gives_one_verdict_whatever_the_split(form: str, data: st.DataObject) -> None:
    events = [b"data: one\n\n", b"data: two\n\n", b"data: three\n\n"]
    wire = bytearray(b"".join(packed(form, events)))
    wire[data.draw(st.integers(0, len(wire) - 1))] ^= data.draw(st.integers(1, 255))
    expected = until_error(CODING[form], bytewise(bytes(wire)))
    for pieces in ([bytes(wire)], split(bytes(wire), data.draw(cuts))):
        out, error = until_error(CODING[form], pieces)
        assert out == expected[0]
        assert str(error) == str(expected[1])


def test_what_was_good_comes_before_the_error() -> None:
    *pieces, _ = packed("gzip", [b"data: one\n\n", b"data: two\n\n"])
    out, error = until_error("gzip", [b"".join(pieces) + b"\xff" * 8])
    assert out == b"data: one\n\ndata: two\n\n"
    assert error is not None


def test_what_was_good_comes_once_however_much_it_is() -> None:
    *pieces, _ = packed("gzip", [b"x" * 700_000])
    out, error = until_error("gzip", [b"".join(pieces) + b"\xff" * 8])
    assert len(out) == 700_000
    assert error is not None


def test_a_wrong_checksum_is_an_error_behind_the_text() -> None:
    wire = bytearray(gzip.compress(b"hello", mtime=0))
    wire[-8] ^= 1
    for pieces in two_ways(bytes(wire)):
        out, error = until_error("gzip", pieces)
        assert out == b"hello"
        assert "incorrect data check" in str(error)


# -- Bombs ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("step", [1_000, 10**9])
def test_a_bomb_is_noticed_before_it_is_unpacked(form: str, step: int) -> None:
    limits = Limits(expansion=100.0)
    wire = b"".join(packed(form, [b"\0" * MIB] * 16, level=9))
    unpack = Decompressor(CODING[form], limits)
    out: list[bytes] = []
    received = 0
    with pytest.raises(LimitExceededError) as caught:  # noqa: PT012 - whichever piece it is
        for at in range(0, len(wire), step):
            received += len(wire[at : at + step])
            unpack.decode(wire[at : at + step], out)
    assert (caught.value.limit, caught.value.allowed) == ("expansion", 100.0)
    assert "100 times" in str(caught.value)
    produced = sum(map(len, out))
    assert max(MIB, received * 100) < produced <= max(MIB, received * 100) + 262_144


def test_a_bomb_of_many_members() -> None:
    wire = gzip.compress(b"\0" * 100_000, mtime=0) * 100
    out, error = until_error("gzip", [wire], Limits(expansion=50.0))
    assert isinstance(error, LimitExceededError)
    assert len(out) <= max(MIB, len(wire) * 50) + 262_144


def test_the_first_mebibyte_is_free_and_honest_text_is_never_refused() -> None:
    wire = b"".join(packed("gzip", [b"\0" * MIB], level=9))
    assert len(wire) * 200 < MIB
    assert unpacked("gzip", [wire]) == b"\0" * MIB
    text = b"".join(b'data: {"choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % at for at in range(40_000))
    assert len(text) > 2 * MIB
    assert unpacked("gzip", [gzip.compress(text, mtime=0)]) == text


# -- Which coding -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", " ", "identity", "none", "None", "utf-8", "UTF-8", "identity, none", ",", " identity "]
)
def test_names_of_no_coding(name: str) -> None:
    assert decompressor(name) is None


@pytest.mark.parametrize("name", ["gzip", "GZIP", "x-gzip", " gzip ", "identity, gzip", "gzip,"])
def test_names_of_gzip(name: str) -> None:
    unpack = decompressor(name)
    out: list[bytes] = []
    assert unpack is not None
    unpack.decode(gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0), out)
    assert b"".join(out) == b"ab"


def test_deflate_and_its_limits() -> None:
    unpack = decompressor("deflate", Limits(expansion=2.0))
    assert unpack is not None
    with pytest.raises(LimitExceededError, match="2 times"):
        unpack.decode(zlib.compress(b"\0" * 3 * MIB), [])


@pytest.mark.parametrize("name", ["br", "zstd", "compress", "gzip, br", "gzip, gzip", "deflate, gzip", "x" * 500])
def test_codings_that_were_not_asked_for(name: str) -> None:
    with pytest.raises(RemoteProtocolError, match="not asked for") as caught:
        decompressor(name)
    assert len(str(caught.value)) < 200
