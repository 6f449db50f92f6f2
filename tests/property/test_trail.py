"""A trail reads like the tuple that it stands for, however many trails grew from the same beginning."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.trail import Trail

GROWTH = st.lists(st.tuples(st.integers(0, 1_000), st.lists(st.integers(), max_size=4)), max_size=30)


@given(growth=GROWTH, index=st.integers(-40, 40), cut=st.slices(20))
def test_every_branch_reads_like_its_tuple(growth: list[tuple[int, list[int]]], index: int, cut: slice) -> None:
    known: list[tuple[Trail[int], tuple[int, ...]]] = [(Trail(), ())]
    for place, items in growth:
        trail, model = known[place % len(known)]
        known.append((trail.extended(items), (*model, *items)))
    for trail, model in known:
        assert tuple(trail) == model
        assert trail[:] == model
        assert tuple(reversed(trail)) == model[::-1]
        assert trail[cut] == model[cut]
        assert len(trail) == len(model)
        assert bool(trail) is bool(model)
        if -len(model) <= index < len(model):
            assert trail[index] == model[index]
        else:
            with pytest.raises(IndexError):
                trail[index]


@given(one=st.lists(st.integers(0, 2), max_size=3), other=st.lists(st.integers(0, 2), max_size=3))
def test_equality_is_that_of_the_items(one: list[int], other: list[int]) -> None:
    grown = Trail(one[:1]).extended(one[1:])
    assert (grown == Trail(other)) is (one == other)
    assert grown != tuple(one)
    if one == other:
        assert hash(grown) == hash(Trail(other))


def test_threads_that_extend_the_same_trail_do_not_see_one_another() -> None:
    base = Trail(range(5))

    def grow(seed: int) -> tuple[int, tuple[int, ...]]:
        trail = base
        for step in range(200):
            trail = trail.extended([seed * 1_000 + step])
        return seed, trail[:]

    with ThreadPoolExecutor(8) as pool:
        for seed, items in pool.map(grow, range(32)):
            assert items == (*range(5), *(seed * 1_000 + step for step in range(200)))
    assert base[:] == tuple(range(5))


def test_growing_at_the_end_copies_nothing() -> None:
    trail = Trail([object()])
    longer = trail.extended([object()])
    assert longer._items is trail._items
    assert trail.extended([object()])._items is not trail._items
