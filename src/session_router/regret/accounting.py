"""What each call of one recorded session costs on each model, and what a routing of its calls costs in all.

Every routing, the optimum included, is charged by the same rules:

- A call costs its recorded tokens, estimated where none were recorded, at the prices of the model that serves it. What the
  model read at its last visit counts as cached as long as its provider's time to live and minimum allow (`core.prefix`); what
  is read fresh is written to the cache at the price of writing, where there is one.
- A segment costs, once, the stake times the chance that the model of its first call serves it badly.
- A change of model costs the handoff.
- A call that nobody may or can serve costs nothing and leaves nothing behind, whatever the routing.
- A recording may begin inside a lock whose asker is unknown: its first call then opens a segment all the same, and any model
  may take it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from session_router.core.checking import check_number
from session_router.core.eligibility import examine, payload_tag
from session_router.core.model import ModelName
from session_router.core.prefix import cached_tokens
from session_router.core.pricing import NOTHING, USD, Usage, billed, call_cost
from session_router.core.session import Visit
from session_router.errors import ConfigurationError
from session_router.regret.bill import Charge
from session_router.replay.loop import ReplayedCall, with_cached

if TYPE_CHECKING:
    from session_router.core.call import Call
    from session_router.router import Router

Chances: TypeAlias = Mapping[ModelName, float]
"""Each model's chance, in [0, 1], to serve a segment well; empty when nobody knows."""

ChancesOf: TypeAlias = Callable[[ReplayedCall], Chances]
"""Says what the chances are at a call. It is asked at every call; the accounting uses the answer at the first of a segment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServableCall:
    """One recorded call that somebody may and can serve.

    Attributes:
        replayed: The call, and what the router decided.
        eligible: Who may see it and can serve it, in the order of the routes; never empty.
        segment: Number of its segment in the session, from 0.
        opens: Whether it is the first call of its segment.
        chances: As of this call.
    """

    replayed: ReplayedCall
    eligible: tuple[ModelName, ...]
    segment: int
    opens: bool
    chances: Chances

    @property
    def locked(self) -> bool:
        """Whether the model must stay, as long as it is eligible."""
        return self.replayed.decision.lock is not None


class SessionCosts:
    """The costs of one session, each computed once.

    Args:
        replayed: All calls of one recording, oldest first.
        router: Whose models, prices and policy count.
        chances_of: Who knows the chances.

    Attributes:
        models: Every model, in the order of the routes.
        calls: The calls that somebody can serve, oldest first. The other methods name a call by its index here.
        refused: Calls that nobody can serve.

    Raises:
        ConfigurationError: Chances are not numbers in [0, 1], or some models have one and others have none.
    """

    def __init__(self, replayed: Sequence[ReplayedCall], router: Router, chances_of: ChancesOf) -> None:
        self._specs = router.models
        self._output_tokens = router.policy.output_tokens
        self.models: tuple[ModelName, ...] = tuple(router.models)
        self.calls: tuple[ServableCall, ...] = tuple(_servable(replayed, router, chances_of))
        self.refused = len(replayed) - len(self.calls)
        self._visits = [Visit.of(one.replayed.call.transcript, at=one.replayed.call.now) for one in self.calls]
        self._known: dict[tuple[int, ModelName, int | None], USD] = {}

    def request(self, call: int) -> Call:
        """Return what was asked at `call`."""
        return self.calls[call].replayed.call

    def usage(self, call: int, model: ModelName, visit: int | None) -> Usage:
        """Return the tokens of `call` on `model`.

        Args:
            call: Which call.
            model: Who serves it.
            visit: The last call before it that `model` served; `None` for none.
        """
        return self._billed(self.calls[call].replayed.usage, call, model, visit)

    def dollars(self, call: int, model: ModelName, visit: int | None) -> USD:
        """Return the price of `call` on `model`; the arguments are those of `usage`."""
        key = (call, model, visit)
        if (known := self._known.get(key)) is None:
            known = self._known[key] = self._price(model, self.usage(call, model, visit))
        return known

    def expected(self, call: int, model: ModelName, visit: int | None) -> USD:
        """Return the price of `call` on `model` by what can be known before it: its estimated input, and an assumed output."""
        assumed = Usage(input=self.request(call).transcript.tokens, output=self._output_tokens)
        return self._price(model, self._billed(assumed, call, model, visit))

    def lives_until(self, model: ModelName, visit: int, call: int) -> bool:
        """Whether the provider of `model` keeps until `call` what was read at call `visit`: no later call finds it if not."""
        return self._specs[model].prompt_cache.keeps_for(self._visits[call].at - self._visits[visit].at)

    def charges(self, chosen: Sequence[ModelName | None]) -> list[Charge]:
        """Charge a routing, call by call.

        Args:
            chosen: The model of each call; `None` where the routing has none. A model that cannot serve the call is charged
                as if it could, and the call is marked; a segment that is opened by nobody is served badly for certain.
        """
        charges: list[Charge] = []
        visits: dict[ModelName, int] = {}
        current: ModelName | None = None
        for index, (call, model) in enumerate(zip(self.calls, chosen, strict=True)):
            if model is None:
                charges.append(Charge(chance=0.0 if call.opens and call.chances else None, impossible=True))
                continue
            switched = current is not None and model != current
            visit = visits.get(model)
            charges.append(
                Charge(
                    model=model,
                    dollars=self.dollars(index, model, visit),
                    cached=self.usage(index, model, visit).cached,
                    chance=call.chances.get(model) if call.opens else None,
                    switched=switched,
                    # Whoever may not go on must be left, lock or no lock.
                    unsafe=switched and call.locked and current in call.eligible,
                    impossible=model not in call.eligible,
                )
            )
            visits[model], current = index, model
        return charges

    def _billed(self, usage: Usage, call: int, model: ModelName, visit: int | None) -> Usage:
        spec, request = self._specs[model], self.request(call)
        assert spec.prices is not None  # noqa: S101 -- the router refuses a model without prices
        cached = 0
        if visit is not None:
            cached = cached_tokens(request.transcript, self._visits[visit], now=request.now, cache=spec.prompt_cache)
        return billed(with_cached(usage, cached, of=request.transcript.tokens), spec.prices, spec.prompt_cache)

    def _price(self, model: ModelName, usage: Usage) -> USD:
        prices = self._specs[model].prices
        return NOTHING if prices is None else call_cost(prices, usage)


def _servable(replayed: Sequence[ReplayedCall], router: Router, chances_of: ChancesOf) -> list[ServableCall]:
    found: list[ServableCall] = []
    segment, opens = -1, True
    for one in replayed:
        opens = opens or one.decision.lock is None
        examined = examine(one.call, router.models, router.policy, payload_tag(one.call, router.models, router.policy))
        eligible = tuple(name for name, against in examined.items() if not (against.uncleared or against.incapable))
        if not eligible:
            continue
        segment += opens
        chances = _checked(chances_of(one), router)
        found.append(ServableCall(replayed=one, eligible=eligible, segment=segment, opens=opens, chances=chances))
        opens = False
    return found


def _checked(chances: Chances, router: Router) -> Chances:
    if chances and (missing := [name for name in router.models if name not in chances]):
        raise ConfigurationError(key="chances", value=sorted(chances), rule=f"give a chance of {missing!r} too, or of no model.")
    for name, chance in chances.items():
        check_number(chance, key=f"chances.{name}", rule="give a number in [0, 1].", high=1.0)
    return chances


class ScorerChances:
    """The chances that the router's scorer predicts: those of the decision where it holds all of them, else asked anew."""

    def __init__(self, router: Router) -> None:
        self._models, self._scorer = router.models, router.scorer

    def __call__(self, replayed: ReplayedCall) -> Chances:
        """Return the chances at a call; none when the scorer fails."""
        known = {one.model: one.p_success for one in replayed.decision.evidence.candidates if one.p_success is not None}
        if len(known) == len(self._models):
            return known
        try:
            needs = self._scorer.score(replayed.call.question, self._models)
            return {name: needs[name].p_success for name in self._models}
        except Exception:  # noqa: BLE001 -- the port says: any exception means no score; the router has logged its own
            return {}
