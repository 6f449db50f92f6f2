"""One text for all that look alike: what a scorer reads instead of what was typed.

Characters that nobody sees cannot be part of a question, but they change its words and with them its score. For scoring only:
no model is ever sent a canonical text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from unicodedata import combining, is_normalized, normalize

if TYPE_CHECKING:
    from collections.abc import Iterable

READ_BEGINNING = 2_048
READ_END = 1_024
"""Of a text that is longer than both together, only its beginning and its end are read: bounded work for any input.

Both, since who attacks may write at either.
"""

LOOKED_THROUGH = 4
"""So many times as much is searched for what is seen, before the beginning and the end of that are read."""

MAXIMUM_CHARACTERS = READ_BEGINNING + 1 + READ_END
"""Characters that a canonical text has at most; a line break stands where something was left out."""

MAXIMUM_MARKS = 30
"""Combining marks in a row; the stream-safe text format of Unicode (UAX 15) has as many."""

# Default_Ignorable_Code_Point of Unicode 16 (soft hyphen, joiners, zero width, bidi, fillers, variation selectors, tags), the
# interlinear annotations, controls that are no white space, and surrogates.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
_PIECE = 256
_BECOME_MARKS = "\uff9e\uff9f"


def canonical_text(text: str, *, beginning: int = READ_BEGINNING, end: int = READ_END) -> str:
    r"""Return the canonical form of `text`; it is its own canonical form.

    NFKC; without controls, surrogates, and what Unicode says may be ignored in display; a run of white space is one space, or one
    line break where it has one (code has lines), and there is none at either end. No more than 30 combining marks follow one
    another: sorting longer runs takes time that grows with their square.

    What costs is done only to what is read: of a long text the beginning and the end. Letters of other alphabets that look alike
    stay what they are.

    Args:
        text: Any text.
        beginning: Characters that are read at the beginning, > 0.
        end: Characters that are read at the end, >= 0.

    Returns:
        At most `beginning + 1 + end` characters; they can be encoded as UTF-8.
    """
    text = _single_spaced(_UNSEEN.sub("", _ends(text, LOOKED_THROUGH * beginning, LOOKED_THROUGH * end)))
    text = _ends(text, beginning, end)
    if not text.isascii():
        text = _few_marks(text)
        # Looking is cheap, and scorers are given what is canonical already.
        if not is_normalized("NFKC", text):
            # A mark may become two, so there can be too many of them again.
            text = _few_marks(_composed(text, beginning, end))
    return _single_spaced(text)


def _ends(text: str, beginning: int, end: int) -> str:
    """Return `text`, or of a long one its beginning and its end, in two lines."""
    return text if len(text) <= beginning + 1 + end else f"{text[:beginning]}\n{text[len(text) - end :]}"


def _single_spaced(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(filter(None, lines))


def _composed(text: str, beginning: int, end: int) -> str:
    """Return the NFKC of `text`, or of its beginning and its end.

    One character may become eighteen: what would be cut off afterwards is not worth the time.
    """
    pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
    first = _until(pieces, beginning + 1 + end)
    if len(first) == len(pieces):
        # Once more, for what met at the seams.
        return _ends(normalize("NFKC", "".join(first)), beginning, end)
    last = _until(reversed(pieces), end)
    head, tail = (normalize("NFKC", "".join(found)) for found in (first, reversed(last)))
    return f"{head[:beginning]}\n{tail[len(tail) - min(end, len(tail)) :]}"


def _until(pieces: Iterable[str], enough: int) -> list[str]:
    """Return the NFKC of each of the first `pieces`, of as many as have more characters than `enough` together."""
    found: list[str] = []
    length = 0
    for piece in pieces:
        found.append(normalize("NFKC", piece))
        length += len(found[-1])
        if length > enough:
            break
    return found


def _few_marks(text: str) -> str:
    marks = {character for character in set(text) if combining(character) or character in _BECOME_MARKS}
    if not marks:
        return text
    # No expression: to compile one for the marks of each text would take longer than to read it.
    kept: list[str] = []
    run = 0
    for character in text:
        run = run + 1 if character in marks else 0
        if run <= MAXIMUM_MARKS:
            kept.append(character)
    return "".join(kept)
