"""What a row store must do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from session_router.core.value import value

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from session_router.cache.entry import SealedEntry


@value
class Standing:
    """How far an index of a partition must have read.

    Attributes:
        newest: Highest number in the partition; 0 for none.
        erasures: Counts up with each erasure of a subject, in any partition.
    """

    newest: int
    erasures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A sealed text that is no entry, such as the state of a stratum.

    Attributes:
        payload: JSON, in ASCII.
        seal: HMAC-SHA256; 32 bytes.
    """

    payload: bytes
    seal: bytes


class EntryRows(Protocol):
    """Sealed entries by their keys. Knows no secrets and checks no seals. Any method may raise `StoreError`."""

    @property
    def waits(self) -> bool:
        """Whether it may wait for a disk or a network, and is called in threads where an event loop must go on."""
        ...

    def by_exact(self, partition: str, exact: bytes) -> SealedEntry | None:
        """Return the entry of a partition with this exact key."""
        ...

    def by_content(self, partition: str, content: bytes) -> Sequence[SealedEntry]:
        """Return the newest few entries of a partition with this content key, newest first."""
        ...

    def by_numbers(self, partition: str, numbers: Sequence[int]) -> Sequence[SealedEntry]:
        """Return those of `numbers` that lie in the partition, in any order."""
        ...

    def by_id(self, entry: str) -> SealedEntry | None:
        """Return the entry with this id, which begins with the first two digits of its partition."""
        ...

    def after(self, partition: str, number: int, limit: int) -> Sequence[SealedEntry]:
        """Return at most `limit` entries of a partition with higher numbers, in ascending order."""
        ...

    def numbers(self, partition: str) -> Sequence[int]:
        """Return the numbers of a partition."""
        ...

    def standing(self, partition: str) -> Standing:
        """Return how far an index of the partition must have read."""
        ...

    def put(self, row: SealedEntry, *, asked_at: float) -> bool:
        """Keep a row, in place of one with the same partition and exact key, under a new number.

        Returns:
            `False`, and nothing is kept, when one of its subjects was erased at `asked_at` or later.
        """
        ...

    def replace(self, row: SealedEntry, *, seal: bytes) -> bool:
        """Write payload and seal of a row if its seal is still `seal`; say whether it was."""
        ...

    def discard(self, partition: str, numbers: Iterable[int]) -> None:
        """Remove rows of a partition."""
        ...

    def erase(self, subject: str, *, at: float) -> int:
        """Remove every row about `subject`, and refuse those that were asked up to `at`; return how many were removed."""
        ...

    def is_erased(self, subjects: Iterable[str], *, asked_at: float) -> bool:
        """Whether one of `subjects` was erased at `asked_at` or later."""
        ...

    def purge(self, *, now: float, maximum: int) -> int:
        """Remove rows that are over at `now`, and the oldest ones beyond `maximum`; return how many."""
        ...

    def count(self) -> int:
        """Return the number of rows."""
        ...

    def note(self, name: str) -> Note | None:
        """Return a note."""
        ...

    def notes(self) -> dict[str, Note]:
        """Return all notes."""
        ...

    def write_note(self, name: str, note: Note, *, seal: bytes | None) -> bool:
        """Write a note if its seal is still `seal` (`None`: there is none); say whether it was."""
        ...

    def close(self) -> None:
        """Let go of what is held."""
        ...


ALIKE = 4
"""Entries of one content key that are looked at."""
