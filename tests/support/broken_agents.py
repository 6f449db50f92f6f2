"""What can be taken away from a router, so that each check of a kill run has something to find."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from session_router.cache.asked import Asking
from session_router.cache.partition import FIELDS, Partitions
from session_router.core import flow, situation
from session_router.core.boundary import Lock, LockKind, Phase
from session_router.core.governance import PUBLIC
from session_router.core.policy import Policy
from session_router_langchain import calls, repairing
from support.mortal_agents import KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_router.core.decision import Decision
    from session_router.core.session import Session
    from support.mortal_agents import Agents


_RECORDED: Final = flow._recorded


class SharedByTenants(Partitions):
    """Partitions that leave out whose deployment it is."""

    def _derived_key(self, tenant: str | None) -> bytes:
        del tenant
        return self._key


class Careless:
    """A store that commits whatever is there, and says that it was the first."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, session: Session) -> bool:
        """Commit over whatever was committed meanwhile."""
        if not self._store.commit(session):
            stored = self._store.load(session.id)
            return stored is not None and bool(self._store.commit(replace(session, version=stored.version + 1)))
        return True

    async def acommit(self, session: Session) -> bool:
        """Do the same."""
        return self.commit(session)


def _no_lock(transcript: Any, **_: Any) -> Lock | None:
    """Let loops go on with anybody, and nobody move between them."""
    position = transcript.position
    if position.author is None or position.phase in {Phase.ASKED, Phase.ANSWERED}:
        return None
    return Lock(kind=LockKind.STORED, model=position.author)


def _lowered(decision: Decision, policy: Any, degraded: set[str]) -> Any:
    """Record, and return, a decision on less than what was read."""
    lower = replace(decision, tag=random.choice([decision.tag, PUBLIC])) if decision.tag is not None else decision
    return (yield from _RECORDED(lower, policy, degraded))


def _forgetful(audit: Any) -> Any:
    append = audit.append

    def some(record: Any) -> None:
        if random.random() < 0.8:
            append(record)

    audit.append = some
    return audit


def _as_it_is(messages: Sequence[Any], *_: Any, **__: Any) -> Sequence[Any]:
    return messages


def _put(owner: object, name: str, broken: object) -> None:
    """Put `broken` in the place of what goes by that `name`, which must be there: what moved elsewhere would stay whole."""
    getattr(owner, name)
    setattr(owner, name, broken)


def break_(agents: Agents) -> None:
    """Take away, for the rest of this process's life, what the checks should miss."""
    _put(situation, "find_lock", _no_lock)
    _put(flow, "_recorded", _lowered)
    _put(Policy, "failing_rule", lambda *_, **__: None)
    _put(calls, "convert", _as_it_is)
    # A graph with a router node repairs its histories itself.
    if agents.lives.session.door != "node":
        _put(calls, "repair", _as_it_is)
    # There is to be something that nobody knows the outcome of.
    agents.breaking_share, agents.abandoned_share = 0.4, 0.8
    _put(repairing, "UNKNOWN_OUTCOME", "It went well.")
    fields = [name for name in FIELDS if name != "tenant"]
    _put(agents.cache, "_asking", Asking(KEY, SharedByTenants(KEY, embedder="", fields=fields)))
    agents.store.store = Careless(agents.store.store)
    _forgetful(agents.router.audit)
