"""What may be kept, and for how long."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from session_router.cache.entry import Entry
from session_router.cache.unfit_answers import cut_off, refusal
from session_router.core.cached import is_confined, joined_tag, portable, unreplayable
from session_router.core.governance import failing_rule

if TYPE_CHECKING:
    from session_router.cache.asked import Asked
    from session_router.cache.settings import CacheSettings
    from session_router.core.cached import CachedAnswer, CacheQuestion


def is_broken(answer: CachedAnswer) -> bool:
    """Whether `answer` is no whole answer: it says nothing about a stored one."""
    return not answer.complete or (not answer.tool_calls and cut_off(answer.finish_reason) is not None)


def is_unfit(answer: CachedAnswer) -> bool:
    """Whether `answer` is of a kind that is never kept: where it is given, a stored one would not have done."""
    return answer.tool_calls or answer.tool_derived or refusal(answer.text) is not None


def unkept(question: CacheQuestion, answer: CachedAnswer, settings: CacheSettings) -> str | None:
    """Say why `answer` is not kept, or `None` when it may be. Whether `question` is fit was seen before."""
    tag = joined_tag(question, answer)
    if reason := unreplayable(answer) or cut_off(answer.finish_reason) or refusal(answer.text):
        return reason
    if is_confined(answer.tag) and not is_confined(question.tag):
        return "it is untrusted, and would leave its session"
    # The place where entries lie keeps what it is sent.
    if tag.zero_retention:
        return "it must not be kept anywhere"
    if rule := failing_rule(tag, settings.clearance, now=question.now, purpose=question.purpose):
        return f"the cache may not see it: {rule}"
    # Written as `not (now < end)`, so that a clock that is no number keeps nothing.
    return None if question.now < _end(question, answer, settings) else "it is over already"


def entry_of(asked: Asked, answer: CachedAnswer, settings: CacheSettings, *, content: bytes, name: str, vector: bytes) -> Entry:
    """Return the entry for an answer that may be kept.

    Args:
        asked: The question.
        answer: The answer.
        settings: Times to live.
        content: Its content key.
        name: Id of the entry.
        vector: Of the question; empty for none.
    """
    question = asked.question
    return Entry(
        id=name,
        partition=asked.partition,
        exact=asked.exact,
        content=content,
        text=question.text,
        answer=replace(answer, content=portable(answer.content), tag=joined_tag(question, answer)),
        category=settings.category(question.category),
        policy_epoch=question.policy_epoch,
        knowledge_epoch=question.knowledge_epoch,
        model_class=question.model_class,
        asked_at=question.now,
        expires_at=_end(question, answer, settings),
        vector=vector,
    )


def _end(question: CacheQuestion, answer: CachedAnswer, settings: CacheSettings) -> float:
    """Return when an entry is over: the first of its category's, its tag's and its own end."""
    lifetime = settings.lifetime(settings.category(question.category))
    ends = (question.now + lifetime, joined_tag(question, answer).expires_at, answer.expires_at)
    return min(end for end in ends if end is not None)
