"""Rows of JSON, one a call, to a file or to standard output."""

from __future__ import annotations

import gzip
import json
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Self, cast

from session_router.cli.outputs import unwritable
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from types import TracebackType

ROWS = "--json"
"""The option that names the file."""

_BLOCK = 1 << 20
"""Characters of rows that are compressed at once."""

_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def file_of_rows(path: Path | None) -> Path | None:
    """Return the file that rows to `path` are written into: none where they go to standard output, or nowhere."""
    return None if path is None or _is_standard_output(path) else path


def _is_standard_output(path: Path) -> bool:
    return str(path) == "-"


class RowFile:
    """Where the rows go; written line by line, so that what is there is whole whenever the command ends.

    Args:
        path: A file, `-` for standard output, or `None` for nowhere.

    Raises:
        ConfigurationError: The file cannot be written; or standard output is closed.
    """

    def __init__(self, path: Path | None) -> None:
        self.wanted = path is not None
        self._path = path
        self.standard_output = path is not None and _is_standard_output(path)
        self._file: IO[str] | _PackedRows | None = None
        if path is None:
            return
        if self.standard_output:
            # Python's name for a standard output that was closed before the command began.
            if cast("object", sys.stdout) is None:
                raise ConfigurationError(key=ROWS, value="-", rule="standard output is closed; name a file, or open it.")
            self._file = sys.stdout
            return
        try:
            self._file = _PackedRows(path) if path.suffix == ".gz" else path.open("w", encoding="utf-8")
        except OSError as error:
            raise unwritable(ROWS, path, error) from None

    def write(self, row: dict[str, Any]) -> None:
        """Write one row."""
        if self._file is not None:
            with self._reporting():
                self._file.write(_ENCODER.encode(row) + "\n")

    def flush(self) -> None:
        """Let readers of the file see what was written."""
        if self._file is not None:
            with self._reporting():
                self._file.flush()

    def __enter__(self) -> Self:
        """Return the file; it is open already."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Write out what is left."""
        if self._file is not None and not self.standard_output:
            with self._reporting():
                self._file.close()

    @contextmanager
    def _reporting(self) -> Generator[None]:
        try:
            yield
        except BrokenPipeError:
            raise  # whoever read the rows has seen enough
        except OSError as error:
            rule = f"it cannot be written on ({error.strerror or error})."
            raise ConfigurationError(key=ROWS, value=str(self._path), rule=rule) from None


class _PackedRows:
    """Rows in blocks that are gzip streams of their own: whatever ends the command, what was written can be read.

    A single stream would be spoiled for good by an interrupt between its bytes and its checksum.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._held: list[str] = []
        self._length = 0
        self._begun = False

    def write(self, text: str) -> None:
        self._held.append(text)
        self._length += len(text)
        if self._length >= _BLOCK:
            self._put()

    def flush(self) -> None:
        """Leave the rows that are held for a block of its full length, which is smaller."""

    def close(self) -> None:
        with self._file:
            if self._held or not self._begun:
                self._put()

    def _put(self) -> None:
        block = gzip.compress("".join(self._held).encode(), compresslevel=6, mtime=0)
        # Forgotten before they are written: an interrupt may lose them, and never doubles them.
        self._held, self._length, self._begun = [], 0, True
        self._file.write(block)
        self._file.flush()
