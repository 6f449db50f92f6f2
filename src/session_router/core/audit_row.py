"""What an audit log keeps of a decision and of what came of it: plain values, no message text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from session_router.core.call import CANCELLED
from session_router.core.decision import Action
from session_router.core.label_row import facts_to_plain

if TYPE_CHECKING:
    from session_router.core.call import Outcome
    from session_router.core.decision import Candidate, Decision, Evidence
    from session_router.core.governance import Clearance, Tag
    from session_router.core.session import SessionId


def decision_row(
    decision: Decision,
    *,
    tag: Tag | None = None,
    clearance: Clearance | None = None,
    principal: SessionId | str | None = None,
    whole: bool = False,
) -> dict[str, Any]:
    """Return the row of a decision: who may see what, who answers, and why.

    Args:
        decision: What was decided.
        tag: The join over the payload; `None` when governance is not in use.
        clearance: That of the chosen model; `None` for unknown.
        principal: An HMAC of who called; `None` when it is not known.
        whole: Whether dollars, forecasts and chances are kept as well, as `Decision.to_plain` has them: twice the size. Only such
            rows say what another policy would have been worth.
    """
    row = {**(decision.to_plain() if whole else _without_dollars(decision)), "prefix": decision.prefix.digest.hex()}
    if principal is not None:
        row["principal"] = str(principal)
    if tag is not None:
        row["tag"] = facts_to_plain(tag)
        row["subjects"] = sorted(tag.subjects)
    if decision.model is not None and decision.action is not Action.CACHE_HIT:
        row["exposure"] = exposure(clearance, at=decision.at)
    return row


def _without_dollars(decision: Decision) -> dict[str, Any]:
    lock, evidence = decision.lock, decision.evidence
    return {
        "decision_id": decision.id,
        "session": decision.session_id,
        "at": decision.at,
        "decision": decision.action.value,
        "model": decision.model,
        "previous": decision.previous,
        "reason": decision.reason.value,
        "lock": None if lock is None else {"kind": lock.kind.value, "model": lock.model, "waiting_for": len(lock.waiting_for)},
        "turn": decision.turn,
        "call": decision.call,
        "policy": decision.policy,
        "boundary": None if decision.boundary is None else decision.boundary.to_plain(),
        "evidence": {
            "tokens": evidence.tokens,
            "tag": evidence.tag,
            "candidates": [_rule_of(candidate) for candidate in evidence.candidates],
            "blocked_by": list(evidence.blocked_by),
            "degraded": list(evidence.degraded),
            **{key: value for key, value in _seldom(evidence).items() if value},
        },
    }


def _seldom(evidence: Evidence) -> dict[str, Any]:
    return {
        "cache": None if evidence.cache is None else evidence.cache.to_plain(),
        "alarm": None if evidence.alarm is None else evidence.alarm.to_plain(),
        "narrowed": evidence.narrowed,
        "exposures": [one.to_plain() for one in evidence.exposures],
    }


def _rule_of(candidate: Candidate) -> dict[str, Any]:
    """Return which model it is, and what excludes it."""
    if not candidate.excluded:
        return {"model": candidate.model}
    return {"model": candidate.model, "excluded": candidate.excluded, "uncleared": candidate.uncleared}


def outcome_row(decision: Decision, outcome: Outcome, *, clearance: Clearance | None = None) -> dict[str, Any]:
    """Return the row of what came of a decision: who really answered, where, and what it took.

    Args:
        decision: What was decided.
        outcome: What came of it.
        clearance: That of the model that answered; `None` for unknown.
    """
    usage, hit = outcome.usage, decision.hit
    row: dict[str, Any] = {
        "event": _event_of(decision, outcome),
        "decision_id": decision.id,
        "session": decision.session_id,
        "at": outcome.at,
        "chosen": decision.model,
        "model": outcome.model if hit is None else hit.answer.model,
        "returned": outcome.returned,
        "regions": None if clearance is None else sorted(clearance.processing_regions),
        "error": outcome.error,
        "tokens": None
        if usage is None
        else {"input": usage.input, "cached": usage.cached, "written": usage.written, "output": usage.output},
    }
    if hit is not None:
        row["entry"] = hit.entry
    if decision.tag is not None:
        # Whoever is erased is erased from here too.
        row["subjects"] = sorted(decision.tag.subjects)
    return row


def _event_of(decision: Decision, outcome: Outcome) -> str:
    if outcome.error is not None:
        return "cancelled" if outcome.error == CANCELLED else "failed"
    return "answered" if decision.hit is None else "replayed"


def exposure(clearance: Clearance | None, *, at: float) -> dict[str, Any]:
    """Return where something went that was sent at `at` (POSIX seconds), and until when it may be held; `None` for unknown."""
    if clearance is None:
        return {"clearance": None, "endpoint": "", "regions": [], "until": None}
    retention = clearance.retention_seconds
    return {
        "clearance": clearance.version,
        "endpoint": clearance.endpoint,
        "regions": sorted(clearance.processing_regions),
        "until": None if retention is None else at + retention,
    }
