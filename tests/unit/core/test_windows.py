"""What a model can take is compared with what its provider counted, as far as it counted anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from session_router.core.call import Outcome
from session_router.core.decision import Action, Reason
from session_router.core.pricing import Usage
from values import FAST, STRONG, ai, call_of, human, router, spec, tool

if TYPE_CHECKING:
    from session_router.core.decision import Decision
    from session_router.core.step import Step
    from session_router.router import Router

FIRST, ANSWER = human("first", tokens=1_000), ai(tokens=10)


def read_once(window: int, counted: int, *steps: Step) -> Router:
    """A router with `fast`, whose provider has read `steps` and counted so many tokens, and `strong`, which nobody has asked."""
    subject = router({FAST: spec(context_window=window), STRONG: spec(context_window=100_000)})
    decision = subject.route(call_of(*(steps or (FIRST,))))
    assert decision.model == FAST
    subject.observe(decision, Outcome(at=1001.0, model=FAST, usage=Usage(input=counted, output=10)))
    return subject


def excluded(decision: Decision) -> dict[str, str]:
    return {one.model: one.excluded for one in decision.evidence.candidates if one.excluded}


def test_what_was_counted_counts_and_the_rest_as_estimated() -> None:
    at_most = read_once(1_350, 1_300).route(call_of(FIRST, ANSWER, human("next", tokens=40), now=1010.0))
    assert (at_most.action, at_most.model) == (Action.KEEP, FAST)
    too_long = read_once(1_350, 1_300).route(call_of(FIRST, ANSWER, human("next", tokens=41), now=1010.0))
    assert (too_long.action, too_long.model, too_long.reason) == (Action.SWITCH, STRONG, Reason.CURRENT_NOT_ELIGIBLE)
    assert excluded(too_long) == {FAST: "its window of 1,350 tokens is smaller than the request's 1,351"}


def test_a_count_of_little_says_nothing_of_much() -> None:
    """What a provider adds to every request is most of a short one."""
    decision = read_once(6_000, 100, human("hi", tokens=10)).route(
        call_of(human("hi", tokens=10), ANSWER, human("much", tokens=5_000), now=1010.0)
    )
    assert (decision.model, excluded(decision)) == (FAST, {})


def test_nobody_is_sent_more_than_we_estimate() -> None:
    decision = read_once(1_040, 700).route(call_of(FIRST, ANSWER, human("next", tokens=40), now=1010.0))
    assert (decision.model, [*excluded(decision)]) == (STRONG, [FAST])


@pytest.mark.parametrize(
    "history", [(human("summary", tokens=1_040),), (human("first, rewritten", tokens=1_000), ANSWER, human(tokens=40))]
)
def test_a_count_of_what_is_not_there_any_more_says_nothing(history: tuple[Step, ...]) -> None:
    decision = read_once(1_050, 1_300).route(call_of(*history, now=1010.0))
    assert (decision.model, excluded(decision)) == (FAST, {})


def test_a_model_that_was_never_asked_is_measured_by_the_estimate() -> None:
    subject = router({FAST: spec(), STRONG: spec(context_window=1_050)}, wants=STRONG)
    decision = subject.route(call_of(FIRST, only=FAST))
    subject.observe(decision, Outcome(at=1001.0, model=FAST, usage=Usage(input=1_300, output=10)))
    assert excluded(subject.route(call_of(FIRST, ANSWER, human("next", tokens=40), now=1010.0))) == {}


def test_a_lock_holds_all_the_same() -> None:
    loop = (FIRST, ai("a", tokens=10), tool("a", tokens=500))
    decision = read_once(1_350, 1_300).route(call_of(*loop, now=1010.0))
    assert (decision.action, decision.model, decision.lock is not None) == (Action.KEEP, FAST, True)
