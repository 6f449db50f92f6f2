"""A lower bound on the rest of a session: a dynamic programme that remembers only who served the last few runs.

Whoever was not among them is taken to have been visited just before, or whenever else would have been best. Every routing then
costs no more than it really does, so that the cheapest of them costs no more than the true optimum.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, TypeAlias

from session_router.regret.runs import NEVER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.core.model import ModelName
    from session_router.regret.bill import Terms
    from session_router.regret.runs import RunCosts

_Memory: TypeAlias = "tuple[ModelName | None, ...]"
"""Who served the last runs, the latest first; `None` for somebody whose visit there changes no price any more."""

LONGEST_MEMORY = 3
LARGEST_STAGE = 1024
"""Moves that are looked at for one run, at most; with many models the memory is shorter."""


class LowerBound:
    """Lower bounds for every run of a session.

    Args:
        costs: Those of its runs.
        terms: What is charged besides.
    """

    def __init__(self, costs: RunCosts, terms: Terms) -> None:
        self._costs, self._terms = costs, terms
        fitting = [length for length in range(1, LONGEST_MEMORY + 1) if (len(costs.models) + 1) ** (length + 1) <= LARGEST_STAGE]
        self._length = max(fitting, default=1)
        memories: list[_Memory] = [
            (current, *before) for current in costs.models for before in product((None, *costs.models), repeat=self._length - 1)
        ]
        # The bounds at the end first, and those before the second run last: nobody asks before the first.
        bounds: list[Mapping[_Memory, float]] = [dict.fromkeys(memories, 0.0)]
        for number in range(len(costs.runs) - 1, 0, -1):
            bounds.append(self._bounds(number, bounds[-1], memories))
        self._bounds_from = list(reversed(bounds))

    def dollars(self, number: int, current: ModelName | None, visits: Sequence[int]) -> float:
        """Return what runs `number`, from 1, to the last cost at least.

        Args:
            number: The run to come.
            current: Who served the run before it.
            visits: For each model the run of its last visit, or `NEVER`.
        """
        served = dict(zip(visits, self._costs.models, strict=True))
        memory = (current, *(served.get(number - ago) for ago in range(2, self._length + 1)))
        return self._bounds_from[number - 1][memory]

    def _bounds(self, number: int, after: Mapping[_Memory, float], memories: Sequence[_Memory]) -> dict[_Memory, float]:
        costs, terms = self._costs, self._terms
        eligible = costs.runs[number].eligible
        risk = {name: terms.stake * costs.shortfall(number, name) for name in eligible}
        forgotten = {name: self._least(number, name) + risk[name] for name in eligible}
        remembered = [
            {name: costs.dollars(number, name, number - ago) + risk[name] for name in eligible}
            for ago in range(1, min(self._length, number) + 1)
        ]
        bounds: dict[_Memory, float] = {}
        for memory in memories:
            least = float("inf")
            for name in costs.runs[number].open_to(memory[0]):
                ago = memory.index(name) if name in memory else self._length
                dollars = remembered[ago][name] if ago < len(remembered) else forgotten[name]
                total = dollars + after[(name, *memory[:-1])] + (terms.handoff if ago else 0.0)
                least = min(least, total)
            bounds[memory] = least
        return bounds

    def _least(self, number: int, name: ModelName) -> float:
        """Return the least that run `number` costs on a model that served none of the runs that are remembered."""
        least = self._costs.dollars(number, name, NEVER)
        for visit in range(number - self._length - 1, NEVER, -1):
            if not self._costs.lives(name, visit, number):
                break
            least = min(least, self._costs.dollars(number, name, visit))
        return least
