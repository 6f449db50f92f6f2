"""From a choice, or a refusal, to the decision that explains it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from session_router.core.boundary_choice import BoundaryChoice, new_boundary_choice
from session_router.core.decision import Action, Candidate, Decision, Reason, new_decision, new_evidence
from session_router.core.eligibility import kinds_of
from session_router.core.exposure import exposed, left_elsewhere
from session_router.core.governance import join
from session_router.core.policy import OnUnportable
from session_router.core.session import Session, new_before, new_session, new_visit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.account import Account
    from session_router.core.boundary import Lock
    from session_router.core.cached import CacheHit, CacheMiss, CacheQuestion
    from session_router.core.exposure import Exposure
    from session_router.core.governance import Tag
    from session_router.core.model import ModelName
    from session_router.core.reckoning import Reckoning
    from session_router.core.situation import Situation
    from session_router.core.transcript import Prefix


_FORBIDDEN = "the policy forbids to convert the history"


def choose(situation: Situation, name: ModelName, reason: Reason, *, reckoning: Reckoning | None = None) -> Decision:
    """Choose `name` at a boundary, or refuse when that needs a conversion that the policy forbids."""
    call, moved = situation.call, situation.current is not None and name != situation.current
    foreign = situation.eligible[name].foreign
    if foreign and name != situation.current and situation.policy.on_unportable is OnUnportable.RAISE:
        return refuse(situation, target=name, reckoning=reckoning)
    if call.failed and reason is not Reason.PINNED:
        reason = Reason.FALLBACK
    if call.internal:
        # The session stays where it is, whoever answers a middleware.
        reason, moved = Reason.INTERNAL_CALL, False
    action = Action.SWITCH if moved else Action.KEEP
    return _decision(situation, action, name, reason, reckoning=reckoning, blocked=kinds_of(foreign))


def keep_locked(situation: Situation, name: ModelName, lock: Lock) -> Decision:
    """Keep the holder of `lock`: whatever the session remembers, the history has been on it since it asked."""
    if situation.current != name:
        situation = replace(situation, current=name)
    blocked = kinds_of(situation.eligible[name].foreign)
    return _decision(situation, Action.KEEP, name, Reason.LOCKED, lock=lock, blocked=blocked, locked_to=name)


def force(situation: Situation, name: ModelName, reason: Reason, lock: Lock, *, holder: ModelName | None) -> Decision:
    """Move to `name` though `lock` holds; nothing is left where nobody is known to have held it."""
    action = Action.KEEP if holder is None and lock.model is None else Action.FORCED_SWITCH
    situation = replace(situation, current=holder)
    return _decision(situation, action, name, reason, lock=lock, blocked=kinds_of(situation.eligible[name].foreign))


def refuse(
    situation: Situation,
    *,
    lock: Lock | None = None,
    locked_to: ModelName | None = None,
    target: ModelName | None = None,
    reckoning: Reckoning | None = None,
) -> Decision:
    """Let nobody answer.

    Args:
        situation: What was looked at.
        lock: The lock that holds.
        locked_to: Its holder, when the refusal is that nobody else may take its place.
        target: The model that was about to be chosen and cannot take the history.
        reckoning: What the candidates would cost.
    """
    eligible = situation.eligible
    pinned = [eligible[name] for name in eligible if name == situation.call.only] or list(eligible.values())
    if locked_to is not None:
        ill = [one for one in (eligible[locked_to].ill,) if one and locked_to not in situation.call.failed]
    else:
        ill = [] if target is not None else situation.illnesses(under_lock=lock is not None)
    if ill or locked_to is not None:
        reason = Reason.NOT_HEALTHY if ill else Reason.NOT_CAPABLE
    elif all(one.uncleared for one in pinned):
        reason = Reason.NOT_CLEARED
    else:
        # What is cleared and capable, and still could not be chosen, cannot take the history.
        target = target or next((name for name, one in eligible.items() if not one.uncleared and not one.incapable), None)
        reason = Reason.NOT_CAPABLE if target is None else Reason.UNPORTABLE
    bound: tuple[str, ...] = ()
    if reason is Reason.UNPORTABLE and target is not None:
        keep_all = lock is None and situation.policy.on_unportable is not OnUnportable.CONVERT
        bound = kinds_of(eligible[target].foreign if keep_all else eligible[target].stuck)
    decision = _decision(
        situation, Action.REFUSE, None, reason, lock=lock, reckoning=reckoning, blocked=bound, locked_to=locked_to, target=target
    )
    if reason is not Reason.NOT_HEALTHY:
        return decision
    soonest = min(one.until for one in ill) - situation.call.now
    return replace(decision, evidence=replace(decision.evidence, healthy_in=max(0.0, soonest)))


def replay(situation: Situation, hit: CacheHit) -> Decision:
    """Let a stored answer stand for a new one: no model reads the request, and the session stays where it was.

    Only its label rises: what was replayed is in the history, and a summary of that says what it says.
    """
    decision = _decision(situation, Action.CACHE_HIT, None, Reason.ANSWERED_BEFORE, found=hit)
    session = decision.session
    tag = None if session is None else _tag_after(session, decision.tag)
    if session is None or tag == session.tag:
        return decision
    return replace(decision, session=replace(session.committed(), tag=tag))


def unrecorded(decision: Decision) -> Decision:
    """Return `decision` as the refusal that it becomes where a record of it is demanded, and there is none."""
    evidence = replace(decision.evidence, cache=None)
    return replace(decision, action=Action.REFUSE, model=None, reason=Reason.NOT_RECORDED, evidence=evidence, asked=None)


def not_handed_on(decision: Decision) -> Decision:
    """Return `decision` as the refusal that it becomes where the graph around its session cannot be told what it would read."""
    evidence = replace(decision.evidence, cache=None)
    return replace(decision, action=Action.REFUSE, model=None, reason=Reason.NOT_HANDED_ON, evidence=evidence, asked=None)


def missed(decision: Decision, question: CacheQuestion, miss: CacheMiss) -> Decision:
    """Return `decision` as one that was made since the cache had no answer."""
    evidence = replace(decision.evidence, cache=miss)
    return replace(decision, evidence=evidence, asked=None if decision.refused else question)


def _decision(  # noqa: PLR0913 -- one place that builds decisions
    situation: Situation,
    action: Action,
    name: ModelName | None,
    reason: Reason,
    *,
    lock: Lock | None = None,
    reckoning: Reckoning | None = None,
    blocked: tuple[str, ...] = (),
    locked_to: ModelName | None = None,
    target: ModelName | None = None,
    found: CacheHit | None = None,
) -> Decision:
    call, policy, session = situation.call, situation.policy, situation.session
    transcript = call.transcript
    known: Mapping[ModelName, Candidate] = {} if reckoning is None else reckoning.candidates
    prefix = transcript.prefix
    same_turn = session is not None and session.version > 0 and session.turn == transcript.turn
    number = session.call + 1 if session is not None and same_turn else 1
    # A hit is a read.
    tag = situation.tag if found is None or situation.tag is None else join(situation.tag, found.answer.tag)
    evidence = new_evidence(
        candidates=tuple(
            [_explained(situation, one, chosen=name, locked_to=locked_to, target=target, scored=known.get(one)) for one in situation.specs]
        ),
        tokens=transcript.tokens,
        output_tokens=policy.output_tokens,
        stake=policy.stake,
        margin=policy.margin,
        forecast=None if reckoning is None else reckoning.forecast,
        standing=None if reckoning is None else reckoning.standing,
        propensity=None if reckoning is None else reckoning.propensity,
        alarm=None if reckoning is None else reckoning.alarm,
        upgrades=None if reckoning is None else reckoning.upgrades,
        spent=None if reckoning is None else reckoning.account.spent,
        cache=found,
        tag="" if tag is None else tag.describe(),
        narrowed="" if call.narrowed is None else call.narrowed.value,
        exposures=() if session is None else left_elsewhere(session.exposures, model=name, now=call.now),
        blocked_by=blocked,
        waited=call.waited,
    )
    decision_id = _decision_id(situation, prefix, number, name)
    after = _session_after(situation, action, name, prefix, number, lock=lock, reckoning=reckoning)
    return new_decision(
        id=decision_id,
        action=action,
        model=name,
        previous=situation.current,
        reason=reason,
        lock=lock,
        evidence=evidence,
        policy=policy.version,
        session_id=call.session,
        session=after,
        turn=transcript.turn,
        call=number,
        steps=len(transcript.steps),
        prefix=prefix,
        at=call.now,
        earlier=None if session is None or name is None else session.visits.get(name),
        internal=call.internal,
        carried=call.carried is not None,
        agent=call.agent,
        tag=tag,
        boundary=_boundary(situation, decision_id, name, known, after),
    )


def _boundary(
    situation: Situation, decision_id: str, name: ModelName | None, known: Mapping[ModelName, Candidate], after: Session | None
) -> BoundaryChoice | None:
    """Say which choice by chances this call goes back to."""
    call, session = situation.call, situation.session
    if name is None or call.internal:
        return None
    if session is None or after is None:
        # Nobody will know its later calls for those of one segment.
        scored = known[name].scored if name in known else None
        return None if scored is None else new_boundary_choice(segment=decision_id, model=name, p_success=scored)
    if not known and call.transcript.turn > session.turn:
        # The boundary of this turn was not stored: what the session remembers is another one.
        return None
    return BoundaryChoice.of(after, name, carried=call.carried is not None)


def _account_after(situation: Situation, lock: Lock | None, reckoning: Reckoning | None) -> Account | None:
    """Return what the session remembers for its economics once this call is made."""
    transcript = situation.call.transcript
    account = situation.session.account if situation.session is not None else None
    if reckoning is not None:
        return reckoning.account
    if account is None:
        # Without a choice by dollars there is nothing to account for yet.
        return None
    if lock is not None:
        return account.continued(transcript)
    # A move that no dollars decided: the ledger and the work function begin anew where the session is now.
    return account.unreckoned(transcript)


def _session_after(
    situation: Situation,
    action: Action,
    name: ModelName | None,
    prefix: Prefix,
    number: int,
    *,
    lock: Lock | None,
    reckoning: Reckoning | None,
) -> Session | None:
    call, session = situation.call, situation.session
    if session is None or name is None:
        return session
    exposures = _exposures_after(situation, session, name)
    if call.internal:
        return session if exposures == session.exposures else replace(session.committed(), exposures=exposures)
    visit, account = session.visits.get(name), session.account if reckoning is None else reckoning.before
    switched = action in {Action.SWITCH, Action.FORCED_SWITCH}
    # Spelled out: `dataclasses.replace` costs twice as much, and this runs at every call.
    return new_session(
        id=session.id,
        version=session.version + 1,
        current=name,
        lock=session.lock,
        closed=session.closed,
        visits={
            **session.visits,
            name: new_visit(
                steps=len(call.transcript.steps),
                digest=prefix.digest,
                tokens=prefix.tokens,
                at=call.now,
                scale=situation.intakes[name].scale,
                held=1.0 if visit is None else visit.held,
            ),
        },
        turn=call.transcript.turn,
        call=number,
        switches=session.switches + switched,
        switched_at=call.transcript.turn if switched else session.switched_at,
        account=_account_after(situation, lock, reckoning),
        tag=_tag_after(session, situation.tag if call.withheld is None or situation.tag is None else join(situation.tag, call.withheld)),
        exposures=exposures,
        before=None
        if account is None or lock is not None
        else new_before(
            account=account,
            current=session.current,
            switches=session.switches,
            switched_at=session.switched_at,
            model=name,
            visit=visit,
        ),
        row=session.row,
    )


def _exposures_after(situation: Situation, session: Session, name: ModelName) -> tuple[Exposure, ...]:
    """Return what providers may hold of the session once this was sent: it counts as sent, whatever comes of it."""
    if situation.tag is None:
        return session.exposures
    clearance, call = situation.specs[name].clearance, situation.call
    return exposed(session.exposures, model=name, tag=situation.tag, clearance=clearance, now=call.now, held=call.held)


def _tag_after(session: Session, sent: Tag | None) -> Tag | None:
    """Return the label of the session once a payload was sent: it only rises."""
    return session.tag if sent is None else sent if session.tag is None else join(session.tag, sent)


def _explained(
    situation: Situation,
    name: ModelName,
    *,
    chosen: ModelName | None,
    locked_to: ModelName | None,
    target: ModelName | None,
    scored: Candidate | None,
) -> Candidate:
    """Price a model that nobody scored, and say what excluded it, if anything."""
    if scored is not None:
        return replace(scored, excluded=_FORBIDDEN, unportable=True) if name == target else scored
    if name == chosen:
        return situation.priced(name, None)
    one = situation.eligible[name]
    if refused := one.uncleared or one.incapable:
        return situation.priced(name, None, excluded=refused, uncleared=bool(one.uncleared))
    if bound := situation.unportable(name) or (_FORBIDDEN if name == target else ""):
        return situation.priced(name, None, excluded=bound, unportable=True)
    if one.ill:
        return replace(situation.priced(name, None, excluded=one.ill.why), unhealthy=True)
    return situation.priced(name, None, excluded="" if locked_to is None else f"the session is locked to `{locked_to}`")


def _decision_id(situation: Situation, prefix: Prefix, number: int, name: ModelName | None) -> str:
    call, session = situation.call, situation.session
    version = 0 if session is None else session.version
    before = f"{call.session or ''}|{version}|{prefix.digest.hex()}|{situation.policy.version}|{call.now!r}"
    facts = (f"{before}|{number}|{name or ''}|{call.internal}", *call.failed)
    return hashlib.blake2b("|".join(facts).encode(), digest_size=16).hexdigest()
