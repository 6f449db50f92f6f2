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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks._cache_filling import KEY, Filled, a_question, an_answer, filled, texts
from benchmarks._cache_peers import GPTCACHE_MISSING, GPTCache
from benchmarks._cache_readers import at_the_same_time
from benchmarks._cache_timing import ROUNDS, Timed, Took, side_by_side, took
from benchmarks._figure import figure, say
from session_router.cache.semantic import SemanticCache
from session_router.cache.sqlite_rows import SQLiteEntryRows
from session_router.cache.vectors import faiss_module
from session_router.core.cached import CacheHit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from session_router.cache.entry import Entry, SealedEntry

ASKED = 1_000
PARTITIONS = (1, 100, 10_000)
NAMES = {1_000: "1k", 10_000: "10k", 100_000: "100k", 1_000_000: "1M"}
COUNT = 5
FLAT_ASKED = 200
OVER_FAISS = 1.5
NEEDED_AT = 100_000
"""Entries in one partition at which a look-up may take so many times as long as FAISS alone."""


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
    """Print how long look-ups of the third tier take, and in one partition how that compares to FAISS."""
    found = filled(entries, partitions, asked=ASKED // 2 if quick else ASKED)
    cache, before = found.cache, found.cache.counts()
    name = NAMES[entries] + ("" if partitions == 1 else f"_in_{partitions}")
    without = took(cache.look_up, found.questions, after=cache.abandon)
    counts = {key: count - before.get(key, 0) for key, count in cache.counts().items() if key.startswith(("hit", "miss"))}
    similar = counts.get("hit.similar", 0) / (ROUNDS * len(found.questions))
    if partitions == 1:
        beside_faiss(found, name, target=f"<= {OVER_FAISS}" if entries == NEEDED_AT else None)
    found.embedder.remember([])
    embedding = took(cache.look_up, found.questions, after=cache.abandon)
    note = (
        f"{len(found.questions)} questions that were answered in other words; {similar:.0%} hits of the third tier, the others do not pass "
        f"guards and verifier; filled in {found.seconds[0]:.0f} s, indexed in {found.seconds[1]:.0f} s, of the processor "
        f"{found.processor_seconds[0]:.0f} s and {found.processor_seconds[1]:.0f} s; at most "
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


def beside_faiss(found: Filled, name: str, *, target: str | None) -> None:
    """Print how many times as long a look-up takes as FAISS alone on the same vectors, in the same moments."""
    faiss = faiss_module()
    cache = found.cache
    (held,) = cache._parts.indexes._held.values()  # type: ignore[union-attr]
    alone: Any = held.index._index
    flat: Any = faiss.downcast_index(alone.storage) if held.index.graph else alone
    asked = [found.embedder.embed([question.text]) for question in found.questions]
    ours, same = side_by_side(
        Timed(cache.look_up, found.questions, after=cache.abandon), Timed(lambda row: alone.search(row, COUNT), asked)
    )
    plain = took(lambda row: flat.search(row, COUNT), asked[:FLAT_ASKED], rounds=2)
    right = flat.search(np.vstack(asked[:FLAT_ASKED]), COUNT)[1]
    got = alone.search(np.vstack(asked[:FLAT_ASKED]), COUNT)[1]
    recall = sum(len(set(one) & set(other)) for one, other in zip(right.tolist(), got.tolist(), strict=True)) / right.size
    hits, read = kinds(found)
    times = ours.quickest[0] / 1_000

    def over(chosen: NDArray[np.bool_]) -> float | None:
        return round(float(np.median(times[chosen])) / same.took.p50, 3) if chosen.any() else None

    figure(
        f"over_faiss_{name}",
        round(ours.took.p50 / same.took.p50, 3),
        unit="ratio",
        n=len(asked),
        target=target,
        peer={
            "ours, us": round(ours.took.p50, 1),
            "FAISS, the same index, us": round(same.took.p50, 1),
            "FAISS, flat, us": round(plain.p50, 1),
            "ours over FAISS, flat": round(ours.took.p50 / plain.p50, 3),
            "ours over FAISS, p99 over p99": round(ours.took.p99 / same.took.p99, 3),
            "ours over FAISS, of the processor": round(ours.took.processor_p50 / same.took.processor_p50, 3),
            "ours over FAISS, of hits": over(hits),
            "ours over FAISS, of misses": over(~hits),
            "ours over FAISS, where no row was read": over(read == 0),
            "rows read, in the mean": round(float(read.mean()), 2),
            "share of hits": round(float(hits.mean()), 3),
            "recall of the five nearest": round(recall, 4),
        },
        note=f"p50 over p50, without embedding, {alone.ntotal} vectors of {alone.d}, one thread, {COUNT} neighbours of both, in turns and "
        f"never of the same question; the index is {held.index.kind}; no reading of a question is remembered from one round to the next; "
        "beyond FAISS a look-up derives partition and keys, tries the first two tiers, and asks guards and verifier about what may pass",
    )


def kinds(found: Filled) -> tuple[NDArray[np.bool_], NDArray[np.int_]]:
    """Return which questions are hits, and how many rows are read for each."""
    codec, read = found.cache._codec, 0
    decode = codec.decode

    def counted(row: SealedEntry) -> Entry:
        nonlocal read
        read += 1
        return decode(row)

    codec.decode = counted  # type: ignore[method-assign]
    hits, rows = [], []
    for question in found.questions:
        read = 0
        hits.append(isinstance(found.cache.look_up(question), CacheHit))
        rows.append(read)
        found.cache.abandon(question)
    codec.decode = decode  # type: ignore[method-assign]
    return np.array(hits), np.array(rows)


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
