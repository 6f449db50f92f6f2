"""What an index knows of an entry beside its vector: enough to leave out, unread, those neighbours that cannot answer."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from struct import Struct
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from session_router.cache.judge import is_closed
from session_router.cache.neighbours import Said
from session_router.cache.outlines import OUTLINE_BYTES
from session_router.cache.remembering import remembered
from session_router.cache.text_forms import exact_form
from session_router.core.value import new_tuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from session_router.cache.entry import Entry
    from session_router.core.cached import CachedAnswer
    from session_router.core.governance import Tag

UNKNOWN: Final = -1
"""The label of an entry about which nothing is known but its vector."""

LABELS: Final = 65_536
"""Different labels that are remembered. Entries with others are read whenever they are near."""

_SHORT_ANSWERS: Final = 4_096

_SEAL_BYTES: Final = 8


class Facts(NamedTuple):
    """What was found in an entry when its seal was checked. Holds as long as the row bears that seal.

    Attributes:
        seal: Its first eight bytes.
        said: Of its answer; two that say the same have the same number, in this process.
        closed: Whether the answer is closed.
        over: POSIX seconds at which it is over.
        label: Number of its label without the subjects; `UNKNOWN` for an entry that must be read.
        outline: Of its question, for a `BoundedVerifier`; empty where there is none. Zeros at its end may be missing.
    """

    seal: bytes
    said: int
    closed: bool
    over: float
    label: int
    outline: bytes

    def hold(self, seal: bytes) -> bool:
        """Whether they are about a row with this seal."""
        return self.label != UNKNOWN and seal.startswith(self.seal)


class Labels:
    """Labels by number. Many entries share a few. Safe to use from many threads."""

    def __init__(self) -> None:
        self._numbers: dict[Tag, int] = {}
        self._labels: list[Tag] = []
        self._guard = Lock()

    def facts(self, entry: Entry, seal: bytes, *, outline: bytes = b"") -> Facts:
        """Return what is to be remembered of an entry whose seal was checked."""
        said = said_by(entry.answer)
        over = inf if entry.expires_at is None else entry.expires_at
        label = self._number(entry.answer.tag)
        return Facts(seal=seal[:_SEAL_BYTES], said=said.digest, closed=said.closed, over=over, label=label, outline=outline)

    def __getitem__(self, number: int) -> Tag:
        """Return the label with this number; it says nothing of whom an entry is about."""
        return self._labels[number]

    def _number(self, tag: Tag) -> int:
        label = replace(tag, subjects=frozenset()) if tag.subjects else tag
        number = self._numbers.get(label)
        if number is not None:
            return number
        with self._guard:
            if label not in self._numbers:
                if len(self._labels) >= LABELS:
                    return UNKNOWN
                self._labels.append(label)
                self._numbers[label] = len(self._labels) - 1
            return self._numbers[label]


class Columns:
    """Numbers of entries and facts about them, by place. Keeps 90 bytes an entry, and no objects."""

    def __init__(self) -> None:
        self._numbers = np.zeros(0, dtype=np.int64)
        # One row an entry: of few entries all is asked for, and each then lies in one place of memory.
        self._use(np.zeros(0, dtype=_ROW))
        self.count = self.live = 0

    def append(self, numbers: Sequence[int], facts: Sequence[Facts]) -> None:
        """Add entries behind the others; their numbers are ascending, and above all that are there."""
        end = self.count + len(numbers)
        if end > len(self._numbers):
            spare = end + end // 4 - len(self._numbers)
            self._numbers = np.append(self._numbers, np.zeros(spare, dtype=np.int64))
            self._use(np.append(self._rows, np.zeros(spare, dtype=_ROW)))
        self._numbers[self.count : end] = numbers
        self._rows[self.count : end] = [(number, True, *known) for number, known in zip(numbers, facts, strict=True)]
        self.live += len(numbers)
        self.count = end

    def at(self, place: int) -> tuple[int, Facts] | None:
        """Return number and facts of the entry at a place, or nothing if it is gone."""
        number, there, seal, said, closed, over, label, outline = _UNPACKED(self._packed, place * _ROW_BYTES)
        return (number, new_tuple(Facts, (seal, said, closed, over, label, outline.rstrip(b"\0")))) if there else None

    def numbers(self) -> NDArray[np.int64]:
        """Return the numbers of those that are not gone."""
        there: NDArray[np.int64] = self._numbers[: self.count][self._there()]
        return there

    def bury(self, numbers: Iterable[int]) -> None:
        """Take notice that entries are gone; those that are not there do not matter."""
        gone = np.unique(np.fromiter(numbers, dtype=np.int64))
        places = np.searchsorted(self._numbers[: self.count], gone)
        known = places < self.count
        places = places[known]
        places = places[(self._numbers[places] == gone[known]) & self._there()[places]]
        self._there()[places] = False
        self.live -= len(places)

    def dead(self) -> NDArray[np.int64]:
        """Return the places of those that are gone, ascending."""
        return np.flatnonzero(~self._there())

    def close_up(self) -> None:
        """Let those that are not gone move up."""
        kept = self._there()
        self._numbers = self._numbers[: self.count][kept]
        self._use(self._rows[: self.count][kept])
        self.count = self.live

    def _use(self, rows: NDArray[np.void]) -> None:
        self._rows, self._packed = rows, rows.view(np.uint8).data

    def _there(self) -> NDArray[np.bool_]:
        there: NDArray[np.bool_] = self._rows["there"][: self.count]
        return there


_ROW: Final = np.dtype(
    [
        ("number", "<i8"),
        ("there", "?"),
        ("seal", f"V{_SEAL_BYTES}"),
        ("said", "<i8"),
        ("closed", "?"),
        ("over", "<f8"),
        ("label", "<i4"),
        ("outline", f"S{OUTLINE_BYTES}"),
    ]
)
_ROW_BYTES: Final = _ROW.itemsize
_UNPACKED: Final = Struct(f"<q?{_SEAL_BYTES}sq?di{OUTLINE_BYTES}s").unpack_from
"""Reads the fields of a row, in their order: in half the time that numpy takes for a few."""

NOTHING_KNOWN: Final = Facts(seal=bytes(_SEAL_BYTES), said=0, closed=False, over=inf, label=UNKNOWN, outline=b"")


def said_by(answer: CachedAnswer) -> Said:
    """Return what `answer` says, as far as it matters to its neighbours."""
    closed, text = is_closed(answer), answer.text
    # An exact form does not begin with a line break: no longer answer is taken for a closed one.
    return Said(hash(_form(text) if closed else f"\n{text}"), closed)


@remembered(_SHORT_ANSWERS)
def _form(text: str) -> str:
    return exact_form(text)
