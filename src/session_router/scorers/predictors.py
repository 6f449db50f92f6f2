"""Vectors and features -> log odds that each model serves the segment, before they are calibrated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMBEDDING_SCALE: Final = 4.0
"""Unit vectors are made this long, so that one ridge fits both them and the standardised features."""

FURTHEST: Final = 4.0
"""A feature counts up to so many standard deviations from its mean: what was never seen must not decide alone."""

PRIOR_WEIGHT: Final = 2.0
"""Neighbours that the model's share over all outcomes counts for."""

UNKNOWN: Final = -1
"""In the place of 0 or 1, where a model was not asked."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaling:
    """Standardises features.

    Attributes:
        centre: Mean of each feature, shape (features,).
        spread: Standard deviation of each; 0 for one that never varied, which is then ignored.
    """

    centre: NDArray[np.float32]
    spread: NDArray[np.float32]

    def columns(self, vectors: NDArray[np.float32], features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return shape (rows, dimension + features): the scaled vectors, then the standardised features."""
        spread = self.spread.astype(np.float64)
        shifted = features - self.centre
        standard = np.divide(shifted, spread, out=np.zeros_like(shifted), where=spread > 0)
        return np.hstack([EMBEDDING_SCALE * vectors.astype(np.float64), np.clip(standard, -FURTHEST, FURTHEST)])

    @classmethod
    def of(cls, features: NDArray[np.float64]) -> Scaling:
        """Learn from the rows of `features`."""
        spread = features.std(axis=0)
        # Rounding errors of a constant are no variation.
        spread[spread < 1e-6] = 0.0  # noqa: PLR2004 -- features are in [0, 1]
        return cls(centre=features.mean(axis=0).astype(np.float32), spread=spread.astype(np.float32))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogisticPredictor:
    """A linear function for each model.

    Attributes:
        scaling: Of the features.
        weights: Shape (models, dimension + features).
        intercepts: Shape (models,).
    """

    scaling: Scaling
    weights: NDArray[np.float32]
    intercepts: NDArray[np.float32]

    def logits(self, vectors: NDArray[np.float32], features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return shape (rows, models)."""
        columns = self.scaling.columns(vectors, features)
        return columns @ self.weights.astype(np.float64).T + self.intercepts.astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NeighbourPredictor:
    """Looks up the nearest of the outcomes it was fitted to. Features do not count.

    Attributes:
        vectors: Their vectors, times 127 over the largest number of each and rounded; shape (outcomes, dimension).
        scales: What makes each row as long as it was, shape (outcomes,).
        served: Whether each model served each: 1, 0, or `UNKNOWN`; shape (models, outcomes).
        nearest: How many are looked at.
        columns: The vectors as they are multiplied, shape (dimension, outcomes); follows from the others.
    """

    vectors: NDArray[np.int8]
    scales: NDArray[np.float32]
    served: NDArray[np.int8]
    nearest: int
    columns: NDArray[np.float32] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Turn bytes into numbers once, and not for every score."""
        object.__setattr__(self, "columns", self.vectors.T.astype(np.float32))

    def logits(self, vectors: NDArray[np.float32], features: NDArray[np.float64]) -> NDArray[np.float64]:  # noqa: ARG002 -- as the others
        """Return shape (rows, models)."""
        return np.concatenate([self._some(vectors[start : start + 256]) for start in range(0, len(vectors), 256)])

    def _some(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        near = nearest_of(self.similarities(vectors), self.nearest)
        return np.stack([log_odds(self.served[model], near) for model in range(len(self.served))], axis=1)

    def similarities(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosines, shape (rows, outcomes)."""
        products = vectors @ self.columns
        cosines: NDArray[np.float32] = products * self.scales
        return cosines


def nearest_of(similarities: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Return which `count` of each row are the largest, in no order; shape (rows, count)."""
    count = min(count, similarities.shape[1])
    return np.argpartition(similarities, -count, axis=1)[:, -count:]


def log_odds(served: NDArray[np.int8], near: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the log odds of the share that was served among the neighbours `near`, drawn towards the share of all; shape (rows,)."""
    known = served != UNKNOWN
    successes = np.where(known, served, 0)
    prior = (successes.sum() + 1.0) / (known.sum() + 2.0)
    share = (successes[near].sum(axis=1) + PRIOR_WEIGHT * prior) / (known[near].sum(axis=1) + PRIOR_WEIGHT)
    return np.asarray(np.log(share) - np.log1p(-share), dtype=np.float64)


def quantised(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return `vectors` as whole numbers in [-127, 127] and the scale of each row."""
    peaks = np.abs(vectors).max(axis=1, initial=0.0)
    scales = (peaks / 127).astype(np.float32)
    whole = np.divide(vectors, scales[:, None], out=np.zeros_like(vectors), where=scales[:, None] > 0)
    return np.rint(whole).astype(np.int8), scales


Predictor = LogisticPredictor | NeighbourPredictor
