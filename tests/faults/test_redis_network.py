"""The network between a replica and Redis delays, cuts, trickles and corrupts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from session_router.errors import StoreUnavailable
from session_router.stores.breaker import BreakerSettings
from session_router.stores.redis import RedisSessionStore
from session_router.testing.sessions import fresh_session_id, full_session
from support.racing_processes import racing
from support.redis_servers import standalone
from support.replicas import KEY, playing, some
from support.tcp_proxy import proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.redis_servers import Server
    from support.tcp_proxy import Proxy

pytestmark = pytest.mark.xdist_group("redis-standalone")
IMPATIENT = BreakerSettings(first_pause_seconds=0.05, longest_pause_seconds=0.1)
PATIENT_SECONDS = 10.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with standalone(tmp_path_factory.mktemp("redis")) as one:
        yield one


@pytest.fixture
def between(server: Server) -> Iterator[Proxy]:
    with proxy(server.port) as one:
        yield one


def through(between: Proxy, **settings: object) -> RedisSessionStore:
    return RedisSessionStore(between.url, key=KEY, breaker=IMPATIENT, **settings)  # type: ignore[arg-type]


def test_a_slow_network(between: Proxy) -> None:
    with playing(lambda: through(between)) as played:
        some(played, "healthy")
        between.delay_seconds = 0.2
        some(played, "degraded")
        between.delay_seconds = 0.0
        some(played, "healthy", 50)
    played.check()
    assert played.counts["timed_out"] > 0


def test_connections_that_are_cut(between: Proxy) -> None:
    with playing(lambda: through(between, budget_seconds=PATIENT_SECONDS)) as played:
        for _ in range(10):
            some(played, "healthy")
            between.cut()
        some(played, "healthy")
    played.check(degraded=False)
    assert played.counts["reconnected"] > 0


def test_answers_that_are_lost_do_not_make_two_commits_of_one(between: Proxy) -> None:
    session = fresh_session_id()
    between.lost_share = 0.1
    with racing("url", [f"127.0.0.1:{between.port}"], session, wins=100) as race:
        pass
    between.lost_share = 0.0
    with through(between, budget_seconds=PATIENT_SECONDS) as store:
        stored = store.load(session)
    assert stored is not None
    assert len(set(race.won)) == len(race.won) == 300
    assert len(race.won) <= stored.version == stored.turn <= len(race.won) + len(race.unknown)


def test_what_was_sent_twice_is_stored_once(between: Proxy) -> None:
    with through(between, budget_seconds=PATIENT_SECONDS) as store:
        session = full_session(fresh_session_id())
        assert store.commit(session)
        sent = 0
        while store.counts().get("commit_sent_twice", 0) < 3:
            between.lost_share = 0.5
            session = session.committed()
            try:
                assert store.commit(session) is True
            except StoreUnavailable:
                between.lost_share = 0.0
                stored = store.load(session.id)
                assert stored is not None
                session = stored
            sent += 1
            assert sent < 1_000


def test_bytes_that_are_changed_on_their_way(between: Proxy) -> None:
    with playing(lambda: through(between)) as played:
        some(played, "healthy")
        between.corrupted_share = 0.05
        some(played, "decided", 400)
        between.corrupted_share = 0.0
        some(played, "healthy", 50)
    played.check()


@pytest.mark.parametrize("is_async", [False, True])
def test_an_answer_that_trickles_costs_the_budget_and_not_more(between: Proxy, is_async: bool) -> None:
    with through(between, budget_seconds=0.5) as store:
        session = full_session(fresh_session_id())
        assert store.commit(session)
        between.is_trickling = True
        # Each byte comes well within the budget; all of them take seconds.
        with pytest.raises(StoreUnavailable, match="in time"):
            asyncio.run(store.aload(session.id)) if is_async else store.load(session.id)
        assert store.counts()["timed_out"] == 1
