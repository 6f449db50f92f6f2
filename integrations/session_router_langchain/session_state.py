"""The session in a graph's state: it travels with the thread's checkpoints."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, cast

from session_router.core.session import Session, SessionId, session_from_plain
from session_router.errors import StoreCorrupt
from session_router.identity import SessionKey
from session_router_langchain.calls import current_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router_langchain.calls import Calls
    from session_router_langchain.messages import Reading

logger = logging.getLogger("session_router")

STATE_KEY = "session_router"


def carried_session(state: Mapping[str, Any]) -> Session | None:
    """Read the session that travels in a graph's state; a broken one counts as lost."""
    plain: object = state.get(STATE_KEY)
    if not isinstance(plain, dict):
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
    *,
    tenant: str | None,
    principal: str | None,
) -> tuple[SessionId | None, Session | None]:
    """Find the session of a graph's run: in the checkpoint where there is one, else in the router's store.

    Returns:
        Its id, and the session itself when the graph's state carries it.
    """
    carried = carried_session(state)
    if carried is not None:
        return carried.id, carried
    info = getattr(runtime, "execution_info", None)
    user = getattr(getattr(runtime, "server_info", None), "user", None)
    persisted = None if info is None else info.thread_id
    metadata = current_metadata()
    names = SessionKey(
        tenant=tenant,
        principal=principal or (None if user is None else user.identity),
        thread=persisted or metadata.get("thread_id"),
        namespace="" if info is None else info.checkpoint_ns,
        agent=metadata.get("lc_agent_name"),
    )
    session = calls.identify(names, reading)
    if session is None:
        # Nobody can tell this caller from others: a session of this run alone.
        session = SessionId(secrets.token_hex(32))
        return session, Session(id=session)
    return session, None if persisted is None else Session(id=session)
