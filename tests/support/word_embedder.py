"""A small embedder for tests that fit: few columns, quickly solved."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


class WordEmbedder:
    """Counts words into buckets.

    Args:
        dimension: Number of buckets.
    """

    def __init__(self, dimension: int = 48) -> None:
        self.dimension = dimension
        self.fingerprint = f"words, {dimension}"
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row[zlib.crc32(word.encode("utf-8", "surrogatepass")) % self.dimension] += 1
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9).astype(np.float32)

    async def aembed(self, texts: Sequence[str]) -> np.ndarray:
        self.asked.append("asynchronously:")
        return self.embed(texts)
