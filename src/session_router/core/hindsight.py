"""The cheapest sequence of choices, knowing everything that is still to come."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

BEAM = 16
"""States that the first, inexact pass keeps at each stage."""

ROUNDING = 1e-9
"""Relative. By so much the dollars of one path may differ when they are added up in another order."""

Stage = TypeVar("Stage")
State = TypeVar("State", bound=Hashable)
Choice = TypeVar("Choice")

Moves: TypeAlias = Callable[[Stage, State], Iterable[tuple[Choice, float, State]]]

_Step: TypeAlias = "tuple[float, Choice, _Step[Choice] | None]"
"""Dollars so far, the last choice, and the step before it; `None` stands for the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Path(Generic[Choice]):
    """The cheapest way through all stages.

    Attributes:
        total: US dollars.
        choices: One a stage, oldest first.
        states: States that were kept, over all stages: what the search cost.
    """

    total: float
    choices: tuple[Choice, ...]
    states: int


def cheapest_path(
    stages: Sequence[Stage],
    start: State,
    moves: Moves[Stage, State, Choice],
    *,
    worth: Callable[[State, State], float] | None = None,
    remaining: Callable[[State], float] | None = None,
) -> Path[Choice]:
    """Find the cheapest path by a forward dynamic programme (Bellman, "Dynamic Programming", 1957, chapter III).

    The result is exact, with `worth` and `remaining` or without: they only make it faster.

    `worth` lets a state `b` be dropped when a kept state `a` of the same stage is cheaper by `worth(a, b)` or more: whatever
    `b` does next, a session in `a` can do as well, at a surcharge of no more than that.

    `remaining` lets a state be dropped when it cannot end below a path that is known (branch and bound; Land and Doig, "An
    automatic method of solving discrete programming problems", Econometrica 28(3), 1960). A first pass that keeps `BEAM`
    states a stage finds that path.

    Of several cheapest paths the same one is returned whenever `moves` yields in the same order: the first to reach a state
    keeps it.

    Args:
        stages: What has to be passed, oldest first.
        start: The state before the first stage.
        moves: Yields `(choice, dollars, next state)` for each choice that a stage allows in a state; nothing where the state
            is a dead end.
        worth: `worth(a, b)` is an upper bound, >= 0, on the dollars that a session in state `b` can ever save from now on
            against one in state `a`; `inf` where `a` cannot do what `b` can. Where it is too small the result need not be the
            cheapest.
        remaining: A lower bound on the dollars from a state, reached by a move, to the end. Where it is too large the result
            need not be the cheapest.

    Returns:
        The cheapest path.

    Raises:
        ConfigurationError: At some stage every state is a dead end.
    """
    search = _Search(stages, start, moves, worth)
    if remaining is None:
        return search.run()
    try:
        beam = search.run(remaining, width=BEAM)
    except ConfigurationError:
        return search.run()  # what the beam dropped may lead on
    if not search.narrowed:
        return beam
    try:
        return search.run(remaining, ceiling=beam.total + ROUNDING * max(1.0, abs(beam.total)))
    except ConfigurationError:
        return beam  # `remaining` was too large


@dataclass(slots=True)
class _Search(Generic[Stage, State, Choice]):
    stages: Sequence[Stage]
    start: State
    moves: Moves[Stage, State, Choice]
    worth: Callable[[State, State], float] | None
    narrowed: bool = field(default=False, init=False)
    """Whether the last run dropped states that might have led to the cheapest path."""

    def run(self, remaining: Callable[[State], float] | None = None, *, ceiling: float = inf, width: int | None = None) -> Path[Choice]:
        front: Mapping[State, _Step[Choice] | None] = {self.start: None}
        self.narrowed, states = False, 1
        for number, stage in enumerate(self.stages):
            reached = self._reached(stage, front)
            if remaining is not None and ceiling < inf:
                reached = {state: step for state, step in reached.items() if step[0] + remaining(state) <= ceiling}
            if not reached:
                raise ConfigurationError(key="moves", value=f"none at stage {number}", rule="some state must have a move at every stage.")
            kept = reached if self.worth is None else _undominated(reached, self.worth)
            if remaining is not None and width is not None and len(kept) > width:
                self.narrowed = True
                kept = dict(sorted(kept.items(), key=lambda item: item[1][0] + remaining(item[0]))[:width])
            front = kept
            states += len(front)
        return _path(front.values(), states)

    def _reached(self, stage: Stage, front: Mapping[State, _Step[Choice] | None]) -> dict[State, _Step[Choice]]:
        reached: dict[State, _Step[Choice]] = {}
        for state, step in front.items():
            spent = 0.0 if step is None else step[0]
            for choice, dollars, following in self.moves(stage, state):
                total = spent + dollars
                known = reached.get(following)
                if known is None or total < known[0]:
                    reached[following] = (total, choice, step)
        return reached


def _undominated(reached: Mapping[State, _Step[Choice]], worth: Callable[[State, State], float]) -> dict[State, _Step[Choice]]:
    # Worth is never negative, so that only a cheaper state can drop another. The sort is stable.
    kept: dict[State, _Step[Choice]] = {}
    order: list[tuple[State, float]] = []
    for state, step in sorted(reached.items(), key=lambda item: item[1][0]):
        total = step[0]
        for place, (better, least) in enumerate(order):
            if total >= least + worth(better, state):
                # What dropped one state is likely to drop the next.
                order.insert(0, order.pop(place))
                break
        else:
            kept[state] = step
            order.append((state, total))
    return kept


def _path(ends: Iterable[_Step[Choice] | None], states: int) -> Path[Choice]:
    step = min(ends, key=lambda one: 0.0 if one is None else one[0])
    total = 0.0 if step is None else step[0]
    choices: list[Choice] = []
    while step is not None:
        choices.append(step[1])
        step = step[2]
    return Path(total=total, choices=tuple(reversed(choices)), states=states)
