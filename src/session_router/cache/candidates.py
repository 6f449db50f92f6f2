"""Which near neighbours may be an answer, in the order in which they are worth reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from session_router.cache.facts import said_by
from session_router.cache.neighbours import Said
from session_router.core.cached import MissReason
from session_router.core.governance import permits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.cache.asked import Asked
    from session_router.cache.checked import Checks
    from session_router.cache.entry import Entry, SealedEntry
    from session_router.cache.facts import Labels
    from session_router.cache.vectors import Neighbour

_CLOSENESS = (MissReason.NOTHING, MissReason.GUARDED, MissReason.UNVERIFIED, MissReason.VETOED)
"""Of misses: the later, the closer."""


@dataclass(slots=True, eq=False)
class Candidate:
    """A neighbour that the reader may see.

    Attributes:
        row: As it lies there now; its seal is that which was checked when the facts were found, or the entry has been read.
        cosine: Of the two questions.
        said: What its answer says.
        outline: Of its question, for a `BoundedVerifier`.
        entry: What is in the row, once it was read and checked.
    """

    row: SealedEntry
    cosine: float
    said: Said
    outline: bytes = b""
    entry: Entry | None = None

    def read(self, checks: Checks, asked: Asked) -> Entry | MissReason:
        """Return what is in the row if it may answer `asked`. It is checked as a whole, whatever was known before."""
        if self.entry is None:
            entry = checks.checked(self.row, asked)
            if isinstance(entry, MissReason):
                return entry
            self.entry = entry
        return self.entry


def seen(
    asked: Asked, near: Sequence[Neighbour], rows: Mapping[int, SealedEntry], *, checks: Checks, labels: Labels
) -> tuple[list[Candidate], MissReason]:
    """Return those of some neighbours that the reader may see, and why not the others.

    What was known when a vector was added decides as long as the row bears the same seal. Rows of which nothing is known, and those
    that look as if they were over, are read.

    Raises:
        StoreError: The rows gave no answer.
    """
    question, reason = asked.question, MissReason.NOTHING
    now = question.now
    candidates: list[Candidate] = []
    visible: dict[int, bool] = {}
    for number, cosine, facts in near:
        row = rows.get(number)
        if row is None:
            continue
        # Written as `now < over`, so that a clock that is no number serves nothing.
        if facts.hold(row.seal) and now < facts.over:
            label = facts.label
            may = visible.get(label)
            if may is None:
                may = visible[label] = permits(labels[label], question.reader, now=now, purpose=question.purpose)
            if may:
                candidates.append(Candidate(row, cosine, Said(facts.said, facts.closed), facts.outline))
            else:
                reason = closer(reason, MissReason.NOT_PERMITTED)
            continue
        entry = checks.checked(row, asked)
        if isinstance(entry, MissReason):
            reason = closer(reason, entry)
        else:
            candidates.append(Candidate(row, cosine, said_by(entry.answer), entry=entry))
    return candidates, reason


def closer(one: MissReason, other: MissReason) -> MissReason:
    """Return the reason of the one that came closer to a hit; of two alike, the first."""
    if one is MissReason.NOTHING:
        return other
    return max(one, other, key=_closeness)


def _closeness(reason: MissReason) -> int:
    return _CLOSENESS.index(reason) if reason in _CLOSENESS else len(_CLOSENESS)
