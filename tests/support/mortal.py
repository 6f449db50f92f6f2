"""Processes that die: at the point that was drawn for them, whatever they are at."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from session_router.core.session import Session, SessionId
    from session_router.ports import SharedHealth
    from session_router.stores.redis import RedisSessionStore

EPOCH: Final = "epoch"
"""The name of the file that tells how often the server has lost what it held."""

_BYTES: Final = 8


class Fate:
    """Counts the points at which a process may die, and dies at one of them; without a number it lives."""

    def __init__(self, points: int | None = None) -> None:
        self._left = points

    def pass_by(self) -> None:
        """Go past one point, or not."""
        if self._left is None:
            return
        self._left -= 1
        # Several threads may come by.
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Epoch:
    """How often a server has lost what it held, for all processes to read; odd while it is losing it.

    Args:
        path: A file that they share.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def now(self) -> int:
        """Return the number."""
        return int.from_bytes(os.pread(self._file, _BYTES, 0), "big")

    def move_on(self) -> None:
        """Tell that a loss begins, or is over."""
        os.pwrite(self._file, (self.now() + 1).to_bytes(_BYTES, "big"), 0)


class MortalStore:
    """A store before and after each of whose answers the process may die.

    Args:
        store: The store.
        fate: Says whether it dies.
        epoch: Of the server: a version that is committed twice was committed wrongly, unless the server lost it in between.
        note: Takes down what came of each commit.

    Attributes:
        store: The store; another may be put in its place.
        key: The store's.
        health: The store's.
    """

    def __init__(self, store: RedisSessionStore, fate: Fate, *, epoch: Epoch, note: Callable[..., None]) -> None:
        self.store, self.fate, self._epoch, self._note = store, fate, epoch, note
        self.key: bytes = store.key
        self.health: SharedHealth = store.health

    def load(self, session: SessionId) -> Session | None:
        """Do what the store does."""
        self.fate.pass_by()
        loaded = self.store.load(session)
        self.fate.pass_by()
        return loaded

    def commit(self, session: Session) -> bool:
        """Do what the store does, and write down what came of it."""
        self.fate.pass_by()
        before = self._epoch.now()
        return self._came_of(session, before, committed=self.store.commit(session))

    async def aload(self, session: SessionId) -> Session | None:
        """Do what the store does."""
        self.fate.pass_by()
        loaded = await self.store.aload(session)
        self.fate.pass_by()
        return loaded

    async def acommit(self, session: Session) -> bool:
        """Do what the store does, and write down what came of it."""
        self.fate.pass_by()
        before = self._epoch.now()
        return self._came_of(session, before, committed=await self.store.acommit(session))

    def _came_of(self, session: Session, before: int, *, committed: bool) -> bool:
        after = self._epoch.now()
        if not committed:
            self._note(lost=session.version)
        elif before == after and before % 2 == 0:
            self._note(committed=[session.id, session.version, before])
        self.fate.pass_by()
        return committed
