"""What becomes of feedback: who learns, when it acts, and when there is nothing to learn."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from session_router import Feedback, Policy
from session_router.core.account import REMEMBERED_MARKS, Account
from session_router.core.decision import Decision, Reason
from session_router.core.effects import CommitSession, LoadSession, RecallSession
from session_router.core.feedback import Heard
from session_router.core.hearing import hear
from session_router.core.session import Session, SessionId
from session_router.errors import ConfigurationError, StoreCorrupt, StoreUnavailable, UnknownDecision
from session_router.identity import population_id
from session_router.recent import RecentDecisions
from session_router.router import Router
from session_router.stores.memory import MemorySessionStore
from support.talk import Says, Talk
from values import FAST, SESSION, STRONG, Answers, FlakyStore, Recorder, ai, answered, human, spec, specs, tool

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from session_router.core.model import ModelName, ModelSpec

KEY = b"k" * 32
ROW = population_id(KEY)
ANOTHER = SessionId("a0" * 32)
GONE = StoreUnavailable("no answer")
UP, DOWN = Feedback.thumbs(up=True), Feedback.thumbs(up=False)
SURE = {FAST: 0.9, STRONG: 0.95}


def router(store: Any = None, *, models: dict[ModelName, ModelSpec] | None = None, **settings: Any) -> Router:
    """A router that sends to `fast` what its scorer gives a good chance there."""
    settings = {"scorer": Says(SURE), "policy": Policy(stake=0.05), "key": KEY, **settings}
    return Router(specs() if models is None else models, store=store, **settings)


def account_of(subject: Router, row: SessionId = SESSION) -> Account:
    stored = subject.store.load(row)
    assert stored is not None
    assert stored.account is not None
    return stored.account


def shift(subject: Router, row: SessionId = SESSION, model: ModelName = FAST) -> float:
    beliefs = account_of(subject, row).beliefs
    return beliefs[model].shift if model in beliefs else 0.0


class TestWhoLearns:
    def test_the_session_and_the_population(self) -> None:
        subject = router()
        decision = Talk(subject).turn()
        assert subject.feedback(decision, DOWN) is Heard.LEARNED
        assert shift(subject) < 0
        assert shift(subject, ROW) < 0
        assert shift(subject, model=STRONG) == 0

    def test_a_session_that_begins_later_begins_with_it(self) -> None:
        def chosen(subject: Router, said: Feedback | None) -> list[str | None]:
            models = []
            for number in range(8):
                decision = Talk(subject, session=SessionId(f"{number:064x}")).turn(counted=1.0, output=400)
                models.append(decision.model)
                if decision.model == FAST and said is not None:
                    subject.feedback(decision, said)
            return models

        subject = router(policy=Policy(stake=0.2))
        models = chosen(subject, DOWN)
        assert (models[0], models[-1]) == (FAST, STRONG)
        assert set(chosen(router(policy=Policy(stake=0.2)), None)) == {FAST}
        Talk(subject, session=ANOTHER).asked()
        assert shift(subject, ROW) < 0
        assert shift(subject, ANOTHER) == shift(subject, ROW)

    def test_a_session_that_its_framework_carries_does_not_learn_itself(self) -> None:
        subject = router()
        talk = Talk(subject)
        talk.says()
        decision = talk.again(carried=Session(id=SESSION))
        assert subject.feedback(decision, DOWN) is Heard.LATER_SESSIONS
        assert subject.store.load(SESSION) is None
        assert shift(subject, ROW) < 0
        assert subject.feedback(decision, DOWN) is Heard.REPEATED

    def test_nobody_knows_the_session(self) -> None:
        subject = router()
        decision = Talk(subject, session=None).asked()
        assert subject.feedback(decision, DOWN) is Heard.LATER_SESSIONS
        assert shift(subject, ROW) < 0

    def test_a_forgotten_session_is_not_begun_again_for_it(self) -> None:
        store = FlakyStore()
        subject = router(store)
        decision = Talk(subject).turn()
        store.kept = MemorySessionStore()
        assert subject.feedback(decision, DOWN) is Heard.LATER_SESSIONS
        assert store.kept.load(SESSION) is None
        assert shift(subject, ROW) < 0

    def test_what_a_session_learned_outlives_every_kind_of_call(self) -> None:
        subject = router()
        talk = Talk(subject)
        subject.feedback(talk.turn(), DOWN)
        learned = account_of(subject).beliefs
        talk.turn(loop=[10, 10])
        talk.asked(only=STRONG)
        talk.again(only=STRONG)
        talk.answered(talk.asked(failed=(FAST,)))
        subject.route(talk.call(internal=True))
        assert account_of(subject).beliefs == learned

    def test_lessons_of_segments_leave_beliefs_alone(self) -> None:
        subject = router()
        subject.feedback(Talk(subject).turn(), DOWN)
        learned = account_of(subject, ROW)
        for number in range(3):
            Talk(subject, session=SessionId(f"{number:064x}")).turn()
        assert account_of(subject, ROW).drift != learned.drift
        assert (account_of(subject, ROW).beliefs, account_of(subject, ROW).marks) == (learned.beliefs, learned.marks)


class TestWhatItIsAbout:
    def calls(self, subject: Router) -> list[Decision]:
        """The three calls of one segment."""
        made: list[Decision] = []

        @dataclass
        class Watching:
            on_outcome: Callable[..., None] = field(default=lambda *_: None)

            def on_decision(self, decision: Decision) -> None:
                made.append(decision)

        subject.observers = (Watching(),)  # an observer that only watches decisions
        Talk(subject).turn(loop=[10, 10])
        assert [decision.lock is None for decision in made] == [True, False, False]
        return made

    @pytest.mark.parametrize("at", [0, 1, 2])
    @pytest.mark.parametrize("how", ["value", "row", "id"])
    def test_any_call_of_a_segment_stands_for_its_boundary(self, at: int, how: str) -> None:
        subject = router()
        decision = self.calls(subject)[at]
        given: dict[str, Any] = {"value": decision, "row": json.loads(json.dumps(decision.to_plain())), "id": decision.id}
        assert subject.feedback(given[how], DOWN) is Heard.LEARNED
        told = Talk(expected := router()).turn(loop=[10, 10])
        expected.feedback(told, DOWN)
        assert account_of(subject).beliefs == account_of(expected).beliefs

    def test_told_of_another_call_of_the_segment_it_is_a_repetition(self) -> None:
        subject = router()
        first, _, last = self.calls(subject)
        assert subject.feedback(first, DOWN) is Heard.LEARNED
        assert subject.feedback(last, DOWN) is Heard.REPEATED
        assert subject.feedback(last, UP) is Heard.LEARNED

    def test_a_row_says_it_in_another_process(self) -> None:
        log = Recorder()
        here = router(audit=log)
        there = router(here.store)
        decision = Talk(here).turn()
        with pytest.raises(UnknownDecision, match="its row"):
            there.feedback(decision.id, DOWN)
        assert there.feedback(log.records[0], DOWN) is Heard.LEARNED
        assert shift(here) < 0

    def test_late_feedback_is_about_the_segment_it_was_given_for(self) -> None:
        scorer = Says(SURE)
        subject = router(scorer=scorer)
        talk = Talk(subject)
        first = talk.turn()
        scorer.chances = {FAST: 0.99, STRONG: 0.99}
        talk.turn()
        subject.feedback(first, DOWN)
        expected = router()
        expected.feedback(Talk(expected).turn(), DOWN)
        assert shift(subject) == shift(expected)

    def test_beliefs_are_about_what_the_scorer_said_and_not_about_their_own_corrections(self) -> None:
        subject = router(policy=Policy(stake=0.01))
        talk = Talk(subject)
        subject.feedback(talk.turn(), DOWN)
        decision = talk.turn()
        assert decision.model == FAST
        candidate = next(one for one in decision.evidence.candidates if one.model == FAST)
        assert candidate.p_success is not None
        assert candidate.p_success < 0.9
        assert decision.boundary is not None
        assert candidate.scored == decision.boundary.p_success == 0.9

    def test_a_call_of_a_turn_whose_boundary_was_not_stored_is_about_nothing(self) -> None:
        store = FlakyStore()
        subject = router(store)
        talk = Talk(subject)
        talk.turn()
        store.on_commit = [GONE]
        decision = talk.asked()
        talk.steps += [ai("late"), tool("late")]
        locked = talk.again()
        assert (decision.boundary is not None, locked.reason, locked.boundary) == (True, Reason.LOCKED, None)
        assert subject.feedback(locked, DOWN) is Heard.NOTHING


class TestNothingToLearn:
    def decision(self, kind: str, store: FlakyStore) -> tuple[Router, Decision]:
        subject = router(store)
        match kind:
            case "pinned":
                return subject, Talk(subject).asked(only=STRONG)
            case "internal":
                return subject, Talk(subject).asked(internal=True)
            case "refused":
                subject = router(store, models={FAST: spec(context_window=1), STRONG: spec(context_window=1)})
                return subject, Talk(subject).asked(1_000)
            case "only candidate":
                subject = router(store, models={FAST: spec(context_window=1), STRONG: spec()})
                return subject, Talk(subject).asked(1_000)
            case _:
                subject = router(store, scorer=Answers(lambda _: None))
                return subject, Talk(subject).asked()

    @pytest.mark.parametrize("kind", ["pinned", "internal", "refused", "only candidate", "no score"])
    @pytest.mark.parametrize("how", ["value", "row", "id"])
    def test_where_no_chances_decided(self, kind: str, how: str) -> None:
        subject, decision = self.decision(kind, store := FlakyStore())
        before = store.commits
        given: dict[str, Any] = {"value": decision, "row": decision.to_plain(), "id": decision.id}
        assert subject.feedback(given[how], DOWN) is Heard.NOTHING
        assert store.commits == before
        assert decision.to_plain()["boundary"] is None

    def test_another_model_answered(self) -> None:
        subject = router()
        talk = Talk(subject)
        decision = talk.asked()
        talk.answered(decision, by=STRONG)
        for given in (decision, decision.to_plain(), decision.id):
            assert subject.feedback(given, DOWN) is Heard.NOTHING

    def test_the_rest_of_a_segment_that_another_model_took_over(self) -> None:
        subject = router()
        talk = Talk(subject)
        talk.answered(talk.asked(), "a", by=STRONG)
        talk.steps.append(tool("a"))
        locked = talk.again()
        assert (locked.model, locked.reason, locked.boundary) == (STRONG, Reason.LOCKED, None)

    def test_the_model_is_no_route_any_more(self) -> None:
        old = router()
        decision = Talk(old).turn()
        new = router(old.store, models={STRONG: spec(10.0)})
        assert new.feedback(decision.to_plain(), DOWN) is Heard.NOTHING


class TestOnce:
    def test_the_same_told_again_counts_once_on_any_replica(self) -> None:
        here = router()
        there = router(here.store)
        decision = Talk(here).turn()
        assert here.feedback(decision, DOWN) is Heard.LEARNED
        session, population = here.store.load(SESSION), here.store.load(ROW)
        assert there.feedback(decision, DOWN) is Heard.REPEATED
        assert here.feedback(decision.id, DOWN) is Heard.REPEATED
        assert (here.store.load(SESSION), here.store.load(ROW)) == (session, population)

    def test_something_else_said_of_it_counts_as_well(self) -> None:
        subject = router()
        decision = Talk(subject).turn()
        assert [subject.feedback(decision, one) for one in (DOWN, UP, Feedback.graded(0.0), Feedback.retried())] == [Heard.LEARNED] * 4

    def test_a_boundary_that_is_decided_again_is_the_same_one(self) -> None:
        subject = router()
        talk = Talk(subject)
        talk.says()
        first, second = talk.again(), talk.again()
        assert first.id != second.id
        assert subject.feedback(first, DOWN) is Heard.LEARNED
        assert subject.feedback(second, DOWN) is Heard.REPEATED

    def test_what_a_boundary_forgets_when_it_is_decided_again_is_not_what_was_learned(self) -> None:
        subject = router()
        talk = Talk(subject)
        earlier = talk.turn()
        talk.asked()
        subject.feedback(earlier, DOWN)
        learned = account_of(subject)
        again = talk.again()
        assert (account_of(subject).beliefs, account_of(subject).marks) == (learned.beliefs, learned.marks)
        candidate = next(one for one in again.evidence.candidates if one.model == FAST)
        assert candidate.p_success != candidate.scored

    def test_so_many_pieces_are_remembered_and_no_more(self) -> None:
        subject = router()
        decision = Talk(subject).turn()
        for number in range(REMEMBERED_MARKS):
            subject.feedback(decision, Feedback.graded(number / REMEMBERED_MARKS))
        assert subject.feedback(decision, Feedback.graded(0.0)) is Heard.REPEATED
        subject.feedback(decision, UP)
        assert len(account_of(subject).marks) == len(account_of(subject, ROW).marks) == REMEMBERED_MARKS
        assert subject.feedback(decision, Feedback.graded(0.0)) is Heard.LEARNED


class TestStore:
    @pytest.mark.parametrize("gone", ["on_load", "on_commit"])
    def test_without_it_nothing_is_learned_and_it_may_be_told_again(self, gone: str) -> None:
        store = FlakyStore()
        subject = router(store)
        decision = Talk(subject).turn()
        setattr(store, gone, [GONE])
        assert subject.feedback(decision, DOWN) is Heard.UNAVAILABLE
        assert shift(subject) == 0
        assert subject.feedback(decision, DOWN) is Heard.LEARNED

    def test_a_carried_session_tells_that_nobody_could_learn(self) -> None:
        store = FlakyStore()
        subject = router(store)
        talk = Talk(subject)
        talk.says()
        decision = talk.again(carried=Session(id=SESSION))
        store.on_load = [GONE]
        assert subject.feedback(decision, DOWN) is Heard.UNAVAILABLE
        assert subject.feedback(decision, DOWN) is Heard.LATER_SESSIONS

    def test_a_lost_row_is_gone(self) -> None:
        store = FlakyStore()
        subject = router(store)
        decision = Talk(subject).turn()
        store.on_load = [StoreCorrupt("bad checksum")]
        assert subject.feedback(decision, DOWN) is Heard.LATER_SESSIONS

    def test_a_session_that_learned_is_not_told_that_the_population_did_not(self) -> None:
        store = FlakyStore()
        subject = router(store)
        decision = Talk(subject).turn()
        store.on_commit = [None, GONE]
        assert subject.feedback(decision, DOWN) is Heard.LEARNED
        assert (shift(subject) < 0, shift(subject, ROW)) == (True, 0)

    def test_a_race_that_never_ends_counts_as_no_store(self) -> None:
        store = FlakyStore()
        subject = router(store)
        decision = Talk(subject).turn()
        store.on_commit = [False] * 99
        assert subject.feedback(decision, DOWN) is Heard.UNAVAILABLE


class TestRaces:
    @pytest.mark.parametrize("order", [[0, 1] * 20, [0, 0, 1, 1] * 9, [0, 1, 1, 0] * 9, [0, 1, 1, 1, 0, 1, 0] * 5])
    def test_what_two_replicas_hear_at_once_is_counted_twice(self, order: list[int]) -> None:
        subject = router()
        talk = Talk(subject)
        decisions = [talk.turn(), talk.turn()]
        self.interleaved(subject, [hear(*about(decision), ROW) for decision in decisions], order)
        one_by_one = router()
        talk = Talk(one_by_one)
        for decision in [talk.turn(), talk.turn()]:
            one_by_one.feedback(decision, DOWN)
        for row in (SESSION, ROW):
            assert shift(subject, row) == pytest.approx(shift(one_by_one, row))
            assert len(account_of(subject, row).marks) == 2

    def test_who_does_not_compare_before_it_sets_loses_one(self) -> None:
        """The broken variant of the test above: the store takes whatever comes last."""
        subject = router(Heedless())
        talk = Talk(subject)
        decisions = [talk.turn(), talk.turn()]
        self.interleaved(subject, [hear(*about(decision), ROW) for decision in decisions], [0, 1] * 20)
        assert len(account_of(subject).marks) == 1

    def test_feedback_and_a_call_at_once_are_both_counted(self) -> None:
        store = FlakyStore()
        subject, other = router(store), router(store)
        talk = Talk(subject)
        decision = talk.turn()

        class Meddling(Says):
            def score(self, question: Any, models: Any) -> Any:
                other.feedback(decision, DOWN)
                return super().score(question, models)

        subject.scorer = Meddling(SURE)
        after = talk.asked()
        # The call lost the race, and was decided again with what was learned.
        assert account_of(subject).number == 2
        candidate = next(one for one in after.evidence.candidates if one.model == FAST)
        assert candidate.p_success != candidate.scored

    def interleaved(self, subject: Router, flows: list[Generator[Any, Any, Heard]], order: list[int]) -> None:
        effects = [next(flow) for flow in flows]
        heard: dict[int, Heard] = {}
        for side in order:
            if side in heard:
                continue
            try:
                effects[side] = flows[side].send(perform(subject.store, effects[side]))
            except StopIteration as stop:
                heard[side] = stop.value
        assert heard == {0: Heard.LEARNED, 1: Heard.LEARNED}


class Heedless(MemorySessionStore):
    """A store that compares nothing."""

    def commit(self, session: Session) -> bool:
        super().commit(session)
        self._sessions[session.id] = session
        return True


def about(decision: Decision) -> tuple[Any, Feedback]:
    assert decision.boundary is not None
    return decision.boundary, DOWN


def perform(store: Any, effect: object) -> object:
    match effect:
        case LoadSession():
            return store.load(effect.session)
        case CommitSession():
            return store.commit(effect.session)
        case RecallSession():
            return None
        case _:
            raise AssertionError(effect)


class TestRouter:
    def test_sync_and_async_hear_the_same(self) -> None:
        rows = []
        for is_async in (False, True):
            subject = router()
            talk = Talk(subject)
            heard = []
            for said in (DOWN, UP, DOWN):
                decision = talk.turn()
                heard += [asyncio.run(subject.afeedback(decision, said)) if is_async else subject.feedback(decision, said)] * 2
                heard.append(asyncio.run(subject.afeedback(decision.id, said)) if is_async else subject.feedback(decision.id, said))
            rows.append((heard, subject.store.load(SESSION), subject.store.load(ROW)))
        assert rows[0] == rows[1]

    def test_the_same_row_and_call_give_the_same_decision_on_any_replica(self) -> None:
        here = router()
        there = router(here.store)
        talk = Talk(here)
        for said in (DOWN, DOWN, UP):
            there.feedback(talk.turn().to_plain(), said)
        talk.says()
        kept = here.store.load(SESSION)
        assert kept is not None
        decisions = []
        for subject in (here, there):
            store = MemorySessionStore()
            store._sessions[SESSION] = kept
            decisions.append(router(store, scorer=subject.scorer).route(talk.call()))
        assert decisions[0] == decisions[1]
        assert decisions[0].evidence.candidates[0].p_success != decisions[0].evidence.candidates[0].scored

    @pytest.mark.parametrize("given", [5, None, b"id", ["id"], {}, {"decision_id": 5}, {"decision_id": "x", "boundary": 5}], ids=repr)
    def test_what_is_no_decision_is_refused(self, given: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"decision|boundary"):
            router().feedback(given, DOWN)

    @pytest.mark.parametrize("said", [1.0, True, "up", None])
    def test_what_is_no_feedback_is_refused(self, said: Any) -> None:
        subject = router()
        with pytest.raises(ConfigurationError, match="Feedback"):
            subject.feedback(Talk(subject).turn(), said)

    def test_observers_may_watch_it_and_need_not(self, caplog: pytest.LogCaptureFixture) -> None:
        told: list[tuple[str, Feedback]] = []

        @dataclass
        class Deaf:
            on_decision: Callable[..., None] = field(default=lambda *_: None)
            on_outcome: Callable[..., None] = field(default=lambda *_: None)

        class Watching(Deaf):
            def on_feedback(self, decision_id: str, feedback: Feedback) -> None:
                told.append((decision_id, feedback))

        class Broken(Deaf):
            def on_feedback(self, decision_id: str, feedback: Feedback) -> None:
                raise ValueError(decision_id, feedback)

        subject = router(observers=[Deaf(), Watching()])
        decision = Talk(subject).turn()
        for said in (DOWN, DOWN, UP):
            subject.feedback(decision, said)
        assert told == [(decision.id, DOWN), (decision.id, UP)]
        assert not caplog.records
        subject.observers = (Broken(), Watching())
        assert subject.feedback(decision, Feedback.retried()) is Heard.LEARNED
        assert len(told) == 3
        assert [record.levelname for record in caplog.records] == ["ERROR"]


class TestMemory:
    def test_the_least_recently_used_goes_first(self) -> None:
        subject = router()
        memory = RecentDecisions(capacity=2)
        talk = Talk(subject)
        first, second, third = talk.turn(), talk.turn(), talk.turn()
        memory.decided(first)
        memory.decided(second)
        memory.found(first.id)
        memory.decided(third)
        assert memory.found(first.id) == (first.id, first.boundary)
        assert memory.found(third.id) == (third.id, third.boundary)
        with pytest.raises(UnknownDecision) as raised:
            memory.found(second.id)
        assert raised.value.decision == second.id
        # It is still what it is when it is given itself.
        assert memory.found(second) == (second.id, second.boundary)

    def test_an_outcome_of_a_forgotten_decision_is_not_remembered(self) -> None:
        decision = Talk(router()).turn()
        memory = RecentDecisions()
        memory.answered(decision, answered(STRONG))
        assert memory.found(decision) == (decision.id, decision.boundary)

    def test_it_holds_no_text(self) -> None:
        subject = router()
        Talk(subject, steps=[human("secret")]).again()
        assert "secret" not in repr(list(subject._recent._choices.items()))
