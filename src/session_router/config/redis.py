"""Settings -> which Redis servers are meant, by sessions or by stored answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from session_router.config.environment import dotted
from session_router.config.problems import shown
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from session_router.config.environment import Layers, Path
    from session_router.config.schema import RedisSection
    from session_router.stores.redis_servers import RedisServers

PLACES: Final = ("url", "sentinel", "cluster")
OF_REDIS: Final = frozenset({*PLACES, "username", "password", "database", "tls", "budget_seconds", "prefix"})


def places_of(section: RedisSection) -> list[str]:
    """Return the ways in which a section says where Redis is; one, if it is right."""
    return [name for name in PLACES if getattr(section, name) is not None]


def redis_servers(section: RedisSection, layers: Layers, *, table: str) -> RedisServers:
    """Say which Redis servers the table of a configuration means.

    Raises:
        ConfigurationError: None, or it says so in two ways, or one that cannot be read.
    """
    places = places_of(section)
    if not places:
        rule = f"say where Redis is: give `{table}.url`, or a table [{table}.sentinel] or [{table}.cluster]."
        raise problem(layers, (table, "url"), None, rule)
    if len(places) > 1:
        rule = f"`{table}.{places[0]}` says already where Redis is; remove one of them."
        raise problem(layers, (table, places[1]), section.model_dump()[places[1]], rule)
    (place,) = places
    for name in {"url": ("username", "password", "database", "tls"), "cluster": ("database",)}.get(place, ()):
        if getattr(section, name) is not None:
            rule = "it is a part of the URL." if place == "url" else "a cluster has only one database; remove it."
            raise problem(layers, (table, name), section.model_dump()[name], rule)
    try:
        return _servers(section)
    except ConfigurationError as error:
        path = (table, "url") if place == "url" else (table, place, error.key)
        raise problem(layers, path, error.value, error.rule) from None


def _servers(section: RedisSection) -> RedisServers:
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


def check_kind_of(section: BaseModel, kind: str, layers: Layers, *, table: str, of_kind: Mapping[str, set[str]]) -> None:
    """See that nothing is set that means nothing.

    Args:
        section: The table.
        kind: Which kind it is of.
        layers: Where it came from.
        table: Its name.
        of_kind: By kind, the settings that are for it alone.

    Raises:
        ConfigurationError: A setting is for another kind.
    """
    for name, value in section.model_dump().items():
        whose = next((other for other, names in of_kind.items() if name in names), kind)
        if value is not None and whose != kind:
            rule = f"it is for `kind` '{whose}' only, not for '{kind}'; remove it, or change `kind`."
            raise problem(layers, (table, name), value, rule)


def problem(layers: Layers, path: Path, value: object, rule: str) -> ConfigurationError:
    """Return what is wrong with a setting; secrets are not shown."""
    said = None if value is None else shown(path, value, layers)
    return ConfigurationError(key=dotted(path), value=said, rule=rule, source=layers.source_of(path))
