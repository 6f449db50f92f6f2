"""One entry at rest: JSON of plain types and a vector, under one seal, so that a row that was altered is never served."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from session_router.cache.keyed import Keyed
from session_router.cache.plain_answers import answer_from_plain, answer_to_plain, finite
from session_router.errors import ConfigurationError, StoreCorrupt, UnreadableLabel
from session_router.identity import checked_key

if TYPE_CHECKING:
    from session_router.core.cached import CachedAnswer

SCHEMA: Final = 3
_PURPOSE: Final = b"session_router.cache.entry"
_TEXTS: Final = ("id", "partition", "text", "category", "policy_epoch", "knowledge_epoch", "model_class")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An answer, and the question that it answered.

    Attributes:
        id: Random; what feedback names.
        partition: 64 hex digits over everything that must be equal.
        exact: Keyed digest of the exact form of the question.
        content: Keyed digest of its content form.
        text: The question: guards and verifier compare it.
        answer: What to replay; its tag is the join of all that went in.
        category: Kind of question.
        policy_epoch: As the question had it.
        knowledge_epoch: As the question had it.
        model_class: As the question had it.
        asked_at: POSIX seconds of the question.
        expires_at: POSIX seconds; `None` for never.
        floor: A similar question is served only above this score of the verifier; rises when a hit was wrong.
        audits: How often a judge has looked at it.
        vector: float32 numbers of length 1, little-endian; empty for none.
    """

    id: str
    partition: str
    exact: bytes
    content: bytes
    text: str
    answer: CachedAnswer
    category: str
    policy_epoch: str
    knowledge_epoch: str
    model_class: str
    asked_at: float
    expires_at: float | None
    floor: float = 0.0
    audits: int = 0
    vector: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedEntry:
    """What a row store keeps of an entry. Nothing but the seal makes any of it true.

    Attributes:
        number: Its place; 0 before it has one. Places are never used again.
        id: To find it by; a copy of what the payload says, as are the next three.
        partition: Its partition.
        exact: Its exact key.
        content: Its content key.
        subjects: Whom it is about, to find it when they are erased.
        expires_at: To find it when it is over.
        payload: JSON, in ASCII.
        vector: As in `Entry`.
        seal: HMAC-SHA256 over payload and vector; 32 bytes.
    """

    number: int
    id: str
    partition: str
    exact: bytes
    content: bytes
    subjects: tuple[str, ...]
    expires_at: float | None
    payload: bytes
    vector: bytes
    seal: bytes


class EntryCodec:
    """Entries to sealed rows and back.

    Args:
        key: 16 bytes or more. Seals use a key derived from it.

    Raises:
        ConfigurationError: The key is too short.
    """

    def __init__(self, key: bytes) -> None:
        self._under = Keyed(hmac.digest(checked_key(key), _PURPOSE, hashlib.sha256))

    def encode(self, entry: Entry, *, number: int = 0) -> SealedEntry:
        """Return `entry` as a sealed row.

        Raises:
            ValueError: A number in it is not finite, or a value is not plain.
            TypeError: Likewise.
        """
        plain = {
            "schema": SCHEMA,
            **{name: getattr(entry, name) for name in _TEXTS},
            "exact": entry.exact.hex(),
            "content": entry.content.hex(),
            "answer": answer_to_plain(entry.answer),
            "asked_at": entry.asked_at,
            "expires_at": entry.expires_at,
            "floor": entry.floor,
            "audits": entry.audits,
        }
        payload = json.dumps(plain, separators=(",", ":"), allow_nan=False).encode("ascii")
        return SealedEntry(
            number=number,
            id=entry.id,
            partition=entry.partition,
            exact=entry.exact,
            content=entry.content,
            subjects=tuple(sorted(entry.answer.tag.subjects)),
            expires_at=entry.expires_at,
            payload=payload,
            vector=entry.vector,
            seal=self.seal(payload, entry.vector),
        )

    def decode(self, row: SealedEntry) -> Entry:
        """Read a row.

        Raises:
            StoreCorrupt: The seal does not fit, or the payload is not an entry of this schema.
        """
        if not self.is_sealed(row):
            msg = "an entry of the cache fails its HMAC: altered, or written with another key; it is evicted."
            raise StoreCorrupt(msg)
        try:
            plain: Any = json.loads(row.payload.decode("ascii"))
            entry = _entry(plain, row.vector)
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError, ConfigurationError, UnreadableLabel) as error:
            msg = f"an entry of the cache is not of schema {SCHEMA} ({type(error).__name__}); it is evicted."
            raise StoreCorrupt(msg) from error
        # The columns are what it was found by; a row that was moved says so here.
        if (entry.id, entry.partition, entry.exact, entry.content) != (row.id, row.partition, row.exact, row.content):
            msg = "an entry of the cache lies in a place that is not its own; it is evicted."
            raise StoreCorrupt(msg)
        return entry

    def is_sealed(self, row: SealedEntry) -> bool:
        """Whether payload and vector are as they were sealed."""
        return self.same(self.seal(row.payload, row.vector), row.seal)

    def seal(self, payload: bytes, beside: bytes = b"") -> bytes:
        """Return the seal of a payload and what lies beside it; 32 bytes."""
        # The length comes first, so that no byte can move between the two.
        return self._under.digest(b"%d:" % len(payload) + payload + beside)

    @staticmethod
    def same(one: bytes, other: bytes) -> bool:
        """Whether two seals are the same, in a time that does not tell where they differ."""
        return hmac.compare_digest(one, other)


def _entry(plain: dict[str, Any], vector: bytes) -> Entry:
    if plain["schema"] != SCHEMA or not all(isinstance(plain[name], str) for name in _TEXTS):
        raise ValueError
    entry = Entry(
        **{name: plain[name] for name in _TEXTS},
        exact=bytes.fromhex(plain["exact"]),
        content=bytes.fromhex(plain["content"]),
        answer=answer_from_plain(plain["answer"]),
        asked_at=finite(plain["asked_at"]),
        expires_at=None if plain["expires_at"] is None else finite(plain["expires_at"]),
        floor=finite(plain["floor"]),
        audits=int(plain["audits"]),
        vector=vector,
    )
    if entry.audits < 0:
        raise ValueError
    return entry
