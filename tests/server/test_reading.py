from __future__ import annotations

import gzip
import json
from typing import Any

import msgspec
import pytest

from support.served import CHAT, RESPONSES
from tokenwire.families.depth import DEEPEST
from tokenwire.server import Call, Message, Request, RequestError, Tool
from tokenwire.server.reading import read_request
from tokenwire.server.request import Family
from tokenwire.server.routes import Route, models_body, route
from tokenwire.server.session import open_session
from tokenwire.server.turns import turns

PARAMETERS = {"type": "object", "properties": {"x": {"type": "integer"}}}


def read(family: Any, body: Any, **options: Any) -> Request:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_request(family, payload, **{"headers": {}, **options})


def refused(family: Any, body: Any, **options: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read(family, body, **options)
    return caught.value


# -- One shape -----------------------------------------------------------------


def test_one_conversation_in_both_families() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    chat = read(
        "chat",
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is "},
                        image,
                        {"type": "text", "text": "this?"},
                    ],
                },
                {
                    "role": "assistant",
                    "content": "Looking.",
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                    ],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "a moon"},
            ],
        },
    )
    image = {"type": "input_image", "image_url": "data:"}
    responses = read(
        "responses",
        {
            "model": "m",
            "instructions": "Be brief.",
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "What is "},
                        image,
                        {"type": "input_text", "text": "this?"},
                    ],
                },
                {"type": "reasoning", "summary": []},
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "Looking."}],
                },
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "a moon"},
                {"type": "item_reference", "id": "x"},
            ],
        },
    )
    assert [m.parts for m in chat.messages if m.parts] == [
        ({"type": "image_url", "image_url": {"url": "data:"}},)
    ]
    assert [m.parts for m in responses.messages if m.parts] == [(image,)]
    plain = [(m.role, m.text, m.calls, m.call_id) for m in chat.messages]
    assert plain == [(m.role, m.text, m.calls, m.call_id) for m in responses.messages]
    assert plain == [
        ("system", "Be brief.", (), None),
        ("user", "What is this?", (), None),
        ("assistant", "Looking.", (Call(id="c1", name="f", arguments="{}"),), None),
        ("tool", "a moon", (), "c1"),
    ]
    assert chat.instructions == responses.instructions == "Be brief."
    assert chat.prompt == responses.prompt == "What is this?"


def test_a_string_is_a_user_message() -> None:
    assert read("responses", RESPONSES).messages == (Message(role="user", text="Hello"),)


def test_a_call_without_a_message_before_it() -> None:
    request = read(
        "responses",
        {"model": "m", "input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}]},
    )
    assert [(m.role, len(m.calls)) for m in request.messages] == [("assistant", 1)]
    assert request.prompt == ""


def test_tools_in_both_families() -> None:
    function = {"name": "f", "description": "d", "parameters": PARAMETERS, "strict": True}
    tool = Tool(name="f", description="d", schema=PARAMETERS, strict=True)
    other = {"type": "web_search"}
    chat = read("chat", {**CHAT, "tools": [{"type": "function", "function": function}, other]})
    responses = read("responses", {**RESPONSES, "tools": [{"type": "function", **function}, other]})
    assert chat.tools == responses.tools == (tool,)
    named: dict[str, Any] = {"type": "function", "function": {"name": "f"}}
    chat = read("chat", {**chat.body, "tool_choice": named})
    responses = read("responses", {**responses.body, "tool_choice": {"type": "function", "name": "f"}})
    for request in (chat, responses):
        assert (request.tool_choice, request.tool_name) == ("required", "f")
    for choice in ("auto", "none", "required"):
        request = read("chat", {**chat.body, "tool_choice": choice})
        assert (request.tool_choice, request.tool_name) == (choice, None)
    allowed = {"type": "allowed_tools", "mode": "required", "tools": []}
    assert read("responses", {**responses.body, "tool_choice": allowed}).tool_choice == "required"
    nested = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}
    assert read("chat", {**chat.body, "tool_choice": nested}).tool_choice == "required"
    nested["allowed_tools"] = {"mode": "auto", "tools": []}
    assert read("chat", {**chat.body, "tool_choice": nested}).tool_choice == "auto"
    assert read("responses", {**responses.body, "tool_choice": {"type": "web_search"}}).tool_choice == "auto"


def test_a_tool_that_must_be_called_need_be_no_function() -> None:
    request = read("responses", {**RESPONSES, "tools": [{"type": "web_search"}], "tool_choice": "required"})
    assert (request.tools, request.tool_choice, request.tool_name) == ((), "required", None)


def test_formats_in_both_families() -> None:
    spec = {"name": "answer", "schema": PARAMETERS, "strict": True}
    chat = read("chat", {**CHAT, "response_format": {"type": "json_schema", "json_schema": spec}})
    responses = read("responses", {**RESPONSES, "text": {"format": {"type": "json_schema", **spec}}})
    for request in (chat, responses):
        assert (request.format, request.schema, request.schema_name) == ("json_schema", PARAMETERS, "answer")
    assert read("chat", {**CHAT, "response_format": {"type": "json_object"}}).format == "json_object"
    assert read("responses", {**RESPONSES, "text": {"verbosity": "low"}}).format == "text"


def test_reasoning_and_limits_in_both_families() -> None:
    chat = read("chat", {**CHAT, "reasoning_effort": "low", "max_tokens": 9, "max_completion_tokens": 5})
    assert (chat.reasoning, chat.max_tokens) == ("low", 5)
    assert read("chat", {**CHAT, "max_tokens": 9}).max_tokens == 9
    responses = read(
        "responses", {**RESPONSES, "reasoning": {"effort": "low", "summary": "auto"}, "max_output_tokens": 5}
    )
    assert (responses.reasoning, responses.reasoning_summary, responses.max_tokens) == ("low", "auto", 5)
    assert read("chat", {**CHAT, "reasoning_effort": "none"}).reasoning is None


def test_what_no_attribute_covers_is_a_parameter() -> None:
    request = read("chat", {**CHAT, "seed": 3, "stop": ["x"], "x_vendor": {"a": None}, "temperature": None})
    assert request.parameters == {"seed": 3, "stop": ["x"], "x_vendor": {"a": None}, "temperature": None}
    assert request.body["seed"] == 3
    assert (request.stream, request.n, request.include_usage) == (True, 1, False)


def test_null_is_as_good_as_absent() -> None:
    optional = ("stream", "n", "tools", "tool_choice", "stream_options", "max_tokens", "response_format")
    request = read("chat", {**CHAT, **dict.fromkeys(optional)})
    assert (request.stream, request.n, request.tools) == (False, 1, ())


def test_content_may_be_null() -> None:
    assert read("chat", {**CHAT, "messages": [{"role": "assistant", "content": None}]}).messages[0].text == ""


def test_the_repr_shows_no_headers() -> None:
    assert "secret" not in repr(read("chat", CHAT, headers={"authorization": "secret"}))


# -- Refusals ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"messages": [{"role": "user", "content": "x"}]}, "model", "missing_required_parameter"),
        ({"model": None, "messages": []}, "model", "missing_required_parameter"),
        ({"model": "m"}, "messages", "missing_required_parameter"),
        ({"model": "", "messages": []}, "model", "empty_string"),
        ({"model": 1, "messages": []}, "model", "invalid_type"),
        ({"model": "m", "messages": []}, "messages", "empty_array"),
        ({"model": "m", "messages": "x"}, "messages", "invalid_type"),
        ({"model": "m", "messages": ["x"]}, "messages[0]", "invalid_type"),
        ({"model": "m", "messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        ({"model": "m", "messages": [{"role": 1}]}, "messages[0].role", "invalid_type"),
        ({"model": "m", "messages": [{"role": "user", "content": 1}]}, "messages[0].content", "invalid_type"),
        (
            {"model": "m", "messages": [{"role": "user", "content": ["x"]}]},
            "messages[0].content[0]",
            "invalid_type",
        ),
        ({**CHAT, "stream": "yes"}, "stream", "invalid_type"),
        ({**CHAT, "n": 2}, "n", "integer_above_max_value"),
        ({**CHAT, "n": 0}, "n", "integer_below_min_value"),
        ({**CHAT, "n": True}, "n", "invalid_type"),
        ({**CHAT, "max_tokens": 1.5}, "max_tokens", "invalid_type"),
        ({**CHAT, "max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({**CHAT, "stream_options": []}, "stream_options", "invalid_type"),
        ({**CHAT, "stream_options": {"include_usage": 1}}, "stream_options.include_usage", "invalid_type"),
        ({**CHAT, "tools": {}}, "tools", "invalid_type"),
        ({**CHAT, "tools": [1]}, "tools[0]", "invalid_type"),
        ({**CHAT, "tools": [{"function": {"name": "f"}}]}, "tools[0].type", "missing_required_parameter"),
        ({**CHAT, "tools": [{"type": ["function"]}]}, "tools[0].type", "invalid_type"),
        (
            {**CHAT, "messages": [{"role": "user", "content": [{"text": "x"}]}]},
            "messages[0].content[0].type",
            "missing_required_parameter",
        ),
        (
            {**CHAT, "messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
            "missing_required_parameter",
        ),
        (
            {**CHAT, "tools": [{"type": "function", "function": {}}]},
            "tools[0].function.name",
            "missing_required_parameter",
        ),
        ({**CHAT, "tool_choice": "never"}, "tool_choice", "invalid_value"),
        ({**CHAT, "tool_choice": "required"}, "tool_choice", "invalid_value"),
        (
            {**CHAT, "tool_choice": {"type": "function", "function": {"name": "f"}}},
            "tool_choice",
            "invalid_value",
        ),
        ({**CHAT, "tool_choice": 1}, "tool_choice", "invalid_type"),
        ({**CHAT, "tool_choice": {}}, "tool_choice.type", "missing_required_parameter"),
        (
            {**CHAT, "tool_choice": {"type": "function", "function": {"name": 1}}},
            "tool_choice.function.name",
            "invalid_type",
        ),
        (
            {**CHAT, "tool_choice": {"type": "function"}},
            "tool_choice.name",
            "missing_required_parameter",
        ),
        (
            {**CHAT, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": 1}}},
            "tool_choice.allowed_tools.mode",
            "invalid_type",
        ),
        ({**CHAT, "response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        (
            {**CHAT, "response_format": {"type": "json_schema"}},
            "response_format.json_schema.schema",
            "missing_required_parameter",
        ),
    ],
)
def test_refused_chat_bodies(body: dict[str, Any], param: str, code: str) -> None:
    error = refused("chat", body)
    assert (error.status, error.type, error.param, error.code) == (400, "invalid_request_error", param, code)
    assert json.loads(error.body()) == {"error": error.error()}


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"input": "x"}, "model", "missing_required_parameter"),
        ({"model": "m"}, "input", "missing_required_parameter"),
        ({"model": "m", "input": 1}, "input", "invalid_type"),
        ({"model": "m", "input": [1]}, "input[0]", "invalid_type"),
        ({**RESPONSES, "instructions": []}, "instructions", "invalid_type"),
        ({**RESPONSES, "reasoning": {"effort": 1}}, "reasoning.effort", "invalid_type"),
        (
            {**RESPONSES, "text": {"format": {"type": "json_schema"}}},
            "text.format.schema",
            "missing_required_parameter",
        ),
        (
            {**RESPONSES, "previous_response_id": "resp_1"},
            "previous_response_id",
            "previous_response_not_found",
        ),
        ({**RESPONSES, "background": True}, "background", "unsupported_value"),
        ({**RESPONSES, "tool_choice": {"type": "function"}}, "tool_choice.name", "missing_required_parameter"),
        ({**RESPONSES, "tool_choice": "required", "tools": []}, "tool_choice", "invalid_value"),
    ],
)
def test_refused_responses_bodies(body: dict[str, Any], param: str, code: str) -> None:
    error = refused("responses", body)
    assert (error.status, error.type, error.param, error.code) == (400, "invalid_request_error", param, code)


@pytest.mark.parametrize("family", ["chat", "responses"])
@pytest.mark.parametrize(
    ("name", "wrong", "expected"),
    [
        ("temperature", "hot", "a number, but got a string"),
        ("temperature", True, "a number, but got a boolean"),
        ("top_p", [1], "a number, but got an array"),
        ("top_logprobs", 1.5, "an integer, but got a number"),
        ("metadata", "x", "an object, but got a string"),
        ("user", 7, "a string, but got an integer"),
        ("service_tier", {}, "a string, but got an object"),
    ],
)
def test_parameters_of_another_type(family: Family, name: str, wrong: Any, expected: str) -> None:
    """The answer of Responses tells of them: it would have been none that its type admits."""
    error = refused(family, {**(CHAT if family == "chat" else RESPONSES), name: wrong})
    assert (error.status, error.param, error.code) == (400, name, "invalid_type")
    assert error.message == f"Invalid type for '{name}': expected {expected} instead."


@pytest.mark.parametrize(
    ("family", "name", "wrong"),
    [
        ("chat", "frequency_penalty", "x"),
        ("chat", "logit_bias", []),
        ("chat", "logprobs", 5),
        ("chat", "presence_penalty", {}),
        ("chat", "seed", 1.5),
        ("chat", "stop", 7),
        ("chat", "store", "yes"),
        ("responses", "include", "usage"),
        ("responses", "max_tool_calls", "1"),
        ("responses", "stream_options", []),
        ("responses", "truncation", True),
    ],
)
def test_parameters_of_one_family_of_another_type(family: Family, name: str, wrong: Any) -> None:
    error = refused(family, {**(CHAT if family == "chat" else RESPONSES), name: wrong})
    assert (error.status, error.param, error.code) == (400, name, "invalid_type")


def test_parameters_of_their_types() -> None:
    both = {"temperature": 1, "top_p": 0.5, "top_logprobs": 3, "metadata": {}, "user": "u", "service_tier": "auto"}
    chat = {**both, "frequency_penalty": -1, "logit_bias": {"1": 2}, "logprobs": True, "seed": 3, "stop": "x"}
    assert read("chat", {**CHAT, **chat}).parameters == chat
    assert read("chat", {**CHAT, "stop": ["x", "y"]}).parameters == {"stop": ["x", "y"]}
    responses = {**both, "include": [], "max_tool_calls": 1, "truncation": "auto"}
    assert read("responses", {**RESPONSES, **responses}).parameters == responses


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"model": "\xff"}',
        b'"\\ud800"',
        b"[" * 100_000,
        b"[" * 300 + b'"' + b'\\"' * 1_000_000,  # a string that is not closed, with a million quotes in it
        b'{"a": 1} {"b": 2}',
        b"NaN",
    ],
)
def test_bodies_that_are_not_json(payload: bytes) -> None:
    assert (refused("chat", payload).status, refused("chat", payload).code) == (400, "invalid_json")


def test_calls_in_a_row_are_put_together_once(monkeypatch: pytest.MonkeyPatch) -> None:
    copied, replace = 0, msgspec.structs.replace

    def counted(message: Message, calls: tuple[Call, ...]) -> Message:
        nonlocal copied
        copied += len(calls)
        return replace(message, calls=calls)

    monkeypatch.setattr(msgspec.structs, "replace", counted)
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}
    said = {"role": "assistant", "content": "a"}
    messages = turns([call] * 500 + [{"role": "user", "content": "b"}, said] + [call] * 500)
    assert [(m.role, m.text, len(m.calls)) for m in messages] == [
        ("assistant", "", 500),
        ("user", "b", 0),
        ("assistant", "a", 500),
    ]
    assert copied <= 1_000


@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_how_deep_a_body_may_nest(brackets: str) -> None:
    """Deeper ones were read, up to Python's own bound, and then no answer could be made that tells of them."""
    opening, closing = ("[", "]") if brackets == "[]" else ('{"a":', "}")

    def body(levels: int) -> bytes:  # the body itself is one, and what stands in it another
        deep = opening * (levels - 2) + "1" + closing * (levels - 2)
        return b'{"model": "m", "input": "x", "reasoning": {"x": %b}}' % deep.encode()

    request = read("responses", body(DEEPEST))
    session = open_session(request, model="m", now=0, new_id=str)
    assert session.start() + session.end()
    error = refused("responses", body(DEEPEST + 1))
    assert (error.code, error.message) == (
        "invalid_json", "We could not parse the JSON body of your request: it nests deeper than 200 levels."
    )


@pytest.mark.parametrize("payload", [b"[]", b"null", b"1", b"1.5", b"true", b'"x"'])
def test_bodies_that_are_no_object(payload: bytes) -> None:
    assert refused("chat", payload).code == "invalid_type"


@pytest.mark.parametrize("media", ["application/json", "Application/JSON; charset=utf-8", None])
def test_media_types_that_are_accepted(media: str | None) -> None:
    read("chat", CHAT, headers={} if media is None else {"content-type": media})


def test_media_types_that_are_not() -> None:
    error = refused("chat", CHAT, headers={"content-type": "application/x-www-form-urlencoded"})
    assert (error.status, error.code) == (415, "unsupported_content_type")


def test_a_body_that_is_compressed() -> None:
    """It was told to be no JSON, by its first byte."""
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    with pytest.raises(RequestError, match="Unsupported content encoding: 'gzip'") as caught:
        read_request("chat", gzip.compress(json.dumps(CHAT).encode()), headers=headers)
    assert (caught.value.status, caught.value.code) == (415, "unsupported_content_encoding")
    assert read_request("chat", json.dumps(CHAT).encode(), headers={"content-encoding": "identity"}).family == "chat"


def test_request_error() -> None:
    with pytest.raises(ValueError, match="400 to 599"):
        RequestError(200, "fine")
    kinds = {
        400: "invalid_request_error",
        401: "authentication_error",
        429: "rate_limit_error",
        503: "server_error",
    }
    assert {status: RequestError(status, "x").type for status in kinds} == kinds
    assert RequestError(400, "x", type="mine").error()["type"] == "mine"


# -- Routes --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "found"),
    [
        ("POST", "/v1/chat/completions", Route("chat")),
        ("POST", "/chat/completions/?a=b", Route("chat")),
        ("POST", "/responses", Route("responses")),
        ("GET", "/v1/models", Route("models")),
        ("GET", "/v1/models/", Route("models")),
        ("GET", "/models/a/b%20c", Route("model", "a/b c")),
    ],
)
def test_routes(method: str, target: str, found: Route) -> None:
    assert route(method, target) == found


@pytest.mark.parametrize(
    "target", ["/", "*", "", "/v1", "/v2/responses", "/v1responses", "/v1/v1/responses", "/modelsx"]
)
def test_unknown_routes(target: str) -> None:
    with pytest.raises(RequestError) as caught:
        route("POST", target)
    assert caught.value.status == 404


def test_models() -> None:
    listed = json.loads(models_body(Route("models"), ["a"], created=1.5))
    one = {"id": "a", "object": "model", "created": 1, "owned_by": "tokenwire"}
    assert listed == {"object": "list", "data": [one]}
    assert json.loads(models_body(Route("model", "a"), ["a"], created=1.5)) == one
