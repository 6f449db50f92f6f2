"""What a question shows besides its meaning: form, code, language, and how the session went so far.

Nothing here is of what a tool returned. Of the tools' results their number that reported an error counts, which is a status that
the framework sets: no text, and no length.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from session_router.scorers.canonical import MAXIMUM_CHARACTERS
from session_router.scorers.corrections import READ_CHARACTERS, is_correction
from session_router.scorers.lexical import has_code, marks_of_work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from session_router.core.need import Question

READ_TEXTS: Final = 8
"""So many of the turns before are looked at."""

LONGEST_RECENT: Final = READ_TEXTS * READ_CHARACTERS
"""Characters of the turns before that are counted."""

_COUNT: Final = 1_000  # from here on, more of the same says no more
_DIGITS, _CAPITALS = b"0123456789", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SYMBOLS, _MATHEMATICS = b"{}[]()<>=;_`|\\&#@~", b"+-*/=^%$<>"
_NUMBER = re.compile(r"[0-9]+")
# No unbounded repetition before the mark: a text of blanks would take quadratic time.
_LIST_ITEM = re.compile(r"^[ \t]{0,8}(?:[-*•]|[0-9]{1,3}[.)]|[A-Za-z][.)])[ \t]", re.MULTILINE)
_OTHER_SCRIPTS = re.compile("[\u0370-\u1dff\u2c00-\ud7ff\uf900-\ufaff\U00010000-\U0001efff\U00020000-\U0003ffff]")
_SPOKEN_QUESTION = re.compile(
    r"\s*(?:what|which|who|whom|whose|when|where|why|how|is|are|does|did|can|could|should|was|were|wer|was|wie|warum|wann|wo|welche[rs]?|"
    r"qui|que|quoi|quand|comment|pourquoi|où|quel(?:le)?s?|qué|"
    r"quién|cómo|cuándo|dónde|cuál|por qué|chi|cosa|come|perché|quem|como|quando)\b",
    re.IGNORECASE,
)
_QUESTION_MARKS = "?\uff1f\u061f\u037e"


def features_of(questions: Sequence[Question]) -> NDArray[np.float64]:
    """Describe each of `questions` by numbers.

    Equal questions give equal numbers, whoever else is asked about, and nothing but the question counts: no clock, no tool output, no
    other session.

    Args:
        questions: In canonical form: that bounds the work. Of longer texts the beginning counts. What some have in common besides their
            texts is looked at once.

    Returns:
        Shape (len(questions), len(FEATURES)), in the order of `FEATURES`; each in [0, 1].
    """
    sessions = [replace(question, text="") for question in questions]
    known = {session: _of_session(session) for session in set(sessions)}
    rows = [_of_text(question.text[:MAXIMUM_CHARACTERS]) | known[session] for question, session in zip(questions, sessions, strict=True)]
    return np.array([[row[name] for name in FEATURES] for row in rows], dtype=np.float64).reshape(len(rows), len(FEATURES))


def _of_text(text: str) -> dict[str, float]:
    plain = text.encode("ascii", "ignore")
    words = len(text.split())
    hard, steps = marks_of_work(text)
    characters = max(1, len(text))
    return {
        "characters": _grown(len(text), MAXIMUM_CHARACTERS),
        "words": _grown(words, MAXIMUM_CHARACTERS),
        "word_length": min(1.0, len(text) / (20 * max(1, words))),
        "lines": _grown(text.count("\n"), _COUNT),
        "digits": _count(plain, _DIGITS) / characters,
        "numbers": _grown(len(_NUMBER.findall(text)), _COUNT),
        "capitals": _count(plain, _CAPITALS) / characters,
        "code": float(has_code(text)),
        "symbols": _count(plain, _SYMBOLS) / characters,
        "mathematics": _count(plain, _MATHEMATICS) / characters,
        "question_marks": _grown(sum(map(text.count, _QUESTION_MARKS)), 16),
        "question_form": float(_SPOKEN_QUESTION.match(text[:64]) is not None),
        "list_items": _grown(len(_LIST_ITEM.findall(text)), 64),
        "steps": _grown(steps, 64),
        "hard_words": min(1.0, hard / 4),
        "beyond_ascii": (len(text) - len(plain)) / characters,
        "beyond_latin": len(_OTHER_SCRIPTS.findall(text)) / characters,
        "correction": float(is_correction(text)),
    }


def _of_session(question: Question) -> dict[str, float]:
    recent = question.recent[-READ_TEXTS:]
    since = question.turns_since_switch
    return {
        "recent_characters": _grown(sum(min(len(text), READ_CHARACTERS) for text in recent), LONGEST_RECENT),
        "recent_corrections": sum(map(is_correction, recent)) / max(1, len(recent)),
        "structured": float(question.structured),
        "tools": _grown(question.tools, _COUNT),
        "turn": _grown(question.turn, _COUNT),
        "tool_errors": _grown(question.tool_errors, _COUNT),
        "segment_calls": _grown(question.segment_calls, _COUNT),
        # 1 right after a switch, falling with every turn; 0 where there was none.
        "recent_switch": 0.0 if since is None else 1 / (1 + max(0, min(since, _COUNT))),
    }


def _count(text: bytes, characters: bytes) -> int:
    """Count those of `characters`, at the speed of a copy."""
    return len(text) - len(text.translate(None, characters))


def _grown(value: float, most: int) -> float:
    """Return log(1 + value) as a share of log(1 + most), in [0, 1]; NaN counts as nothing."""
    return math.log1p(min(value, most)) / math.log1p(most) if value > 0 else 0.0


_MEANINGS: Final[Mapping[str, str]] = {
    "characters": "length of the text, on a logarithmic scale",
    "words": "number of words, likewise",
    "word_length": "characters a word, up to 20",
    "lines": "number of line breaks, on a logarithmic scale",
    "digits": "share of digits",
    "numbers": "how many numbers, on a logarithmic scale",
    "capitals": "share of capital letters",
    "code": "whether it has the look of code",
    "symbols": "share of the symbols of code",
    "mathematics": "share of the symbols of arithmetic",
    "question_marks": "how many question marks, on a logarithmic scale",
    "question_form": "whether it begins as a question does, in several languages",
    "list_items": "how many lines are items of a list, on a logarithmic scale",
    "steps": "how many words speak of steps, likewise",
    "hard_words": "how many different words speak of hard work, up to 4",
    "beyond_ascii": "share of characters beyond ASCII",
    "beyond_latin": "share of characters of scripts other than Latin",
    "correction": "whether the user corrects what was answered before",
    "recent_characters": "what the user typed in the turns before, on a logarithmic scale",
    "recent_corrections": "share of the turns before that were corrections",
    "structured": "whether structured output is asked for",
    "tools": "number of tools on offer, on a logarithmic scale",
    "turn": "number of the turn, likewise",
    "tool_errors": "tool results of the session that reported an error, likewise",
    "segment_calls": "calls of a segment of the session in the mean, likewise",
    "recent_switch": "1 right after a switch of models, less with every turn since",
}

FEATURES: Final = tuple(_MEANINGS)
"""Names of the features, in order."""
