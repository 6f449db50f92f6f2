"""Our caches obey the laws of a response cache, and caches that do not are told."""

from __future__ import annotations

import inspect
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from session_router.cache.memory_rows import MemoryEntryRows
from session_router.cache.semantic import SemanticCache
from session_router.cache.sqlite_rows import SQLiteEntryRows
from session_router.core.cached import CacheHit
from session_router.testing import ResponseCacheSuite
from session_router.testing.cached import a_question, an_answer
from support.counting_embedder import CountingEmbedder
from support.unsound_caches import KEY, AlwaysHits, NeverHits, forgetful

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from session_router.cache.rows import EntryRows
    from session_router.core.cached import CacheMiss, CacheQuestion


class OfOurs(ResponseCacheSuite):
    def with_another_embedder(self, cache: SemanticCache) -> SemanticCache:
        return SemanticCache(cache._rows, key=KEY, embedder=CountingEmbedder(model="another"))

    def tampered(self, cache: SemanticCache) -> int:
        return cache.counts().get("evicted.tampered", 0)


class TestInMemory(OfOurs):
    @pytest.fixture
    def cache(self) -> Iterator[SemanticCache]:
        with SemanticCache(key=KEY) as cache:
            yield cache

    def tamper(self, cache: SemanticCache) -> None:
        rows = cache._rows
        assert isinstance(rows, MemoryEntryRows)
        for number, row in rows._rows.items():
            rows._rows[number] = replace(row, payload=row.payload.replace(b"What is", b"What as"))


class TestInMemoryWithAnEmbedder(TestInMemory):
    @pytest.fixture
    def cache(self) -> Iterator[SemanticCache]:
        with SemanticCache(key=KEY, embedder=CountingEmbedder()) as cache:
            yield cache


class TestInSQLite(OfOurs):
    @pytest.fixture
    def cache(self, tmp_path: Path) -> Iterator[SemanticCache]:
        with SemanticCache(SQLiteEntryRows(tmp_path / "cache.db", busy_timeout_seconds=5), key=KEY, embedder=CountingEmbedder()) as cache:
            yield cache

    def tamper(self, cache: SemanticCache) -> None:
        rows = cache._rows
        assert isinstance(rows, SQLiteEntryRows)
        with closing(sqlite3.connect(rows.path, isolation_level=None)) as connection:
            assert connection.execute("UPDATE entries SET payload = replace(payload, 'What is', 'What as')").rowcount > 0


# The suite tells what is unsound.


class Suite(OfOurs):
    def tamper(self, cache: Any) -> None:
        TestInMemory().tamper(cache)


def laws() -> list[str]:
    return [name for name, _ in inspect.getmembers(ResponseCacheSuite, inspect.isfunction) if name.startswith("test_")]


def broken(cache_of: Callable[[], Any]) -> set[str]:
    """Return the laws that a cache breaks."""
    found = set()
    for law in laws():
        try:
            getattr(Suite(), law)(cache_of())
        except AssertionError:
            found.add(law)
        except AttributeError:
            pass  # it has no insides to reach into
    return found


def test_a_sound_cache_breaks_no_law() -> None:
    assert broken(lambda: SemanticCache(key=KEY)) == set()


def test_a_cache_that_always_hits_is_refused() -> None:
    found = broken(AlwaysHits)
    assert {name for name in laws() if "crosses" in name} <= found
    assert {"test_nothing_crosses", "test_nothing_crosses_back", "test_reader_must_be_cleared", "test_entries_expire"} <= found
    assert len(found) >= 12, found


def test_a_cache_that_never_hits_is_refused() -> None:
    assert {"test_a_question_that_was_answered_is_a_hit", "test_threads_that_ask_the_same_ask_one_model"} <= broken(NeverHits)


@pytest.mark.parametrize(
    "field", ["tenant", "scope", "tag_class", "model_class", "system", "tools", "settings", "before", "locale", "session", "embedder"]
)
def test_a_partition_that_leaves_one_field_out_is_refused(field: str) -> None:
    class Forgets(Suite):
        def with_another_embedder(self, cache: SemanticCache) -> SemanticCache:
            return forgetful(super().with_another_embedder(cache), field)

    suite, isolation = Forgets(), [name for name in laws() if name.startswith(("test_nothing_crosses", "test_untrusted", "test_another"))]
    told = []
    for law in isolation:
        try:
            getattr(suite, law)(forgetful(SemanticCache(key=KEY, embedder=CountingEmbedder()), field))
        except AssertionError:
            told.append(law)
    assert told


class ServesTheOld(SemanticCache):
    def look_up(self, question: CacheQuestion) -> CacheHit | CacheMiss:
        return super().look_up(replace(question, now=a_question().now))


class ServesAnybody(SemanticCache):
    def look_up(self, question: CacheQuestion) -> CacheHit | CacheMiss:
        return super().look_up(replace(question, reader=a_question().reader))


class ForgetsTombstones(SemanticCache):
    def erase(self, subject: str, *, now: float) -> int:
        removed = super().erase(subject, now=now)
        rows = self._rows
        assert isinstance(rows, MemoryEntryRows)
        rows._tombstones.clear()
        return removed


class KeepsTheVetoed(SemanticCache):
    def veto(self, hit: CacheHit) -> None:
        del hit


class LetsEverybodyAsk(SemanticCache):
    def look_up(self, question: CacheQuestion) -> CacheHit | CacheMiss:
        found = super().look_up(question)
        self.abandon(question)
        return found


class BelievesRows(SemanticCache):
    def __init__(self, rows: EntryRows | None = None, *, key: bytes) -> None:
        super().__init__(rows, key=key)
        self._codec.is_sealed = lambda _: True  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("cache", "law"),
    [
        (ServesTheOld, "test_entries_expire"),
        (ServesAnybody, "test_reader_must_be_cleared"),
        (ForgetsTombstones, "test_erasure_stops_writers_in_flight"),
        (KeepsTheVetoed, "test_vetoed_entry_is_served_no_more"),
        (LetsEverybodyAsk, "test_threads_that_ask_the_same_ask_one_model"),
        (BelievesRows, "test_altered_entries_are_evicted_and_counted"),
    ],
)
def test_each_law_refuses_who_breaks_it(cache: type[SemanticCache], law: str) -> None:
    getattr(Suite(), law)(SemanticCache(key=KEY))
    with pytest.raises(AssertionError):
        getattr(Suite(), law)(cache(key=KEY))


def test_an_answer_is_found_by_who_has_the_key_only() -> None:
    rows = MemoryEntryRows()
    assert SemanticCache(rows, key=KEY).store(a_question(), an_answer()) is None
    assert isinstance(SemanticCache(rows, key=KEY).look_up(a_question()), CacheHit)
    assert not isinstance(SemanticCache(rows, key=b"x" * 32).look_up(a_question()), CacheHit)
