from __future__ import annotations

import json
from itertools import product

import pytest

from benchmarks.optimum import CALLS, HARD_STAKES, KEPT, LOOPS, LongSession, hard_session, long_session, near_specs, print_seconds, solve
from session_router.regret import Bill, Hindsight, Terms
from session_router.regret.routings import baselines
from session_router.regret.runs import runs_of

KIND = "cached for 150 s"
LOOP = "turns of 1 to 6 calls"


def looped(*, ranked: bool = True) -> LongSession:
    return long_session("looped", near_specs(KEPT[KIND]), LOOPS[LOOP], 0, ranked=ranked)


@pytest.mark.parametrize("kind", KEPT)
def test_the_hard_case_has_a_boundary_at_each_of_its_calls_and_prices_that_differ_by_15_percent(kind: str) -> None:
    session = hard_session(kind, 0)
    assert len(session.calls) == len(runs_of(session.costs())) == CALLS
    prices = [spec.prices for spec in session.router.models.values()]
    for field in ("input", "output", "cached_input"):
        asked = [getattr(one, field) for one in prices]
        assert (len(set(asked)), max(asked) / min(asked)) == (4, pytest.approx(1.15))


def test_turns_of_several_calls_are_locked_within() -> None:
    session = looped()
    assert len(session.calls) == CALLS
    assert 1 < len(runs_of(session.costs())) < CALLS
    assert sum(one.decision.lock is None for one in session.calls) == len(runs_of(session.costs()))


def test_what_costs_more_serves_better_where_models_are_ranked_and_not_elsewhere() -> None:
    def orders(session: LongSession) -> set[tuple[str, ...]]:
        names = list(near_specs(KEPT[KIND]))  # the cheapest first
        return {tuple(sorted(names, key=lambda name: said[name])) for said in session.chances}

    assert orders(looped()) == {tuple(near_specs(KEPT[KIND]))}
    assert len(orders(looped(ranked=False))) == 24


def test_the_same_session_and_optimum_every_time_and_another_for_another_seed() -> None:
    first, again, other = (solve(hard_session(KIND, seed), HARD_STAKES[-1]) for seed in (0, 0, 1))
    assert (first.name, first.states, first.switches) == (again.name, again.states, again.switches)
    assert hard_session(KIND, 0).chances == hard_session(KIND, 0).chances != hard_session(KIND, 1).chances
    assert first.name != other.name
    assert first.runs == CALLS
    assert first.switches > 0


def test_no_routing_that_keeps_the_locks_is_below_what_is_timed() -> None:
    for session, stake in product((hard_session(KIND, 0), looped()), (0.003, 0.03)):
        costs, terms = session.costs(), Terms(stake=stake)
        optimum = Bill.of(costs.charges(Hindsight(costs).routing(terms)), terms)
        bills = {name: Bill.of(costs.charges(routing(costs, terms)), terms) for name, routing in baselines(session.router.models).items()}
        assert not optimum.unsafe_switches
        assert all(bill.total >= optimum.total - 1e-9 for bill in bills.values() if not bill.unsafe_switches)
        assert any(bill.total > optimum.total + 1e-3 for bill in bills.values())


def test_the_figure_is_the_worst_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    session = looped()
    solved = [solve(session, stake) for stake in (0.003, 0.01, 0.03)]
    print_seconds("seconds", solved, target="<= 0", note="why")
    line = json.loads(capsys.readouterr().out)
    assert line["value"] == round(max(one.seconds for one in solved), 3)
    assert (line["n"], line["met"], line["note"].endswith("; why")) == (3, False, True)
