"""What one run of the sessions came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from session_router.core.need import Question

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from session_router import Router
    from session_router.core.cached import CacheHit
    from session_router_demo.calls import CallRow
    from session_router_demo.sessions import DemoSession, Typed


@dataclass(slots=True, kw_only=True)
class TurnPlayed:
    """One turn.

    Attributes:
        session: Id of its session.
        p_success: Predicted probability that a model serves it well, in [0, 1], by model name.
        rows: Its calls.
        lost: Whether it ended without an answer.
    """

    session: str
    p_success: Mapping[str, float]
    rows: list[CallRow] = field(default_factory=list["CallRow"])
    lost: bool = False

    @property
    def p_badly_served(self) -> float:
        """Return the predicted probability that it was served badly: 1 for no answer, else the mean over its calls."""
        if self.lost or not self.rows:
            return 1.0
        return sum(1 - self.p_success.get(row.model, 0.0) for row in self.rows) / len(self.rows)


class Totals:
    """Listens to a run and adds up.

    Args:
        router: Whose scorer predicts and whose stake counts.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self.turns: list[TurnPlayed] = []

    def on_session(self, session: DemoSession, number: int) -> None:
        """Nothing to add up."""

    def on_turn(self, session: DemoSession, typed: Typed, number: int) -> None:
        """Begin a turn."""
        needs = self._router.scorer.score(Question(text=typed.text, turn=number), self._router.models)
        self.turns.append(TurnPlayed(session=session.id, p_success={str(name): need.p_success for name, need in needs.items()}))

    def on_row(self, row: CallRow) -> None:
        """Add a call."""
        self.turns[-1].rows.append(row)

    def on_approval(self, tools: Sequence[str], seconds: float) -> None:
        """Nothing to add up."""

    def on_lost(self, typed: Typed, error: Exception) -> None:  # noqa: ARG002 -- the turn at hand is meant
        """Note that the turn has no answer."""
        self.turns[-1].lost = True

    @property
    def rows(self) -> tuple[CallRow, ...]:
        """Return all calls, in order."""
        return tuple(row for turn in self.turns for row in turn.rows)

    @property
    def answered(self) -> int:
        """Return the number of turns that have an answer."""
        return sum(not turn.lost for turn in self.turns)

    @property
    def complete(self) -> bool:
        """Return whether every turn has an answer."""
        return self.answered == len(self.turns)

    @property
    def cached_share(self) -> float:
        """Return the share of input tokens that came from a cache, in [0, 1]."""
        cached, uncached = sum(row.bill.cached for row in self.rows), sum(row.bill.uncached for row in self.rows)
        return cached / (cached + uncached) if cached + uncached else 0.0

    @property
    def replayed(self) -> tuple[CacheHit, ...]:
        """Return the stored answers that were replayed instead of asking a model."""
        decisions = [row.decision for row in self.rows if row.decision is not None]
        return tuple(decision.hit for decision in decisions if decision.hit is not None)

    @property
    def refused(self) -> tuple[CallRow, ...]:
        """Return the calls that the provider answered with a 4xx."""
        return tuple(row for row in self.rows if row.bill.refused)

    @property
    def changes_between_turns(self) -> int:
        """Return how often a turn began on another model than the last call of its session."""
        return sum(before.model != row.model for before, row in self._neighbours() if before.turn != row.turn)

    @property
    def changes_inside_loops(self) -> int:
        """Return how often the model changed inside a turn, after an answer: that is inside a tool loop."""
        inside = ((before, row) for before, row in self._neighbours() if before.turn == row.turn and not before.bill.error)
        return sum(before.model != row.model for before, row in inside)

    @property
    def risk(self) -> float:
        """Return the stake times the predicted probability of a badly served turn, in US dollars, over all turns."""
        return self._router.policy.stake * sum(turn.p_badly_served for turn in self.turns)

    def dollars(self, session: str | None = None) -> float:
        """Return the US dollars of all calls, or of those of one session."""
        return sum(row.bill.dollars for row in self.rows if session in {None, row.session})

    def lost_in(self, session: str) -> int:
        """Return the number of turns of `session` that have no answer."""
        return sum(turn.lost for turn in self.turns if turn.session == session)

    def _neighbours(self) -> Iterator[tuple[CallRow, CallRow]]:
        rows = self.rows
        return ((before, row) for before, row in pairwise(rows) if before.session == row.session)
