"""The routing logic, written once: a generator that yields effects and is pumped sync or async.

A driver performs each effect and sends back its value, or `Failed` when it could not: degrading is part of
the logic, so that it is the same in every driver.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from session_router.core.boundary import Lock, find_lock
from session_router.core.call import settle
from session_router.core.decision import Action, Candidate, Decision, Evidence, Reason
from session_router.core.eligibility import Eligibility, examine, kinds_of, payload_tag
from session_router.core.policy import OnUnportable, cheapest
from session_router.core.prefix import cached_tokens
from session_router.core.pricing import USD, Usage, call_cost
from session_router.core.session import Session
from session_router.core.transcript import Binding, Role
from session_router.errors import StoreCorrupt

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from session_router.core.call import Call, Outcome
    from session_router.core.governance import Tag
    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.need import Need, Question
    from session_router.core.policy import Policy
    from session_router.core.session import SessionId

MAXIMUM_ATTEMPTS = 16
"""Commits lost to other replicas before the store counts as unavailable."""


@dataclass(frozen=True, slots=True)
class LoadSession:
    """Answered with `Session | None`."""

    session: SessionId


@dataclass(frozen=True, slots=True)
class CommitSession:
    """Answered with `True`, or `False` when another replica was first."""

    session: Session


@dataclass(frozen=True, slots=True)
class ScoreNeed:
    """Answered with `Mapping[ModelName, Need]`, or `None` when there is no scorer."""

    question: Question
    models: Mapping[ModelName, ModelSpec]


@dataclass(frozen=True, slots=True)
class AppendRecord:
    """Answered with `None`."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class Failed:
    """What a driver sends instead of a value."""

    error: Exception


Effect: TypeAlias = LoadSession | CommitSession | ScoreNeed | AppendRecord
Scores: TypeAlias = "Mapping[ModelName, Need]"


def route(call: Call, specs: Mapping[ModelName, ModelSpec], policy: Policy) -> Generator[Effect, Any, Decision]:
    """Decide who answers `call`.

    Args:
        call: The request.
        specs: Every model; at least one.
        policy: The settings.

    Yields:
        Effects; send back their values, or `Failed`.

    Returns:
        The decision, committed and recorded unless `decision.evidence.degraded` says otherwise.
    """
    degraded: set[str] = set()
    for attempt in range(MAXIMUM_ATTEMPTS + 1):
        session = yield from _load(call, degraded)
        decision = yield from _decide(call, specs, policy, session, degraded)
        committed = yield from _commit(call, decision, degraded)
        if committed:
            break
        if attempt == MAXIMUM_ATTEMPTS:
            degraded.add("store")
    evidence = replace(decision.evidence, degraded=tuple(sorted(degraded)))
    decision = replace(decision, evidence=evidence)
    recorded = yield AppendRecord(decision)
    if isinstance(recorded, Failed):
        decision = replace(decision, evidence=replace(evidence, degraded=tuple(sorted({*degraded, "audit"}))))
    return decision


def observe(decision: Decision, outcome: Outcome) -> Generator[Effect, Any, Session | None]:
    """Fold what came of `decision` into the stored session.

    Returns:
        The session as stored, or for the framework to carry on; `None` when there is none, or the store is
        unavailable.
    """
    if decision.session is None or decision.internal:
        return None
    if decision.carried:
        return settle(decision.session, decision, outcome).committed()
    for _ in range(MAXIMUM_ATTEMPTS):
        stored = yield LoadSession(decision.session.id)
        if isinstance(stored, Failed):
            if not isinstance(stored.error, StoreCorrupt):
                return None
            stored = None
        # Forgotten or lost since the decision: an absent session counts as version 0.
        session: Session = settle(stored or replace(decision.session, version=0), decision, outcome).committed()
        stored = yield CommitSession(session)
        if isinstance(stored, Failed):
            return None
        if stored:
            return session
    return None


def _load(call: Call, degraded: set[str]) -> Generator[Effect, Any, Session | None]:
    if call.carried is not None or call.session is None:
        return call.carried
    loaded = yield LoadSession(call.session)
    if isinstance(loaded, Failed):
        degraded.add("store")
        # A lost row counts as absent: the session begins anew and its commit replaces the row.
        return Session(id=call.session) if isinstance(loaded.error, StoreCorrupt) else None
    return loaded or Session(id=call.session)


def _commit(call: Call, decision: Decision, degraded: set[str]) -> Generator[Effect, Any, bool]:
    unchanged = decision.session is None or decision.action is Action.REFUSE or call.internal
    if unchanged or call.carried is not None or decision.session is None:
        return True
    committed = yield CommitSession(decision.session)
    if isinstance(committed, Failed):
        degraded.add("store")
        return True
    return bool(committed)


@dataclass(frozen=True, slots=True)
class _View:
    """Everything that one decision looks at."""

    call: Call
    specs: Mapping[ModelName, ModelSpec]
    policy: Policy
    session: Session | None
    current: ModelName | None
    tag: Tag | None
    eligible: Mapping[ModelName, Eligibility]

    def open_to(self, name: ModelName) -> bool:
        """Whether nothing excludes `name` at a boundary."""
        return not self.exclusion(name)

    def exclusion(self, name: ModelName) -> str:
        one = self.eligible[name]
        return one.uncleared or one.incapable or (one.unportable(self.policy) if self.binds(name) else "")

    def binds(self, name: ModelName) -> bool:
        """Whether the history's bindings speak against moving to `name`; the model it is on already may stay."""
        return name != self.current or bool(self.eligible[name].stuck)


def _decide(
    call: Call, specs: Mapping[ModelName, ModelSpec], policy: Policy, session: Session | None, degraded: set[str]
) -> Generator[Effect, Any, Decision]:
    tag = payload_tag(call, specs, policy)
    view = _View(call, specs, policy, session, _current(call, specs, session), tag, examine(call, specs, tag))
    stored = (None, None) if session is None else (session.closed, session.lock)
    lock = find_lock(call.transcript, closed=stored[0], stored=stored[1], agent=call.agent)
    if lock is not None:
        return _under_lock(view, lock)
    names = [name for name in specs if view.open_to(name)]
    if not names:
        return _refuse(view)
    if call.only is not None:
        return _choose(view, call.only, Reason.PINNED)
    if call.transcript.turn == 0:
        default = _default(view, names)
        return _choose(view, default, Reason.NO_HUMAN_MESSAGE)
    if len(names) == 1:
        return _choose(view, names[0], _reason_of_last_one(view, names[0]))
    scores = yield ScoreNeed(call.question, {name: specs[name] for name in names})
    if isinstance(scores, Failed):
        degraded.add("scorer")
    if isinstance(scores, Failed) or scores is None:
        here = view.current if view.current in names else _default(view, names)
        return _choose(view, here, Reason.NO_SCORE)
    return _by_money(view, names, scores)


def _current(call: Call, specs: Mapping[ModelName, ModelSpec], session: Session | None) -> ModelName | None:
    if session is not None and session.current in specs:
        return session.current
    for step in reversed(call.transcript.steps):
        if step.role is Role.AI and step.author in specs:
            return cast("ModelName", step.author)
    return None


def _default(view: _View, names: list[ModelName]) -> ModelName:
    if view.current in names:
        return view.current
    wanted = view.policy.default
    return next((name for name in names if name == wanted), names[0])


def _under_lock(view: _View, lock: Lock) -> Decision:
    named = lock.model if lock.model in view.specs else None
    holder = cast("ModelName | None", named) or view.current
    if holder is not None and not view.eligible[holder].uncleared:
        if holder in view.call.failed:
            return _refuse(view, lock=lock)
        return _choose(view, holder, Reason.LOCKED, lock=lock)
    # The holder may not see the payload, or is no route of ours: only a cleared model that can take a converted
    # history may go on.
    reason = Reason.ASKER_NOT_ROUTABLE if holder is None else Reason.LOST_CLEARANCE
    names = [name for name, one in view.eligible.items() if name != holder and not one.uncleared and not one.incapable and not one.stuck]
    if not names:
        return _refuse(view, lock=lock)
    return _choose(view, _default(view, names), reason, lock=lock, forced=True)


def _reason_of_last_one(view: _View, name: ModelName) -> Reason:
    if view.current is None:
        return Reason.FIRST_CALL
    if name == view.current:
        return Reason.STILL_BEST
    return Reason.FALLBACK if view.current in view.call.failed else Reason.CURRENT_NOT_ELIGIBLE


def _by_money(view: _View, names: list[ModelName], scores: Scores) -> Decision:
    priced = {name: _priced(view, name, scores[name]) for name in names}
    best = cheapest(list(priced.values()), current=view.current, margin=view.policy.margin)
    name = best.model
    blocked = view.eligible[name].foreign if name != view.current else frozenset()
    if blocked and view.policy.on_unportable is OnUnportable.RAISE:
        return _refuse(view, priced=priced, blocked=kinds_of(blocked))
    if view.current is None:
        reason = Reason.FIRST_CALL
    elif view.current in view.call.failed:
        reason = Reason.FALLBACK
    elif view.current not in names:
        reason = Reason.CURRENT_NOT_ELIGIBLE
    elif name != view.current:
        reason = Reason.LOWER_EXPECTED_COST
    else:
        cheaper = min(candidate.expected or 0.0 for candidate in priced.values())
        reason = Reason.STILL_BEST if best.expected == cheaper else Reason.WITHIN_MARGIN
    return _choose(view, name, reason, priced=priced)


def _priced(view: _View, name: ModelName, need: Need | None) -> Candidate:
    spec, policy, transcript = view.specs[name], view.policy, view.call.transcript
    visit = None if view.session is None else view.session.visits.get(name)
    cached = cached_tokens(transcript, visit, now=view.call.now, cache=policy.prompt_cache)
    usage = Usage(input=transcript.tokens, cached=cached, output=policy.output_tokens)
    cost = None if spec.prices is None else call_cost(spec.prices, usage)
    p_success = None if need is None else need.p_success
    expected = None if cost is None or p_success is None else USD(cost + policy.stake * (1 - p_success))
    return Candidate(model=name, cached=cached, cost=cost, p_success=p_success, expected=expected)


def _choose(
    view: _View,
    name: ModelName,
    reason: Reason,
    *,
    lock: Lock | None = None,
    forced: bool = False,
    priced: Mapping[ModelName, Candidate] | None = None,
) -> Decision:
    moved = view.current is not None and name != view.current
    action = Action.FORCED_SWITCH if forced else Action.SWITCH if moved else Action.KEEP
    if view.call.internal and reason is not Reason.LOCKED:
        reason = Reason.INTERNAL_CALL
    blocked = kinds_of(view.eligible[name].foreign)
    return _decision(view, action, name, reason, lock=lock, priced=priced or {}, blocked=blocked)


def _refuse(
    view: _View,
    *,
    lock: Lock | None = None,
    priced: Mapping[ModelName, Candidate] | None = None,
    blocked: tuple[str, ...] = (),
) -> Decision:
    everyone = view.eligible.values()
    if all(one.uncleared for one in everyone):
        reason = Reason.NOT_CLEARED
    elif blocked or any(not one.uncleared and not one.incapable for one in everyone):
        reason = Reason.UNPORTABLE
        stuck = frozenset[Binding]().union(*(one.foreign for one in everyone))
        blocked = blocked or kinds_of(stuck)
    else:
        reason = Reason.NOT_CAPABLE
    return _decision(view, Action.REFUSE, None, reason, lock=lock, priced=priced or {}, blocked=blocked)


def _decision(
    view: _View,
    action: Action,
    name: ModelName | None,
    reason: Reason,
    *,
    lock: Lock | None,
    priced: Mapping[ModelName, Candidate],
    blocked: tuple[str, ...],
) -> Decision:
    call, policy, session = view.call, view.policy, view.session
    transcript = call.transcript
    same_turn = session is not None and session.version > 0 and session.turn == transcript.turn
    number = session.call + 1 if session is not None and same_turn else 1
    evidence = Evidence(
        candidates=tuple(_with_exclusion(view, priced.get(one) or _priced(view, one, None)) for one in view.specs),
        tokens=transcript.tokens,
        output_tokens=policy.output_tokens,
        stake=policy.stake,
        margin=policy.margin,
        tag="" if view.tag is None else view.tag.describe(),
        blocked_by=blocked,
    )
    after = session
    if session is not None and name is not None and not call.internal:
        switched = action in {Action.SWITCH, Action.FORCED_SWITCH}
        after = replace(
            session.visited(name, transcript, at=call.now),
            current=name,
            closed=None,
            turn=transcript.turn,
            call=number,
            switches=session.switches + switched,
            switched_at=transcript.turn if switched else session.switched_at,
        ).committed()
    return Decision(
        id=_decision_id(call, policy, session, number, name),
        action=action,
        model=name,
        previous=view.current,
        reason=reason,
        lock=lock,
        evidence=evidence,
        policy=policy.version,
        session=after,
        turn=transcript.turn,
        call=number,
        steps=len(transcript.steps),
        prefix=transcript.prefix,
        at=call.now,
        internal=call.internal,
        carried=call.carried is not None,
    )


def _with_exclusion(view: _View, candidate: Candidate) -> Candidate:
    excluded = view.exclusion(candidate.model)
    if not excluded:
        return candidate
    return replace(candidate, excluded=excluded, uncleared=bool(view.eligible[candidate.model].uncleared))


def _decision_id(call: Call, policy: Policy, session: Session | None, number: int, name: ModelName | None) -> str:
    facts = (
        "" if session is None else session.id,
        0 if session is None else session.version,
        call.transcript.prefix.digest.hex(),
        policy.version,
        repr(call.now),
        number,
        name or "",
        call.internal,
        *call.failed,
    )
    return hashlib.blake2b("|".join(map(str, facts)).encode(), digest_size=16).hexdigest()
