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

from typing import Final

from tokenwire.policy import DEFAULT_LIMITS

__all__ = ["ReceiveBuffer"]

#: One page: a head and the first event of nearly every server fit in.
_INITIAL = 4_096

#: Memory between two reads, by its size. A list's pop and append are safe in any thread.
_SPARE: Final[dict[int, list[tuple[bytearray, memoryview]]]] = {_INITIAL << n: [] for n in range(5)}

#: How many pieces of each size are kept: 2 MB in all.
_SPARES: Final = 16

_NOTHING: Final = bytearray()
_NO_ROOM: Final = memoryview(_NOTHING)  # it also holds off whoever would resize it


class ReceiveBuffer:
    """Received bytes that wait to be consumed: `data[start:end]`.

    limit: the most bytes it ever holds. lean: it has no memory while it is empty and waits. lent: the room of
    the last `get_buffer`; 0 once a read has left some of it over, or none is out.
    """

    __slots__ = ("_kept", "_lean", "_size", "_view", "data", "end", "lent", "limit", "start")

    def __init__(self, limit: int = DEFAULT_LIMITS.receive_buffer, *, lean: bool = False) -> None:
        self.limit = limit
        self._lean = lean
        self._kept = False  # lean as a rule, but not now
        self.lent = 0
        self._size = min(_INITIAL, limit)  # of the memory it has, or will have
        self.data, self._view = _NOTHING, _NO_ROOM
        self.start = self.end = 0
        if not lean:
            self._allocate(self._size)

    def _allocate(self, size: int) -> None:
        self._size = size
        self.lent = 0
        if self._lean:
            try:
                self.data, self._view = _SPARE[size].pop()
                return
            except LookupError:  # none is left, or none of that size is ever kept
                pass
        self.data = bytearray(size)
        self._view = memoryview(self.data)

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
        # This and `reclaim` are called for each token: what they have in common with others stands here again.
        end = self.end
        if end == len(self.data):
            if not end:  # lean, and it waits
                try:
                    self.data, self._view = _SPARE[self._size].pop()
                except LookupError:
                    self._allocate(self._size)
                self.lent = self._size
                return self._view
            self._swap()
            end = self.end
        self.lent = len(self.data) - end
        return self._view[end:] if end else self._view

    def buffer_updated(self, nbytes: int) -> None:
        """The last view from `get_buffer` now begins with nbytes received bytes."""
        self.end += nbytes
        if nbytes < self.lent:
            self.lent = 0  # room was left over: no reason to grow

    def _swap(self) -> None:
        """Go on in another bytearray that has room; the unread bytes move there."""
        size = len(self.data)
        unread = self.data[self.start : self.end]
        # All the room that was lent came back full: the peer has more than we ask for.
        if self.lent or len(unread) == size:
            size = min(size * 2, self.limit)
        if len(unread) >= size:
            raise BufferError(f"the receive buffer is full: it holds its limit of {self.limit} bytes")
        self._allocate(size)
        self.end = len(unread)
        self.data[: self.end] = unread
        self.start = 0

    def reclaim(self) -> None:
        """Use the consumed space again. Every view that was handed out ends here."""
        start, end = self.start, self.end
        if start == end:
            size = len(self.data)
            if self.lent and end == size < self.limit:
                self._size = min(size * 2, self.limit)
            self.start = self.end = 0
            if self._lean:
                if size:  # "hands it on"
                    spare = _SPARE.get(size)
                    if spare is not None and len(spare) < _SPARES:
                        spare.append((self.data, self._view))
                    self.data, self._view = _NOTHING, _NO_ROOM
                    self.lent = 0
            elif size != self._size:
                self._allocate(self._size)
        elif self.lent and end == len(self.data) < self.limit:
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
            self._allocate(self._size)

    def let_go(self) -> None:
        """Leave this memory to those who hold views of it, and go on in another."""
        unread = self.data[self.start : self.end]
        self._lean, self._kept = self._lean or self._kept, False
        self._allocate(min(max(_INITIAL, len(unread)), self.limit))
        self.start, self.end = 0, len(unread)
        self.data[: self.end] = unread

    def shrink(self) -> None:
        """Give back the room of a connection that goes idle. Only while empty."""
        if self.start == self.end:
            self.lent = 0  # no reason to grow
            self._size = min(_INITIAL, self.limit)
            self.reclaim()
