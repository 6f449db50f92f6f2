"""What simulated models say."""

# ruff: noqa: ANN001, ANN002, ANN003, ANN201 -- fixtures and cases say what they are

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.testing.providers import (
    Prompt,
    Reply,
    SchemaBehaviour,
    ScriptedBehaviour,
    ScriptExhaustedError,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from session_router.testing.providers.schema_sample import SchemaSampler

ADD = Tool(
    name="add",
    description="",
    schema={"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"], "type": "object"},
)
WEATHER = Tool(name="get_weather", description="", schema={"properties": {"place": {"type": "string"}}, "required": ["place"]})


def prompt(text, *tools, **fields):
    return Prompt(model="m", turns=(Turn(role="user", text=text), *fields.pop("after", ())), tools=tools, **fields)


def called(reply):
    return [(call.name, dict(call.arguments)) for call in reply.tool_calls]


@pytest.mark.parametrize(
    ("asked", "calls"),
    [
        (prompt("please add 3 and 4", ADD, WEATHER), [("add", {"a": 3, "b": 4})]),
        (prompt("What is the weather in 'Rome'?", ADD, WEATHER), [("get_weather", {"place": "Rome"})]),
        (
            prompt("use get_weather and add with 5 and 6 for 'Rome'", ADD, WEATHER),
            [("add", {"a": 5, "b": 6}), ("get_weather", {"place": "Rome"})],
        ),
        (
            prompt("use get_weather and add", WEATHER, ADD, parallel_tool_calls=False),
            [("get_weather", {"place": "use get_weather and add"})],
        ),
        (prompt("Use the tool on 2.", ADD), [("add", {"a": 2, "b": 1})]),
        (prompt("hello", ADD, WEATHER), []),
        (prompt("add 1 and 2", ADD, tool_choice=ToolChoice(mode="none")), []),
        (prompt("hello", ADD, WEATHER, tool_choice=ToolChoice(mode="any")), [("add", {"a": 1, "b": 1})]),
        (prompt("hello", ADD, WEATHER, tool_choice=ToolChoice(mode="named", name="get_weather")), [("get_weather", {"place": "hello"})]),
    ],
)
def test_tools_are_called_where_the_text_or_the_request_says_so(asked, calls):
    assert called(SchemaBehaviour()(asked)) == calls


def test_results_are_quoted_and_forced_loops_end():
    loop = (
        Turn(role="assistant", tool_calls=(ToolCall(name="add", arguments={}, id="x"),)),
        Turn(role="tool", tool_results=(ToolResult(call_id="x", text="seven"),)),
    )
    assert SchemaBehaviour()(prompt("add 3 and 4", ADD, after=loop)).text == "The tools said: seven"
    forced = prompt("add", ADD, WEATHER, after=loop, tool_choice=ToolChoice(mode="any"))
    assert [name for name, _ in called(SchemaBehaviour()(forced))] == ["get_weather"]
    assert not SchemaBehaviour()(prompt("add", ADD, after=loop, tool_choice=ToolChoice(mode="any"))).tool_calls


def test_json_is_said_where_it_is_asked_for():
    assert SchemaBehaviour()(prompt("tell 'joke'", json_schema=WEATHER.schema)).text == '{"place":"joke"}'
    assert SchemaBehaviour()(prompt("JSON with 'a' and 'b'", json_mode=True)).text.startswith('{"a":')


def test_a_script_is_used_up_or_looked_up():
    one = ScriptedBehaviour(["first", Reply(text="second")])
    assert [one(prompt("x")).text, one(prompt("y")).text] == ["first", "second"]
    with pytest.raises(ScriptExhaustedError, match="no reply for call 3 of the turn 'z'"):
        one(prompt("z"))
    by_text = ScriptedBehaviour({"weather": ["sunny", "still sunny"]}, fallback=SchemaBehaviour())
    answered = prompt("the weather?", after=(Turn(role="assistant", text="sunny"), Turn(role="tool")))
    assert [by_text(prompt("the weather?")).text, by_text(answered).text, by_text(prompt("hi")).text] == [
        "sunny",
        "still sunny",
        "You said: hi",
    ]


def test_an_exhausted_script_is_a_server_error(scripted):
    answer = scripted()("chat", messages=[{"role": "user", "content": "x"}])
    assert answer.status_code == 500
    assert "Add replies, or give the script a fallback." in answer.text


SCALARS = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "minLength": 5, "maxLength": 7},
        {"type": "string", "enum": ["red", "blue"]},
        {"type": "integer", "minimum": 10, "maximum": 12},
        {"type": "integer", "exclusiveMinimum": 3},
        {"type": "number", "multipleOf": 5},
        {"type": ["null", "boolean"]},
        {"const": 4},
        {"anyOf": [{"type": "null"}, {"type": "integer"}]},
        {"$ref": "#/$defs/item"},
        {"allOf": [{"$ref": "#/$defs/item"}]},
    ]
)
SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items, "minItems": 2}, inner),
        st.builds(
            lambda fields: {"type": "object", "properties": fields, "required": list(fields)},
            st.dictionaries(st.sampled_from("abc"), inner),
        ),
    ),
    max_leaves=6,
)
ITEM = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def holds(value, schema):  # noqa: PLR0911 -- one line a kind
    """A small checker of the schemas above, written apart from the sampler."""
    if "$ref" in schema or "allOf" in schema:
        return holds(value, ITEM)
    if "anyOf" in schema:
        return any(holds(value, option) for option in schema["anyOf"])
    if "const" in schema:
        return value == schema["const"]
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None), "array": list, "object": dict}
    wanted = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(isinstance(value, kinds[kind]) for kind in wanted):
        return False
    if isinstance(value, str):
        return schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**6) and value in schema.get("enum", [value])
    if isinstance(value, list):
        return len(value) >= schema["minItems"] and all(holds(each, schema["items"]) for each in value)
    if isinstance(value, dict):
        return set(schema["required"]) <= set(value) and all(holds(value[name], schema["properties"][name]) for name in value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        return (
            low <= value <= high and value > schema.get("exclusiveMinimum", value - 1) and value % schema.get("multipleOf", value or 1) == 0
        )
    return True


@given(SCHEMAS, st.text())
def test_samples_satisfy_their_schema(schema, text):
    sample = SchemaSampler({**schema, "$defs": {"item": ITEM}}, text).sample()
    assert holds(sample, schema), sample


def test_samples_take_words_from_the_text():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}, "required": ["n", "s"]}
    assert SchemaSampler(schema, "magic_function(3) named '你好啊集团'").sample() == {"n": 3, "s": "你好啊集团"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", SchemaSampler({"type": "string", "format": "date"}, "").sample())
