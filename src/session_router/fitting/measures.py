"""How good chances are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from session_router.fitting.calibration import Bin


def area_under_curve(chances: NDArray[np.float64], served: NDArray[np.float64]) -> float | None:
    """Return the chance that a success has a higher chance than a failure; equal ones count half.

    The area under the ROC curve, as the statistic of Mann and Whitney; `None` where there are no two kinds to compare.
    """
    successes = int(served.sum())
    failures = len(served) - successes
    if not successes or not failures:
        return None
    _, places, counts = np.unique(chances, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    ranks = (ends - (counts - 1) / 2)[places]
    return float((ranks[served == 1].sum() - successes * (successes + 1) / 2) / (successes * failures))


def brier_score(chances: NDArray[np.float64], served: NDArray[np.float64]) -> float:
    """Return the mean squared error of the chances: 0 is best."""
    return float(np.square(chances - served).mean())


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return how far predicted and observed shares are apart in the mean over all outcomes (expected calibration error)."""
    total = sum(one.outcomes for one in bins)
    return sum(one.outcomes * abs(one.predicted - one.served) for one in bins) / total
