"""How often more expensive models are asked for, and when that is too often: a bound on the denial of wallet.

Whoever writes the text can make it look hard, and every bound on one text lets some through. What such an attack cannot hide is
that upgrades become frequent. Of a session, and of a principal over all sessions, one number is kept: by how much the upgrades
so far speak for an attack.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

from session_router.core.checking import check_number
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.model import ModelName


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrades:
    """What is remembered of one session's, or one principal's, upgrades.

    Attributes:
        evidence: That they are too frequent, >= 0: a logarithm of odds.
        capped: Boundaries that must still do without an upgrade.
    """

    evidence: float = 0.0
    capped: int = 0

    @property
    def allowed(self) -> bool:
        """Whether the next boundary may upgrade."""
        return self.capped == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeWatch:
    """A one-sided CUSUM of the share of boundaries that ask for an upgrade.

    The evidence grows by log(excessive / expected) at a boundary that asks for one, shrinks by
    log((1 - expected) / (1 - excessive)) at any other, and is never below 0 (E. S. Page, "Continuous inspection schemes",
    Biometrika 41, 1954). When it reaches log(between_false_alarms) there is an alarm: it begins at 0 again, and so many
    boundaries must do without an upgrade.

    While upgrades come with the expected share or less, independently, the mean number of boundaries to an alarm is
    `between_false_alarms` or more: from 0, the evidence reaches a height h before it is back at 0 with a chance of at most exp(-h),
    and each attempt takes a boundary (G. Lorden, "Procedures for reacting to a change in distribution", Annals of Mathematical
    Statistics 42(6), 1971). This is a bound; it is not simulated. Upgrades of one session are not independent of one another, so
    set `expected` with room to spare.

    Attributes:
        expected: Share of boundaries that ask for an upgrade in honest use, in (0, 1).
        excessive: The share that is to be found quickly, in (expected, 1).
        between_false_alarms: Boundaries from one false alarm to the next, in the mean, at least; > 1.
        capped_boundaries: Boundaries without an upgrade after an alarm, >= 1.
    """

    expected: float
    excessive: float
    between_false_alarms: float = 1_000.0
    capped_boundaries: int = 10

    def __post_init__(self) -> None:
        """Check the values."""
        for key, share in (("expected", self.expected), ("excessive", self.excessive)):
            check_number(share, key=key, rule="give a share in (0, 1).", below=1.0)
        if not 0 < self.expected < self.excessive:
            raise ConfigurationError(
                key="expected", value=(self.expected, self.excessive), rule="give 0 < expected < excessive: an attack upgrades more often."
            )
        check_number(self.between_false_alarms, key="between_false_alarms", rule="give a number of boundaries above 1.", low=1.0)
        if self.threshold <= 0:
            raise ConfigurationError(
                key="between_false_alarms", value=self.between_false_alarms, rule="give a number of boundaries above 1."
            )
        check_number(self.capped_boundaries, key="capped_boundaries", rule="give a number of boundaries, 1 or more.", low=1, whole=True)

    @property
    def threshold(self) -> float:
        """The evidence that is an alarm."""
        return log(self.between_false_alarms)

    def observed(self, upgrades: Upgrades, *, asked: bool) -> Upgrades:
        """Return `upgrades` after one more boundary.

        Args:
            upgrades: Before it.
            asked: Whether an upgrade was asked for. Under a cap it counts as well, though it was not given: an attack that goes on
                prolongs the cap, one that has ended does not.
        """
        step = log(self.excessive / self.expected) if asked else log((1 - self.excessive) / (1 - self.expected))
        evidence = max(0.0, upgrades.evidence + step)
        if evidence >= self.threshold:
            return Upgrades(capped=self.capped_boundaries)
        return Upgrades(evidence=evidence, capped=max(0, upgrades.capped - 1))

    def alarmed(self, upgrades: Upgrades) -> bool:
        """Whether `observed` has just returned `upgrades` for an alarm."""
        return upgrades.capped == self.capped_boundaries


def is_upgrade(chosen: ModelName, current: ModelName | None, costs: Mapping[ModelName, float]) -> bool:
    """Whether `chosen` costs more than where the session would otherwise be.

    Args:
        chosen: The model that is asked for.
        current: The session's model; `None` before the first.
        costs: Of every candidate, in any one unit.
    """
    return costs[chosen] > _reference(costs, current)


def within_cap(costs: Mapping[ModelName, float], current: ModelName | None, *, allowed: bool) -> tuple[ModelName, ...]:
    """Return the candidates that a cap leaves, in the order of `costs`.

    Constraints outrank the cap: it only ever chooses among candidates, that is among what governance, capability and health have
    left, and always leaves one. A model that is the only one cleared, or the only one that can serve the call, is never an
    upgrade that could be forbidden, however much it costs.

    Args:
        costs: Of every candidate, in any one unit.
        current: The session's model; `None` before the first. It may stay if it is a candidate.
        allowed: Whether an upgrade is.
    """
    if allowed or not costs:
        return tuple(costs)
    most = _reference(costs, current)
    return tuple(name for name, cost in costs.items() if cost <= most)


def _reference(costs: Mapping[ModelName, float], current: ModelName | None) -> float:
    return costs[current] if current is not None and current in costs else min(costs.values())
