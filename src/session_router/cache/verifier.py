"""How likely it is that the answer to one question answers another."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from session_router.cache.outlines import (
    READ_WORDS,
    content_of,
    length_of,
    most_length,
    most_trigrams_in_common,
    most_words_in_common,
    outline_of,
    trigrams_of,
)
from session_router.cache.readings import asking_of, reading_of
from session_router.core.wager import SCORE_EDGES

if TYPE_CHECKING:
    from collections.abc import Sequence

_VERSION: Final = "lexical 2"

OTHERS: Final = 4
"""Of so many other neighbours or more, what they agree on counts in full."""

_SHARES: Final = tuple(others / OTHERS for others in range(OTHERS + 1))

_ROUNDING: Final = 1e-9


class PairVerifier(Protocol):
    """Scores pairs of questions. Called from many threads."""

    @property
    def version(self) -> str:
        """Changes whenever a pair may get another score: a certificate is about one version."""
        ...

    def score(self, asked: str, stored: str, *, cosine: float, agreeing: int = 0, differing: int = 0) -> float:
        """Return the chance, in [0, 1], that the stored answer to `stored` answers `asked`.

        The same arguments give the same score. Any exception is a miss.

        Args:
            asked: The question.
            stored: A question that was answered before.
            cosine: Of their vectors, in [-1, 1].
            agreeing: Other near neighbours of the question whose stored answer is the same as this one's.
            differing: Other near neighbours whose stored answer is another one. Where both are 0, nothing is known of neighbours.
        """
        ...


@runtime_checkable
class BoundedVerifier(PairVerifier, Protocol):
    """A verifier that knows how high a score may be before it sees a stored question. What cannot reach a bin is never read."""

    def outline(self, stored: str) -> bytes:
        """Return what `at_most` is to know of a stored question, in at most `OUTLINE_BYTES` bytes. It stays in this process."""
        ...

    def at_most(self, asked: str, *, cosine: float, agreeing: int, differing: int, outline: bytes = b"") -> float:
        """Return a number that `score` does not exceed, for any stored question, or for those with this outline."""
        ...


class LexicalVerifier:
    """A logistic regression on what two texts have in common, and on what their neighbours say.

    It was fitted by `tools/fit_verifier.py` on the training splits of CLINC150 and banking77, where two questions have the same
    answer if they have the same intent. It knows the cosines of the built-in embedder; with another embedder its score still
    orders pairs, and the strata are certified anew.
    """

    @property
    def version(self) -> str:
        """Changes whenever a pair may get another score."""
        return _VERSION

    def score(self, asked: str, stored: str, *, cosine: float, agreeing: int = 0, differing: int = 0) -> float:
        """Return the chance, in [0, 1], that the stored answer to `stored` answers `asked`."""
        columns = pair_columns(asked, stored, cosine=cosine)
        if agreeing or differing:
            columns += [_SHARES[min(agreeing, OTHERS)], _SHARES[min(differing, OTHERS)]]
        weights, intercept = _WEIGHTS[len(columns)]
        logit = intercept + sum(weight * column for weight, column in zip(weights, columns, strict=True))
        return _chance(logit)

    def outline(self, stored: str) -> bytes:
        """Return the numbers of content words and of trigrams, and a bit for each of them."""
        return outline_of(reading_of(stored))

    def at_most(self, asked: str, *, cosine: float, agreeing: int, differing: int, outline: bytes = b"") -> float:
        """Return a number that `score` does not exceed; without an outline, the score if all words were the same.

        Trigrams, which take longest, are compared only where the bound would otherwise reach a bin.
        """
        near, words, trigrams, length, most = _BOUNDS_HEARD if agreeing or differing else _BOUNDS_ALONE
        # What is added up in another order is rounded in another way.
        most += near * cosine + _ROUNDING
        if agreeing or differing:
            most += _AGREEING * _SHARES[min(agreeing, OTHERS)] + _DIFFERING * _SHARES[min(differing, OTHERS)]
        if not outline:
            # Added up in the order of what follows, which then never exceeds it.
            most += words + length * most_length(asked)
            return _chance(most + trigrams)
        known = int.from_bytes(outline, "little")
        share, shorter = most_words_in_common(asked, known)
        most += words * share + length * shorter
        at_most = _chance(most + trigrams)
        return at_most if at_most < SCORE_EDGES[0] else _chance(most + trigrams * most_trigrams_in_common(asked, known))


def pair_columns(asked: str, stored: str, *, cosine: float) -> list[float]:
    """Describe a pair by numbers, in the order of `COLUMNS`. The order of the two texts does not matter."""
    one, other = reading_of(asked), reading_of(stored)
    first, letters = content_of(one), trigrams_of(one)
    second, others = content_of(other), trigrams_of(other)
    shared = len(first & second)
    either = len(first) + len(second) - shared
    return [
        cosine,
        shared / either if either else 0.0,
        2 * len(letters & others) / max(1, len(letters) + len(others)),
        _in_order(one.words[:READ_WORDS], other.words[:READ_WORDS]) / max(1, min(READ_WORDS, max(len(one.words), len(other.words)))),
        float(shared == len(first) - 1 == len(second) - 1),
        length_of(min(len(first), len(second))),
        float(asking_of(one) == asking_of(other)),
    ]


def _chance(logit: float) -> float:
    # Columns are small, and no logit is anywhere near what `exp` cannot take.
    return 1 / (1 + exp(-logit))


COLUMNS: Final = (
    "cosine",
    "share of content words in common",
    "share of trigrams in common",
    "longest common run of words, with gaps, as a share",
    "whether one content word was exchanged",
    "content words of the shorter text, on a logarithmic scale",
    "whether both ask who, or when, or why",
    "share of other neighbours with the same answer",
    "share of other neighbours with another answer",
)
"""What the numbers mean; the last two only where neighbours are known."""


def _in_order(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    # What both begin and end with is part of it.
    begin, most = 0, min(len(one), len(other))
    while begin < most and one[begin] == other[begin]:
        begin += 1
    end = 0
    while end < most - begin and one[-1 - end] == other[-1 - end]:
        end += 1
    middle, rest = one[begin : len(one) - end], other[begin : len(other) - end]
    lengths = [0] * (len(rest) + 1)
    for word in middle:
        before = 0
        for place, another in enumerate(rest, 1):
            above = lengths[place]
            if word == another:
                lengths[place] = before + 1
            elif lengths[place - 1] > above:
                lengths[place] = lengths[place - 1]
            before = above
    return begin + lengths[-1] + end


_WEIGHTS: Final = {
    7: ((1.255, 1.780, 4.736, -0.509, 0.007, 2.551, 0.327), -3.645),
    9: ((-1.145, 0.854, 3.542, 0.520, -0.074, 3.177, 0.194, 2.570, -3.331), -1.594),
}
"""By the number of columns: weights and intercept, as the tool printed them."""

_AT_MOST_ONE: Final = (3, 4, 6)
"""Columns that are in [0, 1], and of which a bound knows no more."""

_BOUNDS_ALONE, _BOUNDS_HEARD = (
    (
        *(weights[0], max(0.0, weights[1]), max(0.0, weights[2]), max(0.0, weights[5])),
        intercept + sum(max(0.0, weights[place]) for place in _AT_MOST_ONE),
    )
    for weights, intercept in (_WEIGHTS[7], _WEIGHTS[9])
)
"""By whether neighbours are heard: weights of cosine, words, trigrams and length, and the most that the columns above add up to."""

_AGREEING, _DIFFERING = _WEIGHTS[9][0][-2:]
