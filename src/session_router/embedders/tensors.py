"""Reads a safetensors file: 8 bytes of length, a JSON header of that length, raw numbers. Nothing in it is executed."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_TYPES: Final[dict[str, np.dtype[Any]]] = {"F32": np.dtype("<f4"), "I8": np.dtype("i1")}
_LENGTH_BYTES = 8


def map_tensors(path: Path) -> tuple[memoryview, dict[str, NDArray[Any]]]:
    """Return the bytes of the file and its tensors by name, all as read-only views of one memory map.

    Raises:
        ConfigurationError: The file is absent, cut short, or its header does not describe its content.
    """
    try:
        content = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
    except (OSError, ValueError) as error:  # ValueError: the file is empty
        raise _wrong(path, f"it cannot be mapped ({error}). Install the package again, or name another folder.") from error
    if content.size < _LENGTH_BYTES:
        raise _wrong(path, "it is cut short.")
    start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES].tobytes(), "little")
    if start > content.size:
        raise _wrong(path, "its header is cut short.")
    try:
        header: object = json.loads(content[_LENGTH_BYTES:start].tobytes())
    except ValueError as error:
        raise _wrong(path, f"its header is not JSON ({error}).") from error
    if not isinstance(header, dict):
        raise _wrong(path, "its header is not an object.")
    entries = cast("dict[str, object]", header)
    tensors = {name: _tensor(path, content[start:], name, entry) for name, entry in entries.items() if name != "__metadata__"}
    if sum(tensor.nbytes for tensor in tensors.values()) != content.size - start:
        raise _wrong(path, "it is longer or shorter than its header says.")
    return content.data, tensors


def _tensor(path: Path, numbers: NDArray[np.uint8], name: str, entry: object) -> NDArray[Any]:
    match entry:
        case {"dtype": str(kind), "shape": list(), "data_offsets": [int(begin), int(end)]} if kind in _TYPES:
            shape = cast("dict[str, list[object]]", entry)["shape"]
        case _:
            raise _wrong(path, f"its header does not say what `{name}` is, or its type is none of {sorted(_TYPES)}.")
    lengths = [length for length in shape if isinstance(length, int) and length >= 0]
    if len(lengths) != len(shape):
        raise _wrong(path, f"`{name}` has no shape.")
    if not (0 <= begin <= end <= numbers.size and end - begin == math.prod(lengths) * _TYPES[kind].itemsize):
        raise _wrong(path, f"`{name}` is cut short, or has another size than its header says.")
    tensor: NDArray[Any] = numbers[begin:end].view(_TYPES[kind]).reshape(lengths)
    return tensor


def _wrong(path: Path, rule: str) -> ConfigurationError:
    return ConfigurationError(key="embedder.folder", value=str(path), rule=rule)
