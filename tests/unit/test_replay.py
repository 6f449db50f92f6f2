from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from session_router.core.decision import Action, Reason
from session_router.core.governance import Clearance, Level, Tag
from session_router.core.model import ModelSpec
from session_router.core.need import Need
from session_router.core.policy import Policy
from session_router.core.prefix import PromptCache
from session_router.core.pricing import Prices, call_cost
from session_router.errors import ConfigurationError
from session_router.recordings import Recording, SessionFile, recording_from_openai
from session_router.regret.accounting import ScorerChances, SessionCosts
from session_router.regret.comparison import Comparison
from session_router.replay import Pace, Summary, areplay_session, replay_session
from session_router.router import Router
from session_router.stores.memory import MemorySessionStore
from support.shared_data import shared_data

if TYPE_CHECKING:
    from collections.abc import Mapping

FILES = [
    "sessions_tau2_retail_telecom.jsonl.gz",
    "sessions_taubench_v1_retail.jsonl.gz",
    "sessions_sgd_train_sample.jsonl.gz",
    "sessions_mint_gsm8k_mmlu_mbpp_alfworld.jsonl.gz",
]
PRICES = {"small": Prices(input=1, output=2, cached_input=0.1), "large": Prices(input=10, output=20, cached_input=1)}
MODELS = {"small": ModelSpec(model="x", prices=PRICES["small"]), "large": ModelSpec(model="y", prices=PRICES["large"])}


class WantsToSwitch:
    """Names another model the better one every time it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def score(self, _question: Any, models: Mapping[Any, Any]) -> dict[Any, Need]:
        self.asked += 1
        names = sorted(models)
        return {name: Need(p_success=1.0 if name == names[self.asked % len(names)] else 0.0) for name in names}

    async def ascore(self, question: Any, models: Mapping[Any, Any]) -> dict[Any, Need]:
        return self.score(question, models)


def router(**overrides: Any) -> Router:
    settings: dict[str, Any] = {"scorer": WantsToSwitch(), "policy": Policy(stake=100), "store": MemorySessionStore(maximum_sessions=2)}
    return Router(overrides.pop("models", MODELS), key=b"k" * 32, **{**settings, **overrides})


def recorded(name: str, count: int) -> list[Recording]:
    return [item for item in islice(SessionFile(shared_data(name)), count) if isinstance(item, Recording)]


def call(name: str) -> dict[str, Any]:
    return {"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}}


LOOP = recording_from_openai(
    {
        "session_id": "s",
        "messages": [
            {"role": "user", "content": "look it up"},
            {"role": "assistant", "content": None, "tool_calls": [call("a"), call("b")]},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
            {"role": "tool", "tool_call_id": "b", "content": "2"},
            {"role": "assistant", "content": None, "tool_calls": [call("c")]},
            {"role": "tool", "tool_call_id": "c", "content": "3"},
            {"role": "assistant", "content": "here"},
            {"role": "user", "content": "thanks"},
            {"role": "assistant", "content": "welcome"},
        ],
        "turn_usage": {"4": {"prompt_tokens": 5000, "completion_tokens": 50}},
    }
)


def test_a_tool_loop_keeps_the_model_that_the_router_chose() -> None:
    calls = list(replay_session(LOOP, router()))
    assert [one.message_index for one in calls] == [1, 4, 6, 8]
    models = [one.decision.model for one in calls]
    assert models[0] == models[1] == models[2] != models[3]
    assert [one.decision.lock and one.decision.lock.model for one in calls] == [None, models[0], models[0], None]
    assert [(one.decision.turn, one.decision.call) for one in calls] == [(1, 1), (1, 2), (1, 3), (2, 1)]
    assert [one.call.now for one in calls] == [0, 5, 10, 35]


def test_recorded_tokens_count_where_there_are_some() -> None:
    calls = list(replay_session(LOOP, router()))
    assert [one.measured for one in calls] == [False, True, False, False]
    assert (calls[1].usage.input, calls[1].usage.output) == (5000, 50)
    assert calls[0].usage.input == calls[0].call.transcript.tokens


def test_the_session_learns_what_was_counted() -> None:
    store = MemorySessionStore()
    flow = replay_session(LOOP, router(store=store))
    name = next(flow).call.session
    _, third = next(flow), next(flow)
    assert name is not None
    session = store.load(name)
    assert session is not None
    # Routed three times and told twice what came of it, which sets the time of reading to that of the answer.
    assert session.version == 5
    assert session.visits[session.current].at == third.call.now


@pytest.mark.parametrize("name", FILES)
async def test_replaying_twice_or_async_gives_the_same_rows(name: str) -> None:
    sessions = recorded(name, 8)
    once = [one.to_plain() for session in sessions for one in replay_session(session, router())]
    twice = [one.to_plain() for session in sessions for one in replay_session(session, router())]
    asynchronous = [one.to_plain() for session in sessions async for one in areplay_session(session, router())]
    assert once == twice == asynchronous
    assert any(row["decision"] == Action.SWITCH for row in once)


@pytest.mark.parametrize("name", FILES)
def test_no_switch_inside_a_tool_loop_however_much_the_scorer_wants_it(name: str) -> None:
    switches = 0
    for session in recorded(name, 60):
        previous, seen = None, router()
        for one in replay_session(session, seen):
            # A boundary, told from the recording alone: the message before the answer is no tool result.
            before = session.messages[one.message_index - 1].step.role.value if one.message_index else "user"
            assert (one.decision.lock is not None) == (before == "tool")
            if before == "tool":
                assert one.decision.model == previous
            switches += one.decision.model != previous
            previous = one.decision.model
    assert switches > 60


def test_the_summary_adds_up() -> None:
    seen = router()
    summary, comparison, dollars = Summary(), Comparison(seen), 0.0
    for session in recorded(FILES[2], 20):
        calls = list(replay_session(session, seen))
        dollars += sum(one.dollars for one in calls)
        summary.add(calls)
        comparison.add(calls)
    assert summary.sessions == 20
    for counts in (summary.actions, summary.reasons, summary.chosen):
        assert counts.total() == summary.calls
    assert summary.locks.total() == summary.locked == summary.reasons[Reason.LOCKED]
    assert summary.switches == summary.actions[Action.SWITCH] > 0
    assert summary.trusted > summary.untrusted > 0
    bills = comparison.bills
    assert list(bills) == ["session-router", "single turn", "sticky", "locks only", "always small", "always large"]
    assert bills["session-router"].dollars == pytest.approx(dollars)
    assert bills["session-router"].switches == summary.switches
    assert bills["session-router"].unsafe_switches == bills["locks only"].unsafe_switches == 0
    assert bills["single turn"].unsafe_switches > 0
    assert bills["always small"].dollars < bills["session-router"].dollars < bills["always large"].dollars
    assert bills["always small"].switches == bills["always large"].switches == 0


def test_with_one_model_every_way_of_routing_costs_the_same() -> None:
    seen = router(models={"small": MODELS["small"]})
    comparison = Comparison(seen)
    for session in recorded(FILES[0], 5):
        comparison.add(list(replay_session(session, seen)))
    first, *others = (bill.dollars for bill in comparison.bills.values())
    assert first > 0
    assert others == [first] * 4


@pytest.mark.parametrize("name", FILES)
def test_rows_are_priced_as_every_routing_is(name: str) -> None:
    # Writing to the cache has a price, so that what is estimated must be filled in.
    models = {model: replace(spec, prices=replace(PRICES[model], cache_write=2 * PRICES[model].input)) for model, spec in MODELS.items()}
    seen, written = router(models=models), 0
    for session in recorded(name, 8):
        calls = list(replay_session(session, seen))
        costs = SessionCosts(calls, seen, ScorerChances(seen))
        charges = costs.charges([one.decision.model for one in calls])
        assert [one.dollars for one in charges] == [one.dollars for one in calls]
        assert [one.cached for one in charges] == [one.usage.cached for one in calls]
        without = [call_cost(models[one.decision.model].prices, replace(one.usage, written=0)) for one in calls]
        written += [one.dollars for one in calls] != without
    assert written


def test_each_routing_is_charged_for_what_its_own_provider_still_caches() -> None:
    keeps_everything = {"small": replace(MODELS["small"], prompt_cache=PromptCache(minimum_tokens=0)), "large": MODELS["large"]}
    costs = []
    for models in (MODELS, keeps_everything):
        seen = router(models=models)
        comparison = Comparison(seen)
        comparison.add(list(replay_session(LOOP, seen)))
        costs.append({name: bill.dollars for name, bill in comparison.bills.items()})
    without, kept = costs
    assert kept["always small"] < without["always small"]
    assert kept["always large"] == without["always large"]


def test_what_nobody_may_see_is_refused_and_costs_nothing() -> None:
    models = {name: ModelSpec(model="x", prices=Prices(input=1, output=1), clearance=Clearance()) for name in ("a", "b")}
    seen = router(models=models, policy=Policy(unlabelled=Tag(level=Level.RESTRICTED)))
    summary, comparison = Summary(), Comparison(seen)
    calls = list(replay_session(LOOP, seen))
    summary.add(calls)
    comparison.add(calls)
    assert {one.decision.action for one in calls} == {Action.REFUSE}
    assert {one.dollars for one in calls} == {0.0}
    assert summary.actions == {"refuse": 4}
    assert comparison.refused == 4
    assert {bill.total for bill in comparison.bills.values()} == {0.0}


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_a_pace_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="turn_seconds"):
        Pace(turn_seconds=seconds)
