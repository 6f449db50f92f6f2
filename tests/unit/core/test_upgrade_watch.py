"""The watch over upgrades, from the router down: what is counted, when it caps, and what a lost store costs."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from session_router.core.account import Account
from session_router.core.decision import Action, Decision, Reason
from session_router.core.effects import MAXIMUM_ATTEMPTS
from session_router.core.need import Alarm, Need, alarm_in
from session_router.core.policy import Policy
from session_router.core.session import Session, SessionId
from session_router.core.upgrades import Upgrades, UpgradeWatch
from session_router.errors import ConfigurationError, StoreCorrupt, StoreUnavailable
from session_router.identity import SessionNames, population_id, principal_id, session_id
from session_router.stores.sqlite import SQLiteSessionStore
from support.talk import Says, Talk
from values import FAST, SESSION, STRONG, Answers, FlakyStore, Recorder, call_of, human, router, specs, transcript

if TYPE_CHECKING:
    from pathlib import Path

PRINCIPAL, OTHER_PRINCIPAL = SessionId("9a" * 32), SessionId("9b" * 32)
WATCH = UpgradeWatch(expected=0.1, excessive=0.6, between_false_alarms=100.0, capped_boundaries=4)
"""An alarm after three upgrades in a row."""

POLICY = Policy(stake=1.0, upgrades=WATCH)
HARD, EASY = {FAST: 0.0, STRONG: 1.0}, {FAST: 1.0, STRONG: 1.0}


def talk_of(number: int, **ports: Any) -> Talk:
    """One session; sessions of one router have numbers of their own."""
    subject = ports.pop("subject", None) or router(policy=ports.pop("policy", POLICY), **{"scorer": Says(HARD), **ports})
    return Talk(subject, session=SessionId(f"{number:064x}"))


def turns(talk: Talk, number: int, **fields: Any) -> list[Decision]:
    decisions: list[Decision] = []
    for _ in range(number):
        decisions.append(talk.asked(**fields))
        talk.answered(decisions[-1])
    return decisions


def models(decisions: list[Decision]) -> list[str | None]:
    return [decision.model for decision in decisions]


def counted(talk: Talk, principal: SessionId = PRINCIPAL) -> Upgrades:
    row = talk.router.store.load(principal)
    assert row is not None
    assert row.account is not None
    return row.account.upgrades


class TestSession:
    def test_who_always_asks_for_the_dearer_model_is_capped(self) -> None:
        decisions = turns(talk_of(1), 8)
        assert models(decisions) == [STRONG] * 3 + [FAST] * 5
        assert [decision.reason for decision in decisions[3:]] == [Reason.UPGRADE_CAPPED] * 5
        assert (decisions[3].action, decisions[4].action) == (Action.SWITCH, Action.KEEP)

    def test_without_a_watch_nobody_is(self) -> None:
        decisions = turns(talk_of(1, policy=Policy(stake=1.0)), 8)
        assert models(decisions) == [STRONG] * 8
        assert all(decision.evidence.upgrades is None for decision in decisions)

    def test_staying_on_the_dearer_model_counts_as_going_there(self) -> None:
        decisions = turns(talk_of(1), 3)
        assert [decision.switched for decision in decisions] == [False] * 3
        assert [decision.evidence.upgrades is not None and decision.evidence.upgrades.asked for decision in decisions] == [True] * 3

    def test_once_an_attack_ends_the_cap_does(self) -> None:
        says = Says(HARD)
        talk = talk_of(1, scorer=says)
        turns(talk, 3)
        says.chances = EASY
        assert models(turns(talk, 4)) == [FAST] * 4
        assert talk.stored.account is not None
        assert talk.stored.account.upgrades.allowed
        says.chances = HARD
        assert turns(talk, 1)[0].model == STRONG

    def test_calls_of_a_tool_loop_are_no_boundaries(self) -> None:
        talk = talk_of(1)
        talk.turn(loop=[10] * 6)
        assert talk.stored.account is not None
        assert talk.stored.account.upgrades == WATCH.observed(Upgrades(), asked=True, at=talk.stored.account.upgrades.at)

    def test_a_middleware_counts_nothing_and_is_capped_too(self) -> None:
        talk = talk_of(1)
        turns(talk, 3, principal=PRINCIPAL)
        before = counted(talk), talk.stored
        talk.says()
        decision = talk.again(principal=PRINCIPAL, internal=True)
        assert (decision.model, decision.reason) == (FAST, Reason.INTERNAL_CALL)
        assert (counted(talk), talk.stored) == before

    def test_a_session_that_the_framework_carries_carries_its_count(self) -> None:
        talk, session = talk_of(1), Session(id=SESSION)
        for _ in range(4):
            talk.says()
            decision = talk.again(carried=session)
            assert decision.session is not None
            session = decision.session
            talk.answered(decision)
        assert (decision.model, decision.reason) == (FAST, Reason.UPGRADE_CAPPED)

    def test_the_only_candidate_is_no_upgrade(self) -> None:
        talk = talk_of(1)
        turns(talk, 3)
        talk.says()
        assert talk.again(failed=(FAST,)).model == STRONG

    def test_both_watched_and_explored_it_explores_only_what_is_left(self) -> None:
        policy = replace(POLICY, explore=0.5, explore_dollars=1e6)
        talk = talk_of(1, policy=policy)
        decisions = turns(talk, 30)
        capped = [one for one in decisions if one.evidence.upgrades is not None and one.evidence.upgrades.capped]
        assert len(capped) >= 10
        assert {one.model for one in capped} == {FAST}


class TestPrincipal:
    def test_sessions_of_one_principal_count_together(self) -> None:
        first = talk_of(0)
        firsts = [turns(talk_of(number, subject=first.router), 1, principal=PRINCIPAL)[0] for number in range(1, 6)]
        assert models(firsts) == [STRONG] * 3 + [FAST] * 2
        others = [turns(talk_of(number, subject=first.router), 1, principal=OTHER_PRINCIPAL)[0] for number in range(6, 9)]
        assert models(others) == [STRONG] * 3

    def test_nobody_is_asked_for_where_nobody_is_named_or_nobody_watches(self) -> None:
        for policy, principal in ((POLICY, None), (Policy(stake=1.0), PRINCIPAL)):
            talk = talk_of(1, policy=policy)
            decisions = turns(talk, 5, principal=principal)
            assert talk.router.store.load(PRINCIPAL) is None
            assert all(one.evidence.upgrades is None or one.evidence.upgrades.principal is None for one in decisions)

    def test_who_does_not_ask_costs_a_load_and_no_commit(self) -> None:
        store = FlakyStore()
        talk = talk_of(1, store=store, scorer=Says(EASY))
        loads: list[SessionId] = []
        load = store.load
        store.load = lambda session: loads.append(session) or load(session)  # type: ignore[func-returns-value, method-assign]
        talk.turn(loop=[10, 10], answer=5)
        loads.clear()
        talk.asked(principal=PRINCIPAL)
        assert loads.count(PRINCIPAL) == 1
        assert store.kept.load(PRINCIPAL) is None
        # In a tool loop it is not even loaded.
        talk.answered(talk.again(principal=PRINCIPAL), "a call")
        loads.clear()
        talk.again(principal=PRINCIPAL)
        assert PRINCIPAL not in loads

    def test_replicas_that_count_at_the_same_time_lose_nothing(self) -> None:
        store = FlakyStore()
        talk = talk_of(1, store=store)
        store.on_commit = [None, False, False]  # the session's, then two that another replica was first at
        talk.asked(principal=PRINCIPAL)
        assert counted(talk) == WATCH.observed(Upgrades(), asked=True, at=talk.now)

    def test_a_count_that_nobody_can_write_is_lost_and_nothing_else(self) -> None:
        for trouble in ([None, StoreUnavailable("gone")], [None, *[False] * MAXIMUM_ATTEMPTS]):
            store = FlakyStore(on_commit=list(trouble))
            talk = talk_of(1, store=store)
            decision = talk.asked(principal=PRINCIPAL)
            assert (decision.model, decision.evidence.degraded) == (STRONG, ())
            assert store.kept.load(PRINCIPAL) is None
            assert talk.stored == decision.session

    def test_one_that_cannot_be_read_caps_nobody_and_it_is_said(self) -> None:
        store = FlakyStore()
        store.kept.commit(Session(id=PRINCIPAL, version=1, account=Account(upgrades=Upgrades(capped=3))))
        talk = talk_of(1, store=store)
        talk.says()
        # Loads: the session, the population, the principal.
        store.on_load = [None, None, StoreUnavailable("gone")]
        decision = talk.again(principal=PRINCIPAL)
        assert (decision.model, decision.evidence.degraded) == (STRONG, ("store",))
        assert decision.evidence.upgrades is not None
        assert decision.evidence.upgrades.principal is None

    def test_a_corrupt_row_begins_anew(self) -> None:
        store = FlakyStore()
        talk = talk_of(1, store=store)
        talk.says()
        store.on_load = [None, None, StoreCorrupt("bad checksum"), StoreCorrupt("bad checksum")]
        decision = talk.again(principal=PRINCIPAL)
        assert (decision.model, decision.evidence.degraded) == (STRONG, ())
        assert counted(talk) == WATCH.observed(Upgrades(), asked=True, at=talk.now)

    def test_it_survives_a_restart_and_is_forgotten_with_its_last_boundary(self, tmp_path: Path) -> None:
        path, key = tmp_path / "sessions.db", b"k" * 32
        with SQLiteSessionStore(path, key=key) as store:
            turns(talk_of(1, store=store), 3, principal=PRINCIPAL)
        with SQLiteSessionStore(path, key=key) as store:
            talk = talk_of(2, store=store)
            assert turns(talk, 1, principal=PRINCIPAL)[0].model == FAST
            at = counted(talk).at
            store.forget(before=at - 0.5)
            assert store.load(PRINCIPAL) is not None
            store.forget(before=at + 0.5)
            assert store.load(PRINCIPAL) is None
            # The population makes no calls, and is not forgotten.
            assert store.load(population_id(talk.router.key)) is not None


class TestIdentity:
    def test_a_principal_is_one_over_all_threads_of_a_tenant_and_named_nowhere(self) -> None:
        key, names = b"k" * 32, SessionNames(tenant="acme", principal="alice", thread="1", agent="a")
        row = principal_id(key, names)
        assert row is not None
        assert "alice" not in row
        assert row == principal_id(key, replace(names, thread="2", agent=None, namespace="tools"))
        others = [
            principal_id(b"o" * 32, names),
            principal_id(key, replace(names, tenant="globex")),
            principal_id(key, replace(names, tenant=None)),
            principal_id(key, replace(names, principal="bob")),
            principal_id(key, SessionNames(tenant="acmea", principal="lice")),
            session_id(key, names, transcript(human())),
            population_id(key),
        ]
        assert len({row, *others}) == len(others) + 1
        assert principal_id(key, replace(names, principal=None)) is None


ALARM = Alarm(window="first half", jump=0.6, limit=0.3)


class TestAlarm:
    def test_it_is_in_the_row_and_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        recorder = Recorder()
        smaller = Alarm(window="middle half", jump=0.4, limit=0.3)
        says = Answers(lambda _: {FAST: Need(p_success=0.9, alarm=smaller), STRONG: Need(p_success=0.9, alarm=ALARM)})
        subject = router(specs(), scorer=says, audit=recorder)
        with caplog.at_level(logging.WARNING, logger="session_router.alarms"):
            decision = subject.route(call_of(human("a text that nobody must log")))
        assert decision.evidence.alarm == ALARM
        assert recorder.records[0]["evidence"]["alarm"] == {"window": "first half", "jump": 0.6, "limit": 0.3}
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert decision.id in caplog.text
        assert "nobody must log" not in caplog.text
        caplog.clear()
        quiet = router(scorer=Says(EASY), audit=recorder).route(call_of(human()))
        assert quiet.evidence.alarm is None
        assert "alarm" not in recorder.records[1]["evidence"]
        assert not caplog.records

    def test_of_several_it_is_the_one_furthest_above_its_limit_in_any_order(self) -> None:
        needs = [Need(p_success=0.5), Need(p_success=0.5, alarm=ALARM), Need(p_success=0.5, alarm=Alarm(window="x", jump=0.7, limit=0.5))]
        assert alarm_in(needs) == alarm_in(reversed(needs)) == ALARM
        assert alarm_in([]) is alarm_in(needs[:1]) is None

    @pytest.mark.parametrize("wrong", [{"jump": float("nan")}, {"jump": 2.1}, {"limit": -2.1}, {"limit": True}, {"window": 1}])
    def test_one_that_makes_no_sense_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError):
            Alarm(**{"window": "first half", "jump": 0.6, "limit": 0.3, **wrong})
