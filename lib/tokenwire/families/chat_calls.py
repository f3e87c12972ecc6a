"""The tool calls of one choice, put together from their deltas.

Theory of operation. Which call a delta belongs to is told by its index; but some
servers send none (Gemini, old Ollama), and some send 0 for each of several calls
(Ollama), and ids, names and types come again, null or empty in later deltas. The
rule that survives them all: the explicit index is the key, unless the delta
carries a new id for an index that another id has taken: then it is a new call.
With no index: by id, else by position.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from .chat_types import (
    ChatCompletionMessageCustomToolCall,
    ChatCompletionMessageFunctionToolCall,
    ChoiceDeltaToolCall,
    ChoiceDeltaToolCallFunction,
    Custom,
    Function,
)
from .partial import GrowingJSON, GrowingText

__all__ = ["Call", "Calls", "Log", "grown_name", "json_of", "says"]

Log: TypeAlias = GrowingText | GrowingJSON


def says(value: object) -> bool:
    """Whether a value tells anything: servers repeat a field as null, empty, or {}."""
    return value is not None and value != "" and value != {} and value != []


def grown_name(name: str, piece: object) -> str:
    """Names come whole, or whole again with each delta; a different one is the next piece of it."""
    return name + piece if isinstance(piece, str) and piece != name else name


def json_of(arguments: object) -> str:
    """Arguments are JSON text; a server that sends the JSON itself means the same."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else msgspec.json.encode(arguments).decode()


class Call:
    """One tool call as far as it came. place: how many of its choice began before it."""

    __slots__ = ("arguments", "custom", "extras", "id", "index", "name", "place")

    def __init__(self, index: int, place: int, arguments: Log) -> None:
        self.index = index
        self.place = place
        self.id = ""
        self.name = ""
        self.custom = False
        self.arguments = arguments
        self.extras: dict[str, Any] = {}

    def add(self, delta: ChoiceDeltaToolCall) -> str:
        """Take a delta in; returns the piece of arguments in it."""
        if not self.id and isinstance(delta.id, str):
            self.id = delta.id
        function: Any = delta.function
        pieces = ""
        if isinstance(function, ChoiceDeltaToolCallFunction):
            self.name = grown_name(self.name, function.name)
            pieces = json_of(function.arguments)
        for name, value in delta.__dict__.items():
            if name == "custom" and isinstance(value, dict):
                # Not in the official chunk types, but in those of the whole message.
                self.custom = True
                self.name = grown_name(self.name, value.get("name"))
                pieces = json_of(value.get("input"))
            elif says(value):
                self.extras[name] = value
        if pieces:
            self.arguments.write(pieces)
        return pieces

    def build(self) -> ChatCompletionMessageFunctionToolCall | ChatCompletionMessageCustomToolCall:
        text = str(self.arguments)
        call: ChatCompletionMessageFunctionToolCall | ChatCompletionMessageCustomToolCall
        if self.custom:
            call = ChatCompletionMessageCustomToolCall(id=self.id, custom=Custom(input=text, name=self.name))
        else:
            call = ChatCompletionMessageFunctionToolCall(
                id=self.id, function=Function(arguments=text, name=self.name)
            )
        if self.extras:
            call.__dict__.update(self.extras)
        return call


class Calls:
    """All calls of one choice. log: makes what keeps a call's arguments."""

    __slots__ = ("_by_id", "_by_index", "_by_place", "_indexes", "_log", "_next", "all")

    def __init__(self, log: Callable[[], Log]) -> None:
        self.all: list[Call] = []  # in the order of their beginning
        self._log = log
        self._by_index: dict[int, Call] = {}
        self._by_place: dict[int, Call] = {}
        self._by_id: dict[str, Call] = {}
        self._indexes: set[int] = set()
        self._next = 0

    def find(self, delta: ChoiceDeltaToolCall, place: int) -> Call:
        """The call that a delta belongs to, or a new one. place: the delta's place in its list."""
        index: Any = delta.index
        call_id: Any = delta.id
        if not isinstance(call_id, str):
            call_id = ""
        if type(index) is int:
            taken, key = self._by_index, index
            call = taken.get(index)
            if call is not None and call_id and call.id not in ("", call_id):
                call = self._by_id.get(call_id)
        else:
            taken, key = self._by_place, place
            call = self._by_id.get(call_id) if call_id else self._at(delta, place)
        if call is None:
            call = self._new(index)
        taken[key] = call
        if call_id:
            self._by_id.setdefault(call_id, call)
        return call

    def _at(self, delta: ChoiceDeltaToolCall, place: int) -> Call | None:
        call = self._by_place.get(place)
        if call is None and place < len(self.all):
            call = self.all[place]
        # Neither index nor id, and another name after the arguments have begun: no piece of this call.
        name = getattr(delta.function, "name", None)
        return None if call is not None and name and name != call.name and call.arguments.tell() else call

    def _new(self, index: Any) -> Call:
        if type(index) is not int or index in self._indexes:
            index = self._next
        self._indexes.add(index)
        self._next = max(self._next, index + 1)
        call = Call(index, len(self.all), self._log())
        self.all.append(call)
        return call

    def in_order(self) -> list[Call]:
        """The calls by their indexes."""
        return sorted(self.all, key=lambda call: call.index)
