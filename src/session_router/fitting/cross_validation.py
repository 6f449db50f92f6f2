"""What ridge regressions of many models say of each row when they have not seen its fold: all models and ridges at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from session_router.scorers.predictors import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

RIDGES: Final = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0)
"""Penalties that are tried; of equally good ones the first is taken."""

_STEPS = 100
_SMALL = 1e-3  # a step that changes no weight by more ends the descent: enough to compare ridges


def out_of_fold(
    columns: NDArray[np.float64], served: NDArray[np.int8], folds: NDArray[np.intp], *, ridges: Sequence[float] = RIDGES
) -> NDArray[np.float64]:
    """Predict every row by regressions on the other folds.

    Args:
        columns: Shape (rows, columns).
        served: 1, 0 or `UNKNOWN`, shape (models, rows).
        folds: Which fold each row is in.
        ridges: Penalties.

    Returns:
        Log odds, shape (ridges, models, rows).
    """
    logits = np.zeros((len(ridges), *served.shape))
    for fold in np.unique(folds):
        inside, outside = folds != fold, folds == fold
        if inside.any():
            centre = columns[inside].mean(axis=0)
            weights, intercepts = _regressions(columns[inside] - centre, served[:, inside], ridges)
            found = np.tensordot(weights, columns[outside] - centre, axes=([2], [1])) + intercepts[:, :, None]
            logits[:, :, outside] = found
    return logits


def best_ridge(logits: NDArray[np.float64], served: NDArray[np.float64]) -> int:
    """Return the place of the ridge with the least log loss.

    Args:
        logits: Out of fold, shape (ridges, rows).
        served: 1 or 0 for each row.
    """
    return int(np.argmin((np.logaddexp(0.0, logits) - served * logits).mean(axis=1)))


def _regressions(
    columns: NDArray[np.float64], served: NDArray[np.int8], ridges: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit every model with every ridge.

    The curvature of the loss is at most a quarter of that of the squares, for all models alike: one decomposition of `columns`
    serves all of them (Boehning and Lindsay, "Monotonicity of quadratic-approximation algorithms", 1988). The steps are
    accelerated, and start anew where the momentum points uphill (O'Donoghue and Candes, "Adaptive restart for accelerated
    gradient schemes", 2015).

    Returns:
        Weights, shape (ridges, models, columns), and intercepts, shape (ridges, models).
    """
    rows, width = columns.shape
    curvature, basis = np.linalg.eigh(columns.T @ columns)
    # The columns are centred, so that the intercept is a direction of its own.
    design = np.hstack([columns @ basis, np.ones((rows, 1))])
    models = len(served)
    penalty = np.repeat(np.array(ridges), models) * np.append(np.ones(width), 0.0)[:, None]
    known = np.tile((served != UNKNOWN).T, len(ridges)).astype(np.float64)
    labels = np.tile(np.where(served == 1, 1.0, 0.0).T, len(ridges))
    largest = np.append(np.maximum(curvature, 0.0), rows)[:, None] / 4 + penalty
    point = np.zeros((width + 1, models * len(ridges)))
    ahead, momentum = point, np.ones(point.shape[1])
    for _ in range(_STEPS):
        errors = known * (1 / (1 + np.exp(-np.clip(design @ ahead, -50, 50))) - labels)
        slope = design.T @ errors + penalty * ahead
        reached = ahead - slope / largest
        step = reached - point
        if np.abs(step).max() <= _SMALL:
            break
        uphill = (slope * step).sum(axis=0) > 0
        grown = np.where(uphill, 1.0, (1 + np.sqrt(1 + 4 * momentum**2)) / 2)
        ahead = reached + np.where(uphill, 0.0, (momentum - 1) / grown) * step
        point, momentum = reached, grown
    weights = (basis @ point[:-1]).T.reshape(len(ridges), models, width)
    return weights, point[-1].reshape(len(ridges), models)
