from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from session_router.core.governance import Clearance, Level, Tag
from session_router.core.model import ModelName, ModelSpec
from session_router.core.policy import Policy
from session_router.core.prefix import PromptCache
from session_router.core.pricing import Prices, Usage
from session_router.errors import ConfigurationError
from session_router.recordings import RecordedMessage, Recording, SessionFile
from session_router.regret import Bill, Evaluation, Hindsight, SessionCosts, Terms, always, choosing, evaluation
from session_router.regret.routings import LOCKS_ONLY, ROUTER, SINGLE_TURN, STICKY, baselines
from session_router.replay import Pace, replay_session
from session_router.router import Router
from session_router.stores.memory import MemorySessionStore
from support.shared_data import shared_data
from support.talk import Says
from values import ai, human, system, tool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from session_router.core.step import Step
    from session_router.regret import Chances
    from session_router.replay import ReplayedCall

SMALL, LARGE = ModelName("small"), ModelName("large")
# So dear that a token costs a dollar, and a cached one a tenth of it.
DOLLAR = 1_000_000.0
MODELS = {
    SMALL: ModelSpec(
        model="x", prices=Prices(input=DOLLAR, output=0, cached_input=0.1 * DOLLAR), prompt_cache=PromptCache(minimum_tokens=0)
    ),
    LARGE: ModelSpec(
        model="y", prices=Prices(input=10 * DOLLAR, output=0, cached_input=DOLLAR), prompt_cache=PromptCache(minimum_tokens=0)
    ),
}
LIKELY = {SMALL: 0.5, LARGE: 1.0}


def recording(*steps: Step, **fields: Any) -> Recording:
    messages = tuple(RecordedMessage(step=replace(step, author=None)) for step in steps)
    return Recording(**{"session_id": "s", **fields}, messages=messages)


TWO_TURNS = recording(
    human("look it up", tokens=100), ai("a", tokens=0), tool("a", tokens=100), ai(tokens=0), human("again", tokens=100), ai(tokens=0)
)


def router(models: Mapping[ModelName, ModelSpec] = MODELS, *, chances: Chances = LIKELY, **policy: Any) -> Router:
    names: dict[str, Any] = dict(models)
    settings = Policy(**{"stake": 0.0, "unlabelled": Tag(level=Level.PUBLIC), **policy})
    return Router(names, scorer=Says(chances), policy=settings, store=MemorySessionStore(), key=b"k" * 32)


def replayed(session: Recording, by: Router, *, pace: Pace | None = None) -> list[ReplayedCall]:
    return list(replay_session(session, by, pace=pace))


def costs_of(
    session: Recording = TWO_TURNS,
    models: Mapping[ModelName, ModelSpec] = MODELS,
    *,
    chances: Callable[[ReplayedCall], Chances] = lambda _: LIKELY,
    pace: Pace | None = None,
) -> SessionCosts:
    by = router(models)
    return SessionCosts(replayed(session, by, pace=pace), by, chances)


def dollars(costs: SessionCosts, *models: ModelName | None) -> list[float]:
    return [round(one.dollars, 6) for one in costs.charges(models)]


def test_a_model_finds_cached_what_it_read_at_its_last_visit() -> None:
    costs = costs_of()
    assert dollars(costs, SMALL, SMALL, SMALL) == [100, 10 + 100, 20 + 100]
    assert dollars(costs, LARGE, LARGE, SMALL) == [1000, 100 + 1000, 300]
    # Back again: what it read two calls ago, and no more.
    assert dollars(costs, SMALL, LARGE, SMALL) == [100, 2000, 10 + 200]
    assert [one.cached for one in costs.charges((SMALL, LARGE, SMALL))] == [0, 0, 100]


def test_what_a_provider_has_forgotten_is_read_and_written_anew() -> None:
    slow = Pace(turn_seconds=400.0)
    assert dollars(costs_of(pace=slow), SMALL, SMALL, SMALL) == [100, 110, 300]
    writes = {**MODELS, SMALL: replace(MODELS[SMALL], prices=Prices(input=DOLLAR, output=0, cached_input=0.0, cache_write=2 * DOLLAR))}
    assert dollars(costs_of(models=writes), SMALL, SMALL, SMALL) == [200, 200, 200]
    short = {**MODELS, SMALL: replace(MODELS[SMALL], prompt_cache=PromptCache(minimum_tokens=150))}
    assert dollars(costs_of(models=short), SMALL, SMALL, SMALL) == [100, 200, 20 + 100]


def test_recorded_tokens_count_where_there_are_some() -> None:
    counted = replace(TWO_TURNS, messages=(*TWO_TURNS.messages[:-1], replace(TWO_TURNS.messages[-1], usage=Usage(input=3_000, output=7))))
    costs = costs_of(counted)
    assert [call.replayed.measured for call in costs.calls] == [False, False, True]
    # Two thirds of the estimated tokens were read before, so two thirds of the counted ones are cached.
    assert dollars(costs, SMALL, SMALL, SMALL)[2] == 0.1 * 2_000 + 1_000


def test_a_segment_is_charged_its_risk_once_with_the_model_of_its_first_call() -> None:
    costs = costs_of()
    bills = [Bill.of(costs.charges(models), Terms(stake=8.0, handoff=3.0)) for models in ((SMALL,) * 3, (SMALL, LARGE, LARGE))]
    assert [(bill.risk, bill.handoffs, bill.switches, bill.unsafe_switches) for bill in bills] == [(8.0, 0.0, 0, 0), (4.0, 3.0, 1, 1)]
    assert [bill.mean_chance for bill in bills] == [0.5, 0.75]
    assert bills[1].total == bills[1].dollars + 7.0
    unknown = Bill.of(costs_of(chances=lambda _: {}).charges((SMALL,) * 3), Terms(stake=8.0))
    assert (unknown.risk, unknown.mean_chance) == (0.0, None)


def test_who_serves_nothing_serves_badly() -> None:
    charges = costs_of().charges((None, None, LARGE))
    assert [(one.impossible, one.chance) for one in charges] == [(True, 0.0), (True, None), (False, 1.0)]
    bill = Bill.of(charges, Terms(stake=8.0))
    assert (bill.risk, bill.impossible, bill.switches) == (8.0, 2, 0)


def test_the_optimum_prices_the_whole_loop_and_what_follows() -> None:
    # Only the first turn is hard. Always small: 330 dollars and half the stake. Large, then small: 2,400. Always large: 3,300.
    costs = costs_of(chances=lambda one: {SMALL: 0.5 if one.decision.turn == 1 else 1.0, LARGE: 1.0})
    assert Hindsight(costs).routing(Terms(stake=4_000.0)) == (SMALL, SMALL, SMALL)
    assert Hindsight(costs).routing(Terms(stake=5_000.0)) == (LARGE, LARGE, SMALL)
    # What a handoff costs more than it saves is not done.
    assert Hindsight(costs).routing(Terms(stake=5_000.0, handoff=500.0)) == (SMALL, SMALL, SMALL)
    # Who looks at the coming call alone goes too early.
    assert baselines(MODELS)[LOCKS_ONLY](costs, Terms(stake=4_000.0)) == [LARGE, LARGE, SMALL]


def test_a_long_session_costs_few_states() -> None:
    steps = [step for turn in range(60) for step in (human(f"{turn}", tokens=50), ai(tokens=10))]
    costs = costs_of(recording(*steps), chances=lambda one: {SMALL: 0.2 + one.decision.turn % 5 / 8, LARGE: 0.9})
    for stake in (0.0, 100.0, 1_000.0, 10_000.0):
        path = Hindsight(costs).path(Terms(stake=stake))
        assert path.states < 60 * 8
    with mock.patch.object(Hindsight, "_worth", return_value=None), mock.patch.object(Hindsight, "_remaining", return_value=None):
        assert Hindsight(costs).path(Terms(stake=1_000.0)).states > 60 * 8


SECRET = Tag(level=Level.RESTRICTED)
CLEARED = {
    SMALL: replace(MODELS[SMALL], clearance=Clearance(max_level=Level.PUBLIC)),
    LARGE: replace(MODELS[LARGE], clearance=Clearance(max_level=Level.RESTRICTED)),
}


def test_governance_ends_a_lock_for_the_optimum_too() -> None:
    session = recording(human(), ai("a"), tool("a", tag=SECRET), ai("b"), tool("b"), ai())
    costs = costs_of(session, CLEARED)
    chosen = Hindsight(costs).routing(Terms(stake=0.0))
    assert chosen == (SMALL, LARGE, LARGE)
    charges = costs.charges(chosen)
    assert [(one.switched, one.unsafe) for one in charges] == [(False, False), (True, False), (False, False)]
    # Whoever could have gone on must not be left.
    assert [one.unsafe for one in costs.charges((LARGE, SMALL, LARGE))] == [False, True, False]
    assert [one.impossible for one in costs.charges((LARGE, SMALL, LARGE))] == [False, True, False]


def test_calls_that_nobody_may_see_are_in_no_figure() -> None:
    nobody = {name: replace(spec, clearance=Clearance(max_level=Level.PUBLIC)) for name, spec in MODELS.items()}
    by = router(nobody)
    found = Evaluation(by).add(replayed(recording(human(), ai(), human(tag=SECRET), ai(), human(), ai()), by))
    assert found is not None
    assert (found.figures.calls, found.figures.refused, found.figures.segments) == (1, 2, 1)
    assert all(bill.impossible == 0 for bill in found.figures.routings.values())
    refused = Evaluation(by).add(replayed(recording(human(tag=SECRET), ai()), by))
    assert refused is not None
    assert (refused.figures.calls, refused.figures.optimum.total, refused.figures.ratio(ROUTER)) == (0, 0.0, None)


def test_a_recording_may_begin_inside_a_lock() -> None:
    costs = costs_of(recording(system(), tool("a"), ai("b"), tool("b"), ai(), human(), ai()))
    assert [(call.locked, call.opens, call.segment) for call in costs.calls] == [(True, True, 0), (True, False, 0), (False, True, 1)]
    assert len(set(Hindsight(costs).routing(Terms(stake=0.0))[:2])) == 1
    assert [one.chance for one in costs.charges((SMALL,) * 3)] == [0.5, None, 0.5]


def test_the_routings_do_what_they_are_called() -> None:
    # Whoever is named is sure to serve well.
    wanted = [SMALL, LARGE, LARGE, SMALL]
    session = recording(human(), ai("a"), tool("a"), ai(), human("second"), ai("b"), tool("b"), ai())

    def chances(one: ReplayedCall) -> Chances:
        name = wanted[(one.decision.turn - 1) * 2 + one.decision.call - 1]
        return {SMALL: float(name == SMALL), LARGE: float(name == LARGE)}

    costs, terms = costs_of(session, chances=chances), Terms(stake=1e6)
    routed = {name: tuple(routing(costs, terms)) for name, routing in baselines(costs.models).items()}
    assert routed[SINGLE_TURN] == tuple(wanted)
    assert routed[LOCKS_ONLY] == (SMALL, SMALL, LARGE, LARGE)
    assert routed[STICKY] == (SMALL,) * 4
    assert routed["always large"] == (LARGE,) * 4
    assert routed[ROUTER] == tuple(call.replayed.decision.model for call in costs.calls)
    unsafe = {name: Bill.of(costs.charges(models), terms).unsafe_switches for name, models in routed.items()}
    assert unsafe == {SINGLE_TURN: 2, LOCKS_ONLY: 0, STICKY: 0, "always small": 0, "always large": 0, ROUTER: 0}
    first_of_turn = choosing(lambda call: call.replayed.decision.call == 1)
    assert tuple(first_of_turn(costs, terms)) == routed[LOCKS_ONLY]


@pytest.mark.parametrize("name", ["sessions_tau2_retail_telecom.jsonl.gz", "sessions_sgd_train_sample.jsonl.gz"])
def test_nobody_who_keeps_locks_beats_the_optimum_on_recorded_sessions(name: str) -> None:
    models = {
        SMALL: ModelSpec(model="x", prices=Prices(input=0.25, cached_input=0.025, output=2.0)),
        LARGE: ModelSpec(model="y", prices=Prices(input=3.0, cached_input=0.3, cache_write=3.75, output=15.0)),
    }
    by = router(models, stake=0.02)
    # The chances of a call are drawn from its place, so that they change inside tool loops as well.
    found = Evaluation(by, chances_of=lambda one: {SMALL: one.message_index * 7 % 10 / 10, LARGE: 0.8}, chances_measured=True)
    single, calls = 0, 0
    sessions = (item for item in islice(SessionFile(shared_data(name)), 20) if isinstance(item, Recording))
    for session in sessions:
        figures = _figures(found, replayed(session, by))
        calls += figures.calls
        for routing in (ROUTER, STICKY, LOCKS_ONLY, "always small", "always large"):
            assert figures.regret(routing) > -1e-9, (session.session_id, routing)
            assert figures.routings[routing].unsafe_switches == 0
        single += figures.routings[SINGLE_TURN].unsafe_switches
    assert single > 0
    report = found.report()
    assert report.to_plain()["chances"] == "measured"
    assert sum(figures.calls for figures in report.sources.values()) == report.total.calls == calls
    assert report.total.routings[LOCKS_ONLY].total > report.total.optimum.total
    # The larger the stake, the better the optimum serves, and the more it spends.
    points = report.total.to_plain()["frontier"]["optimum"]
    for key in ("stake", "dollars", "mean_chance"):
        values = [point[key] for point in points]
        assert values == sorted(values)
        assert values[0] < values[-1]


def _figures(found: Evaluation, calls: Sequence[ReplayedCall]) -> Any:
    session = found.add(calls)
    assert session is not None
    return session.figures


def test_the_report_is_plain_and_tells_the_farthest_session_call_by_call() -> None:
    by = router(stake=2_000.0, handoff=1.0)
    found = Evaluation(by, routings={"mine": always(LARGE)}, pace=Pace())
    assert found.add([]) is None
    for name, source in (("one", "a"), ("two", "b"), ("three", "a")):
        found.add(replayed(replace(TWO_TURNS, session_id=name, source=source), by))
    report = found.report()
    plain = report.to_plain()
    assert json.loads(json.dumps(plain)) == plain
    assert [(one["source"], one["sessions"]) for one in plain["sources"]] == [("a", 2), ("b", 1)]
    assert plain["total"]["tokens"] == {"measured_calls": 0, "modelled_calls": 9}
    names = ["session-router", "single turn", "sticky", "locks only", "always small", "always large", "mine"]
    assert list(plain["total"]["routings"]) == names
    mine = plain["total"]["routings"]["mine"]
    assert mine["regret"] == mine["total"] - plain["total"]["optimum"]["total"]
    assert mine["ratio"] == mine["total"] / plain["total"]["optimum"]["total"]
    # All three cost the same: the first is told.
    assert plain["session"]["session_id"] == plain["worst_sessions"][0]["session_id"] == "one"
    told = plain["session"]["timeline"]
    assert [(one["message_index"], one["turn"], one["call"], one["segment"], one["lock"]) for one in told] == [
        (1, 1, 1, 0, None),
        (3, 1, 2, 0, "tool_results_unread"),
        (5, 2, 1, 1, None),
    ]
    assert [one["seconds"] for one in told] == [0.0, 5.0, 30.0]
    assert all(list(one["routings"]) == ["optimum", *names] for one in told)
    for name in names:
        assert sum(one["routings"][name]["dollars"] for one in told) == pytest.approx(plain["session"]["routings"][name]["dollars"])


def test_the_session_that_was_asked_for_is_told() -> None:
    by = router()
    found = Evaluation(by, session="two")
    for name in ("one", "two", "two"):
        found.add(replayed(replace(TWO_TURNS, session_id=name, line=len(name)), by))
    told = found.report().timeline
    assert told is not None
    assert told.session.recording.session_id == "two"
    assert Evaluation(by, session="three").report().timeline is None


def test_memory_does_not_grow_with_sessions_and_sources() -> None:
    by = router()
    calls = replayed(TWO_TURNS, by)
    with mock.patch.object(evaluation, "KEPT_SOURCES", 2), mock.patch.object(evaluation, "KEPT_SESSIONS", 3):
        found = Evaluation(by)
        for number in range(5):
            named = [replace(call, recording=replace(call.recording, source=f"source {number}")) for call in calls]
            found.add(named)
    plain = found.report().to_plain()
    assert [(one["source"], one["sessions"]) for one in plain["sources"]] == [
        ("source 0", 1),
        ("source 1", 1),
        (evaluation.OTHER_SOURCES, 3),
    ]
    assert len(plain["worst_sessions"]) == 3
    assert plain["total"]["sessions"] == 5


def test_a_scorer_that_fails_charges_no_risk() -> None:
    by = router(chances={})  # raises KeyError
    figures = _figures(Evaluation(by, terms=Terms(stake=5.0)), replayed(TWO_TURNS, by))
    assert all(bill.risk == 0.0 and bill.mean_chance is None for bill in figures.routings.values())


@pytest.mark.parametrize("chances", [{SMALL: 0.5}, {SMALL: 0.5, LARGE: 1.5}, {SMALL: 0.5, LARGE: float("nan")}])
def test_chances_that_are_none_are_refused(chances: Chances) -> None:
    with pytest.raises(ConfigurationError, match="chances"):
        costs_of(chances=lambda _: chances)


def test_terms_and_names_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="stake"):
        Terms(stake=-1.0)
    for taken in ("optimum", ROUTER):
        with pytest.raises(ConfigurationError, match=taken):
            Evaluation(router(), routings={taken: always(SMALL)})
