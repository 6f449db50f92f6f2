"""What is handed to an integration, and is of a wrong kind, is an error of our tree at once: not in the middle of a call."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import HumanMessage

from session_router import MemorySessionStore, Prices, Router, SemanticCache, Tag
from session_router.errors import ConfigurationError
from session_router_langchain import (
    SessionRouterCache,
    SessionRouterCallbackHandler,
    SessionRouterMiddleware,
    convert,
    labelled,
    portability_report,
    repair,
    tagged_tool,
    target_of,
)
from session_router_langgraph import create_router_node

MODEL = FakeListChatModel(responses=["Hello."])
ROUTER = Router({"fast": MODEL}, prices={"fast": Prices(input=1.0, output=2.0)}, store=MemorySessionStore())
NODES = {"fast": "ask_fast"}
PAIR: Any = ("user", "Hello.")


@pytest.mark.parametrize("key", ["tenant", "principal"])
@pytest.mark.parametrize("name", [4711, b"user-4711", ["user-4711"], True])
@pytest.mark.parametrize(
    "door",
    [
        lambda **names: SessionRouterMiddleware(ROUTER, **names),
        lambda **names: SessionRouterCallbackHandler(ROUTER, print, **names),
        lambda **names: SessionRouterCache(SemanticCache(), **names),
        lambda **names: create_router_node(ROUTER, destinations=NODES, **names),
    ],
    ids=["middleware", "callback", "cache", "node"],
)
def test_whoever_is_not_named_by_a_text_is_refused_at_the_door(door: Any, key: str, name: object) -> None:
    with pytest.raises(ConfigurationError, match=rf"^`{key}` is .*; give a text, such as ") as caught:
        door(**{key: name})
    assert caught.value.value == name


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: create_router_node(5, destinations=NODES), "router"),  # type: ignore[arg-type]
        (lambda: create_router_node(ROUTER, destinations=5), "destinations"),  # type: ignore[arg-type]
        (lambda: create_router_node(ROUTER, destinations=["fast"]), "destinations"),  # type: ignore[arg-type]
        (lambda: create_router_node(ROUTER, destinations={"fast": 5}), "destinations.fast"),  # type: ignore[dict-item]
        (lambda: create_router_node(ROUTER, destinations=NODES, messages_key=5), "messages_key"),  # type: ignore[arg-type]
        (lambda: create_router_node(ROUTER, destinations=NODES, tools=5), "tools"),
        (lambda: ROUTER.as_model_selector(5), "tools"),  # type: ignore[arg-type]
        (lambda: target_of("fast", None), "model"),  # type: ignore[arg-type]
        (lambda: target_of("fast", "openai:gpt-5-mini"), "model"),  # type: ignore[arg-type]
        (lambda: convert(None, MODEL), "messages"),  # type: ignore[arg-type]
        (lambda: convert("Hello.", MODEL), "messages"),  # type: ignore[arg-type]
        (lambda: convert([PAIR], MODEL), "messages.0"),
        (lambda: convert([HumanMessage("Hello."), {"role": "user"}], MODEL), "messages.1"),  # type: ignore[list-item]
        (lambda: portability_report([PAIR], MODEL), "messages.0"),
        (lambda: repair([PAIR]), "messages.0"),
        (lambda: repair(5), "messages"),  # type: ignore[arg-type]
        (lambda: labelled("Hello.", Tag()), "message"),  # type: ignore[type-var]
        (lambda: labelled(HumanMessage("Hello."), 2), "tag"),  # type: ignore[arg-type]
        (lambda: tagged_tool(5, tag=Tag()), "tool"),  # type: ignore[call-overload]
        (lambda: tagged_tool(tag=2), "tag"),  # type: ignore[call-overload]
    ],
)
def test_what_is_of_a_wrong_kind_names_its_argument_and_the_rule(make: Any, key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert caught.value.key == key
    assert caught.value.rule.startswith("give ")
