"""The router that recorded sessions are shown to: in memory, and the same at every replay."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from session_router.cache.memory_rows import MemoryEntryRows
from session_router.cli.moments import seconds_of
from session_router.config import load_cache, load_router
from session_router.replay import Pace, StoredAnswers
from session_router.stores.memory import MemorySessionStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from session_router.cache.rows import EntryRows
    from session_router.router import Router

KEPT_SESSIONS = 1_000
"""Sessions are replayed one after the other, and each could be forgotten at its end. What all have in common is kept beside them,
though, and written on once a session: fewer places, and sessions in which nothing is priced would push it out."""

REPLAY_KEY = b"session-router replay: no secret"
"""Session identities of a replay leave no process, and the same replay gives the same ids."""


def offline_router(config: Path | None, *, experienced: bool = True, environment: Mapping[str, str] | None = None) -> Router:
    """Build the router of a configuration, but leave its store, its audit log and its key alone.

    Args:
        config: As in `load_router`, like the others.
        experienced: Whether the configuration's experience counts; if not, it is not read.
        environment: Variables to read instead of the process's.

    Raises:
        ConfigurationError: As `load_router`.
    """
    store = MemorySessionStore(maximum_sessions=KEPT_SESSIONS)
    # They happened when the session was recorded: the rows have them, and the summary counts them.
    logging.getLogger("session_router.alarms").setLevel(logging.ERROR)
    return load_router(config, experienced=experienced, cached=False, audited=False, store=store, key=REPLAY_KEY, environment=environment)


def stored_answers(config: Path | None, router: Router, *, certificates: EntryRows | None = None) -> StoredAnswers | None:
    """Make an empty cache in memory, with the settings of a configuration; `None` where it has none.

    Args:
        config: As in `load_router`.
        router: The router of the configuration.
        certificates: Where audits are counted instead; by default they end with the command.

    Raises:
        ConfigurationError: As `load_router`.
    """
    cache = load_cache(config, rows=MemoryEntryRows(), certificates=certificates)
    return None if cache is None else StoredAnswers(cache, router.policy.cache, router.models)


def pace_of(start: datetime | None, *, turn_seconds: float, call_seconds: float) -> Pace:
    """Return the assumed times; sessions begin at `start` (UTC), or at today's midnight for none."""
    # Midnight, so that two replays of one day give the same rows. Clearances expire by it.
    moment = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) if start is None else start
    return Pace(start=seconds_of(moment), turn_seconds=turn_seconds, call_seconds=call_seconds)
