"""Recorded outcomes: for one question, how well each model served it, and at what cost.

One line: `{"prompt": ..., "outcomes": {MODEL: {"score": 0.0 to 1.0, "cost": US dollars or null}}}`. Besides, an outcome may have
`prompt_tokens` and `completion_tokens`, and a line what else was known when it was asked: `recent`, `turn`,
`structured`, `tools` (their number, or a list), `tool_errors`, `segment_calls`, `turns_since_switch`. Other keys are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, NoReturn, cast

from session_router.core.need import Question
from session_router.errors import RecordingError
from session_router.recordings.kinds import told
from session_router.recordings.lines import JSONLines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SERVED_WELL = 0.5
"""From this score on a segment counts as served well."""

_LARGEST_COUNT = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """What came of one model's answer.

    Attributes:
        score: In [0, 1].
        dollars: US dollars that it cost, >= 0; `None` when nobody knows.
        prompt_tokens: Tokens that were read; `None` when nobody counted.
        completion_tokens: Tokens that were written; likewise.
    """

    score: float
    dollars: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    @property
    def served(self) -> bool:
        """Whether the segment was served well."""
        return self.score >= SERVED_WELL


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """One question, and what came of it with each model that was asked.

    Attributes:
        question: As a scorer would have seen it.
        grades: By model, at least one.
    """

    question: Question
    grades: Mapping[str, Grade]


class OutcomeFile:
    """The lines of a JSONL file, plain or gzip.

    Iterating yields a `Graded`, or a `RecordingError` in the place of a line that cannot be used.

    Args:
        path: The file.

    Raises:
        RecordingError: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._lines = JSONLines(path)

    def __iter__(self) -> Iterator[Graded | RecordingError]:
        """Yield a line, or an error in the place of one."""
        for item in self._lines:
            if isinstance(item, RecordingError):
                yield item
                continue
            line, table = item
            try:
                graded = _Reader(str(self._lines.path), line).graded(table)
            except RecordingError as error:
                yield error
            else:
                yield graded


@dataclass(frozen=True, slots=True)
class _Reader:
    """Where we are, for errors."""

    source: str
    line: int

    def graded(self, table: Mapping[str, object]) -> Graded:
        prompt = table.get("prompt")
        if not isinstance(prompt, str) or not prompt:
            self._fail("prompt", "expected a text that is not empty", prompt)
        outcomes = table.get("outcomes")
        if not isinstance(outcomes, dict) or not outcomes:
            self._fail("outcomes", "expected a table of one model or more", table.get("outcomes"))
        named = cast("dict[str, object]", outcomes)
        return Graded(question=self._question(prompt, table), grades={name: self._grade(name, one) for name, one in named.items()})

    def _question(self, prompt: str, table: Mapping[str, object]) -> Question:
        recent: object = table.get("recent") or []
        structured, tools = table.get("structured") or False, table.get("tools") or 0
        if not isinstance(recent, list) or not all(isinstance(text, str) for text in cast("list[object]", recent)):
            self._fail("recent", "expected a list of texts", table.get("recent"))
        if not isinstance(structured, bool):
            self._fail("structured", "expected true or false", structured)
        since = table.get("turns_since_switch")
        return Question(
            text=prompt,
            recent=tuple(cast("list[str]", recent)),
            turn=self._count("turn", table.get("turn") or 0),
            structured=structured,
            tools=len(cast("list[object]", tools)) if isinstance(tools, list) else self._count("tools", tools),
            tool_errors=self._count("tool_errors", table.get("tool_errors") or 0),
            segment_calls=self._number("segment_calls", table.get("segment_calls") or 0.0),
            turns_since_switch=None if since is None else self._count("turns_since_switch", since),
        )

    def _grade(self, name: str, value: object) -> Grade:
        place = f"outcomes.{name}"
        if not name or not isinstance(value, dict):
            self._fail(place, "expected a table with `score`, under the name of a model", value)
        outcome = cast("dict[str, Any]", value)
        score = self._number(f"{place}.score", outcome.get("score"))
        if score > 1:
            self._fail(f"{place}.score", "expected a number in [0, 1]", score)
        cost, read, written = outcome.get("cost"), outcome.get("prompt_tokens"), outcome.get("completion_tokens")
        return Grade(
            score=score,
            dollars=None if cost is None else self._number(f"{place}.cost", cost),
            prompt_tokens=None if read is None else self._count(f"{place}.prompt_tokens", read),
            completion_tokens=None if written is None else self._count(f"{place}.completion_tokens", written),
        )

    def _number(self, place: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST_COUNT or not isfinite(value):
            self._fail(place, "expected a number >= 0", value)
        return float(value)

    def _count(self, place: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST_COUNT:
            self._fail(place, "expected a whole number >= 0", value)
        return value

    def _fail(self, place: str, expected: str, value: object) -> NoReturn:
        # A value may be a whole prompt, or longer than anybody can read.
        found = "nothing" if value is None else told(value)
        rule = f"{expected}, found {found}."
        raise RecordingError(rule, source=self.source, line=self.line, place=place)
