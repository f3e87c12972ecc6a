"""Structured output, for both families: schemas out, objects in, and partial objects on the way.

Theory of operation. Three parts, all without I/O:

* `schema_of` and the `..._param` functions make the strict JSON schema that the
  API wants from a msgspec Struct, a dataclass, a TypedDict, a pydantic model or
  a plain function. pydantic is met only in what the user passes; it is never
  imported unless they did.
* `parse` reads the whole text as that type.
* `GrowingText` and `PartialParser` read text that is still arriving. Each
  character is scanned once in a stream's life, however many deltas bring it, and
  a delta whose partial value nobody looks at is not scanned at all.
"""

from __future__ import annotations

import io

__all__ = ["GrowingText"]


class GrowingText:
    """Text that only grows; each reader remembers how long it was (`tell()`) and reads that much later.

    write: appends. tell: the length so far, in characters.
    """

    __slots__ = ("_buffer", "_parsed", "_parser", "tell", "write")

    def __init__(self) -> None:
        # One flat buffer: a list of the deltas would cost 60 bytes for each.
        self._buffer = io.StringIO()
        self.write = self._buffer.write
        self.tell = self._buffer.tell

    def __str__(self) -> str:
        return self._buffer.getvalue()

    def upto(self, end: int) -> str:
        """The text as it was when `tell()` said `end`."""
        text = self._buffer.getvalue()
        return text if len(text) == end else text[:end]
