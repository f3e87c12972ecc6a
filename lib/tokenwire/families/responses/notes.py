"""What is noted about an output item while it streams, and how its JSON is made of that.

All here is plain JSON: dicts and lists as they were decoded, made anew for each
snapshot, so that they may be completed in place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..partial import GrowingText
from ..record import Event, Record
from .keeping import json_at
from .parts import ResponseOutputRefusal as _Refusal

__all__ = ["Item", "Part", "build", "complete"]

_Json = dict[str, Any]

# The fields of items that hold parts, and those that are one text.
_LISTS = ("content", "summary")
_TEXTS = ("arguments", "input", "code")


class Part:
    """One text that grows: a part of a content or of a summary, arguments, a command.

    field, index, kind: where it stands in its item, and its type. grown: what the deltas wrote.
    first, last: the events that announced and ended it. These, and annotations, as `kept`.
    """

    __slots__ = ("annotations", "field", "first", "grown", "index", "kind", "last", "logprobs", "told")

    def __init__(self, field: str, index: int, kind: str) -> None:
        self.field, self.index, self.kind = field, index, kind
        self.grown: GrowingText | None = None
        self.first: Any = None
        self.last: Any = None
        self.told = ""
        # What few parts have is made when it comes.
        self.annotations: list[Any] | None = None
        self.logprobs: list[Any] | None = None

    def begin(self, text: Any) -> None:
        """What was said of the text ahead of its first delta: the deltas go on from it."""
        if isinstance(text, str) and text:
            grown = self.growing()
            if not grown.tell():
                grown.write(text)

    def growing(self) -> GrowingText:
        """What the deltas are written to."""
        if self.grown is None:
            self.grown = GrowingText()
        return self.grown

    def tell(self, text: Any) -> None:
        """The whole text, as told at its end."""
        if isinstance(text, str) and text:
            self.told = text

    def text(self) -> str:
        return self.told or ("" if self.grown is None else str(self.grown))


class Item:
    """One output item. kind: its type. added, done: the events that said so, as `kept`; in place of the first, the
    item itself, where it stood in the response's own output.

    phase: as it was announced. latest: by field, the index of the part that was meant last; None while that is 0.
    """

    __slots__ = ("_parts", "added", "done", "index", "item_id", "kind", "latest", "phase", "status")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.item_id = ""
        self.index: int | None = None
        self.added: Any = None
        self.done: Any = None
        self.status: str | None = None
        # By field, index and type; the part itself while there is one, as in most items.
        self._parts: dict[tuple[str, int, str], Part] | Part | None = None
        self.phase: Any = None
        self.latest: dict[str, int] | None = None

    def same(self, item_id: Any) -> Any:
        """An id that an event gave, in the memory of this item's own where they are equal."""
        return self.item_id if item_id == self.item_id else item_id

    def part(self, field: str, index: Any, kind: str, *, new: bool = False) -> Part:
        """A part of this item; without an index the latest one, or the next, if it is new."""
        if type(index) is not int:
            index = 0 if self.latest is None else self.latest.get(field, 0)
            if new and self._part_at(field, index, kind) is not None:
                index += 1
        if index or self.latest is not None:
            self.latest = {**(self.latest or {}), field: index}
        return self._part_at(field, index, kind) or self._add(Part(field, index, kind))

    def _part_at(self, field: str, index: int, kind: str) -> Part | None:
        parts = self._parts
        if isinstance(parts, dict):
            return parts.get((field, index, kind))
        if parts is not None and parts.index == index and parts.kind == kind and parts.field == field:
            return parts
        return None

    def _add(self, part: Part) -> Part:
        parts = self._parts
        if parts is None:
            self._parts = part
            return part
        if isinstance(parts, Part):
            self._parts = parts = {(parts.field, parts.index, parts.kind): parts}
        parts[part.field, part.index, part.kind] = part
        return part

    def parts(self) -> list[Part]:
        """All of them, by index."""
        parts = self._parts
        if isinstance(parts, dict):
            return sorted(parts.values(), key=lambda part: part.index)
        return [] if parts is None else [parts]

    def announce(self, item: Any, word: Any) -> None:
        """The item was announced, by this word (see `added`)."""
        self.added = word
        self.phase = getattr(item, "phase", None)
        if self._parts is not None:
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
    word = item.added if item.done is None else item.done
    itself = isinstance(word, Record) and not isinstance(word, Event)
    found: _Json | None = json_at(word) if itself else json_at(word, "item")
    if not isinstance(found, dict):
        found = _bare(item.kind)
        if item.item_id:
            found["id"] = item.item_id
    if item.status is not None and item.done is None:
        found["status"] = item.status
    _fill(found, item, partial=item.done is None)
    return found


def _bare(kind: str) -> _Json:
    """What an item that was never announced starts from."""
    if kind == "message":
        return {"type": kind, "role": "assistant", "status": "in_progress"}
    if kind == "reasoning":
        return {"type": kind, "summary": []}
    return {"type": kind}


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
        elif item.done is not None or any(part.last or part.text() for part in item.parts()):
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
    ordered = item.parts()
    for part in ordered:
        if part.field in _LISTS:
            _fill_part(_list_in(found, part.field), part, partial=partial)
        elif part.field in _TEXTS and (partial or not found.get(part.field)):
            found[part.field] = part.text()
    commands = [part for part in ordered if part.field == "commands"]
    if commands:
        action = found["action"] if isinstance(found.get("action"), dict) else {}
        if partial or not action.get("commands"):
            action["commands"] = [part.text() for part in commands]
            found["action"] = action
    written = [part for part in ordered if part.field == "output"]
    if written and (partial or not found.get("output")):
        found["output"] = _shell_outputs(written)


def _list_in(found: _Json, field: str) -> list[Any]:
    if not isinstance(found.get(field), list):
        found[field] = []
    entries: list[Any] = found[field]
    return entries


_WRITTEN = ("output_text", "refusal", "reasoning_text", "summary_text")


def _fill_part(entries: list[Any], part: Part, *, partial: bool) -> None:
    index, kind = part.index, part.kind
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


def _shell_outputs(written: list[Part]) -> list[Any]:
    """By command: what was told as whole, else what its deltas wrote."""
    outputs: dict[int, list[Any]] = {}
    for part in written:
        told = json_at(part.last, "output")
        if isinstance(told, list) and told:
            outputs[part.index] = told
    streamed: dict[int, _Json] = {}
    for part in written:
        if part.index not in outputs and part.last is None:
            streamed.setdefault(part.index, {})[part.kind] = part.text()
    outputs.update((index, [chunk]) for index, chunk in streamed.items())
    return [chunk for index in sorted(outputs) for chunk in outputs[index]]
