"""Time as the simulated providers see it."""

import threading
from datetime import UTC, datetime

_NEW_YEAR_2026 = datetime(2026, 1, 1, tzinfo=UTC)


class SimulatedClock:
    """A clock that moves only when it is told to.

    Cache lifetimes and time stamps follow it; faults that delay an answer do not, they
    take real time.
    """

    def __init__(self, start: datetime = _NEW_YEAR_2026) -> None:
        """Start the clock at `start`, which must carry a time zone."""
        self._lock = threading.Lock()
        self._seconds = start.timestamp()

    def now(self) -> float:
        """Return the time in seconds since the Unix epoch."""
        with self._lock:
            return self._seconds

    def set(self, moment: datetime) -> None:
        """Jump to `moment`, forwards or backwards; it must carry a time zone."""
        with self._lock:
            self._seconds = moment.timestamp()

    def advance(self, seconds: float) -> None:
        """Move by `seconds`; a negative number moves back."""
        with self._lock:
            self._seconds += seconds
