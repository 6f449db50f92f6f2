"""A server that fails is left alone, and asked again soon after it came back, by one at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from session_router.stores.breaker import Breaker, BreakerSettings, BreakerState

SETTINGS = BreakerSettings()


def broken(at: float = 0.0, *, share: float = 1.0) -> Breaker:
    breaker = Breaker(share=lambda: share)
    for _ in range(SETTINGS.failures):
        assert breaker.admits(at)
        breaker.failed(at)
    return breaker


def test_it_opens_after_five_failures_in_ten_seconds() -> None:
    breaker = Breaker()
    for number in range(SETTINGS.failures - 1):
        breaker.failed(float(number))
        assert breaker.admits(float(number))
    breaker.failed(9.9)
    assert breaker.state is BreakerState.OPEN
    assert not breaker.admits(9.9)


def test_failures_that_are_long_ago_do_not_count() -> None:
    breaker = Breaker()
    for number in range(20):
        breaker.failed(3.0 * number)
        assert breaker.admits(3.0 * number)


def test_a_server_that_mostly_answers_stays_in_use() -> None:
    breaker = Breaker()
    for number in range(1_000):
        breaker.failed(number * 0.001)
        breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED


def test_after_the_pause_one_asks_and_nobody_else() -> None:
    breaker = broken()
    assert not breaker.admits(0.99)
    assert breaker.admits(1.0)
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.admits(1.0)


def test_an_answer_closes_it_and_a_failure_makes_the_pause_longer() -> None:
    breaker = broken()
    assert breaker.admits(1.0)
    breaker.failed(1.05)
    assert breaker.state is BreakerState.OPEN
    assert not breaker.admits(3.0)
    assert breaker.admits(3.06)
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    assert all(breaker.admits(3.06) for _ in range(100))


def test_who_never_tells_does_not_keep_it_shut() -> None:
    breaker = broken()
    assert breaker.admits(1.0)
    assert not breaker.admits(2.9)
    assert breaker.admits(3.1)


def test_late_news_of_a_failure_changes_nothing() -> None:
    breaker = broken()
    for _ in range(50):
        breaker.failed(0.5)
    assert breaker.admits(1.0)


@given(st.lists(st.floats(min_value=0, max_value=0.999), min_size=60, max_size=60))
def test_it_is_asked_again_within_ten_seconds_however_long_it_was_gone(shares: list[float]) -> None:
    drawn = iter(shares)
    breaker = Breaker(share=lambda: next(drawn, 0.5))
    for _ in range(SETTINGS.failures):
        breaker.failed(0.0)
    now = last = 0.0
    while now < 120.0:
        now += 0.05
        if breaker.admits(now):
            assert now - last <= SETTINGS.longest_pause_seconds + 0.1 < 10.0
            breaker.failed(now)
            last = now


def test_replicas_that_failed_together_come_back_apart() -> None:
    shares = [number / 100 for number in range(100)]
    returned = []
    for share in shares:
        breaker = broken(share=share)
        now = 0.0
        while not breaker.admits(now):
            now += 0.001
        returned.append(round(now, 3))
    assert len(set(returned)) > 90
    assert (min(returned), max(returned)) == (0.5, 0.995)
