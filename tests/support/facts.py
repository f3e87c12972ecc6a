"""What real servers put into the events of both families, one vector for each fact.

Each Fact is a stream as such a server sends it, and what it means. `sent` is the data of
its events, in order. What is expected was written by hand from the fact:

* `final`: what the whole adds up to; the members that are named here must be there.
* `seen`: what a user who reads the events finds, by expressions over `events`.
* `error`: the message of the error that stands behind the last event; "" for a clean end,
  and "cut" for a truncation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["CHAT", "FACTS", "RESPONSES", "Fact", "chunk"]

Json = dict[str, Any]


@dataclass(frozen=True)
class Fact:
    name: str
    row: str  # of the table: the fact, and who does it
    sent: list[Any]
    final: Json = field(default_factory=dict)
    seen: Json = field(default_factory=dict)
    error: str = ""
    done: bool | None = None  # whether [DONE] follows; by default as the family's servers do
    family: Literal["chat", "responses"] = "chat"

    def body(self) -> bytes:
        """The body, in server-sent events."""
        lines = []
        for one in self.sent:
            if self.family == "responses" and isinstance(one, dict) and isinstance(one.get("type"), str):
                lines.append(f"event: {one['type']}\n")
            data = one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)
            lines.append(f"data: {data}\n\n")
        if self.family == "chat" if self.done is None else self.done:
            lines.append("data: [DONE]\n\n")
        return "".join(lines).encode()

    def answer(self) -> bytes:
        """The body behind a head."""
        body = self.body()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n"
        return head.encode() + body


def chunk(*choices: Json, **more: Any) -> Json:
    """A chunk with the names that all chunks of one stream share."""
    head: Json = {"id": "c1", "object": "chat.completion.chunk", "created": 1700000000, "model": "m"}
    return {**head, "choices": list(choices), **more}


def delta(index: int = 0, finish: str | None = None, /, **content: Any) -> Json:
    return {"index": index, "delta": content, "finish_reason": finish}


def call(name: str | None = None, arguments: str | None = None, /, **more: Any) -> Json:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**more, "function": function}


def calls(*pieces: Json, finish: str | None = None) -> Json:
    return chunk(delta(0, finish, tool_calls=list(pieces)))


def answered(content: str | None = "The moon", finish: str | None = "stop", **more: Any) -> Json:
    """A final completion of one choice."""
    return {"choices": [{"index": 0, "finish_reason": finish, "message": {"content": content, **more}}]}


def called(*found: tuple[str, str, str]) -> Json:
    """A final completion that calls functions: id, name, arguments of each."""
    made = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for call_id, name, arguments in found
    ]
    return {"choices": [{"finish_reason": "tool_calls", "message": {"content": None, "tool_calls": made}}]}


OPENING = chunk(delta(role="assistant", content=None))
STOP = chunk(delta(0, "stop"))
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
PARIS, ROME = '{"city":"Paris"}', '{"city":"Rome"}'

CHAT = [
    Fact(
        "azure-filter-first",
        "first chunk with `choices: []`, empty id and model, `prompt_filter_results`: Azure",
        [
            {
                "id": "",
                "object": "",
                "created": 0,
                "model": "",
                "choices": [],
                "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}],
            },
            chunk(delta(role="assistant", content="")),
            chunk(delta(content="The ")),
            chunk(delta(content="moon")),
            STOP,
        ],
        {
            **answered(),
            "id": "c1",
            "model": "m",
            "created": 1700000000,
            "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}],
        },
        {"events[0].choices": [], "events[0].prompt_filter_results[0]['prompt_index']": 0},
    ),
    Fact(
        "azure-async-filter",
        "a choice with no `delta` at all: Azure asynchronous filter",
        [
            chunk(delta(role="assistant", content="The ")),
            chunk(delta(content="moon")),
            chunk(
                {
                    "index": 0,
                    "finish_reason": None,
                    "content_filter_results": {"hate": {"filtered": False}},
                    "content_filter_offsets": {"check_offset": 0, "start_offset": 0, "end_offset": 8},
                }
            ),
            STOP,
        ],
        answered(),
        {
            "events[2].choices[0].delta.content": None,
            "events[2].choices[0].content_filter_offsets['end_offset']": 8,
        },
    ),
    Fact(
        "usage-in-every-chunk",
        "usage in every chunk: vLLM, xAI",
        [
            chunk(delta(role="assistant", content="The "), usage={**USAGE, "completion_tokens": 1, "total_tokens": 6}),
            chunk(delta(content="moon"), usage=USAGE),
            chunk(delta(0, "stop"), usage=USAGE),
        ],
        {**answered(), "usage": USAGE},
        {"events[0].usage.completion_tokens": 1, "events[1].usage.completion_tokens": 2},
    ),
    Fact(
        "usage-not-in-the-last",
        "usage not in the last one: TGI, Gemini",
        [chunk(delta(role="assistant", content="The moon"), usage=USAGE), STOP],
        {**answered(), "usage": USAGE},
    ),
    Fact(
        "usage-then-null",
        "usage followed by `usage: null`: keep the last one that is not null",
        [
            chunk(delta(role="assistant", content="The moon"), usage=None),
            chunk(delta(0, "stop"), usage=USAGE),
            chunk(usage=None),
        ],
        {**answered(), "usage": USAGE},
        {"events[2].usage": None},
    ),
    Fact(
        "usage-chunk",
        "usage chunk (`choices: []`) after the finish_reason, before `[DONE]`: OpenAI, vLLM, Ollama",
        [chunk(delta(role="assistant", content="The moon")), STOP, chunk(usage=USAGE)],
        {**answered(), "usage": USAGE},
        {"len(events)": 3},
    ),
    Fact(
        "reasoning_content",
        "`reasoning_content`: DeepSeek, SGLang, vLLM",
        [
            chunk(delta(role="assistant", content=None, reasoning_content="Let ")),
            chunk(delta(reasoning_content="me see.")),
            chunk(delta(content="The moon", reasoning_content=None)),
            STOP,
        ],
        answered(reasoning_content="Let me see."),
        {"events[1].choices[0].delta.reasoning_content": "me see."},
    ),
    Fact(
        "reasoning",
        "`reasoning`, `reasoning_details: [...]`: OpenRouter",
        [
            chunk(
                delta(
                    role="assistant",
                    content="",
                    reasoning="Let ",
                    reasoning_details=[{"type": "reasoning.text", "text": "Let ", "index": 0, "format": None}],
                )
            ),
            chunk(
                delta(
                    content="",
                    reasoning="me see.",
                    reasoning_details=[{"type": "reasoning.text", "text": "me see.", "index": 0, "format": None}],
                )
            ),
            chunk(delta(content="The moon", reasoning=None)),
            STOP,
        ],
        answered(
            reasoning="Let me see.",
            reasoning_details=[{"type": "reasoning.text", "text": "Let me see.", "index": 0, "format": None}],
        ),
        {"events[1].choices[0].delta.reasoning_details[0]['text']": "me see."},
    ),
    Fact(
        "content-parts",
        "`delta.content` is an array of parts: Mistral",
        [
            chunk(delta(role="assistant", content="")),
            chunk(
                delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Let me see."}]}])
            ),
            chunk(delta(content=[{"type": "text", "text": "The "}])),
            chunk(delta(content="moon")),
            STOP,
        ],
        answered(reasoning_content="Let me see."),
        {"events[2].choices[0].delta.content": [{"type": "text", "text": "The "}]},
    ),
    Fact(
        "null-content-first",
        "`content: null` and `role` in the first chunk: llama.cpp",
        [
            chunk(delta(role="assistant", content=None)),
            chunk(delta(content="The ")),
            chunk(delta(content="moon")),
            STOP,
        ],
        answered(role="assistant"),
        {"events[0].choices[0].delta.content": None, "events[0].choices[0].delta.role": "assistant"},
    ),
    Fact(
        "role-in-each-chunk",
        "`role` repeated in each chunk: OpenRouter: a repeated role stays one role",
        [
            chunk(delta(role="assistant", content="The ")),
            chunk(delta(role="assistant", content="moon")),
            chunk(delta(0, "stop", role="assistant", content="")),
        ],
        answered(role="assistant"),
    ),
    Fact(
        "extra-fields",
        "no `object` field; `created: 0`; extra fields everywhere (`x_groq`, `timings`, `provider`, `citations`): many",
        [
            {
                "id": "c1",
                "created": 0,
                "model": "m",
                "provider": "Groq",
                "choices": [{**delta(content="The moon"), "native_finish_reason": None}],
                "x_groq": {"id": "req_1"},
                "citations": ["https://example.com/moon"],
            },
            {
                "id": "c1",
                "created": 0,
                "model": "m",
                "choices": [{**delta(0, "stop", content="", mood="calm"), "native_finish_reason": "STOP"}],
                "timings": {"predicted_per_second": 93.5},
            },
        ],
        {**answered(), "provider": "Groq", "citations": ["https://example.com/moon"]},
        {
            "events[0].x_groq['id']": "req_1",
            "events[0].provider": "Groq",
            "events[0].citations": ["https://example.com/moon"],
            "events[1].timings['predicted_per_second']": 93.5,
            "events[1].choices[0].native_finish_reason": "STOP",
            "events[1].choices[0].delta.mood": "calm",
            "'object' in events[0].to_dict()": False,
        },
    ),
    Fact(
        "obfuscation",
        "`obfuscation` padding on each delta: OpenAI, on by default",
        [
            chunk(delta(role="assistant", content="The "), obfuscation="aZ3"),
            chunk(delta(content="moon"), obfuscation="q"),
            chunk(delta(0, "stop"), obfuscation="nWx90"),
        ],
        answered(),
        {"events[0].obfuscation": "aZ3"},
    ),
    Fact(
        "choices-interleaved",
        "choices interleaved; choice 1 before choice 0: vLLM with n > 1",
        [
            chunk(delta(1, role="assistant", content="A ")),
            chunk(delta(0, role="assistant", content="The ")),
            chunk(delta(1, content="star")),
            chunk(delta(0, content="moon"), delta(1, "length")),
            STOP,
        ],
        {
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"content": "The moon"}},
                {"index": 1, "finish_reason": "length", "message": {"content": "A star"}},
            ]
        },
    ),
    Fact(
        "tool-without-index",
        "tool delta with no `index`: Gemini, old Ollama",
        [
            OPENING,
            calls(call("weather", PARIS, id="a", type="function")),
            calls(call("weather", ROME, id="b", type="function")),
            chunk(delta(0, "tool_calls")),
        ],
        called(("a", "weather", PARIS), ("b", "weather", ROME)),
        {"events[1].choices[0].delta.tool_calls[0].index": None},
    ),
    Fact(
        "tools-all-at-index-0",
        "`index: 0` for each of several parallel calls: Ollama",
        [
            OPENING,
            calls(call("weather", PARIS, index=0, id="a", type="function")),
            calls(call("weather", ROME, index=0, id="b", type="function")),
            chunk(delta(0, "tool_calls")),
        ],
        called(("a", "weather", PARIS), ("b", "weather", ROME)),
    ),
    Fact(
        "tool-in-one-delta",
        "the whole call in one delta, with finish_reason in the same chunk: Groq, Gemini, Ollama",
        [OPENING, calls(call("weather", PARIS, index=0, id="a", type="function"), finish="tool_calls")],
        called(("a", "weather", PARIS)),
    ),
    Fact(
        "tool-names-repeated",
        "tool id, name or `type` repeated, null or empty in later deltas: many",
        [
            OPENING,
            calls(call("weather", "", index=0, id="a", type="function")),
            calls(call("weather", '{"city":', index=0, id="a", type="function")),
            calls({"index": 0, "id": None, "type": None, "function": {"name": None, "arguments": '"Paris'}}),
            calls({"index": 0, "id": "", "type": "", "function": {"name": "", "arguments": '"}'}}),
            chunk(delta(0, "tool_calls")),
        ],
        called(("a", "weather", PARIS)),
    ),
    Fact(
        "tools-by-index",
        "rule: key = the explicit index",
        [
            OPENING,
            calls(call("weather", "", index=0, id="a", type="function")),
            calls(call("time", "", index=1, id="b", type="function")),
            calls(call(None, '{"city":', index=0), call(None, ROME, index=1)),
            calls(call(None, '"Paris"}', index=0)),
            chunk(delta(0, "tool_calls")),
        ],
        called(("a", "weather", PARIS), ("b", "time", ROME)),
    ),
    Fact(
        "tools-index-taken",
        "rule: unless the delta carries a new non-empty id for an index already taken by another id: a new call",
        [
            OPENING,
            calls(call("weather", '{"city":', index=0, id="a", type="function")),
            calls(call(None, '"Paris"}', index=0)),
            calls(call("time", '{"city":', index=0, id="b", type="function")),
            calls(call(None, '"Rome"}', index=0)),
            chunk(delta(0, "tool_calls")),
        ],
        called(("a", "weather", PARIS), ("b", "time", ROME)),
    ),
    Fact(
        "tools-by-id",
        "rule: with no index: match by id",
        [
            OPENING,
            calls(call("weather", '{"city":', id="a", type="function")),
            calls(call("time", '{"city":', id="b", type="function")),
            calls(call(None, '"Paris"}', id="a")),
            calls(call(None, '"Rome"}', id="b")),
            chunk(delta(0, "tool_calls")),
        ],
        called(("a", "weather", PARIS), ("b", "time", ROME)),
    ),
    Fact(
        "tools-by-position",
        "rule: with no index and no id: by position",
        [
            OPENING,
            calls(call("weather", '{"city":', type="function"), call("time", '{"city":', type="function")),
            calls(call(None, '"Paris"}'), call(None, '"Rome"}')),
            chunk(delta(0, "tool_calls")),
        ],
        called(("", "weather", PARIS), ("", "time", ROME)),
    ),
    Fact(
        "no-role",
        "no `role` at all: many",
        [chunk(delta(content="The ")), chunk(delta(content="moon")), STOP],
        answered(role="assistant"),
        {"events[0].choices[0].delta.role": None},
    ),
    Fact(
        "done-without-a-finish-reason",
        "`[DONE]` but finish_reason null to the end: Ollama, NVIDIA NIM",
        [chunk(delta(role="assistant", content="The ")), chunk(delta(content="moon"))],
        answered(finish=None),
    ),
    Fact(
        "finish-reason-without-done",
        "finish_reason but no `[DONE]`: mapped streams",
        [chunk(delta(role="assistant", content="The moon")), STOP],
        answered(),
        done=False,
    ),
    Fact(
        "neither",
        "neither, clean end of body: killed engines, proxies",
        [chunk(delta(role="assistant", content="The "))],
        answered("The ", None),
        done=False,
        error="cut",
    ),
    Fact(
        "error-object",
        '`data: {"error": {"message", "type", "code"}}`, then `[DONE]`',
        [
            chunk(delta(role="assistant", content="The ")),
            {"error": {"message": "The engine died.", "type": "server_error", "code": 500}},
        ],
        answered("The ", None),
        error="The engine died.",
    ),
    Fact(
        "error-text",
        '`{"error": "text", "error_type": "..."}`: TGI',
        [chunk(delta(role="assistant", content="The ")), {"error": "The engine died.", "error_type": "generation"}],
        answered("The ", None),
        error="The engine died.",
        done=False,
    ),
    Fact(
        "error-flat",
        '`{"object": "error", "message": ...}`: vLLM, SGLang',
        [{"object": "error", "message": "The engine died.", "type": "InternalServerError", "code": 500}],
        {"choices": []},
        error="The engine died.",
    ),
    Fact(
        "error-beside-a-choice",
        '`choices[0].finish_reason: "error"` beside a top-level `error`: OpenRouter',
        [
            chunk(delta(role="assistant", content="The ")),
            chunk(delta(0, "error", content=""), error={"code": "server_error", "message": "Provider disconnected"}),
        ],
        answered("The ", None),
        error="Provider disconnected",
        done=False,
    ),
]


# -- Responses -------------------------------------------------------------------------


def response(status: str, output: Any = None, **more: Any) -> Json:
    found: Json = {"id": "r1", "object": "response", "created_at": 1700000000, "status": status, "model": "m"}
    return {**found, "output": [] if output is None else output, **more}


def message(text: str, status: str = "completed", item: str = "msg_1") -> Json:
    part = {"type": "output_text", "text": text, "annotations": []}
    content = [part] if status == "completed" else []
    return {"id": item, "type": "message", "status": status, "role": "assistant", "content": content}


FUNCTION: Json = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "weather",
    "arguments": PARIS,
}


def streamed(text: str = "The moon", pieces: tuple[str, ...] = ("The ", "moon")) -> list[Json]:
    """The events of one message, numbered from 2, as OpenAI sends them."""
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    events: list[Json] = [
        {"type": "response.output_item.added", "output_index": 0, "item": message("", "in_progress")},
        {
            "type": "response.content_part.added",
            **where,
            "part": {"type": "output_text", "text": "", "annotations": []},
        },
        *({"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []} for piece in pieces),
        {"type": "response.output_text.done", **where, "text": text, "logprobs": []},
        {
            "type": "response.content_part.done",
            **where,
            "part": {"type": "output_text", "text": text, "annotations": []},
        },
        {"type": "response.output_item.done", "output_index": 0, "item": message(text)},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(events, 2)]


CREATED = {"type": "response.created", "response": response("in_progress"), "sequence_number": 0}
IN_PROGRESS = {"type": "response.in_progress", "response": response("in_progress"), "sequence_number": 1}
COMPLETED = {
    "type": "response.completed",
    "response": response("completed", [message("The moon")]),
    "sequence_number": 9,
}
WHOLE = {"id": "r1", "status": "completed", "output": [message("The moon")]}
STREAM = [CREATED, IN_PROGRESS, *streamed(), COMPLETED]


def numbered(events: list[Json], number: Any) -> list[Json]:
    """The same with another sequence_number, or (None) without one."""
    bare = [{key: value for key, value in event.items() if key != "sequence_number"} for event in events]
    return bare if number is None else [{**event, "sequence_number": number} for event in bare]


def without(events: list[Json], *names: str) -> list[Json]:
    return [{key: value for key, value in event.items() if key not in names} for event in events]


RESPONSES = [
    Fact(
        "openai",
        "as OpenAI sends it",
        STREAM,
        WHOLE,
        {"[event.sequence_number for event in events]": list(range(10))},
        family="responses",
    ),
    Fact(
        "sequence-missing",
        "`sequence_number` missing: llama.cpp",
        numbered(STREAM, None),
        WHOLE,
        {"events[4].sequence_number": None},
        family="responses",
    ),
    Fact(
        "sequence-all-0",
        "`sequence_number` repeated, or all 0: LiteLLM",
        numbered(STREAM, 0),
        WHOLE,
        {"{event.sequence_number for event in events}": {0}},
        family="responses",
    ),
    Fact(
        "places-missing",
        "`output_index`, `content_index`, `logprobs` missing: llama.cpp",
        without(numbered(STREAM, None), "output_index", "content_index", "logprobs"),
        WHOLE,
        {"events[4].output_index": None, "events[4].content_index": None, "events[4].delta": "The "},
        family="responses",
    ),
    Fact(
        "places-missing-and-output-null",
        "the same, and nothing in `completed`: the text is known from the deltas alone",
        [
            *without(numbered(STREAM[:-1], None), "output_index", "content_index", "logprobs"),
            {"type": "response.completed", "response": {**response("completed"), "output": None}},
        ],
        WHOLE,
        family="responses",
    ),
    Fact(
        "deltas-unannounced",
        "deltas with no `output_item.added` before them: mlx-vlm",
        [
            CREATED,
            *(
                {
                    "type": "response.output_text.delta",
                    "item_id": "msg_1",
                    "output_index": 0,
                    "content_index": 0,
                    "delta": piece,
                }
                for piece in ("The ", "moon")
            ),
            {"type": "response.completed", "response": {**response("completed"), "output": []}},
        ],
        {
            "status": "completed",
            "output": [
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "The moon"}]}
            ],
        },
        {"events[1].delta": "The "},
        family="responses",
    ),
    Fact(
        "resumed",
        "a resumed stream starts in the middle: resumes",
        [*streamed()[3:], COMPLETED],
        WHOLE,
        {"events[0].delta": "moon", "events[0].sequence_number": 5},
        family="responses",
    ),
    Fact(
        "first-is-an-error",
        "first event is `error`: OpenAI",
        [
            {
                "type": "error",
                "code": "rate_limit_exceeded",
                "message": "You have no quota.",
                "param": None,
                "sequence_number": 0,
            }
        ],
        error="You have no quota.",
        family="responses",
    ),
    Fact(
        "first-is-queued",
        "first event is `response.queued`: OpenAI",
        [
            {"type": "response.queued", "response": response("queued"), "sequence_number": 0},
            IN_PROGRESS,
            *streamed(),
            COMPLETED,
        ],
        WHOLE,
        {"events[0].response.status": "queued"},
        family="responses",
    ),
    Fact(
        "first-is-in-progress",
        "first event is `response.in_progress`: OpenAI",
        [IN_PROGRESS, *streamed(), COMPLETED],
        WHOLE,
        {"events[0].type": "response.in_progress"},
        family="responses",
    ),
    Fact(
        "completed-output-null",
        "`completed` with `output: null`: rebuild from the items",
        [
            *STREAM[:-1],
            {**COMPLETED, "response": {**response("completed"), "output": None}},
        ],
        WHOLE,
        family="responses",
    ),
    Fact(
        "completed-item-missing",
        "`completed` with an item missing: rebuild from the items",
        [
            *STREAM[:-1],
            {
                "type": "response.output_item.added",
                "output_index": 1,
                "item": {**FUNCTION, "status": "in_progress", "arguments": ""},
            },
            {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 1, "delta": PARIS},
            {
                "type": "response.function_call_arguments.done",
                "item_id": "fc_1",
                "output_index": 1,
                "name": "weather",
                "arguments": PARIS,
            },
            {"type": "response.output_item.done", "output_index": 1, "item": FUNCTION},
            COMPLETED,
        ],
        {"status": "completed", "output": [message("The moon"), FUNCTION]},
        family="responses",
    ),
    Fact(
        "chat-shaped-error",
        'a chat-shaped `{"error": ...}` inside a Responses stream: LiteLLM, llama.cpp',
        [*STREAM[:5], {"error": {"message": "The engine died.", "type": "server_error", "code": 500}}],
        {"output": [{"id": "msg_1", "content": [{"type": "output_text", "text": "The "}]}]},
        error="The engine died.",
        family="responses",
    ),
    Fact(
        "keepalive",
        "untyped `keepalive`: OpenAI",
        [*STREAM[:4], {"type": "keepalive", "sequence_number": 4}, *STREAM[4:]],
        WHOLE,
        {"type(events[4]).__name__": "UnknownEvent", "events[4].type": "keepalive", "events[4].sequence_number": 4},
        family="responses",
    ),
    Fact(
        "failed",
        "`response.failed` is an event: it is delivered",
        [
            *STREAM[:5],
            {
                "type": "response.failed",
                "response": response("failed", error={"code": "server_error", "message": "The engine died."}),
                "sequence_number": 5,
            },
        ],
        {"status": "failed", "error": {"code": "server_error", "message": "The engine died."}},
        {"events[-1].response.error.message": "The engine died."},
        family="responses",
    ),
    Fact(
        "cut",
        "the end of the body before a terminal event: killed engines, proxies",
        STREAM[:5],
        {"status": "in_progress", "output": [{"id": "msg_1", "content": [{"type": "output_text", "text": "The "}]}]},
        error="cut",
        family="responses",
    ),
    Fact(
        "done-behind-the-terminal-event",
        "LiteLLM drops `event:` lines and adds `data: [DONE]` to Responses",
        STREAM,
        WHOLE,
        done=True,
        family="responses",
    ),
]

FACTS = CHAT + RESPONSES
