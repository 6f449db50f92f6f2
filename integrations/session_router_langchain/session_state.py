"""The session in a graph's state: it travels with the thread's checkpoints."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, cast

from session_router.core.session import Session, SessionId
from session_router.core.session_row import session_from_plain
from session_router.errors import StoreCorrupt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.identity import SessionNames
    from session_router_langchain.calls import Calls
    from session_router_langchain.messages import Reading

logger = logging.getLogger("session_router")

STATE_KEY = "session_router"


def carried_session(state: Mapping[str, Any]) -> Session | None:
    """Read the session that travels in a graph's state; a broken one counts as lost."""
    plain: object = state.get(STATE_KEY)
    # LangGraph begins a channel that merges with an empty dictionary: nothing is lost then.
    if not isinstance(plain, dict) or not plain:
        return None
    try:
        return session_from_plain(cast("dict[str, Any]", plain))
    except StoreCorrupt as error:
        logger.warning("the session in the graph's state is not readable; routing goes on from the history: %s", error)
        return None


def find_session(
    calls: Calls,
    state: Mapping[str, Any],
    runtime: Any,  # noqa: ANN401 -- LangGraph's runtime; absent in unit tests of users
    reading: Reading,
    names: SessionNames,
) -> tuple[SessionId | None, Session | None]:
    """Find the session of a graph's run: in the checkpoint where there is one, else in the router's store.

    Args:
        calls: Derives its id.
        state: The graph's state.
        runtime: LangGraph's runtime: whether the run has a thread to keep its state in.
        reading: The history, read.
        names: Who it is.

    Returns:
        Its id, and the session itself when the graph's state carries it.
    """
    carried = carried_session(state)
    if carried is not None:
        return carried.id, carried
    session = calls.identify(names, reading)
    if session is None:
        # Nobody can tell this caller from others: a session of this run alone.
        session = SessionId(secrets.token_hex(32))
        return session, Session(id=session)
    persisted = getattr(getattr(runtime, "execution_info", None), "thread_id", None) is not None
    return session, Session(id=session) if persisted else None
