"""Fits predictors to some of the outcomes, and calibrates them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from session_router.fitting.calibration import platt
from session_router.fitting.cross_validation import RIDGES, best_ridge, out_of_fold
from session_router.fitting.logistic import fit_line, level_line, too_few
from session_router.fitting.neighbours import MAXIMUM_OUTCOMES, cross_look
from session_router.scorers.fit import chances_of
from session_router.scorers.predictors import UNKNOWN, LogisticPredictor, Scaling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from session_router.fitting.table import Table
    from session_router.scorers.predictors import Predictor


class Method(StrEnum):
    """How chances are predicted."""

    LOGISTIC = "logistic"
    NEIGHBOURS = "neighbours"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """Predictors of some models.

    Attributes:
        predictor: Of all.
        slopes: Of the calibration, one for each model.
        intercepts: Likewise.
        chosen: The ridge of each model, or the number of neighbours; `None` where there was nothing to tell apart.
        outcomes: Number of outcomes that each was fitted to.
    """

    predictor: Predictor
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    chosen: tuple[float | None, ...]
    outcomes: tuple[int, ...]

    def chances(self, vectors: NDArray[np.float32], features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated chances, shape (rows, models)."""
        return chances_of(np.array(self.slopes) * self.predictor.logits(vectors, features) + np.array(self.intercepts))


def train(table: Table, columns: NDArray[np.intp], models: Sequence[int], method: Method) -> Trained:
    """Fit to the questions `columns` of `table`.

    Args:
        table: The outcomes.
        columns: Which questions.
        models: Which models, as rows of the table; each has an outcome among them.
        method: How.
    """
    return _lines(table, columns, models) if method is Method.LOGISTIC else _neighbours(table, columns, models)


def _lines(table: Table, columns: NDArray[np.intp], models: Sequence[int]) -> Trained:
    scaling = Scaling.of(table.features[columns])
    design = scaling.columns(table.vectors[columns], table.features[columns])
    served = table.served[list(models)][:, columns]
    logits = out_of_fold(design, served, table.folds[columns])
    weights: list[NDArray[np.float64]] = []
    intercepts: list[float] = []
    lines: list[tuple[float, float]] = []
    chosen: list[float | None] = []
    for row, own in enumerate(served):
        known = own != UNKNOWN
        labels = own[known].astype(np.float64)
        if too_few(labels):
            line, calibration, ridge = level_line(labels, width=design.shape[1]), (1.0, 0.0), None
        else:
            best = best_ridge(logits[:, row, known], labels)
            ridge = RIDGES[best]
            line, calibration = fit_line(design[known], labels, ridge=ridge), platt(logits[best, row, known], labels)
        weights.append(line.weights)
        intercepts.append(line.intercept)
        lines.append(calibration)
        chosen.append(ridge)
    predictor = LogisticPredictor(
        scaling=scaling, weights=np.array(weights, dtype=np.float32), intercepts=np.array(intercepts, dtype=np.float32)
    )
    return _trained(predictor, lines, chosen, [int((own != UNKNOWN).sum()) for own in served])


def _neighbours(table: Table, columns: NDArray[np.intp], models: Sequence[int]) -> Trained:
    # Which are kept follows from their prompts alone, as all that is split.
    kept = np.sort(columns[np.argsort(table.places[columns], kind="stable")[:MAXIMUM_OUTCOMES]])
    served = table.served[list(models)][:, kept]
    found = cross_look(table.vectors[kept], served, table.folds[kept])
    known = served != UNKNOWN
    lines = [platt(found.logits[row, known[row]], served[row, known[row]].astype(np.float64)) for row in range(len(models))]
    nearest: list[float | None] = [float(found.predictor.nearest)] * len(models)
    return _trained(found.predictor, lines, nearest, [int(one.sum()) for one in known])


def _trained(
    predictor: Predictor, lines: Sequence[tuple[float, float]], chosen: Sequence[float | None], outcomes: Sequence[int]
) -> Trained:
    return Trained(
        predictor=predictor,
        slopes=tuple(slope for slope, _ in lines),
        intercepts=tuple(intercept for _, intercept in lines),
        chosen=tuple(chosen),
        outcomes=tuple(outcomes),
    )
