"""Structured output: schemas, parsed answers, tools, and JSON that is still arriving."""

from __future__ import annotations

import copy
import enum
import functools
import json
import pickle
import subprocess
import sys
import threading
import tracemalloc
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

import jiter
import msgspec
import openai
import pydantic
import pytest
from hypothesis import given, strategies as st
from openai.lib._parsing._completions import type_to_response_format_param
from openai.lib._pydantic import to_strict_json_schema

import tokenwire
from support.calls import calls_made
from tokenwire.families import parsing
from tokenwire.families.partial import GrowingJSON, GrowingText, PartialParser
from tokenwire.families.views import PartialDict, PartialList, plain

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Place(msgspec.Struct):
    """Somewhere."""

    city: str
    country: str | None = None


class Verse(msgspec.Struct):
    lines: list[str]
    place: Place
    other: Annotated[Place, msgspec.Meta(description="Another one.")]
    mood: Literal["sad", "glad"] = "sad"
    colour: Colour = Colour.RED
    places: list[Place] = []
    year: int | None = None


class PlaceModel(pydantic.BaseModel):
    """Somewhere."""

    city: str
    country: str | None = None


class VerseModel(pydantic.BaseModel):
    lines: list[str]
    place: PlaceModel
    other: PlaceModel = pydantic.Field(description="Another one.")
    mood: Literal["sad", "glad"] = "sad"
    colour: Colour = Colour.RED
    places: list[PlaceModel] = []
    year: int | None = None


@dataclass
class VerseData:
    lines: list[str]
    year: int | None = None


class VerseDict(typing.TypedDict, total=False):
    lines: list[str]
    year: int | None


@pydantic.dataclasses.dataclass
class VersePydanticData:
    lines: list[str]
    year: int | None = None


class Node(msgspec.Struct):
    name: str
    next: Node | None = None
    best: Annotated[Node | None, msgspec.Meta(description="The best.")] = None


class Page(msgspec.Struct, Generic[T]):
    items: list[T]


class Cat(msgspec.Struct, tag="cat"):
    lives: int


class Dog(msgspec.Struct, tag="dog"):
    tricks: list[str]


class Pets(msgspec.Struct):
    pets: list[Cat | Dog]
    sizes: Literal[1, 2, "big"] = 1


# -- Schemas ---------------------------------------------------------------------------


def objects_in(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [found for item in schema for found in objects_in(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if schema.get("type") == "object" else []
    return own + [found for item in schema.values() for found in objects_in(item)]


def refs_in(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [found for item in schema for found in refs_in(item)]
    if not isinstance(schema, dict):
        return []
    return [schema] * ("$ref" in schema) + [found for item in schema.values() for found in refs_in(item)]


@pytest.mark.parametrize("tp", [Place, Verse, VerseData, VerseDict, Node, Page[int], Pets, VerseModel])
def test_a_schema_is_strict(tp: Any) -> None:
    schema = parsing.schema_of(tp)
    assert schema["type"] == "object"
    found = objects_in(schema)
    assert found
    for part in found:
        assert part["additionalProperties"] is False
        assert part["required"] == list(part["properties"])
        assert all(prop.get("default", ...) is not None for prop in part["properties"].values())
    for ref in refs_in(schema):
        assert len(ref) == 1  # the API takes no $ref with company
        assert ref["$ref"].removeprefix("#/$defs/") in schema["$defs"]
    assert "discriminator" not in json.dumps(schema)


def resolved(schema: Any, root: Any) -> Any:
    """A schema with its $refs laid out, without titles, and with consts as enums: what it means."""
    if isinstance(schema, list):
        return [resolved(item, root) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return resolved(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    meaning = {key: resolved(value, root) for key, value in schema.items() if key not in ("title", "$defs")}
    if isinstance(meaning.get("enum"), list):
        meaning["enum"] = sorted(meaning["enum"])
    return meaning


@pytest.mark.parametrize(("ours", "theirs"), [(Place, PlaceModel), (Verse, VerseModel)])
def test_a_structs_schema_means_what_the_official_one_means(ours: Any, theirs: Any) -> None:
    schema, official = parsing.schema_of(ours), to_strict_json_schema(theirs)
    assert resolved(schema, schema) == resolved(official, official)


def test_a_pydantic_types_schema_is_the_official_one() -> None:
    assert parsing.schema_of(VerseModel) == to_strict_json_schema(VerseModel)
    assert parsing.schema_of(PlaceModel) == to_strict_json_schema(PlaceModel)
    adapter = pydantic.TypeAdapter(VersePydanticData)
    assert parsing.schema_of(VersePydanticData) == to_strict_json_schema(adapter)


def test_one_entry_of_all_of_is_laid_out() -> None:
    class Model(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(
            json_schema_extra={
                "properties": {
                    "a": {"allOf": [{"type": "integer"}], "description": "d"},
                    "b": {"allOf": [{"type": "object", "properties": {"x": {}}}, {"type": "object"}]},
                    "c": {"type": "array", "items": {"type": "object", "properties": {"y": {}}}},
                }
            }
        )

    assert parsing.schema_of(Model) == to_strict_json_schema(Model)


def test_a_type_that_holds_itself_has_a_definition() -> None:
    schema = parsing.schema_of(Node)
    assert list(schema["$defs"]) == ["Node"]
    assert schema["properties"]["next"] == {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}

    class Loop(pydantic.BaseModel):
        inner: Annotated[Loop, pydantic.Field(description="Again.")]

    Loop.model_rebuild()
    looped = parsing.schema_of(Loop)  # the official SDK recurses without end here
    assert "$ref" in json.dumps(looped["$defs"])


def test_definitions_that_nothing_needs_are_left_out() -> None:
    assert "$defs" not in parsing.schema_of(Place)
    assert list(parsing.schema_of(Page[Place])["$defs"]) == ["Place"]


def test_tags_and_enums_say_their_type() -> None:
    schema = parsing.schema_of(Pets)
    assert schema["$defs"]["Cat"]["properties"]["type"] == {"enum": ["cat"], "type": "string"}
    assert "type" not in schema["properties"]["sizes"]  # of two types: the values tell


class Row(msgspec.Struct, array_like=True):
    a: int


@pytest.mark.parametrize("tp", [int, list[int], str, 3, None, "Place", Cat | Dog, Row, functools.partial])
def test_what_has_no_object_schema_is_refused(tp: Any) -> None:
    with pytest.raises(TypeError):
        parsing.schema_of(tp)


# -- Parameters ---------------------------------------------------------------------------


def test_chats_response_format() -> None:
    assert parsing.response_format_param(VerseModel) == type_to_response_format_param(VerseModel)
    assert parsing.response_format_param(Place) == {
        "type": "json_schema",
        "json_schema": {"name": "Place", "schema": parsing.schema_of(Place), "strict": True},
    }


def test_responses_text_format() -> None:
    assert parsing.text_format_param(Place) == {
        "type": "json_schema",
        "name": "Place",
        "schema": parsing.schema_of(Place),
        "strict": True,
    }


@pytest.mark.parametrize("make", [parsing.response_format_param, parsing.text_format_param])
def test_what_is_no_type_is_sent_as_it_is(make: Any) -> None:
    asked = {"type": "json_object"}
    assert make(asked) is asked
    assert make(None) is None
    with pytest.raises(TypeError):
        make(3)


def test_a_generic_types_name_is_one_that_the_api_takes() -> None:
    assert parsing.text_format_param(Page[int])["name"] == "Page_int"
    long = msgspec.defstruct("A" * 80, [("a", int)])
    assert parsing.text_format_param(long)["name"] == "A" * 64


# -- Answers -------------------------------------------------------------------------------


def test_parse() -> None:
    text = '{"lines": ["a"], "year": 1850}'
    assert parsing.parse(VerseData, text) == VerseData(["a"], 1850)
    assert parsing.parse(VerseDict, text) == {"lines": ["a"], "year": 1850}
    assert parsing.parse(VersePydanticData, text) == VersePydanticData(["a"], 1850)
    assert parsing.parse(PlaceModel, '{"city": "Paris"}') == PlaceModel(city="Paris")
    assert parsing.parse(Page[int], '{"items": [1]}') == Page([1])
    assert parsing.parse(Pets, '{"pets": [{"type": "cat", "lives": 9}]}') == Pets([Cat(9)])


def test_what_does_not_fit_raises_what_the_types_library_raises() -> None:
    with pytest.raises(msgspec.ValidationError):
        parsing.parse(Place, '{"city": 3}')
    with pytest.raises(msgspec.DecodeError):
        parsing.parse(Place, '{"city": ')
    with pytest.raises(pydantic.ValidationError):
        parsing.parse(PlaceModel, '{"city": 3}')


def test_pydantic_is_not_imported_for_other_types() -> None:
    program = (
        "import sys, dataclasses; from tokenwire.families import chat, parsing\n"
        "@dataclasses.dataclass\n"
        "class A:\n    a: int\n"
        "helper = chat.Helper(response_format=A, tools=[A])\n"
        "assert parsing.parse(A, '{\"a\": 1}') == A(1) and parsing.schema_of(A)\n"
        "assert 'pydantic' not in sys.modules and 'openai' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": ":".join(sys.path)})


# -- Tools ----------------------------------------------------------------------------------


def get_weather(
    city: Annotated[str, msgspec.Meta(description="Which one.")], days: int = 3, *, colour: Colour | None = None
) -> str:
    """The forecast.

    As far as we know.
    """
    return f"{city} {days} {colour}"


def test_a_function_becomes_a_tool() -> None:
    parameters = {
        "title": "get_weather",
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Which one."},
            "days": {"type": "integer", "default": 3},
            "colour": {"anyOf": [{"$ref": "#/$defs/Colour"}, {"type": "null"}]},
        },
        "required": ["city", "days", "colour"],
        "additionalProperties": False,
        "$defs": {"Colour": {"title": "Colour", "enum": ["green", "red"], "type": "string"}},
    }
    function = {
        "name": "get_weather",
        "description": "The forecast.\n\nAs far as we know.",
        "parameters": parameters,
        "strict": True,
    }
    assert parsing.tool_param(get_weather, "chat") == {"type": "function", "function": function}
    assert parsing.tool_param(get_weather, "responses") == {"type": "function", **function}


def test_a_type_becomes_a_tool() -> None:
    ours = parsing.tool_param(Place, "chat")["function"]
    assert (ours["name"], ours["description"], ours["strict"]) == ("Place", "Somewhere.", True)
    assert "description" not in ours["parameters"]
    assert "description" not in parsing.tool_param(VerseData, "chat")["function"]
    theirs = typing.cast(Any, openai.pydantic_function_tool(PlaceModel))
    made = parsing.tool_param(PlaceModel, "chat")
    theirs["function"]["parameters"].pop("description")  # said once is enough
    assert made == theirs


@pytest.mark.parametrize("asked", [{}, {"name": "where"}, {"description": "Where is it?"}])
def test_a_tool_of_a_type_is_the_official_one(asked: dict[str, Any]) -> None:
    theirs, ours = (
        typing.cast(Any, made(PlaceModel, **asked))
        for made in (openai.pydantic_function_tool, tokenwire.pydantic_function_tool)
    )
    assert ours == theirs
    assert parsing.tool_params([ours], "chat") == [theirs]
    [(name, read)] = parsing.tool_parsers([ours]).items()
    assert (name, read('{"city": "Rome"}')) == (asked.get("name", "PlaceModel"), PlaceModel(city="Rome"))

    theirs, ours = (
        typing.cast(Any, made(PlaceModel, **asked, defer_loading=True))
        for made in (openai.pydantic_responses_function_tool, tokenwire.pydantic_responses_function_tool)
    )
    assert ours == theirs
    assert parsing.tool_parsers([ours])[name]('{"city": "Rome"}') == PlaceModel(city="Rome")
    plain_tool = tokenwire.pydantic_responses_function_tool(PlaceModel, defer_loading=openai.omit)
    assert "defer_loading" not in plain_tool


@pytest.mark.parametrize("package", [openai, tokenwire])
def test_a_tool_for_chat_will_do_for_responses(package: Any) -> None:
    """As the official SDK's example for Responses has it: examples/responses/structured_outputs_tools.py."""
    tool = package.pydantic_function_tool(PlaceModel)
    assert parsing.tool_params([tool], "responses") == [openai.pydantic_responses_function_tool(PlaceModel)]
    assert parsing.tool_params([tool], "chat") == [tool]
    assert parsing.tool_parsers([tool])["PlaceModel"]('{"city": "Rome"}') == PlaceModel(city="Rome")


def test_a_tool_of_any_type() -> None:
    tool = tokenwire.pydantic_function_tool(Place, name="where")
    assert (tool["function"]["name"], tool["function"]["description"]) == ("where", "Somewhere.")
    assert "description" not in tokenwire.pydantic_function_tool(VerseData)["function"]
    with pytest.raises(TypeError, match="Expected a msgspec Struct"):
        tokenwire.pydantic_function_tool(int)


def test_dicts_are_sent_as_they_are() -> None:
    tools = [{"type": "web_search"}, get_weather]
    made = parsing.tool_params(tools, "responses")
    assert made[0] is tools[0]
    assert made[1]["name"] == "get_weather"


class Weather:
    def of(self, city: str) -> str:
        """By method."""
        return city


def test_a_method_will_do() -> None:
    made = parsing.tool_param(Weather().of, "chat")["function"]
    assert (made["name"], list(made["parameters"]["properties"])) == ("of", ["city"])
    assert "description" not in parsing.tool_param(lambda: None, "chat")["function"]


def no_annotation(city) -> None:  # type: ignore[no-untyped-def]
    ...


def many(*cities: str) -> None: ...


def any_names(**cities: str) -> None: ...


def positional(city: str, /) -> None: ...


@pytest.mark.parametrize("tool", [no_annotation, many, any_names, positional, 3, int, Weather()])
def test_what_cannot_be_a_tool_is_refused(tool: Any) -> None:
    with pytest.raises(TypeError):
        parsing.tool_param(tool, "chat")


def test_what_reads_the_arguments() -> None:
    tools = [
        get_weather,
        Place,
        openai.pydantic_function_tool(PlaceModel),
        {"type": "function", "name": "flat", "strict": True, "parameters": {}},
        {"type": "function", "function": {"name": "strict", "strict": True}},
        {"type": "function", "function": {"name": "loose"}},
        {"type": "function", "function": "odd"},
        {"type": "web_search", "name": "search", "strict": True},
    ]
    parsers = parsing.tool_parsers(tools)
    assert sorted(parsers) == ["Place", "PlaceModel", "flat", "get_weather", "strict"]
    arguments = parsers["get_weather"]('{"city": "Paris", "days": 2, "colour": "red"}')
    assert arguments == {"city": "Paris", "days": 2, "colour": Colour.RED}
    assert get_weather(**arguments) == "Paris 2 Colour.RED"
    assert parsers["Place"]('{"city": "Paris"}') == Place("Paris")
    assert parsers["PlaceModel"]('{"city": "Paris"}') == PlaceModel(city="Paris")
    assert parsers["flat"]("[1]") == parsers["strict"]("[1]") == [1]
    assert parsing.tool_parsers(None) == {}


def test_escapes_take_no_memory_of_their_own() -> None:
    text = '["' + "\\n" * 200_000 + '"]'
    parser = PartialParser()
    tracemalloc.start()
    try:
        parser.feed(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert parser.value == ["\n" * 200_000]
    assert peak < 8 * len(text)


# -- Text that grows --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [GrowingText, GrowingJSON])
def test_what_was_read_earlier_can_be_read_again(kind: Any) -> None:
    log = kind()
    ends = [log.tell()]
    for piece in ("the ", "", "moon\r\n", "🌙"):
        log.write(piece)
        ends.append(log.tell())
    shown = ["", "the ", "the ", "the moon\r\n", "the moon\r\n🌙"]
    assert [log.upto(end) for end in ends] == shown
    assert [log.upto(end) for end in reversed(ends)] == shown[::-1]
    assert str(log) == shown[-1]


def test_plain_text_is_not_parsed() -> None:
    log = GrowingText()
    log.write("{}")
    assert log.partial(log.tell()) is None


def test_readers_in_other_threads_do_not_disturb() -> None:
    log = GrowingJSON()
    found: list[Any] = []

    def read() -> None:
        for _ in range(200):
            found.append(log.partial(log.tell()))

    threads = [threading.Thread(target=read) for _ in range(4)]
    log.write("[")
    for thread in threads:
        thread.start()
    for n in range(2_000):
        log.write(f"{n},")
    for thread in threads:
        thread.join()
    assert all(value == list(range(len(value))) for value in found)
    assert log.partial(log.tell()) == list(range(2_000))


# -- JSON that is still arriving ----------------------------------------------------------------


def fed(*pieces: str) -> PartialParser:
    parser = PartialParser()
    for piece in pieces:
        parser.feed(piece)
    return parser


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e300, 1e300) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
containers = st.lists(json_values, max_size=4) | st.dictionaries(st.text(max_size=5), json_values, max_size=4)


@given(containers, st.booleans(), st.sampled_from([None, 1]))
def test_each_prefix_says_what_the_official_one_says(value: Any, escaped: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=escaped, indent=indent)
    parser = PartialParser()
    shown = []
    for end, char in enumerate(text, 1):
        parser.feed(char)
        assert parser.value == jiter.from_json(text[:end].encode(), partial_mode=True)
        shown.append((parser.value, json.dumps(plain(parser.value))))
    assert parser.value == value
    assert type(parser.value) is type(value)
    for earlier, as_text in shown:  # values: none has changed since
        assert json.dumps(plain(earlier)) == as_text
    for earlier, as_text in shown[::5]:
        assert json.dumps(read_through(earlier)) == as_text


def read_through(value: Any) -> Any:
    """A copy by way of what lists and dicts have in common with the views."""
    if isinstance(value, (list, PartialList)):
        assert [value[place] for place in range(len(value))] == list(value) == list(reversed(list(reversed(value))))
        return [read_through(one) for one in value]
    if isinstance(value, (dict, PartialDict)):
        assert len(value) == len(list(value)) == len(value.items())
        return {name: read_through(value[name]) for name in value}
    return value


@given(containers, st.data())
def test_pieces_do_not_matter(value: Any, data: Any) -> None:
    text = json.dumps(value)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert fed(*pieces).value == value


def test_nothing_yet() -> None:
    for text in ("", "  ", "tr", "-", '"abc'):
        assert fed(text).value is None
    assert fed("12").value == 12
    assert fed('"abc"').value == "abc"
    assert fed("true ").value is True


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ('{"a": 1, "b": moon', {"a": 1}),
        ('{"a": 1, "b": moon}', {"a": 1}),
        ("[1, 01]", [1]),
        ("[1,, 2]", [1]),
        ("[1, 2}", [1, 2]),
        ('{"a": 1]', {"a": 1}),
        ('{"a" 1}', {}),
        ("{1: 2}", {}),
        ('{"a": 1 "b": 2}', {"a": 1}),
        ("[1] moon", [1]),
        ("[1, $]", [1]),
        ('["a", "\\x"]', ["a"]),
        ("[1, " + "2" * 500 + ", 3]", [1]),
        ("moon", None),
        ("]", None),
        ("[NaN", []),
        ("The answer is [1]", None),
    ],
)
def test_what_is_not_json_ends_the_reading(text: str, stays: Any) -> None:
    assert fed(text).value == stays
    assert fed(*text, " [7]").value == stays


def test_a_value_without_news_is_not_copied() -> None:
    parser = fed('{"a": [1], "b": "long ')
    first = parser.value
    parser.feed("text that goes on")
    assert parser.value is first
    parser.feed('", "c": {')
    assert first == {"a": [1]}
    assert parser.value == {"a": [1], "b": "long text that goes on", "c": {}}
    assert parser.value["a"] is first["a"]  # what was whole is shared


def test_an_escape_may_be_cut_anywhere() -> None:
    text = '["\\"\\\\\\u00e9\\ud83c\\udf19\\n"]'
    for cut in range(len(text)):
        assert fed(text[:cut], text[cut:]).value == ['"\\é🌙\n']
    assert fed(*text).value == ['"\\é🌙\n']


def test_one_name_twice() -> None:
    """The last one counts, at each moment, in the place of the first."""
    parser = PartialParser()
    shown = []
    for piece in ('{"a": [1, 2', '], "b": 5, "a"', ': {"b": ', '7, "b": 8', '}, "c": 1, "a": 3', ', "a": 4}'):
        parser.feed(piece)
        shown.append(parser.value)
    expected = [
        {"a": [1, 2]},
        {"a": [1, 2], "b": 5},
        {"a": {}, "b": 5},
        {"a": {"b": 8}, "b": 5},
        {"a": 3, "b": 5, "c": 1},
        {"a": 4, "b": 5, "c": 1},
    ]
    assert shown == expected
    assert [list(value) for value in shown] == [list(value) for value in expected]
    assert [repr(value) for value in shown] == [repr(value) for value in expected]
    assert [list(value.items()) for value in shown] == [list(value.items()) for value in expected]


def test_what_is_open_is_like_what_it_stands_for() -> None:
    value = fed('{"rows": [{"a": 1}, [2, 3], "moon", 4').value
    assert isinstance(value, Mapping)
    rows = value["rows"]
    assert isinstance(rows, Sequence)
    assert type(rows[0]) is dict
    assert type(rows[1]) is list
    shown = [{"a": 1}, [2, 3], "moon", 4]
    assert rows == shown == rows
    assert shown != rows[:3] == shown[:3]
    assert (rows[1:], rows[::-1], rows[-1], rows[-4]) == (shown[1:], shown[::-1], 4, {"a": 1})
    assert (rows != shown, rows != shown[:3], rows == tuple(shown)) == (False, True, False)
    for outside in (4, -5):
        with pytest.raises(IndexError):
            rows[outside]
    assert repr(value) == repr({"rows": shown})
    assert value == {"rows": shown}
    assert {"rows": shown} == value
    assert value.get("moon") is None
    with pytest.raises(KeyError, match="moon"):
        value["moon"]
    match value:
        case {"rows": [{"a": 1}, *others]}:
            assert others == shown[1:]
        case _:
            pytest.fail("no pattern fits")
    for copied in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value)), value.plain()):
        assert type(copied) is dict
        assert type(copied["rows"]) is list
        assert copied == value
    assert type(copy.copy(rows)) is list
    for unhashable in (value, rows):
        with pytest.raises(TypeError, match="unhashable"):
            hash(unhashable)


def test_types_read_what_is_open() -> None:
    value = fed('{"lines": ["the moon", "is up"], "year": 1850').value
    assert msgspec.convert(value, VerseData) == VerseData(["the moon", "is up"], 1850)

    class Lines(pydantic.BaseModel):
        lines: list[str]

    assert Lines.model_validate(fed('{"lines": ["the moon"').value) == Lines(lines=["the moon"])
    assert msgspec.convert(fed('{"lines": ["the moon"').value.plain(), VerseData) == VerseData(["the moon"])
    for encode in (json.dumps, msgspec.json.encode):  # refused, not found empty
        with pytest.raises(TypeError):
            encode(value)
    assert json.loads(json.dumps(value, default=plain)) == value


def test_the_depth_is_bounded() -> None:
    """As the official SDK's is; there it raises."""
    deep = fed("[" * 300, "1").value
    depth = 0
    while deep:
        (deep,) = deep
        depth += 1
    jiter.from_json(b"[" * (depth + 1), partial_mode=True)
    with pytest.raises(ValueError, match="recursion limit"):
        jiter.from_json(b"[" * (depth + 2), partial_mode=True)


#: JSON texts of any length, in pieces of which each brings something to look at.
GROWING: dict[str, Callable[[int], list[str]]] = {
    "numbers": lambda count: ['{"a": [', *(f"{n}," for n in range(count))],
    "digits": lambda count: ["["] + [str(n % 10) if n % 5 else "," for n in range(1, count)],
    "objects": lambda count: ['{"a": [', *['{"b": 1', ', "c": [2', "]}, "] * (count // 3)],
    "names": lambda count: ["{", *(f'"{n}": {n}, ' for n in range(count))],
    "one name": lambda count: ["{", *(f'"a": {n}, "b": {n}, ' for n in range(count))],
    "depth": lambda count: ['{"a": '] * count,
    "text": lambda count: ['{"a": 1, "b": "', *["the moon "] * count],
}


@pytest.mark.parametrize("kind", GROWING)
def test_all_looks_together_cost_what_the_text_is_long(kind: str) -> None:
    """Calls, and the memory of all the values, which are kept: copies would show there."""

    def cost(count: int) -> tuple[int, int]:
        log, kept, again = GrowingJSON(), [], []

        def work() -> None:
            for piece in GROWING[kind](count):
                log.write(piece)
                kept.append(log.partial(log.tell()))
            # Not to be read anew for each.
            again.extend([log.partial(end) for end in range(1, log.tell() + 1)])

        tracemalloc.start()
        try:
            calls = calls_made(work)
            memory = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert again[::251] == kept[::251]
        return calls, memory

    small, large = cost(400), cost(800)
    assert large[0] <= 2.2 * small[0]
    assert large[1] <= 2.6 * small[1]  # hash tables grow in steps; copies would make it 4
