"""ReceiveBuffer against a model that is a run of bytes; views stay true for as long as they must."""

from __future__ import annotations

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tokenwire.policy import DEFAULT_LIMITS
from tokenwire.wire.buffer import ReceiveBuffer


class AgainstTheModel(RuleBasedStateMachine):
    """What is unread, and each view that is out, with what it must show."""

    @initialize(limit=st.sampled_from([1, 2, 10, 4_095, 4_096, 4_097, 10_000, 65_536]), lean=st.booleans())
    def begin(self, limit: int, lean: bool) -> None:
        self.buffer = ReceiveBuffer(limit, lean=lean)
        self.other = ReceiveBuffer(limit, lean=lean)  # it writes into any memory that was handed on
        self.unread = b""
        self.out: list[tuple[memoryview, bytes]] = []  # true until the next reclaim
        self.kept: list[tuple[memoryview, bytes]] = []  # true for ever
        self.at = 0

    def bytes_from_the_network(self, count: int) -> bytes:
        self.at += 1
        return bytes((self.at + n * 7) % 256 for n in range(count))

    @precondition(lambda self: len(self.unread) < self.buffer.limit)
    @rule(part=st.floats(0, 1), sizehint=st.sampled_from([-1, 0, 1, 65_536]))
    def receive(self, part: float, sizehint: int) -> None:
        room = self.buffer.get_buffer(sizehint)
        assert 1 <= len(room) <= self.buffer.limit
        data = self.bytes_from_the_network(int(len(room) * part))
        room[: len(data)] = data
        self.buffer.buffer_updated(len(data))
        self.unread += data

    @precondition(lambda self: len(self.unread) < self.buffer.limit)
    @rule()
    def a_read_that_brings_nothing(self) -> None:
        assert len(self.buffer.get_buffer()) >= 1

    @rule()
    def another_buffer_reads(self) -> None:
        fill(self.other, b"!")
        self.other.start = self.other.end
        self.other.reclaim()

    @rule()
    def keep(self) -> None:
        self.buffer.keep()

    @rule(count=st.integers(0, 300))
    def feed(self, count: int) -> None:
        data = self.bytes_from_the_network(min(count, self.buffer.limit - len(self.unread)))
        self.buffer.feed(data)
        self.unread += data

    @rule(part=st.floats(0, 1))
    def consume(self, part: float) -> None:
        count = int(len(self.unread) * part)
        start = self.buffer.start
        view = memoryview(self.buffer.data)[start : start + count]
        self.out.append((view, self.unread[:count]))
        self.buffer.start += count
        self.unread = self.unread[count:]

    @rule()
    def consume_all(self) -> None:
        self.consume(1.0)

    @rule()
    def reclaim(self) -> None:
        self.out.clear()
        self.buffer.reclaim()
        assert self.buffer.start == 0

    @rule()
    def shrink(self) -> None:
        if not self.unread:
            self.out.clear()
        self.buffer.shrink()
        if not self.unread:
            assert len(self.buffer.data) <= 4_096

    @rule()
    def let_go(self) -> None:
        self.buffer.let_go()
        self.kept = (self.kept + self.out)[-8:]
        self.out.clear()

    @invariant()
    def it_holds_what_the_model_holds(self) -> None:
        buffer = self.buffer
        assert bytes(buffer.data[buffer.start : buffer.end]) == self.unread
        assert len(buffer) == len(self.unread)
        assert buffer.full == (len(self.unread) == buffer.limit)
        assert 0 <= buffer.start <= buffer.end <= len(buffer.data) <= buffer.limit

    @invariant()
    def views_are_true(self) -> None:
        for view, shown in self.out + self.kept:
            assert view == shown

    @invariant()
    def a_full_buffer_lends_nothing(self) -> None:
        if self.buffer.full:
            with pytest.raises(BufferError, match="full"):
                self.buffer.get_buffer()


AgainstTheModel.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=25)
TestAgainstTheModel = AgainstTheModel.TestCase


def fill(buffer: ReceiveBuffer, byte: bytes = b"x") -> int:
    """One read that brings all there is room for."""
    room = buffer.get_buffer()
    count = len(room)
    room[:] = byte * count
    buffer.buffer_updated(count)
    return count


def test_small_at_first_and_doubled_while_reads_fill_it() -> None:
    buffer = ReceiveBuffer()
    sizes = []
    for _ in range(7):
        sizes.append(fill(buffer))
        buffer.start = buffer.end
        buffer.reclaim()
    assert sizes == [4_096, 8_192, 16_384, 32_768, 32_768, 32_768, 32_768]
    assert buffer.limit == DEFAULT_LIMITS.receive_buffer == 32_768


def test_grows_also_where_the_beginning_of_what_comes_next_is_left() -> None:
    buffer = ReceiveBuffer(20_000)
    sizes = []
    for _ in range(5):
        sizes.append(fill(buffer))
        left = bytes(buffer.data[buffer.end - 100 : buffer.end])
        buffer.start = buffer.end - 100
        buffer.reclaim()
        assert bytes(buffer.data[buffer.start : buffer.end]) == left
    assert sizes == [4_096, 8_192 - 100, 16_384 - 100, 20_000 - 100, 20_000 - 100]


def test_grows_to_a_limit_that_is_no_power_of_two() -> None:
    buffer = ReceiveBuffer(10_000)
    sizes = []
    for _ in range(3):
        sizes.append(fill(buffer))
        buffer.start = buffer.end
        buffer.reclaim()
    assert sizes == [4_096, 8_192, 10_000]


def test_does_not_grow_for_reads_that_leave_room() -> None:
    buffer = ReceiveBuffer()
    for _ in range(50):
        room = buffer.get_buffer()
        room[:100] = b"y" * 100
        buffer.buffer_updated(100)
        buffer.start = buffer.end
        buffer.reclaim()
    assert len(buffer.data) == 4_096


def test_grows_by_itself_where_nobody_reclaims() -> None:
    # An event loop that reads ahead of its consumer: asyncio's BufferedProtocol.
    buffer = ReceiveBuffer(20_000)
    taken = 0
    while not buffer.full:
        taken += fill(buffer)
    assert taken == len(buffer) == 20_000
    with pytest.raises(BufferError, match="20000 bytes"):
        buffer.get_buffer()
    with pytest.raises(BufferError, match="full"):
        buffer.feed(b"z")


def test_the_slot_of_consumed_bytes_is_used_again_without_growth() -> None:
    buffer = ReceiveBuffer()
    fill(buffer, b"a")
    buffer.start = 4_000
    view = memoryview(buffer.data)[:4_000]
    room = buffer.get_buffer()  # a swap: what is unread goes along, the view stays where it is
    assert len(buffer) == 96
    assert bytes(buffer.data[:96]) == b"a" * 96
    room[:10] = b"b" * 10
    buffer.buffer_updated(10)
    assert view == b"a" * 4_000
    assert bytes(buffer.data[buffer.start : buffer.end]) == b"a" * 96 + b"b" * 10


def test_a_swap_grows() -> None:
    """There is one only where all the room was filled: by a read, or by what `let_go` kept."""
    for let_go in (False, True):
        buffer = ReceiveBuffer()
        buffer.feed(b"x" * 4_096)
        if let_go:
            buffer.let_go()
        buffer.start = 100
        memory = buffer.data
        assert len(buffer.get_buffer()) == 8_192 - 3_996
        assert buffer.data is not memory
        assert bytes(buffer.data[buffer.start : buffer.end]) == b"x" * 3_996


def test_reclaim_brings_what_is_unread_to_the_front() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"read, unread")
    buffer.start = 6
    memory = buffer.data
    buffer.reclaim()
    assert (buffer.start, buffer.end, buffer.data is memory) == (0, 6, True)
    assert buffer.data[:6] == b"unread"
    buffer.reclaim()
    assert buffer.data[:6] == b"unread"


def test_the_same_view_is_lent_again_while_it_is_empty() -> None:
    buffer = ReceiveBuffer()
    assert buffer.get_buffer() is buffer.get_buffer()


def test_shrink_gives_back_the_room_of_an_idle_connection() -> None:
    buffer = ReceiveBuffer()
    while len(buffer.data) < 32_768:
        fill(buffer)
        buffer.start = buffer.end
        buffer.reclaim()
    buffer.feed(b"rest")
    buffer.shrink()
    assert len(buffer.data) == 32_768
    assert bytes(buffer.data[buffer.start : buffer.end]) == b"rest"
    buffer.start = buffer.end
    buffer.shrink()
    assert (len(buffer.data), buffer.start, buffer.end) == (4_096, 0, 0)
    small = buffer.data
    buffer.shrink()
    assert buffer.data is small


def test_feed_takes_any_bytes() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"a")
    buffer.feed(bytearray(b"b"))
    buffer.feed(memoryview(b"xcx")[1:2])
    buffer.feed(b"")
    assert bytes(buffer.data[buffer.start : buffer.end]) == b"abc"


def test_let_go_leaves_the_memory_to_its_views() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"taken, kept")
    buffer.start = 7
    view = memoryview(buffer.data)[:5]
    buffer.let_go()
    buffer.feed(b" on")
    buffer.reclaim()
    assert bytes(buffer.data[buffer.start : buffer.end]) == b"kept on"
    assert view == b"taken"


def test_a_lean_buffer_has_no_memory_while_it_waits() -> None:
    one, other = ReceiveBuffer(lean=True), ReceiveBuffer(lean=True)
    assert len(one.data) == 0
    memories = set()
    for _ in range(20):
        for buffer in (one, other):
            buffer.feed(b"token")
            memories.add(id(buffer.data))
            buffer.reclaim()
            assert buffer.data[:5] == b"token", "what is unread stays"
            buffer.start = buffer.end
            buffer.reclaim()
            assert len(buffer.data) == 0
    assert len(memories) == 1, "one page serves them both"


def test_a_lean_buffer_grows_and_shrinks_as_any_other() -> None:
    buffer = ReceiveBuffer(lean=True)
    sizes = []
    for _ in range(6):
        sizes.append(fill(buffer))
        buffer.start = buffer.end
        buffer.reclaim()
    assert sizes == [4_096, 8_192, 16_384, 32_768, 32_768, 32_768]
    buffer.shrink()
    assert fill(buffer) == 4_096
    buffer.start = buffer.end
    buffer.shrink()
    assert len(buffer.data) == 0


def test_what_is_kept_is_not_anothers() -> None:
    buffer, other = ReceiveBuffer(lean=True), ReceiveBuffer(lean=True)
    buffer.feed(b"seen")
    buffer.keep()
    view = memoryview(buffer.data)[:4]
    buffer.start = buffer.end
    buffer.reclaim()
    fill(other)
    assert view == b"seen"
    buffer.let_go()
    fill(buffer, b"y")
    assert view == b"seen", "and it is lean again:"
    buffer.start = buffer.end
    buffer.reclaim()
    assert len(buffer.data) == 0
    buffer.keep()
    assert len(buffer.data) > 0


def test_few_spare_pages_are_kept() -> None:
    buffers = [ReceiveBuffer(lean=True) for _ in range(40)]
    for buffer in buffers:
        buffer.feed(b"x")
        buffer.start = buffer.end
    pages = {id(buffer.data): buffer.data for buffer in buffers}
    assert len(pages) == 40
    for buffer in buffers:
        buffer.reclaim()
    again = []
    for buffer in buffers:
        buffer.feed(b"x")
        again.append(buffer.data)
    assert 1 <= sum(any(data is page for page in pages.values()) for data in again) <= 16
