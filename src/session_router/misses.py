"""What a cache was found not to have, until the decision about it is handed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from session_router.core.cached import CacheMiss

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_router.core.cached import CacheQuestion


class Misses:
    """The question that a flow has missed: where the flow is broken off, nobody may wait for its answer.

    Args:
        abandon: Lets go of a question. Never blocks, and raises nothing.
    """

    __slots__ = ("_abandon", "_question")

    def __init__(self, abandon: Callable[[CacheQuestion], None]) -> None:
        self._abandon = abandon
        self._question: CacheQuestion | None = None

    def note(self, question: CacheQuestion, found: object) -> None:
        """See whether what was found is a miss."""
        if isinstance(found, CacheMiss):
            self._question = question

    def __enter__(self) -> Self:
        """Begin a flow."""
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Let go of the question when the flow did not come to its end: its caller was cancelled, or interrupted."""
        if error is not None and self._question is not None:
            self._abandon(self._question)
