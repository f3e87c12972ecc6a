"""How deep the JSON of a payload may nest.

A JSON reader refuses what is nearly as deep as Python's own stack; what is half as deep
it reads, and then nothing else can: to lay it out, compare it, show it or copy it
raises RecursionError, wherever that happens to be done. So what is deeper than any
answer is refused where it comes in, as an error of the stream.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Final

__all__ = ["DEEPEST", "SHALLOW", "too_deep"]

#: Levels. The deepest thing in an answer is a tool's schema, of some dozens; the official SDK reads 201.
DEEPEST: Final = 200

#: Bytes of JSON that are too few to nest deeper than that: two brackets a level.
SHALLOW: Final = 2 * DEEPEST + 1

# Possessive, and a string that is not closed goes on to the end: else the search would begin anew at each quote in it.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
#: One level down for "[" (0x5B), one up for "]" (0x5D).
_STEP = (0x5C).__sub__
#: Times that each bracket may be looked at in rounds; a look at one in a walk over all of them costs some ten of those.
_WORTH: Final = 4


def too_deep(payload: bytes | bytearray | memoryview) -> bool:
    """Whether this JSON nests deeper than DEEPEST levels. Cheaper to ask only for what is longer than SHALLOW."""
    text = payload if isinstance(payload, (bytes, bytearray)) else bytes(payload)
    if text.count(b"[") + text.count(b"{") <= DEEPEST:
        return False
    # Its brackets alone, from which each round takes the innermost level: at the speed of C.
    left = _STRING.sub(b"", text).translate(_TO_SQUARE, _NO_BRACKETS)
    worth = _WORTH * len(left)
    for level in range(DEEPEST):
        fewer = left.replace(b"[]", b"")
        if len(fewer) == len(left):
            return False  # all of them are gone; or they do not match, and it is no JSON
        left = fewer
        worth -= len(left)
        if worth < 0:  # many that are deep: each round would look at nearly all of them again
            return level + 1 + max(accumulate(map(_STEP, left))) > DEEPEST
    return bool(left)
