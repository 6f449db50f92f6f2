"""Waits for models, and talks to what replicas share of their health, sync and async."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from session_router.core.effects import ReadHealth, ReplaceHealth, TryOut, Wait
from session_router.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from session_router.core.health import HealthRead
    from session_router.health import HealthBoard
    from session_router.ports import Clock, SharedHealth

_NOBODY = "nobody shares the models' health; what was seen here counts."


def wait(clock: Clock, seconds: float) -> float:
    """Wait, and return the time in POSIX seconds. A clock that has a `sleep` of its own is asked for it."""
    getattr(clock, "sleep", time.sleep)(seconds)
    return clock.now()


async def await_(clock: Clock, seconds: float) -> float:
    """Do what `wait` does without blocking the event loop; the clock's own is `asleep`."""
    from asyncio import sleep

    await getattr(clock, "asleep", sleep)(seconds)
    return clock.now()


WAITING: Final = (TryOut, ReadHealth, ReplaceHealth, Wait)
"""The effects that are about models that are not healthy."""


class Waiting:
    """Performs what a decision asks while models are not healthy.

    Args:
        clock: The only source of time.
        board: What this process knows; `None` for no notice of health.
        shared: What the replicas share; `None` for nothing.
    """

    def __init__(self, clock: Clock, board: HealthBoard | None, shared: SharedHealth | None) -> None:
        self._clock = clock
        self._board = board
        self._shared = shared

    def perform(self, effect: Any, drive: Callable[[Generator[Any, Any, bool]], bool]) -> HealthRead | bool | float:  # noqa: ANN401 -- of `WAITING`
        """Do what is asked; `drive` pumps what is more than one effect."""
        match effect:
            case Wait():
                return wait(self._clock, effect.seconds)
            case ReadHealth():
                return self._others().read(effect.now)
            case ReplaceHealth():
                return self._others().replace(effect.read, effect.model, effect.health, seconds=effect.seconds)
            case _:
                return self._board is None or drive(self._board.try_out(effect.model, effect.now))

    async def aperform(self, effect: Any, drive: Callable[[Generator[Any, Any, bool]], Awaitable[bool]]) -> HealthRead | bool | float:  # noqa: ANN401 -- of `WAITING`
        """Do what `perform` does without blocking the event loop."""
        match effect:
            case Wait():
                return await await_(self._clock, effect.seconds)
            case ReadHealth():
                return await self._others().aread(effect.now)
            case ReplaceHealth():
                return await self._others().areplace(effect.read, effect.model, effect.health, seconds=effect.seconds)
            case _:
                return self._board is None or await drive(self._board.try_out(effect.model, effect.now))

    def _others(self) -> SharedHealth:
        if self._shared is None:
            raise StoreUnavailable(_NOBODY)
        return self._shared
