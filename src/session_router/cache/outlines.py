"""Words and trigrams of a text, and how much two texts can have in common as far as a few bytes of one of them tell."""

from __future__ import annotations

from math import log, log1p
from typing import TYPE_CHECKING, Final

from session_router.cache.readings import reading_of
from session_router.cache.remembering import remembered

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


@remembered(_REMEMBERED)
def content_of(reading: Reading) -> frozenset[str]:
    """Return content words."""
    return frozenset(reading.content)


@remembered(_REMEMBERED)
def trigrams_of(reading: Reading) -> frozenset[str]:
    """Return trigrams of the words with a blank between, before and behind them."""
    # Looked up word by word they would take longer, as soon as the processor's caches hold other things.
    text = f" {' '.join(reading.words[:READ_WORDS])} "
    return frozenset([text[place : place + 3] for place in range(len(text) - 2)])


def length_of(words: int) -> float:
    """Return a number of words on a logarithmic scale, in [0, 1]."""
    return _LENGTHS[min(words, READ_WORDS)]


def outline_of(reading: Reading) -> bytes:
    """Return the numbers of content words and of trigrams, and a bit for each of them, as this process hashes them.

    Counts that two bytes do not hold are of texts about which nothing is said: the outline is empty.
    """
    words, trigrams = content_of(reading), trigrams_of(reading)
    if max(len(words), len(trigrams)) > _MOST:
        return b""
    counts = len(words) | len(trigrams) << 16
    bits = _bits(words, _WORD_BITS) | _bits(trigrams, _TRIGRAM_BITS) << _WORD_BITS
    return (counts | bits << 32).to_bytes(OUTLINE_BYTES, "little")


def most_words_in_common(asked: str, outline: bytes) -> tuple[float, float]:
    """Return an upper bound of the share of content words that a text and one with this outline have in common.

    Returns:
        The bound, and `length_of` the shorter text.
    """
    words, bits = _words_of(asked)
    # Zeros at the end may be lost.
    other_words, other_bits = int.from_bytes(outline[:2], "little"), int.from_bytes(outline[4:12], "little")
    shared = _most_shared(words, bits, other_words, other_bits)
    either = words + other_words - shared
    return shared / either if either else 0.0, length_of(min(words, other_words))


def most_trigrams_in_common(asked: str, outline: bytes) -> float:
    """Return an upper bound of the share of trigrams that a text and one with this outline have in common."""
    trigrams, bits = _trigrams_of(asked)
    other_trigrams, other_bits = int.from_bytes(outline[2:4], "little"), int.from_bytes(outline[12:], "little")
    return 2 * _most_shared(trigrams, bits, other_trigrams, other_bits) / max(1, trigrams + other_trigrams)


@remembered(_RECENT)
def most_length(asked: str) -> float:
    """Return `length_of` the shorter of a text and any other at most: that of as many content words as the text has."""
    return length_of(_words_of(asked)[0])


def _most_shared(one: int, bits: int, other: int, other_bits: int) -> int:
    # Of what has a bit that the other lacks, at least one thing is missing there. There are as many things as bits, or more.
    both = (bits & other_bits).bit_count()
    return min(one - bits.bit_count() + both, other - other_bits.bit_count() + both)


@remembered(_RECENT)
def _words_of(text: str) -> tuple[int, int]:
    words = content_of(reading_of(text))
    return len(words), _bits(words, _WORD_BITS)


@remembered(_RECENT)
def _trigrams_of(text: str) -> tuple[int, int]:
    trigrams = trigrams_of(reading_of(text))
    return len(trigrams), _bits(trigrams, _TRIGRAM_BITS)


def _bits(things: Iterable[str], count: int) -> int:
    found = 0
    for thing in things:
        found |= 1 << hash(thing) % count
    return found
