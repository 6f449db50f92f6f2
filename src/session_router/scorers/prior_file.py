"""The prior at rest: plain numbers with a digest, checked one by one when they are read."""

from __future__ import annotations

import hashlib
import json
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import numpy as np

from session_router.errors import ConfigurationError
from session_router.scorers.features import FEATURES
from session_router.scorers.predictors import Scaling
from session_router.scorers.prior_model import Prior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SHIPPED: Final = Path(__file__).with_name("prior.json")
"""The file that comes with the package."""

SCHEMA: Final = "session-router prior"
VERSION: Final = 1
"""Of the form. Raise it when a field changes its meaning, or the same numbers give other chances."""

LARGEST_FILE: Final = 1024 * 1024
LARGEST_DIMENSION: Final = 16_384
_LARGEST: Final = 1e6
_NUMBERS: Final = ("centre", "level", "harder", "price", "interaction", "spread", "coverage", "dollars", "exponent")


def prior_text(prior: Prior, *, trained_on: str) -> str:
    """Return `prior` as the text of a file; equal priors give equal texts.

    Args:
        prior: What was trained.
        trained_on: SHA-256 of what it was trained on.
    """
    content = {
        "embedder": {"fingerprint": prior.fingerprint, "dimension": prior.dimension},
        "features": list(FEATURES),
        "trained_on": trained_on,
        "feature_centre": _plain(prior.scaling.centre),
        "feature_spread": _plain(prior.scaling.spread),
        "direction": _plain(prior.direction),
        **{name: getattr(prior, name) for name in _NUMBERS},
    }
    digest = hashlib.sha256(_canonical(content)).hexdigest()
    return json.dumps({"schema": SCHEMA, "version": VERSION, "sha256": digest, "content": content}, allow_nan=False) + "\n"


def read_prior(path: Path = SHIPPED) -> Prior:
    """Read what `make prior` wrote.

    Raises:
        ConfigurationError: It cannot be read, is damaged or of another version, or holds numbers that make no sense.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        _refuse(path, f"it cannot be read ({error.strerror or type(error).__name__})")
    if len(data) > LARGEST_FILE:
        _refuse(path, f"it is larger than {LARGEST_FILE:,} bytes")
    try:
        envelope = json.loads(data)
        if envelope["schema"] != SCHEMA or envelope["version"] != VERSION:
            _refuse(path, f"it is no prior of version {VERSION}, which this release reads")
        content = envelope["content"]
        if hashlib.sha256(_canonical(content)).hexdigest() != envelope["sha256"]:
            _refuse(path, "its content does not match its digest: it was changed or damaged")
        if content["features"] != list(FEATURES):
            _refuse(path, "it was trained on other features than this release has")
        return _prior(content)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        # Without what was found there: it can be nested too deep, or be too long, to be shown.
        _refuse(path, f"it has not the shape of a prior, or a number is out of its range ({type(error).__name__})")


def _prior(plain: dict[str, Any]) -> Prior:
    embedder = plain["embedder"]
    dimension, fingerprint = embedder["dimension"], embedder["fingerprint"]
    if not isinstance(dimension, int) or not 0 < dimension <= LARGEST_DIMENSION or not isinstance(fingerprint, str):
        raise ValueError
    centre, spread = (_array(plain[name], len(FEATURES)) for name in ("feature_centre", "feature_spread"))
    if (spread < 0).any():
        raise ValueError
    return Prior(
        fingerprint=fingerprint,
        dimension=dimension,
        scaling=Scaling(centre=centre, spread=spread),
        direction=_array(plain["direction"], dimension + len(FEATURES)),
        **{name: _number(plain[name]) for name in _NUMBERS},
    )


def _array(values: object, length: int) -> NDArray[np.float32]:
    if not isinstance(values, list) or len(cast("list[object]", values)) != length:
        raise ValueError
    return np.array([_number(value) for value in cast("list[object]", values)], dtype=np.float32)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or abs(value) > _LARGEST:
        raise ValueError
    return float(value)


def _plain(values: NDArray[np.float32]) -> Sequence[float]:
    # As short as float32 allows: it reads back to the same bits.
    return [float(str(value)) for value in values]


def _canonical(content: object) -> bytes:
    """One way to write `content`, whatever the order and the blanks it was read with."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")


def _refuse(path: Path, reason: str) -> NoReturn:
    raise ConfigurationError(
        key="scorer.prior", value=str(path), rule=f"{reason}; install the package again, or train it with `make prior`."
    )
