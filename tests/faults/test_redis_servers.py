"""One server dies, freezes, fills up, or turns into a replica, while sessions go on."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from session_router.core.account import Account
from session_router.core.boundary import Lock, LockKind
from session_router.core.session import Session
from session_router.errors import StoreCorrupt, StoreUnavailable
from session_router.stores.breaker import BreakerSettings
from session_router.stores.redis import RedisSessionStore
from session_router.stores.redis_rows import key_of
from session_router.testing.sessions import fresh_session_id, full_session
from support.redis_servers import HOST, standalone, until
from support.replicas import KEY, Played, Run, playing, replica, some
from values import FAST, OTHER, STRONG, ai, call_of, human, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.redis_servers import Server

pytestmark = pytest.mark.xdist_group("redis-standalone")
IMPATIENT = BreakerSettings(first_pause_seconds=0.2, longest_pause_seconds=0.5)
PATIENT_SECONDS = 10.0


@pytest.fixture
def server(tmp_path: object) -> Iterator[Server]:
    with standalone(tmp_path) as one:  # type: ignore[arg-type]
        yield one


def open_store(server: Server, **settings: object) -> RedisSessionStore:
    return RedisSessionStore(server.url, key=KEY, breaker=IMPATIENT, **settings)  # type: ignore[arg-type]


def test_the_check_sees_who_moves() -> None:
    played = Played()
    history = [human(), ai("a", by=FAST), tool("a")]
    store_less = replica(MemoryStoreThatForgets())
    run = Run(0)
    run.steps = [*history[:1]]
    run.call(store_less, played)
    assert not played.wrong
    lock = Lock(kind=LockKind.TOOL_CALLS_UNANSWERED, model=FAST, waiting_for=("a",))
    decision = store_less.route(call_of(human()))
    played.note(history, replace(decision, model=STRONG, lock=lock))
    played.note(history, replace(decision, model=FAST))
    played.note([human(), ai(by=FAST), human("more")], replace(decision, model=FAST, lock=lock))
    played.note([human()], replace(decision, model=None))
    played.note([human()], replace(decision, model=OTHER))
    assert played.wrong == [
        "fast asked, strong was chosen",
        "the lock of fast is lost",
        "the lock of fast does not end",
        "refused",
        "an uncleared model was chosen: other",
    ]


def test_a_killed_server(server: Server) -> None:
    with playing(lambda: open_store(server)) as played:
        some(played, "healthy")
        server.kill()
        some(played, "degraded")
        server.start()
        some(played, "healthy", 100)
    played.check()
    assert played.counts["connection_lost"] + played.counts["breaker_open"] > 0


def test_a_frozen_server(server: Server) -> None:
    with playing(lambda: open_store(server)) as played:
        some(played, "healthy")
        server.freeze()
        some(played, "degraded", 40)
        server.thaw()
        some(played, "healthy", 100)
    played.check()
    assert min(played.counts["timed_out"], played.counts["breaker_open"]) > 0


def test_a_full_server(server: Server) -> None:
    with playing(lambda: open_store(server, budget_seconds=PATIENT_SECONDS)) as played:
        some(played, "healthy")
        server.command("CONFIG", "SET", "maxmemory", "1")
        some(played, "degraded")
        server.command("CONFIG", "SET", "maxmemory", "0")
        some(played, "healthy", 100)
    played.check()
    assert played.counts["out_of_memory"] > 0
    # What is stored can still be read, and a server that answers is asked.
    assert played.counts["breaker_open"] == 0


def test_a_full_server_drops_the_write_and_keeps_what_it_has(server: Server) -> None:
    with open_store(server, budget_seconds=PATIENT_SECONDS) as store:
        session = full_session(fresh_session_id())
        assert store.commit(session)
        server.command("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(StoreUnavailable, match="out of memory"):
            store.commit(session.committed())
        assert store.load(session.id) == session
        server.command("CONFIG", "SET", "maxmemory", "0")
        assert store.commit(session.committed())


def test_a_master_that_became_a_replica(server: Server, tmp_path: object) -> None:
    with standalone(tmp_path) as other, playing(lambda: open_store(server)) as played:  # type: ignore[arg-type]
        some(played, "healthy")
        server.command("REPLICAOF", HOST, other.port)
        some(played, "degraded")
        server.command("REPLICAOF", "NO", "ONE")
        some(played, "healthy", 100)
    played.check()
    assert played.counts["read_only"] > 0


def test_a_server_that_forgot_the_script(server: Server) -> None:
    with playing(lambda: open_store(server, budget_seconds=PATIENT_SECONDS)) as played:
        for _ in range(5):
            some(played, "healthy")
            server.command("SCRIPT", "FLUSH")
        some(played, "healthy")
    played.check(degraded=False)
    assert played.counts["script_loaded"] > 3
    assert played.degraded == 0


def test_a_server_that_was_restarted_is_reached_over_new_connections(server: Server) -> None:
    with open_store(server, budget_seconds=PATIENT_SECONDS) as store:
        session = full_session(fresh_session_id())
        loads = [threading.Thread(target=store.load, args=(session.id,)) for _ in range(4)]
        for load in loads:
            load.start()
        for load in loads:
            load.join()
        server.kill()
        server.start()
        assert store.load(session.id) is None
        assert store.commit(session)
        assert store.counts()["reconnected"] == 1

        async def main() -> None:
            assert await store.aload(session.id) == session
            server.kill()
            server.start()
            assert await store.aload(session.id) is None
            assert await store.acommit(session)

        asyncio.run(main())


def test_a_lost_row_is_replaced_and_a_foreign_value_too(server: Server) -> None:
    with open_store(server, budget_seconds=PATIENT_SECONDS) as store:
        session = full_session(fresh_session_id())
        key = key_of("session_router", session.id)
        for foreign in (
            ("SET", key, "sr2:7:nonsense"),
            ("SET", key, "hello"),
            ("RPUSH", key, "a", "b"),
            ("SET", key, b"sr2:1:" + b"x" * 60),
        ):
            server.command("DEL", key)
            server.command(*foreign)
            with pytest.raises(StoreCorrupt):
                store.load(session.id)
            assert store.commit(replace(session, version=3)) is False
            assert store.commit(session) is True
            assert store.load(session.id) == session
        server.command("SET", key, "")
        assert store.load(session.id) is None
        assert store.commit(session)
        assert store.commit(replace(session, version=1)) is False


def test_what_was_decided_from_a_lost_row_is_not_committed_over_its_successor(server: Server) -> None:
    """A failover lost the last commit: two rows have the same version, and are not the same."""
    with open_store(server, budget_seconds=PATIENT_SECONDS) as one, open_store(server, budget_seconds=PATIENT_SECONDS) as other:
        base = full_session(fresh_session_id())
        key = key_of("session_router", base.id)
        assert one.commit(base)
        kept = server.command("GET", key)
        lost = replace(base.committed(), turn=100)
        assert one.commit(lost)
        server.command("SET", key, kept)
        assert other.load(base.id) == base
        successor = replace(base.committed(), turn=200)
        assert other.commit(successor)
        assert one.commit(lost.committed()) is False
        assert one.load(base.id) == successor
        assert one.commit(successor.committed())


def test_rows_expire_and_what_all_sessions_share_does_not(server: Server) -> None:
    with open_store(server, budget_seconds=PATIENT_SECONDS, seconds_to_live=100.0) as store:
        session = full_session(fresh_session_id())
        assert store.commit(session)
        assert 90_000 < server.command("PTTL", key_of("session_router", session.id)) <= 100_000
        population = Session(id=fresh_session_id(), version=1, account=Account())
        assert store.commit(population)
        assert server.command("PTTL", key_of("session_router", population.id)) == -1


def test_replicas_return_to_a_server_that_came_back_with_the_breaker_s_own_pauses(server: Server) -> None:
    with RedisSessionStore(server.url, key=KEY, budget_seconds=0.5) as store:
        session = fresh_session_id()
        until(lambda: store.load(session) is None, "a connection")
        before = Counter(store.counts())
        server.freeze()
        for _ in range(8):
            with pytest.raises(StoreUnavailable):
                contextvars.copy_context().run(store.load, session)
        assert Counter(store.counts()) - before == {"timed_out": 5, "breaker_open": 3}
        server.thaw()

        def is_back() -> bool:
            try:
                return store.load(session) is None
            except StoreUnavailable:
                return False

        until(is_back, "recovery", patience_seconds=10.0)


def test_whoever_waited_in_vain_does_not_wait_again_at_once(server: Server) -> None:
    """A decision makes several calls, and costs one budget."""
    with RedisSessionStore(server.url, key=KEY, budget_seconds=1.0) as store:
        session = full_session(fresh_session_id())
        assert store.commit(session)
        server.freeze()
        for _ in range(20):
            with pytest.raises(StoreUnavailable):
                store.load(session.id)
        assert store.counts() == {"script_loaded": 1, "timed_out": 1, "not_waited_again": 19}
        server.thaw()
        # Others do their own waiting.
        assert contextvars.Context().run(store.load, session.id) == session


def test_a_frozen_server_under_tasks(server: Server) -> None:
    """The same decisions, on one event loop."""
    played = Played()

    async def main() -> None:
        store, ended = open_store(server), asyncio.Event()
        router = replica(store)

        async def play(seed: int) -> None:
            while not ended.is_set():
                run = Run(seed)
                for _ in range(12):
                    await run.acall(router, played)
                    # A model would take its time here.
                    await asyncio.sleep(0)

        tasks = [asyncio.create_task(play(seed)) for seed in range(8)]
        await asyncio.to_thread(some, played, "healthy", 50)
        server.freeze()
        await asyncio.to_thread(some, played, "degraded", 50)
        server.thaw()
        await asyncio.to_thread(some, played, "healthy", 100)
        ended.set()
        await asyncio.gather(*tasks)
        await store.aclose()
        played.counts.update(store.counts())

    asyncio.run(main())
    played.check()
    assert min(played.counts["timed_out"], played.counts["breaker_open"]) > 0


class MemoryStoreThatForgets:
    """A store that is always gone."""

    def load(self, session: object) -> None:
        raise StoreUnavailable(str(session))

    def commit(self, session: object) -> bool:
        raise StoreUnavailable(str(session))

    async def aload(self, session: object) -> None:
        self.load(session)

    async def acommit(self, session: object) -> bool:
        return self.commit(session)
