"""Who may meet whose answers: an HMAC over everything that must be equal. Partition first, similarity second."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from session_router.cache.keyed import Keyed
from session_router.core.cached import is_confined
from session_router.identity import checked_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_router.core.cached import CacheQuestion
    from session_router.core.governance import Tag

FIELDS: Final = (
    "tenant",
    "scope",
    "session",
    "tag_class",
    "policy_epoch",
    "knowledge_epoch",
    "model_class",
    "system",
    "tools",
    "settings",
    "before",
    "locale",
    "embedder",
)
"""In the order in which they are encoded. A field that comes, goes or moves makes every partition a new one."""

CONVERSATION: Final = frozenset({"session", "before"})
"""Fields that differ from one conversation to the next."""

_DERIVED: Final = frozenset({"session", "tag_class", "embedder"})
"""Fields that are not of a question as they stand there."""

LEAST_DIGEST_BYTES: Final = 16
_PURPOSE: Final = b"session_router.cache.partition 1"
_TENANTS: Final = 1_024


class Partitions:
    """Derives partitions. Safe to use from many threads.

    Args:
        key: 16 bytes or more; the partitions of a tenant use a key derived from it and the tenant's name.
        embedder: Fingerprint of the embedder; empty for none.
        fields: What must be equal.

    Raises:
        ConfigurationError: The key is too short.
    """

    def __init__(self, key: bytes, *, embedder: str, fields: Sequence[str] = FIELDS) -> None:
        self._key = hmac.digest(checked_key(key), _PURPOSE, hashlib.sha256)
        self._embedder = embedder
        self._fields = tuple(fields)
        self._family_fields = tuple(field for field in fields if field not in CONVERSATION)
        self._tenant_key = lru_cache(maxsize=_TENANTS)(self._derived_key)
        self._under = lru_cache(maxsize=_TENANTS)(Keyed)

    def partition(self, question: CacheQuestion) -> str | None:
        """Return 64 hex digits, or `None` when something that must be equal is not known: then there is no look-up."""
        return None if _lacks(question) else self._digest(b"partition", question, self._fields)

    def family(self, question: CacheQuestion) -> str | None:
        """Return what the partitions of different conversations under the same conditions have in common, or `None`."""
        return None if _lacks(question) else self._digest(b"family", question, self._family_fields)

    def _digest(self, kind: bytes, question: CacheQuestion, fields: Sequence[str]) -> str:
        values = [self._value(field, question) if field in _DERIVED else getattr(question, field) for field in fields]
        message = kind + b"".join(map(_encoded, values))
        return self._under(self._tenant_key(question.tenant)).digest(message).hex()

    def _value(self, field: str, question: CacheQuestion) -> str | bytes | None:
        if field == "embedder":
            return self._embedder
        if field == "tag_class":
            return tag_class(question.tag)
        if field == "session":
            # What is believed may be shared between sessions.
            return question.session if is_confined(question.tag) else None
        value: str | bytes | None = getattr(question, field)
        return value

    def _derived_key(self, tenant: str | None) -> bytes:
        return hmac.digest(self._key, _encoded(tenant), hashlib.sha256)


@lru_cache(maxsize=1_024)
def tag_class(tag: Tag) -> bytes:
    """Return what two tags must have in common for their holders to share answers: all but whom it is about, and until when."""
    sets = (tag.categories, tag.regions, tag.purposes, tag.tenants)
    flags = (str(int(tag.level)), str(tag.no_train), str(tag.zero_retention), str(tag.integrity))
    return b"".join([*map(_encoded, flags), *map(_encoded_set, sets)])


def _lacks(question: CacheQuestion) -> bool:
    if not question.scope or (is_confined(question.tag) and not question.session):
        return True
    if not (question.policy_epoch and question.knowledge_epoch and question.model_class):
        return True
    digests = (question.system, question.tools, question.settings, question.before)
    return min(map(len, digests)) < LEAST_DIGEST_BYTES


def _encoded(value: str | bytes | None) -> bytes:
    # A length before each value, and marks for absent ones and for kinds, so that no two tuples of values read alike.
    if value is None:
        return b"-"
    if isinstance(value, bytes):
        return b"=%d:" % len(value) + value
    raw = value.encode("utf-8", "surrogatepass")
    return b"+%d:" % len(raw) + raw


def _encoded_set(values: frozenset[str] | None) -> bytes:
    if values is None:
        return b"-"
    return b"*%d:" % len(values) + b"".join(map(_encoded, sorted(values)))
