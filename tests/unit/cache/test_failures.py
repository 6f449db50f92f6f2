"""Whatever fails is a miss, and no answer is lost or altered that was said to be stored."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from session_router.cache.flights import Flights
from session_router.cache.memory_rows import MemoryEntryRows
from session_router.cache.semantic import SemanticCache
from session_router.cache.settings import CacheSettings
from session_router.cache.sqlite_rows import SQLiteEntryRows
from session_router.core.cached import CacheHit, CacheMiss, MissReason
from session_router.core.governance import Tag
from session_router.errors import StoreError
from session_router.testing.cached import NOW, a_question, an_answer, content_of, is_miss
from support.word_embedder import WordEmbedder

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = b"k" * 32
STORING = Path(__file__).with_name("storing_process.py")
ABOUT_S1 = Tag(subjects=frozenset({"s1"}))
OTHER = a_question("What is the capital of Peru?")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.db"


@pytest.fixture
def cache(path: Path) -> Iterator[SemanticCache]:
    with a_cache(path) as cache:
        yield cache


def a_cache(path: Path, *, busy_timeout_seconds: float = 0.05) -> SemanticCache:
    return SemanticCache(SQLiteEntryRows(path, busy_timeout_seconds=busy_timeout_seconds), key=KEY, embedder=WordEmbedder(256))


def failures(cache: SemanticCache) -> int:
    return sum(count for name, count in cache.counts().items() if name.startswith("failed"))


class TestStorage:
    def test_a_locked_database_keeps_nothing_and_harms_nobody(self, cache: SemanticCache, path: Path) -> None:
        assert cache.store(a_question(), an_answer()) is None
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            assert cache.store(OTHER, an_answer("Lima.")) == "it could not be kept (StoreUnavailable)"
            assert asyncio.run(cache.astore(OTHER, an_answer("Lima."))) == "it could not be kept (StoreUnavailable)"
            # In write-ahead mode readers go on.
            assert isinstance(cache.look_up(a_question()), CacheHit)
            with pytest.raises(StoreError):
                cache.erase("s1", now=NOW)
        assert failures(cache) == 2
        assert cache.store(OTHER, an_answer("Lima.")) is None
        assert content_of(cache, OTHER) == "Lima."

    def test_a_database_that_is_locked_for_readers_too_is_a_miss(self, path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("CREATE TABLE one (a)")
            other.execute("BEGIN EXCLUSIVE")
            with a_cache(path) as cache:
                for found in (cache.look_up(OTHER), asyncio.run(cache.alook_up(replace(OTHER, tenant="other")))):
                    assert isinstance(found, CacheMiss)
                    assert found.reason is MissReason.FAILED

    def test_a_full_disk_keeps_nothing_and_serves_what_is_there(self, cache: SemanticCache) -> None:
        rows = cache._rows
        assert isinstance(rows, SQLiteEntryRows)
        assert cache.store(a_question(), an_answer()) is None
        with rows._connection(writing=True) as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages}")
        assert cache.store(OTHER, an_answer("long " * 5_000)) == "it could not be kept (StoreUnavailable)"
        assert isinstance(cache.look_up(a_question()), CacheHit)
        assert is_miss(cache, OTHER)
        with rows._connection(writing=True) as connection:
            connection.execute("PRAGMA max_page_count = 1000000")
        assert cache.store(OTHER, an_answer("long " * 5_000)) is None
        assert isinstance(cache.look_up(OTHER), CacheHit)

    @pytest.mark.parametrize("harm", ["not a database", "cut off"])
    def test_a_file_that_is_none_is_a_miss(self, path: Path, harm: str) -> None:
        if harm == "not a database":
            path.write_bytes(b"not a database " * 1_000)
        else:
            with a_cache(path) as cache:
                for number in range(50):
                    cache.store(a_question(f"What is number {number}?"), an_answer())
            path.write_bytes(path.read_bytes()[:5_000])
        with a_cache(path) as cache:
            assert is_miss(cache, OTHER)
            assert cache.store(OTHER, an_answer("Lima.")) is not None
            assert failures(cache) >= 2

    def test_rows_that_were_altered_are_evicted_and_counted_once(self, path: Path) -> None:
        harms = {
            "another answer": "UPDATE entries SET payload = replace(payload, 'on its way', 'on my desk')",
            "no payload": "UPDATE entries SET payload = ''",
            "no JSON": "UPDATE entries SET payload = '{'",
            "another vector": "UPDATE entries SET vector = zeroblob(1024)",
            "a vector that is a text": "UPDATE entries SET vector = 'x'",
            "no seal": "UPDATE entries SET seal = x''",
            "another id": "UPDATE entries SET id = 'other'",
            "in another place": "UPDATE entries SET exact = zeroblob(32)",
        }
        for number, (harm, statement) in enumerate(harms.items(), 1):
            file = path.with_name(f"{number}.db")
            with a_cache(file) as cache:
                assert cache.store(a_question(), an_answer()) is None
            with closing(sqlite3.connect(file, isolation_level=None)) as connection:
                assert connection.execute(statement).rowcount == 1
            with a_cache(file) as cache:
                assert is_miss(cache, a_question()), harm
                assert is_miss(cache, a_question()), harm
                assert is_miss(cache, a_question("Where might my order be?")), harm
                assert cache.counts()["evicted.tampered"] == 1, harm
                assert cache._rows.count() == 0, harm

    def test_a_row_that_was_moved_to_another_tenant_is_not_served(self, cache: SemanticCache, path: Path) -> None:
        mine, theirs = a_question(), a_question(tenant="globex")
        assert cache.store(mine, an_answer("For acme only.")) is None
        asked = cache._asked(theirs)
        assert not isinstance(asked, CacheMiss)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            values = (asked.partition, asked.exact, cache._asking.content_key(asked))
            connection.execute("UPDATE entries SET partition = ?, exact = ?, content = ?", values)
        assert is_miss(cache, theirs)
        assert cache.counts()["evicted.tampered"] == 1

    def test_a_new_process_finds_what_was_stored_and_builds_its_index(self, path: Path) -> None:
        with a_cache(path) as cache:
            for word in ("where", "when", "why"):
                cache.store(a_question(f"Tell us {word} it was built"), an_answer(word))
        with a_cache(path) as cache:
            assert content_of(cache, a_question("Tell us why it was built")) == "why"
            cache.look_up(a_question("Tell them why it was built"))
            indexes = cache._parts.indexes
            assert indexes is not None
            assert len(indexes) == 3


def started(path: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(STORING), str(path), KEY.hex()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def told(process: subprocess.Popen[str], least: int) -> int:
    """Wait until the process has stored so many answers."""
    assert process.stdout is not None
    while (number := int(process.stdout.readline())) < least:
        pass
    return number


@pytest.mark.parametrize("least", [3, 40])
def test_a_writer_that_is_killed_loses_nothing_that_it_said_was_stored(path: Path, least: int) -> None:
    with started(path) as process:
        last = told(process, least)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    with a_cache(path, busy_timeout_seconds=5) as cache:
        for number in range(last + 1):
            question = a_question(f"What is number {number}?", tenant=f"tenant{number % 3}", tag=ABOUT_S1)
            assert content_of(cache, question) == f"{number} of tenant{number % 3}"
        assert cache.store(OTHER, an_answer("Lima.")) is None
        assert cache.counts().get("evicted.tampered", 0) == failures(cache) == 0
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_erasure_stops_the_writers_of_another_process(path: Path) -> None:
    with started(path) as process, a_cache(path, busy_timeout_seconds=5) as cache:
        last = told(process, 20)
        # All that it asks, it asks at one time, before the erasure.
        assert cache.erase("s1", now=NOW + 60) > 0
        process.send_signal(signal.SIGKILL)
        process.wait()
        for number in range(last + 50):
            assert is_miss(cache, a_question(f"What is number {number}?", tenant=f"tenant{number % 3}", tag=ABOUT_S1))
        assert cache._rows.count() == 0
    for file in path.parent.iterdir():
        assert b"of tenant" not in file.read_bytes(), f"{file.name} still holds what was erased"


def test_an_erasure_stops_writers_in_other_threads(path: Path) -> None:
    with a_cache(path, busy_timeout_seconds=5) as cache:
        begun, over = threading.Barrier(5), threading.Event()

        def write(seed: int) -> int:
            begun.wait()
            stored = 0
            for number in range(10_000):
                stored += cache.store(a_question(f"What is {seed} and {number}?", tag=ABOUT_S1), an_answer()) is None
                if over.is_set() and number > 20:
                    break
            return stored

        with ThreadPoolExecutor(4) as threads:
            writers = [threads.submit(write, seed) for seed in range(4)]
            begun.wait()
            while cache._rows.count() < 20:
                cache.look_up(a_question("What is 0 and 0 in words?", tag=ABOUT_S1))
                cache.abandon(a_question("What is 0 and 0 in words?", tag=ABOUT_S1))
            removed = cache.erase("s1", now=NOW + 60)
            over.set()
            stored = sum(writer.result() for writer in writers)
        assert removed == stored >= 20, "what was stored was removed, and nothing came after it"
        assert cache._rows.count() == 0
        indexes = cache._parts.indexes
        assert indexes is not None
        assert len(indexes) == 0


class TestWhoLeadsDies:
    def test_those_who_wait_go_on(self) -> None:
        cache = SemanticCache(key=KEY, settings=CacheSettings(wait_seconds=0.2))
        assert isinstance(cache.look_up(OTHER), CacheMiss)  # and is never heard of again
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(cache.look_up, [OTHER] * 8))
        assert [one.waited for one in found if isinstance(one, CacheMiss)] == [True] * 8
        assert cache.store(OTHER, an_answer("Lima.")) is None
        assert content_of(cache, OTHER) == "Lima."

    def test_a_task_that_is_cancelled_while_it_stores_lets_the_others_go_on(self) -> None:
        class Stuck(MemoryEntryRows):
            waits = True
            inside, go_on = threading.Event(), threading.Event()

            def put(self, *row: object, **more: object) -> bool:
                del row, more
                self.inside.set()
                return not self.go_on.wait(60)

        rows = Stuck()
        cache = SemanticCache(rows, key=KEY, settings=CacheSettings(wait_seconds=600.0))
        flights, joined = cache._parts.flights, list[object]()
        join = flights.joined

        def noted(key: bytes) -> object:
            flight = join(key)
            if flight is not None:
                joined.append(flight)
            return flight

        async def main() -> None:
            assert isinstance(await cache.alook_up(OTHER), CacheMiss)
            flights.joined = noted  # type: ignore[assignment, method-assign]
            storing = asyncio.create_task(cache.astore(OTHER, an_answer("Lima.")))
            waiting = [asyncio.create_task(cache.alook_up(OTHER)) for _ in range(3)]
            await asyncio.to_thread(rows.inside.wait, 60)
            while len(joined) < len(waiting):  # noqa: ASYNC110 -- what joins has no event
                # One that came later would lead, and the others would wait for it.
                await asyncio.sleep(0.001)
            storing.cancel()
            found = await asyncio.gather(*waiting)
            rows.go_on.set()
            assert all(isinstance(one, CacheMiss) for one in found)

        asyncio.run(asyncio.wait_for(main(), 60))

    def test_a_flight_that_took_too_long_is_led_by_the_next(self) -> None:
        now = [0.0]
        flights = Flights(patience_seconds=10.0, monotonic=lambda: now[0])
        assert flights.joined(b"1") is None
        first = flights.joined(b"1")
        assert first is not None
        now[0] = 10.0
        assert flights.joined(b"1") is None, "the second leads"
        second = flights.joined(b"1")
        assert second is not None
        assert second is not first
        flights.land(b"1")
        assert second.landed.done()
        flights.land(b"1")

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
    def test_a_fork_waits_for_nobody(self) -> None:
        with SemanticCache(key=KEY, settings=CacheSettings(wait_seconds=600.0)) as cache:
            assert isinstance(cache.look_up(OTHER), CacheMiss)
            child = os.fork()
            if child == 0:
                # Its parent leads, and will never land here.
                os._exit(0 if isinstance(cache.look_up(OTHER), CacheMiss) else 1)
            assert os.waitpid(child, 0)[1] == 0
