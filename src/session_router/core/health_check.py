"""Routing around models that are not healthy: who is excluded, who is waited for, and who tries a model out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from session_router.core.decision import Reason
from session_router.core.effects import TryOut
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


def pause_before(decision: Decision, health: object, call: Call) -> float | None:
    """Return for how many seconds to wait before `call` is decided again; `None` when `decision` stands."""
    wait = decision.evidence.healthy_in
    if decision.reason is not Reason.NOT_HEALTHY or wait is None or not isinstance(health, HealthView):
        return None
    seconds = max(wait, LEAST_WAIT_SECONDS)
    return seconds if call.waited + seconds <= health.patience else None


def may_ask(decision: Decision, health: object, tried_out: set[ModelName]) -> Generator[Effect, Any, bool]:
    """Whether the chosen model may be asked by this call: one that is to be tried out, by one call only."""
    name = decision.model
    if name is None or name in tried_out or not isinstance(health, HealthView) or name not in health.probed:
        return True
    if (yield TryOut(name, decision.at)) is True:
        tried_out.add(name)
        return True
    return False
