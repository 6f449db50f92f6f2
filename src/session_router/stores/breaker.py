"""A breaker that threads share: a `Circuit` under a lock."""

from __future__ import annotations

import random
from threading import Lock
from typing import TYPE_CHECKING

from session_router.core.breaker import CLOSED, BreakerSettings, BreakerState

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Breaker", "BreakerSettings", "BreakerState"]


class Breaker:
    """Guards one server against being asked in vain, as the table of `Circuit` says. Safe for threads.

    Args:
        settings: When to open and when to try again.
        share: Draws the share of a pause, from [0, 1).
    """

    def __init__(self, settings: BreakerSettings | None = None, *, share: Callable[[], float] = random.random) -> None:
        self._settings = settings or BreakerSettings()
        self._share = share
        self._circuit = CLOSED
        self._guard = Lock()

    @property
    def state(self) -> BreakerState:
        """Whether the server is asked."""
        return self._circuit.state

    def admits(self, now: float) -> bool:
        """Say whether to ask, at `now` (seconds of a clock that never goes back); whoever may must tell `succeeded` or `failed`."""
        if self._circuit.state is BreakerState.CLOSED:
            return True
        with self._guard:
            if not self._circuit.admits(now):
                return False
            self._circuit = self._circuit.asked(now + self._settings.pause(self._circuit.pauses, self._share()))
            return True

    def succeeded(self) -> None:
        """Take notice of an answer."""
        if self._circuit is CLOSED:
            return
        with self._guard:
            after = self._circuit.succeeded()
            self._circuit = after if after.failed else CLOSED

    def failed(self, now: float) -> None:
        """Take notice that there was none, at `now` (seconds of the same clock)."""
        with self._guard:
            self._circuit = self._circuit.failed_at(now, self._settings, self._share())
