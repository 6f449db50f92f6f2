from __future__ import annotations

import json
from dataclasses import fields, replace
from itertools import pairwise, product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks._saar_rules import always, full_saar, locks_only, single_turn
from benchmarks._saar_serving import Policy, Seen, leaving_one_seed_out, serve
from benchmarks._saar_workload import (
    MIDDLE,
    MODELS,
    SEEDS,
    START,
    Model,
    Phase,
    Session,
    Turn,
    all_sessions,
    asked_for,
    cached_share,
    call_dollars,
    is_locked,
    turn_total,
)
from benchmarks.saar import OURS, POLICIES, RUN_OF_OURS, STAKES, hindsight_path, print_distance, reports_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

SESSIONS = all_sessions()
SAMPLE = SESSIONS[::37]  # of every scenario and seed


def hindsight(stake: float) -> Callable[[Session], Policy]:
    def policy_of(session: Session) -> Policy:
        path = hindsight_path(session, stake)
        return lambda seen: path[len(seen.before)]

    return policy_of


def cut(session: Session, turns: int) -> Session:
    return replace(session, turns=session.turns[:turns])


def served_by(session: Session, policy: Policy) -> list[Model]:
    served: list[Model] = []
    for index, turn in enumerate(session.turns):
        served.append(policy(Seen(now=turn, before=session.turns[:index], served=tuple(served))))
    return served


def total_of(session: Session, path: Iterable[Model], stake: float) -> float:
    steps = zip(session.turns, pairwise((START, *path)), strict=True)
    return sum(turn_total(turn, current, model, stake) for turn, (current, model) in steps)


def obeys_locks(session: Session, path: Sequence[Model]) -> bool:
    steps = enumerate(zip(session.turns, pairwise((START, *path)), strict=True))
    return all(current is model or not is_locked(turn, first=index == 0) for index, (turn, (current, model)) in steps)


def test_the_workload_is_the_same_every_time() -> None:
    again = all_sessions()
    assert again == SESSIONS
    assert len(SESSIONS) == 1_200
    assert len({session.turns for session in SESSIONS}) == 1_200


def test_routing_turn_by_turn_costs_what_was_published() -> None:
    report = serve(SESSIONS, lambda _: single_turn, cache_credit=False)
    assert report.turns == 21_600
    assert report.switches == 9_709
    assert (report.unsafe_tool_loop, report.unsafe_provider_state) == (3_404, 432)
    assert round(report.cost, 6) == 1_725.484812
    assert round(report.quality_served / report.turns, 4) == 0.8230


def test_with_its_cached_tokens_the_published_baseline_is_two_fifths_cheaper() -> None:
    report = serve(SESSIONS, lambda _: single_turn)
    assert round(report.cost, 1) == 1_023.6
    assert report.switches == 9_709


def test_full_saar_does_what_was_published_and_so_does_a_constant() -> None:
    saar = serve(SESSIONS, full_saar)
    assert saar.switches == 2_011
    assert round(saar.cost, 6) == 367.423428
    assert (round(saar.quality_delta, 4), round(saar.mean_shortfall, 4)) == (-0.0453, 0.0706)
    assert saar.unsafe == 0
    assert serve(SESSIONS, lambda _: single_turn).unsafe == 3_836

    constant = serve(SESSIONS, lambda _: always(MIDDLE))
    assert constant.switches < saar.switches
    assert constant.cost < saar.cost
    assert constant.quality_delta > saar.quality_delta
    assert constant.mean_shortfall < saar.mean_shortfall


def test_saar_goes_down_only_where_it_may_start_anew() -> None:
    def downs(policy: Policy, session: Session) -> list[int]:
        steps = enumerate(pairwise((START, *served_by(session, policy))))
        return [index for index, (current, model) in steps if model.quality < current.quality]

    def allowed(session: Session, index: int) -> bool:
        return session.turns[index].phase is Phase.TOPIC_DRIFT or index in session.idle

    saar = [(session, index) for session in SESSIONS for index in downs(full_saar(session), session)]
    assert saar
    assert all(allowed(session, index) for session, index in saar)
    assert not all(allowed(session, index) for session in SESSIONS for index in downs(locks_only, session))


@pytest.mark.parametrize(("stake", "total"), [(0.2, 384.116), (0.5, 740.059), (1.0, 1_056.064)])
def test_no_policy_that_obeys_the_locks_is_below_the_optimum(stake: float, total: float) -> None:
    assert round(serve(SESSIONS, hindsight(stake)).total(stake), 3) == total
    optimum = serve(SAMPLE, hindsight(stake))
    assert optimum.unsafe == 0
    for name, learn in POLICIES.items():
        report = serve(SAMPLE, leaving_one_seed_out(SESSIONS, learn, stake))
        assert report.total(stake) > optimum.total(stake), name
        assert (report.unsafe > 0) == (name == "single turn")


@pytest.mark.parametrize("stake", STAKES)
def test_the_optimum_is_the_least_of_all_sequences_that_the_locks_allow(stake: float) -> None:
    locks_cost = False
    for session in (cut(session, 6) for session in SAMPLE):
        paths = list(product(MODELS, repeat=6))
        allowed = min(total_of(session, path, stake) for path in paths if obeys_locks(session, path))
        best = hindsight_path(session, stake)
        assert obeys_locks(session, best)
        assert total_of(session, best, stake) == pytest.approx(allowed, abs=1e-12)
        locks_cost |= min(total_of(session, path, stake) for path in paths) < allowed - 1e-6
    assert locks_cost  # without the locks it would be another optimum


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_does_not_see_what_comes(name: str) -> None:
    policy_of = leaving_one_seed_out(SESSIONS, POLICIES[name], 0.5)
    for session in SAMPLE:
        whole = served_by(session, policy_of(session))
        assert all(served_by(cut(session, turns), policy_of(session)) == whole[:turns] for turns in (1, 7, 12))


def test_what_knows_the_end_is_found_out_when_the_end_is_cut_off() -> None:
    policy_of = hindsight(0.5)
    assert any(served_by(cut(one, 7), policy_of(cut(one, 7))) != served_by(one, policy_of(one))[:7] for one in SAMPLE)


def test_a_policy_sees_the_turn_and_what_was_before_and_nothing_else() -> None:
    assert {field.name for field in fields(Seen)} == {"now", "before", "served"}
    assert {field.name for field in fields(Turn)} == {"phase", "demand", "asked", "history", "prompt", "completion"}


def test_a_policy_is_tried_on_the_one_seed_that_it_did_not_learn_from() -> None:
    learned: dict[Policy, set[int]] = {}

    def learn(others: Sequence[Session], _: float) -> Policy:
        policy = always(MIDDLE)
        learned[policy] = {session.seed for session in others}
        return policy

    policy_of = leaving_one_seed_out(SESSIONS, learn, 0.5)
    assert all(learned[policy_of(session)] == set(SEEDS) - {session.seed} for session in SESSIONS)


def test_a_figure_of_ours_says_what_of_the_library_it_ran(capsys: pytest.CaptureFixture[str]) -> None:
    print_distance(reports_at(SAMPLE, 0.5), 0.5)
    lines = {line["figure"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert lines["ratio_0.5"]["note"].startswith(RUN_OF_OURS)
    assert OURS not in lines["ratio_0.5"]["peer"]
    assert RUN_OF_OURS not in lines["optimum_0.5"]["note"]


def turn_of(phase: Phase, demand: float, history: int) -> Turn:
    return Turn(phase=phase, demand=demand, asked=asked_for(demand), history=history)


turns = st.builds(turn_of, st.sampled_from(Phase), st.floats(0, 1), st.integers(0, 64_000))


@given(turns, st.sampled_from(MODELS))
def test_a_switch_loses_most_of_the_cache_and_never_saves(turn: Turn, model: Model) -> None:
    stays, switches = (cached_share(turn, model, switched=switched) for switched in (False, True))
    assert 0 < switches < stays <= 0.85
    assert call_dollars(turn, model, switches) >= call_dollars(turn, model, stays)


@given(turns, st.sampled_from(MODELS), st.sampled_from(MODELS), st.floats(0, 10), st.floats(0, 10))
def test_a_total_grows_with_the_stake_only_where_the_model_is_too_weak(
    turn: Turn, current: Model, model: Model, stake: float, more: float
) -> None:
    low, high = turn_total(turn, current, model, stake), turn_total(turn, current, model, stake + more)
    expected = more * max(0.0, turn.asked.quality - model.quality)
    assert high - low == pytest.approx(expected, abs=1e-9)
