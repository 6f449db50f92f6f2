"""What a replay found, in numbers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_router.replay.loop import ReplayedCall


class Summary:
    """Counts calls as they are replayed; its size does not depend on how many there are.

    Attributes:
        sessions: Sessions with one call or more.
        calls: Calls.
        locked: Of `calls`, those at which a lock held.
        measured: Of `calls`, those whose tokens were recorded.
        actions: Calls by action.
        reasons: Calls by reason.
        locks: Calls by kind of lock.
        chosen: Calls by model.
        degraded: Calls by what was unavailable.
        switches: Calls at which the session's model changed.
        trusted: Choices by dollars at which predictions were trusted.
        untrusted: Choices by dollars at which they were not.
        alarms: Choices by dollars at which a part of the text spoke for all of it.
        upgrades: Those that would have been an upgrade, while upgrades are watched.
        capped: Of `upgrades`, those that were not given.
    """

    def __init__(self) -> None:
        self.sessions = self.calls = self.locked = self.measured = self.switches = self.trusted = self.untrusted = 0
        self.actions, self.reasons, self.locks = Counter[str](), Counter[str](), Counter[str]()
        self.chosen, self.degraded = Counter[str](), Counter[str]()
        self.alarms = self.upgrades = self.capped = 0

    def add(self, session: Sequence[ReplayedCall]) -> None:
        """Count all calls of one session."""
        self.sessions += bool(session)
        for replayed in session:
            self._count(replayed)

    def _count(self, replayed: ReplayedCall) -> None:
        decision = replayed.decision
        self.calls += 1
        self.measured += replayed.measured
        self.actions[decision.action.value] += 1
        self.reasons[decision.reason.value] += 1
        if decision.lock is not None:
            self.locked += 1
            self.locks[decision.lock.kind.value] += 1
        if decision.model is not None:
            self.chosen[decision.model] += 1
        self.switches += decision.switched
        self.trusted += decision.evidence.trusted is True
        self.untrusted += decision.evidence.trusted is False
        self.degraded.update(decision.evidence.degraded)
        self.alarms += decision.evidence.alarm is not None
        if (watched := decision.evidence.upgrades) is not None:
            self.upgrades += watched.asked
            self.capped += watched.capped
