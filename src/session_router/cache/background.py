"""One thread for what nobody should wait for: audits, and indexes that take long to build."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

CAPACITY: Final = 1_000
"""Pieces of work that may wait; more are dropped, which costs an audit or delays an index."""

IDLE_SECONDS: Final = 5.0
"""The thread ends when it had nothing to do for so long."""

logger = logging.getLogger("session_router.cache")


class Background:
    """Does one thing at a time, in the order given. Starts its thread with work, and ends it without. Safe for threads.

    The thread does not keep a program alive: what waits at its end is lost.
    """

    def __init__(self) -> None:
        self._work: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._running = False
        self._busy = False
        self._closed = False

    def submit(self, work: Callable[[], None]) -> bool:
        """Do `work` later; return whether there was room."""
        with self._changed:
            if self._closed or len(self._work) >= CAPACITY:
                return False
            self._work.append(work)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="session-router-cache", daemon=True).start()
            self._changed.notify_all()
            return True

    def drain(self, timeout_seconds: float = 60.0) -> bool:
        """Wait until nothing is left to do; return whether that came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._work and not self._busy, timeout_seconds)

    def close(self) -> None:
        """Drop what waits, and take nothing more."""
        with self._changed:
            self._closed = True
            self._work.clear()
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                if not self._changed.wait_for(lambda: self._work or self._closed, IDLE_SECONDS) or not self._work:
                    self._running = False
                    return
                work = self._work.popleft()
                self._busy = True
            try:
                work()
            except Exception as error:  # noqa: BLE001 -- nobody waits for it who could be told
                # Its text may hold what was asked.
                logger.warning("work of the cache failed, and is left undone: %s", type(error).__name__)
