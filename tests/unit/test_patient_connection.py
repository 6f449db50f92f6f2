"""A connection that waits for others: until they let go, as long as it was told, and not for what waiting does not mend."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from session_router.files.patient_connection import PatientConnection, result_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

INSERT = "INSERT INTO numbers VALUES (?)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE numbers (number INTEGER)")
    return path


@pytest.fixture
def holder(path: Path) -> Iterator[sqlite3.Connection]:
    """Another connection, inside a transaction that writes."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


class Clock:
    """Time passes while somebody sleeps, and then only."""

    def __init__(self, on_sleep: Callable[[int], object] = lambda _: None) -> None:
        self.at, self.slept = 0.0, 0  # sums of pauses are exact
        self._on_sleep = on_sleep

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds
        self.slept += 1
        self._on_sleep(self.slept)


def opened(path: Path, clock: Clock, *, patience_seconds: float = 5.0) -> closing[PatientConnection]:
    return closing(PatientConnection(path.as_uri(), patience_seconds=patience_seconds, sleep=clock.sleep, now=clock.now))


def numbers(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [number for (number,) in connection.execute("SELECT number FROM numbers")]


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "INSERT INTO numbers VALUES (7)"])
@pytest.mark.parametrize("pauses", [1, 2, 30])
def test_the_first_try_after_the_holder_let_go_gets_in(path: Path, holder: sqlite3.Connection, statement: str, pauses: int) -> None:
    clock = Clock(lambda slept: holder.execute("ROLLBACK") if slept == pauses else None)
    with opened(path, clock) as connection:
        connection.execute(statement)
        assert clock.slept == pauses
        assert connection.in_transaction is (statement == "BEGIN IMMEDIATE")


def test_a_holder_of_a_tenth_of_a_millisecond_costs_no_more_than_that_again(path: Path, holder: sqlite3.Connection) -> None:
    clock = Clock(lambda _: holder.execute("ROLLBACK") if clock.at >= 0.0001 and holder.in_transaction else None)
    with opened(path, clock) as connection:
        connection.execute(INSERT, (7,))
    assert clock.at < 0.0002
    assert numbers(path) == [7]


@pytest.mark.parametrize("patience", [0.0, 0.25, 5.0])
@pytest.mark.usefixtures("holder")
def test_a_holder_that_is_frozen_is_waited_for_as_long_as_was_said(path: Path, patience: float) -> None:
    clock = Clock()
    with opened(path, clock, patience_seconds=patience) as connection:
        for _ in range(2):
            begun = clock.at
            with pytest.raises(sqlite3.OperationalError, match="database is locked") as caught:
                connection.execute(INSERT, (7,))
            assert result_code(caught.value) == sqlite3.SQLITE_BUSY
            assert clock.at - begun == pytest.approx(patience)


def test_there_is_a_try_after_the_last_pause(path: Path, holder: sqlite3.Connection) -> None:
    clock = Clock(lambda _: holder.execute("ROLLBACK") if clock.at >= 0.25 - 1e-9 else None)
    with opened(path, clock, patience_seconds=0.25) as connection:
        connection.execute(INSERT, (7,))
    assert numbers(path) == [7]


@pytest.mark.usefixtures("holder")
def test_readers_do_not_wait_for_writers(path: Path) -> None:
    clock = Clock()
    with opened(path, clock) as connection:
        assert connection.execute("SELECT count(*) FROM numbers").fetchone() == (0,)
    assert clock.slept == 0


def test_a_reader_whom_the_file_is_closed_to_waits_as_well(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        clock = Clock(lambda slept: other.execute("ROLLBACK") if slept == 3 else None)
        with opened(path, clock) as connection:
            assert connection.execute("SELECT count(*) FROM numbers").fetchone() == (0,)
    assert clock.slept == 3


def test_an_interrupt_ends_the_wait(path: Path, holder: sqlite3.Connection) -> None:
    def interrupt(slept: int) -> None:
        if slept == 5:
            raise KeyboardInterrupt

    clock = Clock(interrupt)
    with opened(path, clock) as connection:
        with pytest.raises(KeyboardInterrupt):
            connection.execute(INSERT, (7,))
        assert clock.slept == 5
        holder.execute("ROLLBACK")
        connection.execute(INSERT, (8,))
    assert numbers(path) == [8]


@pytest.mark.parametrize("statement", ["SELECT", "INSERT INTO letters VALUES (1)", "INSERT INTO numbers VALUES (1, 2)"])
def test_what_waiting_does_not_mend_is_raised_at_once(path: Path, statement: str) -> None:
    clock = Clock()
    with opened(path, clock) as connection, pytest.raises(sqlite3.OperationalError):
        connection.execute(statement)
    assert clock.slept == 0


def log_bytes(path: Path) -> int:
    return path.with_name(f"{path.name}-wal").stat().st_size


def a_reader(path: Path, connection: PatientConnection) -> sqlite3.Connection:
    """Read, and do not end: what is written afterwards cannot leave the log."""
    reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute(INSERT, (1,))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM numbers").fetchone()
    connection.execute(INSERT, (2,))
    return reader


def test_the_log_is_emptied_unless_a_reader_stays(path: Path) -> None:
    with opened(path, Clock(), patience_seconds=0) as connection, closing(a_reader(path, connection)) as reader:
        connection.empty_log()
        assert log_bytes(path) > 0
        reader.execute("COMMIT")
        connection.empty_log()
        assert log_bytes(path) == 0
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (0,)
    assert numbers(path) == [1, 2]


@pytest.mark.parametrize("patience", [60.0, 1e300])
def test_the_log_is_emptied_when_readers_have_ended(path: Path, patience: float) -> None:
    with opened(path, Clock(), patience_seconds=patience) as connection, closing(a_reader(path, connection)) as reader:
        ending = threading.Timer(0.05, reader.execute, ("COMMIT",))
        ending.start()
        connection.empty_log()
        ending.join()
        assert log_bytes(path) == 0
