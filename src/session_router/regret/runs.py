"""A session cut into runs: calls that one model serves without a chance to change.

A run is a segment, or a part of one where some model could not go on: governance outranks locks, and so does a request that
has outgrown a model. Only the first call of a run depends on what its model read before the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        self._savings: dict[tuple[ModelName, int], Sequence[float]] = {}
        self._advantages: dict[tuple[ModelName, int, int], list[float]] = {}
        self._gaps: dict[int, tuple[_Gaps, ...]] = {}

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
        return visit + len(self._saved(name, visit))

    def gaps(self, number: int) -> Sequence[Mapping[tuple[int, int], float]]:
        """Return, for each model, what a later visit than its last would have been worth from run `number` on.

        The key is two runs, `(visit, wanted)`; the value, >= 0, the most dollars that `number` or one run after it costs more if
        the model's last visit before it was `visit` than if it was `wanted`.
        """
        if (known := self._gaps.get(number)) is None:
            known = self._gaps[number] = tuple(_Gaps(self, number, name) for name in self.models)
        return known

    def gap(self, number: int, name: ModelName, visit: int, wanted: int) -> float:
        """Return one of `gaps`."""
        most = self._advantages.get((name, visit, wanted))
        since = max(visit, wanted) + 1
        if most is None:
            had, would = (self._saved(name, one)[since - one - 1 :] if one != NEVER else () for one in (visit, wanted))
            saved = [more - less for more, less in zip_longest(would, had, fillvalue=0.0)]
            most = self._advantages[name, visit, wanted] = list(accumulate(reversed(saved), max, initial=0.0))
        # The last element is the most from run `since` on, the one before it that from the next run on.
        return most[max(0, len(most) - 1 - (number - since))]

    def _first_call(self, number: int, name: ModelName, visit: int) -> float:
        return self._costs.dollars(self.runs[number].first, name, None if visit == NEVER else self.runs[visit].last)

    def _later_calls(self, run: Run, name: ModelName) -> float:
        return sum(self._costs.dollars(call, name, call - 1) for call in range(run.first + 1, run.last + 1))

    def _saved(self, name: ModelName, visit: int) -> Sequence[float]:
        """Return what the visit saves at each run after it, the next one first, up to the last at which it saves anything."""
        if (known := self._savings.get((name, visit))) is None:
            found: list[float] = []
            for number in range(visit + 1, len(self.runs)):
                if not self.lives(name, visit, number):
                    break
                serves = name in self.runs[number].eligible
                found.append(self._first_call(number, name, NEVER) - self._first_call(number, name, visit) if serves else 0.0)
            while found and not found[-1]:
                found.pop()
            known = self._savings[name, visit] = found
        return known


class _Gaps(dict[tuple[int, int], float]):
    """The gaps of one model from one run on, looked up when they are asked for: most never are."""

    def __init__(self, costs: RunCosts, number: int, name: ModelName) -> None:
        super().__init__()
        self._costs, self._number, self._name = costs, number, name

    def __missing__(self, key: tuple[int, int]) -> float:
        self[key] = gap = self._costs.gap(self._number, self._name, *key)
        return gap
