"""What a cache was found not to have, until the decision about it is handed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

from session_router.core.cached import CacheMiss
from session_router.core.effects import LookUpAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_router.core.cached import CacheQuestion
    from session_router.core.effects import Effect

Answer = TypeVar("Answer")


class Misses:
    """The question that a flow has missed: where the flow is broken off, nobody may wait for its answer.

    Args:
        abandon: Lets go of a question. Never blocks, and raises nothing.
    """

    __slots__ = ("_abandon", "_question")

    def __init__(self, abandon: Callable[[CacheQuestion], None]) -> None:
        self._abandon = abandon
        self._question: CacheQuestion | None = None

    def noted(self, effect: Effect, answer: Answer) -> Answer:
        """Return what an effect was answered with, having seen whether it is a miss."""
        if isinstance(effect, LookUpAnswer) and isinstance(answer, CacheMiss):
            self._question = effect.question
        return answer

    def __enter__(self) -> Self:
        """Begin a flow."""
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Let go of the question when the flow did not come to its end: its caller was cancelled, or interrupted."""
        if error is not None and self._question is not None:
            self._abandon(self._question)
