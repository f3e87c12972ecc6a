"""Containers of JSON that is still arriving, and what of them a snapshot shows.

Theory of operation. A snapshot must not change later, and one is made at each delta,
so it must not copy what is there already: a list of 10,000 numbers, looked at after
each, would be copied 10,000 times. So an open container only ever appends, and a
snapshot of it is a view: that container, how much of it there was, and the one
element at its end that was not finished: a number that may go on, or the view of
another open container. Such a view costs the same however long the container is.

A container that has been closed is a plain list or dict, made once: what a user
takes out of a view and works with, the rows of a table, the parts of an answer,
is plain as soon as it is whole. The views behave like what they show (indexing,
slices, iteration, ==, repr, patterns of `match`, pydantic's validation), but are read-only
and no subclasses of list and dict: C code reads those past their methods, and would
find them empty without a word (msgspec, orjson), where a view is refused. `plain()`
lays one out, and so do copy, deepcopy and pickle.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final

__all__ = ["NOTHING", "OpenDict", "OpenList", "PartialDict", "PartialList", "plain"]

NOTHING: Final[Any] = object()


def plain(value: Any) -> Any:
    """A value of a snapshot, with lists and dicts in place of views."""
    return value.plain() if isinstance(value, (PartialList, PartialDict)) else value


class OpenList:
    """An array that is not closed yet."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: list[Any] = []

    def put(self, value: Any) -> None:
        """Append."""
        self._items.append(value)

    def shown(self, last: Any) -> PartialList:
        """As it is now. last: the element that is not finished, or NOTHING."""
        return PartialList(self._items, len(self._items), last)

    def whole(self) -> list[Any]:
        """The array, now closed."""
        return self._items


class OpenDict:
    """An object that is not closed yet. name: the one whose value comes next."""

    __slots__ = ("_again", "_names", "_places", "_values", "name")

    def __init__(self) -> None:
        self.name = ""
        self._names: list[str] = []  # each once, in the order of their first coming
        self._values: list[Any] = []  # all that came, in order
        self._places: dict[str, int] = {}  # where in _values a name's first value is
        self._again: dict[str, list[int]] = {}  # and the later ones of a name that came again

    def put(self, value: Any) -> None:
        """The value of `name` came."""
        name, place = self.name, len(self._values)
        if self._places.setdefault(name, place) == place:
            self._names.append(name)
        else:
            self._again.setdefault(name, []).append(place)
        self._values.append(value)

    def shown(self, last: Any) -> PartialDict:
        """As it is now. last: the value of `name`, which is not finished, or NOTHING."""
        return PartialDict(self, len(self._values), len(self._names), self.name, last)

    def whole(self) -> dict[str, Any]:
        """The object, now closed."""
        return dict(self.pairs(len(self._values), len(self._names)))

    def names(self, count: int) -> Iterator[str]:
        """The first of them."""
        return islice(self._names, count)

    def value(self, name: str, end: int) -> Any:
        """A name's value when that many had come, or NOTHING."""
        place = self._places.get(name, end)
        if place >= end:
            return NOTHING
        later = self._again.get(name)
        if later is not None and later[0] < end:
            place = later[bisect_left(later, end) - 1]
        return self._values[place]

    def pairs(self, end: int, names: int) -> Iterator[tuple[str, Any]]:
        """What it held when that many values and names had come."""
        if not self._again:
            return zip(self.names(names), islice(self._values, end), strict=True)
        return ((name, self.value(name, end)) for name in self.names(names))


class PartialList(Sequence[Any]):
    """An array as it was when it was not closed yet: read-only, like a list otherwise. `plain()` makes one."""

    __slots__ = ("_count", "_items", "_last")

    def __init__(self, items: list[Any], count: int, last: Any) -> None:
        self._items = items
        self._count = count
        self._last = last

    def __len__(self) -> int:
        return self._count + (self._last is not NOTHING)

    def __getitem__(self, at: Any) -> Any:
        found = range(len(self))[at]  # an IndexError is raised here
        if isinstance(found, range):
            return [self[place] for place in found]
        return self._last if found == self._count else self._items[found]

    def __iter__(self) -> Iterator[Any]:
        return chain(islice(self._items, self._count), () if self._last is NOTHING else (self._last,))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (list, PartialList)):
            return NotImplemented
        return len(self) == len(other) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list

    def __repr__(self) -> str:
        return repr(self.plain())

    def __reduce__(self) -> Any:
        return list, (self.plain(),)

    def plain(self) -> list[Any]:
        """A list of its own, with all that is open in it laid out too. Cost: the lengths of what is open."""
        return [*islice(self._items, self._count), *(() if self._last is NOTHING else (plain(self._last),))]


class PartialDict(Mapping[str, Any]):
    """An object as it was when it was not closed yet: read-only, like a dict otherwise. `plain()` makes one."""

    __slots__ = ("_end", "_last", "_name", "_names", "_of")

    def __init__(self, of: OpenDict, end: int, names: int, name: str, last: Any) -> None:
        self._of = of
        self._end = end
        self._names = names
        self._name = name
        self._last = last

    def __len__(self) -> int:
        return self._names + self._adds

    def __getitem__(self, name: str) -> Any:
        found = self._last if name == self._name else NOTHING
        if found is NOTHING:
            found = self._of.value(name, self._end)
        if found is NOTHING:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return chain(self._of.names(self._names), (self._name,) if self._adds else ())

    @property
    def _adds(self) -> bool:
        """The unfinished value has a name of its own."""
        return self._last is not NOTHING and self._of.value(self._name, self._end) is NOTHING

    def __repr__(self) -> str:
        return repr(self.plain())

    def __reduce__(self) -> Any:
        return dict, (self.plain(),)

    def plain(self) -> dict[str, Any]:
        """A dict of its own, with all that is open in it laid out too. Cost: the lengths of what is open."""
        found = dict(self._of.pairs(self._end, self._names))
        if self._last is not NOTHING:
            found[self._name] = plain(self._last)
        return found
