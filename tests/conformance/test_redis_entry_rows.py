"""Entries in Redis lie as they do in memory; replicas see the same ones, and nothing is left behind of what is gone."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import redis

from benchmarks._cache_isolation import attacked
from session_router.cache.entry import Entry, EntryCodec
from session_router.cache.memory_rows import MemoryEntryRows
from session_router.cache.redis_rows import SHELVES, RedisEntryRows
from session_router.cache.rows import Note
from session_router.cache.semantic import SemanticCache
from session_router.cache.settings import CacheSettings
from session_router.core.cached import CacheHit, CacheMiss, Tier
from session_router.core.governance import Tag
from session_router.errors import ConfigurationError
from session_router.stores.redis_link import RedisLink
from session_router.stores.redis_servers import RedisServers
from session_router.testing.cached import NOW, a_question, an_answer
from support.redis_rows import fresh_rows, same_rows
from support.redis_servers import cluster, standalone, vector_set_server
from support.word_embedder import WordEmbedder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from session_router.cache.entry import SealedEntry
    from session_router.cache.rows import EntryRows
    from support.redis_servers import Server

KEY = b"k" * 32
CODEC = EntryCodec(KEY)
PARTITIONS = [f"{number:02x}" * 32 for number in (0, 1, 64, 200)]
"""Two of them lie on one shelf."""
DIMENSION = 8
ANYBODY = CacheSettings(wrong=0.5, audit_share=0.0, check_seconds=60.0)
"""A handful of audits certifies."""


@dataclass(frozen=True)
class Place:
    servers: RedisServers
    processes: list[Server]


@pytest.fixture(scope="module", params=["one", "three"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("redis")
    if request.param == "one":
        with standalone(folder) as server:
            yield Place(RedisServers.from_url(server.url), [server])
    else:
        with cluster(folder) as servers:
            yield Place(RedisServers.cluster(servers.addresses), servers.masters)


@pytest.fixture(scope="module")
def vector_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with cluster(tmp_path_factory.mktemp("redis"), program=vector_set_server()) as servers:
        yield Place(RedisServers.cluster(servers.addresses), servers.masters)


pytestmark = pytest.mark.xdist_group("redis-entry-rows")


def unit(seed: int) -> bytes:
    found = np.random.default_rng(seed).normal(size=DIMENSION).astype("<f4")
    return bytes((found / np.linalg.norm(found)).astype("<f4").tobytes())


def an_entry(
    number: int, *, partition: str = PARTITIONS[0], ends: float | None = NOW + 60, subjects: frozenset[str] = frozenset()
) -> Entry:
    return Entry(
        id=f"{partition[:2]}{random.Random(number).randbytes(15).hex()}",
        partition=partition,
        exact=number.to_bytes(32, "big"),
        content=(number // 3).to_bytes(32, "big"),
        text=f"Question {number}?",
        answer=an_answer(f"Answer {number}.", tag=Tag(subjects=subjects)),
        category="general",
        policy_epoch="1",
        knowledge_epoch="1",
        model_class="small",
        asked_at=NOW,
        expires_at=ends,
        vector=unit(number),
    )


def texts(found: Any) -> list[str]:
    return [CODEC.decode(row).text for row in found if row is not None]


def every_key(place: Place, rows: RedisEntryRows) -> list[bytes]:
    prefix = rows._bases[0].partition(b":cache:")[0]
    found: list[bytes] = []
    for server in place.processes:
        with redis.Redis(host="127.0.0.1", port=server.port) as client:
            found += client.scan_iter(match=prefix + b"*", count=1_000)
    return found


class Twins:
    """Rows in memory and in Redis, to which the same is done."""

    def __init__(self, shared: RedisEntryRows) -> None:
        self.both: tuple[EntryRows, EntryRows] = (MemoryEntryRows(), shared)
        self.chance = random.Random(7)

    def check(self) -> None:
        one, other = (self.seen(rows) for rows in self.both)
        assert one == other

    def seen(self, rows: EntryRows) -> list[Any]:
        found: list[Any] = [rows.count()]
        for partition in PARTITIONS:
            found += [len(rows.numbers(partition)), texts(rows.after(partition, 0, 1_000))]
            for number in range(9):
                found += [
                    texts([rows.by_exact(partition, number.to_bytes(32, "big"))]),
                    texts(rows.by_content(partition, (number // 3).to_bytes(32, "big"))),
                ]
        return found

    def do(self, step: int) -> None:
        subjects = frozenset(self.chance.sample(["s1", "s2", "s:3"], self.chance.randrange(3)))
        partition, ends = self.chance.choice(PARTITIONS), self.chance.choice([None, NOW + 60, NOW + 600])
        entry = an_entry(self.chance.randrange(9), partition=partition, subjects=subjects, ends=ends)
        # Ids are never used again, even where questions are.
        entry = replace(entry, id=f"{partition[:2]}{step:030x}")
        way = self.chance.choice([self.erase, self.discard, self.amend, *[self.put] * 5])
        one, other = (way(rows, entry, step) for rows in self.both)
        assert one == other

    def erase(self, rows: EntryRows, entry: Entry, step: int) -> Any:
        del entry
        return rows.erase(("s1", "s2", "s:3")[step % 3], at=NOW - 1)

    def discard(self, rows: EntryRows, entry: Entry, step: int) -> Any:
        del step
        row = rows.by_exact(entry.partition, entry.exact)
        return rows.discard(entry.partition, [] if row is None else [row.number])

    def amend(self, rows: EntryRows, entry: Entry, step: int) -> Any:
        row = rows.by_exact(entry.partition, entry.exact)
        if row is None:
            return None
        amended = CODEC.encode(replace(CODEC.decode(row), floor=step / 1_000), number=row.number)
        return rows.replace(amended, seal=b"?" * 32), rows.replace(amended, seal=row.seal)

    def put(self, rows: EntryRows, entry: Entry, step: int) -> Any:
        del step
        return rows.put(CODEC.encode(entry), asked_at=NOW)


def test_they_lie_as_they_do_in_memory(place: Place) -> None:
    with fresh_rows(place.servers) as rows:
        twins = Twins(rows)
        memory = twins.both[0]
        for step in range(150):
            twins.do(step)
            if step % 10 == 0:
                twins.check()
        twins.check()
        for step in range(150):
            for partition in PARTITIONS:
                name = f"{partition[:2]}{step:030x}"
                assert texts([memory.by_id(name)]) == texts([rows.by_id(name)])
        assert memory.count() > 10
        assert memory.purge(now=NOW + 60, maximum=5) == rows.purge(now=NOW + 60, maximum=5) > 0
        twins.check()
        assert rows.purge(now=float("-inf"), maximum=0) == 5
        assert {key.rpartition(b":")[2] for key in every_key(place, rows)} <= {b"tombstones", b"erased", b"keys"}


def test_rows_expire_by_themselves(place: Place) -> None:
    with fresh_rows(place.servers) as rows:
        rows.put(CODEC.encode(an_entry(1, ends=NOW + 60, subjects=frozenset({"s1"}))), asked_at=NOW)
        rows.put(CODEC.encode(an_entry(2, ends=NOW + 30)), asked_at=NOW)
        ends = {key: place_of(place, key).command("PTTL", key) for key in every_key(place, rows)}
        assert len(ends) == 6
        assert all(30_000 < left <= 60_000 for left in ends.values()), ends
        # What is over goes when others come.
        rows.put(CODEC.encode(an_entry(3, ends=NOW + 90)), asked_at=NOW + 31)
        assert texts(rows.after(PARTITIONS[0], 0, 10)) == ["Question 1?", "Question 3?"]


def place_of(place: Place, key: bytes) -> Server:
    if len(place.processes) == 1:
        return place.processes[0]
    from redis.crc import key_slot

    slot = key_slot(key)
    return next(server for first, server in zip((10_923, 5_461, 0), reversed(place.processes), strict=True) if slot >= first - 1)


def test_the_oldest_go_first_wherever_they_lie(place: Place) -> None:
    with fresh_rows(place.servers) as rows:
        partitions = [f"{number:02x}" * 32 for number in range(SHELVES)]
        for number, partition in enumerate(partitions):
            rows.put(CODEC.encode(an_entry(number, partition=partition)), asked_at=NOW)
        assert rows.count() == SHELVES
        assert rows.purge(now=NOW, maximum=10) == SHELVES - 10
        left = [partition for partition in partitions if rows.numbers(partition)]
        assert left == partitions[-10:]


def test_notes_are_written_by_one(place: Place) -> None:
    with fresh_rows(place.servers) as rows:
        first, second = Note(payload=b"1", seal=b"a" * 32), Note(payload=b"2", seal=b"b" * 32)
        assert rows.note("n") is None
        assert rows.write_note("n", first, seal=None)
        assert not rows.write_note("n", second, seal=None)
        assert not rows.write_note("n", second, seal=b"c" * 32)
        assert rows.write_note("n", second, seal=first.seal)
        assert not rows.write_note("n", second, seal=first.seal), "somebody else who would write the same"
        assert rows.notes() == {"n": second}


def test_what_is_sent_twice_counts_once(place: Place) -> None:
    """A connection may break after the server has done what it was asked, and before it says so."""
    with fresh_rows(place.servers, kind=RedisEntryRows) as plain:
        rows = same_rows(plain, place.servers)
        rows._link = SaysEverythingTwice(rows._link)
        first, second = Note(payload=b"1", seal=b"a" * 32), Note(payload=b"2", seal=b"b" * 32)
        assert rows.write_note("n", first, seal=None)
        assert rows.write_note("n", second, seal=first.seal)
        entry = an_entry(1)
        assert rows.put(CODEC.encode(entry), asked_at=NOW)
        row = rows.by_exact(PARTITIONS[0], entry.exact)
        assert row is not None
        assert rows.count() == 1
        assert rows.replace(CODEC.encode(replace(entry, floor=0.5), number=row.number), seal=row.seal)


class SaysEverythingTwice:
    def __init__(self, link: Any) -> None:
        self._link = link

    def run(self, *what: Any) -> Any:
        self._link.run(*what)
        return self._link.run(*what)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)


def test_replicas_share_certificates_vetoes_and_erasures(place: Place) -> None:
    shared_by_replicas(place, vectors=False)


@pytest.mark.vector_sets
def test_replicas_share_them_with_vector_sets(vector_place: Place) -> None:
    shared_by_replicas(vector_place, vectors=True)


class Believing:
    version = "believing"

    def score(self, asked: str, stored: str, *, cosine: float, agreeing: int, differing: int) -> float:
        del asked, stored, agreeing, differing
        assert -1.001 < cosine < 1.001
        return 1.0


def a_replica(rows: RedisEntryRows) -> SemanticCache:
    return SemanticCache(rows, key=KEY, embedder=WordEmbedder(64), verifier=Believing(), settings=ANYBODY)


def answered(cache: SemanticCache, text: str, **fields: Any) -> CacheHit | CacheMiss:
    question = a_question(text, **fields)
    found = cache.look_up(question)
    if isinstance(found, CacheMiss):
        assert cache.store(question, an_answer("Use a brush.", tag=question.tag)) is None
        assert cache.drain()
    return found


def shared_by_replicas(place: Place, *, vectors: bool) -> None:
    with fresh_rows(place.servers) as rows, a_replica(rows) as one, a_replica(same_rows(rows, place.servers)) as other:
        assert rows.has_vector_sets() is vectors
        # Each audits half of what certifies a stratum.
        for number in range(40):
            cache = (one, other)[number % 2]
            for text in (f"How do I paint thing{number}?", f"How can I paint thing{number}?"):
                found = answered(cache, text, tenant=f"tenant{number}")
            if isinstance(found, CacheHit):
                break
        assert isinstance(found, CacheHit)
        assert found.tier is Tier.SIMILAR
        assert one.counts()["audit.right"] > 0
        assert other.counts()["audit.right"] > 0
        assert one.strata() == other.strata()
        # What one keeps, the other finds, by whichever tier, also once it has an index of the partition.
        for number in range(3):
            answered(one, f"How do I wash thing{number}?")
            hit = other.look_up(a_question(f"How can I wash thing{number}?"))
            assert isinstance(hit, CacheHit), hit
            assert hit.tier is Tier.SIMILAR
            # Nobody else's.
            assert isinstance(other.look_up(a_question(f"How can I wash thing{number}?", tenant="globex")), CacheMiss)
            other.abandon(a_question(f"How can I wash thing{number}?", tenant="globex"))
        # A veto of one counts for both.
        one.veto(hit)
        assert isinstance(other.look_up(a_question("How can I wash thing2?")), CacheMiss)
        other.abandon(a_question("How can I wash thing2?"))
        assert isinstance(other.look_up(a_question("How do I wash thing2?")), CacheHit), "only what is as far away"
        # So does an erasure.
        about = Tag(subjects=frozenset({"bob"}))
        answered(one, "How do I find bob?", tag=about)
        assert isinstance(other.look_up(a_question("How can I find bob?", tag=about)), CacheHit)
        assert other.erase("bob", now=NOW) == 1
        for text in ("How do I find bob?", "How can I find bob?"):
            for cache in (one, other):
                assert isinstance(cache.look_up(a_question(text, tag=about)), CacheMiss)
                cache.abandon(a_question(text, tag=about))
        if vectors:
            assert len(one._parts.indexes or ()) == len(other._parts.indexes or ()) == 0
            assert vectors_of(place, rows) == rows.count()
        else:
            assert other._parts.indexes is not None
            assert len(other._parts.indexes) > 0
            assert vectors_of(place, rows) == 0


def vectors_of(place: Place, rows: RedisEntryRows) -> int:
    return sum(int(place_of(place, key).command("VCARD", key)) for key in every_key(place, rows) if b":vectors:" in key)


@pytest.mark.vector_sets
def test_vector_sets_are_filtered_by_epoch_and_end(vector_place: Place) -> None:
    with fresh_rows(vector_place.servers) as rows:
        for number, ends in enumerate((None, NOW + 60, NOW + 600)):
            rows.put(CODEC.encode(replace(an_entry(number, ends=ends), vector=unit(0))), asked_at=NOW)
        rows.put(CODEC.encode(replace(an_entry(9), vector=unit(0), policy_epoch="2")), asked_at=NOW)

        def near(now: float, epochs: tuple[str, str]) -> set[str]:
            from session_router.cache.redis_rows import epochs_of

            found = rows.near(PARTITIONS[0], unit(0), 5, now=now, epochs=epochs_of(*epochs))
            assert all(abs(cosine - 1.0) < 0.02 for _, cosine in found)
            return set(texts(rows.by_numbers(PARTITIONS[0], [number for number, _ in found])))

        assert near(NOW, ("1", "1")) == {"Question 0?", "Question 1?", "Question 2?"}
        assert near(NOW + 60, ("1", "1")) == {"Question 0?", "Question 2?"}
        assert near(NOW, ("2", "1")) == {"Question 9?"}
        assert near(NOW, ('" or .end > 0 or "', "1")) == set()


@pytest.mark.vector_sets
def test_attacks_on_vector_sets_find_nothing(vector_place: Place) -> None:
    with fresh_rows(vector_place.servers) as rows:
        found = attacked(300, similar=True, rows=rows)
    assert (found.crossed, found.look_ups) == (0, 300)
    assert found.similar > 15


def test_attacks_find_nothing_and_tell_what_is_broken(place: Place) -> None:
    with fresh_rows(place.servers) as rows:
        found = attacked(300, similar=True, rows=rows)
    assert (found.crossed, found.look_ups) == (0, 300)
    assert found.similar > 15
    with fresh_rows(place.servers) as rows:
        assert attacked(300, similar=False, broken="scope", rows=rows).crossed > 0


class OneKeyForAll(RedisEntryRows):
    """Leaves the partition out of its keys, and out of what comes back."""

    def put(self, row: SealedEntry, *, asked_at: float) -> bool:
        return super().put(replace(row, partition=PARTITIONS[0]), asked_at=asked_at)

    def standing(self, partition: str) -> Any:
        del partition
        return super().standing(PARTITIONS[0])

    def after(self, partition: str, number: int, limit: int) -> Any:
        return [replace(row, partition=partition) for row in super().after(PARTITIONS[0], number, limit)]

    def by_numbers(self, partition: str, numbers: Any) -> Any:
        return [replace(row, partition=partition) for row in super().by_numbers(PARTITIONS[0], numbers)]


def test_a_partition_that_is_dropped_from_the_keys_is_told_and_serves_nobody(place: Place) -> None:
    """What is checked after the fetch holds by itself: rows of others are met, counted, and never served."""
    with fresh_rows(place.servers, kind=OneKeyForAll) as rows, a_replica(rows) as cache:
        answered(cache, "How do I paint it?", tenant="acme")
        answered(cache, "How can I paint it?", tenant="globex")
        assert cache.counts()["evicted.tampered"] > 0
        assert "hit.similar" not in cache.counts()


def test_erasures_stop_writers_in_other_threads(place: Place) -> None:
    with fresh_rows(place.servers) as rows:
        stop, kept = threading.Event(), [0]

        def write(seed: int) -> None:
            number = seed
            while not stop.is_set():
                number += 4
                kept[0] += rows.put(CODEC.encode(an_entry(number % 40, subjects=frozenset({"bob"}))), asked_at=NOW)

        with ThreadPoolExecutor(4) as threads:
            writers = [threads.submit(write, seed) for seed in range(4)]
            while not kept[0]:
                assert not any(one.done() for one in writers)
            try:
                rows.erase("bob", at=NOW)
                assert rows.count() == 0
                assert not rows.put(CODEC.encode(an_entry(1, subjects=frozenset({"bob"}))), asked_at=NOW)
            finally:
                stop.set()
            for one in writers:
                one.result()
        assert rows.count() == 0
        assert rows.put(CODEC.encode(an_entry(1, subjects=frozenset({"bob"}))), asked_at=NOW + 1)


def test_an_empty_prefix_and_braces_are_refused() -> None:
    for prefix in ("", "a{b}"):
        with pytest.raises(ConfigurationError, match="prefix"):
            RedisEntryRows(RedisLink("redis://127.0.0.1:1"), prefix=prefix)
