"""A session cut into runs: calls that one model serves without a chance to change.

A run is a segment, or a part of one where some model could not go on: governance outranks locks, and so does a request that
has outgrown a model. Only the first call of a run depends on what its model read before the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_router.core.model import ModelName
    from session_router.regret.accounting import SessionCosts

NEVER = -1
"""In the place of the run of a visit: there was none, or it changes no price any more."""


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

    def open_to(self, current: ModelName | None) -> Sequence[ModelName]:
        """Name who may serve it after `current`, which comes first, so that it wins ties."""
        if current is None or current not in self.eligible:
            return self.eligible
        return (current,) if self.held else (current, *(name for name in self.eligible if name != current))


def runs_of(costs: SessionCosts) -> list[Run]:
    """Cut a session at its boundaries, and wherever a model is no longer eligible."""
    calls = costs.calls
    starts = [
        index
        for index, call in enumerate(calls)
        if index == 0 or not call.locked or not set(calls[index - 1].eligible) <= set(call.eligible)
    ]
    ends = [start - 1 for start in starts[1:]] + [len(calls) - 1] * bool(starts)
    return [
        Run(first=first, last=last, held=calls[first].locked, eligible=calls[first].eligible)
        for first, last in zip(starts, ends, strict=True)
    ]


class RunCosts:
    """What each run costs on each model, by the run of the model's last visit; each figure is computed once.

    Args:
        costs: Those of the session's calls.

    Attributes:
        models: Every model, in the order of the routes.
        runs: The runs, oldest first.
    """

    def __init__(self, costs: SessionCosts) -> None:
        self._costs = costs
        self.models = costs.models
        self.runs: Sequence[Run] = runs_of(costs)
        self._later = [{name: self._later_calls(run, name) for name in run.eligible} for run in self.runs]
        self._lasts: dict[tuple[ModelName, int], int] = {}
        self._gaps: dict[tuple[int, ModelName, int, int], float] = {}

    def dollars(self, number: int, name: ModelName, visit: int) -> float:
        """Return the price of the calls of run `number` on an eligible model whose last visit was run `visit`."""
        return self._first_call(number, name, visit) + self._later[number][name]

    def shortfall(self, number: int, name: ModelName) -> float:
        """Return the chance that the run's segment is served badly; 0 when it began before the run, or nobody knows."""
        call = self._costs.calls[self.runs[number].first]
        return 1 - call.chances[name] if call.opens and call.chances else 0.0

    def lives(self, name: ModelName, visit: int, number: int) -> bool:
        """Whether run `number`, or any after it, can find cached what was read at run `visit`."""
        return self._costs.lives_until(name, self.runs[visit].last, self.runs[number].first)

    def last_use(self, name: ModelName, visit: int) -> int:
        """Return the last run whose price the visit changes; the visit's own run when there is none."""
        if (known := self._lasts.get((name, visit))) is not None:
            return known
        last = visit
        for number in range(visit + 1, len(self.runs)):
            if not self.lives(name, visit, number):
                break
            if self._saved(number, name, visit):
                last = number
        self._lasts[name, visit] = last
        return last

    def gap(self, number: int, name: ModelName, visit: int, wanted: int) -> float:
        """Return the most dollars, >= 0, that one run, `number` or a later one, costs more after `visit` than after `wanted`."""
        gaps = self._gaps
        if (known := gaps.get((number, name, visit, wanted))) is not None:
            return known
        most = 0.0
        for at in range(max(self.last_use(name, one) for one in (visit, wanted) if one != NEVER), number - 1, -1):
            if (later := gaps.get((at, name, visit, wanted))) is None:
                later = max(most, self._saved(at, name, wanted) - self._saved(at, name, visit))
                gaps[at, name, visit, wanted] = later
            most = later
        return gaps.setdefault((number, name, visit, wanted), most)

    def _first_call(self, number: int, name: ModelName, visit: int) -> float:
        return self._costs.dollars(self.runs[number].first, name, None if visit == NEVER else self.runs[visit].last)

    def _later_calls(self, run: Run, name: ModelName) -> float:
        return sum(self._costs.dollars(call, name, call - 1) for call in range(run.first + 1, run.last + 1))

    def _saved(self, number: int, name: ModelName, visit: int) -> float:
        if visit == NEVER or name not in self.runs[number].eligible:
            return 0.0
        return self._first_call(number, name, NEVER) - self._first_call(number, name, visit)
