"""Settings -> the session store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from session_router.config.environment import dotted
from session_router.config.files import beside
from session_router.config.problems import shown
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.config.environment import Layers, Path
    from session_router.config.schema import Settings, StoreSection
    from session_router.ports import SessionStore
    from session_router.stores.redis_servers import RedisServers

_PLACES = ("url", "sentinel", "cluster")
_OF_KIND = {
    "memory": {"maximum_sessions"},
    "sqlite": {"path"},
    "redis": {*_PLACES, "username", "password", "database", "tls", "seconds_to_live", "budget_seconds", "prefix"},
}
_NO_KEY = "replicas that share sessions share their key: set SESSION_ROUTER_KEY, such as to the output of `openssl rand -hex 32`."


def build_store(settings: Settings, key: bytes | None, layers: Layers) -> tuple[SessionStore, bytes | None]:
    """Open the store.

    Returns:
        The store, and the key of session identities: a database keeps its own when none is given.

    Raises:
        ConfigurationError: A setting is missing where it is needed, or present where it means nothing.
        MissingExtra: It is Redis, and redis-py is not installed.
    """
    section = settings.store
    kind = section.kind or _kind(section)
    _check_kind(section, kind, layers)
    if kind == "redis":
        return _redis(section, key, layers), key
    if kind == "memory":
        from session_router.stores.memory import MemorySessionStore

        most = section.maximum_sessions
        return (MemorySessionStore() if most is None else MemorySessionStore(maximum_sessions=most)), key
    if section.path is None:
        raise _problem(layers, ("store", "path"), None, "name the file of the database.")
    from session_router.stores.sqlite import SQLiteSessionStore

    store = SQLiteSessionStore(beside(layers.source, section.path), key=key)
    return store, store.key


def redis_servers(section: StoreSection, layers: Layers) -> RedisServers:
    """Say which Redis servers the configuration means.

    Raises:
        ConfigurationError: None, or it says so in two ways, or one that cannot be read.
    """
    places = [name for name in _PLACES if getattr(section, name) is not None]
    if not places:
        rule = "say where Redis is: give `store.url`, or a table [store.sentinel] or [store.cluster]."
        raise _problem(layers, ("store", "url"), None, rule)
    if len(places) > 1:
        rule = f"`store.{places[0]}` says already where Redis is; remove one of them."
        raise _problem(layers, ("store", places[1]), _plain(section)[places[1]], rule)
    (place,) = places
    for name in {"url": ("username", "password", "database", "tls"), "cluster": ("database",)}.get(place, ()):
        if getattr(section, name) is not None:
            rule = "it is a part of the URL." if place == "url" else "a cluster has only one database; remove it."
            raise _problem(layers, ("store", name), _plain(section)[name], rule)
    try:
        return _servers(section)
    except ConfigurationError as error:
        path = ("store", "url") if place == "url" else ("store", place, error.key)
        raise _problem(layers, path, error.value, error.rule) from None


def _servers(section: StoreSection) -> RedisServers:
    from session_router.stores.redis_servers import Credentials, RedisServers

    def credentials(part: Any) -> Credentials:  # noqa: ANN401 -- any section with both
        return Credentials(username=part.username, password=None if part.password is None else part.password.get_secret_value())

    if section.url is not None:
        return RedisServers.from_url(section.url.get_secret_value())
    tls = bool(section.tls)
    if section.cluster is not None:
        return RedisServers.cluster(sorted(section.cluster.nodes), credentials=credentials(section), tls=tls)
    sentinel = section.sentinel
    assert sentinel is not None  # noqa: S101 -- one of the three is there
    return RedisServers.sentinel(
        sorted(sentinel.nodes),
        master=sentinel.master,
        credentials=credentials(section),
        sentinel_credentials=credentials(sentinel),
        database=section.database or 0,
        tls=tls,
    )


def _redis(section: StoreSection, key: bytes | None, layers: Layers) -> SessionStore:
    from session_router.stores.redis import RedisSessionStore

    servers = redis_servers(section, layers)
    if key is None:
        raise _problem(layers, ("key",), None, _NO_KEY)
    chosen = {name: getattr(section, name) for name in ("seconds_to_live", "budget_seconds", "prefix")}
    return RedisSessionStore(servers, key=key, **{name: value for name, value in chosen.items() if value is not None})


def _kind(section: StoreSection) -> str:
    if any(getattr(section, name) is not None for name in _PLACES):
        return "redis"
    return "memory" if section.path is None else "sqlite"


def _check_kind(section: StoreSection, kind: str, layers: Layers) -> None:
    for name, value in _plain(section).items():
        if value is None or name == "kind" or name in _OF_KIND[kind]:
            continue
        whose = next(other for other, names in _OF_KIND.items() if name in names)
        rule = f"it is for `kind` '{whose}' only, not for '{kind}'; remove it, or change `kind`."
        raise _problem(layers, ("store", name), value, rule)


def _plain(section: StoreSection) -> Mapping[str, Any]:
    return section.model_dump()


def _problem(layers: Layers, path: Path, value: object, rule: str) -> ConfigurationError:
    said = None if value is None else shown(path, value, layers)
    return ConfigurationError(key=dotted(path), value=said, rule=rule, source=layers.source_of(path))
