"""Refusals: what an answer says that is not the answer asked for.

A status of 300 or more, JSON or a page where a stream was asked for, an error in any
of the shapes that servers use: each becomes the right exception, with the server's own
message, code and body, and never a parse error.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from tokenwire.errors import APIError, status_error
from tokenwire.families.depth import too_deep
from tokenwire.families.faults import error_in
from tokenwire.policy import Limits
from tokenwire.wire.heads import ResponseHead
from tokenwire.wire.sse import Decoder

__all__ = ["NO_JSON", "SHOWN", "is_stream", "json_in", "not_a_stream", "status_refusal"]

#: How many characters of a body an error's message shows.
SHOWN: Final = 500

NO_JSON: Final = object()


def json_in(payload: bytes | bytearray | memoryview) -> Any:
    """The JSON value that this is, or NO_JSON."""
    import msgspec  # deferred, for a client imports this room, and may never see a refusal

    if too_deep(payload):
        return NO_JSON
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NO_JSON


def is_stream(head: ResponseHead) -> bool:
    """Whether this body can be a stream of events.

    Servers are careless with the media type (`text/event-stream;`, text/plain, none),
    so only what is certainly something else counts as such.
    """
    media_type = head.headers.get("content-type", "").split(";")[0].strip().lower()
    return media_type not in ("application/json", "text/html") and not media_type.endswith("+json")


def status_refusal(content: bytes, head: ResponseHead) -> APIError:
    """The exception that an answer with a status of 300 or more, and this body, stands for."""
    body, message, _ = _explained(content)
    status = head.status_code
    if status == 304:
        # RFC 9110, 15.4.5: the answer to a conditional request, and no redirect, though it stands among them.
        message = "Not Modified: a condition in the request, If-None-Match or the like, is not met, so nothing came."
    elif status < 400:
        message = f"{_whereto(head)} Redirects are not followed: give the right base_url."
    return status_error(
        f"Error code: {status} - {message or head.reason or 'no body'}", response=head, body=body
    )


def _whereto(head: ResponseHead) -> str:
    """Where a redirect points, by its origin alone: the rest may hold a secret."""
    try:
        location = urlsplit(head.headers.get("location", ""))
    except ValueError:  # "http://[": no URL at all
        return "The server redirects nowhere."
    if location.netloc:
        host = location.netloc.rpartition("@")[2][:SHOWN]
        return f"The server redirects to {location.scheme + ':' if location.scheme else ''}//{host}."
    return "The server redirects to another path of its own." if location.path else "The server redirects nowhere."


def not_a_stream(content: bytes, head: ResponseHead) -> APIError:
    """The exception for an answer with this body where a stream was asked for."""
    body, message, told = _explained(content)
    if not told:
        media_type = head.headers.get("content-type") or "no media type"
        message = f"The server answered with {media_type} where a stream was asked for: {message or 'no body'}"
    return APIError(message, body=body)


def _explained(content: bytes) -> tuple[object, str, bool]:
    """The error object, or else what stands there; a message out of either; and whether it is an error's own."""
    found = json_in(content)
    if found is NO_JSON:
        found = _framed(content)
    if found is NO_JSON:
        text = content.decode("utf-8", "replace")
        return text or None, text[:SHOWN].strip(), False
    # Gemini wraps the one object in a list.
    inner = found[0] if isinstance(found, list) and len(found) == 1 else found
    error = error_in(inner) if isinstance(inner, dict) else None
    if error is not None:
        return error.body, error.message, True
    import msgspec

    return found, msgspec.json.encode(found).decode()[:SHOWN], False


def _framed(content: bytes) -> Any:
    """The JSON of the first event that has any, where a body comes framed as a stream."""
    if not content.startswith((b"data:", b"event:", b"error:", b"id:", b"retry:", b":")):
        return NO_JSON
    decoder = Decoder(Limits(event_bytes=len(content) + 2), error_field=True)
    for event in decoder.feed(content + b"\n\n"):
        found = json_in(event.data)
        if found is not NO_JSON:
            flat = event.event == "error" and isinstance(found, dict) and error_in(found) is None
            return {"error": found} if flat else found
    return NO_JSON
