"""How the store talks to Redis: round trips, passwords, TLS, event loops that end, forks."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from redis.crc import key_slot

from session_router.errors import StoreUnavailable
from session_router.stores.redis import RedisSessionStore
from session_router.stores.redis_rows import key_of
from session_router.stores.redis_servers import RedisServers
from session_router.testing.sessions import fresh_session_id, full_session
from support.redis_servers import HOST, Server, cluster, encrypted, standalone

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("redis-standalone")
KEY = b"k" * 32
PATIENT_SECONDS = 10.0

FORKING = """
import os, sys, threading
from dataclasses import replace
from session_router.core.session import Session, SessionId
from session_router.stores.redis import RedisSessionStore

session = SessionId(sys.argv[2])
store = RedisSessionStore(sys.argv[1], key=b"k" * 32, budget_seconds=10.0)

def commit(times):
    won = 0
    while won < times:
        stored = store.load(session) or Session(id=session)
        won += store.commit(replace(stored, turn=stored.turn + 1).committed())

commit(1)
threads = [threading.Thread(target=commit, args=(60,)) for _ in range(2)]
for thread in threads:
    thread.start()
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        commit(30)
        os._exit(0)
    children.append(child)
for thread in threads:
    thread.join()
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
commit(1)
print(codes)
"""


def calls(server: Server) -> dict[str, int]:
    answer = server.client.info("commandstats")
    names = {"cmdstat_get", "cmdstat_evalsha", "cmdstat_eval", "cmdstat_hello", "cmdstat_auth", "cmdstat_client|setinfo", "cmdstat_ping"}
    return {name.removeprefix("cmdstat_"): facts["calls"] for name, facts in answer.items() if name in names}


def test_a_load_is_one_command_and_a_commit_is_one(server: Server) -> None:
    with RedisSessionStore(server.url, key=KEY, budget_seconds=PATIENT_SECONDS) as store:
        session = full_session(fresh_session_id())
        assert store.commit(session)
        server.command("CONFIG", "RESETSTAT")
        for _ in range(10):
            assert store.load(session.id) == session
            session = session.committed()
            assert store.commit(session)
        assert calls(server) == {"get": 10, "evalsha": 10}
        server.command("CONFIG", "RESETSTAT")

        async def main() -> None:
            assert await store.aload(session.id) == session
            assert await store.acommit(session.committed())

        asyncio.run(main())
        # A connection needs no greeting.
        assert calls(server) == {"get": 1, "evalsha": 1}


def test_many_tasks_share_some_connections_and_leave_none_behind(server: Server) -> None:
    with RedisSessionStore(server.url, key=KEY, budget_seconds=PATIENT_SECONDS) as store:
        session = full_session(fresh_session_id())
        assert store.commit(session)
        connected: list[int] = []

        async def main() -> None:
            loaded = await asyncio.gather(*(store.aload(session.id) for _ in range(500)))
            assert set(map(type, loaded)) == {type(session)}
            connected.append(server.client.info("clients")["connected_clients"])

        before = server.client.info("clients")["connected_clients"]
        for _ in range(3):
            asyncio.run(main())
        assert max(connected) <= before + 64
        with pytest.raises(TimeoutError):
            asyncio.run(cancelled(store, server))
        assert asyncio.run(store.aload(session.id)) == session


async def cancelled(store: RedisSessionStore, server: Server) -> None:
    """Give up on a load in the middle: what its connection still receives must not be the answer to another."""
    server.freeze()
    try:
        async with asyncio.timeout(0.05):
            await store.aload(fresh_session_id())
    finally:
        server.thaw()
    assert await store.aload(fresh_session_id()) is None


def test_a_store_survives_forks(server: Server) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    session = fresh_session_id()
    # Python warns of any fork beside threads; that this one is sound is the point.
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", FORKING, server.url, session]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "[0, 0, 0]\n"), done.stderr
    with RedisSessionStore(server.url, key=KEY, budget_seconds=PATIENT_SECONDS) as store:
        stored = store.load(session)
    assert stored is not None
    assert stored.version == stored.turn == 2 + 2 * 60 + 3 * 30


def test_a_password_is_given_and_a_wrong_one_is_said(tmp_path: Path) -> None:
    with standalone(tmp_path, user="me on >hush ~* +@all") as server:
        session = full_session(fresh_session_id())
        right, wrong = f"redis://me:hush@{HOST}:{server.port}/2", f"redis://me:loud@{HOST}:{server.port}/2"
        with RedisSessionStore(right, key=KEY, budget_seconds=PATIENT_SECONDS) as store:
            assert store.commit(session)
            assert asyncio.run(store.aload(session.id)) == session
        with RedisSessionStore(wrong, key=KEY, budget_seconds=PATIENT_SECONDS) as store:
            for load in (store.load, lambda session: asyncio.run(store.aload(session))):
                with pytest.raises(StoreUnavailable, match="invalid username-password") as caught:
                    load(session.id)
                assert "loud" not in str(caught.value)
        assert server.client.dbsize() == 0  # it is in database 2


def test_a_node_of_a_cluster_given_alone_says_so(tmp_path: Path) -> None:
    with cluster(tmp_path) as nodes, RedisSessionStore(nodes.masters[0].url, key=KEY, budget_seconds=PATIENT_SECONDS) as store:
        ids, here = [fresh_session_id() for _ in range(100)], nodes.masters[0].address
        elsewhere = [one for one in ids if nodes.owner_of(key_slot(key_of("session_router", one))).address != here][:10]
        for one in elsewhere:
            with pytest.raises(StoreUnavailable, match="give its nodes as a cluster"):
                store.load(one)
        assert len(elsewhere) == 10


def test_connections_are_encrypted_and_certificates_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = full_session(fresh_session_id())
    with encrypted(tmp_path) as (url, certificate):
        servers = RedisServers.from_url(url)
        with (
            RedisSessionStore(servers, key=KEY, budget_seconds=PATIENT_SECONDS) as store,
            pytest.raises(StoreUnavailable, match="certificate"),
        ):
            store.load(session.id)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with RedisSessionStore(servers, key=KEY, budget_seconds=PATIENT_SECONDS) as store:
            assert store.commit(session)
            assert store.load(session.id) == session
            assert asyncio.run(store.aload(session.id)) == session
