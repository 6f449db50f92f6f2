"""Thresholds that are chosen on some requests and judged on others, and certificates over the requests in order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._cache_answers import CONTENT, EXACT, NONE
from session_router.core.risk import upper_bound
from session_router.core.wager import SCORE_BINS, Audit, Target, Wager, score_bin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from benchmarks._cache_answers import Answers, Method

DELTA = 0.05
PARTS = 10
"""Of the requests: each is judged by what was chosen on the others."""
EVEN = 0.5
"""The chance with which a threshold may be wrong too often. Where as many were wrong as may be, the chance is higher: among
many thresholds, some look good by luck."""


TIERS = {"exact": EXACT, "content": CONTENT, "similar": NONE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one way to serve came to, over all requests: each part with what was chosen on the others.

    Attributes:
        requests: How many.
        hits: Of them.
        wrong: Of the hits.
        tiers: By tier, hits and how many of them were wrong.
        thresholds: Of the parts; above 1 where nothing is served.
    """

    requests: int
    hits: int
    wrong: int
    tiers: Mapping[str, tuple[int, int]]
    thresholds: tuple[float, ...] = ()

    @property
    def rate(self) -> float:
        """Hits per request."""
        return self.hits / self.requests

    @property
    def share(self) -> float:
        """Wrong ones per hit."""
        return self.wrong / self.hits if self.hits else 0.0

    @property
    def bound(self) -> float:
        """Upper bound of that, one-sided, 95 %."""
        return upper_bound(self.wrong, self.hits, delta=DELTA)

    def told(self) -> str:
        """Return all of it in words."""
        tiers = ", ".join(f"{hits} {name} ({wrong} wrong)" for name, (hits, wrong) in self.tiers.items() if hits)
        return f"{self.hits} of {self.requests} hit: {tiers or 'none'}; wrong per hit {self.share:.2%}, 95 % below {self.bound:.2%}"


def at_most(wrong: float, method: Method, answers: Answers, *, forms: bool) -> Judged:
    """Serve what scores at or above a threshold: the least that is, by the other parts, as likely as not wrong in a share `wrong` of hits.

    Args:
        wrong: The share of wrong answers per hit.
        method: Whose scores.
        answers: Of all requests; they are in random order.
        forms: Whether the first two tiers serve whatever is chosen.
    """
    part = np.arange(len(method.right)) % PARTS
    score, right = _with_forms(method, answers, forms=forms)
    hits, thresholds = np.zeros(len(part), dtype=bool), []
    for one in range(PARTS):
        threshold = _threshold(score[part != one], right[part != one], wrong, likely=True)
        thresholds.append(round(float(threshold), 4))
        hits |= (part == one) & (score >= threshold)
    return _judged(hits, right, answers, thresholds=tuple(thresholds), forms=forms)


def _threshold(score: NDArray[np.float64], right: NDArray[np.bool_], wrong: float, *, likely: bool = False) -> float:
    order = np.argsort(-score, kind="stable")
    bad, hits = np.cumsum(~right[order]), np.arange(1, len(order) + 1)
    most = int(wrong * len(order))
    # With more wrong ones than that, there are never hits enough.
    needed = [hits_needed(number, limit=wrong, delta=EVEN) if likely else number / wrong for number in range(most + 1)]
    good = hits >= np.append(needed, np.inf)[np.minimum(bad, most + 1)]
    # Equal scores are served together or not at all.
    last = np.append(score[order][:-1] != score[order][1:], True)
    enough = np.flatnonzero(good & last & (score[order] > 0))
    # Where even the best are too often wrong, only what is no matter of scores is served.
    return float(score[order][enough[-1]]) if len(enough) and np.isfinite(score[order][enough[-1]]) else 2.0


def hits_needed(wrong: int, *, limit: float, delta: float = DELTA) -> int:
    """Return the least number of hits with which the upper bound of the share of wrong ones is at most `limit`.

    Args:
        wrong: How many of them are wrong.
        limit: In (0, 1).
        delta: Chance that the bound is below the true share.
    """
    low, high = wrong, wrong + 1
    while upper_bound(wrong, high, delta=delta) > limit:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if upper_bound(wrong, middle, delta=delta) > limit:
            low = middle
        else:
            high = middle
    return high


def always(method: Method, answers: Answers, *, threshold: float) -> Judged:
    """Serve at a threshold that somebody published."""
    return _judged(method.score >= threshold, method.right, answers, thresholds=(threshold,), forms=False)


def in_hindsight(wrong: float, method: Method, answers: Answers, *, forms: bool = False) -> Judged:
    """Serve at the threshold that is best on the very requests it is judged on: what no one could have chosen beforehand.

    With `forms`, the first two tiers serve whatever is chosen, and the threshold is best for the third by itself.
    """
    score, right = _with_forms(method, answers, forms=forms)
    chosen = np.isfinite(score)
    threshold = _threshold(score[chosen], right[chosen], wrong)
    return _judged(score >= threshold, right, answers, thresholds=(round(threshold, 4),), forms=forms)


def _with_forms(method: Method, answers: Answers, *, forms: bool) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return scores, infinite where the first two tiers serve whatever is chosen, and whether each candidate is right."""
    formed = (answers.tier < NONE) & forms
    return np.where(formed, np.inf, method.score), np.where(formed, answers.formed.right, method.right)


def _judged(hits: NDArray[np.bool_], right: NDArray[np.bool_], answers: Answers, *, thresholds: tuple[float, ...], forms: bool) -> Judged:
    tier = answers.tier if forms else np.full(len(hits), NONE)
    return Judged(
        requests=len(hits),
        hits=int(hits.sum()),
        wrong=int((hits & ~right).sum()),
        tiers={name: (int((hits & (tier == one)).sum()), int((hits & ~right & (tier == one)).sum())) for name, one in TIERS.items()},
        thresholds=thresholds,
    )


def certified(wrong: float, method: Method, answers: Answers) -> tuple[Judged, list[Wager]]:
    """Serve as the cache does: each would-be hit of a stratum that is not certified is audited, and one of a certified stratum served.

    The requests come in order, once each, and the judge does not err. An entry that was wrong is not asked again for what is as alike.
    """
    target = Target(wrong=wrong, strata=SCORE_BINS)
    wagers = [Wager(target=target) for _ in range(SCORE_BINS)]
    audits: Counter[int] = Counter()
    floors: dict[int, float] = {}
    formed = answers.tier < NONE
    served = formed.copy()
    right = np.where(formed, answers.formed.right, method.right)
    for request in np.flatnonzero(~formed):
        score, entry = float(method.score[request]), int(method.entry[request])
        place = score_bin(score)
        if place is None or score <= floors.get(entry, 0.0):
            continue
        if wagers[place].serves:
            served[request] = True
            continue
        mistake = not method.right[request]
        wagers[place] = wagers[place].observed(Audit(wrong=float(mistake), earlier=audits[entry]))
        audits[entry] += 1
        if mistake:
            floors[entry] = max(score, floors.get(entry, 0.0))
    return _judged(served, right, answers, thresholds=(), forms=True), wagers
