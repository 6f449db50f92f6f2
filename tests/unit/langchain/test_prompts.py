"""What LangChain hands to a cache is read as plain JSON, and what is not understood is not guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from langchain_core.prompts import PromptTemplate

from session_router_langchain.prompts import UNREADABLE, messages_in, set_up_in, tells_all


class Opaque:
    """Something that LangChain cannot write down."""


def test_messages_come_back_without_ids() -> None:
    call: Any = {"name": "look", "args": {"at": 1}, "id": "call_1", "type": "tool_call"}
    said = [
        SystemMessage("Be kind."),
        HumanMessage([{"type": "text", "text": "Hello"}], name="bob"),
        AIMessage("Hi", tool_calls=[call], response_metadata={"model_name": "x"}),
    ]
    read = messages_in(dumps([one.model_copy(update={"id": "an id"}) for one in said]))
    assert list(read or ()) == said


@pytest.mark.parametrize(
    "text",
    ["", "Hello", "[", "[]", "[1]", "{}", "null", '"text"', '[{"role": "user"}]', "[" * 100_000, '[{"lc": 1}]', "9" * 10_000, "\ud800"],
)
def test_what_is_no_list_of_messages_is_a_text(text: str) -> None:
    assert messages_in(text) is None


@pytest.mark.parametrize(
    "message",
    [
        ToolMessage("9", tool_call_id="call_1"),
        ChatMessage("9", role="critic"),
        RemoveMessage(id="x"),
        PromptTemplate.from_template("a message it is not"),
        HumanMessage("9", additional_kwargs={"x": Opaque()}),
        HumanMessage([{"type": "text", "text": Opaque()}]),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_is_not_understood_is_unreadable(message: Any) -> None:
    assert messages_in(dumps([HumanMessage("Hello"), message])) is UNREADABLE


@pytest.mark.parametrize(
    "kwargs",
    [None, [], {}, {"type": "human"}, {"type": "human", "content": 7}, {"type": "human", "content": {}}, {"type": ["ai"], "content": ""}],
)
def test_fields_that_do_not_fit_are_unreadable(kwargs: Any) -> None:
    plain = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"], "kwargs": kwargs}
    assert messages_in(json.dumps([plain])) is UNREADABLE
    assert messages_in(json.dumps([plain, "and more"])) is UNREADABLE


def test_nothing_is_loaded() -> None:
    """A class by its path, and a secret by its name, are data."""
    planted = {"lc": 1, "type": "secret", "id": ["HOME"]}
    written = dumps([HumanMessage("Hello")])
    assert messages_in(written.replace('"Hello"', json.dumps(planted))) is UNREADABLE
    plain = {"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {"type": "human", "content": "true"}}
    (read,) = messages_in(json.dumps([plain])) or ()
    assert type(read) is HumanMessage


@given(st.text(max_size=200))
def test_any_text_of_a_message_comes_back(text: str) -> None:
    (read,) = messages_in(dumps([HumanMessage(text)])) or ()
    assert read.content == text


def test_what_does_not_tell_all_is_told() -> None:
    assert tells_all("[('model', 'x')]")
    for string in ("", "[('f', <function f at 0x7f>)]", "[('f', <class 'a.B'>)]", dumps({"kwargs": {"x": Opaque()}})):
        assert not tells_all(string)


def test_the_model_stands_before_what_is_bound() -> None:
    assert set_up_in("{}---[('stop', None)]") == set_up_in("{}---[('tools', [])]") == "{}"
    assert set_up_in("[('stop', None)]") == "[('stop', None)]"
