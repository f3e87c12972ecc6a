"""The chat family: its types, the two readings, errors inside a 200, and the way back to JSON."""

from __future__ import annotations

import json
import types
import typing
from typing import Any, Union

import msgspec
import pydantic
import pytest
from hypothesis import given, strategies as st
from openai.types import chat as official

from support.chat_chunks import chunk, decoded
from tokenwire.errors import APIError, StreamDecodeError
from tokenwire.families import chat, chat_types
from tokenwire.families.record import Record, Unknown

# -- The types ------------------------------------------------------------------------


def leaves(hint: Any, base: type) -> list[Any]:
    """The classes of that base inside a type: its members, items and values."""
    if isinstance(hint, type) and issubclass(hint, base):
        return [hint]
    if isinstance(origin := typing.get_origin(hint), type) and issubclass(origin, base):
        return [origin]
    if isinstance(hint, typing.TypeVar):
        return []
    return [leaf for argument in typing.get_args(hint) for leaf in leaves(argument, base)]


def tag_of(model: Any) -> Any:
    if issubclass(model, Record):
        return model.__struct_config__.tag
    return typing.get_args(model.model_fields["type"].annotation)[0]


def pairs(theirs: Any, ours: Any, seen: dict[Any, Any]) -> dict[Any, Any]:
    """Each official class with ours that stands in its place."""
    if theirs in seen:
        return seen
    seen[theirs] = ours
    hints = typing.get_type_hints(ours)
    for name, field in theirs.model_fields.items():
        their_leaves = leaves(field.annotation, pydantic.BaseModel)
        our_leaves = leaves(hints.get(name), Record)
        for leaf in their_leaves:
            if len(our_leaves) == 1:
                pairs(leaf, our_leaves[0], seen)
            else:
                pairs(leaf, next(own for own in our_leaves if tag_of(own) == tag_of(leaf)), seen)
    return seen


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (official.ChatCompletionChunk, chat_types.ChatCompletionChunk),
        (official.ChatCompletion, chat_types.ChatCompletion),
        (official.ParsedChatCompletion, chat_types.ParsedChatCompletion),
    ],
)
def test_no_official_field_is_missing(theirs: Any, ours: Any) -> None:
    found = pairs(theirs, ours, {})
    assert len(found) >= 12
    missing = [
        f"{their_class.__name__}.{name}"
        for their_class, our_class in found.items()
        for name in their_class.model_fields
        if name not in our_class.__struct_encode_fields__
        and our_class.__struct_config__.tag_field != name
    ]
    assert missing == []
    # What a type checker would have everybody ask, where it does not of the official types.
    may_be_none = {
        f"{their_class.__name__}.{name}"
        for their_class, our_class in found.items()
        for name, field in their_class.model_fields.items()
        if type(None) in typing.get_args(typing.get_type_hints(our_class).get(name))
        and field.annotation is not Any
        and type(None) not in typing.get_args(field.annotation)
    }
    assert may_be_none <= {"Choice.finish_reason", "ParsedChoice.finish_reason"}  # of a snapshot, None so far


def test_the_fields_of_reasoning() -> None:
    for cls in (chat_types.ChoiceDelta, chat_types.ChatCompletionMessage):
        assert {"reasoning_content", "reasoning", "reasoning_details"} <= set(cls.__struct_fields__)


# -- The strict reading ---------------------------------------------------------------

OPENAI = (
    b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4o",'
    b'"service_tier":"default","system_fingerprint":"fp","choices":[{"index":0,"delta":{"role":"assistant",'
    b'"content":" moon","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,'
    b'"obfuscation":"aBc"}'
)


def test_a_plain_chunk_is_typed_and_keeps_its_payload() -> None:
    event = chat.decode(OPENAI)
    assert event.choices[0].delta.content == " moon"
    assert event.obfuscation == "aBc"
    assert event._json is OPENAI
    assert not event._open
    assert event.to_dict() == json.loads(OPENAI)
    assert chat.text(event) == " moon"
    assert chat.encode(event) == OPENAI


def test_a_bytearray_will_do() -> None:
    payload = bytearray(OPENAI)
    event = chat.decode(payload)
    assert event._json is payload
    assert event == chat.decode(OPENAI)
    assert not event != chat.decode(OPENAI)  # noqa: SIM202  # != is told apart from ==
    assert chat.encode(event) == OPENAI


def test_moderation_is_told_apart_by_type() -> None:
    result = {
        "categories": {"hate": True},
        "category_applied_input_types": {"hate": ["text"]},
        "category_scores": {"hate": 0.9},
        "flagged": True,
        "model": "omni",
        "type": "moderation_result",
    }
    sent = chunk(
        moderation={
            "input": {"type": "moderation_results", "model": "omni", "results": [result]},
            "output": {"type": "error", "code": "c", "message": "m"},
        }
    )
    event = decoded(sent)
    assert not event._open
    assert event.moderation is not None
    assert isinstance(event.moderation.input, chat_types.ModerationResults)
    assert event.moderation.input.results[0].category_scores == {"hate": 0.9}
    assert isinstance(event.moderation.output, chat_types.ModerationError)
    assert event.moderation.output.type == "error"
    assert event.model_dump()["moderation"] == sent["moderation"]


# -- The open reading: the rows of wire-facts -----------------------------------------

ROWS: dict[str, tuple[dict[str, Any], str]] = {
    # name: what is sent, its text
    "Azure's first chunk": (
        {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [{}]},
        "",
    ),
    "Azure's asynchronous filter": (
        {
            "id": "",
            "object": "",
            "created": 0,
            "model": "",
            "choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": {"start": 1}}],
        },
        "",
    ),
    "reasoning_content": (chunk({"reasoning_content": "hm"}), ""),
    "reasoning and its details": (
        chunk({"content": "", "reasoning": "hm", "reasoning_details": [{"type": "x", "text": "hm"}]}),
        "",
    ),
    "Mistral's parts": (
        chunk(
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "text", "text": "the "},
                    {"type": "reference", "reference_ids": [1]},
                    "pale ",
                    {"text": "moon"},
                    {"type": "text", "text": None},
                    7,
                ]
            }
        ),
        "the pale moon",
    ),
    "null content and a role": (chunk({"role": "assistant", "content": None}), ""),
    "no object": ({"created": 0, "choices": [{"index": 0, "delta": {"content": "a"}}]}, "a"),
    "x_groq": (chunk({"content": "a"}, x_groq={"id": "r"}), "a"),
    "timings and more": (chunk({"content": "a"}, timings={"t": 1.5}, provider="p", citations=["u"]), "a"),
    "two choices": (
        chunk(
            choices=[
                {"index": 1, "delta": {"content": "b"}},
                {"index": 0, "delta": {"content": "a"}},
            ]
        ),
        "ba",
    ),
    "a tool delta without index": (chunk({"tool_calls": [{"id": "1", "function": {"name": "f"}}]}), ""),
    "LiteLLM's usage chunk": (
        chunk(choices=[{"index": 0, "delta": {}}], usage={"prompt_tokens": 1, "total_tokens": 3}),
        "",
    ),
    "mlx_lm's usage chunk": (
        {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        },
        "",
    ),
    "a finish_reason that nobody knows": (chunk(choice={"finish_reason": "eos_token"}), ""),
    "number for string": (chunk({"content": 42}), "42"),
    "float for int": (chunk({"content": "a"}, created=1.5), "a"),
    "boolean for string": (chunk({"content": True}), ""),
    "object for string": (chunk({"content": {"text": "a"}}), ""),
    "null for choices": (chunk(choices=None), ""),
    "null for a delta": (chunk(choice={"delta": None}), ""),
    "string for choices": (chunk(choices="none"), ""),
    "junk among choices": (chunk(choices=[None, {"delta": "a"}, {"delta": {"content": "a"}}]), "a"),
    "error: null": (chunk({"content": "a"}, error=None), "a"),
    "a field named as ours": (chunk({"content": "a"}, _json=1, _open=True, to_dict=2), "a"),
}


@pytest.mark.parametrize("name", ROWS)
def test_nothing_that_a_server_sends_is_lost(name: str) -> None:
    sent, text = ROWS[name]
    event = decoded(sent)
    assert event.to_dict() == sent
    assert json.loads(chat.encode(event)) == sent
    assert chat.decode(chat.encode(event)) == event
    assert chat.text(event) == text


def test_unknown_fields_are_attributes_where_they_came() -> None:
    event: Any = decoded(
        chunk({"content": "a", "token_ids": [1]}, choice={"native": None, "stop": 3}, provider="p")
    )
    assert event._open
    assert event.provider == "p"
    assert event.choices[0].stop == 3
    assert event.choices[0].delta.token_ids == [1]
    assert event.choices[0].delta.model_extra == {"token_ids": [1]}


def test_what_a_user_reads_is_there_also_where_the_server_left_it_out() -> None:
    for sent in (chunk(choice={"delta": None}), {"choices": [{}]}):
        assert decoded(sent).choices[0].delta.content is None
    assert decoded({"choices": None}).choices == []
    assert decoded({}).choices == []


def test_a_value_of_another_shape_stays_as_it_came() -> None:
    parts = [{"type": "text", "text": "a"}]
    assert decoded(chunk({"content": parts})).choices[0].delta.content == parts


# -- What is not an event --------------------------------------------------------------

ERRORS: dict[str, tuple[dict[str, Any], str, Any]] = {
    "OpenAI": (
        {"error": {"message": "no", "type": "server_error", "code": "x"}},
        "no",
        {"message": "no", "type": "server_error", "code": "x"},
    ),
    "text": ({"error": "no", "error_type": "overloaded"}, "no", {"error": "no", "error_type": "overloaded"}),
    "vLLM": (
        {"object": "error", "message": "no", "code": 400},
        "no",
        {"object": "error", "message": "no", "code": 400},
    ),
    "flat": ({"type": "error", "message": "no"}, "no", {"type": "error", "message": "no"}),
    "event: error": ({"message": "no", "code": 500}, "no", {"message": "no", "code": 500}),
    "FastAPI": ({"detail": "no"}, "no", {"detail": "no"}),
    "FastAPI's list": ({"detail": [{"msg": "no"}]}, '[{"msg":"no"}]', {"detail": [{"msg": "no"}]}),
    "beside choices": (
        {"id": "x", "choices": [{"finish_reason": "error"}], "error": {"code": 502, "message": "no"}},
        "no",
        {"code": 502, "message": "no"},
    ),
    "without a message": ({"error": {"code": 7}}, '{"code":7}', {"code": 7}),
    "a number": ({"error": 7}, "7", {"error": 7}),
}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("read", [chat.decode, chat.decode_whole])
def test_errors_inside_a_200_raise_with_the_servers_message(name: str, read: Any) -> None:
    sent, message, body = ERRORS[name]
    with pytest.raises(APIError) as caught:
        read(json.dumps(sent).encode())
    assert type(caught.value) is APIError
    assert caught.value.message == message
    assert caught.value.body == body


def test_an_error_tells_its_code_and_type() -> None:
    with pytest.raises(APIError) as caught:
        chat.decode(b'{"error": {"message": "no", "type": "t", "code": 429, "param": "p"}}')
    assert (caught.value.code, caught.value.type, caught.value.param) == ("429", "t", "p")


@pytest.mark.parametrize("sent", [{"id": "x", "message": "m", "detail": "d"}, {"message": 3}, {"error": ""}])
def test_what_only_resembles_an_error_is_an_event(sent: dict[str, Any]) -> None:
    assert decoded(sent).to_dict() == sent


HALVES = [
    (r"\ud83d", "\ufffd"),
    (r"\uDE00 x", "\ufffd x"),
    (r"\ud83d\ude00", "\U0001f600"),
    (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
    (r"\ud83d\n", "\ufffd\n"),
    (r"\\\ud83d", "\\\ufffd"),
    (r"\\ud83d\ude00", "\\ud83d\ufffd"),
]


@pytest.mark.parametrize(("sent", "said"), HALVES)
def test_half_a_character_does_not_end_the_stream(sent: str, said: str) -> None:
    """Who cuts texts as UTF-16 may cut an emoji in two. What is read can be shown; the JSON is as it came."""
    payload = b'{"choices":[{"index":0,"delta":{"content":"%b"}}]}' % sent.encode()
    event = chat.decode(payload)
    assert chat.text(event) == said
    assert event.to_dict() == {"choices": [{"index": 0, "delta": {"content": said}}]}
    assert (event.to_json(), chat.encode(event)) == (payload.decode(), payload)
    whole = chat.decode_whole(b'{"choices":[{"message":{"role":"assistant","content":"%b"}}]}' % sent.encode())
    assert whole.choices[0].message.content == said
    together = chat.Accumulator()
    together.add_run([event, event])
    assert json.loads(together.snapshot().to_json())["choices"][0]["message"]["content"] == said * 2


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"{", "not JSON"),
        (b'{"id":NaN}', "not JSON"),
        (b"<html>", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"moon"', "not a JSON object"),
        (b'{"id": "\xff"}', "not UTF-8"),
        (b'{"other": "\xff"}', "not UTF-8"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
@pytest.mark.parametrize("read", [chat.decode, chat.decode_whole])
def test_what_cannot_be_read_is_a_stream_decode_error(payload: bytes, why: str, read: Any) -> None:
    with pytest.raises(StreamDecodeError, match=why) as caught:
        read(payload)
    assert caught.value.body == payload[:200].decode(errors="replace")


# -- Whole answers ----------------------------------------------------------------------


def whole(message: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}],
        **more,
    }


def read_whole(value: Any) -> Any:
    return chat.decode_whole(json.dumps(value).encode())


def test_a_whole_answer_is_typed() -> None:
    sent = whole(
        {
            "content": "moon",
            "annotations": [
                {
                    "type": "url_citation",
                    "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 4},
                }
            ],
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "2", "type": "custom", "custom": {"name": "g", "input": "x"}},
            ],
        },
        usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    )
    found = read_whole(sent)
    message = found.choices[0].message
    assert message.content == "moon"
    assert message.annotations[0].url_citation.title == "t"
    assert message.tool_calls[0].type == "function"
    assert message.tool_calls[1].custom.input == "x"
    assert found.usage.total_tokens == 3
    assert found.to_dict() == sent
    assert chat.decode_whole(chat.encode(found)) == found


def test_a_whole_answers_tool_calls_are_typed_whatever_their_type_says() -> None:
    sent = whole(
        {
            "tool_calls": [
                {"id": "1", "function": {"name": "f", "arguments": "{}"}},
                {"id": "2", "type": None, "custom": {"name": "g", "input": "x"}},
                {"id": "3", "type": "telepathy", "power": 9},
                "junk",
            ]
        }
    )
    calls = read_whole(sent).choices[0].message.tool_calls
    assert isinstance(calls[0], chat_types.ChatCompletionMessageFunctionToolCall)
    assert calls[0].function.name == "f"
    assert calls[1].custom.name == "g"
    assert isinstance(calls[2], Unknown)
    assert calls[2].power == 9
    assert calls[3] == "junk"


@pytest.mark.parametrize(
    "choices", [None, "x", [None], [{"message": None}], [{"message": {"tool_calls": 1}}]]
)
def test_an_odd_whole_answer_is_kept(choices: Any) -> None:
    sent = whole({}, choices=choices)
    found = read_whole(sent)
    assert found.to_dict() == sent
    assert found.choices == ([] if choices is None else found.choices)


# -- A request's types -----------------------------------------------------------------


def test_prepare_sends_schemas_for_types_and_leaves_the_rest() -> None:
    class Line(msgspec.Struct):
        text: str

    params = {"model": "m", "response_format": Line, "tools": [Line, {"type": "custom"}], "seed": 1}
    sent = chat.prepare(params)
    assert sent["response_format"]["json_schema"]["name"] == "Line"
    assert sent["tools"][0]["function"]["name"] == "Line"
    assert sent["tools"][1] == {"type": "custom"}
    assert (sent["model"], sent["seed"]) == ("m", 1)
    assert params["response_format"] is Line  # the caller's own is left alone
    assert chat.prepare({"model": "m", "tools": None}) == {"model": "m", "tools": None}


# -- There and back ---------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return st.one_of([values_of(member) for member in typing.get_args(hint)])
    if origin is list:
        return st.lists(values_of(typing.get_args(hint)[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(st.text(max_size=5), values_of(typing.get_args(hint)[1]), max_size=3)
    if isinstance(hint, type) and issubclass(hint, Record):
        return st.deferred(lambda: records(hint))
    plain: dict[Any, st.SearchStrategy[Any]] = {
        Any: json_values,
        type(None): st.none(),
        bool: st.booleans(),
        int: st.integers(-(2**63), 2**63 - 1),
        float: st.floats(allow_nan=False, allow_infinity=False),
        str: st.text(max_size=5),
    }
    return plain[hint]


def records(cls: Any) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    fields = {name: values_of(hints[name]) for name in cls.__struct_fields__ if name[0] != "_"}
    return st.builds(cls, **fields)


def test_what_was_made_here_is_encoded_without_the_fields_that_are_none() -> None:
    delta = chat_types.ChoiceDelta(content="Hi")
    made = chat.ChatCompletionChunk(id="c", choices=[chat_types.ChunkChoice(delta=delta, index=1)], model="m")
    assert json.loads(chat.encode(made)) == {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "m",
        "choices": [{"index": 1, "delta": {"content": "Hi"}}],
    }


@given(records(chat_types.ChatCompletionChunk))
def test_a_chunk_made_here_comes_back_the_same(event: chat.ChatCompletionChunk) -> None:
    again = chat.decode(chat.encode(event))
    assert again == event
    assert not again._open
    assert again.to_dict() == event.to_dict()


@given(records(chat_types.ChatCompletion))
def test_a_completion_made_here_comes_back_the_same(event: chat.ChatCompletion) -> None:
    assert chat.decode_whole(chat.encode(event)) == event


@given(records(chat_types.ChatCompletionChunk), st.dictionaries(st.sampled_from(["x_a", "x_b"]), json_values))
def test_extra_fields_come_back_too(event: chat.ChatCompletionChunk, extra: dict[str, Any]) -> None:
    event.__dict__.update(extra)
    assert chat.decode(chat.encode(event)) == event
