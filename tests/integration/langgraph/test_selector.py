"""`router.as_model_selector` in LangGraph's `create_react_agent`."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.prebuilt import create_react_agent
from pydantic import BaseModel

from support.agents import ANSWERS_AS, DIALECTS, THREAD, TOOLS, RestlessScorer, Stage, asks, authors, call

LOOP = [asks(call("weather", city="Rome"), call("clock", city="Rome")), asks(call("clock", city="Pisa")), "Done."]
pytestmark = pytest.mark.filterwarnings("ignore:create_react_agent has been moved")


class Report(BaseModel):
    """The weather in a city."""

    city: str
    degrees: int


def agent_of(stage: Stage, *, start: int = 0, is_async: bool = False, routes: Any = None, **settings: Any) -> Any:
    router = stage.router(routes, scorer=RestlessScorer(start=start))
    selector = router.as_model_selector(list(TOOLS), is_async=is_async)
    assert inspect.iscoroutinefunction(selector) is is_async
    return create_react_agent(selector, list(TOOLS), checkpointer=InMemorySaver(), **settings)


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_loops_stay_with_their_asker(stage: Stage, start: int) -> None:
    stage.witness.script = {"go": LOOP}
    agent = agent_of(stage, start=start)
    for _ in range(4):
        messages = agent.invoke({"messages": [HumanMessage("go")]}, THREAD)["messages"]
        stage.assert_sound(messages)
    assert authors(messages) == [ANSWERS_AS[DIALECTS[(start + turn) % 3]] for turn in range(4) for _ in range(3)]


@pytest.mark.parametrize("is_async", [True, False])
async def test_loops_stay_with_their_asker_async(astage: Stage, is_async: bool) -> None:
    astage.witness.script = {"go": LOOP}
    agent = agent_of(astage, is_async=is_async)
    for _ in range(4):
        messages = (await agent.ainvoke({"messages": [HumanMessage("go")]}, THREAD))["messages"]
        astage.assert_sound(messages)
    assert authors(messages) == [ANSWERS_AS[DIALECTS[turn % 3]] for turn in range(4) for _ in range(3)]


def test_structured_output_is_asked_of_a_routed_model_too(stage: Stage) -> None:
    stage.witness.script = {"go": [*LOOP[:-1], '{"city": "Rome", "degrees": 21}', '{"city": "Rome", "degrees": 21}']}
    routes = stage.routes(claude=None, other=stage.chat("sim-chat-2"))
    agent = agent_of(stage, routes=routes, response_format=Report)
    for _ in range(3):
        result = agent.invoke({"messages": [HumanMessage("go")]}, THREAD)
        stage.assert_sound(result["messages"])
        assert result["structured_response"] == Report(city="Rome", degrees=21)
    assert len(set(authors(result["messages"]))) == 3
