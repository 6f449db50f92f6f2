"""Settings -> the session store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.config.files import beside
from session_router.config.problems import stated_at
from session_router.config.redis import OF_REDIS, check_kind_of, places_of, problem, redis_servers

if TYPE_CHECKING:
    from session_router.config.environment import Layers
    from session_router.config.schema import Settings, StoreSection
    from session_router.ports import SessionStore

_OF_KIND = {"memory": {"maximum_sessions"}, "sqlite": {"path"}, "redis": {*OF_REDIS, "seconds_to_live"}}
_NO_KEY = "replicas that share sessions share their key: set SESSION_ROUTER_KEY, such as to the output of `openssl rand -hex 32`."


def build_store(settings: Settings, key: bytes | None, layers: Layers) -> tuple[SessionStore, bytes | None]:
    """Open the store.

    Returns:
        The store, and the key of session identities: a database keeps its own when none is given.

    Raises:
        ConfigurationError: A setting is missing where it is needed, or present where it means nothing.
        MissingExtra: It is Redis, and redis-py is not installed.
    """
    section, kind = settings.store, kind_of_store(settings, layers)
    if kind == "redis":
        return _redis(section, key, layers), key
    if kind == "memory":
        from session_router.stores.memory import MemorySessionStore

        most = section.maximum_sessions
        return (MemorySessionStore() if most is None else MemorySessionStore(maximum_sessions=most)), key
    from session_router.stores.sqlite import SQLiteSessionStore

    assert section.path is not None  # noqa: S101 -- as its kind was found
    with stated_at(("store",), layers):
        store = SQLiteSessionStore(beside(layers.source, section.path), key=key)
    return store, store.key


def kind_of_store(settings: Settings, layers: Layers) -> str:
    """Say which store the configuration means; nothing is opened.

    Raises:
        ConfigurationError: A setting is missing where it is needed, or present where it means nothing.
    """
    section = settings.store
    kind = section.kind or _kind(section)
    check_kind_of(section, kind, layers, table="store", of_kind=_OF_KIND)
    if kind == "sqlite" and section.path is None:
        raise problem(layers, ("store", "path"), None, "name the file of the database.")
    if kind == "redis":
        redis_servers(section, layers, table="store")
    return kind


def _redis(section: StoreSection, key: bytes | None, layers: Layers) -> SessionStore:
    from session_router.stores.redis import RedisSessionStore

    servers = redis_servers(section, layers, table="store")
    if key is None:
        raise problem(layers, ("key",), None, _NO_KEY)
    chosen = {name: getattr(section, name) for name in ("seconds_to_live", "budget_seconds", "prefix")}
    with stated_at(("store",), layers):
        return RedisSessionStore(servers, key=key, **{name: value for name, value in chosen.items() if value is not None})


def _kind(section: StoreSection) -> str:
    if places_of(section):
        return "redis"
    return "memory" if section.path is None else "sqlite"
