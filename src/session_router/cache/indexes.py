"""The vector indexes of a cache: one for each partition that was asked, always built from checked rows."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np

from session_router.cache.facts import Labels
from session_router.cache.remembering import forget
from session_router.cache.vectors import GRAPH_ABOVE, VectorIndex
from session_router.errors import StoreCorrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from session_router.cache.background import Background
    from session_router.cache.entry import EntryCodec, SealedEntry
    from session_router.cache.facts import Facts
    from session_router.cache.rows import EntryRows, Standing
    from session_router.cache.vectors import Neighbour
    from session_router.core.cached import CacheQuestion

FLAT_AT_ONCE: Final = 500
"""Rows that a look-up may read into a flat index before it searches: some milliseconds."""

GRAPH_AT_ONCE: Final = 8
"""The same for a graph, where one row takes a millisecond or so."""

_BATCH: Final = 1_000


@dataclass(slots=True, kw_only=True)
class _Held:
    index: VectorIndex
    read: int
    erasures: int
    catching_up: Lock = field(default_factory=Lock)


class VectorIndexes:
    """Searches partitions. Safe to use from many threads.

    Args:
        rows: Where the entries lie.
        codec: Checks them.
        dimension: Length of a vector.
        background: Builds what would keep a look-up waiting.
        on_tampered: Told about rows that fail their checks.
        outline: Of a question, for whom it shall be known without reading the row. Takes its time, and is asked in the background only.
        graph_above: Vectors of a partition above which it gets a graph.
        maximum_vectors: Kept in memory, over all partitions; those not asked for the longest time go first.

    Attributes:
        labels: What the facts beside the vectors speak of.
    """

    def __init__(
        self,
        rows: EntryRows,
        codec: EntryCodec,
        *,
        dimension: int,
        background: Background,
        on_tampered: Callable[[SealedEntry], object],
        outline: Callable[[str], bytes] | None = None,
        graph_above: int = GRAPH_ABOVE,
        maximum_vectors: int = 2_000_000,
    ) -> None:
        self._rows, self._codec, self._background = rows, codec, background
        self._dimension, self._graph_above, self._maximum = dimension, graph_above, maximum_vectors
        self._on_tampered, self._outline = on_tampered, outline
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._building: set[str] = set()
        self._guard = Lock()
        self.labels = Labels()

    def search(
        self, partition: str, vector: NDArray[np.float32], count: int, *, question: CacheQuestion | None = None
    ) -> list[Neighbour] | None:
        """Return the nearest entries of a partition, nearest first; `None` while its index is being built.

        Raises:
            StoreError: The rows gave no answer.
        """
        del question  # for indexes that can leave out what is over
        standing = self._rows.standing(partition)
        if not standing.newest:
            return []
        held = self._current(partition, standing)
        return None if held is None else held.index.search(vector, count)

    def discard(self, partition: str, number: int) -> None:
        """Take notice that an entry is gone."""
        with self._guard:
            held = self._held.get(partition)
        if held is not None:
            held.index.discard([number])

    def read_new(self, partition: str) -> None:
        """Read new rows of a partition that is in memory, so that the next look-up need not."""
        with self._guard:
            held = self._held.get(partition)
        if held is not None:
            self._current(partition, self._rows.standing(partition))

    def tidy(self) -> None:
        """Drop from memory the vectors of entries that are gone."""
        with self._guard:
            held = list(self._held.items())
        for partition, one in held:
            there = frozenset(self._rows.numbers(partition))
            one.index.discard(one.index.numbers() - there)
            if one.index.worn:
                self._build_later(partition)

    def erased(self) -> None:
        """Remove from memory the vectors of what was erased.

        Raises:
            StoreError: The rows gave no answer; what is left can be found by nobody.
        """
        with self._guard:
            held = list(self._held.items())
        for partition, one in held:
            standing = self._rows.standing(partition)
            if one.erasures != standing.erasures:
                self._erased(partition, one, standing)

    def drop(self) -> None:
        """Forget every index; each is built anew when it is asked."""
        with self._guard:
            self._held.clear()

    def __len__(self) -> int:
        """Return the number of vectors in memory that can be found."""
        with self._guard:
            return sum(len(held.index) for held in self._held.values())

    def _current(self, partition: str, standing: Standing) -> _Held | None:
        with self._guard:
            held = self._held.get(partition)
            if held is not None:
                self._held.move_to_end(partition)
        if held is not None and held.erasures != standing.erasures:
            held = self._erased(partition, held, standing)
        if held is None:
            return self._first(partition, standing)
        if standing.newest > held.read and held.catching_up.acquire(blocking=False):
            try:
                self._catch_up(partition, held)
            finally:
                held.catching_up.release()
        index = held.index
        if index.worn or (not index.graph and len(index) > self._graph_above):
            self._build_later(partition)
        return held

    def _first(self, partition: str, standing: Standing) -> _Held | None:
        rows = self._rows.after(partition, 0, FLAT_AT_ONCE + 1)
        if len(rows) > FLAT_AT_ONCE:
            self._build_later(partition)
            return None
        held = _Held(index=VectorIndex(self._dimension, graph=False), read=0, erasures=standing.erasures)
        self._read(held, rows)
        held.read = max(held.read, standing.newest)
        return self._hold(partition, held)

    def _erased(self, partition: str, held: _Held, standing: Standing) -> _Held | None:
        """Remove what was erased from memory; a graph cannot, and is built anew."""
        forget()
        gone = held.index.numbers() - frozenset(self._rows.numbers(partition))
        if not held.index.remove(gone):
            with self._guard:
                self._held.pop(partition, None)
            return None
        held.erasures = standing.erasures
        return held

    def _catch_up(self, partition: str, held: _Held) -> None:
        at_once = GRAPH_AT_ONCE if held.index.graph else FLAT_AT_ONCE
        rows = self._rows.after(partition, held.read, at_once + 1)
        self._read(held, rows[:at_once])
        if len(rows) > at_once:
            self._build_later(partition)

    def _read(self, held: _Held, rows: Sequence[SealedEntry], *, outlined: bool = False) -> None:
        """Add the vectors of rows that pass their checks."""
        numbers: list[int] = []
        vectors: list[NDArray[np.float32]] = []
        facts: list[Facts] = []
        for row in rows:
            try:
                entry = self._codec.decode(row)
            except StoreCorrupt:
                self._on_tampered(row)
                continue
            if len(row.vector) == 4 * self._dimension:
                numbers.append(row.number)
                vectors.append(np.frombuffer(row.vector, dtype="<f4"))
                outline = self._outline(entry.text) if outlined and self._outline is not None else b""
                facts.append(self.labels.facts(entry, row.seal, outline=outline))
        if numbers:
            held.index.add(numbers, np.stack(vectors), facts)
        if rows:
            held.read = rows[-1].number

    def _build_later(self, partition: str) -> None:
        with self._guard:
            if partition in self._building:
                return
            self._building.add(partition)
        if not self._background.submit(lambda: self._build(partition)):
            with self._guard:
                self._building.discard(partition)

    def _build(self, partition: str) -> None:
        try:
            standing = self._rows.standing(partition)
            graph = len(self._rows.numbers(partition)) > self._graph_above
            held = _Held(index=VectorIndex(self._dimension, graph=graph), read=0, erasures=standing.erasures)
            while rows := self._rows.after(partition, held.read, _BATCH):
                self._read(held, rows, outlined=True)
            # Erased meanwhile: the next look-up finds the count changed, and removes it.
            self._hold(partition, held)
        finally:
            with self._guard:
                self._building.discard(partition)

    def _hold(self, partition: str, held: _Held) -> _Held:
        with self._guard:
            self._held[partition] = held
            self._held.move_to_end(partition)
            total = sum(len(one.index) for one in self._held.values()) if len(self._held) % 64 == 0 else 0
            while total > self._maximum and len(self._held) > 1:
                _, oldest = self._held.popitem(last=False)
                total -= len(oldest.index)
        return held
