"""What operators meet: one frozen Sentinel or node of several, users with too few rights, forks and pauses under event loops."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from redis.crc import key_slot

from session_router.errors import ConfigurationError, StoreUnavailable
from session_router.stores import redis_driver
from session_router.stores.breaker import BreakerState
from session_router.stores.redis import RedisSessionStore
from session_router.stores.redis_rows import key_of
from session_router.stores.redis_servers import RedisServers
from session_router.testing.sessions import fresh_session_id, full_session
from support.redis_servers import HOST, MASTER, cluster, sentinel_set, standalone, until
from support.replicas import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.redis_servers import Server

BUDGET_SECONDS = 0.5
"""As long as a healthy server never takes, however busy the machine is."""
LEAST_RIGHTS = "+get +set +eval +evalsha +ping +info +time"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with standalone(tmp_path) as one:
        yield one


def answers(store: RedisSessionStore) -> str:
    try:
        store.load(fresh_session_id())
    except StoreUnavailable as error:
        return str(error)
    return "an answer"


@pytest.mark.xdist_group("redis-sentinel")
def test_the_next_call_asks_another_sentinel_than_the_one_that_kept_it_waiting(tmp_path: Path) -> None:
    """However long after: no breaker of those that nobody had time to ask is any the wiser."""
    with sentinel_set(tmp_path) as servers:
        order = sorted(servers.addresses)
        frozen = next(one for one in servers.sentinels if one.address == order[0])
        with RedisSessionStore(RedisServers.sentinel(order, master=MASTER), key=KEY, budget_seconds=BUDGET_SECONDS) as store:
            frozen.freeze()
            try:
                first = answers(store)
                assert first != "an answer"
                # Longer than it is remembered that somebody waited in vain.
                time.sleep(2 * BUDGET_SECONDS)
                assert answers(store) == "an answer"
            finally:
                frozen.thaw()
            assert {str(address): state for address, state in store.link.calls.states().items()} | {order[0]: BreakerState.CLOSED} == {
                **dict.fromkeys(order[:2], BreakerState.CLOSED),
                servers.master.address: BreakerState.CLOSED,
            }


@pytest.mark.xdist_group("redis-cluster")
def test_a_frozen_node_keeps_nobody_from_the_others(tmp_path: Path) -> None:
    with cluster(tmp_path, cluster_node_timeout="15000", cluster_require_full_coverage="no") as nodes:
        for victim in nodes.masters:
            with RedisSessionStore(RedisServers.cluster(nodes.addresses), key=KEY, budget_seconds=BUDGET_SECONDS) as store:
                ids = [fresh_session_id() for _ in range(100)]
                owners = {one: nodes.owner_of(key_slot(key_of("session_router", one))).address for one in ids}
                sessions = [one for node in nodes.masters for one in [id_ for id_ in ids if owners[id_] == node.address][:2]]
                until(lambda store=store, sessions=sessions: all(store.load(one) is None for one in sessions), "all nodes")  # type: ignore[misc]
                victim.freeze()
                try:
                    failed = Counter[str]()
                    for one in sessions * 2:
                        try:
                            store.load(one)
                        except StoreUnavailable as error:
                            failed[str(error).split()[0]] += 1
                            time.sleep(2 * BUDGET_SECONDS)
                finally:
                    victim.thaw()
                assert set(failed) == {victim.address}


@pytest.mark.xdist_group("redis-standalone")
def test_a_user_with_too_few_rights_is_told_and_stores_nothing_twice(tmp_path: Path) -> None:
    with standalone(tmp_path, user=f"me on >hush ~* {LEAST_RIGHTS}") as server:
        url = f"redis://me:hush@{HOST}:{server.port}/0"
        first, second = (RedisSessionStore(url, key=KEY, budget_seconds=5.0) for _ in range(2))
        session = full_session(fresh_session_id())
        for store in (first, second):
            with pytest.raises(StoreUnavailable, match=r"refused.*can't run this command.*rights") as raised:
                store.commit(session)
            assert "hush" not in str(raised.value)
        assert first.load(session.id) is None


@pytest.mark.xdist_group("redis-standalone")
def test_a_replica_that_is_given_as_the_server_is_named(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "r").mkdir()
    with (
        standalone(tmp_path / "m") as master,
        standalone(tmp_path / "r", replicaof=f"{HOST} {master.port}") as replica,
        RedisSessionStore(replica.url, key=KEY, budget_seconds=5.0) as store,
    ):
        until(lambda: answers(store) == "an answer", "replica")
        with pytest.raises(StoreUnavailable, match="is a replica, which takes no writes; give its master"):
            store.commit(full_session(fresh_session_id()))
        assert store.counts()["read_only"] == 2


@pytest.mark.xdist_group("redis-standalone")
def test_a_fork_under_an_event_loop_leaves_the_parent_its_connections(server: Server) -> None:
    async def main(store: RedisSessionStore) -> list[str]:
        async def one() -> str:
            try:
                await store.aload(fresh_session_id())
            except StoreUnavailable as error:
                return str(error)
            return "an answer"

        await asyncio.gather(*(one() for _ in range(8)))
        child = os.fork()
        if child == 0:
            gc.collect()
            os._exit(0)
        os.waitpid(child, 0)  # noqa: ASYNC222 -- nobody else waits here
        return [await one() for _ in range(10)]

    with RedisSessionStore(server.url, key=KEY, budget_seconds=BUDGET_SECONDS) as store:
        assert asyncio.run(main(store)) == ["an answer"] * 10
        assert store.counts() == {}


@pytest.mark.xdist_group("redis-standalone")
def test_a_pause_of_the_loop_is_no_failure_of_the_server(server: Server) -> None:
    async def main(store: RedisSessionStore) -> None:
        async def one() -> None:
            with suppress(StoreUnavailable):
                await store.aload(fresh_session_id())

        await asyncio.gather(*(one() for _ in range(8)))
        for _ in range(3):
            tasks = [asyncio.create_task(one()) for _ in range(8)]
            await asyncio.sleep(0)
            time.sleep(1.5 * BUDGET_SECONDS)  # noqa: ASYNC251 -- what is tested
            await asyncio.gather(*tasks)

    with RedisSessionStore(server.url, key=KEY, budget_seconds=BUDGET_SECONDS) as store:
        asyncio.run(main(store))
        assert set(store.link.calls.states().values()) == {BreakerState.CLOSED}
        assert set(store.counts()) == {"no_time"}


@pytest.mark.xdist_group("redis-standalone")
def test_nor_is_it_one_that_more_ask_at_once_than_have_a_turn(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_driver, "MAXIMUM_CONNECTIONS", 1)

    async def main(store: RedisSessionStore) -> None:
        await store.aload(fresh_session_id())
        server.freeze()
        try:
            await asyncio.gather(*(store.aload(fresh_session_id()) for _ in range(4)), return_exceptions=True)
        finally:
            server.thaw()

    with RedisSessionStore(server.url, key=KEY, budget_seconds=BUDGET_SECONDS) as store:
        asyncio.run(main(store))
        assert store.counts() == {"timed_out": 1, "no_time": 3}


@pytest.mark.xdist_group("redis-standalone")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_loops_that_are_closed_without_a_word_leave_no_connections(server: Server) -> None:
    with RedisSessionStore(server.url, key=KEY, budget_seconds=5.0) as store:
        for _ in range(20):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(store.aload(fresh_session_id()))
            loop.close()
        del loop
        gc.collect()
        until(lambda: server.client.info("clients")["connected_clients"] <= 4, "connections that are closed")
    # What is left of the last loop says that nobody closed it: here, and not in another test.
    del store
    gc.collect()


@pytest.mark.parametrize("nodes", [["redis://:s3cret@10.0.0.1:6379"], ["me:s3cret@10.0.0.1:6379"], "redis://:s3cret@10.0.0.1"])
def test_a_password_among_the_nodes_is_not_shown(nodes: list[str]) -> None:
    with pytest.raises(ConfigurationError, match=r"\(hidden\).*password") as raised:
        RedisServers.cluster(nodes)
    assert "s3cret" not in str(raised.value)


@pytest.mark.xdist_group("redis-standalone")
def test_what_keeps_us_from_asking_is_told_with_what_to_do(tmp_path: Path) -> None:
    def told(url: str) -> str:
        with RedisSessionStore(url, key=KEY, budget_seconds=BUDGET_SECONDS) as store:
            return answers(store)

    with standalone(tmp_path) as server:
        bare = f"redis://{HOST}:{server.port}"
        assert "Name a database that the server has" in told(f"{bare}/99")
        server.command("CONFIG", "SET", "maxclients", "1")
        assert "Raise its `maxclients`" in told(bare)
        server.command("CONFIG", "SET", "maxclients", "100")
        server.command("CONFIG", "SET", "requirepass", "open sesame")
        assert "Give the user and the password" in told(bare)
        wrong = told(f"redis://:guess@{HOST}:{server.port}")
        assert "Give the user and the password" in wrong
        assert "guess" not in wrong
        server.kill()
        assert "See that it runs" in told(bare)


def test_a_prefix_with_braces_would_put_all_sessions_of_a_cluster_in_one_place() -> None:
    with pytest.raises(ConfigurationError, match="without braces"):
        RedisSessionStore("redis://127.0.0.1:1", key=KEY, prefix="{prod}")


@pytest.mark.xdist_group("redis-standalone")
def test_a_commit_that_was_given_up_may_have_been_stored(server: Server) -> None:
    async def main(store: RedisSessionStore) -> None:
        session = full_session(fresh_session_id())
        assert await store.acommit(session)
        assert store.recall(session.id) is not None
        server.freeze()
        task = asyncio.create_task(store.acommit(session.committed()))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.thaw()
        assert store.recall(session.id) is None

    with RedisSessionStore(server.url, key=KEY, budget_seconds=BUDGET_SECONDS) as store:
        asyncio.run(main(store))
