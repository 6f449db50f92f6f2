"""Which sessions were locked when last seen: what it takes to tell that a lock was acquired or released."""

from __future__ import annotations

from threading import Lock as Guard
from typing import TYPE_CHECKING

from session_router_otel.conventions import AT_A_BOUNDARY, LOCK_ACQUIRED, LOCK_RELEASED

if TYPE_CHECKING:
    from session_router.core.session import SessionId

REMEMBERED = 10_000
"""Locked sessions that are remembered, the last ones seen: memory stays flat however many there are."""


class LockWatch:
    """Compares each call's lock with that of the session's call before, as far as this process saw it."""

    def __init__(self) -> None:
        self._locked: dict[SessionId, None] = {}
        self._guard = Guard()

    def __len__(self) -> int:
        """Return the number of sessions that are remembered."""
        return len(self._locked)

    def seen(self, session: SessionId | None, state: str) -> str | None:
        """Take notice of a call.

        Args:
            session: Whose; nothing is told of a caller that could not be identified.
            state: The kind of the lock that held, or `boundary`.

        Returns:
            The event, if there is one.
        """
        if session is None:
            return None
        with self._guard:
            was_locked = session in self._locked
            if state == AT_A_BOUNDARY:
                self._locked.pop(session, None)
                return LOCK_RELEASED if was_locked else None
            self._locked.pop(session, None)
            self._locked[session] = None
            if len(self._locked) > REMEMBERED:
                del self._locked[next(iter(self._locked))]
            return None if was_locked else LOCK_ACQUIRED
