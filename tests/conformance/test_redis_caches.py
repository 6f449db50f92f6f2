"""A cache in Redis obeys the laws of a response cache on one server, on a cluster, and with vector sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from langchain_tests.integration_tests import AsyncCacheTestSuite, SyncCacheTestSuite

from session_router.cache.redis_rows import RedisEntryRows
from session_router.cache.semantic import SemanticCache
from session_router.cache.settings import CacheSettings
from session_router.stores.redis_servers import RedisServers
from session_router.testing import ResponseCacheSuite
from session_router_langchain import SessionRouterCache
from support.counting_embedder import CountingEmbedder
from support.llm_cache_suite import LLMCacheSuite
from support.redis_rows import alter, fresh_rows
from support.redis_servers import cluster, standalone, vector_set_server
from support.unsound_caches import KEY, forgetful

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.caches import BaseCache

    from support.redis_servers import Cluster, Server


@dataclass(frozen=True)
class Place:
    servers: RedisServers
    processes: list[Server]


@pytest.fixture
def one(server: Server) -> Place:
    return Place(RedisServers.from_url(server.url), [server])


@pytest.fixture
def three(nodes: Cluster) -> Place:
    return Place(RedisServers.cluster(nodes.addresses), nodes.masters)


@pytest.fixture(scope="module")
def one_with_vector_sets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with standalone(tmp_path_factory.mktemp("redis"), program=vector_set_server()) as server:
        yield Place(RedisServers.from_url(server.url), [server])


@pytest.fixture(scope="module")
def three_with_vector_sets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with cluster(tmp_path_factory.mktemp("redis"), program=vector_set_server()) as servers:
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


@pytest.mark.vector_sets
@pytest.mark.xdist_group("redis-vector-sets")
class TestVectorSets(InRedis):
    @pytest.fixture
    def place(self, one_with_vector_sets: Place) -> Place:
        return one_with_vector_sets


@pytest.mark.vector_sets
@pytest.mark.xdist_group("redis-vector-sets-cluster")
class TestVectorSetsOnACluster(InRedis):
    @pytest.fixture
    def place(self, three_with_vector_sets: Place) -> Place:
        return three_with_vector_sets


IMPATIENT = CacheSettings(wait_seconds=0.0)
"""Whoever asks here, and is told nothing, tells nothing: nobody need wait for it."""


@pytest.fixture
def of_langchain(one: Place) -> Iterator[BaseCache]:
    with fresh_rows(one.servers) as rows, SemanticCache(rows, key=KEY, settings=IMPATIENT) as cache:
        yield SessionRouterCache(cache, principal="ada")


@pytest.mark.xdist_group("redis-standalone")
class TestLangChainSuite(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, of_langchain: BaseCache) -> BaseCache:
        return of_langchain


@pytest.mark.xdist_group("redis-standalone")
class TestLangChainAsyncSuite(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, of_langchain: BaseCache) -> BaseCache:
        return of_langchain


@pytest.mark.xdist_group("redis-standalone")
class TestLangChainIsolation(LLMCacheSuite):
    @pytest.fixture
    def cache(self, of_langchain: BaseCache) -> BaseCache:
        return of_langchain

    def other(self, cache: Any, **names: str) -> BaseCache:
        return SessionRouterCache(cache._cache, **names)


@pytest.mark.xdist_group("redis-standalone")
@pytest.mark.parametrize("field", ["tenant", "scope", "before"])
def test_a_partition_that_leaves_one_field_out_is_refused(one: Place, field: str) -> None:
    class Forgets(InRedis):
        def with_another_embedder(self, cache: SemanticCache) -> SemanticCache:
            return forgetful(super().with_another_embedder(cache), field)

    told = []
    laws = [name for name in dir(InRedis) if name.startswith(("test_nothing_crosses", "test_untrusted", "test_another"))]
    assert len(laws) == 5
    for law in laws:
        with fresh_rows(one.servers) as rows:
            try:
                getattr(Forgets(), law)(forgetful(SemanticCache(rows, key=KEY, embedder=CountingEmbedder()), field))
            except AssertionError:
                told.append(law)
    assert told


class ForgetsTombstones(RedisEntryRows):
    """Removes what is there, and lets writers in flight bring it back."""

    def erase(self, subject: str, *, at: float) -> int:
        return super().erase(subject, at=at - 1e9)


class BelievesRows(SemanticCache):
    def __init__(self, rows: RedisEntryRows) -> None:
        super().__init__(rows, key=KEY)
        self._codec.is_sealed = lambda _: True  # type: ignore[method-assign]


@pytest.mark.xdist_group("redis-standalone")
def test_each_law_refuses_who_breaks_it(one: Place) -> None:
    suite = InRedis()
    suite.place = one
    with fresh_rows(one.servers) as rows, pytest.raises(AssertionError):
        suite.test_altered_entries_are_evicted_and_counted(BelievesRows(rows))
    with fresh_rows(one.servers, kind=ForgetsTombstones) as rows, pytest.raises(AssertionError):
        suite.test_erasure_stops_writers_in_flight(SemanticCache(rows, key=KEY))
