"""Real agents on strict providers, on two replicas in turn, whose Redis server is troubled in the middle of their tool loops."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool

from session_router.stores.breaker import BreakerSettings
from session_router.stores.redis import RedisSessionStore
from session_router_langchain import SessionRouterMiddleware
from support.agents import THREAD, agent_of, asks, authors, call, loops, moves_in_loops, staged
from support.redis_servers import HOST, standalone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.agents import Stage
    from support.redis_servers import Server

pytestmark = pytest.mark.xdist_group("redis-standalone")
KEY = b"k" * 32
IMPATIENT = BreakerSettings(first_pause_seconds=0.05, longest_pause_seconds=0.1)
TURNS = 12


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged() as one:
        yield one


def troubles(server: Server) -> list[Callable[[], object]]:
    return [
        server.freeze,
        server.thaw,
        server.kill,
        server.start,
        lambda: server.command("REPLICAOF", HOST, 1),
        lambda: server.command("REPLICAOF", "NO", "ONE"),
        lambda: server.command("CONFIG", "SET", "maxmemory", "1"),
        lambda: server.command("CONFIG", "SET", "maxmemory", "0"),
        lambda: server.command("FLUSHALL"),
    ]


def test_loops_stay_with_their_asker_whatever_becomes_of_redis(stage: Stage, tmp_path: Path) -> None:
    # A server lives no longer than the thread that started it, and tools run in threads that end.
    with standalone(tmp_path) as server, ThreadPoolExecutor(1) as keeper:
        due = itertools.cycle(troubles(server))

        @tool
        def disturb(city: str) -> str:
            """Do something to the server of the sessions."""
            keeper.submit(next(due)).result()
            return f"disturbed in {city}"

        # Two a turn of a cycle of nine: each trouble lasts over the end of some turn, and from one call to the next in another.
        stage.witness.script = {"go": [asks(call("disturb", city=city)) for city in ("Paris", "Rome")] + ["Done."]}
        stores = [RedisSessionStore(server.url, key=KEY, breaker=IMPATIENT) for _ in range(2)]
        replicas = [
            agent_of(stage, tools=[disturb], checkpointer=None, router=SessionRouterMiddleware(stage.router(store=store)))
            for store in stores
        ]
        messages: list[Any] = []
        for turn in range(TURNS):
            messages = replicas[turn % 2].invoke({"messages": [*messages, HumanMessage("go")]}, THREAD)["messages"]
        for store in stores:
            store.close()
    stage.assert_sound(messages)
    assert moves_in_loops(messages) == []
    assert loops(messages) == 2 * TURNS
    assert len(set(authors(messages))) > 1
    met = {what for store in stores for what in store.counts()}
    assert met >= {"timed_out", "connection_lost", "read_only", "out_of_memory"}, [store.counts() for store in stores]
