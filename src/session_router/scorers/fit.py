"""What was fitted: from log odds to chances, intervals and certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from session_router.core.need import Need

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from session_router.core.model import ModelName
    from session_router.core.risk import Certificate
    from session_router.scorers.guard_limits import Guard
    from session_router.scorers.predictors import Predictor

DECIMALS: Final = 6
"""Of a chance. Sums come out a little different alone and among others; what is said must not."""

_LARGEST_LOGIT = 15.0  # a chance of 0 or 1 is nothing that outcomes can show


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """How often what was promised came true, in outcomes that nothing was fitted to.

    Attributes:
        edges: Where one bin of chances ends and the next begins, ascending; a chance on an edge belongs to the bin below.
        low: Lower bound of the share that was served, of each bin; one more than edges.
        high: Its upper bound.
    """

    edges: tuple[float, ...] = ()
    low: tuple[float, ...] = (0.0,)
    high: tuple[float, ...] = (1.0,)

    def interval(self, chance: float) -> tuple[float, float]:
        """Return the bounds around `chance`, which it lies between."""
        place = int(np.searchsorted(self.edges, chance, side="left"))
        return min(chance, self.low[place]), max(chance, self.high[place])


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedModel:
    """What is known of one model.

    Attributes:
        name: As in the outcomes.
        slope: Of the calibrated log odds over the raw ones, >= 0 (Platt, "Probabilistic outputs for support vector machines", 1999).
        intercept: The calibrated log odds where the raw ones are 0.
        reliability: Where its interval comes from.
        certificate: Where it may stand in for the reference; `None` for nowhere.
        outcomes: Number of outcomes that it was fitted to.
    """

    name: ModelName
    slope: float
    intercept: float
    reliability: Reliability
    certificate: Certificate | None
    outcomes: int

    def need(self, chance: float) -> Need:
        """Return the need for a segment with this chance; its certificate only where it holds."""
        low, high = self.reliability.interval(chance)
        certified = self.certificate is not None and chance >= self.certificate.least_chance
        return Need(p_success=chance, low=low, high=high, certificate=self.certificate if certified else None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """Everything that a scorer needs to know.

    Attributes:
        embedder: Name of a built-in embedder, such as `static`; empty for another one.
        fingerprint: That of the embedder.
        dimension: Length of its vectors.
        predictor: Of all models, in their order.
        models: Those that can be scored, at least one.
        reference: The model that certificates speak of.
        guard: What the scorer is guarded with; certificates are about the guarded scorer then. `None` for no guard.
    """

    embedder: str
    fingerprint: str
    dimension: int
    predictor: Predictor
    models: tuple[FittedModel, ...]
    reference: ModelName
    guard: Guard | None = None

    def chances(self, vectors: NDArray[np.float32], features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated chances, shape (rows, models)."""
        slopes = np.array([model.slope for model in self.models])
        intercepts = np.array([model.intercept for model in self.models])
        return chances_of(slopes * self.predictor.logits(vectors, features) + intercepts)


def chances_of(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chances of log odds, rounded."""
    bounded = np.clip(logits, -_LARGEST_LOGIT, _LARGEST_LOGIT)
    return np.asarray(np.round(1 / (1 + np.exp(-bounded)), DECIMALS), dtype=np.float64)
