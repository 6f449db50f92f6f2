"""Words and trigrams of a text, and how much two texts can have in common as far as a few bytes of one of them tell."""

from __future__ import annotations

import re
from itertools import pairwise
from math import log, log1p
from typing import TYPE_CHECKING, Final

from session_router.cache.readings import FUNCTION_WORDS, reading_of
from session_router.cache.remembering import LONGEST_WORD, WORDS, remembered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_router.cache.readings import Reading

READ_WORDS: Final = 64
"""Of longer texts only the beginning is compared word by word: bounded work for any input."""

OUTLINE_BYTES: Final = 44

_WORD_BITS: Final = 64
_TRIGRAM_BITS: Final = 256
_MOST: Final = 0xFFFF  # what two bytes count
_REMEMBERED: Final = 4_096
_RECENT: Final = 16
"""Questions: each is asked about once for every neighbour."""

_LENGTHS: Final = tuple(log1p(words) / log(READ_WORDS) for words in range(READ_WORDS + 1))

_RUN = re.compile(r"[a-z0-9]+")
_MARKS: Final = ".,:;?!()"


@remembered(_REMEMBERED)
def sets_of(reading: Reading) -> tuple[frozenset[str], frozenset[str]]:
    """Return content words and trigrams."""
    return frozenset(reading.content), frozenset(_between(reading)).union(*[trigrams for trigrams, _ in _within(reading)])


def _between(reading: Reading) -> list[str]:
    """Return the trigrams over the blanks between two words."""
    return [f"{one[-1]} {other[0]}" for one, other in pairwise(reading.words[:READ_WORDS])]


def _within(reading: Reading) -> list[tuple[frozenset[str], int]]:
    """Return the trigrams of each word with a blank before and behind it, and their bits."""
    return [_known_word(word) if len(word) <= LONGEST_WORD else _trigrams(word) for word in reading.words[:READ_WORDS]]


@remembered(WORDS)
def _known_word(word: str) -> tuple[frozenset[str], int]:
    return _trigrams(word)


def _trigrams(word: str) -> tuple[frozenset[str], int]:
    text = f" {word} "
    found = frozenset([text[place : place + 3] for place in range(len(text) - 2)])
    return found, _bits(found, _TRIGRAM_BITS)


def length_of(words: int) -> float:
    """Return a number of words on a logarithmic scale, in [0, 1]."""
    return _LENGTHS[min(words, READ_WORDS)]


def outline_of(reading: Reading) -> bytes:
    """Return the numbers of content words and of trigrams, and a bit for each of them, as this process hashes them.

    Counts that two bytes do not hold are of texts about which nothing is said: the outline is empty.
    """
    words, trigrams = sets_of(reading)
    if max(len(words), len(trigrams)) > _MOST:
        return b""
    counts = len(words) | len(trigrams) << 16
    bits = _bits(words, _WORD_BITS) | _trigram_bits(reading) << _WORD_BITS
    return (counts | bits << 32).to_bytes(OUTLINE_BYTES, "little")


def most_in_common(asked: str, outline: bytes) -> tuple[float, float, float]:
    """Return upper bounds of what a text and one with this outline have in common.

    Returns:
        Shares of content words and of trigrams, and `length_of` the shorter text.
    """
    words, trigrams, word_bits, trigram_bits = _bits_of(asked)
    # Zeros at the end may be lost.
    whole = int.from_bytes(outline, "little")
    other_words, other_trigrams, bits = whole & _MOST, whole >> 16 & _MOST, whole >> 32
    shared = _most_shared(words, word_bits, other_words, bits & (1 << _WORD_BITS) - 1)
    shared_trigrams = _most_shared(trigrams, trigram_bits, other_trigrams, bits >> _WORD_BITS)
    either = words + other_words - shared
    return (
        shared / either if either else 0.0,
        2 * shared_trigrams / max(1, trigrams + other_trigrams),
        length_of(min(words, other_words)),
    )


@remembered(_RECENT)
def most_length(asked: str) -> float:
    """Return `length_of` as many content words as a reading of `asked` has at most, without reading it."""
    if not asked.isascii():
        # One character may become several words.
        return length_of(READ_WORDS)
    return length_of(sum(0 if word.strip(_MARKS) in FUNCTION_WORDS else len(_RUN.findall(word)) for word in asked.lower().split()))


def _most_shared(one: int, bits: int, other: int, other_bits: int) -> int:
    # Of what has a bit that the other lacks, at least one thing is missing there.
    return max(0, min(one - (bits & ~other_bits).bit_count(), other - (other_bits & ~bits).bit_count()))


@remembered(_RECENT)
def _bits_of(text: str) -> tuple[int, int, int, int]:
    reading = reading_of(text)
    words, trigrams = sets_of(reading)
    return len(words), len(trigrams), _bits(words, _WORD_BITS), _trigram_bits(reading)


def _trigram_bits(reading: Reading) -> int:
    found = _bits(_between(reading), _TRIGRAM_BITS)
    for _, bits in _within(reading):
        found |= bits
    return found


def _bits(things: Iterable[str], count: int) -> int:
    found = 0
    for thing in things:
        found |= 1 << hash(thing) % count
    return found
