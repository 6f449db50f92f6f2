"""What the near neighbours of a question say of one another: where their answers agree, the question is likely to have that answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Said(NamedTuple):
    """What an answer says.

    Attributes:
        digest: The same for answers that say the same; never the same for a closed and a longer one.
        closed: Whether it is closed.
    """

    digest: int
    closed: bool


def agreement(answers: Sequence[tuple[int, bool]]) -> list[tuple[int, int]]:
    """Return, for each of some answers, how many of the others agree with it, and how many differ from it.

    Closed answers agree if they say the same after canonicalisation, and differ otherwise. Of longer ones nobody knows whether they
    differ: two of them agree if they are the same text, and otherwise count as neither. The work grows with the number of answers
    only, not with that of pairs.
    """
    alike: dict[int, int] = {}
    short_ones = 0
    for digest, closed in answers:
        alike[digest] = alike.get(digest, 0) + 1
        short_ones += closed
    return [(alike[digest] - 1, short_ones - alike[digest] if closed else 0) for digest, closed in answers]
