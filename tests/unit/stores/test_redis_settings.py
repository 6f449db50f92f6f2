"""Servers are named in one way each, and what is wrong is said without a password."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from session_router.core.session import SessionId
from session_router.errors import ConfigurationError, MissingExtra, StoreUnavailable
from session_router.stores.redis import RedisSessionStore
from session_router.stores.redis_servers import Address, Credentials, RedisServers

KEY = b"k" * 32


def test_a_url_names_all_there_is_to_one_server() -> None:
    servers = RedisServers.from_url("rediss://us%40er:pa%3Ass@[::1]:7000/3")
    assert servers == RedisServers(
        nodes=(Address("::1", 7000),), credentials=Credentials(username="us@er", password="pa:ss"), database=3, tls=True
    )
    assert RedisServers.from_url("redis://host") == RedisServers(nodes=(Address("host", 6379),))
    assert RedisServers.from_url("redis://:secret@host/").credentials == Credentials(password="secret")
    assert "pa:ss" not in repr(servers)
    assert str(servers.nodes[0]) == "[::1]:7000"


@pytest.mark.parametrize(
    "url", ["", "host:6379", "http://host", "redis://", "redis://host:port", "redis://host:99999", "redis://host/x", "redis://host/0?db=1"]
)
def test_what_is_no_url_of_a_server_is_said_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RedisServers.from_url(url.replace("host", "user:secret@host"))
    assert caught.value.key == "url"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("nodes", [[], ["host:0"], ["host:x"], ["host:70000"], ["user:pass@host:1"], ["a b"], "host:1"])
def test_what_is_no_address_is_said(nodes: Any) -> None:
    with pytest.raises(ConfigurationError, match="host:port"):
        RedisServers.cluster(nodes)


def test_sentinels_need_the_name_of_a_master() -> None:
    with pytest.raises(ConfigurationError, match="what the Sentinels call"):
        RedisServers.sentinel(["host"], master="")
    assert RedisServers.sentinel(["host", "[::1]:5"], master="m").nodes == (Address("host", 26379), Address("::1", 5))


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"servers": 7}, "servers"),
        ({"key": "text"}, "key"),
        ({"key": b"short"}, "key"),
        ({"seconds_to_live": 0}, "seconds_to_live"),
        ({"budget_seconds": 0}, "budget_seconds"),
    ],
)
def test_wrong_settings_are_named(arguments: dict[str, Any], key: str) -> None:
    servers = arguments.pop("servers", "redis://127.0.0.1:1")
    with pytest.raises(ConfigurationError) as caught:
        RedisSessionStore(servers, **{"key": KEY, **arguments})
    assert caught.value.key == key


def test_without_redis_py_the_extra_is_named() -> None:
    program = (
        "import sys; sys.modules['redis'] = None\n"
        "from session_router.stores.redis import RedisSessionStore\n"
        "try:\n    RedisSessionStore('redis://h', key=b'k' * 32)\n"
        "except Exception as error:\n    print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(MissingExtra.__name__)
    assert "session-router[redis]" in done.stdout


def test_a_closed_store_says_so() -> None:
    store = RedisSessionStore("redis://127.0.0.1:1", key=KEY)
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.load(SessionId("5e" * 32))
