"""Off-policy estimates hit a truth that is known, their intervals cover it, and without the logged chances neither is so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count, starmap
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.off_policy import Estimate, LoggedBoundary, Valuation, bernstein_bounds, student_quantile, value
from session_router.errors import ConfigurationError, NoOverlap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REPETITIONS = 250
SESSIONS = 60
LENGTH = 5
EXPLORE = 0.3

SERVED = np.array([[0.35, 0.65, 0.50], [0.85, 0.95, 0.60]])
"""Chance of success by kind of boundary and model."""
EASY = 0.5
"""Share of boundaries of the second kind."""
OWN, NEW = np.array([0, 0]), np.array([1, 0])
"""What the logged and the new policy choose, by kind."""
MOODS = 0.15
"""By so much all chances of a session are higher, or lower."""
TRUTH = (1 - EASY) * SERVED[0, NEW[0]] + EASY * SERVED[1, NEW[1]]


@dataclass(frozen=True)
class Log:
    """Boundaries as arrays, session by session."""

    kinds: np.ndarray
    taken: np.ndarray
    rewards: np.ndarray
    propensities: np.ndarray


def log_of(generator: np.random.Generator, *, explore: float = EXPLORE) -> Log:
    shape = (SESSIONS, LENGTH)
    kinds = (generator.random(shape) < EASY).astype(int)
    others = (OWN[kinds] + 1 + generator.integers(0, 2, shape)) % 3
    explored = generator.random(shape) < explore
    taken = np.where(explored, others, OWN[kinds])
    mood = MOODS * (2 * generator.integers(0, 2, (SESSIONS, 1)) - 1)
    rewards = (generator.random(shape) < np.clip(SERVED[kinds, taken] + mood * ROOM[kinds, taken], 0, 1)).astype(float)
    return Log(kinds.ravel(), taken.ravel(), rewards.ravel(), np.where(explored, explore / 2, 1 - explore).ravel())


ROOM = np.minimum(1.0, np.minimum(SERVED, 1 - SERVED) / MOODS)
"""Moods are symmetrical: no chance leaves [0, 1]."""


def boundaries_of(log: Log, *, believed: np.ndarray = SERVED, propensities: np.ndarray | None = None) -> list[LoggedBoundary]:
    """What is valued, by someone who believes in these chances of success."""
    chances = log.propensities if propensities is None else propensities
    new = NEW[log.kinds]
    columns = zip(
        np.repeat(np.arange(SESSIONS), LENGTH).tolist(),
        chances.tolist(),
        (new == log.taken).astype(float).tolist(),
        log.rewards.tolist(),
        believed[log.kinds, log.taken].tolist(),
        believed[log.kinds, new].tolist(),
        (1 / np.where(new == OWN[log.kinds], 1 - EXPLORE, EXPLORE / 2)).tolist(),
        strict=True,
    )
    return list(starmap(boundary, columns))


def boundary(
    session: object,
    propensity: float = 1.0,
    target: float = 1.0,
    reward: float = 1.0,
    predicted: float = 0.5,
    expected: float = 0.5,
    largest: float = 1.0,
) -> LoggedBoundary:
    return LoggedBoundary(
        session=str(session),
        propensity=propensity,
        target=target,
        support=1.0,
        reward=reward,
        predicted=predicted,
        expected=expected,
        largest=largest,
    )


def simulated(read: Callable[[Log], list[LoggedBoundary]] = boundaries_of) -> list[Valuation]:
    generator = np.random.default_rng(20_090_721)
    return [value(read(log_of(generator))) for _ in range(REPETITIONS)]


@pytest.fixture(scope="module")
def valuations() -> list[Valuation]:
    return simulated()


def estimates(valuations: Sequence[Valuation], name: str) -> list[Estimate]:
    return [getattr(one, name) for one in valuations]


def is_off(valuations: Sequence[Valuation], name: str, truth: float = TRUTH) -> float:
    """Standard errors by which the mean of the estimates misses the truth."""
    values = np.array([one.value for one in estimates(valuations, name)])
    return float(abs(values.mean() - truth) / (values.std(ddof=1) / sqrt(len(values))))


def coverage(valuations: Sequence[Valuation], name: str, truth: float = TRUTH) -> float:
    found = estimates(valuations, name)
    return sum(one.low is not None and one.high is not None and one.low <= truth <= one.high for one in found) / len(found)


def without_propensities(log: Log) -> list[LoggedBoundary]:
    return boundaries_of(log, propensities=np.ones_like(log.propensities))


def with_wrong_predictions(log: Log) -> list[LoggedBoundary]:
    return boundaries_of(log, believed=1 - SERVED)


def with_wrong_propensities(log: Log) -> list[LoggedBoundary]:
    return boundaries_of(log, propensities=np.sqrt(log.propensities))


def with_both_wrong(log: Log) -> list[LoggedBoundary]:
    return boundaries_of(log, propensities=np.sqrt(log.propensities), believed=1 - SERVED)


GAIN = TRUTH - float(
    sum(
        share
        * ((1 - EXPLORE) * SERVED[kind, OWN[kind]] + EXPLORE / 2 * sum(SERVED[kind, other] for other in range(3) if other != OWN[kind]))
        for kind, share in enumerate((1 - EASY, EASY))
    )
)


class TestTheTruth:
    @pytest.mark.parametrize("name", ["ips", "snips", "dr"])
    def test_estimates_hit_it_in_the_mean(self, valuations: list[Valuation], name: str) -> None:
        assert is_off(valuations, name) < 3.5

    def test_so_does_the_gain_over_the_logged_policy(self, valuations: list[Valuation]) -> None:
        assert GAIN > 0.05
        assert is_off(valuations, "gain", GAIN) < 3.5

    def test_who_ignores_the_chances_misses_it(self) -> None:
        broken = simulated(without_propensities)
        assert is_off(broken, "ips") > 50
        assert is_off(broken, "snips") > 10
        assert coverage(broken, "snips") < 0.85

    def test_the_logged_mean_is_not_it(self, valuations: list[Valuation]) -> None:
        assert is_off(valuations, "logged") > 50


class TestIntervals:
    @pytest.mark.parametrize(("name", "truth"), [("ips", TRUTH), ("snips", TRUTH), ("dr", TRUTH), ("gain", GAIN)])
    def test_they_cover_the_truth_as_often_as_they_say(self, valuations: list[Valuation], name: str, truth: float) -> None:
        # Four standard errors of a share of 95 % over so many repetitions.
        assert coverage(valuations, name, truth) == pytest.approx(0.95, abs=4 * sqrt(0.95 * 0.05 / REPETITIONS))

    def test_predictions_make_them_narrower(self, valuations: list[Valuation]) -> None:
        assert width(valuations, "dr") < 0.9 * width(valuations, "ips")

    def test_those_that_take_boundaries_for_independent_do_not(self) -> None:
        def each_its_own(log: Log) -> list[LoggedBoundary]:
            names = count()
            # All of a session came out alike: the more boundaries, the more of the same.
            alike = replace_rewards(log, np.repeat(log.rewards.reshape(SESSIONS, LENGTH)[:, :1], LENGTH, axis=1).ravel())
            return [replace(one, session=str(next(names))) for one in boundaries_of(alike)]

        def by_session(log: Log) -> list[LoggedBoundary]:
            alike = replace_rewards(log, np.repeat(log.rewards.reshape(SESSIONS, LENGTH)[:, :1], LENGTH, axis=1).ravel())
            return boundaries_of(alike)

        honest, broken = simulated(by_session), simulated(each_its_own)
        truth = float(np.mean([one.logged.value for one in honest]))
        assert coverage(broken, "logged", truth) < 0.75
        assert coverage(honest, "logged", truth) > 0.9

    def test_the_bounds_hold_and_are_wide(self, valuations: list[Valuation]) -> None:
        bounds = [one.bounds for one in valuations if one.bounds is not None]
        assert len(bounds) == REPETITIONS
        assert sum(low <= TRUTH <= high for low, high in bounds) / REPETITIONS >= 0.95
        assert np.mean([high - low for low, high in bounds]) > width(valuations, "ips")

    @given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=30), st.floats(0.5, 0.999))
    def test_bounds_lie_around_the_mean_and_within_what_is_possible(self, sums: list[float], confidence: float) -> None:
        found = bernstein_bounds(sums, [1.0] * len(sums), 2 * len(sums), confidence=confidence)
        assert found is not None
        low, high = found
        assert 0 <= low <= sum(sums) / (2 * len(sums)) <= high <= 0.5 + 1e-12

    def test_bounds_tighten_with_sessions(self) -> None:
        widths = []
        for sessions in (10, 1_000, 100_000):
            found = bernstein_bounds([0.0, 1.0] * (sessions // 2), [1.0] * sessions, sessions)
            assert found is not None
            widths.append(found[1] - found[0])
        assert widths[0] > widths[1] > 5 * widths[2]

    @pytest.mark.parametrize(("degrees", "quantile"), [(1, 12.7062), (4, 2.7764), (30, 2.0423), (10_000_000, 1.95996)])
    def test_quantiles_are_those_of_the_tables(self, degrees: int, quantile: float) -> None:
        assert student_quantile(0.95, degrees) == pytest.approx(quantile, abs=1e-4)

    def test_one_session_says_nothing_of_others(self) -> None:
        found = value([boundary("s", reward=reward) for reward in (0.0, 1.0, 1.0, 1.0)])
        assert found.dr == Estimate(value=0.75)
        assert found.bounds is None


def width(valuations: Sequence[Valuation], name: str) -> float:
    return float(np.mean([one.high - one.low for one in estimates(valuations, name) if one.low is not None and one.high is not None]))


def replace_rewards(log: Log, rewards: np.ndarray) -> Log:
    return replace(log, rewards=rewards)


class TestDoubleRobustness:
    def test_right_chances_make_up_for_wrong_predictions(self) -> None:
        found = simulated(with_wrong_predictions)
        assert is_off(found, "dr") < 3.5
        assert coverage(found, "dr") > 0.9

    def test_right_predictions_make_up_for_wrong_chances(self) -> None:
        found = simulated(with_wrong_propensities)
        assert is_off(found, "dr") < 3.5
        assert is_off(found, "ips") > 20

    def test_nothing_makes_up_for_both(self) -> None:
        assert is_off(simulated(with_both_wrong), "dr") > 20


class TestOverlap:
    ELSEWHERE = replace(boundary("s", target=0.0), support=0.0)

    def test_a_log_without_chance_says_nothing_of_a_policy_that_differs(self) -> None:
        with pytest.raises(NoOverlap, match=r"at 1 of 3 .*`policy\.explore`") as caught:
            value([boundary("s"), boundary("t"), self.ELSEWHERE])
        assert (caught.value.boundaries, caught.value.unsupported) == (3, 1)

    def test_nothing_to_look_at_says_nothing(self) -> None:
        for logged in ([], [self.ELSEWHERE]):
            with pytest.raises(NoOverlap):
                value(logged)

    def test_a_policy_that_does_not_differ_is_worth_what_was_logged(self) -> None:
        found = value([boundary("s"), boundary("t", reward=0.0), boundary("t", reward=0.5)])
        assert found.snips is not None
        assert {found.ips.value, found.snips.value, found.dr.value, found.logged.value} == {0.5}
        assert (found.gain.value, found.effective) == (0.0, 3.0)

    def test_where_chance_decided_somewhere_the_rest_is_left_out_and_counted(self) -> None:
        found = value([boundary("s", propensity=0.5), boundary("t"), self.ELSEWHERE])
        assert (found.boundaries, found.sessions, found.unsupported) == (2, 2, 1)
        assert found.ips.value == pytest.approx((2 + 1) / 2)

    def test_a_policy_that_takes_nothing_that_was_taken_has_predictions_only(self) -> None:
        found = value([boundary(name, propensity=0.5, target=0.0, expected=0.7) for name in "st"])
        assert (found.snips, found.effective, found.agreeing, found.ips.value) == (None, 0.0, 0, 0.0)
        assert found.dr.value == pytest.approx(0.7)

    def test_the_effective_size_is_that_of_even_weights(self) -> None:
        even = value([boundary(name, propensity=0.5) for name in "abcd"])
        uneven = value([boundary("a", propensity=0.01), *(boundary(name, propensity=0.99) for name in "bcd")])
        assert even.effective == pytest.approx(4.0)
        assert 1.0 < uneven.effective < 1.1


@pytest.mark.parametrize(
    "wrong", [{"propensity": 0.0}, {"propensity": 1.5}, {"target": -0.1}, {"reward": -1.0}, {"reward": float("nan")}, {"largest": -1.0}]
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        boundary("s", **wrong)


def test_confidence_is_a_chance() -> None:
    with pytest.raises(ConfigurationError, match="confidence"):
        value([boundary("s")], confidence=1.0)
