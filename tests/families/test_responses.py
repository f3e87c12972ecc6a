"""The Responses family: how events are read, whatever a server makes of them, and how they are written."""

from __future__ import annotations

import json
import types
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from tokenwire.errors import APIError, StreamDecodeError
from tokenwire.families import responses
from tokenwire.families.record import Event, Record, Unknown

EVENTS: tuple[type[Event], ...] = tuple(
    cls for cls in typing.get_args(responses.ResponseStreamEvent) if cls is not responses.ResponseErrorEvent
)


def packed(found: Any) -> bytes:
    return json.dumps(found, ensure_ascii=False).encode()


def decoded(found: Any) -> Any:
    return responses.decode(packed(found))


# -- The strict reading ----------------------------------------------------------


def test_a_text_delta() -> None:
    payload = (
        b'{"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":0,'
        b'"content_index":1,"delta":"The","logprobs":[],"obfuscation":"x7"}'
    )
    event = responses.decode(payload)
    assert event.type == "response.output_text.delta"
    assert isinstance(event, responses.ResponseTextDeltaEvent)
    assert (event.delta, event.item_id, event.sequence_number) == ("The", "msg_1", 4)
    assert (event.output_index, event.content_index, event.obfuscation) == (0, 1, "x7")
    assert event.model_extra == {"obfuscation": "x7"}  # as the official type has it, which does not know it
    assert event.to_dict() == json.loads(payload)
    assert event.to_json() == payload.decode()
    assert responses.text(event) == "The"


def test_the_payload_is_kept_not_copied() -> None:
    payload = bytearray(b'{"type":"response.output_text.delta","delta":"a"}')
    event = responses.decode(payload)
    assert event._json is payload
    assert responses.encode(event) == bytes(payload)


@pytest.mark.parametrize("cls", EVENTS, ids=lambda cls: str(cls.__struct_config__.tag))
def test_every_type_by_its_name(cls: type[Event]) -> None:
    kind = cls.__struct_config__.tag
    event = decoded({"type": kind})
    assert type(event) is cls
    assert event.type == kind
    assert event.to_dict() == {"type": kind}
    assert responses.text(event) == ""


def test_the_json_says_the_type_wherever_it_stands() -> None:
    assert decoded({"delta": "x", "type": "response.refusal.delta"}).delta == "x"


def test_logprobs() -> None:
    event = decoded(
        {
            "type": "response.output_text.delta",
            "delta": "a",
            "logprobs": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [{"token": "b"}]}],
        }
    )
    assert event.logprobs[0].logprob == -0.5
    assert event.logprobs[0].top_logprobs[0].token == "b"


def test_nothing_but_underscored_fields_of_ours_is_hidden() -> None:
    """A server cannot set what is ours."""
    found = {"type": "response.output_text.delta", "delta": "a", "_json": "x", "_text": 1, "_end": 2}
    event = decoded(found)
    assert event.delta == "a"
    assert event._text is None
    assert event.to_dict() == found


# -- What servers leave out or add -------------------------------------------------


def test_llama_cpp_sends_no_indices_and_no_sequence_number() -> None:
    event = decoded({"type": "response.output_text.delta", "item_id": "msg_1", "delta": "moon"})
    assert event.delta == "moon"
    assert event.sequence_number is event.output_index is event.content_index is None
    assert event.logprobs == []


def test_an_unknown_type_has_every_key_by_attribute() -> None:
    event = decoded({"type": "response.telepathy.delta", "delta": "x", "mind": {"deep": 1}})
    assert type(event) is responses.UnknownEvent
    assert event.type == "response.telepathy.delta"
    assert event.delta == "x"
    assert event.mind == {"deep": 1}
    assert event.to_dict()["mind"] == {"deep": 1}
    assert responses.text(event) == ""


@pytest.mark.parametrize("found", [{"type": "keepalive"}, {"type": "keepalive", "sequence_number": 3}])
def test_keepalive(found: Any) -> None:
    assert decoded(found).type == "keepalive"


@pytest.mark.parametrize("found", [{}, {"type": None}, {"type": 5}, {"type": ["error"]}, {"sequence_number": 1}])
def test_without_a_type_the_type_is_empty(found: Any) -> None:
    event = decoded(found)
    assert type(event) is responses.UnknownEvent
    assert event.type == ""
    assert event.to_dict() == found


def test_an_unknown_field_at_any_depth_by_attribute() -> None:
    event = decoded(
        {
            "type": "response.output_item.done",
            "vendor": "v",
            "item": {
                "type": "message",
                "mood": "calm",
                "content": [{"type": "output_text", "text": "a", "annotations": [], "tone": "low"}],
            },
        }
    )
    assert event.vendor == "v"
    assert event.item.mood == "calm"
    assert event.item.content[0].tone == "low"
    assert event.item.content[0].text == "a"


@pytest.mark.parametrize("delta", [None, 5, ["a"], {"text": "a"}, True])
def test_a_delta_of_another_shape_is_kept_as_it_came(delta: Any) -> None:
    event = decoded({"type": "response.output_text.delta", "delta": delta, "item_id": 7})
    assert type(event) is responses.ResponseTextDeltaEvent
    assert event.delta == delta
    assert event.item_id == 7
    assert responses.text(event) == ""


def test_items_and_parts_of_tomorrow_are_unknown_records() -> None:
    event = decoded(
        {
            "type": "response.completed",
            "response": {
                "output": [
                    {"type": "dream", "colour": "blue"},
                    {"type": "message", "content": [{"type": "smell", "of": "rain"}, {"text": "bare"}]},
                    {"type": "web_search_call", "action": {"type": "guess", "what": "x"}},
                    {"type": "code_interpreter_call", "outputs": [{"type": "film", "url": "u"}]},
                    {"type": "apply_patch_call", "operation": {"type": "move_file", "path": "p"}},
                ]
            },
        }
    )
    dream, message, search, code, patch = event.response.output
    assert isinstance(dream, Unknown)
    assert (dream.type, dream.colour) == ("dream", "blue")
    assert [part.type for part in message.content] == ["smell", ""]
    assert message.content[0].of == "rain"
    assert (search.action.type, search.action.what) == ("guess", "x")
    assert code.outputs[0].url == "u"
    assert patch.operation.path == "p"


def test_transformers_created_at_and_status() -> None:
    event = decoded(
        {
            "response": {"id": "resp_1", "created_at": 1795433398.9946966, "status": "queued", "output": []},
            "sequence_number": 0,
            "type": "response.created",
        }
    )
    assert event.response.created_at == 1795433398.9946966
    assert event.response.status == "queued"


@pytest.mark.parametrize("kind", ["created", "in_progress", "completed", "incomplete", "failed"])
def test_a_null_output_can_be_iterated(kind: str) -> None:
    event = decoded({"type": f"response.{kind}", "response": {"id": "resp_1", "output": None}})
    assert event.response.output == []
    assert event.to_dict()["response"]["output"] is None


def test_a_response_that_is_none() -> None:
    event = decoded({"type": "response.completed", "response": "gone"})
    assert event.response == "gone"


def test_a_failed_response_is_an_event() -> None:
    event = decoded(
        {
            "type": "response.failed",
            "response": {"status": "failed", "error": {"code": "server_error", "message": "m"}},
        }
    )
    assert (event.response.error.code, event.response.error.message) == ("server_error", "m")


def test_an_error_beside_a_known_type_is_a_field() -> None:
    event = decoded({"type": "response.mcp_call.failed", "item_id": "mcp_1", "error": {"message": "no"}})
    assert type(event) is responses.ResponseMcpCallFailedEvent
    assert event.error == {"message": "no"}
    # Nor is it one beside a type that only looks like a type of this API.
    assert decoded({"type": "response.new.failed", "error": {"message": "no"}}).error == {"message": "no"}


def test_to_dict_keeps_null_and_absent_apart() -> None:
    found = {"type": "response.created", "response": {"id": "r", "error": None, "usage": None}}
    assert decoded(found).to_dict() == found


# -- Errors ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "message", "code", "param", "kind"),
    [
        (
            {
                "type": "error",
                "code": "rate_limit",
                "message": "Slow down",
                "param": "input",
                "sequence_number": 1,
            },
            "Slow down",
            "rate_limit",
            "input",
            "error",
        ),
        (
            {"type": "error", "error": {"type": "server_error", "code": "x", "message": "Broken"}},
            "Broken",
            "x",
            None,
            "server_error",
        ),
        (
            {"error": {"code": 500, "message": "peg-native", "type": "server_error"}},
            "peg-native",
            "500",
            None,
            "server_error",
        ),
        ({"error": "busy", "error_type": "overloaded"}, "busy", None, None, None),
        ({"object": "error", "message": "bad", "code": 400}, "bad", "400", None, None),
        ({"type": "upstream", "error": {"message": "gone"}}, "gone", None, None, None),
    ],
)
def test_errors_raise_with_the_servers_own_words(
    found: Any, message: str, code: str | None, param: str | None, kind: str | None
) -> None:
    with pytest.raises(APIError) as caught:
        decoded(found)
    assert type(caught.value) is APIError
    assert caught.value.message == message
    assert (caught.value.code, caught.value.param, caught.value.type) == (code, param, kind)
    inner = found.get("error")
    assert caught.value.body == (inner if isinstance(inner, dict) else found)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b'{"type":', "not JSON"),
        (b"<html>", "not JSON"),
        (b'{"type":"response.output_text.delta","delta":"\xff"}', "not"),
        (b"\xff\xfe", "not JSON"),
        (b'"text"', "not a JSON object"),
        (b"[1]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"a":' + b"[" * 100_000, "nested too deeply"),
    ],
)
@pytest.mark.parametrize("read", [responses.decode, responses.decode_whole])
def test_what_cannot_be_read(read: Any, payload: bytes, why: str) -> None:
    with pytest.raises(StreamDecodeError, match=why) as caught:
        read(payload)
    assert caught.value.body == payload[:200].decode(errors="replace")


def test_half_a_character_does_not_end_the_stream() -> None:
    """Who cuts texts as UTF-16 may cut an emoji in two."""
    said = "moon\ufffd"
    payload = br'{"type":"response.output_text.delta","item_id":"m","delta":"moon\ud83d"}'
    event = responses.decode(payload)
    assert (responses.text(event), event.to_dict()["delta"]) == (said, said)
    assert responses.encode(event) == payload
    together = responses.Accumulator()
    together.add_run([event])
    assert together.snapshot().output_text == said
    output = br'[{"type":"message","content":[{"type":"output_text","text":"moon\ud83d"}]}]'
    assert responses.decode_whole(b'{"object":"response","output":%b}' % output).output_text == said


def test_bytes_that_are_not_utf8_in_a_string() -> None:
    with pytest.raises(StreamDecodeError, match="UTF-8"):
        responses.decode(b'{"type":"x","a":"\xff"}')


# -- Whole answers -------------------------------------------------------------------


def message(text: str) -> dict[str, Any]:
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }


def test_a_whole_answer() -> None:
    found = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1767225600,
        "model": "moon-1",
        "status": "completed",
        "error": None,
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
            message("The moon"),
            message(" rises."),
        ],
        "usage": {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 1},
            "output_tokens": 17,
            "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": 26,
        },
        "store": True,
    }
    whole = responses.decode_whole(packed(found))
    assert whole.output_text == "The moon rises."
    assert whole.output_parsed is None
    assert whole.output[0].summary[0].text == "hm"
    assert whole.output[1].content[0].parsed is None
    assert whole.usage is not None
    assert whole.usage.output_tokens_details is not None
    assert whole.usage.output_tokens_details.reasoning_tokens == 2
    assert whole.store is True
    assert whole.to_dict() == found


def test_a_whole_answer_of_odd_shape() -> None:
    found = {"object": "response", "id": 5, "output": None, "vendor": 1}
    whole = responses.decode_whole(packed(found))
    assert (whole.id, whole.output, whole.vendor) == (5, [], 1)
    assert whole.to_dict() == found


def test_output_text_of_odd_shapes() -> None:
    for output in (
        "x",
        [5, {"type": "message", "content": "x"}],
        [{"type": "message", "content": [{"type": "output_text", "text": None}]}],
    ):
        assert responses.decode_whole(packed({"object": "response", "output": output})).output_text == ""


def test_a_function_call() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}", "async": True}
    whole = responses.decode_whole(packed({"output": [call]}))
    assert whole.output[0].async_ is True
    assert whole.output[0].parsed_arguments is None


@pytest.mark.parametrize(
    "found",
    [
        {
            "object": "response",
            "status": "failed",
            "output": [],
            "error": {"code": "server_error", "message": "m"},
        },
        {"status": "failed", "output": [], "error": {"code": "server_error", "message": "m"}},
        {"object": "response", "status": "failed", "error": {"code": 5, "message": "m"}},
    ],
)
def test_a_whole_answer_that_failed_is_an_answer(found: Any) -> None:
    whole = responses.decode_whole(packed(found))
    assert whole.status == "failed"
    assert whole.error is not None
    assert whole.error.message == "m"
    assert whole.to_dict() == found


@pytest.mark.parametrize(
    "found", [{"error": {"message": "m", "code": "c"}}, {"error": "m"}, {"object": "error", "message": "m"}]
)
def test_a_whole_answer_that_is_an_error(found: Any) -> None:
    with pytest.raises(APIError, match="m"):
        responses.decode_whole(packed(found))


def test_a_whole_answer_that_is_some_other_object() -> None:
    assert responses.decode_whole(b'{"strange":1}').strange == 1  # type: ignore[attr-defined]  # an unknown field


# -- Writing -----------------------------------------------------------------------


def test_a_text_delta_as_it_is_written() -> None:
    event = responses.ResponseTextDeltaEvent(
        item_id="msg_1", output_index=0, content_index=0, delta="", sequence_number=4
    )
    assert json.loads(responses.encode(event)) == {
        "type": "response.output_text.delta",
        "item_id": "msg_1",
        "output_index": 0,
        "content_index": 0,
        "delta": "",
        "logprobs": [],
        "sequence_number": 4,
    }


def test_an_error_as_it_is_written_is_raised_when_read() -> None:
    payload = responses.encode(responses.ResponseErrorEvent(message="m", code="c", sequence_number=1))
    with pytest.raises(APIError, match="m") as caught:
        responses.decode(payload)
    assert caught.value.code == "c"


def test_a_response_read_whole_can_be_sent_in_an_event() -> None:
    whole = responses.decode_whole(packed({"object": "response", "output": [message("a")], "vendor": 1}))
    sent = responses.decode(responses.encode(responses.ResponseCompletedEvent(response=whole, sequence_number=1)))
    assert isinstance(sent, responses.ResponseCompletedEvent)
    assert sent.response == whole


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)

SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=8),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    type(None): st.none(),
    Any: json_values,
}


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a declared type."""
    if hint in SCALARS:
        return SCALARS[hint]
    if isinstance(hint, type) and issubclass(hint, Record):
        return st.deferred(lambda: records_of(hint))
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return st.lists(values_of(arguments[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(st.text(max_size=5), values_of(arguments[1]), max_size=2)
    assert origin in (types.UnionType, typing.Union)
    return st.one_of([values_of(member) for member in arguments])


def records_of(cls: type[Record]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    fields = {
        field.name: values_of(hints[field.name])
        for field in msgspec.structs.fields(cls)
        if not field.name.startswith("_")
    }
    return st.fixed_dictionaries({}, optional=fields).map(lambda found: cls(**found))


@pytest.mark.parametrize("cls", EVENTS, ids=lambda cls: str(cls.__struct_config__.tag))
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_what_is_written_is_read_again(cls: type[Event], data: st.DataObject) -> None:
    event = data.draw(records_of(cls))
    assert responses.decode(responses.encode(event)) == event


@given(
    found=st.fixed_dictionaries(
        {"type": st.sampled_from([cls.__struct_config__.tag for cls in EVENTS] + ["keepalive", "response.x"])},
        optional=dict.fromkeys(
            ("delta", "item_id", "output_index", "item", "part", "response", "text", "vendor", "logprobs"),
            json_values,
        ),
    )
)
@settings(max_examples=200, deadline=None)
def test_no_shape_raises_and_all_of_it_is_kept(found: dict[str, Any]) -> None:
    event = decoded(found)
    assert event.type == found["type"]
    assert event.to_dict() == found
    assert responses.decode(responses.encode(event)) == event
    assert isinstance(responses.text(event), str)


@given(found=st.dictionaries(st.text(max_size=8), json_values, max_size=4))
def test_any_object_without_the_names_of_errors_is_an_event(found: dict[str, Any]) -> None:
    found = {name: value for name, value in found.items() if name not in ("error", "message", "detail", "object")}
    found.pop("type", None)
    assert decoded(found).to_dict() == found
