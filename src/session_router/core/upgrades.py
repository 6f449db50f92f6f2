"""How often more expensive models are asked for, and when that is too often: a bound on the denial of wallet.

Whoever writes the text can make it look hard, and every bound on one text lets some through. What such an attack cannot hide is
that upgrades become frequent. Of a session, and of a principal over all sessions, one number is kept: by how much the upgrades
so far speak for an attack.

An **upgrade** is a segment on a dearer model than the cheapest of those that may be chosen. Who is upgraded once and then stays
costs as much as who is upgraded every time, so both count every time, and a cap ends both.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any

from session_router.core.checking import check_number
from session_router.core.value import value
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.model import ModelName


@value
class Upgrades:
    """What is remembered of one session's, or one principal's, upgrades.

    Attributes:
        evidence: That they are too frequent, >= 0: a logarithm of odds.
        capped: Boundaries that must still do without an upgrade.
        at: POSIX seconds of the last boundary that was counted; 0 before the first.
    """

    evidence: float = 0.0
    capped: int = 0
    at: float = 0.0

    @property
    def allowed(self) -> bool:
        """Whether the next boundary may upgrade."""
        return self.capped == 0

    def to_plain(self) -> dict[str, float | int]:
        """Return JSON-ready values."""
        return {"evidence": self.evidence, "capped": self.capped}


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

    def observed(self, upgrades: Upgrades, *, asked: bool, at: float = 0.0) -> Upgrades:
        """Return `upgrades` after one more boundary.

        Args:
            upgrades: Before it.
            asked: Whether an upgrade was asked for. Under a cap it counts as well, though it was not given: an attack that goes on
                prolongs the cap, one that has ended does not.
            at: POSIX seconds of the boundary.
        """
        step = log(self.excessive / self.expected) if asked else log((1 - self.excessive) / (1 - self.expected))
        evidence = max(0.0, upgrades.evidence + step)
        if evidence >= self.threshold:
            return Upgrades(capped=self.capped_boundaries, at=at)
        return Upgrades(evidence=evidence, capped=max(0, upgrades.capped - 1), at=at)

    def alarmed(self, upgrades: Upgrades) -> bool:
        """Whether `observed` has just returned `upgrades` for an alarm."""
        return upgrades.capped == self.capped_boundaries


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the watch saw at one boundary.

    Attributes:
        asked_for: The model that would have been chosen.
        costs: By model that could have been, dollars of the call for a session that has read nothing.
        session: Of the session, before this boundary.
        principal: Of the principal, before it; `None` when nobody knows the principal.
    """

    asked_for: ModelName
    costs: Mapping[ModelName, float]
    session: Upgrades
    principal: Upgrades | None = None

    @property
    def asked(self) -> bool:
        """Whether that is an upgrade."""
        return is_upgrade(self.asked_for, self.costs)

    @property
    def capped(self) -> bool:
        """Whether it was an upgrade that was not given."""
        return self.asked and not (self.session.allowed and (self.principal is None or self.principal.allowed))

    @property
    def left(self) -> tuple[ModelName, ...]:
        """The models that the watch leaves; at least one."""
        return within_cap(self.costs, allowed=not self.capped)

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "asked_for": self.asked_for,
            "asked": self.asked,
            "capped": self.capped,
            "costs": dict(self.costs),
            "session": self.session.to_plain(),
            **({} if self.principal is None else {"principal": self.principal.to_plain()}),
        }


def is_upgrade(chosen: ModelName, costs: Mapping[ModelName, float]) -> bool:
    """Whether `chosen` costs more than the cheapest.

    Args:
        chosen: The model that is asked for.
        costs: Of every model that may be chosen, in any one unit.
    """
    return costs[chosen] > min(costs.values())


def within_cap(costs: Mapping[ModelName, float], *, allowed: bool) -> tuple[ModelName, ...]:
    """Return the models that a cap leaves, in the order of `costs`.

    Constraints outrank the cap: it only ever chooses among what governance, capability, health and the risk gate have left, and
    always leaves one. A model that is the only one cleared, the only one that can serve the call, or the cheapest that the gate
    lets through is no upgrade that could be forbidden, however much it costs.

    Args:
        costs: Of every model that may be chosen, in any one unit.
        allowed: Whether an upgrade is.
    """
    if allowed or not costs:
        return tuple(costs)
    least = min(costs.values())
    return tuple(name for name, cost in costs.items() if cost <= least)
