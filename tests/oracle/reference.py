"""The reference model of a session, and a store that keeps count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from session_router.stores.memory import MemorySessionStore

if TYPE_CHECKING:
    from session_router.core.session import Session, SessionId


@dataclass
class OneCommitPerVersion(MemorySessionStore):
    """A store that keeps count."""

    committed: set[tuple[SessionId, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def commit(self, session: Session) -> bool:
        done = super().commit(session)
        if done:
            assert (session.id, session.version) not in self.committed
            self.committed.add((session.id, session.version))
        return done


class Recalling:
    """A replica's handle to a store, which recalls whatever it saw last, however old: as wrong as a store may be that recalls."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._seen: dict[SessionId, Session] = {}
        self.key = b"k" * 32
        self.loads: Counter[SessionId] = Counter()

    def recall(self, session: SessionId) -> Session | None:
        return self._seen.get(session)

    def load(self, session: SessionId) -> Session | None:
        self.loads[session] += 1
        loaded: Session | None = self._store.load(session)
        if loaded is not None:
            self._seen[session] = loaded
        return loaded

    def commit(self, session: Session) -> bool:
        seen = self._seen.pop(session.id, None)
        if seen is not None and seen.version == session.version - 1 and self._store.load(session.id) is not seen:
            return False
        done: bool = self._store.commit(session)
        if done:
            self._seen[session.id] = session
        return done

    async def aload(self, session: SessionId) -> Session | None:
        return self.load(session)

    async def acommit(self, session: Session) -> bool:
        return self.commit(session)


@dataclass
class Memory:
    """What the reference model knows of one agent's session.

    Attributes:
        known: Whether the store was told everything so far.
        answered: Who answered last.
        switches: How often that changed.
        closed: The message at which the agent's last run ended.
        secret: Whether the stored session has a model that was sent a secret.
    """

    known: bool = True
    answered: str | None = None
    switches: int = 0
    closed: dict[str, Any] | None = None
    secret: bool = False

    def answer(self, model: str) -> None:
        self.switches += self.answered not in (None, model)
        self.answered = model
