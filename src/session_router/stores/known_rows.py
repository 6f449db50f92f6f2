"""The rows that were read or written last: what is still the same, to the byte, is not read a second time."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from session_router.core.session import Session, SessionId
    from session_router.stores.rows import Row

REMEMBERED: Final = 2_000
"""Sessions."""

LARGEST_ROW: Final = 8_192
"""Bytes of a payload that is remembered; the session that it holds takes some times as much. What is larger is read each time."""


class _Last:
    """Where the last row of one session is remembered, with the session that it holds."""

    __slots__ = ("known",)

    def __init__(self, _: SessionId) -> None:
        self.known: tuple[Row, Session] | None = None


class KnownRows:
    """The last row of each session, and the session that it holds. Safe for threads and across forks.

    Whoever asks has the stored row in hand: nothing here is newer or older than that.
    """

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        # It drops what was not used for longest, and needs no lock of ours, which a fork could leave held.
        self._last = lru_cache(maxsize=remembered)(_Last)

    def session_in(self, row: Row, session: SessionId) -> Session | None:
        """Return what `row` of `session` holds if it is the one that was seen last."""
        known = self._last(session).known
        return known[1] if known is not None and known[0] == row else None

    def saw(self, row: Row, session: Session) -> None:
        """Take notice of a row, whose seal was checked, or made, here."""
        self._last(session.id).known = (row, session) if len(row.payload) <= LARGEST_ROW else None

    def forget(self) -> None:
        """Remember nothing any more."""
        self._last.cache_clear()
