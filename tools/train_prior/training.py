"""Outcomes -> a prior.

The direction of difficulty is the covariance of what is seen of a text with how often it was not served: what ridge regression
tends to as its penalty grows. It has nothing to tune, and a weaker penalty was no better on families that were left out. Level and
slopes are a logistic regression on difficulty and relative price.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from session_router.scorers.predictors import Scaling
from session_router.scorers.prior_model import HARDEST, Prior
from session_router.scorers.prior_prices import stated_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from session_router.ports import Embedder
    from train_prior.outcomes import Outcomes

FEATURES_COUNT: Final = 0.5
"""Beside the vector, features count half: they are what families differ in, whether or not that makes them hard."""

_DECIMALS: Final = 6  # so that another machine, which adds in another order, writes the same file
_STEPS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Level and slopes of the log odds.

    Attributes:
        level: As in `Prior`.
        harder: As in `Prior`.
        price: As in `Prior`.
        interaction: As in `Prior`.
    """

    level: float
    harder: float
    price: float
    interaction: float


def train(outcomes: Outcomes, embedder: Embedder, counted: NDArray[np.bool_], *, sizes: tuple[float, float] = (1.0, 0.0)) -> Prior:
    """Train on some of the scores; the interval is left at nothing.

    Args:
        outcomes: All.
        embedder: The one that their vectors are of.
        counted: Which scores are trained on, shape (scores,).
        sizes: `dollars` and `exponent` of the prior.
    """
    asked = outcomes.asked[counted]
    questions = len(outcomes.families)
    answers = np.bincount(asked, minlength=questions)
    seen = answers > 0
    served = np.bincount(asked, outcomes.scores[counted], questions)[seen] / answers[seen]
    scaling = Scaling.of(outcomes.features[seen])
    columns = scaling.columns(outcomes.vectors, outcomes.features)
    direction, centre = _direction(columns[seen], served, outcomes.families[seen], dimension=embedder.dimension)
    prior = Prior(
        fingerprint=embedder.fingerprint,
        dimension=embedder.dimension,
        scaling=scaling,
        direction=direction,
        centre=centre,
        level=0.0,
        harder=0.0,
        price=0.0,
        interaction=0.0,
        spread=0.0,
        coverage=0.5,
        dollars=sizes[0],
        exponent=sizes[1],
    )
    difficulties = prior.difficulties(outcomes.vectors, outcomes.features)[asked]
    line = fit_line(difficulties, outcomes.relative_prices[counted], outcomes.scores[counted], weights_of(outcomes, counted))
    return changed(prior, level=line.level, harder=line.harder, price=line.price, interaction=line.interaction)


def changed(prior: Prior, **numbers: float) -> Prior:
    """Return `prior` with other numbers, rounded."""
    return replace(prior, **{name: round(value, _DECIMALS) for name, value in numbers.items()})


def _direction(
    columns: NDArray[np.float64], served: NDArray[np.float64], families: NDArray[np.str_], *, dimension: int
) -> tuple[NDArray[np.float32], float]:
    """Return the direction along which difficulty varies by 1, and the mean of what vectors say along it."""
    names, members, counts = np.unique(families, return_inverse=True, return_counts=True)
    # A family counts as the root of its questions: neither is the smallest as much as the largest, nor next to nothing.
    weights = (1 / np.sqrt(counts))[members]
    weights /= weights.sum()
    scale = np.concatenate([np.ones(dimension), np.full(columns.shape[1] - dimension, FEATURES_COUNT**2)])
    direction = scale * (columns.T @ (weights * (weights @ served - served)))
    said = columns @ direction
    deviation = float(np.sqrt(weights @ np.square(said - weights @ said)))
    if len(names) == 0 or deviation == 0:
        message = "there is nothing to tell difficult texts by"
        raise ValueError(message)
    direction = np.round(direction / deviation, _DECIMALS)
    centre = float(weights @ (columns @ direction))
    return direction.astype(np.float32), round(centre, _DECIMALS)


def weights_of(outcomes: Outcomes, counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the weight of each score: every family counts the same, and in it every model."""
    families = outcomes.families[outcomes.asked[counted]]
    cells, members, counts = np.unique(
        np.char.add(families, outcomes.answered[counted].astype(str)), return_inverse=True, return_counts=True
    )
    first = np.zeros(len(cells), dtype=np.intp)
    first[members] = np.arange(len(members))
    _, own, models = np.unique(families[first], return_inverse=True, return_counts=True)
    return np.asarray(1 / (counts * models[own])[members], dtype=np.float64)


def fit_line(
    difficulties: NDArray[np.float64], prices: NDArray[np.float64], scores: NDArray[np.float64], weights: NDArray[np.float64]
) -> Line:
    """Fit level and slopes; the slope of the relative price is never negative between the easiest and the hardest text.

    Args:
        difficulties: In [-HARDEST, HARDEST], one for each score.
        prices: Relative ones, <= 0.
        scores: In [0, 1].
        weights: > 0.
    """
    point = newton(np.stack([np.ones_like(prices), -difficulties, prices, prices * difficulties], axis=1), scores, weights)
    if abs(point[3]) * HARDEST > point[2]:
        # On the border: no interaction, and if even so dearer models are worse, no slope.
        point = np.append(newton(np.stack([np.ones_like(prices), -difficulties, prices], axis=1), scores, weights), 0.0)
        if point[2] < 0:
            point = np.append(newton(np.stack([np.ones_like(prices), -difficulties], axis=1), scores, weights), [0.0, 0.0])
    return Line(level=float(point[0]), harder=float(point[1]), price=float(point[2]), interaction=float(point[3]))


def newton(columns: NDArray[np.float64], scores: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of a logistic regression on shares, by Newton's method; a faint penalty keeps it finite."""
    point = np.zeros(columns.shape[1])
    penalty = np.full(len(point), 1e-3)
    for _ in range(_STEPS):
        chances = 1 / (1 + np.exp(-np.clip(columns @ point, -30, 30)))
        slope = columns.T @ (weights * (chances - scores)) + penalty * point
        curvature = (columns * (weights * chances * (1 - chances))[:, None]).T @ columns + np.diag(penalty)
        step = np.linalg.solve(curvature, slope)
        point -= step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-10:  # noqa: PLR2004 -- far below what is written
            break
    return point


def prices_of_sizes(listed: Mapping[str, float]) -> tuple[float, float]:
    """Return the price of a model of 1,000,000,000 parameters and the power that prices grow with, by least squares of logarithms.

    Args:
        listed: Prices by name; those whose name states a size count.
    """
    sized = [(size, price) for name, price in listed.items() if (size := stated_size([name.rpartition("/")[2]])) is not None]
    sizes, prices = (np.log(np.array(values)) for values in zip(*sized, strict=True))
    exponent, base = np.polyfit(sizes, prices, 1)
    return round(float(np.exp(base)), _DECIMALS), round(float(exponent), _DECIMALS)
