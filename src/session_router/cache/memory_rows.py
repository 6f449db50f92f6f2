"""Entries in this process: for tests, notebooks and programs that end with it."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import replace
from heapq import nsmallest
from itertools import islice
from math import inf
from threading import RLock
from typing import TYPE_CHECKING, Final, TypeVar

from session_router.cache.rows import ALIKE, Note, Standing

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping, Sequence

    from session_router.cache.entry import SealedEntry

_Key = TypeVar("_Key")
_Numbers = TypeVar("_Numbers", list[int], set[int])

_SPARE: Final = 64
"""Numbers of rows that are gone, which a partition may hold in any case."""


class MemoryEntryRows:
    """Rows in this process. Safe to use from many threads."""

    waits = False

    def __init__(self) -> None:
        self._rows: dict[int, SealedEntry] = {}
        self._exact: dict[tuple[str, bytes], int] = {}
        self._content: defaultdict[tuple[str, bytes], list[int]] = defaultdict(list)
        self._partitions: defaultdict[str, _Places] = defaultdict(_Places)
        self._ids: dict[str, int] = {}
        self._subjects: defaultdict[str, set[int]] = defaultdict(set)
        self._tombstones: dict[str, float] = {}
        self._notes: dict[str, Note] = {}
        self._newest = 0
        self._erasures = 0
        self._guard = RLock()

    def by_exact(self, partition: str, exact: bytes) -> SealedEntry | None:
        """Return the entry of a partition with this exact key."""
        with self._guard:
            number = self._exact.get((partition, exact))
            return None if number is None else self._rows[number]

    def by_content(self, partition: str, content: bytes) -> Sequence[SealedEntry]:
        """Return the newest few entries of a partition with this content key."""
        with self._guard:
            return [self._rows[number] for number in self._content.get((partition, content), ())[: -ALIKE - 1 : -1]]

    def by_numbers(self, partition: str, numbers: Sequence[int]) -> Sequence[SealedEntry]:
        """Return those of `numbers` that lie in the partition."""
        with self._guard:
            # A row says itself where it lies: a set of the numbers of its partition would be one more place to look at.
            found = map(self._rows.get, numbers)
            return [row for row in found if row is not None and row.partition == partition]

    def by_id(self, entry: str) -> SealedEntry | None:
        """Return the entry with this id."""
        with self._guard:
            number = self._ids.get(entry)
            return None if number is None else self._rows[number]

    def after(self, partition: str, number: int, limit: int) -> Sequence[SealedEntry]:
        """Return entries with higher numbers, in ascending order."""
        with self._guard:
            there = self._partitions.get(partition)
            return [] if there is None else [self._rows[one] for one in there.after(number, limit)]

    def numbers(self, partition: str) -> Sequence[int]:
        """Return the numbers of a partition."""
        with self._guard:
            there = self._partitions.get(partition)
            return [] if there is None else list(there.live)

    def standing(self, partition: str) -> Standing:
        """Return how far an index of the partition must have read."""
        with self._guard:
            there = self._partitions.get(partition)
            return Standing(newest=0 if there is None else there.newest, erasures=self._erasures)

    def put(self, row: SealedEntry, *, asked_at: float) -> bool:
        """Keep a row, unless one of its subjects was erased."""
        with self._guard:
            if self.is_erased(row.subjects, asked_at=asked_at):
                return False
            older = self._exact.get((row.partition, row.exact))
            if older is not None:
                self._remove(older)
            self._newest += 1
            number = self._newest
            self._rows[number] = replace(row, number=number)
            self._exact[row.partition, row.exact] = number
            self._content[row.partition, row.content].append(number)
            self._partitions[row.partition].add(number)
            self._ids[row.id] = number
            for subject in row.subjects:
                self._subjects[subject].add(number)
            return True

    def replace(self, row: SealedEntry, *, seal: bytes) -> bool:
        """Write payload and seal of a row if nobody else has."""
        with self._guard:
            stored = self._rows.get(row.number)
            if stored is None or stored.seal != seal:
                return False
            self._rows[row.number] = replace(stored, payload=row.payload, seal=row.seal)
            return True

    def discard(self, partition: str, numbers: Iterable[int]) -> None:
        """Remove rows."""
        del partition
        self._discard(numbers)

    def erase(self, subject: str, *, at: float) -> int:
        """Remove every row about `subject`, and leave a tombstone."""
        with self._guard:
            self._tombstones[subject] = max(at, self._tombstones.get(subject, -inf))
            self._erasures += 1
            numbers = tuple(self._subjects.get(subject, ()))
            self._discard(numbers)
            return len(numbers)

    def is_erased(self, subjects: Iterable[str], *, asked_at: float) -> bool:
        """Whether one of `subjects` was erased at `asked_at` or later."""
        with self._guard:
            return any(not asked_at > self._tombstones.get(subject, -inf) for subject in subjects)

    def purge(self, *, now: float, maximum: int) -> int:
        """Remove what is over, and the oldest beyond `maximum`."""
        with self._guard:
            over = {number for number, row in self._rows.items() if row.expires_at is not None and row.expires_at <= now}
            left = self._rows.keys() - over
            over.update(nsmallest(max(0, len(left) - maximum), left))
            self._discard(over)
            return len(over)

    def count(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def note(self, name: str) -> Note | None:
        """Return a note."""
        return self._notes.get(name)

    def notes(self) -> dict[str, Note]:
        """Return all notes."""
        with self._guard:
            return dict(self._notes)

    def write_note(self, name: str, note: Note, *, seal: bytes | None) -> bool:
        """Write a note if nobody else has."""
        with self._guard:
            stored = self._notes.get(name)
            if (None if stored is None else stored.seal) != seal:
                return False
            self._notes[name] = note
            return True

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _discard(self, numbers: Iterable[int]) -> None:
        with self._guard:
            for number in numbers:
                self._remove(number)

    def _remove(self, number: int) -> None:
        row = self._rows.pop(number, None)
        if row is None:
            return
        if self._exact.get((row.partition, row.exact)) == number:
            del self._exact[row.partition, row.exact]
        self._ids.pop(row.id, None)
        _drop(self._content, (row.partition, row.content), number)
        there = self._partitions[row.partition]
        there.discard(number)
        if not there.live:
            del self._partitions[row.partition]
        for subject in row.subjects:
            _drop(self._subjects, subject, number)


class _Places:
    """The numbers of a partition, which only rise: from any of them on they are found without looking at those before."""

    __slots__ = ("live", "rising")

    def __init__(self) -> None:
        self.live: set[int] = set()
        self.rising: list[int] = []

    @property
    def newest(self) -> int:
        return self.rising[-1] if self.rising else 0

    def add(self, number: int) -> None:
        self.live.add(number)
        self.rising.append(number)

    def discard(self, number: int) -> None:
        self.live.discard(number)
        while self.rising and self.rising[-1] not in self.live:
            self.rising.pop()
        if len(self.rising) > 2 * len(self.live) + _SPARE:
            self.rising = [one for one in self.rising if one in self.live]

    def after(self, number: int, limit: int) -> list[int]:
        newer = (self.rising[place] for place in range(bisect_right(self.rising, number), len(self.rising)))
        return list(islice((one for one in newer if one in self.live), limit))


def _drop(numbers: MutableMapping[_Key, _Numbers], key: _Key, number: int) -> None:
    """Take `number` away under `key`, and the key with the last of them."""
    held = numbers.get(key)
    if held is None:
        return
    if number in held:
        held.remove(number)
    if not held:
        del numbers[key]
