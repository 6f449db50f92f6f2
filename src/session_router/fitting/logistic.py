"""Logistic regression with an L2 penalty, by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_OF_A_KIND: Final = 5
"""With fewer successes, or fewer failures, there is nothing to tell apart."""

_STEPS, _HALVINGS = 50, 30
_FLAT = 1e-9  # largest slope an outcome at which the descent ends


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """A linear function: the log odds.

    Attributes:
        weights: Shape (columns,).
        intercept: Its value at 0.
    """

    weights: NDArray[np.float64]
    intercept: float

    def logits(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return shape (rows,)."""
        return np.asarray(columns @ self.weights + self.intercept, dtype=np.float64)


def fit_line(columns: NDArray[np.float64], served: NDArray[np.float64], *, ridge: float) -> Line:
    """Minimise the sum of the log losses plus ridge / 2 times the squared weights; the intercept is free.

    By Newton's method with step halving (iteratively reweighted least squares): the problem is convex.

    Args:
        columns: Shape (rows, columns).
        served: 1 or 0 for each row, shape (rows,); both occur.
        ridge: > 0.
    """
    rows, width = columns.shape
    design = np.hstack([columns, np.ones((rows, 1))])
    penalty = np.full(width + 1, ridge)
    penalty[-1] = 0.0
    point = np.zeros(width + 1)
    loss = _loss(design, served, penalty, point)
    for _ in range(_STEPS):
        chances = 1 / (1 + np.exp(-np.clip(design @ point, -500, 500)))
        slope = design.T @ (chances - served) + penalty * point
        if np.abs(slope).max() <= _FLAT * rows:
            break
        # The square root on both sides: one matrix times itself takes half the work.
        weighted = design * np.sqrt(np.maximum(chances * (1 - chances), 1e-12))[:, None]
        step = np.linalg.solve(weighted.T @ weighted + np.diag(penalty), slope)
        size = 1.0
        for _ in range(_HALVINGS):
            candidate = point - size * step
            reached = _loss(design, served, penalty, candidate)
            if reached <= loss:
                break
            size /= 2
        else:
            break  # at the precision of the numbers
        point, loss = candidate, reached
    return Line(weights=point[:-1], intercept=float(point[-1]))


def _loss(design: NDArray[np.float64], served: NDArray[np.float64], penalty: NDArray[np.float64], point: NDArray[np.float64]) -> float:
    logits = design @ point
    return float(np.logaddexp(0.0, logits).sum() - served @ logits + (penalty * point * point).sum() / 2)


def too_few(served: NDArray[np.float64]) -> bool:
    """Whether there are too few successes, or too few failures, to tell them apart."""
    return bool(min(served.sum(), len(served) - served.sum()) < LEAST_OF_A_KIND)


def level_line(served: NDArray[np.float64], *, width: int) -> Line:
    """Return the line that says the same of every row: the share of those served, drawn towards the half."""
    share = (served.sum() + 1) / (len(served) + 2)
    return Line(weights=np.zeros(width), intercept=float(np.log(share) - np.log1p(-share)))
