"""What one process has with some Redis servers: connections, and what is known of their health. Sessions and answers may share one."""

from __future__ import annotations

import importlib
import os
import time
import weakref
from typing import TYPE_CHECKING, Any

from session_router.core.checking import check_kind, check_number
from session_router.errors import MissingExtra
from session_router.stores.redis_servers import RedisServers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.stores.breaker import BreakerSettings

_SERVERS_RULE = "give a URL such as `redis://host:6379/0`, `RedisServers.sentinel(...)` or `RedisServers.cluster(...)`."
LEAST_BUDGET_SECONDS, LARGEST_BUDGET_SECONDS = 0.001, 60.0
BUDGET_SECONDS = 0.05


class RedisLink:
    """Connections to some servers. Safe for threads, event loops and forks.

    Who waited in vain for a server does not wait for it again at once, whatever for, and after several failures nobody asks it for a
    while: what shares a link shares that.

    Args:
        servers: A URL such as `redis://host:6379/0`, `RedisServers.sentinel(...)` or `RedisServers.cluster(...)`.
        budget_seconds: What one call may take, connecting and redirections included.
        breaker: When to stop asking a server, and when to try again.
        feature: What needs it, for the error that redis-py is not installed.

    Attributes:
        servers: Which servers.
        budget_seconds: What one call may take.

    Raises:
        MissingExtra: redis-py is not installed.
        ConfigurationError: A setting is wrong. No server is asked before the first call.
    """

    def __init__(
        self,
        servers: RedisServers | str,
        *,
        budget_seconds: float = BUDGET_SECONDS,
        breaker: BreakerSettings | None = None,
        feature: str = "RedisLink",
    ) -> None:
        try:
            importlib.import_module("session_router.stores.redis_driver")
        except ImportError as error:
            raise MissingExtra(extra="redis", package="redis", feature=feature) from error
        check_kind(servers, (str, RedisServers), key="servers", rule=_SERVERS_RULE)
        least, most = LEAST_BUDGET_SECONDS, LARGEST_BUDGET_SECONDS
        check_number(budget_seconds, key="budget_seconds", rule=f"give a number of seconds, {least} to {most}.", low=least, high=most)
        self.servers = RedisServers.from_url(servers) if isinstance(servers, str) else servers
        self.budget_seconds = budget_seconds
        self._breaker = breaker
        self.begin()
        _links.add(self)

    def run(self, script: str, keys: Sequence[bytes], arguments: Sequence[bytes | str | int]) -> Any:  # noqa: ANN401 -- whatever it returns
        """Run a script where the first of `keys` lives; all must live there.

        Raises:
            StoreUnavailable: No server answered in time, or it is not known whether it was run.
            StoreCorrupt: What lies under a key is of another type.
        """
        return self.threads.drive(self.calls.run(script, keys, arguments))

    def ask(self, key: bytes, *command: bytes | str | int) -> Any:  # noqa: ANN401 -- whatever it answers
        """Ask the server where `key` lives.

        Raises:
            StoreUnavailable: No server answered in time.
            StoreCorrupt: What lies under the key is of another type.
        """
        return self.threads.drive(self.calls.ask(key, command))

    def counts(self) -> Mapping[str, int]:
        """Return how often what happened that is not the usual course, such as `timed_out`, `moved` or `out_of_memory`."""
        counted: Mapping[str, int] = self.calls.counts()
        return counted

    def close(self) -> None:
        """Close the connections of threads, and of each event loop when it ends; later calls raise `StoreUnavailable`."""
        self.threads.close()
        self.loops.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop as well."""
        self.close()
        await self.loops.aclose()

    def begin(self) -> None:
        """Begin without connections, and without anything that is known: at first, and in a child of a fork.

        A child must not talk over its parent's connections, nor wait for a lock that some thread of the parent held.
        """
        from session_router.stores.redis_calls import RedisCalls
        from session_router.stores.redis_driver import LoopDriver, ThreadDriver

        if (inherited := getattr(self, "loops", None)) is not None:
            _inherited.append(inherited)
        self.calls = RedisCalls(self.servers, clock=time.monotonic, budget_seconds=self.budget_seconds, breaker=self._breaker)
        self.threads = ThreadDriver(self.servers, budget_seconds=self.budget_seconds)
        self.loops = LoopDriver(self.servers, budget_seconds=self.budget_seconds)


_links: weakref.WeakSet[RedisLink] = weakref.WeakSet()
_inherited: list[object] = []
"""What a child of a fork has of its parent's event loops: let go, it would take from the parent what hears of its connections."""


def _begin_anew() -> None:
    for link in list(_links):
        link.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
