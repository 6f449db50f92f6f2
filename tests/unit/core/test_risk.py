"""Bounds that are rarely wrong, and regions that rest on them."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.risk import Certificate, Held, certify, incomplete_beta, lower_bound, upper_bound
from session_router.errors import ConfigurationError
from values import STRONG

DELTAS = st.sampled_from([0.5, 0.1, 0.05, 0.01, 1e-6])


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int]:
    trials = draw(st.integers(0, 300))
    return draw(st.integers(0, trials)), trials


def at_most(failures: int, trials: int, share: float) -> float:
    """The binomial distribution, term by term."""
    return math.fsum(math.comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in range(failures + 1))


class TestBounds:
    @given(counts(), DELTAS)
    def test_at_the_bound_so_few_failures_have_a_chance_of_delta(self, count: tuple[int, int], delta: float) -> None:
        failures, trials = count
        bound = upper_bound(failures, trials, delta=delta)
        if failures == trials:
            assert bound == 1.0
        else:
            assert at_most(failures, trials, bound) == pytest.approx(delta, rel=1e-6)

    @pytest.mark.parametrize("share", [0.01, 0.05, 0.3, 0.8])
    @pytest.mark.parametrize("delta", [0.05, 0.2])
    def test_it_is_wrong_in_at_most_delta_of_all_samples(self, share: float, delta: float) -> None:
        """Not in a simulation: over every outcome, weighted by its probability. The observed share itself is wrong half the time."""
        trials = 60
        weights = [math.comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in range(trials + 1)]
        wrong = math.fsum(weight for k, weight in enumerate(weights) if upper_bound(k, trials, delta=delta) < share)
        naive = math.fsum(weight for k, weight in enumerate(weights) if k / trials < share)
        assert wrong <= delta < naive

    @given(counts(), DELTAS)
    def test_lower_and_upper_mirror_each_other(self, count: tuple[int, int], delta: float) -> None:
        failures, trials = count
        low, high = lower_bound(failures, trials, delta=delta), upper_bound(failures, trials, delta=delta)
        share = failures / trials if trials else 0.5
        if delta < 0.5:
            assert low <= share <= high
        assert low == pytest.approx(1 - upper_bound(trials - failures, trials, delta=delta))

    def test_more_of_the_same_says_more(self) -> None:
        bounds = [upper_bound(n // 20, n, delta=0.05) for n in (20, 200, 2_000, 20_000, 2_000_000)]
        assert bounds == sorted(bounds, reverse=True)
        assert bounds[-1] == pytest.approx(0.05, abs=3e-4)

    def test_nothing_seen_says_nothing(self) -> None:
        assert upper_bound(0, 0, delta=0.05) == 1.0
        assert lower_bound(0, 0, delta=0.05) == 0.0

    @pytest.mark.parametrize(("failures", "trials", "delta"), [(-1, 3, 0.1), (4, 3, 0.1), (1, 3, 0.0), (1, 3, 1.0), (1, 3, math.nan)])
    def test_what_makes_no_sense_is_refused(self, failures: int, trials: int, delta: float) -> None:
        with pytest.raises(ConfigurationError):
            upper_bound(failures, trials, delta=delta)

    @given(st.integers(1, 60), st.integers(1, 60), st.floats(0, 1))
    def test_the_incomplete_beta_function_is_a_binomial_tail(self, a: int, b: int, x: float) -> None:
        n = a + b - 1
        assert incomplete_beta(a, b, x) == pytest.approx(1 - at_most(a - 1, n, x), abs=1e-9)


def drawn(generator: random.Random, segments: int) -> list[Held]:
    """Segments whose chance of being under-served falls from 0.4 to 0 with what the scorer says."""
    chances = [generator.random() for _ in range(segments)]
    return [Held(chance=chance, under_served=generator.random() < 0.4 * (1 - chance)) for chance in chances]


def true_share(certificate: Certificate) -> float:
    """Of `drawn`: the mean of 0.4 (1 - chance) over the region."""
    return 0.4 * (1 - certificate.least_chance) / 2


class TestRegions:
    def test_a_region_is_wrong_in_at_most_delta_of_all_draws(self) -> None:
        generator, alpha, delta, draws = random.Random(1), 0.1, 0.1, 200
        wrong = naively_wrong = allowed = 0
        for _ in range(draws):
            held = drawn(generator, 500)
            found = certify(STRONG, held, alpha=alpha, delta=delta)
            wrong += found is not None and true_share(found) > alpha
            allowed += found is not None
            naively_wrong += true_share(naive(held, alpha)) > alpha
        # By chance there may be a few more than delta says: three standard deviations.
        slack = 3 * math.sqrt(draws * delta * (1 - delta))
        assert wrong <= draws * delta + slack < naively_wrong
        assert allowed > 0.8 * draws

    def test_with_many_outcomes_the_region_is_nearly_as_large_as_it_may_be(self) -> None:
        found = certify(STRONG, drawn(random.Random(2), 30_000), alpha=0.1, delta=0.05)
        assert found is not None
        # Where the mean share of the region is 0.1, the chance is 0.5.
        assert 0.5 <= found.least_chance < 0.6

    @given(chances=st.lists(st.floats(0, 1), max_size=60), alpha=st.floats(0, 0.9), delta=DELTAS)
    def test_a_certificate_keeps_what_it_says(self, chances: list[float], alpha: float, delta: float) -> None:
        held = [Held(chance=chance, under_served=index % 7 == 0) for index, chance in enumerate(chances)]
        found = certify(STRONG, held, alpha=alpha, delta=delta)
        if found is not None:
            region = [one for one in held if one.chance >= found.least_chance]
            assert (found.segments, found.under_served) == (len(region), sum(one.under_served for one in region))
            assert found.bound == upper_bound(found.under_served, found.segments, delta=delta) <= alpha
            assert (found.reference, found.delta) == (STRONG, delta)

    def test_the_order_of_what_was_held_out_does_not_matter(self) -> None:
        held = drawn(random.Random(3), 400)
        found = certify(STRONG, held, alpha=0.15, delta=0.05)
        assert found is not None
        assert certify(STRONG, held[::-1], alpha=0.15, delta=0.05) == found

    def test_a_smaller_share_certifies_less(self) -> None:
        held = drawn(random.Random(4), 3_000)
        found = [certify(STRONG, held, alpha=alpha, delta=0.05) for alpha in (0.05, 0.1, 0.15)]
        sizes = [0 if one is None else one.segments for one in found]
        assert all(smaller < larger for smaller, larger in pairwise(sizes))

    @pytest.mark.parametrize("alpha", [0.0, 0.01])
    def test_too_few_outcomes_certify_nothing(self, alpha: float) -> None:
        perfect = [Held(chance=0.9, under_served=False)] * 100
        assert certify(STRONG, perfect, alpha=alpha, delta=0.05) is None
        assert certify(STRONG, perfect, alpha=0.05, delta=0.05) is not None

    @pytest.mark.parametrize("wrong", [{"alpha": -0.1}, {"alpha": 1.0}, {"alpha": math.nan}, {"delta": 0.0}, {"delta": 1.0}])
    def test_what_makes_no_sense_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError):
            certify(STRONG, [], **{"alpha": 0.1, "delta": 0.1, **wrong})


def naive(held: list[Held], alpha: float) -> Certificate:
    """The largest region whose observed share is small enough: what one would do without a bound."""
    ordered = sorted(held, key=lambda one: one.chance, reverse=True)
    sizes = [size for size in range(1, len(ordered) + 1) if sum(one.under_served for one in ordered[:size]) <= alpha * size]
    size = max(sizes, default=1)
    return Certificate(reference=STRONG, least_chance=ordered[size - 1].chance, under_served=0, segments=size, bound=alpha, delta=0.5)
