"""What is noted about an output item while it streams, and how its JSON is made of that.

All here is plain JSON: dicts and lists as they were decoded, made anew for each
snapshot, so that they may be completed in place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..parsing import GrowingText
from ..record import Record
from .keeping import json_at
from .parts import ResponseOutputRefusal as _Refusal

__all__ = ["Item", "Part", "build", "complete"]

_Json = dict[str, Any]

# The fields of items that hold parts, and those that are one text.
_LISTS = ("content", "summary")
_TEXTS = ("arguments", "input", "code")


class Part:
    """One text that grows: a part of a content or of a summary, arguments, a command.

    first, last: the events that announced and ended it. These, and annotations, as `kept`.
    """

    __slots__ = ("annotations", "first", "grown", "last", "logprobs", "told")

    def __init__(self) -> None:
        self.grown = GrowingText()
        self.first: Any = None
        self.last: Any = None
        self.told = ""
        # What few parts have is made when it comes.
        self.annotations: list[Any] | None = None
        self.logprobs: list[Any] | None = None

    def begin(self, text: Any) -> None:
        """What was said of the text ahead of its first delta: the deltas go on from it."""
        if isinstance(text, str) and not self.grown.tell():
            self.grown.write(text)

    def tell(self, text: Any) -> None:
        """The whole text, as told at its end."""
        if isinstance(text, str) and text:
            self.told = text

    def text(self) -> str:
        return self.told or str(self.grown)


class Item:
    """One output item. kind: its type. added, done: an event, as `kept`, and where in it the item stands.

    phase: as it was announced. parts: by field, index and type of the part. latest: by field, the index of
    the part that was meant last; None while that is 0.
    """

    __slots__ = ("added", "done", "index", "item_id", "kind", "latest", "parts", "phase", "status")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.item_id = ""
        self.index: int | None = None
        self.added: tuple[Any, ...] = ()
        self.done: tuple[Any, ...] = ()
        self.status: str | None = None
        self.parts: dict[tuple[str, int, str], Part] = {}
        self.phase: Any = None
        self.latest: dict[str, int] | None = None

    def same(self, item_id: Any) -> Any:
        """An id that an event gave, in the memory of this item's own where they are equal."""
        return self.item_id if item_id == self.item_id else item_id

    def part(self, field: str, index: Any, kind: str, *, new: bool = False) -> Part:
        """A part of this item; without an index the latest one, or the next, if it is new."""
        if type(index) is not int:
            index = 0 if self.latest is None else self.latest.get(field, 0)
            if new and (field, index, kind) in self.parts:
                index += 1
        if index or self.latest is not None:
            self.latest = {**(self.latest or {}), field: index}
        part = self.parts.get((field, index, kind))
        if part is None:
            part = self.parts[field, index, kind] = Part()
        return part

    def announce(self, item: Any, where: tuple[Any, ...]) -> None:
        """The item was announced; where: an event, and the way to the item in it."""
        self.added = where
        self.phase = getattr(item, "phase", None)
        if self.parts:
            return  # its deltas came first
        for field in _LISTS:
            entries = getattr(item, field, None)
            for index, entry in enumerate(entries if isinstance(entries, list) else ()):
                kind, key = getattr(entry, "type", None), "refusal" if isinstance(entry, _Refusal) else "text"
                if isinstance(kind, str) and getattr(entry, key, None):
                    self.part(field, index, kind).begin(getattr(entry, key))
        for field in _TEXTS:
            if getattr(item, field, None):
                self.part(field, 0, "").begin(getattr(item, field))
        commands = getattr(getattr(item, "action", None), "commands", None)
        for index, command in enumerate(commands if isinstance(commands, list) else ()):
            self.part("commands", index, "").begin(command)


def build(item: Item) -> _Json:
    """An item's JSON, by its latest word and, where that leaves something out, by what was streamed."""
    where: tuple[Any, ...] = item.done or item.added or (None,)
    found = json_at(*where)
    if not isinstance(found, dict):
        found = {"type": item.kind, **_BARE.get(item.kind, {})}
        if item.item_id:
            found["id"] = item.item_id
    if item.status is not None and not item.done:
        found["status"] = item.status
    _fill(found, item, partial=not item.done)
    return found


# What an item that was never announced starts from.
_BARE: dict[str, _Json] = {
    "message": {"role": "assistant", "status": "in_progress"},
    "reasoning": {"summary": []},
}


def complete(output: list[Any], items: list[Item]) -> list[Any]:
    """A terminal response's output, with what it left out of what was streamed."""
    built = [(item, build(item)) for item in items]
    matches = _match(built, output)
    after: dict[int, list[_Json]] = {}
    latest = 0  # the id() of the entry that the items met so far end at
    for item, found in built:
        entry = matches.get(id(item))
        if entry is not None:
            _fill(entry, item, partial=False)
            latest = id(entry)
        elif item.done or any(part.last or part.text() for part in item.parts.values()):
            after.setdefault(latest, []).append(found)
    completed = after.get(0, [])
    for entry in output:
        completed.append(entry)
        completed += after.get(id(entry), [])
    return completed


def _match(built: list[tuple[Item, _Json]], output: list[Any]) -> dict[int, _Json]:
    """By id(item), the entry of the output that is this item: same id, or same call, or next of its type."""
    free = {id(entry): entry for entry in output if isinstance(entry, dict)}
    matches: dict[int, _Json] = {}
    for names in (("type", "id"), ("type", "call_id"), ("type",)):
        named: dict[Any, list[_Json]] = {}
        for entry in reversed(free.values()):
            named.setdefault(_name(entry, names), []).append(entry)
        for item, found in built:
            name = _name(found, names)
            if id(item) not in matches and name is not None and named.get(name):
                entry = named[name].pop()
                del free[id(entry)]
                matches[id(item)] = entry
    return matches


def _name(entry: _Json, names: Iterable[str]) -> tuple[str, ...] | None:
    values = [entry.get(name) for name in names]
    usable = tuple(value for value in values if isinstance(value, str) and value)
    return usable if len(usable) == len(values) else None


# -- Filling ---------------------------------------------------------------------


def _fill(found: _Json, item: Item, *, partial: bool) -> None:
    """Complete an item's JSON. partial: it was told before the deltas came, so that they go on from it."""
    ordered = sorted(item.parts.items(), key=lambda entry: entry[0][1])
    for (field, index, kind), part in ordered:
        if field in _LISTS:
            _fill_part(_list_in(found, field), index, kind, part, partial=partial)
        elif field in _TEXTS and (partial or not found.get(field)):
            found[field] = part.text()
    commands = [part for (field, _, _), part in ordered if field == "commands"]
    if commands:
        action = found["action"] if isinstance(found.get("action"), dict) else {}
        if partial or not action.get("commands"):
            action["commands"] = [part.text() for part in commands]
            found["action"] = action
    written = [(index, kind, part) for (field, index, kind), part in ordered if field == "output"]
    if written and (partial or not found.get("output")):
        found["output"] = _shell_outputs(written)


def _list_in(found: _Json, field: str) -> list[Any]:
    if not isinstance(found.get(field), list):
        found[field] = []
    entries: list[Any] = found[field]
    return entries


_WRITTEN = ("output_text", "refusal", "reasoning_text", "summary_text")


def _fill_part(entries: list[Any], index: int, kind: str, part: Part, *, partial: bool) -> None:
    key = "refusal" if kind == "refusal" else "text"
    entry: Any = entries[index] if 0 <= index < len(entries) else None
    if isinstance(entry, dict) and entry.get("type") == kind:
        if partial or not entry.get(key):
            entry[key] = part.text()
    elif entry is not None and not partial:
        return  # the server's later word about this place
    else:
        entry = json_at(part.last or part.first, "part")
        if not isinstance(entry, dict):
            entry = {"type": kind}
        text = part.text()
        if text or kind in _WRITTEN:
            entry[key] = text
        entries.append(entry)
    if kind == "output_text":
        if not entry.get("annotations"):
            told = [json_at(event, "annotation") for event in part.annotations or ()]
            entry["annotations"] = [annotation for annotation in told if annotation is not None]
        if part.logprobs and not entry.get("logprobs"):
            entry["logprobs"] = [
                logprob.to_dict() if isinstance(logprob, Record) else logprob for logprob in part.logprobs
            ]


def _shell_outputs(written: list[tuple[int, str, Part]]) -> list[Any]:
    """By command: what was told as whole, else what its deltas wrote."""
    outputs: dict[int, list[Any]] = {}
    for index, _, part in written:
        told = json_at(part.last, "output")
        if isinstance(told, list) and told:
            outputs[index] = told
    streamed: dict[int, _Json] = {}
    for index, kind, part in written:
        if index not in outputs and part.last is None:
            streamed.setdefault(index, {})[kind] = part.text()
    outputs.update((index, [chunk]) for index, chunk in streamed.items())
    return [chunk for index in sorted(outputs) for chunk in outputs[index]]
