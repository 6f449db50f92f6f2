"""From raw log odds to chances that come true, and bounds that say how surely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from session_router.core.risk import lower_bound, upper_bound
from session_router.fitting.logistic import fit_line, level_line, too_few
from session_router.scorers.fit import Reliability

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS: Final = 10
LEAST_IN_A_BIN: Final = 30
"""Outcomes of a bin at least, unless there are fewer in all."""

OUTSIDE: Final = 0.05
"""Chance that a true share is above its interval, and chance that it is below."""

_FAINT_RIDGE = 1.0  # draws the slope towards 0 where there is little to see


def platt(logits: NDArray[np.float64], served: NDArray[np.float64]) -> tuple[float, float]:
    """Calibrate log odds by a line (Platt scaling).

    Args:
        logits: Of rows that they were not fitted to, shape (rows,).
        served: 1 or 0 for each.

    Returns:
        Slope, >= 0, and intercept. Where higher log odds do not mean more successes, the slope is 0.
    """
    if too_few(served) or logits.std() == 0:
        return 1.0, 0.0
    line = fit_line(logits[:, None], served, ridge=_FAINT_RIDGE)
    if line.weights[0] > 0:
        return float(line.weights[0]), line.intercept
    return 0.0, level_line(served, width=1).intercept


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Held-out outcomes with much the same chance.

    Attributes:
        outcomes: How many.
        predicted: Their mean chance.
        served: Share that was served well.
        low: Lower bound of the true share (Clopper-Pearson).
        high: Its upper bound.
    """

    outcomes: int
    predicted: float
    served: float
    low: float
    high: float


def reliability_of(chances: NDArray[np.float64], served: NDArray[np.float64]) -> tuple[Reliability, tuple[Bin, ...]]:
    """Compare chances with what came out, in bins of about equally many outcomes.

    Args:
        chances: Of held-out rows, shape (rows,).
        served: 1 or 0 for each.

    Returns:
        The intervals by chance, and the bins they come from; with no rows nothing is known, and there is no bin.
    """
    if not len(chances):
        return Reliability(), ()
    edges = _edges(chances)
    places = np.searchsorted(edges, chances, side="left")
    bins: list[Bin] = []
    for place in range(len(edges) + 1):
        inside = places == place
        count, successes = int(inside.sum()), int(served[inside].sum())
        bins.append(
            Bin(
                outcomes=count,
                predicted=float(chances[inside].mean()),
                served=successes / count,
                low=lower_bound(successes, count, delta=OUTSIDE),
                high=upper_bound(successes, count, delta=OUTSIDE),
            )
        )
    return Reliability(edges=tuple(edges), low=tuple(one.low for one in bins), high=tuple(one.high for one in bins)), tuple(bins)


def _edges(chances: NDArray[np.float64]) -> list[float]:
    """Return the largest chance of every bin but the last; equal chances are never parted."""
    ordered = np.sort(chances)
    bins = max(1, min(BINS, len(ordered) // LEAST_IN_A_BIN))
    ends = {float(ordered[(len(ordered) * place) // bins - 1]) for place in range(1, bins)}
    return sorted(end for end in ends if end < ordered[-1])
