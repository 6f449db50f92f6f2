"""A router node in a hand-built graph."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, interrupt

from session_router import Clearance, ModelSpec, Policy, Prices, Tag
from session_router.core.governance import Level
from session_router.errors import ConfigurationError
from session_router_langchain import convert, repair, target_of
from session_router_langgraph import RouterState, create_router_node
from support.agents import ANSWERS_AS, DIALECTS, THREAD, TOOLS, RestlessScorer, Stage, asks, authors, call, moves_in_loops

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_router import Router

LOOP = [asks(call("weather", city="Rome"), call("clock", city="Rome")), asks(call("clock", city="Pisa")), "Done."]


class State(MessagesState, RouterState):
    """What a user's graph would declare."""


@tool
def confirm(city: str) -> str:
    """Ask the user."""
    return f"the user says {interrupt(city)}"


EVERY_TOOL = [*TOOLS, confirm]


def graph_of(
    stage: Stage,
    router: Router,
    *,
    checkpointer: Any = None,
    destinations: tuple[str, ...] | None = None,
    routes: Any = None,
    named: bool = True,
    **settings: Any,
) -> Any:
    """START -> router -> the node of the chosen model -> tools -> router, or the end."""
    routes = routes or stage.routes()
    graph = StateGraph(State)
    node = create_router_node(router, destinations={name: f"ask_{name}" for name in routes}, tools=EVERY_TOOL, **settings)
    graph.add_node("router", node, **({} if destinations is None else {"destinations": destinations}))
    for name, model in routes.items():
        graph.add_node(f"ask_{name}", asking(name, model, named=named))
        graph.add_conditional_edges(f"ask_{name}", tools_condition, ["tools", END])
    graph.add_node("tools", ToolNode(EVERY_TOOL))
    graph.add_edge(START, "router")
    graph.add_edge("tools", "router")
    return graph.compile(checkpointer=checkpointer)


def asking(name: str, model: Any, *, named: bool = True) -> Callable[[State], dict[str, Any]]:
    """A node that calls its own model: the history must be carried there by the node itself."""
    target, bound = target_of(name, model), model.bind_tools(EVERY_TOOL)

    def ask(state: State) -> dict[str, Any]:
        answer = bound.invoke(convert(repair(state["messages"]), target))
        return {"messages": [answer if named else AIMessage(answer.text, tool_calls=answer.tool_calls)]}

    return ask


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
@pytest.mark.parametrize("checkpointer", [True, False])
def test_loops_come_back_to_the_node_of_their_model(stage: Stage, start: int, checkpointer: bool) -> None:
    stage.witness.script, stage.witness.in_order = {"go": LOOP}, True
    graph = graph_of(stage, stage.router(scorer=RestlessScorer(start=start)), checkpointer=InMemorySaver() if checkpointer else None)
    history: list[Any] = []
    for turn in range(4):
        given = [HumanMessage(f"go {turn}")] if checkpointer else [*history, HumanMessage(f"go {turn}")]
        history = graph.invoke({"messages": given}, THREAD if checkpointer else None)["messages"]
        stage.assert_sound(history)
    expected = [ANSWERS_AS[DIALECTS[(start + turn) % 3]] for turn in range(4) for _ in range(3)]
    assert authors(history) == expected


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_a_greeting_reaches_every_node_of_a_model(stage: Stage, start: int) -> None:
    stage.witness.script = {"go": LOOP}
    graph = graph_of(stage, stage.router(scorer=RestlessScorer(start=start)))
    greeting = AIMessage("Hello, what can I do?")
    history = graph.invoke({"messages": [greeting, HumanMessage("go")]})["messages"]
    stage.assert_sound(history)
    assert history[0] == greeting
    assert set(authors(history[1:])) == {ANSWERS_AS[DIALECTS[start]]}


async def test_the_node_decides_alike_when_it_is_awaited(astage: Stage) -> None:
    told = []
    for run in ("sync", "async"):
        astage.clear()
        astage.witness.script, astage.witness.in_order = {"go": LOOP}, True
        graph = graph_of(astage, astage.router(), checkpointer=InMemorySaver())
        for turn in range(4):
            given = {"messages": [HumanMessage(f"go {turn}")]}
            result = graph.invoke(given, THREAD) if run == "sync" else await graph.ainvoke(given, THREAD)
        astage.assert_sound(result["messages"])
        told.append(authors(result["messages"]))
    assert told[0] == told[1]
    assert len(set(told[0])) == 3


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_an_interrupt_resumes_with_the_model_that_asked(stage: Stage, start: int) -> None:
    stage.witness.script = {"go": [asks(call("confirm", city="Rome"), call("clock", city="Rome")), "Done."]}
    saver = InMemorySaver()
    graph = graph_of(stage, stage.router(scorer=RestlessScorer(start=start)), checkpointer=saver)
    assert "__interrupt__" in graph.invoke({"messages": [HumanMessage("go")]}, THREAD)
    resumed = graph_of(stage, stage.router(scorer=RestlessScorer(start=start + 1)), checkpointer=saver)
    messages = resumed.invoke(Command(resume="yes"), THREAD)["messages"]
    stage.assert_sound(messages)
    assert len(set(authors(messages))) == 1


def test_the_session_is_in_the_state_and_follows_what_really_answered(stage: Stage) -> None:
    stage.witness.script = {"go": LOOP}
    graph = graph_of(stage, stage.router(), checkpointer=InMemorySaver())
    for turn in range(3):
        result = graph.invoke({"messages": [HumanMessage("go")]}, THREAD)
        session = result["session_router"]
        assert (session["turn"], session["call"], session["current"]) == (turn + 1, 3, DIALECTS[turn])


@pytest.mark.parametrize("start", [0, 1])
def test_two_accounts_of_one_model_are_told_apart(stage: Stage, start: int) -> None:
    """Their answers name the same model, and nothing else of them says which of the two it was."""
    stage.witness.script, routes = {"go": LOOP}, {"eu": stage.chat(), "us": stage.chat()}
    seen: list[str] = []
    graph = graph_of(stage, stage.router(routes, scorer=RestlessScorer(start=start)), routes=routes, checkpointer=InMemorySaver())
    for turn in range(4):
        for step in graph.stream({"messages": [HumanMessage(f"go {turn}")]}, THREAD):
            seen += [name for name in step if name.startswith("ask_")]
    first, second = ("ask_eu", "ask_us") if start == 0 else ("ask_us", "ask_eu")
    assert seen == [*[first] * 3, *[second] * 3] * 2


def test_without_thread_and_checkpointer_nothing_is_shared(stage: Stage) -> None:
    stage.witness.script = {"go": LOOP}
    graph = graph_of(stage, stage.router())
    ids = {graph.invoke({"messages": [HumanMessage("go")]})["session_router"]["id"] for _ in range(3)}
    assert len(ids) == 3


def governed(stage: Stage, start: int) -> Router:
    """A router that begins with a model that may see public data only; `weather` is on offer, whose results it may not see."""
    prices, public, secret = Prices(input=1.0, output=4.0), Tag(), Tag(level=Level.CONFIDENTIAL)
    cleared = {
        name: ModelSpec(model=model, prices=prices, clearance=Clearance(max_level=Level.RESTRICTED))
        for name, model in stage.routes().items()
    }
    policy = Policy(
        stake=1.0,
        margin=0.0,
        sources=dict.fromkeys(("system", "human", "schemas"), public),
        tools={"weather": secret, "clock": public, "confirm": public},
    )
    chosen = DIALECTS[start]
    models = {**cleared, chosen: replace(cleared[chosen], clearance=Clearance())}
    return stage.router(models, prices=None, scorer=RestlessScorer(start=start), policy=policy)


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_a_tool_that_could_have_said_more_ends_no_loop_of_public_results(stage: Stage, start: int) -> None:
    """The answers of such nodes bear no label, and `weather` is on offer, whose results only one model may see."""
    stage.witness.script, stage.witness.in_order = (
        {"go": [asks(call("clock", city="Rome")), asks(call("clock", city="Pisa")), "Done."]},
        True,
    )
    chosen = DIALECTS[start]

    def asked() -> Any:
        graph = graph_of(stage, governed(stage, start), checkpointer=InMemorySaver())
        return graph.invoke({"messages": [HumanMessage("go")]}, THREAD)

    result = asked()
    stage.assert_sound(result["messages"])
    assert authors(result["messages"]) == [ANSWERS_AS[chosen]] * 3
    assert result["session_router"]["tag"]["level"] == "public"

    stage.clear()
    stage.witness.script, stage.witness.in_order = {"go": [asks(call("weather", city="Rome")), "Done."]}, True
    first, then = authors(asked()["messages"])
    assert first == ANSWERS_AS[chosen] != then


def test_nor_does_it_where_models_do_not_name_themselves(stage: Stage) -> None:
    stage.witness.script, stage.witness.in_order = (
        {"go": [asks(call("clock", city="Rome")), asks(call("clock", city="Pisa")), "Done."]},
        True,
    )
    graph = graph_of(stage, governed(stage, 0), checkpointer=InMemorySaver(), named=False)
    result = graph.invoke({"messages": [HumanMessage("go")]}, THREAD)
    assert authors(result["messages"]) == [None] * 3
    assert stage.asked == ["sim-chat"] * 3
    assert result["session_router"]["tag"]["level"] == "public"


def test_nobody_has_typed_anything(stage: Stage) -> None:
    graph = graph_of(stage, stage.router(), checkpointer=InMemorySaver())
    messages = graph.invoke({"messages": [SystemMessage("Be brief."), HumanMessage("", additional_kwargs={"lc_source": "seed"})]}, THREAD)
    assert moves_in_loops(messages["messages"]) == []


def test_the_graph_is_drawn_with_its_destinations(stage: Stage) -> None:
    nodes = tuple(f"ask_{name}" for name in DIALECTS)
    drawn = graph_of(stage, stage.router(), destinations=nodes).get_graph().draw_mermaid()
    assert all(f"router -.-> {node}" in drawn.replace(" &nbsp;", " ") for node in nodes), drawn


@pytest.mark.parametrize("destinations", [{}, {"chat": "a"}, {"chat": "a", "responses": "b", "claude": "c", "other": "d"}])
def test_every_route_needs_a_destination_and_no_other_has_one(stage: Stage, destinations: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="destinations"):
        create_router_node(stage.router(), destinations=destinations)
