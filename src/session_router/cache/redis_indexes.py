"""Who looks for what is similar, where entries lie in Redis: its vector sets, or an index in this process where it has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.cache.facts import NOTHING_KNOWN
from session_router.cache.redis_rows import epochs_of
from session_router.cache.vectors import Neighbour

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from session_router.cache.indexes import VectorIndexes
    from session_router.cache.redis_rows import RedisEntryRows
    from session_router.core.cached import CacheQuestion


class RedisIndexes:
    """Searches partitions in vector sets, and without them in `local`. Safe to use from many threads.

    Args:
        rows: Where the entries lie; a script that keeps or removes a row does the same with its vector.
        local: Searches where the servers cannot.

    Attributes:
        labels: Of `local`: of what a vector set finds, nothing is known before it is read.
    """

    def __init__(self, rows: RedisEntryRows, local: VectorIndexes) -> None:
        self._rows, self._local = rows, local
        self.labels = local.labels

    def search(self, partition: str, vector: NDArray[np.float32], count: int, *, question: CacheQuestion) -> list[Neighbour] | None:
        """Return the nearest entries of a partition, about nearest first; `None` while an index is being built.

        Raises:
            StoreError: The rows gave no answer.
        """
        if not self._rows.has_vector_sets():
            return self._local.search(partition, vector, count, question=question)
        epochs = epochs_of(question.policy_epoch, question.knowledge_epoch)
        found = self._rows.near(partition, vector.tobytes(), count, now=question.now, epochs=epochs)
        return [Neighbour(number, cosine, NOTHING_KNOWN) for number, cosine in found]

    def discard(self, partition: str, number: int) -> None:
        """Take notice that an entry is gone."""
        self._local.discard(partition, number)
        if self._rows.has_vector_sets():
            # A vector without a row: whoever removed the row did not know of vector sets.
            self._rows.discard(partition, [number])

    def read_new(self, partition: str) -> None:
        """Read new rows of a partition that is in memory."""
        self._local.read_new(partition)

    def tidy(self) -> None:
        """Drop from memory the vectors of entries that are gone."""
        self._local.tidy()

    def erased(self) -> None:
        """Remove from memory the vectors of what was erased.

        Raises:
            StoreError: The rows gave no answer.
        """
        self._local.erased()

    def drop(self) -> None:
        """Forget every index in memory."""
        self._local.drop()

    def __len__(self) -> int:
        """Return the number of vectors in memory that can be found."""
        return len(self._local)
