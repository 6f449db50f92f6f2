"""An embedder without an artefact: hashed words and character n-grams."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from session_router.embedders.bert_characters import split_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

READ_CHARACTERS = 65_536
"""A text is read up to here: bounded work for any input."""

_VERSION = "session-router hash embedder 1"
_DIMENSION = 512
_STOP_WEIGHT = 0.3
_PAIR_WEIGHT = 0.5
_SLICE_WEIGHT = 1.0
_SLICES = (3, 4, 5)  # characters
_REMEMBERED_WORDS = 16_384
_REMEMBERED_LENGTH = 64  # characters
_AT_ONCE = 4_096  # characters: about a millisecond of work
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a about all also am an and any are as at be been but by can could did do does for from had has have he her him his how i if in "
        "into is it its just me might more my no not of on or our she should so some than that the their them then there these they this "
        "to us was we were what when where which who whom why will with would you your",
    )
)


class HashEmbedder:
    """Counts words, pairs of words and slices of words into 512 buckets with a hashed sign (Weinberger et al. 2009).

    It needs no weights and knows no meaning: what shares no words has a cosine near zero. It is the explicit fallback, and a double
    for tests. Words are those of the built-in embedder, in any script; read are the first 65,536 characters. The same text has the
    same vector in every process. A text without words has a zero row.
    """

    def __init__(self) -> None:
        self._slots = _Slots()

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return _DIMENSION

    @property
    def fingerprint(self) -> str:
        """Hash of the algorithm's version, 64 hex digits: vectors of different fingerprints must not be compared."""
        return hashlib.sha256(_VERSION.encode()).hexdigest()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return shape (len(texts), 512); rows have L2 norm 1, the row of a text without words is zero."""
        vectors = np.zeros((len(texts), _DIMENSION), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            sums = self._sums(split_words(text[:READ_CHARACTERS]))
            length = math.sqrt(math.fsum(value * value for value in sums.values()))
            if length > 0:
                vector[list(sums)] = [value / length for value in sums.values()]
        return vectors

    async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Do what `embed` does without blocking the event loop: a large batch goes to a thread."""
        if sum(map(len, texts)) <= _AT_ONCE:
            return self.embed(texts)
        return await asyncio.to_thread(self.embed, texts)

    def _sums(self, words: Sequence[str]) -> dict[int, float]:
        sums: dict[int, float] = {}
        for word in words:
            for bucket, value in self._slots[word]:
                sums[bucket] = sums.get(bucket, 0.0) + value
        for first, second in pairwise(words):
            weight = _PAIR_WEIGHT * math.sqrt(_weight(first) * _weight(second))
            bucket, value = _slot(f"{first} {second}", weight)
            sums[bucket] = sums.get(bucket, 0.0) + value
        return sums


class _Slots(dict[str, tuple[tuple[int, float], ...]]):
    """Buckets of a word and of its slices with what each adds, worked out once. Threads may share it, as in `wordpiece`."""

    def __missing__(self, word: str) -> tuple[tuple[int, float], ...]:
        slots = tuple(_slots(word))
        if len(word) <= _REMEMBERED_LENGTH:
            if len(self) >= _REMEMBERED_WORDS:
                self.clear()
            self[word] = slots
        return slots


def _slots(word: str) -> Iterator[tuple[int, float]]:
    weight = _weight(word)
    yield _slot(word, weight)
    framed = f"<{word}>"
    slices = [framed[start : start + length] for length in _SLICES for start in range(len(framed) - length + 1)]
    for one in slices:
        # All slices of a word together weigh the same, however long it is.
        yield _slot(f"~{one}", _SLICE_WEIGHT * weight / math.sqrt(len(slices)))


def _weight(word: str) -> float:
    return _STOP_WEIGHT if word in _STOP_WORDS or not any(map(str.isalnum, word)) else 1.0


def _slot(feature: str, weight: float) -> tuple[int, float]:
    number = int.from_bytes(hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
    return number % _DIMENSION, weight if number >> 63 else -weight
