"""Runs of events that are alike: nobody can tell who read them; what is learned, and when; and that C is careful."""

from __future__ import annotations

import gc
import json
import os
import sys
import tracemalloc
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from support.modules import imported_without
from tokenwire.errors import APIError
from tokenwire.families import alike, chat, responses
from tokenwire.families.alike import Alike

pytestmark = pytest.mark.skipif(
    alike.compiled is None and "TOKENWIRE_COMPILED" not in os.environ, reason="nothing is compiled here"
)

FAMILIES = [pytest.param(chat, id="chat"), pytest.param(responses, id="responses")]


def written(value: Any, **options: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, **{"separators": (",", ":"), **options}).encode()


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    fields = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_763_904_000, "model": "gpt-5.1"}
    return written({**fields, "service_tier": "default", "choices": [choice], "usage": None, **more})


def text_delta(text: str, number: int = 0, item: str = "msg_1", **more: Any) -> bytes:
    kind = {"type": "response.output_text.delta", "sequence_number": number, "item_id": item}
    return written({**kind, "output_index": 0, "content_index": 0, "delta": text, "logprobs": [], **more})


def token(family: ModuleType, text: str, number: int = 0, padding: str = "aB3") -> bytes:
    """One token as its family's servers send it."""
    if family is chat:
        return chunk({"content": text}, obfuscation=padding)
    return text_delta(text, number, obfuscation=padding)


def tokens(family: ModuleType, count: int) -> list[bytes]:
    return [token(family, f" word {number}", number, "x" * (number % 7)) for number in range(count)]


def learned(family: ModuleType, payload: bytes | None = None) -> Alike:
    """One that knows this event's like."""
    reading = family.Reading()
    reading.run([payload] * 20 if payload else tokens(family, 20))
    return reading


def told(events: list[Any]) -> list[Any]:
    """All that can be told of these events."""
    return [(type(event), repr(event), event.to_dict(), event._json) for event in events]


# -- Nobody can tell ---------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_events_are_those_of_the_strict_reading(family: ModuleType) -> None:
    reading = learned(family)
    run = tokens(family, 50)
    events = reading.run(run)
    assert reading.like is not None  # or nothing was shown here
    assert told(events) == told(family.decode_run(run))
    assert reading.texts == [f" word {number}" for number in range(50)]
    assert [family.text(event) for event in events] == reading.texts


TEXTS = ["", " ", "\n", '"', "\\", "\\\\", 'a "quoted" word', "caf\u00e9", "\u6708", "\U0001f319"]
TEXTS += ["\x00\x1f", "\x7f", "/"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("escaped", [True, False], ids=["ASCII", "UTF-8"])
def test_every_text_there_is(family: ModuleType, escaped: bool) -> None:
    reading = learned(family)
    run = [token(family, text, 10**number) for number, text in enumerate(TEXTS)]
    if escaped:
        run = [json.dumps(json.loads(payload), separators=(",", ":")).encode() for payload in run]
    events = reading.run(run)
    assert reading.like is not None
    assert reading.texts == TEXTS
    assert told(events) == told(family.decode_run(run))


def test_the_texts_of_each_kind_of_delta() -> None:
    call = {"index": 0, "id": None, "function": {"arguments": '{"a":', "name": None}}
    kinds = [
        (chat, chunk({"tool_calls": [call]}), '{"a":'),
        (chat, chunk({"content": "", "reasoning_content": "thinks"}), "thinks"),
        (chat, chunk({"content": None, "reasoning": "thinks"}), "thinks"),
        (responses, written({"type": "response.refusal.delta", "delta": "no", "item_id": "i"}), "no"),
        (responses, written({"type": "response.function_call_arguments.delta", "delta": "{", "item_id": "i"}), "{"),
        (responses, written({"type": "response.reasoning_text.delta", "delta": "hm", "sequence_number": 5}), "hm"),
        (chat, json.dumps({"choices": [{"index": 0, "delta": {"content": "spaces"}}]}).encode(), "spaces"),
    ]
    for family, payload, text in kinds:
        reading = learned(family, payload)
        events = reading.run([payload] * 2)
        assert reading.like is not None, payload
        assert reading.texts == [text] * 2
        assert told(events) == told([family.decode(payload)] * 2)


FILTERED = {"content_filter_results": {"hate": {"filtered": False, "severity": "safe"}, "scores": [0.5, -1, 2**70]}}


@pytest.mark.parametrize(
    ("family", "payload"),
    [
        pytest.param(chat, chunk({"content": "a"}, provider="P", citations=["a.example"]), id="chat-in the chunk"),
        pytest.param(chat, written({"choices": [{"delta": {"content": "a"}, **FILTERED}]}), id="chat-in the choice"),
        pytest.param(chat, chunk({"content": "a", "token_id": 7, "more": FILTERED}), id="chat-in the delta"),
        pytest.param(chat, chunk({"content": "a"}, system_fingerprint=7), id="chat-of another type"),
        pytest.param(responses, text_delta("a", provider="P", **FILTERED), id="responses"),
    ],
)
def test_unknown_fields_are_there_in_each_event_anew(family: ModuleType, payload: bytes) -> None:
    assert family.decode_run([payload]) == []  # the strict reading refuses it
    reading = family.Reading()
    assert reading.run([payload] * 20) == []
    run = [payload, payload.replace(b'"a"', b'"\\u6708"')]
    for _ in range(2):
        events = reading.run(run)
        assert reading.like is not None
        assert told(events) == told(list(map(family.decode, run)))
        assert [event.model_extra for event in events] == [family.decode(payload).model_extra] * 2
        for event in events:
            for value in event.model_extra.values():
                getattr(value, "clear", str)()
            event.__dict__["new"] = 1
            if family is chat:
                event.choices[0].delta.__dict__.clear()
                for found in event.choices[0].__dict__.values():
                    found["scores"].append("changed")


@pytest.mark.parametrize("family", FAMILIES)
def test_what_one_reader_does_to_an_event_the_next_does_not_see(family: ModuleType) -> None:
    reading = learned(family)
    run = tokens(family, 3)
    expected = told(family.decode_run(run))
    for event in reading.run(run):
        event.obfuscation = "changed"
        if family is chat:
            event.choices[0].delta.content = "changed"
            event.choices[0].delta.role = "changed"
            event.choices[0].index = 7
            event.choices.append(None)
        else:
            event.delta = event.item_id = "changed"
            event.logprobs.append("changed")
        event.new = "attribute"
    assert told(reading.run(run)) == expected
    assert reading.like is not None


def test_the_event_that_was_learned_from_is_the_users_too() -> None:
    reading = chat.Reading()
    events = reading.run(tokens(chat, 20))
    assert reading.like is None  # these were read strictly
    events[-1].choices[0].delta.content = "changed"
    events[-1].model = "changed"
    events[-1].choices.clear()
    assert told(reading.run(tokens(chat, 2))) == told(chat.decode_run(tokens(chat, 2)))
    assert reading.like is not None


ODD = {
    "another id": lambda payload: payload.replace(b"chatcmpl-1", b"chatcmpl-2").replace(b"msg_1", b"msg_2"),
    "a space more": lambda payload: payload.replace(b",", b", ", 1),
    "an unknown field": lambda payload: payload[:-1] + b',"x":1}',
    "a field twice": lambda payload: payload[:-1] + b',"obfuscation":"y"}',
    "something behind it": lambda payload: payload + b" ",
    "two in one": lambda payload: payload + payload,
    "cut": lambda payload: payload[:-1],
    "cut in a text": lambda payload: payload[: payload.rindex(b'"')],
    "cut behind a reverse solidus": lambda payload: payload[: payload.rindex(b'"')] + b"\\",
    "a control character": lambda payload: payload.replace(b" word", b"\x01word"),
    "a tab": lambda payload: payload.replace(b" word", b"\tword"),
    "no UTF-8": lambda payload: payload.replace(b" word", b"\xffword"),
    "half a character": lambda payload: payload.replace(b" word", b"\xe2\x82"),
    "an encoded surrogate": lambda payload: payload.replace(b" word", b"\xed\xa0\x80"),
    "an escape that is none": lambda payload: payload.replace(b" word", b"\\x"),
    "half an escape": lambda payload: payload.replace(b" word", b"\\u12"),
    "half a pair": lambda payload: payload.replace(b" word", b"\\ud83d"),
    "a quotation mark": lambda payload: payload.replace(b" word", b'"word'),
    "null": lambda payload: payload.replace(b'" word 0"', b"null"),
    "an array": lambda payload: payload.replace(b'" word 0"', b'["word"]'),
    "a number with a zero": lambda payload: payload.replace(b'r":0', b'r":00'),
    "a negative number": lambda payload: payload.replace(b'r":0', b'r":-1'),
    "a fraction": lambda payload: payload.replace(b'r":0', b'r":0.5'),
    "an exponent": lambda payload: payload.replace(b'r":0', b'r":1e3'),
    "no number": lambda payload: payload.replace(b'r":0', b'r":'),
    "a long number": lambda payload: payload.replace(b'r":0', b'r":1234567890123456789012'),
    "nothing": lambda payload: b"",
}


def odd_ones() -> list[Any]:
    """Each family's tokens, spoiled in every way that is one for them."""
    found = []
    for family in (chat, responses):
        usual = tokens(family, 1)[0]
        pairs = {name: change(usual) for name, change in ODD.items()}
        found += [pytest.param(family, odd, id=f"{family.name}-{name}") for name, odd in pairs.items() if odd != usual]
    return found


@pytest.mark.parametrize(("family", "other"), odd_ones())
def test_an_odd_one_is_left_to_the_strict_reading(family: ModuleType, other: bytes) -> None:
    usual = tokens(family, 4)
    for place in range(3):
        reading = learned(family)
        run = [*usual[1 : 1 + place], other, *usual[1:]]
        expected = told(family.decode_run(run))
        assert told(reading.run(run)) == expected
        assert reading.like is None
        assert told(reading.run(usual)) == told(family.decode_run(usual))
        assert reading.like is not None  # one of another kind does not unlearn it


@given(
    st.sampled_from([chat, responses]),
    st.lists(st.tuples(st.text(max_size=12), st.integers(0, 10**20), st.text("ab\"\\", max_size=5)), max_size=5),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 400), st.binary(max_size=2)), max_size=2),
)
@settings(max_examples=400)
def test_whatever_comes_the_events_are_those_of_the_strict_reading(
    family: ModuleType, parts: list[tuple[str, int, str]], escaped: bool, spoiled: list[tuple[int, int, bytes]]
) -> None:
    run = []
    for text, number, padding in parts:
        made = token(family, text.encode("utf-8", "replace").decode(), number, padding)
        run.append(json.dumps(json.loads(made), separators=(",", ":")).encode() if escaped else made)
    for which, at, data in spoiled:
        if which < len(run):
            place = at % len(run[which])
            run[which] = run[which][:place] + data + run[which][place + 1 :]
    run = [payload for payload in run if payload[:1] == b"{" and payload[-1:] == b"}" and b"\n" not in payload]
    assert told(learned(family).run(run)) == told(family.decode_run(run))


# -- Added up ------------------------------------------------------------------------------

CHAT = [
    *[chunk({"content": text}) for text in ("a", "b", "\u6708", "")],
    *[chunk({"content": text}, index=1) for text in ("x", "y")],
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "thinks"}),
    chunk({"content": "c"}, system_fingerprint="fp"),
    chunk({"content": None, "refusal": "no"}),
    chunk({"tool_calls": [{"index": 0, "id": "call", "function": {"name": "f", "arguments": ""}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
    chunk({"content": "d", "new": 1}),
    chunk({}, "stop"),
    chunk({"content": "e"}, provider="P"),
    chunk({"content": "f", "reasoning_trace": "t"}),
    chunk({"content": "g"}, provider="P", choices=[{"delta": {"content": "g"}, "index": 0, "new": ["n"]}]),
]
ITEM = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}
ADDED = {"type": "response.output_item.added", "output_index": 0, "sequence_number": 1}
PART = {"type": "response.content_part.added", "item_id": "msg_1", "output_index": 0, "content_index": 0}
WHOLE = {"type": "response.output_text.done", "item_id": "msg_1", "output_index": 0, "content_index": 0}
PLACE = {"item_id": "msg_1", "output_index": 0}
RESPONSES = [
    *[text_delta(text, number) for number, text in enumerate(("a", "b", "\u6708", ""))],
    *[text_delta(text, item="msg_2") for text in ("x", "y")],
    written({"type": "response.output_text.delta", **PLACE, "content_index": 1, "delta": "z"}),
    text_delta("l", logprobs=[{"token": "l", "logprob": -1.0, "top_logprobs": []}]),
    written({**ADDED, "item": ITEM}),
    written({**ADDED, "item": {**ITEM, "id": "msg_2"}, "output_index": 1}),
    written({**PART, "part": {"type": "output_text", "text": "", "annotations": []}}),
    written({**WHOLE, "text": "whole", "sequence_number": 9}),
    written({"type": "response.refusal.delta", **PLACE, "content_index": 0, "delta": "no"}),
    written({"type": "response.function_call_arguments.delta", "item_id": "fc", "output_index": 2, "delta": "{"}),
    text_delta("p", provider="P"),
    text_delta("q", item="msg_2", new={"a": []}),
    written({"type": "response.of_tomorrow.delta", "delta": "t"}),
]
REPEATED = {0, 1, 2, 3, 4, 5, 11, 13, 14, 15, 16}
runs = st.lists(st.tuples(st.integers(0, 16), st.integers(1, 20)), min_size=1, max_size=25)
reads = st.lists(st.integers(1, 40), max_size=20)  # of so many events


def payloads_of(family: ModuleType, chosen: list[tuple[int, int]]) -> list[bytes]:
    pool = CHAT if family is chat else RESPONSES
    return [pool[which] for which, times in chosen for _ in range(times if which in REPEATED else 1)]


def cut(payloads: list[bytes], sizes: list[int]) -> list[list[bytes]]:
    found, at = [], 0
    for size in [*sizes, len(payloads)]:
        found.append(payloads[at : at + size])
        at += size
    return [run for run in found if run]


def snapshot_of(taker: Any) -> Any:
    return taker.snapshot().to_dict()


@pytest.mark.parametrize("family", FAMILIES)
def test_run_after_run_of_the_same_kind(family: ModuleType) -> None:
    reading, together, helper, alone = (
        family.Reading(),
        family.Accumulator(),
        family.Helper(),
        family.Accumulator(),
    )
    for run in cut(tokens(family, 200), [20] * 9):
        events = reading.run(run)
        together.add_run(events, reading.like, reading.texts)
        given = helper.events(reading.run(run), reading.like, reading.texts)
        for payload in run:
            alone.add(family.decode(payload))
        assert snapshot_of(together) == snapshot_of(alone)
        deltas = [event for event in given if event.type.endswith("delta")]
        assert [event.delta for event in deltas] == [family.text(event) for event in events]
        text = "".join(f" word {number}" for number in range(200))
        assert all(text.startswith(event.snapshot) and event.snapshot.endswith(event.delta) for event in deltas)
    assert reading.like is not None
    assert deltas[-1].snapshot == text


@pytest.mark.parametrize("family", FAMILIES)
@given(runs, reads)
@settings(max_examples=150)
def test_what_they_add_up_to_is_the_same(family: ModuleType, chosen: list[tuple[int, int]], sizes: list[int]) -> None:
    reading, together, alone = family.Reading(), family.Accumulator(), family.Accumulator()
    for run in cut(payloads_of(family, chosen), sizes):
        events = reading.run(run)
        together.add_run(events, reading.like, reading.texts)
        together.add_run([family.decode(payload) for payload in run[len(events) :]])
        for payload in run:
            alone.add(family.decode(payload))
        assert snapshot_of(together) == snapshot_of(alone)
        assert together.complete == alone.complete


def chunks_of(choices: Any) -> bytes:
    return written({"id": "c", "choices": choices})


MISSHAPEN = {
    "a delta that is text": (chat, chunks_of([{"index": 0, "delta": "abc"}])),
    "a delta that is a list": (chat, chunks_of([{"index": 0, "delta": [], "logprobs": {"content": "abc"}}])),
    "choices again, and none": (chat, chunks_of([{"index": 0, "delta": {"content": "abc"}}])[:-1] + b',"choices":""}'),
    "the delta again, and none": (responses, text_delta("abc")[:-1] + b',"delta":null}'),
}


@pytest.mark.parametrize(("family", "payload"), MISSHAPEN.values(), ids=MISSHAPEN)
def test_an_event_of_any_shape_may_come_again_and_again(family: ModuleType, payload: bytes) -> None:
    reading, together, alone = family.Reading(), family.Accumulator(), family.Accumulator()
    helper, plain_helper = family.Helper(), family.Helper()
    for _ in range(4):
        events = reading.run([payload] * 20) or [family.decode(payload) for _ in range(20)]
        together.add_run(events, reading.like, reading.texts)
        found = helper.events([family.decode(payload) for _ in range(20)], reading.like, reading.texts)
        for _ in range(20):
            alone.add(family.decode(payload))
        expected = [event for _ in range(20) for event in plain_helper.events([family.decode(payload)])]
        assert list(map(repr, found)) == list(map(repr, expected))
    assert told(events) == told([family.decode(payload)] * 20)
    assert snapshot_of(together) == snapshot_of(alone)
    assert snapshot_of(helper) == snapshot_of(plain_helper)


def test_of_what_a_stream_says_of_itself_the_latest_word_is_believed() -> None:
    reading, together = chat.Reading(), chat.Accumulator()

    def take(count: int, **more: Any) -> None:
        events = reading.run([chunk({"content": "a"}, provider="P", **more)] * count)
        events = events or [chat.decode(chunk({"content": "a"}, provider="P", **more)) for _ in range(count)]
        together.add_run(events, reading.like, reading.texts)

    for _ in range(3):
        take(20, system_fingerprint="fp_1")
    assert reading.like is not None
    take(20, system_fingerprint="fp_2")
    take(20, system_fingerprint="fp_1")
    assert together.snapshot().system_fingerprint == "fp_1"


@pytest.mark.parametrize("family", FAMILIES)
@given(runs, reads)
@settings(max_examples=100)
def test_the_helpers_events_are_the_same(family: ModuleType, chosen: list[tuple[int, int]], sizes: list[int]) -> None:
    reading, together, alone = family.Reading(), family.Helper(), family.Helper()
    for run in cut(payloads_of(family, chosen), sizes):
        events = reading.run(run)
        found = together.events(events, reading.like, reading.texts)
        found += together.events([family.decode(payload) for payload in run[len(events) :]])
        expected = [event for payload in run for event in alone.events([family.decode(payload)])]
        assert list(map(repr, found)) == list(map(repr, expected))  # snapshots and all
    assert snapshot_of(together) == snapshot_of(alone)


# -- What is learned, and when -----------------------------------------------------------


@pytest.fixture
def lessons(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was learned from."""
    found: list[bytes] = []
    learn = alike._template

    def noted(decode: Any, payload: bytes) -> Any:
        found.append(payload)
        return learn(decode, payload)

    monkeypatch.setattr(alike, "_template", noted)
    return found


def test_a_short_answer_learns_nothing(lessons: list[bytes]) -> None:
    reading = chat.Reading()
    for payload in tokens(chat, 15):
        reading.run([payload])
    assert lessons == []
    reading.run([])
    reading.run(tokens(chat, 1))
    assert lessons == tokens(chat, 1)


def test_what_a_stream_has_come_to_say_is_learned_anew(lessons: list[bytes]) -> None:
    reading = learned(chat)
    call = chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]})
    reading.run([call])
    assert len(lessons) == 1  # one may be the only one
    reading.run([call])
    assert lessons[1:] == [call]
    assert reading.run([call]) == chat.decode_run([call])
    assert reading.like is not None


def test_a_server_that_always_says_something_new_is_given_up(lessons: list[bytes]) -> None:
    reading = chat.Reading()
    run = [chunk({"content": "a"}, id=f"chatcmpl-{number}") for number in range(200)]
    for payload in run:
        assert told(reading.run([payload])) == told(chat.decode_run([payload]))
    assert len(lessons) == 4


def test_one_that_was_of_use_does_not_count(lessons: list[bytes]) -> None:
    reading = chat.Reading()
    for number in range(10):
        run = [chunk({"content": "a"}, id=f"chatcmpl-{number}")]
        for _ in range(4):
            reading.run(run * 5)
        reading.run(run * 300)
        assert reading.like is not None
    assert len(lessons) == 10


def test_two_choices_by_turns_are_each_read_right() -> None:
    reading = chat.Reading()
    run = [chunk({"content": "a"}, index=number % 2) for number in range(40)]
    assert told(reading.run(run)) == told(chat.decode_run(run))
    assert told(reading.run(run)) == told(chat.decode_run(run))


def choice_of(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"delta": {"content": "a", **delta}, **more}


UNUSUAL = {
    "no text": chunk({"content": ""}),
    "two texts": chunk({"content": "a", "reasoning": "b"}),
    "a field twice": chunk({"content": "a"})[:-1] + b',"obfuscation":"b","obfuscation":"c"}',
    "two choices": written({"choices": [choice_of({}), choice_of({})]}),
    "log probabilities": written({"choices": [choice_of({}, logprobs={"content": []})]}),
    "a list of numbers": written({"choices": [choice_of({"reasoning_details": [1]})]}),
    "two calls": written({"choices": [choice_of({"tool_calls": [{"index": 0}, {"index": 1}]})]}),
    "an error": b'{"error":{"message":"no","content":"a"}}',
    "two branches": written({"choices": [choice_of({"tool_calls": [{"function": {"name": "f"}}]})], "usage": {}}),
}


@pytest.mark.parametrize("payload", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_no_chain_of_records_with_one_text_is_never_learned(payload: bytes, lessons: list[bytes]) -> None:
    reading = learned(chat, payload)
    assert told(reading.run([payload])) == told(chat.decode_run([payload]))
    assert reading.like is None
    assert lessons


def test_a_template_is_tried_before_it_is_believed() -> None:
    def backwards(payload: bytes) -> Any:
        event = chat.decode(payload)
        delta = event.choices[0].delta
        assert isinstance(delta.content, str)
        delta.content = delta.content[::-1]
        return event

    reading = Alike(lambda payloads: [backwards(payload) for payload in payloads], backwards)
    for _ in range(3):
        events = reading.run([chunk({"content": "abc"})] * 20)
        assert events[0].choices[0].delta.content == "cba"
        assert reading.like is None


def test_where_nothing_is_compiled_nothing_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "compiled", None)
    reading = learned(chat)
    assert told(reading.run(tokens(chat, 3))) == told(chat.decode_run(tokens(chat, 3)))
    assert reading.like is None


def test_without_a_compiler_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert imported_without(alike, "tokenwire.families._alike", monkeypatch).compiled is None


def test_an_error_is_no_event() -> None:
    reading = learned(chat)
    bad = b'{"error":{"message":"no"}}'
    assert reading.run([*tokens(chat, 2), bad, *tokens(chat, 1)]) == chat.decode_run(tokens(chat, 2))
    with pytest.raises(APIError, match="no"):
        chat.decode(bad)


# -- Careful -------------------------------------------------------------------------------


def arguments(**changes: Any) -> dict[str, Any]:
    """Those of a template that makes a ChoiceDelta of {"content":"..."}."""
    steps = ((chat.ChoiceDelta, -1), (chat.ChoiceDelta.content, 0))
    usual = {"literals": (b'{"content":"', b'"}'), "kinds": "s", "text": 0, "steps": steps, "unescape": json.loads}
    return {**usual, **changes}


def test_a_template_by_itself() -> None:
    assert alike.compiled is not None
    template = alike.compiled(**arguments())
    events, texts = template.read([b'{"content":"a"}', b'{"content":"\\n"}', b'{"content":1}', b'{"content":"b"}'])
    assert events == [chat.ChoiceDelta(content="a"), chat.ChoiceDelta(content="\n")]
    assert texts == ["a", "\n"]
    assert template.read([]) == ([], [])


CONTENT = chat.ChoiceDelta.content
NEW = (chat.ChoiceDelta, -1)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"literals": (b'{"content":"',)}, ValueError),
        ({"literals": (b'{"content":', b'"}')}, ValueError),
        ({"literals": (b'{"content":"', b"}}")}, ValueError),
        ({"literals": (b'{"content":"', "}")}, TypeError),
        ({"literals": [b'{"content":"', b'"}']}, TypeError),
        ({"kinds": ""}, ValueError),
        ({"kinds": "x"}, ValueError),
        ({"kinds": "s" * 9, "literals": (b'""',) * 10}, ValueError),
        ({"text": 1}, ValueError),
        ({"text": -1}, ValueError),
        ({"steps": ()}, ValueError),
        ({"steps": ((CONTENT, 0),)}, ValueError),
        ({"steps": (NEW, (CONTENT, 1))}, ValueError),
        ({"steps": (NEW, (CONTENT, -5))}, ValueError),
        ({"steps": (NEW, (CONTENT, 2**70))}, OverflowError),
        ({"steps": (NEW, (CONTENT, "0"))}, TypeError),
        ({"steps": ((CONTENT, dict), NEW)}, ValueError),
        ({"steps": (NEW, (CONTENT, -3))}, ValueError),
        ({"steps": (NEW, NEW)}, ValueError),
        ({"steps": (NEW, NEW, NEW)}, ValueError),
        ({"steps": (NEW, (object(), 0))}, TypeError),
        ({"steps": (NEW, 5)}, TypeError),
        ({"steps": (NEW, (CONTENT, 0, 0))}, TypeError),
        ({"steps": [NEW]}, TypeError),
    ],
)
def test_a_template_that_would_be_none_is_refused(changes: dict[str, Any], error: type[Exception]) -> None:
    assert alike.compiled is not None
    with pytest.raises(error):
        alike.compiled(**arguments(**changes))


def test_what_is_no_list_of_bytes_is_refused() -> None:
    assert alike.compiled is not None
    template = alike.compiled(**arguments())
    with pytest.raises(TypeError, match="list of bytes"):
        template.read((b"{}",))  # type: ignore[arg-type]  # that is the point
    with pytest.raises(TypeError):
        template.read([b'{"content":"a"}', "{}"])  # type: ignore[list-item]  # that is the point


def test_an_object_that_cannot_be_made_is_an_error_and_leaves_nothing_behind() -> None:
    assert alike.compiled is not None

    def refuses() -> Any:
        raise RuntimeError("no more objects")

    inner = (NEW, (CONTENT, 0), (refuses, -1), (chat.ChunkChoice.delta, -3))
    wrong = ((list, -1), (CONTENT, 0))  # a field of another class
    for steps, error in ((inner, RuntimeError), (wrong, TypeError)):
        template = alike.compiled(**arguments(steps=steps))
        with pytest.raises(error):
            template.read([b'{"content":"a"}'])


@pytest.mark.parametrize("family", FAMILIES)
def test_no_memory_is_left_behind(family: ModuleType) -> None:
    """Neither by what is read, nor by what is not, nor by what is learned."""
    runs = [tokens(family, 20), *[[*tokens(family, 2), change(tokens(family, 1)[0])] for change in ODD.values()]]

    def play() -> None:
        reading = learned(family)
        for run in runs:
            reading.run(run)

    play()
    payload = tokens(family, 1)[0]
    references = sys.getrefcount(payload)
    tracemalloc.start()
    try:
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(30):
            play()
        learned(family).run([payload] * 100)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sys.getrefcount(payload) == references
    assert after - before < 20_000  # one lost object a token would be ten times that
