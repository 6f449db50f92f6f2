"""Reads a log from its beginning, line by line, and finds what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from session_router.audit.lines import Unreadable
from session_router.errors import AuditUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from session_router.audit.head import Found, Head
    from session_router.audit.lines import Line, LineCodec


class Fault(StrEnum):
    """What can be wrong with a log."""

    ALTERED = "altered"
    """A line is not as it was written."""
    MISSING = "missing"
    """Lines that were written are not there."""
    OUT_OF_PLACE = "out_of_place"
    """A line stands twice, or in another place than its own."""
    UNCHAINED = "unchained"
    """A line does not follow the one before it."""
    CUT = "cut"
    """The last lines are not there."""
    BROKEN = "broken"
    """A writer found that the end was not where the head said, and noted it."""
    NO_HEAD = "no_head"
    """There is no head, or not all of it: a cut end could not be found."""
    ANOTHER_LOG = "another_log"
    """The head is that of another log, or of another end of this one."""
    ERASED_UNSAID = "erased_unsaid"
    """Something personal is gone, and no erasure says so."""
    ERASURE_UNFINISHED = "erasure_unfinished"
    """An erasure says that something personal is gone, and it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        fault: What.
        line: Line in the file, from 1; `None` when the whole is meant.
        detail: More about it.
    """

    fault: Fault
    line: int | None
    detail: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.fault.value}: {self.detail}" if self.line is None else f"line {self.line}, {self.fault.value}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found.

    Attributes:
        records: Records, erased ones included.
        erased: Of these, those whose personal part was erased.
        notes: What the log says of itself.
        newer: Lines that are newer than the head: 1 at most, unless the head is a copy, or the machine stopped.
        torn: Bytes behind the last whole line: a writer died, or is at work.
        head: The newest head; `None` for none.
        problems: What is wrong; empty for a log that is as it was written.
    """

    records: int
    erased: int
    notes: tuple[Mapping[str, Any], ...]
    newer: int
    torn: int
    head: Head | None
    problems: tuple[Problem, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def raw_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file with their ends; the last may have none.

    Raises:
        AuditUnavailable: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        msg = f"`{path}` cannot be read ({error.strerror or error})."
        raise AuditUnavailable(msg) from error


@dataclass(slots=True, kw_only=True)
class Verifier:
    """Takes the lines of a log one after the other.

    Attributes:
        codec: Knows the key.
        found: What the file of heads holds.
        copies: Heads that were kept elsewhere.
    """

    codec: LineCodec
    found: Found
    copies: Sequence[Head] = ()
    _problems: list[Problem] = field(default_factory=list[Problem])
    _notes: list[Mapping[str, Any]] = field(default_factory=list["Mapping[str, Any]"])
    _number: int = 0
    _records: int = 0
    _sequence: int = 0
    _previous: str | None = None
    _torn: int = 0
    _erased: set[int] = field(default_factory=set[int])
    _kept: set[int] = field(default_factory=set[int])
    _digests: dict[int, str] = field(default_factory=dict[int, str])

    def __post_init__(self) -> None:
        """Remember where heads say something."""
        self._previous = self.found.head.origin or None if self.found.head is not None else None
        for head in self._heads():
            self._digests[head.count] = ""

    def take(self, raw: bytes) -> Line | None:
        """Take the next line; returns it if it is as it was written."""
        self._number += 1
        if not raw.endswith(b"\n"):
            self._torn = len(raw)
            return None
        line = self._read(raw[:-1])
        if line is None:
            self._find(Fault.ALTERED, "it is not as it was written")
            self._sequence, self._previous = self._sequence + 1, None
            return None
        if self._in_order(line):
            self._count(line)
        return line

    def finish(self) -> Verification:
        """Return what was found in all lines."""
        self._number = 0
        for head in self._heads():
            if head.count > self._sequence:
                self._find(Fault.CUT, f"the head counts {head.count:,} lines, and the log ends with number {self._sequence:,}")
            elif head.count and self._digests[head.count] not in {"", head.digest}:
                self._find(Fault.ANOTHER_LOG, f"line {head.count:,} is not the one that the head was signed for")
        if (self.found.head is None or not self.found.intact) and (self._sequence or not self.found.empty):
            self._find(Fault.NO_HEAD, "the head is missing or damaged; a line that was cut off would not be found")
        for sequence in sorted(self._erased - self._said()):
            self._find(Fault.ERASED_UNSAID, f"what was personal in record {sequence:,} is gone, and no erasure says so")
        for sequence in sorted(self._said() & self._kept):
            self._find(Fault.ERASURE_UNFINISHED, f"an erasure names record {sequence:,}, and it is still whole; erase once more")
        newest = self.found.head
        return Verification(
            records=self._records,
            erased=len(self._erased),
            notes=tuple(self._notes),
            newer=0 if newest is None else max(0, self._sequence - newest.count),
            torn=self._torn,
            head=newest,
            problems=tuple(self._problems),
        )

    def _read(self, text: bytes) -> Line | None:
        try:
            line = self.codec.read(text)
        except Unreadable:
            return None
        return line if self.codec.is_sealed(line) else None

    def _in_order(self, line: Line) -> bool:
        expected = self._sequence + 1
        if line.sequence < expected:
            self._find(Fault.OUT_OF_PLACE, f"it is number {line.sequence:,}, where {expected:,} should stand")
            return False
        if line.sequence > expected:
            self._find(Fault.MISSING, f"numbers {expected:,} to {line.sequence - 1:,} are not there")
        elif self._previous is not None and line.previous != self._previous:
            self._find(Fault.UNCHAINED, f"number {line.sequence:,} does not follow what stands before it")
        return True

    def _count(self, line: Line) -> None:
        digest = self.codec.digest(line)
        self._sequence, self._previous = line.sequence, digest
        if line.sequence in self._digests:
            self._digests[line.sequence] = digest
        if line.note is not None:
            self._notes.append(line.note)
            if line.note.get("event") == "broken":
                self._find(
                    Fault.BROKEN, f"a writer expected {_shown(line.note.get('expected'))} lines and found {_shown(line.note.get('found'))}"
                )
            return
        self._records += 1
        (self._erased if line.erased else self._kept).add(line.sequence)

    def _said(self) -> set[int]:
        """Return the numbers of all records that erasures name."""
        ranges = [one for note in self._notes if note.get("event") == "erased" for one in note["sequences"]]
        return {sequence for first, last in ranges for sequence in range(first, last + 1)}

    def _heads(self) -> list[Head]:
        return [*([] if self.found.head is None else [self.found.head]), *self.copies]

    def _find(self, fault: Fault, detail: str) -> None:
        self._problems.append(Problem(fault=fault, line=self._number or None, detail=detail))


def _shown(count: object) -> str:
    return f"{count:,}" if isinstance(count, int) else "an unknown number of"
