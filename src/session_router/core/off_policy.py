"""What another policy would have been worth, from the log of one that explored.

Each boundary is a contextual bandit: facts x, a model a that the logged policy took with a known chance p, and the reward r that
came of it. A new policy would have taken a with chance t. With w = t / p, over n boundaries:

    IPS      sum of w r / n                      D. G. Horvitz and D. J. Thompson, JASA 47(260), 1952
    SNIPS    sum of w r / sum of w               A. Swaminathan and T. Joachims, NIPS 2015
    DR       sum of (v + w (r - q)) / n          M. Dudik, J. Langford and L. Li, ICML 2011

where q is a model's prediction of r for a, and v its prediction for what the new policy would take. IPS and DR are unbiased if the
chances are right, and DR also if only the predictions are. SNIPS has a bias that vanishes as n grows, and usually less variance.

**What is estimated** is the mean reward of a boundary under the new policy, at the boundaries that were logged: how a session got
there is the logged policy's doing.

**Intervals.** Boundaries of one session are not independent, sessions are taken to be. The variance is that of sums over sessions,
linearised for ratios, and the quantile that of Student's t with one degree of freedom less than there are sessions (A. C. Cameron
and D. L. Miller, "A practitioner's guide to cluster-robust inference", Journal of Human Resources 50(2), 2015). This is an
approximation for many sessions: where few boundaries carry large weights, such intervals are too narrow. Look at the effective
sample size. What holds for any number of sessions is the empirical Bernstein bound of A. Maurer and M. Pontil ("Empirical
Bernstein bounds and sample variance penalization", COLT 2009, theorem 11) on the sums w r of sessions, as P. S. Thomas,
G. Theocharous and M. Ghavamzadeh use it ("High-confidence off-policy evaluation", AAAI 2015); it takes the largest sum that a
session could have had, needs rewards of 0 or more, takes the lengths of the sessions as given, and is wide.

**Overlap.** Where the logged policy had no chance to take what the new one would, its log says nothing. Such boundaries are left out:
by their facts, not by what came of them, so that the rest is not biased; but the estimate is about the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, sqrt
from typing import TYPE_CHECKING

from session_router.core.checking import check_number
from session_router.core.risk import incomplete_beta
from session_router.errors import ConfigurationError, NoOverlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CONFIDENCE = 0.95

SUPPORTED = 1 - 1e-9
"""Chances that add up to this add up to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedBoundary:
    """One boundary of a log, as the new policy looks at it.

    Attributes:
        session: Whose boundary it is.
        propensity: Chance, in (0, 1], with which the logged policy took what it took.
        target: Chance, in [0, 1], with which the new policy takes the same.
        support: Chance, in [0, 1], that what the new policy takes is something that the logged one might have taken.
        reward: What came of it, >= 0.
        predicted: What was predicted to come of it.
        expected: What is predicted to come of what the new policy takes.
        largest: Largest `target / propensity * reward` that could have come of it, whatever the logged policy took.

    Raises:
        ConfigurationError: A number is out of its range.
    """

    session: str
    propensity: float
    target: float
    support: float
    reward: float
    predicted: float
    expected: float
    largest: float

    def __post_init__(self) -> None:
        """Check the values."""
        check_number(self.propensity, key="propensity", rule="give a chance in (0, 1].", high=1.0)
        if self.propensity == 0:
            raise ConfigurationError(key="propensity", value=0.0, rule="give a chance in (0, 1]: what is logged was taken.")
        for name in ("target", "support"):
            check_number(getattr(self, name), key=name, rule="give a chance in [0, 1].", high=1.0)
        for name in ("reward", "largest"):
            check_number(getattr(self, name), key=name, rule="give a number >= 0.")
        for name in ("predicted", "expected"):
            check_number(getattr(self, name), key=name, rule="give a number.", low=-inf)

    @property
    def weight(self) -> float:
        """How many boundaries of the new policy this one stands for."""
        return self.target / self.propensity


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number, and between what it lies.

    Attributes:
        value: The estimate.
        low: Lower end of the interval; `None` when nothing can be said, as from a single session.
        high: Upper end, likewise.
    """

    value: float
    low: float | None = None
    high: float | None = None

    def to_plain(self) -> dict[str, float | None]:
        """Return JSON-ready values."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True, kw_only=True)
class Valuation:
    """What a new policy is worth a boundary, beside the logged one.

    Attributes:
        boundaries: That were used.
        sessions: That these are of.
        unsupported: Boundaries that were left out, since the logged policy had no chance to take what the new one would.
        agreeing: Of those used, those at which the new policy may take what was taken.
        effective: Effective sample size, (sum of w)^2 / sum of w^2: so many boundaries of the new policy itself would tell as much.
        logged: The mean reward in the log.
        ips: By inverse propensities.
        snips: The same, self-normalised; `None` when the new policy takes nothing that was taken.
        dr: Doubly robust.
        bounds: Of IPS, by the empirical Bernstein bound.
        gain: Of the new policy over the logged one, by DR.
    """

    boundaries: int
    sessions: int
    unsupported: int
    agreeing: int
    effective: float
    logged: Estimate
    ips: Estimate
    snips: Estimate | None
    dr: Estimate
    bounds: tuple[float, float] | None
    gain: Estimate


def value(logged: Sequence[LoggedBoundary], *, confidence: float = CONFIDENCE) -> Valuation:
    """Estimate what a new policy is worth.

    Args:
        logged: The boundaries, in any order.
        confidence: Of each interval, in (0, 1).

    Raises:
        ConfigurationError: `confidence` is out of its range.
        NoOverlap: The log says nothing about the new policy: there is no boundary left, or the logged policy never left anything to
            chance and the new one would have taken something else.
    """
    check_number(confidence, key="confidence", rule="give a chance in (0, 1).", below=1.0)
    used = [one for one in logged if one.support >= SUPPORTED]
    unsupported = len(logged) - len(used)
    if not used or (unsupported and all(one.propensity == 1 for one in used)):
        raise NoOverlap(boundaries=len(logged), unsupported=unsupported)
    places: dict[str, int] = {}
    sessions = [places.setdefault(one.session, len(places)) for one in used]
    spread = _Spread(sessions, len(places), confidence)
    weights = [one.weight for one in used]
    weighted = [one.weight * one.reward for one in used]
    robust = [one.expected + one.weight * (one.reward - one.predicted) for one in used]
    total, squares = sum(weights), sum(weight * weight for weight in weights)
    normalised = None
    if total:
        mean = sum(weighted) / total
        normalised = spread.around(mean, [weight * (one.reward - mean) for weight, one in zip(weights, used, strict=True)], total)
    return Valuation(
        boundaries=len(used),
        sessions=len(places),
        unsupported=unsupported,
        agreeing=sum(one.target > 0 for one in used),
        effective=total * total / squares if squares else 0.0,
        logged=spread.of_mean([one.reward for one in used]),
        ips=spread.of_mean(weighted),
        snips=normalised,
        dr=spread.of_mean(robust),
        bounds=bernstein_bounds(spread.sums(weighted), spread.sums(one.largest for one in used), len(used), confidence=confidence),
        gain=spread.of_mean([new - one.reward for new, one in zip(robust, used, strict=True)]),
    )


@dataclass(frozen=True, slots=True)
class _Spread:
    """How far means over boundaries spread, whose sessions are independent."""

    sessions: Sequence[int]
    count: int
    confidence: float

    def sums(self, values: Iterable[float]) -> list[float]:
        """Return the sum over each session."""
        sums = [0.0] * self.count
        for session, one in zip(self.sessions, values, strict=True):
            sums[session] += one
        return sums

    def of_mean(self, values: Sequence[float]) -> Estimate:
        mean = sum(values) / len(values)
        return self.around(mean, [one - mean for one in values], len(values))

    def around(self, mean: float, residuals: Iterable[float], total: float) -> Estimate:
        """Return a ratio with its interval; `residuals` divided by `total` say what each boundary adds to it."""
        if self.count == 1:
            return Estimate(value=mean)
        variance = self.count / (self.count - 1) * sum(one * one for one in self.sums(residuals)) / total**2
        width = student_quantile(self.confidence, self.count - 1) * sqrt(variance)
        return Estimate(value=mean, low=mean - width, high=mean + width)


def bernstein_bounds(
    sums: Sequence[float], largest: Sequence[float], boundaries: int, *, confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Bound the mean over boundaries, of which there are the `sums` over independent sessions.

    Each side by theorem 11 of Maurer and Pontil, at half of what is left of the confidence, on the sums as shares of the largest that
    any session could have had.

    Args:
        sums: One a session, >= 0.
        largest: What each of them could have been at most.
        boundaries: Of all sessions, >= 1.
        confidence: In (0, 1).

    Returns:
        Below and above; `None` from a single session.
    """
    count, scale = len(sums), max(largest, default=0.0)
    if count == 1:
        return None
    mean = sum(sums) / count
    variance = sum((one - mean) ** 2 for one in sums) / (count - 1)
    odds = log(4 / (1 - confidence))
    width = sqrt(2 * variance * odds / count) + 7 * scale * odds / (3 * (count - 1))
    most = sum(largest) / boundaries
    return max(0.0, (mean - width) * count / boundaries), min(most, (mean + width) * count / boundaries)


def student_quantile(confidence: float, degrees: int) -> float:
    """Return what |t| of Student's distribution stays below with `confidence`.

    P(|t| > x) = I(degrees / 2, 1 / 2; degrees / (degrees + x^2)), the regularised incomplete beta function; it is inverted by bisection.

    Args:
        confidence: In (0, 1).
        degrees: Of freedom, >= 1.
    """
    low, high = 0.0, 1.0
    while True:
        middle = (low + high) / 2
        if middle in {low, high}:
            return sqrt(degrees * (1 - middle) / middle)
        if incomplete_beta(degrees / 2, 0.5, middle) < 1 - confidence:
            low = middle
        else:
            high = middle
