"""The Redis store obeys the laws on one server, behind Sentinels, and on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from session_router.stores.redis import RedisSessionStore
from session_router.stores.redis_servers import RedisServers
from session_router.testing import SharedSessionStoreSuite
from support.redis_servers import MASTER, cluster, sentinel_set, standalone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from session_router.ports import SessionStore

KEY = b"k" * 32
PATIENT_SECONDS = 10.0
"""Laws are about what is stored; a busy machine must not make them fail."""


class RedisSuite(SharedSessionStoreSuite):
    @pytest.fixture
    def store(self, servers: RedisServers) -> Iterator[RedisSessionStore]:
        with RedisSessionStore(servers, key=KEY, budget_seconds=PATIENT_SECONDS) as store:
            yield store

    def reopen(self, store: SessionStore) -> SessionStore:
        assert isinstance(store, RedisSessionStore)
        return RedisSessionStore(store.servers, key=store.key, budget_seconds=PATIENT_SECONDS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServers]:
    with standalone(tmp_path_factory.mktemp("redis")) as one:
        yield RedisServers.from_url(one.url)


@pytest.fixture(scope="module")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServers]:
    with sentinel_set(tmp_path_factory.mktemp("redis")) as servers:
        yield RedisServers.sentinel(servers.addresses, master=MASTER)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServers]:
    with cluster(tmp_path_factory.mktemp("redis")) as servers:
        yield RedisServers.cluster(servers.addresses)


@pytest.mark.xdist_group("redis-standalone")
class TestStandalone(RedisSuite):
    @pytest.fixture
    def servers(self, server: RedisServers) -> RedisServers:
        return server


@pytest.mark.xdist_group("redis-sentinel")
class TestSentinel(RedisSuite):
    @pytest.fixture
    def servers(self, sentinels: RedisServers) -> RedisServers:
        return sentinels


@pytest.mark.xdist_group("redis-cluster")
class TestCluster(RedisSuite):
    @pytest.fixture
    def servers(self, nodes: RedisServers) -> RedisServers:
        return nodes
