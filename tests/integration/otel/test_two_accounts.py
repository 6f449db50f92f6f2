"""Two accounts of one model: their answers name the same model, and what they cost differs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from session_router import Policy, Prices, Router
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from session_router_langgraph import RouterState, create_router_node
from session_router_otel.conventions import COST_BILLED, MODEL_SELECTED
from support.agents import RestlessScorer, agent_of

if TYPE_CHECKING:
    from support.agents import Stage
    from support.telemetry import Exported

DOLLARS = {"eu": 1.0, "us": 10.0}
"""Per million tokens, read or written."""


class State(MessagesState, RouterState):
    """What a user's graph would declare."""


def graph_of(router: Router, routes: Any) -> Any:
    graph: Any = StateGraph(State)
    graph.add_node("router", create_router_node(router, destinations={name: name for name in routes}))
    graph.add_edge(START, "router")

    def asking(model: Any) -> Any:
        def ask(state: Any) -> Any:
            return {"messages": [model.invoke(state["messages"])]}

        async def aask(state: Any) -> Any:
            return {"messages": [await model.ainvoke(state["messages"])]}

        return RunnableLambda(ask, aask)

    for name, model in routes.items():
        graph.add_node(name, asking(model))
        graph.add_edge(name, END)
    return graph.compile(checkpointer=InMemorySaver())


async def ask(subject: Any, number: int, way: str) -> None:
    is_model = isinstance(subject, SessionRouterChatModel)
    message = HumanMessage(f"hello {number}")
    given: Any = [message] if is_model else {"messages": [message]}
    config: Any = {"configurable": {"thread_id": f"{way}-{number // 2}"}}
    if way == "invoke":
        subject.invoke(given, config)
    elif way == "ainvoke":
        await subject.ainvoke(given, config)
    elif way == "stream":
        list(subject.stream(given, config))
    else:
        [one async for one in subject.astream(given, config)]


def subject_of(kind: str, stage: Stage, router: Router, routes: Any) -> Any:
    if kind == "agent":
        return agent_of(stage, router=SessionRouterMiddleware(router), tools=[])
    return SessionRouterChatModel(router=router) if kind == "chat model" else graph_of(router, routes)


def router_of(routes: Any, *, start: int = 0) -> Router:
    prices = {name: Prices(input=dollars, output=dollars) for name, dollars in DOLLARS.items()}
    return Router(routes, prices=prices, scorer=RestlessScorer(start=start), policy=Policy(stake=1.0, margin=0.0))


def dollars_of(span: Any) -> float:
    told = span.attributes
    return float(told[COST_BILLED] * 1e6 / (told["gen_ai.usage.input_tokens"] + told["gen_ai.usage.output_tokens"]))


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("kind", ["agent", "chat model", "router node"])
async def test_an_answer_costs_what_the_chosen_account_takes(astage: Stage, exported: Exported, kind: str, way: str) -> None:
    routes = {name: astage.chat(stream_usage=True) for name in DOLLARS}
    router = router_of(routes)
    with exported.of(router):
        subject = subject_of(kind, astage, router, routes)
        for number in range(4):
            await ask(subject, number, way)
    chosen = [str((span.attributes or {})[MODEL_SELECTED]) for span in exported.routes]
    assert set(chosen) == {"eu", "us"}
    assert [dollars_of(span) for span in exported.named("chat")] == [pytest.approx(DOLLARS[name]) for name in chosen]


async def test_side_by_side_too(astage: Stage, exported: Exported) -> None:
    routes = {name: astage.chat() for name in DOLLARS}
    router = router_of(routes)
    with exported.of(router):
        model = SessionRouterChatModel(router=router)
        graph: Any = StateGraph(MessagesState)

        async def ask_all(state: Any) -> Any:
            del state
            await asyncio.gather(*(ask(model, number, "ainvoke") for number in range(0, 12, 2)))
            return {}

        graph.add_node("ask_all", ask_all)
        graph.add_edge(START, "ask_all")
        await graph.compile().ainvoke({"messages": []})
    chosen = [str((span.attributes or {})[MODEL_SELECTED]) for span in exported.routes]
    dollars = sorted(dollars_of(span) for span in exported.named("chat"))
    assert dollars == [pytest.approx(one) for one in sorted(DOLLARS[name] for name in chosen)]
    assert len(set(chosen)) == 2


def test_of_two_routers_the_one_that_decided_knows(stage: Stage, exported: Exported) -> None:
    model = stage.chat()
    first, second = (Router({"own": model}, prices={"own": Prices(input=one, output=one)}) for one in DOLLARS.values())
    with exported.of(first, second):
        # A router looks at its models when it is first asked.
        for router in (first, second, second, first):
            SessionRouterChatModel(router=router).invoke("hello")
    assert [dollars_of(span) for span in exported.named("chat")] == [pytest.approx(one) for one in (1.0, 10.0, 10.0, 1.0)]
