"""Realistic graphs that a review broke once: renamed messages, greetings, parallel branches, half-answered handoffs."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Send
from typing_extensions import TypedDict

from session_router_langchain import SessionRouterMiddleware
from session_router_langgraph import RouterState, create_router_node
from session_router_langgraph.state import later_session
from support.agents import CLAUDE, THREAD, TOOLS, RestlessScorer, Stage, agent_of, asks, call


class Renaming(AgentMiddleware):
    """Names every answer after somebody else, as graphs of several agents do."""

    def after_model(self, state: Any, runtime: Any) -> dict[str, Any]:  # noqa: ARG002 -- signature of the base
        last = state["messages"][-1]
        return {"messages": [last.model_copy(update={"name": "somebody_else"})]}


def test_a_renamed_message_unlocks_nothing(stage: Stage) -> None:
    stage.witness.script = {"weather": [asks(call("weather", city="Rome")), asks(call("weather", city="Oslo")), "done"]}
    router = SessionRouterMiddleware(stage.router(scorer=RestlessScorer()))
    agent = create_agent(stage.chat(), tools=TOOLS, middleware=[router, Renaming()], name="sup", checkpointer=InMemorySaver())
    result = agent.invoke({"messages": [HumanMessage("weather")]}, THREAD)
    stage.assert_sound(result["messages"])
    models = {message.response_metadata["session_router"]["model"] for message in result["messages"] if isinstance(message, AIMessage)}
    assert len(models) == 1


@pytest.mark.parametrize("thread", [17, 0, 1.5, True])
def test_a_thread_id_need_not_be_text(stage: Stage, thread: Any) -> None:
    stage.witness.script = {"hi": ["hello"]}
    result = agent_of(stage).invoke({"messages": [HumanMessage("hi")]}, {"configurable": {"thread_id": thread}})
    assert result["messages"][-1].text == "hello"


def test_a_history_that_the_assistant_begins_can_go_to_claude(stage: Stage) -> None:
    stage.witness.script = {"hi": ["hello"]}
    routes = {name: model for name, model in stage.routes().items() if name == CLAUDE}
    history = [AIMessage("Hello! How can I help?"), HumanMessage("hi")]
    result = agent_of(stage, routes=routes).invoke({"messages": history}, THREAD)
    assert stage.refused == []
    assert [message.text for message in result["messages"]] == ["Hello! How can I help?", "hi", "hello"]


def test_a_call_that_nobody_will_run_gets_an_unknown_outcome(stage: Stage) -> None:
    stage.witness.script = {"go on": ["I do not know how the second one ended"]}
    asked = AIMessage(
        "",
        tool_calls=[{"name": "weather", "args": {"city": city}, "id": f"call_{city}"} for city in ("Rome", "Oslo")],
        response_metadata={"model_name": "sim-chat"},
    )
    history = [HumanMessage("go on"), asked, ToolMessage("21", tool_call_id="call_Rome")]
    router = stage.router()
    from session_router_langchain import SessionRouterChatModel

    answer = SessionRouterChatModel(router=router).bind_tools(TOOLS).invoke(history)
    assert stage.refused == []
    assert answer.text


class Map(RouterState):
    messages: Annotated[list[AnyMessage], add_messages]
    visited: Annotated[list[str], lambda left, right: left + right]


def test_parallel_branches_may_route_in_one_step(stage: Stage) -> None:
    router = stage.router()
    names = list(router.models)
    graph = StateGraph(Map)
    graph.add_node("router", create_router_node(router, destinations={name: name for name in names}), destinations=tuple(names))
    for name in names:
        graph.add_node(name, lambda _, name=name: {"visited": [name]})
    graph.add_conditional_edges(START, lambda state: [Send("router", {**state, "messages": [HumanMessage(str(n))]}) for n in range(3)])
    result = graph.compile(checkpointer=InMemorySaver()).invoke({"messages": [HumanMessage("x")], "visited": []}, THREAD)
    assert len(result["visited"]) == 3


def test_the_later_session_wins_whatever_the_order() -> None:
    sessions: list[dict[str, Any]] = [{"version": 1}, {"version": 3, "current": "a"}, {"version": 3, "current": "b"}, {}]
    for left in sessions:
        for right in sessions:
            assert later_session(left, right) == later_session(right, left)
    assert later_session({"version": 1}, {"version": 2}) == {"version": 2}


class State(TypedDict):
    messages: list[Any]


def test_a_node_reads_messages_of_plain_values(stage: Stage) -> None:
    router = stage.router()
    node = create_router_node(router, destinations={name: name for name in router.models})
    command = node.invoke({"messages": [{"role": "user", "content": "hi"}]})
    assert command.goto in router.models
