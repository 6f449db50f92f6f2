"""Changing a row that other replicas change as well: load it, change it, commit it, and again until nobody was first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from session_router.core.effects import MAXIMUM_ATTEMPTS, CommitSession, Failed, LoadSession, RecallSession
from session_router.core.session import Session
from session_router.errors import StoreCorrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from session_router.core.effects import Effect
    from session_router.core.session import SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Amended:
    """What came of it.

    Attributes:
        found: The row as it was last found; `None` when it was absent, lost, or there was no answer.
        committed: The row as it is stored now; `None` when it is not known to be.
        available: Whether the store answered, and let the commit through.
    """

    found: Session | None = None
    committed: Session | None = None
    available: bool = True


def amend(row: SessionId, change: Callable[[Session | None], Session | None]) -> Generator[Effect, Any, Amended]:
    """Put `change` of a row in its place.

    Args:
        row: Which one.
        change: From what is stored, `None` for nothing, to what is to be stored, of the same version, 0 where nothing was; `None` to
            leave it as it is. Asked again whenever another replica was first.
    """
    recalls = True
    for _ in range(MAXIMUM_ATTEMPTS):
        # What this process saw last will do, if a commit confirms it.
        recalled = (yield RecallSession(row)) if recalls else None
        was_recalled = isinstance(recalled, Session)
        loaded = recalled if was_recalled else (yield LoadSession(row))
        if isinstance(loaded, Failed) and not isinstance(loaded.error, StoreCorrupt):
            break
        # A lost row counts as absent: a commit replaces it.
        found: Session | None = None if isinstance(loaded, Failed) else loaded
        changed = change(found)
        if changed is None and was_recalled:
            recalls = False
            continue
        if changed is None:
            return Amended(found=found)
        committed = yield CommitSession(changed.committed())
        if isinstance(committed, Failed):
            break
        if committed:
            return Amended(found=found, committed=changed.committed())
    return Amended(available=False)
