"""A breaker: after several failures in a short time, nobody asks for a while; then one asks, and its answer counts for all."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class BreakerState(StrEnum):
    """Whether a server is asked."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When to stop asking, and when to try again.

    Attributes:
        failures: So many more failures than answers ...
        within_seconds: ... in this time open the breaker.
        first_pause_seconds: How long nobody asks then, at most.
        longest_pause_seconds: Each pause after another failure is twice as long as the one before, up to this.
        least_share: A pause lasts a random share of that, at least this one: replicas that failed together do not come back together.
    """

    failures: int = 5
    within_seconds: float = 10.0
    first_pause_seconds: float = 1.0
    longest_pause_seconds: float = 8.0
    least_share: float = 0.5


class Breaker:
    """Guards one server against being asked in vain. Safe for threads.

    | state | event | next |
    |---|---|---|
    | closed | success | closed |
    | closed | failure | closed; open after several in a short time |
    | open | the pause is over, and somebody wants to ask | half-open, for that one |
    | half-open | success | closed |
    | half-open | failure | open, for longer |

    What was asked before the breaker opened may answer later: a failure then says nothing new, a success closes it.

    Args:
        settings: When to open and when to try again.
        share: Draws the share of a pause, from [0, 1).
    """

    def __init__(self, settings: BreakerSettings | None = None, *, share: Callable[[], float] = random.random) -> None:
        self._settings = settings or BreakerSettings()
        self._share = share
        self._failed: deque[float] = deque(maxlen=self._settings.failures)
        self._pauses = 0
        self._again_at = 0.0
        self._guard = Lock()
        self.state = BreakerState.CLOSED

    def admits(self, now: float) -> bool:
        """Say whether to ask, at `now` (seconds of a clock that never goes back); whoever may must tell `succeeded` or `failed`."""
        if self.state is BreakerState.CLOSED:
            return True
        with self._guard:
            if now < self._again_at:
                return False
            # Who asks now may never tell what came of it: another one may try after as long again.
            self.state = BreakerState.HALF_OPEN
            self._again_at = now + self._pause()
            return True

    def succeeded(self) -> None:
        """Take notice of an answer: it makes up for one failure, so that a busy server that loses one in a thousand stays in use."""
        if self.state is BreakerState.CLOSED and not self._failed:
            return
        with self._guard:
            if self.state is BreakerState.CLOSED:
                if self._failed:
                    self._failed.popleft()
                return
            self.state = BreakerState.CLOSED
            self._failed.clear()
            self._pauses = 0

    def failed(self, now: float) -> None:
        """Take notice that there was none, at `now` (seconds of the same clock)."""
        with self._guard:
            self._failed.append(now)
            if self.state is BreakerState.OPEN:
                return
            many = len(self._failed) == self._settings.failures and now - self._failed[0] <= self._settings.within_seconds
            if self.state is BreakerState.HALF_OPEN or many:
                self.state = BreakerState.OPEN
                self._again_at = now + self._pause()
                self._pauses += 1

    def _pause(self) -> float:
        longest = min(self._settings.first_pause_seconds * 2.0**self._pauses, self._settings.longest_pause_seconds)
        least = self._settings.least_share
        return longest * (least + (1 - least) * self._share())
