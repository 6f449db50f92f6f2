"""The population as this process saw it last: where the store is far away, new sessions take their habits from that for a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from session_router.core.population import POPULATION_SECONDS

if TYPE_CHECKING:
    from session_router.core.effects import ReadPopulation
    from session_router.core.session import Session
    from session_router.ports import SessionStore


class _Seen(NamedTuple):
    store: SessionStore
    read: ReadPopulation
    session: Session | None


class KnownPopulation:
    """What was read of the population, and what was taught since. Safe for threads."""

    def __init__(self) -> None:
        self._seen: _Seen | None = None

    def is_fresh(self, effect: ReadPopulation, store: SessionStore) -> bool:
        """Whether `session` answers `effect`. A store that recalls nothing is close by, and is asked each time."""
        seen = self._seen
        if seen is None or seen.store is not store or not hasattr(store, "recall"):
            return False
        return seen.read.row == effect.row and 0 <= effect.now - seen.read.now < POPULATION_SECONDS

    @property
    def session(self) -> Session | None:
        """Its row; `None` for none."""
        return None if self._seen is None else self._seen.session

    def found(self, effect: ReadPopulation, store: SessionStore, session: Session | None) -> Session | None:
        """Take notice of what was loaded for `effect`, and return it."""
        self._seen = _Seen(store, effect, session)
        return session

    def committed(self, session: Session) -> None:
        """Take notice of a row of ours, which may be that of the population."""
        seen = self._seen
        if seen is not None and seen.read.row == session.id:
            self._seen = seen._replace(session=session)
