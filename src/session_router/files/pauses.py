"""How long to pause between tries for what somebody else holds, and tells nobody when they let go."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHORTEST_SECONDS: Final = 0.000_05
"""Most holders are there for as long as this, or twice."""

LONGEST_SECONDS: Final = 0.01
"""Who waits for a holder that is frozen tries 150 times a second, which takes a hundredth of a core."""

SHARE: Final = 0.25
"""A pause is no longer than this share of what was waited before it, so that nobody comes much too late."""


def pauses(
    patience_seconds: float, *, now: Callable[[], float] = time.monotonic, draw: Callable[[], float] = random.random
) -> Iterator[float]:
    """Give the next pause, in seconds, until patience is at an end: a try follows each, and there is no other after the last.

    Args:
        patience_seconds: How long to try, from the first pause on.
        now: A clock, in seconds; how long tries and pauses really take counts.
        draw: A number in [0, 1). Those who wait for the same holder must not try at the same times.
    """
    begun = now()
    while (left := patience_seconds - (waited := now() - begun)) > 0:
        yield min(min(max(SHORTEST_SECONDS, waited * SHARE), LONGEST_SECONDS) * (1 - draw() / 2), left)
