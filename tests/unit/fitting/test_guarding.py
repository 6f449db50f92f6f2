"""Limits come from texts that nothing was fitted to, and certificates are about the scores that will be used."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from session_router.core.model import ModelName, ModelSpec
from session_router.core.need import Question, alarm_in
from session_router.core.pricing import Prices
from session_router.core.risk import Held, certify
from session_router.fitting import Grade, Graded, fit_outcomes
from session_router.fitting.fit import FitSettings
from session_router.fitting.guarding import guard_texts
from session_router.fitting.report import GuardReport
from session_router.fitting.table import table_of
from session_router.fitting.training import Method
from session_router.scorers.fitted import FittedScorer
from session_router.scorers.windows import LEAST_CHARACTERS
from support.outcomes import EASY, FILLERS, HARD
from support.word_embedder import WordEmbedder

EMBEDDER = WordEmbedder()
FAST, STRONG = ModelName("fast"), ModelName("strong")
MODELS = {FAST: ModelSpec(prices=Prices(input=0.1, output=0.4)), STRONG: ModelSpec(prices=Prices(input=10.0, output=40.0))}
BLOCK = "prove integrate optimise reconcile schedule prove integrate optimise "


def long_outcomes(rows: int, *, seed: int = 0, dollars: tuple[float | None, float | None] = (0.001, 0.01)) -> list[Graded]:
    """Questions long enough for windows; hard ones are hard all over."""
    noise = random.Random(seed)
    graded: list[Graded] = []
    for number in range(rows):
        hard = noise.random() < 0.5
        words = [word for _ in range(6) for word in (noise.choice(HARD if hard else EASY), *noise.choices(FILLERS, k=2))]
        chances = {"fast": 0.2 if hard else 0.97, "strong": 0.9 if hard else 0.97}
        grades = {
            name: Grade(score=float(noise.random() < chance), dollars=cost)
            for (name, chance), cost in zip(chances.items(), dollars, strict=True)
        }
        graded.append(Graded(question=Question(text=f"{' '.join(words)} {number}"), grades=grades))
    return graded


GRADED = long_outcomes(2_400)
FITTED = fit_outcomes(GRADED, EMBEDDER)


def test_limits_come_from_held_out_texts_and_others_certify() -> None:
    table = table_of(GRADED, EMBEDDER, seed=0, prices={})
    columns = guard_texts(table)
    assert not set(columns) & set(table.training)
    assert set(columns) < set(table.held_out)
    report = FITTED.report.guard
    assert isinstance(report, GuardReport)
    assert (report.texts, report.questions) == (len(columns), len(table.held_out) - len(columns))
    assert report.texts <= report.questions / 2 + 1
    certificate = FITTED.report.models[0].certificate
    assert certificate is not None
    assert certificate.segments <= report.questions
    # A split at random would have both kinds in it.
    assert set(table.held_out[::3]) & set(columns)
    assert set(table.held_out[::3]) - set(columns)


def test_what_is_certified_are_the_scores_that_are_used() -> None:
    table = table_of(GRADED, EMBEDDER, seed=0, prices={})
    rows = np.setdiff1d(table.held_out, guard_texts(table))
    guarded, plain = FittedScorer(FITTED.fit, EMBEDDER), FittedScorer(FITTED.fit, EMBEDDER, guard=False)

    def certified_by(scorer: FittedScorer) -> Any:
        served = table.served[:, rows]
        chances = [scorer.score(table.questions[row], MODELS)[FAST].p_success for row in rows]
        held = [
            Held(chance=chance, under_served=bool(fast == 0 and strong == 1))
            for chance, fast, strong in zip(chances, served[0], served[1], strict=True)
            if fast >= 0 and strong >= 0
        ]
        return certify(STRONG, held, alpha=0.1, delta=0.05)

    certificate = FITTED.report.models[0].certificate
    assert certified_by(guarded) == certificate
    # That of the scorer without its guard is another one.
    assert certified_by(plain) != certificate


# Neighbours jump by themselves: with them, the guard sees fewer blocks than it does with a line alone.
@pytest.mark.parametrize(("method", "least"), [(Method.LOGISTIC, 0.9), (Method.BLEND, 0.7)])
def test_the_guard_stops_a_block_and_leaves_its_certificate(method: Method, least: float) -> None:
    fit = fit_outcomes(GRADED, EMBEDDER, settings=FitSettings(method=method)).fit
    guarded, plain = FittedScorer(fit, EMBEDDER), FittedScorer(fit, EMBEDDER, guard=False)
    easy = [one.question.text for one in long_outcomes(60, seed=1) if any(word in one.question.text for word in EASY)]
    assert len(easy) >= 20
    lost, certified, kept, alarms = 0, 0, 0, 0
    for text in easy:
        clean, seen, without = (
            scorer.score(Question(text=one), MODELS) for scorer, one in ((guarded, text), (guarded, BLOCK + text), (plain, BLOCK + text))
        )
        lost += without[FAST].p_success < clean[FAST].p_success - 0.3
        certified += clean[FAST].certificate is not None
        kept += clean[FAST].certificate is not None and seen[FAST].certificate is not None
        alarms += alarm_in(seen.values()) is not None
        # Nobody vouches for scores that were never held against outcomes.
        assert without[FAST].certificate is None
    assert certified >= 10
    assert min(kept / certified, alarms / len(easy)) > least
    assert lost / len(easy) > 0.9


def test_clean_questions_seldom_raise_an_alarm() -> None:
    report = FITTED.report.guard
    assert isinstance(report, GuardReport)
    assert report.alarms <= 0.03
    guarded = FittedScorer(FITTED.fit, EMBEDDER)
    others = [one.question for one in long_outcomes(300, seed=2)]
    assert sum(alarm_in(guarded.score(one, MODELS).values()) is not None for one in others) <= 12


@pytest.mark.parametrize(
    ("graded", "settings", "words"),
    [
        (GRADED[:1_500], FitSettings(), "here are 1"),
        ([replace(one, question=Question(text=one.question.text[: LEAST_CHARACTERS - 1])) for one in GRADED], FitSettings(), "here are 0"),
        (long_outcomes(2_400, dollars=(None, 0.01)), FitSettings(), "no two models are known to differ in cost"),
        (long_outcomes(2_400, dollars=(0.01, 0.01)), FitSettings(), "no two models are known to differ in cost"),
        (GRADED, FitSettings(guard=False), "nobody asked"),
    ],
    ids=["few", "short", "no cost", "one cost", "off"],
)
def test_without_a_guard_it_is_said_why(graded: list[Graded], settings: FitSettings, words: str) -> None:
    fitted = fit_outcomes(graded, EMBEDDER, settings=settings)
    assert fitted.fit.guard is None
    assert isinstance(fitted.report.guard, str)
    assert words in fitted.report.guard
    # All that was held out certifies then.
    assert fitted.report.to_plain()["guard"] == fitted.report.guard


def test_prices_of_the_configuration_say_who_is_dearer() -> None:
    graded = long_outcomes(2_400, dollars=(None, None))
    prices = {"fast": Prices(input=0.1, output=0.4), "strong": Prices(input=10.0, output=40.0)}
    guard = fit_outcomes(graded, EMBEDDER, settings=FitSettings(prices=prices)).fit.guard
    assert guard is not None
    assert guard.costs[FAST] < guard.costs[STRONG]
