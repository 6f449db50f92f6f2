"""A response cache that answers as it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from session_router.core.cached import CacheHit, CacheMiss, MissReason

if TYPE_CHECKING:
    from session_router.core.cached import CachedAnswer, CacheQuestion

MISS = CacheMiss(reason=MissReason.NOTHING)


class Shelf:
    """A cache that answers as it is told, and keeps what it is asked."""

    def __init__(self, *found: Any) -> None:
        self.found = list(found) or [MISS]
        self.asked: list[CacheQuestion] = []
        self.abandoned: list[CacheQuestion] = []
        self.stored: list[tuple[CacheQuestion, CachedAnswer]] = []

    def look_up(self, question: CacheQuestion) -> Any:
        self.asked.append(question)
        found = self.found[min(len(self.asked), len(self.found)) - 1]
        if isinstance(found, Exception):
            raise found
        return found

    def store(self, question: CacheQuestion, answer: CachedAnswer) -> str | None:
        self.stored.append((question, answer))
        return None

    def abandon(self, question: CacheQuestion) -> None:
        self.abandoned.append(question)

    def veto(self, hit: CacheHit) -> None:
        del hit

    async def alook_up(self, question: CacheQuestion) -> Any:
        return self.look_up(question)

    async def astore(self, question: CacheQuestion, answer: CachedAnswer) -> str | None:
        return self.store(question, answer)

    async def aveto(self, hit: CacheHit) -> None:
        self.veto(hit)
