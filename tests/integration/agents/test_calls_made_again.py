"""A tool's call that is interrupted is made again, and what was read in it is not read again: the result is as secret all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain.tools import tool
from langchain_core.messages import HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from integration.agents.test_labels_in_graphs import THREAD, TIMES, agent, reader
from session_router.errors import StoreUnavailable
from session_router_langchain.tagging import own_label, tagged_tool
from support.leak_labels import LABELS
from values import FlakyStore

if TYPE_CHECKING:
    from session_router.testing.providers import Canaries
    from support.leak_world import World

PII = LABELS["pii"]
ECHOES = [["echo"]] * TIMES


def echo(world: World) -> Any:
    return next(one for one in world.tools if one.name == "echo")


def public(function: Any) -> Any:
    """Return a tool that says that what it returns is public; what its helpers read is not."""
    return tagged_tool(tool("ask", description="Ask a helper.")(function), tag=LABELS["public"])


def behind_an_approval(world: World, reads: Any) -> Any:
    """Return a tool's function that asks an agent with the tool `reads`; a person looks at what comes of it before it comes back."""
    graph: Any = StateGraph(MessagesState)
    graph.add_node("first", agent(world, [reads]))
    graph.add_node("approve", lambda _: interrupt("May it come back?") and None)
    graph.add_edge(START, "first")
    graph.add_edge("first", "approve")
    helper = graph.compile()

    async def ask(note: str) -> str:
        told = await helper.ainvoke({"messages": [HumanMessage(f"{note} {world.parrot.plan([reads.name])}")]})
        return str(told["messages"][-1].text)

    return ask


def approved(world: World) -> Any:
    """An agent reads, and a person looks at what it says before it comes back."""
    return behind_an_approval(world, reader(world))


def kept_by_a_task(world: World) -> Any:
    """A task of the tool is not done again, and its words are told to another helper."""
    first, second = agent(world, [reader(world)]), agent(world)

    @task
    async def told(note: str) -> str:
        answer = await first.ainvoke({"messages": [HumanMessage(f"{note} {world.parrot.plan(['read_pii'])}")]})
        return str(answer["messages"][-1].text)

    async def ask(note: str) -> str:
        words = await told(note)
        interrupt("Shall others be asked?")
        for number in range(TIMES):
            await second.ainvoke({"messages": [HumanMessage(f"{number} Look at {words}")]})
        return words

    return ask


def read_by_nobody(world: World) -> Any:
    """What the helper's tool returns comes back without a model between."""

    @tagged_tool(tag=PII)
    @tool(return_direct=True)
    def look(note: str) -> str:
        """Look into the file."""
        del note
        return f"the file says {world.data.of('pii')}"

    return behind_an_approval(world, look)


def asking(world: World, ask: Any, saver: Any, router: Any = None) -> Any:
    return agent(world, [public(ask), echo(world)], router, checkpointer=saver)


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("asked", [approved, kept_by_a_task, read_by_nobody])
async def test_a_call_that_is_taken_up_again_is_as_secret(world: World, canaries: Canaries, asked: Any, elsewhere: bool) -> None:
    """By the same process, and by another one that shares the store."""
    saver, ask, other = InMemorySaver(), asked(world), world.new_router()
    other.store = world.router.store
    await asking(world, ask, saver).ainvoke({"messages": [world.said(["ask"], *ECHOES)]}, THREAD)
    subject = asking(world, ask, saver, other if elsewhere else None)
    result = await subject.ainvoke(Command(resume="yes"), THREAD)
    assert canaries.leaks == ()
    told = next(one for one in result["messages"] if isinstance(one, ToolMessage))
    assert own_label(told) == PII
    assert own_label(result["messages"][-1]) == PII


def test_and_without_an_event_loop(world: World, canaries: Canaries) -> None:
    helper = agent(world, [reader(world)])

    @task
    def told(note: str) -> str:
        answer = helper.invoke({"messages": [HumanMessage(f"{note} {world.parrot.plan(['read_pii'])}")]})
        return str(answer["messages"][-1].text)

    def ask(note: str) -> str:
        words = told(note).result()
        interrupt("May it come back?")
        return words

    subject = asking(world, ask, InMemorySaver())
    subject.invoke({"messages": [world.said(["ask"], *ECHOES)]}, THREAD)
    result = subject.invoke(Command(resume="yes"), THREAD)
    assert canaries.leaks == ()
    assert own_label(result["messages"][-1]) == PII


async def test_calls_side_by_side_are_told_apart(world: World) -> None:
    """Both are interrupted; only one of them had read."""
    helper = agent(world, [reader(world)])

    @task
    async def told(note: str, plan: str) -> str:
        answer = await helper.ainvoke({"messages": [HumanMessage(f"{note} {plan}")]})
        return str(answer["messages"][-1].text)

    plans = [world.parrot.plan(["read_pii"]), ""]

    async def ask(note: str) -> str:
        words = await told(note, plans.pop(0) if plans else "")
        return f"{interrupt('May it come back?')} {words}"

    subject = asking(world, ask, InMemorySaver())
    asked = await subject.ainvoke({"messages": [world.said(["ask", "ask"])]}, THREAD)
    yes = {one.id: "yes" for one in asked["__interrupt__"]}
    result = await subject.ainvoke(Command(resume=yes), THREAD)
    labels = [own_label(one) for one in result["messages"] if isinstance(one, ToolMessage)]
    assert sorted(labels, key=str) == sorted([PII, LABELS["public"]], key=str)


async def test_where_the_store_does_not_say_the_call_is_not_made(world: World, canaries: Canaries) -> None:
    """Nobody would know what its result is; when the store is there again, it goes on."""
    saver, ask, store = InMemorySaver(), approved(world), FlakyStore()
    world.router.store = store
    subject = asking(world, ask, saver)
    await subject.ainvoke({"messages": [world.said(["ask"], *ECHOES)]}, THREAD)
    store.on_load = [StoreUnavailable("no answer")]
    with pytest.raises(StoreUnavailable, match="interrupted"):
        await subject.ainvoke(Command(resume="yes"), THREAD)
    result = await subject.ainvoke(Command(resume="yes"), THREAD)
    assert canaries.leaks == ()
    assert own_label(result["messages"][-1]) == PII


@pytest.mark.parametrize("stopped", [False, True])
async def test_what_a_helper_s_tool_returned_comes_back_though_no_model_has_read_it(
    world: World, canaries: Canaries, stopped: bool
) -> None:
    """It returns directly, or the helper is stopped behind its tools."""

    @tagged_tool(tag=PII)
    @tool(return_direct=not stopped)
    def look(note: str) -> str:
        """Look into the file."""
        del note
        return f"the file says {world.data.of('pii')}"

    helper = agent(world, [look], checkpointer=InMemorySaver())

    async def ask(note: str) -> str:
        message = HumanMessage(f"{note} {world.parrot.plan(['look'])}")
        config: Any = {"configurable": {"thread_id": "helper"}}
        told = await helper.ainvoke({"messages": [message]}, config, interrupt_after=["tools"] if stopped else None)
        return str(told["messages"][-1].text)

    result = await asking(world, ask, None).ainvoke({"messages": [world.said(["ask"], *ECHOES)]})
    assert canaries.leaks == ()
    assert own_label(result["messages"][-1]) == PII
