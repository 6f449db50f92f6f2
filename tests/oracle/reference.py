"""The reference model of a session, and a store that keeps count."""

from __future__ import annotations

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
