"""One writer at a time, over all processes of a machine."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from session_router.errors import AuditUnavailable, ConfigurationError
from session_router.files.pauses import pauses

if TYPE_CHECKING:
    from pathlib import Path


class FileLock:
    """A lock that ends with its holder, however that ends.

    Args:
        path: A file of its own; made if there is none.
        patience_seconds: How long to wait for another process.

    Raises:
        ConfigurationError: The system has no such locks.
        OSError: The file cannot be opened.
    """

    _descriptor = -1

    def __init__(self, path: Path, *, patience_seconds: float) -> None:
        try:
            import fcntl
        except ImportError:
            rule = "this system has no POSIX file locks; give an audit log of your own."
            raise ConfigurationError(key="audit.path", value=str(path), rule=rule) from None
        self._flock, self._exclusive, self._unlock = fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_UN
        self._path, self._patience = path, patience_seconds
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self) -> None:
        """Take it; end with `give_back`.

        Raises:
            AuditUnavailable: Another process holds it for too long.
            OSError: The system refuses.
        """
        try:
            self._flock(self._descriptor, self._exclusive)
        except BlockingIOError:
            self._wait()

    def give_back(self) -> None:
        """Let the next one take it."""
        self._flock(self._descriptor, self._unlock)

    def close(self) -> None:
        """Close the file. A process that was forked has a copy of it, and keeps that."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def __del__(self) -> None:
        """Close what nobody closed."""
        self.close()

    def _wait(self) -> None:
        for pause in pauses(self._patience):
            time.sleep(pause)
            try:
                self._flock(self._descriptor, self._exclusive)
            except BlockingIOError:
                continue
            return
        msg = f"another process holds `{self._path}` for {self._patience:g} s. Find it, or raise `patience_seconds`."
        raise AuditUnavailable(msg)
