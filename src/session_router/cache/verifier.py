"""How likely it is that the answer to one question answers another."""

from __future__ import annotations

import re
from math import exp, log, log1p
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from session_router.cache.readings import FUNCTION_WORDS, asking_of, reading_of
from session_router.cache.remembering import remembered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_router.cache.readings import Reading

_VERSION: Final = "lexical 2"

OTHERS: Final = 4
"""Of so many other neighbours or more, what they agree on counts in full."""

READ_WORDS: Final = 64
"""Of longer texts only the beginning is compared word by word: bounded work for any input."""


_REMEMBERED: Final = 4_096
_RECENT: Final = 16
"""Questions: each is asked about once for every neighbour."""

_RUN = re.compile(r"[a-z0-9]+")
_MARKS: Final = ".,:;?!()"


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
    """A verifier that knows, before it reads a stored question, how high its score may be. What cannot reach a bin is not read."""

    def at_most(self, asked: str, *, cosine: float, agreeing: int, differing: int) -> float:
        """Return a number that `score` never exceeds, whatever was stored. The higher it is, the sooner the neighbour is read."""
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
            columns += [min(1.0, agreeing / OTHERS), min(1.0, differing / OTHERS)]
        weights, intercept = _WEIGHTS[len(columns)]
        logit = intercept + sum(weight * column for weight, column in zip(weights, columns, strict=True))
        return _chance(logit)

    def at_most(self, asked: str, *, cosine: float, agreeing: int, differing: int) -> float:
        """Return the score of a stored question with the same words, whatever weighs against it left out."""
        heard = bool(agreeing or differing)
        weights, most = _WEIGHTS[9 if heard else 7][0], _MOST[heard]
        logit = most + weights[0] * cosine + max(0.0, weights[_LENGTH]) * _length(_most_content(asked))
        if heard:
            logit += weights[7] * min(1.0, agreeing / OTHERS) + weights[8] * min(1.0, differing / OTHERS)
        # What is added up in another order is rounded in another way.
        return _chance(logit + 1e-9)


def pair_columns(asked: str, stored: str, *, cosine: float) -> list[float]:
    """Describe a pair by numbers, in the order of `COLUMNS`. The order of the two texts does not matter."""
    one, other = reading_of(asked), reading_of(stored)
    first, letters = _sets_of(one)
    second, others = _sets_of(other)
    shared = len(first & second)
    either = len(first) + len(second) - shared
    return [
        cosine,
        shared / either if either else 0.0,
        2 * len(letters & others) / max(1, len(letters) + len(others)),
        _in_order(one.words[:READ_WORDS], other.words[:READ_WORDS]) / max(1, min(READ_WORDS, max(len(one.words), len(other.words)))),
        float(shared == len(first) - 1 == len(second) - 1),
        _length(min(len(first), len(second))),
        float(asking_of(one) == asking_of(other)),
    ]


def _length(words: int) -> float:
    return log1p(min(words, READ_WORDS)) / log(READ_WORDS)


def _chance(logit: float) -> float:
    return 1 / (1 + exp(-min(500.0, max(-500.0, logit))))


@remembered(_RECENT)
def _most_content(text: str) -> int:
    """Return a number of content words that a reading of `text` does not exceed, without reading it."""
    if not text.isascii():
        # One character may become several words.
        return READ_WORDS
    return sum(0 if word.strip(_MARKS) in FUNCTION_WORDS else len(_RUN.findall(word)) for word in text.lower().split())


@remembered(_REMEMBERED)
def _sets_of(reading: Reading) -> tuple[frozenset[str], frozenset[str]]:
    """Return content words and trigrams."""
    text = f" {' '.join(reading.words[:READ_WORDS])} "
    return frozenset(reading.content), frozenset(text[place : place + 3] for place in range(len(text) - 2))


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
    7: ((0.550, 2.100, 4.654, -0.483, -0.015, 2.796, 0.379), -3.391),
    9: ((-1.400, 1.033, 3.566, 0.429, -0.062, 3.291, 0.216, 2.388, -3.476), -1.367),
}
"""By the number of columns: weights and intercept, as the tool printed them."""

_LENGTH: Final = COLUMNS.index("content words of the shorter text, on a logarithmic scale")
_MOST: Final = {
    heard: intercept + sum(max(0.0, weight) for place, weight in enumerate(weights[:7]) if place not in {0, _LENGTH})
    for heard, (weights, intercept) in ((False, _WEIGHTS[7]), (True, _WEIGHTS[9]))
}
"""Whether neighbours are heard: what the intercept and the columns that need both texts add up to, at most."""
