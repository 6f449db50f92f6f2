"""Lines of JSON, gzipped or not, one at a time: memory stays flat, and a bad line costs that line only."""

from __future__ import annotations

import gzip
import json
import os
import stat
import zlib
from typing import TYPE_CHECKING, cast

from session_router.errors import RecordingError
from session_router.recordings.kinds import told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path

_GZIP = b"\x1f\x8b"


class JSONLines:
    """The objects of a JSONL file, with their line numbers.

    Iterating yields `(line, table)`, or a `RecordingError` in the place of a line that cannot be read.

    Args:
        path: A file of one JSON object a line, plain or gzip; told apart by their first bytes.

    Raises:
        RecordingError: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = _checked_size(path)
        """Bytes on disk, compressed or not; 0 for a pipe."""
        self._raw: BufferedReader | None = None

    @property
    def position(self) -> int:
        """Bytes of `size` that were read so far."""
        if self._raw is None or not self.size:
            return 0
        return self.size if self._raw.closed else self._raw.tell()

    def __iter__(self) -> Iterator[tuple[int, dict[str, object]] | RecordingError]:
        """Yield a line, or an error in the place of one."""
        number = 0
        source = str(self.path)
        try:
            with self.path.open("rb") as raw:
                self._raw = raw
                packed = raw.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
                stream = gzip.GzipFile(fileobj=raw) if packed else raw
                while line := stream.readline():
                    number += 1
                    if line.strip():
                        yield _parsed(line, number, source)
        except EOFError:
            yield RecordingError("the gzip stream ends too early; what follows is lost.", source=source, line=number + 1)
        except (OSError, zlib.error) as error:
            yield RecordingError(f"it cannot be read on from here ({error}).", source=source, line=number + 1)


def _checked_size(path: Path) -> int:
    try:
        status = path.stat()
    except FileNotFoundError:
        rule = "there is no such file."
    except OSError as error:
        rule = f"it cannot be opened ({error.strerror or error})."
    else:
        if stat.S_ISDIR(status.st_mode):
            rule = "it is a directory; name a file of JSON lines."
        elif not os.access(path, os.R_OK):
            rule = "this user may not read it."
        else:
            return status.st_size
    raise RecordingError(rule, source=str(path))


def _parsed(line: bytes, number: int, source: str) -> tuple[int, dict[str, object]] | RecordingError:
    try:
        # Of bytes, `json` would guess the encoding: half the lines of a file in UTF-16 would be taken for what they are not.
        value: object = json.loads(line.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        return RecordingError(f"it is not JSON: {error.msg}, column {error.colno}.", source=source, line=number)
    except UnicodeDecodeError as error:
        return RecordingError(f"it is not UTF-8: byte {error.start} of the line.", source=source, line=number)
    except (ValueError, RecursionError) as error:
        return RecordingError(f"it is JSON beyond what can be read ({type(error).__name__}).", source=source, line=number)
    if not isinstance(value, dict):
        return RecordingError(f"expected one JSON object a line, found {told(value)}.", source=source, line=number)
    return number, cast("dict[str, object]", value)
