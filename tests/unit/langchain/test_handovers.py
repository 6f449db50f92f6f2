"""Messages in what tools put into a graph's state: all of them are found, and nothing else is touched."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage, convert_to_messages
from langgraph.types import Command, Send
from pydantic import BaseModel, ConfigDict

from session_router import Tag
from session_router.core.governance import Level
from session_router_langchain.handovers import marked_in
from session_router_langchain.tagging import labelled, own_label

SECRET = Tag(level=Level.RESTRICTED)


def marked(message: Any) -> Any:
    return labelled(message, SECRET)


def label_in(value: Any) -> Any:
    return own_label(convert_to_messages([value])[0])


class Named(NamedTuple):
    who: str
    said: Any


@dataclass(frozen=True, slots=True)
class Frozen:
    said: Any


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)
    said: Any


ENVELOPE = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"], "kwargs": {"content": "x"}}


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage("x"),
        AIMessage("x"),
        {"role": "user", "content": "x", "name": "ada"},
        {"role": "assistant", "content": [{"type": "text", "text": "x"}]},
        {"type": "human", "content": "x", "additional_kwargs": {"lc_source": "a tool"}},
        {"role": "tool", "content": "x", "tool_call_id": "1"},
        ENVELOPE,
        ("user", "x"),
        ("assistant", "x"),
        "x",
    ],
    ids=str,
)
def test_every_form_of_a_message_is_marked_and_stays_what_it_was(message: Any) -> None:
    found: Any = marked_in({"messages": [message]}, marked)
    (new,) = found["messages"]
    before, after = convert_to_messages([message])[0], convert_to_messages([new])[0]
    assert own_label(after) == SECRET
    assert (type(after), after.content, after.name) == (type(before), before.content, before.name)
    assert before.additional_kwargs.items() <= after.additional_kwargs.items()


@pytest.mark.parametrize(
    "wrap", [lambda one: [one], lambda one: (one,), lambda one: Named("ada", one), Frozen, lambda one: Model(said=one)]
)
def test_whatever_holds_messages_is_looked_into_and_keeps_its_type(wrap: Any) -> None:
    value = wrap(HumanMessage("x"))
    new: Any = marked_in(OrderedDict(state=value), marked)
    assert type(new) is OrderedDict
    inner = new["state"]
    assert type(inner) is type(value)
    assert label_in(inner.said if hasattr(inner, "said") else inner[0]) == SECRET
    assert label_in(value.said if hasattr(value, "said") else value[0]) is None


def test_what_holds_no_message_is_the_very_same() -> None:
    held: dict[str, Any] = {
        "place": (1, 2),
        "names": [("user", "Bob"), ("city", "Rome")],
        "texts": ["a", "b"],
        "block": {"type": "text", "text": "a"},
        "page": {"content": "a", "title": "b"},
        "set": {1},
        "found": [Document("a", metadata={"content": "b"})],
        "none": None,
    }
    assert marked_in(held, marked) is held
    command: Any = Command(update=held, goto=("one", Send("two", held)))
    assert marked_in(command, marked) is command


def test_commands_keep_what_they_say_beside_messages() -> None:
    send: Any = Send("two", {"messages": [HumanMessage("x")]}, timeout=5.0)
    command: Any = Command(update=[("messages", [HumanMessage("x")]), ("place", (1, 2))], goto=[send, "three"], graph=Command.PARENT)
    new: Any = marked_in([command, ToolMessage("y", tool_call_id="1")], marked)
    (key, (message,)), place = new[0].update
    assert (key, own_label(message), place) == ("messages", SECRET, ("place", (1, 2)))
    assert (new[0].graph, new[0].goto[1]) == (Command.PARENT, "three")
    assert (new[0].goto[0].node, new[0].goto[0].timeout) == ("two", send.timeout)
    assert own_label(new[0].goto[0].arg["messages"][0]) == SECRET
    assert own_label(new[1]) == SECRET


def test_a_state_that_holds_itself_is_looked_into_once() -> None:
    state: dict[str, Any] = {"messages": [HumanMessage("x")]}
    state["self"] = state
    new: Any = marked_in(state, marked)
    assert own_label(new["messages"][0]) == SECRET
