"""Laws of what several replicas know of one model: they hear of its trouble, and one of them tries it out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_router.core.breaker import BreakerState
from session_router.core.health import Failure, FailureKind, HealthRules
from session_router.health import HealthBoard
from support.shared_health import SharedInMemory
from values import FAST, STRONG

RULES = HealthRules()
OVERLOADED = Failure(kind=FailureKind.OVERLOADED)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["fail", "limit", "answer", "try", "hear", "leave", "return"]),
        st.floats(0, 4),
        st.sampled_from([FAST, STRONG]),
    ),
    max_size=80,
)


def boards(number: int, *, shared: bool = True) -> list[HealthBoard]:
    return [HealthBoard(RULES, is_shared=shared, share=lambda: 0.5) for _ in range(number)]


def ill(board: HealthBoard, now: float) -> set[str]:
    view = board.view(now)
    return set() if view is None else set(view.ill)


def probed(board: HealthBoard, now: float) -> set[str]:
    view = board.view(now)
    return set() if view is None else set(view.probed)


def failed(board: HealthBoard, shared: SharedInMemory, now: float, times: int = 1) -> None:
    for _ in range(times):
        shared.drive(board.failed(FAST, OVERLOADED, now))


def test_failures_that_replicas_saw_together_open_it_for_all() -> None:
    shared, (one, other, third) = SharedInMemory(ahead=3_600.0), boards(3)
    failed(one, shared, 100.0, 2)
    failed(other, shared, 100.1, 2)
    assert not ill(one, 100.2) | ill(other, 100.2)
    failed(one, shared, 100.2)
    assert ill(one, 100.3) == {FAST}
    for board in (other, third):
        shared.drive(board.hear(100.3))
        assert ill(board, 100.3) == {FAST}


def test_what_a_provider_asks_of_one_replica_the_others_honour() -> None:
    shared, (one, other) = SharedInMemory(), boards(2)
    shared.drive(one.failed(FAST, Failure(kind=FailureKind.RATE_LIMITED, retry_after=30.0), 100.0))
    shared.drive(other.hear(101.0))
    view = other.view(129.9)
    assert view is not None
    assert view.ill[FAST].until == 130.0
    assert not ill(other, 130.0)


@given(st.integers(2, 6), st.floats(0, 14), st.booleans())
def test_one_tries_it_out_among_replicas_and_its_answer_counts_for_all(replicas: int, later: float, answers: bool) -> None:
    shared, several = SharedInMemory(), boards(replicas)
    failed(several[0], shared, 100.0, 5)
    for board in several:
        shared.drive(board.hear(100.0))
    now = 100.0 + 8.0 + later
    assert all(probed(board, now) == {FAST} for board in several)
    may = [shared.drive(board.try_out(FAST, now)) for board in several]
    assert may.count(True) == 1
    tries = several[may.index(True)]
    if answers:
        shared.drive(tries.answered(FAST, now + 1))
    else:
        failed(tries, shared, now + 1)
    for board in several:
        shared.drive(board.hear(now + 1))
        assert ill(board, now + 1) == (set() if answers else {FAST})
        assert not probed(board, now + 1)


def test_one_that_tries_it_out_and_never_tells_is_followed_by_another_one() -> None:
    shared, (one, other) = SharedInMemory(), boards(2)
    failed(one, shared, 100.0, 5)
    shared.drive(other.hear(100.0))
    assert shared.drive(one.try_out(FAST, 102.0))
    assert not shared.drive(other.try_out(FAST, 102.0 + RULES.probe_seconds - 0.1))
    assert shared.drive(other.try_out(FAST, 102.0 + RULES.probe_seconds))


def test_without_an_answer_of_the_others_what_was_seen_here_counts() -> None:
    shared, (one, other) = SharedInMemory(is_away=True), boards(2)
    failed(one, shared, 100.0, 5)
    assert ill(one, 100.1) == {FAST}
    assert not ill(other, 100.1)
    assert shared.drive(one.try_out(FAST, 102.0))
    assert not shared.drive(one.try_out(FAST, 102.1)), "one at a time, here too"
    shared.drive(one.answered(FAST, 103.0))
    assert not ill(one, 103.0)
    failed(one, shared, 200.0, 5)
    shared.is_away = False
    shared.drive(one.hear(200.1))
    assert ill(one, 200.1) == {FAST}, "what could not be told is still known here"


@settings(max_examples=200)
@given(STEPS, st.booleans())
def test_whatever_happens_every_exclusion_ends_and_no_two_try_at_once(steps: list, is_shared: bool) -> None:  # noqa: C901 -- one branch an event
    shared, several, now = SharedInMemory(ahead=-50.0), boards(3, shared=is_shared), 1_000.0
    tried: dict[str, float] = {}
    was_away = False
    for which, what, seconds, model in steps:
        now += seconds
        board = several[which]
        match what:
            case "fail":
                shared.drive(board.failed(model, OVERLOADED, now))
                tried.pop(model, None)
            case "limit":
                shared.drive(board.failed(model, Failure(kind=FailureKind.RATE_LIMITED, retry_after=2.0), now))
                tried.pop(model, None)
            case "answer":
                shared.drive(board.answered(model, now))
                tried.pop(model, None)
            case "hear":
                shared.drive(board.hear(now))
            case "leave" | "return":
                shared.is_away = what == "leave"
                was_away |= shared.is_away
            case _ if model in probed(board, now) and shared.drive(board.try_out(model, now)):
                if is_shared and not was_away:
                    # As long as it may take, and nobody told anything.
                    assert now >= tried.get(model, 0.0)
                tried[model] = now + RULES.probe_seconds
        for one in several:
            view = one.view(now)
            for exclusion in () if view is None else view.ill.values():
                assert now < exclusion.until <= now + max(RULES.breaker.longest_pause_seconds, RULES.probe_seconds) + 1e-6
                assert exclusion.why


def test_of_two_that_read_the_same_row_one_may() -> None:
    shared, (one, other) = SharedInMemory(), boards(2)
    failed(one, shared, 100.0, 5)
    shared.drive(other.hear(100.0))
    first, second = one.try_out(FAST, 102.0), other.try_out(FAST, 102.0)
    effects = [next(first), next(second)]
    read = [shared.read(102.0) for _ in effects]
    replacing = [first.send(read[0]), second.send(read[1])]
    done = [shared.replace(effect.read, effect.model, effect.health, seconds=1.0) for effect in replacing]
    assert done == [True, False]
    with pytest.raises(StopIteration) as won:
        first.send(done[0])
    again = second.send(done[1])
    with pytest.raises(StopIteration) as lost:
        second.send(shared.read(again.now))
    assert (won.value.value, lost.value.value) == (True, False)
    assert shared.rows[FAST][1].circuit.state is BreakerState.HALF_OPEN
