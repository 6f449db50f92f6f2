"""Structured output: by a tool that nobody runs, by the provider, or whichever the chosen model can."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from langchain.agents.structured_output import AutoStrategy, ProviderStrategy, ToolStrategy
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from session_router.core.model import Capability
from session_router.errors import NoCapableModel
from support.agents import DIALECTS, THREAD, Stage, agent_of, asks, authors, call, session_in


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
