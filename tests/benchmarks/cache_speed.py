"""How long a look-up takes, beside FAISS alone on the same vectors and GPTCache.

Usage: `python tests/benchmarks/cache_speed.py [--quick]`; `--quick` stops at 10,000 entries.

The machine may be busy with other things: all questions are asked several times, and of each the quickest counts. Beside the clock on
the wall stands that of the processor, which does not run while others have it. The two agree on a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks._cache_filling import KEY, Filled, a_question, an_answer, filled, texts
from benchmarks._cache_peers import GPTCACHE_MISSING, GPTCache
from benchmarks._cache_readers import at_the_same_time
from benchmarks._figure import figure, say
from session_router.cache.semantic import SemanticCache
from session_router.cache.sqlite_rows import SQLiteEntryRows
from session_router.cache.vectors import BREADTH, NEIGHBOURS, faiss_module

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


ROUNDS = 5
ASKED = 1_000
PARTITIONS = (1, 100, 10_000)
NAMES = {1_000: "1k", 10_000: "10k", 100_000: "100k", 1_000_000: "1M"}
COUNT = 5


class Took(NamedTuple):
    """Microseconds: by the clock on the wall, and by that of the processor, which does not run while others have it."""

    p50: float
    p99: float
    processor_p50: float
    processor_p99: float


def took(
    work: Callable[[Any], object], things: Sequence[Any], *, after: Callable[[Any], object] | None = None, rounds: int = ROUNDS
) -> Took:
    """Return how long `work` takes: of each thing the quickest of several rounds, and of those p50 and p99."""
    times = np.empty((2, rounds, len(things)))
    for number in range(rounds):
        for place, thing in enumerate(things):
            began, started = time.thread_time_ns(), time.perf_counter_ns()
            work(thing)
            times[:, number, place] = time.perf_counter_ns() - started, time.thread_time_ns() - began
            if after is not None:
                after(thing)
    return Took(*(float(one) / 1_000 for best in times.min(axis=1) for one in np.percentile(best, (50, 99))))


def first_tier() -> None:
    """Print how long it takes to find the same text."""
    asked = [a_question(text) for text in texts(5_000)]
    with TemporaryDirectory() as folder:
        caches = {
            "": SemanticCache(key=KEY),
            "SQLite": SemanticCache(SQLiteEntryRows(Path(folder) / "cache.db", busy_timeout_seconds=5), key=KEY),
        }
        found: dict[str, Took] = {}
        for name, cache in caches.items():
            some = asked if not name else asked[:1_000]
            for question in some:
                cache.store(question, an_answer("Use the form."))
            found[name] = took(cache.look_up, some)
            hits = cache.counts()["hit.exact"]
            assert hits == ROUNDS * len(some), f"{hits} hits"
            cache.close()
    figure(
        "t0_p50_us",
        round(found[""][0], 1),
        unit="us",
        n=len(asked),
        target="<= 50",
        peer={
            "p99": round(found[""][1], 1),
            "in SQLite, p50": round(found["SQLite"][0], 1),
            "in SQLite, p99": round(found["SQLite"][1], 1),
        },
        note="rows in this process; as many different questions as are looked up; each is read, keyed, fetched, and checked by HMAC",
    )


def look_ups(entries: int, partitions: int, *, quick: bool) -> None:
    """Print how long look-ups of the third tier take, and at 100,000 entries in one partition how that compares to FAISS."""
    found = filled(entries, partitions, asked=ASKED // 2 if quick else ASKED)
    cache, before = found.cache, found.cache.counts()
    name = NAMES[entries] + ("" if partitions == 1 else f"_in_{partitions}")
    without = took(cache.look_up, found.questions, after=cache.abandon)
    counts = {key: count - before.get(key, 0) for key, count in cache.counts().items() if key.startswith(("hit", "miss"))}
    similar = counts.get("hit.similar", 0) / (ROUNDS * len(found.questions))
    if partitions == 1 and entries == max(10_000 if quick else 100_000, entries) and entries <= 100_000:
        beside_faiss(found, without, name)
    found.embedder.remember([])
    embedding = took(cache.look_up, found.questions, after=cache.abandon)
    note = (
        f"{len(found.questions)} questions that were answered in other words; {similar:.0%} hits of the third tier, the others do not pass "
        f"guards and verifier; filled in {found.seconds[0]:.0f} s, indexed in {found.seconds[1]:.0f} s; at most "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB; {os.getloadavg()[0]:.0f} programs want {os.cpu_count()} cores"
    )
    for place, part in enumerate(("p50", "p99")):
        figure(
            f"lookup_{part}_us_{name}",
            round(without[place], 1),
            unit="us",
            n=len(found.questions),
            peer={"with embedding": round(embedding[place], 1), "of the processor": round(without[place + 2], 1)},
            note=f"without embedding; {note}",
        )
    if partitions == 1 and entries == 10_000:
        at_the_same_time(found)
    cache.close()


def beside_faiss(found: Filled, ours: Took, name: str) -> None:
    """Print how many times as long a look-up takes as FAISS alone on the same vectors."""
    faiss = faiss_module()
    (held,) = found.cache._parts.indexes._held.values()  # type: ignore[union-attr]
    rows = list(found.cache._rows._rows.values())  # type: ignore[attr-defined]
    vectors = np.stack([np.frombuffer(row.vector, dtype="<f4") for row in rows])
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    asked = [found.embedder.embed([question.text]) for question in found.questions]
    same = took(lambda row: held.index._index.search(row, COUNT), asked)
    plain = took(lambda row: flat.search(row, COUNT), asked[:200])
    right = [set(flat.search(row, COUNT)[1][0]) for row in asked[:200]]
    got = [{number - 1 for number, _ in held.index.search(row[0], COUNT)} for row in asked[:200]]
    recall = sum(len(one & other) for one, other in zip(right, got, strict=True)) / (COUNT * len(right))
    kind = f"HNSW, M {NEIGHBOURS}, efSearch {BREADTH}" if held.index.graph else "flat"
    figure(
        f"over_faiss_{name}",
        round(ours[0] / same[0], 3),
        unit="ratio",
        n=len(asked),
        target="<= 1.5",
        peer={
            "ours, us": round(ours[0], 1),
            "FAISS, the same index, us": round(same[0], 1),
            "FAISS, flat, us": round(plain[0], 1),
            "ours over FAISS, flat": round(ours[0] / plain[0], 3),
            "ours over FAISS, of the processor": round(ours.processor_p50 / same.processor_p50, 3),
            "recall of the five nearest": round(recall, 4),
        },
        note=f"p50 over p50, without embedding, {len(vectors)} vectors of {vectors.shape[1]}, one thread; the index is {kind}; beyond "
        "FAISS a look-up derives partition and keys, tries the first two tiers, checks five HMACs, and asks guards and verifier",
    )


def gptcache(entries: int, *, asked: int) -> None:
    """Print how long GPTCache takes for the same."""
    filled_with = list(texts(entries))
    requests = [text.replace(" the ", " this ").replace("do I", "can I") for text in filled_with[:: max(1, entries // asked)]]
    found = filled(entries, 1, asked=200)
    found.embedder.remember([])
    try:
        cache = GPTCache(found.embedder)
    except ImportError:
        figure(f"over_gptcache_{NAMES[entries]}", None, unit="ratio", n=0, note=GPTCACHE_MISSING)
        return
    cache.fill(filled_with)
    theirs: dict[str, Took] = {}
    faiss = faiss_module()
    for threads, name in ((1, "one OpenMP thread"), (2, "two, as it comes")):
        faiss.omp_set_num_threads(threads)
        theirs[name] = took(cache.look_up, requests, rounds=2)
    faiss.omp_set_num_threads(1)
    ours = took(found.cache.look_up, found.questions, after=found.cache.abandon)
    found.cache.close()
    best = min(theirs.values())
    figure(
        f"over_gptcache_{NAMES[entries]}",
        round(ours[0] / best[0], 4),
        unit="ratio",
        n=len(requests),
        target="< 1",
        peer={"ours, us": round(ours[0], 1), **{f"GPTCache, {name}, us": round(one[0], 1) for name, one in theirs.items()}},
        note="p50 over p50 of the quicker way, with embedding; GPTCache 0.1.44 with SQLite and flat FAISS, its default, and our embedder",
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="at most 10,000 entries")
    parser.add_argument("--entries", type=int, choices=NAMES, nargs="+", help="only look-ups among so many")
    parser.add_argument("--partitions", type=int, choices=PARTITIONS, nargs="+", default=PARTITIONS, help="over so many")
    options = parser.parse_args()
    quick: bool = options.quick
    if options.entries is None:
        first_tier()
        gptcache(1_000 if quick else 10_000, asked=50 if quick else 200)
    for entries in options.entries or NAMES:
        for partitions in options.partitions:
            if partitions <= entries and not (quick and (entries > 10_000 or partitions > 100)):
                say(f"{entries} entries over {partitions} partitions")
                look_ups(entries, partitions, quick=quick)
                gc.collect()


if __name__ == "__main__":
    main()
