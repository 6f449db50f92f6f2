"""Routing around models that are not healthy: who is excluded, who is waited for, and who tries a model out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from session_router.core.decision import Reason
from session_router.core.effects import TryOut, Wait
from session_router.core.health import HealthView

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Mapping

    from session_router.core.call import Call
    from session_router.core.decision import Decision
    from session_router.core.effects import Effect
    from session_router.core.health import Ill
    from session_router.core.model import ModelName

LEAST_WAIT_SECONDS = 0.01
"""Clocks of two machines that differ by a hair must not make a call ask again and again."""


def ill_in(health: object, tried_out: Collection[ModelName]) -> Mapping[ModelName, Ill] | None:
    """Return who may not be asked, as far as `health` is a view of that; who is tried out by this very call may."""
    if not isinstance(health, HealthView):
        return None
    return {name: one for name, one in health.ill.items() if name not in tried_out} if tried_out else health.ill


def to_decide_again(call: Call, decision: Decision, health: object, tried_out: set[ModelName]) -> Generator[Effect, Any, Call | None]:
    """Return the call to decide again, later or since somebody else tries the chosen model out; `None` when `decision` stands.

    Args:
        call: The request.
        decision: What was decided.
        health: The view that it was decided with.
        tried_out: The models that this call may try out; one more may be added.
    """
    if not isinstance(health, HealthView):
        return None
    wait, name = decision.evidence.healthy_in, decision.model
    if decision.reason is Reason.NOT_HEALTHY and wait is not None:
        seconds = max(wait, LEAST_WAIT_SECONDS)
        return call.later(seconds, (yield Wait(seconds))) if call.waited + seconds <= health.patience else None
    if name is None or name in tried_out or name not in health.probed:
        return None
    if (yield TryOut(name, decision.at)) is True:
        tried_out.add(name)
        return None
    return call
