"""Alike: runs of events that differ from each other in a few values only, which is what a stream of tokens is.

Theory of operation. Of the 300 bytes of JSON that bring a token, all but the token stand in
each event of the stream: the same keys, the same id, model and fingerprint. So one of them is
learned: it becomes a template, with holes where the text, the number and the obfuscation
stand, and what fits is read by `_alike.c`, which compares memory and copies objects. That
takes half the time of the strict reading, and a tenth of that of the open one (see record.py), whose
part is every event of a server that adds fields of its own. What does not fit is read by these two, as ever; and
so is all, where there was no compiler.

A template is tried before it is believed: the event that it makes of a text of ours must
equal what is decoded of that text. It is learned once a stream has shown that it is one, and
anew where the stream has come to say something else; but not for ever, for a server that
puts something new into each event gains nothing by it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from ..errors import APIError
from .record import Event, Record

if TYPE_CHECKING:
    from ._alike import Template

__all__ = ["Alike", "compiled"]

#: Makes templates; None where there was no compiler.
compiled: type[Template] | None
try:
    from ._alike import Template as compiled
except ImportError:
    compiled = None

# The fields that differ from event to event: where one of these is the event's text, and what comes with it.
_TEXTS: Final = (b"arguments", b"content", b"delta", b"reasoning", b"reasoning_content")
_OTHERS: Final = (b"obfuscation", b"sequence_number")
_FIELD: Final = re.compile(
    rb'"(%b)": ?(?:"((?:[^"\\]|\\.)*+)"|([0-9]+)(?=[,}]))' % b"|".join((*_TEXTS, *_OTHERS)), re.DOTALL
)

# The sources of a step, as _alike.c has them.
_COPY: Final = -1
_PAYLOAD: Final = -2
_LAST_COPY: Final = -3
_LIST_OF_LAST_COPY: Final = -4

#: What makes a copy, or a field; and a source, or what makes the value.
_Steps = list[tuple[Any, int | Callable[[], Any]]]

#: Events of a stream before one is learned: that costs as much as reading forty, and many answers are short.
_SETTLED: Final = 16
#: How often one is learned, in one stream. One that served for `_WORTH` events does not count.
_TRIES: Final = 4
_WORTH: Final = 256

_copy: Final = msgspec.Struct.__copy__  # type: ignore[attr-defined]  # the stubs leave it out
_unescape: Final = msgspec.json.Decoder(str).decode
_unknown: Final = vars(Record)["__dict__"]


class Alike:
    """The reading of the runs of one stream, as far as nothing needs be looked at but what is known.

    decode_run: the family's strict reading of a run. decode: its reading of any event. like: what all events of the
    latest run have in common, or None. Whatever runs have the same have events that differ from each other in nothing
    but their text, number and obfuscation. texts: these texts.
    """

    __slots__ = ("_decode", "_decode_run", "_misses", "_seen", "_template", "_tries", "like", "texts")

    def __init__(
        self, decode_run: Callable[[list[bytes]], list[Any]], decode: Callable[[bytes], Any]
    ) -> None:
        self._decode_run = decode_run
        self._decode = decode
        self._template: Template | None = None
        self._seen = 0  # events since a template was last learned, or since the beginning
        self._misses = 0  # runs, in a row, that began with something else
        self._tries = _TRIES if compiled is not None else 0
        self.like: object = None
        self.texts: Sequence[str] = ()

    def run(self, payloads: list[bytes]) -> list[Any]:
        """The events that these payloads are, up to the first that only the family's `decode` can read."""
        events: list[Any] = []
        template = self._template
        if template is not None:
            events, self.texts = template.read(payloads)
            if events and len(events) == len(payloads):
                self.like = template
                self._seen += len(events)
                return events
        self.like = None
        others = payloads[len(events) :] if events else payloads
        if self._tries and others:
            self._look(events, others)
        found = self._decode_run(others)
        return events + found if events else found

    def _look(self, events: list[Event], others: list[bytes]) -> None:
        """Look for something to learn in what did not fit. events: what did fit, in front of it."""
        self._seen += len(events) + len(others)
        if self._template is None:
            wanted = self._seen >= _SETTLED
        else:
            self._misses = 0 if events else self._misses + 1
            wanted = self._misses > 1  # it is no single one between two of the usual ones
        if wanted:
            if self._seen < _WORTH:
                self._tries -= 1
            self._seen = self._misses = 0
            self._template = _template(self._decode, others[-1])


def _template(decode: Callable[[bytes], Any], payload: bytes) -> Template | None:
    """What reads events like this one; None where nothing does."""
    assert compiled is not None
    found = list(_FIELD.finditer(payload))
    texts = [match for match in found if match[1] in _TEXTS and match[2]]  # an empty one is as good as none
    holes = [match for match in found if match[1] in _OTHERS or match in texts]
    names = [match[1].decode() for match in holes]
    if len(texts) != 1 or len(set(names)) < len(names):
        return None
    steps: _Steps = []
    try:
        if _walk(decode(payload), names, steps) is None:
            return None
    except APIError:
        return None
    text = holes.index(texts[0])
    if all(source != text for _, source in steps):
        return None  # it says its text twice, and the last word is another
    literals, kinds, probe, at = [], "", b"", 0
    for match in holes:
        kind = "i" if match[2] is None else "s"
        begin, end = match.span(2 if kind == "s" else 3)
        literals.append(payload[at:begin])
        probe += literals[-1] + (b"\xe2\x80\xa6%d" if kind == "s" else b"90%d") % len(kinds)
        kinds += kind
        at = end
    literals.append(payload[at:])
    template = compiled(tuple(literals), kinds, text, tuple(steps), _unescape)
    probe += literals[-1]
    made, _ = template.read([probe])
    return template if made and made[0] == decode(probe) else None


def _walk(record: Record, names: list[str], steps: _Steps) -> Record | None:
    """Add the steps that make such a record, with holes where it has fields of these names.

    Gives what they copy, or None where it is not made so: an event is a chain of records, one in the other.
    """
    cls = type(record)
    known = cast(Record, _copy(record))
    own: _Steps = []
    for name in cls.__struct_fields__:
        value = getattr(record, name)
        blank: Any = None
        source: int | Callable[[], Any]
        if name == "_json":
            source = _PAYLOAD
        elif name in names and value is not None:
            source = names.index(name)
        elif value is None or isinstance(value, (str, int, float)):
            continue
        elif value == []:
            source, blank = list, []
        else:
            inner = value[0] if isinstance(value, list) and len(value) == 1 else value
            if steps or not isinstance(inner, Record):
                return None
            source, blank = _LAST_COPY, _walk(inner, names, steps)
            if blank is None:
                return None
            if inner is not value:
                source, blank = _LIST_OF_LAST_COPY, [blank]
        # The copied one holds what its copies will hold, as the garbage collection sees it.
        getattr(cls, name).__set__(known, blank)
        own.append((getattr(cls, name), source))
    if record.__dict__:
        own.append((_unknown, _maker(dict(record.__dict__))))
    steps.append((_copy.__get__(known), _COPY))
    steps += own
    return known


def _maker(unknown: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """What makes such unknown fields anew."""
    if not any(isinstance(value, (dict, list)) for value in unknown.values()):
        return unknown.copy
    return functools.partial(msgspec.json.decode, msgspec.json.encode(unknown))
