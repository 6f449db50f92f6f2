"""One server of stored answers dies, freezes, fills up, or forgets, while questions go on: each is a miss, and none an error."""

from __future__ import annotations

import asyncio
import contextvars
import os
from typing import TYPE_CHECKING, Any

import pytest

from session_router.cache.redis_rows import RedisEntryRows
from session_router.cache.semantic import SemanticCache
from session_router.core.cached import CacheHit, CacheMiss, MissReason
from session_router.core.governance import Tag
from session_router.errors import StoreError, StoreUnavailable
from session_router.stores.breaker import BreakerSettings
from session_router.stores.redis import RedisSessionStore
from session_router.stores.redis_link import RedisLink
from session_router.stores.redis_servers import RedisServers
from session_router.testing.cached import NOW, a_question, an_answer
from session_router.testing.sessions import fresh_session_id
from support.redis_servers import HOST, MASTER, cluster, sentinel_set, standalone, until, vector_set_server
from support.unsound_caches import KEY
from support.word_embedder import WordEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from session_router.core.cached import CacheQuestion
    from support.redis_servers import Server

pytestmark = pytest.mark.xdist_group("redis-standalone")
IMPATIENT = BreakerSettings(first_pause_seconds=0.2, longest_pause_seconds=0.5)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with standalone(tmp_path) as one:
        yield one


@pytest.fixture
def cache(server: Server) -> Iterator[SemanticCache]:
    with a_cache(RedisLink(server.url, budget_seconds=0.5, breaker=IMPATIENT)) as cache:
        yield cache


def a_cache(link: RedisLink) -> SemanticCache:
    return SemanticCache(RedisEntryRows(link), key=KEY, embedder=WordEmbedder(64))


def elsewhere(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call as another task would: who waits in vain is not the same."""
    return contextvars.copy_context().run(function, *arguments)


def found(cache: SemanticCache, question: CacheQuestion) -> CacheHit | CacheMiss:
    told = elsewhere(cache.look_up, question)
    if isinstance(told, CacheMiss):
        cache.abandon(question)
    assert isinstance(told, CacheHit | CacheMiss)
    return told


def failed(cache: SemanticCache, number: int) -> None:
    told = found(cache, a_question(f"What is number {number}?"))
    assert isinstance(told, CacheMiss)
    assert told.reason is MissReason.FAILED
    assert elsewhere(cache.store, a_question(f"What is number {number}?"), an_answer()) is not None


def works_again(cache: SemanticCache) -> None:
    def kept() -> bool:
        return elsewhere(cache.store, a_question("Is it back?"), an_answer("Yes.")) is None

    until(kept, "a cache that keeps answers again")
    assert isinstance(until(lambda: found(cache, a_question("Is it back?")), "an answer"), CacheHit)


def counts(cache: SemanticCache) -> Any:
    assert isinstance(cache.rows, RedisEntryRows)
    return cache.rows.link.counts()


def test_a_killed_server(cache: SemanticCache, server: Server) -> None:
    assert cache.store(a_question(), an_answer()) is None
    server.kill()
    for number in range(20):
        failed(cache, number)
    assert counts(cache)["breaker_open"] > 0
    assert counts(cache)["connection_lost"] < 20, "a dead server is left alone"
    server.start()
    works_again(cache)
    # Its rows are gone with it.
    assert isinstance(found(cache, a_question()), CacheMiss)


def test_a_frozen_server(server: Server) -> None:
    with a_cache(RedisLink(server.url, budget_seconds=0.5, breaker=IMPATIENT)) as cache:
        until(lambda: elsewhere(cache.store, a_question(), an_answer()) is None, "an answer that is kept")
        server.freeze()
        try:
            # Who has waited in vain does not wait again: neither in this look-up, nor to keep the answer.
            for number in range(3):
                question = a_question(f"What is number {number}?")

                def ask(question: CacheQuestion = question) -> None:
                    before = counts(cache).get("timed_out", 0)
                    assert isinstance(cache.look_up(question), CacheMiss)
                    assert cache.store(question, an_answer()) is not None
                    assert counts(cache)["timed_out"] == before + 1

                elsewhere(ask)
            for number in range(20):
                failed(cache, number)
            assert counts(cache)["breaker_open"] > 0
        finally:
            server.thaw()
        works_again(cache)


def test_a_frozen_server_blocks_no_event_loop(server: Server) -> None:
    with a_cache(RedisLink(server.url, budget_seconds=0.5)) as cache:
        until(lambda: elsewhere(cache.store, a_question(), an_answer()) is None, "an answer that is kept")
        server.freeze()
        try:

            async def main() -> int:
                looking = asyncio.create_task(cache.alook_up(a_question("What is it?")))
                ticks = 0
                while not looking.done():
                    await asyncio.sleep(0)
                    ticks += 1
                assert isinstance(looking.result(), CacheMiss)
                return ticks

            assert asyncio.run(main()) > 100
        finally:
            server.thaw()


def test_a_server_that_sessions_found_dead_is_not_waited_for_again(server: Server) -> None:
    with RedisSessionStore(server.url, key=KEY, budget_seconds=0.5) as store, a_cache(store.link) as cache:
        server.freeze()
        try:

            def decide() -> None:
                with pytest.raises(StoreUnavailable):
                    store.load(fresh_session_id())
                assert isinstance(cache.look_up(a_question()), CacheMiss)
                cache.abandon(a_question())

            elsewhere(decide)
            assert store.counts()["timed_out"] == 1
            assert store.counts()["not_waited_again"] == 1
        finally:
            server.thaw()


def test_a_full_server_keeps_nothing_and_serves_what_is_there(cache: SemanticCache, server: Server) -> None:
    assert cache.store(a_question(), an_answer()) is None
    server.command("CONFIG", "SET", "maxmemory", "1")
    assert elsewhere(cache.store, a_question("What else?"), an_answer()) is not None
    assert counts(cache)["out_of_memory"] > 0
    assert isinstance(found(cache, a_question()), CacheHit)
    assert isinstance(found(cache, a_question("What else?")), CacheMiss)
    server.command("CONFIG", "SET", "maxmemory", "0")
    works_again(cache)


def test_a_server_that_became_a_replica_serves_and_keeps_nothing(cache: SemanticCache, server: Server) -> None:
    assert cache.store(a_question(), an_answer()) is None
    server.command("REPLICAOF", HOST, 1)
    assert elsewhere(cache.store, a_question("What else?"), an_answer()) is not None
    assert counts(cache)["read_only"] > 0
    server.command("REPLICAOF", "NO", "ONE")
    works_again(cache)


def test_a_server_that_forgot_the_scripts(cache: SemanticCache, server: Server) -> None:
    assert cache.store(a_question(), an_answer()) is None
    server.command("SCRIPT", "FLUSH")
    assert isinstance(found(cache, a_question()), CacheHit)
    server.command("SCRIPT", "FLUSH")
    assert cache.store(a_question("What else?"), an_answer()) is None


def test_a_server_that_forgot_everything(cache: SemanticCache, server: Server) -> None:
    for number in range(3):
        assert cache.store(a_question(f"How do I paint thing{number}?"), an_answer()) is None
        found(cache, a_question(f"How can I paint thing{number}?"))
    server.command("FLUSHALL")
    assert isinstance(found(cache, a_question("How can I paint thing1?")), CacheMiss)
    assert cache.store(a_question("How do I wash thing1?"), an_answer("Anew.")) is None
    assert isinstance(found(cache, a_question("How do I wash thing1?")), CacheHit)
    (near, *_) = cache._parts.indexes.search(  # type: ignore[union-attr]
        cache._asked(a_question()).partition,  # type: ignore[union-attr]
        WordEmbedder(64).embed(["How can I wash thing1?"])[0],
        1,
        question=a_question(),
    )
    assert near is not None


@pytest.mark.parametrize("key", ["rows", "keys", "places", "ages", "ends", "about"])
@pytest.mark.parametrize("kind", ["of another type", "gone"])
def test_keys_that_somebody_spoiled(cache: SemanticCache, server: Server, key: str, kind: str) -> None:
    about = Tag(subjects=frozenset({"bob"}))
    for number in range(3):
        assert cache.store(a_question(f"What is number {number}?", tag=about), an_answer()) is None
    rows = cache.rows
    assert isinstance(rows, RedisEntryRows)
    for base in rows._bases:
        name = base + b":" + key.encode()
        if server.command("DEL", name) and kind == "of another type":
            server.command("SET", name, "?")
    for number in range(3):
        found(cache, a_question(f"What is number {number}?", tag=about))
        found(cache, a_question(f"What could number {number} be?", tag=about))
        # The first to meet what is not ours keeps nothing, and clears it away.
        elsewhere(cache.store, a_question("What else?", tenant=f"tenant{number}", tag=about), an_answer())
        elsewhere(cache.store, a_question(f"What is number {number}?", tag=about), an_answer("Anew."))
        elsewhere(cache.store, a_question(f"What is number {number}?", tag=about), an_answer("Anew."))
        told = found(cache, a_question(f"What is number {number}?", tag=about))
        assert isinstance(told, CacheHit), told


def test_an_erasure_that_is_not_certain_says_so(cache: SemanticCache, server: Server) -> None:
    about = Tag(subjects=frozenset({"bob"}))
    assert cache.store(a_question(tag=about), an_answer()) is None
    server.freeze()
    try:
        with pytest.raises(StoreError):
            elsewhere(lambda: cache.erase("bob", now=NOW))
        assert isinstance(found(cache, a_question(tag=about)), CacheMiss)
    finally:
        server.thaw()
    assert until(lambda: erased(cache), "an erasure") == 1
    assert isinstance(found(cache, a_question(tag=about)), CacheMiss)


def erased(cache: SemanticCache) -> int | None:
    try:
        # What was sent to the frozen server may have been done when it went on.
        return int(elsewhere(lambda: cache.erase("bob", now=NOW))) or 1
    except StoreError:
        return None


@pytest.mark.vector_sets
@pytest.mark.parametrize("newer_first", [True, False])
def test_a_server_of_the_other_kind(tmp_path: Path, *, newer_first: bool) -> None:
    kinds = [vector_set_server(), "redis-server"]
    first, second = kinds if newer_first else reversed(kinds)
    with standalone(tmp_path, program=first) as server:
        rows = RedisEntryRows(RedisLink(server.url, budget_seconds=5.0, breaker=IMPATIENT))
        with SemanticCache(rows, key=KEY, embedder=WordEmbedder(64)) as cache:
            assert cache.store(a_question(), an_answer()) is None
            assert rows.has_vector_sets() is newer_first
            server.kill()
            server.program = second
            server.start()
            # As a minute later.
            rows._ask_again_at = 0.0
            for number in range(3):
                # The first look for what is similar may fail, and none after it.
                found(cache, a_question(f"How do I paint thing{number}?"))
            works_again(cache)
            assert elsewhere(cache.store, a_question("How do I wash it?"), an_answer()) is None
            told = found(cache, a_question("How can I wash it?"))
            assert isinstance(told, CacheMiss)
            assert told.reason is not MissReason.FAILED
            assert rows.has_vector_sets() is not newer_first


@pytest.mark.xdist_group("redis-sentinel")
def test_a_master_that_sentinels_replace(tmp_path: Path) -> None:
    with sentinel_set(tmp_path) as servers:
        link = RedisLink(RedisServers.sentinel(servers.addresses, master=MASTER), budget_seconds=0.5, breaker=IMPATIENT)
        with a_cache(link) as cache:
            assert cache.store(a_question(), an_answer()) is None
            servers.master.kill()
            failed(cache, 1)
            works_again(cache)


@pytest.mark.xdist_group("redis-cluster")
def test_a_master_of_a_cluster_that_dies(tmp_path: Path) -> None:
    with cluster(tmp_path, replicas=True) as servers:
        link = RedisLink(RedisServers.cluster(servers.addresses), budget_seconds=0.5, breaker=IMPATIENT)
        with a_cache(link) as cache:
            questions = [a_question("What is it?", tenant=f"tenant{number}") for number in range(12)]
            for question in questions:
                assert cache.store(question, an_answer()) is None
            servers.masters[0].kill()
            told = [found(cache, question) for question in questions]
            assert any(isinstance(one, CacheHit) for one in told), "the others answer"

            def all_kept() -> bool:
                return all(elsewhere(cache.store, question, an_answer("Anew.")) is None for question in questions)

            until(all_kept, "a replica that takes over")
            assert all(isinstance(until(lambda one=one: found(cache, one), "an answer"), CacheHit) for one in questions)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_has_connections_of_its_own(cache: SemanticCache) -> None:
    assert cache.store(a_question(), an_answer("From the parent.")) is None
    child = os.fork()
    if not child:
        code = 1
        try:
            hit = cache.look_up(a_question())
            code = 0 if isinstance(hit, CacheHit) and cache.store(a_question("And you?"), an_answer("From the child.")) is None else 2
        finally:
            os._exit(code)
    assert isinstance(found(cache, a_question()), CacheHit)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert isinstance(found(cache, a_question("And you?")), CacheHit)
