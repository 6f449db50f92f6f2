"""What replicas share of their models' health obeys the laws, in memory and in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from session_router.core.health import Health
from session_router.stores.redis import RedisSessionStore
from session_router.stores.redis_servers import RedisServers
from session_router.testing import SharedHealthSuite
from session_router.testing.shared_health_suite import failing
from support.redis_servers import Cluster, Server
from support.shared_health import SharedInMemory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from session_router.stores.redis_health import RedisHealth

KEY = b"k" * 32
PATIENT_SECONDS = 10.0


class TestInMemory(SharedHealthSuite):
    @pytest.fixture
    def shared(self) -> SharedInMemory:
        return SharedInMemory(ahead=7.0)

    @pytest.fixture
    def other(self, shared: SharedInMemory) -> SharedInMemory:
        # The clock of this one's reader is an hour ahead of the other's.
        return OnAnotherClock(rows=shared.rows, guard=shared.guard)


class OnAnotherClock(SharedInMemory):
    def read(self, now: float):  # type: ignore[no-untyped-def] # noqa: ANN201 -- as in the base class
        self.ahead = 1_007.0 - now
        return super().read(now)

    def replace(self, read, model: str, health: Health, *, seconds: float) -> bool:  # type: ignore[no-untyped-def] # noqa: ANN001
        self.writes += 1_000
        return super().replace(read, model, health, seconds=seconds)


class RedisSuite(SharedHealthSuite):
    @pytest.fixture
    def other(self, servers: RedisServers) -> Iterator[RedisHealth]:
        with RedisSessionStore(servers, key=KEY, budget_seconds=PATIENT_SECONDS) as store:
            yield store.health


@pytest.mark.xdist_group("redis-standalone")
class TestStandalone(RedisSuite):
    @pytest.fixture
    def servers(self, server: Server) -> RedisServers:
        return RedisServers.from_url(server.url)

    @pytest.fixture
    def shared(self, server: Server, servers: RedisServers) -> Iterator[RedisHealth]:
        server.command("FLUSHALL")
        with RedisSessionStore(servers, key=KEY, budget_seconds=PATIENT_SECONDS) as store:
            yield store.health

    def test_reading_and_replacing_is_one_round_trip_each(self, server: Server, shared: RedisHealth) -> None:
        assert shared.replace(shared.read(1_000.0), "fast", failing(1_000.0), seconds=60.0)
        server.command("CONFIG", "RESETSTAT")
        assert shared.replace(shared.read(1_000.0), "fast", failing(1_001.0), seconds=60.0)
        assert server.client.info("commandstats")["cmdstat_evalsha"]["calls"] == 2

    def test_what_is_damaged_foreign_or_of_another_type_is_not_known_and_is_replaced(self, server: Server, shared: RedisHealth) -> None:
        key = self.told(server, shared)
        stored = server.client.hget(key, "fast")
        for row in (b"", b"x", stored[:-1] + bytes([stored[-1] ^ 1]), stored[:20], b"sh1:" + b"\0" * 500_000):
            server.client.hset(key, "fast", row)
            read = shared.read(1_000.0)
            assert read.rows["fast"].health.is_known_good
            assert shared.replace(read, "fast", failing(1_000.0), seconds=60.0)
            assert not shared.read(1_000.0).rows["fast"].health.is_known_good
        server.client.hset(key, "strong", server.client.hget(key, "fast"))
        assert shared.read(1_000.0).rows["strong"].health.is_known_good, "one model's row is none of another's"
        server.command("DEL", key)
        server.command("SET", key, "what is this")
        read = shared.read(1_000.0)
        assert dict(read.rows) == {}
        assert shared.replace(read, "fast", failing(1_000.0), seconds=60.0)
        assert set(shared.read(1_000.0).rows) == {"fast"}

    def test_another_key_reads_nothing_of_it(self, server: Server, shared: RedisHealth) -> None:
        self.told(server, shared)
        with RedisSessionStore(server.url, key=b"o" * 32, budget_seconds=PATIENT_SECONDS) as store:
            assert dict(store.health.read(1_000.0).rows) == {}

    def test_it_is_forgotten_in_time(self, server: Server, shared: RedisHealth) -> None:
        key = self.told(server, shared)
        assert 50_000 < server.command("PTTL", key) <= 60_000
        assert shared.replace(shared.read(1_000.0), "strong", failing(1_000.0), seconds=10.0)
        assert server.command("PTTL", key) > 50_000, "the longest wish counts"

    @staticmethod
    def told(server: Server, shared: RedisHealth) -> bytes:
        assert shared.replace(shared.read(1_000.0), "fast", failing(1_000.0), seconds=60.0)
        (key,) = server.command("KEYS", "session_router:health*")
        return key


@pytest.mark.xdist_group("redis-cluster")
class TestCluster(RedisSuite):
    @pytest.fixture
    def servers(self, nodes: Cluster) -> RedisServers:
        return RedisServers.cluster(nodes.addresses)

    @pytest.fixture
    def shared(self, servers: RedisServers, request: pytest.FixtureRequest) -> Iterator[RedisHealth]:
        # Each test has a key of its own: nothing was told under it.
        with RedisSessionStore(servers, key=request.node.name.encode() + KEY, budget_seconds=PATIENT_SECONDS) as store:
            yield store.health

    @pytest.fixture
    def other(self, servers: RedisServers, request: pytest.FixtureRequest) -> Iterator[RedisHealth]:
        with RedisSessionStore(servers, key=request.node.name.encode() + KEY, budget_seconds=PATIENT_SECONDS) as store:
            yield store.health
