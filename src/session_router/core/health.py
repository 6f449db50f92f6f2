"""The health of one model's endpoint, as a value: a breaker, and until when its provider asks not to be asked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import isfinite
from typing import TYPE_CHECKING, Any, cast

from session_router.core.breaker import CLOSED, LONGEST_SECONDS, MOST_FAILURES, BreakerSettings, BreakerState, Circuit
from session_router.core.checking import check_kind, check_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.model import ModelName

SCHEMA = 1
LARGEST_SHARE = 1.0
LONGEST_WAIT_SECONDS = 600.0


class FailureKind(StrEnum):
    """How a call of a model failed, as far as that says something of its endpoint."""

    RATE_LIMITED = "rate_limited"
    """Too many requests: 429."""
    OVERLOADED = "overloaded"
    """The provider's own trouble: 5xx."""
    TIMED_OUT = "timed_out"
    """No answer in time."""
    BROKEN = "broken"
    """No connection, or one that broke inside the answer."""
    REFUSED = "refused"
    """The provider answered, and finds the request, or the account, at fault: any other 4xx."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How a call failed.

    Attributes:
        kind: How.
        retry_after: Seconds for which the provider asks not to be asked again, >= 0; `None` when it said nothing.
    """

    kind: FailureKind
    retry_after: float | None = None

    @property
    def is_passing(self) -> bool:
        """Whether the same request may do better later."""
        return self.kind is not FailureKind.REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRules:
    """When a model counts as unhealthy, how often a failed call is tried again, and how long a session waits for its model.

    Attributes:
        breaker: When a model's breaker opens, and for how long.
        probe_seconds: How long the one that tries an open model out may take, before another one tries as well.
        retry_share: Retries, which ask a model again that has failed the same call, are never more than this share of all
            other calls of this process; 0 for none.
        retry_burst: How many retries a calm time saves up for a storm, at most.
        backoff_seconds: How long the first retry of a call waits; each further one twice as long.
        wait_seconds: How long a call waits in all, for a model to be healthy again and before retries; 0 for never.
        refresh_seconds: How old what is known of the other replicas may become.

    Raises:
        ConfigurationError: A setting is out of its range.
    """

    breaker: BreakerSettings = field(default_factory=lambda: BreakerSettings(longest_pause_seconds=30.0))
    probe_seconds: float = 15.0
    retry_share: float = 0.2
    retry_burst: float = 20.0
    backoff_seconds: float = 0.1
    wait_seconds: float = 10.0
    refresh_seconds: float = 1.0

    def __post_init__(self) -> None:
        """Check the values."""
        check_kind(self.breaker, BreakerSettings, key="health.breaker", rule="give `BreakerSettings(...)`.")
        check_number(self.retry_share, key="health.retry_share", rule="give a share in [0, 1].", high=LARGEST_SHARE)
        check_number(self.retry_burst, key="health.retry_burst", rule=f"give a number, 0 to {MOST_FAILURES}.", high=MOST_FAILURES)
        for name, high in (
            ("probe_seconds", LONGEST_SECONDS),
            ("backoff_seconds", LONGEST_WAIT_SECONDS),
            ("wait_seconds", LONGEST_WAIT_SECONDS),
            ("refresh_seconds", LONGEST_SECONDS),
        ):
            check_number(getattr(self, name), key=f"health.{name}", rule=f"give seconds, 0 to {high:g}.", high=high)

    def backoff(self, retries: int) -> float:
        """Return how long the retry after `retries` others waits, in seconds."""
        return self.backoff_seconds * 2.0 ** min(retries, 32)


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of one endpoint. Times are seconds of one clock.

    Attributes:
        circuit: Its breaker.
        not_before: Until when its provider asks not to be asked.
    """

    circuit: Circuit = CLOSED
    not_before: float = 0.0

    @property
    def is_known_good(self) -> bool:
        """Whether nothing at all is held against it."""
        return self.circuit == CLOSED and self.not_before == 0.0

    def admits_from(self) -> float:
        """Return from when on it may be asked."""
        again_at = 0.0 if self.circuit.state is BreakerState.CLOSED else self.circuit.again_at
        return max(self.not_before, again_at)

    def is_probed(self, now: float) -> bool:
        """Whether asking it at `now` would be to try it out, for everybody."""
        return self.circuit.state is not BreakerState.CLOSED and self.admits_from() <= now

    def asked(self, until: float) -> Health:
        """Let one try it out: nobody else does before `until`."""
        return replace(self, circuit=self.circuit.asked(until))

    def answered(self, times: int = 1) -> Health:
        """Take notice of so many answers."""
        circuit = self.circuit
        for _ in range(min(times, len(circuit.failed) + 1)):
            circuit = circuit.succeeded()
        return self if circuit is self.circuit else replace(self, circuit=circuit)

    def failed(self, failure: Failure, now: float, rules: HealthRules, share: float) -> Health:
        """Take notice of a failure.

        A rate limit that says how long it lasts is no trouble of the endpoint's: it is waited for, and no more.

        Args:
            failure: What failed.
            now: When.
            rules: When the breaker opens.
            share: Drawn at random from [0, 1).
        """
        if failure.kind is FailureKind.REFUSED:
            return self.answered()
        after = failure.retry_after
        told = 0.0 if after is None or not after > 0 else now + min(after, LONGEST_SECONDS)
        limited = failure.kind is FailureKind.RATE_LIMITED and told > 0 and self.circuit.state is BreakerState.CLOSED
        circuit = self.circuit if limited else self.circuit.failed_at(now, rules.breaker, share)
        return Health(circuit=circuit, not_before=max(self.not_before, told))

    def why(self, now: float) -> str:
        """Say why it may not be asked at `now`."""
        left = f"for {self.admits_from() - now:.1f} s more"
        if self.not_before >= self.admits_from():
            return f"its provider asks not to be asked {left}"
        if self.circuit.state is BreakerState.HALF_OPEN:
            return f"it has failed several times, and another call tries it out, {left} at most"
        return f"it has failed several times and is not asked {left}"

    def shifted(self, seconds: float) -> Health:
        """Return the same on a clock that is so much ahead."""
        if self.is_known_good:
            return self
        circuit = self.circuit
        return Health(
            circuit=replace(circuit, failed=tuple(at + seconds for at in circuit.failed), again_at=circuit.again_at + seconds),
            not_before=self.not_before + seconds if self.not_before else 0.0,
        )

    def remembered_until(self, rules: HealthRules) -> float:
        """Return until when it matters to anybody."""
        last = max([self.admits_from(), *(at + rules.breaker.within_seconds for at in self.circuit.failed)])
        # How often it failed in a row counts a little longer: else each pause would be as short as the first.
        return last + (0.0 if self.circuit.state is BreakerState.CLOSED else rules.breaker.longest_pause_seconds + rules.probe_seconds)

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        circuit = self.circuit
        return {
            "schema": SCHEMA,
            "state": circuit.state.value,
            "failed": list(circuit.failed),
            "pauses": circuit.pauses,
            "again_at": circuit.again_at,
            "not_before": self.not_before,
        }

    @classmethod
    def from_plain(cls, plain: object) -> Health:
        """Read what `to_plain` wrote.

        Raises:
            ValueError: It is something else.
        """
        if not isinstance(plain, dict):
            msg = "no table"
            raise ValueError(msg)  # noqa: TRY004 -- what is read is a value, whatever its type
        row = cast("dict[str, object]", plain)
        if row.get("schema") != SCHEMA:
            msg = f"schema {row.get('schema')!r}"
            raise ValueError(msg)
        failed, pauses = row.get("failed"), row.get("pauses")
        if not isinstance(failed, list) or len(cast("list[object]", failed)) > MOST_FAILURES or not isinstance(pauses, int) or pauses < 0:
            msg = "failures that are none"
            raise ValueError(msg)
        circuit = Circuit(
            state=BreakerState(str(row.get("state"))),
            failed=tuple(map(_seconds, cast("list[object]", failed))),
            pauses=pauses,
            again_at=_seconds(row.get("again_at")),
        )
        return cls(circuit=circuit, not_before=_seconds(row.get("not_before")))


UNKNOWN = Health()
"""Nothing is held against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ill:
    """What excludes an unhealthy model.

    Attributes:
        why: In words.
        until: POSIX seconds from which on it may be asked.
    """

    why: str
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthView:
    """What one decision sees of the models' health.

    Attributes:
        ill: The models that may not be asked.
        probed: The models of which one call, and no more, may find out whether they answer again.
        patience: Seconds that a call waits in all.
    """

    ill: Mapping[ModelName, Ill]
    probed: frozenset[ModelName]
    patience: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHealth:
    """What the replicas share of one model's health.

    Attributes:
        health: What is known, on the reader's clock.
        head: What names this very row, for a comparison before it is replaced.
    """

    health: Health
    head: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRead:
    """What the replicas share.

    Attributes:
        ahead: Seconds that the shared clock is ahead of the reader's.
        rows: What is known of each model; nothing of those that nothing is held against.
    """

    ahead: float
    rows: Mapping[str, StoredHealth]


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """How many retries are left. Retries are never more than `share` times the other calls.

    Attributes:
        saved: Retries that are left, a fraction included.
    """

    saved: float = 0.0

    def called(self, rules: HealthRules) -> RetryBudget:
        """Take notice of a call that is no retry."""
        return RetryBudget(min(self.saved + rules.retry_share, max(rules.retry_burst, rules.retry_share)))

    def retried(self) -> RetryBudget | None:
        """Return what is left after one retry; `None` when there may be none."""
        # What adds up to one in fractions of binary numbers may miss it by a hair.
        left = self.saved - 1.0
        return RetryBudget(max(left, 0.0)) if left >= -_HAIR else None


_HAIR = 1e-9


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        msg = "a time that is none"
        raise ValueError(msg)
    return float(value)
