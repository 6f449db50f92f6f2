"""What the flow does without its store, its scorer or its audit log, and when replicas race."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from session_router.core.audit_row import decision_row
from session_router.core.decision import Action, Decision, Reason
from session_router.core.effects import MAXIMUM_ATTEMPTS
from session_router.core.model import ModelName
from session_router.core.need import Need
from session_router.core.policy import Policy
from session_router.errors import StoreCorrupt, StoreUnavailable
from values import FAST, SESSION, STRONG, Answers, FlakyStore, Prefers, Recorder, ai, answered, call_of, human, router, tool

GONE = StoreUnavailable("no answer")


def story(decision: Decision) -> tuple[Action, str | None, Reason, tuple[str, ...]]:
    return decision.action, decision.model, decision.reason, decision.evidence.degraded


class TestStore:
    def test_without_it_a_tool_loop_keeps_its_asker(self) -> None:
        decision = router(wants=STRONG, store=FlakyStore(on_load=[GONE])).route(call_of(human(), ai("a"), tool("a")))
        assert story(decision) == (Action.KEEP, FAST, Reason.LOCKED, ("store",))
        assert decision.session is None

    def test_without_it_the_current_model_is_kept_at_a_boundary(self) -> None:
        decision = router(wants=STRONG, store=FlakyStore(on_load=[GONE])).route(call_of(human(), ai(), human()))
        assert story(decision) == (Action.KEEP, FAST, Reason.NO_SESSION, ("store",))

    def test_without_it_a_first_call_is_decided_as_ever(self) -> None:
        decision = router(wants=STRONG, store=FlakyStore(on_load=[GONE])).route(call_of(human()))
        assert story(decision) == (Action.KEEP, STRONG, Reason.FIRST_CALL, ("store",))

    def test_without_it_a_current_model_that_cannot_serve_is_left(self) -> None:
        decision = router(store=FlakyStore(on_load=[GONE])).route(call_of(human(), ai(), human(), failed=(FAST,)))
        assert story(decision) == (Action.SWITCH, STRONG, Reason.FALLBACK, ("store",))

    def test_a_lost_commit_keeps_the_decision(self) -> None:
        decision = router(wants=STRONG, store=FlakyStore(on_commit=[GONE])).route(call_of(human(), ai(), human()))
        assert story(decision) == (Action.SWITCH, STRONG, Reason.WORK_FUNCTION, ("store",))

    def test_a_corrupt_row_is_replaced(self) -> None:
        store = FlakyStore(on_load=[StoreCorrupt("bad checksum")])
        subject = router(wants=STRONG, store=store)
        decision = subject.route(call_of(human(), ai(), human()))
        assert story(decision) == (Action.KEEP, FAST, Reason.NO_SESSION, ("store",))
        assert store.kept.load(SESSION) == decision.session
        assert subject.route(call_of(human(), ai(), human("two"))).evidence.degraded == ()

    def test_an_outcome_after_the_session_was_forgotten_begins_it_anew(self) -> None:
        store = FlakyStore()
        subject = router(store=store)
        decision = subject.route(call_of(human()))
        store.kept = type(store.kept)()
        session = subject.observe(decision, answered(FAST, "a"))
        assert session is not None
        assert session.version == 1
        assert store.kept.load(SESSION) == session

    @pytest.mark.parametrize("gone", ["on_load", "on_commit"])
    def test_an_outcome_that_cannot_be_stored_is_no_error(self, gone: str) -> None:
        store = FlakyStore()
        subject = router(store=store)
        decision = subject.route(call_of(human()))
        setattr(store, gone, [GONE])
        assert subject.observe(decision, answered(FAST)) is None
        assert subject.observe(decision, answered(FAST)) is not None


class TestRaces:
    def test_a_lost_race_is_decided_again_from_what_the_winner_left(self) -> None:
        store = FlakyStore()
        first, second = router(store=store), router(wants=STRONG, store=store)
        first.route(call_of(human()))
        store.on_commit = [False]
        decision = second.route(call_of(human(), ai(), human()))
        assert decision.session is not None
        assert (decision.session.version, decision.evidence.degraded) == (2, ())
        assert store.kept.load(SESSION) == decision.session

    def test_a_race_that_never_ends_counts_as_no_store(self) -> None:
        store = FlakyStore(on_commit=[False] * 99)
        decision = router(store=store).route(call_of(human()))
        assert story(decision) == (Action.KEEP, FAST, Reason.FIRST_CALL, ("store",))
        assert store.commits == MAXIMUM_ATTEMPTS + 1

    def test_only_the_last_attempt_says_what_was_missing(self) -> None:
        said: list[Any] = [RuntimeError("model not loaded"), None]

        def say(models: Any) -> Any:
            problem = said.pop(0)
            if problem is not None:
                raise problem
            return Prefers(STRONG).score(None, models)  # type: ignore[arg-type]

        decision = router(store=FlakyStore(on_commit=[False]), scorer=Answers(say)).route(call_of(human()))
        assert story(decision) == (Action.KEEP, STRONG, Reason.FIRST_CALL, ())
        assert said == []

    def test_an_outcome_that_always_loses_gives_up(self) -> None:
        store = FlakyStore()
        subject = router(store=store)
        decision = subject.route(call_of(human()))
        store.on_commit, store.commits = [False] * 99, 0
        assert subject.observe(decision, answered(FAST)) is None
        # The session's own, and then those of the population's row.
        assert store.commits == 2 * MAXIMUM_ATTEMPTS


def nan_need() -> Need:
    return Need(p_success=float("nan"))


class Lazy(dict[ModelName, Need]):
    """Scores that are computed when they are read, by a model that is gone."""

    def __getitem__(self, name: ModelName) -> Need:
        raise RuntimeError(name)

    def get(self, name: ModelName, default: object = None) -> Any:
        del default
        return self[name]


class TestScorer:
    @pytest.mark.parametrize(
        "say",
        [
            lambda _: (_ for _ in ()).throw(RuntimeError("no weights")),
            lambda _: {},
            lambda _: {STRONG: Need(p_success=1.0)},
            lambda models: dict.fromkeys(models, 0.5),
            list,
            lambda _: nan_need(),
            Lazy,
        ],
        ids=["raises", "empty", "one missing", "not a need", "not a mapping", "not a number", "raises when read"],
    )
    def test_a_scorer_that_does_not_say_what_it_should_is_no_scorer(self, say: Any) -> None:
        subject = router(scorer=Answers(say), policy=Policy(default=STRONG))
        assert story(subject.route(call_of(human(), ai(), human()))) == (Action.KEEP, FAST, Reason.NO_SCORE, ("scorer",))
        assert story(subject.route(call_of(human(), session=None))) == (Action.KEEP, STRONG, Reason.NO_SCORE, ("scorer",))

    def test_no_scorer_at_all_is_nothing_missing(self) -> None:
        decision = router(scorer=Answers(lambda _: None)).route(call_of(human(), ai(), human()))
        assert story(decision) == (Action.KEEP, FAST, Reason.NO_SCORE, ())

    def test_a_fallback_without_a_scorer_is_still_a_fallback(self) -> None:
        subject = router({**router().models, "other": router().models[FAST]}, scorer=Answers(lambda _: None))  # type: ignore[dict-item]
        decision = subject.route(call_of(human(), ai(), human(), failed=(FAST,)))
        assert (decision.model, decision.reason) == (STRONG, Reason.FALLBACK)


class TestAudit:
    def test_every_decision_is_recorded_as_it_was_made(self) -> None:
        log = Recorder()
        decision = router(audit=log).route(call_of(human()))
        assert log.records == [decision_row(decision)]
        assert log.records[0]["decision_id"] == decision.id

    def test_a_full_disk_is_named(self) -> None:
        decision = router(audit=Recorder(full=True)).route(call_of(human()))
        assert story(decision) == (Action.KEEP, FAST, Reason.FIRST_CALL, ("audit",))

    def test_everything_may_be_missing_at_once(self) -> None:
        def say(_: object) -> Any:
            raise RuntimeError

        subject = router(store=FlakyStore(on_load=[GONE] * 2), scorer=Answers(say), audit=Recorder(full=True))
        assert subject.route(call_of(human())).evidence.degraded == ("audit", "scorer", "store")
        assert asyncio.run(subject.aroute(call_of(human()))).evidence.degraded == ("audit", "scorer", "store")
