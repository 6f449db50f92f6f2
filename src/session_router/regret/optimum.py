"""The cheapest routing of a recorded session that its locks allow, knowing the whole session.

The stages are *runs*: calls that one model serves without a chance to change. A run is a segment, or a part of one where
some model could not go on: governance outranks locks, and so does a request that has outgrown a model. The state is the model
of the last run and the last visit of each model, as far as it can still save something.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, TypeAlias

from session_router.core.hindsight import cheapest_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from session_router.core.hindsight import Path
    from session_router.core.model import ModelName
    from session_router.regret.accounting import SessionCosts
    from session_router.regret.bill import Terms

_State: TypeAlias = "tuple[int, ModelName | None, tuple[int, ...]]"
"""The run to come, the model of the run before it, and for each model the run of its last visit, or `_NEVER`."""

_NEVER = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Calls that one model serves without a chance to change.

    Attributes:
        first: Its first call.
        last: Its last call.
        held: Whether a lock holds at its first call: the model before it stays if it is eligible.
        eligible: Who can serve all of it.
    """

    first: int
    last: int
    held: bool
    eligible: tuple[ModelName, ...]


def runs_of(costs: SessionCosts) -> list[Run]:
    """Cut a session at its boundaries, and wherever a model is no longer eligible."""
    calls = costs.calls
    starts = [
        index
        for index, call in enumerate(calls)
        if index == 0 or not call.locked or not set(calls[index - 1].eligible) <= set(call.eligible)
    ]
    ends = [*(start - 1 for start in starts[1:]), len(calls) - 1]
    return [
        Run(first=first, last=last, held=calls[first].locked, eligible=calls[first].eligible)
        for first, last in zip(starts, ends, strict=False)
    ]


class Hindsight:
    """Finds the optimum of one session; costs that do not depend on the terms are computed once.

    Args:
        costs: Those of the session.

    Attributes:
        runs: The stages.
    """

    def __init__(self, costs: SessionCosts) -> None:
        self._costs = costs
        self._models = costs.models
        self.runs: Sequence[Run] = runs_of(costs)
        self._later = [{name: self._later_calls(run, name) for name in run.eligible} for run in self.runs]
        self._lasts: dict[tuple[ModelName, int], int] = {}
        self._gaps: dict[tuple[int, ModelName, int, int], float] = {}

    def routing(self, terms: Terms) -> tuple[ModelName, ...]:
        """Return the model of each call."""
        path = self.path(terms)
        return tuple(name for run, name in zip(self.runs, path.choices, strict=True) for _ in range(run.first, run.last + 1))

    def path(self, terms: Terms) -> Path[ModelName]:
        """Return the model of each run; `total` is that of the bill of `routing`."""
        risks = [self._risks(run, terms.stake) for run in self.runs]

        def moves(number: int, state: _State) -> Iterator[tuple[ModelName, float, _State]]:
            _, current, visits = state
            later, risk = self._later[number], risks[number]
            for name in self._open(number, current):
                place = self._models.index(name)
                dollars = self._first(number, name, visits[place]) + later[name] + risk[name]
                if current is not None and name != current:
                    dollars += terms.handoff
                yield name, dollars, (number + 1, name, self._moved(visits, place, number))

        def worth(better: _State, other: _State) -> float:
            number, extra = better[0], 0.0
            if better[1] != other[1]:
                if number < len(self.runs) and self.runs[number].held:
                    return inf
                extra = terms.handoff
            for name, visit, wanted in zip(self._models, better[2], other[2], strict=True):
                if visit != wanted:
                    extra += self._gap(number, name, visit, wanted)
            return extra

        start: _State = (0, None, (_NEVER,) * len(self._models))
        return cheapest_path(range(len(self.runs)), start, moves, worth=worth, remaining=self._remaining(terms, risks))

    def _open(self, number: int, current: ModelName | None) -> Sequence[ModelName]:
        """Name whom the run may go to; the current model first, so that it wins ties."""
        run = self.runs[number]
        if current is None or current not in run.eligible:
            return run.eligible
        return (current,) if run.held else (current, *(name for name in run.eligible if name != current))

    def _moved(self, visits: tuple[int, ...], place: int, number: int) -> tuple[int, ...]:
        """Return the visits after run `number` on the model at `place`, without those that can no longer save anything."""
        return tuple(
            visit if visit != _NEVER and self._last(name, visit) > number else _NEVER
            for name, visit in zip(self._models, (*visits[:place], number, *visits[place + 1 :]), strict=True)
        )

    def _first(self, number: int, name: ModelName, visit: int) -> float:
        return self._costs.dollars(self.runs[number].first, name, None if visit == _NEVER else self.runs[visit].last)

    def _later_calls(self, run: Run, name: ModelName) -> float:
        return sum(self._costs.dollars(call, name, call - 1) for call in range(run.first + 1, run.last + 1))

    def _risks(self, run: Run, stake: float) -> dict[ModelName, float]:
        call = self._costs.calls[run.first]
        chances = call.chances if call.opens else {}
        return {name: stake * (1 - chances[name]) if chances else 0.0 for name in run.eligible}

    def _saved(self, number: int, name: ModelName, visit: int) -> float:
        """Return what the visit saves when run `number` is the next on this model."""
        if visit == _NEVER or name not in self.runs[number].eligible:
            return 0.0
        return self._first(number, name, _NEVER) - self._first(number, name, visit)

    def _last(self, name: ModelName, visit: int) -> int:
        """Return the last run at which the visit changes the price; the visit's own when there is none."""
        if (known := self._lasts.get((name, visit))) is not None:
            return known
        last, costs = visit, self._costs
        for number in range(visit + 1, len(self.runs)):
            if not costs.lives_until(name, self.runs[visit].last, self.runs[number].first):
                break
            if self._saved(number, name, visit):
                last = number
        self._lasts[name, visit] = last
        return last

    def _gap(self, number: int, name: ModelName, visit: int, wanted: int) -> float:
        """Return the most that having visited at `wanted` instead of `visit` can save at one run, from `number` on."""
        known = self._gaps
        if (found := known.get((number, name, visit, wanted))) is not None:
            return found
        ends = [self._last(name, one) for one in (visit, wanted) if one != _NEVER]
        for at in range(max(ends), number - 1, -1):
            if (at, name, visit, wanted) not in known:
                known[at, name, visit, wanted] = max(
                    known.get((at + 1, name, visit, wanted), 0.0), self._saved(at, name, wanted) - self._saved(at, name, visit)
                )
        return known.setdefault((number, name, visit, wanted), 0.0)

    def _remaining(self, terms: Terms, risks: Sequence[dict[ModelName, float]]) -> Callable[[_State], float]:
        """Return a lower bound: as if every model but the current one had been visited by the run before the last."""
        bounds: list[dict[ModelName, float]] = []

        def remaining(state: _State) -> float:
            if not bounds:
                bounds.extend(self._bounds(terms, risks))
            number, current, _ = state
            assert current is not None  # noqa: S101 -- only the start has none
            return bounds[number][current]

        return remaining

    def _bounds(self, terms: Terms, risks: Sequence[dict[ModelName, float]]) -> list[dict[ModelName, float]]:
        bounds: list[dict[ModelName, float]] = [dict.fromkeys(self._models, 0.0)]
        for number in range(len(self.runs) - 1, 0, -1):
            after, later, risk = bounds[-1], self._later[number], risks[number]
            fixed = {name: later[name] + risk[name] + after[name] for name in self.runs[number].eligible}
            least = {name: self._least(number, name) for name in fixed}
            row: dict[ModelName, float] = {}
            for current in self._models:
                row[current] = min(
                    fixed[name] + (self._first(number, name, number - 1) if name == current else least[name] + terms.handoff)
                    for name in self._open(number, current)
                )
            bounds.append(row)
        bounds.append(dict.fromkeys(self._models, 0.0))  # of the first run, which nobody asks for
        bounds.reverse()
        return bounds

    def _least(self, number: int, name: ModelName) -> float:
        """Return the least that run `number` can cost at its first call, on a model that did not serve the run before it."""
        costs, least = self._costs, self._first(number, name, _NEVER)
        for visit in range(number - 2, _NEVER, -1):
            if not costs.lives_until(name, self.runs[visit].last, self.runs[number].first):
                break
            least = min(least, self._first(number, name, visit))
        return least
