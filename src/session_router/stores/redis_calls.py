"""Loads and commits as conversations with servers: generators that yield `Exchange`s and are pumped sync or async.

A driver performs each exchange and sends back the replies, or `Lost`: redirections, reconnections and degrading are the same in both.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from session_router.errors import StoreCorrupt, StoreUnavailable
from session_router.stores.breaker import Breaker, BreakerState
from session_router.stores.redis_rows import COMMIT, STORED, STORED_OVER_NO_ROW
from session_router.stores.redis_servers import Address
from session_router.stores.redis_topology import ClusterMap, topology_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from session_router.stores.breaker import BreakerSettings
    from session_router.stores.redis_servers import RedisServers

MAXIMUM_HOPS = 6
"""Redirections and reconnections of one call before the store counts as unavailable; its budget ends most calls sooner."""


@lru_cache(maxsize=64)
def digest_of(script: str) -> str:
    """Return what a server that has run `script` knows it by."""
    return hashlib.sha1(script.encode("ascii"), usedforsecurity=False).hexdigest()


COMMIT_DIGEST = digest_of(COMMIT)

Command: TypeAlias = tuple[bytes | str | int, ...]


@dataclass(frozen=True, slots=True)
class Exchange:
    """Answered with one reply a command, of which some may be errors, or with `Lost`.

    Attributes:
        address: Who is asked.
        commands: What is sent, at once.
        reconnect: Whether connections of before must not be used: what they lead to has changed its role.
    """

    address: Address
    commands: tuple[Command, ...]
    reconnect: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """There were no replies.

    Attributes:
        error: Why.
        was_idle: Whether the connection had been lying idle: then its server may have closed it long ago.
        is_ours: Whether that says nothing of the server: nobody had time to ask it, or to listen to it.
    """

    error: Exception
    was_idle: bool = False
    is_ours: bool = False


Conversation: TypeAlias = "Generator[Exchange, list[Any] | Lost, Any]"


class RedisCalls:
    """What the calls of one store have in common: where the data is, who is not to be asked, and what went wrong how often.

    Args:
        servers: Which there are.
        clock: Seconds of a clock that never goes back.
        budget_seconds: What one call may take. Whoever has just waited in vain does not wait again for as long: a decision makes several
            calls, and is to take one budget more at most.
        breaker: When to stop asking a server.
    """

    def __init__(
        self, servers: RedisServers, *, clock: Callable[[], float], budget_seconds: float, breaker: BreakerSettings | None = None
    ) -> None:
        self.topology = topology_of(servers)
        self._clock = clock
        self._settings = breaker
        self._budget = budget_seconds
        # Of a thread, or of a task: others do their own waiting.
        self._vain_until: ContextVar[float] = ContextVar("vain_until", default=float("-inf"))
        self._breakers: dict[Address, Breaker] = {}
        self._counts: Counter[str] = Counter()
        self._guard = Lock()

    def counts(self) -> Mapping[str, int]:
        """Return how often what happened that is not the usual course."""
        with self._guard:
            return dict(self._counts)

    def states(self) -> Mapping[Address, BreakerState]:
        """Return the state of each server's breaker."""
        return {address: breaker.state for address, breaker in list(self._breakers.items())}

    def load(self, key: bytes) -> Conversation:
        """Return the value under `key`, or `None`.

        Raises:
            StoreUnavailable: There is no answer.
            StoreCorrupt: There is something that is no value.
        """
        reply, _ = yield from self._ask(key, ("GET", key))
        if reply is not None and not isinstance(reply, bytes):
            raise StoreUnavailable(_unintelligible(reply))
        return reply

    def commit(self, key: bytes, *, expected: bytes, row: bytes, milliseconds: int) -> Conversation:
        """Put `row` under `key` if what is there begins with `expected`; returns `None` when it did, else what is there.

        Raises:
            StoreUnavailable: It is not known whether it was stored.
        """
        tail: Command = (1, key, expected, row, milliseconds)
        reply, sent_again = yield from self._ask(key, ("EVALSHA", COMMIT_DIGEST, *tail), instead=("EVAL", COMMIT, *tail))
        if reply == STORED:
            return None
        if reply == STORED_OVER_NO_ROW:
            self.count("wrong_type")
            return None
        if reply is not None and not isinstance(reply, bytes):
            raise StoreUnavailable(_unintelligible(reply))
        if reply == row:
            # The answer to this very commit was lost, and it was sent again.
            self.count("commit_sent_twice")
            return None
        if sent_again:
            msg = "the connection broke inside a commit, and the session has changed since: it is not known whether it was stored."
            raise StoreUnavailable(msg)
        return reply or b""

    def run(self, script: str, keys: Sequence[bytes], arguments: Sequence[bytes | str | int]) -> Conversation:
        """Return what `script` does where the first key lives. It may be run twice: where an idle connection turns out to be broken.

        Raises:
            StoreUnavailable: There is no answer.
            StoreCorrupt: What lies under a key is of another type.
        """
        tail: Command = (len(keys), *keys, *arguments)
        reply, _ = yield from self._ask(keys[0], ("EVALSHA", digest_of(script), *tail), instead=("EVAL", script, *tail))
        return reply

    def ask(self, key: bytes, command: Command) -> Conversation:
        """Return what the server where `key` lives answers to `command`.

        Raises:
            StoreUnavailable: There is no answer.
            StoreCorrupt: What lies under the key is of another type.
        """
        reply, _ = yield from self._ask(key, command)
        return reply

    def _ask(
        self, key: bytes, command: Command, *, instead: Command | None = None
    ) -> Generator[Exchange, list[Any] | Lost, tuple[Any, bool]]:
        """Return the reply, and whether the command was sent more than once without an answer to the first."""
        self._check_patience()
        slot = key_slot(key)
        address = yield from self._locate(slot)
        asking, reconnect, sent_again = False, False, False
        replicas: set[Address] = set()
        for _ in range(MAXIMUM_HOPS):
            answer = yield from self._exchange(address, (("ASKING",), command) if asking else (command,), reconnect=reconnect)
            asking, reconnect = False, False
            if isinstance(answer, Lost):
                if answer.was_idle:
                    sent_again = True
                    continue
                raise self._gone(address, answer) from answer.error
            reply = answer[-1]
            if not isinstance(reply, ResponseError):
                return reply, sent_again
            match reply:
                case NoScriptError() if instead is not None:
                    self.count("script_loaded")
                    command = instead
                case MovedError():
                    self.count("moved")
                    self.topology.moved(slot, _elsewhere(reply))
                    address = self._known(slot, address, reply)
                case AskError():
                    self.count("asked_elsewhere")
                    address, asking = _elsewhere(reply), True
                case ReadOnlyError():
                    address, reconnect = (yield from self._master_instead_of(address, slot, replicas)), True
                case TryAgainError():
                    self.count("try_again")
                case _:
                    raise self._refusal(address, reply)
        msg = f"Redis sent this call on {MAXIMUM_HOPS} times, the last time from {address}; routing goes on without the session."
        raise StoreUnavailable(msg)

    def _master_instead_of(self, replica: Address, slot: int, known: set[Address]) -> Generator[Exchange, list[Any] | Lost, Address]:
        """Return who has taken over from one that takes no writes; whoever is named a second time is no master."""
        self.count("read_only")
        if replica in known:
            msg = f"{replica} is a replica, which takes no writes; give its master. Routing goes on without the session."
            raise StoreUnavailable(msg)
        known.add(replica)
        self.topology.doubt()
        return (yield from self._locate(slot))

    def _gone(self, address: Address, lost: Lost) -> StoreUnavailable:
        if not lost.is_ours:
            self.topology.doubt(address)
        return StoreUnavailable(_story(address, lost))

    def _check_patience(self) -> None:
        if self._clock() < self._vain_until.get():
            self.count("not_waited_again")
            msg = "Redis gave no answer a moment ago; routing goes on without the session."
            raise StoreUnavailable(msg)

    def _known(self, slot: int, asked: Address, reply: ResponseError) -> Address:
        found = self.topology.address_of(slot)
        if found is None or not isinstance(self.topology, ClusterMap):
            msg = f"{asked} is a node of a cluster and sends this session elsewhere ({reply}): give its nodes as a cluster."
            raise StoreUnavailable(msg)
        return found

    def _refusal(self, address: Address, reply: ResponseError) -> Exception:
        if "WRONGTYPE" in str(reply):
            self.count("wrong_type")
            return StoreCorrupt(f"what {address} holds under this key is no row of ours; it is treated as lost.")
        if isinstance(reply, OutOfMemoryError):
            self.count("out_of_memory")
            return StoreUnavailable(
                f"{address} is out of memory, the write is dropped; raise its `maxmemory`, or have sessions expire sooner."
            )
        if isinstance(reply, ClusterDownError):
            self.count("cluster_down")
            self._breaker(address).failed(self._clock())
            self.topology.doubt()
        else:
            self.count("refused")
        rights = " Give its user the rights that the how-to for production lists." if _lacks_rights(reply) else ""
        return StoreUnavailable(f"{address} refused: {reply}.{rights}")

    def _locate(self, slot: int) -> Generator[Exchange, list[Any] | Lost, Address]:
        for inquiry in self.topology.inquiries(self._clock()):
            answer = yield from self._exchange(inquiry.informant, (inquiry.command,), is_inquiry=True)
            if isinstance(answer, Lost) and answer.is_ours:
                # Whoever had no answer in time is asked last the next time: these, then, before.
                break
            try:
                if self.topology.learn(inquiry, None if isinstance(answer, Lost) else answer[0]):
                    break
            except (TypeError, ValueError, IndexError):
                # What arrived was damaged on its way.
                continue
        address = self.topology.address_of(slot)
        if address is None:
            self.count("not_located")
            msg = "no Redis server says where this session lives; see that the Sentinels, or nodes, are some and can be reached."
            raise StoreUnavailable(msg)
        return address

    def _exchange(
        self, address: Address, commands: tuple[Command, ...], *, reconnect: bool = False, is_inquiry: bool = False
    ) -> Generator[Exchange, list[Any] | Lost, list[Any] | Lost]:
        breaker = self._breaker(address)
        if not breaker.admits(self._clock()):
            self.count("breaker_open")
            if is_inquiry:
                return Lost(ConnectionError(f"{address} is not asked"))
            # Where a cluster moved the slots of a dead node is found out by asking the others.
            self.topology.doubt()
            msg = f"{address} failed several times and is not asked for a moment; routing goes on without the session."
            raise StoreUnavailable(msg)
        answer = yield Exchange(address, commands, reconnect)
        if not isinstance(answer, Lost):
            breaker.succeeded()
        elif answer.was_idle:
            self.count("reconnected")
        elif answer.is_ours:
            self.count("no_time")
        else:
            self.count(_kind(answer.error))
            if isinstance(answer.error, TimeoutError):
                self._vain_until.set(self._clock() + self._budget)
            breaker.failed(self._clock())
        return answer

    def _breaker(self, address: Address) -> Breaker:
        found = self._breakers.get(address)
        return found if found is not None else self._breakers.setdefault(address, Breaker(self._settings))

    def count(self, what: str) -> None:
        """Count that something happened."""
        with self._guard:
            self._counts[what] += 1


def _elsewhere(reply: Any) -> Address:  # noqa: ANN401 -- redis-py states no types here
    return Address(reply.host, reply.port)


def is_reply(error: object) -> bool:
    """Whether a server said so: it can be asked, whatever it thinks of what it was asked."""
    return isinstance(error, ResponseError)


def _lacks_rights(reply: ResponseError) -> bool:
    # What a script may not do, servers tell in words of their own.
    return isinstance(reply, NoPermissionError) or "can't run this command" in str(reply) or "ACL" in str(reply)


_REMEDIES = {
    "DB index is out of range": "Name a database that the server has: the one that `databases` of its configuration leaves room for.",
    "max number of clients": "Raise its `maxclients`, or let fewer processes and threads ask it.",
    "Authentication required": "Give the user and the password that it asks for.",
    "invalid username-password": "Give the user and the password that it asks for.",
    "Connection refused": "See that it runs, and listens there.",
    "not known": "See that its name is spelt right, and can be looked up from here.",
}
"""What to do, by words of the error with which a server, or the system, keeps us from asking."""


def _kind(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed_out"
    return "loading" if isinstance(error, BusyLoadingError) else "connection_lost"


def _story(address: Address, lost: Lost) -> str:
    if lost.is_ours:
        return f"there was no time to ask {address}, or to listen to it; routing goes on without the session."
    if isinstance(lost.error, TimeoutError):
        return f"{address} gave no answer in time; routing goes on without the session."
    said = str(lost.error)
    remedy = next((f" {remedy}" for words, remedy in _REMEDIES.items() if words in said), "")
    return f"{address} cannot be asked ({said}); routing goes on without the session.{remedy}"


def _unintelligible(reply: object) -> str:
    return f"a Redis server answered with {type(reply).__name__}, which this command never answers; routing goes on without the session."
