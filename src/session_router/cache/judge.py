"""Whether a stored answer would have been wrong: what an audit asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from session_router.cache.text_forms import exact_form
from session_router.core.pricing import NOTHING, USD

if TYPE_CHECKING:
    from session_router.core.cached import CachedAnswer

CLOSED_WORDS: Final = 8
"""An answer of so many words or fewer is closed: a yes, a name, a number. A stated rule, fitted to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a judge said.

    Attributes:
        wrong: How wrong the stored answer would have been, in [0, 1].
        cost: Of judging, in US dollars.
    """

    wrong: float
    cost: USD = NOTHING


class AnswerJudge(Protocol):
    """Compares a stored answer with a fresh one. Called in a thread of its own, by one at a time."""

    @property
    def version(self) -> str:
        """Changes whenever a pair may get another verdict."""
        ...

    def judges(self, stored: CachedAnswer) -> bool:
        """Whether it will have a verdict on `stored`, whatever the fresh answer is.

        What it cannot judge is never served by the third tier. It must not look at anything else: audits that were left out
        because of how they went would certify what nobody has seen.
        """
        ...

    def judge(self, question: str, stored: CachedAnswer, fresh: CachedAnswer) -> Verdict | None:
        """Say how wrong `stored` would have been where `fresh` was given; any exception, or `None`, counts as wrong."""
        ...


class ClosedAnswerJudge:
    """Takes a closed answer for right if it says the same as the fresh one, after canonicalisation, and for wrong otherwise.

    It knows nothing of longer answers, and does not judge them.
    """

    version = "closed 1"

    def judges(self, stored: CachedAnswer) -> bool:
        """Whether `stored` is short enough to be compared."""
        return is_closed(stored)

    def judge(self, question: str, stored: CachedAnswer, fresh: CachedAnswer) -> Verdict:
        """Compare the two."""
        del question
        return Verdict(wrong=0.0 if exact_form(stored.text) == exact_form(fresh.text) else 1.0)


def is_closed(answer: CachedAnswer) -> bool:
    """Whether an answer is so short that another one says either the same or something else."""
    return len(answer.text.split(None, CLOSED_WORDS)) <= CLOSED_WORDS
