"""The audit log of a router: one file, for one machine and many processes."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from session_router.audit.erasing import Erasure, exposures_of, forget_torn, ranges_of, records_about, rewrite_without, sync_directory
from session_router.audit.file_lock import FileLock
from session_router.audit.lines import PERSONAL
from session_router.audit.reader import AuditReader
from session_router.audit.writing import Writer
from session_router.core.checking import check_methods, check_number
from session_router.errors import AuditError, AuditUnavailable
from session_router.files.paths import checked_path
from session_router.identity import key_from_file

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from session_router.ports import Clock

logger = logging.getLogger("session_router")

KEY_SUFFIX: Final = ".key"
"""Of the file beside a log that holds its key, where none is given."""


class AuditFile(AuditReader):
    """Records in a chain, in one file of JSON lines. Passes `testing.ErasableAuditLogSuite`.

    Every line is sealed with a key and names the digest of the one before; the number of lines is signed and stored apart. So a line
    that was changed, taken out, moved, repeated or cut off is found by `verify`, as long as the key, or a copy of the head, is out
    of reach of whoever did it. What leads back to a person can be erased, and the rest still verifies.

    A record is with the system when `append` returns: it outlives this process however that ends. Any number of threads and
    processes of one machine may write.

    Args:
        path: The file; made if there is none, in a directory that exists. Not on a network share.
        key: 16 bytes or more; read from `<path>.key` unless given, which is made if there is none.
        head: Where the signed head is kept; `<path>.head` unless given. Better on another volume than the log.
        sync_seconds: What a crash of the machine may cost: records of so many seconds. 0 for none: every record is then on the disk
            when `append` returns, which takes milliseconds. `None` leaves it to the system.
        patience_seconds: How long to wait for other processes.
        personal: Names in a record under which something leads back to a person.
        clock: Says when a line was written; the machine's unless given.

    Raises:
        ConfigurationError: A setting is wrong, the directory is missing, or the key file is unreadable.
        AuditCorrupt: What is there was sealed with another key. It is left as it is.
        AuditUnavailable: The file cannot be opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        key: bytes | None = None,
        head: str | os.PathLike[str] | None = None,
        sync_seconds: float | None = 1.0,
        patience_seconds: float = 5.0,
        personal: frozenset[str] = PERSONAL,
        clock: Clock | None = None,
    ) -> None:
        if sync_seconds is not None:
            check_number(sync_seconds, key="audit.sync_seconds", rule="give a number of seconds, 0 or more, or `None`.")
        check_number(patience_seconds, key="audit.patience_seconds", rule="give a number of seconds, 0 or more.")
        if clock is not None:
            check_methods(clock, "now", key="audit.clock", rule="give an object with `now`.")
        place = checked_path(path, key="audit.path")
        at = None if head is None else checked_path(head, key="audit.head")
        own: bytes = key_from_file(place.with_name(f"{place.name}{KEY_SUFFIX}")) if key is None else key
        super().__init__(place, key=own, head=at, personal=personal)
        self._now = time.time if clock is None else clock.now
        self._sync_seconds, self._patience = sync_seconds, patience_seconds
        self._closed = False
        self._begin()
        with self._writing():
            pass  # What is wrong with the file shows here.
        _files.add(self)

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record of plain values.

        Raises:
            AuditUnavailable: It cannot be written, or is no record of plain values; nothing was.
        """
        try:
            facts, personal = self._codec.parts(record)
        except (TypeError, ValueError, RecursionError) as error:
            msg = f"a record for `{self.path}` is not of plain values: {error}."
            raise AuditUnavailable(msg) from error
        with self._guard:
            self._check_open()
            try:
                # Not `with`: at every record, each block costs as much as the writing.
                self._lock.take()
                try:
                    self._catch_up()
                    self._writer.write_record(facts, personal)
                finally:
                    self._lock.give_back()
            except (OSError, ValueError) as error:  # the clock may give what is no number
                raise self._unavailable(error) from error
            self._unsynced += 1
            ticket = self._unsynced
        self._see_to_the_disk(ticket)

    def erase(self, subject: str, *, why: str = "") -> Erasure:
        """Erase what leads back to a person from every record that names `subject` there, and note that it was done.

        The log is written anew, and whoever writes waits meanwhile.

        Args:
            subject: As in `Tag.subjects`, or the id of a session or a principal, as records have it.
            why: Kept in the note; it must not name the subject.

        Raises:
            AuditUnavailable: It cannot be written. If the note was, `verify` says that the erasure is unfinished: erase once more.
        """
        with self._writing() as writer:
            found = list(records_about(self.path, self._codec, subject))
            sequences = tuple(line.sequence for line in found)
            writer.write_note({"event": "erased", "sequences": ranges_of(sequences), "why": why})
            for descriptor in writer.descriptors():
                os.fsync(descriptor)
                os.close(descriptor)
            rewrite_without(self.path, self._codec, frozenset(sequences))
            forget_torn(self.path, subject)
            writer.catch_up()
            return Erasure(sequences=sequences, exposures=exposures_of(found, now=self._now()))

    def sync(self) -> None:
        """Wait until every record is on the disk.

        Raises:
            AuditUnavailable: It is not.
        """
        self._sync(self._unsynced)

    def close(self) -> None:
        """See that every record is on the disk, and close the files; later calls raise `AuditUnavailable`."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
        try:
            if self._sync_seconds is not None:
                self.sync()
        finally:
            with self._guard:
                self._writer.close()
                self._lock.close()

    def __enter__(self) -> Self:
        """Return the log itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def _begin(self) -> None:
        """Open the files, here and in a child: what a parent holds open is not a child's to write with."""
        self._guard, self._syncing = threading.Lock(), threading.Lock()
        self._unsynced: int = 0
        self._synced: int = 0
        self._armed, self._failure = False, ""
        with self._translated():
            self._lock = FileLock(self.path.with_name(f"{self.path.name}.lock"), patience_seconds=self._patience)
        self._writer: Writer = Writer(self.path, self.head, self._codec, self._now)

    def after_fork(self) -> None:
        """Go on in a child, with files and locks of its own."""
        if self._closed:
            return
        self._writer.close()
        self._lock.close()
        self._begin()

    @contextmanager
    def _writing(self) -> Generator[Writer, None, None]:
        with self._guard, self._translated():
            self._check_open()
            self._lock.take()
            try:
                self._catch_up()
                yield self._writer
            finally:
                self._lock.give_back()

    def _check_open(self) -> None:
        if self._closed:
            msg = f"`{self.path}` is closed; make a new one."
            raise AuditUnavailable(msg)
        if self._failure:
            failure, self._failure = self._failure, ""
            raise AuditUnavailable(failure)

    def _catch_up(self) -> None:
        known = self._writer.size
        self._writer.catch_up()
        if known < 0 and self._sync_seconds is not None:
            sync_directory(self.path)

    def _see_to_the_disk(self, ticket: int) -> None:
        if self._sync_seconds is None:
            return
        if self._sync_seconds == 0:
            self._sync(ticket)
        elif not self._armed:
            self._armed = True
            timer = threading.Timer(self._sync_seconds, _sync_later, [weakref.ref(self)])
            timer.daemon = True
            timer.start()

    def _sync(self, ticket: int) -> None:
        with self._syncing, self._translated():
            if self._synced >= ticket:
                return  # another thread's wait was for this record too
            with self._guard:
                # Copies: a writer may close the files meanwhile, and must not wait for the disk.
                reached, descriptors = self._unsynced, self._writer.descriptors()
            try:
                for descriptor in descriptors:
                    os.fsync(descriptor)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
            self._synced = reached

    def sync_when_due(self) -> None:
        """Do what `sync` does, after `sync_seconds`; a failure shows at the next `append`."""
        self._armed = False
        if self._closed:
            return
        try:
            self.sync()
        except AuditError as error:
            logger.exception("the audit log could not be brought to the disk")
            self._failure = str(error)


def _sync_later(log: weakref.ref[AuditFile]) -> None:
    alive = log()
    if alive is not None:
        alive.sync_when_due()


_files: weakref.WeakSet[AuditFile] = weakref.WeakSet()


def _after_fork() -> None:
    for log in list(_files):
        log.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
