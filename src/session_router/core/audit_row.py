"""What an audit log keeps of a decision and of what came of it: plain values, no message text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from session_router.core.decision import Action
from session_router.core.label_row import tag_to_plain

if TYPE_CHECKING:
    from session_router.core.call import Outcome
    from session_router.core.decision import Decision
    from session_router.core.governance import Clearance, Tag
    from session_router.core.session import SessionId


def decision_row(
    decision: Decision, *, tag: Tag | None = None, clearance: Clearance | None = None, principal: SessionId | str | None = None
) -> dict[str, Any]:
    """Return the row of a decision: that of `Decision.to_plain`, and what governance looked at.

    Args:
        decision: What was decided.
        tag: The join over the payload; `None` when governance is not in use.
        clearance: That of the chosen model; `None` for unknown.
        principal: An HMAC of who called; `None` when it is not known.
    """
    row = {**decision.to_plain(), "prefix": decision.prefix.digest.hex()}
    if principal is not None:
        row["principal"] = str(principal)
    if tag is not None:
        # Whom it is about lies apart: it can be erased.
        row["tag"] = {name: value for name, value in tag_to_plain(tag).items() if name != "subjects"}
        row["subjects"] = sorted(tag.subjects)
    if decision.model is not None and decision.action is not Action.CACHE_HIT:
        row["exposure"] = exposure(clearance, at=decision.at)
    return row


def outcome_row(decision: Decision, outcome: Outcome) -> dict[str, Any]:
    """Return the row of what came of a decision: who really answered."""
    usage = outcome.usage
    return {
        "event": "answered",
        "decision_id": decision.id,
        "session": decision.session_id,
        "at": outcome.at,
        "chosen": decision.model,
        "model": outcome.model,
        "error": outcome.error,
        "tokens": None if usage is None else {"input": usage.input, "cached": usage.cached, "output": usage.output},
    }


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
