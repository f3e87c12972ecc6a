"""What a family is to the rooms below it: a module that reads payloads, and what it makes of them.

See families/chat.py and families/responses/, which are the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Accumulator", "Family", "Helper"]


class Accumulator(Protocol):
    """What a family makes of all the events of one stream."""

    def add(self, event: Any, /) -> object: ...

    def add_run(self, events: list[Any], /) -> list[Any]:
        """Add each of these, in order; and give them back."""

    @property
    def complete(self) -> bool:
        """Whether the events so far are a complete answer, should the body end here."""

    @property
    def terminal(self) -> bool:
        """Whether nothing can follow any more."""

    def snapshot(self) -> Any: ...


class Family(Protocol):
    """A module of `families`."""

    @property
    def name(self) -> str: ...

    def decode(self, payload: bytes | bytearray) -> Any: ...

    def decode_run(self, payloads: list[bytes], /) -> list[Any]: ...

    def decode_whole(self, payload: bytes | bytearray) -> Any: ...

    def text(self, event: Any) -> str: ...

    @property
    def Accumulator(self) -> Callable[[], Accumulator]: ...


class Helper(Protocol):
    """What a family puts behind `.stream()`: its own events in place of the wire's."""

    @property
    def accumulator(self) -> Accumulator: ...

    def events(self, run: list[Any], /) -> list[Any]:
        """What these events of the wire give."""

    def end(self) -> list[Any]: ...

    def snapshot(self) -> Any: ...

    def final(self) -> Any: ...
