"""Recorded outcomes of a cheap and of a strong model on the same questions, one family of questions a file."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from session_router import Prices
from session_router.embedders.static import StaticEmbedder
from session_router.errors import RecordingError
from session_router.fitting import Graded, OutcomeFile
from session_router.fitting.splitting import place_of
from session_router.fitting.table import CHARACTERS_PER_TOKEN, Table, table_of
from session_router.scorers.inputs import canonical_question

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CHEAP, STRONG = 0, 1
"""Rows of a family's table."""

FOLDS: Final = 5
"""Each question is predicted by what was fitted to the other folds."""

FEW_ROWS: Final = 600
"""Of a family, for a quick run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file, and the pair of models that is looked at: Mixtral 8x7B beside GPT-4, which every file has.

    Attributes:
        name: Stands in figures.
        file: Its name without the suffix.
        cheap: Name of the cheap model there.
        strong: Name of the strong one.
        prices: Name of the strong one in `prices.json`.
    """

    name: str
    file: str
    cheap: str
    strong: str
    prices: str = "gpt-4-1106-preview"


SOURCES: Final = (
    Source(name="mmlu_gsm8k", file="routing_routellm_mmlu_gsm8k", cheap="Mixtral-8x7B-Instruct-v0.1", strong="gpt-4-1106-preview"),
    Source(name="bfcl", file="routing_bfcl_2024-08_71models", cheap="open-mixtral-8x7b", strong="gpt-4-1106-preview"),
    Source(
        name="mint",
        file="routing_mint_gsm8k_mmlu_mbpp_alfworld",
        cheap="Mixtral-8x7B-Instruct-v0.1",
        strong="gpt-4-0613",
        prices="gpt-4",
    ),
    Source(name="mtbench", file="routing_mtbench", cheap="mistralai/Mixtral-8x7B-Instruct-v0.1", strong="gpt-4-1106-preview"),
)

CHEAP_PRICES: Final = "mistralai/mixtral-8x7b-instruct"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Family:
    """Questions of one kind, or of several joined.

    Attributes:
        name: Stands in figures.
        texts: The questions in canonical form.
        keys: Questions with the same key belong together: they are the same text, or turns of one conversation.
        parts: Which part of the file each is from.
        table: The outcomes; its rows are `CHEAP` and `STRONG`.
        encoded: Vectors of a transformer, shape (questions, dimension); `None` where nobody asked for them.
    """

    name: str
    texts: tuple[str, ...]
    keys: tuple[str, ...]
    parts: NDArray[np.str_]
    table: Table
    encoded: NDArray[np.float32] | None = None

    @property
    def labels(self) -> NDArray[np.float64]:
        """1 or 0 for "the cheap model fails" and for "only the strong one succeeds", shape (questions, 2)."""
        fails = self.table.served[CHEAP] == 0
        return np.stack([fails, fails & (self.table.served[STRONG] == 1)], axis=1).astype(np.float64)

    @property
    def groups(self) -> NDArray[np.intp]:
        """Number of the key of each question."""
        numbers: NDArray[np.intp] = np.unique(np.array(self.keys), return_inverse=True)[1]
        return numbers

    @property
    def folds(self) -> NDArray[np.intp]:
        """In [0, FOLDS): the same for all that are tried, and for all questions of a key."""
        return np.array([int(place_of(key, seed=0, purpose="benchmark") * FOLDS) for key in self.keys], dtype=np.intp)

    def first_of_each(self) -> NDArray[np.intp]:
        """Return one question of each key: they are independent of one another."""
        first = {key: place for place, key in reversed(list(enumerate(self.keys)))}
        return np.array(sorted(first.values()), dtype=np.intp)

    def only(self, columns: NDArray[np.intp], name: str) -> Family:
        """Return some of the questions as a family."""
        table = self.table
        return Family(
            name=name,
            texts=tuple(self.texts[place] for place in columns),
            keys=tuple(self.keys[place] for place in columns),
            parts=self.parts[columns],
            table=replace(
                table,
                questions=tuple(table.questions[place] for place in columns),
                vectors=table.vectors[columns],
                features=table.features[columns],
                served=table.served[:, columns],
                dollars=table.dollars[:, columns],
                folds=table.folds[columns],
                places=table.places[columns],
            ),
            encoded=None if self.encoded is None else self.encoded[columns],
        )

    def of_parts(self, parts: Iterable[str], name: str) -> Family:
        """Return the questions of some parts."""
        return self.only(np.flatnonzero(np.isin(self.parts, list(parts))), name)


def joined(first: Family, second: Family) -> Family:
    """Return the questions of both, the first ones first."""
    one, two = first.table, second.table
    return Family(
        name=f"{first.name}+{second.name}",
        texts=first.texts + second.texts,
        keys=first.keys + second.keys,
        parts=np.concatenate([first.parts, second.parts]),
        table=replace(
            one,
            questions=one.questions + two.questions,
            vectors=np.concatenate([one.vectors, two.vectors]),
            features=np.concatenate([one.features, two.features]),
            served=np.hstack([one.served, two.served]),
            dollars=np.hstack([one.dollars, two.dollars]),
            folds=np.concatenate([one.folds, two.folds]),
            places=np.concatenate([one.places, two.places]),
        ),
    )


def families(data: Path, *, quick: bool) -> list[Family]:
    """Read every source.

    Args:
        data: Folder of the files.
        quick: Whether samples of the large ones are enough.

    Raises:
        OSError: A file is missing.
    """
    listed = json.loads((data / "prices.json").read_text(encoding="utf-8"))["routerarena"]
    return [_family(source, data, listed, quick=quick) for source in SOURCES]


def _family(source: Source, data: Path, listed: dict[str, Any], *, quick: bool) -> Family:
    path = data / f"{source.file}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    graded = [_pair(one, row, source) for one, row in zip(OutcomeFile(path), rows, strict=True)]
    keys = [_key(one, row) for one, row in zip(graded, rows, strict=True)]
    if quick and len(rows) > FEW_ROWS:
        share = FEW_ROWS / len(rows)
        kept = [place for place, key in enumerate(keys) if place_of(key, seed=0, purpose="quick") < share]
        graded, keys, rows = ([every[place] for place in kept] for every in (graded, keys, rows))
    names = {"cheap": CHEAP_PRICES, "strong": source.prices}
    prices = {name: Prices(input=listed[priced][0], output=listed[priced][1]) for name, priced in names.items()}
    return Family(
        name=source.name,
        texts=tuple(canonical_question(one.question).text for one in graded),
        keys=tuple(keys),
        parts=np.array([row["dataset"] for row in rows]),
        table=table_of(graded, StaticEmbedder(), seed=0, prices=prices),
    )


def _pair(one: Graded | RecordingError, row: dict[str, Any], source: Source) -> Graded:
    """Keep the two models, under the names `cheap` and `strong`, which sort as `CHEAP` and `STRONG` do."""
    if isinstance(one, RecordingError):
        raise one
    cheap, strong = one.grades[source.cheap], one.grades[source.strong]
    grades = {"cheap": cheap, "strong": strong}
    for name, model in (("cheap", source.cheap), ("strong", source.strong)):
        characters = row["outcomes"][model].get("completion_chars")
        if grades[name].completion_tokens is None and characters is not None:
            grades[name] = replace(grades[name], completion_tokens=characters // CHARACTERS_PER_TOKEN)
    return replace(one, grades=grades)


def _key(one: Graded, row: dict[str, Any]) -> str:
    if str(row["dataset"]).startswith("mt-bench/"):
        return f"{row['dataset']}/{row['task_id'].partition('/')[0]}"
    return canonical_question(one.question).text


def without_texts_of(family: Family, columns: Sequence[int] | NDArray[np.intp], others: Iterable[str]) -> NDArray[np.intp]:
    """Return those of `columns` whose text is none of `others`."""
    known = set(others)
    return np.array([place for place in columns if family.texts[place] not in known], dtype=np.intp)
