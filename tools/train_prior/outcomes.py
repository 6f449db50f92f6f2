"""Public outcomes of models whose prices are known, by family of tasks."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from session_router.core.need import Question
from session_router.scorers.inputs import inputs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from session_router.ports import Embedder

FILES: Final = (
    "routing_routellm_mmlu_gsm8k.jsonl.gz",
    "routing_bfcl_2024-08_71models.jsonl.gz",
    "routing_mint_gsm8k_mmlu_mbpp_alfworld.jsonl.gz",
    "routing_mtbench.jsonl.gz",
)
PRICES: Final = "prices.json"

# Lineage, name in the price list, and the models it is the price of. Models of one lineage are left out together.
_PRICED: Final = (
    ("gpt-4", "gpt-4-1106-preview", "gpt-4-1106-preview gpt-4-1106-preview-FC"),
    ("gpt-4", "gpt-4-turbo", "gpt-4-0125-preview gpt-4-0125-preview-FC gpt-4-turbo-2024-04-09 gpt-4-turbo-2024-04-09-FC"),
    ("gpt-4", "gpt-4", "gpt-4-0613 gpt-4-0613-FC"),
    ("gpt-4o", "gpt-4o", "gpt-4o-2024-05-13 gpt-4o-2024-05-13-FC gpt-4o-2024-08-06 gpt-4o-2024-08-06-FC"),
    ("gpt-4o", "gpt-4o-mini", "gpt-4o-mini-2024-07-18 gpt-4o-mini-2024-07-18-FC"),
    ("gpt-3.5", "gpt-3.5-turbo", "gpt-3.5-turbo-0125 gpt-3.5-turbo-0125-FC gpt-3.5-turbo-0613"),
    ("claude-3", "anthropic/claude-3.5-sonnet", "claude-3-5-sonnet-20240620 claude-3-5-sonnet-20240620-FC"),
    ("claude-3", "claude-3-haiku-20240307", "claude-3-haiku-20240307 claude-3-haiku-20240307-FC"),
    ("mistral", "mistral-large-latest", "mistral-large-2407 mistral-large-2407-FC-Any mistral-large-2407-FC-Auto"),
    ("mistral", "mistral-medium", "mistral-medium-2312"),
    ("mistral", "mistral-small-latest", "mistral-small-2402 mistral-small-2402-FC-Any mistral-small-2402-FC-Auto"),
    ("mistral", "open-mistral-nemo", "open-mistral-nemo-2407 open-mistral-nemo-2407-FC-Any open-mistral-nemo-2407-FC-Auto"),
    ("mistral", "open-mistral-7b", "mistral-tiny-2312"),
    ("mistral", "mistralai/mistral-7b-instruct", "Mistral-7B-Instruct-v0.1 Mistral-7B-Instruct-v0.2"),
    ("mixtral", "mixtral-8x22b-instruct-v0.1", "open-mixtral-8x22b open-mixtral-8x22b-FC-Any open-mixtral-8x22b-FC-Auto"),
    ("mixtral", "mistralai/mixtral-8x7b-instruct", "Mixtral-8x7B-Instruct-v0.1 mistralai/Mixtral-8x7B-Instruct-v0.1 open-mixtral-8x7b"),
    ("llama-3", "meta-llama/Meta-Llama-3-70B-Instruct-Turbo", "Meta-Llama-3-70B-Instruct meta-llama_Meta-Llama-3-70B-Instruct"),
    ("llama-3", "meta-llama/llama-3-8b-instruct", "Meta-Llama-3-8B-Instruct meta-llama_Meta-Llama-3-8B-Instruct"),
    ("codellama", "meta/codellama-34b-instruct", "CodeLlama-34b-Instruct-hf"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """A model of known price.

    Attributes:
        name: As in the outcomes.
        lineage: What it is made like: outcomes of its siblings tell of it.
        price: Input and output together, in US dollars per 1,000,000 tokens.
    """

    name: str
    lineage: str
    price: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcomes:
    """Scores of models on questions.

    Attributes:
        digest: SHA-256 of the files and of the embedder, in hexadecimal.
        models: Those that have a price.
        vectors: Of the questions, shape (questions, dimension).
        features: Of them, shape (questions, features).
        lengths: Characters of each question.
        texts: The questions.
        families: The family of each: questions of one benchmark, whoever asked them.
        datasets: The part of its family that each is from.
        asked: Number of the question of each score, shape (scores,).
        answered: Number of the model of each score.
        scores: In [0, 1].
    """

    digest: str
    models: tuple[Priced, ...]
    vectors: NDArray[np.float32]
    features: NDArray[np.float64]
    lengths: NDArray[np.float64]
    texts: tuple[str, ...]
    families: NDArray[np.str_]
    datasets: NDArray[np.str_]
    asked: NDArray[np.intp]
    answered: NDArray[np.intp]
    scores: NDArray[np.float64]

    @property
    def lineages(self) -> NDArray[np.str_]:
        """Of the model of each score."""
        return np.array([model.lineage for model in self.models])[self.answered]

    @property
    def relative_prices(self) -> NDArray[np.float64]:
        """Of each score: logarithm of the model's price over that of the dearest that was asked the family's questions."""
        prices = np.array([model.price for model in self.models])[self.answered]
        families = self.families[self.asked]
        found = np.zeros(len(prices))
        for family in np.unique(families):
            inside = families == family
            found[inside] = np.log(prices[inside] / prices[inside].max())
        return found


def family_of(dataset: str) -> str:
    """Return the benchmark that `dataset` is a part of; questions of one benchmark that two projects asked are one family."""
    for name in ("mmlu", "gsm8k", "alfworld", "mbpp", "bfcl", "mt-bench"):
        if name in dataset:
            return name
    return dataset


def read_outcomes(data: Path, embedder: Embedder, *, keep: Callable[[int], bool] = lambda _: True) -> Outcomes:
    """Read the files of `data`.

    Args:
        data: The folder.
        embedder: Of the questions.
        keep: Says of the number of a line whether it counts.

    Raises:
        OSError: A file is missing.
    """
    models = _priced(json.loads((data / PRICES).read_bytes()))
    places = {model.name: place for place, model in enumerate(models)}
    rows = [row for number, row in enumerate(_rows(data)) if keep(number)]
    inputs = inputs_of([Question(text=row["prompt"]) for row in rows])
    scores = [
        (number, places[name], float(outcome["score"]))
        for number, row in enumerate(rows)
        for name, outcome in row["outcomes"].items()
        if name in places
    ]
    asked, answered, values = zip(*scores, strict=True)
    return Outcomes(
        digest=_digest(data, embedder),
        models=models,
        vectors=embedder.embed(inputs.texts),
        features=inputs.features,
        lengths=np.array([len(row["prompt"]) for row in rows], dtype=np.float64),
        texts=tuple(row["prompt"] for row in rows),
        families=np.array([family_of(row["dataset"]) for row in rows]),
        datasets=np.array([row["dataset"] for row in rows]),
        asked=np.array(asked, dtype=np.intp),
        answered=np.array(answered, dtype=np.intp),
        scores=np.array(values),
    )


def listed_prices(data: Path) -> dict[str, float]:
    """Return input and output together of every model in the price list, in US dollars per 1,000,000 tokens."""
    return _listed(json.loads((data / PRICES).read_bytes()))


def _priced(lists: Mapping[str, Any]) -> tuple[Priced, ...]:
    prices = _listed(lists)
    return tuple(Priced(name=name, lineage=lineage, price=prices[listed]) for lineage, listed, names in _PRICED for name in names.split())


def _listed(lists: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(sum(prices)) for part in ("llmrouter", "routerarena") for name, prices in lists[part].items()}


def _rows(data: Path) -> Iterator[dict[str, Any]]:
    for name in FILES:
        with gzip.open(data / name, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def _digest(data: Path, embedder: Embedder) -> str:
    digest = hashlib.sha256(embedder.fingerprint.encode("ascii"))
    for name in (*FILES, PRICES):
        digest.update(hashlib.sha256((data / name).read_bytes()).digest())
    return digest.hexdigest()
