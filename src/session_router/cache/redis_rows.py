"""Entries in Redis: for many replicas, on one server, behind Sentinels, or spread over a cluster."""

from __future__ import annotations

import hashlib
import heapq
import json
import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from session_router.cache import redis_scripts as scripts
from session_router.cache.redis_values import note_of, row_of, rows_of, subject_name, value_of, value_of_note
from session_router.cache.rows import ALIKE, Standing
from session_router.core.checking import check_prefix
from session_router.errors import StoreCorrupt, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from session_router.cache.entry import SealedEntry
    from session_router.cache.rows import Note

LAYOUT: Final = 1
"""Of keys and values; a part of every key, so that releases with different ones leave each other's alone."""

SHELVES: Final = 64
"""The entries of a partition lie on one shelf, in one slot; shelves are spread over a cluster."""

AT_ONCE: Final = 64
"""Rows that are asked for at once: some hundred kilobytes, so that an answer comes within a budget."""

NAMES_AT_ONCE: Final = 4_096

MARK_MILLISECONDS: Final = 600_000
"""How long each shelf remembers an erasure by itself: longer than a writer takes between asking for tombstones and writing."""

ASK_AGAIN_SECONDS: Final = 60.0
"""Servers without vector sets may be replaced by some that have them."""

logger = logging.getLogger("session_router.cache")


class Link(Protocol):
    """How servers are asked; `session_router.stores.redis_link.RedisLink` is one."""

    def run(self, script: str, keys: Sequence[bytes], arguments: Sequence[bytes | str | int]) -> Any:  # noqa: ANN401 -- whatever it returns
        """Run a script where the first of `keys` lives; all must live there. May raise `StoreError`."""
        ...

    def ask(self, key: bytes, *command: bytes | str | int) -> Any:  # noqa: ANN401 -- whatever it answers
        """Ask the server where `key` lives. May raise `StoreError`."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Return how often what happened that is not the usual course."""
        ...

    def close(self) -> None:
        """Let go of the connections."""
        ...


class RedisEntryRows:
    """Rows that any number of replicas share. Each call is one script on one shelf, so that no replica sees half of what another does.

    Where the servers have vector sets (Redis 8), similar questions are looked for there; elsewhere each replica keeps an index of the
    partitions that it is asked about, and reads on what is new. Rows expire by themselves when nobody writes to their shelf any more.

    Args:
        link: `RedisLink("redis://host:6379/0")`, or the `link` of a `RedisSessionStore`: then both know of a dead server at once.
        prefix: What the keys in Redis begin with.
        closes: Whether `close` closes the link.

    Attributes:
        prefix: What the keys in Redis begin with.

    Raises:
        ConfigurationError: The prefix is empty, or holds braces. No server is asked before the first call.
    """

    waits = True

    def __init__(self, link: Link, *, prefix: str = "session_router", closes: bool = True) -> None:
        check_prefix(prefix)
        self.prefix = prefix
        self._link, self._closes = link, closes
        self._bases = [f"{prefix}:cache:{LAYOUT}:{{cache{shelf:02d}}}".encode("utf-8", "surrogatepass") for shelf in range(SHELVES)]
        self._keys = [[base + b":" + name.encode("ascii") for name in scripts.KEYS] for base in self._bases]
        self._notes = self._bases[0] + b":notes"
        self._vector_sets: bool | None = None
        self._ask_again_at = 0.0

    @property
    def link(self) -> Link:
        """How the servers are asked."""
        return self._link

    def by_exact(self, partition: str, exact: bytes) -> SealedEntry | None:
        """Return the entry of a partition with this exact key."""
        found = rows_of(self._read(scripts.BY_NAME, _shelf(partition), f"e{partition}{exact.hex()}"), partition=partition)
        return found[0] if found else None

    def by_content(self, partition: str, content: bytes) -> Sequence[SealedEntry]:
        """Return the newest few entries of a partition with this content key."""
        return rows_of(self._read(scripts.BY_CONTENT, _shelf(partition), f"c{partition}{content.hex()}", ALIKE), partition=partition)

    def by_numbers(self, partition: str, numbers: Sequence[int]) -> Sequence[SealedEntry]:
        """Return those of `numbers` that lie in the partition."""
        if not numbers:
            return []
        shelf = _shelf(partition)
        key = self._keys[shelf][0]
        with self._mending(shelf):
            values = self._link.ask(key, "HMGET", key, *(f"{number:016d}" for number in numbers))
        found = [row_of(number, value) for number, value in zip(numbers, values, strict=True) if value is not None]
        return [row for row in found if row.partition == partition]

    def by_id(self, entry: str) -> SealedEntry | None:
        """Return the entry with this id."""
        shelf = _shelf(entry)
        found = rows_of(self._read(scripts.BY_NAME, shelf, f"i{entry}"))
        return found[0] if found else None

    def after(self, partition: str, number: int, limit: int) -> Sequence[SealedEntry]:
        """Return entries with higher numbers, in ascending order."""
        found: list[SealedEntry] = []
        while len(found) < limit:
            last, *flat = self._read(scripts.AFTER, _shelf(partition), partition, f"{number:016d}", min(AT_ONCE, limit - len(found)))
            if not (number := int(last)):
                break
            found += rows_of(flat, partition=partition)
        return found

    def numbers(self, partition: str) -> Sequence[int]:
        """Return the numbers of a partition."""
        key, found = self._keys[_shelf(partition)][2], list[int]()
        begin, end = f"({partition}:", f"({partition};"
        while names := self._link.ask(key, "ZRANGEBYLEX", key, begin, end, "LIMIT", 0, NAMES_AT_ONCE):
            found += [int(name.rpartition(b":")[2]) for name in names]
            begin = f"({partition}:{found[-1]:016d}"
        return found

    def standing(self, partition: str) -> Standing:
        """Return how far an index of the partition must have read."""
        newest, erasures = self._read(scripts.STANDING, _shelf(partition), partition)
        return Standing(newest=int(newest), erasures=int(erasures))

    def put(self, row: SealedEntry, *, asked_at: float) -> bool:
        """Keep a row, unless one of its subjects was erased."""
        # Two looks: at the tombstones, which stay, and at the marks of the shelf, for an erasure that is under way.
        if row.subjects and self.is_erased(row.subjects, asked_at=asked_at):
            return False
        shelf, lifetime = _shelf(row.partition), 0
        if row.expires_at is not None:
            # By its own clocks: who asks and who keeps need not agree on the time.
            lifetime = max(1, round((row.expires_at - asked_at) * 1000))
        kept = self._write(
            scripts.PUT,
            shelf,
            value_of(row),
            row.partition,
            row.exact.hex(),
            row.content.hex(),
            row.id,
            "" if row.expires_at is None else repr(row.expires_at),
            lifetime,
            repr(asked_at),
            row.vector,
            _attributes(row) if row.vector else "",
            *map(subject_name, row.subjects),
        )
        if kept == 2:  # noqa: PLR2004 -- as the script says
            # The server is not the one that it was.
            self._vector_sets = None
        return bool(kept)

    def replace(self, row: SealedEntry, *, seal: bytes) -> bool:
        """Write payload and seal of a row if nobody else has."""
        return bool(self._read(scripts.REPLACE, _shelf(row.partition), f"{row.number:016d}", seal, value_of(row)))

    def discard(self, partition: str, numbers: Iterable[int]) -> None:
        """Remove rows."""
        self._remove(_shelf(partition), partition, numbers)

    def erase(self, subject: str, *, at: float) -> int:
        """Remove every row about `subject`, and leave a tombstone. It asks every shelf; the tombstone comes first."""
        name = subject_name(subject)
        tombstones = self._tombstones(subject)
        self._link.run(scripts.BURY, [tombstones], (name, repr(at)))
        return sum(self._write(scripts.SWEEP, shelf, name, repr(at), MARK_MILLISECONDS) for shelf in range(SHELVES))

    def is_erased(self, subjects: Iterable[str], *, asked_at: float) -> bool:
        """Whether one of `subjects` was erased at `asked_at` or later."""
        for subject in subjects:
            key = self._tombstones(subject)
            found = self._link.ask(key, "HGET", key, subject_name(subject))
            # Written as `not (later)`, so that what is no number is refused.
            if found is not None and not asked_at > float(found):
                return True
        return False

    def purge(self, *, now: float, maximum: int) -> int:
        """Remove what is over, and the oldest beyond `maximum`."""
        removed = 0
        for shelf in range(SHELVES):
            names = AT_ONCE
            while names == AT_ONCE:
                names, rows = self._write(scripts.OVER, shelf, repr(now), AT_ONCE)
                removed += rows
        excess = self.count() - maximum
        if excess > 0:
            oldest: list[tuple[int, int]] = []
            for shelf, keys in enumerate(self._keys):
                ages = self._link.ask(keys[3], "ZRANGE", keys[3], 0, excess - 1)
                oldest = heapq.nsmallest(excess, [*oldest, *((int(number), shelf) for number in ages)])
            for shelf in range(SHELVES):
                removed += self._remove(shelf, "", [number for number, on in oldest if on == shelf])
        return removed

    def count(self) -> int:
        """Return the number of rows."""
        return sum(self._link.ask(keys[0], "HLEN", keys[0]) for keys in self._keys)

    def note(self, name: str) -> Note | None:
        """Return a note."""
        found = self._link.ask(self._notes, "HGET", self._notes, name)
        return None if found is None else note_of(found)

    def notes(self) -> dict[str, Note]:
        """Return all notes."""
        flat = self._link.ask(self._notes, "HGETALL", self._notes)
        return {name.decode("utf-8", "replace"): note_of(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}

    def write_note(self, name: str, note: Note, *, seal: bytes | None) -> bool:
        """Write a note if nobody else has."""
        return bool(self._link.run(scripts.WRITE_NOTE, [self._notes], (name, seal or b"", value_of_note(note))))

    def close(self) -> None:
        """Close the link, if it is nobody else's; later calls raise `StoreUnavailable`."""
        if self._closes:
            self._link.close()

    def has_vector_sets(self) -> bool:
        """Whether the servers look for what is similar themselves.

        They are asked at first, when one turns out to have none, and now and then where there are none: servers are replaced by newer ones.

        Raises:
            StoreUnavailable: No server answered in time, and none has ever.
        """
        known = self._vector_sets
        if known or (known is not None and time.monotonic() < self._ask_again_at):
            return known
        self._ask_again_at = time.monotonic() + ASK_AGAIN_SECONDS
        try:
            found = self._link.ask(self._notes, "COMMAND", "INFO", "VADD")
        except StoreError:
            if known is None:
                raise
            return known
        now = bool(found and found[0])
        if now is not known:
            logger.info("similar questions are looked for %s", searched_by(vector_sets=now))
        self._vector_sets = now
        return now

    def say_who_searches(self) -> None:
        """Find out who looks for what is similar, and say so in the log. Servers that give no answer now are asked again later."""
        try:
            self.has_vector_sets()
        except StoreError as error:
            logger.warning("no answers are stored or found for now: %s", str(error).partition(";")[0])

    def near(self, partition: str, vector: bytes, count: int, *, now: float, epochs: str) -> list[tuple[int, float]]:
        """Return numbers and about the cosines of the nearest entries of a partition that are not over, from a vector set.

        Args:
            partition: Where to look.
            vector: float32 numbers of length 1, little-endian.
            count: How many.
            now: POSIX seconds.
            epochs: What `epochs_of` says of the question.
        """
        key = self._bases[_shelf(partition)] + b":vectors:" + partition.encode("ascii")
        kept = f'.epochs == "{epochs}" and (.end == 0 or .end > {now!r})'
        try:
            flat = self._link.ask(key, "VSIM", key, "FP32", vector, "WITHSCORES", "COUNT", count, "FILTER", kept)
        except StoreUnavailable as error:
            if "unknown command" in str(error):
                self._vector_sets = None
            raise
        # A vector set says (1 + cosine) / 2.
        return [(int(number), 2.0 * float(score) - 1.0) for number, score in zip(flat[::2], flat[1::2], strict=True)]

    def _read(self, script: str, shelf: int, *arguments: bytes | str | int) -> Any:  # noqa: ANN401 -- whatever it returns
        with self._mending(shelf):
            return self._link.run(script, self._keys[shelf], arguments)

    def _write(self, script: str, shelf: int, *arguments: bytes | str | int) -> Any:  # noqa: ANN401 -- whatever it returns
        return self._read(script, shelf, self._bases[shelf], int(self.has_vector_sets()), *arguments)

    @contextmanager
    def _mending(self, shelf: int) -> Generator[None, None, None]:
        """Empty a shelf on which something lies that we have not put there: what is lost are answers."""
        try:
            yield
        except StoreCorrupt:
            logger.warning(
                "what lies under %s is not ours; this shelf of the cache is emptied", self._bases[shelf].decode("utf-8", "replace")
            )
            self._link.ask(self._keys[shelf][0], "DEL", *self._keys[shelf])
            raise

    def _remove(self, shelf: int, partition: str, numbers: Iterable[int]) -> int:
        names, removed = [f"{number:016d}" for number in numbers], 0
        for begin in range(0, len(names), AT_ONCE):
            removed += self._write(scripts.DISCARD, shelf, partition, *names[begin : begin + AT_ONCE])
        return removed

    def _tombstones(self, subject: str) -> bytes:
        return self._bases[_shelf(subject_name(subject))] + b":tombstones"


def searched_by(*, vector_sets: bool) -> str:
    """Say who looks for what is similar."""
    return "by the servers, in vector sets" if vector_sets else "by each replica, in an index of its own (the servers have no vector sets)"


def epochs_of(policy_epoch: str, knowledge_epoch: str) -> str:
    """Return a short name of two epochs, in hex digits."""
    return hashlib.sha256(json.dumps([policy_epoch, knowledge_epoch]).encode("ascii")).hexdigest()[:16]


def _attributes(row: SealedEntry) -> str:
    """Return what a vector set may filter by."""
    plain: Any = json.loads(row.payload)
    return json.dumps({"end": row.expires_at or 0, "epochs": epochs_of(plain["policy_epoch"], plain["knowledge_epoch"])})


def _shelf(name: str) -> int:
    """Return the shelf of a partition, of an entry that begins like its partition, or of a subject."""
    try:
        return int(name[:2], 16) % SHELVES
    except ValueError:
        return 0
