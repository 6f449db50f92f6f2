"""A decision as the attributes of its route span. Facts and names only: nothing of what anybody said."""

from __future__ import annotations

from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING

from session_router.core.cached import CacheHit, CacheMiss
from session_router.core.decision import Action
from session_router_otel import conventions as names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AttributeValue

    from session_router.core.decision import Decision
    from session_router.core.pricing import USD

_TAG_PREFIX = "data labelled "
_RESTRICTIONS = ("regions ", "purposes ", "tenant ")


def attributes_of(decision: Decision) -> dict[str, AttributeValue]:
    """Return the attributes of the route span of `decision`, but for the session's id; what is not known is left out."""
    evidence = decision.evidence
    found: dict[str, AttributeValue] = {
        names.SPAN_KIND: names.CHAIN,
        names.DECISION: decision.action.value,
        names.DECISION_ID: decision.id,
        names.REASON: decision.reason.value,
        names.POLICY: decision.policy,
        names.LOCK_STATE: lock_state(decision),
        names.TURN_INDEX: decision.turn,
        names.CALL_INDEX: decision.call,
        names.TOKENS: evidence.tokens,
    }
    if decision.model is not None:
        found[names.MODEL_SELECTED] = decision.model
    if decision.previous is not None:
        found[names.MODEL_PREVIOUS] = decision.previous
    if decision.agent is not None:
        found[names.AGENT_NAME] = decision.agent
    if decision.internal:
        found[names.INTERNAL] = True
    if evidence.degraded:
        found[names.DEGRADED] = evidence.degraded
    if evidence.tag:
        found[names.GOVERNANCE_TAGS] = labels_of(decision)
    if evidence.trusted is not None:
        found[names.TRUSTED] = evidence.trusted
    found |= _candidates(decision)
    found |= cache_attributes(looked_up(decision))
    return found


def lock_state(decision: Decision) -> str:
    """Name the lock that held, or say that the call was at a boundary."""
    return names.AT_A_BOUNDARY if decision.lock is None else decision.lock.kind.value


def labels_of(decision: Decision) -> tuple[str, ...]:
    """Name the labels of the payload: its level, its categories, what it forbids. Whose data it is stays here."""
    return _labels(decision.evidence.tag)


@lru_cache(maxsize=1_024)
def _labels(tag: str) -> tuple[str, ...]:
    parts, flags = tag.removeprefix(_TAG_PREFIX).split(", "), list[str]()
    # What it forbids stands at the end. Before that, everything from the first restriction on may be a name that anybody made up.
    for flag in ("zero_retention", "no_train"):
        if parts[-1:] == [flag]:
            flags.insert(0, parts.pop())
    named = takewhile(lambda part: not part.startswith(_RESTRICTIONS), parts)
    return (*(part for part in named if not part.endswith(" subjects")), *flags)


def expected_cost(decision: Decision) -> USD | None:
    """Return the estimated dollars of this call on the chosen model; `None` when nobody answers."""
    return next((one.cost for one in decision.evidence.candidates if one.model == decision.model), None)


def saved_cost(decision: Decision) -> float | None:
    """Return what is expected to be saved, in US dollars: below 0 where the decision costs more.

    For a choice by dollars: the expected cost of staying on the session's model, less that of the chosen one, each over the coming
    segment and what follows, the risk included. For a stored answer: what it cost when a model gave it.

    Returns:
        The dollars; `None` where there is nothing to compare: the first call, a lock, a choice that dollars did not make.
    """
    found = looked_up(decision)
    if decision.action is Action.CACHE_HIT and isinstance(found, CacheHit):
        return found.answer.cost
    offers = {one.model: one.expected for one in decision.evidence.candidates if one.expected is not None}
    if decision.previous is None or decision.model is None or decision.previous not in offers or decision.model not in offers:
        return None
    return offers[decision.previous] - offers[decision.model]


def _candidates(decision: Decision) -> dict[str, AttributeValue]:
    candidates = [one for one in decision.evidence.candidates if not one.excluded]
    found: dict[str, AttributeValue] = {names.CANDIDATES: [one.model for one in candidates]}
    # Three lists by one index: each is there for all candidates or not at all.
    scores = [one.p_success for one in candidates if one.p_success is not None]
    if candidates and len(scores) == len(candidates):
        found[names.SCORES] = scores
    expected = [one.expected for one in candidates if one.expected is not None]
    if candidates and len(expected) == len(candidates):
        found[names.COST_CANDIDATES] = expected
    if (cost := expected_cost(decision)) is not None:
        found[names.COST_EXPECTED] = cost
    if (saved := saved_cost(decision)) is not None:
        found[names.COST_SAVED] = saved
    return found


def looked_up(decision: Decision) -> CacheHit | CacheMiss | None:
    """Return what the response cache said; `None` when nobody asked it."""
    found: object = getattr(decision.evidence, "cache", None)
    return found if isinstance(found, CacheHit | CacheMiss) else None


def cache_attributes(found: CacheHit | CacheMiss | None) -> Mapping[str, AttributeValue]:
    """Return what a look-up in the response cache came to; nothing when there was none."""
    if found is None:
        return {}
    if isinstance(found, CacheMiss):
        return {names.CACHE_RESULT: "miss", names.CACHE_REASON: found.reason.value}
    similar: dict[str, AttributeValue] = {} if found.score is None else {names.CACHE_SIMILARITY: found.score}
    return {names.CACHE_RESULT: "hit", names.CACHE_REASON: found.tier.value, **similar}
