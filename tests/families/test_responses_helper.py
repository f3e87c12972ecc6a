"""The helper behind `.stream()` for the Responses family."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import tracemalloc
from typing import Any, TypedDict

import msgspec
import pydantic
import pytest
from openai import pydantic_function_tool
from openai._models import construct_type
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent as OfficialEvent

from support.calls import calls_made
from tokenwire.errors import ContentFilterFinishReasonError, LengthFinishReasonError
from tokenwire.families import responses

Found = dict[str, Any]


def fed(helper: responses.Helper, found: list[Found]) -> list[Any]:
    """The helper's events for a stream."""
    given: list[Any] = []
    for one in found:
        given += helper.events([responses.decode(json.dumps(one).encode())])
    return given + helper.end()


def response(status: str, output: Any = (), **more: Any) -> Found:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1767225600,
        "status": status,
        "model": "moon-1",
        "output": list(output) if output is not None else None,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        **more,
    }


def text_events(text: str, index: int = 0, **more: Any) -> tuple[Found, list[Found]]:
    """A message, cut into pieces of three characters, and its item."""
    item_id = f"msg_{index}"
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {
        "type": "message",
        "id": item_id,
        "role": "assistant",
        "status": "completed",
        "content": [part],
        **more,
    }
    at = {"item_id": item_id, "output_index": index, "content_index": 0}
    pieces = [text[start : start + 3] for start in range(0, len(text), 3)]
    return item, [
        {"type": "response.output_item.added", "output_index": index, "item": {**item, "content": []}},
        {"type": "response.content_part.added", **at, "part": {**part, "text": ""}},
        *[{"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []} for piece in pieces],
        {"type": "response.output_text.done", **at, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": part},
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def call_events(name: str, arguments: str, index: int = 1) -> tuple[Found, list[Found]]:
    item = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": name,
        "arguments": arguments,
        "status": "completed",
    }
    at = {"item_id": "fc_1", "output_index": index}
    return item, [
        {"type": "response.output_item.added", "output_index": index, "item": {**item, "arguments": ""}},
        *[
            {"type": "response.function_call_arguments.delta", **at, "delta": arguments[start : start + 2]}
            for start in range(0, len(arguments), 2)
        ],
        {"type": "response.function_call_arguments.done", **at, "arguments": arguments},
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def stream(*made: tuple[Found, list[Found]], end: str = "completed", output: bool = True, **more: Any) -> list[Found]:
    items = [item for item, _ in made]
    last = response(end, items if output else None, **more)
    found = [
        {"type": "response.created", "response": response("in_progress")},
        *[event for _, events in made for event in events],
        {"type": f"response.{end}", "response": last},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(found)]


class Moon(msgspec.Struct):
    name: str
    full: bool


class PydanticMoon(pydantic.BaseModel):
    name: str
    full: bool


@dataclasses.dataclass
class DataMoon:
    name: str
    full: bool


class DictMoon(TypedDict):
    name: str
    full: bool


MOON = '{"name": "Luna", "full": true}'


# -- Events ------------------------------------------------------------------------


def test_every_event_is_given_as_it_came() -> None:
    found = [*stream(text_events("The moon")), {"type": "keepalive"}]
    given = fed(responses.Helper(), found)
    assert [event.to_dict() for event in given] == found


def test_snapshots_of_text_and_arguments() -> None:
    given = fed(responses.Helper(), stream(text_events("The moon"), call_events("f", '{"a": 1}')))
    texts = [event.snapshot for event in given if event.type == "response.output_text.delta"]
    assert texts == ["The", "The mo", "The moon"]
    arguments = [event.snapshot for event in given if event.type == "response.function_call_arguments.delta"]
    assert arguments == ['{"', '{"a"', '{"a": ', '{"a": 1}']


def test_a_snapshot_is_a_value() -> None:
    helper = responses.Helper()
    events = stream(text_events("The moon"))
    first = fed(helper, events[:4])[-1]
    assert first.snapshot == "The"
    fed(helper, events[4:])
    assert first.snapshot == "The"


def test_texts_that_are_interleaved_have_their_own_snapshots() -> None:
    one, two = text_events("one", 0)[1], text_events("two", 1)[1]
    call = call_events("f", "{}", 2)[1]
    mixed = [one[0], two[0], call[0], one[1], two[1], one[2], call[1], two[2], one[2], call[1], two[2]]
    given = fed(responses.Helper(), mixed)
    snapshots = [(event.item_id, event.snapshot) for event in given if event.type.endswith(".delta")]
    assert snapshots == [
        ("msg_0", "one"),
        ("fc_1", "{}"),
        ("msg_1", "two"),
        ("msg_0", "oneone"),
        ("fc_1", "{}{}"),
        ("msg_1", "twotwo"),
    ]


def test_a_stream_that_starts_in_the_middle() -> None:
    given = fed(responses.Helper(), stream(text_events("The moon"))[4:6])
    assert [event.snapshot for event in given] == [" mo", " moon"]


def test_without_the_helper_there_is_no_snapshot() -> None:
    for kind in ("output_text", "function_call_arguments"):
        event = responses.decode(f'{{"type":"response.{kind}.delta","delta":"a"}}'.encode())
        assert not hasattr(event, "snapshot")
        with pytest.raises(AttributeError, match="stream"):
            _ = event.snapshot
    done = responses.decode(b'{"type":"response.output_text.done","text":"a"}')
    assert isinstance(done, responses.ResponseTextDoneEvent)
    assert done.parsed is None


def test_what_is_ours_is_not_in_the_json() -> None:
    given = fed(responses.Helper(text_format=Moon), stream(text_events(MOON)))
    for event in given:
        assert not {"snapshot", "parsed", "_text", "_end", "_parsed"} & event.model_dump().keys()
        assert "_text" not in repr(event)


def test_an_odd_delta_does_not_stop_it() -> None:
    helper = responses.Helper(text_format=Moon)
    odd = [
        {"type": "response.output_text.delta", "delta": None, "item_id": 5},
        {"type": "response.function_call_arguments.delta", "delta": 5, "item_id": None},
        {"type": "response.output_text.done", "text": None},
    ]
    given = fed(helper, odd)
    assert [event.snapshot for event in given[:2]] == ["", ""]
    assert given[2].parsed is None


class Official:
    """The official helper, fed with the same events."""

    def __init__(self, **options: Any) -> None:
        self.state: Any = ResponseStreamState(**options)

    def fed(self, found: list[Found]) -> list[Any]:
        given: list[Any] = []
        for one in found:
            given += self.state.handle_event(construct_type(type_=OfficialEvent, value=one))
        return given


@pytest.mark.parametrize("output", [True, False])
def test_the_official_helper_gives_the_same(output: bool) -> None:
    tool = {"type": "function", "name": "f", "strict": True, "parameters": {}}
    found = stream(text_events(MOON), call_events("f", '{"a": 1}'), output=output)
    official = Official(text_format=PydanticMoon, input_tools=[tool])
    helper = responses.Helper(text_format=PydanticMoon, tools=[tool])
    theirs = official.fed(found)
    for ours, their in zip(fed(helper, found), theirs, strict=True):
        assert ours.type == their.type
        for name in ("snapshot", "parsed", "delta", "text"):
            if hasattr(their, name):
                assert getattr(ours, name) == getattr(their, name)
    final, their_final = helper.final(), official.state._completed_response
    assert final.output_parsed == their_final.output_parsed == PydanticMoon(name="Luna", full=True)
    assert final.output[1].parsed_arguments == their_final.output[1].parsed_arguments == {"a": 1}
    assert final.output_text == their_final.output_text


# -- The final response ---------------------------------------------------------------


def test_the_final_response() -> None:
    helper = responses.Helper()
    found = stream(text_events("The moon"), usage={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3})
    given = fed(helper, found)
    final = helper.final()
    assert isinstance(final, responses.ParsedResponse)
    assert final.to_dict() == found[-1]["response"]
    assert final.output_text == "The moon"
    assert final.output_parsed is None
    assert final.usage is not None
    assert final.usage.total_tokens == 3
    assert given[-1].response == final


@pytest.mark.parametrize("end", ["completed", "incomplete", "failed"])
def test_the_terminal_event_has_the_whole_response(end: str) -> None:
    made = text_events("The moon")
    helper = responses.Helper()
    last = fed(helper, stream(made, end=end, output=False))[-1]
    assert last.type == f"response.{end}"
    assert last.response.status == end
    assert last.response.output_text == "The moon"
    assert helper.final().to_dict()["output"] == [made[0]]
    # And the event's own JSON is still what arrived.
    assert last.to_dict()["response"]["output"] is None


def test_unknown_fields_reach_the_final_response() -> None:
    helper = responses.Helper(text_format=Moon)
    fed(helper, stream(text_events(MOON, mood="calm"), vendor={"x": 1}))
    final = helper.final()
    assert final.vendor == {"x": 1}  # type: ignore[attr-defined]  # an unknown field
    assert final.output[0].mood == "calm"  # type: ignore[union-attr]  # an unknown field
    assert final.to_dict()["vendor"] == {"x": 1}


def test_a_snapshot_on_the_way() -> None:
    helper = responses.Helper()
    fed(helper, stream(text_events("The moon"))[:5])
    assert helper.snapshot().output_text == "The mo"
    assert helper.accumulator.snapshot() == helper.snapshot()
    assert not helper.accumulator.complete
    assert helper.final().output_text == "The mo"
    assert helper.final().status == "in_progress"


# -- Structured output ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (Moon, Moon("Luna", True)),
        (DataMoon, DataMoon("Luna", True)),
        (DictMoon, {"name": "Luna", "full": True}),
        (PydanticMoon, PydanticMoon(name="Luna", full=True)),
    ],
)
def test_the_answer_is_read_as_the_type(form: Any, value: Any) -> None:
    helper = responses.Helper(text_format=form)
    given = fed(helper, stream(text_events(MOON)))
    done = next(event for event in given if event.type == "response.output_text.done")
    assert done.parsed == value
    assert done.parsed is done.parsed
    assert given[-1].response.output_parsed == value
    final = helper.final()
    assert final.output_parsed == value
    part = final.output[0].content[0]  # type: ignore[union-attr]  # it is a message
    assert isinstance(part, responses.ParsedResponseOutputText)
    assert part.parsed == value
    assert final.to_dict()["output"][0]["content"][0] == {
        "type": "output_text",
        "text": MOON,
        "annotations": [],
    }
    assert "parsed" not in json.dumps(final.model_dump())
    for made in (copy.deepcopy(given[-1]), pickle.loads(pickle.dumps(given[-1]))):
        assert made == given[-1]
        assert made.response.output_parsed == value
    other = responses.Helper(text_format=form)
    fed(other, stream(text_events(MOON.replace("Luna", "Selene"))))
    assert other.final() != final


def test_a_format_for_the_api_alone_is_not_read() -> None:
    helper = responses.Helper(text_format={"type": "json_object"})
    given = fed(helper, stream(text_events(MOON)))
    assert [event.parsed for event in given if event.type == "response.output_text.done"] == [None]
    assert helper.final().output_parsed is None


def test_only_the_final_answer_is_read() -> None:
    helper = responses.Helper(text_format=Moon)
    made = [text_events("Let me see.", 0, phase="commentary"), text_events(MOON, 1, phase="final_answer")]
    given = fed(helper, stream(*made))
    done = [event.parsed for event in given if event.type == "response.output_text.done"]
    assert done == [None, Moon("Luna", True)]
    assert helper.final().output_parsed == Moon("Luna", True)


def test_the_phase_of_an_item_that_the_response_began_with() -> None:
    helper = responses.Helper(text_format=Moon)
    item, events = text_events("x", 0, phase="commentary")
    created = {"type": "response.created", "response": response("in_progress", [{**item, "content": []}])}
    given = fed(helper, [created, *events[1:4]])
    assert given[-1].type == "response.output_text.done"
    assert given[-1].parsed is None


def test_a_text_whose_item_was_never_announced_is_read() -> None:
    given = fed(responses.Helper(text_format=Moon), [{"type": "response.output_text.done", "text": MOON}])
    assert given[0].parsed == Moon("Luna", True)


def test_a_refusal_is_not_read() -> None:
    item = {
        "type": "message",
        "id": "m",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "refusal", "refusal": "No."}],
    }
    helper = responses.Helper(text_format=Moon)
    fed(helper, stream((item, [{"type": "response.output_item.done", "output_index": 0, "item": item}])))
    assert helper.final().output_parsed is None


@pytest.mark.parametrize(("form", "error"), [(Moon, msgspec.ValidationError), (PydanticMoon, pydantic.ValidationError)])
def test_an_answer_that_does_not_fit(form: Any, error: type[Exception]) -> None:
    """Every event is delivered; who asks for the object is told."""
    helper = responses.Helper(text_format=form)
    given = fed(helper, stream(text_events('{"name": 5}')))
    assert given[-1].response.output_text == '{"name": 5}'
    with pytest.raises(error):
        _ = given[-1].response.output_parsed
    with pytest.raises(error):
        helper.final()


@pytest.mark.parametrize(
    ("reason", "error"),
    [("max_output_tokens", LengthFinishReasonError), ("content_filter", ContentFilterFinishReasonError)],
)
def test_an_answer_that_was_cut(reason: str, error: Any) -> None:
    found = stream(text_events(MOON[:10]), end="incomplete", incomplete_details={"reason": reason})
    helper = responses.Helper(text_format=Moon)
    last = fed(helper, found)[-1]
    assert last.response.output_parsed is None
    with pytest.raises(error) as caught:
        helper.final()
    assert caught.value.completion.output_text == MOON[:10]
    # Where nothing was to be read, there is nothing to complain about.
    plain = responses.Helper()
    fed(plain, found)
    assert plain.final().incomplete_details == responses.IncompleteDetails(reason=reason)


def test_a_response_that_failed_is_returned() -> None:
    helper = responses.Helper(text_format=Moon)
    fed(helper, stream(text_events(MOON[:10]), end="failed", error={"code": "server_error", "message": "m"}))
    final = helper.final()
    assert (final.status, final.output_parsed) == ("failed", None)
    assert final.error is not None
    assert final.error.message == "m"


@pytest.mark.parametrize(
    "output",
    [
        "x",
        [5],
        [{"type": "message", "content": "x"}],
        [{"type": "message", "content": [{"type": "output_text", "text": 5}]}],
        [{"type": "function_call", "name": "f", "arguments": 5}],
        [{"type": "function_call", "name": None, "arguments": "{}"}],
        [{"type": "function_call", "name": ["f"], "arguments": "{}"}],
    ],
)
def test_a_final_response_of_odd_shape(output: Any) -> None:
    helper = responses.Helper(text_format=Moon, tools=[{"type": "function", "name": "f", "strict": True}])
    last = {"type": "response.completed", "response": {"id": "r", "output": output}}
    fed(helper, [last])
    assert helper.final().output_parsed is None


# -- Tools ---------------------------------------------------------------------------------


def look_up(city: str, days: int = 1) -> None:
    """Forecast."""


@pytest.mark.parametrize(
    ("tool", "name", "value"),
    [
        (look_up, "look_up", {"city": "Paris", "days": 2}),
        (Moon, "Moon", None),
        ({"type": "function", "name": "f", "strict": True}, "f", {"city": "Paris", "days": 2}),
        ({"type": "function", "name": "f", "strict": False}, "f", None),
    ],
)
def test_arguments_are_read_by_their_tool(tool: Any, name: str, value: Any) -> None:
    arguments = MOON if tool is Moon else '{"city": "Paris", "days": 2}'
    helper = responses.Helper(tools=[tool])
    fed(helper, stream(call_events(name, arguments, 0)))
    call = helper.final().output[0]
    assert isinstance(call, responses.ResponseFunctionToolCall)
    assert call.parsed_arguments == (Moon("Luna", True) if tool is Moon else value)
    assert call.arguments == arguments
    assert helper.final().to_dict()["output"][0]["arguments"] == arguments


def test_a_call_of_a_tool_that_was_not_given() -> None:
    helper = responses.Helper(tools=[look_up])
    fed(helper, stream(call_events("other", "{}", 0)))
    assert helper.final().output[0].parsed_arguments is None  # type: ignore[union-attr]  # it is a call


def test_arguments_that_were_cut_are_not_read() -> None:
    helper = responses.Helper(tools=[look_up])
    fed(helper, stream(call_events("look_up", '{"ci', 0), end="incomplete"))
    assert helper.final().output[0].parsed_arguments is None  # type: ignore[union-attr]  # it is a call


def test_what_is_sent() -> None:
    params = {
        "model": "m",
        "input": "i",
        "text_format": Moon,
        "tools": [look_up],
        "text": {"verbosity": "low"},
    }
    sent = responses.prepare(params)
    assert sent["text"]["verbosity"] == "low"
    assert sent["text"]["format"]["type"] == "json_schema"
    assert sent["text"]["format"]["name"] == "Moon"
    assert sent["text"]["format"]["strict"] is True
    assert sent["tools"][0]["type"] == "function"
    assert sent["tools"][0]["name"] == "look_up"
    assert "text_format" not in sent
    assert params["text"] == {"verbosity": "low"}
    assert responses.prepare({"model": "m"}) == {"model": "m"}


def test_two_formats_are_one_too_many() -> None:
    with pytest.raises(TypeError, match="text_format"):
        responses.prepare({"text_format": Moon, "text": {"format": {"type": "text"}}})


def test_the_schema_that_is_sent_is_the_official_one() -> None:
    tool = pydantic_function_tool(PydanticMoon)
    sent = responses.prepare({"text_format": PydanticMoon, "tools": [PydanticMoon]})
    assert sent["text"]["format"]["schema"]["properties"] == tool["function"]["parameters"]["properties"]  # type: ignore[index]  # it is there


# -- Cost -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["output_text", "function_call_arguments"])
@pytest.mark.parametrize("form", [None, Moon])
def test_the_cost_is_linear(kind: str, form: Any) -> None:
    def cost(count: int) -> tuple[int, int]:
        payload = f'{{"type":"response.{kind}.delta","item_id":"m","output_index":0,"delta":"moon "}}'.encode()
        events = [responses.decode(payload) for _ in range(count)]
        helper = responses.Helper(text_format=form)
        tracemalloc.start()
        for event in events:
            helper.events([event])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        def work() -> None:
            for event in events:
                helper.events([event])
            helper.snapshot()

        return calls_made(work), peak

    small, large = cost(10_000), cost(20_000)
    assert large[0] <= 2.2 * small[0]
    assert large[1] <= 2.2 * small[1], "every event that is kept holds a text of its own"


def test_events_up_to_a_number_only_add_to_the_snapshots() -> None:
    """One without a number is told in any case: nobody can say that it came before."""
    helper = responses.Helper(starting_after=1)
    told = [
        [event.type for event in helper.events([responses.decode(json.dumps(sent).encode())])]
        for sent in (
            {"type": "response.created", "sequence_number": 0, "response": {"id": "r", "output": []}},
            {"type": "response.output_text.delta", "sequence_number": 1, "delta": "The "},
            {"type": "response.output_text.delta", "delta": "mo"},
            {"type": "response.output_text.delta", "sequence_number": 2, "delta": "on"},
        )
    ]
    assert told == [[], [], ["response.output_text.delta"], ["response.output_text.delta"]]
    assert helper.snapshot().output_text == "The moon"
