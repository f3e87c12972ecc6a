"""Responses: the tokens of a handler as the API's full order of events, or as one whole object.

Theory of operation. At most one output item is open at a time (a message, a
reasoning, a function call), and in it at most one part. A token that does not fit
what is open closes it, and opens what it needs:

    created, in_progress,
      output_item.added, content_part.added, output_text.delta ..., output_text.done, content_part.done,
      output_item.done,
    completed

A response in the background begins with created (status queued), queued, in_progress. One
that is cancelled ends with `response.cancelled`, which is not in the official types: they
have no terminal event for it, and without one a reader would wait, or take it for cut off.

stream=False runs the same steps and writes none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tokenwire.errors import LocalProtocolError
from tokenwire.server.parts import REASONING, REFUSAL, SUMMARY, TEXT, Part, made
from tokenwire.server.problem import as_request_error
from tokenwire.server.request import Request
from tokenwire.server.tokens import Finish, FinishReason, Reasoning, Refusal, Text, Token, ToolCall, Usage

__all__ = ["ResponsesSession"]

_encode: Final = msgspec.json.encode


class _Item:
    """The open output item. value: as it will be, but for its status and what is still open."""

    __slots__ = ("index", "part", "texts", "value")

    def __init__(self, index: int, value: dict[str, Any]) -> None:
        self.index = index
        self.value = value
        self.part: Part | None = None
        self.texts: list[str] = []  # of the open part, or of a call's arguments


class ResponsesSession:
    """`event:` and `data:` frames with sequence numbers; with stream=False one `response` object.

    id: the response's. stream: frames are made, whatever the request says.
    """

    def __init__(
        self,
        request: Request,
        *,
        model: str,
        now: float,
        new_id: Callable[[str], str],
        stream: bool = False,
    ) -> None:
        self.id = new_id("resp_")
        self._stream = stream or request.stream
        self._new_id = new_id
        self._response = _response(request, model, now, self.id)
        self._output: list[dict[str, Any]] = []
        self._call_ids: set[str] = set()  # of the calls that have begun
        self._sequence = 0
        self._item: _Item | None = None
        self._reason: FinishReason | None = None
        self._usage: Usage | None = None
        # The hot path: what goes before the next text delta, or None while no text part is open.
        self._before: bytes | None = None
        self._texts: list[str] = []

    def start(self) -> bytes:
        frames = self._frame("response.created", response=self._snapshot())
        if self._response["status"] == "queued":
            frames += self._frame("response.queued", response=self._snapshot())
            self._response["status"] = "in_progress"
        return frames + self._frame("response.in_progress", response=self._snapshot())

    def token(self, token: Token) -> bytes:
        if type(token) is str and self._before is not None:
            if not token:
                return b""
            encoded = _encode(token)  # first, since it refuses a lone surrogate
            self._texts.append(token)
            number = self._sequence
            self._sequence = number + 1
            return b'%b%b,"logprobs":[],"sequence_number":%d}\n\n' % (self._before, encoded, number)
        if isinstance(token, Usage):
            self._usage = token
            return b""
        if isinstance(token, str):
            token = Text(str.__str__(token))  # msgspec encodes no subclass
        if not isinstance(token, (Text, Reasoning, Refusal, ToolCall, Finish)):
            raise TypeError(f"a handler yields strings and tokens, not {type(token).__name__}")
        if token.choice:
            raise LocalProtocolError(f"a token of choice {token.choice}: a response has one")
        if self._reason is not None:
            raise LocalProtocolError("a token after Finish")
        if isinstance(token, Text):
            return self._say(TEXT, token.text)
        if isinstance(token, Refusal):
            return self._say(REFUSAL, token.text)
        if isinstance(token, Reasoning):
            return self._say(SUMMARY if token.summary else REASONING, token.text)
        if isinstance(token, ToolCall):
            return self._call(token)
        self._reason = token.reason
        return self._close_item(self._item_status())

    def end(self) -> bytes:
        frames = self._close_item(self._item_status())
        if self._reason in ("length", "content_filter"):
            reason = "max_output_tokens" if self._reason == "length" else "content_filter"
            return frames + self._last("incomplete", incomplete_details={"reason": reason})
        return frames + self._last("completed")

    def fail(self, error: BaseException) -> bytes:
        told = as_request_error(error)
        if not self._stream:
            return told.body()
        # The error first, as the API does it; then the terminal event, for those who wait for one.
        frames = self._frame("error", code=told.code, message=told.message, param=told.param)
        code = "rate_limit_exceeded" if told.status == 429 else "server_error"
        return frames + self._last("failed", error={"code": code, "message": told.message})

    def cancel(self) -> bytes:
        """Instead of end: what was said so far stays, and the response is cancelled."""
        return self._close_item("incomplete") + self._last("cancelled")

    def whole(self) -> bytes:
        """The response object as it is now, as JSON: the items that are done, and its status."""
        return _encode(self._snapshot())

    # -- Frames ----------------------------------------------------------------

    def _frame(self, type: str, **fields: Any) -> bytes:
        if not self._stream:
            return b""
        number = self._sequence
        self._sequence = number + 1
        data = _encode({"type": type, **fields, "sequence_number": number})
        return b"event: %b\ndata: %b\n\n" % (type.encode(), data)

    def _last(self, status: str, **changes: Any) -> bytes:
        self._response |= {"status": status, **changes}
        return self._frame(f"response.{status}", response=self._snapshot()) if self._stream else self.whole()

    def _snapshot(self) -> dict[str, Any]:
        usage = self._usage
        changes: dict[str, Any] = {}
        if usage is not None:
            changes["usage"] = {
                "input_tokens": usage.input_tokens,
                "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
                "output_tokens": usage.output_tokens,
                "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
                "total_tokens": usage.input_tokens + usage.output_tokens,
            }
        return {**self._response, "output": self._output, **changes}

    # -- Items and parts -------------------------------------------------------

    def _item_status(self) -> str:
        return "incomplete" if self._reason in ("length", "content_filter") else "completed"

    def _open_item(self, value: dict[str, Any]) -> bytes:
        closing = self._close_item("completed")
        self._item = _Item(len(self._output), value)
        added = {**value, "status": "in_progress"}
        return closing + self._frame("response.output_item.added", output_index=self._item.index, item=added)

    def _close_item(self, status: str) -> bytes:
        item = self._item
        if item is None:
            return b""
        frames = self._close_part(item)
        if item.value["type"] == "function_call":
            item.value["arguments"] = "".join(item.texts)
            frames = self._frame(
                "response.function_call_arguments.done",
                item_id=item.value["id"],
                output_index=item.index,
                arguments=item.value["arguments"],
            )
        item.value["status"] = status
        self._output.append(item.value)
        self._item = None
        return frames + self._frame("response.output_item.done", output_index=item.index, item=item.value)

    def _where(self, item: _Item, part: Part) -> dict[str, Any]:
        return {
            "item_id": item.value["id"],
            "output_index": item.index,
            part.counter: len(item.value[part.field]),
        }

    def _open_part(self, item: _Item, part: Part) -> bytes:
        frames = self._close_part(item)
        item.part = part
        item.texts = []
        where = self._where(item, part)
        if part is TEXT and self._stream:
            fields = _encode({"type": "response.output_text.delta", **where})[:-1]
            self._before = b'event: response.output_text.delta\ndata: %b,"delta":' % fields
            self._texts = item.texts
        return frames + self._frame(part.part_event + ".added", **where, part=made(part, ""))

    def _close_part(self, item: _Item) -> bytes:
        part = item.part
        if part is None:
            return b""
        where = self._where(item, part)
        text = "".join(item.texts)
        whole = made(part, text)
        item.value[part.field].append(whole)
        item.part = None
        self._before = None
        said: dict[str, Any] = {part.key: text}
        if part is TEXT:
            said["logprobs"] = []
        frames = self._frame(part.text_event + ".done", **where, **said)
        return frames + self._frame(part.part_event + ".done", **where, part=whole)

    def _say(self, part: Part, text: str) -> bytes:
        """A delta of this kind of content, and what must be closed and opened before it."""
        if not text:
            return b""
        _encode(text)  # refuses a lone surrogate, before anything has changed
        frames = b""
        if self._item is None or self._item.value["type"] != part.item:
            if part.item == "message":
                value = {"id": self._new_id("msg_"), "type": "message", "role": "assistant", "content": []}
            else:
                value = {"id": self._new_id("rs_"), "type": "reasoning", "summary": [], "content": []}
            frames = self._open_item(value)
        item = self._item
        assert item is not None
        if item.part is not part:
            frames += self._open_part(item, part)
        if part is TEXT and self._stream:
            return frames + self.token(text)
        item.texts.append(text)
        return frames + self._frame(part.text_event + ".delta", **self._where(item, part), delta=text)

    def _call(self, token: ToolCall) -> bytes:
        item = self._item
        open_call = item if item is not None and item.value["type"] == "function_call" else None
        frames = b""
        same = token.id is None or (open_call is not None and open_call.value["call_id"] == token.id)
        if open_call is None or not same or (token.name is not None and token.id is None):
            if token.name is None or token.id in self._call_ids:
                # Its item is closed, and its done events have left.
                raise LocalProtocolError(
                    "a tool call begins with its name, and its pieces follow one another"
                )
            call_id = token.id or self._new_id("call_")
            self._call_ids.add(call_id)
            frames = self._open_item(
                {
                    "id": self._new_id("fc_"),
                    "type": "function_call",
                    "call_id": call_id,
                    "name": token.name,
                    "arguments": "",
                }
            )
            open_call = self._item
        assert open_call is not None
        if not token.arguments:
            return frames
        open_call.texts.append(token.arguments)
        return frames + self._frame(
            "response.function_call_arguments.delta",
            item_id=open_call.value["id"],
            output_index=open_call.index,
            delta=token.arguments,
        )


def _response(request: Request, model: str, now: float, id: str) -> dict[str, Any]:
    """The response object as it stands at the start: what was asked for, with the API's defaults."""
    body = request.body
    text = {key: value for key, value in (body.get("text") or {}).items() if value is not None}
    return {
        "id": id,
        "object": "response",
        "created_at": int(now),
        "status": "queued" if request.background else "in_progress",
        "background": request.background,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": request.max_tokens,
        "metadata": body.get("metadata") or {},
        "model": model,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None, **(body.get("reasoning") or {})},
        "store": request.store,
        "temperature": body.get("temperature"),
        "text": {"format": {"type": "text"}, **text},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p"),
        "truncation": body.get("truncation") or "disabled",
        "usage": None,
        "user": body.get("user"),
    }
