"""Agents that work for agents: they inherit what their caller has read, and bring back what they have read themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from langchain.agents import create_agent
from langchain.tools import ToolRuntime, tool
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send

from session_router import Tag
from session_router_langchain import SessionRouterMiddleware, calls, middleware
from session_router_langchain.tagging import labelled, own_label, tagged_tool
from support.leak_labels import LABELS
from support.leak_world import World

if TYPE_CHECKING:
    from session_router.testing.providers import Canaries

PII = LABELS["pii"]


def agent(world: World, tools: Any = (), **settings: Any) -> Any:
    router = SessionRouterMiddleware(world.router, principal="ada")
    return create_agent(world.clients.openai("nobody"), tools=list(tools), middleware=[router], **settings)


def reader(world: World, label: str = "pii") -> Any:
    return next(one for one in world.tools if one.name == f"read_{label}")


def own_helper(world: World, *tools: Any, plan: Any = ()) -> Any:
    """Return a tool that lets an agent of its own answer, in words of its own."""
    helper = agent(world, tools)

    async def ask(note: str) -> str:
        result = await helper.ainvoke({"messages": [HumanMessage(f"{note} {world.parrot.plan(*plan)}")]})
        return str(result["messages"][-1].text)

    return tool("ask", description="Ask a helper.")(ask)


def asked_of(world: World, models: set[str]) -> bool:
    """Whether somebody else than `models` was asked anything that bears a mark."""
    return {row.model.removeprefix("sim-") for row in world.providers.ledger.rows} <= models


async def test_an_agent_in_a_tool_inherits_what_its_caller_has_read(world: World, canaries: Canaries) -> None:
    subject = agent(world, [own_helper(world)])
    for _ in range(4):
        await subject.ainvoke({"messages": [world.said(["ask"], label="pii")]})
    assert canaries.leaks == ()
    assert asked_of(world, {"eu", "own"})


async def test_without_that_its_request_leaks(world: World, canaries: Canaries) -> None:
    subject = agent(world, [own_helper(world)])
    with patch.object(calls, "inherited", lambda *_: None):
        for _ in range(4):
            await subject.ainvoke({"messages": [world.said(["ask"], label="pii")]})
    assert canaries.leaks


async def test_what_it_has_read_comes_back_with_the_result(world: World, canaries: Canaries) -> None:
    subject = agent(world, [own_helper(world, reader(world), plan=[["read_pii"]])])
    result = await subject.ainvoke({"messages": [world.said(["ask"])]})
    (told,) = [one for one in result["messages"] if isinstance(one, ToolMessage)]
    assert own_label(told) == PII
    assert own_label(result["messages"][-1]) == PII
    assert canaries.leaks == ()


async def test_without_that_its_result_leaks(world: World, canaries: Canaries) -> None:
    subject = agent(world, [own_helper(world, reader(world), plan=[["read_pii"]])])
    with patch.object(middleware, "with_lineage", lambda result, *_, **__: result):
        for _ in range(4):
            await subject.ainvoke({"messages": [world.said(["ask"])]})
    assert canaries.leaks


async def test_helpers_of_helpers_inherit_too(world: World, canaries: Canaries) -> None:
    inner = own_helper(world)
    subject = agent(world, [own_helper(world, inner, plan=[["ask"]])])
    for _ in range(4):
        await subject.ainvoke({"messages": [world.said(["ask"], label="pii")]})
    assert canaries.leaks == ()
    assert asked_of(world, {"eu", "own"})


async def test_two_helpers_at_a_time_inherit_each_its_own(world: World, canaries: Canaries) -> None:
    """In one step of one agent, and in two sessions on one middleware."""
    import asyncio

    subject = agent(world, [own_helper(world)])
    said = [world.said(["ask", "ask"], label=label) for label in ("pii", "public", "code", "public")]
    results = await asyncio.gather(*(subject.ainvoke({"messages": [message]}) for message in said))
    assert canaries.leaks == ()
    assert [own_label(result["messages"][-1]) for result in results] == [PII, Tag(), LABELS["code"], Tag()]


def test_a_model_in_a_tool_inherits_in_threads(world: World, canaries: Canaries) -> None:
    def ask(note: str) -> str:
        return str(world.model.invoke([HumanMessage(note)]).text)

    subject = agent(world, [tool("ask", description="Ask a model.")(ask)])
    for _ in range(4):
        subject.invoke({"messages": [world.said(["ask", "ask"], label="pii")]})
    assert canaries.leaks == ()
    assert asked_of(world, {"eu", "own"})


async def test_a_subgraph_that_shares_the_history_has_its_labels(world: World, canaries: Canaries) -> None:
    graph: Any = StateGraph(MessagesState)
    graph.add_node("first", agent(world, [reader(world)]))
    graph.add_node("second", agent(world))
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    subject = graph.compile()
    for _ in range(4):
        await subject.ainvoke({"messages": [world.said(["read_pii"])]})
    assert canaries.leaks == ()
    assert canaries.marked > 0


async def test_a_graph_s_own_send_takes_the_label_along_where_its_words_come_from(world: World, canaries: Canaries) -> None:
    """Words that a graph's own code puts together are its own to label: with that of the answer that they come from."""

    def spread(state: Any) -> Any:
        answer = next(one for one in reversed(state["messages"]) if isinstance(one, AIMessage))
        tag = own_label(answer)
        assert tag is not None
        return [Send("second", {"messages": [labelled(HumanMessage(f"Look at {answer.text}"), tag)]}) for _ in range(2)]

    graph: Any = StateGraph(MessagesState)
    graph.add_node("first", agent(world, [reader(world)]))
    graph.add_node("second", agent(world))
    graph.add_edge(START, "first")
    graph.add_conditional_edges("first", spread, ["second"])
    graph.add_edge("second", END)
    await graph.compile().ainvoke({"messages": [world.said(["read_pii"])]})
    assert canaries.leaks == ()
    assert asked_of(world, {"eu", "own", "open", "us", "kept", "kept-2"})
    assert {row.model for row in world.providers.ledger.rows[-2:]} <= {"sim-eu", "sim-own"}


async def hands_over(world: World, hand_over: Any, second: Any) -> None:
    """Let an agent hand personal data over to `second`, some times: nobody is asked who may not see it."""
    graph: Any = StateGraph(MessagesState)
    graph.add_node("first", agent(world, [hand_over]), destinations=("second",))
    graph.add_node("second", second)
    graph.add_edge(START, "first")
    graph.add_edge("second", END)
    subject = graph.compile()
    for _ in range(4):
        result = await subject.ainvoke({"messages": [world.said(["hand_over"], label="pii")]})
        assert own_label(result["messages"][-1]) == PII
    assert asked_of(world, {"eu", "own"})


@pytest.mark.parametrize("way", ["command", "send"])
async def test_what_a_handoff_says_bears_what_its_sender_has_read(world: World, canaries: Canaries, way: str) -> None:
    @tagged_tool(tag=LABELS["public"])
    @tool
    def hand_over(note: str, runtime: ToolRuntime) -> Any:
        """Hand over."""
        task = HumanMessage(f"Go on with {note}")
        if way == "send":
            return Command(goto=[Send("second", {"messages": [task]})], graph=Command.PARENT)
        done = ToolMessage("handed over", tool_call_id=runtime.tool_call_id, name="hand_over")
        return Command(goto="second", graph=Command.PARENT, update={"messages": [*runtime.state["messages"], done, task]})

    await hands_over(world, hand_over, agent(world))
    assert canaries.leaks == ()


FORMS: dict[str, Any] = {
    "dictionary": lambda text: {"role": "user", "content": text},
    "typed dictionary": lambda text: {"type": "human", "content": text},
    "pair": lambda text: ("user", text),
    "text": str,
}
"""In which LangGraph takes a message, besides a message itself."""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", ["command", "command of pairs", "send", "send of a dataclass"])
async def test_a_handoff_s_message_bears_it_in_whichever_form_it_is_given(world: World, canaries: Canaries, way: str, form: str) -> None:
    @dataclass
    class Task:
        messages: Any

    def second(state: Any) -> Any:
        return other.invoke({"messages": state.messages if isinstance(state, Task) else state["messages"]})

    @tagged_tool(tag=LABELS["public"])
    @tool
    def hand_over(note: str) -> Any:
        """Hand over."""
        update = {"messages": [FORMS[form](f"Go on with {note}")]}
        if way.startswith("send"):
            return Command(goto=Send("second", update if way == "send" else Task(**update)), graph=Command.PARENT)
        return Command(goto="second", graph=Command.PARENT, update=update if way == "command" else (*update.items(),))

    other = agent(world)
    await hands_over(world, hand_over, second)
    assert canaries.leaks == ()


async def test_a_list_of_commands_is_looked_into(world: World) -> None:
    @tagged_tool(tag=LABELS["public"])
    @tool
    def note_down(note: str, runtime: ToolRuntime) -> Any:
        """Note down."""
        done = ToolMessage("done", tool_call_id=runtime.tool_call_id, name="note_down")
        return [Command(update={"messages": [HumanMessage(f"Remember {note}")]}), done]

    result = await agent(world, [note_down]).ainvoke({"messages": [world.said(["note_down"], label="pii")]})
    assert [own_label(one) for one in result["messages"] if isinstance(one, HumanMessage | ToolMessage)] == [PII, PII, PII]


def test_outside_of_tools_nothing_is_inherited(world: World) -> None:
    answer = world.model.invoke([HumanMessage("hello")])
    assert own_label(answer) == Tag()
