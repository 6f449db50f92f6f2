"""Fit the weights of `LexicalVerifier`: `python tools/fit_verifier.py FOLDER` prints them.

FOLDER holds `intents_clinc150.jsonl.gz` and `intents_banking77.jsonl.gz` (rows of `text`, `intent`, `split`). Each question of the
training split is looked up among all the others; the five nearest are pairs. A pair is right if both have the same intent.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from session_router.cache.verifier import OTHERS, pair_columns
from session_router.embedders.static import StaticEmbedder
from session_router.fitting.logistic import Line, fit_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NAMES = ("intents_clinc150", "intents_banking77")
NEIGHBOURS = OTHERS + 1
LEAST_COSINE = 0.5
RIDGE = 1.0
_AT_ONCE = 1_024  # rows: bounds the memory of the cosines


def training_rows(folder: Path, name: str) -> list[dict[str, str]]:
    """Return the training split of a data set."""
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [row for row in map(json.loads, lines) if row["split"] == "train"]


def pairs_of(texts: Sequence[str], answers: Sequence[str], *, every: int = 1) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the columns of each pair of neighbours, and whether both have one answer; shapes (pairs, columns) and (pairs,).

    Only one question in `every` is looked up, among all.
    """
    vectors = StaticEmbedder().embed(texts)
    columns: list[list[float]] = []
    right: list[bool] = []
    for start in range(0, len(texts), _AT_ONCE):
        cosines = vectors[start : start + _AT_ONCE] @ vectors.T
        cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = -2.0
        nearest = np.argpartition(-cosines, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        for row in range(-start % every, len(nearest), every):
            near = nearest[row]
            known = [int(other) for other in near if cosines[row, other] >= LEAST_COSINE]
            for other in known:
                same = sum(answers[one] == answers[other] for one in known) - 1
                pair = pair_columns(texts[start + row], texts[other], cosine=float(cosines[row, other]))
                columns.append([*pair, same / OTHERS, (len(known) - 1 - same) / OTHERS])
                right.append(answers[start + row] == answers[other])
    return np.array(columns), np.array(right, dtype=np.float64)


def fitted(folder: Path, names: Sequence[str], *, every: int = 1) -> dict[int, Line]:
    """Return the regression without and with the neighbours, by the number of its columns."""
    rows = [training_rows(folder, name) for name in names]
    found = [pairs_of([row["text"] for row in one], [row["intent"] for row in one], every=every) for one in rows]
    columns, right = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return {width: fit_line(columns[:, :width], right, ridge=RIDGE) for width in (columns.shape[1] - 2, columns.shape[1])}


def main() -> None:
    """Print the weights as they stand in the source."""
    for width, line in fitted(Path(sys.argv[1]), NAMES).items():
        print(f"    {width}: (({', '.join(f'{weight:.3f}' for weight in line.weights)}), {line.intercept:.3f}),")  # noqa: T201 -- its purpose


if __name__ == "__main__":
    main()
