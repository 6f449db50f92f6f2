"""What a prior is worth on families and models that it has not seen, beside other ways to say so, and what a score costs."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from _need_statistics import RESAMPLES, Interval, areas, calibration_errors, draws_of, interval_of, means

from session_router.core.model import ModelName, ModelSpec
from session_router.core.need import Question
from session_router.core.pricing import Prices
from session_router.embedders.static import StaticEmbedder
from session_router.scorers.guard_limits import LEXICAL_LIMITS
from session_router.scorers.guarded import GuardedScorer
from session_router.scorers.lexical import LexicalScorer
from session_router.scorers.prior import PriorScorer

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))  # the training is no part of the package

from train_prior.outcomes import read_outcomes
from train_prior.spread import cells_of, coverages, logits_left_out
from train_prior.training import newton, weights_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from session_router.ports import Scorer
    from train_prior.outcomes import Outcomes
    from train_prior.spread import Coverage

PRIOR: Final = "prior"
LEXICAL: Final = "lexical scorer"
PRICE_ONLY: Final = "price only"
LENGTH: Final = "prompt length"
GUARDED: Final = "guarded prior"

CHEAP: Final = 1 / 3
"""A model is called cheap at no more than this share of the dearest price in its family."""

_BINS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """What several ways say of the same scores, none of which has seen the family, or siblings of the model.

    Attributes:
        outcomes: The scores.
        chances: By way, the chance that the model serves the question, shape (scores,); `LENGTH` only ranks.
    """

    outcomes: Outcomes
    chances: dict[str, NDArray[np.float64]]

    @property
    def families(self) -> list[str]:
        """Names of the families that were left out, one at a time."""
        return [str(name) for name in np.unique(self.outcomes.families)]

    def of(self, family: str) -> NDArray[np.bool_]:
        """Return which scores are of `family` and of a cheap model."""
        outcomes = self.outcomes
        return (outcomes.families[outcomes.asked] == family) & (outcomes.relative_prices <= np.log(CHEAP))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One number on one family, with its interval of 95 % over questions.

    Attributes:
        value: In the mean over the cheap models of the family.
        interval: Questions are drawn anew; the models stay.
    """

    value: float
    interval: Interval


def predictions(data: Path, *, keep: Callable[[int], bool] = lambda _: True) -> tuple[Predictions, list[Coverage]]:
    """Predict every score by what has seen neither its family nor siblings of its model.

    Args:
        data: Folder of the outcomes.
        keep: Says of the number of a line whether it counts.

    Returns:
        The predictions, and what the prior's intervals hold of each family when they come from the others.
    """
    embedder = StaticEmbedder()
    outcomes = read_outcomes(data, embedder, keep=keep)
    logits, _ = logits_left_out(outcomes, embedder)
    chances = {
        PRIOR: 1 / (1 + np.exp(-logits)),
        LEXICAL: _lexical(outcomes),
        PRICE_ONLY: _price_only(outcomes),
        LENGTH: -outcomes.lengths[outcomes.asked],
    }
    return Predictions(outcomes=outcomes, chances=chances), coverages(cells_of(outcomes, logits))


def _lexical(outcomes: Outcomes) -> NDArray[np.float64]:
    """Ask the lexical scorer about all models of a family at once, as a router would."""
    found = np.full(len(outcomes.scores), np.nan)
    families = outcomes.families[outcomes.asked]
    scorer = LexicalScorer()
    for family in np.unique(families):
        inside = np.flatnonzero(families == family)
        models = {
            ModelName(outcomes.models[place].name): ModelSpec(
                prices=Prices(input=outcomes.models[place].price / 2, output=outcomes.models[place].price / 2)
            )
            for place in np.unique(outcomes.answered[inside])
        }
        needs = {question: scorer.score(Question(text=outcomes.texts[question]), models) for question in np.unique(outcomes.asked[inside])}
        found[inside] = [needs[outcomes.asked[one]][ModelName(outcomes.models[outcomes.answered[one]].name)].p_success for one in inside]
    return found


def _price_only(outcomes: Outcomes) -> NDArray[np.float64]:
    """Fit level and slope of the relative price, as the prior does, without the text."""
    families, lineages, prices = outcomes.families[outcomes.asked], outcomes.lineages, outcomes.relative_prices
    found = np.full(len(prices), np.nan)
    for family in np.unique(families):
        for lineage in np.unique(lineages[families == family]):
            asked, counted = (families == family) & (lineages == lineage), (families != family) & (lineages != lineage)
            columns = np.stack([np.ones(counted.sum()), prices[counted]], axis=1)
            level, slope = newton(columns, outcomes.scores[counted], weights_of(outcomes, counted))
            found[asked] = 1 / (1 + np.exp(-level - max(0.0, slope) * prices[asked]))
    return found


def areas_under(predicted: Predictions, family: str, *, resamples: int = RESAMPLES) -> dict[str, Measured]:
    """Return, by way, the area under the curve of "the cheap model fails": in the mean over cheap models that both fail and serve."""
    return {
        way: _over_models(predicted, family, lambda said, served, draws: areas(-said, 1 - served, draws), way, resamples)
        for way in predicted.chances
    }


def brier_scores(predicted: Predictions, family: str, *, resamples: int = RESAMPLES) -> dict[str, Measured]:
    """Return, by way, the mean squared error of the chances, in the mean over cheap models."""
    return {
        way: _over_models(predicted, family, lambda said, served, draws: means(np.square(said - served), draws), way, resamples)
        for way in predicted.chances
        if way != LENGTH
    }


def errors_of_calibration(predicted: Predictions, family: str, *, resamples: int = RESAMPLES) -> dict[str, Measured]:
    """Return, by way, the expected calibration error over ten bins, in the mean over cheap models."""

    def error(said: NDArray[np.float64], served: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.float64]:
        ordered = np.unique(said)
        edges = np.unique(np.quantile(said, np.arange(1, _BINS) / _BINS)) if len(ordered) > 1 else ordered[:0]
        return calibration_errors(said, served, np.searchsorted(edges, said), draws)

    return {way: _over_models(predicted, family, error, way, resamples) for way in predicted.chances if way != LENGTH}


def _over_models(
    predicted: Predictions,
    family: str,
    measure: Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
    way: str,
    resamples: int,
) -> Measured:
    outcomes, own = predicted.outcomes, predicted.of(family)
    questions = np.unique(outcomes.asked[own])
    # The first draw is what there is; the others draw questions anew, the same for all models and all ways.
    draws = np.vstack([np.ones(len(questions)), draws_of(np.arange(len(questions)), resamples=resamples)])
    per_model = []
    for model in np.unique(outcomes.answered[own]):
        some = np.flatnonzero(own & (outcomes.answered == model))
        columns = np.searchsorted(questions, outcomes.asked[some])
        served = (outcomes.scores[some] >= 0.5).astype(np.float64)
        if 0 < served.sum() < len(served):
            per_model.append(measure(predicted.chances[way][some], served, draws[:, columns]))
    values = np.nanmean(np.array(per_model), axis=0)
    return Measured(value=float(values[0]), interval=interval_of(values[1:]))


def text_of(tokens: int) -> str:
    """Return a question of about so many tokens, which differs from the others."""
    words = ("why", "does", "the", "second", "report", "of", "the", "warehouse", "differ", "from", "what", "was", "ordered", "in", "May")
    return " ".join(words[place % len(words)] if place % 7 else f"{words[place % len(words)]}{place}" for place in range(tokens))


def long_texts(characters: int = 65_536) -> dict[str, str]:
    """Return long texts of several scripts, of what they have of costly characters."""
    generator = np.random.default_rng(0)

    def drawn(first: int, last: int, *, blanks: bool) -> str:
        codes = generator.integers(first, last + 1, characters)
        if blanks:
            codes[generator.random(characters) < 1 / 7] = ord(" ")
        return "".join(map(chr, codes.tolist()))

    return {
        "English": (text_of(20_000) * 2)[:characters],
        "Cyrillic": drawn(0x430, 0x44F, blanks=True),
        "Arabic": drawn(0x621, 0x64A, blanks=True),
        "Devanagari": drawn(0x904, 0x94D, blanks=True),
        "Thai": drawn(0xE01, 0xE3A, blanks=False),
        "Chinese": drawn(0x4E00, 0x9FFF, blanks=False),
        "Korean": drawn(0xAC00, 0xD7A3, blanks=False),
        "emoji": drawn(0x1F300, 0x1F64F, blanks=False),
        "compatibility": "\ufdfa" * characters,
        "marks": "e\u0301\u0323" * (characters // 3),
        "anything": drawn(0x20, 0xFFFF, blanks=False),
    }


def microseconds(scorer: Scorer, texts: Sequence[str], *, repeats: int = 60) -> float:
    """Return the time of one score of a text that is new, two models: the least of some runs, which others disturb."""
    models = {
        ModelName("fast"): ModelSpec(prices=Prices(input=0.25, output=2.0)),
        ModelName("strong"): ModelSpec(prices=Prices(input=3.0, output=15.0)),
    }
    questions = [Question(text=text, turn=1) for text in texts]
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        for question in questions:
            scorer.score(question, models)
        best = min(best, (time.perf_counter() - began) / len(questions))
    return best * 1e6


def scorers() -> dict[str, Scorer]:
    """Return what is timed."""
    prior = PriorScorer(StaticEmbedder())
    # Any limits: the work is the same.
    return {PRIOR: prior, LEXICAL: LexicalScorer(), GUARDED: GuardedScorer(prior, limits=LEXICAL_LIMITS)}
