"""What a family is to the rooms below it: a module that reads payloads, and what it makes of them.

See families/chat.py and families/responses/, which are the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

__all__ = ["Accumulator", "Family", "Helper", "Reading"]


class Accumulator(Protocol):
    """What a family makes of all the events of one stream."""

    def add(self, event: Any, /) -> object: ...

    def add_run(self, events: list[Any], like: object = None, texts: Sequence[str] = (), /) -> list[Any]:
        """Add each of these, in order; and give them back.

        like: what they have in common, if anything: see families/alike.py. texts: the text of each.
        """

    @property
    def complete(self) -> bool:
        """Whether the events so far are a complete answer, should the body end here."""

    @property
    def terminal(self) -> bool:
        """Whether nothing can follow any more."""

    def snapshot(self) -> Any: ...


class Reading(Protocol):
    """How a family reads the events of one stream that come many at a time.

    like: what all events of the latest run have in common, or None: see families/alike.py. texts: their texts.
    """

    like: object
    texts: Sequence[str]

    def run(self, payloads: list[bytes], /) -> list[Any]:
        """The events that these payloads are, up to the first that only `Family.decode` can read."""


class Family(Protocol):
    """A module of `families`."""

    @property
    def name(self) -> str: ...

    def decode(self, payload: bytes | bytearray) -> Any: ...

    @property
    def Reading(self) -> Callable[[], Reading]: ...

    def decode_whole(self, payload: bytes | bytearray) -> Any: ...

    def text(self, event: Any) -> str: ...

    @property
    def Accumulator(self) -> Callable[[], Accumulator]: ...


class Helper(Protocol):
    """What a family puts behind `.stream()`: its own events in place of the wire's."""

    @property
    def accumulator(self) -> Accumulator: ...

    def events(self, run: list[Any], like: object = None, texts: Sequence[str] = (), /) -> list[Any]:
        """What these events of the wire give. like, texts: as in `Accumulator.add_run`."""

    def end(self) -> list[Any]: ...

    def snapshot(self) -> Any: ...

    def final(self) -> Any: ...
