"""Which output item an event means.

Theory of operation. Servers disagree about how an item is named:

* by its id, wherever the id is one that was announced;
* by `output_index`, where each event has an id of its own (GitHub Copilot) or none;
* by neither, and then the latest item of that kind is meant.

And always by kind as well, for text does not belong to a function call: where
output_index is 0 for everything, the kind keeps items apart.

Most streams have one item, one id of it and one index, and these stand in the item
itself. So there is a table of names only from the second of any of them on: a stream that waits
costs what it holds.
"""

from __future__ import annotations

import typing
from typing import Any, TypeGuard

from .items import ResponseOutputItem
from .notes import Item

__all__ = ["Naming", "usable"]

_KINDS = {cls.__struct_config__.tag for cls in typing.get_args(ResponseOutputItem)}


def usable(name: Any) -> TypeGuard[str]:
    """Whether it names anything."""
    return isinstance(name, str) and name != ""


def _sort(kind: str) -> str | None:
    """What an item of this kind stands under. Those of kinds that this version does not know stand under None, for
    they may stream anything."""
    return kind if kind in _KINDS else None


class _Table:
    """All items, and their names: by (item_id, sort), by (output_index, sort), and by kind alone the latest."""

    __slots__ = ("items", "named")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.named: dict[Any, Item] = {}


class Naming:
    """The items of one response, by their names."""

    __slots__ = ("_only", "_table")

    def __init__(self) -> None:
        self._only: Item | None = None  # the first one; its id, index and kind are all names there are, until
        self._table: _Table | None = None  # this is there

    def _find(self, event: Any, kind: str) -> Item:
        """The item of this kind that an event means; a new one where none is known."""
        item_id, index = getattr(event, "item_id", ""), event.output_index
        item = self._known(item_id, index, kind)
        if item is None and not usable(item_id) and type(index) is not int:
            item = self._latest(kind)
        if item is None:
            item = self._new(kind)
        return self._name(item, item_id, index)

    def _known(self, item_id: Any, index: Any, kind: str) -> Item | None:
        """The item that has one of these names."""
        item = None
        if self._table is not None:
            named = self._table.named
            if usable(item_id):
                item = named.get((item_id, kind)) or named.get((item_id, None))
            if item is None and type(index) is int:
                item = named.get((index, kind)) or named.get((index, None))
        elif self._only is not None and _sort(self._only.kind) in (kind, None):
            only = self._only
            if (usable(item_id) and item_id == only.item_id) or (type(index) is int and index == only.index):
                item = only
        return item

    def _latest(self, kind: str) -> Item | None:
        if self._table is not None:
            return self._table.named.get(kind)
        return self._only if self._only is not None and self._only.kind == kind else None

    def _has_named(self, item_id: Any, kind: str) -> bool:
        """Whether an item of this kind, and of no other, has this id."""
        if not usable(item_id):
            return False
        if self._table is not None:
            return (item_id, kind) in self._table.named
        only = self._only
        return only is not None and only.item_id == item_id and only.kind == kind

    def _new(self, kind: str) -> Item:
        item = Item(kind)
        if self._only is None:
            self._only = item
        else:
            self._spread(self._only).items.append(item)
        return item

    def _name(self, item: Item, item_id: Any, index: Any) -> Item:
        if usable(item_id):
            if not item.item_id:
                item.item_id = item_id
            elif item_id != item.item_id:
                self._spread(item)
        if type(index) is int:
            if item.index is None:
                item.index = index
            elif index != item.index:
                self._spread(item)
        if self._table is not None:
            named, sort = self._table.named, _sort(item.kind)
            if usable(item_id):
                named.setdefault((item_id, sort), item)
            if type(index) is int:
                named.setdefault((index, sort), item)
            named[item.kind] = item
        return item

    def _unname(self, index: Any, kind: str) -> None:
        """The item in this place has it no more: another one comes."""
        assert self._only is not None
        self._spread(self._only).named.pop((index, _sort(kind)), None)

    def _spread(self, only: Item) -> _Table:
        """The table of names. only: the one item, where there is none yet."""
        table = self._table
        if table is None:
            table = self._table = _Table()
            table.items.append(only)
            sort = _sort(only.kind)
            if only.item_id:
                table.named[only.item_id, sort] = only
            if only.index is not None:
                table.named[only.index, sort] = only
            table.named[only.kind] = only
        return table

    def _in_order(self) -> list[Item]:
        if self._table is None:
            return [] if self._only is None else [self._only]
        items = self._table.items
        if all(item.index is not None for item in items):
            return sorted(items, key=lambda item: item.index or 0)
        return items
