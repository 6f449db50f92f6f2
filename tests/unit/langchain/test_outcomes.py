"""What comes back from a chat model."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.errors import GraphInterrupt, ParentCommand
from langgraph.types import Command

from session_router.core.call import Call
from session_router.core.decision import Decision
from session_router.core.health import HealthRules
from session_router.core.model import ModelName, ModelSpec
from session_router.core.pricing import Prices, Usage
from session_router.errors import NoCapableModel, StoreUnavailable
from session_router.router import Router
from session_router_langchain.outcomes import answerer_of, failure_of, is_control_flow, outcome_of, reasoning_of, stamped, usage_of
from session_router_langchain.trying_again import Failures
from values import ai, call_of, human, tool

PRICES = Prices(input=1.0, output=1.0)
FAST, STRONG, TWIN = ModelName("fast"), ModelName("strong"), ModelName("twin")
SPECS = {
    FAST: ModelSpec(model="-", prices=PRICES, provider_ids=frozenset({"gpt-5-mini"})),
    STRONG: ModelSpec(model="-", prices=PRICES, provider_ids=frozenset({"claude-opus-5"})),
    TWIN: ModelSpec(model="-", prices=PRICES, provider_ids=frozenset({"gpt-5-mini"})),
}


def routed(*steps: Any, only: ModelName | None = None) -> Any:
    call = call_of(*(steps or (human(),)), only=only)
    return call, Router(SPECS).route(call)


class TestUsage:
    def test_none_when_the_provider_counted_nothing(self) -> None:
        assert usage_of(AIMessage("")) is None

    @pytest.mark.parametrize(
        ("details", "cached", "written"),
        [({}, 0, 0), ({"cache_read": 5}, 5, 0), ({"cache_read": 5, "cache_creation": 3}, 5, 3), ({"cache_read": None}, 0, 0)],
    )
    def test_cached_and_written_tokens(self, details: Any, cached: int, written: int) -> None:
        counted: Any = {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12, "input_token_details": details}
        message = AIMessage("")
        message.usage_metadata = counted
        assert usage_of(message) == Usage(input=10, cached=cached, written=written, output=2)

    @pytest.mark.parametrize("tier", ["flex", "priority"])
    def test_tokens_of_another_service_tier(self, tier: str) -> None:
        """As `langchain_openai` names them."""
        details: Any = {f"{tier}_cache_read": 5, f"{tier}_cache_creation": 3, tier: 5}
        outputs: Any = {f"{tier}_reasoning": 1, tier: 1}
        message = AIMessage(
            "",
            usage_metadata={
                "input_tokens": 10,
                "output_tokens": 2,
                "total_tokens": 12,
                "input_token_details": details,
                "output_token_details": outputs,
            },
        )
        assert usage_of(message) == Usage(input=10, cached=5, written=3, output=2)
        assert reasoning_of(message) == 1
        _, decision = routed()
        assert outcome_of(message, decision, SPECS, at=decision.at).counts_cached

    @pytest.mark.parametrize(
        "counted",
        [
            {},
            {"input_tokens": 10},
            {"output_tokens": 2},
            {"input_tokens": None, "output_tokens": None},
            {"input_tokens": "10", "output_tokens": 2},
            {"input_tokens": 10, "output_tokens": 2.5},
            {"input_tokens": -1, "output_tokens": 2},
            {"input_tokens": 10, "output_tokens": 2, "input_token_details": {"cache_read": "5"}},
            {"input_tokens": 10, "output_tokens": 2, "input_token_details": {"cache_creation": [5]}},
            {"input_tokens": 10, "output_tokens": 2, "input_token_details": {"cache_read": 9, "cache_creation": -5}},
            {"input_tokens": 10, "output_tokens": 2, "input_token_details": {"cache_read": 11}},
            {"input_tokens": 10, "output_tokens": 2, "input_token_details": {"cache_read": 6, "cache_creation": 6}},
            "ten",
        ],
    )
    def test_what_cannot_be_counts_is_no_report(self, counted: Any) -> None:
        """A client may set anything on its message once that is made. The answer must come all the same."""
        message = AIMessage("")
        message.usage_metadata = counted
        _, decision = routed()
        assert usage_of(message) is None
        assert reasoning_of(message) == 0
        assert outcome_of(message, decision, SPECS, at=decision.at).usage is None

    @pytest.mark.parametrize("details", ["x", [1], {"cache_read": None}, None])
    def test_details_that_say_nothing_take_nothing_away(self, details: Any) -> None:
        counted: Any = {"input_tokens": 10, "output_tokens": 2, "input_token_details": details, "output_token_details": details}
        message = AIMessage("")
        message.usage_metadata = counted
        _, decision = routed()
        assert usage_of(message) == Usage(input=10, output=2)
        assert reasoning_of(message) == 0
        assert not outcome_of(message, decision, SPECS, at=decision.at).counts_cached


class TestAnswerer:
    @pytest.mark.parametrize(
        ("provider_id", "chosen", "answerer"),
        [
            ("gpt-5-mini-2026-08-07", FAST, FAST),
            ("gpt-5-mini", TWIN, TWIN),  # two routes share the id: the chosen one answered
            ("claude-opus-5", FAST, STRONG),  # a fallback inside the handler
            ("some-alias", FAST, FAST),  # what the provider calls the model that was asked
            (None, FAST, FAST),
        ],
    )
    def test_by_the_providers_id(self, provider_id: str | None, chosen: ModelName, answerer: ModelName) -> None:
        _, decision = routed(only=chosen)
        message = AIMessage("", response_metadata={} if provider_id is None else {"model_name": provider_id})
        assert decision.model == chosen
        assert answerer_of(message, decision, SPECS) == answerer

    def test_the_outcome_says_what_the_answer_waits_for(self) -> None:
        _, decision = routed()
        message = AIMessage("", tool_calls=[{"id": "a", "name": "weather", "args": {}}])
        outcome = outcome_of(message, decision, SPECS, at=decision.at + 2.5)
        assert [ask.id for ask in outcome.asks] == ["a"]
        assert (outcome.at - decision.at, outcome.error) == (2.5, None)


def test_a_stamp_stands_beside_the_providers_facts_and_leaves_the_message_alone() -> None:
    _, decision = routed(only=FAST)
    message = AIMessage("Yes.", id="m", response_metadata={"model_name": "gpt-5-mini"})
    marked = stamped(message, decision, STRONG)
    assert marked.response_metadata["model_name"] == "gpt-5-mini"
    assert marked.response_metadata["session_router"] == {
        "model": "strong",
        "decision_id": decision.id,
        "decision": "keep",
        "reason": "pinned",
    }
    assert (marked.id, marked.content, message.response_metadata) == ("m", "Yes.", {"model_name": "gpt-5-mini"})


@pytest.mark.parametrize(
    ("error", "control"),
    [
        (GraphInterrupt(()), True),
        (ParentCommand(Command()), True),
        (asyncio.CancelledError(), True),
        (KeyboardInterrupt(), True),
        (GeneratorExit(), True),
        (NoCapableModel(tried={}), True),
        (TimeoutError(), False),
        (ValueError(), False),
    ],
)
def test_control_flow_is_no_failure_of_a_model(error: BaseException, control: bool) -> None:
    assert is_control_flow(error) is control


def test_control_flow_says_nothing_of_an_endpoint() -> None:
    """Though a store that is gone may stand behind it, or the failure of somebody else's model."""
    for error, name in ((StoreUnavailable("gone"), "StoreUnavailable"), (GraphInterrupt(()), "Cancelled")):
        error.__cause__ = ConnectionError()
        outcome = failure_of(error, at=1.0)
        assert (outcome.error, outcome.failure) == (name, None)


def after(call: Call, decision: Decision, error: BaseException, *, delivered: bool = False) -> Call | None:
    outcome = failure_of(error, at=decision.at + 9)
    return Failures(HealthRules()).after(call, decision, outcome, None, error, delivered=delivered)


class TestAfterFailure:
    def test_at_a_boundary_the_next_candidate_is_routed(self) -> None:
        call, decision = routed()
        following = after(call, decision, TimeoutError())
        assert following is not None
        assert following.failed == (decision.model,)
        assert Router(SPECS).route(following).model != decision.model

    @pytest.mark.parametrize("error", [GraphInterrupt(()), asyncio.CancelledError(), NoCapableModel(tried={})])
    def test_control_flow_goes_up(self, error: BaseException) -> None:
        call, decision = routed()
        assert after(call, decision, error) is None

    def test_nothing_follows_what_the_user_has_seen(self) -> None:
        call, decision = routed()
        assert after(call, decision, TimeoutError(), delivered=True) is None

    def test_nothing_moves_under_a_lock_and_what_passes_is_asked_again(self) -> None:
        call, decision = routed(human(), ai("a", by=FAST), tool("a"))
        assert decision.lock is not None
        again = after(call, decision, TimeoutError())
        assert again is not None
        assert (again.failed, Router(SPECS).route(again).model) == ((), FAST)
        assert after(call, decision, ValueError()) is None

    def test_a_model_that_the_caller_insists_on_has_no_substitute_and_is_asked_again(self) -> None:
        call, decision = routed(only=FAST)
        again = after(call, decision, TimeoutError())
        assert again is not None
        assert again.failed == ()
        assert after(call, decision, ValueError()) is None
