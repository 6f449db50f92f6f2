"""From outcomes to a fit: split, certified, the same again."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from session_router.core.need import Question
from session_router.core.pricing import Prices
from session_router.core.risk import upper_bound
from session_router.errors import ConfigurationError
from session_router.fitting import Grade, Graded, Method, fit_outcomes
from session_router.fitting.calibration import platt
from session_router.fitting.cross_validation import RIDGES
from session_router.fitting.fit import FitSettings
from session_router.fitting.neighbours import COUNTS, cross_look
from session_router.fitting.savings import savings_of
from session_router.fitting.table import Table, table_of
from session_router.fitting.training import train
from session_router.scorers.features import FEATURES
from session_router.scorers.predictors import UNKNOWN, BlendPredictor, quantised
from session_router.scorers.scorer_file import scorer_text
from support.outcomes import made_up
from support.word_embedder import WordEmbedder

EMBEDDER = WordEmbedder()
NOBODY = float("nan")


def graded_of(lines: list[dict[str, Any]]) -> list[Graded]:
    return [
        Graded(
            question=Question(text=line["prompt"]),
            grades={name: Grade(score=one["score"], dollars=one["cost"]) for name, one in line["outcomes"].items()},
        )
        for line in lines
    ]


GRADED = graded_of(made_up(1_200))


@pytest.mark.parametrize("method", list(Method))
def test_it_tells_easy_from_hard_and_certifies_the_easy(method: Method) -> None:
    fitted = fit_outcomes(GRADED, EMBEDDER, settings=FitSettings(method=method))
    fast, strong = fitted.report.models
    assert (fast.model, strong.model, fitted.report.reference) == ("fast", "strong", "strong")
    assert fast.auc is not None
    assert fast.brier is not None
    assert fast.served is not None
    assert fast.auc > 0.8
    assert fast.brier < fast.served * (1 - fast.served) - 0.05
    assert strong.certificate is None
    certificate = fast.certificate
    assert certificate is not None
    assert certificate.bound <= 0.1
    assert certificate.bound == upper_bound(certificate.under_served, certificate.segments, delta=0.05)
    savings = fitted.report.savings
    assert savings is not None
    assert savings.oracle.dollars < savings.certified.dollars < savings.reference.dollars == pytest.approx(0.01)
    assert savings.certified.under_served < 0.1
    assert savings.oracle.served >= savings.reference.served


def test_what_nobody_can_know_is_not_certified() -> None:
    """The same outcomes, given to questions by lot."""
    questions = [one.question for one in GRADED]
    random.Random(0).shuffle(questions)
    mixed = [Graded(question=question, grades=one.grades) for question, one in zip(questions, GRADED, strict=True)]
    fast = fit_outcomes(mixed, EMBEDDER).report.models[0]
    assert fast.certificate is None
    assert fast.auc == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("method", list(Method))
def test_the_same_outcomes_give_the_same_file_byte_for_byte(method: Method) -> None:
    settings = FitSettings(method=method)
    one, other = (scorer_text(fit_outcomes(GRADED[:400], WordEmbedder(), settings=settings).fit) for _ in range(2))
    assert one == other
    assert one != scorer_text(fit_outcomes(GRADED[:400], EMBEDDER, settings=FitSettings(method=method, seed=1)).fit)


def test_the_learning_curve_ends_where_the_fit_is() -> None:
    fast = fit_outcomes(GRADED, EMBEDDER).report.models[0]
    assert [point.share for point in fast.curve] == [0.1, 0.3, 1.0]
    assert [point.outcomes for point in fast.curve] == sorted(point.outcomes for point in fast.curve)
    assert (fast.curve[-1].auc, fast.curve[-1].brier, fast.curve[-1].outcomes) == (fast.auc, fast.brier, fast.fitted)
    assert fast.curve[0].brier > fast.curve[-1].brier


def test_equal_prompts_stay_together_and_are_held_out_once() -> None:
    repeated = [*GRADED[:300], *GRADED[:300]]
    table = table_of(repeated, EMBEDDER, seed=0, prices={})
    prompts = [one.question.text for one in repeated]
    training, held = {prompts[place] for place in table.training}, [prompts[place] for place in table.held_out]
    assert not training & set(held)
    assert len(set(held)) == len(held) == table.repeated
    assert len(training) + len(held) == 300
    # What looks alike is alike.
    twin = Graded(question=Question(text=f"  {prompts[0]}\u200b"), grades=GRADED[0].grades)
    places = table_of([GRADED[0], twin], EMBEDDER, seed=0, prices={}).places
    assert places[0] == places[1]


def test_the_order_of_the_lines_does_not_change_the_split() -> None:
    table, turned = (table_of(graded, EMBEDDER, seed=0, prices={}) for graded in (GRADED[:200], GRADED[:200][::-1]))
    assert {199 - place for place in turned.training} == set(table.training)


def test_a_model_that_is_hardly_known_is_left_out() -> None:
    rare = [Graded(question=one.question, grades={**one.grades, "rare": Grade(score=1.0)}) for one in GRADED[:8]]
    report = fit_outcomes([*rare, *GRADED[8:400]], EMBEDDER).report
    assert [model.model for model in report.models] == ["fast", "strong"]
    assert [name for name, _ in report.left_out] == ["rare"]


def test_outcomes_that_are_missing_are_left_out_of_the_sums() -> None:
    half = [Graded(question=one.question, grades=dict(list(one.grades.items())[: 1 + place % 2])) for place, one in enumerate(GRADED)]
    fast, strong = fit_outcomes(half, EMBEDDER).report.models
    assert fast.fitted > 1.8 * strong.fitted
    assert fast.auc is not None
    assert fast.auc > 0.8


def test_one_that_always_succeeds_has_a_high_chance_everywhere() -> None:
    always = [Graded(question=one.question, grades={"sure": Grade(score=1.0)}) for one in GRADED[:200]]
    fitted = fit_outcomes(always, EMBEDDER)
    chances = fitted.fit.chances(EMBEDDER.embed(["prove it"]), np.zeros((1, len(FEATURES))))
    assert chances.tolist() == [[pytest.approx(0.99, abs=0.01)]]
    assert fitted.report.models[0].auc is None


def test_prices_stand_in_for_costs_that_nobody_noted() -> None:
    without = graded_of(made_up(1_200, costs=False))
    report = fit_outcomes(without, EMBEDDER).report
    assert report.savings is None
    assert report.models[0].dollars is None
    assert report.models[0].certificate is not None  # what it costs is for the router to say
    prices = {"fast": Prices(input=0.25, output=2.0), "strong": Prices(input=3.0, output=15.0)}
    priced = fit_outcomes(without, EMBEDDER, settings=FitSettings(prices=prices)).report
    assert priced.savings is not None
    assert priced.savings.certified.dollars < priced.savings.reference.dollars
    dear = fit_outcomes(without, EMBEDDER, settings=FitSettings(prices={**prices, "fast": Prices(input=9.0, output=99.0)})).report
    assert dear.models[0].certificate is None  # known to be no cheaper


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"alpha": 1.0}, "alpha"),
        ({"alpha": -0.1}, "alpha"),
        ({"alpha": NOBODY}, "alpha"),
        ({"delta": 0.0}, "delta"),
        ({"delta": 1.0}, "delta"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        FitSettings(**settings)
    assert caught.value.key == key


def test_what_cannot_be_fitted_is_said() -> None:
    for graded, settings, key in (
        ([], FitSettings(), "outcomes"),
        (GRADED[:10], FitSettings(), "outcomes"),
        (GRADED[:200], FitSettings(reference="stronk"), "reference"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            fit_outcomes(graded, EMBEDDER, settings=settings)
        assert caught.value.key == key


def test_savings_of_a_case_that_can_be_worked_out() -> None:
    certificate = fit_outcomes(GRADED, EMBEDDER).report.models[0].certificate
    assert certificate is not None
    least = certificate.least_chance
    served = np.array([[1, 0, 0, 1, UNKNOWN], [1, 1, 0, 1, 1]], dtype=np.int8)
    dollars = np.array([[1.0] * 5, [4.0] * 5])
    chances = np.array([[least, 1.0, 0.0, 0.0, 1.0], [1.0] * 5])
    found = savings_of(served, dollars, chances, [certificate, None], reference=1)
    assert found is not None
    assert found.questions == 4
    assert (found.reference.dollars, found.certified.dollars, found.oracle.dollars) == (4.0, 2.5, 1.75)
    assert (found.reference.served, found.certified.served, found.oracle.served) == (0.75, 0.5, 0.75)
    assert (found.certified.under_served, found.certified.downgraded) == (0.25, 0.5)
    assert savings_of(served, np.full((2, 5), np.nan), chances, [certificate, None], reference=1) is None


def test_what_neighbours_say_out_of_fold_has_not_seen_the_fold() -> None:
    vectors = EMBEDDER.embed([one.question.text for one in GRADED[:200]])
    served = np.array([[one.grades["fast"].served for one in GRADED[:200]]], dtype=np.int8)
    folds = np.arange(200) % 4
    # In a fold of its own, so that the share of all others stays what it is.
    turned = np.where(folds == 3, 1 - served, served).astype(np.int8)
    one, other = cross_look(vectors, served, folds), cross_look(vectors, turned, folds)
    if one.predictor.nearest == other.predictor.nearest:
        assert (one.logits[:, folds == 3] == other.logits[:, folds == 3]).all()
    assert (one.logits[:, folds != 3] != other.logits[:, folds != 3]).any()


def mixed_table() -> Table:
    """The same outcomes, given to questions by lot."""
    table = table_of(GRADED, EMBEDDER, seed=0, prices={})
    return replace(table, served=table.served[:, np.random.default_rng(0).permutation(len(GRADED))])


def test_a_blend_is_calibrated_on_what_it_has_not_seen() -> None:
    table = mixed_table()
    trained = train(table, table.training, [0, 1], Method.BLEND)
    seen = table.vectors[table.training], table.features[table.training]
    labels = table.served[0, table.training].astype(np.float64)
    # Both parts know what they were fitted to. Who calibrates on that takes by heart for understood.
    by_heart, _ = platt(trained.predictor.logits(*seen)[:, 0], labels)
    assert trained.slopes[0] < by_heart / 3
    new = trained.chances(table.vectors[table.held_out], table.features[table.held_out])[:, 0]
    assert np.abs(new - labels.mean()).max() < 0.15


def test_a_blend_keeps_some_questions_and_its_line_has_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("session_router.fitting.training.MAXIMUM_OUTCOMES", 100)
    table = table_of(GRADED, EMBEDDER, seed=0, prices={})
    trained = train(table, table.training, [0, 1], Method.BLEND)
    predictor = trained.predictor
    assert isinstance(predictor, BlendPredictor)
    assert len(predictor.neighbours.vectors) == 100
    assert trained.outcomes == (len(table.training),) * 2
    line = train(table, table.training, [0, 1], Method.LOGISTIC)
    assert (predictor.line.weights == line.predictor.weights).all()  # type: ignore[union-attr]
    assert trained.ridges == line.ridges


def test_the_report_names_what_cross_validation_chose() -> None:
    for method in Method:
        report = fit_outcomes(GRADED[:400], EMBEDDER, settings=FitSettings(method=method)).report
        assert (report.nearest in COUNTS) == (method is Method.BLEND)
        assert all(model.ridge in RIDGES for model in report.models)
        plain = report.to_plain()
        assert (plain["method"], plain["nearest"]) == (method.value, report.nearest)


def test_vectors_of_one_byte_a_number_lose_little() -> None:
    vectors = EMBEDDER.embed([one.question.text for one in GRADED[:50]] + [""])
    whole, scales = quantised(vectors)
    assert np.abs(whole * scales[:, None] - vectors).max() < 0.005
    assert not whole[-1].any()
