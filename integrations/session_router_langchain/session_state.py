"""The session in a graph's state: it travels with the thread's checkpoints."""

from __future__ import annotations

import logging
import secrets
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from session_router.core.session import Session, SessionId
from session_router.core.session_row import session_from_plain, session_to_plain
from session_router.errors import StoreCorrupt
from session_router.identity import name_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.transcript import Transcript
    from session_router.identity import SessionNames
    from session_router_langchain.calls import Calls

logger = logging.getLogger("session_router")

STATE_KEY = "session_router"


KEPT_SESSIONS = 256
"""Sessions of a process whose rows need not be read again, the last ones written."""


class CarriedSessions:
    """The sessions that travel in graphs' states, as plain rows.

    A row that comes back as it was written is not read again: the session is still at hand.
    """

    def __init__(self) -> None:
        self._guard = Lock()
        self._written: dict[object, tuple[dict[str, Any], Session]] = {}

    def __len__(self) -> int:
        """Return the number of sessions that are at hand."""
        return len(self._written)

    def written(self, session: Session) -> dict[str, Any]:
        """Return the update of a graph's state that carries `session` on."""
        row = session_to_plain(session)
        with self._guard:
            self._written.pop(session.id, None)
            # A row of our own: the other one is whoever's holds the state.
            self._written[session.id] = (session_to_plain(session), session)
            if len(self._written) > KEPT_SESSIONS:
                del self._written[next(iter(self._written))]
        return {STATE_KEY: row}

    def read(self, state: Mapping[str, Any]) -> Session | None:
        """Read the session that travels in a graph's state; a broken one counts as lost."""
        found: object = state.get(STATE_KEY)
        # LangGraph begins a channel that merges with an empty dictionary: nothing is lost then.
        if not isinstance(found, dict) or not found:
            return None
        plain = cast("dict[str, Any]", found)
        name: object = plain.get("id")
        row, session = self._written.get(name, (None, None)) if isinstance(name, str) else (None, None)
        if session is not None and row == plain:
            return session
        try:
            return session_from_plain(plain)
        except StoreCorrupt as error:
            logger.warning("the session in the graph's state is not readable; routing goes on from the history: %s", error)
            return None


def find_session(
    calls: Calls,
    state: Mapping[str, Any],
    runtime: Any,  # noqa: ANN401 -- LangGraph's runtime; absent in unit tests of users
    transcript: Transcript,
    names: SessionNames,
) -> tuple[SessionId | None, Session | None]:
    """Find the session of a graph's run: in the checkpoint where there is one, else in the router's store.

    Args:
        calls: Derives its id.
        state: The graph's state.
        runtime: LangGraph's runtime: whether the run has a thread to keep its state in.
        transcript: The history.
        names: Who it is.

    Returns:
        Its id, and the session itself when the graph's state carries it.
    """
    carried = calls.sessions.read(state)
    if carried is not None:
        name_thread(carried.id, names)
        return carried.id, carried
    session = calls.identify(names, transcript)
    if session is None:
        # Nobody can tell this caller from others: a session of this run alone.
        session = SessionId(secrets.token_hex(32))
        return session, Session(id=session)
    persisted = getattr(getattr(runtime, "execution_info", None), "thread_id", None) is not None
    return session, Session(id=session) if persisted else None
