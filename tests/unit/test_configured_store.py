"""`[store]` says which store, in one way, and what is wrong is said without a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from session_router.config import load_router
from session_router.errors import ConfigurationError
from session_router.stores.redis import RedisSessionStore
from session_router.stores.redis_servers import Address, Credentials, RedisServers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "0123456789abcdef" * 4
MODELS = '[models.fast]\nmodel = "openai:small"\nprices = {input = 0.25, output = 2}\n'


@pytest.fixture
def write(write: Callable[[str], Path]) -> Callable[[str], Path]:
    return lambda store: write(MODELS + store)


def servers_of(path: Path, **environment: str) -> RedisServers:
    router = load_router(path, environment={"SESSION_ROUTER_KEY": KEY, **environment})
    assert isinstance(router.store, RedisSessionStore)
    assert router.key == router.store.key == bytes.fromhex(KEY)
    return router.store.servers


def test_one_server_has_a_url(write: Callable[[str], Path]) -> None:
    expected = RedisServers(nodes=(Address("10.0.0.1", 7000),), credentials=Credentials(password="hush"), database=2)
    assert servers_of(write('[store]\nurl = "redis://:hush@10.0.0.1:7000/2"\n')) == expected
    assert servers_of(write('[store]\nkind = "redis"\nurl = "${REDIS_URL}"\n'), REDIS_URL="redis://:hush@10.0.0.1:7000/2") == expected
    assert servers_of(write(""), SESSION_ROUTER__STORE__URL="redis://:hush@10.0.0.1:7000/2") == expected


def test_sentinels_have_a_table(write: Callable[[str], Path]) -> None:
    text = '[store]\nusername = "us"\npassword = "hush"\ndatabase = 1\ntls = true\n'
    text += '[store.sentinel]\nmaster = "main"\nnodes = ["b", "a:7"]\npassword = "shh"\n'
    assert servers_of(write(text)) == RedisServers(
        nodes=(Address("a", 7), Address("b", 26379)),
        master="main",
        credentials=Credentials(username="us", password="hush"),
        sentinel_credentials=Credentials(password="shh"),
        database=1,
        tls=True,
    )


def test_a_cluster_has_a_table(write: Callable[[str], Path]) -> None:
    expected = RedisServers(nodes=(Address("a", 6379), Address("b", 7)), is_cluster=True)
    assert servers_of(write('[store.cluster]\nnodes = ["b:7", "a"]\n')) == expected
    assert servers_of(write(""), SESSION_ROUTER__STORE__CLUSTER__NODES="a, b:7") == expected


def test_what_a_session_costs_is_set(write: Callable[[str], Path]) -> None:
    text = '[store]\nurl = "redis://h"\nseconds_to_live = 60\nbudget_seconds = 0.02\nprefix = "mine"\n'
    store = load_router(write(text), environment={"SESSION_ROUTER_KEY": KEY}).store
    assert isinstance(store, RedisSessionStore)
    assert (store._milliseconds, store.prefix, store._threads._budget, store._loops._budget) == (60_000, "mine", 0.02, 0.02)


@pytest.mark.parametrize(
    ("text", "key", "value", "rule"),
    [
        ('[store]\nkind = "redis"\n', "store.url", None, "[store.sentinel] or [store.cluster]"),
        ('[store]\nurl = "redis://h"\n[store.cluster]\nnodes = ["a"]\n', "store.cluster", "(a table)", "remove one of them"),
        ('[store]\nurl = "http://:hush@h"\n', "store.url", "(hidden)", "redis://[[user]:password@]host"),
        ('[store]\nurl = "redis://h"\npassword = "hush"\n', "store.password", "(hidden)", "a part of the URL"),
        ('[store]\nurl = "redis://h"\ndatabase = 1\n', "store.database", 1, "a part of the URL"),
        ('[store]\ndatabase = 1\n[store.cluster]\nnodes = ["a"]\n', "store.database", 1, "only one database"),
        ('[store.cluster]\nnodes = ["a:b:c"]\n', "store.cluster.nodes", "a:b:c", "host:port"),
        ("[store.cluster]\nnodes = []\n", "store.cluster.nodes", "(a list)", "host:port"),
        ('[store.sentinel]\nnodes = ["a"]\n', "store.sentinel.master", None, "what the Sentinels call the master"),
        ('[store.sentinel]\nnodes = ["a:0"]\nmaster = "m"\n', "store.sentinel.nodes", "a:0", "host:port"),
        ('[store]\nurl = "redis://h"\nbudget_seconds = 0\n', "store.budget_seconds", 0, ">= 0.001 (seconds)"),
        ('[store]\nurl = "redis://h"\nseconds_to_live = 0.5\n', "store.seconds_to_live", 0.5, ">= 1 (seconds)"),
        ('[store]\nurl = "redis://h"\nmaximum_sessions = 7\n', "store.maximum_sessions", 7, "'memory' only, not for 'redis'"),
        ('[store]\nkind = "sqlite"\nurl = "redis://:hush@h"\n', "store.url", "(hidden)", "'redis' only, not for 'sqlite'"),
        ('[store]\npath = "x"\ntls = true\n', "store.tls", True, "'redis' only, not for 'sqlite'"),
    ],
)
def test_what_is_wrong_is_named(write: Callable[[str], Path], text: str, key: str, value: Any, rule: str) -> None:
    path = write(text)
    with pytest.raises(ConfigurationError) as caught:
        load_router(path, environment={"SESSION_ROUTER_KEY": KEY})
    assert (caught.value.key, caught.value.value, caught.value.source) == (key, value, str(path))
    assert rule in caught.value.rule
    assert "hush" not in str(caught.value)


def test_replicas_need_a_key_that_they_share(write: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigurationError, match="SESSION_ROUTER_KEY") as caught:
        load_router(write('[store]\nurl = "redis://h"\n'), environment={})
    assert caught.value.key == "key"


@pytest.mark.parametrize(
    "key", ["store.path", "cache.path", "audit.path", "price_file", "policy.rules", "policy.experience", "scorer.path"]
)
@pytest.mark.parametrize(("path", "rule"), [("~nobody-of-this-name/x", "."), ("x\0y", "null|cannot be read"), ("x" * 300, "too long")])
def test_what_can_be_no_path_is_a_wrong_setting(write: Callable[[str], Path], key: str, path: str, rule: str) -> None:
    with pytest.raises(ConfigurationError, match=rule) as caught:
        load_router(write(""), environment={f"SESSION_ROUTER__{key.upper().replace('.', '__')}": path})
    assert caught.value.key == key
