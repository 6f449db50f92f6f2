"""Which near neighbours may be an answer, in the order in which they are worth reading."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from session_router.cache.facts import UNKNOWN, said_by
from session_router.core.cached import MissReason
from session_router.core.governance import permits
from session_router.core.value import new_tuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.cache.asked import Asked
    from session_router.cache.checked import Checks
    from session_router.cache.entry import Entry, SealedEntry
    from session_router.cache.facts import Labels
    from session_router.cache.vectors import Neighbour

_CLOSENESS = (MissReason.NOTHING, MissReason.GUARDED, MissReason.UNVERIFIED, MissReason.VETOED)
"""Of misses: the later, the closer."""


class Candidate(NamedTuple):
    """A neighbour that the reader may see.

    Attributes:
        row: As it lies there now; its seal is that which was checked when the facts were found, or the entry has been read.
        cosine: Of the two questions.
        said: What its answer says.
        outline: Of its question, for a `BoundedVerifier`.
        entry: What is in the row; `None` while it was not read.
    """

    row: SealedEntry
    cosine: float
    said: tuple[int, bool]
    outline: bytes
    entry: Entry | None


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
    for number, cosine, (seal, said, closed, over, label, outline) in near:
        row = rows.get(number)
        if row is None:
            continue
        # As `Facts.hold` says. Written as `now < over`, so that a clock that is no number serves nothing.
        if label != UNKNOWN and row.seal.startswith(seal) and now < over:
            may = visible.get(label)
            if may is None:
                may = visible[label] = permits(labels[label], question.reader, now=now, purpose=question.purpose)
            if may:
                candidates.append(new_tuple(Candidate, (row, cosine, (said, closed), outline, None)))
            else:
                reason = closer(reason, MissReason.NOT_PERMITTED)
            continue
        entry = checks.checked(row, asked)
        if isinstance(entry, MissReason):
            reason = closer(reason, entry)
        else:
            candidates.append(Candidate(row, cosine, said_by(entry.answer), b"", entry))
    return candidates, reason


def closer(one: MissReason, other: MissReason) -> MissReason:
    """Return the reason of the one that came closer to a hit; of two alike, the first."""
    if one is MissReason.NOTHING:
        return other
    return max(one, other, key=_closeness)


def _closeness(reason: MissReason) -> int:
    return _CLOSENESS.index(reason) if reason in _CLOSENESS else len(_CLOSENESS)
