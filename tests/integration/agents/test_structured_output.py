"""Structured output: by a tool that nobody runs, by the provider, or whichever the chosen model can."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from langchain.agents.structured_output import AutoStrategy, ProviderStrategy, ToolStrategy
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from session_router import Clearance, ModelSpec, Policy, Prices, Router, Tag
from session_router.core.governance import Level
from session_router.core.model import Capability
from session_router.errors import NoCapableModel
from session_router_langchain import SessionRouterMiddleware
from session_router_langchain.tagging import own_label
from support.agents import (
    ANSWERS_AS,
    CHAT,
    CLAUDE,
    DIALECTS,
    RESPONSES,
    THREAD,
    RestlessScorer,
    Stage,
    agent_of,
    asks,
    authors,
    call,
    session_in,
)


class Report(BaseModel):
    """The weather in a city."""

    city: str
    degrees: int


REPORT = '{"city": "Rome", "degrees": 21}'


@pytest.fixture
def unthinking(stage: Stage) -> dict[str, Any]:
    """Anthropic refuses to think where a tool is forced."""
    return stage.routes(claude=stage.claude(thinking=None))


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_the_lock_of_a_tool_that_nobody_runs_ends_with_the_run(stage: Stage, unthinking: dict[str, Any], start: int) -> None:
    stage.witness.script = {
        "report": [asks(call("weather", city="Rome")), asks(call("Report", city="Rome", degrees=21))],
        "at once": [asks(call("Report", city="Rome", degrees=21))],
    }
    agent = agent_of(stage, start=start, routes=unthinking, response_format=ToolStrategy(Report))
    for text in ("report", "at once", "report", "at once", "report"):
        result = agent.invoke({"messages": [HumanMessage(text)]}, THREAD)
        assert result["structured_response"] == Report(city="Rome", degrees=21)
        assert result["messages"][-1].type == "tool"
        stage.assert_sound(result["messages"], session=session_in(agent))
    assert len(set(authors(result["messages"]))) == 3


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_a_wrong_answer_is_tried_again_by_the_same_model(stage: Stage, unthinking: dict[str, Any], start: int) -> None:
    stage.witness.script = {"report": [asks(call("Report", city="Rome", degrees="warm")), asks(call("Report", city="Rome", degrees=21))]}
    agent = agent_of(stage, start=start, routes=unthinking, response_format=ToolStrategy(Report))
    for _ in range(3):
        result = agent.invoke({"messages": [HumanMessage("report")]}, THREAD)
        stage.assert_sound(result["messages"], session=session_in(agent))
    assert len(set(authors(result["messages"]))) == 3


@pytest.mark.parametrize("strategy", [ToolStrategy, AutoStrategy])
def test_what_the_framework_says_of_such_an_answer_bears_the_label_of_the_answer(
    stage: Stage, unthinking: dict[str, Any], strategy: Any
) -> None:
    """Nobody declares a tool that nobody runs, and undeclared tools may return anything."""
    stage.witness.script = {
        "report": [asks(call("Report", city="Rome", degrees="warm")), asks(call("Report", city="Rome", degrees=21))],
        "weather": [asks(call("weather", city="Rome")), asks(call("Report", city="Rome", degrees=21))],
    }
    prices, secret = Prices(input=1.0, output=4.0), Tag(level=Level.CONFIDENTIAL)
    levels = {CHAT: Level.PUBLIC, RESPONSES: Level.CONFIDENTIAL, CLAUDE: Level.PUBLIC}
    routes = {
        name: ModelSpec(model=model, prices=prices, clearance=Clearance(max_level=levels[name])) for name, model in unthinking.items()
    }
    policy = Policy(
        stake=1.0, margin=0.0, sources=dict.fromkeys(("human", "schemas", "system"), Tag()), tools={"weather": secret, "clock": Tag()}
    )
    subject = SessionRouterMiddleware(Router(routes, policy=policy, scorer=RestlessScorer()))
    agent = agent_of(stage, router=subject, response_format=strategy(Report))
    for text in ("report", "report", "weather", "report"):
        said = agent.invoke({"messages": [HumanMessage(text)]}, THREAD)["messages"]
    assert stage.refused == []
    labels = [own_label(message) for message in said if message.type == "tool" and message.name == "Report"]
    assert labels == [Tag()] * 4 + [secret] * 3
    assert authors(said)[-2:] == [ANSWERS_AS[RESPONSES]] * 2


@pytest.mark.parametrize("strategy", [ProviderStrategy, AutoStrategy])
def test_a_loop_that_ends_in_json_of_the_provider(stage: Stage, unthinking: dict[str, Any], strategy: Any) -> None:
    stage.witness.script = (
        {"report": [asks(call("weather", city="Rome")), REPORT]}
        if strategy is ProviderStrategy
        else {"report": [asks(call("weather", city="Rome")), asks(call("Report", city="Rome", degrees=21))]}
    )
    agent = agent_of(stage, routes=unthinking, response_format=strategy(Report))
    for _ in range(4):
        result = agent.invoke({"messages": [HumanMessage("report")]}, THREAD)
        assert result["structured_response"] == Report(city="Rome", degrees=21)
        stage.assert_sound(result["messages"], session=session_in(agent))
    assert len(set(authors(result["messages"]))) == 3


@pytest.mark.parametrize("strategy", [ToolStrategy, AutoStrategy, ProviderStrategy])
def test_only_the_providers_own_way_excludes_a_model_that_lacks_it(stage: Stage, unthinking: dict[str, Any], strategy: Any) -> None:
    stage.witness.script = {"report": [asks(call("Report", city="Rome", degrees=21))]}
    routes = {name: replace(spec, capabilities=frozenset({Capability.TOOLS})) for name, spec in stage.router(unthinking).models.items()}
    agent = agent_of(stage, routes=routes, response_format=strategy(Report))
    if strategy is ProviderStrategy:
        with pytest.raises(NoCapableModel, match="structured_output"):
            agent.invoke({"messages": [HumanMessage("report")]}, THREAD)
    else:
        assert agent.invoke({"messages": [HumanMessage("report")]}, THREAD)["structured_response"].city == "Rome"
