"""Intervals for what is measured on outcomes: by drawing groups of them anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from session_router.core.risk import lower_bound, upper_bound

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

RESAMPLES: Final = 400
OUTSIDE: Final = 0.025
"""Chance that what is true lies above an interval, and chance that it lies below."""

_AT_ONCE = 50  # draws: bounds the memory


class Interval(NamedTuple):
    """Ends of a 95 % interval."""

    low: float
    high: float


def draws_of(groups: NDArray[np.intp], *, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """Draw as many groups as there are, with replacement, again and again (the bootstrap over clusters).

    Args:
        groups: Number of the group of each row, from 0 without gaps.
        resamples: How often.
        seed: The same seed gives the same draws: differences of what is computed from them are paired.

    Returns:
        How often each row was drawn, shape (resamples, rows).
    """
    count = int(groups.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    return drawn[:, groups].astype(np.float64)


def interval_of(values: NDArray[np.float64]) -> Interval:
    """Return the percentile interval; draws in which a value is not defined do not count."""
    known = values[~np.isnan(values)]
    if not len(known):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(known, [OUTSIDE, 1 - OUTSIDE])
    return Interval(float(low), float(high))


def told(intervals: Mapping[str, Interval], digits: int = 4) -> str:
    """Write intervals of several, for a note."""
    return ", ".join(f"{name} [{low:.{digits}f}, {high:.{digits}f}]" for name, (low, high) in intervals.items())


def exact_interval(failures: int, trials: int) -> Interval:
    """Return the exact interval of a share (Clopper-Pearson)."""
    return Interval(lower_bound(failures, trials, delta=OUTSIDE), upper_bound(failures, trials, delta=OUTSIDE))


def areas(scores: NDArray[np.float64], labels: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area under the ROC curve in each draw; ties count half; NaN where a draw has no two kinds.

    Args:
        scores: Higher where the label is likelier, shape (rows,).
        labels: 1 or 0, shape (rows,).
        draws: Shape (draws, rows).
    """
    order = np.argsort(scores, kind="stable")
    _, starts = np.unique(scores[order], return_index=True)
    found = np.empty(len(draws))
    for place, some in _parts(draws):
        weights = some[:, order]
        positives = np.add.reduceat(weights * labels[order], starts, axis=1)
        negatives = np.add.reduceat(weights * (1 - labels[order]), starts, axis=1)
        below = np.cumsum(negatives, axis=1) - negatives / 2
        pairs = positives.sum(axis=1) * negatives.sum(axis=1)
        won = (positives * below).sum(axis=1)
        found[place : place + len(some)] = np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)
    return found


def means(values: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of `values` in each draw."""
    return np.asarray(draws @ values / draws.sum(axis=1), dtype=np.float64)


def calibration_errors(
    chances: NDArray[np.float64], came: NDArray[np.float64], bins: NDArray[np.intp], draws: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the expected calibration error in each draw.

    Args:
        chances: What was said.
        came: 1 or 0: whether it came so.
        bins: Which bin each row is in, from 0.
        draws: Shape (draws, rows).
    """
    apart = np.zeros(len(draws))
    for place in range(int(bins.max()) + 1):
        inside = bins == place
        apart += np.abs(draws[:, inside] @ (chances - came)[inside])
    return apart / draws.sum(axis=1)


def _parts(draws: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    for place in range(0, len(draws), _AT_ONCE):
        yield place, draws[place : place + _AT_ONCE]
