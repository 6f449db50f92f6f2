"""Pauses between tries: short at first, never past the end of patience, and seldom enough for a holder that never lets go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from session_router.files.pauses import LONGEST_SECONDS, SHARE, SHORTEST_SECONDS, pauses

NONE_TO_MUCH = st.floats(0.0, 30.0)
DRAWS = st.floats(0.0, 1.0, exclude_max=True)


class Clock:
    """Stands still until somebody waits."""

    def __init__(self) -> None:
        self.at = 0.0  # sums of pauses are exact

    def __call__(self) -> float:
        return self.at


def waited_through(patience: float, draws: list[float], *, a_try: float = 0.0) -> list[tuple[float, float]]:
    """Wait to the end of patience; return each pause with what was waited before it. A try takes `a_try` seconds."""
    clock, count = Clock(), 0

    def draw() -> float:
        nonlocal count
        count += 1
        return draws[count % len(draws)]

    waits = []
    for pause in pauses(patience, now=clock, draw=draw):
        waits.append((clock.at, pause))
        clock.at += pause + a_try
    return waits


@given(patience=NONE_TO_MUCH, draws=st.lists(DRAWS, min_size=1))
def test_they_end_with_patience_and_not_before(patience: float, draws: list[float]) -> None:
    total = sum(pause for _, pause in waited_through(patience, draws))
    assert abs(total - patience) < 1e-9


@given(patience=NONE_TO_MUCH, draws=st.lists(DRAWS, min_size=1))
def test_nobody_comes_much_later_than_the_holder_lets_go(patience: float, draws: list[float]) -> None:
    for waited, pause in waited_through(patience, draws):
        assert 0 < pause <= min(max(SHORTEST_SECONDS, SHARE * waited), LONGEST_SECONDS)


@given(draws=st.lists(DRAWS, min_size=1))
def test_a_holder_that_never_lets_go_is_asked_seldom(draws: list[float]) -> None:
    assert len(waited_through(5.0, draws)) < 1_100


def test_what_tries_take_counts() -> None:
    waits = waited_through(1.0, [0.0], a_try=0.4)
    assert len(waits) == 3
    assert waits[-1][0] + waits[-1][1] <= 1.0


def test_without_patience_there_are_none() -> None:
    assert waited_through(0.0, [0.5]) == []


def test_two_who_wait_for_one_holder_part() -> None:
    ones, others = (waited_through(0.1, draws) for draws in ([0.1, 0.9], [0.6, 0.3]))
    assert not {waited for waited, _ in ones[1:]} & {waited for waited, _ in others[1:]}
