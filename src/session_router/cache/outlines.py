"""Words and trigrams of a text, and how much two texts can have in common as far as a few bytes of one of them tell."""

from __future__ import annotations

from itertools import pairwise
from math import log, log1p
from typing import TYPE_CHECKING, Final

from session_router.cache.readings import content_of_part, reading_of
from session_router.cache.remembering import Words, remembered
from session_router.cache.text_forms import composed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from session_router.cache.readings import Reading

READ_WORDS: Final = 64
"""Of longer texts only the beginning is compared word by word: bounded work for any input."""

OUTLINE_BYTES: Final = 44

# An outline is a number: how many words, how many trigrams, a bit for each word, a bit for each trigram.
_WORD_BITS: Final = 64
_TRIGRAM_BITS: Final = 256
_MOST: Final = 0xFFFF  # what two bytes count
_TRIGRAMS_AT: Final = 16
_WORD_AT: Final = tuple(1 << 32 + place for place in range(_WORD_BITS))
_TRIGRAM_AT: Final = tuple(1 << 32 + _WORD_BITS + place for place in range(_TRIGRAM_BITS))
_WORD_MASK: Final = sum(_WORD_AT)
_TRIGRAM_MASK: Final = sum(_TRIGRAM_AT)
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
    counts = len(words) | len(trigrams) << _TRIGRAMS_AT
    return (counts | _word_bits(words) | _trigram_bits(trigrams)).to_bytes(OUTLINE_BYTES, "little")


def read_outline(outline: bytes) -> int:
    """Return an outline as the functions below take it. Zeros at its end may be lost."""
    return int.from_bytes(outline, "little")


def most_words_in_common(asked: str, outline: int) -> tuple[float, float]:
    """Return an upper bound of the share of content words that a text and one with this outline have in common.

    Returns:
        The bound, and `length_of` the shorter text.
    """
    words, bits = _words_of(asked)
    other = outline & _MOST
    shared = _most_shared(words, bits, other, outline & _WORD_MASK)
    either = words + other - shared
    return shared / either if either else 0.0, length_of(min(words, other))


def most_trigrams_in_common(asked: str, outline: int) -> float:
    """Return an upper bound of the share of trigrams that a text and one with this outline have in common."""
    trigrams, bits = _trigrams_of(asked)
    other = outline >> _TRIGRAMS_AT & _MOST
    return 2 * _most_shared(trigrams, bits, other, outline & _TRIGRAM_MASK) / max(1, trigrams + other)


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
    """Return what `content_of` comes to, from what is known of the parts between white space: no more of the text is needed here."""
    words: set[str] = set()
    bits = 0
    for part in composed(text).split():
        its_words, its_bits = _of_part[part]
        words.update(its_words)
        bits |= its_bits
    return len(words), bits


@remembered(_RECENT)
def _trigrams_of(text: str) -> tuple[int, int]:
    """Return what `trigrams_of` comes to, from what is known of single words and from what lies between them."""
    words = reading_of(text).words[:READ_WORDS]
    known = [_of_word[word] for word in words]
    between = {f"{word[-1]} {after[0]}" for word, after in pairwise(words)}
    bits = _trigram_bits(between)
    for _, its_bits in known:
        bits |= its_bits
    return len(between.union(*[trigrams for trigrams, _ in known])), bits


def _content_of_part(part: str) -> tuple[Sequence[str], int]:
    content = content_of_part(part)
    return content, _word_bits(content)


_of_part = Words(_content_of_part)


def _trigrams_of_word(word: str) -> tuple[frozenset[str], int]:
    alone = f" {word} "
    trigrams = frozenset([alone[place : place + 3] for place in range(len(alone) - 2)])
    return trigrams, _trigram_bits(trigrams)


_of_word = Words(_trigrams_of_word)


def _word_bits(words: Iterable[str]) -> int:
    found = 0
    for word in words:
        found |= _WORD_AT[hash(word) % _WORD_BITS]
    return found


def _trigram_bits(trigrams: Iterable[str]) -> int:
    found = 0
    for trigram in trigrams:
        found |= _TRIGRAM_AT[hash(trigram) % _TRIGRAM_BITS]
    return found
