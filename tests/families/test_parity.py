"""The official package and tokenwire, given the same bytes by the same socket.

Each recording (tests/vectors) and each fact (support/facts.py) is played to both, by
`create` and by `.stream()`. What both make of it must be the same: the events' to_dict(),
how the stream ends, what the error says, the helper's events, the final object. Where
that is not so, DIFFERENCES says why; a difference that is listed and is none fails too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

import tokenwire
from support.facts import FACTS
from support.loopback import Answer, Loopback, loopback

# The official types complain, when they are dumped, of what servers put into them.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")

RECORDINGS = Path(__file__).parents[1] / "vectors"


@dataclass(frozen=True)
class Vector:
    answer: Answer
    family: str
    stream: bool


def vectors() -> dict[str, Vector]:
    found = {}
    for path in sorted(RECORDINGS.glob("*.http")):
        about = json.loads(path.with_suffix(".json").read_text())
        expected = about["expected"]
        end = {"eof": "eof", "reset": "reset"}.get(about["response"]["connection_end"], "open")
        if end == "open" and expected["outcome"] == "truncated":
            end = "eof"  # it fell silent: what a clock makes of that is tested elsewhere
        found[path.stem] = Vector(Answer(path.read_bytes(), end), about["family"], expected.get("stream", True))
    assert len(found) >= 123, f"the recordings belong into {RECORDINGS}"
    for fact in FACTS:
        found[f"fact-{fact.family}-{fact.name}"] = Vector(Answer(fact.answer()), fact.family, True)
    return found


VECTORS = vectors()


@dataclass(frozen=True)
class Difference:
    """A deliberate one. shows: the lines that tell of it, as patterns: aspect, path, theirs != ours."""

    why: str
    vectors: frozenset[str]
    shows: tuple[str, ...]


def differ(why: str, vectors: str, *shows: str) -> Difference:
    names = vectors.split()
    assert len(set(names)) == len(names), names
    assert set(names) <= VECTORS.keys(), set(names) - VECTORS.keys()
    return Difference(why, frozenset(names), shows)


CUT = """h11-ssestarlette-raise ht-vllmlike-raise hyper-vllmlike-raise llama-chat-sigterm nginx-gzip-raise
    node-chat-reset node-resp-cut-chunk"""  # in the middle of HTTP's own framing
CUT_LATE = "litellm-resp-miderror llama-resp-killed"
WITHOUT_PLACES = """litellm-resp-hosted llama-resp-eos llama-resp-long llama-resp-ping llama-resp-plain
    nginx-gzip-llama-resp fact-responses-places-missing fact-responses-places-missing-and-output-null"""
WITHOUT_OUTPUT = """litellm-resp-hosted litellm-resp-miderror llama-resp-eos llama-resp-killed llama-resp-long
    llama-resp-miderror llama-resp-ping llama-resp-plain llama-resp-tool nginx-gzip-llama-resp"""
CUT_BY_LENGTH = """litellm-chat-hosted litellm-chat-logprobs litellm-chat-long litellm-chat-multibyte
    litellm-chat-plain litellm-chat-tool litellm-chat-usage llama-chat-connclose llama-chat-ctxfull
    llama-chat-gzip-asked llama-chat-http10 llama-chat-logprobs llama-chat-long llama-chat-multibyte
    llama-chat-multibyte-smallreads llama-chat-plain llama-chat-reasoning llama-chat-resumable llama-chat-usage
    llama-chat-zero-token llama-stream-resume-0 mlx-chat-keepalive mlx-chat-plain mlx-chat-usage
    nginx-buffered-llama-chat nginx-close-llama-chat nginx-gzip-llama-chat tf-chat-multibyte tf-chat-temp0"""
#: Every difference there is, and why it is meant to be.
DIFFERENCES = [
    # -- the end
    differ(
        "A cut stream has a class of its own; it holds what came before the cut.",
        CUT,
        r"end: 'APIConnectionError' != 'StreamTruncatedError'",
        r"helper end: 'APIConnectionError' != 'StreamTruncatedError'",
    ),
    differ(
        "The same, where their helper fell over before the cut.",
        CUT_LATE,
        r"end: 'APIConnectionError' != 'StreamTruncatedError'",
        r"helper end: 'TypeError' != 'StreamTruncatedError'",
    ),
    differ(
        "The official package takes an answer that was cut off for a whole one.",
        "nginx-close-raise fact-chat-neither",
        r"end: None != 'StreamTruncatedError'",
        r"helper end: None != 'StreamTruncatedError'",
    ),
    differ(
        "The same; their helper sees it.",
        "fact-responses-cut",
        r"end: None != 'StreamTruncatedError'",
        r"helper end: 'RuntimeError' != 'StreamTruncatedError'",
    ),
    differ(
        "An answer that was cut by its length is one, unless it was to be parsed.",
        CUT_BY_LENGTH,
        r"helper end: 'LengthFinishReasonError' != None",
    ),
    # -- what the official package loses, or falls over
    differ(
        "`id` or `retry` without data is no event. The official decoder makes one, and fails to read it.",
        "h11-ssestarlette-ids",
        r"end: 'JSONDecodeError' != None",
        r"events: 6 != 20",
        r"helper end: 'JSONDecodeError' != None",
    ),
    differ(
        "The byte order mark belongs to the stream. The official decoder loses the first event with it.",
        "node-chat-bom",
        r"events: 19 != 20",
        r"helper events: 37 != 39",
        r"final.choices\[0\].message.role: '\(absent\)' != 'assistant'",
    ),
    differ(
        "output_index may be missing. The official helper falls over it.",
        WITHOUT_PLACES,
        r"helper end: 'TypeError' != None",
    ),
    differ("The same.", "llama-resp-miderror", r"helper end: 'TypeError' != 'APIError'"),
    differ(
        "A stream may begin in the middle, with any event, and end with any terminal one; its deltas need not have "
        "been announced. The official helper insists on response.created, response.completed and all between.",
        """fact-responses-resumed fact-responses-first-is-queued fact-responses-first-is-in-progress
        fact-responses-failed fact-responses-deltas-unannounced litellm-resp-bridge""",
        r"helper end: 'RuntimeError' != None",
    ),
    differ(
        "The official helper falls over choice 1 before choice 0, a choice without delta, a chunk without object, "
        "a call without index, a call whose type comes again.",
        """llama-chat-n2 fact-chat-choices-interleaved fact-chat-azure-async-filter fact-chat-extra-fields
        fact-chat-tool-without-index fact-chat-tools-by-id fact-chat-tools-by-position fact-chat-tool-names-repeated""",
        r"helper end: '(IndexError|AttributeError|AssertionError|TypeError)' != None",
    ),
    differ(
        "The official helper skips a chunk whose object is empty, and forgets unknown fields.",
        "fact-chat-azure-filter-first",
        r"helper events: 8 != 9",
        r"final.prompt_filter_results: '\(absent\)' != \[.*",
    ),
    differ("The official helper forgets unknown fields.", "llama-chat-tool", r"final.timings: '\(absent\)' != \{.*"),
    differ(
        "The same, seen on the way.",
        "llama-chat-zero-token",
        r"snapshots\[\d+\]\[1\].timings: '\(absent\)' != \{.*",
    ),
    differ(
        "The official helper makes some events anew, without their unknown fields.",
        "litellm-resp-bridge litellm-resp-bridge-tool llama-resp-tool",
        r"helper events\[\d+\].(model|timings): '\(absent\)' != .*",
    ),
    differ(
        "An event is as it came. The official helper writes an empty output into those of the beginning.",
        WITHOUT_OUTPUT,
        r"helper events\[[01]\].response.output: \[\] != '\(absent\)'",
    ),
    differ(
        "The last usage that is not null counts, wherever it came.",
        "fact-chat-usage-not-in-the-last fact-chat-usage-then-null",
        r"final.usage: '\(absent\)' != \{.*",
        r"snapshots\[\d+\]\[1\].usage: '\(absent\)' != \{.*",
    ),
    differ(
        "A role that is repeated is one role.",
        "fact-chat-role-in-each-chunk",
        r"final.choices\[0\].message.role: 'assistantassistantassistant' != 'assistant'",
        r"snapshots\[\d+\]\[1\].choices\[0\].message.role: '(assistant){2,}' != 'assistant'",
    ),
    differ(
        "The same, in an answer that was cut by its length.",
        "mlx-chat-keepalive mlx-chat-plain mlx-chat-usage",
        r"final\[0\].message.role: '(assistant){2,}' != 'assistant'",
        r"snapshots\[\d+\]\[1\].choices\[0\].message.role: '(assistant){2,}' != 'assistant'",
    ),
    differ(
        "The role of an answer is known also where nobody says it.",
        "fact-chat-no-role",
        r"final.choices\[0\].message.role: '\(absent\)' != 'assistant'",
        r"snapshots\[\d+\]\[1\].choices\[0\].message.role: '\(absent\)' != 'assistant'",
    ),
    differ(
        "Parts are text too. The official helper leaves them out, and hands them on as if they were strings.",
        "fact-chat-content-parts",
        r"helper events\[\d+\].delta: \[.*\] != '.*'",
        r"helper events\[\d+\].content: 'moon' != 'The moon'",
        r"snapshots\[\d+\].*(content\b|\[1\]): .* != .*'The .*",
        r"snapshots\[\d+\]\[1\].choices\[0\].message.reasoning_content: '\(absent\)' != 'Let me see.'",
        r"final.choices\[0\].message.content: 'moon' != 'The moon'",
        r"final.choices\[0\].message.reasoning_content: '\(absent\)' != 'Let me see.'",
    ),
    differ(
        "Several calls at one index are several calls.",
        "fact-chat-tools-all-at-index-0 fact-chat-tools-index-taken",
        r"helper events: (7 != 8|11 != 12)",
        r"final.choices\[0\].message.tool_calls: 1 != 2",
    ),
    differ(
        "An id or a name that is repeated is one.",
        "fact-chat-tool-names-repeated",
        r"helper events\[4\].name: 'weatherweather' != 'weather'",
        r"snapshots\[\d+\]\[1\].choices\[0\].message.tool_calls\[0\].id: 'aa' != 'a'",
        r"snapshots\[\d+\]\[1\].choices\[0\].message.tool_calls\[0\].function.name: 'weatherweather' != 'weather'",
    ),
    differ(
        "Each call is told to be done. The official helper misses one that came whole in the last chunk.",
        "fact-chat-tool-in-one-delta",
        r"helper events: 3 != 4",
    ),
    differ(
        "The same, where another call came between.",
        "fact-chat-tools-by-index",
        r"helper events: 13 != 15",
    ),
    differ(
        "A text is told to be done also where no finish_reason came.",
        "fact-chat-done-without-a-finish-reason",
        r"helper events: 4 != 5",
    ),
    differ(
        "What the terminal event left out is there all the same.",
        "fact-responses-completed-item-missing",
        r"helper events\[13\].response.output: 1 != 2",
        r"final.output: 1 != 2",
    ),
    differ("The same.", "fact-responses-failed", r"helper events\[5\].response.output: 0 != 1"),
    # -- errors
    differ(
        "An error is raised, also one that comes flat. The official package hands it on as if it were an event.",
        "fact-chat-error-flat fact-responses-first-is-an-error",
        r"end: None != 'APIError'",
        r"events: 1 != 0",
        r"helper end: '(AssertionError|RuntimeError)' != 'APIError'",
    ),
    differ(
        "An error's message is the server's own, and its body whole, also where `error` is a string.",
        "fact-chat-error-text",
        r"said.message: 'An error occurred during streaming' != 'The engine died.'",
        r"said.body: 'The engine died.' != \{'error': 'The engine died.', 'error_type': 'generation'\}",
    ),
    differ(
        "The message of an error with a status says what the server said, whatever its form.",
        """mlx-chat-err404 nginx-err502 tf-resp-err-param portkey-chat-err-dead tf-chat-err-model tf-chat-err-param
        mlx-chat-err-json""",
        r"said.message: 'Error code: (\d+)' != [\"']Error code: \1 - .+",
    ),
    differ("The body of an error is as it came.", "nginx-err502", r"said.body: '<html>.*' != '<html>.*\\r\\n'"),
    differ("The same.", "mlx-chat-err-json", r"said.body: 'Invalid JSON.*' != \{'error': 'Invalid JSON.*"),
    differ(
        "An error that comes framed as a stream is one all the same.",
        "litellm-resp-err-start litellm-resp-mock",
        r"said.message: 'Error code: 500' != 'Error code: 500 - Error processing stream start'",
        r"said.code: None != '500'",
        r"said.type: None != 'internal_server_error'",
        r"said.body: 'data: .*' != \{'message': .*",
    ),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with loopback({name: vector.answer for name, vector in VECTORS.items()}) as running:
        yield running


@pytest.fixture(scope="module")
def clients(server: Loopback) -> Iterator[list[Any]]:
    # Some answers end with the connection, unannounced, and the official client asks on one that is about to close.
    alone = {"Connection": "close"}
    with (
        openai.OpenAI(api_key="k", base_url=server.url, max_retries=0, default_headers=alone) as theirs,
        tokenwire.Client(api_key="k", base_url=server.url, max_retries=0) as ours,
    ):
        yield [theirs, ours]


# -- What a client makes of a vector ------------------------------------------------------


def plain(value: Any) -> Any:
    """An event, an object or a list of them as JSON values."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, openai.BaseModel):
        return value.to_dict(warnings=False)
    if not hasattr(value, "to_dict"):
        return value
    found = value.to_dict()
    assert value.model_dump(exclude_unset=True) == found  # nobody has set anything
    return found


def said(error: Exception | None) -> Any:
    """What an error tells: its message, its status and what the server sent with it."""
    if error is None:
        return None
    return {
        "message": getattr(error, "message", str(error)),
        **{name: getattr(error, name, None) for name in ("status_code", "code", "param", "type", "request_id", "body")},
    }


def created(client: Any, name: str) -> dict[str, Any]:
    """What `create` gives, by aspect."""
    vector = VECTORS[name]
    resource = client.chat.completions if vector.family == "chat" else client.responses
    asked = {"messages": []} if vector.family == "chat" else {"input": ""}
    events: list[Any] = []
    whole = error = None
    try:
        got = resource.create(model="m", stream=vector.stream, extra_headers={"X-Vector": name}, **asked)
        if vector.stream:
            with got:
                events.extend(plain(event) for event in got)
        else:
            whole = plain(got)
    except Exception as failure:
        error = failure
    return {"events": events, "whole": whole, "end": type(error).__name__ if error else None, "said": said(error)}


def helper_fields(event: Any, official: Any) -> dict[str, Any]:
    """An event of `.stream()` as values: the fields of the official class of that type."""
    if official is not None:
        return {name: plain(getattr(event, name)) for name in official.model_fields if name != "snapshot"}
    found = plain(event)
    if hasattr(event, "snapshot"):
        found["snapshot"] = event.snapshot
    if event.type in TERMINAL:
        found["response"] = plain(event.response)  # whole and parsed: not what came
    return found


TERMINAL = {"response.completed", "response.incomplete", "response.failed"}
ABSENT = "(absent)"
#: Ours alone: the official helper does not know of reasoning.
REASONING = {"reasoning.delta", "reasoning.done"}


def helped(client: Any, name: str, official: dict[str, Any]) -> dict[str, Any]:
    """What `.stream()` gives, by aspect. official: the class of each type of event; filled by the official client."""
    vector = VECTORS[name]
    chat = vector.family == "chat"
    resource = client.chat.completions if chat else client.responses
    asked: Any = {"messages": []} if chat else {"input": ""}
    events: list[Any] = []
    snapshots: list[Any] = []
    final = error = None
    try:
        with resource.stream(model="m", extra_headers={"X-Vector": name}, **asked) as stream:
            for event in stream:
                if event.type in REASONING:
                    continue
                if chat and isinstance(event, openai.BaseModel):
                    official[event.type] = type(event)
                events.append(helper_fields(event, official.get(event.type)))
                count = len(events)
                if count <= 20 or count & (count - 1) == 0 or isinstance(getattr(event, "snapshot", None), str):
                    # The official snapshot is one object that goes on changing: so it is looked at now.
                    snapshots.append((count, plain(getattr(event, "snapshot", None))))
            final = plain(stream.get_final_completion() if chat else stream.get_final_response())
    except Exception as failure:
        error = failure
        if isinstance(error, openai.LengthFinishReasonError):
            final = plain(error.completion)
    return {
        "helper events": told(events),
        "snapshots": told(snapshots),
        "final": told(final),
        "helper end": type(error).__name__ if error else None,
    }


def told(value: Any) -> Any:
    """Without what says nothing: the official helpers write null for whatever did not come.

    And without `index` in the calls of a whole message, which is no field of theirs: it is the delta's.
    """
    if isinstance(value, dict):
        inner = {key: told(one) for key, one in value.items() if one is not None}
        if "function" in inner and "id" in inner:
            inner.pop("index", None)
        return inner
    if isinstance(value, (list, tuple)):
        return [told(one) for one in value]
    return value


# -- The comparison -----------------------------------------------------------------------


def unlike(theirs: Any, ours: Any, path: str = "") -> Iterator[str]:
    """Where two values differ, and how."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            if key not in theirs or key not in ours:
                yield f"{path}.{key}: {theirs.get(key, ABSENT)!r} != {ours.get(key, ABSENT)!r}"
            else:
                yield from unlike(theirs[key], ours[key], f"{path}.{key}")
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for at, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from unlike(one, other, f"{path}[{at}]")
    elif isinstance(theirs, list) and isinstance(ours, list):
        yield f"{path}: {len(theirs)} != {len(ours)}"
    elif theirs != ours:
        yield f"{path}: {theirs!r} != {ours!r}"


def differences(theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """All of them, each behind the name of its aspect."""
    found = []
    ended = theirs.get("helper end")
    for aspect, whole in theirs.items():
        value, other = whole, ours[aspect]
        if aspect == "said" and theirs["end"] != ours["end"]:
            continue  # that they ended otherwise says it all
        if aspect == "final" and ended == "LengthFinishReasonError":
            value, other = value["choices"], other["choices"]  # theirs is of that moment: the usage came later
        elif aspect == "final" and ended != ours["helper end"]:
            continue
        if aspect in ("helper events", "snapshots") and ended is not None:
            other = other[: len(value)]  # the official helper stopped there
        elif aspect == "snapshots" and len(theirs["helper events"]) != len(ours["helper events"]):
            continue  # they are not those of the same events
        found += [f"{aspect}{one}" for one in unlike(value, other)]
    return found


@pytest.mark.parametrize("name", VECTORS)
def test_both_make_the_same_of_it(name: str, clients: list[Any]) -> None:
    theirs, ours = (created(client, name) for client in clients)
    found = differences(theirs, ours)
    if VECTORS[name].stream:
        official: dict[str, Any] = {}
        theirs, ours = (helped(client, name, official) for client in clients)
        found += differences(theirs, ours)
    listed = [shows for row in DIFFERENCES if name in row.vectors for shows in row.shows]
    assert [one for one in found if not any(re.fullmatch(shows, one, re.DOTALL) for shows in listed)] == []
    assert [shows for shows in listed if not any(re.fullmatch(shows, one, re.DOTALL) for one in found)] == []
