"""SQLite connections, each used by one thread at a time, and none alive across a fork."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING

from session_router.errors import StoreUnavailable
from session_router.files.patient_connection import PatientConnection, result_code

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

FORK_PATIENCE_SECONDS = 10.0
"""How long a fork waits for transactions in other threads. They take milliseconds; a stuck disk must not stop the fork."""

_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


class ConnectionPool:
    """Opens connections as threads need them, and closes what may be broken.

    Args:
        open_connection: Makes a connection that any thread may use.
        subject: What the connections lead to, as errors name it: `session store`.
        patience_seconds: How long a writer waits for the writers before it in this process. They queue here,
            because a connection's own waiting is a poll with growing pauses.
    """

    def __init__(self, open_connection: Callable[[], PatientConnection], *, subject: str, patience_seconds: float) -> None:
        self._open = open_connection
        self._subject = subject
        self._patience = patience_seconds
        self._changed = threading.Condition()
        self._idle: list[PatientConnection] = []
        self._leased = 0
        self._writing = False
        self._closed = False
        # A store that is dropped, or alive at exit, leaves no connection open.
        weakref.finalize(self, _close_all, self._idle)
        _register(self)

    @contextmanager
    def lease(self, *, writing: bool = False) -> Generator[PatientConnection, None, None]:
        """Lend a connection to the block; an exception rolls back what was not committed.

        Raises:
            StoreUnavailable: The pool is closed, or the writers before this one took too long.
        """
        connection = self._take(writing=writing)
        try:
            if connection is None:
                connection = self._open()
            yield connection
        except BaseException as error:
            if connection is not None and not _recovered(connection, error):
                connection.close()
                connection = None
            raise
        finally:
            self._give_back(connection, writing=writing)

    def close(self) -> None:
        """Close every connection; those in use are closed when they come back."""
        with self._changed:
            self._closed = True
            _close_all(self._idle)
            self._changed.notify_all()

    def _take(self, *, writing: bool) -> PatientConnection | None:
        with self._changed:
            free = self._changed.wait_for(lambda: self._closed or not (writing and self._writing), self._patience)
            if self._closed:
                msg = f"the {self._subject} is closed; make a new one."
                raise StoreUnavailable(msg)
            if not free:
                msg = f"writers of this process held the {self._subject} for {self._patience} s; raise `busy_timeout_seconds`."
                raise StoreUnavailable(msg)
            self._leased += 1
            self._writing = self._writing or writing
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: PatientConnection | None, *, writing: bool) -> None:
        with self._changed:
            self._leased -= 1
            if writing:
                self._writing = False
            if connection is not None:
                self._idle.append(connection)
                if self._closed:
                    _close_all(self._idle)
            self._changed.notify_all()

    def before_fork(self) -> None:
        """Close everything and keep others from opening anything, until `after_fork`.

        SQLite keeps its locks per process and per file: a child that inherits an open connection believes that it
        holds locks which only its parent has, even for connections of its own.
        """
        self._changed.acquire()
        self._changed.wait_for(lambda: self._leased == 0, FORK_PATIENCE_SECONDS)
        _close_all(self._idle)

    def after_fork(self) -> None:
        """Go on, in the parent or in the child."""
        self._changed.release()


def _recovered(connection: PatientConnection, error: BaseException) -> bool:
    """Roll back, and say whether the connection is as good as new."""
    # These pass, and on a full disk a new connection may not even be able to read.
    if not isinstance(error, sqlite3.Error) or result_code(error) not in _PASSING:
        return False
    try:
        connection.rollback()
    except sqlite3.Error:
        return False
    return True


def _close_all(connections: list[PatientConnection]) -> None:
    while connections:
        connections.pop().close()


_pools: weakref.WeakSet[ConnectionPool] = weakref.WeakSet()
_forking = threading.Lock()
_stopped: list[ConnectionPool] = []


def _register(pool: ConnectionPool) -> None:
    with _forking:
        _pools.add(pool)


def _before_fork() -> None:
    _forking.acquire()
    _stopped.extend(_pools)
    for pool in _stopped:
        pool.before_fork()


def _after_fork() -> None:
    while _stopped:
        _stopped.pop().after_fork()
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
