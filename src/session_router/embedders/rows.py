"""What goes to a model, and what comes back from it, whatever the model does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from session_router.errors import UnusableVectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

LONGEST_TEXT = 65_536
"""Characters of a text that are read unless another bound is given: bounded work for any input."""


def well_formed(text: str) -> str:
    """Return `text` as UTF-8 can hold it: surrogates in pairs become their character, lone ones U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def asked_of(texts: Sequence[str], *, maximum_characters: int) -> list[str]:
    """Return what a model is asked: the texts that are not empty, cut and well formed."""
    return [well_formed(text[:maximum_characters]) for text in texts if text]


def unit_rows(vectors: ArrayLike, texts: Sequence[str], *, dimension: int | None, model: str) -> NDArray[np.float32]:
    """Return a unit row for each of `texts`, and a zero row for the empty ones.

    Args:
        vectors: What the model returned for the texts that are not empty, in order.
        texts: All that were asked for; at least one is not empty.
        dimension: Expected length of a vector; `None` means that any length will do.
        model: Its name, for the error.

    Returns:
        Shape (len(texts), dimension).

    Raises:
        UnusableVectors: Another number or length of vectors, or a number that is not finite.
    """
    filled = np.fromiter(map(bool, texts), dtype=np.bool_, count=len(texts))
    try:
        raw = np.asarray(vectors, dtype=np.float64)
    except (TypeError, ValueError):
        raise UnusableVectors(model=model, rule="the vectors must be numbers, and all of one length.") from None
    length = raw.shape[-1] if dimension is None and raw.ndim else dimension
    expected = (int(filled.sum()), length)
    if raw.shape != expected or not length:
        raise UnusableVectors(model=model, rule=f"expected vectors of shape {expected}, and there were {raw.shape}.")
    if not np.isfinite(raw).all():
        raise UnusableVectors(model=model, rule="a vector holds NaN or infinity; check the model's weights and its precision.")
    # Divided by the largest number first: the square of a tiny one is zero, that of a huge one is infinite.
    peak = np.abs(raw).max(axis=1, keepdims=True)
    scaled = np.divide(raw, peak, out=np.zeros_like(raw), where=peak > 0)
    norm = np.sqrt(np.square(scaled).sum(axis=1, keepdims=True))
    rows = np.zeros((len(texts), length), dtype=np.float32)
    rows[filled] = np.divide(scaled, norm, out=scaled, where=norm > 0)
    return rows
