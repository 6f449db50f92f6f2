"""Guards: what two texts must have in common before anybody asks how alike they are.

A guard knows some ways in which texts that are much alike ask for different things. What passes them all is not proved to be the
same question: hence the certificate.
"""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING, Final

from session_router.cache import guard_words as known
from session_router.cache.opposites import are_opposite
from session_router.cache.readings import FUNCTION_WORDS, Reading, asking_of, reading_of, stem
from session_router.cache.remembering import remembered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

READ_CHARACTERS: Final = 4_096
"""A longer text passes no guard: bounded work for any input."""

MOST_DIFFERENT_WORDS: Final = 48
"""Texts of which each has more words that the other has not pass no guard."""

# All but Latin, Cyrillic, marks and emoji: where a word ends, and what turns it around, is not known there.
_UNKNOWN_SCRIPT = re.compile(
    "[\u0250-\u02ff\u0370-\u03ff\u0530-\u1dff\u1f00-\u1fff\u2c00-\u2dff\u2e80-\u2fff\u3005-\u3007\u3021-\u3029\u3031-\ufeff\uff66-\uffdf"
    "\U00010000-\U0001cfff\U0001e000-\U0001efff\U00020000-\U0003ffff]"
)
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th|er|ère|e|º|ª|te[rnsm]?)")
_QUOTED = re.compile("\"[^\"]*\"|`[^`]*`|(?<!\\w)'[^']*'(?!\\w)|[\u201c\u201e][^\u201c\u201d]*[\u201c\u201d]|\u00ab[^\u00bb]*\u00bb")
# Options of a command, "." and ".." by themselves, factorials.
_COMMAND = re.compile(r"(?<!\S)(?:--?[A-Za-z][\w-]*|\.{1,2})(?!\S)|[\d)\]] ?!")
_MOSTLY = 0.6
_REMEMBERED: Final = 4_096


def failing_guard(one: str, other: str) -> str | None:
    """Return the name of the first guard that two texts fail, or `None` when they pass all.

    The order of the two texts does not matter. The names are the keys of `GUARDS`, and "length" and "script": of longer texts, and
    of scripts other than Latin and Cyrillic, too little is known.
    """
    if len(one) > READ_CHARACTERS or len(other) > READ_CHARACTERS:
        return "length"
    if _UNKNOWN_SCRIPT.search(one) or _UNKNOWN_SCRIPT.search(other):
        return "script"
    first, second = reading_of(one), reading_of(other)
    return next((name for name, holds in GUARDS.items() if not holds(first, second)), None)


def _same_code(one: Reading, other: Reading) -> bool:
    """Code, addresses, paths, identifiers, quotations, and symbols must be the same."""
    if ("\n" in one.text or "\n" in other.text) and one.text.split() != other.text.split():
        return False
    return _code_of(one) == _code_of(other)


@remembered(_REMEMBERED)
def _code_of(reading: Reading) -> tuple[str, ...]:
    marks = (token for token in reading.tokens if not token[0].isalnum() and token not in known.PLAIN_MARKS)
    odd = (token.rstrip(".,-") for token in reading.tokens if len(token) > 1 and _is_code(token))
    return (*marks, *odd, *_QUOTED.findall(reading.text), *_COMMAND.findall(reading.text))


@remembered(2 * _REMEMBERED)
def _is_code(token: str) -> bool:
    """Whether it is an identifier, address or path: letters with digits or symbols, or capitals inside."""
    letters = any(map(str.isalpha, token))
    digits = any(map(str.isdigit, token)) and _ORDINAL.fullmatch(token.lower()) is None
    inner = any(mark in token for mark in "/\\@_+~.")
    return letters and (digits or inner or (token[1:] != token[1:].lower() and token != token.upper()))


def _same_numbers(one: Reading, other: Reading) -> bool:
    return _numbers_of(one) == _numbers_of(other)


@remembered(_REMEMBERED)
def _numbers_of(reading: Reading) -> tuple[str, ...]:
    found: list[str] = []
    for word in reading.words:
        for part in word.split("-"):
            if part in known.NUMBERS:
                found.append(known.NUMBERS[part])
            elif part in known.ORDINALS:
                found.append(f"{known.ORDINALS[part]}.")
            elif part.isnumeric() and not part.isdecimal():
                found.append(part)  # superscripts and fractions
            elif ordinal := _ORDINAL.fullmatch(part):
                found.append(f"{ordinal[1]}.")
        if "-" not in word or word[0].isdigit():
            found += _NUMBER.findall(word) if _ORDINAL.fullmatch(word) is None else []
    return tuple(found)


def _groups(table: Mapping[str, str]) -> Callable[[Reading, Reading], bool]:
    """Return a guard: what `table` knows of the words of two texts must be the same."""

    @remembered(_REMEMBERED)
    def known_of(reading: Reading) -> frozenset[str]:
        return frozenset(table[word] for word in reading.words if word in table)

    def holds(one: Reading, other: Reading) -> bool:
        return known_of(one) == known_of(other)

    return holds


def _same_units(one: Reading, other: Reading) -> bool:
    return _units_of(one) == _units_of(other)


@remembered(_REMEMBERED)
def _units_of(reading: Reading) -> frozenset[str]:
    words = {known.UNITS[word] for word in reading.words if word in known.UNITS}
    signs = {known.UNITS[token] for token in reading.tokens if not token[0].isalnum() and token in known.UNITS}
    # Behind a number, a short word is a unit whatever it is, and its capitals say something.
    pairs = zip(reading.tokens, reading.tokens[1:], strict=False)
    behind = {unit for number, unit in pairs if number[-1].isdigit() and len(unit) <= known.LONGEST_UNIT and unit.isalpha()}
    short = {known.UNITS.get(unit.lower(), unit) if unit == unit.lower() else unit for unit in behind if unit.lower() not in FUNCTION_WORDS}
    return frozenset(words | signs | short)


def _same_negation(one: Reading, other: Reading) -> bool:
    return _negations(one) == _negations(other)


@remembered(_REMEMBERED)
def _negations(reading: Reading) -> tuple[bool, frozenset[str]]:
    words = reading.words
    limits = frozenset(known.LIMITS[word] for word in words if word in known.LIMITS)
    return sum(word in known.NEGATIONS for word in words) % 2 == 1, limits


def _no_opposites(one: Reading, other: Reading) -> bool:
    only, others = set(one.words) - set(other.words), set(other.words) - set(one.words)
    if min(len(only), len(others)) > MOST_DIFFERENT_WORDS:
        return False
    return not any(are_opposite(word, another) for word, another in product(only, others))


def _same_names(one: Reading, other: Reading) -> bool:
    """A word that is capitalised in mid-sentence is a name; the other text must have it, however it writes it."""
    return _names_of(one) <= _may_name(other) and _names_of(other) <= _may_name(one)


@remembered(_REMEMBERED)
def _may_name(reading: Reading) -> set[str]:
    return {word.removesuffix("'s") for word in (*reading.words, *reading.tokens)}


@remembered(_REMEMBERED)
def _names_of(reading: Reading) -> frozenset[str]:
    words = [token for token in reading.tokens if token[0].isalpha()]
    if not any(any(map(str.islower, word)) for word in words):
        return frozenset()
    later = words[1:]
    titled = len(later) > 2 and sum(word[0].isupper() for word in later) > _MOSTLY * len(later)  # noqa: PLR2004 -- "Hello New York" is no title
    begins = True
    found: set[str] = set()
    for token in reading.tokens:
        capital = token[0].isupper() and token not in {"I", "A"}
        loud = len(token) > 1 and token == token.upper()
        if capital and (loud or not (begins or titled)):
            name = token.removesuffix("'s")
            # "US" is not "us", however small somebody writes it.
            found.add(name if loud and name.lower() in FUNCTION_WORDS | known.ASKING.keys() else name.lower())
        begins = token in known.SENTENCE_ENDS
    return frozenset(found - FUNCTION_WORDS if titled else found - {"i'm", "i've", "i'd", "i'll"})


def _same_persons(one: Reading, other: Reading) -> bool:
    """What is mine is not yours; a text that does not say whose may mean either."""
    first, second = _persons_of(one), _persons_of(other)
    return not first or not second or first == second


@remembered(_REMEMBERED)
def _persons_of(reading: Reading) -> frozenset[str]:
    return frozenset(known.PERSONS[word] for word in reading.words if word in known.PERSONS)


def _same_asking(one: Reading, other: Reading) -> bool:
    """Who, when, why and how many ask for different things; "what" may stand for any of them."""
    first, second = asking_of(one), asking_of(other)
    return first is None or second is None or first == second


def _same_order(one: Reading, other: Reading) -> bool:
    """What both speak of must come in one order, and behind the same "from", "to", "by" or "than".

    A clause may move as a whole: "in Python, how do I sort" and "how do I sort in Python" are in one order.
    """
    first, second = _roles_of(one), _roles_of(other)
    shared = [word for word in first if word in second]
    for word in shared:
        if first[word] != second[word] and (first[word] in known.DIRECTIONS and second[word] in known.DIRECTIONS):
            return False
        if "by" in {first[word], second[word]} and first[word] != second[word]:
            return False
    behind = [word for word in second if word in first]
    if shared == behind:
        return True
    if len(shared) < known.ALIKE * max(len(first), len(second)):
        # Other words are in another order anyway.
        return True
    turned = any(shared[place:] + shared[:place] == behind for place in range(1, len(shared)))
    return turned and all(first[word] == second[word] for word in shared)


@remembered(_REMEMBERED)
def _roles_of(reading: Reading) -> Mapping[str, str]:
    """Return each word that says something and stands there once, in order, with the preposition that it stands behind."""
    found: dict[str, str] = {}
    many: set[str] = set()
    role = ""
    words = list(reading.words)
    for place, word in enumerate(words):
        if word in known.JOINING and 0 < place < len(words) - 1 and words[place - 1] > words[place + 1]:
            # "B and A" is "A and B".
            before, after = stem(words[place - 1]), stem(words[place + 1])
            words[place + 1] = words[place - 1]
            if before in found and after not in found:
                found = {after if key == before else key: value for key, value in found.items()}
    for word in words:
        if word in known.PREPOSITIONS:
            role = word
        elif word not in FUNCTION_WORDS:
            key = stem(word)
            if key in found:
                many.add(key)
            found[key] = role
            role = ""
    return {word: role for word, role in found.items() if word not in many}


def _both_say_something(one: Reading, other: Reading) -> bool:
    return bool(one.content and other.content)


GUARDS: Final[Mapping[str, Callable[[Reading, Reading], bool]]] = {
    "words": _both_say_something,
    "negation": _same_negation,
    "persons": _same_persons,
    "question": _same_asking,
    "dates": _groups(known.DATES),
    "numbers": _same_numbers,
    "names": _same_names,
    "units": _same_units,
    "code": _same_code,
    "order": _same_order,
    "antonyms": _no_opposites,
}
"""What each looks at, from the quickest to the slowest. Each is a relation in which the order of the two texts does not matter."""
