"""ReceiveBuffer: lends space to the socket, hands out slices.

Theory of operation. One bytearray holds the bytes that were received and not
yet consumed, `data[start:end]`. The kernel writes behind `end`; readers work on
`data` by offsets, move `start` forward, and may hand out slices and memoryviews.

Those views stay true until the consumer's next step. Hence two rules:

* `get_buffer` never moves a byte in place: it may be called by an event loop at
  any moment, while views are out. Where it lacks room it swaps to another
  bytearray, and the old one lives as long as somebody looks at it. (A bytearray
  with live views cannot be resized at all; this one never is.)
* `reclaim` is called by the consumer's own step. It takes the views back: the
  consumed space is used again.

The size adapts: 4 KiB at first, doubled when a read filled all the room it was lent, up
to the limit. A buffer that holds `limit` bytes is full: nothing more may be read until
some are consumed, and that is the backpressure the server feels.

A process may hold ten thousand streams that wait, and a buffer that waits is empty. So
one that is `lean` has no memory then: `reclaim` hands it on, for the next read of
whichever buffer, and a few pages serve them all. It is for readers who keep no view
beyond the step that it was made for: what they looked at would be another's bytes.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from tokenwire.policy import DEFAULT_LIMITS

__all__ = ["ReceiveBuffer"]

#: One page: a head and the first event of nearly every server fit in.
_INITIAL = 4_096

#: A bytearray and a view of all of it, which also holds off whoever would resize it.
_Memory = tuple[bytearray, memoryview]

#: Memory between two reads, by its size: 16 pieces of each, 2 MB in all. A deque's pop and append are safe in any
#: thread, and one that is full lets go of its oldest.
_SPARE: Final[dict[int, deque[_Memory]]] = {_INITIAL << n: deque(maxlen=16) for n in range(5)}
_NONE_KEPT: Final[deque[_Memory]] = deque(maxlen=0)  # of any other size

_NOTHING: Final = bytearray()
_NO_MEMORY: Final = (_NOTHING, memoryview(_NOTHING))


class ReceiveBuffer:
    """Received bytes that wait to be consumed: `data[start:end]`.

    limit: the most bytes it ever holds. lean: it has no memory while it is empty and waits.
    """

    __slots__ = ("_kept", "_lean", "_memory", "_size", "_spare", "data", "end", "limit", "start")

    def __init__(self, limit: int = DEFAULT_LIMITS.receive_buffer, *, lean: bool = False) -> None:
        self.limit = limit
        self._lean = lean
        self._kept = False  # lean as a rule, but not now
        self._memory: _Memory = _NO_MEMORY
        self.data = _NOTHING  # the memory's
        self.start = self.end = 0
        self._resize(min(_INITIAL, limit))

    def _resize(self, size: int) -> None:
        """Have memory of this size: at once, or where it is lean with the next read."""
        self._size = size
        self._spare = _SPARE.get(size, _NONE_KEPT)
        if not self._lean:
            self._allocate()

    def _allocate(self) -> _Memory:
        """Go on in new memory."""
        self.data = data = bytearray(self._size)
        self._memory = memory = data, memoryview(data)
        return memory

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def full(self) -> bool:
        """Whether it holds `limit` bytes."""
        return self.end - self.start >= self.limit

    def get_buffer(self, sizehint: int = -1) -> memoryview:
        """Room for the next read: a writable view of at least one byte. Views handed out before stay true.

        The name and the argument are those of `asyncio.BufferedProtocol`; sizehint
        is ignored. Must not be called while `full`.
        """
        # This and `reclaim` are called for each token: they have no frame but their own.
        end = self.end
        if not end:
            memory = self._memory
            if memory is _NO_MEMORY:  # lean, and it waits
                try:
                    self._memory = memory = self._spare.pop()
                    self.data = memory[0]
                except IndexError:
                    memory = self._allocate()
            return memory[1]
        if end == self._size:
            self._swap()
            end = self.end
        return self._memory[1][end:]

    def buffer_updated(self, nbytes: int) -> None:
        """The last view from `get_buffer` now begins with nbytes received bytes."""
        self.end += nbytes

    def _swap(self) -> None:
        """Go on in another bytearray that has room; the unread bytes move there."""
        unread = self.data[self.start : self.end]
        # The last read filled all the room that it was lent: the peer has more than we ask for.
        size = min(self._size * 2, self.limit)
        if len(unread) >= size:
            raise BufferError(f"the receive buffer is full: it holds its limit of {self.limit} bytes")
        self._move(unread, size)

    def _move(self, unread: bytearray, size: int) -> None:
        """Go on in other memory, of this size, behind these bytes."""
        self._resize(size)
        if self._lean:
            self._allocate()
        self.start, self.end = 0, len(unread)
        self.data[: self.end] = unread

    def reclaim(self) -> None:
        """Use the consumed space again. Every view that was handed out ends here."""
        start, end = self.start, self.end
        if start == end:
            self.start = self.end = 0
            memory = self._memory
            if self._lean and memory is not _NO_MEMORY:  # "hands it on"
                self._spare.append(memory)
                self._memory, self.data = _NO_MEMORY, _NOTHING
            if end == self._size < self.limit:
                self._resize(min(end * 2, self.limit))
        elif end == self._size < self.limit:
            self._swap()  # the beginning of what comes next must not keep it small
        elif start:
            self.data[: end - start] = self.data[start:end]
            self.start, self.end = 0, end - start

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes that were received into other memory: one copy."""
        left = memoryview(data)
        while left:
            room = self.get_buffer()
            count = min(len(room), len(left))
            room[:count] = left[:count]
            self.buffer_updated(count)
            left = left[count:]

    def keep(self) -> None:
        """Be lean no more, until `let_go`: views are to be handed out that somebody may keep."""
        self._kept, self._lean = self._kept or self._lean, False
        if not self.data:
            self._allocate()

    def let_go(self) -> None:
        """Leave this memory to those who hold views of it, and go on in another."""
        unread = self.data[self.start : self.end]
        self._lean, self._kept = self._lean or self._kept, False
        self._move(unread, min(max(_INITIAL, len(unread)), self.limit))

    def shrink(self) -> None:
        """Give back the room of a connection that goes idle. Only while empty."""
        if self.start == self.end:
            self.start = self.end = 0  # no reason to grow
            self.reclaim()
            size = min(_INITIAL, self.limit)
            if self._size != size:
                self._resize(size)
