"""Sessions in this process: for tests, notebooks and agents that end with it."""

from __future__ import annotations

from collections import OrderedDict
from math import inf
from threading import Lock
from typing import TYPE_CHECKING

from session_router.core.checking import check_number

if TYPE_CHECKING:
    from typing import Self

    from session_router.core.session import Session, SessionId


class MemorySessionStore:
    """A dictionary with compare-and-set. Passes `testing.SessionStoreSuite`.

    Args:
        maximum_sessions: The least recently committed sessions beyond this number are forgotten, which costs
            warmth, never correctness. What all sessions have in common is one row more.
    """

    def __init__(self, *, maximum_sessions: int = 100_000) -> None:
        check_number(maximum_sessions, key="maximum_sessions", rule="give a whole number above 0.", low=1, whole=True)
        self._maximum = maximum_sessions
        self._sessions: OrderedDict[SessionId, Session] = OrderedDict()
        self._endless: OrderedDict[SessionId, Session] = OrderedDict()
        self._guard = Lock()

    def load(self, session: SessionId) -> Session | None:
        """Return the last committed session, or `None`."""
        return self._stored(session)

    def commit(self, session: Session) -> bool:
        """Store `session` if the stored version is one below it."""
        with self._guard:
            stored = self._stored(session.id)
            if session.version != (0 if stored is None else stored.version) + 1:
                return False
            # The population is no session, and never forgotten.
            rows, others = (self._endless, self._sessions) if session.last_call == inf else (self._sessions, self._endless)
            # Nobody who loads meanwhile may find none.
            rows[session.id] = session
            rows.move_to_end(session.id)
            others.pop(session.id, None)
            if len(self._sessions) > self._maximum:
                self._sessions.popitem(last=False)
            return True

    def _stored(self, session: SessionId) -> Session | None:
        return self._sessions.get(session) or self._endless.get(session)

    async def aload(self, session: SessionId) -> Session | None:
        """Return the last committed session, or `None`."""
        return self.load(session)

    async def acommit(self, session: Session) -> bool:
        """Store `session` if the stored version is one below it."""
        return self.commit(session)

    def close(self) -> None:
        """Do nothing, as there is nothing to close: whoever ends with a store need not ask of which kind it is."""

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing, as `close`."""
