"""Chat completions: the tokens of a handler as chunks, or as one whole object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import msgspec

from tokenwire.errors import LocalProtocolError
from tokenwire.server.problem import as_request_error
from tokenwire.server.request import Request
from tokenwire.server.tokens import Finish, FinishReason, Reasoning, Refusal, Text, Token, ToolCall, Usage

__all__ = ["ChatSession", "ChatWhole"]

NewId = Callable[[str], str]

_encode: Final = msgspec.json.encode


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


class _Finishes(Protocol):
    @property
    def finished(self) -> bool: ...


C = TypeVar("C", bound=_Finishes)


def _choice_of(token: Text | Reasoning | Refusal | ToolCall | Finish, choices: list[C]) -> C:
    """The choice that a token belongs to."""
    if not isinstance(token, (Text, Reasoning, Refusal, ToolCall, Finish)):
        raise TypeError(f"a handler yields strings and tokens, not {type(token).__name__}")
    if not 0 <= token.choice < len(choices):
        raise LocalProtocolError(f"a token of choice {token.choice}, where {len(choices)} were asked for")
    choice = choices[token.choice]
    if choice.finished:
        raise LocalProtocolError(f"a token of choice {token.choice} after its Finish")
    return choice


class _Call:
    """A tool call of one choice: its index there, its id and name, and in a whole answer its arguments."""

    __slots__ = ("arguments", "id", "index", "name")

    def __init__(self, index: int, id: str, name: str) -> None:
        self.index = index
        self.id = id
        self.name = name
        self.arguments: list[str] = []


class _Calls:
    """The tool calls of one choice, and the rule that says which of them a ToolCall goes on with."""

    __slots__ = ("_by_id", "_last", "all")

    def __init__(self) -> None:
        self.all: list[_Call] = []
        self._by_id: dict[str, _Call] = {}
        self._last: _Call | None = None

    def find(self, token: ToolCall, new_id: NewId) -> tuple[_Call, bool]:
        """The call, and whether this token begins it."""
        call = self._last if token.id is None else self._by_id.get(token.id)
        # The name may be repeated with the id; a name alone begins a call.
        if call is not None and (token.name is None or token.id is not None):
            self._last = call
            return call, False
        if token.name is None:
            raise LocalProtocolError("a tool call begins with its name")
        call = _Call(len(self.all), token.id or new_id("call_"), token.name)
        self.all.append(call)
        self._by_id[call.id] = self._last = call
        return call, True


class _Choice:
    """One choice of a stream: what goes around a text delta, and what has been said."""

    __slots__ = ("after", "begun", "calls", "finished", "head", "says", "text_head")

    def __init__(self, common: bytes, index: int, after: bytes) -> None:
        self.head = b'%b"choices":[{"index":%d,"delta":' % (common, index)
        self.text_head = self.head + b'{"content":'
        self.after = after
        self.calls = _Calls()
        self.begun = False
        self.says = False  # something that a message is made of: text, a refusal, a call
        self.finished = False


class ChatSession:
    """stream=True: `chat.completion.chunk` frames, then `data: [DONE]`.

    The first chunk of a choice says its role, and waits for its first token: as in OpenAI's own
    streams, its content is "" where text follows, and null where a call, a refusal or reasoning does.
    """

    def __init__(self, request: Request, *, model: str, now: float, new_id: NewId) -> None:
        self._new_id = new_id
        common = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,' % (
            _encode(new_id("chatcmpl-")),
            int(now),
            _encode(model),
        )
        self._common = common
        # With include_usage "all other chunks will also include a usage field, but with a null value".
        self._wants_usage = request.include_usage
        tail = b',"usage":null}\n\n' if request.include_usage else b"}\n\n"
        self._tail = tail
        self._choices = [
            _Choice(common, index, b'},"logprobs":null,"finish_reason":null}]' + tail)
            for index in range(request.n)
        ]
        self._usage: Usage | None = None
        first = self._choices[0]
        self._first = first
        self._plain = False  # whether a string is just a text delta: the first choice has begun to say some
        self._before, self._after = first.text_head, first.after

    def start(self) -> bytes:
        return b""

    def token(self, token: Token) -> bytes:
        if self._plain and type(token) is str:
            if not token:
                return b""
            return b"".join((self._before, _encode(token), self._after))
        if isinstance(token, Usage):
            self._usage = token
            return b""
        if isinstance(token, str):
            token = Text(str.__str__(token))  # msgspec encodes no subclass
        choice = _choice_of(token, self._choices)
        if isinstance(token, Text):
            return self._text(choice, token.text) if token.text else b""
        if isinstance(token, Reasoning):
            return self._delta(choice, {"reasoning_content": token.text})
        if isinstance(token, Finish):
            return self._finish(choice, token.reason)
        choice.says = True
        if isinstance(token, Refusal):
            return self._delta(choice, {"refusal": token.text})
        return self._call(choice, token)

    def _begin(self, choice: _Choice, content: bytes) -> bytes:
        """The chunk that goes before the first of a choice's own."""
        if choice.begun:
            return b""
        choice.begun = True
        delta = b'{"role":"assistant","content":%b,"refusal":null' % content
        return b"".join((choice.head, delta, choice.after))

    def _text(self, choice: _Choice, text: str) -> bytes:
        delta = b"".join((choice.text_head, _encode(text), choice.after))
        choice.says = True
        if choice is self._first:
            self._plain = True
        return self._begin(choice, b'""') + delta

    def _delta(self, choice: _Choice, delta: dict[str, Any]) -> bytes:
        # choice.after closes the delta as well: its brace is left off here.
        return self._begin(choice, b"null") + b"".join((choice.head, _encode(delta)[:-1], choice.after))

    def _call(self, choice: _Choice, token: ToolCall) -> bytes:
        call, begins = choice.calls.find(token, self._new_id)
        delta: dict[str, Any] = {"index": call.index}
        if begins:
            delta |= {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": token.arguments},
            }
        elif token.arguments:
            delta["function"] = {"arguments": token.arguments}
        else:
            return b""
        return self._delta(choice, {"tool_calls": [delta]})

    def _finish(self, choice: _Choice, reason: FinishReason) -> bytes:
        choice.finished = True
        if choice is self._first:
            self._plain = False
        opening = self._begin(choice, b'""')
        # After reasoning alone the content is null so far, where that of an empty answer is "".
        delta = b"{}" if opening or choice.says else b'{"content":""}'
        said = b'%b,"logprobs":null,"finish_reason":%b}]' % (delta, _encode(reason))
        return b"".join((opening, choice.head, said, self._tail))

    def end(self) -> bytes:
        frames = [
            self._finish(choice, "tool_calls" if choice.calls.all else "stop")
            for choice in self._choices
            if not choice.finished
        ]
        if self._wants_usage and self._usage is not None:
            frames.append(b'%b"choices":[],"usage":%b}\n\n' % (self._common, _encode(_usage(self._usage))))
        frames.append(b"data: [DONE]\n\n")
        return b"".join(frames)

    def fail(self, error: BaseException) -> bytes:
        # No [DONE] and no finish_reason: who overlooks the error must not take the answer for whole.
        return b"data: %b\n\n" % as_request_error(error).body()


class _WholeChoice:
    """One choice of a whole answer, growing."""

    __slots__ = ("calls", "reason", "reasoning", "refusal", "text")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.calls = _Calls()
        self.reason: FinishReason | None = None

    @property
    def finished(self) -> bool:
        return self.reason is not None

    def plain(self, index: int) -> dict[str, Any]:
        text = "".join(self.text)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": text if text or not (self.calls.all or self.refusal) else None,
            "refusal": "".join(self.refusal) if self.refusal else None,
        }
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        if self.calls.all:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": "".join(call.arguments)},
                }
                for call in self.calls.all
            ]
        reason = self.reason or ("tool_calls" if self.calls.all else "stop")
        return {"index": index, "message": message, "logprobs": None, "finish_reason": reason}


class ChatWhole:
    """stream=False: one `chat.completion` object, at the end."""

    def __init__(self, request: Request, *, model: str, now: float, new_id: NewId) -> None:
        self._new_id = new_id
        self._head = {
            "id": new_id("chatcmpl-"),
            "object": "chat.completion",
            "created": int(now),
            "model": model,
        }
        self._choices = [_WholeChoice() for _ in range(request.n)]
        self._usage: Usage | None = None

    def start(self) -> bytes:
        return b""

    def token(self, token: Token) -> bytes:
        if isinstance(token, str):
            token = Text(str.__str__(token))  # msgspec encodes no subclass
        if isinstance(token, Usage):
            self._usage = token
            return b""
        choice = _choice_of(token, self._choices)
        if isinstance(token, Text):
            choice.text.append(token.text)
        elif isinstance(token, Reasoning):
            choice.reasoning.append(token.text)
        elif isinstance(token, Refusal):
            choice.refusal.append(token.text)
        elif isinstance(token, ToolCall):
            choice.calls.find(token, self._new_id)[0].arguments.append(token.arguments)
        else:
            choice.reason = token.reason
        return b""

    def end(self) -> bytes:
        whole: dict[str, Any] = {**self._head, "choices": [c.plain(k) for k, c in enumerate(self._choices)]}
        if self._usage is not None:
            whole["usage"] = _usage(self._usage)
        return _encode(whole)

    def fail(self, error: BaseException) -> bytes:
        return as_request_error(error).body()
