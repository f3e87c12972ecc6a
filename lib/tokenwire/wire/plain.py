"""Plain heads: the ones that nearly all servers send, read without h11, and never with another verdict.

Theory of operation. h11 reads a head line by line and judges each field by itself: that
is most of what a short request costs. A head of the common shape (HTTP/1.1, a final
status, each line ended by CR LF, no folded line, framing fields at most once and in
their usual spelling) is matched here by one regular expression, whose every part is a
subset of h11's own. All else is left where it is, for h11 to read or to refuse: so what
is accepted here is accepted there, with the same fields, and nothing is refused here.
A test over invented heads, cut anywhere, holds the two to one verdict.
"""

from __future__ import annotations

import re
from typing import Final

from tokenwire.wire.buffer import ReceiveBuffer
from tokenwire.wire.heads import Headers, RawHeaders, ResponseHead, values

__all__ = ["plain_response"]

# RFC 9112, section 4: status-line = HTTP-version SP status-code SP [ reason-phrase ]; section 5:
# field-line = field-name ":" OWS field-value OWS. Possessive, so that no head makes it try twice.
_RESPONSE: Final = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: ([\t \x21-\x7e\x80-\xff]*+))?"
    rb"((?:\r\n[-!#$%&'*+.^_`|~0-9A-Za-z]++:[\t \x21-\x7e\x80-\xff]*+)*+\r\n)\r\n"
)

#: h11 takes up to twenty digits; these are exabytes already.
_DIGITS: Final = 18


def plain_response(buffer: ReceiveBuffer, limit: int) -> tuple[ResponseHead, RawHeaders] | None:
    """A final response's head that stands whole and plain in the buffer, which then begins behind it; and those
    of its fields that tell how its body is framed and whether the connection persists. None: ask h11.

    limit: bytes of a head.
    """
    found = _RESPONSE.match(buffer.data, buffer.start, buffer.end)
    if found is None or found.end() - buffer.start > limit:
        return None
    block: bytes = found[3]
    framing = plain_framing(block)
    if framing is None:
        return None
    buffer.start = found.end()
    reason = "OK" if found[2] == b"OK" else (found[2] or b"").decode("latin-1")  # the one string for all of them
    return ResponseHead(int(found[1]), reason, Headers(block), "1.1"), framing


def plain_framing(block: bytes) -> RawHeaders | None:
    """The fields of a block that say how a message is framed; None where h11 has to judge them."""
    low = block.lower()
    framing = [(b"connection", value) for value in values(block, low, b"connection")]
    codings = values(block, low, b"transfer-encoding")
    if codings:
        if codings != [b"chunked"]:
            return None
        framing.append((b"transfer-encoding", b"chunked"))
    lengths = values(block, low, b"content-length")
    if lengths:
        if len(lengths) > 1 or not (lengths[0].isdigit() and len(lengths[0]) <= _DIGITS):
            return None
        framing.append((b"content-length", lengths[0]))
    return framing
