"""What a cache did, in numbers."""

from __future__ import annotations

import logging
from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING

from session_router.core.cached import CacheHit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.cached import CacheMiss

logger = logging.getLogger("session_router.cache")


class Counts:
    """Counts what happened since the start of the process. Safe to use from many threads."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._saved = 0.0
        self._guard = Lock()

    def add(self, what: str) -> None:
        """Count one more."""
        with self._guard:
            self._counts[what] += 1

    def looked_up(self, found: CacheHit | CacheMiss) -> None:
        """Count what came of a look-up: `hit.<tier>` or `miss.<reason>`."""
        with self._guard:
            if isinstance(found, CacheHit):
                self._counts[f"hit.{found.tier}"] += 1
                self._saved += found.answer.cost
            else:
                self._counts[f"miss.{found.reason}"] += 1

    def failed(self, what: str, error: BaseException) -> None:
        """Count a failure, and tell of the first of its kind; its text may hold what was asked, and is not logged."""
        name = f"failed.{what}.{type(error).__name__}"
        self.add(name)
        with self._guard:
            first = self._counts[name] == 1
        if first:
            logger.warning("the cache failed to %s (%s) and goes on without; later ones are counted only", what, type(error).__name__)

    def snapshot(self) -> Mapping[str, int]:
        """Return all counts."""
        with self._guard:
            return dict(self._counts)

    @property
    def saved(self) -> float:
        """US dollars that the hits would have cost."""
        return self._saved
