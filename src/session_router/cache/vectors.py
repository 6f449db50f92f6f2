"""Nearest neighbours in one partition: FAISS with one thread, searched by many and written by one."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

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


class VectorIndex:
    """Vectors of length 1 by number. Many threads may search, one at a time may write.

    Args:
        dimension: Length of a vector.
        graph: Whether to build a graph: inexact, and much faster above `GRAPH_ABOVE` vectors.
    """

    def __init__(self, dimension: int, *, graph: bool) -> None:
        faiss = faiss_module()
        self.graph = graph
        self._inner: Any
        if graph:
            self._inner = faiss.IndexHNSWFlat(dimension, NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
            self._inner.hnsw.efSearch = BREADTH
        else:
            self._inner = faiss.IndexFlatIP(dimension)
        self._index: Any = faiss.IndexIDMap2(self._inner)
        self._numbers: set[int] = set()
        self._dead: set[int] = set()
        self._access = _Access()

    def __len__(self) -> int:
        """Return how many vectors can be found."""
        return len(self._numbers)

    @property
    def worn(self) -> bool:
        """Whether it should be built anew."""
        return len(self._dead) > max(MOST_DEAD, MOST_DEAD_SHARE * len(self._numbers))

    def add(self, numbers: Sequence[int], vectors: NDArray[np.float32]) -> None:
        """Add vectors, shape (len(numbers), dimension), under numbers that were never used."""
        faiss_module()
        with self._access.writing():
            self._index.add_with_ids(np.ascontiguousarray(vectors), np.array(numbers, dtype=np.int64))
            self._numbers.update(numbers)

    def search(self, vector: NDArray[np.float32], count: int) -> list[tuple[int, float]]:
        """Return the numbers and cosines of at most `count` nearest vectors, nearest first.

        Args:
            vector: Shape (dimension,), of length 1.
            count: How many.
        """
        faiss_module()
        with self._access.reading():
            wanted = count + min(len(self._dead), SPARE)
            cosines, numbers = self._index.search(vector.reshape(1, -1), min(wanted, len(self._numbers) + len(self._dead)) or 1)
            found = zip(numbers[0].tolist(), cosines[0].tolist(), strict=True)
            # What is not there has the number -1.
            return [(number, cosine) for number, cosine in found if number in self._numbers][:count]

    def discard(self, numbers: Iterable[int]) -> None:
        """Let `numbers` be found no more. Flat vectors are removed in batches, those of a graph when it is built anew."""
        with self._access.writing():
            gone = self._numbers.intersection(numbers)
            self._numbers -= gone
            self._dead |= gone
            if not self.graph and self.worn:
                self._remove()

    def remove(self, numbers: Iterable[int]) -> bool:
        """Remove vectors from memory now, together with those discarded before; return whether that was possible."""
        with self._access.writing():
            gone = self._numbers.intersection(numbers)
            self._numbers -= gone
            self._dead |= gone
            if self.graph:
                return not self._dead
            self._remove()
            return True

    def numbers(self) -> frozenset[int]:
        """Return the numbers that can be found."""
        with self._access.reading():
            return frozenset(self._numbers)

    def _remove(self) -> None:
        if self._dead:
            self._index.remove_ids(np.array(sorted(self._dead), dtype=np.int64))
            self._dead.clear()


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
