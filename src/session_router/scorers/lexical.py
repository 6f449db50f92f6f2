"""A length-and-keyword estimate of need. It is near chance at what it predicts; its name says what it is."""

from __future__ import annotations

import re
from functools import lru_cache
from math import exp, log, log2
from typing import TYPE_CHECKING

from session_router.core.need import Need, new_need

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.need import Question

SCANNED_CHARACTERS = 65_536
"""Longer texts are scored by their beginning: bounded work for any input."""

_WORD = re.compile(r"[a-z]+")
_SPACED = "".join(chr(code) if chr(code).islower() else " " for code in range(128))
"""By code of an ASCII character, in lower case: letters as they are, and spaces for all others."""

_HARD_WORDS = frozenset(
    {
        "analyse",
        "analyze",
        "architect",
        "compare",
        "debug",
        "derive",
        "design",
        "evaluate",
        "investigate",
        "migrate",
        "optimise",
        "optimize",
        "plan",
        "proof",
        "prove",
        "reason",
        "refactor",
        "tradeoff",
        "tradeoffs",
        "why",
    }
)
_HARD_PHRASES = ("race condition", "root cause", "trade-off", "concurren", "strateg")
_STEP_WORDS = frozenset({"then", "finally", "first", "second", "step"})
_MARKING_WORDS = _HARD_WORDS | _STEP_WORDS
_CODE_WORDS = re.compile(r"\b(?:def \w+\(|class \w|SELECT\b)")
_CODE_LINE = re.compile(r";\s*$", re.MULTILINE)
_UNCERTAINTY = 0.2  # half width of the interval: the estimate is weak, and says so


class LexicalScorer:
    """Guesses difficulty from length, wording and code, and sets it against each model's skill.

    `p_success = sigmoid(6 * (skill - difficulty) + 2)`: a model whose skill equals the difficulty serves 88 %
    of segments. A model without a stated skill is ranked by price between the cheapest (0.35) and the dearest
    (0.95) of those asked about.
    """

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the need of every model in `models`."""
        difficulty = lexical_difficulty(question.text)
        skills = skills_of(models)
        return {name: _need(skills[name] - difficulty) for name in models}

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the need of every model in `models`."""
        return self.score(question, models)


def lexical_difficulty(text: str) -> float:
    """Return a guess in [0, 1]: 0.1 for an empty text, growing with length, hard words, code and listed steps."""
    text = text[:SCANNED_CHARACTERS]
    hard_marks, step_words = marks_of_work(text)
    length = min(0.3, 0.06 * log2(1 + len(text) / 40))
    hard = min(0.4, 0.2 * hard_marks)
    code = 0.15 if has_code(text) else 0.0
    steps = min(0.1, 0.03 * step_words)
    return min(1.0, 0.1 + length + hard + code + steps)


def marks_of_work(text: str) -> tuple[int, int]:
    """Count the different words and phrases of hard work in `text`, and all its words for steps."""
    lowered = text.lower()
    # The same words, found in half the time.
    words = lowered.translate(_SPACED).split() if lowered.isascii() else _WORD.findall(lowered)
    found = _MARKING_WORDS.intersection(words)
    hard = len(found & _HARD_WORDS) + sum(map(lowered.__contains__, _HARD_PHRASES))
    return hard, sum(map(words.count, found & _STEP_WORDS))


def has_code(text: str) -> bool:
    """Whether `text` has the look of code."""
    # Plain searches first: one expression for all of it costs as much as all the rest of the score.
    if "```" in text or "Traceback" in text or "=>" in text:
        return True
    if ("def " in text or "class " in text or "SELECT" in text) and _CODE_WORDS.search(text) is not None:
        return True
    return ";" in text and _CODE_LINE.search(text) is not None


def skills_of(models: Mapping[ModelName, ModelSpec]) -> dict[ModelName, float]:
    """Return each model's stated skill, or its place by price on a logarithmic scale."""
    known = tuple([(spec.skill, None if spec.prices is None else spec.prices.input + spec.prices.output) for spec in models.values()])
    return dict(zip(models, _skills(known), strict=True))


@lru_cache(maxsize=256)
def _skills(known: tuple[tuple[float | None, float | None], ...]) -> tuple[float, ...]:
    """Return the skills of models, given the stated skill of each, and its dollars for reading and writing a token."""
    dear = [log(dollars) for _, dollars in known if dollars]
    low, high = (min(dear), max(dear)) if dear else (0.0, 0.0)
    skills: list[float] = []
    for skill, dollars in known:
        if skill is not None:
            skills.append(skill)
        elif dollars and high > low:
            skills.append(0.35 + 0.6 * (log(dollars) - low) / (high - low))
        else:
            skills.append(0.65)
    return tuple(skills)


def _need(advantage: float) -> Need:
    p_success = 1 / (1 + exp(-(6 * advantage + 2)))
    return new_need(p_success=p_success, low=max(0.0, p_success - _UNCERTAINTY), high=min(1.0, p_success + _UNCERTAINTY))
