"""Whoever comes in by several doors is one principal, and every door counts upgrades."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from session_router import MemorySessionStore, Policy, Prices
from session_router.core.upgrades import UpgradeWatch
from session_router.identity import SessionNames, principal_id
from session_router_langchain import SessionRouterCallbackHandler, SessionRouterChatModel, SessionRouterMiddleware
from session_router_langgraph import RouterState, create_router_node
from support.agents import CLAUDE, Stage, agent_of
from values import Prefers

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_router import Router
    from session_router.core.session import SessionId

KEY = b"k" * 32
ANN = SessionNames(tenant="acme", principal="ann")
WHO: dict[str, Any] = {"tenant": "acme", "principal": "ann"}
WATCHED = Policy(stake=1.0, upgrades=UpgradeWatch(expected=0.1, excessive=0.6))


class State(MessagesState, RouterState):
    """What a user's graph would declare."""


def router_on(stage: Stage, store: MemorySessionStore, policy: Policy) -> Router:
    """A router that always wants the dearest model."""
    prices = {name: Prices(input=1.0, output=4.0) for name in stage.routes()} | {CLAUDE: Prices(input=10.0, output=40.0)}
    return stage.router(scorer=Prefers(CLAUDE), policy=policy, prices=prices, store=store, key=KEY)


def by_middleware(stage: Stage, router: Router) -> None:
    agent_of(stage, router=SessionRouterMiddleware(router, **WHO)).invoke(
        {"messages": [HumanMessage("by an agent")]}, {"configurable": {"thread_id": "1"}}
    )


def by_chat_model(stage: Stage, router: Router) -> None:
    del stage
    SessionRouterChatModel(router=router, **WHO).invoke("by a chat model")


def by_callback(stage: Stage, router: Router) -> None:
    handler = SessionRouterCallbackHandler(router, lambda _: None, **WHO)
    stage.chat().invoke("by a callback", {"callbacks": [handler], "configurable": {"thread_id": "2"}})


def by_node(stage: Stage, router: Router) -> None:
    del stage
    graph = StateGraph(State)
    graph.add_node("router", create_router_node(router, destinations={name: f"ask_{name}" for name in router.models}, **WHO))
    for name in router.models:
        graph.add_node(f"ask_{name}", lambda _: {})
        graph.add_edge(f"ask_{name}", END)
    graph.add_edge(START, "router")
    compiled: Any = graph.compile()
    compiled.invoke({"messages": [HumanMessage("by a node")]})


DOORS = [by_middleware, by_chat_model, by_callback, by_node]


def counted(store: MemorySessionStore, row: SessionId | None) -> int:
    assert row is not None
    found = store.load(row)
    return 0 if found is None else found.version


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_every_door_counts(stage: Stage, door: Callable[[Stage, Router], None]) -> None:
    store = MemorySessionStore()
    door(stage, router_on(stage, store, WATCHED))
    assert counted(store, principal_id(KEY, ANN)) == 1
    # Where nobody watches, nobody is looked up or written down.
    quiet = MemorySessionStore()
    door(stage, router_on(stage, quiet, Policy(stake=1.0)))
    assert counted(quiet, principal_id(KEY, ANN)) == 0


def test_all_doors_lead_to_one_row(stage: Stage) -> None:
    store = MemorySessionStore()
    for door in DOORS:
        door(stage, router_on(stage, store, WATCHED))
    assert counted(store, principal_id(KEY, ANN)) == len(DOORS)
    assert counted(store, principal_id(KEY, SessionNames(tenant="globex", principal="ann"))) == 0
