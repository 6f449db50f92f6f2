"""Everything that one decision looks at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from session_router.core.decision import Candidate
from session_router.core.eligibility import examine, payload_tag
from session_router.core.prefix import cached_tokens
from session_router.core.pricing import Prices, Usage, billed, call_cost
from session_router.core.transcript import BindingReach, Role
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.core.boundary import Lock
    from session_router.core.call import Call
    from session_router.core.eligibility import Eligibility
    from session_router.core.governance import Tag
    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.need import Need
    from session_router.core.offer import Offer
    from session_router.core.policy import Policy
    from session_router.core.pricing import USD
    from session_router.core.session import Session
    from session_router.core.transcript import Binding


@dataclass(frozen=True, slots=True)
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
        again: Whether this boundary was decided before.
    """

    call: Call
    specs: Mapping[ModelName, ModelSpec]
    policy: Policy
    session: Session | None
    current: ModelName | None
    tag: Tag | None
    eligible: Mapping[ModelName, Eligibility]
    again: bool = False

    @classmethod
    def of(cls, call: Call, specs: Mapping[ModelName, ModelSpec], policy: Policy, session: Session | None) -> Situation:
        """Look at `call`."""
        rewound = None if session is None else session.rewound(call.transcript)
        again, session = rewound is not None, rewound or session
        current = _current(call, specs, session)
        call = _attributed(call, None if current is None else specs[current])
        tag = payload_tag(call, specs, policy)
        return cls(call, specs, policy, session, current, tag, examine(call, specs, tag), again)

    def candidates(self) -> list[ModelName]:
        """Name the models that nothing excludes at a boundary, in the order of the routes."""
        return [name for name in self.specs if not self.exclusion(name)]

    def exclusion(self, name: ModelName) -> str:
        """Say what excludes `name` at a boundary; empty for nothing."""
        one = self.eligible[name]
        return one.uncleared or one.incapable or self.unportable(name)

    def unportable(self, name: ModelName) -> str:
        """Say why the history cannot move to `name`; the model it is on may stay unless it never had the state."""
        if name == self.current and not self.eligible[name].stuck:
            return ""
        return self.eligible[name].unportable(self.policy)

    def default(self, names: Sequence[ModelName]) -> ModelName:
        """Choose among `names` where nothing else decides: the current model, the default, the first route."""
        if self.current is not None and self.current in names:
            return self.current
        return next((name for name in names if name == self.policy.default), names[0])

    def holder(self, lock: Lock) -> ModelName | None:
        """Say which route `lock` is about, or `None` when the asker is no route, or unknown."""
        if lock.model in self.specs:
            return cast("ModelName", lock.model)
        if self.session is not None and self.session.current in self.specs:
            # An id that fits no route may be an alias; the session knows who was asked.
            return self.session.current
        return self.current if lock.model is None else None

    def prices(self, name: ModelName) -> Prices:
        """Return the prices of `name`, as expected of a provider that was seen to cache less than it should.

        What is not found again is read fresh, and was not written.

        Raises:
            ConfigurationError: It has none.
        """
        prices = self.specs[name].prices
        if prices is None:
            raise ConfigurationError(key=f"prices.{name}", value=None, rule="the price is unknown; give its prices.")
        held = self.held(name)
        if held == 1:
            return prices
        cached_input = prices.input if prices.cached_input is None else prices.cached_input
        return Prices(
            input=prices.input,
            output=prices.output,
            cached_input=held * cached_input + (1 - held) * prices.input,
            cache_write=None if prices.cache_write is None else held * prices.cache_write + (1 - held) * prices.input,
        )

    def scale(self, name: ModelName) -> float:
        """Tokens that the provider of `name` counts for one that we estimate; as others do, while it has counted none."""
        if self.session is None or not self.session.visits:
            return 1.0
        visit = self.session.visits.get(name) or max(self.session.visits.values(), key=lambda one: one.at)
        return visit.scale

    def held(self, name: ModelName) -> float:
        """Share of what should be cached that the provider of `name` was seen to have cached."""
        visit = None if self.session is None else self.session.visits.get(name)
        return 1.0 if visit is None else visit.held

    def reading(self, name: ModelName) -> tuple[float, float]:
        """Tokens of the request as the provider of `name` would count them; and of these, those that it should still hold.

        That a provider holds less than it should is in its `prices`.
        """
        transcript, session = self.call.transcript, self.session
        visit = None if session is None else session.visits.get(name)
        scale = self.scale(name)
        cached = cached_tokens(transcript, visit, now=self.call.now, cache=self.specs[name].prompt_cache, scale=scale)
        return transcript.tokens * scale, cached

    def priced(
        self,
        name: ModelName,
        need: Need | None,
        *,
        offer: Offer | None = None,
        excluded: str = "",
        uncleared: bool = False,
        unportable: bool = False,
    ) -> Candidate:
        """Price the call on `name`; the rest is put into the candidate as it is."""
        spec = self.specs[name]
        tokens, cached = self.reading(name)
        usage = Usage(input=round(tokens), cached=round(cached), output=self.policy.output_tokens)
        cost: USD | None = None
        if spec.prices is not None:
            prices = self.prices(name)
            cost = call_cost(prices, billed(usage, prices, spec.prompt_cache))
        return Candidate(
            model=name,
            excluded=excluded,
            uncleared=uncleared,
            unportable=unportable,
            cached=round(cached * self.held(name)),
            cost=cost,
            p_success=None if need is None else need.p_success,
            offer=offer,
        )


def _current(call: Call, specs: Mapping[ModelName, ModelSpec], session: Session | None) -> ModelName | None:
    """Say who answered last: as the history has it, else as the session does, else an earlier author.

    A session may be stale (an outcome that was not stored, a branch of a rewound thread) or ahead (a model that
    was chosen and failed); the history is neither. Another agent's answers are not this session's.
    """
    answers = (step for step in reversed(call.transcript.steps) if step.role is Role.AI)
    last = next(answers, None)
    if last is not None and last.author in specs and _is_own(last.agent, call):
        return cast("ModelName", last.author)
    if session is not None and session.current in specs:
        return session.current
    return next((cast("ModelName", step.author) for step in answers if step.author in specs and _is_own(step.agent, call)), None)


def _attributed(call: Call, spec: ModelSpec | None) -> Call:
    """Give to the current model's account what the request refers to without saying whose it is."""
    if spec is None or not any(_is_homeless(one) for one in call.bindings):
        return call
    bindings = frozenset(replace(one, holder=spec.account) if _is_homeless(one) else one for one in call.bindings)
    return replace(call, bindings=bindings)


def _is_homeless(binding: Binding) -> bool:
    return binding.reach is BindingReach.ACCOUNT and not binding.holder


def _is_own(agent: str | None, call: Call) -> bool:
    return agent is None or call.agent is None or agent == call.agent
