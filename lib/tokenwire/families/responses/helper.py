"""What stands behind `.stream()`: every event of the wire, and the answer it adds up to.

The events are the very objects that `decode` made, with what only a listener
from the start can know: `snapshot` on deltas of text and of function arguments,
`parsed` on the end of a text, and in the terminal event the whole response, with
what the server left out of it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from ..parsing import is_type, parse, text_format_param, tool_params, tool_parsers
from .accumulate import Accumulator
from .events import (
    ResponseCancelledEvent,
    ResponseCompletedEvent,
    ResponseFailedEvent,
    ResponseIncompleteEvent,
    ResponseStreamEvent,
)
from .parsed import Lazy, ParsedResponse, checked, final_answer, parse_response
from .response import Response
from .text_events import ResponseTextDeltaEvent, ResponseTextDoneEvent
from .tool_events import ResponseFunctionCallArgumentsDeltaEvent

__all__ = ["Helper", "prepare"]

_TERMINAL = (ResponseCompletedEvent, ResponseIncompleteEvent, ResponseFailedEvent, ResponseCancelledEvent)


def prepare(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters as they are sent: text_format as `text.format`, tools as the API describes them.

    Raises TypeError for a text_format beside a text.format, and for a type or a function without a schema.
    """
    sent = dict(params)
    text_format = sent.pop("text_format", None)
    if text_format is not None:
        text = dict(sent.get("text") or {})
        if "format" in text:
            raise TypeError("text_format= and text={'format': ...} both say what the text must be: give one")
        sent["text"] = {**text, "format": text_format_param(text_format)}
    if sent.get("tools") is not None:
        sent["tools"] = tool_params(sent["tools"], "responses")
    return sent


def _comes_before(event: Any, after: int) -> bool:
    """Whether its number says that the listener has had it."""
    number = event.sequence_number
    return isinstance(number, int) and number <= after


class Helper:
    """Follows one stream.

    text_format: a type to read the answer as. tools: types, functions or dicts. starting_after: the events up
    to this sequence_number only add to the snapshots.
    """

    def __init__(
        self, *, text_format: Any = None, tools: Iterable[Any] | None = None, starting_after: int | None = None
    ) -> None:
        self._format = text_format if is_type(text_format) else None  # a dict is for the API alone
        self._tools = tool_parsers(tools)
        self._after = starting_after
        self._state = Accumulator()

    @property
    def accumulator(self) -> Accumulator:
        """What `events` adds each event to."""
        return self._state

    def events(self, run: list[Any], like: object = None, texts: Sequence[str] = ()) -> list[ResponseStreamEvent]:
        """What these events of the wire give: themselves, and what is known with each. like, texts: see alike.py."""
        state = self._state
        if like is not None and like is state.like:
            text = state._grown
            write, tell = text.write, text.tell
            for event, delta in zip(run, texts, strict=True):
                write(delta)
                event._text = text
                event._end = tell()
        else:
            for event in run:
                self._take(event)
            if like is not None:
                state.remember(like, event)
        if self._after is None:
            return run
        return [event for event in run if not _comes_before(event, self._after)]

    def _take(self, event: Any) -> None:
        state = self._state
        state.add(event)
        if type(event) is ResponseTextDeltaEvent:
            text = state._grown
            event._text = text
            event._end = text.tell()
        elif type(event) is ResponseFunctionCallArgumentsDeltaEvent:
            text = state.grown_by(event)
            event._text = text
            event._end = text.tell()
        elif type(event) is ResponseTextDoneEvent:
            if self._format is not None and isinstance(event.text, str) and final_answer(state.phase_of(event)):
                event._parsed = Lazy(functools.partial(parse, self._format), event.text)
        elif isinstance(event, _TERMINAL):
            event.response = self._response(whole=type(event) is ResponseCompletedEvent)

    def end(self) -> list[ResponseStreamEvent]:
        """At a clean end of the stream: nothing more."""
        return []

    def snapshot(self) -> Response:
        """The response so far: a value."""
        return self._state.snapshot()

    def final(self) -> ParsedResponse[Any]:
        """The response, whole or as far as it came, with `output_parsed`.

        Where a text_format was given and the answer was cut, raises LengthFinishReasonError or
        ContentFilterFinishReasonError; where it does not fit, what the type's own library raises.
        A response that failed is returned: status "failed", and `error`.
        """
        response = self._response(whole=self._state.completed)
        return response if self._format is None else checked(response)

    def _response(self, *, whole: bool) -> ParsedResponse[Any]:
        # What was cut is not read: its text fits nothing.
        found = self._state.snapshot()
        return parse_response(found, self._format if whole else None, self._tools if whole else {})
