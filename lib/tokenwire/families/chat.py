"""The chat completions family: one payload in, one typed event out, and back.

Two readings (see record.py): the strict one, a single typed decode, is that of
nearly every chunk. What it refuses is read without types: an error in one of the
shapes that servers use raises, and everything else is kept.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import msgspec

from .alike import Alike
from .chat_accumulate import Accumulator
from .chat_choice import text_of
from .chat_helper import Helper
from .chat_parsed import parse_whole
from .chat_types import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessageCustomToolCall,
    ChatCompletionMessageFunctionToolCall,
    ChoiceDelta,
    ChunkChoice,
)
from .depth import SHALLOW, too_deep
from .faults import error_in
from .open_reading import json_object, open_reading, unreadable
from .parsing import response_format_param, tool_params
from .record import REFUSALS, Event, Unknown, strict_run

__all__ = [
    "Accumulator",
    "ChatCompletion",
    "ChatCompletionChunk",
    "Helper",
    "Reading",
    "decode",
    "decode_run",
    "decode_whole",
    "encode",
    "name",
    "parse_whole",
    "prepare",
    "text",
]

name = "chat"

_chunks = msgspec.json.Decoder(ChatCompletionChunk)
_strict_chunk, _strict_chunks = _chunks.decode, _chunks.decode_lines
_strict_whole = msgspec.json.Decoder(ChatCompletion).decode


def decode(payload: bytes | bytearray) -> ChatCompletionChunk:
    """One chunk, from the data of one server-sent event (never `[DONE]`, never empty).

    Raises APIError where the data is an error, StreamDecodeError where it is not a JSON object.
    """
    if len(payload) > SHALLOW and too_deep(payload):
        raise unreadable(payload, "it is nested too deeply")
    try:
        event = _strict_chunk(payload)
    except REFUSALS:
        event = _open_chunk(payload)
    event._json = payload
    return event


decode_run = functools.partial(strict_run, _strict_chunk, _strict_chunks)
"""The events that these payloads are, up to the first that is not read strictly: that is `decode`'s."""

Reading = functools.partial(Alike, decode_run, decode)
"""What reads the runs of one stream, one after the other: see alike.py."""


def decode_whole(payload: bytes | bytearray) -> ChatCompletion:
    """The answer to a request without stream=True, from its whole body.

    Raises APIError where the body is an error, StreamDecodeError where it is not a JSON object.
    """
    if len(payload) > SHALLOW and too_deep(payload):
        raise unreadable(payload, "it is nested too deeply")
    try:
        event = _strict_whole(payload)
    except REFUSALS:
        event = _open_whole(payload)
    event._json = payload
    return event


def text(event: ChatCompletionChunk) -> str:
    """The text that a chunk adds, all choices joined; "" where it adds none."""
    if not event._open:
        choices = event.choices
        if len(choices) == 1:
            return choices[0].delta.content or ""
    return _any_text(event)


def _any_text(event: ChatCompletionChunk) -> str:
    choices: Any = event.choices
    if not isinstance(choices, list):
        return ""
    deltas = [choice.delta for choice in choices if isinstance(choice, ChunkChoice)]
    return "".join(text_of(delta.content) for delta in deltas if isinstance(delta, ChoiceDelta))


def prepare(params: Mapping[str, Any]) -> dict[str, Any]:
    """A request's parameters as they are sent: types and functions made into schemas (see parsing.py)."""
    sent = dict(params)
    if "response_format" in sent:
        sent["response_format"] = response_format_param(sent["response_format"])
    if sent.get("tools"):
        sent["tools"] = tool_params(sent["tools"], "chat")
    return sent


def encode(event: Event) -> bytes:
    """The JSON of one event: as it came, or laid out anew for one that was made here."""
    if event._json is not None:
        return bytes(event._json)
    return msgspec.json.encode(event.to_dict())


# -- The open reading ----------------------------------------------------------------


def _open_chunk(payload: bytes | bytearray) -> ChatCompletionChunk:
    chunk = open_reading(ChatCompletionChunk, _answer_in(payload))
    chunk._open = True
    # Null for what cannot be null is as good as absent: iterating over choices must not fail on it.
    if chunk.choices is None:
        chunk.choices = []
    if isinstance(chunk.choices, list):
        for choice in chunk.choices:
            if isinstance(choice, ChunkChoice) and choice.delta is None:
                choice.delta = ChoiceDelta()
    return chunk


def _open_whole(payload: bytes | bytearray) -> ChatCompletion:
    whole = open_reading(ChatCompletion, _answer_in(payload))
    if whole.choices is None:
        whole.choices = []
    if isinstance(whole.choices, list):
        for choice in whole.choices:
            calls: Any = getattr(getattr(choice, "message", None), "tool_calls", None)
            if isinstance(calls, list):
                calls[:] = [_typed_call(call) for call in calls]
    return whole


def _typed_call(call: Any) -> Any:
    """A tool call whose `type` is missing or new is told by what it holds."""
    if isinstance(call, dict) and "function" in call:
        return open_reading(ChatCompletionMessageFunctionToolCall, call)
    if isinstance(call, dict) and "custom" in call:
        return open_reading(ChatCompletionMessageCustomToolCall, call)
    return open_reading(Unknown, call) if isinstance(call, dict) else call


def _answer_in(payload: bytes | bytearray) -> dict[str, Any]:
    """The JSON object of a payload, where it reports no error; else that is raised."""
    found = json_object(payload)
    error = error_in(found)
    if error is not None:
        raise error
    return found
