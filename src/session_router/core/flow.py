"""The routing logic, written once: a generator that yields `effects` and is pumped sync or async.

A driver performs each effect and sends back its value, or `Failed` when it could not: degrading is part of
the logic, so that it is the same in every driver.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from session_router.core.account import Account
from session_router.core.amending import amend
from session_router.core.cached import CacheHit, CacheMiss
from session_router.core.call import settle
from session_router.core.choice import choose, force, keep_locked, missed, not_handed_on, refuse, replay, unrecorded
from session_router.core.decision import Reason
from session_router.core.effects import (
    MAXIMUM_ATTEMPTS,
    AbandonAnswer,
    AppendOutcome,
    AppendRecord,
    AskHealth,
    Failed,
    Learn,
    LoadSession,
    ReadPopulation,
    ScoreNeed,
)
from session_router.core.gate import held_back
from session_router.core.health_check import ill_in, to_decide_again
from session_router.core.look_up import look_up
from session_router.core.need import Need, Question, new_question
from session_router.core.population import opened, taught
from session_router.core.readings import NOTHING_KNOWN, label_to_leave, leave, take_up
from session_router.core.recalling import commit, session_of
from session_router.core.reckoning import reckon
from session_router.core.session import Session
from session_router.core.situation import Situation, lock_in
from session_router.core.upgrades import Upgrades
from session_router.errors import StoreCorrupt

if TYPE_CHECKING:
    from collections.abc import Generator

    from session_router.core.boundary import Lock
    from session_router.core.call import Call, Outcome
    from session_router.core.decision import Decision
    from session_router.core.effects import Effect
    from session_router.core.governance import Tag
    from session_router.core.look_up import LookedUp
    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.policy import Policy
    from session_router.core.population import Lesson
    from session_router.core.session import SessionId
    from session_router.core.upgrades import UpgradeWatch


def route(
    call: Call, specs: Mapping[ModelName, ModelSpec], policy: Policy, population: SessionId | None = None
) -> Generator[Effect, Any, Decision]:
    """Decide who answers `call`.

    Args:
        call: The request.
        specs: Every model; at least one.
        policy: The settings.
        population: Id under which the store keeps the account of the population; `None` for no population.

    Yields:
        Effects; send back their values, or `Failed`.

    Returns:
        The decision, committed and recorded unless `decision.evidence.degraded` says otherwise.
    """
    attempts, looked = 0, None
    tried_out: set[ModelName] = set()
    lost: set[str] = set()
    known, outside = NOTHING_KNOWN, None
    if call.places:
        call, known, outside = yield from take_up(call, specs, policy, lost)
    recalls, situation = True, None
    doubted: tuple[Situation, Decision, Lesson | None] | None = None
    while True:
        degraded = set(lost)
        health = yield AskHealth(call.now)
        session, was_recalled = yield from session_of(call, degraded, recalls=recalls and health is None, is_refused=attempts > 0)
        if doubted is not None and session == doubted[1].session:
            # It was stored, or was nothing that changes anything.
            situation, decision, lesson = doubted
            break
        recalls, doubted = False, None
        situation = Situation.of(call, specs, policy, session, ill_in(health, tried_out), before=situation)
        lock = lock_in(situation.call, situation.session)
        if lock is None and looked is None and call.terms is not None:
            # Once only: whoever missed is the one for whom others wait.
            looked = yield from look_up(situation)
        decision, lesson = yield from _decide(situation, lock, looked, population, degraded)
        if health is not None and (again := (yield from to_decide_again(call, decision, health, tried_out))) is not None:
            call = again
            continue
        attempts += 1
        committed = yield from commit(situation, decision, degraded, was_recalled=was_recalled)
        if committed:
            break
        # A store that refuses may say at once what it has; where nobody knows whether it took it, a load may tell. Should there be none,
        # who answered last is still known, and what the session had read.
        recalls, doubted = committed is False, (situation, decision, lesson) if committed is None else None
        if attempts > MAXIMUM_ATTEMPTS:
            degraded.add("store")
            break
    decision = yield from _handed_on(call, decision, known, outside, degraded)
    yield from _remember(situation, decision, lesson, population)
    if looked is not None and isinstance(looked.found, CacheMiss):
        decision = missed(decision, looked.question, looked.found)
        if decision.asked is None:
            yield AbandonAnswer(looked.question)
    return (yield from _recorded(_with_degraded(decision, degraded), policy, degraded))


def _handed_on(
    call: Call, decision: Decision, known: Mapping[SessionId, Session], outside: Tag | None, degraded: set[str]
) -> Generator[Effect, Any, Decision]:
    """Tell the graphs around the session what is about to be read; refuse where they cannot be told."""
    if not call.places or (yield from leave(call.places, label_to_leave(call, decision), now=call.now, known=known, outside=outside)):
        return decision
    degraded.add("store")
    return decision if decision.refused else not_handed_on(decision)


def _remember(
    situation: Situation, decision: Decision, lesson: Lesson | None, population: SessionId | None
) -> Generator[Effect, Any, None]:
    """Keep what a decision says of more than its session: of its principal, and of the population."""
    if situation.policy.upgrades is not None:
        yield from _count(situation, decision, situation.policy.upgrades)
    if lesson is not None and population is not None and not situation.call.internal:
        yield from _teach((yield Learn(lesson)), population)


def _recorded(decision: Decision, policy: Policy, degraded: set[str]) -> Generator[Effect, Any, Decision]:
    """Record `decision`; refuse where a record is demanded, and there is none."""
    recorded = yield AppendRecord(decision)
    if not isinstance(recorded, Failed):
        return decision
    if not decision.refused and decision.tag is not None and decision.tag.level >= policy.recorded_from:
        if decision.asked is not None:
            yield AbandonAnswer(decision.asked)
        decision = unrecorded(decision)
    return _with_degraded(decision, {*degraded, "audit"})


def _with_degraded(decision: Decision, degraded: set[str]) -> Decision:
    if not degraded:
        return decision
    return replace(decision, evidence=replace(decision.evidence, degraded=tuple(sorted(degraded))))


def observe(decision: Decision, outcome: Outcome, population: SessionId | None = None) -> Generator[Effect, Any, Session | None]:
    """Fold what came of `decision` into the stored session, and what its session teaches into the population.

    Args:
        decision: Who was chosen.
        outcome: What came of it.
        population: As for `route`. It is taught here and not there: nobody waits for a model meanwhile.

    Returns:
        The session as stored, or for the framework to carry on; `None` when there is none, or the store is
        unavailable.
    """
    yield from told(decision, outcome)
    session = yield from _settle(decision, outcome)
    if population is not None:
        yield from _teach((yield Learn(None)), population)
    return session


def told(decision: Decision, outcome: Outcome) -> Generator[Effect, Any, None]:
    """Record what came of `decision`. What was sent was sent: a log that cannot take it changes nothing."""
    yield AppendOutcome(decision, outcome)


def _settle(decision: Decision, outcome: Outcome) -> Generator[Effect, Any, Session | None]:
    if decision.session is None or decision.internal or decision.model is None:
        return None
    if decision.carried:
        return settle(decision.session, decision, outcome).committed()
    # Forgotten or lost since the decision: an absent session counts as version 0.
    absent = replace(decision.session, version=0)
    amended = yield from amend(absent.id, lambda stored: settle(stored or absent, decision, outcome))
    return amended.committed


def _count(situation: Situation, decision: Decision, watch: UpgradeWatch) -> Generator[Effect, Any, None]:
    """Count, once a boundary, whether the principal asked for an upgrade.

    It is done before the model answers: there are calls whose outcome nobody reports, and an attack could be made of these. Where
    the count stays what it is, as it does for whoever does not ask, nothing is written.
    """
    call, watched = situation.call, decision.evidence.upgrades
    row = call.principal
    if row is None or watched is None or watched.principal is None or decision.model is None or call.internal or situation.again:
        return
    if not watched.asked and watched.principal.allowed and watched.principal.evidence == 0:
        return

    def counted(stored: Session | None) -> Session:
        upgrades = Upgrades() if stored is None or stored.account is None else stored.account.upgrades
        observed = watch.observed(upgrades, asked=watched.asked, at=max(upgrades.at, call.now))
        return Session(id=row, version=0 if stored is None else stored.version, account=Account(upgrades=observed))

    # If the store is gone, this boundary is not counted.
    yield from amend(row, counted)


def _decide(
    situation: Situation, lock: Lock | None, looked: LookedUp | None, population: SessionId | None, degraded: set[str]
) -> Generator[Effect, Any, tuple[Decision, Lesson | None]]:
    if lock is None and looked is not None and isinstance(looked.found, CacheHit):
        return replay(situation, looked.found), None
    names = [] if lock else situation.candidates()
    decision = _by_rule(situation, names, degraded) if lock is None else _under_lock(situation, lock)
    if decision is not None:
        return decision, None
    scores = yield ScoreNeed(_question(situation), {name: situation.specs[name] for name in names})
    needs = None if scores is None else _needs_of(scores, names)
    if needs is None or not situation.all_have_prices(names):
        if needs is None and scores is not None:
            degraded.add("scorer")
        return choose(situation, situation.default(names), Reason.NO_SCORE), None
    session = situation.session
    account = None if session is None else session.account
    if account is None:
        gone = session is None and "store" in degraded
        account = opened(None if gone or population is None else _account_in((yield ReadPopulation(population, situation.call.now))))
    principal = None if situation.policy.upgrades is None else (yield from _principal(situation, degraded))
    held = held_back(situation, names, needs)
    reckoning = reckon(situation, account, names, needs, held, principal)
    decision = choose(situation, reckoning.model, reckoning.reason, reckoning=reckoning)
    # A boundary teaches once; and of a session that nobody keeps, nobody knows which one this is.
    return decision, None if decision.refused or situation.again or session is None else reckoning.lesson


def _question(situation: Situation) -> Question:
    """Return what a scorer is asked: the request, and what the session tells of itself."""
    session, question = situation.session, situation.call.question
    if session is None or session.version == 0:
        return question
    switched, account = session.switched_at, session.account
    since = None if switched is None else max(0, situation.call.transcript.turn - switched)
    # Spelled out: `dataclasses.replace` costs several times as much, and this runs at every boundary.
    return new_question(
        text=question.text,
        recent=question.recent,
        turn=question.turn,
        structured=question.structured,
        tools=question.tools,
        tool_errors=question.tool_errors,
        segment_calls=0.0 if account is None else account.habits.calls,
        turns_since_switch=since,
    )


def _account_in(population: object) -> Account | None:
    # Habits are worth a guess: without a store, the defaults will do.
    return population.account if isinstance(population, Session) else None


def _principal(situation: Situation, degraded: set[str]) -> Generator[Effect, Any, Upgrades | None]:
    row = situation.call.principal
    if row is None:
        return None
    stored = yield LoadSession(row)
    if isinstance(stored, Failed):
        if not isinstance(stored.error, StoreCorrupt):
            degraded.add("store")
            return None
        stored = None
    return Upgrades() if stored is None or stored.account is None else stored.account.upgrades


def _teach(lessons: Any, row: SessionId) -> Generator[Effect, Any, None]:  # noqa: ANN401 -- what a driver answered: lessons, nothing, or `Failed`
    if not lessons or isinstance(lessons, Failed):
        return
    # If the store is gone, they are lost: they are means over many sessions, and do without these.
    yield from amend(
        row,
        lambda stored: Session(
            id=row,
            version=0 if stored is None else stored.version,
            account=taught(None if stored is None else stored.account, lessons),
        ),
    )


def _by_rule(situation: Situation, names: list[ModelName], degraded: set[str]) -> Decision | None:
    """Decide at a boundary without asking what anything costs, where that is not the question.

    One line a rule, in the order in which they outrank one another.
    """
    call = situation.call
    if not names:
        return refuse(situation)
    if call.only is not None:
        return choose(situation, call.only, Reason.PINNED)
    if call.transcript.turn == 0 and situation.policy.default is not None:
        return choose(situation, situation.default(names), Reason.NO_HUMAN_MESSAGE)
    if len(names) == 1:
        return choose(situation, names[0], _reason_of_last_one(situation, names[0]))
    if "store" in degraded and situation.current is not None and situation.current in names:
        # Nobody knows what is warm where: staying is the choice that cannot be wrong by much.
        return choose(situation, situation.current, Reason.NO_SESSION)
    return None


def _needs_of(scores: object, names: list[ModelName]) -> dict[ModelName, Need] | None:
    """Read what a scorer said, once; `None` unless it is what its port promises: a need for every model asked about."""
    if not isinstance(scores, Mapping):
        return None
    try:
        needs: dict[ModelName, Any] = {name: scores[name] for name in names}
    except Exception:  # noqa: BLE001 -- the mapping is the user's, and may compute its values
        return None
    for need in needs.values():
        if not isinstance(need, Need):
            return None
    return needs


def _under_lock(situation: Situation, lock: Lock) -> Decision:
    holder = situation.holder(lock)
    own = situation if holder is None or not situation.eligible[holder].uncleared else situation.read_by(holder)
    if holder is not None and not own.eligible[holder].uncleared:
        if holder in own.call.failed or own.eligible[holder].ill:
            return refuse(replace(own, current=holder), lock=lock, locked_to=holder)
        if own.call.bindings & own.eligible[holder].stuck:
            # What the request refers to is another account's, and the loop is not: nobody can take both.
            return refuse(replace(own, current=holder), lock=lock, target=holder)
        return keep_locked(own, holder, lock)
    # The holder may not see the payload, or is no route of ours: only a cleared model that can take a converted
    # history may go on.
    eligible = situation.eligible
    names = [name for name, one in eligible.items() if not (one.uncleared or one.incapable or one.stuck or one.ill)]
    if not names:
        return refuse(replace(situation, current=holder), lock=lock)
    reason = Reason.ASKER_NOT_ROUTABLE if holder is None else Reason.LOST_CLEARANCE
    return force(situation, situation.default(names), reason, lock, holder=holder)


def _reason_of_last_one(situation: Situation, name: ModelName) -> Reason:
    if situation.current is None:
        return Reason.FIRST_CALL
    return Reason.STILL_BEST if name == situation.current else Reason.CURRENT_NOT_ELIGIBLE
