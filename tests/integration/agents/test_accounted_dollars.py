"""Agents run live on simulators that account for themselves: what the router modelled before each call agrees with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks._accounted_calls import BROKEN, CACHING_IGNORED, NEVER_COLD, UNCORRECTED, cached_tokens, dollars, moves, warm_returns, worst
from benchmarks._accounted_play import EVERYTHING, Condition, desk
from benchmarks._accounted_sessions import conversation
from benchmarks.accounted import BACK_AND_FORTH, RESTLESS, run
from support.agents import CHAT, CLAUDE, DIALECTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks._accounted_calls import AccountedCall
    from support.agents import Stage

SESSIONS = [conversation(0), conversation(2)]
CLOSE = 0.05


@pytest.fixture(scope="module")
def served() -> Iterator[Stage]:
    with desk() as stage:
        yield stage


@pytest.fixture(scope="module")
def restless(served: Stage) -> list[AccountedCall]:
    return run(served, RESTLESS, SESSIONS)


@pytest.fixture(scope="module")
def back_and_forth(served: Stage) -> list[AccountedCall]:
    return run(served, BACK_AND_FORTH, SESSIONS)


def test_the_sessions_are_worth_looking_at(restless: list[AccountedCall], back_and_forth: list[AccountedCall]) -> None:
    """Some thousands of tokens a call, all three APIs, moves, warm returns, and caches that went cold."""
    assert min(call.accounted.tokens for call in restless) > 3_000
    assert {call.model for call in restless} == set(DIALECTS)
    assert len(moves(restless)) >= 8
    assert warm_returns(back_and_forth)
    cold = [call for call in back_and_forth if call.variants[NEVER_COLD].cached and not call.accounted.cached]
    assert {call.model for call in cold} == {CHAT, CLAUDE}


def test_modelled_dollars_agree_with_the_accounted_ones(restless: list[AccountedCall], back_and_forth: list[AccountedCall]) -> None:
    for calls in (restless, back_and_forth):
        assert dollars(calls) == pytest.approx(1.0, abs=CLOSE)
        # Estimates of what was added may be off; a wrong warmth, or a forgotten price, would make far more of a call.
        assert worst(calls) < 0.15
        # The check bites.
        for label in (CACHING_IGNORED, NEVER_COLD):
            assert abs(dollars(calls, label) - 1) > CLOSE


def test_cached_tokens_agree_call_by_call(restless: list[AccountedCall], back_and_forth: list[AccountedCall]) -> None:
    """What a provider counted when it last read the prefix is what it has cached of it, to the token."""
    for calls in (restless, back_and_forth):
        assert [call.modelled.cached for call in calls] == [call.accounted.cached for call in calls]
        for label in BROKEN:
            assert cached_tokens(calls, label) != pytest.approx(1.0, abs=0.01)


def test_corrections_follow_a_provider_that_counts_differently(served: Stage) -> None:
    """It counts 1.5 tokens where we estimate one: only before its first count can nobody know."""
    calls = run(served, f"only_{CLAUDE}", SESSIONS, Condition(inflated=EVERYTHING))
    first, later = [call for call in calls if call.first], [call for call in calls if not call.first]
    assert len(first) == len(SESSIONS)
    assert dollars(first) < 1 - CLOSE
    assert dollars(later) == pytest.approx(1.0, abs=CLOSE)
    assert dollars(calls) == pytest.approx(1.0, abs=CLOSE)
    assert dollars(calls, UNCORRECTED) < 1 - CLOSE


def test_a_provider_that_was_not_told_to_cache_is_soon_not_counted_on(served: Stage) -> None:
    """The router believes in its cache only as far as it has seen it."""
    calls = run(served, f"only_{CLAUDE}", SESSIONS, Condition(marked=False))
    assert not any(call.accounted.cached for call in calls)
    ends = [before for before, after in zip(calls, [*calls[1:], None], strict=True) if after is None or after.first]
    assert all(call.modelled.cached <= 0.1 * call.accounted.tokens for call in ends)
    assert dollars(calls, UNCORRECTED) < 0.5
