"""The population: what all sessions have in common, from which a new one takes its habits.

Its account is kept in the store like a session's, so that whoever shares the store decides alike.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from session_router.core.account import Account, new_account
from session_router.core.value import maker, value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from session_router.core.boundary_choice import BoundaryChoice
    from session_router.core.drift import Deviation
    from session_router.core.feedback import Feedback
    from session_router.core.model import ModelName
    from session_router.core.segment import Ended

WAITING_LESSONS = 64
"""Lessons that wait in a process at most."""

POPULATION_SECONDS = 1.0
"""How old that may be of which new sessions take their habits. Else each of them asks for the same row: of a cluster, the same node."""

MEMORY = 0.98
"""Weight of the past at every new segment of any session: what is fifty segments old counts for a third."""

FEEDBACK_MEMORY = 0.998
"""Weight of the past at every feedback on any session: many give it, and models change slowly. What is five hundred pieces old
counts for a third."""


@value
class Lesson:
    """What the population learns from one boundary.

    Attributes:
        number: Of the segment that begins, in its session, from 1.
        ended: The segment that ended; `None` when none did.
        chances: `p_success` by model in the segment that begins.
        deviation: Of need from the session's mean, in the segment that ended and in the one that begins; `None` for not known.
    """

    number: int
    ended: Ended | None
    chances: Mapping[ModelName, float]
    deviation: Deviation | None

    @property
    def first(self) -> bool:
        """Whether its session has just begun."""
        return self.number == 1


new_lesson = maker(Lesson)


def are_due(waiting: Sequence[Lesson], *, in_a_hurry: bool) -> bool:
    """Whether the lessons that wait in a process are to be kept now: once a session, not once a boundary.

    Args:
        waiting: Those lessons.
        in_a_hurry: Whether a model is about to be asked. Then only a crowd of them is worth the time.
    """
    return len(waiting) >= WAITING_LESSONS if in_a_hurry else any(lesson.first for lesson in waiting)


def opened(population: Account | None) -> Account:
    """Return the account that a new session begins with."""
    if population is None:
        return Account()
    return new_account(
        habits=population.habits.as_prior(),
        drift=population.drift.as_prior(),
        beliefs={name: belief.as_prior() for name, belief in population.beliefs.items()},
    )


def informed(population: Account | None, choice: BoundaryChoice, feedback: Feedback) -> Account:
    """Return the account of the population after feedback on the segment of any session that began with `choice`."""
    return (population or new_account()).told(choice, feedback, memory=FEEDBACK_MEMORY)


def taught(population: Account | None, lessons: Iterable[Lesson]) -> Account:
    """Return the account of the population after `lessons`."""
    account = population or Account()
    habits, drift = account.habits, account.drift
    for lesson in lessons:
        habits = (habits if lesson.ended is None else habits.learned(lesson.ended, memory=MEMORY)).told(number=lesson.number)
        # Each session tells how its need moves; all of them together, how high it is.
        drift = drift if lesson.deviation is None else drift.moved(lesson.deviation, memory=MEMORY)
        drift = drift.averaged(lesson.chances, memory=MEMORY)
    return replace(account, habits=habits, drift=drift)
