"""Routing around models that are not healthy: excluded at a boundary, waited for under a lock, and never moved away from there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from session_router.cli.story import tell
from session_router.cli.words import REASONS
from session_router.core.audit_row import decision_row
from session_router.core.call import Outcome
from session_router.core.decision import Action, Reason
from session_router.core.governance import Clearance, Level, Tag
from session_router.core.health import Failure, FailureKind, HealthRules
from session_router.errors import NoClearedModel, NoHealthyModel
from session_router.router import Router
from session_router.stores.memory import MemorySessionStore
from support.shared_health import SharedInMemory
from values import FAST, OTHER, STRONG, Prefers, ai, call_of, human, spec, specs, tool

if TYPE_CHECKING:
    from session_router.core.decision import Decision

OVERLOADED = Failure(kind=FailureKind.OVERLOADED)
LOOP = (human(), ai("a", by=FAST), tool("a"))


@dataclass
class Time:
    """A clock that waits at once."""

    at: float = 1_000.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)


class StandsStill(Time):
    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Sharing(MemorySessionStore):
    def __init__(self, health: SharedInMemory) -> None:
        super().__init__()
        self.health = health


def router(clock: Time | None = None, *, routes: Any = None, **ports: Any) -> Router:
    made = Router(routes or specs(), scorer=Prefers(), clock=clock or Time(), **ports)
    if made.health is not None:
        made.health._share = lambda: 0.5
    return made


def fail(subject: Router, model: Any, failure: Failure = OVERLOADED, *, times: int = 5, at: float = 1_000.0) -> None:
    """Let calls of other sessions fail on a model."""
    # Decided before anything failed: none of them waits, or tries a model out.
    decision = replace(Router(subject.models).route(call_of(human(), session=None, only=model, now=at)), model=model)
    for _ in range(times):
        subject.observe(decision, Outcome(at=at, model=None, error="Failed", failure=failure))


def asked(decision: Decision, model: Any) -> Any:
    return next(one for one in decision.evidence.candidates if one.model == model)


def test_a_model_that_fails_is_excluded_with_its_reason() -> None:
    subject = router()
    assert subject.route(call_of(human(), session=None)).model == FAST
    fail(subject, FAST)
    decision = subject.route(call_of(human(), session=None))
    assert (decision.model, decision.action) == (STRONG, Action.KEEP)
    one = asked(decision, FAST)
    assert one.unhealthy
    assert "failed several times" in one.excluded
    assert one.to_plain()["unhealthy"] is True
    assert not asked(decision, STRONG).unhealthy
    (row,) = [row for row in decision_row(decision)["evidence"]["candidates"] if row["model"] == FAST]
    assert "failed several times" in row["excluded"]


def test_a_switch_away_is_a_switch_of_the_session() -> None:
    subject = router()
    first = subject.route(call_of(human()))
    subject.observe(first, Outcome(at=1_000.0, model=FAST))
    fail(subject, FAST)
    decision = subject.route(call_of(human(), ai(by=FAST), human("more")))
    assert (decision.action, decision.model, decision.reason) == (Action.SWITCH, STRONG, Reason.CURRENT_NOT_ELIGIBLE)


def test_without_notice_of_health_nothing_is_excluded() -> None:
    subject = router(health=None)
    fail(subject, FAST)
    assert subject.route(call_of(human(), session=None)).model == FAST


def test_a_refused_request_says_nothing_against_its_model() -> None:
    subject = router()
    fail(subject, FAST, Failure(kind=FailureKind.REFUSED), times=20)
    assert subject.route(call_of(human(), session=None)).model == FAST


def test_a_locked_session_waits_for_its_model_and_tries_it_out() -> None:
    clock = Time()
    subject = router(clock)
    fail(subject, FAST, Failure(kind=FailureKind.RATE_LIMITED, retry_after=4.0), times=1)
    decision = subject.route(call_of(*LOOP))
    assert (decision.model, decision.reason, decision.at) == (FAST, Reason.LOCKED, 1_004.0)
    assert decision.evidence.waited == pytest.approx(4.0)
    assert decision.evidence.to_plain()["waited"] == pytest.approx(4.0)
    assert sum(clock.slept) == pytest.approx(4.0)


def test_a_locked_session_that_would_wait_too_long_fails_clearly_and_never_moves() -> None:
    clock = Time()
    subject = router(clock)
    fail(subject, FAST, Failure(kind=FailureKind.RATE_LIMITED, retry_after=11.0), times=1)
    decision = subject.route(call_of(*LOOP))
    assert (decision.action, decision.model, decision.reason) == (Action.REFUSE, None, Reason.NOT_HEALTHY)
    assert (decision.lock is not None, clock.slept) == (True, [])
    with pytest.raises(NoHealthyModel, match="locked to `fast`") as caught:
        decision.chosen()
    assert (caught.value.locked, caught.value.retry_after) == (FAST, pytest.approx(11.0))
    assert set(caught.value.tried) == {FAST}
    assert "healthy" in REASONS[decision.reason]


def test_a_clock_that_stands_still_makes_nobody_wait_for_ever() -> None:
    clock = StandsStill()
    subject = router(clock)
    fail(subject, FAST, Failure(kind=FailureKind.RATE_LIMITED, retry_after=4.0), times=1)
    decision = subject.route(call_of(*LOOP))
    assert (decision.model, decision.at, len(clock.slept)) == (FAST, 1_004.0, 1)


def test_where_all_are_ill_a_call_waits_for_the_first_that_comes_back() -> None:
    clock = Time()
    subject = router(clock)
    fail(subject, FAST, Failure(kind=FailureKind.RATE_LIMITED, retry_after=9.0), times=1)
    fail(subject, STRONG, Failure(kind=FailureKind.RATE_LIMITED, retry_after=2.0), times=1)
    decision = subject.route(call_of(human(), session=None))
    assert (decision.model, decision.at) == (STRONG, 1_002.0)


def test_nobody_waits_for_a_model_that_may_not_see_the_payload() -> None:
    secret, cleared = Tag(level=Level.CONFIDENTIAL), Clearance(max_level=Level.RESTRICTED)
    clock = Time()
    subject = router(clock, routes={FAST: spec(1.0, clearance=cleared), OTHER: spec(0.1)})
    fail(subject, OTHER)
    with pytest.raises(NoClearedModel):
        subject.route(call_of(human(tag=secret), session=None, only=OTHER)).chosen()
    fail(subject, FAST, Failure(kind=FailureKind.RATE_LIMITED, retry_after=60.0), times=1)
    decision = subject.route(call_of(human(tag=secret), session=None))
    assert (decision.reason, decision.model, clock.slept) == (Reason.NOT_HEALTHY, None, [])


def test_one_call_tries_out_and_the_others_go_elsewhere_meanwhile() -> None:
    subject = router()
    fail(subject, FAST)
    tries = subject.route(call_of(human(), session=None, now=1_009.0))
    assert tries.model == FAST
    assert subject.route(call_of(human(), session=None, now=1_009.0)).model == STRONG
    subject.observe(tries, Outcome(at=1_010.0, model=FAST))
    assert subject.route(call_of(human(), session=None, now=1_010.0)).model == FAST


def test_replicas_hear_of_it_and_one_of_them_tries_it_out() -> None:
    shared = SharedInMemory()
    one, other = (router(store=Sharing(shared)) for _ in range(2))
    fail(one, FAST)
    done = other.route(call_of(human(), session=None))
    assert done.model == FAST, "it has not heard yet"
    other.observe(done, Outcome(at=1_000.0, model=FAST))
    fail(one, FAST)
    heard = other.route(call_of(human(), session=None, now=1_000.5))
    assert asked(heard, FAST).unhealthy, "an outcome is the time to hear"
    models = [subject.route(call_of(human(), session=None, now=1_020.0)).model for subject in (one, other, one, other)]
    assert models.count(FAST) == 1


def test_shared_health_that_is_away_costs_nothing_but_what_others_know() -> None:
    shared = SharedInMemory(is_away=True)
    subject = router(store=Sharing(shared))
    fail(subject, FAST)
    assert subject.route(call_of(human(), session=None)).model == STRONG
    assert subject.route(call_of(human(), session=None, now=1_009.0)).model == FAST
    assert subject.route(call_of(human(), session=None, now=1_009.0)).model == STRONG


def test_the_same_on_an_event_loop() -> None:
    clock = Time()
    subject = router(clock, store=Sharing(SharedInMemory()))
    fail(subject, FAST, Failure(kind=FailureKind.RATE_LIMITED, retry_after=4.0), times=1)

    async def main() -> Decision:
        decision = await subject.aroute(call_of(*LOOP))
        await subject.aobserve(decision, Outcome(at=clock.at, model=None, error="Failed", failure=OVERLOADED))
        return decision

    decision = asyncio.run(main())
    assert (decision.model, decision.at) == (FAST, 1_004.0)


def test_explain_tells_who_was_ill_and_how_long_the_call_waited() -> None:
    subject = router()
    fail(subject, STRONG)
    fail(subject, FAST, Failure(kind=FailureKind.RATE_LIMITED, retry_after=0.4), times=1)
    told = Console(record=True, width=200)
    rows = [{**subject.route(call_of(*LOOP)).to_plain(), "session_id": "s", "message_index": 3}]
    rows.append({**subject.route(call_of(human(), session=None)).to_plain(), "session_id": "s", "message_index": 3})
    with told.capture() as capture:
        tell(told, rows, turn=None)
    assert "waited: 0.4 s" in capture.get()
    assert "excluded: it has failed several times and is not asked for" in capture.get()


def test_an_impatient_router_does_not_wait() -> None:
    clock = Time()
    subject = router(clock, health=HealthRules(wait_seconds=0.0))
    fail(subject, FAST, Failure(kind=FailureKind.RATE_LIMITED, retry_after=0.5), times=1)
    assert subject.route(call_of(*LOOP)).reason is Reason.NOT_HEALTHY
    assert clock.slept == []
