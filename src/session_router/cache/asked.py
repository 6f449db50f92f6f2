"""A question with its partition and its keys."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from session_router.cache.keyed import Keyed
from session_router.cache.text_forms import content_form_of, exact_form
from session_router.cache.time_relative import time_relative
from session_router.core.cached import CacheMiss, MissReason
from session_router.core.value import value
from session_router.identity import checked_key

if TYPE_CHECKING:
    from session_router.cache.partition import Partitions
    from session_router.core.cached import CacheQuestion

_PURPOSE: Final = b"session_router.cache.asked"


@value
class Asked:
    """A question with its partition and its keys.

    Attributes:
        question: The question.
        partition: 64 hex digits.
        form: Exact form of its text.
        exact: Keyed digest of partition and exact form, 32 bytes; stands for the question wherever its text is not needed.
    """

    question: CacheQuestion
    partition: str
    form: str
    exact: bytes


class Asking:
    """Derives keys. A digest of a text alone could be guessed by who knows likely texts; a keyed one cannot.

    Args:
        key: 16 bytes or more.
        partitions: Derives partitions.

    Raises:
        ConfigurationError: The key is too short.
    """

    def __init__(self, key: bytes, partitions: Partitions) -> None:
        self._under = Keyed(hmac.digest(checked_key(key), _PURPOSE, hashlib.sha256))
        self._partitions = partitions

    def asked(self, question: CacheQuestion) -> Asked | CacheMiss:
        """Return `question` with its keys, or why there is nothing to look up."""
        if question.untold:
            return CacheMiss(reason=MissReason.NOT_CACHEABLE, detail=f"not all is told: {question.untold}")
        partition = self._partitions.partition(question)
        if partition is None:
            return CacheMiss(reason=MissReason.NO_PARTITION)
        exact = exact_form(question.text)
        if not exact:
            return CacheMiss(reason=MissReason.NOT_CACHEABLE, detail="there is no text")
        # "And in Paris?" goes on with what was asked before, and stays true no longer than the answer to that.
        for text in (question.text, *question.recent):
            if reason := time_relative(text):
                return CacheMiss(reason=MissReason.NOT_CACHEABLE, detail=reason)
        return Asked(
            question=question,
            partition=partition,
            form=exact,
            exact=self._keyed(b"exact", partition, exact),
        )

    def content_key(self, asked: Asked) -> bytes:
        """Return the keyed digest of partition and content form, 32 bytes. It takes longer, and is often not needed."""
        return self._keyed(b"content", asked.partition, content_form_of(asked.form))

    def _keyed(self, kind: bytes, partition: str, form: str) -> bytes:
        return self._under.digest(kind + partition.encode("ascii") + form.encode("utf-8", "surrogatepass"))
