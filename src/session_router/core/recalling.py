"""The session that a decision is made of, recalled or loaded, and the commit that tells whether it was right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from session_router.core.effects import CommitSession, Failed, LoadSession, RecallSession
from session_router.core.session import Session
from session_router.core.situation import lock_in
from session_router.core.step import Role
from session_router.errors import StoreCorrupt

if TYPE_CHECKING:
    from collections.abc import Generator

    from session_router.core.call import Call
    from session_router.core.decision import Decision
    from session_router.core.effects import Effect
    from session_router.core.situation import Situation


def session_of(
    call: Call, degraded: set[str], *, recalls: bool, is_refused: bool = False
) -> Generator[Effect, Any, tuple[Session | None, bool]]:
    """Return the session, and whether it was only recalled.

    That will do where nothing is done before the commit, which tells whether it was right: what looks for an answer, or tries a model
    out, does so for the session as it is. A session that seems to begin is taken for a new one, as if it had been looked for in vain:
    where there is one, the commit is refused.

    Args:
        call: The request.
        degraded: What is to be done without; the store is added where it does not answer.
        recalls: Whether a session that is only recalled will do.
        is_refused: Whether a commit was refused for this call: then something is stored.
    """
    if call.carried is not None or call.session is None:
        return call.carried, False
    recalled = (yield RecallSession(call.session, begins=not is_refused and _begins(call))) if recalls else None
    if isinstance(recalled, Session) and (call.terms is None or lock_in(call, recalled) is not None):
        return recalled, recalled.version > 0
    loaded = yield LoadSession(call.session)
    if isinstance(loaded, Failed):
        degraded.add("store")
        # A lost row counts as absent: the session begins anew and its commit replaces the row.
        return Session(id=call.session) if isinstance(loaded.error, StoreCorrupt) else None, False
    return loaded or Session(id=call.session), False


def commit(situation: Situation, decision: Decision, degraded: set[str], *, was_recalled: bool) -> Generator[Effect, Any, bool | None]:
    """Commit what was decided, if anything is to be; returns whether the decision stands, or `None` where nobody knows.

    One from a session that was recalled stands only when its commit went through: nobody else has said that the session is still so.
    """
    if decision.session is None or decision.session is situation.session or situation.call.carried is not None:
        return None if was_recalled else True
    committed = yield CommitSession(decision.session)
    if isinstance(committed, Failed):
        if was_recalled:
            return None
        degraded.add("store")
        return True
    return bool(committed)


def _begins(call: Call) -> bool:
    """Whether no model has been asked for this session yet, as far as its history tells, and nothing in it hangs on whether one was.

    Most often, nothing is stored of it then.
    """
    transcript = call.transcript
    if call.internal or call.failed or call.held or call.bindings or transcript.turn > 1 or transcript.tool_results or transcript.derived:
        return False
    return all(step.role is not Role.AI for step in transcript.steps)
