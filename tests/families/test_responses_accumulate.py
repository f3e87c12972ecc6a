"""What the events of a Responses stream add up to, for every server's way of sending them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest
from hypothesis import given, settings, strategies as st
from openai import omit
from openai._models import construct_type
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent as OfficialEvent

from support.calls import calls_made
from tokenwire.families import responses
from tokenwire.families.record import Unknown

Found = dict[str, Any]


def added_up(found: Iterable[Any]) -> responses.Accumulator:
    state = responses.Accumulator()
    for one in found:
        state.add(responses.decode(json.dumps(one).encode()))
    return state


def snapshot(found: Iterable[Any]) -> responses.Response:
    return added_up(found).snapshot()


def plain(found: Iterable[Any]) -> Found:
    return snapshot(found).to_dict()


# -- Streams as OpenAI sends them ------------------------------------------------------


def response(status: str, output: Any, **more: Any) -> Found:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1767225600,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "moon-1",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
        **more,
    }


def begun() -> list[Found]:
    return [
        {"type": "response.created", "response": response("in_progress", [])},
        {"type": "response.in_progress", "response": response("in_progress", [])},
    ]


def item_events(index: int, item: Found, empty: Found, between: list[Found]) -> list[Found]:
    named = [{"output_index": index, "item_id": item.get("id", ""), **event} for event in between]
    return [
        {"type": "response.output_item.added", "output_index": index, "item": {**item, **empty}},
        *named,
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


CITATION = {"type": "url_citation", "start_index": 0, "end_index": 3, "title": "t", "url": "u"}


def text_item(index: int, pieces: list[str], item_id: str = "msg_1") -> tuple[Found, list[Found]]:
    part = {"type": "output_text", "annotations": [CITATION], "logprobs": [], "text": "".join(pieces)}
    item = {"type": "message", "id": item_id, "status": "completed", "role": "assistant", "content": [part]}
    at = {"content_index": 0}
    events = [
        {"type": "response.content_part.added", **at, "part": {**part, "annotations": [], "text": ""}},
        *[{"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []} for piece in pieces],
        {
            "type": "response.output_text.annotation.added",
            **at,
            "annotation_index": 0,
            "annotation": CITATION,
        },
        {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **at, "part": part},
    ]
    return item, item_events(index, item, {"status": "in_progress", "content": []}, events)


def refusal_item(index: int) -> tuple[Found, list[Found]]:
    part = {"type": "refusal", "refusal": "I will not."}
    item = {"type": "message", "id": "msg_2", "status": "completed", "role": "assistant", "content": [part]}
    at = {"content_index": 0}
    events = [
        {"type": "response.content_part.added", **at, "part": {"type": "refusal", "refusal": ""}},
        {"type": "response.refusal.delta", **at, "delta": "I will "},
        {"type": "response.refusal.delta", **at, "delta": "not."},
        {"type": "response.refusal.done", **at, "refusal": "I will not."},
        {"type": "response.content_part.done", **at, "part": part},
    ]
    return item, item_events(index, item, {"status": "in_progress", "content": []}, events)


def reasoning_item(index: int) -> tuple[Found, list[Found]]:
    item = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "First"}, {"type": "summary_text", "text": "Then"}],
        "content": [{"type": "reasoning_text", "text": "Hm, so"}],
        "encrypted_content": None,
    }
    events: list[Found] = []
    for place, text in enumerate(["First", "Then"]):
        at = {"summary_index": place}
        events += [
            {
                "type": "response.reasoning_summary_part.added",
                **at,
                "part": {"type": "summary_text", "text": ""},
            },
            {"type": "response.reasoning_summary_text.delta", **at, "delta": text[:2]},
            {"type": "response.reasoning_summary_text.delta", **at, "delta": text[2:]},
            {"type": "response.reasoning_summary_text.done", **at, "text": text},
            {
                "type": "response.reasoning_summary_part.done",
                **at,
                "part": {"type": "summary_text", "text": text},
            },
        ]
    at = {"content_index": 0}
    part = {"type": "reasoning_text", "text": ""}
    events += [
        {"type": "response.content_part.added", **at, "part": part},
        {"type": "response.reasoning_text.delta", **at, "delta": "Hm, "},
        {"type": "response.reasoning_text.delta", **at, "delta": "so"},
        {"type": "response.reasoning_text.done", **at, "text": "Hm, so"},
        {"type": "response.content_part.done", **at, "part": {**part, "text": "Hm, so"}},
    ]
    return item, item_events(index, item, {"summary": [], "content": []}, events)


def streamed_text_item(index: int, kind: str, field: str, stem: str, **more: Any) -> tuple[Found, list[Found]]:
    item = {"type": kind, "id": f"{kind}_1", field: '{"a": 1}', "status": "completed", **more}
    events = [
        {"type": f"response.{stem}.delta", "delta": '{"a"'},
        {"type": f"response.{stem}.delta", "delta": ": 1}"},
        {"type": f"response.{stem}.done", field: '{"a": 1}'},
    ]
    return item, item_events(index, item, {"status": "in_progress", field: ""}, events)


def function_item(index: int) -> tuple[Found, list[Found]]:
    return streamed_text_item(index, "function_call", "arguments", "function_call_arguments", call_id="c1", name="f")


def custom_item(index: int) -> tuple[Found, list[Found]]:
    return streamed_text_item(index, "custom_tool_call", "input", "custom_tool_call_input", call_id="c2", name="g")


def mcp_item(index: int) -> tuple[Found, list[Found]]:
    return streamed_text_item(
        index,
        "mcp_call",
        "arguments",
        "mcp_call_arguments",
        name="h",
        server_label="s",
        output=None,
        error=None,
    )


def code_item(index: int) -> tuple[Found, list[Found]]:
    return streamed_text_item(
        index, "code_interpreter_call", "code", "code_interpreter_call_code", container_id="k", outputs=None
    )


def shell_item(index: int) -> tuple[Found, list[Found]]:
    action = {"commands": ["ls -l", "pwd"], "timeout_ms": None, "max_output_length": None}
    item = {"type": "shell_call", "id": "sh_1", "call_id": "c3", "status": "completed", "action": action}
    events: list[Found] = []
    for place, (start, rest) in enumerate([("ls", " -l"), ("", "pwd")]):
        at = {"command_index": place}
        events += [
            {"type": "response.shell_call_command.added", **at, "command": start},
            {"type": "response.shell_call_command.delta", **at, "delta": rest},
            {"type": "response.shell_call_command.done", **at, "command": start + rest},
        ]
    return item, item_events(index, item, {"status": "in_progress", "action": {**action, "commands": []}}, events)


def shell_output_item(index: int) -> tuple[Found, list[Found]]:
    chunk = {"stdout": "a\nb", "stderr": "!", "outcome": {"type": "exit", "exit_code": 0}}
    item = {
        "type": "shell_call_output",
        "id": "sho_1",
        "call_id": "c3",
        "status": "completed",
        "output": [chunk],
        "max_output_length": None,
    }
    at = {"command_index": 0}
    events = [
        {"type": "response.shell_call_output_content.delta", **at, "delta": {"stdout": "a\n"}},
        {"type": "response.shell_call_output_content.delta", **at, "delta": {"stdout": "b", "stderr": "!"}},
        {"type": "response.shell_call_output_content.done", **at, "output": [chunk]},
    ]
    return item, item_events(index, item, {"status": "in_progress", "output": []}, events)


def stepped_item(index: int, kind: str, stem: str, steps: list[str], **more: Any) -> tuple[Found, list[Found]]:
    item = {"type": kind, "id": f"{kind}_1", "status": steps[-1], **more}
    events = [{"type": f"response.{stem}.{step}"} for step in steps]
    return item, item_events(index, item, {"status": "in_progress"}, events)


STEPPED: list[tuple[str, str, list[str]]] = [
    ("web_search_call", "web_search_call", ["in_progress", "searching", "completed"]),
    ("file_search_call", "file_search_call", ["in_progress", "searching", "completed"]),
    ("code_interpreter_call", "code_interpreter_call", ["in_progress", "interpreting", "completed"]),
    ("image_generation_call", "image_generation_call", ["in_progress", "generating", "completed"]),
    ("mcp_call", "mcp_call", ["in_progress", "completed"]),
    ("mcp_call", "mcp_call", ["in_progress", "failed"]),
]

Maker = Callable[[int], tuple[Found, list[Found]]]
MAKERS: list[Maker] = [
    lambda index: text_item(index, ["The ", "moon ", "☾"]),
    refusal_item,
    reasoning_item,
    function_item,
    custom_item,
    mcp_item,
    code_item,
    shell_item,
    shell_output_item,
    lambda index: stepped_item(index, *STEPPED[0], action={"type": "search", "query": "q"}),
    lambda index: stepped_item(index, *STEPPED[1], queries=["q"], results=None),
    lambda index: stepped_item(index, *STEPPED[3], result="aGk="),
]
everything = pytest.mark.parametrize("make", MAKERS)


def whole_stream(*makers: Maker) -> tuple[list[Found], list[Found]]:
    """The items, and the events up to the terminal one."""
    made = [make(index) for index, make in enumerate(makers)]
    return [item for item, _ in made], begun() + [event for _, events in made for event in events]


def numbered(found: list[Found]) -> list[Found]:
    return [{**event, "sequence_number": number} for number, event in enumerate(found)]


# -- The official accumulator -------------------------------------------------------------


def official(found: list[Found]) -> Any:
    state: Any = ResponseStreamState(text_format=omit, input_tools=omit)
    for event in found:
        state.handle_event(construct_type(type_=OfficialEvent, value=event))
    return state._completed_response


def without_parsed(found: Any) -> Any:
    """The official final object has `parsed` fields in its JSON; ours keeps them out."""
    if isinstance(found, dict):
        return {
            key: without_parsed(value)
            for key, value in found.items()
            if key not in ("parsed", "parsed_arguments") or value is not None
        }
    return [without_parsed(value) for value in found] if isinstance(found, list) else found


@everything
@pytest.mark.parametrize("given_output", ["whole", "null"])
def test_the_final_object_is_the_official_one(make: Maker, given_output: str) -> None:
    items, events = whole_stream(make, lambda index: text_item(index, ["a", "b"], "msg_9"))
    output = items if given_output == "whole" else None
    stream = numbered([*events, {"type": "response.completed", "response": response("completed", output)}])
    found = plain(stream)
    assert found == without_parsed(official(stream).to_dict())
    assert found["output"] == items


# -- Completed: what it left out is rebuilt ---------------------------------------------------


ALL_ITEMS, ALL_EVENTS = whole_stream(*MAKERS)


def test_nothing_left_out() -> None:
    end = {"type": "response.completed", "response": response("completed", ALL_ITEMS, vendor={"a": None})}
    state = added_up([*ALL_EVENTS, end])
    assert state.complete
    assert state.terminal
    assert state.completed
    assert state.snapshot().to_dict() == end["response"]


@pytest.mark.parametrize("output", [None, []])
def test_an_output_that_is_null_or_empty(output: Any) -> None:
    end = {"type": "response.completed", "response": response("completed", output)}
    assert plain([*ALL_EVENTS, end]) == response("completed", ALL_ITEMS)


def test_an_output_that_is_absent() -> None:
    end = {"type": "response.completed", "response": {"id": "resp_1", "status": "completed"}}
    assert plain([*ALL_EVENTS, end])["output"] == ALL_ITEMS


@pytest.mark.parametrize("left_out", range(len(ALL_ITEMS)))
def test_one_item_left_out(left_out: int) -> None:
    output = [item for index, item in enumerate(ALL_ITEMS) if index != left_out]
    end = {"type": "response.completed", "response": response("completed", output)}
    assert plain([*ALL_EVENTS, end])["output"] == ALL_ITEMS


@everything
def test_an_item_whose_text_is_left_out(make: Maker) -> None:
    """Both the done item and the completed one are empty shells."""
    items, events = whole_stream(make)
    shell = next(event["item"] for event in events if event["type"] == "response.output_item.added")
    hollow = {**shell, "status": items[0].get("status")}
    for event in events:
        if event["type"] == "response.output_item.done":
            event["item"] = hollow
    end = {"type": "response.completed", "response": response("completed", [hollow])}
    found = plain([*events, end])["output"]
    assert {**found[0], "status": None} == {**items[0], "status": None}


def test_a_completed_response_is_believed_before_the_stream() -> None:
    item, events = text_item(0, ["what was ", "streamed"])
    corrected = {
        **item,
        "content": [{"type": "output_text", "text": "what was meant", "annotations": [CITATION]}],
    }
    end = {"type": "response.completed", "response": response("completed", [corrected])}
    assert plain([*begun(), *events, end])["output"] == [corrected]


def test_another_part_in_the_same_place_is_believed() -> None:
    item, events = text_item(0, ["no"])
    refused = {**item, "content": [{"type": "refusal", "refusal": "I will not."}]}
    end = {"type": "response.completed", "response": response("completed", [refused])}
    assert plain([*begun(), *events, end])["output"] == [refused]


def test_other_ids_in_the_completed_response_are_the_same_items() -> None:
    """LiteLLM names its items anew at the end: they are matched by call, and by type and order."""
    first, second = function_item(0), custom_item(1)
    text = text_item(2, ["a"])
    output = [
        {**text[0], "id": "msg_new"},
        {**second[0], "id": "ct_new"},
        {**first[0], "id": "fc_new"},
    ]
    end = {"type": "response.completed", "response": response("completed", output)}
    assert plain([*begun(), *first[1], *second[1], *text[1], end])["output"] == output


def test_an_item_that_was_only_announced_is_not_put_into_a_given_output() -> None:
    text = text_item(1, ["a"])
    ghost = {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {"type": "reasoning", "id": "rs_0"},
    }
    end = {"type": "response.completed", "response": response("completed", [text[0]])}
    assert plain([*begun(), ghost, *text[1], end])["output"] == [text[0]]


def test_streamed_text_without_any_item_is_put_into_a_given_output() -> None:
    delta = {"type": "response.reasoning_text.delta", "item_id": "rs_1", "output_index": 0, "delta": "Hm"}
    text = text_item(1, ["a"])
    end = {"type": "response.completed", "response": response("completed", [text[0], 5])}
    found = plain([*begun(), delta, *text[1], end])["output"]
    assert [entry if entry == 5 else entry["type"] for entry in found] == ["reasoning", "message", 5]
    assert found[0]["content"] == [{"type": "reasoning_text", "text": "Hm"}]


# -- Cut, incomplete, failed ---------------------------------------------------------------------


@everything
def test_a_cut_before_the_item_was_done(make: Maker) -> None:
    items, events = whole_stream(make)
    found = plain(events[:-1])
    assert found["status"] == "in_progress"
    assert {**found["output"][0], "status": None} == {**items[0], "status": None}


@everything
def test_a_cut_before_the_whole_text_was_told(make: Maker) -> None:
    """Deltas alone give the same text."""
    items, events = whole_stream(make)
    told = (".done", ".completed")
    deltas = [event for event in events if not event["type"].endswith(told)]
    found = plain(deltas)["output"][0]
    if items[0]["type"] == "shell_call_output":
        assert found["output"] == [{"stdout": "a\nb", "stderr": "!"}]
    elif items[0]["type"] in (
        "message",
        "reasoning",
        "function_call",
        "custom_tool_call",
        "mcp_call",
        "shell_call",
    ):
        assert {**found, "status": None} == {**items[0], "status": None}
    assert found["id"] == items[0]["id"]


@pytest.mark.parametrize("ending", ["incomplete", "failed", "cancelled"])
def test_other_ends(ending: str) -> None:
    item, events = text_item(0, ["The ", "moon"])
    end = {"type": f"response.{ending}", "response": response(ending, None)}
    state = added_up([*begun(), *events, end])
    assert state.complete
    assert state.terminal
    assert not state.completed
    assert state.snapshot().status == ending
    assert state.snapshot().to_dict()["output"] == [item]


def test_statuses() -> None:
    for kind, stem, steps in STEPPED:
        for count in range(1, len(steps) + 1):
            _, events = stepped_item(0, kind, stem, steps)
            assert plain([*begun(), *events[: 1 + count]])["output"][0]["status"] == steps[count - 1]


def test_nothing_at_all() -> None:
    state = responses.Accumulator()
    assert not state.complete
    assert not state.terminal
    assert state.snapshot().to_dict() == {"output": []}
    assert state.snapshot().status is None


def test_before_the_end_it_is_not_complete() -> None:
    assert not added_up(ALL_EVENTS).complete


def test_a_terminal_event_whose_response_is_missing_keeps_what_was_known() -> None:
    item, events = text_item(0, ["a"])
    state = added_up([*begun(), *events, {"type": "response.completed", "response": None}])
    assert state.complete
    assert state.snapshot().id == "resp_1"
    assert state.snapshot().to_dict()["output"] == [item]
    assert added_up([{"type": "response.completed"}]).snapshot().output == []


# -- Streams that start in the middle, and names that cannot be trusted -----------------------------


@everything
@pytest.mark.parametrize("skipped", [3, 4])
def test_a_stream_that_starts_in_the_middle(make: Maker, skipped: int) -> None:
    """Without response.created, without output_item.added: what is told later makes the item whole."""
    items, events = whole_stream(make)
    assert plain(events[skipped:])["output"] == items


def test_a_middle_that_is_all_there_is() -> None:
    found = snapshot(
        [
            {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 1, "delta": "moon"},
            {
                "type": "response.function_call_arguments.delta",
                "item_id": "fc_1",
                "output_index": 2,
                "delta": "{}",
            },
            {
                "type": "response.reasoning_summary_text.delta",
                "item_id": "rs_1",
                "output_index": 0,
                "delta": "Hm",
            },
            {"type": "response.web_search_call.searching", "item_id": "ws_1", "output_index": 3},
        ]
    )
    reasoning, text, call, search = found.output
    assert isinstance(reasoning, responses.ResponseReasoningItem)
    assert isinstance(text, responses.ResponseOutputMessage)
    assert isinstance(call, responses.ResponseFunctionToolCall)
    assert isinstance(search, responses.ResponseFunctionWebSearch)
    assert [item.id for item in (reasoning, text, call, search)] == ["rs_1", "msg_1", "fc_1", "ws_1"]
    assert reasoning.summary[0].text == "Hm"
    assert found.output_text == "moon"
    assert (call.arguments, search.status) == ("{}", "searching")


def test_llama_cpp_names_items_by_id_alone() -> None:
    events = [
        {
            "type": "response.created",
            "response": {"id": "resp_1", "object": "response", "status": "in_progress"},
        },
        {"type": "response.output_item.added", "item": {"type": "message", "id": "m1", "content": []}},
        {"type": "response.content_part.added", "item_id": "m1", "part": {"type": "output_text", "text": ""}},
        {"type": "response.output_text.delta", "item_id": "m1", "delta": "one"},
        {
            "type": "response.output_item.added",
            "item": {"type": "function_call", "id": "f1", "arguments": ""},
        },
        {"type": "response.function_call_arguments.delta", "item_id": "f1", "delta": "{"},
        {"type": "response.output_text.delta", "item_id": "m1", "delta": " two"},
        {"type": "response.function_call_arguments.delta", "item_id": "f1", "delta": "}"},
    ]
    found = snapshot(events)
    assert found.output_text == "one two"
    assert [item.type for item in found.output] == ["message", "function_call"]
    assert cast(responses.ResponseFunctionToolCall, found.output[1]).arguments == "{}"


def test_each_event_with_an_id_of_its_own() -> None:
    """GitHub Copilot: only the index tells."""
    _, events = text_item(0, ["The ", "moon"])
    _, others = function_item(1)
    renamed = [*begun(), *events, *others]
    for number, event in enumerate(renamed):
        if "item_id" in event:
            event["item_id"] = f"id_{number}"
        elif event["type"] == "response.output_item.done":
            event["item"] = {**event["item"], "id": f"id_{number}"}
    found = snapshot(renamed)
    assert [item.type for item in found.output] == ["message", "function_call"]
    assert found.output_text == "The moon"


def test_every_index_is_zero() -> None:
    made = [
        text_item(0, ["one"], "msg_1"),
        function_item(0),
        text_item(0, ["two"], "msg_2"),
        reasoning_item(0),
    ]
    events = [event for _, events in made for event in events]
    found = plain([*begun(), *events])
    assert found["output"] == [item for item, _ in made]


def test_neither_index_nor_id() -> None:
    found = snapshot(
        [
            {"type": "response.output_text.delta", "delta": "The "},
            {"type": "response.reasoning_text.delta", "delta": "Hm"},
            {"type": "response.output_text.delta", "delta": "moon"},
        ]
    )
    assert [item.type for item in found.output] == ["message", "reasoning"]
    assert found.output_text == "The moon"


def test_parts_without_an_index_follow_one_another() -> None:
    def part(text: str) -> list[Found]:
        return [
            {
                "type": "response.content_part.added",
                "item_id": "m",
                "part": {"type": "output_text", "text": ""},
            },
            {"type": "response.output_text.delta", "item_id": "m", "delta": text},
        ]

    found = plain([*part("one"), *part("two")])
    assert [entry["text"] for entry in found["output"][0]["content"]] == ["one", "two"]


def test_text_that_was_there_before_the_first_delta() -> None:
    """Announced items and parts may hold text already; the deltas go on from it."""
    filled = {
        "type": "message",
        "id": "m1",
        "content": [{"type": "output_text", "text": "The "}, {"type": "refusal", "refusal": "No"}, None],
    }
    events = [
        {"type": "response.created", "response": response("in_progress", [filled, None])},
        {"type": "response.in_progress", "response": response("in_progress", [filled])},
        {
            "type": "response.output_text.delta",
            "item_id": "m1",
            "output_index": 0,
            "content_index": 0,
            "delta": "moon",
        },
        {
            "type": "response.refusal.delta",
            "item_id": "m1",
            "output_index": 0,
            "content_index": 1,
            "delta": "!",
        },
        {
            "type": "response.output_item.added",
            "output_index": 1,
            "item": {"type": "function_call", "id": "f1", "call_id": "c", "name": "f", "arguments": "{"},
        },
        {"type": "response.function_call_arguments.delta", "item_id": "f1", "output_index": 1, "delta": "}"},
        {
            "type": "response.output_item.added",
            "output_index": 2,
            "item": {"type": "shell_call", "id": "s1", "action": {"commands": ["l"]}},
        },
        {"type": "response.shell_call_command.delta", "output_index": 2, "command_index": 0, "delta": "s"},
        {
            "type": "response.content_part.added",
            "item_id": "m2",
            "output_index": 3,
            "content_index": 0,
            "part": {"type": "output_text", "text": "Good "},
        },
        {
            "type": "response.output_text.delta",
            "item_id": "m2",
            "output_index": 3,
            "content_index": 0,
            "delta": "day",
        },
    ]
    found = plain(events)["output"]
    assert [part and (part.get("text") or part.get("refusal")) for part in found[0]["content"]] == [
        "The moon",
        "No!",
        None,
    ]
    assert found[1]["arguments"] == "{}"
    assert found[2]["action"]["commands"] == ["ls"]
    assert found[3]["content"][0]["text"] == "Good day"


def test_deltas_before_their_item() -> None:
    _, events = text_item(0, ["The ", "moon"])
    late = [*events[1:4], events[0]]
    assert snapshot(late).output_text == "The moon"


def test_logprobs_are_kept() -> None:
    def delta(text: str, logprobs: Any) -> Found:
        return {"type": "response.output_text.delta", "item_id": "m", "delta": text, "logprobs": logprobs}

    events = [delta("a", [{"token": "a", "logprob": -1.0}]), delta("b", [{"token": "b", "logprob": -2.0}])]
    part = plain(events)["output"][0]["content"][0]
    assert [entry["token"] for entry in part["logprobs"]] == ["a", "b"]
    told = [{"token": "ab", "logprob": -3.0}]
    end = {"type": "response.output_text.done", "item_id": "m", "text": "ab", "logprobs": told}
    assert plain([*events, end])["output"][0]["content"][0]["logprobs"] == told
    odd = [delta("a", "odd"), delta("b", [7])]
    assert snapshot(odd).output_text == "ab"
    assert plain(odd)["output"][0]["content"][0]["logprobs"] == [7]


def test_reasoning_may_call_its_parts_output_text() -> None:
    events = [
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {"type": "reasoning", "id": "rs", "content": []},
        },
        {
            "type": "response.content_part.added",
            "item_id": "rs",
            "output_index": 0,
            "content_index": 0,
            "part": {"type": "output_text", "text": "Hm"},
        },
    ]
    found = plain(events)["output"]
    assert [item["type"] for item in found] == ["reasoning"]
    assert found[0]["content"][0]["text"] == "Hm"


def test_parts_of_tomorrow() -> None:
    part = {"type": "output_smell", "of": "rain"}
    at = {"item_id": "m", "output_index": 0, "content_index": 0}
    events = [
        {"type": "response.content_part.added", **at, "part": part},
        {"type": "response.content_part.done", **at, "part": part},
    ]
    assert plain(events)["output"][0]["content"] == [part]


def test_items_of_tomorrow() -> None:
    """Nothing is known of them but that they are there; what is streamed for them stays with them."""
    item = {"type": "dream", "id": "d1", "output": None, "scenes": [1]}
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.function_call_arguments.delta", "item_id": "d1", "output_index": 0, "delta": "{}"},
    ]
    found = snapshot(events)
    assert isinstance(found.output[0], Unknown)
    assert found.output[0].scenes == [1]
    assert found.to_dict()["output"] == [{**item, "arguments": "{}"}]
    again = {"type": "response.output_item.added", "output_index": 0, "item": {"type": "dream", "id": "d2"}}
    assert [item["id"] for item in plain([*events, again])["output"]] == ["d1", "d2"]


def test_several_commands_and_their_outputs() -> None:
    at = {"item_id": "sho_1", "output_index": 0}
    chunk = {"stdout": "told", "stderr": "", "outcome": {"type": "timeout"}}
    found = plain(
        [
            {
                "type": "response.shell_call_output_content.delta",
                **at,
                "command_index": 1,
                "delta": {"stdout": "x"},
            },
            {
                "type": "response.shell_call_output_content.delta",
                **at,
                "command_index": 0,
                "delta": {"stdout": "y"},
            },
            {
                "type": "response.shell_call_output_content.done",
                **at,
                "command_index": 0,
                "output": [chunk, chunk],
            },
            {"type": "response.shell_call_output_content.done", **at, "command_index": 2, "output": []},
            {"type": "response.shell_call_output_content.delta", **at, "command_index": 3, "delta": None},
        ]
    )
    assert found["output"][0]["output"] == [chunk, chunk, {"stdout": "x"}]


# -- Any shape at all -----------------------------------------------------------------------------


ODD: list[Any] = [None, 5, "x", [], [None], {}, {"type": None}, {"type": 5, "id": []}, {"type": ["message"]}]
KINDS = sorted({event["type"] for event in ALL_EVENTS} | {"response.completed", "response.queued"})


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("kind", KINDS)
def test_no_shape_raises(kind: str, odd: Any) -> None:
    keys = (
        "item",
        "part",
        "response",
        "delta",
        "text",
        "annotation",
        "command",
        "output",
        "arguments",
        "logprobs",
    )
    shaped = {"type": kind, **dict.fromkeys(keys, odd)}
    named = [
        shaped,
        {**shaped, "item_id": odd, "output_index": odd, "content_index": odd, "summary_index": odd},
        {**shaped, "item_id": "i", "output_index": 0, "content_index": 0, "command_index": odd},
    ]
    _, events = text_item(0, ["The ", "moon"])
    for one in named:
        found = snapshot([*begun(), one, *events, one])
        assert found.output is not None
        if kind != "response.completed":
            assert "The moon" in found.output_text


shapes = st.recursive(
    st.none() | st.integers(-1, 2) | st.sampled_from(["", "m", "x", "message", "output_text", "refusal"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["type", "id", "content", "text", "output", "refusal", "action", "summary", "status"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    found=st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from(KINDS)},
            optional=dict.fromkeys(
                [
                    "item_id",
                    "output_index",
                    "content_index",
                    "summary_index",
                    "delta",
                    "item",
                    "part",
                    "response",
                ],
                shapes,
            ),
        ),
        max_size=8,
    )
)
@settings(max_examples=150, deadline=None)
def test_no_stream_raises(found: list[Found]) -> None:
    state = responses.Accumulator()
    for one in found:
        state.add(responses.decode(json.dumps(one).encode()))
        state.snapshot()


@given(order=st.permutations(range(12)))
@settings(max_examples=30, deadline=None)
def test_items_may_be_interleaved(order: list[int]) -> None:
    """Whatever the order of the items' events among one another, each item is whole, in its place."""
    made = [make(index) for index, make in enumerate(MAKERS)]
    waiting = [list(events) for _, events in made]
    mixed: list[Found] = []
    while any(waiting):
        for index in order:
            if waiting[index]:
                mixed.append(waiting[index].pop(0))
    assert plain([*begun(), *mixed])["output"] == [item for item, _ in made]


# -- Values, and the cost of them ---------------------------------------------------------------------


def test_snapshots_are_values() -> None:
    state = responses.Accumulator()
    seen: list[tuple[responses.Response, Found]] = []
    end = {"type": "response.completed", "response": response("completed", None)}
    for one in [*ALL_EVENTS, end]:
        state.add(responses.decode(json.dumps(one).encode()))
        found = state.snapshot()
        seen.append((found, found.model_dump()))
    for found, then in seen:
        assert found.model_dump() == then


def test_events_that_were_made_here_add_up_too() -> None:
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    found = [
        {"type": "response.created", "response": response("in_progress", [])},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **where, "part": part},
        {"type": "response.output_text.delta", **where, "delta": "The moon"},
    ]
    state = responses.Accumulator()
    for one in found:
        event = responses.decode(json.dumps(one).encode())
        state.add(type(event)(**{name: getattr(event, name) for name in event.__struct_fields__ if name[0] != "_"}))
    assert state.snapshot().output_text == snapshot(found).output_text == "The moon"
    assert state.snapshot().id == "resp_1"


@pytest.mark.parametrize("kind", ["response.created", "response.in_progress"])
def test_a_silent_stream_holds_the_text_of_its_events_and_no_more(kind: str) -> None:
    event = responses.decode(json.dumps({"type": kind, "response": response("in_progress", [])}).encode())
    state = responses.Accumulator()
    before = sys.getrefcount(event)
    state.add(event)
    assert sys.getrefcount(event) == before


def test_what_a_snapshot_holds_is_the_callers_own() -> None:
    state = added_up([*begun(), *text_item(0, ["a"])[1]])
    first = state.snapshot()
    first.output.clear()
    first.metadata = {"x": 1}
    assert state.snapshot().output_text == "a"
    assert state.snapshot().metadata == {}


DELTAS = {
    "text": {"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0},
    "arguments": {"type": "response.function_call_arguments.delta", "item_id": "f", "output_index": 0},
    "reasoning": {
        "type": "response.reasoning_text.delta",
        "item_id": "r",
        "output_index": 0,
        "content_index": 0,
    },
    "llama.cpp": {"type": "response.output_text.delta", "item_id": "m"},
    "changing ids": {"type": "response.output_text.delta", "output_index": 0},
}


@pytest.mark.parametrize("delta", DELTAS.values(), ids=DELTAS)
def test_the_cost_is_linear(delta: Found) -> None:
    def cost(count: int) -> int:
        own = {"item_id": "m"} if "item_id" not in delta else {}
        events = [
            responses.decode(
                json.dumps({**delta, **{key: f"{value}{n}" for key, value in own.items()}, "delta": "moon "}).encode()
            )
            for n in range(count)
        ]
        state = responses.Accumulator()

        def work() -> None:
            for event in events:
                state.add(event)
            state.snapshot()

        return calls_made(work)

    assert cost(4_000) <= 2.2 * cost(2_000)  # 20,000 and 10,000: see test_cost.py


def test_many_items_cost_what_they_weigh() -> None:
    def cost(count: int) -> int:
        made = [text_item(index, ["a"], f"msg_{index}") for index in range(count)]
        events = [
            responses.decode(json.dumps(one).encode())
            for one in [
                *begun(),
                *[event for _, events in made for event in events],
                {
                    "type": "response.completed",
                    "response": response("completed", [item for item, _ in made[::2]]),
                },
            ]
        ]
        state = responses.Accumulator()

        def work() -> None:
            for event in events:
                state.add(event)
            assert len(state.snapshot().output) == count

        return calls_made(work)

    assert cost(400) <= 2.2 * cost(200)
