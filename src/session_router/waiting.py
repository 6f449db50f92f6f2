"""Waits for models, and talks to what replicas share of their health, sync and async."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from session_router.core.effects import ReadHealth, ReplaceHealth
from session_router.errors import StoreUnavailable

if TYPE_CHECKING:
    from session_router.core.health import HealthRead
    from session_router.ports import Clock, SharedHealth

_NOBODY = "nobody shares the models' health; what was seen here counts."


def wait(clock: Clock, seconds: float) -> float:
    """Wait, and return the time in POSIX seconds. A clock that has a `sleep` of its own is asked for it."""
    getattr(clock, "sleep", time.sleep)(seconds)
    return clock.now()


async def await_(clock: Clock, seconds: float) -> float:
    """Do what `wait` does without blocking the event loop; the clock's own is `asleep`."""
    await getattr(clock, "asleep", asyncio.sleep)(seconds)
    return clock.now()


def performed(effect: ReadHealth | ReplaceHealth, shared: SharedHealth | None) -> HealthRead | bool:
    """Do what a health board asks of the other replicas."""
    if shared is None:
        raise StoreUnavailable(_NOBODY)
    if isinstance(effect, ReadHealth):
        return shared.read(effect.now)
    return shared.replace(effect.read, effect.model, effect.health, seconds=effect.seconds)


async def aperformed(effect: ReadHealth | ReplaceHealth, shared: SharedHealth | None) -> HealthRead | bool:
    """Do what `performed` does without blocking the event loop."""
    if shared is None:
        raise StoreUnavailable(_NOBODY)
    if isinstance(effect, ReadHealth):
        return await shared.aread(effect.now)
    return await shared.areplace(effect.read, effect.model, effect.health, seconds=effect.seconds)
