"""JSON texts as plain values, half characters included.

Servers that count in UTF-16 cut texts within a surrogate pair: one delta ends with `\\ud83d`, the next begins with
`\\ude00`. RFC 8259, 8.2, lets that pass, but no UTF-8 can hold it, so it could be neither shown nor written to a file.
U+FFFD is read in its place; the text itself stays as it came, for who sends it on.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

__all__ = ["plain_json"]

# The escape of half a character; and all escapes, of which a pair of halves is one.
_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPES: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)


def plain_json(text: bytes | bytearray) -> Any:
    """The value of a JSON text. Raises msgspec.DecodeError, UnicodeDecodeError, RecursionError where it is none."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        if _HALF.search(text) is None:
            raise
        return msgspec.json.decode(_ESCAPES.sub(_whole, text))


def _whole(escape: re.Match[bytes]) -> bytes:
    return escape[0] if escape[1] is None else b"\\ufffd"
