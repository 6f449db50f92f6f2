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


def agreement(answers: Sequence[Said]) -> list[tuple[int, int]]:
    """Return, for each of some answers, how many of the others agree with it, and how many differ from it.

    Closed answers agree if they say the same after canonicalisation, and differ otherwise. Of longer ones nobody knows whether they
    differ: two of them agree if they are the same text, and otherwise count as neither. The work grows with the number of answers
    only, not with that of pairs.
    """
    alike: dict[Said, int] = {}
    for said in answers:
        alike[said] = alike.get(said, 0) + 1
    short_ones = sum([count for said, count in alike.items() if said.closed])
    return [(alike[said] - 1, short_ones - alike[said] if said.closed else 0) for said in answers]
