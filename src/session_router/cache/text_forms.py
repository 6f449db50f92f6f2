r"""Two forms of a text: texts with one form ask for the same answer.

What a model may read differently stays different. So a form never drops what cannot be seen, never touches code, and does less
where it knows less: in doubt the content form is the exact form, and the exact form is the text.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final
from unicodedata import decomposition, normalize

from session_router.cache import wordings
from session_router.cache.remembering import WORDS, remembered

_RECENT: Final = 64
"""Texts: of one question the exact form is asked for more than once."""

READ_CHARACTERS: Final = 4_096
"""A longer text is its own form: nobody types that twice."""

# Line breaks, tabs, quotation marks and the symbols of code: blanks, capitals and marks may mean something there.
_LITERAL = re.compile(
    '[\t\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029"`{}|\\\\<>=;_^~*\u2018\u201b-\u201f\u00ab\u00bb\u2039\u203a\u300c-\u300f]'
    "|(?<!\\w)['\u2019]|['\u2019](?!\\w)"
)
_APOSTROPHES = re.compile(r"(?<=\w)\u2019(?=\w)")
_PLAIN = re.compile(r"[A-Za-z0-9 .,:!?()/%&@#$+-]*")
_STOPS = re.compile(r"(?<=[^\s.,:;])[.,:;\u3002\u3001\u061b\u060c\u0964]+$")
_STOP_MARKS = ".,:;\u3002\u3001\u061b\u060c\u0964"
_CALLS = "!?\u061f"
_QUESTION_MARKS = "?\u061f"
_FACTORIAL = re.compile(r"(?:\d|[)\]]|\b[^\W\d_]) *!+$")
_OPENING_MARKS = "\u00bf\u00a1 "
_ROUNDS = 8  # each takes away or makes small; a text that is not settled by then is left alone
_PARTS = re.compile("['-]")
_PLAIN_WORD = re.compile(r"[^\w\s]*([^\W\d_]+(?:['-][^\W\d_]+)*)[^\w\s]*")
CAPITONYMS = frozenset(
    {"china", "earth", "exodus", "job", "lent", "march", "mobile", "nice", "pole", "poles", "polish", "reading", "turkey"}
    | {"sie", "ihnen", "ihr", "ihre", "ihrem", "ihren", "ihrer", "ihres"}
)
"""What means something else with a capital, in small letters: `Polish` is no `polish`, and in German `Sie` is whoever is spoken to. Not
`may`, with which questions begin."""
_OTHER_SCRIPTS = re.compile("[\u0370-\u1dff\u2c00-\ua7ff\ua840-\ud7ff\uf900-\ufaff\ufb00-\U0010ffff]")


@remembered(_RECENT)
def exact_form(text: str) -> str:
    r"""Return the key of tier T0: texts that differ only in how they are set have the same.

    NFKC (but of superscripts, subscripts, fractions and the like, which say something: `2\u2075` is not `25`); one blank for several; no
    marks at the ends, where they say nothing; small letters where capitals say nothing. Capitals say something in `US`, `5 Mb`
    and `iPhone`: only words that are capitalised like the beginning of a sentence become small, and words of capitals where there
    is nothing else. A question mark says nothing after `What is ...`, and much after `I may go`. Code, quotations and texts of
    several lines stay as they are, but for white space at their ends.

    Returns:
        A text that is its own exact form.
    """
    form = stripped = text.strip()
    if _is_literal(form):
        return stripped
    for _ in range(_ROUNDS):
        # What is literal only once it is composed stays as it was typed, too. Of ASCII nothing becomes literal.
        if not form.isascii() and (_is_literal(form) or _is_literal(form := composed(form))):
            return stripped
        form = " ".join(form.split())
        shorter = _without_marks(_small(form)).strip() or form
        if shorter == form:
            return form
        form = shorter
    return stripped


def _is_literal(form: str) -> bool:
    if len(form) > READ_CHARACTERS:
        return True
    # The first pattern is passed at a glance by most texts.
    return _PLAIN.fullmatch(form) is None and _LITERAL.search(form) is not None


def content_form(text: str) -> str:
    """Return the key of tier T1: the words that say something, in their order, with every negation and number.

    Of the exact form, contractions are written out, and what is only polite is dropped, in the languages that `wordings` knows, and
    in English also articles where they say nothing. Nothing is dropped from a text that speaks of words ("how do you say please in
    French"), and nothing from one in another script than Latin.

    Returns:
        A text that is its own content form. Texts with one exact form have one content form.
    """
    return content_form_of(exact_form(text))


def content_form_of(exact: str) -> str:
    """Return the content form of the texts with an exact form."""
    form = exact
    if len(form) <= READ_CHARACTERS and form.isascii() and all(map(wordings.says_all.__getitem__, form.split(" "))):
        return form
    if _is_literal(form) or not (form.isascii() or _OTHER_SCRIPTS.search(form) is None):
        return form
    for _ in range(_ROUNDS):
        said = wordings.without_manners(wordings.written_out(form))
        # An exact form is its own exact form.
        shorter = form if said == form else exact_form(said)
        if not shorter or shorter == form:
            return form
        form = shorter
    return exact


def composed(text: str) -> str:
    """Return the NFKC of `text`, without what says something by its place or shape."""
    if text.isascii():
        return text
    text = _APOSTROPHES.sub("'", text)
    parts = _placed().split(text)
    return normalize("NFC", "".join(part if number % 2 else normalize("NFKC", part) for number, part in enumerate(parts)))


@cache
def _placed() -> re.Pattern[str]:
    """Return what matches characters whose compatibility form loses their place or shape."""
    # Beyond there are Han characters only.
    kinds = ("<super>", "<sub>", "<fraction>", "<circle>", "<square>")
    found = "".join(character for character in map(chr, range(0x20000)) if decomposition(character).startswith(kinds))
    return re.compile(f"([{re.escape(found)}]+)")


def _small(form: str) -> str:
    """Return `form` with small letters where capitals say nothing."""
    words = form.split(" ")
    behind_numbers = [False, *[word[-1:].isdecimal() for word in words[:-1]]]
    # All in capitals, or in a script without them: capitals say nothing, but in numbers, identifiers and units.
    loud = len(words) > 1 and not _has_small_letters(form)
    return " ".join(map(_small_loud_word if loud else _small_word, words, behind_numbers))


def _has_small_letters(form: str) -> bool:
    return form != form.upper() if form.isascii() else any(map(str.islower, form))


def _small_loud_word(word: str, behind_number: bool) -> str:  # noqa: FBT001 -- called for many at once
    found = None if behind_number else _PLAIN_WORD.fullmatch(word)
    return word if found is None or found[1].lower() in CAPITONYMS else word.lower()


@remembered(WORDS)
def _small_word(word: str, behind_number: bool) -> str:  # noqa: FBT001 -- likewise
    found = None if behind_number else _PLAIN_WORD.fullmatch(word)
    if found is None:
        # A number, an identifier, or the unit of a number.
        return word
    parts = _PARTS.split(found[1])
    if parts[0].lower() in CAPITONYMS:
        return word
    return word.lower() if all(part[1:].islower() or part in {"A", "I"} or part.islower() for part in parts) else word


def _without_marks(form: str) -> str:
    """Return `form` without the marks at its ends."""
    asks, shorter = False, form.lstrip(_OPENING_MARKS)
    while last := shorter[-1:]:
        if last in _CALLS:
            if last == "!" and _FACTORIAL.search(shorter):
                break
            # One by one: behind a question mark there may be a factorial.
            asks = asks or last in _QUESTION_MARKS
            shorter = shorter[:-1].rstrip()
        elif last in _STOP_MARKS and (found := _STOPS.search(shorter)):
            shorter = shorter[: found.start()]
        else:
            break
    return f"{shorter}?" if asks and shorter and not wordings.is_question(shorter) else shorter
