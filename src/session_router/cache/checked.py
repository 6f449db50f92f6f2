"""What is checked of a row after it was fetched, whatever it was found by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.core.cached import MissReason
from session_router.core.governance import permits
from session_router.errors import StoreCorrupt, StoreError

if TYPE_CHECKING:
    from session_router.cache.asked import Asked
    from session_router.cache.counts import Counts
    from session_router.cache.entry import Entry, EntryCodec, SealedEntry
    from session_router.cache.indexes import VectorIndexes
    from session_router.cache.redis_indexes import RedisIndexes
    from session_router.cache.rows import EntryRows
    from session_router.core.cached import CacheQuestion


class Checks:
    """Turns rows into entries that may be served, and evicts those that never may again.

    Args:
        rows: Where they lie.
        codec: Checks their seals.
        counts: What is told.

    Attributes:
        indexes: Told of evictions; `None` where there are no vectors.
    """

    def __init__(self, rows: EntryRows, codec: EntryCodec, counts: Counts) -> None:
        self._rows, self._codec, self._counts = rows, codec, counts
        self.indexes: VectorIndexes | RedisIndexes | None = None

    def checked(self, row: SealedEntry, asked: Asked) -> Entry | MissReason:
        """Return the entry in `row` if it may answer `asked`, as far as that does not depend on the text.

        Raises:
            StoreError: The rows gave no answer.
        """
        try:
            entry = self._codec.decode(row)
        except StoreCorrupt:
            return self.tampered(row)
        if entry.partition != asked.partition:
            return self.tampered(row)
        question = asked.question
        if self._is_over(entry, question):
            return self._over(row)
        tag = entry.answer.tag
        if not permits(tag, question.reader, now=question.now, purpose=question.purpose):
            return MissReason.NOT_PERMITTED
        return entry

    def _is_over(self, entry: Entry, question: CacheQuestion) -> bool:
        stored = (entry.policy_epoch, entry.knowledge_epoch, entry.model_class)
        if stored != (question.policy_epoch, question.knowledge_epoch, question.model_class):
            return True
        # Written as `not (now < end)`, so that a clock that is no number serves nothing.
        if entry.expires_at is not None and not question.now < entry.expires_at:
            return True
        subjects = entry.answer.tag.subjects
        return bool(subjects) and self._rows.is_erased(subjects, asked_at=entry.asked_at)

    def tampered(self, row: SealedEntry) -> MissReason:
        """Evict and count a row that failed its checks."""
        self._counts.add("evicted.tampered")
        self._evict(row)
        return MissReason.TAMPERED

    def _over(self, row: SealedEntry) -> MissReason:
        self._counts.add("evicted.expired")
        self._evict(row)
        return MissReason.EXPIRED

    def _evict(self, row: SealedEntry) -> None:
        try:
            self._rows.discard(row.partition, [row.number])
            if self.indexes is not None:
                self.indexes.discard(row.partition, row.number)
        except StoreError as error:
            # It is not served all the same; the next one to meet it tries again.
            self._counts.failed("evict", error)
