"""The flow at a boundary, under a lock, and through fallbacks; who counts as previous, and what counts as a switch."""

from __future__ import annotations

import pytest

from session_router.core.account import Account
from session_router.core.appraisal import TRUSTED_SEGMENTS
from session_router.core.boundary import Lock, LockKind
from session_router.core.decision import Action, Decision, Reason
from session_router.core.governance import Clearance, Level, Tag
from session_router.core.model import Capability
from session_router.core.policy import Policy
from session_router.core.prefix import PromptCache
from session_router.core.segment import Habits
from session_router.core.session import Session
from session_router.errors import NoCapableModel, NoClearedModel, Unportable
from values import (
    FAST,
    OTHER,
    SESSION,
    STRONG,
    FlakyStore,
    Prefers,
    ai,
    answered,
    call_of,
    failed,
    human,
    injected,
    kept_at,
    router,
    signed,
    spec,
    specs,
    tool,
)

SECRET = Tag(level=Level.CONFIDENTIAL)
OPEN_TO_ALL, OPEN_TO_PUBLIC = Clearance(max_level=Level.RESTRICTED), Clearance()
CLEARANCES = {FAST: spec(clearance=OPEN_TO_PUBLIC), STRONG: spec(clearance=OPEN_TO_ALL)}
PUBLIC = Tag()


def story(decision: Decision) -> tuple[Action, str | None, str | None, Reason]:
    return decision.action, decision.model, decision.previous, decision.reason


def trusting() -> Session:
    """A session whose predictions have earned to be followed."""
    habits = Habits(weight=TRUSTED_SEGMENTS, calls=1.0, pairs=0.0, growth=0.0, output=10.0, between=20.0, further=0.0)
    return Session(id=SESSION, version=3, account=Account(habits=habits, number=3))


def excluded(decision: Decision) -> dict[str, str]:
    return {one.model: one.excluded for one in decision.evidence.candidates if one.excluded}


class TestAtABoundary:
    def test_the_first_call_goes_where_money_says(self) -> None:
        assert story(router(wants=STRONG).route(call_of(human()))) == (Action.KEEP, STRONG, None, Reason.FIRST_CALL)

    def test_a_cheaper_model_is_switched_to(self) -> None:
        """Nobody has seen a segment of this session or of another: predictions are not trusted yet."""
        decision = router(wants=STRONG).route(call_of(human(), ai(), human()))
        assert story(decision) == (Action.SWITCH, STRONG, FAST, Reason.WORK_FUNCTION)
        assert decision.evidence.trusted is False

    def test_predictions_that_have_earned_it_are_followed(self) -> None:
        decision = router(wants=STRONG).route(call_of(human(), ai(), human(), carried=trusting()))
        assert story(decision) == (Action.SWITCH, STRONG, FAST, Reason.LOWER_EXPECTED_COST)
        assert decision.evidence.trusted is True

    def test_the_best_model_is_kept(self) -> None:
        assert story(router().route(call_of(human(), ai(), human()))) == (Action.KEEP, FAST, FAST, Reason.STILL_BEST)

    def test_a_saving_within_the_margin_is_left(self) -> None:
        subject = router({FAST: spec(1.0), STRONG: spec(1.01)}, policy=Policy(stake=0.0, margin=0.05))
        decision = subject.route(call_of(human(), ai(by=STRONG), human(), carried=trusting()))
        assert story(decision) == (Action.KEEP, STRONG, STRONG, Reason.WITHIN_MARGIN)
        tight = router({FAST: spec(1.0), STRONG: spec(1.01)}, policy=Policy(stake=0.0, margin=0.0))
        decision = tight.route(call_of(human(), ai(by=STRONG), human(), carried=trusting()))
        assert story(decision) == (Action.SWITCH, FAST, STRONG, Reason.LOWER_EXPECTED_COST)

    def test_without_a_human_message_the_default_answers(self) -> None:
        subject = router(wants=FAST, policy=Policy(default=STRONG))
        assert story(subject.route(call_of(injected()))) == (Action.KEEP, STRONG, None, Reason.NO_HUMAN_MESSAGE)
        assert story(subject.route(call_of(session=None))) == (Action.KEEP, STRONG, None, Reason.NO_HUMAN_MESSAGE)

    def test_a_pinned_model_answers(self) -> None:
        decision = router().route(call_of(human(), ai(), human(), only=STRONG))
        assert story(decision) == (Action.SWITCH, STRONG, FAST, Reason.PINNED)

    def test_a_pin_to_no_route_is_refused_and_says_so(self) -> None:
        decision = router().route(call_of(human(), only=OTHER))
        with pytest.raises(NoCapableModel, match="the caller asked for `other`"):
            decision.chosen()

    def test_a_pin_to_an_uncleared_model_is_a_matter_of_governance(self) -> None:
        decision = router(CLEARANCES).route(call_of(human(), only=FAST, tag=SECRET))
        assert decision.reason is Reason.NOT_CLEARED
        with pytest.raises(NoClearedModel, match="`fast`: level confidential is above its public"):
            decision.chosen()

    def test_a_model_that_cannot_serve_the_call_is_left(self) -> None:
        subject = router({FAST: spec(context_window=15), STRONG: spec()})
        decision = subject.route(call_of(human(), ai(), human()))
        assert story(decision) == (Action.SWITCH, STRONG, FAST, Reason.CURRENT_NOT_ELIGIBLE)
        assert excluded(decision) == {FAST: "its window of 15 tokens is smaller than the request's 30"}

    def test_a_missing_capability_excludes(self) -> None:
        subject = router({FAST: spec(capabilities=frozenset()), STRONG: spec(capabilities=frozenset({Capability.TOOLS}))})
        decision = subject.route(call_of(human(), requires=frozenset({Capability.TOOLS})))
        assert decision.model == STRONG
        assert excluded(decision) == {FAST: "it has no tools"}

    def test_nobody_cleared_is_refused(self) -> None:
        decision = router(CLEARANCES).route(call_of(human(), tag=Tag(categories=frozenset({"phi"}))))
        assert story(decision) == (Action.REFUSE, None, None, Reason.NOT_CLEARED)
        with pytest.raises(NoClearedModel, match="Clear a model for it, or remove a label") as caught:
            decision.chosen()
        assert set(caught.value.tried) == {FAST, STRONG}

    def test_nobody_capable_is_refused_with_every_reason(self) -> None:
        decision = router({FAST: spec(context_window=5), STRONG: spec(capabilities=frozenset())}).route(
            call_of(human(), requires=frozenset({Capability.TOOLS}))
        )
        with pytest.raises(NoCapableModel, match="Add a route that can") as caught:
            decision.chosen()
        assert set(caught.value.tried) == {FAST, STRONG}

    def test_a_refusal_leaves_the_session_as_it_was(self) -> None:
        store = FlakyStore()
        subject = router(CLEARANCES, store=store)
        refused = subject.route(call_of(human(), tag=Tag(categories=frozenset({"phi"}))))
        subject.observe(refused, failed())
        assert (store.commits, store.kept.load(SESSION)) == (0, None)

    def test_the_chosen_candidate_is_never_marked_as_excluded(self) -> None:
        subject = router({FAST: spec(context_window=5), STRONG: spec()})
        locked = subject.route(call_of(human(), ai("a"), tool("a"), only=STRONG))
        assert locked.model == FAST
        assert excluded(locked) == {STRONG: "the session is locked to `fast`"}


class TestUnderALock:
    loop = (human(), ai("a"), tool("a"))

    def test_the_asker_stays_whoever_is_wanted_and_pinned(self) -> None:
        for pinned in (None, STRONG):
            decision = router(wants=STRONG).route(call_of(*self.loop, only=pinned))
            assert story(decision) == (Action.KEEP, FAST, FAST, Reason.LOCKED)
            assert decision.lock == Lock(kind=LockKind.TOOL_RESULTS_UNREAD, model=FAST)

    def test_the_scorer_is_not_asked(self) -> None:
        scorer = Prefers(STRONG)
        router(scorer=scorer).route(call_of(*self.loop))
        assert scorer.asked == 0

    def test_the_asker_stays_though_the_request_outgrew_its_window(self) -> None:
        assert router({FAST: spec(context_window=5), STRONG: spec()}, wants=STRONG).route(call_of(*self.loop)).model == FAST

    def test_a_session_that_was_elsewhere_follows_the_asker_without_a_switch(self) -> None:
        carried = Session(id=SESSION, version=3, current=STRONG, turn=1, call=1)
        decision = router().route(call_of(*self.loop, carried=carried))
        assert story(decision) == (Action.KEEP, FAST, FAST, Reason.LOCKED)
        assert decision.session is not None
        assert (decision.session.current, decision.session.switches) == (FAST, 0)

    def test_an_asker_without_a_name_is_the_session_s_model(self) -> None:
        carried = Session(id=SESSION, version=3, current=STRONG, turn=1, call=1)
        decision = router().route(call_of(human(), ai("a", by=None), carried=carried))
        assert story(decision) == (Action.KEEP, STRONG, STRONG, Reason.LOCKED)

    def test_an_asker_that_is_no_route_moves_to_the_default_by_force(self) -> None:
        subject = router(policy=Policy(default=STRONG))
        decision = subject.route(call_of(human(), ai("a", by="gpt-2"), tool("a"), session=None))
        assert story(decision) == (Action.FORCED_SWITCH, STRONG, None, Reason.ASKER_NOT_ROUTABLE)

    def test_an_earlier_author_does_not_stand_in_for_an_asker_that_is_no_route(self) -> None:
        decision = router().route(call_of(human(), ai(), human(), ai("a", by="gpt-2"), tool("a"), session=None))
        assert story(decision) == (Action.FORCED_SWITCH, FAST, None, Reason.ASKER_NOT_ROUTABLE)

    def test_results_that_nobody_known_asked_for_switch_nothing(self) -> None:
        decision = router(policy=Policy(default=STRONG)).route(call_of(human(), tool("a")))
        assert story(decision) == (Action.KEEP, STRONG, None, Reason.ASKER_NOT_ROUTABLE)

    @pytest.mark.parametrize("chosen", [FAST, STRONG])
    def test_routes_of_one_provider_id_are_told_apart_by_who_was_asked(self, chosen: str) -> None:
        models = {name: spec(provider_ids=frozenset({"gpt-5"})) for name in (FAST, STRONG)}
        subject = router(models, wants=chosen)
        history = [human()]
        for name in "ab":
            assert subject.route(call_of(*history)).model == chosen
            history += [ai(name, by="gpt-5-2026-08-07"), tool(name)]
            assert story(subject.route(call_of(*history))) == (Action.KEEP, chosen, chosen, Reason.LOCKED)
        closing = [*history, ai(by="gpt-5-2026-08-07"), human("and?")]
        assert subject.route(call_of(*closing)).previous == chosen

    def test_who_was_asked_is_not_who_answers_under_the_id_of_others(self) -> None:
        models = {OTHER: spec(), **{name: spec(provider_ids=frozenset({"gpt-5"})) for name in (FAST, STRONG)}}
        subject = router(models, wants=OTHER)
        assert subject.route(call_of(human())).model == OTHER
        decision = subject.route(call_of(human(), ai("a", by="gpt-5"), tool("a")))
        assert story(decision) == (Action.KEEP, FAST, FAST, Reason.LOCKED)

    def test_losing_clearance_in_mid_loop_forces_a_switch(self) -> None:
        history = (human(tag=PUBLIC), ai("a", tag=PUBLIC), tool("a", tag=SECRET))
        decision = router(CLEARANCES).route(call_of(*history))
        assert story(decision) == (Action.FORCED_SWITCH, STRONG, FAST, Reason.LOST_CLEARANCE)

    def test_a_forced_switch_converts_what_can_be_converted(self) -> None:
        history = (human(tag=PUBLIC), ai("a", tag=PUBLIC, bindings=(signed(FAST),)), tool("a", tag=SECRET))
        decision = router(CLEARANCES).route(call_of(*history))
        assert decision.model == STRONG
        assert decision.evidence.blocked_by == ("signed_thinking",)

    def test_a_forced_switch_that_no_conversion_allows_is_refused(self) -> None:
        models = {FAST: spec(clearance=OPEN_TO_PUBLIC, account="one"), STRONG: spec(clearance=OPEN_TO_ALL, account="two")}
        history = (human(tag=PUBLIC), ai("a", tag=PUBLIC, bindings=(kept_at("one"), signed(FAST))), tool("a", tag=SECRET))
        decision = router(models).route(call_of(*history))
        assert story(decision) == (Action.REFUSE, None, FAST, Reason.UNPORTABLE)
        with pytest.raises(Unportable, match="`strong` cannot take previous_response of this history"):
            decision.chosen()

    def test_nobody_cleared_in_mid_loop_is_refused(self) -> None:
        history = (human(tag=PUBLIC), ai("a", tag=PUBLIC), tool("a", tag=Tag(categories=frozenset({"phi"}))))
        decision = router(CLEARANCES).route(call_of(*history))
        assert (decision.action, decision.reason) == (Action.REFUSE, Reason.NOT_CLEARED)

    def test_a_holder_that_failed_is_refused_and_the_error_names_the_lock(self) -> None:
        decision = router().route(call_of(*self.loop, failed=(FAST,)))
        assert story(decision) == (Action.REFUSE, None, FAST, Reason.NOT_CAPABLE)
        with pytest.raises(NoCapableModel) as caught:
            decision.chosen()
        assert caught.value.tried == {FAST: "it has just failed", STRONG: "the session is locked to `fast`"}

    def test_a_stored_lock_names_who_to_stay_with_though_another_answered_before(self) -> None:
        stored = Lock(kind=LockKind.TOOL_CALLS_UNANSWERED, model=STRONG, waiting_for=("a",))
        carried = Session(id=SESSION, version=3, current=STRONG, lock=stored, turn=2, call=1)
        decision = router().route(call_of(human(), ai(by=FAST), human(), tool("a"), carried=carried))
        assert story(decision) == (Action.KEEP, STRONG, STRONG, Reason.LOCKED)

    def test_a_stored_lock_holds_where_the_asker_was_trimmed_away(self) -> None:
        store = FlakyStore()
        subject = router(wants=STRONG, store=store)
        asking = subject.route(call_of(human()))
        subject.observe(asking, answered(FAST, "a"))
        decision = subject.route(call_of(human("short"), tool("a")))
        assert story(decision) == (Action.KEEP, FAST, FAST, Reason.LOCKED)
        assert decision.lock == Lock(kind=LockKind.STORED, model=FAST, waiting_for=("a",))


class TestClosedRuns:
    ended = (human(), ai("structured"), tool("structured"))

    def test_the_lock_ends_with_its_run_and_a_failure_does_not_bring_it_back(self) -> None:
        carried = Session(id=SESSION, version=3, current=FAST, closed=self.ended[-1].digest, turn=1, call=1)
        subject = router(wants=STRONG)
        first = subject.route(call_of(*self.ended, carried=carried))
        assert (first.model, first.lock) == (STRONG, None)
        again = subject.route(call_of(*self.ended, carried=subject.observe(first, failed()), failed=(STRONG,)))
        assert (again.model, again.lock, again.reason) == (FAST, None, Reason.FALLBACK)

    def test_an_answer_forgets_it(self) -> None:
        carried = Session(id=SESSION, version=3, current=FAST, closed=self.ended[-1].digest, turn=1, call=1)
        subject = router()
        session = subject.observe(subject.route(call_of(*self.ended, carried=carried)), answered(FAST))
        assert session is not None
        assert session.closed is None


class TestFallback:
    def test_the_next_candidate_answers_and_previous_is_who_answered_before(self) -> None:
        subject = router(wants=STRONG)
        history = (human(), ai(), human())
        first = subject.route(call_of(*history))
        assert first.action is Action.SWITCH
        subject.observe(first, failed())
        second = subject.route(call_of(*history, failed=(STRONG,)))
        assert story(second) == (Action.KEEP, FAST, FAST, Reason.FALLBACK)
        session = subject.observe(second, answered(FAST))
        assert session is not None
        assert (session.current, session.switches) == (FAST, 0)

    def test_a_first_call_that_failed_falls_back(self) -> None:
        for session in (SESSION, None):
            subject = router()
            subject.observe(subject.route(call_of(human(), session=session)), failed())
            decision = subject.route(call_of(human(), session=session, failed=(FAST,)))
            assert story(decision) == (Action.KEEP, STRONG, None, Reason.FALLBACK)

    def test_three_models_fall_back_by_money(self) -> None:
        subject = router({**specs(), OTHER: spec(2.0)}, wants=STRONG)
        assert story(subject.route(call_of(human(), failed=(FAST,))))[1:] == (STRONG, None, Reason.FALLBACK)

    def test_all_failed_is_refused(self) -> None:
        decision = router().route(call_of(human(), failed=(FAST, STRONG)))
        assert decision.reason is Reason.NOT_CAPABLE
        assert set(excluded(decision).values()) == {"it has just failed"}

    def test_a_fallback_in_the_handler_moves_the_session_to_who_answered(self) -> None:
        subject = router()
        session = subject.observe(subject.route(call_of(human(), ai(), human())), answered(STRONG, "a"))
        assert session is not None
        assert (session.current, session.switches, session.switched_at) == (STRONG, 1, 2)
        assert set(session.visits) == {STRONG}
        # Even if nobody had told us: the history says who asked.
        lost = router(wants=FAST).route(call_of(human(), ai(), human("b"), ai("a", by=STRONG), tool("a")))
        assert (lost.model, lost.reason) == (STRONG, Reason.LOCKED)

    def test_a_switch_that_the_handler_undid_does_not_count(self) -> None:
        subject = router(wants=STRONG)
        decision = subject.route(call_of(human(), ai(), human()))
        assert decision.session is not None
        assert decision.session.switches == 1
        session = subject.observe(decision, answered(FAST))
        assert session is not None
        assert (session.current, session.switches) == (FAST, 0)

    def test_an_answer_of_no_route_counts_for_the_chosen_model(self) -> None:
        subject = router()
        session = subject.observe(subject.route(call_of(human())), answered(None, "a"))
        assert session is not None
        assert (session.current, session.lock) == (FAST, Lock(kind=LockKind.TOOL_CALLS_UNANSWERED, model=FAST, waiting_for=("a",)))

    def test_a_failed_call_leaves_nothing_read(self) -> None:
        subject = router()
        session = subject.observe(subject.route(call_of(human())), failed())
        assert session is not None
        assert (session.visits, session.current) == ({}, None)

    def test_a_late_outcome_does_not_overwrite_a_later_call(self) -> None:
        subject = router(wants=FAST)
        early = subject.route(call_of(human()))
        subject.scorer = Prefers(STRONG)
        late = subject.route(call_of(human(), ai(), human(), now=1002.0))
        subject.observe(late, answered(STRONG, "b", at=1003.0))
        session = subject.observe(early, answered(FAST, "a", at=1004.0))
        assert session is not None
        assert session.current == STRONG
        assert session.lock == Lock(kind=LockKind.TOOL_CALLS_UNANSWERED, model=STRONG, waiting_for=("b",))
        assert set(session.visits) == {FAST, STRONG}

    def test_a_late_outcome_makes_nobody_forget_what_a_later_call_has_read(self) -> None:
        subject = router(models=specs(prompt_cache=PromptCache(minimum_tokens=0)))
        early = subject.route(call_of(human()))
        longer = (human(), ai(tokens=900), human("and"))
        late = subject.route(call_of(*longer, now=1002.0))
        read = subject.observe(late, answered(FAST, at=1003.0))
        session = subject.observe(early, answered(FAST, at=1004.0))
        assert read is not None
        assert session is not None
        assert session.visits == read.visits
        decision = subject.route(call_of(*longer, ai(), human("then"), now=1005.0))
        assert {one.model: one.cached for one in decision.evidence.candidates}[FAST] == 920

    def test_the_history_knows_who_answered_last_better_than_a_stale_session(self) -> None:
        carried = Session(id=SESSION, version=3, current=STRONG, turn=1, call=1)
        assert router().route(call_of(human(), ai(), human(), carried=carried)).previous == FAST

    def test_without_an_author_in_the_last_answer_the_session_knows_better(self) -> None:
        carried = Session(id=SESSION, version=3, current=STRONG, turn=2, call=1)
        history = (human(), ai(), human(), ai(by=None), human())
        assert router().route(call_of(*history, carried=carried)).previous == STRONG

    def test_another_agent_s_answers_do_not_move_this_session(self) -> None:
        carried = Session(id=SESSION, version=3, current=STRONG, turn=1, call=1)
        history = (human(), ai(by=STRONG, agent="worker"), ai("t", by=FAST, agent="supervisor"), tool("t"))
        decision = router().route(call_of(*history, carried=carried, agent="worker", failed=(OTHER,)))
        assert decision.previous == STRONG
        alone = router().route(call_of(*history, session=None, agent="worker"))
        assert alone.previous == STRONG
