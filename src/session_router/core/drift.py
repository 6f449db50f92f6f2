"""How the need of one segment tells that of the next."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, NamedTuple

from session_router.core.segment import MEMORY, PRIOR_WEIGHT
from session_router.core.value import maker, value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.model import ModelName

PRIOR_VARIANCE = 0.01
"""Weight of the assumption that half of a deviation persists: that of one segment 0.1 off the mean."""


class Deviation(NamedTuple):
    """How need deviated from its mean, at two segments in a row, in the mean over their models.

    Attributes:
        square: Of the deviation at the first.
        product: Of both.
    """

    square: float
    product: float


@value
class Drift:
    """A first-order autoregression of need: part of its deviation from the session's mean persists.

    Attributes:
        weight: Segments that the means stand for, the forgotten ones left out.
        chances: Mean `p_success` by model.
        last: By how much `p_success` deviated in the last segment from its mean, that segment included, by model; empty before the
            first, and where nobody scored the last.
        variance: Sum of squared deviations from the mean, the forgotten ones left out.
        covariance: Sum of products of successive deviations, as above.
    """

    weight: float = 0.0
    chances: Mapping[ModelName, float] = field(default_factory=dict["ModelName", float])
    last: Mapping[ModelName, float] = field(default_factory=dict["ModelName", float])
    variance: float = 0.0
    covariance: float = 0.0

    @property
    def persistence(self) -> float:
        """Share of a deviation that is left one segment later, in [0, 1]."""
        share = (self.covariance + PRIOR_VARIANCE / 2) / (self.variance + PRIOR_VARIANCE)
        return min(1.0, max(0.0, share))

    def as_prior(self) -> Drift:
        """Return this drift as a session begins with it: it soon has means of its own."""
        return new_drift(weight=min(self.weight, PRIOR_WEIGHT), chances=self.chances, variance=self.variance, covariance=self.covariance)

    def deviation(self, chances: Mapping[ModelName, float]) -> Deviation | None:
        """Return how need deviates from its mean, in the last segment and in one with `chances`.

        Model by model: where one gains what another loses, need has moved all the same. `None` while there is no last one, or
        the mean rests on it alone.
        """
        if self.weight <= 1:
            return None
        models, square, product = 0, 0.0, 0.0
        for name, before in self.last.items():
            if name in chances:
                models += 1
                square += before * before
                product += before * (chances[name] - self.chances[name])
        return Deviation(square / models, product / models) if models else None

    def moved(self, deviation: Deviation, *, memory: float = MEMORY) -> Drift:
        """Return this drift after need deviated from its mean."""
        variance, covariance = memory * self.variance + deviation.square, memory * self.covariance + deviation.product
        return new_drift(weight=self.weight, chances=self.chances, last=self.last, variance=variance, covariance=covariance)

    def averaged(self, chances: Mapping[ModelName, float], *, memory: float = MEMORY) -> Drift:
        """Return this drift with `chances` (`p_success` by model) in its means, and nothing said of how need moves."""
        return new_drift(
            weight=memory * self.weight + 1,
            chances=self._means(chances, memory=memory),
            last=self.last,
            variance=self.variance,
            covariance=self.covariance,
        )

    def seen(self, chances: Mapping[ModelName, float], deviation: Deviation | None) -> Drift:
        """Return this drift after a segment with `chances` (`p_success` by model, at least one).

        Args:
            chances: Of the segment.
            deviation: What `deviation` says of it.
        """
        means, (square, product) = self._means(chances, memory=MEMORY), deviation or (0.0, 0.0)
        forgets = 1.0 if deviation is None else MEMORY
        return new_drift(
            weight=MEMORY * self.weight + 1,
            chances=means,
            last={name: chance - means[name] for name, chance in chances.items()},
            variance=forgets * self.variance + square,
            covariance=forgets * self.covariance + product,
        )

    def _means(self, chances: Mapping[ModelName, float], *, memory: float) -> dict[ModelName, float]:
        share = 1 / (memory * self.weight + 1)
        means = dict(self.chances)
        for name, chance in chances.items():
            before = means.get(name, chance)
            means[name] = before + share * (chance - before)
        return means

    def expected(self, chances: Mapping[ModelName, float], *, further: float) -> dict[ModelName, float]:
        """Expect the mean `p_success` over the segments that follow one.

        Args:
            chances: `p_success` in that segment, by model.
            further: How many follow, >= 0.
        """
        rho = self.persistence
        if rho == 1 or further == 0:
            return dict(chances)
        # The mean of rho, rho^2, ..., rho^further. Of fewer than one, that one: `further` may come close to nothing.
        ahead = max(1.0, further)
        left: float = min(1.0, rho * (1 - rho**ahead) / (ahead * (1 - rho)))
        means = self.chances
        return {name: left * chance + (1 - left) * means.get(name, chance) for name, chance in chances.items()}


new_drift = maker(Drift)
