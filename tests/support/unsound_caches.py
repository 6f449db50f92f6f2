"""Response caches that break a law each: what a suite is worth shows in what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.cache.asked import Asking
from session_router.cache.partition import FIELDS, Partitions
from session_router.cache.semantic import SemanticCache
from session_router.core.cached import CacheHit, CacheMiss, MissReason, Tier

if TYPE_CHECKING:
    from session_router.core.cached import CachedAnswer, CacheQuestion

KEY = b"k" * 32


class AlwaysHits:
    """Answers every question with what it heard last."""

    def __init__(self) -> None:
        self.answer: CachedAnswer | None = None

    def look_up(self, question: CacheQuestion) -> CacheHit | CacheMiss:
        if self.answer is None:
            return CacheMiss(reason=MissReason.NOTHING)
        return CacheHit(entry="1", tier=Tier.EXACT, answer=self.answer, age_seconds=question.now - self.answer.at)

    def store(self, question: CacheQuestion, answer: CachedAnswer) -> str | None:
        del question
        self.answer = answer
        return None

    def abandon(self, question: CacheQuestion) -> None:
        del question

    def veto(self, hit: CacheHit) -> None:
        del hit

    def erase(self, subject: str, *, now: float) -> int:
        del subject, now
        return 0

    async def alook_up(self, question: CacheQuestion) -> CacheHit | CacheMiss:
        return self.look_up(question)

    async def astore(self, question: CacheQuestion, answer: CachedAnswer) -> str | None:
        return self.store(question, answer)

    async def aveto(self, hit: CacheHit) -> None:
        self.veto(hit)

    async def aerase(self, subject: str, *, now: float) -> int:
        return self.erase(subject, now=now)


class NeverHits(AlwaysHits):
    """Keeps nothing."""

    def look_up(self, question: CacheQuestion) -> CacheHit | CacheMiss:
        del question
        return CacheMiss(reason=MissReason.NOTHING)


def forgetful(cache: SemanticCache, field: str) -> SemanticCache:
    """Leave one field out of the partitions of `cache`."""
    embedder = "" if cache._embedder is None else cache._embedder.fingerprint
    partitions = Partitions(KEY, embedder=embedder, fields=[one for one in FIELDS if one != field])
    if field == "tenant":
        # Tenants are kept apart twice.
        partitions._tenant_key = lambda _: KEY  # type: ignore[assignment] # that is what is broken
    cache._asking = Asking(KEY, partitions)
    return cache
