"""The flow where the history is bound to a provider, for calls of middleware, and how calls are counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from session_router.core.decision import Action, Decision, Reason
from session_router.core.governance import Clearance, Level, Tag
from session_router.core.policy import OnUnportable, Policy
from session_router.core.session import Session
from session_router.errors import Unportable
from session_router.identity import population_id
from values import (
    FAST,
    SESSION,
    STRONG,
    FlakyStore,
    Prefers,
    ai,
    answered,
    call_of,
    human,
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


def excluded(decision: Decision) -> dict[str, str]:
    return {one.model: one.excluded for one in decision.evidence.candidates if one.excluded}


class TestUnportable:
    bound = (human(), ai(bindings=(signed(FAST),)), human())
    kept = (human(), ai(bindings=(kept_at("one"),)), human())

    def policy(self, option: str) -> Policy:
        return Policy(stake=1.0, on_unportable=OnUnportable(option))

    def test_stay_keeps_the_model(self) -> None:
        decision = router(wants=STRONG, policy=self.policy("stay")).route(call_of(*self.bound))
        assert story(decision) == (Action.KEEP, FAST, FAST, Reason.STILL_BEST)
        assert excluded(decision) == {STRONG: "the history is bound elsewhere by signed_thinking"}
        assert decision.evidence.blocked_by == ()

    def test_convert_switches_and_says_what_must_be_converted(self) -> None:
        decision = router(wants=STRONG, policy=self.policy("convert")).route(call_of(*self.bound))
        assert story(decision) == (Action.SWITCH, STRONG, FAST, Reason.WORK_FUNCTION)
        assert decision.evidence.blocked_by == ("signed_thinking",)

    def test_convert_stays_where_nothing_can_be_converted(self) -> None:
        models = {FAST: spec(account="one"), STRONG: spec(account="two")}
        assert router(models, wants=STRONG, policy=self.policy("convert")).route(call_of(*self.kept)).model == FAST

    def test_what_the_account_holds_goes_with_any_model_of_the_account(self) -> None:
        assert router(specs(account="one"), wants=STRONG, policy=self.policy("stay")).route(call_of(*self.kept)).model == STRONG

    def test_a_holder_of_unknown_name_is_accepted_by_nobody_else(self) -> None:
        history = (human(), ai(bindings=(signed(""),)), human())
        assert router(wants=STRONG, policy=self.policy("stay")).route(call_of(*history)).model == FAST

    @pytest.mark.parametrize(
        "how",
        [{}, {"only": STRONG}, {"failed": (FAST,)}],
        ids=["by money", "pinned", "fallback to the last one"],
    )
    def test_raise_raises_however_the_model_is_chosen(self, how: dict[str, Any]) -> None:
        decision = router(wants=STRONG, policy=self.policy("raise")).route(call_of(*self.bound, **how))
        assert (decision.action, decision.reason) == (Action.REFUSE, Reason.UNPORTABLE)
        with pytest.raises(Unportable, match=r'`strong` cannot take signed_thinking.*"stay".*"convert"') as caught:
            decision.chosen()
        assert caught.value.bindings == ("signed_thinking",)

    def test_raise_does_not_raise_where_the_model_stays(self) -> None:
        assert router(policy=self.policy("raise")).route(call_of(*self.bound)).model == FAST

    def test_a_pin_that_stay_forbids_names_the_pinned_model(self) -> None:
        decision = router(policy=self.policy("stay")).route(call_of(*self.bound, only=STRONG))
        with pytest.raises(Unportable, match="`strong` cannot take signed_thinking"):
            decision.chosen()

    def test_bindings_of_the_request_count_like_those_of_a_message(self) -> None:
        models = {FAST: spec(account="one"), STRONG: spec(account="two")}
        request = call_of(human(), ai(), human(), bindings=frozenset({kept_at("one")}))
        assert router(models, wants=STRONG).route(request).model == FAST

    def test_after_a_fallback_the_model_stays_with_a_history_it_did_not_write(self) -> None:
        history = (human(), ai(bindings=(signed(FAST),)), human(), ai(by=STRONG), human())
        decision = router(wants=STRONG, policy=self.policy("raise")).route(call_of(*history))
        assert story(decision) == (Action.KEEP, STRONG, STRONG, Reason.STILL_BEST)
        assert decision.evidence.blocked_by == ("signed_thinking",)


class TestInternalCalls:
    def test_they_are_routed_and_leave_the_session_alone(self) -> None:
        store = FlakyStore()
        subject = router(store=store)
        subject.route(call_of(human()))
        before = store.kept.load(SESSION)
        subject.scorer = Prefers(STRONG)
        decision = subject.route(call_of(human("summarise"), internal=True, now=1005.0))
        assert story(decision) == (Action.KEEP, STRONG, FAST, Reason.INTERNAL_CALL)
        assert not decision.switched
        assert decision.session == before
        assert subject.observe(decision, answered(STRONG, "a")) is None
        assert store.kept.load(SESSION) == before

    def test_they_follow_the_lock_of_their_own_history(self) -> None:
        decision = router(wants=STRONG).route(call_of(human(), ai("a"), internal=True))
        assert story(decision) == (Action.KEEP, FAST, FAST, Reason.LOCKED)

    def test_governance_forces_them_too_and_the_reason_is_kept_for_the_audit(self) -> None:
        history = (human(tag=PUBLIC), ai("a", tag=PUBLIC), tool("a", tag=SECRET))
        decision = router(CLEARANCES).route(call_of(*history, internal=True))
        assert story(decision) == (Action.FORCED_SWITCH, STRONG, FAST, Reason.LOST_CLEARANCE)


class TestCounting:
    def test_calls_count_from_one_in_every_turn(self) -> None:
        subject = router()
        history = [human()]
        seen = []
        for following in ([ai("a"), tool("a")], [ai("b"), tool("b")], [ai(), human("two")], [ai()]):
            decision = subject.route(call_of(*history))
            seen.append((decision.turn, decision.call))
            history += following
        assert seen == [(1, 1), (1, 2), (1, 3), (2, 1)]

    def test_the_id_tells_calls_apart_and_same_inputs_together(self) -> None:
        ids = [
            router().route(call).id
            for call in (
                call_of(human()),
                call_of(human()),
                call_of(human(), now=1001.0),
                call_of(human("other")),
                call_of(human(), failed=(STRONG,)),
                call_of(human(), internal=True),
            )
        ]
        assert ids[0] == ids[1]
        assert len(set(ids)) == len(ids) - 1

    def test_a_carried_session_travels_and_is_never_stored(self) -> None:
        store = FlakyStore()
        subject = router(store=store)
        decision = subject.route(call_of(human(), carried=Session(id=SESSION)))
        session = subject.observe(decision, answered(FAST, "a"))
        assert store.kept.load(SESSION) is None
        # What all sessions have in common is kept by the store, whoever keeps the sessions.
        assert not store.kept._sessions
        assert set(store.kept._endless) == {population_id(subject.key)}
        assert session is not None
        assert (session.version, session.current) == (2, FAST)
        again = subject.route(call_of(human(), ai("a"), carried=replace(session)))
        assert again.lock is not None
