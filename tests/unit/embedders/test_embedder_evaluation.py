"""The yardstick of the embedders measures what it says."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks._embedder_evaluation import area, banking77_accuracy, clinc150_accuracy, clinc150_scope_area, qqp_area

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

INTENTS = 10


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30))
def test_area_is_the_chance_that_a_positive_scores_higher(rows: list[tuple[int, bool]]) -> None:
    positive = [score for score, label in rows if label]
    negative = [score for score, label in rows if not label]
    assume(positive)
    assume(negative)
    wins = sum((one > other) + (one == other) / 2 for one in positive for other in negative)
    scores, labels = np.array([score for score, _ in rows]), np.array([label for _, label in rows])
    assert area(scores, labels) == pytest.approx(wins / (len(positive) * len(negative)))
    assert area(-scores, labels) == pytest.approx(1 - area(scores, labels))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    def write(name: str, rows: list[dict[str, Any]]) -> None:
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt", encoding="utf-8") as lines:
            lines.writelines(json.dumps(row) + "\n" for row in rows)

    rows = [
        {"text": f"{intent} {split} {number}", "intent": f"intent {intent}", "split": split}
        for intent in range(INTENTS)
        for split, count in (("train", 6), ("test", 3))
        for number in range(count)
    ]
    write("intents_banking77", rows)
    write("intents_clinc150", [*rows, *({"text": f"99 oos {number}", "intent": "oos", "split": "oos_test"} for number in range(20))])
    write("cache_qqp", [{"a": f"{a} a", "b": f"{b} b", "label": int(a == b)} for a in range(INTENTS) for b in range(INTENTS)])
    return tmp_path


def knowing(texts: Sequence[str]) -> NDArray[np.float32]:
    """Says the number that a text begins with; knows the first ten."""
    rows = np.zeros((len(texts), INTENTS), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        number = int(text.split()[0])
        if number < INTENTS:
            row[number] = 1
    return rows


def ignorant(texts: Sequence[str]) -> NDArray[np.float32]:
    """Says the same of everything."""
    return np.ones((len(texts), 1), dtype=np.float32)


def test_who_knows_is_told_from_who_does_not(data: Path) -> None:
    assert [measure(knowing, data) for measure in (banking77_accuracy, clinc150_accuracy, clinc150_scope_area, qqp_area)] == [1, 1, 1, 1]
    assert [measure(ignorant, data) for measure in (banking77_accuracy, clinc150_accuracy)] == [1 / INTENTS] * 2
    assert [measure(ignorant, data) for measure in (clinc150_scope_area, qqp_area)] == [0.5, 0.5]
