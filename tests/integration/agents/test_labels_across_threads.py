"""An agent that runs under a `thread_id` of its own, inside of another thread's run: its thread is another, its words may not be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.tools import tool
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Send

from integration.agents.test_labels_in_graphs import THREAD, TIMES, agent, copied, last_asked, of_two, reader
from session_router import Tag
from session_router.core.session import SessionId
from session_router.identity import SessionNames, graph_id
from session_router_langchain import SessionRouterMiddleware
from session_router_langchain.tagging import labelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_router.testing.providers import Canaries
    from support.leak_world import World

    Ask = Callable[[Any, list[Any]], Any]


def own(number: object = 0) -> Any:
    """Return the config of another thread."""
    return {"configurable": {"thread_id": f"another-{number}"}}


def given(state: Any) -> Any:
    """Return what the agent is told."""
    return {"messages": [copied(state)]}


async def one_by_one(second: Any, state: Any) -> None:
    for number in range(TIMES):
        await second.ainvoke(given(state), own(number))


async def as_it_streams(second: Any, state: Any) -> None:
    for number in range(TIMES):
        async for _ in second.astream(given(state), own(number), stream_mode="messages"):
            pass


async def as_a_batch(second: Any, state: Any) -> None:
    await second.abatch([given(state)] * TIMES, [own(number) for number in range(TIMES)])


async def as_tasks(second: Any, state: Any) -> None:
    await asyncio.gather(*(second.ainvoke(given(state), own(number)) for number in range(TIMES)))


async def in_parallel(second: Any, state: Any) -> None:
    steps: Any = {str(number): second.with_config(own(number)) for number in range(TIMES)}
    await RunnableParallel(steps).ainvoke(given(state))


async def in_a_chain(second: Any, state: Any) -> None:
    for number in range(TIMES):
        await (RunnableLambda(given) | second.with_config(own(number))).ainvoke(state)


async def in_threads(second: Any, state: Any) -> None:
    await asyncio.gather(*(asyncio.to_thread(second.invoke, given(state), own(number)) for number in range(TIMES)))


async def with_callbacks_of_its_own(second: Any, state: Any) -> None:
    for number in range(TIMES):
        await RunnableLambda(lambda _, number=number: second.invoke(given(state), own(number))).ainvoke(state, {"callbacks": []})


async def in_the_same_thread(second: Any, state: Any) -> None:
    """It says the name of the thread, and LangGraph begins anew at the top of that thread."""
    for _ in range(TIMES):
        await second.ainvoke(given(state), THREAD)


WAYS = (
    one_by_one,
    as_it_streams,
    as_a_batch,
    as_tasks,
    in_parallel,
    in_a_chain,
    in_threads,
    with_callbacks_of_its_own,
    in_the_same_thread,
)


def asking(world: World, way: Any, *, second: Any = None) -> Any:
    """Return a graph whose node asks another agent under threads of their own, after the first agent has read."""
    graph, _, other = of_two(world)

    async def ask(state: Any) -> Any:
        await way(other if second is None else second, state)
        return {}

    graph.add_node("ask", ask)
    graph.add_edge("first", "ask")
    return graph


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("way", WAYS)
async def test_what_a_node_copies_for_another_thread_reaches_cleared_models_only(
    world: World, canaries: Canaries, way: Any, kept: bool
) -> None:
    subject = asking(world, way).compile(checkpointer=InMemorySaver() if kept else None)
    await subject.ainvoke({"messages": [world.said(["read_pii"])]}, THREAD if kept else None)
    assert canaries.leaks == ()
    assert last_asked(world) <= {"eu", "own"}


@pytest.mark.parametrize("kept", [True, False])
def test_and_without_an_event_loop(world: World, canaries: Canaries, kept: bool) -> None:
    graph, _, second = of_two(world)

    def ask(state: Any) -> Any:
        second.batch([given(state)] * (TIMES - 2), [own(number) for number in range(TIMES - 2)])
        second.invoke(given(state), own())
        for _ in second.stream(given(state), own()):
            pass

    graph.add_node("ask", ask)
    graph.add_edge("first", "ask")
    subject = graph.compile(checkpointer=InMemorySaver() if kept else None)
    subject.invoke({"messages": [world.said(["read_pii"])]}, THREAD if kept else None)
    assert canaries.leaks == ()
    assert last_asked(world) <= {"eu", "own"}


async def test_a_graph_around_the_agent_in_the_other_thread(world: World, canaries: Canaries) -> None:
    _, _, second = of_two(world)
    below: Any = StateGraph(MessagesState)
    below.add_node("second", second)
    below.add_edge(START, "second")
    subject = asking(world, one_by_one, second=below.compile(checkpointer=InMemorySaver()))
    await subject.compile().ainvoke({"messages": [world.said(["read_pii"])]})
    assert canaries.leaks == ()
    assert last_asked(world) <= {"eu", "own"}


async def in_chunks(second: Any, state: Any) -> None:
    for number in range(TIMES):
        async for _ in second.astream(given(state), own(number)):
            pass


@pytest.mark.parametrize("way", [one_by_one, in_chunks, as_a_batch])
async def test_the_chat_model_under_a_thread_of_its_own(world: World, canaries: Canaries, way: Any) -> None:
    """A session of its own, inside of a node."""
    model = RunnableLambda(lambda value: value["messages"]) | world.model
    subject = asking(world, way, second=model)
    await subject.compile(checkpointer=InMemorySaver()).ainvoke({"messages": [world.said(["read_pii"])]}, THREAD)
    assert canaries.leaks == ()
    assert last_asked(world) <= {"eu", "own"}


async def test_what_is_read_in_another_thread_comes_back(world: World, canaries: Canaries) -> None:
    """The agent with a thread of its own reads, and the graph tells the next one."""
    first, second = agent(world, [reader(world)], checkpointer=InMemorySaver()), agent(world)
    graph: Any = StateGraph(MessagesState)

    async def ask(state: Any) -> Any:
        told = await first.ainvoke({"messages": [HumanMessage(state["messages"][0].text)]}, own())
        return {"messages": [HumanMessage(told["messages"][-1].text)]}

    graph.add_node("ask", ask)
    graph.add_node("second", second)
    graph.add_edge(START, "ask")
    graph.add_conditional_edges("ask", lambda state: [Send("second", {"messages": [copied(state)]}) for _ in range(TIMES)], ["second"])
    graph.add_edge("second", END)
    await graph.compile().ainvoke({"messages": [world.said(["read_pii"])]})
    assert canaries.leaks == ()
    assert last_asked(world) <= {"eu", "own"}


async def test_a_thread_in_a_thread_in_a_thread(world: World, canaries: Canaries) -> None:
    _, _, last = of_two(world)
    between: Any = StateGraph(MessagesState)

    async def ask(state: Any) -> Any:
        await one_by_one(last, state)
        return {}

    between.add_node("ask", ask)
    between.add_edge(START, "ask")

    async def asked(second: Any, state: Any) -> None:
        await second.ainvoke(given(state), own("between"))

    subject = asking(world, asked, second=between.compile(checkpointer=InMemorySaver()))
    await subject.compile(checkpointer=InMemorySaver()).ainvoke({"messages": [world.said(["read_pii"])]}, THREAD)
    assert canaries.leaks == ()
    assert last_asked(world) <= {"eu", "own"}


async def test_a_task_that_outlives_the_node_that_began_it(world: World, canaries: Canaries) -> None:
    _, _, last = of_two(world)
    tasks, over = list[Any](), asyncio.Event()
    between: Any = StateGraph(MessagesState)

    async def later(state: Any) -> None:
        await over.wait()
        await one_by_one(last, state)

    async def begin(state: Any) -> Any:
        tasks.append(asyncio.create_task(later(state)))
        return {}

    between.add_node("begin", begin)
    between.add_edge(START, "begin")

    async def asked(second: Any, state: Any) -> None:
        await second.ainvoke(given(state), own("between"))
        over.set()
        await asyncio.gather(*tasks)

    subject = asking(world, asked, second=between.compile(checkpointer=InMemorySaver()))
    await subject.compile(checkpointer=InMemorySaver()).ainvoke({"messages": [world.said(["read_pii"])]}, THREAD)
    assert canaries.leaks == ()
    assert last_asked(world) <= {"eu", "own"}


@pytest.mark.parametrize("kept", [True, False])
async def test_a_tool_that_asks_agents_under_threads_of_their_own(world: World, canaries: Canaries, kept: bool) -> None:
    """What the caller has read, and what one helper tells the tool, which tells the next one."""
    saver = InMemorySaver() if kept else None
    first, second = agent(world, [reader(world)], checkpointer=saver), agent(world, checkpointer=saver)

    async def ask(note: str) -> str:
        told = await first.ainvoke({"messages": [HumanMessage(f"{note} {world.parrot.plan(['read_pii'])}")]}, own("first"))
        for number in range(TIMES):
            await second.ainvoke({"messages": [copied(told)]}, own(number))
        return "done"

    subject = agent(world, [tool("ask", description="Ask helpers.")(ask)], checkpointer=InMemorySaver())
    await subject.ainvoke({"messages": [world.said(["ask"])]}, THREAD)
    assert canaries.leaks == ()
    # The last one is asked by the tool's caller, to whom all of it comes back.
    assert {row.model.removeprefix("sim-") for row in world.providers.ledger.rows[-TIMES - 1 :]} <= {"eu", "own"}


async def test_a_tool_that_asks_a_graph_in_a_thread_of_its_own(world: World, canaries: Canaries) -> None:
    """Inside that graph, one agent reads, and a node tells another under yet another thread."""
    subject = agent(
        world,
        [tool("ask", description="Ask.")(_asking_a_graph(world, asking(world, one_by_one).compile(checkpointer=InMemorySaver())))],
    )
    await subject.ainvoke({"messages": [world.said(["ask"])]}, THREAD)
    assert canaries.leaks == ()
    assert {row.model.removeprefix("sim-") for row in world.providers.ledger.rows[-TIMES - 1 :]} <= {"eu", "own"}


def _asking_a_graph(world: World, graph: Any) -> Any:
    async def ask(note: str) -> str:
        del note
        told = await graph.ainvoke({"messages": [world.said(["read_pii"])]}, own("graph"))
        return str(told["messages"][-1].text)

    return ask


async def test_tasks_of_the_functional_api(world: World, canaries: Canaries) -> None:
    first, second = agent(world, [reader(world)]), agent(world)

    @task
    async def read(text: str) -> str:
        told = await first.ainvoke({"messages": [HumanMessage(text)]}, own("first"))
        return str(told["messages"][-1].text)

    @task
    async def ask(text: str, number: int) -> None:
        await second.ainvoke({"messages": [HumanMessage(text)]}, own(number))

    @entrypoint(checkpointer=InMemorySaver())
    async def flow(text: str) -> None:
        told = await read(text)
        for number in range(TIMES):
            await ask(f"Look at {told}", number)

    await flow.ainvoke(world.said(["read_pii"]).text, THREAD)
    assert canaries.leaks == ()
    assert last_asked(world) <= {"eu", "own"}


# Not more than that


async def test_workers_side_by_side_inherit_nothing_from_one_another(world: World, canaries: Canaries) -> None:
    """Each customer has a thread of their own; whoever is faster decides nothing."""
    worker = agent(world, [reader(world), reader(world, "public")])
    graph: Any = StateGraph(MessagesState)
    plans = [["read_pii"], *[["read_public"]] * TIMES]
    began = asyncio.Event()

    async def work(state: Any) -> Any:
        if state["plan"] != ["read_pii"]:
            await began.wait()
        try:
            await worker.ainvoke({"messages": [world.said(state["plan"])]}, own(state["number"]))
        finally:
            began.set()
        return {}

    graph.add_node("work", work)
    graph.add_conditional_edges(
        START, lambda _: [Send("work", {"plan": plan, "number": number}) for number, plan in enumerate(plans)], ["work"]
    )
    await graph.compile().ainvoke({"messages": []})
    assert canaries.leaks == ()
    assert not {row.model.removeprefix("sim-") for row in world.providers.ledger.rows[2:]} <= {"eu", "own"}


async def test_runs_of_their_own_inherit_nothing(world: World, canaries: Canaries) -> None:
    """The same agents and the same thread within, in another run of another thread."""
    subject = asking(world, one_by_one, second=agent(world)).compile(checkpointer=InMemorySaver())
    await subject.ainvoke({"messages": [world.said(["read_pii"])]}, THREAD)
    await asyncio.gather(*(subject.ainvoke({"messages": [world.said()]}, own(f"run {number}")) for number in range(2)))
    assert canaries.leaks == ()
    assert not last_asked(world) <= {"eu", "own"}


async def test_a_message_that_says_what_it_is_inherits_nothing(world: World, canaries: Canaries) -> None:
    async def ask(second: Any, state: Any) -> None:
        del state
        for number in range(TIMES):
            await second.ainvoke({"messages": [labelled(HumanMessage("What are your hours?"), Tag())]}, own(number))

    await asking(world, ask).compile().ainvoke({"messages": [world.said(["read_pii"])]})
    assert canaries.leaks == ()
    assert len(last_asked(world)) == TIMES


async def test_an_agent_leaves_what_it_reads_once(world: World) -> None:
    """However many calls it makes: in one run it is one reader."""
    second, kept = agent(world, [reader(world)], checkpointer=InMemorySaver()), world.router.store

    async def ask(other: Any, state: Any) -> None:
        del other, state
        await second.ainvoke({"messages": [world.said(["read_pii"], ["read_pii"], ["read_pii"])]}, own())

    subject = asking(world, ask).compile(checkpointer=InMemorySaver())
    await subject.ainvoke({"messages": [world.said(["read_pii"])]}, THREAD)
    row = graph_id(world.router.key, SessionNames(principal="ada", thread="a-thread"), "")
    found = kept.load(row or SessionId(""))
    assert found is not None
    assert len(found.readings) == 2


# After a restart


class Crash(BaseException):
    """The process ends here."""


class Crashing(AgentMiddleware[Any, Any, Any]):
    """Further inside than the router: the request was decided about, and nobody is asked."""

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        del request, handler
        raise Crash


async def test_the_node_goes_on_in_another_process(world: World, canaries: Canaries) -> None:
    """Of the first run there is nothing left but what the store and the checkpointer keep."""
    saver, other = InMemorySaver(), world.new_router()
    other.store = world.router.store

    async def crash(*_: Any) -> None:
        raise Crash

    with pytest.raises(Crash):
        await asking(world, crash).compile(checkpointer=saver).ainvoke({"messages": [world.said(["read_pii"])]}, THREAD)
    subject = asking(world, one_by_one, second=agent(world, router=other)).compile(checkpointer=saver)
    before = len(world.providers.ledger.rows)
    await subject.ainvoke(None, THREAD)
    assert canaries.leaks == ()
    assert {row.model.removeprefix("sim-") for row in world.providers.ledger.rows[before:]} <= {"eu", "own"}


@pytest.mark.parametrize("again", [None, "And?"])
@pytest.mark.parametrize("turns", [0, 1])
async def test_the_thread_within_goes_on_by_itself(world: World, canaries: Canaries, again: str | None, turns: int) -> None:
    """The agent was told, and no answer came; then its thread is taken up from outside of the run that told it."""
    saver, other = InMemorySaver(), world.new_router()
    other.store = world.router.store
    before = agent(world, checkpointer=saver)
    for _ in range(turns):
        await before.ainvoke({"messages": [HumanMessage("hello")]}, own())

    async def ask(second: Any, state: Any) -> None:
        await second.ainvoke(given(state), own())

    middleware = [SessionRouterMiddleware(world.router, principal="ada"), Crashing()]
    failing = create_agent(world.clients.openai("nobody"), tools=[], middleware=middleware, checkpointer=saver)
    with pytest.raises(Crash):
        await asking(world, ask, second=failing).compile().ainvoke({"messages": [world.said(["read_pii"])]})
    after = agent(world, router=other, checkpointer=saver)
    assert after.get_state(own()).values["messages"][-1].type == "human"
    await after.ainvoke(None if again is None else {"messages": [HumanMessage(again)]}, own())
    assert canaries.leaks == ()
    assert {row.model.removeprefix("sim-") for row in world.providers.ledger.rows[-1:]} <= {"eu", "own"}
