"""How the need of one segment tells that of the next."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from session_router.core.segment import MEMORY, PRIOR_WEIGHT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.model import ModelName

PRIOR_VARIANCE = 0.01
"""Weight of the assumption that half of a deviation persists: that of one segment 0.1 off the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A first-order autoregression of need: part of its deviation from the session's mean persists.

    Attributes:
        weight: Segments that the means stand for, the forgotten ones left out.
        chances: Mean `p_success` by model.
        last: By how much `p_success` deviated from its mean in the last segment, in the mean over its candidates; `None`
            before the first.
        variance: Sum of squared deviations from the mean, the forgotten ones left out.
        covariance: Sum of products of successive deviations, as above.
    """

    weight: float = 0.0
    chances: Mapping[ModelName, float] = field(default_factory=dict["ModelName", float])
    last: float | None = None
    variance: float = 0.0
    covariance: float = 0.0

    @property
    def persistence(self) -> float:
        """Share of a deviation that is left one segment later, in [0, 1]."""
        share = (self.covariance + PRIOR_VARIANCE / 2) / (self.variance + PRIOR_VARIANCE)
        return min(1.0, max(0.0, share))

    def as_prior(self) -> Drift:
        """Return this drift as a session begins with it: it soon has means of its own."""
        return Drift(weight=min(self.weight, PRIOR_WEIGHT), chances=self.chances, variance=self.variance, covariance=self.covariance)

    def deviations(self, chances: Mapping[ModelName, float]) -> tuple[float, float] | None:
        """Return by how much need deviates from its mean, in the last segment and in one with `chances`.

        `None` while there is no last one, or the mean rests on it alone.
        """
        now = [chance - self.chances[name] for name, chance in chances.items() if name in self.chances]
        if self.last is None or self.weight <= 1 or not now:
            return None
        return self.last, sum(now) / len(now)

    def moved(self, before: float, now: float, *, memory: float = MEMORY) -> Drift:
        """Return this drift after need deviated from its mean by `before` and then by `now`."""
        return replace(self, variance=memory * self.variance + before * before, covariance=memory * self.covariance + before * now)

    def averaged(self, chances: Mapping[ModelName, float], *, memory: float = MEMORY) -> Drift:
        """Return this drift with `chances` (`p_success` by model) in its means, and nothing said of how need moves."""
        share = 1 / (memory * self.weight + 1)
        means = dict(self.chances)
        for name, chance in chances.items():
            before = means.get(name, chance)
            means[name] = before + share * (chance - before)
        return Drift(weight=memory * self.weight + 1, chances=means, last=self.last, variance=self.variance, covariance=self.covariance)

    def seen(self, chances: Mapping[ModelName, float]) -> Drift:
        """Return this drift after a segment with `chances` (`p_success` by model, at least one)."""
        deviations = self.deviations(chances)
        drift = (self if deviations is None else self.moved(*deviations)).averaged(chances)
        return replace(drift, last=sum(chance - drift.chances[name] for name, chance in chances.items()) / len(chances))

    def expected(self, name: ModelName, chance: float, *, further: float) -> float:
        """Expect the mean `p_success` over the segments that follow one.

        Args:
            name: The model.
            chance: Its `p_success` in that segment.
            further: How many follow, >= 0.
        """
        mean, rho = self.chances.get(name, chance), self.persistence
        if rho == 1 or further == 0:
            return chance
        # The mean of rho, rho^2, ..., rho^further. Of fewer than one, that one: `further` may come close to nothing.
        ahead = max(1.0, further)
        left: float = rho * (1 - rho**ahead) / (ahead * (1 - rho))
        return mean + min(1.0, left) * (chance - mean)
