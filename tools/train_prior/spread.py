"""How far off a prior is for families of tasks, and for models, that it has never seen.

Each family is left out, and with it, one after the other, each lineage of models: what is then said of these models on this family is
compared with what came out. The width is a conformal quantile over families (R. Dunn, L. Wasserman, A. Ramdas, "Distribution-free
prediction sets for two-layer hierarchical models", 2023, pooling of distribution functions): families are what is exchangeable, not
questions, and there are few of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

import numpy as np

from session_router.scorers.prior_model import LEAST_RELATIVE_PRICE, Prior
from train_prior.training import train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from session_router.ports import Embedder
    from train_prior.outcomes import Outcomes

COVERAGE: Final = 0.8
"""With six families nothing above 6 / 7 can be promised of a seventh."""

LEAST_IN_A_CELL: Final = 20
"""Scores; the share of fewer is mostly chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One model on one data set, neither of which was seen.

    Attributes:
        family: That the data set belongs to.
        dataset: Its name.
        model: The model's name.
        questions: How many there were.
        served: Share that was served.
        logits: What the prior said of each, as log odds.
    """

    family: str
    dataset: str
    model: str
    questions: int
    served: float
    logits: NDArray[np.float64]

    @property
    def predicted(self) -> float:
        """Mean of the chances."""
        return float(_chances(self.logits).mean())

    @property
    def distance(self) -> float:
        """Between the log odds of what was said and of what came out."""
        came = (self.served * self.questions + 0.5) / (self.questions + 1)
        return abs(_log_odds(came) - _log_odds(self.predicted))

    def covered(self, spread: float) -> bool:
        """Whether the share that was served lies between the mean ends of the intervals."""
        low, high = self.ends(spread)
        return low <= self.served <= high

    def ends(self, spread: float) -> tuple[float, float]:
        """Return the mean ends of the intervals."""
        return float(_chances(self.logits - spread).mean()), float(_chances(self.logits + spread).mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What an interval from the other families holds of one that was left out.

    Attributes:
        family: The one.
        cells: How many of its models and data sets there are.
        spread: Half width of the interval, in log odds.
        covered: Share of the cells that it holds, in [0, 1].
        width: Its mean width, in [0, 1].
    """

    family: str
    cells: int
    spread: float
    covered: float
    width: float


def logits_left_out(
    outcomes: Outcomes, embedder: Embedder, tell: Callable[[str], None] = lambda _: None
) -> tuple[NDArray[np.float64], dict[str, Prior]]:
    """Predict every score by a prior that has seen neither its family nor its lineage.

    Returns:
        Log odds of each score; and the priors that have seen all but a family, by its name.
    """
    families, lineages = outcomes.families[outcomes.asked], outcomes.lineages
    logits = np.full(len(outcomes.scores), np.nan)
    without: dict[str, Prior] = {}
    for family in np.unique(families):
        without[str(family)] = train(outcomes, embedder, families != family)
        for lineage in np.unique(lineages[families == family]):
            prior = train(outcomes, embedder, (families != family) & (lineages != lineage))
            asked = (families == family) & (lineages == lineage)
            logits[asked] = logits_of(prior, outcomes, asked)
        tell(f"left out {family}")
    return logits, without


def logits_of(prior: Prior, outcomes: Outcomes, asked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return what `prior` says of some of the scores, as log odds."""
    difficulties = prior.difficulties(outcomes.vectors, outcomes.features)[outcomes.asked[asked]]
    prices = np.maximum(outcomes.relative_prices[asked], LEAST_RELATIVE_PRICE)
    return np.asarray(
        prior.level - difficulties * prior.harder + prices * (prior.price + difficulties * prior.interaction), dtype=np.float64
    )


def cells_of(outcomes: Outcomes, logits: NDArray[np.float64]) -> list[Cell]:
    """Return the cells with scores enough, in order."""
    return list(_cells(outcomes, logits))


def _cells(outcomes: Outcomes, logits: NDArray[np.float64]) -> Iterator[Cell]:
    datasets, places = np.unique(outcomes.datasets, return_inverse=True)
    keys = places[outcomes.asked] * len(outcomes.models) + outcomes.answered
    order = np.argsort(keys, kind="stable")
    ends = np.flatnonzero(np.diff(keys[order])) + 1
    for members in np.split(order, ends):
        if len(members) >= LEAST_IN_A_CELL:
            first = members[0]
            yield Cell(
                family=str(outcomes.families[outcomes.asked[first]]),
                dataset=str(datasets[places[outcomes.asked[first]]]),
                model=outcomes.models[outcomes.answered[first]].name,
                questions=len(members),
                served=float(outcomes.scores[members].mean()),
                logits=logits[members],
            )


def spread_of(cells: Sequence[Cell], *, coverage: float = COVERAGE) -> float:
    """Return the half width that holds a cell of one more family with a chance of at least `coverage`, as far as families are alike.

    Every family has the same weight, and so has the one to come, which may be as far off as can be; infinite where there are too few.
    """
    families = sorted({cell.family for cell in cells})
    distances = {family: np.sort([cell.distance for cell in cells if cell.family == family]) for family in families}
    candidates = np.unique(np.concatenate(list(distances.values()))) if families else np.array([])
    shares = [np.searchsorted(own, candidates, side="right") / len(own) for own in distances.values()]
    pooled = np.sum(shares, axis=0) / (len(families) + 1)
    enough = np.flatnonzero(pooled >= coverage - 1e-12)
    return float(candidates[enough[0]]) if len(enough) else inf


def coverages(cells: Sequence[Cell], *, coverage: float = COVERAGE) -> list[Coverage]:
    """Return, for every family, what an interval from the others holds of it."""
    found: list[Coverage] = []
    for family in sorted({cell.family for cell in cells}):
        own = [cell for cell in cells if cell.family == family]
        spread = spread_of([cell for cell in cells if cell.family != family], coverage=coverage)
        widths = [high - low for low, high in (cell.ends(spread) for cell in own)]
        found.append(
            Coverage(
                family=family,
                cells=len(own),
                spread=spread,
                covered=_mean(cell.covered(spread) for cell in own),
                width=_mean(widths),
            )
        )
    return found


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _log_odds(share: float) -> float:
    return float(np.log(share) - np.log1p(-share))


def _chances(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float64)
