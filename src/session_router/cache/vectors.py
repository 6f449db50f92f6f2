"""Nearest neighbours in one partition: FAISS with one thread, searched by many and written by one."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from session_router.cache.facts import FACTS, NOTHING_KNOWN, Facts
from session_router.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from numpy.typing import NDArray

GRAPH_ABOVE: Final = 20_000
"""Vectors of one partition above which looking at all of them takes longer than walking a graph."""

NEIGHBOURS: Final = 32
"""Of a vector in the graph (`M` of HNSW, Malkov and Yashunin 2018). At 16 too many near duplicates are not found among 100,000."""

BREADTH: Final = 64
"""Candidates kept while the graph is searched (`efSearch`)."""

MOST_DEAD: Final = 64
"""Vectors without an entry that a flat index may hold: removing one costs as much as removing all."""

MOST_DEAD_SHARE: Final = 0.2
"""Of a graph, which can remove nothing and must be built anew."""

SPARE: Final = 16
"""Neighbours looked at beyond those that were asked for, since some may be dead."""

_COLUMNS: Final = np.dtype([("number", "<i8"), ("live", "?"), ("facts", FACTS)])

_pinned = threading.local()


def faiss_module() -> Any:  # noqa: ANN401 -- a module, whose own types say little
    """Return FAISS, with one OpenMP thread in this thread: a search of its own threads waits for busy cores.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise MissingExtra(extra="cache", package="faiss-cpu", feature="SemanticCache(embedder=...)") from error
    if not getattr(_pinned, "done", False):
        # The setting is one of the thread that makes it.
        faiss.omp_set_num_threads(1)
        _pinned.done = True
    return faiss


class Neighbour(NamedTuple):
    """An entry near a question.

    Attributes:
        number: Of the entry.
        cosine: Of the two vectors.
        facts: What was known of the entry when its vector was added.
    """

    number: int
    cosine: float
    facts: Facts


class VectorIndex:
    """Vectors of length 1 by number, with facts beside them. Many threads may search, one at a time may write.

    Args:
        dimension: Length of a vector.
        graph: Whether to build a graph: inexact, and much faster above `GRAPH_ABOVE` vectors.
    """

    def __init__(self, dimension: int, *, graph: bool) -> None:
        faiss = faiss_module()
        self.graph = graph
        self._index: Any
        if graph:
            self._index = faiss.IndexHNSWFlat(dimension, NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
            self._index.hnsw.efSearch = BREADTH
        else:
            self._index = faiss.IndexFlatIP(dimension)
        # What FAISS calls a vector is its place in these columns.
        self._columns = np.zeros(0, dtype=_COLUMNS)
        self._count = 0
        self._live = 0
        self._access = _Access()

    def __len__(self) -> int:
        """Return how many vectors can be found."""
        return self._live

    @property
    def worn(self) -> bool:
        """Whether it should be built anew."""
        return self._count - self._live > max(MOST_DEAD, MOST_DEAD_SHARE * self._live)

    def add(self, numbers: Sequence[int], vectors: NDArray[np.float32], facts: Sequence[Facts] | None = None) -> None:
        """Add vectors, shape (len(numbers), dimension).

        Args:
            numbers: In ascending order, above all that were ever added.
            vectors: Of length 1.
            facts: As many; nothing is known where there are none.
        """
        faiss_module()
        new = np.zeros(len(numbers), dtype=_COLUMNS)
        new["number"], new["live"] = numbers, True
        new["facts"] = np.array([NOTHING_KNOWN] * len(numbers) if facts is None else facts, dtype=FACTS)
        with self._access.writing():
            self._index.add(np.ascontiguousarray(vectors))
            if self._count + len(new) > len(self._columns):
                spare = np.zeros(len(new) + self._count // 4, dtype=_COLUMNS)
                self._columns = np.concatenate([self._columns[: self._count], spare])
            self._columns[self._count : self._count + len(new)] = new
            self._count += len(new)
            self._live += len(new)

    def search(self, vector: NDArray[np.float32], count: int) -> list[Neighbour]:
        """Return at most `count` nearest vectors, nearest first.

        Args:
            vector: Shape (dimension,), of length 1.
            count: How many.
        """
        faiss_module()
        with self._access.reading():
            wanted = min(count + min(self._count - self._live, SPARE), self._count) or 1
            cosines, places = self._index.search(vector.reshape(1, -1), wanted)
            if places[0, -1] < 0:
                # What is not there has the place -1, and they come last.
                places = places[:, : np.count_nonzero(places[0] >= 0)]
            found = zip(self._columns[places[0]].tolist(), cosines[0].tolist(), strict=False)
        return [Neighbour(number, cosine, Facts(*facts)) for (number, live, facts), cosine in found if live][:count]

    def discard(self, numbers: Iterable[int]) -> None:
        """Let `numbers` be found no more. Flat vectors are removed in batches, those of a graph when it is built anew."""
        with self._access.writing():
            self._bury(numbers)
            if not self.graph and self.worn:
                self._remove()

    def remove(self, numbers: Iterable[int]) -> bool:
        """Remove vectors from memory now, together with those discarded before; return whether that was possible."""
        with self._access.writing():
            self._bury(numbers)
            if self.graph:
                return self._live == self._count
            self._remove()
            return True

    def numbers(self) -> frozenset[int]:
        """Return the numbers that can be found."""
        with self._access.reading():
            columns = self._columns[: self._count]
            return frozenset(columns["number"][columns["live"]].tolist())

    def _bury(self, numbers: Iterable[int]) -> None:
        columns = self._columns[: self._count]
        gone = np.unique(np.fromiter(numbers, dtype=np.int64))
        places = np.searchsorted(columns["number"], gone)
        there = places < self._count
        places, gone = places[there], gone[there]
        places = places[(columns["number"][places] == gone) & columns["live"][places]]
        columns["live"][places] = False
        self._live -= len(places)

    def _remove(self) -> None:
        dead = np.flatnonzero(~self._columns["live"][: self._count])
        if len(dead):
            self._index.remove_ids(dead)
            # Those behind move up, in FAISS as here.
            self._columns = np.delete(self._columns[: self._count], dead)
            self._count = self._live


class _Access:
    """Many readers or one writer: FAISS promises nothing for searches during a write. A waiting writer goes before new readers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._writers = 0
        self._writing = False

    @contextmanager
    def reading(self) -> Generator[None, None, None]:
        with self._changed:
            while self._writing or self._writers:
                self._changed.wait()
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                if not self._readers and self._writers:
                    self._changed.notify_all()

    @contextmanager
    def writing(self) -> Generator[None, None, None]:
        with self._changed:
            self._writers += 1
            while self._writing or self._readers:
                self._changed.wait()
            self._writers -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
