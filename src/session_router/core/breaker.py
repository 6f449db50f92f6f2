"""A breaker as a value: after several failures in a short time nobody asks for a while; then one asks, and its answer counts for all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from session_router.core.checking import check_number

LONGEST_SECONDS = 86_400.0
MOST_FAILURES = 1_000


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

    Raises:
        ConfigurationError: A setting is out of its range.
    """

    failures: int = 5
    within_seconds: float = 10.0
    first_pause_seconds: float = 1.0
    longest_pause_seconds: float = 8.0
    least_share: float = 0.5

    def __post_init__(self) -> None:
        """Check the values."""
        rule = f"give a number of failures, 1 to {MOST_FAILURES}."
        check_number(self.failures, key="failures", rule=rule, low=1, high=MOST_FAILURES, whole=True)
        for name in ("within_seconds", "first_pause_seconds", "longest_pause_seconds"):
            rule = f"give seconds, 0 to {LONGEST_SECONDS:g}."
            check_number(getattr(self, name), key=name, rule=rule, high=LONGEST_SECONDS)
        check_number(self.least_share, key="least_share", rule="give a share in [0, 1].", high=1.0)

    def pause(self, pauses: int, share: float) -> float:
        """Return how long nobody asks after `pauses` other pauses; `share`, in [0, 1), is drawn at random."""
        # What is doubled more often than this is beyond the longest anyway.
        longest = min(self.first_pause_seconds * 2.0 ** min(pauses, 64), self.longest_pause_seconds)
        return longest * (self.least_share + (1 - self.least_share) * share)


@dataclass(frozen=True, slots=True)
class Circuit:
    """What a breaker remembers. Times are seconds of one clock.

    | state | event | next |
    |---|---|---|
    | closed | success | closed |
    | closed | failure | closed; open after several in a short time |
    | open | the pause is over, and somebody wants to ask | half-open, for that one |
    | half-open | success | closed |
    | half-open | failure | open, for longer |

    What was asked before the breaker opened may answer later: a failure then says nothing new, a success closes it.

    Attributes:
        state: Whether anybody is asked.
        failed: When it failed lately; an answer makes up for the oldest.
        pauses: How many pauses there were since it last answered.
        again_at: When the next one may ask, unless it is closed.
    """

    state: BreakerState = BreakerState.CLOSED
    failed: tuple[float, ...] = ()
    pauses: int = 0
    again_at: float = 0.0

    def admits(self, now: float) -> bool:
        """Say whether to ask, at `now`; who is admitted to one that is not closed must say so with `asked`."""
        return self.state is BreakerState.CLOSED or now >= self.again_at

    def asked(self, until: float) -> Circuit:
        """Let one ask: nobody else does before `until`. Who asks now may never tell what came of it."""
        return self if self.state is BreakerState.CLOSED else replace(self, state=BreakerState.HALF_OPEN, again_at=until)

    def succeeded(self) -> Circuit:
        """Take notice of an answer: it makes up for one failure, so that what loses one in a thousand stays in use."""
        if self.state is BreakerState.CLOSED:
            return replace(self, failed=self.failed[1:]) if self.failed else self
        return CLOSED

    def failed_at(self, now: float, settings: BreakerSettings, share: float) -> Circuit:
        """Take notice that there was no answer; `share`, in [0, 1), is drawn at random."""
        failed = (*self.failed, now)[-settings.failures :]
        if self.state is BreakerState.OPEN:
            return replace(self, failed=failed)
        many = len(failed) == settings.failures and now - failed[0] <= settings.within_seconds
        if self.state is BreakerState.CLOSED and not many:
            return replace(self, failed=failed)
        return Circuit(BreakerState.OPEN, failed, self.pauses + 1, now + settings.pause(self.pauses, share))


CLOSED = Circuit()
"""Nothing failed lately."""
