"""What an embedder is worth without training on the task: nearest neighbours on intents, and areas under the curve on pairs."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

Embed: TypeAlias = "Callable[[Sequence[str]], NDArray[np.float32]]"
"""Texts to rows of norm 1."""

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
NEIGHBOURS = 5
_AT_ONCE = 1024  # rows: bounds the memory of the cosines


def banking77_accuracy(embed: Embed, data: Path = DATA) -> float:
    """Return the share of banking77's test split that its 5 nearest texts of the training split name rightly."""
    rows = _rows(data / "intents_banking77.jsonl.gz")
    return _accuracy(embed, _of(rows, "train"), _of(rows, "test"))


def clinc150_accuracy(embed: Embed, data: Path = DATA) -> float:
    """Return the share of CLINC150's test split, in scope, that its 5 nearest texts of the training split name rightly."""
    rows = _rows(data / "intents_clinc150.jsonl.gz")
    return _accuracy(embed, _of(rows, "train"), _of(rows, "test"))


def clinc150_scope_area(embed: Embed, data: Path = DATA) -> float:
    """Return the AUC of "in scope", told by the highest cosine with a training text: test split against `oos_test`."""
    rows = _rows(data / "intents_clinc150.jsonl.gz")
    known = embed(_texts(_of(rows, "train")))
    inside, outside = (_nearest(embed(_texts(_of(rows, split))), known)[1][:, 0] for split in ("test", "oos_test"))
    return area(np.concatenate([inside, outside]), np.arange(len(inside) + len(outside)) < len(inside))


def qqp_area(embed: Embed, data: Path = DATA) -> float:
    """Return the AUC of "same question" told by the cosine of a pair."""
    return area(*qqp_cosines(embed, data))


def qqp_cosines(embed: Embed, data: Path = DATA, *, every: int = 1) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the cosine of each pair, and whether both are the same question.

    Args:
        embed: Makes the vectors.
        data: Folder of the files.
        every: 2 for every second pair, and so on.
    """
    rows = _rows(data / "cache_qqp.jsonl.gz")[::every]
    cosines = np.einsum("ij,ij->i", *(embed([row[side] for row in rows]) for side in ("a", "b")))
    return cosines, np.array([row["label"] == 1 for row in rows])


def area(scores: NDArray[Any], positive: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve: the chance that a positive scores above a negative, ties counted half (Mann-Whitney)."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positives, negatives = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _accuracy(embed: Embed, known: list[dict[str, Any]], asked: list[dict[str, Any]]) -> float:
    intents = [row["intent"] for row in known]
    indices, cosines = _nearest(embed(_texts(asked)), embed(_texts(known)))
    right = sum(_vote(intents, *near) == row["intent"] for row, near in zip(asked, zip(indices, cosines, strict=True), strict=True))
    return right / len(asked)


def _vote(intents: Sequence[str], indices: NDArray[np.intp], cosines: NDArray[np.float32]) -> str:
    """Return the commonest intent; among equally common ones, the one with the higher sum of cosines."""
    count, weight = Counter[str](), Counter[str]()
    for index, cosine in zip(indices.tolist(), cosines.tolist(), strict=True):
        count[intents[index]] += 1
        weight[intents[index]] += cosine
    return max(count, key=lambda intent: (count[intent], weight[intent]))


def _nearest(asked: NDArray[np.float32], known: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return indices and cosines of the nearest rows of `known`, nearest first; shapes (len(asked), NEIGHBOURS)."""
    indices: list[NDArray[np.intp]] = []
    cosines: list[NDArray[np.float32]] = []
    for start in range(0, len(asked), _AT_ONCE):
        products = asked[start : start + _AT_ONCE] @ known.T
        near = np.argpartition(-products, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        found = np.take_along_axis(products, near, axis=1)
        order = np.argsort(-found, axis=1, kind="stable")
        indices.append(np.take_along_axis(near, order, axis=1))
        cosines.append(np.take_along_axis(found, order, axis=1))
    return np.concatenate(indices), np.concatenate(cosines)


def _of(rows: list[dict[str, Any]], split: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["split"] == split]


def _texts(rows: list[dict[str, Any]]) -> list[str]:
    return [row["text"] for row in rows]


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
