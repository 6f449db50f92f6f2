"""A guard for a scorer that is being fitted: its limits, and what it leaves of the chances of other questions.

Limits are set from texts that nothing was fitted to: the chances of texts that were are closer to what came out, and jump by other
amounts. And certificates are made on questions that set no limit: so the guarded scorer is a fixed one when it is held against
outcomes, and a certificate says of it what it says of any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from session_router.scorers.fitted import ruling_of
from session_router.scorers.guard_limits import Guard, least_texts, limits_of
from session_router.scorers.guarded import BELIEVED
from session_router.scorers.inputs import inputs_of
from session_router.scorers.windows import LEAST_CHARACTERS, jump_of, questions_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from session_router.core.model import ModelName
    from session_router.core.need import Question
    from session_router.fitting.table import Table
    from session_router.fitting.training import Trained
    from session_router.ports import Embedder
    from session_router.scorers.guarded import Ruling

GUARD_SHARE: Final = 1 / 3
"""Share of the held-out questions that limits are set from at most: the others certify."""

MOST_TEXTS: Final = 1_000
"""More make limits hardly surer."""

_AT_ONCE = 64  # questions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windowed:
    """Scores questions with and without windows, by predictors that were trained.

    Attributes:
        names: Of the models.
        trained: Their predictors.
        embedder: Makes the vectors.
    """

    names: Sequence[ModelName]
    trained: Trained
    embedder: Embedder

    def chances(self, questions: Sequence[Question]) -> Iterator[tuple[list[float], list[list[float]]]]:
        """Yield, for each question, the chances of the models for the whole text, and for each rest of it."""
        for start in range(0, len(questions), _AT_ONCE):
            groups = [questions_of(question) for question in questions[start : start + _AT_ONCE]]
            inputs = inputs_of([one for group in groups for one in group])
            rows = self.trained.chances(self.embedder.embed(inputs.texts), inputs.features).tolist()
            for group in groups:
                (whole, *rests), rows = rows[: len(group)], rows[len(group) :]
                yield whole, rests


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Guarded:
    """What a guard leaves.

    Attributes:
        chances: Of the models for each question, shape (models, questions).
        rulings: One for each question.
    """

    chances: NDArray[np.float64]
    rulings: Sequence[Ruling]

    @classmethod
    def of(cls, guard: Guard, windowed: Windowed, questions: Sequence[Question]) -> Guarded:
        """Guard `questions`."""
        columns: list[list[float]] = []
        rulings: list[Ruling] = []
        for whole, rests in windowed.chances(questions):
            ruling = ruling_of(guard, windowed.names, whole, rests)
            rest = whole if ruling.rest is None else rests[ruling.rest]
            columns.append([ruling.chance(one, other) for one, other in zip(whole, rest, strict=True)])
            rulings.append(ruling)
        return cls(chances=np.array(columns).T.reshape(len(windowed.names), len(questions)), rulings=rulings)

    @property
    def alarms(self) -> float:
        """Share of the questions that raise an alarm."""
        return sum(ruling.alarm is not None for ruling in self.rulings) / max(1, len(self.rulings))

    @property
    def capped(self) -> float:
        """Share of the questions that are not taken at their word."""
        return sum(ruling is not BELIEVED for ruling in self.rulings) / max(1, len(self.rulings))


def guard_texts(table: Table) -> NDArray[np.intp]:
    """Return the held-out questions that limits are set from: long enough for windows, and chosen by their prompts alone."""
    long = table.held_out[[len(question.text) >= LEAST_CHARACTERS for question in table.asked(table.held_out)]]
    most = min(MOST_TEXTS, int(len(table.held_out) * GUARD_SHARE))
    return np.sort(long[np.argsort(table.places[long], kind="stable")[:most]])


def guard_of(table: Table, columns: NDArray[np.intp], windowed: Windowed, costs: Sequence[float]) -> Guard | str:
    """Set limits from the questions `columns`.

    Args:
        table: The outcomes.
        columns: As `guard_texts` chose them.
        windowed: The scorer.
        costs: Mean US dollars of each model; NaN where not known.

    Returns:
        The guard, or why there is none.
    """
    known = {name: float(cost) for name, cost in zip(windowed.names, costs, strict=True) if not np.isnan(cost)}
    if len(set(known.values())) < 2:  # noqa: PLR2004 -- a cheaper and a dearer one
        return "no two models are known to differ in cost"
    if len(columns) < least_texts():
        return (
            f"limits take {least_texts():,.0f} held-out prompts of {LEAST_CHARACTERS} characters or more, a third of all that are held "
            f"out at most; here are {len(columns):,}"
        )
    scores = windowed.chances(table.asked(columns))
    named = ([dict(zip(windowed.names, chances, strict=True)) for chances in (whole, *rests)] for whole, rests in scores)
    return Guard(limits=limits_of([[jump_of(whole, rest, known) for rest in rests] for whole, *rests in named]), costs=known)
