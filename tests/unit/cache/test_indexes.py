"""Vectors: found, forgotten, and always built anew from rows that pass their checks."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from session_router.cache.background import Background
from session_router.cache.entry import Entry, EntryCodec, SealedEntry
from session_router.cache.facts import LABELS, NOTHING_KNOWN, UNKNOWN, Labels
from session_router.cache.indexes import FLAT_AT_ONCE, VectorIndexes
from session_router.cache.memory_rows import MemoryEntryRows
from session_router.cache.vectors import MOST_DEAD, VectorIndex, faiss_module
from session_router.testing.cached import NOW, an_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from session_router.cache.rows import EntryRows

DIMENSION = 16
PARTITION = "0" * 64
KEY = b"k" * 32


def vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    found = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def an_entry(number: int, vector: bytes, subjects: frozenset[str] = frozenset()) -> Entry:
    answer = an_answer()
    return Entry(
        id=f"{number:032x}",
        partition=PARTITION,
        exact=number.to_bytes(32, "big"),
        content=number.to_bytes(32, "big"),
        text=f"Question {number}?",
        answer=replace(answer, tag=replace(answer.tag, subjects=subjects)),
        category="general",
        policy_epoch="1",
        knowledge_epoch="1",
        model_class="small",
        asked_at=NOW,
        expires_at=None,
        vector=vector,
    )


def put(rows: EntryRows, many: NDArray[np.float32], subjects: Callable[[int], frozenset[str]] = lambda _: frozenset()) -> None:
    codec = EntryCodec(KEY)
    for number, vector in enumerate(many):
        assert rows.put(codec.encode(an_entry(number, vector.tobytes(), subjects(number))), asked_at=NOW)


class Kept:
    """Indexes over rows, and what was tampered with."""

    def __init__(self, rows: EntryRows, *, graph_above: int = 1_000_000, maximum: int = 1_000_000) -> None:
        self.tampered: list[SealedEntry] = []
        self.background = Background()
        self.indexes = VectorIndexes(
            rows,
            EntryCodec(KEY),
            dimension=DIMENSION,
            background=self.background,
            on_tampered=self.tampered.append,
            graph_above=graph_above,
            maximum_vectors=maximum,
        )

    def nearest(self, vector: NDArray[np.float32]) -> int | None:
        found = self.indexes.search(PARTITION, vector, 1)
        return found[0][0] if found else None


@pytest.mark.parametrize("graph", [False, True])
def test_the_nearest_are_found(*, graph: bool) -> None:
    index, many = VectorIndex(DIMENSION, graph=graph), vectors(500)
    index.add(range(1, 501), many)
    for asked in vectors(20, seed=1):
        expected = np.argsort(-(many @ asked))[:5] + 1
        found = index.search(asked, 5)
        assert [near.number for near in found] == expected.tolist()
        assert [near.cosine for near in found] == pytest.approx((many @ asked)[expected - 1], abs=1e-5)
    assert index.search(many[0], 1_000)[0][0] == 1
    assert len(index) == 500
    # A graph is searched no wider than it is told.
    assert len(index.search(many[0], 500)) == 500 or graph


@pytest.mark.parametrize("graph", [False, True])
def test_what_is_gone_is_not_found(*, graph: bool) -> None:
    index, many = VectorIndex(DIMENSION, graph=graph), vectors(300)
    index.add(range(1, 301), many)
    index.discard(range(1, 11))
    index.discard(range(5, 15))
    assert len(index) == 286
    assert not index.worn
    for number in range(1, 15):
        found = index.search(many[number - 1], 5)
        assert len(found) == 5
        assert all(near.number > 14 for near in found)
    index.discard(range(15, 15 + MOST_DEAD))
    assert index.worn is graph, "a flat index removes them, a graph cannot and is built anew"


@pytest.mark.parametrize("graph", [False, True])
def test_facts_stay_beside_their_vectors(*, graph: bool) -> None:
    index, many = VectorIndex(DIMENSION, graph=graph), vectors(400)
    numbers = range(3, 1_203, 3)  # as where other partitions have numbers between
    facts = [
        NOTHING_KNOWN._replace(seal=number.to_bytes(8, "big"), said=number << 40, over=number / 2, label=number, outline=b"a\0b")
        for number in numbers
    ]
    for start in range(0, 400, 50):
        index.add(numbers[start : start + 50], many[start : start + 50], facts[start : start + 50])
    gone = {number for number in numbers if number % 4 == 0}
    index.discard([*gone, 1, 2, 4, 9_999])
    assert index.numbers() == frozenset(numbers) - gone
    for place, number in enumerate(numbers):
        near = index.search(many[place], 1)[0]
        assert (near.number == number) is (number not in gone)
        assert near.facts == facts[numbers.index(near.number)]


def test_erased_vectors_leave_the_memory_of_a_flat_index() -> None:
    index = VectorIndex(DIMENSION, graph=False)
    index.add(range(1, 101), vectors(100))
    index.discard([1])
    assert index._index.ntotal == 100
    assert index.remove([2, 3])
    assert index._index.ntotal == 97
    graph = VectorIndex(DIMENSION, graph=True)
    graph.add(range(1, 101), vectors(100))
    assert not graph.remove([2]), "it must be built anew"


def test_a_search_pins_openmp_in_each_thread() -> None:
    index = VectorIndex(DIMENSION, graph=False)
    index.add([1], vectors(1))
    faiss = faiss_module()
    seen: list[tuple[int, int]] = []

    def search() -> None:
        before = faiss.omp_get_max_threads()
        index.search(vectors(1)[0], 1)
        seen.append((before, faiss.omp_get_max_threads()))

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [after for _, after in seen] == [1] * 3


def test_readers_and_a_writer() -> None:
    index, many = VectorIndex(DIMENSION, graph=False), vectors(2_000)
    index.add(range(1, 501), many[:500])
    errors: list[str] = []
    written = threading.Event()

    def read(seed: int) -> None:
        while not written.is_set():
            found = index.search(many[seed], 5)
            if not found or found[0][0] != seed + 1:
                errors.append(f"{seed}: {found}")

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for start in range(500, 2_000, 50):
        index.add(range(start + 1, start + 51), many[start : start + 50])
        index.discard(range(start - 50, start - 30))
    written.set()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_lost_index_is_built_anew() -> None:
    rows, many = MemoryEntryRows(), vectors(50)
    put(rows, many)
    kept = Kept(rows)
    assert [kept.nearest(vector) for vector in many] == list(range(1, 51))
    kept.indexes.drop()
    assert len(kept.indexes) == 0
    assert [kept.nearest(vector) for vector in many] == list(range(1, 51))
    assert kept.tampered == []


def test_rows_that_fail_their_checks_are_in_no_index() -> None:
    rows, many = MemoryEntryRows(), vectors(6)
    put(rows, many)
    other = vectors(1, seed=9)[0].tobytes()
    rows._rows[1] = replace(rows._rows[1], vector=other)
    rows._rows[2] = replace(rows._rows[2], payload=rows._rows[2].payload.replace(b"Question", b"question"))
    rows._rows[3] = replace(rows._rows[3], seal=b"0" * 32)
    shorter = EntryCodec(KEY).encode(an_entry(3, many[3][:4].tobytes()), number=4)
    rows._rows[4] = shorter
    kept = Kept(rows)
    assert kept.nearest(many[5]) == 6
    assert sorted(row.number for row in kept.tampered) == [1, 2, 3]
    assert len(kept.indexes) == 2, "a vector of another length is in none either"
    assert kept.nearest(np.frombuffer(other, dtype="<f4")) in {5, 6}


def test_new_rows_are_read_and_those_that_went_are_not_found() -> None:
    rows, many = MemoryEntryRows(), vectors(30)
    put(rows, many[:10])
    kept = Kept(rows)
    assert kept.nearest(many[9]) == 10
    codec = EntryCodec(KEY)
    for number in range(10, 30):
        rows.put(codec.encode(an_entry(number, many[number].tobytes())), asked_at=NOW)
    assert kept.nearest(many[29]) == 30
    rows.discard(PARTITION, [30, 1])
    kept.indexes.tidy()
    assert kept.nearest(many[29]) != 30
    assert len(kept.indexes) == 28


def test_what_was_erased_leaves_every_index() -> None:
    rows, many = MemoryEntryRows(), vectors(20)
    put(rows, many, lambda number: frozenset({"s1"}) if number % 2 else frozenset())
    kept = Kept(rows)
    assert kept.nearest(many[1]) == 2
    assert rows.erase("s1", at=NOW) == 10
    kept.indexes.erased()
    (held,) = kept.indexes._held.values()
    assert held.index._index.ntotal == 10
    assert kept.nearest(many[1]) != 2


def test_an_erasure_elsewhere_is_noticed_by_the_next_search() -> None:
    rows, many = MemoryEntryRows(), vectors(20)
    put(rows, many, lambda number: frozenset({"s1"}) if number == 1 else frozenset())
    here, there = Kept(rows), Kept(rows)
    assert here.nearest(many[1]) == there.nearest(many[1]) == 2
    rows.erase("s1", at=NOW)
    here.indexes.erased()
    assert there.nearest(many[1]) != 2
    (held,) = there.indexes._held.values()
    assert held.index._index.ntotal == 19


def test_many_rows_become_a_graph_in_the_background() -> None:
    rows, many = MemoryEntryRows(), vectors(FLAT_AT_ONCE + 10)
    put(rows, many, lambda number: frozenset({"s1"}) if number == 7 else frozenset())
    kept = Kept(rows, graph_above=100)
    assert kept.indexes.search(PARTITION, many[0], 1) is None, "nobody waits for it"
    assert kept.background.drain(60)
    (held,) = kept.indexes._held.values()
    assert held.index.graph
    assert sum(kept.nearest(vector) == number for number, vector in enumerate(many[:200], 1)) >= 198
    # A graph can remove nothing: what was erased goes when it is built anew, and is found by nobody meanwhile.
    rows.erase("s1", at=NOW)
    kept.indexes.erased()
    assert kept.indexes.search(PARTITION, many[7], 1) is None
    assert kept.background.drain(60)
    assert kept.nearest(many[7]) != 8
    assert len(kept.indexes) == FLAT_AT_ONCE + 9


def test_a_growing_partition_becomes_a_graph_and_a_worn_graph_a_new_one() -> None:
    rows, many = MemoryEntryRows(), vectors(400)
    put(rows, many)
    kept = Kept(rows, graph_above=300)
    assert [kept.nearest(vector) for vector in many[:2]] == [1, 2]
    assert kept.background.drain(60)
    (graph,) = kept.indexes._held.values()
    assert graph.index.graph
    rows.discard(PARTITION, range(1, 91))
    for number in range(1, 91):
        kept.indexes.discard(PARTITION, number)
    assert graph.index.worn
    assert kept.nearest(many[0]) not in range(1, 91)
    assert kept.background.drain(60)
    (again,) = kept.indexes._held.values()
    assert again.index is not graph.index
    assert len(again.index) == 310


def test_partitions_that_nobody_asks_leave_memory() -> None:
    rows, codec, many = MemoryEntryRows(), EntryCodec(KEY), vectors(128)
    for number, vector in enumerate(many):
        rows.put(codec.encode(replace(an_entry(number, vector.tobytes()), partition=f"{number:064x}")), asked_at=NOW)
    kept = Kept(rows, maximum=20)
    for number, vector in enumerate(many):
        assert kept.indexes.search(f"{number:064x}", vector, 1)
    assert len(kept.indexes) <= 20 + 64
    assert kept.indexes.search(f"{0:064x}", many[0], 1)


def test_facts_hold_for_one_seal() -> None:
    codec, labels = EntryCodec(KEY), Labels()
    entry = an_entry(1, b"")
    sealed, other = codec.encode(entry), codec.encode(replace(entry, floor=0.5))
    facts = labels.facts(entry, sealed.seal)
    assert facts.hold(sealed.seal)
    assert not facts.hold(other.seal)
    assert not NOTHING_KNOWN.hold(b"\0" * 32), "nothing is known of it, whatever the seal"


def test_labels_are_without_subjects_and_bounded() -> None:
    labels, entry = Labels(), an_entry(1, b"", frozenset({"s1"}))
    facts = labels.facts(entry, b"s" * 32)
    assert labels[facts.label] == replace(entry.answer.tag, subjects=frozenset())
    assert labels.facts(an_entry(2, b"", frozenset({"s2"})), b"t" * 32).label == facts.label
    tags = [replace(entry.answer.tag, expires_at=NOW + number) for number in range(LABELS)]
    numbers = [labels.facts(replace(entry, answer=replace(entry.answer, tag=tag)), b"").label for tag in tags]
    assert numbers[-1] == UNKNOWN
    assert len(set(numbers)) == LABELS
