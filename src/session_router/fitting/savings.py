"""What choosing by certificates would have cost, on outcomes that nothing was fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from session_router.scorers.predictors import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from session_router.core.risk import Certificate

_COMMON = 0.5  # share of the reference's questions for which a model's outcome and cost are known


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """One way to choose.

    Attributes:
        dollars: Mean US dollars of a segment.
        served: Share of segments that was served well.
        under_served: Share that was not, and would have been by the reference.
        downgraded: Share that another model than the reference served.
    """

    dollars: float
    served: float
    under_served: float
    downgraded: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """Three ways to choose, over the same held-out questions.

    Attributes:
        questions: Their number: those whose outcomes and costs are known for every model that is chosen from.
        reference: Always the reference.
        certified: The cheapest model that is certified for the question, else the reference.
        oracle: The cheapest model that served it well, where any did; the cheapest where none did. It knows what nobody can know.
    """

    questions: int
    reference: Bill
    certified: Bill
    oracle: Bill


def savings_of(
    served: NDArray[np.int8],
    dollars: NDArray[np.float64],
    chances: NDArray[np.float64],
    certificates: Sequence[Certificate | None],
    *,
    reference: int,
) -> Savings | None:
    """Compare.

    Args:
        served: 1, 0 or `UNKNOWN`, shape (models, questions).
        dollars: NaN where not known, shape (models, questions).
        chances: What the fit says, shape (models, questions).
        certificates: Of each model.
        reference: Which model the certificates speak of.

    Returns:
        `None` where the cost of the reference, or of everything else, is not known.
    """
    known = ~np.isnan(dollars)
    asked = served != UNKNOWN
    # Whose cost is not known, or who was asked seldom, is not chosen from: or hardly any question would be left.
    shares = (known & asked)[:, asked[reference]].mean(axis=1) if asked[reference].any() else np.zeros(len(served))
    common = [model for model in range(len(served)) if shares[model] >= _COMMON]
    if reference not in common or len(common) < 2:  # noqa: PLR2004 -- a choice
        return None
    there = (known & asked)[common].all(axis=0)
    if not there.any():
        return None
    served, dollars, chances = served[common][:, there], dollars[common][:, there], chances[common][:, there]
    home, means = common.index(reference), dollars.mean(axis=1)
    chosen = np.full(served.shape[1], home)
    # From the dearest to the cheapest, so that the cheapest is what is left.
    for place in sorted(range(len(common)), key=lambda one: -float(means[one])):
        certificate = certificates[common[place]]
        if certificate is not None and place != home and means[place] < means[home]:
            chosen[chances[place] >= certificate.least_chance] = place
    cheapest_served = np.where(served == 1, dollars, np.inf).argmin(axis=0)
    oracle = np.asarray(np.where((served == 1).any(axis=0), cheapest_served, dollars.argmin(axis=0)), dtype=np.intp)
    always = np.full(served.shape[1], home)
    return Savings(
        questions=served.shape[1],
        reference=_bill(served, dollars, always, home),
        certified=_bill(served, dollars, chosen, home),
        oracle=_bill(served, dollars, oracle, home),
    )


def _bill(served: NDArray[np.int8], dollars: NDArray[np.float64], chosen: NDArray[np.intp], home: int) -> Bill:
    questions = np.arange(served.shape[1], dtype=np.intp)
    well = served[chosen, questions] == 1
    return Bill(
        dollars=float(dollars[chosen, questions].mean()),
        served=float(well.mean()),
        under_served=float((~well & (served[home] == 1)).mean()),
        downgraded=float((chosen != home).mean()),
    )
