"""Whether what was permitted when it was decided is permitted still: labels, attestations and rules may end while a decision waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.core.governance import READER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.decision import Decision
    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.policy import Policy


def is_outlived(
    decision: Decision, specs: Mapping[ModelName, ModelSpec], policy: Policy, *, now: float, purpose: str | None = None
) -> bool:
    """Whether the model of `decision` may not be sent what it was chosen for any more, or nobody be replayed its stored answer.

    A decision may have waited: for another call that asks the same, for a rewriter, a scorer, a store or an audit log.

    Args:
        decision: What was decided.
        specs: The routes.
        policy: The settings.
        now: POSIX seconds.
        purpose: What the call is for.
    """
    if decision.tag is None or now <= decision.at:
        return False
    hit, name = decision.hit, decision.model
    if name is not None:
        tag, clearance = decision.tag, specs[name].clearance
    elif hit is not None:
        tag, clearance = hit.answer.tag, policy.cache.reader
    else:
        return False
    ends = (tag.expires_at, None if clearance is None else clearance.attested_until)
    # Rules of the user's own are told whole seconds.
    told_otherwise = policy.rules is not None and now // 1 > decision.at // 1
    if not told_otherwise and not any(end is not None and decision.at < end <= now for end in ends):
        return False
    return policy.failing_rule(tag, clearance, model=READER if name is None else name, now=now, purpose=purpose) is not None
