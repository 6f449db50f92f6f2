"""What feedback teaches a session and the population.

A session learns in its stored row, whenever it is told, and acts on it at its next boundary: nobody looks at beliefs under a lock.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from session_router.core.amending import amend
from session_router.core.boundary_choice import BoundaryChoice
from session_router.core.effects import Failed, VetoAnswer
from session_router.core.feedback import Feedback, Heard
from session_router.core.population import informed
from session_router.core.session import Session, SessionId

if TYPE_CHECKING:
    from collections.abc import Generator

    from session_router.core.cached import CacheHit
    from session_router.core.effects import Effect


def hear(about: BoundaryChoice | CacheHit, feedback: Feedback, population: SessionId) -> Generator[Effect, Any, Heard]:
    """Learn from `feedback` on a choice, or on a stored answer.

    A stored answer that is called bad is served no more; one that is called good was served already.

    Args:
        about: What it is about.
        feedback: What was said.
        population: Id under which the store keeps the account of the population.

    Yields:
        Effects; send back their values, or `Failed`.
    """
    if isinstance(about, BoundaryChoice):
        return (yield from _hear_of_choice(about, feedback, population))
    if not feedback.is_against:
        return Heard.NOTHING
    vetoed = yield VetoAnswer(about)
    return Heard.UNAVAILABLE if isinstance(vetoed, Failed) else Heard.VETOED


def _hear_of_choice(choice: BoundaryChoice, feedback: Feedback, population: SessionId) -> Generator[Effect, Any, Heard]:
    """Learn how far off the scorer was.

    The same feedback on the same choice counts once, as long as the row that learned it remembers its mark. A session that has
    learned tells the population once; should the store be gone by then, the population does without.
    """
    mark = feedback.mark(choice)
    session = yield from _hear_in_session(choice, feedback, mark)
    if session in {Heard.REPEATED, Heard.UNAVAILABLE}:
        return session

    def inform(found: Session | None) -> Session | None:
        account = None if found is None else found.account
        if account is not None and mark in account.marks:
            return None
        return replace(found or Session(id=population), account=informed(account, choice, feedback))

    amended = yield from amend(population, inform)
    if session is Heard.LEARNED:
        return session
    if not amended.available:
        return Heard.UNAVAILABLE
    return Heard.LATER_SESSIONS if amended.committed is not None else Heard.REPEATED


def _hear_in_session(choice: BoundaryChoice, feedback: Feedback, mark: str) -> Generator[Effect, Any, Heard]:
    """Learn in the session's row; `LATER_SESSIONS` where there is none that could."""

    def tell(found: Session | None) -> Session | None:
        if found is None or found.account is None or mark in found.account.marks:
            return None
        return replace(found, account=found.account.told(choice, feedback))

    if choice.session is None:
        return Heard.LATER_SESSIONS
    amended = yield from amend(choice.session, tell)
    if not amended.available:
        return Heard.UNAVAILABLE
    if amended.committed is not None:
        return Heard.LEARNED
    found = None if amended.found is None else amended.found.account
    return Heard.LATER_SESSIONS if found is None else Heard.REPEATED
