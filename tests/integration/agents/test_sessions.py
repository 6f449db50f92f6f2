"""Which calls belong to one session, and that sessions never mix."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Send

from session_router import Policy
from session_router.stores.memory import MemorySessionStore
from session_router_langchain import SessionRouterMiddleware
from support.agents import (
    ANSWERS_AS,
    CHAT,
    THREAD,
    TOOLS,
    Stage,
    agent_of,
    asks,
    authors,
    call,
    moves_in_loops,
    session_in,
)

LOOP = [asks(call("weather", city="Rome"), call("clock", city="Rome")), asks(call("clock", city="Pisa")), "Done."]


class Rows(MemorySessionStore):
    """A store that tells which sessions it was asked for; the population has been nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def commit(self, session: Any) -> bool:
        if session.visits:
            self.seen.add(session.id)
        return super().commit(session)


def test_a_thread_is_a_session_whatever_process_routes_it(stage: Stage) -> None:
    stage.witness.script = {"go": LOOP}
    saver = InMemorySaver()
    ids = set()
    for start in range(3):
        agent = agent_of(stage, start=start, checkpointer=saver)
        agent.invoke({"messages": [HumanMessage("go")]}, THREAD)
        ids.add(session_in(agent)["id"])
    assert len(ids) == 1
    agent.invoke({"messages": [HumanMessage("go")]}, {"configurable": {"thread_id": "another"}})
    assert session_in(agent, {"configurable": {"thread_id": "another"}})["id"] not in ids
    assert session_in(agent)["turn"] == 3


def test_neither_thread_nor_principal_works_and_shares_nothing(stage: Stage) -> None:
    stage.witness.script = {"go": LOOP}
    store = Rows()
    router = SessionRouterMiddleware(stage.router(store=store))
    agent = agent_of(stage, router=router, checkpointer=None)
    history: list[Any] = []
    for _ in range(3):
        history = agent.invoke({"messages": [*history, HumanMessage("go")]})["messages"]
        stage.assert_sound(history)
        assert not store.seen
    assert len(set(authors(history))) == 3


def test_a_principal_without_a_thread_finds_its_session_again(stage: Stage) -> None:
    stage.witness.script = {"go": LOOP, "first": ["Hello."]}
    store = Rows()

    def talk(principal: str, opening: str) -> list[Any]:
        router = SessionRouterMiddleware(stage.router(store=store, key=b"k" * 32), principal=principal)
        agent = agent_of(stage, router=router, checkpointer=None)
        history: list[Any] = []
        for text in (opening, "go", "go"):
            history = agent.invoke({"messages": [*history, HumanMessage(text)]})["messages"]
        stage.assert_sound(history)
        return history

    talk("ada", "first words")
    assert len(store.seen) == 1
    first = next(iter(store.seen))
    session: Any = store.load(first)  # type: ignore[arg-type]
    assert (session.turn, session.call, session.switches) == (3, 3, 2)
    # Another user who begins alike is another session; so is the same user with another beginning.
    talk("bob", "first words")
    assert len(store.seen) == 2
    talk("ada", "first things")
    assert len(store.seen) == 3


@pytest.mark.parametrize("messages", [[], [SystemMessage("Be brief.")], [AIMessage("Hello, I am the assistant.")]])
@pytest.mark.parametrize("checkpointer", [True, False])
def test_nobody_has_said_anything(stage: Stage, messages: list[Any], checkpointer: bool) -> None:
    router = SessionRouterMiddleware(stage.router(policy=Policy(default=CHAT, stake=1.0, margin=0.0)), principal="ada")
    agent = agent_of(stage, router=router, checkpointer=InMemorySaver() if checkpointer else None, system_prompt="Begin.")
    result = agent.invoke({"messages": messages}, THREAD)["messages"]
    stage.assert_sound(result)
    assert authors(result)[-1] == ANSWERS_AS[CHAT]
    assert result[-1].response_metadata["session_router"]["reason"] == "no_human_message"


def test_a_subagent_is_a_session_of_its_own(stage: Stage) -> None:
    stage.witness.script = {"main": [asks(call("research", topic="sub")), asks(call("research", topic="sub")), "Done."], "sub": LOOP}
    store = Rows()
    shared = stage.router(store=store)
    inner = create_agent(stage.chat(), tools=TOOLS, middleware=[SessionRouterMiddleware(shared)], name="researcher")
    told: list[Any] = []

    @tool
    def research(topic: str) -> str:
        """Look something up."""
        result = inner.invoke({"messages": [HumanMessage(topic)]})
        told.append((result["messages"], result.get("session_router")))
        return str(result["messages"][-1].text)

    agent = agent_of(stage, router=SessionRouterMiddleware(shared), tools=[research, *TOOLS], name="boss")
    for _ in range(3):
        messages = agent.invoke({"messages": [HumanMessage("main")]}, THREAD)["messages"]
        stage.assert_sound(messages, session=session_in(agent))
    for inner_messages, leaked in told:
        assert moves_in_loops(inner_messages) == []
        assert leaked is None
    assert len(told) == 6
    # The outer loop stayed with its asker, while the agent inside it went from model to model.
    inside = {author for inner_messages, _ in told for author in authors(inner_messages)}
    assert len(inside) == 2
    assert inside.isdisjoint(authors(messages))


def test_two_agents_that_hand_one_history_to_each_other(stage: Stage) -> None:
    stage.witness.script = {"to ada": LOOP, "to bob": [asks(call("clock", city="Oslo")), "Yes."]}
    router = SessionRouterMiddleware(stage.router())
    agents = {
        name: create_agent(stage.chat(), tools=TOOLS, middleware=[SessionRouterMiddleware(router.router)], name=name)
        for name in ("ada", "bob")
    }

    def next_agent(state: MessagesState) -> str:
        return "ada" if "ada" in state["messages"][-1].text else "bob"

    graph = StateGraph(MessagesState)
    for name, agent in agents.items():
        graph.add_node(name, agent)
        graph.add_edge(name, END)
    graph.add_conditional_edges(START, next_agent, list(agents))
    team = graph.compile(checkpointer=InMemorySaver())
    for text in ("to ada", "to bob", "to ada", "to bob", "to bob", "to ada"):
        messages = team.invoke({"messages": [HumanMessage(text)]}, THREAD)["messages"]
        stage.assert_sound(messages)
    assert {message.name for message in messages if isinstance(message, AIMessage)} == {"ada", "bob"}
    assert len(set(authors(messages))) == 3


def test_subgraphs_that_are_fanned_out_do_not_lock_one_another(stage: Stage) -> None:
    stage.witness.script = {"city": LOOP}
    worker = create_agent(stage.chat(), tools=TOOLS, middleware=[SessionRouterMiddleware(stage.router())], name="worker")

    def fan_out(state: MessagesState) -> list[Send]:
        del state
        return [Send("worker", {"messages": [HumanMessage(f"city {number}")]}) for number in range(6)]

    graph = StateGraph(MessagesState)
    graph.add_node("worker", worker)
    graph.add_conditional_edges(START, fan_out, ["worker"])
    messages = graph.compile(checkpointer=InMemorySaver()).invoke({"messages": [HumanMessage("all")]}, THREAD)["messages"]
    assert stage.refused == []
    assert stage.witness.moved == []
    assert sum(message.text == "Done." for message in messages) == 6


def talks(number: int) -> list[str]:
    return [f"go {number} {turn}" for turn in range(3)]


def test_threads_on_one_middleware_never_mix(stage: Stage) -> None:
    stage.witness.script = {"go": LOOP}
    agent = agent_of(stage)

    def talk(number: int) -> str:
        config: Any = {"configurable": {"thread_id": f"thread {number}"}}
        for text in talks(number):
            messages = agent.invoke({"messages": [HumanMessage(text)]}, config)["messages"]
        assert [message.text for message in messages if message.type == "human"] == talks(number)
        assert moves_in_loops(messages) == []
        session = session_in(agent, config)
        assert (session["turn"], session["call"], session["lock"]) == (3, 3, None)
        return str(session["id"])

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(talk, range(8)))
    assert len(set(ids)) == 8
    stage.assert_sound()


async def test_tasks_on_one_middleware_never_mix(astage: Stage) -> None:
    astage.witness.script = {"go": LOOP}
    agent = agent_of(astage)

    async def talk(number: int) -> str:
        config: Any = {"configurable": {"thread_id": f"thread {number}"}}
        for text in talks(number):
            messages = (await agent.ainvoke({"messages": [HumanMessage(text)]}, config))["messages"]
        assert [message.text for message in messages if message.type == "human"] == talks(number)
        assert moves_in_loops(messages) == []
        session = session_in(agent, config)
        assert (session["turn"], session["call"], session["lock"]) == (3, 3, None)
        return str(session["id"])

    ids = await asyncio.gather(*map(talk, range(8)))
    assert len(set(ids)) == 8
    astage.assert_sound()


def test_the_session_stays_out_of_schemas_and_results(stage: Stage) -> None:
    stage.witness.script = {"go": LOOP}
    agent = agent_of(stage)
    result = agent.invoke({"messages": [HumanMessage("go")]}, THREAD)
    assert "session_router" not in result
    assert "session_router" not in agent.get_input_jsonschema()["properties"]
    assert "session_router" not in agent.get_output_jsonschema()["properties"]


def test_the_state_holds_no_text(stage: Stage) -> None:
    stage.witness.script = {"Quetzalcoatl": [asks(call("weather", city="Tenochtitlan"), text="Cuauhtemoc."), "Moctezuma."]}
    agent = agent_of(stage)
    agent.invoke({"messages": [HumanMessage("Quetzalcoatl")]}, THREAD)
    plain = str(session_in(agent))
    assert not any(word in plain for word in ("Quetzal", "Tenoch", "Cuauh", "Mocte", "sunny"))
