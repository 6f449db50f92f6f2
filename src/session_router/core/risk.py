"""Statistical guarantees: how often something goes wrong, at most, with a stated confidence."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, inf, isfinite, lgamma, log, log1p
from typing import TYPE_CHECKING

from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from session_router.core.model import ModelName

FIRST_REGION = 4
"""The first region that is tested holds this many times the segments that could pass without a single failure."""

GROWTH_OF_REGIONS = 1.1
"""Each region that is tested holds this many times the segments of the one before."""

_TINY = 1e-300
_PRECISION = 1e-15
_MAXIMUM_TERMS = 100_000


def upper_bound(failures: int, trials: int, *, delta: float) -> float:
    """Bound a share from above: the one-sided Clopper-Pearson bound.

    It is the share at which so few failures would have a probability of `delta`: whatever the true share is, a bound made in
    this way is below it in at most `delta` of all samples (Clopper and Pearson, "The use of confidence or fiducial limits
    illustrated in the case of the binomial", Biometrika 26(4), 1934).

    Args:
        failures: In [0, trials].
        trials: Independent ones, >= 0.
        delta: Chance of being wrong, in (0, 1).

    Returns:
        In (0, 1]; 1 when nothing is known.

    Raises:
        ConfigurationError: An argument is out of its range.
    """
    _check(failures, trials, delta)
    if failures == trials:
        return 1.0
    # P(X <= k) = 1 - I(k + 1, n - k; p) falls in p: the bound is where it is delta.
    low, high = failures / trials, 1.0
    while high - low > _PRECISION * high:
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        if 1 - incomplete_beta(failures + 1, trials - failures, middle) > delta:
            low = middle
        else:
            high = middle
    return high


def lower_bound(failures: int, trials: int, *, delta: float) -> float:
    """Bound a share from below, as `upper_bound` does from above."""
    _check(failures, trials, delta)
    return 1 - upper_bound(trials - failures, trials, delta=delta)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I(a, b; x), for a, b > 0 and x in [0, 1].

    By its continued fraction (DLMF 8.17.22), evaluated by Lentz's method.
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        # There the fraction converges quickly for the complement only.
        return 1 - incomplete_beta(b, a, 1 - x)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _MAXIMUM_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            fraction *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return min(1.0, front * fraction)


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def _check(failures: int, trials: int, delta: float) -> None:
    if not 0 <= failures <= trials:
        raise ConfigurationError(key="failures", value=(failures, trials), rule="give 0 <= failures <= trials.")
    if not (isfinite(delta) and 0 < delta < 1):
        raise ConfigurationError(key="delta", value=delta, rule="give a chance in (0, 1).")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """How often a cheaper model under-served, where it was as promising as here, in outcomes that it was not fitted to.

    A segment is under-served when the cheaper model fails it and the reference model would not have.

    Attributes:
        reference: The model that it stands in for.
        least_chance: The region: segments for which the scorer gives the cheaper model at least this `p_success`.
        under_served: Held-out segments in the region that it under-served.
        segments: Held-out segments in the region.
        bound: Upper bound of the share of under-served segments in the region.
        delta: Chance that any certificate of the cheaper model is wrong.
    """

    reference: ModelName
    least_chance: float
    under_served: int
    segments: int
    bound: float
    delta: float

    def to_plain(self) -> dict[str, str | float]:
        """Return JSON-ready values."""
        return {
            "reference": self.reference,
            "least_chance": self.least_chance,
            "under_served": self.under_served,
            "segments": self.segments,
            "bound": self.bound,
            "delta": self.delta,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One held-out segment, served by the cheaper model.

    Attributes:
        chance: The `p_success` that the scorer gave it.
        under_served: Whether it failed what the reference model did not.
    """

    chance: float
    under_served: bool


def certify(reference: ModelName, held: Sequence[Held], *, alpha: float, delta: float) -> Certificate | None:
    """Find the largest region in which a cheaper model may stand in for `reference`.

    Regions are tested from the most promising segments downwards, each at `delta`, and the first that fails ends it: a fixed
    sequence of nested tests, so that the chance that the region found is a wrong one is at most `delta` in all (fixed-sequence
    testing in A. N. Angelopoulos, S. Bates, E. J. Candes, M. I. Jordan and L. Lei, "Learn then Test: calibrating predictive
    algorithms to achieve risk control", 2021). Where the regions end depends on the chances only, never on what came out.

    Args:
        reference: The model that serves otherwise.
        held: Segments that the scorer was not fitted to, independent of one another.
        alpha: Largest share of under-served segments that is allowed in the region, in [0, 1).
        delta: Chance of being wrong, in (0, 1).

    Returns:
        The certificate of that region, or `None` when there is none.

    Raises:
        ConfigurationError: `alpha` or `delta` is out of its range.
    """
    if not 0 <= alpha < 1:
        raise ConfigurationError(key="alpha", value=alpha, rule="give a share in [0, 1).")
    ordered = sorted(held, key=lambda one: one.chance, reverse=True)
    found: Certificate | None = None
    for size in _sizes(len(ordered), alpha=alpha, delta=delta):
        least_chance = ordered[size - 1].chance
        region = [one for one in ordered if one.chance >= least_chance]
        under_served = sum(one.under_served for one in region)
        bound = upper_bound(under_served, len(region), delta=delta)
        if bound > alpha:
            break
        found = Certificate(
            reference=reference,
            least_chance=least_chance,
            under_served=under_served,
            segments=len(region),
            bound=bound,
            delta=delta,
        )
    return found


def _sizes(segments: int, *, alpha: float, delta: float) -> Iterator[int]:
    """Yield how many segments the regions hold, each more than the one before.

    Of the fewest that could pass, none may be under-served: one mishap there would end it all. So the first region is larger.
    """
    _check(0, 0, delta)
    least = log(delta) / log1p(-alpha) if alpha else inf
    if least > segments:
        return
    size = FIRST_REGION * ceil(least)
    while size < segments:
        yield size
        size = max(size + 1, round(size * GROWTH_OF_REGIONS))
    yield segments
