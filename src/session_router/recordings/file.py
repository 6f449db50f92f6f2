"""A file of recorded sessions, read one session at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.errors import RecordingError
from session_router.recordings.lines import JSONLines
from session_router.recordings.openai_messages import recording_from_openai

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from session_router.recordings.recording import Recording


class SessionFile:
    """The sessions of a JSONL file, plain or gzip.

    Iterating yields a `Recording`, or a `RecordingError` in the place of a session that cannot be replayed.

    Args:
        path: The file.

    Raises:
        RecordingError: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._lines = JSONLines(path)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._lines.size

    @property
    def position(self) -> int:
        """Bytes of `size` that were read so far."""
        return self._lines.position

    def __iter__(self) -> Iterator[Recording | RecordingError]:
        """Yield a session, or an error in the place of one."""
        empty = True
        for item in self._lines:
            empty = False
            if isinstance(item, RecordingError):
                yield item
                continue
            line, table = item
            try:
                recording = recording_from_openai(table, source=str(self._lines.path), line=line)
            except RecordingError as error:
                yield error
            else:
                yield recording
        if empty:
            yield RecordingError("the file holds no session.", source=str(self._lines.path))
