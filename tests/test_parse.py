"""`.parse()` of both families: whole answers read as types, as in the official package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import openai
import pydantic
import pytest

import tokenwire
from support.answers import answer, js
from support.facts import FUNCTION
from support.loopback import Answer, Loopback, loopback
from tokenwire.backends.memory import EOF, MemoryBackend
from tokenwire.backends.sync import run


class Verse(pydantic.BaseModel):
    line: str
    feet: int = 5


class Struct(msgspec.Struct):
    line: str
    feet: int = 5


class Weather(pydantic.BaseModel):
    city: str


VERSE = '{"line": "The moon", "feet": 3}'
CALL = {"id": "call_1", "type": "function", "function": {"name": "Weather", "arguments": '{"city": "Paris"}'}}
CUSTOM = {"id": "call_2", "type": "custom", "custom": {"name": "code", "input": "1+1"}}


def completion(finish: str = "stop", **message: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": VERSE, "refusal": None, "mood": "calm", **message}
    choice = {"index": 0, "finish_reason": finish, "logprobs": None, "message": message}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "provider": "x"}


def response(status: str = "completed", text: str = VERSE, **more: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "mood": "calm"}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    call = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "status": "completed", **CALL["function"]}  # type: ignore[dict-item]
    return {"id": "r", "object": "response", "status": status, "model": "m", "output": [message, call], **more}


ANSWERS = {
    "whole": completion(),
    "calls": completion("tool_calls", content=None, tool_calls=[CALL, CUSTOM]),
    "refused": completion(content=None, refusal="No."),
    "misfit": completion(content='{"line": 3}'),
    "length": completion("length", content='{"line": "The'),
    "filtered": completion("content_filter", content=""),
    "response": response(),
    "response-misfit": response(text='{"line": 3}'),
    "response-cut": response("incomplete", '{"line', incomplete_details={"reason": "max_output_tokens"}),
    "response-filtered": response("incomplete", "", incomplete_details={"reason": "content_filter"}),
    "response-failed": response("failed", '{"line', error={"code": "server_error", "message": "It broke."}),
}
TOOL: Any = openai.pydantic_function_tool(Weather)


def played(found: Any) -> bytes:
    return answer(js(found).encode(), "length", "x-request-id: req_7", kind="application/json")


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with loopback({name: Answer(played(found)) for name, found in ANSWERS.items()}) as running:
        yield running


@pytest.fixture(params=["openai", "tokenwire"])
def client(request: pytest.FixtureRequest, server: Loopback) -> Iterator[Any]:
    make = {"openai": openai.OpenAI, "tokenwire": tokenwire.Client}[request.param]
    with make(api_key="k", base_url=server.url, max_retries=0) as made:
        yield made


def chat(client: Any, name: str, **asked: Any) -> Any:
    asked = {"response_format": Verse, **asked}
    return client.chat.completions.parse(model="m", messages=[], extra_headers={"X-Vector": name}, **asked)


def respond(client: Any, name: str, **asked: Any) -> Any:
    asked = {"text_format": Verse, **asked}
    return client.responses.parse(model="m", input="", extra_headers={"X-Vector": name}, **asked)


def quiet(client: Any) -> dict[str, Any]:
    """pydantic warns of the official package's own objects."""
    return {"warnings": False} if isinstance(client, openai.OpenAI) else {}


# -- both packages ----------------------------------------------------------------------


def test_a_completion_is_parsed(client: Any) -> None:
    found = chat(client, "whole")
    message = found.choices[0].message
    assert message.parsed == Verse(line="The moon", feet=3)
    assert (message.content, message.mood, message.role) == (VERSE, "calm", "assistant")
    assert (found.id, found.provider, found._request_id) == ("c", "x", "req_7")
    dumped = found.model_dump(warnings=False)["choices"][0]["message"]
    assert dumped["parsed"] == {"line": "The moon", "feet": 3}
    assert found.to_dict(**quiet(client))["choices"][0]["message"]["parsed"] == {"line": "The moon", "feet": 3}


def test_arguments_are_parsed(client: Any) -> None:
    found = chat(client, "calls", tools=[TOOL])
    call, *custom = found.choices[0].message.tool_calls
    assert call.function.parsed_arguments == Weather(city="Paris")
    assert (call.id, call.function.name, call.function.arguments) == ("call_1", "Weather", '{"city": "Paris"}')
    assert [one.custom.input for one in custom] in (["1+1"], [])  # the official package drops it, with a warning
    assert found.choices[0].message.parsed is None


def test_a_refusal_is_not_parsed(client: Any) -> None:
    message = chat(client, "refused").choices[0].message
    assert (message.parsed, message.refusal) == (None, "No.")


@pytest.mark.parametrize("asked", [{"response_format": {"type": "json_object"}}, {}])
def test_what_no_type_was_given_for_is_not_parsed(client: Any, asked: Any) -> None:
    found = client.chat.completions.parse(model="m", messages=[], extra_headers={"X-Vector": "whole"}, **asked)
    assert found.choices[0].message.parsed is None
    assert found.choices[0].message.content == VERSE
    plain = client.responses.parse(model="m", input="", extra_headers={"X-Vector": "response"})
    assert (plain.output_parsed, plain.output_text) == (None, VERSE)


def test_what_does_not_fit_raises_what_the_types_library_raises(client: Any) -> None:
    with pytest.raises(pydantic.ValidationError):
        chat(client, "misfit")
    with pytest.raises(pydantic.ValidationError):
        respond(client, "response-misfit")


@pytest.mark.parametrize(
    ("name", "error"), [("length", "LengthFinishReasonError"), ("filtered", "ContentFilterFinishReasonError")]
)
def test_a_cut_completion_is_an_error(client: Any, name: str, error: str) -> None:
    package = openai if isinstance(client, openai.OpenAI) else tokenwire
    with pytest.raises(getattr(package, error)) as caught:
        chat(client, name)
    if name == "length":
        assert caught.value.completion.choices[0].message.content == '{"line": "The'


def test_a_response_is_parsed(client: Any) -> None:
    found = respond(client, "response", tools=[TOOL])
    assert found.output_parsed == Verse(line="The moon", feet=3)
    message, call = found.output
    assert message.content[0].parsed == found.output_parsed
    assert (message.content[0].text, message.content[0].mood, found.output_text) == (VERSE, "calm", VERSE)
    assert (call.name, call.call_id) == ("Weather", "call_1")
    assert found._request_id == "req_7"


def test_a_response_may_be_read_as_another_type(client: Any) -> None:
    class Line(pydantic.BaseModel):
        line: str

    assert respond(client, "response", parse_as=Line).output_parsed == Line(line="The moon")
    assert respond(client, "response", parse_as=None).output_parsed is None


def test_with_raw_response(client: Any) -> None:
    asked: dict[str, Any] = {"model": "m", "extra_headers": {"X-Vector": "whole"}}
    raw = client.chat.completions.with_raw_response.parse(messages=[], response_format=Verse, **asked)
    assert (raw.status_code, raw.request_id) == (200, "req_7")
    assert raw.parse().choices[0].message.parsed == Verse(line="The moon", feet=3)
    asked["extra_headers"] = {"X-Vector": "response"}
    raw = client.responses.with_raw_response.parse(input="", text_format=Verse, **asked)
    assert raw.parse().output_parsed == Verse(line="The moon", feet=3)


# -- ours alone -------------------------------------------------------------------------


def scripted(found: Any) -> MemoryBackend:
    return MemoryBackend([[played(found), EOF]])


def sent(peer: MemoryBackend) -> Any:
    return json.loads(bytes(peer.connections[0].sent).partition(b"\r\n\r\n")[2])


def test_a_struct_is_as_good() -> None:
    peer = scripted(completion())
    with tokenwire.Client(api_key="k", base_url="http://t", backend=peer) as client:
        found = client.chat.completions.parse(model="m", messages=[], response_format=Struct)
    assert found.choices[0].message.parsed == Struct("The moon", 3)
    schema = sent(peer)["response_format"]["json_schema"]
    assert (schema["name"], schema["strict"]) == ("Struct", True)
    assert "stream" not in sent(peer)


def test_calls_of_a_response_are_parsed_by_their_tools() -> None:
    def Weather(city: str) -> None: ...

    peer = scripted(response())
    with tokenwire.Client(api_key="k", base_url="http://t", backend=peer) as client:
        found: Any = client.responses.parse(model="m", input="", text_format=Struct, tools=(one for one in [Weather]))
    assert found.output_parsed == Struct("The moon", 3)
    assert found.output[1].parsed_arguments == {"city": "Paris"}
    assert found.to_dict() == response()
    assert sent(peer)["text"]["format"]["name"] == "Struct"
    assert [tool["name"] for tool in sent(peer)["tools"]] == ["Weather"]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("response-cut", tokenwire.LengthFinishReasonError),
        ("response-filtered", tokenwire.ContentFilterFinishReasonError),
    ],
)
def test_a_cut_response_is_an_error_where_it_was_to_be_read(name: str, error: Any) -> None:
    peer = MemoryBackend([[played(ANSWERS[name]), EOF], [played(ANSWERS[name]), EOF]])
    with tokenwire.Client(api_key="k", base_url="http://t", backend=peer) as client:
        with pytest.raises(error) as caught:
            client.responses.parse(model="m", input="", text_format=Struct)
        assert caught.value.completion.id == "r"
        assert client.responses.parse(model="m", input="").status == "incomplete"


def test_a_failed_response_is_returned() -> None:
    with tokenwire.Client(api_key="k", base_url="http://t", backend=scripted(ANSWERS["response-failed"])) as client:
        found = client.responses.parse(model="m", input="", text_format=Struct)
    assert (found.status, found.output_parsed) == ("failed", None)
    assert found.error is not None
    assert found.error.message == "It broke."


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": None},
        {"choices": 3},
        {"choices": [None, 3, {"message": None}, {"message": "moon"}]},
        {"choices": [{"message": {"content": [VERSE], "tool_calls": 3}}]},
        {"choices": [{"message": {"tool_calls": [None, {"id": "a", "type": "function", "function": "moon"}]}}]},
        {"choices": [{"message": {"tool_calls": [{**CALL, "function": {"name": 3, "arguments": {}}}]}}]},
    ],
)
def test_odd_shapes_stay_what_they_are(odd: Any) -> None:
    whole = {"object": "chat.completion", **odd}
    with tokenwire.Client(api_key="k", base_url="http://t", backend=scripted(whole)) as client:
        found = client.chat.completions.parse(model="m", messages=[], response_format=Struct, tools=[FUNCTION])
    if odd["choices"] == 3:
        assert found.choices == 3  # type: ignore[comparison-overlap]  # no type says so
        return
    assert len(found.choices) == len(odd["choices"] or [])
    for choice, came in zip(found.choices, odd["choices"] or [], strict=True):
        assert getattr(getattr(choice, "message", None), "parsed", None) is None
        if not isinstance(came, dict) or not isinstance(came["message"], dict):
            assert choice == came or choice.message == came["message"]  # type: ignore[comparison-overlap]
            continue
        told = choice.message.to_dict()
        assert {name: told[name] for name in came["message"]} == came["message"]


@pytest.mark.parametrize("output", [3, {}])
def test_a_response_without_a_list_of_output(output: Any) -> None:
    with tokenwire.Client(api_key="k", base_url="http://t", backend=scripted(response(output=output))) as client:
        found = client.responses.parse(model="m", input="", text_format=Struct)
    assert found.output == output
    assert found.output_parsed is None


def test_a_stream_is_not_parsed_here() -> None:
    with tokenwire.Client(api_key="k", base_url="http://t", backend=MemoryBackend([])) as client:
        for ask in (client.chat.completions.parse, client.responses.parse):
            with pytest.raises(TypeError, match=r"stream\(\)"):
                ask(model="m", messages=[], stream=True)  # type: ignore[call-overload]


@pytest.mark.parametrize("given", [Struct, Verse])
def test_create_reads_no_types(given: Any) -> None:
    with tokenwire.Client(api_key="k", base_url="http://t", backend=MemoryBackend([])) as client:
        with pytest.raises(TypeError, match=r"response_format=.* is for parse\(\) and stream\(\)"):
            client.chat.completions.create(model="m", messages=[], response_format=given)
        with pytest.raises(TypeError, match=r"text_format=.* is for parse\(\) and stream\(\)"):
            client.responses.create(model="m", input="", text_format=given)


@pytest.mark.parametrize("given", [Struct, Verse])
def test_no_request_holds_a_class(given: Any) -> None:
    with (
        tokenwire.Client(api_key="k", base_url="http://t", backend=MemoryBackend([])) as client,
        pytest.raises(TypeError, match=f"cannot hold a class: .*{given.__name__}"),
    ):
        client.chat.completions.create(model="m", messages=[given])


def test_create_takes_functions_and_types_as_tools() -> None:
    def rhyme(word: str) -> str:
        return word

    peer = MemoryBackend([[played(completion()), EOF], [played(response()), EOF]])
    with tokenwire.Client(api_key="k", base_url="http://t", backend=peer) as client:
        client.chat.completions.create(model="m", messages=[], tools=[rhyme, FUNCTION])
        client.responses.create(model="m", input="", tools=(tool for tool in [Struct]))
    first, second = (json.loads(bytes(one.sent).partition(b"\r\n\r\n")[2])["tools"] for one in peer.connections)
    assert [first[0]["function"]["name"], first[1], second[0]["name"]] == ["rhyme", FUNCTION, "Struct"]


def test_async() -> None:
    async def main() -> None:
        peer = MemoryBackend([[played(completion()), EOF]] * 2 + [[played(response()), EOF]] * 2)
        async with tokenwire.AsyncClient(api_key="k", base_url="http://t", backend=peer) as client:
            found = await client.chat.completions.parse(model="m", messages=[], response_format=Struct)
            assert found.choices[0].message.parsed == Struct("The moon", 3)
            raw = await client.chat.completions.with_raw_response.parse(model="m", messages=[], response_format=Struct)
            assert raw.parse().choices[0].message.parsed == Struct("The moon", 3)
            answered = await client.responses.parse(model="m", input="", text_format=Struct)
            assert answered.output_parsed == Struct("The moon", 3)
            again = await client.responses.with_raw_response.parse(model="m", input="", text_format=Struct)
            assert again.parse().output_parsed == Struct("The moon", 3)

    run(main())
