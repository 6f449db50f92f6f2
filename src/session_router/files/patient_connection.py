"""A SQLite connection that waits for other processes in pauses of our own."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Any

from session_router.files.pauses import pauses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LONGEST_TIMEOUT = 2**31 - 1
"""Milliseconds that SQLite can count."""


class PatientConnection(sqlite3.Connection):
    """Tries again while another process holds the file. Any thread may use it, one at a time.

    SQLite's own waiting sleeps for 1, 2, 5, 10 and more milliseconds, where a transaction takes a tenth of one; and nothing can
    interrupt it. What finds the file held has done nothing, so it may be tried again.

    Args:
        database: The file's URI.
        patience_seconds: How long to wait until `execute` raises that the database is locked.
        sleep: What waits, given seconds.
        now: A clock, in seconds.
    """

    def __init__(
        self,
        database: str,
        *,
        patience_seconds: float,
        sleep: Callable[[float], object] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(database, timeout=0, uri=True, isolation_level=None, check_same_thread=False)
        self._patience = patience_seconds
        self._sleep, self._now = sleep, now

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:  # noqa: ANN401 -- as the base does
        """Execute one statement, when nobody holds what it needs."""
        waiting: Iterator[float] | None = None
        while True:
            try:
                return super().execute(sql, parameters)
            except sqlite3.OperationalError as error:
                if result_code(error) != sqlite3.SQLITE_BUSY:
                    raise
                waiting = waiting or pauses(self._patience, now=self._now)
                pause = next(waiting, None)
                if pause is None:
                    raise
            self._sleep(pause)

    def empty_log(self) -> None:
        """Write the write-ahead log back into the file and empty it, if readers let go of it in time."""
        # Here SQLite waits itself: it keeps writers out meanwhile, without whom readers come to an end.
        super().execute(f"PRAGMA busy_timeout = {min(round(self._patience * 1_000), _LONGEST_TIMEOUT)}")
        try:
            super().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            super().execute("PRAGMA busy_timeout = 0")


def result_code(error: sqlite3.Error) -> int | None:
    """Return the primary result code; `None` for errors of Python's module itself."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
