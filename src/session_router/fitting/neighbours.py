"""How many neighbours to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from session_router.scorers.predictors import UNKNOWN, NeighbourPredictor, quantised

if TYPE_CHECKING:
    from numpy.typing import NDArray

COUNTS: Final = (10, 20, 40, 80, 160)
"""Numbers of neighbours that are tried."""

MAXIMUM_OUTCOMES: Final = 10_000
"""Questions that are kept at most: all of them are looked at for every score."""

_AT_ONCE = 256  # rows of similarities


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CrossLooked:
    """A choice, and what it would have said of each row had the row's fold not been there.

    Attributes:
        predictor: Over all rows.
        logits: Out of fold, shape (models, rows).
    """

    predictor: NeighbourPredictor
    logits: NDArray[np.float64]


def cross_look(vectors: NDArray[np.float32], served: NDArray[np.int8], folds: NDArray[np.intp]) -> CrossLooked:
    """Choose the number of neighbours with the least log loss out of fold, over all models.

    Args:
        vectors: Shape (rows, dimension).
        served: 1, 0 or `UNKNOWN`, shape (models, rows).
        folds: Which fold each row is in.
    """
    whole, scales = quantised(vectors)
    counts = [count for count in COUNTS if count <= len(vectors) // 2] or [max(1, len(vectors) // 2)]
    logits = np.zeros((len(counts), *served.shape))
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if not len(inside):
            continue
        there = NeighbourPredictor(vectors=whole[inside], scales=scales[inside], served=served[:, inside], nearest=1)
        for start in range(0, len(outside), _AT_ONCE):
            some = outside[start : start + _AT_ONCE]
            similarities = there.similarities(vectors[some])
            for place, count in enumerate(counts):
                logits[place, :, some] = there.log_odds(similarities, min(count, len(inside)))
    known = served != UNKNOWN
    losses = (np.logaddexp(0.0, logits) - served * logits)[:, known].mean(axis=1)
    best = int(np.argmin(losses))
    predictor = NeighbourPredictor(vectors=whole, scales=scales, served=served, nearest=counts[best])
    return CrossLooked(predictor=predictor, logits=logits[best])
