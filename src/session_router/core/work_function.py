"""Which model to be on when predictions of success cannot be trusted: the work function algorithm.

The setting is a metrical task system (Borodin, Linial and Saks, J. ACM 39(4), 1992). The states are the models. At each
boundary arrive `costs`, the dollars of the coming segment on each model that has already read everything, and
`arrival`, the dollars of reading the whole prefix cold on a model instead of from its cache, plus its handoff. Moving from i
to j costs arrival[j].

**Why this is a metric.** arrival[j] is (arrival[i] + arrival[j]) / 2 plus (arrival[j] - arrival[i]) / 2; over a session the
second terms add up to (arrival[last] - arrival[first]) / 2, whatever happened in between. The first term is the star metric
d(i, j), with d(i, i) = 0: it is symmetric, and a detour only adds to it.

**The rule.** The work function w(x) is the least that anyone could have paid so far, in hindsight, to be on x now:
w'(x) = min over y of w(y) + costs(y) + d(y, x). From model s, the algorithm goes to the x that minimises w'(x) + d(s, x)
among those with w'(x) = w(x) + costs(x) (Borodin and El-Yaniv, Online Computation and Competitive Analysis, 1998,
chapter 9). These are exactly the x that minimise w(x) + costs(x) + d(s, x), the ones through which w'(s) is reached.

**The guarantee.** For n models, with OPT the cheapest sequence in hindsight from the same start,

    paid <= (2n - 1) * OPT + (3n - 2) * A                A: the largest arrival price

where both sides count segments and arrivals. No deterministic rule has a smaller factor (Borodin, Linial and Saks).
Proof: a step s -> x costs costs(x) + d(s, x) = w'(s) - w(x). Let F = 2 * (sum of all w) - w(s), which starts at 0 or more.
A step raises F by at least what it costs, because w never falls. At the end all w are within d of the least, which is at
most OPT in the metric, so F <= (2n - 1) * OPT + (2n - 2) * A. Going from distances back to arrival prices, for the
algorithm and for OPT, adds at most n * A.

**Assumptions.** Nothing overrules the rule; a cap on what switching may cost does.
`costs` are known at the boundary and 0 or more. Arrival prices may rise, as they do
while the prefix grows: w still never falls and OPT pays at least what w says, so the proof stands, with A the largest
first arrival price plus the largest rise at each boundary. When one model is dearest at first and rises most each time,
that is its last arrival price. So A grows with the prefix: for a growing prefix the second term is no constant.

**When arrival prices fall**, as they do when a summary shortens the history, or when the cache of the current model expires so
that reading everything anew is part of the segment wherever it is served: w is cut down to the new distances. No w falls by more
than the largest fall of an arrival price, so F loses at most 2n times it; going back to arrival prices, a fall adds at most
(2n + 1) times itself to the second term.

**What is not guaranteed.** A model that is still warm arrives for less than `arrival` says; neither the rule nor its OPT knows.
If `costs` are estimates, the bound is about the estimates.

Models come and go. One that is missing in `costs` cannot serve now, as if it cost infinitely much. One that is new was
never served by anyone. One that has no arrival price any more is forgotten, which changes nothing for the others.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from session_router.core.pricing import USD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.model import ModelName


def distance(arrival: Mapping[ModelName, USD], origin: ModelName | None, target: ModelName) -> USD:
    """Dollars of moving from `origin` to `target` in the star metric.

    Args:
        arrival: Dollars of reading the whole prefix cold on each model, plus its handoff.
        origin: Where the session is; `None`, or a model without an arrival price, is the hub of the star.
        target: A model with an arrival price.
    """
    if origin == target:
        return USD(0.0)
    leaving = 0.0 if origin is None else arrival.get(origin, 0.0)
    return USD((leaving + arrival[target]) / 2)


def begun(arrival: Mapping[ModelName, USD], start: ModelName | None) -> dict[ModelName, USD]:
    """Return the work function before anything was served.

    Args:
        arrival: Dollars of reading the whole prefix cold on each model, plus its handoff.
        start: The session's model; `None` when it is on none yet.

    Returns:
        Dollars of getting from `start` to each model of `arrival`.
    """
    return {model: distance(arrival, start, model) for model in arrival}


def advanced(work: Mapping[ModelName, USD], costs: Mapping[ModelName, USD], arrival: Mapping[ModelName, USD]) -> dict[ModelName, USD]:
    """Return the work function after one more segment.

    Args:
        work: The work function so far, shifted by any constant; when it has no model of `arrival`, it begins anew.
        costs: Dollars of the segment on each model that could serve it; at least one.
        arrival: Dollars of reading the whole prefix cold on each model, plus its handoff; has every model of `costs`.

    Returns:
        For each model of `arrival`, dollars above the least: only differences matter, and small numbers stay exact.
    """
    return following(paid(work, costs, arrival), arrival)


def chosen(
    work: Mapping[ModelName, USD],
    costs: Mapping[ModelName, USD],
    arrival: Mapping[ModelName, USD],
    current: ModelName | None,
) -> ModelName:
    """Choose the model of the coming segment.

    Args:
        work: The work function before this segment: what `advanced` takes, not what it returns.
        costs: Dollars of the segment on each model that can serve it; at least one.
        arrival: Dollars of reading the whole prefix cold on each model, plus its handoff; has every model of `costs`.
        current: The session's model; `None` when it is on none yet.

    Returns:
        The model of `costs` with the least work + cost + distance. Ties go to the current model, then to the first name.
    """
    return nearest(paid(work, costs, arrival), arrival, current)


def paid(work: Mapping[ModelName, USD], costs: Mapping[ModelName, USD], arrival: Mapping[ModelName, USD]) -> dict[ModelName, float]:
    """Return the least dollars that anyone could have paid who serves the segment on each model of `costs`; arguments as in `advanced`."""
    return served(_known(work, arrival), costs)


def served(work: Mapping[ModelName, USD], costs: Mapping[ModelName, USD]) -> dict[ModelName, float]:
    """Return what `paid` does for a work function that is known to have no two models further apart than their distance: `begun`'s."""
    return {model: work[model] + cost for model, cost in costs.items()}


def following(dollars: Mapping[ModelName, float], arrival: Mapping[ModelName, USD]) -> dict[ModelName, USD]:
    """Return what `advanced` does, given what `paid` says."""
    reached = _reached(dollars, arrival)
    least = min(reached.values())
    return {model: USD(there - least) for model, there in reached.items()}


def nearest(dollars: Mapping[ModelName, float], arrival: Mapping[ModelName, USD], current: ModelName | None) -> ModelName:
    """Return what `chosen` does, given what `paid` says."""
    return min(dollars, key=lambda model: (dollars[model] + distance(arrival, current, model), model != current, model))


def _known(work: Mapping[ModelName, USD], arrival: Mapping[ModelName, USD]) -> dict[ModelName, USD]:
    """Return `work` for exactly the models of `arrival`; no two of them differ by more than their distance."""
    kept = {model: dollars for model, dollars in work.items() if model in arrival}
    return _reached(kept, arrival) if kept else begun(arrival, None)


def _reached(dollars: Mapping[ModelName, float], arrival: Mapping[ModelName, USD]) -> dict[ModelName, USD]:
    """Return the least dollars of being on each model of `arrival`, coming from one of `dollars`.

    All ways lead over the hub of the star. From a model to itself this is a detour, which costs no less than to stay.
    """
    hub = min([here + arrival[model] / 2 for model, here in dollars.items()])
    return {model: USD(min(dollars.get(model, inf), hub + there / 2)) for model, there in arrival.items()}
