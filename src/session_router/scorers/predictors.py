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

_LEVELS: Final = 127
_EXACT: Final = 2**24  # up to here every whole number is a float32


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
        columns: The vectors as they are multiplied, shape (dimension, outcomes); this and what comes after follows from the others.
        successes: Whether each model is known to have served each, shape (models, outcomes).
        known: Whether that is known.
        prior: The share of each model over all outcomes, shape (models,).
    """

    vectors: NDArray[np.int8]
    scales: NDArray[np.float32]
    served: NDArray[np.int8]
    nearest: int
    columns: NDArray[np.float32] = field(init=False, repr=False)
    successes: NDArray[np.bool_] = field(init=False, repr=False)
    known: NDArray[np.bool_] = field(init=False, repr=False)
    prior: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Work out once what every score needs."""
        successes, known = self.served == 1, self.served != UNKNOWN
        object.__setattr__(self, "columns", self.vectors.T.astype(np.float32, order="C"))
        object.__setattr__(self, "successes", successes)
        object.__setattr__(self, "known", known)
        object.__setattr__(self, "prior", (successes.sum(axis=1) + 1.0) / (known.sum(axis=1) + 2.0))

    def logits(self, vectors: NDArray[np.float32], features: NDArray[np.float64]) -> NDArray[np.float64]:  # noqa: ARG002 -- as the others
        """Return shape (rows, models)."""
        parts = (self.similarities(vectors[start : start + 256]) for start in range(0, len(vectors), 256))
        return np.concatenate([self.log_odds(similarities, self.nearest) for similarities in parts])

    def similarities(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what ranks the outcomes as the cosines do, shape (rows, outcomes).

        Whole numbers are multiplied, and so small ones that no sum is rounded: which outcomes are nearest does not depend on the order
        in which a machine adds, nor on what else is scored.
        """
        levels = max(1, min(_LEVELS, _EXACT // (_LEVELS * vectors.shape[1])))
        products = quantised(vectors, levels=levels)[0].astype(np.float32) @ self.columns
        ranked: NDArray[np.float32] = products * self.scales
        return ranked

    def log_odds(self, similarities: NDArray[np.float32], count: int) -> NDArray[np.float64]:
        """Return the log odds of the share that was served among the `count` nearest, drawn towards the share of all.

        Of outcomes that are equally near, and of which there is no place for all, each counts for a part.

        Args:
            similarities: Shape (rows, outcomes).
            count: From 1 to the number of outcomes.

        Returns:
            Shape (rows, models).
        """
        weight = PRIOR_WEIGHT * self.prior
        found = np.empty((len(similarities), len(self.served)))
        for row, near in enumerate(similarities):
            least = np.partition(near, -count)[-count]
            places = np.flatnonzero(near >= least)
            tied = near[places] == least
            parts = np.where(tied, (count - (~tied).sum()) / tied.sum(), 1.0)
            share = (self.successes[:, places] @ parts + weight) / (self.known[:, places] @ parts + PRIOR_WEIGHT)
            found[row] = np.log(share) - np.log1p(-share)
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlendPredictor:
    """The mean log odds of a line and of neighbours, which see different things: what holds everywhere, and what holds here.

    Attributes:
        line: Fitted to all outcomes.
        neighbours: All or some of them.
    """

    line: LogisticPredictor
    neighbours: NeighbourPredictor

    def logits(self, vectors: NDArray[np.float32], features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return shape (rows, models)."""
        return blended(self.line.logits(vectors, features), self.neighbours.logits(vectors, features))


def blended(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of two log odds."""
    return (one + other) / 2


def quantised(vectors: NDArray[np.float32], *, levels: int = _LEVELS) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return `vectors` as whole numbers in [-levels, levels] and the scale of each row."""
    peaks = np.abs(vectors).max(axis=1, initial=0.0)
    scales = (peaks / levels).astype(np.float32)
    whole = np.divide(vectors, scales[:, None], out=np.zeros_like(vectors), where=scales[:, None] > 0)
    return np.rint(whole).astype(np.int8), scales


Predictor = LogisticPredictor | BlendPredictor
