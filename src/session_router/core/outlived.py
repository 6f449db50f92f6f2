"""Whether what was permitted when it was decided is permitted still: labels, attestations and rules may end while a decision waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.core.governance import ruled_out

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
    tag, name = decision.tag, decision.model
    if tag is None or decision.refused or now <= decision.at:
        return False
    if name is None:
        return ruled_out(tag, policy.cache.reader, None, model="", now=now, purpose=purpose) is not None
    # Rules of the user's own are told whole seconds.
    rules = policy.rules if now // 1 > decision.at // 1 else None
    return ruled_out(tag, specs[name].clearance, rules, model=name, now=now, purpose=purpose) is not None
