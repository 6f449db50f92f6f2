"""A fitted scorer at rest: plain numbers, checked one by one when they are read."""

from __future__ import annotations

import base64
from operator import le
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from session_router.core.checking import LARGEST_DOLLARS
from session_router.core.model import ModelName
from session_router.core.risk import Certificate
from session_router.scorers.features import FEATURES
from session_router.scorers.fit import Fit, FittedModel, Reliability
from session_router.scorers.guard_limits import Guard, GuardLimits
from session_router.scorers.predictors import BlendPredictor, LogisticPredictor, NeighbourPredictor, Scaling
from session_router.scorers.sealed import AGAIN, read_sealed, refuse, sealed
from session_router.scorers.windows import WINDOWS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from session_router.scorers.predictors import Predictor

LARGEST_COUNT: Final = 2**53 - 1
MAXIMUM_MODELS: Final = 10_000
_LARGEST: Final = 1e6  # of a number that is multiplied: far beyond what a fit gives, and far from overflow
_TYPES: Final = {"float32": "<f4", "int8": "|i1"}


def scorer_text(fit: Fit, *, key: bytes | None = None) -> str:
    """Return `fit` as the text of a file; equal fits give equal texts.

    Args:
        fit: What was fitted.
        key: Signs it; `None` for no signature.
    """
    content = {
        "embedder": {"name": fit.embedder, "fingerprint": fit.fingerprint, "dimension": fit.dimension},
        "features": list(FEATURES),
        "reference": fit.reference,
        "predictor": _predictor_to_plain(fit.predictor),
        "models": [_model_to_plain(model) for model in fit.models],
        "guard": None if fit.guard is None else _guard_to_plain(fit.guard),
    }
    return sealed(content, key=key)


def read_scorer_file(path: Path, *, key: bytes | None = None) -> Fit:
    """Read what `session-router fit` wrote. Nothing in it is ever executed.

    Args:
        path: The file.
        key: The key that it must be signed with; `None` to be content with its digest.

    Raises:
        ConfigurationError: It cannot be read, is damaged or of another version, is not signed with `key`, or holds numbers that
            make no sense.
    """
    content = read_sealed(path, key=key)
    try:
        return _fit(content)
    except _OtherFeatures:
        refuse(path, f"it was fitted to other features than this release has; {AGAIN}")
    except _Retired:
        refuse(path, f"it looks up neighbours alone, which this release does as a part of `blend`; {AGAIN}")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError, RecursionError) as error:
        # Without what was found there: it can be nested too deep, or be too long, to be shown.
        refuse(path, f"it has not the shape of a scorer, or a number is out of its range ({type(error).__name__}); {AGAIN}")


class _OtherFeatures(Exception):
    pass


class _Retired(Exception):
    pass


def _fit(plain: dict[str, Any]) -> Fit:
    if plain["features"] != list(FEATURES):
        raise _OtherFeatures
    embedder, models = plain["embedder"], [_model(model) for model in _list(plain["models"])]
    names = [model.name for model in models]
    _demand(0 < len(names) <= MAXIMUM_MODELS and len(set(names)) == len(names))
    dimension = _whole(embedder["dimension"], low=1, high=LARGEST_COUNT)
    return Fit(
        embedder=_text(embedder["name"]),
        fingerprint=_text(embedder["fingerprint"]),
        dimension=dimension,
        predictor=_predictor(plain["predictor"], models=len(models), dimension=dimension),
        models=tuple(models),
        reference=ModelName(_text(plain["reference"])),
        guard=None if plain["guard"] is None else _guard(plain["guard"], {model.name for model in models}),
    )


def _guard_to_plain(guard: Guard) -> dict[str, Any]:
    return {"allowances": list(guard.limits.allowances), "alarms": list(guard.limits.alarms), "costs": dict(guard.costs)}


def _guard(plain: dict[str, Any], known: set[ModelName]) -> Guard:
    allowances, alarms = (tuple(_number(one, low=0.0, high=2.0) for one in _list(plain[name])) for name in ("allowances", "alarms"))
    _demand(len(allowances) == len(alarms) == len(WINDOWS) and all(map(le, allowances, alarms)))
    costs = {ModelName(_text(name)): _number(cost, low=0.0, high=LARGEST_DOLLARS) for name, cost in plain["costs"].items()}
    _demand(costs.keys() <= known)
    return Guard(limits=GuardLimits(allowances=allowances, alarms=alarms), costs=costs)


def _predictor_to_plain(predictor: Predictor) -> dict[str, Any]:
    if isinstance(predictor, LogisticPredictor):
        return {"method": "logistic", **_line_to_plain(predictor)}
    neighbours = predictor.neighbours
    return {
        "method": "blend",
        "line": _line_to_plain(predictor.line),
        "neighbours": {
            "vectors": _array_to_plain(neighbours.vectors),
            "scales": _array_to_plain(neighbours.scales),
            "served": _array_to_plain(neighbours.served),
            "nearest": neighbours.nearest,
        },
    }


def _line_to_plain(line: LogisticPredictor) -> dict[str, Any]:
    return {
        "centre": _array_to_plain(line.scaling.centre),
        "spread": _array_to_plain(line.scaling.spread),
        "weights": _array_to_plain(line.weights),
        "intercepts": _array_to_plain(line.intercepts),
    }


def _predictor(plain: dict[str, Any], *, models: int, dimension: int) -> Predictor:
    if plain["method"] == "neighbours":
        raise _Retired
    if plain["method"] == "logistic":
        return _line(plain, models=models, dimension=dimension)
    _demand(plain["method"] == "blend")
    return BlendPredictor(
        line=_line(plain["line"], models=models, dimension=dimension),
        neighbours=_neighbours(plain["neighbours"], models=models, dimension=dimension),
    )


def _line(plain: dict[str, Any], *, models: int, dimension: int) -> LogisticPredictor:
    spread = _floats(plain["spread"], (len(FEATURES),))
    _demand(bool((spread >= 0).all()))
    return LogisticPredictor(
        scaling=Scaling(centre=_floats(plain["centre"], (len(FEATURES),)), spread=spread),
        weights=_floats(plain["weights"], (models, dimension + len(FEATURES))),
        intercepts=_floats(plain["intercepts"], (models,)),
    )


def _neighbours(plain: dict[str, Any], *, models: int, dimension: int) -> NeighbourPredictor:
    vectors = _array(plain["vectors"], "int8")
    _demand(vectors.ndim == 2 and vectors.shape[0] > 0 and vectors.shape[1] == dimension)  # noqa: PLR2004 -- a matrix
    served = _array(plain["served"], "int8")
    _demand(served.shape == (models, vectors.shape[0]) and bool(((served >= -1) & (served <= 1)).all()))
    scales = _floats(plain["scales"], (vectors.shape[0],))
    _demand(bool(((scales >= 0) & (scales <= 1)).all()))
    return NeighbourPredictor(
        vectors=vectors.astype(np.int8),
        scales=scales,
        served=served.astype(np.int8),
        nearest=_whole(plain["nearest"], low=1, high=vectors.shape[0]),
    )


def _model_to_plain(model: FittedModel) -> dict[str, Any]:
    reliability = model.reliability
    return {
        "name": model.name,
        "slope": model.slope,
        "intercept": model.intercept,
        "edges": list(reliability.edges),
        "low": list(reliability.low),
        "high": list(reliability.high),
        "certificate": None if model.certificate is None else model.certificate.to_plain(),
        "outcomes": model.outcomes,
    }


def _model(plain: dict[str, Any]) -> FittedModel:
    edges, low, high = (tuple(map(_share, _list(plain[name]))) for name in ("edges", "low", "high"))
    _demand(len(low) == len(high) == len(edges) + 1 and list(edges) == sorted(edges))
    _demand(all(one <= other for one, other in zip(low, high, strict=True)))
    return FittedModel(
        name=ModelName(_text(plain["name"])),
        slope=_number(plain["slope"], low=0.0, high=_LARGEST),
        intercept=_number(plain["intercept"], low=-_LARGEST, high=_LARGEST),
        reliability=Reliability(edges=edges, low=low, high=high),
        certificate=None if plain["certificate"] is None else _certificate(plain["certificate"]),
        outcomes=_whole(plain["outcomes"], low=0, high=LARGEST_COUNT),
    )


def _certificate(plain: dict[str, Any]) -> Certificate:
    segments = _whole(plain["segments"], low=1, high=LARGEST_COUNT)
    return Certificate(
        reference=ModelName(_text(plain["reference"])),
        least_chance=_share(plain["least_chance"]),
        under_served=_whole(plain["under_served"], low=0, high=segments),
        segments=segments,
        bound=_share(plain["bound"]),
        delta=_share(plain["delta"]),
    )


def _array_to_plain(array: NDArray[Any]) -> dict[str, Any]:
    kind = array.dtype.name
    data = np.ascontiguousarray(array).astype(_TYPES[kind]).tobytes()
    return {"type": kind, "shape": list(array.shape), "base64": base64.b64encode(data).decode("ascii")}


def _array(plain: dict[str, Any], kind: str) -> NDArray[Any]:
    _demand(plain["type"] == kind)
    shape = tuple(_whole(length, low=0, high=LARGEST_COUNT) for length in _list(plain["shape"]))
    data = base64.b64decode(_text(plain["base64"]), validate=True)
    # `frombuffer` and `reshape` refuse bytes that are not a whole number of rows.
    return np.frombuffer(data, dtype=_TYPES[kind]).reshape(shape)


def _floats(plain: dict[str, Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    array = _array(plain, "float32")
    _demand(array.shape == shape and bool(np.isfinite(array).all()))
    return array.astype(np.float32)


def _demand(condition: bool) -> None:  # noqa: FBT001 -- reads like `assert`, and is never left out
    if not condition:
        raise ValueError


def _checked(value: Any, kinds: tuple[type, ...], right: Callable[[Any], bool]) -> Any:  # noqa: ANN401 -- the callers know the kind
    _demand(isinstance(value, kinds) and not isinstance(value, bool) and right(value))
    return value


def _text(value: object) -> str:
    return cast("str", _checked(value, (str,), lambda _: True))


def _list(value: object) -> list[Any]:
    return cast("list[Any]", _checked(value, (list,), lambda _: True))


def _whole(value: object, *, low: int, high: int) -> int:
    return cast("int", _checked(value, (int,), lambda one: low <= one <= high))


def _number(value: object, *, low: float, high: float) -> float:
    return float(_checked(value, (int, float), lambda one: low <= one <= high))


def _share(value: object) -> float:
    return _number(value, low=0.0, high=1.0)
