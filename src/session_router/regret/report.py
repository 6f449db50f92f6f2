"""What an evaluation found: the values that the table, the JSON and the page are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from session_router.regret.routings import ROUTER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.model import ModelName
    from session_router.regret.bill import Terms
    from session_router.regret.figures import Figures
    from session_router.regret.timeline import SessionRegret, Timeline
    from session_router.replay import Pace

SCHEMA = 1
"""Version of the plain form. Raise it when a key changes its meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """A session in which the router is far from the optimum.

    Attributes:
        session_id: Its name in the recording.
        source: Where it comes from.
        line: Line in its file, from 1.
        calls: Calls that somebody can serve.
        optimum: US dollars of the optimum.
        total: US dollars of the router.
        regret: Their difference.
    """

    session_id: str
    source: str
    line: int
    calls: int
    optimum: float
    total: float
    regret: float

    @classmethod
    def of(cls, session: SessionRegret) -> Worst:
        """Shorten `session`."""
        recording, figures = session.recording, session.figures
        return cls(
            session_id=recording.session_id,
            source=recording.source,
            line=recording.line,
            calls=figures.calls,
            optimum=figures.optimum.total,
            total=figures.routings[ROUTER].total,
            regret=figures.regret(ROUTER),
        )

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "session_id": self.session_id,
            "source": self.source,
            "line": self.line,
            "calls": self.calls,
            "optimum": self.optimum,
            "total": self.total,
            "regret": self.regret,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an evaluation found.

    Attributes:
        policy: Version of the router's policy.
        models: Every model, in the order of the routes.
        terms: Stake and handoff.
        chances_measured: Whether the chances were measured; else they are modelled.
        pace: The times that the replay assumed; `None` when nobody said.
        total: The figures of all sessions.
        sources: Those of each source.
        worst: The sessions with the largest regret of the router, the largest first.
        timeline: One session, call by call; `None` when there is none.
        stopped: Where an interrupt came, after which no session was looked at; empty when none did.
        unread: Sessions that could not be replayed.
    """

    policy: str
    models: tuple[ModelName, ...]
    terms: Terms
    chances_measured: bool
    pace: Pace | None
    total: Figures
    sources: Mapping[str, Figures]
    worst: tuple[Worst, ...]
    timeline: Timeline | None
    stopped: str = ""
    unread: int = 0

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values: what `session-router regret --json` writes last, and what the page shows."""
        pace = self.pace
        return {
            "schema": SCHEMA,
            "policy": self.policy,
            "models": list(self.models),
            "stake": self.terms.stake,
            "handoff": self.terms.handoff,
            "chances": "measured" if self.chances_measured else "modelled",
            "left_out": {"interrupted": self.stopped or None, "unread_sessions": self.unread},
            "pace": None if pace is None else {"turn_seconds": pace.turn_seconds, "call_seconds": pace.call_seconds},
            "total": self.total.to_plain(),
            "sources": [{"source": name, **figures.to_plain()} for name, figures in self.sources.items()],
            "worst_sessions": [one.to_plain() for one in self.worst],
            "session": None if self.timeline is None else self.timeline.to_plain(),
        }
