"""A call that failed in passing: another model at a boundary, the same one under a lock, within the budget, streamed or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from session_router.core.health import HealthRules
from session_router.errors import NoHealthyModel
from session_router.testing.providers import Fault

if TYPE_CHECKING:
    from support.agents import Stage

GENEROUS = HealthRules(retry_share=1.0)
LOCKED = [
    HumanMessage("Weather?"),
    AIMessage("", tool_calls=[{"name": "weather", "args": {}, "id": "c1"}], response_metadata={"session_router": {"model": "chat"}}),
    ToolMessage("sunny", tool_call_id="c1"),
]
WAYS = ["invoke", "ainvoke", "stream", "astream"]
FAULTS = [Fault.overloaded(), Fault.rate_limited(retry_after=0.5), Fault.rate_limited(), Fault.broken("before_first_token")]


@dataclass
class Hurried:
    """A clock that waits at once."""

    at: float = 1_750_000_000.0

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds

    async def asleep(self, seconds: float) -> None:
        self.at += seconds


async def ask(model: Any, way: str, value: Any) -> str:
    match way:
        case "invoke":
            answer = model.invoke(value)
        case "ainvoke":
            answer = await model.ainvoke(value)
        case "stream":
            first, *others = list(model.stream(value))
            answer = sum(others, first)
        case _:
            first, *others = [chunk async for chunk in model.astream(value)]
            answer = sum(others, first)
    by: str = answer.response_metadata["session_router"]["model"]
    return by


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", FAULTS, ids=["503", "429 for a while", "429", "broken"])
async def test_a_locked_call_is_made_again_on_its_own_model(build: Any, stage: Stage, observed: Any, way: str, fault: Fault) -> None:
    clock = Hurried()
    model = build(settings={"health": GENEROUS, "clock": clock})
    stage.providers.faults.next(fault)
    assert await ask(model, way, LOCKED) == "chat"
    assert [decision.model for decision in observed.decisions] == ["chat", "chat"]
    assert observed.decisions[1].evidence.waited > 0
    assert clock.at - 1_750_000_000.0 >= (fault.seconds or 0.0)


@pytest.mark.parametrize("way", WAYS)
async def test_without_a_budget_the_provider_s_own_error_goes_up(build: Any, stage: Stage, observed: Any, way: str) -> None:
    model = build(settings={"health": HealthRules(retry_share=0.0), "clock": Hurried()})
    stage.providers.faults.next(Fault.overloaded())
    with pytest.raises(Exception, match="503"):
        await ask(model, way, LOCKED)
    assert [decision.model for decision in observed.decisions] == ["chat"]


@pytest.mark.parametrize("way", WAYS)
async def test_where_all_have_failed_one_is_asked_again(build: Any, stage: Stage, observed: Any, way: str) -> None:
    model = build(settings={"health": GENEROUS, "clock": Hurried()})
    stage.providers.faults.next(Fault.overloaded(), times=3)
    assert await ask(model, way, "Hello") in {"chat", "responses", "claude"}
    asked = [decision.model for decision in observed.decisions if decision.model]
    assert (len(asked), len(set(asked))) == (4, 3)


async def test_a_fault_of_the_request_is_not_tried_again(build: Any, stage: Stage, observed: Any) -> None:
    model = build("chat", settings={"health": GENEROUS, "clock": Hurried()})
    with pytest.raises(Exception, match="400"):
        model.invoke("Hello", extra_body={"no_such_parameter": 1})
    assert len([decision for decision in observed.decisions if decision.model]) == 1
    assert stage.providers.ledger.client_errors == 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_lock_whose_model_asks_for_too_long_is_refused_clearly(build: Any, stage: Stage, observed: Any, way: str) -> None:
    model = build(settings={"health": GENEROUS, "clock": Hurried()})
    stage.providers.faults.next(Fault.rate_limited(retry_after=60.0))
    with pytest.raises(Exception, match="429"):
        await ask(model, way, LOCKED)
    with pytest.raises(NoHealthyModel, match="locked to `chat`") as caught:
        await ask(model, way, LOCKED)
    assert caught.value.retry_after > 50.0
    assert {decision.model for decision in observed.decisions} <= {"chat", None}
