"""Entries in real Redis servers, for tests: empty ones, and what somebody does to them who can write there."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import redis

from session_router.cache.redis_rows import RedisEntryRows
from session_router.stores.redis_link import RedisLink

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from session_router.stores.redis_servers import RedisServers
    from support.redis_servers import Server

PATIENT_SECONDS = 10.0
"""Laws are about what is stored; a busy machine must not make them fail."""


@contextmanager
def fresh_rows(servers: RedisServers, *, kind: type[RedisEntryRows] = RedisEntryRows, **settings: Any) -> Iterator[RedisEntryRows]:
    """Rows that begin empty, on servers that others use as well."""
    rows = kind(RedisLink(servers, **{"budget_seconds": PATIENT_SECONDS, **settings}), prefix=f"test-{uuid.uuid4().hex}")
    try:
        yield rows
    finally:
        rows.close()


def same_rows(rows: RedisEntryRows, servers: RedisServers, **settings: Any) -> RedisEntryRows:
    """The same rows as another replica has them."""
    return RedisEntryRows(RedisLink(servers, **{"budget_seconds": PATIENT_SECONDS, **settings}), prefix=rows.prefix)


def alter(servers: Sequence[Server], rows: RedisEntryRows, before: bytes, after: bytes) -> int:
    """Put other bytes into rows, and return into how many."""
    altered = 0
    for server in servers:
        with redis.Redis(host="127.0.0.1", port=server.port) as client:
            for base in rows._bases:
                key = base + b":rows"
                try:
                    found = client.hgetall(key)
                except redis.exceptions.MovedError:
                    continue
                for number, value in found.items():
                    if before in value:
                        client.hset(key, number, value.replace(before, after))
                        altered += 1
    return altered
