"""Sessions in Redis: for many replicas, on one server, a master that Sentinels know, or a cluster."""

from __future__ import annotations

import logging
import os
import weakref
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any, Self

from session_router.core.checking import check_kind, check_number, check_prefix
from session_router.errors import StoreCorrupt, StoreUnavailable
from session_router.stores.redis_health import RedisHealth
from session_router.stores.redis_link import RedisLink
from session_router.stores.redis_rows import RedisRows, fenced_head_of, head_of, key_of, new_fence
from session_router.stores.redis_servers import RedisServers
from session_router.stores.seen_rows import SeenRows

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from session_router.core.session import Session, SessionId
    from session_router.stores.breaker import BreakerSettings
    from session_router.stores.redis_calls import Conversation, RedisCalls
    from session_router.stores.redis_driver import LoopDriver, ThreadDriver

__all__ = ["RedisServers", "RedisSessionStore"]

logger = logging.getLogger("session_router")

DAY_SECONDS = 86_400
LONGEST_TTL_SECONDS = 10 * 365 * DAY_SECONDS


class RedisSessionStore:
    """One value a session, committed by one script. Passes `testing.RecallingStoreSuite`.

    A load is one round trip and a commit is one; a decision for a session that stays on one replica needs no load. Rows are MessagePack
    under an HMAC and hold no text; what fails its HMAC is treated as lost: a load raises `StoreCorrupt`, and the next first commit
    replaces it. Servers that fail cost little: a call takes its budget at most, and after several failures a breaker keeps calls from
    being made at all until one of them succeeds again.

    Args:
        servers: A URL such as `redis://host:6379/0`, `RedisServers.sentinel(...)` or `RedisServers.cluster(...)`.
        key: 16 bytes or more, the same for all replicas.
        seconds_to_live: How long a session is kept after its last commit; what all sessions have in common stays.
        budget_seconds: What a load or a commit may take, connecting and redirections included.
        prefix: What the keys in Redis begin with.
        breaker: When to stop asking a server, and when to try again.

    Attributes:
        servers: Which servers.
        link: What this process has with them; stored answers may use it too.
        key: The key of the rows. Identities derived from the same key find their sessions again, on any replica.
        budget_seconds: What a load or a commit may take.
        prefix: What the keys in Redis begin with.
        health: What the replicas tell one another of the models' health.

    Raises:
        MissingExtra: redis-py is not installed.
        ConfigurationError: A setting is wrong. No server is asked before the first call.
    """

    def __init__(
        self,
        servers: RedisServers | str,
        *,
        key: bytes,
        seconds_to_live: float = 7 * DAY_SECONDS,
        budget_seconds: float = 0.05,
        prefix: str = "session_router",
        breaker: BreakerSettings | None = None,
    ) -> None:
        self.link = RedisLink(servers, budget_seconds=budget_seconds, breaker=breaker, feature="RedisSessionStore")
        check_kind(key, bytes, key="key", rule="give bytes that all replicas share, such as `secrets.token_bytes(32)`, made once.")
        check_prefix(prefix)
        check_number(seconds_to_live, key="seconds_to_live", rule="give a number of seconds, 1 or more.", low=1.0, high=LONGEST_TTL_SECONDS)
        self.servers = self.link.servers
        self.key = key
        self.budget_seconds = budget_seconds
        self.prefix = prefix
        self._rows = RedisRows(key)
        self._milliseconds = round(seconds_to_live * 1000)
        self.begin()
        self.health = RedisHealth(key, prefix=prefix, link=self.link)
        _stores.add(self)

    def load(self, session: SessionId) -> Session | None:
        """Return the last committed session, or `None`.

        Raises:
            StoreUnavailable: No server answered in time, or none is asked for a moment.
            StoreCorrupt: The row failed its checks.
        """
        return self._read(session, self._threads.drive(self._calls.load(key_of(self.prefix, session))))

    async def aload(self, session: SessionId) -> Session | None:
        """Do what `load` does without blocking the event loop."""
        return self._read(session, await self._loops.drive(self._calls.load(key_of(self.prefix, session))))

    def recall(self, session: SessionId) -> Session | None:
        """Return the session as this process saw it last, without asking a server; `None` where others are likely to have changed it."""
        return self._seen.recalled(session)

    def commit(self, session: Session) -> bool:
        """Store `session` if the stored version is one below it, and the stored row the one that was read here last.

        A row that failed its checks counts as absent; one that is damaged behind its version is replaced by the next version too.

        Raises:
            StoreUnavailable: It is not known whether it was stored: no server answered in time, or it is out of memory.
        """
        return self._threads.drive(self._commit(session))

    async def acommit(self, session: Session) -> bool:
        """Do what `commit` does without blocking the event loop."""
        return await self._loops.drive(self._commit(session))

    def counts(self) -> Mapping[str, int]:
        """Return how often what happened that is not the usual course, such as `timed_out`, `moved` or `out_of_memory`."""
        return self._calls.counts()

    def close(self) -> None:
        """Close the connections of threads, and of each event loop when it ends; later calls raise `StoreUnavailable`."""
        self.link.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop as well."""
        await self.link.aclose()

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    async def __aenter__(self) -> Self:
        """Return the store itself."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close it."""
        await self.aclose()

    def begin(self) -> None:
        """Begin without anything that was seen: at first, and in a child of a fork, where a thread of the parent may have held a lock."""
        self._seen = SeenRows()

    @property
    def _calls(self) -> RedisCalls:
        return self.link.calls

    @property
    def _threads(self) -> ThreadDriver:
        return self.link.threads

    @property
    def _loops(self) -> LoopDriver:
        return self.link.loops

    def _read(self, session: SessionId, stored: bytes | None) -> Session | None:
        # An empty value is what a damaged server may leave; no row of ours is empty.
        if not stored:
            return None
        read = self._seen.session_in(stored, session)
        if read is None:
            try:
                read = self._rows.decode(session, stored)
            except StoreCorrupt:
                self._calls.count("corrupt_row")
                raise
            self._seen.found(read, stored)
        return read

    def _commit(self, session: Session) -> Generator[Any, Any, bool]:
        before = session.version - 1
        if before < 0:
            return False
        row = self._rows.encode(session, new_fence())
        try:
            stored = yield from self._put(session, self._head_before(session), row)
        except (StoreUnavailable, GeneratorExit):
            # Given up, or in vain. Should it have been stored, what was seen is stale; should nothing be stored now, whoever recalls
            # it decides twice.
            self._seen.doubt(session.id)
            raise
        current = self._current(session.id, stored)
        if stored and current is None and before == 0:
            # It is lost, and counts as absent.
            stored = yield from self._put(session, stored, row)
            current = self._current(session.id, stored)
        if stored is None:
            self._seen.wrote(replace(session, row=fenced_head_of(row)), row)
            return True
        self._seen.lost_to(session.id, current, stored)
        self._calls.count("lost_race")
        return False

    def _head_before(self, session: Session) -> bytes:
        """Return how the row begins in whose place `session` is to be put."""
        before = session.version - 1
        if before and session.row.startswith(head_of(before)):
            # It was made of that row; meanwhile another thread may have seen another one of the same version.
            return session.row
        return self._seen.head_of(session.id, before)

    def _put(self, session: Session, expected: bytes, row: bytes) -> Conversation:
        # What all sessions have in common is no session, and never forgotten.
        milliseconds = 0 if session.last_call == inf else self._milliseconds
        return self._calls.commit(key_of(self.prefix, session.id), expected=expected, row=row, milliseconds=milliseconds)

    def _current(self, session: SessionId, stored: bytes | None) -> Session | None:
        """Return what is stored, as a commit that was refused tells; `None` where that is nothing, or fails its checks."""
        if not stored:
            return None
        try:
            return self._rows.decode(session, stored)
        except StoreCorrupt as error:
            self._calls.count("corrupt_row")
            logger.warning("%s", error)
            return None


_stores: weakref.WeakSet[RedisSessionStore] = weakref.WeakSet()


def _begin_anew() -> None:
    for store in list(_stores):
        store.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
