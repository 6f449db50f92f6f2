"""Nearest neighbours in one partition: FAISS with one thread, searched by many and written by one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from session_router.cache.facts import NOTHING_KNOWN, Columns, Facts
from session_router.core.value import new_tuple
from session_router.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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


class _Room:
    """Where one thread hands FAISS a vector and takes what it found.

    `Index.search` of its Python package makes two arrays for each search, and asks for the kind of each of three: among the many things
    that a search has driven out of the processor's caches, this takes a tenth of what the search itself takes.
    """

    def __init__(self, dimension: int, count: int) -> None:
        pointer = faiss_module().swig_ptr
        self.count = count
        self.vector = np.zeros(dimension, dtype=np.float32)
        self.cosines, self.places = np.zeros(count, dtype=np.float32), np.zeros(count, dtype=np.int64)
        # Read in this way they need nothing else of numpy.
        self.cosines_found, self.places_found = self.cosines.data, self.places.data
        self.at_vector, self.at_cosines, self.at_places = pointer(self.vector), pointer(self.cosines), pointer(self.places)


class _Rooms(threading.local):
    def __init__(self) -> None:
        self.by_dimension: dict[int, _Room] = {}


_rooms = _Rooms()


def _room(dimension: int, count: int) -> _Room:
    room = _rooms.by_dimension.get(dimension)
    if room is None or room.count < count:
        room = _rooms.by_dimension[dimension] = _Room(dimension, count)
    return room


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
        self.graph, self._dimension = graph, dimension
        self._index: Any
        if graph:
            self._index = faiss.IndexHNSWFlat(dimension, NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
            self._index.hnsw.efSearch = BREADTH
        else:
            self._index = faiss.IndexFlatIP(dimension)
        # What FAISS calls a vector is its place in the columns.
        self._columns = Columns()
        self._access = _Access()

    def __len__(self) -> int:
        """Return how many vectors can be found."""
        return self._columns.live

    @property
    def worn(self) -> bool:
        """Whether it should be built anew."""
        columns = self._columns
        dead = columns.count - columns.live
        return dead > MOST_DEAD and dead > MOST_DEAD_SHARE * columns.live

    @property
    def kind(self) -> str:
        """What it is, for people."""
        return f"HNSW, M {NEIGHBOURS}, efSearch {BREADTH}" if self.graph else "flat"

    def add(self, numbers: Sequence[int], vectors: NDArray[np.float32], facts: Sequence[Facts] | None = None) -> None:
        """Add vectors, shape (len(numbers), dimension).

        Args:
            numbers: In ascending order, above all that were ever added.
            vectors: Of length 1.
            facts: As many; nothing is known where there are none.
        """
        faiss_module()
        with self._access.writing:
            self._index.add(np.ascontiguousarray(vectors))
            self._columns.append(numbers, [NOTHING_KNOWN] * len(numbers) if facts is None else facts)

    def search(self, vector: NDArray[np.float32], count: int) -> list[Neighbour]:
        """Return at most `count` nearest vectors, nearest first.

        Args:
            vector: Shape (dimension,), of length 1.
            count: How many.
        """
        room = _room(self._dimension, count + SPARE)
        room.vector[:] = vector
        access, columns = self._access, self._columns
        found: list[Neighbour] = []
        access.read()
        try:
            wanted = min(count + min(columns.count - columns.live, SPARE), columns.count) or 1
            self._index.search_c(1, room.at_vector, wanted, room.at_cosines, room.at_places)
            for place, cosine, _ in zip(room.places_found, room.cosines_found, range(wanted), strict=False):
                # What is not there has the place -1.
                entry = columns.at(place) if place >= 0 else None
                if entry is not None:
                    found.append(new_tuple(Neighbour, (entry[0], cosine, entry[1])))
        finally:
            access.done()
        return found[:count]

    def discard(self, numbers: Iterable[int]) -> None:
        """Let `numbers` be found no more. Flat vectors are removed in batches, those of a graph when it is built anew."""
        with self._access.writing:
            self._columns.bury(numbers)
            if not self.graph and self.worn:
                self._remove()

    def remove(self, numbers: Iterable[int]) -> bool:
        """Remove vectors from memory now, together with those discarded before; return whether that was possible."""
        with self._access.writing:
            self._columns.bury(numbers)
            if self.graph:
                return not self._dead
            self._remove()
            return True

    def numbers(self) -> frozenset[int]:
        """Return the numbers that can be found."""
        self._access.read()
        try:
            return frozenset(self._columns.numbers().tolist())
        finally:
            self._access.done()

    @property
    def _dead(self) -> int:
        return self._columns.count - self._columns.live

    def _remove(self) -> None:
        if self._dead:
            self._index.remove_ids(self._columns.dead())
            # Those behind move up, in FAISS as here.
            self._columns.close_up()


class _Access:
    """Many readers or one writer: FAISS promises nothing for searches during a write. A waiting writer goes before new readers.

    Attributes:
        lock: Of the other attributes; that of `changed`, taken without its detour.
        changed: Tells who waits.
        readers: Who read now.
        writers: Who wait to write.
        writes: Whether somebody writes now.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.readers = 0
        self.writers = 0
        self.writes = False
        self.writing = _Writing(self)

    def read(self) -> None:
        """Wait until nobody writes; `done` must follow."""
        with self.lock:
            while self.writes or self.writers:
                self.changed.wait()
            self.readers += 1

    def done(self) -> None:
        """Have read."""
        with self.lock:
            self.readers -= 1
            if not self.readers and self.writers:
                self.changed.notify_all()


class _Writing:
    def __init__(self, access: _Access) -> None:
        self._access = access

    def __enter__(self) -> None:
        access = self._access
        with access.lock:
            access.writers += 1
            while access.writes or access.readers:
                access.changed.wait()
            access.writers -= 1
            access.writes = True

    def __exit__(self, *error: object) -> None:
        access = self._access
        with access.lock:
            access.writes = False
            access.changed.notify_all()
