"""What the same calls would have cost otherwise: always one model, or the best model at every call.

Every dollar here is an estimate: tokens may be, cached tokens always are, and each alternative is charged for the
recorded answers, which another model would have written otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from session_router.core.eligibility import examine, payload_tag
from session_router.core.prefix import cached_tokens
from session_router.core.pricing import Usage, call_cost
from session_router.core.session import Visit
from session_router.replay.loop import with_cached

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.call import Call
    from session_router.core.model import ModelName
    from session_router.recordings import Recording
    from session_router.replay.loop import ReplayedCall
    from session_router.router import Router

SINGLE_TURN = "single turn"
ROUTER = "session-router"


@dataclass(slots=True, kw_only=True)
class Spending:
    """What one way of routing spends.

    Attributes:
        dollars: Estimated US dollars of the calls.
        risk: Modelled US dollars of badly served segments: the stake times `1 - p_success`, once a segment.
        switches: Changes of model.
        unsafe_switches: Of `switches`, those at a call where a lock held.
        impossible: Calls for which there was no model, or whose model could not have served them.
    """

    dollars: float = 0.0
    risk: float = 0.0
    switches: int = 0
    unsafe_switches: int = 0
    impossible: int = 0


@dataclass(slots=True)
class _Alternative:
    """One way of routing, with the warmth that it would have had in the session at hand."""

    only: ModelName | None
    spending: Spending = field(default_factory=Spending)
    visits: dict[ModelName, Visit] = field(default_factory=dict["ModelName", Visit])
    current: ModelName | None = None


class Comparison:
    """Adds up the router and its alternatives, call by call.

    Args:
        router: Whose models, policy and scorer count; its store is not touched.
    """

    def __init__(self, router: Router) -> None:
        self._models, self._policy, self._scorer = router.models, router.policy, router.scorer
        self._router = Spending()
        self._alternatives = {SINGLE_TURN: _Alternative(None), **{f"always {name}": _Alternative(name) for name in self._models}}
        self._recording: Recording | None = None

    @property
    def spendings(self) -> Mapping[str, Spending]:
        """The router first, then the alternatives."""
        return {ROUTER: self._router, **{name: one.spending for name, one in self._alternatives.items()}}

    def add(self, replayed: ReplayedCall) -> None:
        """Count one call of the session at hand; a call of another recording begins the next session."""
        if replayed.recording is not self._recording:
            self._recording = replayed.recording
            for alternative in self._alternatives.values():
                alternative.visits, alternative.current = {}, None
        chances = self._chances(replayed)
        self._add_router(replayed, chances)
        call = replayed.call
        # Asked anew: at a locked call the evidence excludes whoever is not locked to.
        examined = examine(call, self._models, payload_tag(call, self._models, self._policy))
        excluded = {name for name, one in examined.items() if one.uncleared or one.incapable}
        for alternative in self._alternatives.values():
            self._add(alternative, replayed, chances, excluded)

    def _chances(self, replayed: ReplayedCall) -> Mapping[ModelName, float]:
        """Each model's chance to serve the segment well: the router's own where it asked, else asked now."""
        known = {one.model: one.p_success for one in replayed.decision.evidence.candidates if one.p_success is not None}
        if len(known) == len(self._models):
            return known
        try:
            needs = self._scorer.score(replayed.call.question, self._models)
            return {name: needs[name].p_success for name in self._models}
        except Exception:  # noqa: BLE001 -- the port says: any exception means no score; the router has logged its own
            return known

    def _add_router(self, replayed: ReplayedCall, chances: Mapping[ModelName, float]) -> None:
        decision, spending = replayed.decision, self._router
        spending.dollars += replayed.dollars
        spending.switches += decision.switched
        spending.unsafe_switches += decision.switched and decision.lock is not None
        if decision.model is None:
            spending.impossible += 1
        elif decision.lock is None:
            spending.risk += self._risk(chances.get(decision.model))

    def _add(self, alternative: _Alternative, replayed: ReplayedCall, chances: Mapping[ModelName, float], excluded: set[ModelName]) -> None:
        spending = alternative.spending
        names = [name for name in self._models if name not in excluded] if alternative.only is None else [alternative.only]
        if not names or alternative.only in excluded:
            spending.impossible += 1
        if not names:
            return
        name = names[0] if len(names) == 1 else self._best(alternative, replayed, chances, names)
        locked = replayed.decision.lock is not None
        spending.dollars += self._cost(alternative, replayed.call, name, replayed.usage)
        if not locked:
            spending.risk += self._risk(chances.get(name))
        if alternative.current not in {None, name}:
            spending.switches += 1
            spending.unsafe_switches += locked
        alternative.current = name
        alternative.visits[name] = Visit.of(replayed.call.transcript, at=replayed.call.now)

    def _best(
        self, alternative: _Alternative, replayed: ReplayedCall, chances: Mapping[ModelName, float], names: list[ModelName]
    ) -> ModelName:
        # It chooses by what the router knows before the call, and is charged for what the call took.
        call = replayed.call
        assumed = Usage(input=call.transcript.tokens, output=self._policy.output_tokens)
        expected = {name: self._cost(alternative, call, name, assumed) + self._risk(chances.get(name)) for name in names}
        return min(names, key=lambda one: (expected[one], one != alternative.current, one))

    def _cost(self, alternative: _Alternative, call: Call, name: ModelName, usage: Usage) -> float:
        spec = self._models[name]
        if spec.prices is None:
            return 0.0
        cached = cached_tokens(call.transcript, alternative.visits.get(name), now=call.now, cache=spec.prompt_cache)
        return call_cost(spec.prices, with_cached(usage, cached, of=call.transcript.tokens))

    def _risk(self, chance: float | None) -> float:
        return 0.0 if chance is None else self._policy.stake * (1 - chance)
