"""Recorded sessions -> experience: at each boundary, what the rest of the session would at least have cost from there.

learner = Learner(router)
for recording in recordings:
    learner.add(list(replay_session(recording, router)))
policy = replace(router.policy, experience=learner.experience())
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.core.basis import basis_of
from session_router.core.experience import Experience, Mark
from session_router.core.pricing import USD
from session_router.errors import ConfigurationError
from session_router.regret.accounting import ScorerChances, SessionCosts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.core.model import ModelName
    from session_router.core.policy import Policy
    from session_router.regret.accounting import ChancesOf
    from session_router.replay.loop import ReplayedCall
    from session_router.router import Router

DEFAULT_SESSIONS = 200


class Learner:
    """Keeps the boundaries of so many sessions, evenly spread over all that it was shown.

    Args:
        router: Whose models, prices, policy and scorer count. Its locks decide where boundaries are.
        sessions: Sessions kept at most, >= 1; between the half of it and all of it are.
        chances_of: Who knows the chances; the router's scorer unless given.
    """

    def __init__(self, router: Router, *, sessions: int = DEFAULT_SESSIONS, chances_of: ChancesOf | None = None) -> None:
        self._router, self._maximum = router, sessions
        self._chances_of = chances_of or ScorerChances(router)
        self._kept: list[list[Mark]] = []
        self._stride, self._seen = 1, 0

    @property
    def sessions(self) -> int:
        """Sessions kept."""
        return len(self._kept)

    @property
    def boundaries(self) -> int:
        """Boundaries kept."""
        return sum(map(len, self._kept))

    def add(self, replayed: Sequence[ReplayedCall]) -> None:
        """Show all calls of one session, oldest first."""
        if self._seen % self._stride == 0:
            marks = marks_of(SessionCosts(replayed, self._router, self._chances_of), self._router.policy)
            if marks:
                self._kept.append(marks)
            if len(self._kept) > self._maximum:
                self._kept = self._kept[::2]
                self._stride *= 2
        self._seen += 1

    def experience(self) -> Experience:
        """Return what was learned.

        Raises:
            ConfigurationError: No session had a boundary at which all models could be compared.
        """
        marks = [mark for session in self._kept for mark in session]
        if not marks:
            raise ConfigurationError(
                key="sessions", value=0, rule="there is nothing to learn from: no session has a boundary at which every model has a chance."
            )
        return Experience(marks, basis=basis_of(self._router.models, self._router.policy))


def marks_of(costs: SessionCosts, policy: Policy) -> list[Mark]:
    """Return the boundaries of one session at which the chance of every model is known, oldest first.

    What follows is the least that it would have cost where each model's cache holds what it read in the segment before, and
    nothing older.
    """
    starts = [index for index, call in enumerate(costs.calls) if call.opens]
    if not starts:
        return []  # no model can take any of it
    ends = [*(start - 1 for start in starts[1:]), len(costs.calls) - 1]
    after: dict[ModelName, float] = dict.fromkeys(costs.models, 0.0)
    marks: list[Mark] = []
    for number, (first, last) in reversed(list(enumerate(zip(starts, ends, strict=True), start=1))):
        call = costs.calls[first]
        if call.chances:
            marks.append(_mark(costs, number, first, last, after))
        after = {
            current: min(
                (
                    _segment_dollars(costs, name, first, last, visited=name == current)
                    + policy.stake * (1 - call.chances.get(name, 1.0))
                    + (policy.handoff if name != current else 0.0)
                    + after[name]
                    for name in call.eligible
                ),
                default=after[current],
            )
            for current in costs.models
        }
    return marks[::-1]


def _mark(costs: SessionCosts, number: int, first: int, last: int, after: Mapping[ModelName, float]) -> Mark:
    requests = [costs.request(call).transcript.tokens for call in range(first, last + 1)]
    outputs = [costs.calls[call].replayed.usage.output for call in range(first, last + 1)]
    calls = len(requests)
    return Mark(
        number=number,
        tokens=requests[0],
        chances=costs.calls[first].chances,
        calls=calls,
        growth=max(0, requests[-1] - requests[0]) / (calls - 1) if calls > 1 else 0.0,
        output=sum(outputs) / calls,
        afterwards={name: USD(dollars) for name, dollars in after.items()},
    )


def _segment_dollars(costs: SessionCosts, name: ModelName, first: int, last: int, *, visited: bool) -> float:
    """Price a segment on a model that served the call before it, or none before."""
    before = first - 1 if visited and first > 0 else None
    return sum(costs.dollars(call, name, call - 1 if call > first else before) for call in range(first, last + 1))
