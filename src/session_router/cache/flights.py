"""Of those who ask the same at the same time, one asks a model, and the others wait for its answer."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_SWEEP_ABOVE: Final = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """Somebody is asking a model.

    Attributes:
        until: On the monotonic clock: nobody waits longer.
        landed: Done when the answer is stored, or will not come.
    """

    until: float
    landed: Future[None] = field(default_factory=Future[None])


@dataclass(slots=True)
class _Lead:
    until: float
    flight: Flight | None = None  # made for the first who waits: mostly nobody does


class Flights:
    """Questions that are being asked. Safe for threads and event loops.

    Args:
        patience_seconds: How long others wait for who asks. Whoever takes longer counts as lost.
        monotonic: The clock of waiting.

    Attributes:
        landings: How many flights have landed.
    """

    def __init__(self, *, patience_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience_seconds
        self._monotonic = monotonic
        self._flights: dict[bytes, _Lead] = {}
        self._guard = threading.Lock()
        self.landings = 0

    def joined(self, key: bytes) -> Flight | None:
        """Return the flight of `key` to wait for, or `None`: then the caller leads, and must `land` it."""
        now = self._monotonic()
        with self._guard:
            lead = self._flights.get(key)
            if lead is not None and now < lead.until:
                if lead.flight is None:
                    lead.flight = Flight(until=lead.until)
                    # A waiter that is cancelled must not cancel what all wait for.
                    lead.flight.landed.set_running_or_notify_cancel()
                return lead.flight
            if len(self._flights) >= _SWEEP_ABOVE:
                self._flights = {one: other for one, other in self._flights.items() if now < other.until}
            self._flights[key] = _Lead(now + self._patience)
            return None

    def land(self, key: bytes) -> None:
        """Let those who wait for `key` go on."""
        with self._guard:
            lead = self._flights.pop(key, None)
            self.landings += 1
        if lead is not None and lead.flight is not None:
            lead.flight.landed.set_result(None)

    def wait(self, flight: Flight) -> None:
        """Wait until `flight` has landed, or is lost."""
        with contextlib.suppress(FutureTimeoutError):
            flight.landed.result(max(0.0, flight.until - self._monotonic()))

    async def await_(self, flight: Flight) -> None:
        """Do what `wait` does without blocking the event loop."""
        landed = asyncio.wrap_future(flight.landed)
        await asyncio.wait([landed], timeout=max(0.0, flight.until - self._monotonic()))
