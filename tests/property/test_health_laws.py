"""Laws of breakers, of what providers ask for, and of the retry budget."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.breaker import CLOSED, BreakerSettings, BreakerState, Circuit
from session_router.core.health import UNKNOWN, Failure, FailureKind, Health, HealthRules, RetryBudget

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["fail", "answer", "ask"]),
        st.floats(0, 5, allow_nan=False),
        st.floats(0, 1, exclude_max=True),
        st.sampled_from([None, 0.0, 0.5, 3.0, 120.0, 1e12, float("nan"), -4.0]),
        st.sampled_from(FailureKind),
    ),
    max_size=60,
)
SETTINGS = st.builds(
    BreakerSettings,
    failures=st.integers(1, 6),
    within_seconds=st.floats(0.1, 20),
    first_pause_seconds=st.floats(0.1, 5),
    longest_pause_seconds=st.floats(5, 60),
    least_share=st.floats(0, 1),
)


def circuits(events: list, settings: BreakerSettings) -> list[tuple[str, float, Circuit, Circuit]]:
    """Play events on a circuit; return each with its time, and the circuit before and after."""
    now, circuit, seen = 1_000.0, CLOSED, []
    for what, seconds, share, _, _ in events:
        now += seconds
        before = circuit
        match what:
            case "fail":
                circuit = circuit.failed_at(now, settings, share)
            case "answer":
                circuit = circuit.succeeded()
            case _ if circuit.admits(now):
                circuit = circuit.asked(now + settings.pause(circuit.pauses, share))
        seen.append((what, now, before, circuit))
    return seen


@given(EVENTS, SETTINGS)
def test_it_opens_after_so_many_failures_in_a_short_time_and_for_nothing_less(events: list, settings: BreakerSettings) -> None:
    for what, now, before, after in circuits(events, settings):
        recent = [at for at in (*before.failed, now) if now - at <= settings.within_seconds]
        opened = before.state is BreakerState.CLOSED and after.state is not BreakerState.CLOSED
        assert opened == (what == "fail" and before.state is BreakerState.CLOSED and len(recent) >= settings.failures)


@given(EVENTS, SETTINGS)
def test_while_it_is_open_nobody_asks_and_afterwards_one(events: list, settings: BreakerSettings) -> None:
    for _, now, _, after in circuits(events, settings):
        if after.state is BreakerState.OPEN:
            assert after.again_at > now - 1e-9 or after.admits(now)
        if not after.admits(now):
            assert not after.admits((now + after.again_at) / 2 if after.again_at > now else now)
        if after.state is not BreakerState.CLOSED:
            at = max(now, after.again_at)
            assert after.admits(at)
            assert not after.asked(at + 1.0).admits(at + 0.5)


@given(EVENTS, SETTINGS)
def test_an_answer_closes_it(events: list, settings: BreakerSettings) -> None:
    for what, now, before, after in circuits(events, settings):
        if what == "answer":
            assert after.state is BreakerState.CLOSED
            assert after.admits(now)
            assert len(after.failed) <= max(0, len(before.failed) - 1)


@given(EVENTS, SETTINGS)
def test_no_pause_is_longer_than_the_longest(events: list, settings: BreakerSettings) -> None:
    for _, now, before, after in circuits(events, settings):
        if after.again_at != before.again_at and after.state is not BreakerState.CLOSED:
            assert after.again_at - now <= settings.longest_pause_seconds + 1e-6


@given(EVENTS, SETTINGS)
def test_what_a_provider_asks_for_is_honoured_to_the_second_and_survives_its_row(events: list, settings: BreakerSettings) -> None:
    rules, now, health, told = HealthRules(breaker=settings), 1_000.0, UNKNOWN, 0.0
    for what, seconds, share, retry_after, kind in events:
        now += seconds
        match what:
            case "fail":
                health = health.failed(Failure(kind=kind, retry_after=retry_after), now, rules, share)
                if kind is not FailureKind.REFUSED and retry_after is not None and retry_after > 0:
                    told = max(told, now + min(retry_after, 86_400.0))
            case "answer":
                health = health.answered()
            case _ if health.is_probed(now):
                health = health.asked(now + 1.0)
        assert health.admits_from() >= told
        assert health.not_before == told
        assert Health.from_plain(json.loads(json.dumps(health.to_plain()))) == health
        there_and_back = health.shifted(3_600.0).shifted(-3_600.0)
        assert there_and_back.circuit.state is health.circuit.state
        assert there_and_back.admits_from() == pytest.approx(health.admits_from())
        assert health.shifted(50.0).is_probed(now + 50.0) == health.is_probed(now)
        assert health.remembered_until(rules) >= health.admits_from()
        if health.admits_from() > now:
            assert f"{health.admits_from() - now:.1f} s" in health.why(now)


def test_a_rate_limit_that_says_how_long_opens_no_breaker_and_one_that_does_not_does() -> None:
    rules = HealthRules()
    said = silent = UNKNOWN
    for _ in range(20):
        said = said.failed(Failure(kind=FailureKind.RATE_LIMITED, retry_after=2.0), 100.0, rules, 0.5)
        silent = silent.failed(Failure(kind=FailureKind.RATE_LIMITED), 100.0, rules, 0.5)
    assert (said.circuit, said.admits_from()) == (CLOSED, 102.0)
    assert silent.circuit.state is BreakerState.OPEN


def test_a_request_that_is_at_fault_is_an_answer() -> None:
    rules, health = HealthRules(), UNKNOWN
    for _ in range(5):
        health = health.failed(Failure(kind=FailureKind.OVERLOADED), 100.0, rules, 0.5)
    assert health.circuit.state is BreakerState.OPEN
    assert health.failed(Failure(kind=FailureKind.REFUSED), 110.0, rules, 0.5).is_known_good


@pytest.mark.parametrize(
    "plain",
    [None, [], {}, {"schema": 2}, {**UNKNOWN.to_plain(), "state": "ajar"}, {**UNKNOWN.to_plain(), "failed": ["now"]}]
    + [{**UNKNOWN.to_plain(), name: value} for name in ("again_at", "not_before") for value in (None, "1", True, float("inf"))]
    + [{**UNKNOWN.to_plain(), "pauses": -1}, {**UNKNOWN.to_plain(), "failed": [0.0] * 1_001}],
)
def test_a_row_of_something_else_is_no_health(plain: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        Health.from_plain(plain)


@given(st.lists(st.booleans(), max_size=400), st.floats(0, 1), st.floats(0, 30))
def test_retries_are_never_more_than_their_share_of_the_other_calls(wanted: list[bool], share: float, burst: float) -> None:
    rules, budget, calls, retries = HealthRules(retry_share=share, retry_burst=burst), RetryBudget(), 0, 0
    for is_retry in wanted:
        if not is_retry:
            budget, calls = budget.called(rules), calls + 1
        elif (left := budget.retried()) is not None:
            budget, retries = left, retries + 1
        assert retries <= share * calls + 1e-6
        assert budget.saved <= max(burst, share)


def test_a_fifth_of_the_calls_may_be_tried_again() -> None:
    rules, budget, retries = HealthRules(), RetryBudget(), 0
    for _ in range(1_000):
        budget = budget.called(rules)
        while (left := budget.retried()) is not None:
            budget, retries = left, retries + 1
    assert retries == 200
