"""Sessions in one SQLite file: the embedded default, for one machine and many processes."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Self

from session_router.core.checking import check_number
from session_router.errors import StoreCorrupt
from session_router.files.connections import ConnectionPool
from session_router.files.sqlite_file import database_path, failure, open_file
from session_router.identity import key_from_file
from session_router.stores.known_rows import KnownRows
from session_router.stores.rows import Row, RowCodec
from session_router.stores.sqlite_file import SESSIONS

if TYPE_CHECKING:
    import os
    from collections.abc import Generator

    from session_router.core.session import Session, SessionId
    from session_router.files.patient_connection import PatientConnection

# The casts make rows that somebody else wrote arrive as bytes, whatever their type.
_SELECT = "SELECT CAST(payload AS BLOB), CAST(seal AS BLOB) FROM sessions WHERE id = ?"
_INSERT = "INSERT INTO sessions (payload, seal, last_call, id) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
_REPLACE = (
    "UPDATE sessions SET payload = ?, seal = ?, last_call = ? WHERE id = ? AND CAST(payload AS BLOB) IS ? AND CAST(seal AS BLOB) IS ?"
)
_FORGET = "DELETE FROM sessions WHERE last_call < ?"


class SQLiteSessionStore:
    """One file, written by any number of threads and processes of one machine. Passes `testing.SessionStoreSuite`.

    Rows are JSON under an HMAC and hold no text. What fails its HMAC is treated as lost: a load raises `StoreCorrupt`,
    and the next first commit replaces it.

    Args:
        path: The file; made if there is none, in a directory that exists. Not on a network share.
        key: 16 bytes or more; read from `<path>.key` unless given, which is made if there is none.
        busy_timeout_seconds: How long to wait for other writers before the store counts as unavailable.

    Attributes:
        path: The file.
        key: The key of its rows. Identities derived from the same key find their sessions again after a restart.

    Raises:
        ConfigurationError: A setting is wrong, the directory is missing, or the key file is unreadable.
        StoreCorrupt: The file is not a session database, or one of a newer release. It is left as it is.
        StoreUnavailable: The file cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], *, key: bytes | None = None, busy_timeout_seconds: float = 5.0) -> None:
        check_number(busy_timeout_seconds, key="busy_timeout_seconds", rule="give a number of seconds, 0 or more.")
        self.path = database_path(path, SESSIONS)
        given = None if key is None else RowCodec(key)
        opening = partial(open_file, self.path, SESSIONS, busy_timeout_seconds=busy_timeout_seconds)
        self._connections = ConnectionPool(opening, subject="session store", patience_seconds=busy_timeout_seconds)
        with self._connections.lease():
            pass  # What is wrong with the file shows here, before a key is put beside it.
        self.key: bytes = key_from_file(self.path.with_name(self.path.name + ".key")) if key is None else key
        self._rows = given or RowCodec(self.key)
        self._known = KnownRows()

    def load(self, session: SessionId) -> Session | None:
        """Return the last committed session, or `None`.

        Raises:
            StoreUnavailable: The file is locked for too long, or its disk does not answer.
            StoreCorrupt: The row, or the file, failed its checks.
        """
        with self._connection() as connection:
            found = connection.execute(_SELECT, (session,)).fetchone()
        return None if found is None else self._read(session, _row(found))

    def commit(self, session: Session) -> bool:
        """Store `session` if the stored version is one below it; a row that failed its checks counts as absent.

        Raises:
            StoreUnavailable: The file is locked for too long, read-only, or its disk is full or does not answer.
            StoreCorrupt: The file failed its checks.
        """
        row = self._rows.encode(session)
        values = (row.payload.decode(), row.seal, session.last_call, session.id)
        with self._connection(writing=True) as connection:
            found = connection.execute(_SELECT, (session.id,)).fetchone()
            if session.version != self._version(session.id, found) + 1:
                return False
            # The row was checked before the file is locked, which is for one statement. It writes over nothing but what was checked:
            # what changed in between was written by somebody who came first.
            written = connection.execute(_INSERT, values) if found is None else connection.execute(_REPLACE, (*values, *found))
            is_stored = written.rowcount == 1
        if is_stored:
            # Without a mark that another store may have put on it, and that is no part of a row here.
            self._known.saw(row, replace(session, row=b"") if session.row else session)
        return is_stored

    async def aload(self, session: SessionId) -> Session | None:
        """Do what `load` does, in a thread."""
        return await asyncio.to_thread(self.load, session)

    async def acommit(self, session: Session) -> bool:
        """Do what `commit` does, in a thread."""
        return await asyncio.to_thread(self.commit, session)

    def forget(self, *, before: float) -> int:
        """Delete sessions whose last call was before `before`, in POSIX seconds; costs warmth, never correctness.

        Returns:
            How many were deleted. Their space is used again; the file does not shrink.

        Raises:
            StoreUnavailable: As for `commit`.
        """
        with self._connection(writing=True) as connection:
            forgotten = connection.execute(_FORGET, (before,)).rowcount
        self._known.forget()
        return forgotten

    def check(self) -> None:
        """Read the whole file, and see whether it could be written; nothing is changed.

        Raises:
            StoreCorrupt: It is not intact.
            StoreUnavailable: As for `commit`.
        """
        with self._connection(writing=True) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                damage = sqlite3.DatabaseError(found)
                damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                raise damage
            # No call was ever made so long ago.
            connection.execute(_FORGET, (-inf,))

    def close(self) -> None:
        """Close all connections; later calls raise `StoreUnavailable`."""
        self._connections.close()

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def _version(self, session: SessionId, found: tuple[bytes | None, bytes | None] | None) -> int:
        if found is None:
            return 0
        try:
            return self._read(session, _row(found)).version
        except StoreCorrupt:
            return 0

    def _read(self, session: SessionId, row: Row) -> Session:
        read = self._known.session_in(row, session)
        if read is None:
            read = self._rows.decode(session, row)
            self._known.saw(row, read)
        return read

    @contextmanager
    def _connection(self, *, writing: bool = False) -> Generator[PatientConnection, None, None]:
        try:
            with self._connections.lease(writing=writing) as connection:
                yield connection
        except sqlite3.Error as error:
            raise failure(error, self.path, SESSIONS) from error


def _row(found: tuple[bytes | None, bytes | None]) -> Row:
    payload, seal = found
    return Row(payload=payload or b"", seal=seal or b"")
