"""What is kept of an event until somebody asks for a snapshot: its JSON as it came.

Theory of operation. A stream that waits holds little but what its first events announced,
and of that nearly all is the same in every stream of a program: the settings, the
instructions and the tools that the server says back. What differs is an id and a time. So
of an announcement the text without these two is kept once for all streams that
have it in common, and each has its own two besides. The marks in their place are
bytes that no JSON holds.
"""

from __future__ import annotations

from typing import Any, Final

from ..json_text import plain_json
from ..record import Event, Record

__all__ = ["Announcement", "announced", "json_at", "kept"]

#: Bytes of an announcement that is worth it, at most, and how many texts are known: 2 MB in all. What an item
#: announces may be its own altogether, and does not drive out those that streams have in common.
_LARGEST: Final = 65_536
_TEXTS: Final = 32
_texts: Final[dict[bytes, bytes]] = {}  # the latest used stands last

_NAME: Final = b"\0"
_TIME: Final = b"\1"


class Announcement:
    """The JSON of an event, apart: a text that others share, and what is this one's own."""

    __slots__ = ("_name", "_text", "_time")

    def __init__(self, text: bytes, name: str, time: int | None) -> None:
        self._name = name
        self._time = time
        text = text.replace(self._quoted(), _NAME).replace(self._created(), _TIME)
        self._text = known = _texts.pop(text, text)
        _texts[known] = known
        if len(_texts) > _TEXTS:
            _texts.pop(list(_texts)[0], None)  # noqa: RUF015 # other threads may change it while it is iterated over

    def _quoted(self) -> bytes:
        return b'"%b"' % self._name.encode("utf-8", "surrogatepass")

    def _created(self) -> bytes:
        return b'"created_at":%a' % self._time

    def json(self) -> bytes:
        """All of it, as it came."""
        return self._text.replace(_TIME, self._created()).replace(_NAME, self._quoted())


_Kept = Record | Announcement | bytes | bytearray


def kept(event: Event) -> _Kept:
    """What to keep of an event: its JSON as it came, a fraction of the size; of one that was made here, itself."""
    text: bytes | bytearray | None = event._json
    return event if text is None else text


def announced(event: Event, name: Any, time: Any = None) -> _Kept:
    """As `kept`, for an event that others resemble, but for the id and the time of creation in it."""
    text: bytes | bytearray | None = event._json
    if text is None or len(text) > _LARGEST or not isinstance(name, str):
        return kept(event)
    # A whole second is what servers send, and a float is what it was read as.
    return Announcement(bytes(text), name, int(time) if isinstance(time, float) and time.is_integer() else None)


def json_at(source: _Kept | None, *path: str) -> Any:
    """The JSON that stands somewhere in what was kept of an event: a new copy, or None."""
    if isinstance(source, Record):
        found: Any = source.to_dict()
    else:
        text = source.json() if isinstance(source, Announcement) else source
        found = None if text is None else plain_json(text)
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found
