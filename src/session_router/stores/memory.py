"""Sessions in this process: for tests, notebooks and agents that end with it."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from session_router.core.session import Session, SessionId


class MemorySessionStore:
    """A dictionary with compare-and-set. Passes `testing.SessionStoreSuite`.

    Args:
        maximum_sessions: The least recently committed sessions beyond this number are forgotten, which costs
            warmth, never correctness.
    """

    def __init__(self, *, maximum_sessions: int = 100_000) -> None:
        if maximum_sessions < 1:
            raise ConfigurationError(key="maximum_sessions", value=maximum_sessions, rule="give a number above 0.")
        self._maximum = maximum_sessions
        self._sessions: OrderedDict[SessionId, Session] = OrderedDict()
        self._guard = Lock()

    def load(self, session: SessionId) -> Session | None:
        """Return the last committed session, or `None`."""
        return self._sessions.get(session)

    def commit(self, session: Session) -> bool:
        """Store `session` if the stored version is one below it."""
        with self._guard:
            stored = self._sessions.get(session.id)
            if session.version != (0 if stored is None else stored.version) + 1:
                return False
            self._sessions[session.id] = session
            self._sessions.move_to_end(session.id)
            if len(self._sessions) > self._maximum:
                self._sessions.popitem(last=False)
            return True

    async def aload(self, session: SessionId) -> Session | None:
        """Return the last committed session, or `None`."""
        return self.load(session)

    async def acommit(self, session: Session) -> bool:
        """Store `session` if the stored version is one below it."""
        return self.commit(session)
