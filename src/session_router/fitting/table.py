"""Outcomes as arrays, split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from session_router.core.pricing import Usage, call_cost
from session_router.fitting.splitting import FOLDS, HELD_OUT, place_of
from session_router.scorers.inputs import canonical_question, inputs_of
from session_router.scorers.predictors import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from session_router.core.need import Question
    from session_router.core.pricing import Prices
    from session_router.fitting.outcomes import Grade, Graded
    from session_router.ports import Embedder

CHARACTERS_PER_TOKEN: Final = 4
OUTPUT_TOKENS: Final = 400
"""Assumed for an answer whose tokens nobody counted, where prices are given."""

_AT_ONCE = 256  # texts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """Outcomes, a column for each question.

    Attributes:
        names: Of the models, sorted.
        questions: In canonical form.
        vectors: Of the texts, shape (questions, dimension).
        features: Shape (questions, features).
        served: 1, 0 or `UNKNOWN`, shape (models, questions).
        dollars: NaN where not known, shape (models, questions).
        training: Which questions are fitted to, ascending.
        held_out: Which are not; no two are the same question, so that they are independent of one another.
        folds: Which fold each question is in.
        places: In [0, 1): those below a share are that share of the prompts.
        repeated: Held-out questions that were left out, because they are the same as another.
    """

    names: tuple[str, ...]
    questions: tuple[Question, ...]
    vectors: NDArray[np.float32]
    features: NDArray[np.float64]
    served: NDArray[np.int8]
    dollars: NDArray[np.float64]
    training: NDArray[np.intp]
    held_out: NDArray[np.intp]
    folds: NDArray[np.intp]
    places: NDArray[np.float64]
    repeated: int

    def asked(self, columns: NDArray[np.intp]) -> list[Question]:
        """Return the questions `columns`."""
        return [self.questions[int(column)] for column in columns]

    def mean_dollars(self) -> NDArray[np.float64]:
        """Return what each model cost in the mean where that is known, NaN where it never is; shape (models,)."""
        known = ~np.isnan(self.dollars)
        counts = known.sum(axis=1)
        sums = np.where(known, self.dollars, 0.0).sum(axis=1)
        means: NDArray[np.float64] = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
        return means


def table_of(graded: Sequence[Graded], embedder: Embedder, *, seed: int, prices: Mapping[str, Prices]) -> Table:
    """Read `graded`, in any order.

    Args:
        graded: At least one.
        embedder: Makes the vectors.
        seed: Of the split.
        prices: By model, for outcomes without dollars.

    Raises:
        EmbedderError: There is no vector for a text.
    """
    questions = [canonical_question(one.question) for one in graded]
    inputs = inputs_of(questions)
    names = tuple(sorted({name for one in graded for name in one.grades}))
    served = np.full((len(names), len(graded)), UNKNOWN, dtype=np.int8)
    dollars = np.full((len(names), len(graded)), np.nan)
    rows = {name: row for row, name in enumerate(names)}
    for column, one in enumerate(graded):
        for name, grade in one.grades.items():
            served[rows[name], column] = grade.served
            cost = _dollars(grade, inputs.texts[column], prices.get(name))
            dollars[rows[name], column] = np.nan if cost is None else cost
    held = np.array([place_of(text, seed=seed, purpose="held out") < HELD_OUT for text in inputs.texts])
    first = {question: column for column, question in reversed(list(enumerate(questions)))}
    distinct = np.array([first[question] == column for column, question in enumerate(questions)])
    batches = [inputs.texts[start : start + _AT_ONCE] for start in range(0, len(inputs.texts), _AT_ONCE)]
    return Table(
        names=names,
        questions=tuple(questions),
        vectors=np.concatenate([embedder.embed(batch) for batch in batches]),
        features=inputs.features,
        served=served,
        dollars=dollars,
        training=np.flatnonzero(~held),
        held_out=np.flatnonzero(held & distinct),
        folds=np.array([int(place_of(text, seed=seed, purpose="fold") * FOLDS) for text in inputs.texts], dtype=np.intp),
        places=np.array([place_of(text, seed=seed, purpose="curve") for text in inputs.texts]),
        repeated=int((held & ~distinct).sum()),
    )


def _dollars(grade: Grade, text: str, prices: Prices | None) -> float | None:
    if grade.dollars is not None or prices is None:
        return grade.dollars
    read = len(text) // CHARACTERS_PER_TOKEN if grade.prompt_tokens is None else grade.prompt_tokens
    written = OUTPUT_TOKENS if grade.completion_tokens is None else grade.completion_tokens
    return call_cost(prices, Usage(input=read, output=written))
