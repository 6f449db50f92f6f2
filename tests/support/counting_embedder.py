"""A sound embedder that costs nothing and remembers what it was asked."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from session_router.errors import EmbedderUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class CountingEmbedder:
    """Pseudorandom unit rows by the digest of a text."""

    def __init__(self, *, model: str = "counting", remembers: bool = True, asked: Sequence[list[str]] = ()) -> None:
        self.model = model
        self.remembers = remembers
        self.calls: list[list[str]] = list(asked)
        self.fails = False

    @property
    def dimension(self) -> int:
        return 8

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.model.encode()).hexdigest()

    def row(self, text: str) -> NDArray[np.float64]:
        seed = hashlib.sha256(f"{self.model} {text}".encode("utf-8", "surrogatepass")).digest()
        row = np.random.default_rng(list(seed)).normal(size=self.dimension)
        return row / np.linalg.norm(row) if text else row * 0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.remembers:
            self.calls.append(list(texts))
        if self.fails:
            raise EmbedderUnavailable(model=self.model, error=RuntimeError())
        return np.array([self.row(text) for text in texts], dtype=np.float32).reshape(len(texts), self.dimension)

    async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.embed(texts)
