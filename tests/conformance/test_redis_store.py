"""The Redis store obeys the laws on one server, behind Sentinels, and on a cluster."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from session_router.errors import StoreUnavailable
from session_router.stores import redis_calls
from session_router.stores.redis import RedisSessionStore
from session_router.stores.redis_rows import COMMIT, key_of
from session_router.stores.redis_servers import RedisServers
from session_router.testing import RecallingStoreSuite
from session_router.testing.sessions import fresh_session_id, full_session
from support.redis_servers import MASTER, Cluster, Server, sentinel_set

if TYPE_CHECKING:
    from collections.abc import Iterator

    from session_router.ports import RecallingStore, SessionStore

KEY = b"k" * 32
PATIENT_SECONDS = 10.0
"""Laws are about what is stored; a busy machine must not make them fail."""


class RedisSuite(RecallingStoreSuite):
    @pytest.fixture
    def store(self, servers: RedisServers) -> Iterator[RedisSessionStore]:
        with RedisSessionStore(servers, key=KEY, budget_seconds=PATIENT_SECONDS) as store:
            yield store

    def reopen(self, store: SessionStore) -> RecallingStore:
        assert isinstance(store, RedisSessionStore)
        return RedisSessionStore(store.servers, key=store.key, budget_seconds=PATIENT_SECONDS)


@pytest.fixture(scope="module")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServers]:
    with sentinel_set(tmp_path_factory.mktemp("redis")) as servers:
        yield RedisServers.sentinel(servers.addresses, master=MASTER)


@pytest.mark.xdist_group("redis-standalone")
class TestStandalone(RedisSuite):
    @pytest.fixture
    def servers(self, server: Server) -> RedisServers:
        return RedisServers.from_url(server.url)


@pytest.mark.xdist_group("redis-sentinel")
class TestSentinel(RedisSuite):
    @pytest.fixture
    def servers(self, sentinels: RedisServers) -> RedisServers:
        return sentinels


@pytest.mark.xdist_group("redis-cluster")
class TestCluster(RedisSuite):
    @pytest.fixture
    def servers(self, nodes: Cluster) -> RedisServers:
        return RedisServers.cluster(nodes.addresses)


WITHOUT_A_CHECK = COMMIT.replace("elseif head ~= expected then", "elseif head == 'never' then")


@pytest.mark.xdist_group("redis-standalone")
@pytest.mark.parametrize(
    "law",
    [
        "test_stale_commit_is_refused",
        "test_threads_race_and_one_wins_each_version",
        "test_commit_of_what_others_have_overtaken_is_refused",
        "test_session_that_roams_is_decided_from_what_is_stored",
    ],
)
def test_the_suite_fails_for_a_script_that_does_not_compare(server: Server, monkeypatch: pytest.MonkeyPatch, law: str) -> None:
    assert WITHOUT_A_CHECK != COMMIT
    monkeypatch.setattr(redis_calls, "COMMIT", WITHOUT_A_CHECK)
    monkeypatch.setattr(redis_calls, "COMMIT_DIGEST", hashlib.sha1(WITHOUT_A_CHECK.encode()).hexdigest())  # noqa: S324 -- as Redis does
    with RedisSessionStore(server.url, key=KEY, budget_seconds=PATIENT_SECONDS) as store, pytest.raises(AssertionError):
        getattr(RedisSuite(), law)(store)


@pytest.mark.xdist_group("redis-standalone")
def test_what_is_recalled_of_a_session_that_was_forgotten_is_not_committed(server: Server) -> None:
    """Another replica began it anew and has come as far: the versions are the same, the rows are not."""
    session = full_session(fresh_session_id())
    with (
        RedisSessionStore(server.url, key=KEY, budget_seconds=PATIENT_SECONDS) as store,
        RedisSessionStore(server.url, key=KEY, budget_seconds=PATIENT_SECONDS) as other,
    ):
        assert store.commit(session)
        assert store.recall(session.id) == session
        server.command("DEL", key_of(store.prefix, session.id))
        assert other.commit(replace(session, turn=7))
        assert store.recall(session.id) == session
        assert store.commit(session.committed()) is False
        assert store.recall(session.id) == replace(session, turn=7)
        assert store.commit(replace(session.committed(), turn=8))


@pytest.mark.xdist_group("redis-standalone")
def test_a_session_whose_commit_failed_is_asked_for_again(server: Server) -> None:
    """Whoever decides from memory while nothing can be stored decides twice, and tells of two failures."""
    session = full_session(fresh_session_id())
    with RedisSessionStore(server.url, key=KEY, budget_seconds=PATIENT_SECONDS) as store:
        assert store.commit(session)
        assert store.recall(session.id) == session
        server.command("CONFIG", "SET", "maxmemory", "1")
        try:
            with pytest.raises(StoreUnavailable):
                store.commit(session.committed())
            assert store.recall(session.id) is None
            assert store.load(session.id) == session
        finally:
            server.command("CONFIG", "SET", "maxmemory", "0")
        assert store.commit(session.committed())


@pytest.mark.xdist_group("redis-standalone")
def test_what_one_thread_recalled_is_not_committed_over_what_another_found(server: Server) -> None:
    """Rows of one version that are not the same: what was decided from the one says nothing of the other."""
    session = full_session(fresh_session_id())
    theirs = replace(session, turn=7)
    with (
        RedisSessionStore(server.url, key=KEY, budget_seconds=PATIENT_SECONDS) as store,
        RedisSessionStore(server.url, key=KEY, budget_seconds=PATIENT_SECONDS) as other,
    ):
        assert store.commit(session)
        recalled = store.recall(session.id)
        assert recalled == session
        server.command("DEL", key_of(store.prefix, session.id))
        assert other.commit(theirs)
        assert store.load(session.id) == theirs
        assert store.commit(recalled.committed()) is False
        assert store.load(session.id) == theirs


@pytest.mark.xdist_group("redis-standalone")
def test_a_session_that_was_forgotten_is_begun_again_from_what_was_made_of_its_row(server: Server) -> None:
    """An outcome does so that comes after its session has expired."""
    session = full_session(fresh_session_id())
    with RedisSessionStore(server.url, key=KEY, budget_seconds=PATIENT_SECONDS) as store:
        assert store.commit(session)
        loaded = store.load(session.id)
        assert loaded is not None
        server.command("DEL", key_of(store.prefix, session.id))
        assert store.commit(loaded.committed()) is False
        assert store.commit(replace(loaded, version=1))


@pytest.mark.xdist_group("redis-standalone")
def test_a_session_is_committed_by_its_version_where_it_was_made_of_an_earlier_row(server: Server) -> None:
    session = full_session(fresh_session_id())
    with RedisSessionStore(server.url, key=KEY, budget_seconds=PATIENT_SECONDS) as store:
        assert store.commit(session)
        loaded = store.load(session.id)
        assert loaded is not None
        assert store.commit(loaded.committed())
        assert store.commit(loaded.committed().committed())
