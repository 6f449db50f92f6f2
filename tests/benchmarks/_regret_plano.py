"""Plano's cap on the money that a session spends on switching.

After `brightstaff/src/handlers/llm/session_router.rs` and `router/orchestrator.rs` of katanemo/plano (pull requests 982, 996, 1016),
with the settings that it has unless told otherwise: `max_switch_spend_pct` 20, `route_on_user_only` off, `replenish_on_rebind` on.

A quality router that knows no cache names a model for every request. While the cache of the anchor, the model of the request
before, is warm, and the session begins with the same system prompt and user message, each request adds to a baseline what
reading the context cached costs on the session's first model. A switch costs what reading the context costs on the named model,
cached as far as that model is still warm, over reading it cached on the anchor. One that costs nothing is free; any other must
keep their sum within the share of the baseline, or the anchor stays. A cold anchor, or another beginning, starts anew with the
named model. The context is that of the request before, as counted. Before there is a user message there is no session.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from session_router.core.model import ModelName
from session_router.core.pricing import Usage, call_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from session_router.core.model import ModelSpec
    from session_router.regret import Routing, SessionCosts, Terms

SWITCH_SPEND = 0.2
"""`routing.routing_budget.max_switch_spend_pct`, as a share of the baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request that a model served.

    Attributes:
        at: POSIX seconds.
        tokens: Of its context.
    """

    at: float
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What Plano remembers of a session.

    Attributes:
        anchor: The model of the last request.
        default: The model of the first one: of all, had the session never switched.
        opening: Digest of the system prompt and the first user message.
        visits: The last request of each model.
        baseline: US dollars of never switching.
        spent: US dollars of switches.
    """

    anchor: ModelName
    default: ModelName
    opening: bytes
    visits: Mapping[ModelName, Visit] = field(default_factory=dict[ModelName, Visit])
    baseline: float = 0.0
    spent: float = 0.0

    def served(self, visit: Visit) -> Binding:
        """Return this binding after the anchor served a request."""
        return replace(self, visits={**self.visits, self.anchor: visit})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """The rule.

    Attributes:
        specs: The routes, with prices.
        share: Of the baseline, that may be spent on switches.
    """

    specs: Mapping[ModelName, ModelSpec]
    share: float = SWITCH_SPEND

    def follow(self, before: Binding | None, named: ModelName, *, opening: bytes, now: float) -> Binding:
        """Return the binding whose anchor serves the coming request.

        Args:
            before: That of the request before.
            named: The model that the quality router names.
            opening: Digest of how the session begins.
            now: POSIX seconds.
        """
        if before is None or before.opening != opening:
            return Binding(anchor=named, default=named, opening=opening)
        anchor, last = before.anchor, before.visits[before.anchor]
        if not self._keeps(anchor, last, now):
            return Binding(anchor=named, default=named, opening=opening, visits=before.visits)
        context, spent = last.tokens, before.spent
        baseline = before.baseline + self._reading(before.default, context, cached=context)
        if named != anchor:
            visit = before.visits.get(named)
            cached = min(context, visit.tokens) if visit is not None and self._keeps(named, visit, now) else 0
            cost = self._reading(named, context, cached=cached) - self._reading(anchor, context, cached=context)
            if cost <= 0 or spent + cost <= self.share * baseline:
                anchor, spent = named, spent + max(0.0, cost)
        return replace(before, anchor=anchor, baseline=baseline, spent=spent)

    def _keeps(self, name: ModelName, visit: Visit, now: float) -> bool:
        return self.specs[name].prompt_cache.keeps_for(now - visit.at)

    def _reading(self, name: ModelName, tokens: int, *, cached: int) -> float:
        """Price the input. Output is left out: nobody knows it before."""
        prices = self.specs[name].prices
        assert prices is not None
        return call_cost(prices, Usage(input=tokens, cached=cached))


def capped(names: Callable[[SessionCosts, int, Terms], ModelName], cap: Cap) -> Routing:
    """Return the routing under a cap.

    Args:
        names: Names the model for a call.
        cap: The rule.
    """

    def routing(costs: SessionCosts, terms: Terms) -> list[ModelName | None]:
        chosen: list[ModelName | None] = []
        binding: Binding | None = None
        for index, call in enumerate(costs.calls):
            named, request = names(costs, index, terms), costs.request(index)
            opening = request.transcript.opening
            if opening is None:
                chosen.append(named)
                continue
            binding = cap.follow(binding, named, opening=opening.digest, now=request.now)
            if binding.anchor not in call.eligible:
                binding = cap.follow(None, named, opening=opening.digest, now=request.now)
            binding = binding.served(Visit(at=request.now, tokens=call.replayed.usage.input))
            chosen.append(binding.anchor)
        return chosen

    return routing
