"""What is expected of a model that nobody has outcomes of: from how dear it is beside others, and how hard the text looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log
from typing import TYPE_CHECKING, Final

import numpy as np

from session_router.core.need import Need
from session_router.scorers.predictors import EMBEDDING_SCALE, FURTHEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from session_router.scorers.predictors import Scaling

HARDEST: Final = 2.5
"""Difficulties beyond, in either direction, are taken for this one: they were hardly seen."""

SKILL_DOUBLINGS: Final = 10
"""A stated skill of 1 is that of the dearest model, and every 0.1 less is what half the price is."""

LEAST_RELATIVE_PRICE: Final = -SKILL_DOUBLINGS * log(2)
"""About a thousandth of the dearest price; cheaper models are taken for as cheap as this."""

_DECIMALS = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prior:
    """A linear function: log odds = level - difficulty * harder + relative price * (price + difficulty * interaction).

    Relative price is the logarithm of a model's price over that of the dearest model that is asked about: at most 0. Its slope is
    never negative, so that a dearer model is never less likely to serve.

    Attributes:
        fingerprint: Of the embedder that `direction` belongs to.
        dimension: Length of its vectors.
        scaling: Of the features.
        direction: From what is served to what is not, shape (dimension + features,); difficulties vary by 1 along it.
        centre: What vectors say along it in the mean.
        level: Log odds of the dearest model on a text of difficulty 0.
        harder: By how much the log odds fall with each unit of difficulty.
        price: By how much they rise with the relative price, for a text of difficulty 0.
        interaction: By how much more they do with each unit of difficulty.
        spread: Half width of the interval, in log odds: between families of tasks and models, not between texts of one.
        coverage: Share of families and models never seen whose share of successes the interval is to hold, in (0, 1).
        dollars: Price, input and output together, of a model of 1,000,000,000 parameters, in US dollars per 1,000,000 tokens.
        exponent: The price grows with the number of parameters to this power.
        of_vectors: What each number of a vector counts; this and the next three follow from the others.
        of_features: What each feature counts.
        least: Features below count as much as these.
        most: And those above as these.

    Raises:
        ValueError: A number is out of its range, or two do not go together.
    """

    fingerprint: str
    dimension: int
    scaling: Scaling
    direction: NDArray[np.float32]
    centre: float
    level: float
    harder: float
    price: float
    interaction: float
    spread: float
    coverage: float
    dollars: float
    exponent: float
    of_vectors: NDArray[np.float64] = field(init=False, repr=False)
    of_features: NDArray[np.float64] = field(init=False, repr=False)
    least: NDArray[np.float64] = field(init=False, repr=False)
    most: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check what the formula rests on, and work out once what every score needs."""
        if self.direction.shape != (self.dimension + len(self.scaling.centre),):
            message = f"the direction has shape {self.direction.shape}"
            raise ValueError(message)
        if not abs(self.interaction) * HARDEST <= self.price:
            message = "with these, a dearer model would be less likely to serve some texts"
            raise ValueError(message)
        if not (self.spread >= 0 and 0 < self.coverage < 1 and self.dollars > 0 and self.exponent >= 0):
            message = "the spread, the coverage or the prices of sizes are out of their range"
            raise ValueError(message)
        centre, spread, direction = (array.astype(np.float64) for array in (self.scaling.centre, self.scaling.spread, self.direction))
        slopes = np.divide(direction[self.dimension :], spread, out=np.zeros_like(spread), where=spread > 0)
        object.__setattr__(self, "of_vectors", EMBEDDING_SCALE * direction[: self.dimension])
        object.__setattr__(self, "of_features", slopes)
        object.__setattr__(self, "least", centre - FURTHEST * spread)
        object.__setattr__(self, "most", centre + FURTHEST * spread)

    def difficulties(self, vectors: NDArray[np.float32], features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how hard texts look, shape (rows,); 0 in the mean of what was seen, and in [-2.5, 2.5].

        A text in which the embedder knows nothing is told by its features alone.
        """
        known = vectors.any(axis=1)
        meant = (vectors @ self.of_vectors - self.centre) * known
        # The same as `Scaling.columns` times the direction, in fewer steps.
        shown = (np.minimum(np.maximum(features, self.least), self.most) - self.scaling.centre) @ self.of_features
        return np.asarray(np.minimum(np.maximum(meant + shown, -HARDEST), HARDEST), dtype=np.float64)

    def need(self, difficulty: float, relative_price: float | None) -> Need:
        """Return the need of a model.

        Args:
            difficulty: Of the text, as `difficulties` returns it.
            relative_price: Of the model, <= 0; `None` when nothing tells how strong it is: it is then taken for one in the middle,
                and its interval reaches from that of the weakest to that of the dearest.
        """
        if relative_price is None:
            weakest, middle, dearest = (self.need(difficulty, share * LEAST_RELATIVE_PRICE) for share in (1.0, 0.5, 0.0))
            return Need(p_success=middle.p_success, low=weakest.low, high=dearest.high)
        logit = self.logits(difficulty, max(relative_price, LEAST_RELATIVE_PRICE))
        return Need(p_success=_chance(logit), low=_chance(logit - self.spread), high=_chance(logit + self.spread))

    def logits(self, difficulty: float, relative_price: float) -> float:
        """Return the log odds."""
        return self.level - difficulty * self.harder + relative_price * (self.price + difficulty * self.interaction)


def _chance(logit: float) -> float:
    return round(1 / (1 + exp(-logit)), _DECIMALS)
