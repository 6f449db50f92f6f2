"""Entries in one SQLite file: for one machine and many processes."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from session_router.cache.entry import SealedEntry
from session_router.cache.rows import ALIKE, Note, Standing
from session_router.core.checking import check_number
from session_router.files.connections import ConnectionPool
from session_router.files.sqlite_file import FileKind, database_path, failure, open_file

if TYPE_CHECKING:
    import os
    from collections.abc import Generator, Iterable, Sequence

    from session_router.files.patient_connection import PatientConnection

ENTRIES: Final = FileKind(
    name="cache database",
    application_id=0x53525243,  # `SRRC`
    schema_version=1,
    tables=(
        # Numbers are never used again: an index knows entries by them.
        """CREATE TABLE entries (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            partition TEXT NOT NULL,
            exact BLOB NOT NULL,
            content BLOB NOT NULL,
            expires_at REAL,
            payload TEXT NOT NULL,
            vector BLOB NOT NULL,
            seal BLOB NOT NULL
        )""",
        "CREATE UNIQUE INDEX entries_by_exact ON entries (partition, exact)",
        "CREATE INDEX entries_by_content ON entries (partition, content)",
        "CREATE INDEX entries_by_partition ON entries (partition, number)",
        "CREATE INDEX entries_by_end ON entries (expires_at)",
        "CREATE TABLE subjects (subject TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (subject, number)) WITHOUT ROWID",
        "CREATE INDEX subjects_by_number ON subjects (number)",
        "CREATE TABLE tombstones (subject TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID",
        "CREATE TABLE erasures (number INTEGER PRIMARY KEY AUTOINCREMENT)",
        "CREATE TABLE notes (name TEXT PRIMARY KEY, payload TEXT NOT NULL, seal BLOB NOT NULL) WITHOUT ROWID",
    ),
    probes=(
        "SELECT number, id, partition, exact, content, expires_at, payload, vector, seal FROM entries LIMIT 0",
        "SELECT subject, number FROM subjects LIMIT 0",
        "SELECT subject, at FROM tombstones LIMIT 0",
        "SELECT number FROM erasures LIMIT 0",
        "SELECT name, payload, seal FROM notes LIMIT 0",
    ),
    instead="for entries that end with the process use `MemoryEntryRows()`",
    # What is erased must not stay behind in free pages.
    pragmas=("PRAGMA secure_delete = ON",),
)

# The casts make rows that somebody else wrote arrive as bytes, whatever their type.
_ROW = (
    "SELECT number, CAST(id AS TEXT), CAST(partition AS TEXT), CAST(exact AS BLOB), CAST(content AS BLOB), "
    "CAST(payload AS BLOB), CAST(vector AS BLOB), CAST(seal AS BLOB) FROM entries "
)
_STANDING = "SELECT (SELECT max(number) FROM entries WHERE partition = ?), (SELECT max(number) FROM erasures)"
_FORGET_SUBJECTS = "DELETE FROM subjects WHERE number = ?"
_DISCARD = "DELETE FROM entries WHERE number = ?"


class SQLiteEntryRows:
    """Rows in one file, written by any number of threads and processes of one machine.

    The file is opened on first use: one that cannot be opened makes misses, not errors at start.

    Args:
        path: The file; made if there is none, in a directory that exists. Not on a network share.
        busy_timeout_seconds: How long to wait for other writers. Short: whoever waits could have asked a model.

    Raises:
        ConfigurationError: A setting is wrong, or the directory is missing.
    """

    waits = True

    def __init__(self, path: str | os.PathLike[str], *, busy_timeout_seconds: float = 0.25) -> None:
        check_number(busy_timeout_seconds, key="busy_timeout_seconds", rule="give a number of seconds, 0 or more.")
        self.path = database_path(path, ENTRIES)
        opening = partial(open_file, self.path, ENTRIES, busy_timeout_seconds=busy_timeout_seconds)
        self._connections = ConnectionPool(opening, subject="cache", patience_seconds=busy_timeout_seconds)

    def by_exact(self, partition: str, exact: bytes) -> SealedEntry | None:
        """Return the entry of a partition with this exact key."""
        found = self._select("WHERE partition = ? AND exact = ?", (partition, exact))
        return found[0] if found else None

    def by_content(self, partition: str, content: bytes) -> Sequence[SealedEntry]:
        """Return the newest few entries of a partition with this content key."""
        return self._select("WHERE partition = ? AND content = ? ORDER BY number DESC LIMIT ?", (partition, content, ALIKE))

    def by_numbers(self, partition: str, numbers: Sequence[int]) -> Sequence[SealedEntry]:
        """Return those of `numbers` that lie in the partition."""
        marks = ", ".join("?" * len(numbers))
        return self._select(f"WHERE number IN ({marks}) AND partition = ?", (*numbers, partition))

    def by_id(self, entry: str) -> SealedEntry | None:
        """Return the entry with this id."""
        found = self._select("WHERE id = ?", (entry,))
        return found[0] if found else None

    def after(self, partition: str, number: int, limit: int) -> Sequence[SealedEntry]:
        """Return entries with higher numbers, in ascending order."""
        return self._select("WHERE partition = ? AND number > ? ORDER BY number LIMIT ?", (partition, number, limit))

    def numbers(self, partition: str) -> Sequence[int]:
        """Return the numbers of a partition."""
        with self._connection() as connection:
            return [number for (number,) in connection.execute("SELECT number FROM entries WHERE partition = ?", (partition,))]

    def standing(self, partition: str) -> Standing:
        """Return how far an index of the partition must have read."""
        with self._connection() as connection:
            newest, erasures = connection.execute(_STANDING, (partition,)).fetchone()
        return Standing(newest=newest or 0, erasures=erasures or 0)

    def put(self, row: SealedEntry, *, asked_at: float) -> bool:
        """Keep a row, unless one of its subjects was erased."""
        with self._writing() as connection:
            if _is_erased(connection, row.subjects, asked_at):
                return False
            older = connection.execute(
                "SELECT number FROM entries WHERE partition = ? AND exact = ?", (row.partition, row.exact)
            ).fetchall()
            _discard(connection, [number for (number,) in older])
            number = connection.execute(
                "INSERT INTO entries (id, partition, exact, content, expires_at, payload, vector, seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (row.id, row.partition, row.exact, row.content, row.expires_at, row.payload.decode("ascii"), row.vector, row.seal),
            ).lastrowid
            connection.executemany("INSERT INTO subjects (subject, number) VALUES (?, ?)", [(one, number) for one in row.subjects])
        return True

    def replace(self, row: SealedEntry, *, seal: bytes) -> bool:
        """Write payload and seal of a row if nobody else has."""
        with self._writing() as connection:
            values = (row.payload.decode("ascii"), row.seal, row.number, seal)
            return connection.execute("UPDATE entries SET payload = ?, seal = ? WHERE number = ? AND seal = ?", values).rowcount == 1

    def discard(self, partition: str, numbers: Iterable[int]) -> None:
        """Remove rows."""
        del partition
        with self._writing() as connection:
            _discard(connection, list(numbers))

    def erase(self, subject: str, *, at: float) -> int:
        """Remove every row about `subject`, also from the write-ahead log, and leave a tombstone."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO tombstones (subject, at) VALUES (?, ?) ON CONFLICT (subject) DO UPDATE SET at = max(at, excluded.at)",
                (subject, at),
            )
            connection.execute("INSERT INTO erasures DEFAULT VALUES")
            numbers = [number for (number,) in connection.execute("SELECT number FROM subjects WHERE subject = ?", (subject,))]
            _discard(connection, numbers)
        with self._connection(writing=True) as connection:
            # Old pages lie in the log until it is written back. Readers may delay that; the next checkpoint does it then.
            connection.empty_log()
        return len(numbers)

    def is_erased(self, subjects: Iterable[str], *, asked_at: float) -> bool:
        """Whether one of `subjects` was erased at `asked_at` or later."""
        with self._connection() as connection:
            return _is_erased(connection, subjects, asked_at)

    def purge(self, *, now: float, maximum: int) -> int:
        """Remove what is over, and the oldest beyond `maximum`."""
        with self._writing() as connection:
            numbers = [number for (number,) in connection.execute("SELECT number FROM entries WHERE expires_at <= ?", (now,))]
            _discard(connection, numbers)
            (count,) = connection.execute("SELECT count(*) FROM entries").fetchone()
            oldest = connection.execute("SELECT number FROM entries ORDER BY number LIMIT ?", (max(0, count - maximum),)).fetchall()
            _discard(connection, [number for (number,) in oldest])
        return len(numbers) + len(oldest)

    def count(self) -> int:
        """Return the number of rows."""
        with self._connection() as connection:
            (count,) = connection.execute("SELECT count(*) FROM entries").fetchone()
        return int(count)

    def note(self, name: str) -> Note | None:
        """Return a note."""
        with self._connection() as connection:
            found = connection.execute("SELECT CAST(payload AS BLOB), CAST(seal AS BLOB) FROM notes WHERE name = ?", (name,)).fetchone()
        return None if found is None else Note(payload=found[0] or b"", seal=found[1] or b"")

    def notes(self) -> dict[str, Note]:
        """Return all notes."""
        with self._connection() as connection:
            found = connection.execute("SELECT name, CAST(payload AS BLOB), CAST(seal AS BLOB) FROM notes").fetchall()
        return {str(name): Note(payload=payload or b"", seal=seal or b"") for name, payload, seal in found}

    def write_note(self, name: str, note: Note, *, seal: bytes | None) -> bool:
        """Write a note if nobody else has."""
        payload = note.payload.decode("ascii")
        with self._writing() as connection:
            if seal is None:
                done = connection.execute("INSERT OR IGNORE INTO notes (name, payload, seal) VALUES (?, ?, ?)", (name, payload, note.seal))
            else:
                done = connection.execute(
                    "UPDATE notes SET payload = ?, seal = ? WHERE name = ? AND seal = ?", (payload, note.seal, name, seal)
                )
            return done.rowcount == 1

    def close(self) -> None:
        """Close all connections; later calls raise `StoreUnavailable`."""
        self._connections.close()

    def _select(self, where: str, values: Sequence[Any]) -> list[SealedEntry]:
        with self._connection() as connection:
            return [_row(found) for found in connection.execute(_ROW + where, values)]

    @contextmanager
    def _writing(self) -> Generator[PatientConnection, None, None]:
        with self._connection(writing=True) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:
                    connection.rollback()
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _connection(self, *, writing: bool = False) -> Generator[PatientConnection, None, None]:
        try:
            with self._connections.lease(writing=writing) as connection:
                yield connection
        except sqlite3.Error as error:
            raise failure(error, self.path, ENTRIES) from error


def _row(found: tuple[Any, ...]) -> SealedEntry:
    number, name, partition, exact, content, payload, vector, seal = found
    return SealedEntry(
        number=number,
        id=name or "",
        partition=partition or "",
        exact=exact or b"",
        content=content or b"",
        subjects=(),
        expires_at=None,
        payload=payload or b"",
        vector=vector or b"",
        seal=seal or b"",
    )


def _is_erased(connection: sqlite3.Connection, subjects: Iterable[str], asked_at: float) -> bool:
    for subject in subjects:
        found = connection.execute("SELECT at FROM tombstones WHERE subject = ?", (subject,)).fetchone()
        # Written as `not (later)`, so that what is no number is refused.
        if found is not None and not asked_at > found[0]:
            return True
    return False


def _discard(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    connection.executemany(_DISCARD, [(number,) for number in numbers])
    connection.executemany(_FORGET_SUBJECTS, [(number,) for number in numbers])
