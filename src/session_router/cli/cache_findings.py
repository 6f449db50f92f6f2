"""What `session-router doctor` finds out about the cache of a configuration."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from session_router.errors import StoreError
from session_router.stores.examination import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from session_router.cache.redis_rows import RedisEntryRows
    from session_router.cache.sqlite_rows import SQLiteEntryRows
    from session_router.ports import SessionStore

_NOTHING_KEPT = "no answer is found or kept: each question is asked of a model."


def cache_findings(config: Path | None, store: SessionStore) -> Iterator[Finding]:
    """Look at the cache of a configuration, if it has one; its servers are not looked at again if they are those of `store`."""
    from session_router.cache.redis_rows import RedisEntryRows
    from session_router.cache.sqlite_rows import SQLiteEntryRows
    from session_router.config import load_cache

    cache = load_cache(config)
    if cache is None:
        return
    with cache:
        rows = cache.rows
        if isinstance(rows, RedisEntryRows):
            yield from _in_redis(rows, store)
        elif isinstance(rows, SQLiteEntryRows):
            yield _in_a_file(rows)
        else:
            yield Finding(where="this process", subject="answers", found="in memory", means="each replica has answers of its own.")


def _in_a_file(rows: SQLiteEntryRows) -> Finding:
    where = str(rows.path)
    try:
        rows.count()
    except StoreError as error:
        return Finding(where=where, subject="answers", found=str(error), verdict=Verdict.PROBLEM, means=_NOTHING_KEPT)
    return Finding(where=where, subject="answers", found="in a file", means="for the processes of one machine.")


def _in_redis(rows: RedisEntryRows, store: SessionStore) -> Iterator[Finding]:
    from session_router.cache.redis_rows import RedisEntryRows, searched_by
    from session_router.stores.redis_examination import PATIENCE_SECONDS, examine_servers
    from session_router.stores.redis_link import RedisLink

    link = rows.link
    assert isinstance(link, RedisLink)  # noqa: S101 -- a configuration makes no other
    if getattr(store, "servers", None) != link.servers:
        yield from examine_servers(link.servers, budget_seconds=link.budget_seconds)
    patient = RedisEntryRows(RedisLink(link.servers, budget_seconds=PATIENCE_SECONDS), prefix=rows.prefix)
    try:
        found = "looked for " + searched_by(vector_sets=patient.has_vector_sets())
        yield Finding(where="cache", subject="similar questions", found=found)
        yield _trial(patient)
    except StoreError as error:
        yield Finding(where="cache", subject="an answer", found=str(error).partition(";")[0], verdict=Verdict.PROBLEM, means=_NOTHING_KEPT)
    finally:
        patient.close()


def _trial(rows: RedisEntryRows) -> Finding:
    from session_router.cache.entry import SealedEntry

    now, partition = time.time(), secrets.token_hex(32)
    row = SealedEntry(
        number=0,
        id=partition[:2] + secrets.token_hex(15),
        partition=partition,
        exact=secrets.token_bytes(32),
        content=secrets.token_bytes(32),
        subjects=(),
        expires_at=now + 1.0,
        payload=b"{}",
        vector=b"",
        seal=secrets.token_bytes(32),
    )
    rows.put(row, asked_at=now)
    found = rows.by_exact(partition, row.exact)
    if found is None or found.seal != row.seal:
        said = "a row did not come back as it was"
        return Finding(where="cache", subject="an answer", found=said, verdict=Verdict.PROBLEM, means=_NOTHING_KEPT)
    rows.discard(partition, [found.number])
    return Finding(where="cache", subject="an answer", found="kept and read back")
