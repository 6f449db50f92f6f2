"""Which model a `SentenceTransformer` is, told from what it holds in memory."""

from __future__ import annotations

import hashlib
import importlib
import json
from pathlib import Path
from typing import Any, Final

from session_router.errors import ConfigurationError

_VERSION: Final = b"session-router sentence-transformers embedder 1\n"
"""Counts up whenever the same model would give other vectors."""
_STATE_OF_CALLS: Final = ("truncation", "padding")
"""Parts of a tokenizer that change while it is used."""


def encoder_fingerprint(model: Any, **settings: object) -> str:  # noqa: ANN401 -- the package is optional
    """Return 64 hex digits: SHA-256 over weights, settings of the modules, and tokenizer.

    Read are, of every module: each tensor with its name, precision and shape; the files of an ONNX model; its class, its configuration
    and its longest input; the tokenizer. So two models differ when one weight does, and a model is the same wherever it is loaded from.
    Where it was loaded from, and the device, do not count.

    Args:
        model: A loaded `SentenceTransformer`.
        settings: What else changes the vectors; plain values.

    Raises:
        ConfigurationError: A module keeps its weights where they cannot be read.
    """
    digest = hashlib.sha256(_VERSION)
    for name, tensor in model.state_dict().items():
        digest.update(_plain([name, str(tensor.dtype), list(tensor.shape)]))
        digest.update(_bytes_of(tensor))
    for name, module in model.named_modules():
        if not hasattr(module, "get_config_dict"):
            continue  # a part of a network: its weights are all there is to it
        longest = str(getattr(module, "max_seq_length", None))
        digest.update(_plain([name, type(module).__qualname__, module.get_config_dict(), longest]))
        for file in _files_of(module):
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
        digest.update(_plain(_tokenizer(getattr(module, "tokenizer", None))))
    digest.update(_plain([getattr(model, "truncate_dim", None), settings]))
    return digest.hexdigest()


def _plain(value: object) -> bytes:
    # Objects have no text of their own that would be the same in another process.
    return json.dumps(value, sort_keys=True, default=lambda one: type(one).__qualname__).encode() + b"\n"


def _bytes_of(tensor: Any) -> memoryview | bytes:  # noqa: ANN401 -- torch is optional
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    # As bytes: numpy does not know every precision of torch.
    return memoryview(flat.view(importlib.import_module("torch").uint8).numpy()) if flat.numel() else b""


def _files_of(module: Any) -> list[Path]:  # noqa: ANN401 -- the package is optional
    """Return the files of a network that runs outside torch; external weights lie beside it, under a longer name."""
    network = getattr(module, "auto_model", None) or getattr(module, "model", None)
    if network is None or module.state_dict():
        return []
    path = Path(str(getattr(network, "path", "")))
    files = sorted(path.parent.glob(f"{path.name}*")) if path.is_file() else []
    if not files:
        raise ConfigurationError(
            key="model",
            value=type(network).__qualname__,
            rule='its weights cannot be read, so that it cannot be told from another; load it with `backend="torch"` or "onnx".',
        )
    return files


def _tokenizer(tokenizer: Any) -> object:  # noqa: ANN401 -- the package is optional
    inner = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if hasattr(inner, "to_str"):
        parts: dict[str, object] = json.loads(inner.to_str())
        return {key: part for key, part in parts.items() if key not in _STATE_OF_CALLS}
    return inner.get_vocab() if hasattr(inner, "get_vocab") else None
