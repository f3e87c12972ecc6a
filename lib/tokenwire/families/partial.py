"""Text that is still arriving, and the JSON in it as far as it came.

Theory of operation. A stream's snapshots must be values, cost nothing when
nobody looks, and cost linear time in all when somebody does. So a text is kept
once, append-only, and a snapshot is a length: who wants the text of that moment
reads that much of it. `GrowingText` keeps one flat buffer, the cheapest;
`GrowingJSON` keeps the pieces, so that what came since the last look can be fed
to a parser which scans each character once.

`PartialParser` holds the containers that are still open. A value that is whole is
never touched again, so snapshots share it: copy it before you change it. Of the open
containers they hold views (see views.py), so that a snapshot's cost is the depth of
the JSON, however long it is.

What a partial value holds is what the official SDK's holds (jiter's partial
mode): a string, name or literal that is not closed is left out, a number that
could end here is in. A long string that is arriving is thus no part of it, and is
put together once.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from .views import NOTHING, OpenDict, OpenList

__all__ = ["GrowingJSON", "GrowingText", "PartialParser"]


class GrowingText(io.StringIO):
    """Text that only grows. write: appends. tell: where it ends now, for `upto`."""

    # One flat buffer, for a list of the pieces would cost 60 bytes for each token; and one object, for a stream that
    # waits has one.
    __slots__ = ()

    _seen = ""  # all of it, when somebody last asked for what had come since

    def __str__(self) -> str:
        return self.getvalue()

    def upto(self, end: int) -> str:
        """The text as it was when `tell()` said `end`."""
        # Who looks, looks at each delta, and a read brings many: they are parts of one copy.
        text = self._seen
        if len(text) < end:
            self._seen = text = self.getvalue()
        return text if len(text) == end else text[:end]

    def partial(self, end: int) -> Any:
        """None: this text is not read as JSON."""


class GrowingJSON:
    """JSON text that only grows, and its value so far. write: appends. tell: where it ends now.

    Its readers may be in other threads than its writer.
    """

    __slots__ = ("_again", "_flat", "_lock", "_newest", "_pieces", "tell", "write")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._flat = (0, "")
        # How many pieces a parser has read, and the parser: the furthest, and one that goes again, from moment
        # to moment, through what was passed.
        self._newest = 0, PartialParser()
        self._again = 0, PartialParser()
        self._lock = threading.Lock()
        self.write: Callable[[str], object] = self._pieces.append
        self.tell: Callable[[], int] = self._pieces.__len__

    def __str__(self) -> str:
        return self.upto(len(self._pieces))

    def upto(self, end: int) -> str:
        """The text as it was when `tell()` said `end`."""
        count, text = self._flat
        if count > end:
            return "".join(self._pieces[:end])
        if count < end:
            text += "".join(self._pieces[count:end])
            self._flat = end, text
        return text

    def partial(self, end: int) -> Any:
        """The JSON value as far as it had come when `tell()` said `end`; None where there was none yet."""
        with self._lock:
            newest = end >= self._newest[0]
            fed, parser = self._newest if newest else self._again
            if end < fed:
                fed, parser = 0, PartialParser()
            for piece in self._pieces[fed:end]:
                parser.feed(piece)
            if newest:
                self._newest = end, parser
            else:
                self._again = end, parser
            return parser.value


_SPACE = re.compile(r"[ \t\n\r]*")
# Possessive: to be able to go back from each escape takes 120 bytes for it.
_IN_STRING = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_ATOM = re.compile(r"[-+.0-9A-Za-z]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_LITERALS = {"true": True, "false": False, "null": None}
# No JSON number of use is longer, and int() refuses at 4,300 digits.
_LONGEST_ATOM = 400
# As deep as the official SDK's reads; and a view of it, depth by depth, stays cheap.
_DEEPEST = 201

# What may come next. In _STRING and _ATOM_BEGUN, the token is not finished.
_VALUE, _VALUE_OR_END, _NAME, _NAME_OR_END, _COLON, _COMMA_OR_END, _STRING, _ATOM_BEGUN, _END = range(9)


class PartialParser:
    """Reads one JSON text piece by piece; `value` is what has come of it so far.

    Text that is not JSON, or nests too deep, ends the reading: the value stays what it was.
    Whether the whole text is right is judged by `parse`, when it is whole.
    """

    __slots__ = ("_escaped", "_fresh", "_is_name", "_root", "_shown", "_stack", "_state", "_token")

    def __init__(self) -> None:
        self._state = _VALUE
        self._stack: list[OpenList | OpenDict] = []  # outermost first
        self._token: list[str] = []  # the pieces of a string or atom that is not finished
        self._escaped = False  # the last character was a backslash that escapes the next one
        self._is_name = False
        self._root: Any = NOTHING
        self._fresh = False  # something has come since _shown was made
        self._shown: Any = None

    def feed(self, text: str) -> None:
        """Read on."""
        try:
            self._read(text)
        except (ValueError, msgspec.DecodeError):
            self._state = _END

    @property
    def value(self) -> Any:
        """The value as far as it came: never changed later. None where there is none yet."""
        if self._fresh:
            self._fresh = False
            self._shown = self._build()
        return self._shown

    def _read(self, text: str) -> None:
        at = 0
        size = len(text)
        while at < size and self._state != _END:
            if self._state == _STRING:
                at = self._read_string(text, at)
            elif self._state == _ATOM_BEGUN:
                at = self._read_atom(text, at)
            else:
                found = _SPACE.match(text, at)
                at = found.end() if found else at
                if at < size:
                    self._step(text[at])
                    # An atom's first character is part of it; all others have had their effect.
                    at += self._state != _ATOM_BEGUN

    def _step(self, char: str) -> None:
        state = self._state
        if state == _COMMA_OR_END and char == ",":
            self._state = _NAME if type(self._stack[-1]) is OpenDict else _VALUE
        elif state == _COLON and char == ":":
            self._state = _VALUE
        elif state in (_NAME, _NAME_OR_END) and char == '"':
            self._state, self._is_name = _STRING, True
        elif char in "]}" and state in (_COMMA_OR_END, _VALUE_OR_END, _NAME_OR_END):
            self._close(OpenDict if char == "}" else OpenList)
        elif state not in (_VALUE, _VALUE_OR_END):
            raise ValueError(char)
        elif char == '"':
            self._state, self._is_name = _STRING, False
        elif char == "{":
            self._open(OpenDict(), _NAME_OR_END)
        elif char == "[":
            self._open(OpenList(), _VALUE_OR_END)
        elif _ATOM.fullmatch(char):
            self._state = _ATOM_BEGUN
        else:
            raise ValueError(char)

    def _open(self, container: OpenList | OpenDict, state: int) -> None:
        if len(self._stack) == _DEEPEST:
            raise ValueError("too deep")
        self._stack.append(container)
        self._state = state
        self._fresh = True

    def _close(self, kind: type) -> None:
        if type(self._stack[-1]) is not kind:
            raise ValueError(kind)
        self._put(self._stack.pop().whole())

    def _put(self, value: Any) -> None:
        self._fresh = True
        if self._stack:
            self._stack[-1].put(value)
            self._state = _COMMA_OR_END
        else:
            self._root = value
            self._state = _END

    def _read_string(self, text: str, at: int) -> int:
        start = at
        if self._escaped:
            at += 1
            self._escaped = False
        found = _IN_STRING.match(text, at)
        end = found.end() if found else at
        if end < len(text) and text[end] == '"':
            self._token.append(text[start:end])
            raw = "".join(self._token)
            self._token.clear()
            value = raw if "\\" not in raw else msgspec.json.decode(f'"{raw}"')
            if self._is_name:
                self._stack[-1].name = value  # type: ignore[union-attr]  # only an OpenDict asks for names
                self._state = _COLON
            else:
                self._put(value)
            return end + 1
        self._escaped = end < len(text)  # it stopped at a backslash, the last character
        self._token.append(text[start:])
        return len(text)

    def _read_atom(self, text: str, at: int) -> int:
        found = _ATOM.match(text, at)
        end = found.end() if found else at
        self._token.append(text[at:end])
        self._fresh = True
        if sum(map(len, self._token)) > _LONGEST_ATOM:
            raise ValueError("a number that long is none")
        if end < len(text):
            value = _atom("".join(self._token))
            if value is NOTHING:
                raise ValueError("no JSON value")
            self._token.clear()
            self._put(value)
        return end

    def _build(self) -> Any:
        last = _atom("".join(self._token)) if self._state == _ATOM_BEGUN else NOTHING
        for container in reversed(self._stack):
            last = container.shown(last)
        found = self._root if last is NOTHING else last
        return None if found is NOTHING else found


def _atom(token: str) -> Any:
    """A number or a literal, or NOTHING where it is not one (yet)."""
    found = _NUMBER.fullmatch(token)
    if found:
        return float(token) if found[1] or found[2] else int(token)
    return _LITERALS.get(token, NOTHING)
