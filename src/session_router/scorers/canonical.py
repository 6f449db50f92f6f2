"""One text for all that look alike: what a scorer reads instead of what was typed.

Characters that nobody sees cannot be part of a question, but they change its words and with them its score. For scoring only:
no model is ever sent a canonical text.
"""

from __future__ import annotations

import re
from unicodedata import combining, normalize

MAXIMUM_CHARACTERS = 65_536
"""Characters that are read, and that a canonical text has at most."""

MAXIMUM_MARKS = 30
"""Combining marks in a row; the stream-safe text format of Unicode (UAX 15) has as many."""

# Default_Ignorable_Code_Point of Unicode 16 (soft hyphen, joiners, zero width, bidi, fillers, variation selectors, tags), the
# interlinear annotations, controls that are no white space, and surrogates.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
_PIECE = 4_096
_BECOME_MARKS = "\uff9e\uff9f"


def canonical_text(text: str) -> str:
    r"""Return the canonical form of `text`; it is its own canonical form.

    NFKC; without controls, surrogates, and what Unicode says may be ignored in display; a run of white space is one space, or one
    line break where it has one (code has lines), and there is none at either end. Of the text, 65,536 characters are read. No more
    than 30 combining marks follow one another: sorting longer runs takes time that grows with their square.

    Letters of other alphabets that look alike stay what they are.

    Args:
        text: Any text.

    Returns:
        At most 65,536 characters; they can be encoded as UTF-8.
    """
    text = _UNSEEN.sub("", text[:MAXIMUM_CHARACTERS])
    if not text.isascii():
        # A mark may become two, so there can be too many of them again.
        text = _few_marks(_composed(_few_marks(text)))
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(filter(None, lines))


def _composed(text: str) -> str:
    """Return the beginning of the NFKC of `text`."""
    pieces: list[str] = []
    length = 0
    for start in range(0, len(text), _PIECE):
        # One character may become eighteen: what would be cut off afterwards is not worth the time.
        pieces.append(normalize("NFKC", text[start : start + _PIECE]))
        length += len(pieces[-1])
        if length >= MAXIMUM_CHARACTERS:
            break
    # Once more, for what met at the seams.
    return normalize("NFKC", "".join(pieces)[:MAXIMUM_CHARACTERS])


def _few_marks(text: str) -> str:
    marks = "".join(sorted(character for character in set(text) if combining(character) or character in _BECOME_MARKS))
    if not marks:
        return text
    mark = f"[{marks}]"
    # Looking behind the first one says that it is the first: no run is read twice.
    return re.sub(f"({mark}(?<!{mark}{mark}){mark}{{{MAXIMUM_MARKS - 1}}}){mark}+", r"\1", text)
