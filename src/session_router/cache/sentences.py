"""What is known at once of a sentence of ordinary words: forms and content, in one look at each of its words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from session_router.cache import wordings
from session_router.cache.readings import content_of_part
from session_router.cache.remembering import Words, remembered
from session_router.cache.text_forms import CAPITONYMS, READ_CHARACTERS
from session_router.cache.time_relative import may_be_about_time

if TYPE_CHECKING:
    from collections.abc import Iterable

# In a sentence, capitals are at the beginnings of words only. Nothing can be read in two ways, so that nothing is tried twice.
_PART: Final = "(?:[A-Za-z][a-z]+|[a-zAI])"
_WORD: Final = re.compile(f"{_PART}(?:['-]{_PART})*+,?")
_CAPITONYM: Final = re.compile(rf"(?:{'|'.join(map(str.capitalize, sorted(CAPITONYMS)))})\b")
_RECENT: Final = 16
"""Sentences: each is asked about a few times in one look-up."""

WORD_BITS: Final = 64
_COUNT: Final = 0xFFFF
_ODD: Final = 1 << 16
"""Of what is no ordinary word."""
_SAYS_LESS: Final = 1 << 17
"""Of a word of which `says_all` is not sure."""
_ASKS: Final = 1 << 18
"""Of a word with which, at the beginning, a text is a question."""
_ABOUT_TIME: Final = 1 << 19
"""Of a word with which a text may be time-relative."""
_BITS: Final = (1 << WORD_BITS) - 1 << 32
_WORD_AT: Final = tuple(1 << 32 + place for place in range(WORD_BITS))


class Sentence(NamedTuple):
    """A text of ordinary words.

    Attributes:
        exact: Its exact form.
        is_content: Whether that is surely its content form as well.
        is_timeless: Whether it is surely not time-relative.
        words: How many content words it has.
        bits: A bit for each of them, as `word_bits` says.
    """

    exact: str
    is_content: bool
    is_timeless: bool
    words: int
    bits: int


@remembered(_RECENT)
def sentence_of(text: str) -> Sentence | None:
    """Return what is known of a text of ordinary words, with a blank between them; `None` for any other text."""
    stripped = text.strip()
    if len(text) > READ_CHARACTERS:
        return None
    form = stripped.lower()
    asks, said = form.endswith("?"), stripped
    if asks or form.endswith("."):
        form, said = form[:-1], stripped[:-1]
    parts = said.split(" ")
    all_known = words = 0
    for known in map(_known.__getitem__, parts):
        all_known |= known
        words += known & _COUNT
    if all_known & _ODD or said.endswith(","):
        return None
    bits = all_known & _BITS
    if bits.bit_count() != words:
        # Two words that are one, or have one bit.
        words = len({word for part in parts for word in content_of_part(part)})
    # A question mark says nothing after what begins as a question; mostly the first word says so.
    exact = f"{form}?" if asks and not (_known[parts[0]] & _ASKS or wordings.is_small_question(form)) else form
    return Sentence(exact, is_content=not all_known & _SAYS_LESS, is_timeless=not all_known & _ABOUT_TIME, words=words, bits=bits)


def word_bits(words: Iterable[str]) -> int:
    """Return a bit for each word, as this process hashes it."""
    found = 0
    for word in words:
        found |= _WORD_AT[hash(word) % WORD_BITS]
    return found


def _known_of(part: str) -> int:
    """Return the number of content words in a word, its bits, and what sets it apart. In one number: to look at more takes longer."""
    if _WORD.fullmatch(part) is None or _CAPITONYM.search(part) is not None:
        return _ODD
    content = content_of_part(part)
    word = part.lower()
    says_less, asks = 0 if wordings.says_all[word] else _SAYS_LESS, _ASKS if wordings.is_small_question(word) else 0
    about_time = _ABOUT_TIME if may_be_about_time(word) else 0
    return min(len(content), _COUNT) | says_less | asks | about_time | word_bits(content)


_known = Words(_known_of)
