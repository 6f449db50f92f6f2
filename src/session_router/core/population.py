"""The population: what all sessions have in common, from which a new one takes its habits.

Its account is kept in the store like a session's, so that whoever shares the store decides alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from session_router.core.account import Account

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_router.core.segment import Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What the population learns from one boundary.

    Attributes:
        first: Whether it is the first of its session.
        ended: The segment that ended; `None` when none did.
        deviations: Of need from its mean, in that segment and in the coming one; `None` for not known.
    """

    first: bool
    ended: Ended | None
    deviations: tuple[float, float] | None


def opened(population: Account | None) -> Account:
    """Return the account that a new session begins with."""
    if population is None:
        return Account()
    return Account(habits=population.habits.as_prior(), drift=population.drift.as_prior())


def taught(population: Account | None, lessons: Iterable[Lesson]) -> Account:
    """Return the account of the population after `lessons`."""
    account = population or Account()
    habits, drift = account.habits, account.drift
    for lesson in lessons:
        habits = (habits if lesson.ended is None else habits.learned(lesson.ended)).told(first=lesson.first)
        drift = drift if lesson.deviations is None else drift.moved(*lesson.deviations)
    return replace(account, habits=habits, drift=drift)
