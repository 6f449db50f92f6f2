"""The rows that this process saw last: which one a session was read from, and what it was read as."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

from session_router.stores.redis_rows import fenced_head_of, head_of

if TYPE_CHECKING:
    from session_router.core.session import Session, SessionId

REMEMBERED = 2_000
"""Sessions; some kilobytes each."""


class SeenRows:
    """The last row of each session, with the session that it holds. Safe for threads.

    Two rows of a session have the same version when a failover lost one: what was decided from the lost one must not be committed as
    if it had been decided from the other. And a row that is still the same is not read a second time.
    """

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._seen: OrderedDict[SessionId, tuple[bytes, Session]] = OrderedDict()
        self._guard = Lock()

    def saw(self, session: Session, row: bytes) -> None:
        """Take notice of a row, and of what it holds."""
        with self._guard:
            self._seen[session.id] = (row, session)
            self._seen.move_to_end(session.id)
            if len(self._seen) > self._remembered:
                self._seen.popitem(last=False)

    def session_in(self, row: bytes, session: SessionId) -> Session | None:
        """Return what `row` holds if it is, to the byte, the one that was seen last of `session`."""
        seen = self._seen.get(session)
        return None if seen is None or seen[0] != row else seen[1]

    def head_of(self, session: SessionId, version: int) -> bytes:
        """Return how the row of `version` begins: with its fence if it was seen last, and with none otherwise."""
        seen = self._seen.get(session)
        return head_of(version) if seen is None or seen[1].version != version else fenced_head_of(seen[0])
