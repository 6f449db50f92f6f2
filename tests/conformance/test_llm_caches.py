"""LangChain's suites for caches on ours, ours beside them, and what theirs let pass."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.caches import BaseCache, InMemoryCache
from langchain_tests.integration_tests import AsyncCacheTestSuite, SyncCacheTestSuite

from session_router.cache.semantic import SemanticCache
from session_router.cache.settings import CacheSettings
from session_router.cache.sqlite_rows import SQLiteEntryRows
from session_router_langchain import SessionRouterCache
from support.llm_cache_suite import LLMCacheSuite
from support.unsound_caches import KEY, AlwaysHits, forgetful

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from langchain_core.outputs import Generation


IMPATIENT = CacheSettings(wait_seconds=0.0)
"""Whoever asks here, and is told nothing, tells nothing: nobody need wait for it."""


def ours(cache: Any = None) -> SessionRouterCache:
    return SessionRouterCache(SemanticCache(key=KEY, settings=IMPATIENT) if cache is None else cache, principal="ada")


class TestLangChainSuite(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self) -> BaseCache:
        return ours()


class TestLangChainAsyncSuite(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self) -> BaseCache:
        return ours()


class TestLangChainSuiteOnDisk(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, tmp_path: Path) -> Iterator[BaseCache]:
        with SemanticCache(SQLiteEntryRows(tmp_path / "cache.db", busy_timeout_seconds=5), key=KEY, settings=IMPATIENT) as cache:
            yield ours(cache)


class TestLangChainAsyncSuiteOnDisk(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, tmp_path: Path) -> Any:
        with SemanticCache(SQLiteEntryRows(tmp_path / "cache.db", busy_timeout_seconds=5), key=KEY, settings=IMPATIENT) as cache:
            yield ours(cache)


class OverOneCache(LLMCacheSuite):
    def other(self, cache: Any, **names: str) -> BaseCache:
        return SessionRouterCache(cache._cache, **names)


class TestIsolation(OverOneCache):
    @pytest.fixture
    def cache(self) -> BaseCache:
        return ours()


class TestIsolationOnDisk(OverOneCache):
    @pytest.fixture
    def cache(self, tmp_path: Path) -> Iterator[BaseCache]:
        with SemanticCache(SQLiteEntryRows(tmp_path / "cache.db", busy_timeout_seconds=5), key=KEY, settings=IMPATIENT) as cache:
            yield ours(cache)


# What each suite tells of a cache that is unsound.


class AnswersEverything(BaseCache):
    """Answers whatever is asked with what it heard last."""

    def __init__(self) -> None:
        self._said: list[Generation] | None = None

    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        del prompt, llm_string
        return self._said

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        del prompt, llm_string
        self._said = list(return_val)

    def clear(self, **kwargs: Any) -> None:
        del kwargs
        self._said = None


class SameForAll(OverOneCache):
    """For caches that know no principals."""

    def other(self, cache: Any, **names: str) -> BaseCache:
        return super().other(cache, **names) if hasattr(cache, "_cache") and isinstance(cache, SessionRouterCache) else cache


def laws(suite: type) -> list[str]:
    return [name for name, _ in inspect.getmembers(suite, inspect.isfunction) if name.startswith("test_")]


def broken(suite: type, cache_of: Callable[[], Any]) -> set[str]:
    """Return the laws that a cache breaks."""
    found = set()
    for law in laws(suite):
        try:
            getattr(suite(), law)(cache_of())
        except (AssertionError, TypeError, AttributeError, NotImplementedError):
            found.add(law)
    return found


class Theirs(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self) -> BaseCache:
        raise NotImplementedError


def test_the_suite_of_langchain_lets_a_cache_pass_that_answers_everything() -> None:
    assert "test_no_overrides_DO_NOT_OVERRIDE" in laws(Theirs)
    assert broken(Theirs, AnswersEverything) <= {"test_no_overrides_DO_NOT_OVERRIDE"}


def test_ours_does_not() -> None:
    found = broken(SameForAll, AnswersEverything)
    assert {
        "test_nothing_crosses",
        "test_nothing_crosses_back",
        "test_principals_and_tenants_have_their_own",
        "test_what_is_never_kept",
        "test_a_hit_is_a_new_message",
    } <= found
    assert broken(SameForAll, ours) == set()


def test_nor_a_cache_of_ours_over_entries_that_answer_everything() -> None:
    found = broken(SameForAll, lambda: ours(AlwaysHits()))
    assert {"test_nothing_crosses", "test_principals_and_tenants_have_their_own"} <= found


def test_nor_the_cache_of_langchain() -> None:
    """It keeps models and prompts apart, and neither principals nor messages."""
    found = broken(SameForAll, InMemoryCache)
    assert {
        "test_principals_and_tenants_have_their_own",
        "test_what_is_never_kept",
        "test_a_hit_is_a_new_message",
        "test_a_hit_that_is_altered_alters_no_other",
    } <= found
    assert "test_nothing_crosses" not in found


@pytest.mark.parametrize("field", ["scope", "settings", "before", "tenant"])
def test_nor_a_partition_that_leaves_one_field_out(field: str) -> None:
    assert broken(SameForAll, lambda: ours(forgetful(SemanticCache(key=KEY, settings=IMPATIENT), field)))
