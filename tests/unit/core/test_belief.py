"""Feedback moves chances towards what happens, and no further than it should."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.belief import PRIOR_VARIANCE, Belief
from session_router.core.need import Need
from session_router.errors import ConfigurationError

CHANCES = st.floats(0, 1)
OUTCOMES = st.lists(st.tuples(CHANCES, CHANCES), max_size=60)


def learned(outcomes: list[tuple[float, float]], belief: Belief | None = None) -> Belief:
    belief = belief or Belief()
    for chance, success in outcomes:
        belief = belief.learned(chance, success)
    return belief


def corrected(belief: Belief, chance: float) -> float:
    return belief.corrected(Need(p_success=chance)).p_success


@given(CHANCES)
def test_without_feedback_nothing_changes(chance: float) -> None:
    need = Need(p_success=chance, low=chance / 2, high=chance)
    assert Belief().corrected(need) is need


@given(OUTCOMES, CHANCES, CHANCES, CHANCES)
def test_what_comes_out_is_a_need(outcomes: list[tuple[float, float]], low: float, middle: float, high: float) -> None:
    low, middle, high = sorted((low, middle, high))
    need = learned(outcomes).corrected(Need(p_success=middle, low=low, high=high))
    assert 0 <= need.low <= need.p_success <= need.high <= 1


@given(OUTCOMES, st.floats(0.01, 0.99))
def test_a_success_never_lowers_a_chance_and_a_failure_never_raises_it(outcomes: list[tuple[float, float]], chance: float) -> None:
    belief = learned(outcomes)
    before = corrected(belief, chance)
    assert corrected(belief.learned(chance, 1.0), chance) >= before - 1e-12
    assert corrected(belief.learned(chance, 0.0), chance) <= before + 1e-12


@given(OUTCOMES, CHANCES, CHANCES)
def test_the_order_of_chances_stays(outcomes: list[tuple[float, float]], one: float, other: float) -> None:
    belief = learned(outcomes)
    low, high = sorted((one, other))
    assert corrected(belief, low) <= corrected(belief, high) + 1e-12


@given(OUTCOMES)
def test_nobody_is_ever_less_sure_than_at_first(outcomes: list[tuple[float, float]]) -> None:
    belief = learned(outcomes)
    assert 0 < belief.variance <= PRIOR_VARIANCE
    assert math.isfinite(belief.shift)


@pytest.mark.parametrize(("said", "true"), [(0.9, 0.5), (0.5, 0.9), (0.7, 0.7), (0.2, 0.4)])
def test_it_comes_close_to_what_happens(said: float, true: float) -> None:
    generator = random.Random(5)
    found = [corrected(learned([(said, float(generator.random() < true)) for _ in range(300)]), said) for _ in range(20)]
    assert sum(found) / len(found) == pytest.approx(true, abs=0.05)


def test_a_scorer_that_became_wrong_is_found_out() -> None:
    generator = random.Random(6)
    good = learned([(0.8, float(generator.random() < 0.8)) for _ in range(500)])
    bad = learned([(0.8, float(generator.random() < 0.3)) for _ in range(200)], good)
    assert corrected(good, 0.8) == pytest.approx(0.8, abs=0.08)
    assert corrected(bad, 0.8) == pytest.approx(0.3, abs=0.15)


def test_a_hint_counts_for_less_than_a_fact() -> None:
    fact, hint = (corrected(Belief().learned(0.5, 0.0, weight=weight), 0.5) for weight in (1.0, 0.2))
    assert fact < hint < 0.5


def test_one_outcome_does_not_overturn_a_scorer() -> None:
    assert corrected(Belief().learned(0.9, 0.0), 0.9) > 0.75


@pytest.mark.parametrize(
    ("chance", "success", "weight"),
    [(-0.1, 1.0, 1.0), (1.1, 1.0, 1.0), (math.nan, 1.0, 1.0), (0.5, 2.0, 1.0), (0.5, math.nan, 1.0), (0.5, 1.0, 0.0), (0.5, 1.0, math.nan)],
)
def test_what_makes_no_sense_is_refused(chance: float, success: float, weight: float) -> None:
    with pytest.raises(ConfigurationError, match="feedback"):
        Belief().learned(chance, success, weight=weight)
