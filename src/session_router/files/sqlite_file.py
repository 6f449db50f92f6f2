"""The SQLite file: opening it, knowing it for ours, and naming what is wrong with it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from session_router.errors import ConfigurationError, StoreCorrupt, StoreUnavailable
from session_router.files.paths import checked_path
from session_router.files.patient_connection import PatientConnection, result_code

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from session_router.errors import StoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKind:
    """What a file of ours holds.

    Attributes:
        name: What it is called in errors, such as `session database`.
        application_id: Says in the file's header whose it is.
        schema_version: Version of the tables, in the file's header. What a row holds has a schema of its own.
        tables: Statements that make the tables.
        probes: Statements that fail if a table or a column is missing.
        pragmas: Settings of every connection.
        instead: What to use instead of a file, for those who want none.
    """

    name: str
    application_id: int
    schema_version: int
    tables: tuple[str, ...]
    probes: tuple[str, ...]
    instead: str
    pragmas: tuple[str, ...] = ()


_MOVE_AWAY = "Move it away, together with its `-wal` and `-shm` files, and a new one is made; nothing was changed or deleted."


def open_file(path: Path, kind: FileKind, *, busy_timeout_seconds: float) -> PatientConnection:
    """Open the database at `path`, and make it if there is none.

    A file that cannot be written is opened for reading.

    Raises:
        StoreCorrupt: It is not a database, not ours, or of a newer release.
        StoreUnavailable: It cannot be opened.
    """
    try:
        return _open(path, kind, "mode=rwc", busy_timeout_seconds)
    except sqlite3.Error as error:
        if result_code(error) not in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN} or not path.exists():
            raise failure(error, path, kind) from error
        refused = error
    try:
        # Where not even the `-shm` file can be made, only `immutable` reads. Should somebody else write after all,
        # a torn row fails its HMAC and a stale one costs money; this connection can commit neither.
        return _open(path, kind, "mode=ro&immutable=1", busy_timeout_seconds)
    except sqlite3.Error as error:
        raise failure(refused, path, kind) from error


def database_path(path: str | os.PathLike[str], kind: FileKind) -> Path:
    """Return the path of a database that exists or can be made.

    Raises:
        ConfigurationError: It is no path or names no file, or its directory is missing.
    """
    if isinstance(path, str) and (path in {"", ":memory:"} or path.startswith("file:")):
        raise ConfigurationError(key="path", value=path, rule=f"give the path of a file; {kind.instead}.")
    return checked_path(path, key="path")


def failure(error: sqlite3.Error, path: Path, kind: FileKind) -> StoreError:
    """Say what `error` means for the database at `path`, and what to do."""
    match result_code(error):
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_ERROR:
            return StoreCorrupt(f"`{path}` is not an intact {kind.name} ({error}). {_MOVE_AWAY}")
        case sqlite3.SQLITE_READONLY:
            return StoreUnavailable(f"`{path}` cannot be written ({error}). Make the file and its directory writable for this user.")
        case sqlite3.SQLITE_FULL:
            return StoreUnavailable(
                f"`{path}` cannot grow ({error}). Free space on its disk; until then nothing can be stored or forgotten."
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreUnavailable(f"`{path}` is held by another process ({error}). Find it, or raise `busy_timeout_seconds`.")
        case sqlite3.SQLITE_CANTOPEN:
            return StoreUnavailable(f"`{path}` cannot be opened ({error}). Its directory must exist and be writable for this user.")
        case _:
            return StoreUnavailable(f"`{path}` gives no answer ({error}). Check its disk.")


def _open(path: Path, kind: FileKind, query: str, busy_timeout_seconds: float) -> PatientConnection:
    connection = PatientConnection(f"{path.absolute().as_uri()}?{query}", patience_seconds=busy_timeout_seconds)
    try:
        connection.execute("BEGIN")
        made = _is_made(connection, path, kind)
        connection.execute("COMMIT")
        if not made:
            _make(connection, path, kind)
        # In WAL mode this loses at most the last commits at a power cut, and never breaks the file.
        connection.execute("PRAGMA synchronous = NORMAL")
        for statement in (*kind.pragmas, *kind.probes):
            connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_made(connection: sqlite3.Connection, path: Path, kind: FileKind) -> bool:
    """Whether the tables are there; inside a transaction, so that a database in the making is never seen half made."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application, schema, tables) == (0, 0, 0):
        return False
    if application != kind.application_id:
        msg = f"`{path}` is another application's database (application_id {application:#x}). Give a path of its own; nothing was changed."
        raise StoreCorrupt(msg)
    if schema != kind.schema_version:
        msg = f"`{path}` has schema {schema}, this release reads {kind.schema_version}. Upgrade session-router, or give another path."
        raise StoreCorrupt(msg)
    return True


def _make(connection: sqlite3.Connection, path: Path, kind: FileKind) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    if not _is_made(connection, path, kind):
        for table in kind.tables:
            connection.execute(table)
        connection.execute(f"PRAGMA application_id = {kind.application_id}")
        connection.execute(f"PRAGMA user_version = {kind.schema_version}")
    connection.execute("COMMIT")
