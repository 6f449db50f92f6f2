"""A session that this process saw last is decided from without a load, and the commit tells whether that was right."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from oracle.reference import OneCommitPerVersion, Recalling
from session_router.core.amending import Amended, amend
from session_router.core.cache_terms import CacheTerms
from session_router.core.call import Outcome
from session_router.core.decision import Reason
from session_router.core.effects import CommitSession, Failed, LoadSession, RecallSession
from session_router.core.exposure import Held
from session_router.core.governance import PUBLIC, Clearance, Level, Tag
from session_router.core.health import Failure, FailureKind
from session_router.core.model import ModelName
from session_router.core.policy import Policy
from session_router.core.population import POPULATION_SECONDS
from session_router.core.session import Session, SessionId
from session_router.errors import StoreUnavailable
from support.shelf import Shelf
from values import FAST, SESSION, STRONG, FlakyStore, Prefers, ai, answered, call_of, human, injected, router, spec, tool

if TYPE_CHECKING:
    from collections.abc import Generator

    from session_router.core.cached import CacheQuestion
    from session_router.core.call import Call
    from session_router.core.step import Step
    from session_router.router import Router

GONE = StoreUnavailable("no answer")
DIGEST = bytes(16)
TERMS = CacheTerms(text="How late?", before=DIGEST, system=DIGEST, tools=DIGEST, settings=DIGEST, principal="ada")
FIRST = call_of(human())
LOOP = call_of(human(), ai("a"), tool("a"), now=1002.0)
SECOND_TURN = call_of(human(), ai("a"), tool("a"), ai(), human("two"), now=1010.0)


def two_replicas(**ports: Any) -> tuple[OneCommitPerVersion, list[Recalling], list[Router]]:
    store = OneCommitPerVersion()
    handles = [Recalling(store) for _ in range(2)]
    return store, handles, [router(store=handle, **ports) for handle in handles]


def turn(subject: Router, *calls: Call) -> None:
    for call in calls:
        subject.observe(subject.route(call), answered(FAST, at=call.now + 1))


@pytest.mark.parametrize("is_async", [False, True])
def test_a_session_that_begins_here_and_stays_is_never_loaded(*, is_async: bool) -> None:
    store, (handle, _), (subject, _) = two_replicas()
    for call in (FIRST, LOOP, SECOND_TURN):
        decision = asyncio.run(subject.aroute(call)) if is_async else subject.route(call)
        outcome = answered(FAST, at=call.now + 1)
        assert (asyncio.run(subject.aobserve(decision, outcome)) if is_async else subject.observe(decision, outcome)) is not None
    stored = store.load(SESSION)
    assert stored is not None
    assert stored.version == 6, "every decision and every outcome was committed"
    assert handle.loads[SESSION] == 0


@pytest.mark.parametrize("earlier", [(FIRST,), (FIRST, LOOP), (FIRST, LOOP, SECOND_TURN)])
@pytest.mark.parametrize("wants", [FAST, STRONG])
def test_one_that_only_seems_to_begin_is_decided_from_what_is_stored(earlier: tuple[Call, ...], wants: ModelName) -> None:
    """It began with the same words, or its first call failed elsewhere: the commit is refused, as it would be for any other guess."""
    (store, (_, handle), (here, there)), (_, _, (elsewhere, loading)) = two_replicas(), two_replicas()
    turn(here, *earlier)
    turn(elsewhere, *earlier)
    loading.store.load(SESSION)
    there.scorer = loading.scorer = Prefers(wants)
    commits = len(store.committed)
    decision, expected = there.route(FIRST), loading.route(FIRST)
    assert replace(decision, id="") == replace(expected, id="")
    assert decision.session == store.load(SESSION)
    assert (handle.loads[SESSION], len(store.committed)) == (1, commits + 1)


def test_only_a_history_without_an_answer_seems_to_begin() -> None:
    """What was asked for before, or leaves no commit, would be decided twice."""
    others = [LOOP, replace(FIRST, internal=True), replace(FIRST, failed=(FAST,)), call_of(human(), ai(by=None), now=1002.0)]
    others += [call_of(human(), human("two"), now=1002.0), call_of(tool("a"), human(), now=1002.0)]
    others += [call_of(injected(), human("two")), replace(FIRST, held=(Held(id="0" * 16),))]
    for call, loads in [(FIRST, 0), *((one, 1) for one in others)]:
        _, (handle, _), (subject, _) = two_replicas()
        subject.route(call)
        assert handle.loads[SESSION] == loads, call


SECRET = Tag(level=Level.CONFIDENTIAL)
GOVERNED = {FAST: spec(1.0, clearance=Clearance()), STRONG: spec(10.0, clearance=Clearance(max_level=Level.RESTRICTED))}
OPEN = Policy(stake=1.0, unlabelled=PUBLIC, sources={"human": PUBLIC})


@pytest.mark.parametrize("rest", [(injected(), human("two")), (human(tag=PUBLIC), ai(by=STRONG), human("two"))], ids=["summary", "answer"])
@pytest.mark.parametrize("failed", [(), (STRONG,)])
@pytest.mark.parametrize("stays", [True, False])
def test_no_label_is_forgotten_where_commits_are_held_up(rest: tuple[Step, ...], failed: tuple[ModelName, ...], *, stays: bool) -> None:
    """And nobody waits for a load after that: what this process remembers of the session tells what it has read."""
    store = FlakyStore()
    here, there = (router(GOVERNED, wants=FAST, policy=OPEN, store=Recalling(store)) for _ in range(2))
    here.observe(here.route(call_of(human(tag=SECRET))), answered(STRONG))
    # A refusal is not committed.
    store.on_commit, store.on_load = [GONE], [] if not stays else [GONE] if failed else [None, GONE]
    decision = (here if stays else there).route(call_of(*rest, now=1010.0, failed=failed))
    assert decision.model != FAST
    assert decision.tag is not None
    assert decision.tag.level is Level.CONFIDENTIAL
    assert decision.refused == bool(failed)
    assert decision.evidence.degraded == (() if failed and not stays else ("store",))


def test_a_first_commit_that_fails_leaves_the_decision_as_it_is() -> None:
    """It was made as if nothing were stored, and a load would hardly be answered now. The outcome is stored, if it can be."""
    for gone, stored in ((GONE, 1), (False, 1)):
        store, scorer = FlakyStore(on_commit=[gone]), Prefers(STRONG)
        subject = router(store=Recalling(store), scorer=scorer)
        decision = subject.route(FIRST)
        assert (decision.model, decision.reason, scorer.asked) == (STRONG, Reason.FIRST_CALL, 1 + (gone is False))
        assert decision.evidence.degraded == (() if gone is False else ("store",))
        session = subject.observe(decision, answered(STRONG, "a"))
        assert session is not None
        assert session.version == stored + (gone is False)
        assert store.kept.load(SESSION) == session
        assert subject.route(call_of(human(), ai("a", by=None), tool("a"), now=1002.0)).model == STRONG


NEW_ONES = [SessionId(f"{number:x}" * 64) for number in range(6)]


@pytest.mark.parametrize("is_async", [False, True])
def test_what_all_sessions_have_in_common_is_loaded_once_a_second(*, is_async: bool) -> None:
    """In a cluster it lives on one node, whoever begins."""
    _, (handle, _), (here, there) = two_replicas()

    def begun_with(subject: Router, number: int, now: float) -> Any:
        call = replace(FIRST, session=NEW_ONES[number], now=now)
        decision = asyncio.run(subject.aroute(call)) if is_async else subject.route(call)
        assert decision.session is not None
        assert decision.session.account is not None
        return decision.session.account.drift

    begun_with(here, 0, 1000.0)
    assert sum(handle.loads.values()) == 1
    turn(there, replace(FIRST, session=NEW_ONES[1]), replace(SECOND_TURN, session=NEW_ONES[1]))
    earlier = begun_with(here, 2, 1000.0 + POPULATION_SECONDS / 2)
    assert earlier == begun_with(here, 3, 1000.0)
    assert sum(handle.loads.values()) == 1
    later = begun_with(here, 4, 1000.0 + POPULATION_SECONDS)
    assert sum(handle.loads.values()) == 2
    assert earlier != later == begun_with(there, 5, 1010.0), "what the other replica has taught"


def test_what_a_replica_taught_itself_is_known_to_it_at_once() -> None:
    _, (handle, _), (here, there) = two_replicas()
    turn(here, replace(FIRST, session=NEW_ONES[0]))
    known = here.route(replace(FIRST, session=NEW_ONES[1], now=1000.5))
    loads = sum(handle.loads.values())
    loaded = there.route(replace(FIRST, session=NEW_ONES[2], now=1000.5))
    assert known.session is not None
    assert loaded.session is not None
    assert known.session.account == loaded.session.account
    assert sum(handle.loads.values()) == loads


def test_a_store_that_is_put_in_anothers_place_is_asked() -> None:
    _, _, (here, _) = two_replicas()
    here.route(replace(FIRST, session=NEW_ONES[0]))
    handle = Recalling(OneCommitPerVersion())
    here.store = handle
    here.route(replace(FIRST, session=NEW_ONES[1]))
    assert sum(handle.loads.values()) == 1


def test_what_another_replica_has_changed_is_decided_again_from_what_is_stored() -> None:
    store, (first, _), (here, there) = two_replicas()
    turn(here, FIRST)
    turn(there, LOOP)
    loads = first.loads[SESSION]
    decision = here.route(SECOND_TURN)
    assert first.loads[SESSION] == loads + 1
    assert decision.session == store.load(SESSION)
    assert decision.session is not None
    assert decision.session.version == 5
    assert decision.evidence.degraded == ()


def test_a_decision_that_commits_nothing_is_made_of_what_is_stored() -> None:
    """A middleware's own call changes nothing that a commit could confirm."""
    store, (handle, _), (here, there) = two_replicas()
    turn(here, FIRST)
    turn(there, LOOP)
    loads = handle.loads[SESSION]
    decision = here.route(replace(SECOND_TURN, internal=True))
    assert handle.loads[SESSION] == loads + 1
    assert decision.session == store.load(SESSION)


def test_without_the_store_nothing_is_decided_from_memory() -> None:
    """What it would say is not known, so the session stays where it is, as if nothing had been recalled."""
    store = FlakyStore()
    subject = router(wants=STRONG, store=Recalling(store))
    turn(subject, FIRST)
    # Its fence is compared, with what is loaded first.
    store.on_commit, store.on_load = [GONE], [None, GONE]
    decision = subject.route(SECOND_TURN)
    assert (decision.model, decision.reason, decision.evidence.degraded) == (FAST, Reason.NO_SESSION, ("store",))
    assert decision.session is None


def test_a_store_that_takes_no_commits_costs_no_lock() -> None:
    """A failover that was asked for holds up all writes. A load would tell the holder, whom the history does not name; but nobody waits
    in vain twice."""
    store = FlakyStore()
    subject = router(wants=STRONG, store=Recalling(store))
    nameless = ai("a", by=None)
    subject.observe(subject.route(FIRST), answered(STRONG, "a"))
    store.on_commit, store.on_load = [GONE], [None, GONE]
    decision = subject.route(call_of(human(), nameless, tool("a"), now=1002.0))
    assert (decision.model, decision.reason) == (STRONG, Reason.LOCKED)


def test_an_answer_is_looked_for_with_the_session_as_it_is() -> None:
    """Its label decides what may be looked at; another replica may have raised it."""

    class Watching(Shelf):
        def look_up(self, question: CacheQuestion) -> Any:
            seen.append(handle.loads[SESSION])
            return super().look_up(question)

    seen: list[int] = []
    store, (handle, _), (here, there) = two_replicas(cache=Watching())
    turn(here, FIRST)
    loads = handle.loads[SESSION]
    here.route(replace(LOOP, terms=TERMS))
    assert (handle.loads[SESSION], seen) == (loads, []), "under a lock the commit tells"
    turn(there, LOOP)
    decision = here.route(replace(SECOND_TURN, terms=TERMS))
    assert (handle.loads[SESSION], seen) == (loads + 1, [loads + 1]), "loaded before anybody looked"
    assert decision.session == store.load(SESSION)


def test_nobody_is_tried_out_for_a_session_that_was_only_recalled() -> None:
    """One call among all replicas may try out a model that failed: for a session that is out of date it would be wasted."""
    store, (handle, _), (here, there) = two_replicas()
    turn(here, FIRST)
    turn(there, LOOP)
    elsewhere = here.route(call_of(human("x"), session=None, only=STRONG))
    for _ in range(5):
        here.observe(elsewhere, Outcome(at=1005.0, model=None, error="Failed", failure=Failure(kind=FailureKind.OVERLOADED)))
    loads, commits = handle.loads[SESSION], len(store.committed)
    here.route(SECOND_TURN)
    assert handle.loads[SESSION] == loads + 1
    assert len(store.committed) == commits + 1


class LosesAnswers(Recalling):
    """A store that takes what it is given, and whose next answer is lost on its way."""

    is_to_lose = False

    def commit(self, session: Session) -> bool:
        done = super().commit(session)
        if self.is_to_lose:
            self.is_to_lose = False
            self._seen.clear()
            raise GONE
        return done


def test_a_commit_whose_answer_was_lost_is_not_made_again() -> None:
    """It would be decided as another call of its segment: it would teach nothing, and no upgrade would be counted."""
    store = OneCommitPerVersion()
    handle = LosesAnswers(store)
    subject = router(store=handle)
    turn(subject, FIRST)
    handle.is_to_lose, commits = True, len(store.committed)
    decision = subject.route(SECOND_TURN)
    assert (decision.call, decision.evidence.degraded) == (1, ())
    assert decision.session == store.load(SESSION)
    assert len(store.committed) == commits + 1


def test_what_commits_nothing_is_decided_once_where_nothing_has_changed() -> None:
    scorer = Prefers()
    subject = router(store=Recalling(OneCommitPerVersion()), scorer=scorer)
    turn(subject, FIRST)
    asked = scorer.asked
    subject.route(replace(SECOND_TURN, internal=True))
    assert scorer.asked == asked + 1


def test_a_failure_after_which_every_model_may_be_asked_costs_no_load() -> None:
    """Somewhere one always fails now and then, and replicas hear of it."""
    _, (handle, _), (subject, _) = two_replicas()
    turn(subject, FIRST)
    elsewhere = subject.route(call_of(human("x"), session=None, only=STRONG))
    subject.observe(elsewhere, Outcome(at=1001.0, model=None, error="Failed", failure=Failure(kind=FailureKind.OVERLOADED)))
    loads = handle.loads[SESSION]
    subject.route(LOOP)
    assert handle.loads[SESSION] == loads


def amending(change: Any, answers: dict[type, list[Any]]) -> tuple[list[object], Amended]:
    """Drive `amend` by hand; returns what it asked for, and what came of it."""
    flow: Generator[Any, Any, Amended] = amend(SESSION, change)
    asked: list[object] = []
    try:
        effect = next(flow)
        while True:
            asked.append(type(effect))
            effect = flow.send(answers[type(effect)].pop(0))
    except StopIteration as stop:
        return asked, stop.value


OLD, NEW = Session(id=SESSION, version=3), Session(id=SESSION, version=4, current=ModelName("x"))


def test_a_row_that_is_recalled_is_amended_without_a_load() -> None:
    asked, amended = amending(lambda row: replace(row, turn=9), {RecallSession: [OLD], CommitSession: [True]})
    assert asked == [RecallSession, CommitSession]
    assert amended == Amended(found=OLD, committed=replace(OLD, turn=9).committed())


def test_a_row_that_is_to_stay_as_it_is_was_loaded() -> None:
    asked, amended = amending(lambda _: None, {RecallSession: [OLD], LoadSession: [NEW]})
    assert asked == [RecallSession, LoadSession]
    assert amended == Amended(found=NEW)


def test_what_a_refusal_told_is_amended_without_a_load() -> None:
    answers = {RecallSession: [OLD, NEW], CommitSession: [False, True]}
    asked, amended = amending(lambda row: replace(row, turn=9), answers)
    assert asked == [RecallSession, CommitSession] * 2
    assert amended.found is NEW


def test_a_memory_that_fails_costs_a_load() -> None:
    answers = {RecallSession: [Failed(GONE)], LoadSession: [NEW], CommitSession: [True]}
    asked, amended = amending(lambda row: replace(row, turn=9), answers)
    assert asked == [RecallSession, LoadSession, CommitSession]
    assert amended.found is NEW
