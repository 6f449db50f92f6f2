"""Health that replicas in one process share: it may be away, lose races, and forget."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from session_router.core.effects import Failed, ReadHealth, ReplaceHealth
from session_router.core.health import HealthRead, StoredHealth
from session_router.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator

    from session_router.core.health import Health


@dataclass
class SharedInMemory:
    """Rows on a clock of their own. `is_away` makes every call fail."""

    ahead: float = 0.0
    is_away: bool = False
    rows: dict[str, tuple[bytes, Health]] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)
    writes: int = 0

    def read(self, now: float) -> HealthRead:
        del now
        self._check()
        with self.guard:
            rows = {name: StoredHealth(health=health.shifted(-self.ahead), head=head) for name, (head, health) in self.rows.items()}
        return HealthRead(ahead=self.ahead, rows=rows)

    def replace(self, read: HealthRead, model: str, health: Health, *, seconds: float) -> bool:
        del seconds
        self._check()
        with self.guard:
            known = read.rows.get(model)
            if self.rows.get(model, (b"",))[0] != (b"" if known is None else known.head):
                return False
            self.writes += 1
            if health.is_known_good:
                self.rows.pop(model, None)
            else:
                self.rows[model] = (f"{self.writes}".encode(), health.shifted(read.ahead))
        return True

    async def aread(self, now: float) -> HealthRead:
        return self.read(now)

    async def areplace(self, read: HealthRead, model: str, health: Health, *, seconds: float) -> bool:
        return self.replace(read, model, health, seconds=seconds)

    def _check(self) -> None:
        if self.is_away:
            msg = "away"
            raise StoreUnavailable(msg)

    def drive(self, told: Generator[Any, Any, Any]) -> Any:
        """Pump what a board says."""
        try:
            effect = next(told)
            while True:
                effect = told.send(self._answer(effect))
        except StopIteration as stop:
            return stop.value

    def _answer(self, effect: ReadHealth | ReplaceHealth) -> Any:
        try:
            if isinstance(effect, ReadHealth):
                return self.read(effect.now)
            return self.replace(effect.read, effect.model, effect.health, seconds=effect.seconds)
        except StoreUnavailable as error:
            return Failed(error)
