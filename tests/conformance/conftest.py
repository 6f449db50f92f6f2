"""Redis servers that laws are tested on: one, and a cluster, which takes its time to begin and serves all modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.redis_servers import Cluster, Server, cluster, standalone

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with standalone(tmp_path_factory.mktemp("redis")) as one:
        yield one


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Whoever writes there has names of his own for it: others do, too."""
    with cluster(tmp_path_factory.mktemp("redis")) as servers:
        yield servers
