"""What a Redis server does when its memory is full, and after a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.stores.examination import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NEARLY_FULL = 0.9
"""Share of `maxmemory`."""


def memory_findings(where: str, facts: Mapping[str, str]) -> Iterator[Finding]:
    """Look at the memory, the eviction policy and the persistence of one server.

    Args:
        where: Which.
        facts: What `INFO` says.
    """
    if "maxmemory_policy" not in facts:
        yield Finding(where=where, subject="memory policy", found="not told", verdict=Verdict.WARNING, means="see that `INFO` is allowed.")
        return
    limit, used = int(facts.get("maxmemory", "0")), int(facts.get("used_memory", "0"))
    yield _policy(where, facts["maxmemory_policy"], limit)
    yield _memory(where, used, limit)
    kept = facts.get("aof_enabled") == "1"
    yield Finding(
        where=where,
        subject="after a restart",
        found="sessions are there again" if kept else "sessions may be gone (no append-only file)",
        means="" if kept else "costs what was warm and what was learned, no lock.",
    )


def _policy(where: str, policy: str, limit: int) -> Finding:
    if policy == "noeviction":
        means = "when it is full it refuses writes: sessions stay as they are, and warmth and learning stand still." if limit else ""
        return Finding(where=where, subject="memory policy", found=policy, means=means)
    # Sessions expire, so that policies for volatile keys take them as well.
    means = "sessions that are in use are dropped when memory is full: no lock is lost, what was warm and learned is. Set `noeviction`"
    means += ", or a server of their own." if limit else " before you set `maxmemory`."
    return Finding(where=where, subject="memory policy", found=policy, verdict=Verdict.WARNING, means=means)


def _memory(where: str, used: int, limit: int) -> Finding:
    if not limit:
        means = "nothing stops it from taking all there is; set `maxmemory`."
        return Finding(where=where, subject="memory", found=f"{_megabytes(used)} of no limit", verdict=Verdict.WARNING, means=means)
    full = used > NEARLY_FULL * limit
    means = "little is left; raise `maxmemory`, or lower `store.seconds_to_live`." if full else ""
    verdict = Verdict.WARNING if full else Verdict.FINE
    return Finding(where=where, subject="memory", found=f"{_megabytes(used)} of {_megabytes(limit)}", verdict=verdict, means=means)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
