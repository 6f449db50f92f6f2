"""The rows that this process saw last: which one a session was read from, and what it was read as."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from session_router.stores.redis_rows import fenced_head_of, head_of

if TYPE_CHECKING:
    from session_router.core.session import Session, SessionId

REMEMBERED = 2_000
"""Sessions; some kilobytes each."""

UNTOUCHED_LOADS = 4
"""Loads in a row that found what this process had seen last, after which nobody else is taken to be at the session: two calls' worth,
since each of them loads twice."""


class _Seen(NamedTuple):
    row: bytes
    session: Session
    untouched: int  # loads in a row
    was_told: bool = False  # by the server just now, with a refusal


class SeenRows:
    """The last row of each session, with the session that it holds. Safe for threads.

    Two rows of a session have the same version when a failover lost one: what was decided from the lost one must not be committed as
    if it had been decided from the other. And a row that is still the same is not read a second time, nor asked for where nobody else
    is at the session: the commit tells whether it was.
    """

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._seen: OrderedDict[SessionId, _Seen] = OrderedDict()
        self._guard = Lock()

    def found(self, session: Session, row: bytes) -> None:
        """Take notice of a row that somebody else wrote, and of what it holds."""
        self._put(_Seen(row, session, 0))

    def wrote(self, session: Session, row: bytes) -> None:
        """Take notice of a row of our own."""
        before = self._seen.get(session.id)
        self._put(_Seen(row, session, UNTOUCHED_LOADS if session.version == 1 else 0 if before is None else before.untouched))

    def lost_to(self, session: SessionId, current: Session | None, row: bytes) -> None:
        """Take notice that somebody else changed the session: to what `row` holds, if it holds anything."""
        if current is not None:
            self._put(_Seen(row, current, 0, was_told=True))
            return
        with self._guard:
            self._seen.pop(session, None)

    def doubt(self, session: SessionId) -> None:
        """Take notice that a commit of the session failed: until a server has answered for it a few times, it is asked first."""
        seen = self._seen.get(session)
        if seen is not None:
            self._put(seen._replace(untouched=0, was_told=False))

    def session_in(self, row: bytes, session: SessionId) -> Session | None:
        """Return what `row`, which was just loaded, holds if it is, to the byte, the one that was seen last of `session`."""
        seen = self._seen.get(session)
        if seen is None or seen.row != row:
            return None
        if seen.untouched < UNTOUCHED_LOADS:
            self._put(seen._replace(untouched=seen.untouched + 1))
        return seen.session

    def recalled(self, session: SessionId) -> Session | None:
        """Return the session that was seen last, where nobody else is likely to have changed it since."""
        seen = self._seen.get(session)
        return seen.session if seen is not None and (seen.was_told or seen.untouched >= UNTOUCHED_LOADS) else None

    def head_of(self, session: SessionId, version: int) -> bytes:
        """Return how the row of `version` begins: with its fence if it was seen last, and with none otherwise."""
        seen = self._seen.get(session)
        return head_of(version) if seen is None or seen.session.version != version else fenced_head_of(seen.row)

    def _put(self, seen: _Seen) -> None:
        with self._guard:
            self._seen[seen.session.id] = seen
            self._seen.move_to_end(seen.session.id)
            if len(self._seen) > self._remembered:
                self._seen.popitem(last=False)
