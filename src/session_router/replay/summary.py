"""What a replay found, in numbers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from session_router.replay.comparison import Comparison

if TYPE_CHECKING:
    from session_router.recordings import Recording
    from session_router.replay.loop import ReplayedCall
    from session_router.router import Router


class Summary:
    """Counts calls as they are replayed; its size does not depend on how many there are.

    Args:
        router: The router that is replayed.

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
        comparison: Dollars and switches, beside the alternatives.
    """

    def __init__(self, router: Router) -> None:
        self.sessions = self.calls = self.locked = self.measured = 0
        self.actions, self.reasons, self.locks = Counter[str](), Counter[str](), Counter[str]()
        self.chosen, self.degraded = Counter[str](), Counter[str]()
        self.comparison = Comparison(router)
        self._recording: Recording | None = None

    def add(self, replayed: ReplayedCall) -> None:
        """Count one call."""
        if replayed.recording is not self._recording:
            self._recording = replayed.recording
            self.sessions += 1
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
        self.degraded.update(decision.evidence.degraded)
        self.comparison.add(replayed)
