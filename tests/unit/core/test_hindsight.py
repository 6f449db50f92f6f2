from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from session_router.core import hindsight
from session_router.core.hindsight import Path, cheapest_path
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Two models, three stages. "b" is dear to enter and cheap afterwards: only who looks ahead takes it.
ENTER = {"a": 0.0, "b": 5.0}
EACH = {"a": 3.0, "b": 1.0}


def moves(_stage: int, state: str) -> Iterator[tuple[str, float, str]]:
    for name in ("a", "b"):
        yield name, EACH[name] + (ENTER[name] if name != state else 0.0), name


def worth(better: str, other: str) -> float:
    # To be where the other one is costs no more than entering.
    return ENTER[other] if better != other else 0.0


def test_it_looks_ahead() -> None:
    assert cheapest_path(range(2), "a", moves).choices == ("a", "a")
    assert cheapest_path(range(3), "a", moves) == Path(total=8.0, choices=("b", "b", "b"), states=7)


def test_worth_keeps_the_dear_state_that_pays_off_later() -> None:
    exact = cheapest_path(range(3), "a", moves)
    pruned = cheapest_path(range(3), "a", moves, worth=worth)
    assert (pruned.total, pruned.choices, pruned.states) == (exact.total, exact.choices, exact.states - 1)
    too_small = cheapest_path(range(3), "a", moves, worth=lambda a, b: 0.5 * worth(a, b))
    assert (too_small.total, too_small.choices) == (9.0, ("a", "a", "a"))
    assert too_small.states < pruned.states


def test_who_never_pays_off_is_dropped() -> None:
    # As dear to serve as it is to enter.
    def useless(stage: int, state: str) -> Iterator[tuple[str, float, str]]:
        return ((name, dollars + 2.0 * (name == "b"), to) for name, dollars, to in moves(stage, state))

    path = cheapest_path(range(9), "a", useless, worth=lambda a, b: 0.0 if a == "a" else worth(a, b))
    assert path == Path(total=27.0, choices=("a",) * 9, states=10)
    assert cheapest_path(range(9), "a", useless).states == 19


def test_a_state_that_cannot_do_what_the_other_can_drops_nothing() -> None:
    # From "trap" nothing is cheap again, so that it must not drop "free", however cheap it was to get there.
    def doors(stage: int, state: str) -> list[tuple[str, float, str]]:
        if stage == 0:
            return [("jump", 0.0, "trap"), ("walk", 1.0, "free")]
        return [("pay", 9.0, state)] if state == "trap" else [("go", 0.0, state)]

    assert cheapest_path(range(2), "start", doors, worth=lambda a, _: inf if a == "trap" else 0.0).choices == ("walk", "go")
    assert cheapest_path(range(2), "start", doors, worth=lambda *_: 0.0).choices == ("jump", "pay")


def cheapest_later(state: tuple[int, str]) -> float:
    return (3 - state[0]) * min(EACH.values())


def numbered(stage: int, state: tuple[int, str]) -> Iterator[tuple[str, float, tuple[int, str]]]:
    return ((name, dollars, (stage + 1, to)) for name, dollars, to in moves(stage, state[1]))


def test_a_beam_that_misses_the_optimum_only_sets_the_ceiling() -> None:
    with mock.patch.object(hindsight, "BEAM", 1):
        path = cheapest_path(range(3), (0, "a"), numbered, remaining=cheapest_later)
        assert (path.total, path.choices) == (8.0, ("b", "b", "b"))
        # Twice of it is no lower bound, and takes the beam's path for the best.
        wrong = cheapest_path(range(3), (0, "a"), numbered, remaining=lambda state: 10 * cheapest_later(state) * (state[1] == "b"))
        assert wrong.total == 9.0


def test_a_beam_that_ends_in_a_dead_end_is_no_answer() -> None:
    # The best-looking state leads nowhere.
    def doors(stage: int, state: str) -> list[tuple[str, float, str]]:
        if stage == 0:
            return [("jump", 0.0, "dead"), ("walk", 1.0, "alive")]
        return [] if state == "dead" else [("go", 1.0, state)]

    with mock.patch.object(hindsight, "BEAM", 1):
        assert cheapest_path(range(2), "start", doors, remaining=lambda _: 0.0).choices == ("walk", "go")
    with pytest.raises(ConfigurationError, match="stage 1"):
        cheapest_path(range(2), "dead", lambda stage, state: [("on", 0.0, state)] if stage == 0 else [], worth=worth)


def test_of_equal_paths_the_first_is_taken() -> None:
    names = ["x", "y", "z"]

    def equal(_stage: int, _state: str) -> Iterator[tuple[str, float, str]]:
        return ((name, 1.0, name) for name in names)

    for pruning in (None, lambda *_: 0.0):
        assert cheapest_path(range(3), "start", equal, worth=pruning).choices == ("x", "x", "x")
    names.reverse()
    assert cheapest_path(range(3), "start", equal).choices == ("z", "z", "z")


def test_nothing_to_pass_costs_nothing() -> None:
    assert cheapest_path([], "a", moves, worth=worth, remaining=lambda _: 0.0) == Path(total=0.0, choices=(), states=1)
