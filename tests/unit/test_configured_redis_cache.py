"""`[cache]` in Redis, from a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from session_router.cache.memory_rows import MemoryEntryRows
from session_router.cache.redis_rows import RedisEntryRows
from session_router.cache.sqlite_rows import SQLiteEntryRows
from session_router.config import load_cache, load_router
from session_router.errors import ConfigurationError
from session_router.stores.redis import RedisSessionStore
from session_router.stores.redis_link import RedisLink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODELS = '[models.fast]\nmodel = "openai:small"\nprices = {input = 0.25, output = 2}\n'
KEY = {"SESSION_ROUTER_KEY": "5e" * 32}
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def written(write: Callable[[str], Path]) -> Callable[[str], Path]:
    return lambda tables: write(MODELS + tables)


def rows_of(path: Path) -> Any:
    cache = load_cache(path, environment=KEY)
    assert cache is not None
    return cache.rows


def link_of(rows: Any) -> RedisLink:
    assert isinstance(rows, RedisEntryRows)
    assert isinstance(rows.link, RedisLink)
    return rows.link


def test_kinds(written: Callable[[str], Path]) -> None:
    assert isinstance(rows_of(written("[cache]\n")), MemoryEntryRows)
    assert isinstance(rows_of(written('[cache]\npath = "a.db"\n')), SQLiteEntryRows)
    assert isinstance(rows_of(written(f'[cache]\nurl = "{NOWHERE}"\n')), RedisEntryRows)
    rows = rows_of(written(f'[cache]\nurl = "{NOWHERE}"\nprefix = "mine"\nbudget_seconds = 0.02\n'))
    assert (rows.prefix, link_of(rows).budget_seconds) == ("mine", 0.02)
    servers = link_of(rows_of(written('[cache.cluster]\nnodes = ["127.0.0.1:1"]\n'))).servers
    assert servers.is_cluster
    sentinel = '[cache]\npassword = "hush"\n[cache.sentinel]\nmaster = "main"\nnodes = ["127.0.0.1:1"]\n'
    assert link_of(rows_of(written(sentinel))).servers.master == "main"


def test_where_sessions_are(written: Callable[[str], Path]) -> None:
    path = written(f'[store]\nurl = "{NOWHERE}"\n[cache]\nkind = "redis"\n')
    assert str(link_of(rows_of(path)).servers.nodes[0]) == "127.0.0.1:1"
    router: Any = load_router(path, environment=KEY)
    store, rows = router.store, router.cache.rows
    assert isinstance(store, RedisSessionStore)
    assert rows.link is store.link, "both know of a dead server at once"
    apart = written(f'[store]\nurl = "{NOWHERE}"\n[cache]\nkind = "redis"\nbudget_seconds = 0.2\n')
    router = load_router(apart, environment=KEY)
    assert router.cache.rows.link is not router.store.link


@pytest.mark.parametrize(
    ("tables", "key", "rule"),
    [
        ('[cache]\nkind = "redis"\n', "cache.url", "say where Redis is"),
        (f'[cache]\npath = "a.db"\nurl = "{NOWHERE}"\n', "cache.path", "'sqlite' only"),
        (f'[cache]\nkind = "memory"\nurl = "{NOWHERE}"\n', "cache.url", "'redis' only"),
        ('[cache]\nkind = "sqlite"\n', "cache.path", "name the file"),
        ('[cache]\nurl = "http://x"\n', "cache.url", "rediss"),
        (f'[cache]\nurl = "{NOWHERE}"\ntls = true\n', "cache.tls", "part of the URL"),
        (f'[cache]\nurl = "{NOWHERE}"\n[cache.cluster]\nnodes = ["a:1"]\n', "cache.cluster", "remove one"),
        (f'[cache]\nurl = "{NOWHERE}"\nprefix = "a{{b}}"\n', "cache.prefix", "braces"),
    ],
)
def test_what_is_wrong_is_named(written: Callable[[str], Path], tables: str, key: str, rule: str) -> None:
    with pytest.raises(ConfigurationError, match=rule) as caught:
        load_cache(written(tables), environment=KEY)
    assert caught.value.key == key


def test_replicas_share_a_key(written: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigurationError, match="SESSION_ROUTER_KEY"):
        load_cache(written(f'[cache]\nurl = "{NOWHERE}"\n'), environment={})


def test_it_says_at_start_who_searches(written: Callable[[str], Path], caplog: pytest.LogCaptureFixture) -> None:
    load_cache(written(f'[cache]\nurl = "{NOWHERE}"\n'), environment=KEY)
    assert "no answers are stored or found for now" in caplog.text
