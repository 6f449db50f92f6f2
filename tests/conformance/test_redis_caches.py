"""A cache in Redis obeys the laws of a response cache on one server, on a cluster, and with vector sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from session_router.cache.redis_rows import RedisEntryRows
from session_router.cache.semantic import SemanticCache
from session_router.stores.redis_servers import RedisServers
from session_router.testing import ResponseCacheSuite
from support.counting_embedder import CountingEmbedder
from support.redis_rows import alter, fresh_rows
from support.redis_servers import cluster, standalone
from support.unsound_caches import KEY, forgetful

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.redis_servers import Server


@dataclass(frozen=True)
class Place:
    servers: RedisServers
    processes: list[Server]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with standalone(tmp_path_factory.mktemp("redis")) as server:
        yield Place(RedisServers.from_url(server.url), [server])


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with cluster(tmp_path_factory.mktemp("redis")) as servers:
        yield Place(RedisServers.cluster(servers.addresses), servers.masters)


class InRedis(ResponseCacheSuite):
    place: Place

    @pytest.fixture
    def cache(self, place: Place) -> Iterator[SemanticCache]:
        self.place = place
        with fresh_rows(place.servers) as rows, SemanticCache(rows, key=KEY, embedder=CountingEmbedder()) as cache:
            yield cache

    def with_another_embedder(self, cache: SemanticCache) -> SemanticCache:
        return SemanticCache(cache.rows, key=KEY, embedder=CountingEmbedder(model="another"))

    def tamper(self, cache: SemanticCache) -> None:
        assert isinstance(cache.rows, RedisEntryRows)
        assert alter(self.place.processes, cache.rows, b"What is", b"What as") > 0

    def tampered(self, cache: SemanticCache) -> int:
        return cache.counts().get("evicted.tampered", 0)


@pytest.mark.xdist_group("redis-standalone")
class TestStandalone(InRedis):
    @pytest.fixture
    def place(self, one: Place) -> Place:
        return one


@pytest.mark.xdist_group("redis-cluster")
class TestCluster(InRedis):
    @pytest.fixture
    def place(self, three: Place) -> Place:
        return three
