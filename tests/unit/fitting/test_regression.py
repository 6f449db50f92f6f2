"""The regressions are what scikit-learn finds, and what is said out of fold has not seen its fold."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score

from session_router.fitting.calibration import LEAST_IN_A_BIN, platt, reliability_of
from session_router.fitting.cross_validation import RIDGES, best_ridge, out_of_fold
from session_router.fitting.logistic import fit_line, level_line, too_few
from session_router.fitting.measures import area_under_curve, brier_score, calibration_error
from session_router.fitting.splitting import place_of
from session_router.scorers.predictors import UNKNOWN


def drawn(rows: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows and labels that follow a line, up to chance."""
    generator = np.random.default_rng(seed)
    columns = generator.normal(size=(rows, width))
    logits = columns @ np.linspace(-1, 1, width) + 0.5
    return columns, (generator.random(rows) < 1 / (1 + np.exp(-logits))).astype(float)


def peer(columns: np.ndarray, served: np.ndarray, ridge: float) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(C=1 / ridge, tol=1e-10, max_iter=10_000).fit(columns, served)


@pytest.mark.parametrize("ridge", [0.1, 3.0, 100.0])
@pytest.mark.parametrize(("rows", "width"), [(300, 5), (40, 60)])
def test_a_line_is_that_of_scikit_learn(rows: int, width: int, ridge: float) -> None:
    columns, served = drawn(rows, width)
    ours, theirs = fit_line(columns, served, ridge=ridge), peer(columns, served, ridge)
    assert ours.weights == pytest.approx(theirs.coef_[0], abs=1e-4)
    assert ours.intercept == pytest.approx(theirs.intercept_[0], abs=1e-4)
    # And the test can tell: another ridge gives other weights.
    assert ours.weights != pytest.approx(fit_line(columns, served, ridge=ridge * 2).weights, abs=1e-4)


def test_what_can_be_told_apart_entirely_has_a_finite_line_all_the_same() -> None:
    columns = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    line = fit_line(columns, np.array([0.0, 0.0, 1.0, 1.0]), ridge=0.01)
    assert np.isfinite(line.weights).all()
    assert (line.logits(columns) > 0).tolist() == [False, False, True, True]


def test_all_models_and_ridges_at_once_are_those_of_scikit_learn_one_by_one() -> None:
    columns, served = drawn(200, 8)
    other = drawn(200, 8, seed=1)[1]
    other[::3] = UNKNOWN
    both = np.stack([served, other]).astype(np.int8)
    folds = np.arange(200) % 4
    logits = out_of_fold(columns, both, folds)
    assert logits.shape == (len(RIDGES), 2, 200)
    for place, ridge in enumerate(RIDGES):
        for model in (0, 1):
            inside = (folds != 1) & (both[model] != UNKNOWN)
            theirs = peer(columns[inside], both[model][inside].astype(float), ridge).decision_function(columns[folds == 1])
            assert logits[place, model, folds == 1] == pytest.approx(theirs, abs=0.02)


def test_what_is_said_of_a_fold_does_not_depend_on_its_outcomes() -> None:
    columns, served = drawn(120, 4)
    folds = np.arange(120) % 3
    turned = np.where(folds == 2, 1 - served, served)
    one, other = (out_of_fold(columns, labels[None].astype(np.int8), folds) for labels in (served, turned))
    assert (one[:, :, folds == 2] == other[:, :, folds == 2]).all()
    assert (one[:, :, folds != 2] != other[:, :, folds != 2]).all()


def test_noise_asks_for_a_strong_ridge_and_a_clear_line_for_a_weak_one() -> None:
    columns, served = drawn(400, 6)
    noise = (np.random.default_rng(5).random(400) < 0.5).astype(float)
    folds = np.arange(400) % 5
    chosen = [RIDGES[best_ridge(out_of_fold(columns, labels[None].astype(np.int8), folds)[:, 0], labels)] for labels in (noise, served)]
    assert chosen[0] > chosen[1]


def test_calibration_mends_what_is_too_sure() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=4_000)
    served = (generator.random(4_000) < 1 / (1 + np.exp(-logits))).astype(float)
    slope, intercept = platt(logits * 5 + 2, served)
    assert slope == pytest.approx(0.2, abs=0.02)
    assert intercept == pytest.approx(-0.4, abs=0.1)


def test_what_is_wrong_the_whole_time_counts_for_nothing() -> None:
    served = np.array([0.0, 1.0] * 50)
    slope, intercept = platt(1 - 2 * served, served)
    assert slope == 0.0
    assert intercept == pytest.approx(0.0)


def test_too_few_of_a_kind_say_the_share_and_no_more() -> None:
    served = np.array([1.0] * 30 + [0.0] * 2)
    assert too_few(served)
    assert not too_few(np.array([1.0, 0.0] * 5))
    assert 1 / (1 + np.exp(-level_line(served, width=3).intercept)) == pytest.approx(31 / 34)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.booleans()), min_size=2, max_size=60))
def test_the_measures_are_those_of_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    chances, served = np.array([chance for chance, _ in pairs]), np.array([float(label) for _, label in pairs])
    if 0 < served.sum() < len(served):
        assert area_under_curve(chances, served) == pytest.approx(roc_auc_score(served, chances))
    else:
        assert area_under_curve(chances, served) is None
    assert brier_score(chances, served) == pytest.approx(brier_score_loss(served, chances))


@settings(max_examples=25)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=400))
def test_intervals_hold_what_they_are_around(pairs: list[tuple[float, bool]]) -> None:
    chances, served = np.array([chance for chance, _ in pairs]), np.array([float(label) for _, label in pairs])
    reliability, bins = reliability_of(chances, served)
    assert sum(one.outcomes for one in bins) == len(pairs)
    assert len(reliability.low) == len(reliability.edges) + 1
    for chance in [0.0, 1.0, *chances]:
        low, high = reliability.interval(float(chance))
        assert 0 <= low <= chance <= high <= 1
    for one in bins:
        assert one.low <= one.served <= one.high


def test_more_outcomes_give_more_and_narrower_bins() -> None:
    generator = np.random.default_rng(0)
    chances = generator.random(5_000)
    served = (generator.random(5_000) < chances).astype(float)
    few, many = reliability_of(chances[: LEAST_IN_A_BIN * 2], served[: LEAST_IN_A_BIN * 2])[1], reliability_of(chances, served)[1]
    assert len(few) == 2 < len(many) == 10
    assert max(one.high - one.low for one in many) < min(one.high - one.low for one in few)
    assert calibration_error(many) < 0.03 < calibration_error(reliability_of(chances**3, served)[1])


def test_what_nobody_held_out_is_not_known() -> None:
    reliability, bins = reliability_of(np.array([]), np.array([]))
    assert bins == ()
    assert reliability.interval(0.4) == (0.0, 1.0)


def test_a_place_follows_from_the_text_the_seed_and_the_purpose_alone() -> None:
    texts = [str(number) for number in range(2_000)]
    places = [place_of(text, seed=0, purpose="held out") for text in texts]
    assert places == [place_of(text, seed=0, purpose="held out") for text in texts]
    assert sum(place < 0.3 for place in places) == pytest.approx(600, abs=70)
    for others in (
        [place_of(text, seed=1, purpose="held out") for text in texts],
        [place_of(text, seed=0, purpose="fold") for text in texts],
    ):
        assert abs(np.corrcoef(places, others)[0, 1]) < 0.1
    assert 0 <= place_of("\ud800", seed=0, purpose="fold") < 1
