"""Which Redis servers there are, and how they are reached."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

REDIS_PORT, SENTINEL_PORT = 6379, 26379
LARGEST_PORT = 65_535
_NODE = re.compile(r"(?:\[(?P<bracketed>[0-9a-fA-F:.]+)\]|(?P<host>[^\s:/@\[\]]+))(?::(?P<port>[0-9]{1,5}))?")
_DATABASE = re.compile("[0-9]{0,4}")
_URL_RULE = "give `redis://[[user]:password@]host[:port][/database]`, or `rediss://` for TLS."
_NODES_RULE = "name one server or more, each as `host:port`."


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where a server listens.

    Attributes:
        host: Name or address.
        port: Its port.
    """

    host: str
    port: int

    def __str__(self) -> str:
        """Write it as `host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who we are to a server.

    Attributes:
        username: Its user; the default one when left out.
        password: Its password; not shown.
    """

    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisServers:
    """One server, a master that Sentinels know, or a cluster.

    Make one with `from_url`, `sentinel` or `cluster`.

    Attributes:
        nodes: The server; the Sentinels; or some of the cluster's nodes, which know the others.
        master: What the Sentinels call the master; `None` without Sentinels.
        is_cluster: Whether the nodes are a cluster's.
        credentials: For servers that hold data.
        sentinel_credentials: For Sentinels.
        database: Number of the database; a cluster has only 0.
        tls: Whether connections are encrypted, and the servers' certificates checked.
    """

    nodes: tuple[Address, ...]
    master: str | None = None
    is_cluster: bool = False
    credentials: Credentials = Credentials()
    sentinel_credentials: Credentials = Credentials()
    database: int = 0
    tls: bool = False

    @classmethod
    def from_url(cls, url: str) -> RedisServers:
        """One server.

        Raises:
            ConfigurationError: It is no URL of a Redis server.
        """
        try:
            parts = urlsplit(url)
            port, host = parts.port or REDIS_PORT, parts.hostname
        except ValueError:
            raise ConfigurationError(key="url", value="(hidden)", rule=_URL_RULE) from None
        database = parts.path.strip("/")
        if parts.scheme not in {"redis", "rediss"} or not host or not _DATABASE.fullmatch(database):
            # The password is a part of it.
            raise ConfigurationError(key="url", value="(hidden)", rule=_URL_RULE)
        if parts.query or parts.fragment:
            raise ConfigurationError(key="url", value="(hidden)", rule=f"its `?` and `#` parts mean nothing here; {_URL_RULE}")
        return cls(
            nodes=(Address(host, port),),
            credentials=Credentials(
                username=unquote(parts.username) if parts.username else None,
                password=unquote(parts.password) if parts.password else None,
            ),
            database=int(database or 0),
            tls=parts.scheme == "rediss",
        )

    @classmethod
    def sentinel(
        cls,
        nodes: Sequence[str],
        *,
        master: str,
        credentials: Credentials | None = None,
        sentinel_credentials: Credentials | None = None,
        database: int = 0,
        tls: bool = False,
    ) -> RedisServers:
        """The master that these Sentinels, each given as `host:port`, call `master`.

        Raises:
            ConfigurationError: There is no Sentinel, or an address is none.
        """
        if not master:
            raise ConfigurationError(key="master", value=master, rule="say what the Sentinels call the master.")
        return cls(
            nodes=_addresses(nodes, SENTINEL_PORT),
            master=master,
            credentials=credentials or Credentials(),
            sentinel_credentials=sentinel_credentials or Credentials(),
            database=database,
            tls=tls,
        )

    @classmethod
    def cluster(cls, nodes: Sequence[str], *, credentials: Credentials | None = None, tls: bool = False) -> RedisServers:
        """The cluster that these nodes, each given as `host:port`, belong to.

        Raises:
            ConfigurationError: There is no node, or an address is none.
        """
        return cls(nodes=_addresses(nodes, REDIS_PORT), is_cluster=True, credentials=credentials or Credentials(), tls=tls)


def _addresses(nodes: Sequence[str], default_port: int) -> tuple[Address, ...]:
    if not nodes or isinstance(nodes, str):
        raise _no_nodes(nodes)
    return tuple(_address(node, default_port) for node in nodes)


def _no_nodes(given: object) -> ConfigurationError:
    if "@" in str(given):
        # There is a password in it.
        return ConfigurationError(key="nodes", value="(hidden)", rule=f"{_NODES_RULE} User and password go in settings of their own.")
    return ConfigurationError(key="nodes", value=given, rule=_NODES_RULE)


def _address(node: str, default_port: int) -> Address:
    found = _NODE.fullmatch(node.strip())
    port = default_port if found is None or found["port"] is None else int(found["port"])
    if found is None or not 0 < port <= LARGEST_PORT:
        raise _no_nodes(node)
    return Address(found["bracketed"] or found["host"], port)
