"""Vectors of texts that were seen before, without the texts."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from session_router.ports import Embedder


class CachingEmbedder:
    """Remembers the vectors of the texts that were used last. Passes `testing.EmbedderSuite`.

    No text is kept: a vector is filed under a digest, whose key is made anew for every instance, so that nobody can look up a
    text that they guess. A text that stands several times in one request is embedded once. Safe for threads and event loops;
    two that ask for the same new text at the same moment both reach the embedder, unless it is a `BatchingEmbedder`.

    Args:
        embedder: Any embedder.
        maximum_entries: Vectors kept; each takes four bytes a dimension, and some two hundred for its place. The one that was
            not used for the longest time goes first.
    """

    def __init__(self, embedder: Embedder, *, maximum_entries: int = 10_000) -> None:
        if maximum_entries < 1:
            raise ConfigurationError(key="maximum_entries", value=maximum_entries, rule="give a number above 0.")
        self._embedder = embedder
        self._maximum = maximum_entries
        self._key = os.urandom(32)
        self._vectors: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        self._guard = Lock()

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._embedder.dimension

    @property
    def fingerprint(self) -> str:
        """That of the embedder within: the vectors are its own."""
        return self._embedder.fingerprint

    def __len__(self) -> int:
        """Return the number of vectors kept."""
        return len(self._vectors)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return what the embedder within returns; it is asked for what is not remembered."""
        digests = [self._digest(text) for text in texts]
        known = self._look_up(digests)
        new = _new(texts, digests, known)
        rows = self._embedder.embed(list(new.values())) if new or not texts else None
        return self._assemble(digests, known, new, rows)

    async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Do what `embed` does without blocking the event loop."""
        digests = [self._digest(text) for text in texts]
        known = self._look_up(digests)
        new = _new(texts, digests, known)
        rows = await self._embedder.aembed(list(new.values())) if new or not texts else None
        return self._assemble(digests, known, new, rows)

    def _digest(self, text: str) -> bytes:
        # Lone surrogates are texts like others here, and two of them are two texts.
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).digest()

    def _look_up(self, digests: Iterable[bytes]) -> dict[bytes, NDArray[np.float32]]:
        known: dict[bytes, NDArray[np.float32]] = {}
        with self._guard:
            for digest in digests:
                if digest in self._vectors:
                    self._vectors.move_to_end(digest)
                    known[digest] = self._vectors[digest]
        return known

    def _assemble(
        self,
        digests: Sequence[bytes],
        known: dict[bytes, NDArray[np.float32]],
        new: Mapping[bytes, str],
        rows: NDArray[np.float32] | None,
    ) -> NDArray[np.float32]:
        if rows is not None:
            if not digests:
                return rows
            # Copies: a row would keep the whole answer that it came with.
            known |= {digest: row.copy() for digest, row in zip(new, rows, strict=True)}
            with self._guard:
                for digest in new:
                    self._vectors[digest] = known[digest]
                    self._vectors.move_to_end(digest)
                while len(self._vectors) > self._maximum:
                    self._vectors.popitem(last=False)
        return np.stack([known[digest] for digest in digests])


def _new(texts: Sequence[str], digests: Sequence[bytes], known: Mapping[bytes, object]) -> dict[bytes, str]:
    return {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in known}
