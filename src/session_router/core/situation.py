"""Everything that one decision looks at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from session_router.core.binding import BindingReach
from session_router.core.boundary import find_lock
from session_router.core.decision import Candidate, new_candidate
from session_router.core.eligibility import ELIGIBLE, examine, payload_tag
from session_router.core.intake import intakes_of
from session_router.core.model import route_of
from session_router.core.step import Role
from session_router.core.value import maker, value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.core.binding import Binding
    from session_router.core.boundary import Lock
    from session_router.core.call import Call
    from session_router.core.eligibility import Eligibility
    from session_router.core.governance import Tag
    from session_router.core.health import Ill
    from session_router.core.intake import Intake
    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.need import Need
    from session_router.core.offer import Offer
    from session_router.core.policy import Policy
    from session_router.core.session import Session


@value
class Situation:
    """Everything that one decision looks at.

    Attributes:
        call: The request.
        specs: Every model.
        policy: The settings.
        session: What is remembered of the session, if anything; as it was before this boundary was decided, if it was.
        current: Who answered last, or `None` when nobody did or it is no route.
        tag: The label of the payload; `None` when governance is not in use.
        eligible: What stands against each model.
        intakes: What the request is to each model.
        again: Whether this boundary was decided before.
        known: What tells what the session has read: itself, or, where it could not be loaded, what was remembered of it.
    """

    call: Call
    specs: Mapping[ModelName, ModelSpec]
    policy: Policy
    session: Session | None
    current: ModelName | None
    tag: Tag | None
    eligible: Mapping[ModelName, Eligibility]
    intakes: Mapping[ModelName, Intake]
    again: bool = False
    known: Session | None = None

    @classmethod
    def of(
        cls,
        call: Call,
        specs: Mapping[ModelName, ModelSpec],
        policy: Policy,
        session: Session | None,
        ill: Mapping[ModelName, Ill] | None = None,
        *,
        before: Situation | None = None,
    ) -> Situation:
        """Look at `call`; the models in `ill` may not be asked for a while, and `before` is what was known where no session says so."""
        # What a middleware asks for decides no boundary, and must not undo how one was decided.
        rewound = None if session is None or call.internal else session.rewound(call.transcript)
        again, session = rewound is not None, rewound or session
        # What a session has read only grows: what was remembered of it still holds.
        known = before.known if session is None and before is not None else session
        last = before.current if session is None and before is not None else None if session is None else session.current
        current = _current(call, specs, last)
        call = _attributed(call, None if current is None else specs[current])
        tag = payload_tag(call, specs, policy, known)
        intakes = intakes_of(call, specs, session)
        return new_situation(
            call=call,
            specs=specs,
            policy=policy,
            session=session,
            current=current,
            tag=tag,
            eligible=examine(call, specs, policy, tag, ill, intakes=intakes),
            intakes=intakes,
            again=again,
            known=known,
        )

    def read_by(self, name: ModelName) -> Situation:
        """Return the situation as it is for `name` alone, to whom its own words are nothing new."""
        tag = payload_tag(self.call, self.specs, self.policy, self.known, reader=name)
        if tag == self.tag:
            return self
        own = examine(self.call, {name: self.specs[name]}, self.policy, tag, intakes=self.intakes)[name]
        return replace(self, tag=tag, eligible={**self.eligible, name: replace(own, ill=self.eligible[name].ill)})

    def candidates(self) -> list[ModelName]:
        """Name the models that nothing excludes at a boundary, in the order of the routes."""
        return [name for name, one in self.eligible.items() if one is ELIGIBLE or not self.exclusion(name)]

    def all_have_prices(self, names: Sequence[ModelName]) -> bool:
        """Whether the price of each of `names` is known."""
        return all([self.intakes[name].expected for name in names])  # noqa: C419 -- a generator costs more than so short a list

    def exclusion(self, name: ModelName) -> str:
        """Say what excludes `name` at a boundary; empty for nothing."""
        one = self.eligible[name]
        return one.uncleared or one.incapable or self.unportable(name) or (one.ill.why if one.ill else "")

    def illnesses(self, *, under_lock: bool) -> list[Ill]:
        """Return those of the models that nothing else excludes; what a lock forces to move is converted, whatever the policy says."""
        return [
            one.ill
            for name, one in self.eligible.items()
            if one.ill and not (one.uncleared or one.incapable or (one.stuck if under_lock else self.unportable(name)))
        ]

    def unportable(self, name: ModelName) -> str:
        """Say why the history cannot move to `name`; the model it is on may stay unless it never had the state."""
        one = self.eligible[name]
        if not one.foreign or (name == self.current and not one.stuck):
            return ""
        return one.unportable(self.policy)

    def default(self, names: Sequence[ModelName]) -> ModelName:
        """Choose among `names` where nothing else decides: the current model, the default, the first route."""
        if self.current is not None and self.current in names:
            return self.current
        return next((name for name in names if name == self.policy.default), names[0])

    def holder(self, lock: Lock) -> ModelName | None:
        """Say which route `lock` is about, or `None` when the asker is no route, or unknown."""
        asked = None if self.session is None else self.session.current
        if (known := _known_as(lock.model, self.specs, asked)) is not None:
            return known
        if asked in self.specs:
            # An id that fits no route may be an alias; the session knows who was asked.
            return asked
        return self.current if lock.model is None else None

    def priced(
        self,
        name: ModelName,
        need: Need | None,
        *,
        scored: float | None = None,
        offer: Offer | None = None,
        excluded: str = "",
        uncleared: bool = False,
        unportable: bool = False,
        propensity: float | None = None,
    ) -> Candidate:
        """Price the call on `name`; the rest is put into the candidate as it is. What was `scored` is the need unless given."""
        intake = self.intakes[name]
        return new_candidate(
            model=name,
            excluded=excluded,
            uncleared=uncleared,
            unportable=unportable,
            cached=round(intake.cached * intake.held),
            cost=intake.cost(output=self.policy.output_tokens),
            p_success=None if need is None else need.p_success,
            scored=None if need is None else need.p_success if scored is None else scored,
            certificate=None if need is None else need.certificate,
            propensity=propensity,
            offer=offer,
        )


new_situation = maker(Situation)


def lock_in(call: Call, session: Session | None) -> Lock | None:
    """Say why `call` must not change models, by its history and by what `session` remembers; `None` at a boundary."""
    closed, stored = (None, None) if session is None else (session.closed, session.lock)
    return find_lock(call.transcript, closed=closed, stored=stored, agent=call.agent)


def _current(call: Call, specs: Mapping[ModelName, ModelSpec], asked: ModelName | None) -> ModelName | None:
    """Say who answered last: as the history has it, else as the session does, else an earlier author.

    A session may be stale (an outcome that was not stored, a branch of a rewound thread) or ahead (a model that
    was chosen and failed); the history is neither. Another agent's answers are not this session's.
    """
    last = call.transcript.position
    if _is_own(last.agent, call) and (known := _known_as(last.author, specs, asked)) is not None:
        return known
    if asked in specs:
        return asked
    answers = (step for step in reversed(call.transcript.steps) if step.role is Role.AI)
    return next((cast("ModelName", step.author) for step in answers if step.author in specs and _is_own(step.agent, call)), None)


def _known_as(author: str | None, specs: Mapping[ModelName, ModelSpec], asked: ModelName | None) -> ModelName | None:
    """Return the route that goes by the name `author`: of several that share a provider's id, the one that was asked last."""
    if author is None or author in specs:
        return cast("ModelName | None", author)
    return route_of(author, specs, chosen=asked)


def _attributed(call: Call, spec: ModelSpec | None) -> Call:
    """Give to the current model's account what the request refers to without saying whose it is."""
    if spec is None or not call.bindings or not any(map(_is_homeless, call.bindings)):
        return call
    bindings = frozenset(replace(one, holder=spec.account) if _is_homeless(one) else one for one in call.bindings)
    return replace(call, bindings=bindings)


def _is_homeless(binding: Binding) -> bool:
    return binding.reach is BindingReach.ACCOUNT and not binding.holder


def _is_own(agent: str | None, call: Call) -> bool:
    return agent is None or call.agent is None or agent == call.agent
