"""The built-in embedder: the mean of token vectors that were trained for it."""

from __future__ import annotations

import asyncio
import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from session_router.embedders.tensors import map_tensors
from session_router.embedders.wordpiece import read_wordpiece
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BUILT_IN = Path(__file__).with_name("static_english")
"""Folder of the weights that come with the package."""

_VERSION = b"session-router static embedder 1\n"
"""Counts up whenever the same files give other vectors."""
_AT_ONCE = 65_536  # characters: about a millisecond of work, less than a hop to a thread and back is worth


class StaticEmbedder:
    """Adds up one vector per token, and normalises: no network, no framework, microseconds a text. It knows no word order.

    Read are the first 65,536 characters of a text, and of those the first 4,096 tokens. Words of other scripts, emoji and control
    characters have no vector: a text of nothing else has a zero row, as an empty text has. The sum is taken in one fixed order,
    so that a text has the same vector alone, in any batch, and on any machine.

    The folder also loads as `SentenceTransformer(folder)` and gives the same vectors.

    Args:
        folder: Holds `model.safetensors` (`embeddings`, int8, shape (tokens, dimension); `weights`, float32, shape (tokens,): the scale
            of each row) and `tokenizer.json` (an uncased BERT WordPiece). `None` means the weights that come with the package.

    Raises:
        ConfigurationError: A file is absent, cut short, damaged, or the two do not belong together.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        folder = BUILT_IN if folder is None else Path(folder)
        self._wordpiece = read_wordpiece(folder / "tokenizer.json")
        content, tensors = map_tensors(folder / "model.safetensors")
        self._rows, self._scales = _checked(folder, tensors, self._wordpiece.size)
        digest = hashlib.sha256(_VERSION)
        digest.update(hashlib.sha256(content).digest())
        digest.update(hashlib.sha256((folder / "tokenizer.json").read_bytes()).digest())
        self._fingerprint = digest.hexdigest()

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._rows.shape[1])

    @property
    def fingerprint(self) -> str:
        """Hash of both files and of the way they are used, 64 hex digits: vectors of different fingerprints must not be compared."""
        return self._fingerprint

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return shape (len(texts), dimension); rows have L2 norm 1, the row of a text without a known token is zero."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        encode, rows, scales = self._wordpiece.encode, self._rows, self._scales
        for number, text in enumerate(texts):
            ids = encode(text)
            if ids:
                # No matrix product: its order of addition depends on the machine.
                total = np.add.reduce(rows.take(ids, axis=0) * scales.take(ids, axis=0), axis=0)
                exact = total.astype(np.float64)
                length = math.sqrt(exact.dot(exact))
                if length > 0:
                    vectors[number] = total / np.float32(length)
        return vectors

    async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Do what `embed` does without blocking the event loop: a large batch goes to a thread."""
        if sum(map(len, texts)) <= _AT_ONCE:
            return self.embed(texts)
        return await asyncio.to_thread(self.embed, texts)


def _checked(folder: Path, tensors: dict[str, NDArray[Any]], tokens: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    rows, scales = tensors.get("embeddings"), tensors.get("weights")
    if rows is None or scales is None or rows.dtype != np.int8 or scales.dtype != np.float32:
        rule = "model.safetensors must hold `embeddings` (int8) and `weights` (float32)."
    elif rows.ndim != 2 or rows.shape[1] == 0 or rows.shape[0] != tokens or scales.shape != (tokens,):  # noqa: PLR2004 -- a matrix
        rule = f"the {tokens} tokens of tokenizer.json and the shapes {rows.shape} and {scales.shape} of model.safetensors do not match."
    elif not np.isfinite(scales).all():
        rule = "`weights` of model.safetensors must be finite."
    else:
        # A column, so that a row's scale meets each of its numbers.
        return rows, scales.reshape(-1, 1)
    raise ConfigurationError(key="embedder.folder", value=str(folder), rule=rule)
