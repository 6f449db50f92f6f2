"""A lower bound on the rest of a session: a dynamic programme that remembers which models are still to be visited.

What a visit leaves cached has a worth: the most that it saves at any one run after it. So a run costs no less than it does with
nothing cached, less the worth that the last visit left. Taken off where it is left, and only if the model is visited again, it
makes no difference when that will be. So nobody needs to remember when a model was visited, but only whether it will be: a
state-space relaxation (Christofides, Mingozzi and Toth, "State-space relaxation procedures for the computation of bounds to
routing problems", Networks 11(2), 1981).

While no cache expires between two visits the bound is nearly exact. Where caches expire, `LowerBound` may be the larger one.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, TypeAlias

from session_router.regret.runs import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_router.core.model import ModelName
    from session_router.regret.bill import Terms
    from session_router.regret.runs import RunCosts

MOST_MODELS = 6
"""Sets of models double with every model; with more of them the bound says nothing."""

_BySet: TypeAlias = "list[float]"
"""US dollars for every set of models. A set is a number whose bit `place` says whether the model at `place` is in it."""


class ReturningBound:
    """Lower bounds for every run of a session.

    Args:
        costs: Those of its runs.
        terms: What is charged besides.
    """

    def __init__(self, costs: RunCosts, terms: Terms) -> None:
        self._costs, self._terms = costs, terms
        self._places = {name: place for place, name in enumerate(costs.models)}
        self._says = len(costs.models) <= MOST_MODELS
        if not self._says:
            return
        runs = len(costs.runs)
        self._worth = [[costs.gap(run + 1, name, NEVER, run) for run in range(runs - 1)] + [0.0] for name in costs.models]
        # From the end on, by the model of the run before: nobody is still to be visited when all is over.
        tables: list[list[_BySet]] = [[[0.0] + [inf] * (2 ** len(costs.models) - 1)] * len(costs.models)]
        for number in range(runs - 1, 0, -1):
            tables.append(self._table(number, tables[-1]))
        self._tables_from = list(reversed(tables))

    def dollars(self, number: int, current: ModelName | None, visits: Sequence[int]) -> float:
        """Return what runs `number`, from 1, to the last cost at least.

        Args:
            number: The run to come.
            current: Who served the run before it.
            visits: For each model the run of its last visit, or `NEVER`.
        """
        if current is None or not self._says:
            return 0.0
        found = [0.0]
        for place, visit in enumerate(visits):
            worth = 0.0 if visit == NEVER else self._worth[place][visit]
            found += [others + worth for others in found]
        by_set = self._tables_from[number - 1][self._places[current]]
        return min(dollars - worth for dollars, worth in zip(by_set, found, strict=True))

    def _table(self, number: int, after: Sequence[_BySet]) -> list[_BySet]:
        """Return the least from run `number` on, by the model of the run before and the set of those still to be visited."""
        run = self._costs.runs[number]
        served = {name: self._served(number, name, after[self._places[name]]) for name in run.eligible}
        table: list[_BySet] = []
        for current in self._costs.models:
            stay_or_go = [
                served[name] if name == current else [dollars + self._terms.handoff for dollars in served[name]]
                for name in run.open_to(current)
            ]
            table.append([min(dollars) for dollars in zip(*stay_or_go, strict=True)])
        return table

    def _served(self, number: int, name: ModelName, after: _BySet) -> _BySet:
        """Return the same if `name` serves run `number`: it is then in the set, and after the run it may be or not."""
        place = self._places[name]
        bit, left = 1 << place, self._worth[place][number]
        dollars = self._costs.dollars(number, name, NEVER) + self._terms.stake * self._costs.shortfall(number, name)
        return [dollars + min(after[to_visit] - left, after[to_visit ^ bit]) if to_visit & bit else inf for to_visit in range(len(after))]
