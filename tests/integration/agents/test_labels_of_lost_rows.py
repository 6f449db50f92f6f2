"""A store forgets what was read in a graph: what the graph's state says of itself still counts."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Send

from integration.agents.test_labels_in_graphs import THREAD, TIMES, agent, copied, reader
from session_router import Tag
from session_router.core.governance import TOP
from session_router_langchain.places import label_in_state
from session_router_langchain.tagging import labelled
from support.leak_labels import LABELS

if TYPE_CHECKING:
    from session_router.testing.providers import Canaries
    from support.leak_world import World


def reading_first(world: World, router: Any = None, *, apart: bool = False, public: bool = False) -> Any:
    """Return a graph whose first run reads, and whose others copy what was said into a message without a label."""
    first, second = agent(world, [reader(world)], router), agent(world, router=router)
    graph: Any = StateGraph(MessagesState)

    async def ask(state: Any) -> Any:
        if public:
            await second.ainvoke({"messages": [labelled(HumanMessage("What are your hours?"), LABELS["internal"])]})
        for number in range(TIMES):
            config = {"configurable": {"thread_id": f"another-{number}"}} if apart else None
            await second.ainvoke({"messages": [HumanMessage(f"{number} {copied({'messages': state['messages'][:-1]}).text}")]}, config)
        return {}

    graph.add_node("first", first)
    graph.add_node("ask", ask)
    graph.add_conditional_edges(START, lambda state: "ask" if len(state["messages"]) > 1 else "first", ["first", "ask"])
    graph.add_edge("first", END)
    graph.add_edge("ask", END)
    return graph


@pytest.mark.parametrize("public", [True, False])
@pytest.mark.parametrize("apart", [True, False])
async def test_what_its_state_says_counts_where_the_row_of_a_graph_is_gone(
    world: World, canaries: Canaries, apart: bool, public: bool
) -> None:
    saver, other = InMemorySaver(), world.new_router()
    await reading_first(world).compile(checkpointer=saver).ainvoke({"messages": [world.said(["read_pii"])]}, THREAD)
    before = len(world.providers.ledger.rows)
    subject = reading_first(world, other, apart=apart, public=public).compile(checkpointer=saver)
    await subject.ainvoke({"messages": [HumanMessage("And now?")]}, THREAD)
    assert canaries.leaks == ()
    told = world.providers.ledger.rows[before + public :]
    assert len(told) == TIMES
    assert {row.model.removeprefix("sim-") for row in told} <= {"eu", "own"}


async def test_a_new_thread_is_as_free_as_before(world: World, canaries: Canaries) -> None:
    other = world.new_router()
    await reading_first(world, other).compile().ainvoke({"messages": [HumanMessage("hello"), HumanMessage("And now?")]})
    assert canaries.leaks == ()
    assert not {row.model.removeprefix("sim-") for row in world.providers.ledger.rows} <= {"eu", "own"}


def test_a_state_is_looked_into() -> None:
    secret = labelled(AIMessage("a"), LABELS["pii"])
    for state in ({"a": [HumanMessage("h")], "b": {"c": ("x", [secret])}}, [secret], secret, MessagesState(messages=[secret])):
        assert label_in_state(state, unlabelled=TOP) == LABELS["pii"]
    assert label_in_state({"messages": [HumanMessage("h"), AIMessage("a")], "n": 1, "t": "text"}, unlabelled=TOP) == Tag()
    assert label_in_state(None, unlabelled=TOP) == Tag()
    ours = AIMessage("a", response_metadata={"session_router": {"model": "fast"}})
    assert label_in_state([ours], unlabelled=TOP) == TOP


@dataclass(slots=True)
class Slotted:
    """A graph's state without a dictionary of its own."""

    messages: Annotated[list[Any], add_messages] = field(default_factory=list)


def test_a_state_of_any_kind_is_looked_into() -> None:
    secret = labelled(AIMessage("a"), LABELS["pii"])
    for state in (Slotted([secret]), {"a": deque([secret])}, Send("node", {"messages": [secret]})):
        assert label_in_state(state, unlabelled=TOP) == LABELS["pii"]


async def test_a_state_with_slots_stands_in_for_a_row_as_well(world: World, canaries: Canaries) -> None:
    saver, other = InMemorySaver(), world.new_router()

    def graph(router: Any) -> Any:
        built: Any = StateGraph(Slotted)
        first, second = agent(world, [reader(world)], router), agent(world, router=router)

        async def ask(state: Slotted) -> Any:
            if len(state.messages) == 1:
                return await first.ainvoke({"messages": state.messages})
            for number in range(TIMES):
                await second.ainvoke({"messages": [HumanMessage(f"{number} Look at {state.messages[-2].text}")]})
            return {}

        built.add_node("ask", ask)
        built.add_edge(START, "ask")
        return built.compile(checkpointer=saver)

    await graph(None).ainvoke({"messages": [world.said(["read_pii"])]}, THREAD)
    await graph(other).ainvoke({"messages": [HumanMessage("And now?")]}, THREAD)
    assert canaries.leaks == ()
    assert {row.model.removeprefix("sim-") for row in world.providers.ledger.rows[-TIMES:]} <= {"eu", "own"}


def test_a_state_that_holds_itself_is_looked_into_once() -> None:
    state: dict[str, Any] = {"messages": [labelled(AIMessage("a"), LABELS["pii"])]}
    state["itself"] = state
    assert label_in_state(state, unlabelled=TOP) == LABELS["pii"]
