"""Reads an audit log, and leaves it as it is."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from session_router.audit.head import head_to_text, read_heads
from session_router.audit.lines import PERSONAL, LineCodec
from session_router.audit.reading import Verifier, raw_lines
from session_router.errors import AuditCorrupt, AuditUnavailable
from session_router.files.paths import checked_path

if TYPE_CHECKING:
    import os
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from session_router.audit.head import Head
    from session_router.audit.lines import Line
    from session_router.audit.reading import Verification


class AuditReader:
    """A log that is read and not written.

    Args:
        path: The file, in a directory that exists.
        key: The log's key.
        head: Where its signed head is kept; `<path>.head` unless given.
        personal: Names in a record under which something leads back to a person.

    Raises:
        ConfigurationError: A setting is wrong, or the directory is missing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        key: bytes,
        head: str | os.PathLike[str] | None = None,
        personal: frozenset[str] = PERSONAL,
    ) -> None:
        self.path = checked_path(path, key="audit.path")
        self.head = self.path.with_name(f"{self.path.name}.head") if head is None else checked_path(head, key="audit.head")
        self.key = key
        self._codec = LineCodec(key, personal=personal)

    def verify(self, *, copies: Sequence[Head] = ()) -> Verification:
        """Read everything, and find what is wrong with it.

        Args:
            copies: Heads of this log that were kept elsewhere. Whoever can write to the log and its head can put older ones of both
                in their place; only a copy shows that.

        Raises:
            AuditUnavailable: It cannot be read.
        """
        verifier = self._verifier(copies)
        for raw in raw_lines(self.path):
            verifier.take(raw)
        return verifier.finish()

    def lines(self) -> Iterator[Line]:
        """Yield the lines that are as they were written, oldest first.

        Raises:
            AuditUnavailable: It cannot be read.
        """
        verifier = self._verifier(())
        for raw in raw_lines(self.path):
            line = verifier.take(raw)
            if line is not None:
                yield line

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the records that are as they were written, oldest first. Raises as `lines` does."""
        return (line.record() for line in self.lines() if line.note is None)

    def head_text(self) -> str:
        """Return the signed head as one line, to be kept out of reach of whoever can write here; empty for an empty log.

        Raises:
            AuditUnavailable: It cannot be read.
        """
        with self._translated():
            found = read_heads(self.head, self._codec)
        return "" if found.head is None else head_to_text(found.head, self._codec).decode()

    def head_of(self, copy: Path) -> Head:
        """Read a copy of a head.

        Raises:
            AuditUnavailable: It cannot be read.
            AuditCorrupt: This key did not sign it.
        """
        with self._translated():
            found = read_heads(copy, self._codec)
        if found.head is None:
            msg = f"`{copy}` is not there, or is empty." if found.empty else f"`{copy}` holds no head that this key signed."
            raise AuditCorrupt(msg)
        return found.head

    def _verifier(self, copies: Sequence[Head]) -> Verifier:
        # The head first: a line that is written meanwhile is then newer than it, and none is missing.
        with self._translated():
            found = read_heads(self.head, self._codec)
        return Verifier(codec=self._codec, found=found, copies=copies)

    @contextmanager
    def _translated(self) -> Generator[None, None, None]:
        try:
            yield
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: OSError | ValueError) -> AuditUnavailable:
        why = getattr(error, "strerror", None) or error
        return AuditUnavailable(f"`{self.path}` cannot be used ({why}). Check its disk, and who may write there.")
