"""What feedback says of a scorer: how far off its chances for a model are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, log
from typing import TYPE_CHECKING

from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from session_router.core.need import Need

PRIOR_VARIANCE = 0.5
"""Of the shift, before any feedback: a scorer is taken to be off by a factor of two in the odds, more or less."""

MEMORY = 0.99
"""Weight of the past at every feedback: models and tasks change. What is a hundred outcomes old counts for a third."""

EXTREME = 1e-4
"""Chances nearer to 0 or 1 are taken as this far from them: nobody is that sure, and their odds would outweigh all feedback."""

OWN_VARIANCE = PRIOR_VARIANCE / 2
"""Of what is a session's own in its shift: users and tasks differ, and what all sessions say is no more than a beginning."""

LARGEST_SHIFT = 20.0
"""A shift this large takes the least chance beyond the greatest, and need not grow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """A Gaussian over a shift of the log-odds that a scorer gives a model.

    A logistic regression with one coefficient, learned outcome by outcome: after each, the posterior is replaced by the Gaussian
    with its mode and its curvature there, after one Newton step (online Laplace; D. J. Spiegelhalter and S. L. Lauritzen,
    "Sequential updating of conditional probabilities on directed graphical structures", Networks 20(5), 1990).

    Attributes:
        shift: Its mean: what is added to the log-odds, in [-`LARGEST_SHIFT`, `LARGEST_SHIFT`].
        variance: Its variance, in (0, `PRIOR_VARIANCE`].
    """

    shift: float = 0.0
    variance: float = PRIOR_VARIANCE

    def corrected(self, need: Need) -> Need:
        """Return `need` as feedback lets one expect it; the very same while there was none."""
        if self.shift == 0:
            return need
        p_success = self._shifted(need.p_success)
        return replace(
            need, p_success=p_success, low=min(p_success, self._shifted(need.low)), high=max(p_success, self._shifted(need.high))
        )

    def as_prior(self) -> Belief:
        """Return this belief of all sessions as one of them begins with it: less sure."""
        return Belief(shift=self.shift, variance=min(PRIOR_VARIANCE, self.variance + OWN_VARIANCE))

    def learned(self, chance: float, success: float, *, weight: float = 1.0, memory: float = MEMORY) -> Belief:
        """Return this belief after one more outcome.

        Args:
            chance: The `p_success` that the scorer gave, in [0, 1], before any correction.
            success: How well the segment was served, in [0, 1].
            weight: How much this outcome counts, in (0, 1]: 1 for a fact, less for a hint.
            memory: Weight of the past, in (0, 1].

        Raises:
            ConfigurationError: An argument is out of its range.
        """
        for name, value in (("chance", chance), ("success", success)):
            if not 0 <= value <= 1:
                raise ConfigurationError(key=f"feedback.{name}", value=value, rule="give a number in [0, 1].")
        if not 0 < weight <= 1:
            raise ConfigurationError(key="feedback.weight", value=weight, rule="give a number in (0, 1].")
        # To forget is to be less sure, up to what one was at first.
        variance = min(PRIOR_VARIANCE, self.variance / memory)
        expected = _chance(_log_odds(chance) + self.shift)
        precision = 1 / variance + weight * expected * (1 - expected)
        shift = self.shift + weight * (success - expected) / precision
        return Belief(shift=min(LARGEST_SHIFT, max(-LARGEST_SHIFT, shift)), variance=1 / precision)

    def _shifted(self, chance: float) -> float:
        if chance in {0.0, 1.0}:
            # An end of an interval that says nothing.
            return chance
        return _chance(_log_odds(chance) + self.shift)


def _log_odds(chance: float) -> float:
    inner = min(1 - EXTREME, max(EXTREME, chance))
    return log(inner / (1 - inner))


def _chance(log_odds: float) -> float:
    return 1 / (1 + exp(-log_odds)) if log_odds >= 0 else exp(log_odds) / (1 + exp(log_odds))
