"""Responses: one payload in, one typed event out, and back.

Two readings (see record.py): the strict one, a single typed decode, is that of
nearly every event. What it refuses is read without types: an error in one of the
shapes that servers use raises, an event of a known type is laid over its class
as far as it fits, and everything else becomes an UnknownEvent.
"""

from __future__ import annotations

import functools
import operator
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from ..alike import Alike
from ..depth import SHALLOW, too_deep
from ..faults import error_in
from ..open_reading import json_object, open_reading, unreadable
from ..record import REFUSALS, Event, strict_run
from .event_bases import UnknownEvent
from .events import ResponseErrorEvent, ResponseStreamEvent
from .response import Response
from .text_events import ResponseTextDeltaEvent

__all__ = ["Reading", "decode", "decode_run", "decode_whole", "encode", "read_response", "text"]

_Payload = bytes | bytearray

# An error is never an event here, so the strict reading does not know its type and leaves it to the open one.
_classes: tuple[type[Event], ...] = tuple(
    cls for cls in typing.get_args(ResponseStreamEvent) if cls is not ResponseErrorEvent
)
_by_type = {cls.__struct_config__.tag: cls for cls in _classes}
_events = msgspec.json.Decoder[Any](functools.reduce(operator.or_, _classes))
_strict_event, _strict_events = _events.decode, _events.decode_lines
_strict_whole: Callable[[_Payload], Response] = msgspec.json.Decoder(Response).decode
_encode = msgspec.json.Encoder().encode


def decode(payload: _Payload) -> ResponseStreamEvent:
    """One event, from the data of one server-sent event (never `[DONE]`, never empty).

    Raises APIError where the data is an error, StreamDecodeError where it is not a JSON object.
    `response.failed` is an event.
    """
    if len(payload) > SHALLOW and too_deep(payload):
        raise unreadable(payload, "it is nested too deeply")
    try:
        event = _strict_event(payload)
    except REFUSALS:
        event = _open_event(json_object(payload))
    event._json = payload
    return typing.cast(ResponseStreamEvent, event)


decode_run = functools.partial(strict_run, _strict_event, _strict_events)
"""The events that these payloads are, up to the first that is not read strictly: that is `decode`'s."""

Reading = functools.partial(Alike, decode_run, decode)
"""What reads the runs of one stream, one after the other: see alike.py."""


def decode_whole(payload: _Payload) -> Response:
    """The answer to a request without stream=True, from its whole body.

    Raises APIError where the body is an error, StreamDecodeError where it is not a JSON object.
    A response that failed is a response: status "failed", and `error`.
    """
    if len(payload) > SHALLOW and too_deep(payload):
        raise unreadable(payload, "it is nested too deeply")
    try:
        response = _strict_whole(payload)
        if response.error is None:
            response._json = payload
            return response
    except REFUSALS:
        pass
    found = json_object(payload)
    if "output" not in found and found.get("object") != "response":
        error = error_in(found)
        if error is not None:
            raise error
    return read_response(payload)


def read_response(payload: _Payload) -> Response:
    """The two readings of a response that is known to be one."""
    try:
        response = _strict_whole(payload)
    except REFUSALS:
        response = open_reading(Response, json_object(payload))
        _mend(response)
    response._json = payload
    return response


def text(event: Any) -> str:
    """The text that an event adds to the answer; "" where it adds none."""
    if type(event) is ResponseTextDeltaEvent and type(event.delta) is str:
        return event.delta
    return ""


def encode(event: Event) -> bytes:
    """The JSON of one event: as it came, or laid out anew for one that was made here."""
    if event._json is not None:
        return bytes(event._json)
    if type(event) is ResponseTextDeltaEvent and not event.logprobs and not event.__dict__:
        # The event that a server sends most. Nothing in it is nested, so to_dict's walk can be spared.
        found = _Flat(
            event.item_id,
            event.delta,
            event.logprobs,
            event.output_index,
            event.content_index,
            event.sequence_number,
            event.obfuscation,
            event.model,
        )
        return _encode(found)
    return _encode(event.to_dict())


class _Flat(msgspec.Struct, omit_defaults=True, tag_field="type", tag="response.output_text.delta"):
    """A text delta as it is written: what has no default stands there always."""

    item_id: str
    delta: str
    logprobs: list[Any]
    output_index: int | None = None
    content_index: int | None = None
    sequence_number: int | None = None
    obfuscation: str | None = None
    model: str | None = None


# -- The open reading ------------------------------------------------------------


def _open_event(found: dict[str, Any]) -> Event:
    kind = found.get("type")
    cls = _by_type.get(kind) if isinstance(kind, str) else None
    if cls is not None:
        event = open_reading(cls, found)
        _mend(getattr(event, "response", None))
        return event
    if not isinstance(kind, str):
        kind = ""
    if not kind.startswith("response."):
        error = error_in(found)
        if error is not None:
            raise error
    # `type` is always a string, so that anyone may look into it. to_dict() has what stood there.
    return open_reading(UnknownEvent, {**found, "type": kind})


def _mend(response: Any) -> None:
    """Null for the output is as good as absent: iterating over it must not fail."""
    if isinstance(response, Response) and response.output is None:
        response.output = []
