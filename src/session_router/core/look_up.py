"""Asking the response cache, at a boundary and before any model is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from session_router.core.cache_terms import cache_question
from session_router.core.cached import CacheHit, CacheMiss, CacheQuestion, MissReason
from session_router.core.effects import Failed, LookUpAnswer

if TYPE_CHECKING:
    from collections.abc import Generator

    from session_router.core.effects import Effect
    from session_router.core.situation import Situation


class LookedUp(NamedTuple):
    """What was asked, and what came of it."""

    question: CacheQuestion
    found: CacheHit | CacheMiss


def look_up(situation: Situation) -> Generator[Effect, Any, LookedUp | None]:
    """Look for a stored answer; `None` where nobody looks.

    Nobody does for a caller who insists on one model, for another attempt after a failure, for a middleware's own calls, and where
    no model may answer: what may not be asked may not be answered from a store either.
    """
    call = situation.call
    if call.terms is None or call.only is not None or call.failed or call.internal or not situation.candidates():
        return None
    question = cache_question(
        call.terms,
        situation.policy.cache,
        tag=situation.tag,
        session=call.session,
        specs=situation.specs,
        purpose=call.purpose,
        now=call.now,
    )
    if question is None:
        return None
    found = yield LookUpAnswer(question)
    if found is None:
        return None
    if isinstance(found, Failed):
        found = CacheMiss(reason=MissReason.FAILED, detail=type(found.error).__name__)
    return LookedUp(question, found)
