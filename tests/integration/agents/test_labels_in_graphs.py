"""Words that a graph's own code copies out of one agent's answer, without a label, for another agent of the same graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.tools import tool
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send
from typing_extensions import TypedDict

from session_router import Tag
from session_router_langchain import SessionRouterMiddleware
from session_router_langchain.tagging import labelled, own_label
from session_router_langgraph import RouterState, create_router_node
from support.leak_labels import LABELS
from support.leak_world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_router.testing.providers import Canaries

    Graph = Callable[[World], Any]

TIMES = 5
"""More than there are models that may not see it: the scorer wants another one at every call."""

THREAD: Any = {"configurable": {"thread_id": "a-thread"}}


def agent(world: World, tools: Any = (), router: Any = None, **settings: Any) -> Any:
    router = SessionRouterMiddleware(router or world.router, principal="ada")
    return create_agent(world.clients.openai("nobody"), tools=list(tools), middleware=[router], **settings)


def reader(world: World, label: str = "pii") -> Any:
    return next(one for one in world.tools if one.name == f"read_{label}")


def last_asked(world: World) -> set[str]:
    """Return who was asked what was asked last, in as many requests as `TIMES` says."""
    return {row.model.removeprefix("sim-") for row in world.providers.ledger.rows[-TIMES:]}


def copied(state: Any) -> HumanMessage:
    """Say what was said last, in a message without a label."""
    return HumanMessage(f"Look at {state['messages'][-1].text}")


def of_two(world: World, router: Any = None) -> tuple[Any, Any, Any]:
    """Return the beginning of a graph whose first agent reads, and the two agents."""
    graph: Any = StateGraph(MessagesState)
    first, second = agent(world, [reader(world)], router), agent(world, router=router)
    graph.add_node("first", first)
    graph.add_edge(START, "first")
    return graph, first, second


def spreading(world: World, router: Any = None) -> Any:
    """A conditional edge hands pieces to copies of another agent."""
    graph, _, second = of_two(world, router)
    graph.add_node("second", second)
    graph.add_conditional_edges("first", lambda state: [Send("second", {"messages": [copied(state)]}) for _ in range(TIMES)], ["second"])
    graph.add_edge("second", END)
    return graph


def asking(world: World, router: Any = None) -> Any:
    """A node asks another agent itself."""
    graph, _, second = of_two(world, router)

    async def ask(state: Any) -> Any:
        for _ in range(TIMES):
            await second.ainvoke({"messages": [copied(state)]})
        return {}

    graph.add_node("ask", ask)
    graph.add_edge("first", "ask")
    return graph


def asking_both(world: World, router: Any = None) -> Any:
    """One node asks one agent after the other."""
    _, first, second = of_two(world, router)
    graph: Any = StateGraph(MessagesState)

    async def ask(state: Any) -> Any:
        told = await first.ainvoke(state)
        for _ in range(TIMES):
            await second.ainvoke({"messages": [copied(told)]})
        return {}

    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    return graph


def handing_over(world: World, router: Any = None) -> Any:
    """A node hands over by a command, and takes what was said before out of the state."""

    class Task(TypedDict):
        messages: list[Any]
        left: int

    _, first, second = of_two(world, router)
    graph: Any = StateGraph(Task)

    def hand_over(state: Any) -> Any:
        left = state.get("left", TIMES)
        message = copied(state) if left == TIMES else HumanMessage(state["messages"][0].text)
        return Command(goto="second" if left else END, update={"messages": [message], "left": left - 1})

    graph.add_node("first", first)
    graph.add_node("hand_over", hand_over, destinations=("second", END))
    graph.add_node("second", second)
    graph.add_edge(START, "first")
    graph.add_edge("first", "hand_over")
    graph.add_edge("second", "hand_over")
    return graph


def inside(world: World, router: Any = None) -> Any:
    """The copy goes to an agent two graphs below."""
    graph, _, second = of_two(world, router)
    inner: Any = StateGraph(MessagesState)
    inner.add_node("second", second)
    inner.add_edge(START, "second")
    innermost = inner.compile()

    async def ask(state: Any) -> Any:
        for _ in range(TIMES):
            await innermost.ainvoke({"messages": [copied(state)]})
        return {}

    graph.add_node("ask", ask)
    graph.add_edge("first", "ask")
    return graph


def from_inside(world: World, router: Any = None) -> Any:
    """It was read two graphs below."""
    graph: Any = StateGraph(MessagesState)
    inner, _, second = of_two(world, router)
    graph.add_node("below", inner.compile())
    graph.add_node("second", second)
    graph.add_edge(START, "below")
    graph.add_conditional_edges("below", lambda state: [Send("second", {"messages": [copied(state)]}) for _ in range(TIMES)], ["second"])
    return graph


def chatting(world: World, router: Any = None) -> Any:
    """Nodes ask the chat model, without agents."""
    del router
    graph: Any = StateGraph(MessagesState)

    async def read(state: Any) -> Any:
        return {"messages": [await world.model.ainvoke(state["messages"])]}

    async def ask(state: Any) -> Any:
        for _ in range(TIMES):
            await world.model.ainvoke([copied(state)])
        return {}

    graph.add_node("read", read)
    graph.add_node("ask", ask)
    graph.add_edge(START, "read")
    graph.add_edge("read", "ask")
    return graph


def going_on(world: World, router: Any = None) -> Any:
    """A node takes notes of what it finds with a chat model, and goes on with it in a history whose answers are no secrets."""
    del router
    graph: Any = StateGraph(MessagesState)
    greeted = [labelled(HumanMessage("hello"), Tag()), labelled(AIMessage("Hi."), Tag())]

    async def ask(_: Any) -> Any:
        notes = await world.model.ainvoke([world.said(label="pii")])
        for _ in range(TIMES):
            await world.model.ainvoke([*greeted, copied({"messages": [notes]})])
        return {}

    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    return graph


GRAPHS = (spreading, asking, asking_both, handing_over, inside, from_inside, chatting, going_on)


def said(world: World, graph: Graph) -> Any:
    """Return what makes the first one read: a tool's data, or where there are no tools, a message's."""
    return {"messages": [world.said(label="pii") if graph is chatting else world.said(["read_pii"])]}


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("graph", GRAPHS)
async def test_what_a_graph_copies_reaches_cleared_models_only(world: World, canaries: Canaries, graph: Graph, kept: bool) -> None:
    subject = graph(world).compile(checkpointer=InMemorySaver() if kept else None)
    await subject.ainvoke(said(world, graph), THREAD if kept else None)
    assert canaries.leaks == ()
    assert last_asked(world) <= {"eu", "own"}


@pytest.mark.parametrize("graph", [spreading, handing_over, from_inside])
def test_and_without_an_event_loop(world: World, canaries: Canaries, graph: Graph) -> None:
    graph(world).compile().invoke(said(world, graph))
    assert canaries.leaks == ()
    assert last_asked(world) <= {"eu", "own"}


async def test_tasks_of_the_functional_api(world: World, canaries: Canaries) -> None:
    first, second = agent(world, [reader(world)]), agent(world)

    @task
    async def read(text: str) -> str:
        told = await first.ainvoke({"messages": [HumanMessage(text)]})
        return str(told["messages"][-1].text)

    @task
    async def ask(text: str) -> None:
        await second.ainvoke({"messages": [HumanMessage(text)]})

    @entrypoint(checkpointer=InMemorySaver())
    async def flow(text: str) -> None:
        told = await read(text)
        for _ in range(TIMES):
            await ask(f"Look at {told}")

    await flow.ainvoke(world.said(["read_pii"]).text, THREAD)
    assert canaries.leaks == ()
    assert last_asked(world) <= {"eu", "own"}


class Kept(TypedDict):
    asked: str
    found: Annotated[list[str], lambda left, right: left + right]


def keeping(world: World, router: Any = None) -> Any:
    """Keeps what was found as text in its state; without anything to read, it is asked about."""
    first, second = agent(world, [reader(world)], router), agent(world, router=router)
    graph: Any = StateGraph(Kept)

    async def read(state: Any) -> Any:
        told = await first.ainvoke({"messages": [HumanMessage(state["asked"])]})
        return {"found": [told["messages"][-1].text]}

    async def ask(state: Any) -> Any:
        for _ in range(TIMES):
            await second.ainvoke({"messages": [HumanMessage(f"{state['asked']} {' '.join(state.get('found', ()))}")]})
        return {}

    graph.add_node("read", read)
    graph.add_node("ask", ask)
    graph.add_conditional_edges(START, lambda state: "read" if "plan" in state["asked"] else "ask", ["read", "ask"])
    return graph


async def test_what_a_thread_keeps_is_as_secret_in_its_next_run(world: World, canaries: Canaries) -> None:
    subject = keeping(world).compile(checkpointer=InMemorySaver())
    await subject.ainvoke({"asked": world.said(["read_pii"]).text}, THREAD)
    await subject.ainvoke({"asked": "And now?"}, THREAD)
    assert canaries.leaks == ()
    assert last_asked(world) <= {"eu", "own"}


async def test_and_in_another_process_that_shares_the_store(world: World, canaries: Canaries) -> None:
    saver, other = InMemorySaver(), world.new_router()
    other.store = world.router.store
    await keeping(world).compile(checkpointer=saver).ainvoke({"asked": world.said(["read_pii"]).text}, THREAD)
    await keeping(world, other).compile(checkpointer=saver).ainvoke({"asked": "And now?"}, THREAD)
    assert canaries.leaks == ()
    assert last_asked(world) <= {"eu", "own"}


async def test_another_thread_inherits_nothing(world: World, canaries: Canaries) -> None:
    subject = keeping(world).compile(checkpointer=InMemorySaver())
    await subject.ainvoke({"asked": world.said(["read_pii"]).text}, THREAD)
    await subject.ainvoke({"asked": "And now?"}, {"configurable": {"thread_id": "another"}})
    assert canaries.leaks == ()
    assert len(last_asked(world)) == TIMES


async def test_nor_does_another_run_without_a_thread(world: World) -> None:
    subject = keeping(world).compile()
    await subject.ainvoke({"asked": world.said(["read_pii"]).text})
    await subject.ainvoke({"asked": "And now?"})
    assert len(last_asked(world)) == TIMES


async def test_agents_that_work_at_the_same_time_inherit_nothing_from_one_another(world: World, canaries: Canaries) -> None:
    """What one of them reads while another is at work cannot be in the other's words: whoever is faster decides nothing."""
    graph: Any = StateGraph(MessagesState)
    second = agent(world, [reader(world), reader(world, "public")])
    graph.add_node("second", second)
    plans = [["read_pii"], *[["read_public"]] * TIMES]
    graph.add_conditional_edges(START, lambda _: [Send("second", {"messages": [world.said(plan)]}) for plan in plans], ["second"])
    result = await graph.compile().ainvoke({"messages": []})
    answers = [own_label(message) for message in result["messages"] if message.type == "ai" and not message.tool_calls]
    assert sorted(map(str, answers)) == sorted(map(str, [LABELS["pii"], *[Tag()] * TIMES]))
    assert canaries.leaks == ()


async def test_a_message_that_says_what_it_is_inherits_nothing(world: World, canaries: Canaries) -> None:
    graph, _, second = of_two(world)
    graph.add_node("second", second)
    task = labelled(HumanMessage("What are your hours?"), Tag())
    graph.add_conditional_edges("first", lambda _: [Send("second", {"messages": [task]}) for _ in range(TIMES)], ["second"])
    await graph.compile().ainvoke({"messages": [world.said(["read_pii"])]})
    assert canaries.leaks == ()
    assert len(last_asked(world)) == TIMES


async def test_an_agent_that_came_first_is_not_touched(world: World) -> None:
    """What was asked before anything was read went wherever it wanted; a graph in which nothing is secret is as free as before."""
    graph, _, second = of_two(world)
    graph.add_node("second", second)
    graph.add_conditional_edges("first", lambda state: [Send("second", {"messages": [copied(state)]}) for _ in range(TIMES)], ["second"])
    await graph.compile().ainvoke({"messages": [HumanMessage("hello")]})
    assert len(last_asked(world)) == TIMES


async def test_a_tool_that_copies_from_one_helper_to_another(world: World, canaries: Canaries) -> None:
    first, second = agent(world, [reader(world)]), agent(world)

    async def ask(note: str) -> str:
        told = await first.ainvoke({"messages": [HumanMessage(f"{note} {world.parrot.plan(['read_pii'])}")]})
        for _ in range(TIMES):
            await second.ainvoke({"messages": [copied(told)]})
        return "done"

    subject = agent(world, [tool("ask", description="Ask helpers.")(ask)])
    await subject.ainvoke({"messages": [world.said(["ask"])]}, THREAD)
    assert canaries.leaks == ()
    assert {row.model.removeprefix("sim-") for row in world.providers.ledger.rows[-TIMES - 1 : -1]} <= {"eu", "own"}


@pytest.mark.parametrize("kept", [True, False])
async def test_what_an_agent_below_said_counts_for_the_router_node(world: World, canaries: Canaries, kept: bool) -> None:
    """The graph's own session has read nothing of what it now sends."""
    names = list(world.router.models)
    bound = {name: world.router.models[name].model for name in names}

    class State(RouterState):
        messages: Annotated[list[Any], add_messages]

    def answering(name: str) -> Any:
        async def call(state: Any) -> Any:
            return {"messages": [labelled(await bound[name].ainvoke([HumanMessage(one.text) for one in state["messages"]]), Tag())]}

        return call

    below = agent(world, [reader(world)])

    async def ask(state: Any) -> Any:
        told = await below.ainvoke({"messages": [HumanMessage(state["messages"][0].text)]})
        return {"messages": [HumanMessage(f"Found: {told['messages'][-1].text}")]}

    graph: Any = StateGraph(State)
    graph.add_node("ask", ask)
    graph.add_node("route", create_router_node(world.router, destinations={name: name for name in names}, principal="ada"))
    for name in names:
        graph.add_node(name, answering(name))
        graph.add_conditional_edges(name, lambda state: "route" if len(state["messages"]) < 2 + TIMES else END, ["route", END])
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "route")
    await graph.compile(checkpointer=InMemorySaver() if kept else None).ainvoke(
        {"messages": [world.said(["read_pii"])]}, THREAD if kept else None
    )
    assert canaries.leaks == ()
    assert last_asked(world) <= {"eu", "own"}


async def test_what_a_tool_returned_and_no_model_has_read(world: World, canaries: Canaries) -> None:
    """A run may end on a tool's result."""
    read = reader(world)
    read.return_direct = True
    graph: Any = StateGraph(MessagesState)
    graph.add_node("first", agent(world, [read]))
    graph.add_node("second", agent(world))
    graph.add_edge(START, "first")
    graph.add_conditional_edges("first", lambda state: [Send("second", {"messages": [copied(state)]}) for _ in range(TIMES)], ["second"])
    await graph.compile(checkpointer=InMemorySaver()).ainvoke({"messages": [world.said(["read_pii"])]}, THREAD)
    assert canaries.leaks == ()
    assert last_asked(world) <= {"eu", "own"}
