from __future__ import annotations

import json
from typing import Any

import pytest
from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from support.calls import calls_made
from support.served import NOW, RESPONSES, frames, opened, payloads, run
from tokenwire.errors import APIError, LocalProtocolError
from tokenwire.families import responses
from tokenwire.server import Finish, Reasoning, Refusal, RequestError, Text, ToolCall, Usage

WHOLE = {**RESPONSES, "stream": False}
USAGE = Usage(input_tokens=7, output_tokens=5, reasoning_tokens=2, cached_tokens=3)
EVERYTHING = [
    Reasoning("short", summary=True),
    Reasoning("hm"),
    Reasoning("m"),
    "a",
    " 月",
    Text("\u2028b\n"),
    Refusal("no"),
    ToolCall("f", '{"x"'),
    ToolCall(arguments=":1}"),
    ToolCall("g", "{}", id="call_mine"),
    Text("after"),
    USAGE,
]
_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def events(body: bytes) -> list[Any]:
    """Each payload, held to the official type; names and sequence numbers checked."""
    for number, (name, data) in enumerate(frames(body)):
        assert json.loads(data)["type"] == name
        assert json.loads(data)["sequence_number"] == number
    return [_EVENT.validate_python(data) for data in payloads(body)]


def types(body: bytes) -> list[str]:
    return [event.type.removeprefix("response.") for event in events(body)]


def test_the_order_of_events() -> None:
    body = run("responses", RESPONSES, ["The", " moon", USAGE])
    assert types(body) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    found = events(body)
    assert [event.delta for event in found[4:6]] == ["The", " moon"]
    assert found[6].text == "The moon"
    assert {(event.item_id, event.output_index, event.content_index) for event in found[3:8]} == {
        ("msg_1", 0, 0)
    }
    first, last = found[0].response, found[-1].response
    assert (first.id, first.status, first.output, first.usage) == ("resp_0", "in_progress", [], None)
    assert (first.created_at, first.model) == (int(NOW), "answering")
    assert (last.id, last.status, last.output_text) == ("resp_0", "completed", "The moon")
    assert last.usage.to_dict() == {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 12,
    }


def test_reasoning_then_text_then_calls() -> None:
    body = run("responses", RESPONSES, EVERYTHING)
    assert types(body) == [
        "created",
        "in_progress",
        "output_item.added",  # 0: reasoning
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",  # 1: message
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",  # 2: function_call
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",  # 3: function_call
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",  # 4: message
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    found = events(body)
    assert [event.output_index for event in found if event.type == "response.output_item.added"] == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert [event.item.status for event in found if event.type == "response.output_item.added"] == [
        "in_progress"
    ] * 5
    assert [event.item.status for event in found if event.type == "response.output_item.done"] == [
        "completed"
    ] * 5
    assert [e.content_index for e in found if e.type == "response.refusal.delta"] == [1]


def test_the_official_accumulator_and_ours_agree_with_the_whole() -> None:
    whole = Response.model_validate_json(run("responses", WHOLE, EVERYTHING))
    assert [item.type for item in whole.output] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
        "message",
    ]
    assert whole.output_text == "a 月\u2028b\nafter"
    body = run("responses", RESPONSES, EVERYTHING)
    official: Any = ResponseStreamState(input_tools=omit, text_format=omit)
    helper_events = [one for event in events(body) for one in official.handle_event(event)]
    final = helper_events[-1].response
    assert final.output_text == whole.output_text
    assert [item.id for item in final.output] == [item.id for item in whole.output]
    assert events(body)[-1].response.to_dict()["output"] == whole.to_dict()["output"]
    ours = responses.Accumulator()
    for data in payloads(body):
        event = responses.decode(json.dumps(data).encode())
        ours.add(event)
    assert ours.complete
    assert ours.terminal
    assert ours.snapshot().to_dict()["output"] == whole.to_dict()["output"]
    assert responses.decode_whole(run("responses", WHOLE, EVERYTHING)).output_text == whole.output_text


def test_our_family_knows_every_field_we_write() -> None:
    for data in payloads(run("responses", RESPONSES, EVERYTHING)):
        assert responses.decode(json.dumps(data).encode()).model_extra == {}


@pytest.mark.parametrize(
    ("reason", "detail"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_incomplete(reason: Any, detail: str) -> None:
    tokens = ["a", Finish(reason), USAGE]
    *_, item_done, last = events(run("responses", RESPONSES, tokens))
    assert (last.type, last.response.status) == ("response.incomplete", "incomplete")
    assert last.response.incomplete_details.reason == detail
    assert (item_done.type, item_done.item.status) == ("response.output_item.done", "incomplete")
    assert last.response.usage.output_tokens == 5
    whole = json.loads(run("responses", WHOLE, tokens))
    assert (whole["status"], whole["incomplete_details"]) == ("incomplete", {"reason": detail})


@pytest.mark.parametrize("reason", ["stop", "tool_calls"])
def test_finish_completes(reason: Any) -> None:
    assert types(run("responses", RESPONSES, ["a", Finish(reason)]))[-1] == "completed"


def test_no_tokens_are_an_empty_output() -> None:
    assert types(run("responses", RESPONSES, ["", Text("")])) == ["created", "in_progress", "completed"]


def test_empty_pieces_add_nothing() -> None:
    session = opened("responses", RESPONSES)
    session.token("a")
    assert session.token("") == session.token(Reasoning("")) == b""
    session.token(ToolCall("f"))
    assert session.token(ToolCall()) == b""


def test_whole_writes_nothing_before_the_end() -> None:
    session = opened("responses", WHOLE)
    assert session.start() == b""
    assert [session.token(token) for token in EVERYTHING] == [b""] * len(EVERYTHING)


def test_the_request_is_echoed() -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
    asked = {
        **RESPONSES,
        "instructions": "Be brief.",
        "tools": [tool],
        "tool_choice": "required",
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 9,
        "metadata": {"k": "v"},
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low"},
        "store": True,
        "text": {"verbosity": "low"},
    }
    found = json.loads(run("responses", {**asked, "stream": False}, ["a"]))
    for key in (
        "instructions",
        "tools",
        "tool_choice",
        "temperature",
        "top_p",
        "max_output_tokens",
        "metadata",
    ):
        assert found[key] == asked[key]
    assert found["parallel_tool_calls"] is False
    assert found["reasoning"] == {"effort": "low", "summary": None}
    assert found["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert found["store"] is False  # nothing is stored, and it says so


def test_what_is_null_is_told_as_what_it_means() -> None:
    asked = {**RESPONSES, "text": {"format": None}, "tools": None, "tool_choice": None, "metadata": None}
    found = json.loads(run("responses", {**asked, "stream": False}, ["a"]))
    assert (found["text"], found["tools"], found["tool_choice"]) == ({"format": {"type": "text"}}, [], "auto")
    assert found["metadata"] == {}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("tokens", "kind"),
    [
        ([b"bytes"], TypeError),
        (["a", None], TypeError),
        ([Text("x", 1)], LocalProtocolError),
        ([Finish(), "x"], LocalProtocolError),
        (["a", Finish(), "x"], LocalProtocolError),
        ([ToolCall(arguments="{}")], LocalProtocolError),
        (
            [ToolCall("f", id="a"), ToolCall("g", id="b"), ToolCall(arguments="{}", id="a")],
            LocalProtocolError,
        ),
        # It would have been a second call with the same id: two halves of arguments, each told as whole.
        (
            [ToolCall("f", "{", id="a"), ToolCall("g", id="b"), ToolCall("f", "}", id="a")],
            LocalProtocolError,
        ),
        ([ToolCall("f", "{", id="a"), "text", ToolCall("f", "}", id="a")], LocalProtocolError),
    ],
)
def test_tokens_that_cannot_be_served(stream: bool, tokens: list[Any], kind: type[Exception]) -> None:
    session = opened("responses", {**RESPONSES, "stream": stream})
    session.start()
    for token in tokens[:-1]:
        session.token(token)
    with pytest.raises(kind):
        session.token(tokens[-1])


@pytest.mark.parametrize("before", [[], ["a"]])
def test_text_that_is_not_unicode_is_refused_and_leaves_no_trace(before: list[str]) -> None:
    session = opened("responses", RESPONSES)
    body = session.start() + b"".join(session.token(token) for token in before)
    with pytest.raises(ValueError, match="surrogate"):
        session.token("\ud800")
    events(body + session.fail(ValueError()))  # the numbers still follow one another


def test_calls_with_ids_cost_what_they_are() -> None:
    def cost(count: int) -> int:
        session = opened("responses", RESPONSES)
        calls = [ToolCall("f", "{}", id=str(n)) for n in range(count)]
        return calls_made(lambda: [session.token(call) for call in calls])

    assert cost(400) <= 2.2 * cost(200)


def test_failing_in_mid_stream() -> None:
    session = opened("responses", RESPONSES)
    body = session.start() + session.token("a") + session.fail(RequestError(429, "Slow down.", code="rate"))
    *_, error, failed = events(body)
    assert (error.type, error.message, error.code, error.param) == ("error", "Slow down.", "rate", None)
    assert (failed.type, failed.response.status) == ("response.failed", "failed")
    assert (failed.response.error.code, failed.response.error.message) == (
        "rate_limit_exceeded",
        "Slow down.",
    )
    with pytest.raises(APIError, match="Slow down"):
        responses.decode(frames(body)[-2][1].encode())


def test_an_unexpected_failure_tells_no_details() -> None:
    for stream in (True, False):
        told = opened("responses", {**RESPONSES, "stream": stream}).fail(ZeroDivisionError("secret"))
        assert b"secret" not in told
        assert b"server_error" in told
