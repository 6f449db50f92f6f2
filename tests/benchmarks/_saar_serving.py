"""Playing the sessions of the SAAR workload under a policy that sees no more than it may, and the report of what it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from benchmarks._saar_workload import (
    DOLLARS_PER_SWITCH,
    START,
    Model,
    Phase,
    Session,
    Turn,
    cached_share,
    call_dollars,
    is_locked,
    shortfall,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that a policy may see: the turn and everything before. Never the scenario, the seed, the turn count or later turns.

    Attributes:
        now: The turn to choose a model for.
        before: The turns before it, oldest first.
        served: The models that served them, in the same order.
    """

    now: Turn
    before: tuple[Turn, ...]
    served: tuple[Model, ...]

    @property
    def current(self) -> Model:
        """The model that the session is on."""
        return self.served[-1] if self.served else START

    @property
    def switches(self) -> int:
        """How often the model changed so far."""
        return sum(one is not other for one, other in pairwise((START, *self.served)))

    @property
    def locked(self) -> bool:
        """Whether a switch is unsafe now."""
        return is_locked(self.now, first=not self.before)


Policy: TypeAlias = Callable[[Seen], Model]
"""Chooses the model of one turn."""


@dataclass(slots=True, kw_only=True)
class Report:
    """What one policy did on a set of sessions.

    Attributes:
        turns: How many were served.
        switches: How often the model changed.
        unsafe_tool_loop: Of `switches`, those inside a tool loop.
        unsafe_provider_state: Of `switches`, those across provider state.
        cost: US dollars of all calls.
        shortfall: Sum over turns.
        quality_asked: Sum over turns.
        quality_served: Sum over turns.
    """

    turns: int = 0
    switches: int = 0
    unsafe_tool_loop: int = 0
    unsafe_provider_state: int = 0
    cost: float = 0.0
    shortfall: float = 0.0
    quality_asked: float = 0.0
    quality_served: float = 0.0

    @property
    def unsafe(self) -> int:
        """Switches where the session was locked."""
        return self.unsafe_tool_loop + self.unsafe_provider_state

    @property
    def mean_shortfall(self) -> float:
        """Shortfall of a turn."""
        return self.shortfall / self.turns

    @property
    def quality_delta(self) -> float:
        """Mean quality served minus mean quality asked for."""
        return (self.quality_served - self.quality_asked) / self.turns

    def total(self, stake: float) -> float:
        """Return US dollars of calls, shortfall and switches together."""
        return self.cost + stake * self.shortfall + DOLLARS_PER_SWITCH * self.switches

    def add(self, seen: Seen, model: Model, *, cache_credit: bool) -> None:
        """Count one served turn."""
        turn, switched = seen.now, model is not seen.current
        self.turns += 1
        self.switches += switched
        self.unsafe_tool_loop += switched and seen.locked and turn.phase is Phase.TOOL_LOOP
        self.unsafe_provider_state += switched and seen.locked and turn.phase is Phase.PROVIDER_STATE
        self.cost += call_dollars(turn, model, cached_share(turn, model, switched=switched) if cache_credit else 0.0)
        self.shortfall += shortfall(turn.asked, model)
        self.quality_asked += turn.asked.quality
        self.quality_served += model.quality


def serve(sessions: Iterable[Session], policy_of: Callable[[Session], Policy], *, cache_credit: bool = True) -> Report:
    """Play sessions under a policy, and report.

    Locks are counted and not enforced: a policy has to know when to stay.

    Args:
        sessions: What to play, in order.
        policy_of: The policy of each session.
        cache_credit: Whether cached tokens are charged as such; the published figure of routing turn by turn does without.
    """
    report = Report()
    for session in sessions:
        policy = policy_of(session)
        served: tuple[Model, ...] = ()
        for index, turn in enumerate(session.turns):
            seen = Seen(now=turn, before=session.turns[:index], served=served)
            model = policy(seen)
            report.add(seen, model, cache_credit=cache_credit)
            served = (*served, model)
    return report


Learner: TypeAlias = Callable[[Sequence[Session], float], Policy]
"""Makes a policy from other sessions and a stake in US dollars."""


def leaving_one_seed_out(sessions: Sequence[Session], learn: Learner, stake: float) -> Callable[[Session], Policy]:
    """Learn one policy per seed from the sessions of all other seeds.

    Returns:
        The policy of a session: the one that has not seen its seed.
    """
    seeds = sorted({session.seed for session in sessions})
    policies = {seed: learn([session for session in sessions if session.seed != seed], stake) for seed in seeds}
    return lambda session: policies[session.seed]
