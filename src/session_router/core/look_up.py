"""Asking the response cache, at a boundary and before any model is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from session_router.core.cache_terms import cache_question
from session_router.core.cached import CacheHit, CacheMiss, CacheQuestion, MissReason, is_confined
from session_router.core.effects import Failed, LookUpAnswer, RewriteQuestion
from session_router.core.governance import READER
from session_router.core.rewritten import Rewritten, standing_alone

if TYPE_CHECKING:
    from collections.abc import Generator

    from session_router.core.effects import Effect
    from session_router.core.rewritten import Conversation
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
    question = yield from _standing_alone(question, call.terms.conversation)
    found = yield LookUpAnswer(question)
    if found is None:
        return None
    if isinstance(found, Failed):
        found = CacheMiss(reason=MissReason.FAILED, detail=type(found.error).__name__)
    if isinstance(found, CacheHit) and _is_forbidden(situation, found):
        found = CacheMiss(reason=MissReason.NOT_PERMITTED)
    return LookedUp(question, found)


def _is_forbidden(situation: Situation, hit: CacheHit) -> bool:
    """Whether those who read the session may not read `hit`: a hit is a read, and rules of the user's own are asked like clearances."""
    if situation.tag is None:
        return False
    call, policy = situation.call, situation.policy
    return policy.failing_rule(hit.answer.tag, policy.cache.reader, model=READER, now=call.now, purpose=call.purpose) is not None


def _standing_alone(question: CacheQuestion, conversation: Conversation | None) -> Generator[Effect, Any, CacheQuestion]:
    """Let a rewriter make `question` stand alone, where there is one; otherwise, and where it fails, the question stays as it is.

    What is untrusted stays in its session, and nobody rewrites it: it could speak to the rewriter. Nor is one asked where nobody may
    be answered from the cache.
    """
    if conversation is None or question.scope is None or is_confined(question.tag):
        return question
    rewritten = yield RewriteQuestion(conversation)
    return standing_alone(question, conversation, rewritten) if isinstance(rewritten, Rewritten) else question
