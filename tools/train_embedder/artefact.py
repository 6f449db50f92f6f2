"""Writes trained vectors as a folder that our embedder, sentence-transformers and model2vec load."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WEIGHTS = "model.safetensors"

_HIGHEST = 127
_ALIGNMENT = 8  # bytes: the format asks for it

_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"},
    {"idx": 1, "name": "1", "path": "1_Normalize", "type": "sentence_transformers.models.Normalize"},
]
# For model2vec.
_CONFIG = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True}


def write_artefact(folder: Path, vectors: NDArray[np.float32], tokenizer: bytes) -> str:
    """Write the folder; `vectors` has one row per token of `tokenizer`. Return the SHA-256 of the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = weights_of(vectors)
    (folder / WEIGHTS).write_bytes(weights)
    (folder / "tokenizer.json").write_bytes(tokenizer)
    (folder / "modules.json").write_text(json.dumps(_MODULES, indent=2) + "\n", encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(_CONFIG, indent=2) + "\n", encoding="utf-8")
    return hashlib.sha256(weights).hexdigest()


def weights_of(vectors: NDArray[np.float32]) -> bytes:
    """Return the bytes of the weights' file."""
    rows, scales = quantised(vectors)
    return safetensors({"embeddings": rows, "weights": scales})


def quantised(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return whole numbers in [-127, 127] and the scale of each row: `vectors` is nearly `rows * scales[:, None]`."""
    scales = (np.abs(vectors).max(axis=1) / np.float32(_HIGHEST)).astype(np.float32)
    rows = np.divide(vectors, scales[:, None], out=np.zeros_like(vectors), where=scales[:, None] > 0)
    return np.rint(rows).astype(np.int8), scales


def safetensors(tensors: dict[str, NDArray[Any]]) -> bytes:
    """Return the bytes of a safetensors file; float32 and int8 only."""
    kinds = {np.dtype(np.float32): "F32", np.dtype(np.int8): "I8"}
    header: dict[str, object] = {}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.nbytes
        header[name] = {"dtype": kinds[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    written = json.dumps(header, separators=(",", ":")).encode()
    written += b" " * (-len(written) % _ALIGNMENT)
    return len(written).to_bytes(8, "little") + written + b"".join(tensor.tobytes() for tensor in tensors.values())
