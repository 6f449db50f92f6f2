"""Masters die and hand over, slots move, while sessions go on: nobody tells the replicas but the servers themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis.crc import key_slot

from session_router.stores.breaker import BreakerSettings
from session_router.stores.redis import RedisSessionStore
from session_router.stores.redis_rows import key_of
from session_router.stores.redis_servers import RedisServers
from session_router.testing.sessions import fresh_session_id, full_session
from support.racing_processes import racing
from support.redis_servers import MASTER, cluster, sentinel_set, until
from support.replicas import KEY, playing, some

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from session_router.core.session import SessionId
    from support.redis_servers import Cluster, SentinelSet

IMPATIENT = BreakerSettings(first_pause_seconds=0.2, longest_pause_seconds=0.5)
PATIENT_SECONDS = 10.0


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[SentinelSet]:
    with sentinel_set(tmp_path) as servers:
        yield servers


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("redis"), replicas=True) as servers:
        yield servers


def behind(sentinels: SentinelSet, **settings: object) -> RedisSessionStore:
    servers = RedisServers.sentinel(sentinels.addresses, master=MASTER)
    return RedisSessionStore(servers, key=KEY, breaker=IMPATIENT, **settings)  # type: ignore[arg-type]


def on(nodes: Cluster, **settings: object) -> RedisSessionStore:
    return RedisSessionStore(RedisServers.cluster(nodes.addresses), key=KEY, breaker=IMPATIENT, **settings)  # type: ignore[arg-type]


def slot_of(session: SessionId) -> int:
    return key_slot(key_of("session_router", session))


@pytest.mark.xdist_group("redis-sentinel")
def test_sentinels_name_another_master(sentinels: SentinelSet) -> None:
    with playing(lambda: behind(sentinels)) as played:
        some(played, "healthy")
        first = sentinels.master
        first.kill()
        some(played, "degraded")
        until(lambda: sentinels.master.port != first.port, "failover")
        some(played, "healthy", 100)
        # The old master returns as a replica; who still asks it is sent away.
        first.start()
        some(played, "healthy")
    played.check()


@pytest.mark.xdist_group("redis-sentinel")
def test_a_dead_sentinel_and_a_frozen_one_are_passed_over(sentinels: SentinelSet) -> None:
    dead, frozen, _ = sentinels.sentinels
    dead.kill()
    frozen.freeze()
    try:
        with behind(sentinels) as store:
            session = full_session(fresh_session_id())

            def commits() -> bool:
                try:
                    return store.commit(session)
                except Exception:  # noqa: BLE001 -- each failure makes that Sentinel the last one to be asked
                    return False

            until(commits, "a commit")
            assert store.load(session.id) == session
    finally:
        frozen.thaw()


@pytest.mark.xdist_group("redis-cluster-faults")
def test_a_cluster_fails_over_on_request_and_no_commit_is_lost(nodes: Cluster) -> None:
    session = fresh_session_id()
    with racing("cluster", nodes.addresses, session) as race, playing(lambda: on(nodes)) as played:
        some(played, "healthy")
        owner = nodes.owner_of(slot_of(session))
        (heir,) = (one for one in nodes.servers if one.port in replica_ports(nodes, owner.port))
        heir.command("CLUSTER", "FAILOVER")
        until(lambda: nodes.owner_of(slot_of(session), asking=owner).port == heir.port, "failover")
        some(played, "healthy", 100)
    played.check(degraded=False)
    with on(nodes, budget_seconds=PATIENT_SECONDS) as store:
        stored = store.load(session)
    assert stored is not None
    assert len(set(race.won)) == len(race.won)
    assert stored.version == stored.turn <= len(race.won) + len(race.unknown)
    assert stored.version >= len(race.won)


@pytest.mark.xdist_group("redis-cluster-faults")
def test_a_slot_moves_while_processes_race_on_a_session_in_it(nodes: Cluster) -> None:
    session = fresh_session_id()
    slot = slot_of(session)
    with racing("cluster", nodes.addresses, session, wins=400) as race, on(nodes, budget_seconds=PATIENT_SECONDS) as store:
        until(lambda: store.load(session), "the first commit")
        for _ in range(3):
            source = nodes.owner_of(slot)
            owners = {int(one[2][1]) for one in nodes.raw_slots(source)}
            target = next(one for one in nodes.servers if one.port in owners and one.port != source.port)
            nodes.migrate(slot, source, target)
            assert nodes.move_keys(slot, source, target) == 1
            # The key is asked for where it was, and is elsewhere.
            assert store.load(session) is not None
            nodes.finish(slot, source, target)
        assert store.load(session) is not None
        counts = store.counts()
    assert counts["asked_elsewhere"] >= 1
    assert counts["moved"] >= 1
    with on(nodes, budget_seconds=PATIENT_SECONDS) as store:
        stored = store.load(session)
    assert stored is not None
    assert len(set(race.won)) == len(race.won)
    assert len(race.won) <= stored.version == stored.turn <= len(race.won) + len(race.unknown)


@pytest.mark.xdist_group("redis-cluster-faults")
def test_a_dead_node_costs_only_its_own_sessions_and_its_replica_takes_over(nodes: Cluster) -> None:
    with playing(lambda: on(nodes)) as played:
        some(played, "healthy")
        dead = nodes.owner_of(0)
        dead.kill()
        some(played, "degraded")
        # Two thirds of the slots are served meanwhile.
        some(played, "healthy")
        alive = next(one for one in nodes.servers if one.port != dead.port)
        until(lambda: nodes.owner_of(0, asking=alive).port != dead.port, "failover")
        some(played, "healthy", 100)
        dead.start()
        some(played, "healthy")
    played.check()


def replica_ports(nodes: Cluster, master: int) -> set[int]:
    for _, _, owner, *others in nodes.raw_slots(nodes.servers[0]):
        if int(owner[1]) == master:
            return {int(other[1]) for other in others}
    raise AssertionError(master)
