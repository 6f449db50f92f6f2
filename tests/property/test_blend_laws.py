"""Laws of the blend: it lies between its parts; and of neighbours: it matters who is near, not who comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.scorers.features import FEATURES
from session_router.scorers.predictors import BlendPredictor, LogisticPredictor, NeighbourPredictor, Scaling, quantised

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIMENSION, MODELS = 6, 3


def neighbours_of(noise: np.random.Generator, outcomes: int, *, distinct: int) -> NeighbourPredictor:
    """Return outcomes of which many have the same vector."""
    vectors = noise.normal(size=(distinct, DIMENSION)).astype(np.float32)[noise.integers(distinct, size=outcomes)]
    whole, scales = quantised(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    served = noise.integers(-1, 2, size=(MODELS, outcomes)).astype(np.int8)
    return NeighbourPredictor(vectors=whole, scales=scales, served=served, nearest=int(noise.integers(1, outcomes + 1)))


def line_of(noise: np.random.Generator) -> LogisticPredictor:
    features = noise.random((20, len(FEATURES)))
    weights = noise.normal(size=(MODELS, DIMENSION + len(FEATURES))).astype(np.float32)
    return LogisticPredictor(scaling=Scaling.of(features), weights=weights, intercepts=noise.normal(size=MODELS).astype(np.float32))


def asked_of(noise: np.random.Generator, rows: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    vectors = noise.normal(size=(rows, DIMENSION)).astype(np.float32)
    vectors[0] = 0  # an empty text
    return vectors, noise.random((rows, len(FEATURES)))


@given(seed=st.integers(0, 2**32), outcomes=st.integers(1, 40))
def test_a_blend_lies_between_its_parts_in_log_odds(seed: int, outcomes: int) -> None:
    noise = np.random.default_rng(seed)
    blend = BlendPredictor(line=line_of(noise), neighbours=neighbours_of(noise, outcomes, distinct=10))
    asked = asked_of(noise, 5)
    line, neighbours, both = (part.logits(*asked) for part in (blend.line, blend.neighbours, blend))
    assert (np.minimum(line, neighbours) <= both).all()
    assert (both <= np.maximum(line, neighbours)).all()
    assert both == pytest.approx((line + neighbours) / 2)


@given(seed=st.integers(0, 2**32), outcomes=st.integers(1, 40))
def test_the_order_of_outcomes_does_not_matter_even_where_many_are_equally_near(seed: int, outcomes: int) -> None:
    noise = np.random.default_rng(seed)
    one = neighbours_of(noise, outcomes, distinct=3)
    asked = asked_of(noise, 4)
    order = noise.permutation(outcomes)
    other = NeighbourPredictor(vectors=one.vectors[order], scales=one.scales[order], served=one.served[:, order], nearest=one.nearest)
    assert one.logits(*asked) == pytest.approx(other.logits(*asked), abs=1e-12)


def test_who_takes_the_first_of_the_equally_near_depends_on_the_order() -> None:
    """The broken variant, on outcomes with the same vector: the law above would find it."""
    served = np.array([[1, 1, 0, 0]], dtype=np.int8)
    similarities = np.zeros((1, 4), dtype=np.float32)

    def first(outcomes: NDArray[np.int8]) -> float:
        return float(outcomes[0, np.argsort(-similarities[0], kind="stable")[:2]].mean())

    assert first(served) != first(served[:, ::-1])
    shares: list[float] = []
    for turned in (served, served[:, ::-1]):
        equal = NeighbourPredictor(vectors=np.ones((4, 2), dtype=np.int8), scales=np.ones(4, dtype=np.float32), served=turned, nearest=2)
        shares.append(float(equal.log_odds(similarities, 2)[0, 0]))
    assert shares == [0.0, 0.0]  # even odds: half of the four were served


@given(seed=st.integers(0, 2**32), dimension=st.sampled_from([1, 7, 256, 1536, 4096]))
def test_what_is_near_is_reckoned_without_rounding(seed: int, dimension: int) -> None:
    """So that no order of adding, and no other question in the batch, can change who is near."""
    noise = np.random.default_rng(seed)
    whole = noise.choice(np.array([-127, 127], dtype=np.int8), size=(5, dimension))
    scales = np.ones(5, dtype=np.float32)
    one = NeighbourPredictor(vectors=whole, scales=scales, served=np.ones((1, 5), dtype=np.int8), nearest=1)
    asked = np.sign(noise.normal(size=(9, dimension))).astype(np.float32)
    together = one.similarities(asked)
    alone = np.concatenate([one.similarities(row[None, :]) for row in asked])
    order = noise.permutation(dimension)
    turned = NeighbourPredictor(vectors=whole[:, order], scales=scales, served=one.served, nearest=1)
    assert (together == alone).all()
    assert (together == turned.similarities(asked[:, order])).all()


def test_an_empty_text_has_the_share_of_all() -> None:
    noise = np.random.default_rng(5)
    one = neighbours_of(noise, 30, distinct=30)
    empty = one.logits(np.zeros((1, DIMENSION), dtype=np.float32), np.zeros((1, len(FEATURES))))[0]
    known = one.served != -1
    share = (one.served == 1).sum(axis=1) / known.sum(axis=1)
    assert 1 / (1 + np.exp(-empty)) == pytest.approx(share, abs=0.05)
