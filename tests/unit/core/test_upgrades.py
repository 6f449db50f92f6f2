"""Upgrades that come too often, and what follows."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from session_router.core.upgrades import Upgrades, UpgradeWatch, Watched, is_upgrade, within_cap
from session_router.errors import ConfigurationError
from values import FAST, OTHER, STRONG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from session_router.core.model import ModelName

WATCH = UpgradeWatch(expected=0.2, excessive=0.5, between_false_alarms=100.0, capped_boundaries=5)
ASKED = st.lists(st.booleans(), max_size=60)
COSTS = st.dictionaries(st.sampled_from([FAST, STRONG, OTHER]), st.floats(0, 10), min_size=1)


class NeverAlarms(UpgradeWatch):
    """As the real one, but its threshold is out of reach."""

    @property
    def threshold(self) -> float:
        return math.inf


class AlarmsTooSoon(UpgradeWatch):
    """As the real one, but its threshold forgets the logarithm of half of the interval."""

    @property
    def threshold(self) -> float:
        return math.log(self.between_false_alarms) / 2


@st.composite
def watches(draw: st.DrawFn) -> UpgradeWatch:
    expected = draw(st.floats(0.01, 0.6))
    excessive = draw(st.floats(0.02, 0.99))
    assume(excessive > expected + 0.01)
    between = draw(st.floats(1.5, 1e6))
    return UpgradeWatch(expected=expected, excessive=excessive, between_false_alarms=between, capped_boundaries=draw(st.integers(1, 20)))


def after(asked: Iterable[bool], watch: UpgradeWatch) -> Upgrades:
    return reduce(lambda upgrades, one: watch.observed(upgrades, asked=one), asked, Upgrades())


def boundaries_to_alarm(watch: UpgradeWatch, ask: Callable[[], bool], most: int) -> int:
    upgrades = Upgrades()
    for number in range(1, most + 1):
        upgrades = watch.observed(upgrades, asked=ask())
        if watch.alarmed(upgrades):
            return number
    return most


@given(watches(), ASKED)
def test_the_evidence_is_that_of_the_most_suspicious_recent_stretch(watch: UpgradeWatch, asked: list[bool]) -> None:
    """Page's recursion against its definition: the largest log-likelihood ratio of any stretch that ends now."""
    up, down = math.log(watch.excessive / watch.expected), math.log((1 - watch.excessive) / (1 - watch.expected))
    upgrades, since = Upgrades(), list[float]()
    for one in asked:
        since.append(up if one else down)
        largest = max(0.0, *(math.fsum(since[start:]) for start in range(len(since))))
        assume(abs(largest - watch.threshold) > 1e-9)
        upgrades = watch.observed(upgrades, asked=one)
        assert watch.alarmed(upgrades) == (largest > watch.threshold)
        if watch.alarmed(upgrades):
            since = []
            largest = 0.0
        assert upgrades.evidence == pytest.approx(largest, abs=1e-9)
        assert 0 <= upgrades.evidence < watch.threshold


@pytest.mark.parametrize(("watch_of", "found"), [(UpgradeWatch, True), (NeverAlarms, False)])
def test_an_attack_is_found_and_a_broken_watch_finds_none(watch_of: type[UpgradeWatch], found: bool) -> None:
    watch = watch_of(expected=0.2, excessive=0.5, between_false_alarms=1000.0, capped_boundaries=5)
    noise = random.Random(1)
    attacks = [boundaries_to_alarm(watch, lambda: noise.random() < 0.6, most=500) for _ in range(100)]
    assert (max(attacks) < 200) == found
    assert (sum(attacks) / len(attacks) < 40) == found


def test_who_asks_every_time_is_found_after_the_number_of_boundaries_that_the_formula_says() -> None:
    number = boundaries_to_alarm(WATCH, lambda: True, most=100)
    assert number == math.ceil(math.log(100) / math.log(0.5 / 0.2)) == 6


@pytest.mark.parametrize(("watch_of", "kept"), [(UpgradeWatch, True), (AlarmsTooSoon, False)])
def test_honest_use_is_left_alone_for_as_long_as_was_said(watch_of: type[UpgradeWatch], kept: bool) -> None:
    watch = watch_of(expected=0.2, excessive=0.5, between_false_alarms=100.0, capped_boundaries=5)
    noise = random.Random(2)
    runs = [boundaries_to_alarm(watch, lambda: noise.random() < 0.2, most=20_000) for _ in range(400)]
    assert (sum(runs) / len(runs) >= watch.between_false_alarms) == kept


@given(watches(), ASKED)
def test_a_boundary_without_one_never_adds_evidence_and_one_with_one_always_does(watch: UpgradeWatch, asked: list[bool]) -> None:
    upgrades = after(asked, watch)
    assert watch.observed(upgrades, asked=False).evidence <= upgrades.evidence
    more = watch.observed(upgrades, asked=True)
    assert more.evidence > upgrades.evidence or watch.alarmed(more)


@given(watches(), ASKED)
def test_after_an_alarm_upgrades_are_capped_for_as_long_as_was_said_and_no_longer(watch: UpgradeWatch, asked: list[bool]) -> None:
    upgrades = replace(after(asked, watch), evidence=0.0, capped=watch.capped_boundaries)
    for _ in range(watch.capped_boundaries):
        assert not upgrades.allowed
        upgrades = watch.observed(upgrades, asked=False)
    assert upgrades == Upgrades()
    assert upgrades.allowed


def test_an_attack_that_goes_on_stays_capped() -> None:
    watch = replace(WATCH, capped_boundaries=10)
    upgrades = after([True] * 6, watch)
    for _ in range(100):
        assert not upgrades.allowed
        upgrades = watch.observed(upgrades, asked=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"expected": 0.0},
        {"expected": 0.5},
        {"expected": 0.9},
        {"excessive": 1.0},
        {"expected": math.nan},
        {"between_false_alarms": 1.0},
        {"between_false_alarms": math.inf},
        {"capped_boundaries": 0},
        {"capped_boundaries": 1.5},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        UpgradeWatch(**{"expected": 0.2, "excessive": 0.5, **wrong})


@given(COSTS, st.booleans())
def test_a_cap_always_leaves_a_candidate_and_invents_none(costs: dict[ModelName, float], allowed: bool) -> None:
    left = within_cap(costs, allowed=allowed)
    assert left
    assert set(left) <= set(costs)
    assert min(costs.values()) in {costs[name] for name in left}


@given(COSTS)
def test_a_cap_leaves_what_is_no_upgrade_and_nothing_else(costs: dict[ModelName, float]) -> None:
    assert set(within_cap(costs, allowed=False)) == {name for name in costs if not is_upgrade(name, costs)}
    assert within_cap(costs, allowed=True) == tuple(costs)


def test_the_only_model_that_governance_leaves_is_never_forbidden() -> None:
    # `fast` is not cleared: it is no candidate.
    assert within_cap({STRONG: 10.0}, allowed=False) == (STRONG,)
    assert not is_upgrade(STRONG, {STRONG: 10.0})
    # A cap that compared with the price of every model would leave nothing.
    assert [name for name, cost in {STRONG: 10.0}.items() if cost <= min({FAST: 1.0, STRONG: 10.0}.values())] == []
    assert within_cap({}, allowed=False) == ()


SPENT, CALM = Upgrades(capped=3), Upgrades()


@pytest.mark.parametrize(
    ("session", "principal", "asked_for", "capped"),
    [
        (CALM, None, STRONG, False),
        (CALM, CALM, STRONG, False),
        (SPENT, None, STRONG, True),
        (SPENT, CALM, STRONG, True),
        (CALM, SPENT, STRONG, True),
        (SPENT, SPENT, FAST, False),
        (SPENT, SPENT, OTHER, False),
    ],
)
def test_one_of_the_two_is_enough_for_a_cap_and_only_upgrades_are_capped(
    session: Upgrades,
    principal: Upgrades | None,
    asked_for: ModelName,
    capped: bool,
) -> None:
    watched = Watched(asked_for=asked_for, costs={FAST: 1.0, STRONG: 10.0, OTHER: 1.0}, session=session, principal=principal)
    assert watched.capped == capped
    assert watched.left == ((FAST, OTHER) if capped else (FAST, STRONG, OTHER))
    plain = watched.to_plain()
    assert (plain["asked"], plain["capped"]) == (asked_for == STRONG, capped)
    assert ("principal" in plain) == (principal is not None)


def test_it_is_known_when_it_was_counted_last() -> None:
    assert WATCH.observed(Upgrades(at=5.0), asked=True, at=7.0).at == 7.0
    assert after([True] * 6, WATCH).capped == WATCH.capped_boundaries
