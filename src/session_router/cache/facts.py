"""What an index knows of an entry beside its vector: enough to leave out, unread, those neighbours that cannot answer."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from session_router.cache.judge import is_closed
from session_router.cache.neighbours import Said
from session_router.cache.remembering import remembered
from session_router.cache.text_forms import exact_form

if TYPE_CHECKING:
    from session_router.cache.entry import Entry
    from session_router.core.cached import CachedAnswer
    from session_router.core.governance import Tag

FACTS: Final = np.dtype([("seal", "<i8"), ("said", "<i8"), ("closed", "?"), ("over", "<f8"), ("label", "<i4")])
"""One row of 29 bytes a vector, in the order of `Facts`."""

UNKNOWN: Final = -1
"""The label of an entry about which nothing is known but its vector."""

LABELS: Final = 65_536
"""Different labels that are remembered. Entries with others are read whenever they are near."""

_SHORT_ANSWERS: Final = 4_096


class Facts(NamedTuple):
    """What was found in an entry when its seal was checked. Holds as long as the row bears that seal.

    Attributes:
        seal: First eight bytes of the seal.
        said: Of its answer; two that say the same have the same number, in this process.
        closed: Whether the answer is closed.
        over: POSIX seconds at which it is over.
        label: Number of its label without the subjects; `UNKNOWN` for an entry that must be read.
    """

    seal: int
    said: int
    closed: bool
    over: float
    label: int

    def hold(self, seal: bytes) -> bool:
        """Whether they are about a row with this seal."""
        return self.label != UNKNOWN and self.seal == _beginning(seal)


class Labels:
    """Labels by number. Many entries share a few. Safe to use from many threads."""

    def __init__(self) -> None:
        self._numbers: dict[Tag, int] = {}
        self._labels: list[Tag] = []

    def facts(self, entry: Entry, seal: bytes) -> Facts:
        """Return what is to be remembered of an entry whose seal was checked."""
        said = said_by(entry.answer)
        over = inf if entry.expires_at is None else entry.expires_at
        return Facts(seal=_beginning(seal), said=said.digest, closed=said.closed, over=over, label=self._number(entry.answer.tag))

    def __getitem__(self, number: int) -> Tag:
        """Return the label with this number; it says nothing of whom an entry is about."""
        return self._labels[number]

    def _number(self, tag: Tag) -> int:
        label = replace(tag, subjects=frozenset()) if tag.subjects else tag
        number = self._numbers.get(label)
        if number is None:
            if len(self._labels) >= LABELS:
                return UNKNOWN
            # Two threads may give one label two numbers: both stand for it.
            self._labels.append(label)
            number = self._numbers[label] = len(self._labels) - 1
        return number


NOTHING_KNOWN: Final = Facts(seal=0, said=0, closed=False, over=inf, label=UNKNOWN)


def said_by(answer: CachedAnswer) -> Said:
    """Return what `answer` says, as far as it matters to its neighbours."""
    closed, text = is_closed(answer), answer.text
    # An exact form does not begin with a line break: no longer answer is taken for a closed one.
    return Said(hash(_form(text) if closed else f"\n{text}"), closed)


@remembered(_SHORT_ANSWERS)
def _form(text: str) -> str:
    return exact_form(text)


def _beginning(seal: bytes) -> int:
    return int.from_bytes(seal[:8], "little", signed=True)
