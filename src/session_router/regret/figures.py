"""What the routings of some sessions cost: of one session, of a source, of all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from session_router.regret.bill import Bill

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the routings of some sessions cost.

    Attributes:
        sessions: Sessions.
        calls: Calls that somebody can serve.
        segments: Segments that these calls belong to.
        locked: Of `calls`, those at which a lock held.
        measured: Of `calls`, those whose tokens were recorded; those of the others are modelled.
        refused: Calls that nobody may or can serve; they are in no other figure.
        optimum: The cheapest that the locks allow, in hindsight.
        routings: Every other routing, by name.
        frontier: The optimum at other stakes, by stake in US dollars.
    """

    sessions: int = 0
    calls: int = 0
    segments: int = 0
    locked: int = 0
    measured: int = 0
    refused: int = 0
    optimum: Bill = field(default_factory=Bill)
    routings: Mapping[str, Bill] = field(default_factory=dict[str, Bill])
    frontier: Mapping[float, Bill] = field(default_factory=dict[float, Bill])

    def plus(self, other: Figures) -> Figures:
        """Add the figures of other sessions."""
        return Figures(
            sessions=self.sessions + other.sessions,
            calls=self.calls + other.calls,
            segments=self.segments + other.segments,
            locked=self.locked + other.locked,
            measured=self.measured + other.measured,
            refused=self.refused + other.refused,
            optimum=self.optimum.plus(other.optimum),
            routings={name: self.routings.get(name, Bill()).plus(bill) for name, bill in other.routings.items()},
            frontier={stake: self.frontier.get(stake, Bill()).plus(bill) for stake, bill in other.frontier.items()},
        )

    def regret(self, routing: str) -> float:
        """Return the distance of a routing to the optimum, in US dollars; below 0 only if it breaks locks or leaves calls unserved."""
        return self.routings[routing].total - self.optimum.total

    def ratio(self, routing: str) -> float | None:
        """Return a routing's total over that of the optimum; `None` when the optimum costs nothing."""
        return self.routings[routing].total / self.optimum.total if self.optimum.total else None

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "sessions": self.sessions,
            "segments": self.segments,
            "calls": self.calls,
            "locked_calls": self.locked,
            "refused_calls": self.refused,
            "tokens": {"measured_calls": self.measured, "modelled_calls": self.calls - self.measured},
            "optimum": self.optimum.to_plain(),
            "routings": {
                name: {**bill.to_plain(), "ratio": self.ratio(name), "regret": self.regret(name)} for name, bill in self.routings.items()
            },
            "frontier": {
                "optimum": [{"stake": stake, **_point(bill)} for stake, bill in self.frontier.items()],
                "routings": {name: _point(bill) for name, bill in self.routings.items()},
            },
        }


def _point(bill: Bill) -> dict[str, Any]:
    return {"dollars": bill.dollars + bill.handoffs, "mean_chance": bill.mean_chance, "switches": bill.switches}
