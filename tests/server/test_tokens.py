"""Tokens: what a handler may make of them, and what it is told at once that it may not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from support.served import CHAT, RESPONSES, payloads, run
from tokenwire.server import Finish, Reasoning, Refusal, RequestError, Text, ToolCall, Usage


class Word(str):
    """As libraries have them: an enum's member, a marked string."""


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda wrong: Text(wrong(b"bytes")), "Text.text is a str, not bytes"),
        (lambda wrong: Text(wrong(7)), "Text.text is a str, not int"),
        (lambda wrong: Text("x", wrong("0")), "Text.choice is an int, not str"),
        (lambda wrong: Text("x", wrong(True)), "Text.choice is an int, not bool"),
        (lambda wrong: Reasoning(wrong(None)), "Reasoning.text is a str, not NoneType"),
        (lambda wrong: Refusal(wrong(["no"])), "Refusal.text is a str, not list"),
        (lambda wrong: ToolCall("f", wrong({"a": 1})), "ToolCall.arguments is a str, not dict"),
        (lambda wrong: ToolCall(wrong(5)), "ToolCall.name is a str, not int"),
        (lambda wrong: ToolCall("f", id=wrong(5)), "ToolCall.id is a str, not int"),
        (lambda wrong: Finish(wrong(None)), "Finish.reason is a str, not NoneType"),
        (lambda wrong: Usage(wrong(None), 1), "Usage.input_tokens is an int, not NoneType"),
        (lambda wrong: Usage(1, wrong("2")), "Usage.output_tokens is an int, not str"),
        (lambda wrong: Usage(1, 2, cached_tokens=wrong(1.0)), "Usage.cached_tokens is an int, not float"),
    ],
)
def test_a_field_of_another_type(make: Callable[[Callable[[Any], Any]], Any], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        make(lambda value: value)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("family", "body"), [("chat", CHAT), ("responses", RESPONSES)])
def test_subclasses_of_str_are_strings(family: str, body: dict[str, Any], stream: bool) -> None:
    tokens = [Text(Word("said")), ToolCall(Word("f"), Word("{}"), Word("id7")), Finish(Word("tool_calls"))]  # type: ignore[arg-type]  # as an enum's member is
    answer = run(family, {**body, "stream": stream}, tokens)
    text = json.dumps(payloads(answer) if stream else json.loads(answer))
    for word in ("said", "f", "{}", "id7"):
        assert json.dumps(word) in text


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"message": ValueError("as it came")}, "an error's message is a str, not ValueError"),
        ({"message": "x", "code": 7}, "an error's code is a str, not int"),
        ({"message": "x", "param": ["n"]}, "an error's param is a str, not list"),
        ({"message": "x", "type": b"t"}, "an error's type is a str, not bytes"),
    ],
)
def test_an_error_of_what_is_no_text(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        RequestError(400, **fields)


@pytest.mark.parametrize(
    ("headers", "kind", "told"),
    [
        ({"retry-after": 5}, TypeError, "an error's headers are strings: 'retry-after' has int"),
        ({b"retry-after": "5"}, TypeError, "an error's headers are strings: b'retry-after' has bytes"),
        ({"retry-after": "5\r\nx: y"}, ValueError, "the header 'retry-after' must not be sent"),
        ({"retry after": "5"}, ValueError, "the header 'retry after' must not be sent"),
        # As a relay passes on its upstream's: of another body.
        ({"Content-Length": "77"}, ValueError, "an error's headers are without those of its body: 'Content-Length'"),
        ({"content-type": "text/html"}, ValueError, "an error's headers are without those of its body"),
        ({"content-encoding": "gzip"}, ValueError, "an error's headers are without those of its body"),
        ({"transfer-encoding": "chunked"}, ValueError, "an error's headers are without those of its body"),
    ],
)
def test_an_error_with_headers_that_cannot_be_sent(headers: Any, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told):
        RequestError(429, "Slow down.", headers=headers)


def test_an_error_with_headers() -> None:
    assert RequestError(429, "Slow down.", headers={"Retry-After": "5"}).headers == {"Retry-After": "5"}


def test_an_error_whose_message_is_no_unicode() -> None:
    assert json.loads(RequestError(400, "not \ud800").body())["error"]["message"] == "not \\ud800"
