"""What all sessions have in common: learned from each, kept in the store, and the beginning of the next."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pytest

from session_router.core.drift import Deviation
from session_router.core.policy import Policy
from session_router.core.population import MEMORY, WAITING_LESSONS, Lesson, opened, taught
from session_router.core.segment import Ended, Habits
from session_router.core.session import Session, SessionId
from session_router.errors import StoreCorrupt, StoreUnavailable
from session_router.identity import population_id
from session_router.router import Router
from session_router.stores.memory import MemorySessionStore
from support.talk import Says, Talk
from values import FAST, OTHER, SESSION, STRONG, Answers, FlakyStore, specs

if TYPE_CHECKING:
    from session_router.core.account import Account
    from session_router.core.decision import Decision
    from session_router.ports import SessionStore

KEY = b"k" * 32
ROW = population_id(KEY)
GONE = StoreUnavailable("no answer")
EVEN = Says({FAST: 0.5, STRONG: 0.5, OTHER: 0.5})
OTHERS = [SessionId(f"{number:064x}") for number in range(99)]


def router(store: SessionStore | None = None, *, key: bytes = KEY, **ports: Any) -> Router:
    return Router(specs(), policy=Policy(stake=0.01), scorer=Says({FAST: 0.5, STRONG: 0.9}), store=store, key=key, **ports)


def population(store: MemorySessionStore) -> Account:
    row = store.load(ROW)
    assert row is not None
    assert row.account is not None
    return row.account


def account(decision: Decision) -> Account:
    assert decision.session is not None
    assert decision.session.account is not None
    return decision.session.account


def segments(subject: Talk, *lengths: int) -> None:
    """Segments of so many calls each."""
    for calls in lengths:
        subject.turn(20, loop=[30] * (calls - 1))


class TestSharing:
    def test_a_new_session_begins_with_what_others_learned(self) -> None:
        store = MemorySessionStore()
        first = Talk(router(store), session=OTHERS[0])
        segments(first, 5, 5, 5, 5)
        # What one process has learned lately is kept once a session begins there.
        Talk(first.router, session=OTHERS[1]).turn(20)
        kept = population(store).habits
        begun = account(Talk(router(store), session=OTHERS[2]).asked(20)).habits
        assert begun == kept.as_prior()
        assert begun.calls == pytest.approx(5.0)
        assert begun.weight == pytest.approx(1 + MEMORY + MEMORY**2)

    def test_without_the_store_or_with_another_key_it_begins_with_the_defaults(self) -> None:
        store = MemorySessionStore()
        first = Talk(router(store), session=OTHERS[0])
        segments(first, 5, 5, 5, 5)
        Talk(first.router, session=OTHERS[1]).turn(20)
        for stranger in (router(), router(store, key=b"K" * 32)):
            assert account(Talk(stranger, session=OTHERS[2]).asked(20)).habits == Habits()

    def test_two_routers_with_one_key_and_one_store_decide_alike(self) -> None:
        """Whatever either of them has seen and not yet told."""
        store = MemorySessionStore()
        one, other = router(store), router(store)
        for number, subject in enumerate((one, other, one)):
            segments(Talk(subject, session=OTHERS[number]), 3, 2 + number)
        twins = [Talk(subject, session=SESSION) for subject in (one, other)]
        decisions = []
        for twin in twins:
            kept, endless = dict(store._sessions), dict(store._endless)
            decisions.append(twin.asked(20))
            store._sessions, store._endless = OrderedDict(kept), OrderedDict(endless)
        assert decisions[0] == decisions[1]
        assert account(decisions[0]).habits != Habits()

    def test_sync_and_async_learn_the_same(self) -> None:
        rows = []
        for is_async in (False, True):
            store = MemorySessionStore()
            subject = router(store)
            for number in range(3):
                talk = Talk(subject, session=OTHERS[number])
                for _ in range(3):
                    talk.says(20)
                    decision = asyncio.run(subject.aroute(talk.call())) if is_async else subject.route(talk.call())
                    talk.answered(decision)
            rows.append(store.load(ROW))
        assert rows[0] == rows[1]
        assert rows[0] is not None

    def test_a_session_that_its_framework_carries_begins_with_it_too(self) -> None:
        store = MemorySessionStore()
        segments(Talk(router(store), session=OTHERS[0]), 5, 5, 5, 5)
        kept = population(store).habits
        first = Talk(router(store), session=OTHERS[1])
        first.says(20)
        decision = first.again(carried=Session(id=OTHERS[1]))
        assert account(decision).habits == kept.as_prior() != Habits()
        assert (set(store._sessions), set(store._endless)) == ({OTHERS[0]}, {ROW})


class TestWhenItIsTold:
    def test_once_a_session_begins(self) -> None:
        store = FlakyStore()
        subject = router(store)
        talk = Talk(subject, session=OTHERS[0])
        segments(talk, 1, 1, 1, 1)
        row = store.kept.load(ROW)
        assert row is not None
        assert (row.version, row.current, dict(row.visits)) == (1, None, {})
        segments(Talk(subject, session=OTHERS[1]), 1)
        assert population(store.kept).habits.weight == pytest.approx(1 + MEMORY + MEMORY**2)

    def test_once_so_many_lessons_wait(self) -> None:
        store = MemorySessionStore()
        talk = Talk(router(store), session=OTHERS[0])
        versions = []
        for _ in range(2 * WAITING_LESSONS + 1):
            talk.turn(10)
            row = store.load(ROW)
            assert row is not None
            versions.append(row.version)
        assert versions == [1] * WAITING_LESSONS + [2] * WAITING_LESSONS + [3]

    def test_a_loop_and_a_second_boundary_load_it_no_more(self) -> None:
        loaded: list[SessionId] = []

        class Watched(MemorySessionStore):
            def load(self, session: SessionId) -> Session | None:
                loaded.append(session)
                return super().load(session)

        talk = Talk(router(Watched()), session=OTHERS[0])
        segments(talk, 3)
        assert loaded.count(ROW) == 2  # to begin with, and to be told
        segments(talk, 3, 1, 4)
        assert loaded.count(ROW) == 2

    def test_nobody_waits_for_it_before_a_model_is_asked(self) -> None:
        store = MemorySessionStore()
        subject = Talk(router(store), session=OTHERS[0])
        decision = subject.asked(10)
        assert store.load(ROW) is None
        subject.answered(decision)
        assert store.load(ROW) is not None

    def test_who_never_says_what_came_of_it_teaches_all_the_same(self) -> None:
        store = MemorySessionStore()
        subject = router(store)
        for number in range(WAITING_LESSONS):
            assert store.load(ROW) is None
            Talk(subject, session=SessionId(f"{number:064x}")).asked(10)
        assert population(store).drift.weight > WAITING_LESSONS / 2

    def test_a_race_between_replicas_loses_nothing(self) -> None:
        store = FlakyStore()
        subject = router(store)
        Talk(subject, session=OTHERS[0]).turn(10)
        before = population(store.kept).habits.further
        store.on_commit = [None, False, False, None]
        Talk(subject, session=OTHERS[1]).turn(10)
        assert population(store.kept).habits == Habits(further=before).told(number=1)


class TestWhatCounts:
    def lessons(self, subject: Talk) -> list[Lesson]:
        return subject.router._driver._lessons

    def test_a_boundary_that_is_asked_again_counts_once(self) -> None:
        subject = Talk(router())
        subject.turn(10)
        subject.asked(10)
        once = list(self.lessons(subject))
        for _ in range(3):
            subject.again()
        assert self.lessons(subject) == once
        assert len(once) == 1

    def test_a_first_call_that_failed_counts_once(self) -> None:
        store = MemorySessionStore()
        subject = Talk(Router({**specs(), OTHER: specs()[FAST]}, scorer=EVEN, store=store, key=KEY))
        failed = subject.asked(10)
        subject.failed(failed)
        told = store.load(ROW)
        assert told is not None
        subject.answered(subject.again(failed=(failed.chosen(),)))
        assert store.load(ROW) == told
        assert self.lessons(subject) == []
        subject.turn(10)
        assert [(one.number, one.first) for one in self.lessons(subject)] == [(2, False)]

    @pytest.mark.parametrize("how", [{"only": STRONG}, {"internal": True}, {"failed": (FAST, STRONG)}])
    def test_what_no_dollars_decided_teaches_nothing(self, how: dict[str, Any]) -> None:
        subject = Talk(router())
        subject.turn(10)
        subject.asked(10, **how)
        assert self.lessons(subject) == []

    def test_a_caller_that_cannot_be_told_from_others_teaches_nothing(self) -> None:
        """Nobody knows which boundary of its session it is at."""
        store = MemorySessionStore()
        subject = router(store)
        for _ in range(3):
            talk = Talk(subject, session=None)
            talk.turn(10)
            assert talk.turn(10).evidence.trusted is False
        assert store.load(ROW) is None

    def test_lessons_are_learned_in_order(self) -> None:
        ended = Ended(calls=3, growth=10.0, output=5.0, between=20.0, surprise=0.0)
        lessons = [
            Lesson(number=1, ended=None, chances={FAST: 0.4}, deviation=None),
            Lesson(number=2, ended=ended, chances={FAST: 0.8}, deviation=Deviation(0.04, 0.02)),
        ]
        account = taught(None, lessons)
        assert account.habits == Habits().told(number=1).learned(ended, memory=MEMORY).told(number=2)
        assert (account.drift.variance, account.drift.covariance) == pytest.approx((0.04, 0.02))
        assert account.drift.chances[FAST] == pytest.approx((0.4 * MEMORY + 0.8) / (MEMORY + 1))
        assert taught(taught(None, lessons[:1]), lessons[1:]) == account
        assert opened(account).habits == account.habits.as_prior()
        assert opened(None).habits == Habits()


class TestWithoutIt:
    def test_a_store_that_fails_costs_only_the_habits(self) -> None:
        store = FlakyStore()
        segments(Talk(router(store), session=OTHERS[0]), 5, 5, 5)
        Talk(router(store), session=OTHERS[1]).turn(10)
        kept = Talk(router(store), session=OTHERS[2]).asked(20)
        store.on_load = [None, GONE]
        lost = Talk(router(store), session=OTHERS[3]).asked(20)
        assert account(lost).habits == Habits() != account(kept).habits
        assert (lost.model, lost.reason, lost.evidence.degraded) == (kept.model, kept.reason, ())

    @pytest.mark.parametrize("gone", [GONE, StoreCorrupt("bad checksum"), RuntimeError("bug")])
    def test_a_row_that_cannot_be_read_or_written_is_no_error(self, gone: Exception) -> None:
        for fault in ({"on_load": [None, None, gone]}, {"on_commit": [None, gone]}, {"on_load": [None, gone]}):
            store = FlakyStore(**fault)
            decision = Talk(router(store), session=OTHERS[0]).asked(20)
            assert decision.evidence.degraded == ()
            assert store.kept.load(OTHERS[0]) == decision.session

    def test_a_row_that_was_lost_is_begun_anew(self) -> None:
        store = FlakyStore(on_load=[None, StoreCorrupt("bad checksum"), StoreCorrupt("bad checksum")])
        Talk(router(store), session=OTHERS[0]).turn(10)
        assert population(store.kept).habits == Habits().told(number=1)

    def test_while_the_store_is_gone_nothing_else_is_asked_of_it(self) -> None:
        store = FlakyStore(on_load=[GONE] * 9)
        decision = Talk(router(store), session=OTHERS[0]).asked(20)
        assert decision.evidence.degraded == ("store",)
        assert len(store.on_load) == 8

    def test_no_scorer_no_lesson(self) -> None:
        store = MemorySessionStore()
        subject = Talk(Router(specs(), scorer=Answers(lambda _: None), store=store, key=KEY))
        subject.turn(10)
        assert (set(store._sessions), set(store._endless)) == ({SESSION}, set())
