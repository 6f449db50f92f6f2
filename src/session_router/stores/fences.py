"""Which row a session was read from, so that a commit replaces that row and no other of the same version."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from session_router.core.session import SessionId

REMEMBERED = 10_000


class Fences:
    """The fence of the row that was last seen of each session. Safe for threads.

    Two rows of a session have the same version when a failover lost one: what was decided from the lost one must not be committed as
    if it had been decided from the other.
    """

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._seen: OrderedDict[SessionId, tuple[int, bytes]] = OrderedDict()
        self._guard = Lock()

    def saw(self, session: SessionId, version: int, fence: bytes) -> None:
        """Take notice of a row."""
        with self._guard:
            self._seen[session] = (version, fence)
            self._seen.move_to_end(session)
            if len(self._seen) > self._remembered:
                self._seen.popitem(last=False)

    def of(self, session: SessionId, version: int) -> bytes:
        """Return the fence of the row of `version`; empty when another, or none, was seen last."""
        with self._guard:
            seen, fence = self._seen.get(session, (0, b""))
        return fence if seen == version else b""
