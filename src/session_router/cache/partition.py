"""Who may meet whose answers: an HMAC over everything that must be equal. Partition first, similarity second."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from session_router.cache.keyed import Keyed
from session_router.cache.remembering import remembered
from session_router.core.cached import is_confined
from session_router.core.governance import Tag
from session_router.identity import checked_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_router.core.cached import CacheQuestion

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
_REMEMBERED: Final = 4_096
"""Partitions. Of many conversations the first questions are in one, and those of one session are looked up more than once."""


class _Told(NamedTuple):
    """What a partition is derived from, as a question has it. Where it is equal, the partition is."""

    tag: Tag
    tenant: str | None
    scope: str | None
    policy_epoch: str
    knowledge_epoch: str
    model_class: str
    system: bytes
    tools: bytes
    settings: bytes
    before: bytes
    locale: str
    session: str | None


_told_of = attrgetter(*_Told._fields[:-1])


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
        # What is believed may be shared between sessions.
        return _partition(self, (*_told_of(question), question.session if is_confined(question.tag) else None))

    def derived(self, told: _Told) -> str | None:
        """Return what `partition` returns for such a question."""
        return None if _lacks(told) else self._digest(b"partition", told, self._fields)

    def family(self, question: CacheQuestion) -> str | None:
        """Return what the partitions of different conversations under the same conditions have in common, or `None`."""
        return None if _lacks(question) else self._digest(b"family", question, self._family_fields)

    def _digest(self, kind: bytes, question: CacheQuestion | _Told, fields: Sequence[str]) -> str:
        values = [self._value(field, question) if field in _DERIVED else getattr(question, field) for field in fields]
        message = kind + b"".join(map(_encoded, values))
        return self._under(self._tenant_key(question.tenant)).digest(message).hex()

    def _value(self, field: str, question: CacheQuestion | _Told) -> str | bytes | None:
        if field == "embedder":
            return self._embedder
        if field == "tag_class":
            return tag_class(question.tag)
        if field == "session":
            return question.session if is_confined(question.tag) else None
        value: str | bytes | None = getattr(question, field)
        return value

    def _derived_key(self, tenant: str | None) -> bytes:
        return hmac.digest(self._key, _encoded(tenant), hashlib.sha256)


@remembered(_REMEMBERED)
def _partition(partitions: Partitions, told: tuple[Any, ...]) -> str | None:
    return partitions.derived(_Told._make(told))


@lru_cache(maxsize=1_024)
def tag_class(tag: Tag) -> bytes:
    """Return what two tags must have in common for their holders to share answers: all but whom it is about, and until when."""
    sets = (tag.categories, tag.regions, tag.purposes, tag.tenants)
    flags = (str(int(tag.level)), str(tag.no_train), str(tag.zero_retention), str(tag.integrity))
    return b"".join([*map(_encoded, flags), *map(_encoded_set, sets)])


def _lacks(question: CacheQuestion | _Told) -> bool:
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
