"""The cheapest routing of a recorded session that its locks allow, knowing the whole session.

The stages are the session's runs. The state is the model of the last run and the last visit of each model, as far as it can
still change a price.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, TypeAlias

from session_router.core.hindsight import cheapest_path
from session_router.regret.lower_bound import LowerBound
from session_router.regret.returning_bound import ReturningBound
from session_router.regret.runs import NEVER, RunCosts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from session_router.core.hindsight import Path
    from session_router.core.model import ModelName
    from session_router.regret.accounting import SessionCosts
    from session_router.regret.bill import Terms

_State: TypeAlias = "tuple[int, ModelName | None, tuple[int, ...]]"
"""The run to come, the model of the run before it, and for each model the run of its last visit, or `NEVER`."""


class Hindsight:
    """Finds the optimum of one session, under as many terms as one likes.

    Args:
        costs: Those of the session.
    """

    def __init__(self, costs: SessionCosts) -> None:
        self._costs = RunCosts(costs)

    def routing(self, terms: Terms) -> tuple[ModelName, ...]:
        """Return the model of each call."""
        chosen = zip(self._costs.runs, self.path(terms).choices, strict=True)
        return tuple(name for run, name in chosen for _ in range(run.first, run.last + 1))

    def path(self, terms: Terms) -> Path[ModelName]:
        """Return the model of each run; `total` is that of the routing's bill, up to rounding."""
        costs, models = self._costs, self._costs.models

        def moves(number: int, state: _State) -> Iterator[tuple[ModelName, float, _State]]:
            _, current, visits = state
            for name in costs.runs[number].open_to(current):
                place = models.index(name)
                dollars = costs.dollars(number, name, visits[place]) + terms.stake * costs.shortfall(number, name)
                if current is not None and name != current:
                    dollars += terms.handoff
                yield name, dollars, (number + 1, name, self._moved(visits, place, number))

        start: _State = (0, None, (NEVER,) * len(models))
        return cheapest_path(range(len(costs.runs)), start, moves, worth=self._worth(terms), remaining=self._remaining(terms))

    def _moved(self, visits: tuple[int, ...], place: int, number: int) -> tuple[int, ...]:
        """Return the visits after run `number` on the model at `place`, without those that change no price any more."""
        costs, after = self._costs, (*visits[:place], number, *visits[place + 1 :])
        return tuple(
            visit if visit != NEVER and costs.last_use(name, visit) > number else NEVER
            for name, visit in zip(costs.models, after, strict=True)
        )

    def _worth(self, terms: Terms) -> Callable[[_State, _State], float]:
        """Say what a state can ever save: at most its warmth, model by model, and a handoff.

        A session in the other state can make the same choices. It pays more only at its next visit of each model, after which
        both have read the same.
        """
        runs, handoff = self._costs.runs, terms.handoff
        at, gaps = NEVER, self._costs.gaps(0)

        def worth(better: _State, other: _State) -> float:
            nonlocal at, gaps
            number, current, visits = better
            if number != at:  # a stage compares its states with one another, many times
                at, gaps = number, self._costs.gaps(number)
            extra = 0.0
            if current != other[1]:
                if number < len(runs) and runs[number].held:
                    return inf  # a lock forbids it to choose the same
                extra = handoff
            for gap, visit, wanted in zip(gaps, visits, other[2], strict=True):
                if visit != wanted:
                    extra += gap[visit, wanted]
            return extra

        return worth

    def _remaining(self, terms: Terms) -> Callable[[_State], float]:
        """Say what is still to be paid at least: the larger of two bounds. They are worked out when the first is asked for."""
        bounds: tuple[LowerBound, ReturningBound] | None = None

        def remaining(state: _State) -> float:
            nonlocal bounds
            if bounds is None:
                bounds = LowerBound(self._costs, terms), ReturningBound(self._costs, terms)
            number, current, visits = state
            return max(bounds[0].dollars(number, current, visits), bounds[1].dollars(number, current, visits))

        return remaining
