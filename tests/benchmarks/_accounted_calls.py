"""One call in two books: what the router modelled before it, and what its provider accounted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from session_router.core.intake import intakes_of
from session_router.core.session import Visit
from session_router.core.situation import Situation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from session_router import Decision, Router
    from session_router.core.call import Call
    from session_router.core.model import ModelName
    from session_router.testing.providers import LedgerRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One call in figures: input tokens, those of them that were cached, and US dollars."""

    tokens: int
    cached: int
    dollars: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountedCall:
    """One call.

    Attributes:
        session: Number of its session.
        model: Who answered.
        first: Whether no provider had counted anything in its session.
        modelled: What the decision saw, with the output tokens that came.
        accounted: What the provider wrote into its ledger.
        variants: What other models of the same call see, by name, with the output tokens that came.
    """

    session: int
    model: ModelName
    first: bool
    modelled: Counted
    accounted: Counted
    variants: Mapping[str, Counted]


def _living(situation: Situation, *, seconds: float) -> Situation:
    caches = {name: replace(spec.prompt_cache, seconds_to_live=seconds) for name, spec in situation.specs.items()}
    return replace(situation, specs={name: replace(spec, prompt_cache=caches[name]) for name, spec in situation.specs.items()})


def _uncorrected(situation: Situation) -> Situation:
    session = situation.session
    assert session is not None
    plain = {name: replace(visit, scale=1.0, held=1.0) for name, visit in session.visits.items()}
    return replace(situation, session=replace(session, visits=plain))


CACHING_IGNORED, UNCORRECTED, NEVER_COLD = "caching_ignored", "uncorrected", "never_cold"
BROKEN: Mapping[str, Callable[[Situation], Situation]] = {
    CACHING_IGNORED: lambda situation: _living(situation, seconds=0.0),
    UNCORRECTED: _uncorrected,
    NEVER_COLD: lambda situation: _living(situation, seconds=1e12),
}
"""Models of a call that lack one part of ours."""

REMEMBERED = "remembered"
"""A model of a call whose session opens with what earlier ones tell of each provider: how it counts, and when it last read this
head."""


class Memory:
    """What earlier sessions tell of each provider."""

    def __init__(self) -> None:
        self._visits: dict[ModelName, Visit] = {}

    def opened(self, situation: Situation) -> Situation:
        """Return `situation` as it would be if its session had begun with this."""
        session = situation.session
        assert session is not None
        return replace(situation, session=replace(session, visits={**self._visits, **session.visits}))

    def learn(self, call: Call, model: ModelName, row: LedgerRow, *, at: float) -> None:
        """Remember what the provider of `model` counted, and that by `at` it has read the head: system prompt and tools."""
        head, scale = call.transcript.head, _input(row) / call.transcript.tokens
        self._visits[model] = Visit(steps=0, digest=head.digest, tokens=round(head.tokens * scale), at=at, scale=scale)


def compared(router: Router, call: Call, decision: Decision, row: LedgerRow, *, session: int, memory: Memory) -> AccountedCall:
    """Compare one call.

    Args:
        router: Who decided.
        call: What was routed, with the session that the thread carries.
        decision: What was decided.
        row: What the provider wrote into its ledger.
        session: Number of the session.
        memory: What the sessions before tell.
    """
    name, carried = decision.chosen(), call.carried
    assert carried is not None, "the thread carries no session"
    here = Situation.of(call, router.models, router.policy, carried)
    seen, again = next(one for one in decision.evidence.candidates if one.model == name), here.priced(name, None)
    assert (seen.cached, seen.cost) == (again.cached, again.cost), "the decision saw something else"
    variants = {label: _counted(changed(here), name, row.output) for label, changed in BROKEN.items()}
    return AccountedCall(
        session=session,
        model=name,
        first=not carried.visits,
        modelled=_counted(here, name, row.output),
        accounted=Counted(tokens=_input(row), cached=row.cached_input, dollars=row.dollars),
        variants={**variants, REMEMBERED: _counted(memory.opened(here), name, row.output)},
    )


def _counted(situation: Situation, name: ModelName, output: int) -> Counted:
    """Price a call as the router does, with the output tokens that came in place of those that it assumes."""
    # Not `situation.intakes`: a variant changes what they are made of.
    intake = intakes_of(situation.call, situation.specs, situation.session)[name]
    cost = intake.cost(output=output)
    assert cost is not None
    return Counted(tokens=intake.tokens, cached=round(intake.cached * intake.held), dollars=cost)


def _input(row: LedgerRow) -> int:
    return row.uncached_input + row.cached_input + row.cache_written


def dollars(calls: Sequence[AccountedCall], variant: str = "") -> float:
    """Return modelled over accounted dollars, in sum; as `variant` models them, if one is named."""
    return sum(_modelled(calls, variant, lambda one: one.dollars)) / sum(call.accounted.dollars for call in calls)


def cached_tokens(calls: Sequence[AccountedCall], variant: str = "") -> float:
    """Return modelled over accounted cached tokens, in sum; as `variant` models them, if one is named."""
    return sum(_modelled(calls, variant, lambda one: one.cached)) / sum(call.accounted.cached for call in calls)


def _modelled(calls: Sequence[AccountedCall], variant: str, read: Callable[[Counted], float]) -> Iterator[float]:
    return (read(call.variants[variant] if variant else call.modelled) for call in calls)


def worst(calls: Sequence[AccountedCall]) -> float:
    """Return by what share of the accounted dollars of a call the modelled ones are off at most."""
    return max(abs(call.modelled.dollars / call.accounted.dollars - 1) for call in calls)


def moves(calls: Sequence[AccountedCall]) -> list[AccountedCall]:
    """Return the calls that another model answered than the call before."""
    return [after for before, after in pairwise(calls) if before.session == after.session and before.model != after.model]


def warm_returns(calls: Sequence[AccountedCall]) -> list[AccountedCall]:
    """Return the moves to a model whose provider still cached part of the request: A -> B -> A."""
    return [call for call in moves(calls) if call.accounted.cached]
