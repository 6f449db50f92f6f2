"""How the need of one segment tells that of the next."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.drift import PRIOR_VARIANCE, Drift
from session_router.core.segment import MEMORY, PRIOR_WEIGHT
from values import FAST, OTHER, STRONG

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from session_router.core.model import ModelName

CHANCES = st.floats(0, 1)
SETS = st.dictionaries(st.sampled_from([FAST, STRONG, OTHER]), CHANCES, min_size=1)


def seen(chances: Iterable[Mapping[ModelName, float]], drift: Drift | None = None) -> Drift:
    drift = drift or Drift()
    for one in chances:
        drift = drift.seen(one, drift.deviation(one))
    return drift


def walk(chances: Iterable[float]) -> Drift:
    """Need of one model."""
    return seen({FAST: one} for one in chances)


@given(st.lists(SETS, max_size=30))
def test_persistence_is_a_share(chances: list[dict[ModelName, float]]) -> None:
    drift = seen(chances)
    assert 0 <= drift.persistence <= 1
    assert drift.variance >= 0


def test_without_any_evidence_half_of_a_deviation_persists() -> None:
    assert Drift().persistence == 0.5
    assert PRIOR_VARIANCE > 0


@given(chance=CHANCES, segments=st.integers(0, 20), further=st.floats(0, 50))
def test_a_constant_need_is_expected_to_stay(chance: float, segments: int, further: float) -> None:
    drift = walk([chance] * segments)
    assert drift.expected({FAST: chance}, further=further)[FAST] == pytest.approx(chance)


@given(constant=st.fixed_dictionaries({FAST: CHANCES, STRONG: CHANCES, OTHER: CHANCES}), data=st.data())
def test_a_constant_need_does_not_deviate_whichever_models_are_candidates(constant: dict[ModelName, float], data: st.DataObject) -> None:
    some = st.lists(st.sampled_from(list(constant)), min_size=1, unique=True)
    drift = Drift()
    for names in data.draw(st.lists(some, max_size=8)):
        drift = seen([{name: constant[name] for name in names}], drift)
    assert drift.variance == pytest.approx(0, abs=1e-20)
    assert drift.persistence == pytest.approx(0.5)


def test_an_alternating_need_is_expected_to_regress_to_its_mean() -> None:
    drift = walk([0.9, 0.1] * 10)
    assert drift.persistence == 0.0
    # What the next segment needs says nothing of those after it.
    for chance in (0.0, 0.3, 1.0):
        assert drift.expected({FAST: chance}, further=4.0)[FAST] == drift.chances[FAST]
    assert drift.chances[FAST] == pytest.approx(0.5, abs=0.05)


def test_a_need_that_lasts_is_expected_to_last() -> None:
    lasting, noise = walk(([0.9] * 12 + [0.1] * 12) * 3), random.Random(3)
    restless = walk(noise.choice([0.9, 0.1]) for _ in range(72))
    assert lasting.persistence > 0.7
    assert restless.persistence < 0.4
    far = [one.expected({FAST: 1.0}, further=3.0)[FAST] for one in (restless, lasting)]
    assert far[0] < far[1] <= 1.0


@given(rho=CHANCES, mean=CHANCES, chance=CHANCES, further=st.integers(1, 60))
def test_what_follows_is_the_mean_of_a_deviation_that_decays(rho: float, mean: float, chance: float, further: int) -> None:
    """The formula against the explicit sum."""
    drift = Drift(weight=9.0, chances={FAST: mean}, variance=1 - PRIOR_VARIANCE, covariance=rho - PRIOR_VARIANCE / 2)
    assert drift.persistence == pytest.approx(rho, abs=1e-12)
    explicit = sum(mean + rho**ahead * (chance - mean) for ahead in range(1, further + 1)) / further
    assert drift.expected({FAST: chance}, further=float(further))[FAST] == pytest.approx(explicit, abs=1e-9)


def test_a_deviation_does_not_stay_what_it_is_after_one_segment() -> None:
    drift = Drift(weight=9.0, chances={FAST: 0.4}, variance=1 - PRIOR_VARIANCE, covariance=0.5 - PRIOR_VARIANCE / 2)
    assert drift.expected({FAST: 0.8}, further=1.0)[FAST] == pytest.approx(0.6)
    assert drift.expected({FAST: 0.8}, further=2.0)[FAST] == pytest.approx(0.55)
    assert drift.expected({FAST: 0.8}, further=1e6)[FAST] == pytest.approx(0.4, abs=1e-5)


@given(drift=st.lists(SETS, max_size=12), chance=CHANCES, further=st.floats(0, 200))
def test_what_is_expected_lies_between_the_mean_and_the_segment(drift: list[dict[ModelName, float]], chance: float, further: float) -> None:
    known = seen(drift)
    mean = known.chances.get(FAST, chance)
    expected = known.expected({FAST: chance}, further=further)[FAST]
    assert min(mean, chance) - 1e-12 <= expected <= max(mean, chance) + 1e-12


@given(chance=CHANCES, further=st.floats(0, 50))
def test_a_model_that_nobody_has_seen_stays_as_it_is(chance: float, further: float) -> None:
    assert walk([0.2, 0.9, 0.4]).expected({STRONG: chance}, further=further)[STRONG] == pytest.approx(chance)


@given(st.lists(CHANCES, min_size=1, max_size=20))
def test_means_are_forgotten_like_habits(chances: list[float]) -> None:
    weights = [MEMORY ** (len(chances) - 1 - place) for place in range(len(chances))]
    mean = sum(one * value for one, value in zip(weights, chances, strict=True)) / sum(weights)
    drift = walk(chances)
    assert drift.chances[FAST] == pytest.approx(mean)
    assert drift.weight == pytest.approx(sum(weights))


def test_nothing_deviates_from_the_mean_of_one_segment() -> None:
    assert Drift().deviation({FAST: 0.5}) is None
    assert walk([0.9]).deviation({FAST: 0.1}) is None
    assert walk([0.9, 0.5]).deviation({STRONG: 0.1}) is None
    square, product = walk([0.9, 0.5]).deviation({FAST: 0.9}) or (0.0, 0.0)
    assert product < 0 < square


@given(st.lists(CHANCES, max_size=20))
def test_what_one_model_gains_and_another_loses_does_not_cancel(chances: list[float]) -> None:
    """Two models with opposite needs: both tell as much as either alone."""
    both, one = seen({FAST: chance, STRONG: 1 - chance} for chance in chances), walk(chances)
    assert both.variance == pytest.approx(one.variance)
    assert both.covariance == pytest.approx(one.covariance)


def test_a_session_begins_with_the_need_of_others_and_soon_has_its_own() -> None:
    population = walk([0.9, 0.8, 0.2, 0.1] * 5)
    begun = population.as_prior()
    assert begun.persistence == population.persistence
    assert (begun.weight, begun.chances, begun.last) == (PRIOR_WEIGHT, population.chances, {})
    # The last segment of another session is not this one's.
    assert begun.deviation({FAST: 0.3}) is None
    own = seen([{FAST: 0.0}] * 9, begun)
    assert own.chances[FAST] < begun.chances[FAST] / 3
    # Of few segments nobody makes more than they are.
    assert walk([0.9]).as_prior().weight == 1.0


def test_what_the_population_is_told_is_what_a_session_learns() -> None:
    session, population = Drift(), Drift()
    for chance in (0.9, 0.2, 0.6, 0.7, 0.1):
        deviation = session.deviation({FAST: chance})
        population = (population if deviation is None else population.moved(deviation)).averaged({FAST: chance})
        session = session.seen({FAST: chance}, deviation)
    assert population == replace(session, last={})
