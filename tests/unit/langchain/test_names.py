"""Who a session is does not depend on the door it comes in by."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

from session_router import Prices, Router
from session_router.identity import SessionNames
from session_router_langchain import SessionRouterCallbackHandler, SessionRouterChatModel, SessionRouterMiddleware
from session_router_langchain.names import current_config, names_of
from session_router_langgraph import create_router_node

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_router.core.session import SessionId

TEXTS = st.text(min_size=1, max_size=4)
THREADS = TEXTS | st.integers() | st.uuids()


class Ids:
    """An observer that keeps the ids of sessions."""

    def __init__(self) -> None:
        self.seen: list[SessionId | None] = []

    def on_decision(self, decision: Any) -> None:
        self.seen.append(decision.session_id)

    def on_outcome(self, decision: Any, outcome: Any) -> None:
        pass


class State(TypedDict, total=False):
    messages: list[Any]
    session_router: dict[str, Any]


def fake() -> FakeListChatModel:
    return FakeListChatModel(responses=["Hello."])


def runtime_of(thread: object, namespace: str, user: str | None) -> Any:
    server = None if user is None else SimpleNamespace(user=SimpleNamespace(identity=user))
    return SimpleNamespace(execution_info=SimpleNamespace(thread_id=thread, checkpoint_ns=namespace), server_info=server)


@given(thread=st.none() | THREADS, namespace=TEXTS, user=st.none() | TEXTS, agent=st.none() | TEXTS, principal=st.none() | TEXTS)
def test_what_the_runtime_says_and_what_config_and_metadata_say_are_the_same(
    thread: Any, namespace: str, user: str | None, agent: str | None, principal: str | None
) -> None:
    expected = SessionNames(
        tenant="acme",
        principal=principal or user,
        thread=None if thread is None else str(thread),
        namespace=namespace,
        agent=agent,
    )
    named = {} if agent is None else {"lc_agent_name": agent}
    told = {"langgraph_checkpoint_ns": namespace, **named}
    runtime = runtime_of(thread, namespace, user)
    as_id = {"langgraph_auth_user_id": user}
    as_user = {"langgraph_auth_user": SimpleNamespace(identity=user)}
    as_mapping = {"langgraph_auth_user": {"identity": user}}
    doors: list[tuple[Any, Any]] = [
        ({"metadata": named}, runtime),
        ({"metadata": told, "configurable": {"thread_id": thread, **as_id}}, None),
        ({"metadata": {**told, "thread_id": thread}, "configurable": as_user}, None),
        ({"metadata": told, "configurable": {"thread_id": thread, **as_mapping}}, runtime),
    ]
    assert [names_of(config, door, tenant="acme", principal=principal) for config, door in doors] == [expected] * len(doors)


def test_what_comes_with_the_call_outranks_the_run_around_it() -> None:
    names = names_of(
        {"configurable": {"thread_id": "own"}, "metadata": {"thread_id": "around"}},
        runtime_of("around", "", "server"),
        tenant=None,
        principal="own",
    )
    assert (names.thread, names.principal) == ("own", "own")


def test_nothing_names_nobody() -> None:
    config: Any = {"configurable": {"thread_id": "", "langgraph_auth_user_id": ""}}
    assert names_of(config, SimpleNamespace(), tenant=None, principal="") == SessionNames()
    assert current_config() == {}


def by_middleware(router: Router, config: Any) -> None:
    agent = create_agent(fake(), middleware=[SessionRouterMiddleware(router, tenant="acme")], checkpointer=InMemorySaver(), name="clerk")
    agent.invoke({"messages": [HumanMessage("Hi")]}, config)


def in_a_graph(node: Any, config: Any) -> None:
    """Run `node` where `create_agent` would call its model."""
    graph = StateGraph(State)
    graph.add_node("model", node)
    graph.add_node("end", lambda _: {})
    graph.add_edge(START, "model")
    graph.compile(checkpointer=InMemorySaver()).invoke({"messages": [HumanMessage("Hi")]}, config)


def by_node(router: Router, config: Any) -> None:
    in_a_graph(create_router_node(router, destinations={"one": "end"}, tenant="acme"), config)


def by_chat_model(router: Router, config: Any) -> None:
    model = SessionRouterChatModel(router=router, tenant="acme")
    in_a_graph(lambda state: {"messages": [model.invoke(state["messages"])]}, config)


def by_callback(router: Router, config: Any) -> None:
    handler = SessionRouterCallbackHandler(router, lambda _: None, tenant="acme")
    in_a_graph(lambda state: {"messages": [fake().invoke(state["messages"])]}, {**config, "callbacks": [handler]})


@pytest.mark.parametrize(
    "user",
    [{}, {"langgraph_auth_user_id": "ann", "langgraph_auth_user": SimpleNamespace(identity="ann")}],
    ids=["nobody", "ann"],
)
@pytest.mark.parametrize("thread", ["a-thread", 7])
def test_every_door_gives_one_session(user: dict[str, Any], thread: object) -> None:
    doors: list[Callable[[Router, Any], None]] = [
        by_middleware,
        by_node,
        by_chat_model,
        by_callback,
    ]
    ids = Ids()
    for door in doors:
        router = Router({"one": fake()}, prices={"one": Prices(input=1.0, output=1.0)}, key=bytes(32), observers=[ids])
        door(router, {"configurable": {"thread_id": thread, **user}, "metadata": {"lc_agent_name": "clerk"}})
    assert len(ids.seen) == len(doors)
    assert len(set(ids.seen)) == 1
    assert ids.seen[0] is not None
