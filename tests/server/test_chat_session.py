from __future__ import annotations

import json
from typing import Any

import pytest
from openai.lib.streaming.chat._completions import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from support.served import CHAT, NOW, frames, opened, payloads, run
from tokenwire.errors import APIError, LocalProtocolError
from tokenwire.families import chat
from tokenwire.server import Finish, Reasoning, Refusal, RequestError, Text, ToolCall, Usage

WITH_USAGE = {**CHAT, "stream_options": {"include_usage": True}}
WHOLE = {**CHAT, "stream": False}
USAGE = Usage(input_tokens=7, output_tokens=5, reasoning_tokens=2, cached_tokens=3)
EVERYTHING = [
    Reasoning("hm"),
    Reasoning("m"),
    "a",
    " 月",
    Text("\u2028b\n"),
    Refusal("no"),
    ToolCall("f", '{"x"'),
    ToolCall(arguments=":1}"),
    ToolCall("g", "{}", id="call_mine"),
    USAGE,
]


def chunks(body: bytes) -> list[ChatCompletionChunk]:
    """Each payload, held to the official type, strictly."""
    return [ChatCompletionChunk.model_validate(data, strict=True) for data in payloads(body)]


def test_the_order_of_chunks() -> None:
    body = run("chat", CHAT, ["The", " moon"])
    found = chunks(body)
    assert frames(body)[-1] == ("", "[DONE]")
    assert [
        (c.choices[0].delta.role, c.choices[0].delta.content, c.choices[0].finish_reason) for c in found
    ] == [
        ("assistant", "", None),
        (None, "The", None),
        (None, " moon", None),
        (None, None, "stop"),
    ]
    assert {(c.id, c.created, c.model, c.choices[0].index) for c in found} == {
        ("chatcmpl-0", int(NOW), "answering", 0)
    }
    assert all("usage" not in data for data in payloads(body))


def test_no_tokens_are_an_empty_answer() -> None:
    assert [c.choices[0].finish_reason for c in chunks(run("chat", CHAT, []))] == [None, "stop"]


def test_empty_text_adds_nothing() -> None:
    session = opened("chat", CHAT)
    assert session.token("") == session.token(Text("")) == b""


def test_a_subclass_of_str_is_text() -> None:
    class Fancy(str):
        pass

    assert run("chat", CHAT, [Fancy("x")]) == run("chat", CHAT, ["x"])


def test_usage_is_sent_where_it_was_asked_for() -> None:
    found = chunks(run("chat", WITH_USAGE, [USAGE, "a", Usage(1, 1), USAGE]))
    assert [c.usage for c in found[:-1]] == [None] * (len(found) - 1)
    assert all("usage" in data for data in payloads(run("chat", WITH_USAGE, ["a", USAGE])))
    last = found[-1]
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.to_dict() == {
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


def test_usage_that_nobody_counted_is_not_made_up() -> None:
    assert len(chunks(run("chat", WITH_USAGE, ["a"]))) == 3


def test_usage_may_follow_finish() -> None:
    found = chunks(run("chat", WITH_USAGE, ["a", Finish("length"), USAGE]))
    assert [c.choices[0].finish_reason for c in found[:-1]] == [None, None, "length"]
    assert found[-1].usage is not None


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "content_filter"])
def test_finish(reason: Any) -> None:
    tokens = ["a", Finish(reason)]
    assert chunks(run("chat", CHAT, tokens))[-1].choices[0].finish_reason == reason
    assert json.loads(run("chat", WHOLE, tokens))["choices"][0]["finish_reason"] == reason


def test_the_finish_chunk_leaves_at_once() -> None:
    session = opened("chat", CHAT)
    assert b'"finish_reason":"length"' in session.token(Finish("length"))


def test_tool_calls() -> None:
    tokens = [
        ToolCall("f", id="call_a"),
        ToolCall(arguments='{"x"'),
        ToolCall("g", "{}", id="call_b"),
        ToolCall(arguments=":1}", id="call_a"),  # interleaved, by id
        ToolCall("g", arguments=" ", id="call_b"),  # the name repeated
        ToolCall("f", "[]"),  # a name alone begins a call
    ]
    deltas = [c.choices[0].delta.tool_calls[0] for c in chunks(run("chat", CHAT, tokens))[1:-1]]  # type: ignore[index]
    assert [
        (d.index, d.id, d.type, d.function and d.function.name, d.function and d.function.arguments)
        for d in deltas
    ] == [
        (0, "call_a", "function", "f", ""),
        (0, None, None, None, '{"x"'),
        (1, "call_b", "function", "g", "{}"),
        (0, None, None, None, ":1}"),
        (1, None, None, None, " "),
        (2, "call_1", "function", "f", "[]"),
    ]
    whole = json.loads(run("chat", WHOLE, tokens))["choices"][0]
    assert [(call["id"], call["function"]) for call in whole["message"]["tool_calls"]] == [
        ("call_a", {"name": "f", "arguments": '{"x":1}'}),
        ("call_b", {"name": "g", "arguments": "{} "}),
        ("call_1", {"name": "f", "arguments": "[]"}),
    ]
    assert (whole["message"]["content"], whole["finish_reason"]) == (None, "tool_calls")


def test_an_empty_piece_of_a_call_adds_nothing() -> None:
    session = opened("chat", CHAT)
    session.token(ToolCall("f"))
    assert session.token(ToolCall()) == b""


def test_the_official_accumulator_and_ours_agree_with_the_whole() -> None:
    whole = ChatCompletion.model_validate_json(run("chat", WHOLE, EVERYTHING), strict=True)
    body = run("chat", WITH_USAGE, EVERYTHING)
    official = ChatCompletionStreamState()
    ours = chat.Accumulator()
    for chunk in chunks(body):
        official.handle_chunk(chunk)
    for data in payloads(body):
        event = chat.decode(json.dumps(data).encode())
        assert event.model_extra == {}
        ours.add(event)
    told = official.get_final_completion()
    message, streamed = whole.choices[0].message, told.choices[0].message
    assert (message.content, message.refusal) == ("a 月\u2028b\n", "no")
    assert (streamed.content, streamed.refusal) == (message.content, message.refusal)
    assert message.to_dict()["reasoning_content"] == "hmm"
    assert message.tool_calls is not None
    assert streamed.tool_calls is not None
    assert [call.function.arguments for call in streamed.tool_calls] == ['{"x":1}', "{}"]
    assert [call.id for call in message.tool_calls] == [call.id for call in streamed.tool_calls]
    assert told.usage == whole.usage
    assert whole.model == told.model == "answering"
    assert ours.complete
    snapshot = ours.snapshot()
    assert snapshot.choices[0].message.content == message.content
    assert snapshot.choices[0].finish_reason == whole.choices[0].finish_reason == "tool_calls"
    assert chat.decode_whole(run("chat", WHOLE, EVERYTHING)).usage is not None


@pytest.mark.parametrize(
    ("tokens", "first", "content"),
    [
        (["a", ToolCall("f", "{}")], "", "a"),
        ([ToolCall("f", "{}"), "a"], None, "a"),
        ([ToolCall("f", "{}")], None, None),
        ([Text(""), "", ToolCall("f", "{}")], None, None),
        ([Refusal("no")], None, None),
        ([Reasoning("hm"), ToolCall("f", "{}"), Finish("tool_calls")], None, None),
        ([Reasoning("hm"), "a", "b"], None, "ab"),
        ([Reasoning("hm")], None, ""),
        ([Finish()], "", ""),
        ([], "", ""),
    ],
)
def test_content_is_null_where_nothing_is_said_but_a_call_or_a_refusal(
    tokens: list[Any], first: str | None, content: str | None
) -> None:
    body = run("chat", CHAT, tokens)
    opening = payloads(body)[0]["choices"][0]["delta"]
    assert opening == {"role": "assistant", "content": first, "refusal": None}
    assert [c.choices[0].delta.role for c in chunks(body)].count("assistant") == 1
    official = ChatCompletionStreamState()
    ours = chat.Accumulator()
    for chunk in chunks(body):
        official.handle_chunk(chunk)
    for data in payloads(body):
        ours.add(chat.decode(json.dumps(data).encode()))
    whole = json.loads(run("chat", WHOLE, tokens))
    assert whole["choices"][0]["message"]["content"] == content
    assert official.get_final_completion().choices[0].message.content == content
    assert ours.snapshot().choices[0].message.content == content


def test_more_choices() -> None:
    tokens = [
        "a",
        Text("b", 1),
        Reasoning("r", choice=1),
        ToolCall("f", "{}", choice=1),
        Finish("length", 0),
        USAGE,
    ]
    found = chunks(run("chat", {**CHAT, "n": 2}, tokens, max_choices=2))
    # A choice begins as its first token comes.
    assert [(c.choices[0].index, c.choices[0].delta.role) for c in found[:4]] == [
        (0, "assistant"),
        (0, None),
        (1, "assistant"),
        (1, None),
    ]
    assert [
        (c.choices[0].index, c.choices[0].finish_reason) for c in found if c.choices[0].finish_reason
    ] == [
        (0, "length"),
        (1, "tool_calls"),
    ]
    whole = json.loads(run("chat", {**WHOLE, "n": 2}, tokens, max_choices=2))
    assert [choice["message"]["content"] for choice in whole["choices"]] == ["a", "b"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("tokens", "kind"),
    [
        ([b"bytes"], TypeError),
        ([None], TypeError),
        ([Text("x", 1)], LocalProtocolError),
        ([Text("x", -1)], LocalProtocolError),
        ([Finish(), "x"], LocalProtocolError),
        ([Finish(), Finish()], LocalProtocolError),
        ([ToolCall(arguments="{}")], LocalProtocolError),
        ([ToolCall(arguments="{}", id="never begun")], LocalProtocolError),
    ],
)
def test_tokens_that_cannot_be_served(stream: bool, tokens: list[Any], kind: type[Exception]) -> None:
    session = opened("chat", {**CHAT, "stream": stream})
    session.start()
    for token in tokens[:-1]:
        session.token(token)
    with pytest.raises(kind):
        session.token(tokens[-1])


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        opened("chat", CHAT).token("\ud800")


def test_failing_in_mid_stream() -> None:
    session = opened("chat", CHAT)
    body = session.start() + session.token("a") + session.fail(RequestError(429, "Slow down.", code="rate"))
    (name, data) = frames(body)[-1]
    assert (name, json.loads(data)) == (
        "",
        {"error": {"message": "Slow down.", "type": "rate_limit_error", "param": None, "code": "rate"}},
    )
    with pytest.raises(APIError, match="Slow down"):
        chat.decode(data.encode())


def test_an_unexpected_failure_tells_no_details() -> None:
    for stream in (True, False):
        told = opened("chat", {**CHAT, "stream": stream}).fail(ZeroDivisionError("secret"))
        assert b"secret" not in told
        assert b'"type":"server_error"' in told
