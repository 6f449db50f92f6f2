"""Writes at the end of a log, and finds out what became of that end meanwhile. Its caller holds the lock."""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from session_router.audit.head import Head, HeadFile, read_heads
from session_router.audit.lines import Unreadable
from session_router.audit.tail import read_tail
from session_router.errors import AuditCorrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from session_router.audit.head import Found
    from session_router.audit.lines import Line, LineCodec, Written
    from session_router.audit.tail import Tail

_ORIGIN_BYTES: Final = 32


class Writer:
    """The end of one log. Not safe for two threads, nor for two processes: hold the lock.

    Args:
        path: The log; made if there is none.
        head: Its head; made if there is none.
        codec: Writes and reads lines.
        now: POSIX seconds.
    """

    def __init__(self, path: Path, head: Path, codec: LineCodec, now: Callable[[], float]) -> None:
        self.path, self.head_path = path, head
        self._codec, self._now = codec, now
        self._descriptor = -1
        self._heads: HeadFile | None = None
        self._inode, self._size = -1, -1
        self._count, self._digest, self._origin = 0, "", ""

    @property
    def size(self) -> int:
        """Bytes of the log, all of whole lines."""
        return self._size

    def catch_up(self) -> None:
        """See what others wrote, or left behind.

        What is not whole is kept aside and noted; what is missing is noted. The chain goes on.

        Raises:
            AuditCorrupt: It was sealed with another key.
            OSError: It cannot be read or written.
        """
        with suppress(FileNotFoundError):
            status = os.stat(self.path)  # noqa: PTH116 -- at every record: pathlib costs as much again
            if status.st_size == self._size and status.st_ino == self._inode:
                return
        self.close()
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        tail = read_tail(self._descriptor, os.fstat(self._descriptor).st_size)
        found = read_heads(self.head_path, self._codec)
        noted = self._stand_at_the_end(tail, found)
        self._heads = HeadFile(self.head_path, self._codec)
        status = os.fstat(self._descriptor)
        self._inode, self._size = status.st_ino, tail.end
        if tail.torn:
            self._set_aside(tail)
        if noted is not None:
            self.write_note(noted)

    def write_record(self, facts: str, personal: str) -> None:
        """Write a record of what `LineCodec.parts` made.

        Raises:
            OSError: It cannot be written.
        """
        self._write(self._codec.record(facts, personal, sequence=self._count + 1, at=self._now(), previous=self._digest))

    def write_note(self, note: Mapping[str, Any]) -> None:
        """Write what the log says of itself.

        Raises:
            OSError: It cannot be written.
        """
        self._write(self._codec.note(note, sequence=self._count + 1, at=self._now(), previous=self._digest))

    def descriptors(self) -> tuple[int, ...]:
        """Return copies of the open files, to bring them to the disk; who asks for them closes them.

        Raises:
            OSError: There can be no more open files.
        """
        if self._descriptor < 0 or self._heads is None:
            return ()
        return os.dup(self._descriptor), os.dup(self._heads.descriptor)

    def close(self) -> None:
        """Close the files; `catch_up` opens them again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        if self._heads is not None:
            self._heads.close()
        self._descriptor, self._heads, self._inode, self._size = -1, None, -1, -1

    def __del__(self) -> None:
        """Close what nobody closed."""
        self.close()

    def _stand_at_the_end(self, tail: Tail, found: Found) -> dict[str, Any] | None:
        """Find out what comes next, and return what must be noted of what was found; `None` for nothing."""
        head, line = found.head, self._last_line(tail)
        if head is None and not found.empty:
            msg = f"`{self.head_path}` is no head that this key signed. Give the log's own key, or another path for a new log."
            raise AuditCorrupt(msg)
        if head is None:
            return self._without_head(tail, line)
        self._origin = head.origin
        if line is not None:
            self._count, self._digest = line.sequence, self._codec.digest(line)
        elif tail.last is not None:
            # Somebody altered it: what follows is chained to what is there, and readers find what is wrong with it.
            self._count, self._digest = head.count, hashlib.sha256(tail.last).hexdigest()
        else:
            self._count, self._digest = 0, head.origin
        cut = self._count < head.count or (self._count == head.count and self._digest != head.digest)
        return None if found.intact and not cut else _broken(head, count=self._count)

    def _without_head(self, tail: Tail, line: Line | None) -> dict[str, Any] | None:
        if line is not None:
            self._count, self._digest, self._origin = line.sequence, self._codec.digest(line), self._first_origin()
            return _broken(None, count=line.sequence)
        if tail.last is not None:
            msg = f"`{self.path}` is no log that this key sealed. Give the log's own key, or another path for a new log."
            raise AuditCorrupt(msg)
        self._count, self._origin = 0, secrets.token_hex(_ORIGIN_BYTES)
        self._digest = self._origin
        return None

    def _first_origin(self) -> str:
        with self.path.open("rb") as file, suppress(Unreadable):
            return self._codec.read(file.readline().rstrip(b"\n")).previous
        return ""

    def _last_line(self, tail: Tail) -> Line | None:
        if tail.last is None:
            return None
        try:
            line = self._codec.read(tail.last)
        except Unreadable:
            return None
        return line if self._codec.is_sealed(line) else None

    def _set_aside(self, tail: Tail) -> None:
        """Keep what a dead writer left of a line, and write a note over it."""
        digest = hashlib.sha256(tail.torn).hexdigest()
        aside = self.path.with_name(f"{self.path.name}.torn-{digest[:16]}")
        aside.write_bytes(tail.torn)
        aside.chmod(0o600)
        self.write_note({"bytes": len(tail.torn), "digest": digest, "event": "recovered", "kept": aside.name})
        os.ftruncate(self._descriptor, self._size)

    def _write(self, line: Written) -> None:
        text, start, heads = line.text + b"\n", self._size, self._heads
        if heads is None:
            msg = "`catch_up` opens the files"
            raise RuntimeError(msg)
        try:
            done = os.pwrite(self._descriptor, text, start)
            while done < len(text):
                done += os.pwrite(self._descriptor, text[done:], start + done)
            if not heads.written:
                heads.write(self._head(self._count, self._digest))
            heads.write(self._head(self._count + 1, line.digest))
        except OSError:
            # Nothing of it may stay; and where that fails as well, the end is looked at anew.
            with suppress(OSError):
                os.ftruncate(self._descriptor, start)
            self._inode = -1
            raise
        self._count, self._digest, self._size = self._count + 1, line.digest, start + len(text)

    def _head(self, count: int, digest: str) -> Head:
        return Head(count=count, digest=digest, origin=self._origin, at=self._now())


def _broken(head: Head | None, *, count: int) -> dict[str, Any]:
    """Say that the end of the log is not where its head says."""
    expected = None if head is None else head.count
    return {"event": "broken", "expected": expected, "found": count}
