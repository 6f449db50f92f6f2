"""Metrics of decisions and outcomes. No session id is ever on one.

Adding to a synchronous instrument of the SDK takes about as long as a whole decision may. So nothing is added while somebody waits
for a model: totals are kept here and read when the metrics are collected, and so are the values of the histograms.
"""

from __future__ import annotations

import weakref
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

from opentelemetry.metrics import Observation

from session_router_otel import conventions as names
from session_router_otel.certificates import certified_errors, strata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import CallbackOptions, Meter

    from session_router.router import Router

Label: TypeAlias = tuple[str, str]
"""Name and value of a metric's attribute."""

WAITING = 4_096
"""Histogram values that wait for a collection at most. Those beyond are recorded at once: without a collection nobody reads them."""

OVERHEAD_BUCKETS = (1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1.0)
"""Seconds."""
DURATION_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Seconds, as the conventions advise."""
TOKEN_BUCKETS = (1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864)
"""Tokens, as the conventions advise."""


class Totals:
    """Sums by labels, which grow by a dictionary's entry and are read when metrics are collected."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Label, ...], float] = {}
        self._guard = Lock()

    def add(self, amount: float, labels: tuple[Label, ...]) -> None:
        """Add `amount` to the sum of `labels`."""
        with self._guard:
            self._sums[labels] = self._sums.get(labels, 0) + amount

    def observed(self, _: CallbackOptions) -> Iterable[Observation]:
        """Return the sums so far."""
        with self._guard:
            sums = list(self._sums.items())
        return [Observation(amount, dict(labels)) for labels, amount in sums]


class Waiting:
    """Values of a histogram, which wait until metrics are collected.

    Args:
        record: Puts a value into the histogram.
    """

    def __init__(self, record: Callable[[float, dict[str, str]], None]) -> None:
        self._record = record
        self._values: deque[tuple[float, tuple[Label, ...]]] = deque()

    def add(self, value: float, labels: tuple[Label, ...]) -> None:
        """Add a value; at once when too many wait."""
        if len(self._values) >= WAITING:
            self._record(value, dict(labels))
            return
        self._values.append((value, labels))

    def flush(self) -> None:
        """Put all that waits into the histogram."""
        while True:
            try:
                value, labels = self._values.popleft()
            except IndexError:
                return
            self._record(value, dict(labels))


class Metrics:
    """The instruments of one meter.

    Attributes:
        routers: Whose caches are read.
    """

    def __init__(self, meter: Meter) -> None:
        def histogram(name: str, unit: str, buckets: tuple[float, ...], description: str) -> Waiting:
            made = meter.create_histogram(name, unit=unit, description=description, explicit_bucket_boundaries_advisory=buckets)
            return Waiting(made.record)

        self.overhead = histogram(names.OVERHEAD, "s", OVERHEAD_BUCKETS, "Seconds from a request to the decision on it.")
        self.duration = histogram(names.OPERATION_DURATION, "s", DURATION_BUCKETS, "GenAI operation duration.")
        self.tokens = histogram(names.TOKEN_USAGE, "{token}", TOKEN_BUCKETS, "Number of input and output tokens used.")
        self.decisions, self.switches, self.locks, self.lookups, self.refusals, self.cost, self.saved = (Totals() for _ in range(7))
        for name, unit, totals, description in (
            (names.DECISIONS, "{decision}", self._flushing(self.decisions), "Decisions."),
            (names.SWITCHES, "{switch}", self.switches.observed, "Decisions to leave the session's model."),
            (names.LOCKS, "{lock}", self.locks.observed, "Locks that were acquired and released, as far as calls showed it."),
            (names.CACHE_LOOKUPS, "{lookup}", self.lookups.observed, "Look-ups in the response cache."),
            (names.REFUSALS, "{refusal}", self.refusals.observed, "Decisions that nobody may answer."),
            (names.COST, "USD", self.cost.observed, "Dollars of calls: expected by decisions, or billed by usage at configured prices."),
        ):
            meter.create_observable_counter(name, callbacks=[totals], unit=unit, description=description)
        meter.create_observable_up_down_counter(
            names.SAVED,
            callbacks=[self.saved.observed],
            unit="USD",
            description="Dollars that decisions were expected to save over staying, by the forecast of the segment.",
        )
        self.routers: weakref.WeakSet[Router] = weakref.WeakSet()
        for name, unit, read, description in (
            (names.CACHE_CERTIFIED_ERROR, "{share}", certified_errors, "Share of wrong answers per hit that certificates allow."),
            (names.CACHE_STRATA, "{stratum}", strata, "Strata of the response cache, by what they may do."),
        ):
            meter.create_observable_gauge(name, callbacks=[self._reading(read)], unit=unit, description=description)

    def _reading(self, read: Callable[[Iterable[Router]], list[Observation]]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observed(_: CallbackOptions) -> Iterable[Observation]:
            return read(list(self.routers))

        return observed

    def _flushing(self, totals: Totals) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observed(options: CallbackOptions) -> Iterable[Observation]:
            # Callbacks run before a collection reads the histograms.
            for waiting in (self.overhead, self.duration, self.tokens):
                waiting.flush()
            return totals.observed(options)

        return observed
