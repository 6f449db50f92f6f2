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
from session_router.scorers.predictors import UNKNOWN, BlendPredictor, LogisticPredictor, Scaling, blended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from session_router.fitting.logistic import Line
    from session_router.fitting.table import Table
    from session_router.scorers.predictors import Predictor


class Method(StrEnum):
    """How chances are predicted."""

    BLEND = "blend"
    """By a line and by the most similar outcomes, which the fit then holds: their vectors, from which words can be guessed."""

    LOGISTIC = "logistic"
    """By a line alone."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """Predictors of some models.

    Attributes:
        predictor: Of all.
        slopes: Of the calibration, one for each model.
        intercepts: Likewise.
        ridges: That cross-validation chose for each model; `None` where there was nothing to tell apart.
        outcomes: Number of outcomes that each was fitted to.
    """

    predictor: Predictor
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    ridges: tuple[float | None, ...]
    outcomes: tuple[int, ...]

    def chances(self, vectors: NDArray[np.float32], features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated chances, shape (rows, models)."""
        return chances_of(np.array(self.slopes) * self.predictor.logits(vectors, features) + np.array(self.intercepts))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Lines:
    """A line for each model, and what lines that had not seen a question's fold say of it.

    Attributes:
        predictor: Over all questions.
        logits: Out of fold, shape (models, questions); 0 where there was nothing to tell apart.
        ridges: One for each model, or `None`.
    """

    predictor: LogisticPredictor
    logits: NDArray[np.float64]
    ridges: tuple[float | None, ...]


def train(table: Table, columns: NDArray[np.intp], models: Sequence[int], method: Method) -> Trained:
    """Fit to the questions `columns` of `table`.

    Args:
        table: The outcomes.
        columns: Which questions.
        models: Which models, as rows of the table; each has an outcome among them.
        method: How.
    """
    served = table.served[list(models)][:, columns]
    lines = _lines(table, columns, served)
    predictor: Predictor = lines.predictor
    # What is calibrated on: log odds of questions that they were not fitted to.
    logits, labels = lines.logits, served
    if method is Method.BLEND:
        # Which are kept follows from their prompts alone, as all that is split.
        kept = np.sort(np.argsort(table.places[columns], kind="stable")[:MAXIMUM_OUTCOMES])
        labels = served[:, kept]
        looked = cross_look(table.vectors[columns[kept]], labels, table.folds[columns[kept]])
        predictor = BlendPredictor(line=lines.predictor, neighbours=looked.predictor)
        logits = blended(lines.logits[:, kept], looked.logits)
    known = labels != UNKNOWN
    calibrations = [platt(logits[row, known[row]], labels[row, known[row]].astype(np.float64)) for row in range(len(models))]
    return Trained(
        predictor=predictor,
        slopes=tuple(slope for slope, _ in calibrations),
        intercepts=tuple(intercept for _, intercept in calibrations),
        ridges=lines.ridges,
        outcomes=tuple(int(count) for count in (served != UNKNOWN).sum(axis=1)),
    )


def _lines(table: Table, columns: NDArray[np.intp], served: NDArray[np.int8]) -> _Lines:
    scaling = Scaling.of(table.features[columns])
    design = scaling.columns(table.vectors[columns], table.features[columns])
    tried = out_of_fold(design, served, table.folds[columns])
    logits = np.zeros(served.shape)
    lines: list[Line] = []
    ridges: list[float | None] = []
    for row, own in enumerate(served):
        known = own != UNKNOWN
        labels = own[known].astype(np.float64)
        if too_few(labels):
            lines.append(level_line(labels, width=design.shape[1]))
            ridges.append(None)
            continue
        best = best_ridge(tried[:, row, known], labels)
        logits[row] = tried[best, row]
        lines.append(fit_line(design[known], labels, ridge=RIDGES[best]))
        ridges.append(RIDGES[best])
    predictor = LogisticPredictor(
        scaling=scaling,
        weights=np.array([line.weights for line in lines], dtype=np.float32),
        intercepts=np.array([line.intercept for line in lines], dtype=np.float32),
    )
    return _Lines(predictor=predictor, logits=logits, ridges=tuple(ridges))
