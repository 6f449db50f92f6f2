"""What a model wrote itself is nothing new to it: an answer without a label takes no tool loop away from the model that is in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_router.core.decision import Action, Reason
from session_router.core.governance import Clearance, Level, Tag, permits
from session_router.core.policy import Policy
from values import FAST, OTHER, SESSION, STRONG, ai, call_of, human, injected, router, spec, tool

if TYPE_CHECKING:
    from session_router.core.decision import Decision
    from session_router.core.session import Session
    from session_router.core.step import Step
    from session_router.router import Router

PUBLIC, SECRET = Tag(), Tag(level=Level.CONFIDENTIAL)
MODELS = {
    FAST: spec(0.1, clearance=Clearance()),
    STRONG: spec(clearance=Clearance(max_level=Level.RESTRICTED)),
    OTHER: spec(clearance=Clearance(max_level=Level.RESTRICTED)),
}
"""The cheapest may see public data only."""
ASKED = human("go", tag=PUBLIC)


def decided(subject: Router, *history: Step, carried: Session | None = None, offered: Tag | None = SECRET) -> Decision:
    """Decide on a history, in an application that has tools which may return `offered`."""
    return subject.route(call_of(*history, session=None if carried is not None else SESSION, carried=carried, offered=offered))


def told(decision: Decision) -> tuple[Action, str | None, Reason, Tag | None]:
    return decision.action, decision.model, decision.reason, decision.tag


@pytest.fixture
def subject() -> Router:
    return router(MODELS, policy=Policy(sources={"human": PUBLIC}))


def test_the_asker_of_public_results_goes_on(subject: Router) -> None:
    history: list[Step] = [ASKED]
    assert decided(subject, *history).model == FAST
    for name in "abc":
        history += [ai(name), tool(name, tag=PUBLIC)]
        assert told(decided(subject, *history)) == (Action.KEEP, FAST, Reason.LOCKED, PUBLIC)


def test_what_it_may_not_see_moves_the_loop_to_who_may_see_all_of_it(subject: Router) -> None:
    decided(subject, ASKED)
    decision = decided(subject, ASKED, ai("a"), tool("a", tag=replace(SECRET, categories=frozenset({"phi"}))))
    assert (decision.action, decision.reason) == (Action.REFUSE, Reason.NOT_CLEARED)
    moved = decided(subject, ASKED, ai("a"), tool("a", tag=SECRET))
    assert told(moved) == (Action.FORCED_SWITCH, STRONG, Reason.LOST_CLEARANCE, SECRET)
    kept = decided(subject, ASKED, ai("a"), tool("a", tag=SECRET), ai("b", by=STRONG), tool("b", tag=PUBLIC))
    assert told(kept) == (Action.KEEP, STRONG, Reason.LOCKED, SECRET)


def test_at_a_boundary_an_answer_may_hold_what_any_tool_on_offer_returns(subject: Router) -> None:
    decided(subject, ASKED)
    decision = decided(subject, ASKED, ai(), human("and now?", tag=PUBLIC))
    assert decision.model in {STRONG, OTHER}
    assert decision.tag == SECRET


@pytest.mark.parametrize(
    "by",
    [
        pytest.param(None, id="a model that does not name itself"),
        pytest.param("fast-eu-7", id="a name that its provider chose"),
        pytest.param(FAST, id="its own name"),
    ],
)
def test_what_stands_right_behind_a_request_is_the_answer_to_it(subject: Router, by: str | None) -> None:
    history: list[Step] = [ASKED]
    decided(subject, *history)
    for name in "abc":
        history += [ai(name, by=by), tool(name, tag=PUBLIC)]
        assert told(decided(subject, *history)) == (Action.KEEP, FAST, Reason.LOCKED, PUBLIC)
    moved = decided(subject, *history, ai("d", by=by), tool("d", tag=SECRET))
    assert (moved.model, moved.reason, moved.tag) == (STRONG, Reason.LOST_CLEARANCE, SECRET)


def test_who_answers_in_the_place_of_the_chosen_model_keeps_its_loop_too() -> None:
    """A node may fall back to another model, and what that one wrote was made of what the chosen one was sent."""
    subject = router({**MODELS, OTHER: spec(clearance=Clearance())}, policy=Policy(sources={"human": PUBLIC}))
    history: list[Step] = [ASKED]
    assert decided(subject, *history).model == FAST
    for name in "abc":
        history += [ai(name, by=OTHER), tool(name, tag=PUBLIC)]
        assert told(decided(subject, *history)) == (Action.KEEP, OTHER, Reason.LOCKED, PUBLIC)
    moved = decided(subject, *history, ai("d", by=FAST), tool("d", tag=PUBLIC))
    assert told(moved) == (Action.KEEP, FAST, Reason.LOCKED, PUBLIC)


@pytest.mark.parametrize("by", [None, "fast-eu-7", OTHER])
def test_what_somebody_puts_in_later_is_no_answer_to_it(by: str | None) -> None:
    """A graph may make up a call of its own; of what, nobody knows."""
    subject = router({**MODELS, OTHER: spec(clearance=Clearance())}, policy=Policy(sources={"human": PUBLIC}))
    decided(subject, ASKED)
    decision = decided(subject, ASKED, ai(by=FAST), human("and?", tag=PUBLIC), ai("a", by=by), tool("a", tag=PUBLIC))
    assert (decision.model, decision.reason, decision.tag) == (STRONG, Reason.LOST_CLEARANCE, SECRET)


@pytest.mark.parametrize(
    "between",
    [
        pytest.param((ai("a", by=STRONG), tool("a", tag=PUBLIC), ai("b")), id="another model's answer"),
        pytest.param((ai("a", by=None), tool("a", tag=PUBLIC), ai("b")), id="an answer of nobody"),
        pytest.param((injected(), ai("b")), id="a summary"),
        pytest.param((tool("z", tag=PUBLIC, unasked=True), ai("b")), id="a result whose call is gone"),
    ],
)
def test_what_others_wrote_since_it_was_asked_counts_as_before(subject: Router, between: tuple[Step, ...]) -> None:
    decided(subject, ASKED)
    decision = decided(subject, ASKED, *between, tool("b", tag=PUBLIC))
    assert (decision.model, decision.reason, decision.tag) == (STRONG, Reason.LOST_CLEARANCE, SECRET)


@pytest.mark.parametrize(
    ("sources", "history"),
    [
        pytest.param({}, (ASKED, ai("a"), tool("a", tag=PUBLIC), human("hurry", injected=True, tag=PUBLIC)), id="put in, with a label"),
        pytest.param({}, (ai("a", tag=PUBLIC), tool("a", tag=PUBLIC)), id="cut short, and its answers bear labels"),
        pytest.param({"ai": PUBLIC}, (ai("a"), tool("a", tag=PUBLIC)), id="cut short, where it is known what models write"),
    ],
)
def test_a_rewritten_loop_stays_where_everything_says_what_it_is(sources: dict[str, Tag], history: tuple[Step, ...]) -> None:
    """Nothing else would do: words without a label may hold what a graph's own code read with any tool, or what is cut out."""
    subject = router(MODELS, policy=Policy(sources={"human": PUBLIC, **sources}))
    assert decided(subject, ASKED).model == FAST
    assert told(decided(subject, *history)) == (Action.KEEP, FAST, Reason.LOCKED, PUBLIC)


def test_a_session_that_never_asked_it_for_this_knows_nothing(subject: Router) -> None:
    loop = (ASKED, ai("a"), tool("a", tag=PUBLIC))
    assert decided(subject, *loop).reason is Reason.NOT_CLEARED
    rewritten = router(MODELS, policy=Policy(sources={"human": PUBLIC}))
    decided(rewritten, human("something else", tag=PUBLIC))
    assert decided(rewritten, *loop).reason is Reason.LOST_CLEARANCE


def test_what_the_session_had_read_before_stays_on_its_words(subject: Router) -> None:
    """Who is asked again has read no more than it may, but the session has."""
    first = decided(subject, ASKED)
    assert first.session is not None
    risen = replace(first.session, tag=SECRET)
    decision = decided(subject, ASKED, ai("a"), tool("a", tag=PUBLIC), carried=risen)
    assert (decision.model, decision.reason, decision.tag) == (STRONG, Reason.LOST_CLEARANCE, SECRET)


def test_a_loop_is_left_only_for_what_its_model_may_not_see() -> None:
    """The law, over whole loops: tools' results and the labels of the rest decide, and nothing that the model wrote itself does."""
    met = Counter[str]()
    labels = st.sampled_from([PUBLIC, PUBLIC, PUBLIC, Tag(level=Level.INTERNAL), SECRET])

    @settings(max_examples=150, deadline=None)
    @given(st.lists(labels, min_size=1, max_size=6), st.sampled_from(list(Level)), st.none() | labels)
    def law(results: list[Tag], clearance: Level, offered: Tag | None) -> None:
        models = {**MODELS, FAST: replace(MODELS[FAST], clearance=Clearance(max_level=clearance))}
        subject = router(models, policy=Policy(sources={"human": PUBLIC}))
        history: list[Step] = [ASKED]
        decided(subject, *history, offered=offered)
        read = PUBLIC
        for number, label in enumerate(results):
            read = max(read, label, key=lambda tag: tag.level)
            history += [ai(f"call {number}"), tool(f"call {number}", tag=label)]
            decision = decided(subject, *history, offered=offered)
            assert (decision.model == FAST) == permits(read, models[FAST].clearance, now=1000.0)
            met["kept" if decision.model == FAST else "left"] += 1
            if decision.model != FAST:
                return
            assert decision.tag is not None
            assert decision.tag.level >= read.level

    law()
    assert min(met["kept"], met["left"]) >= 20, met
