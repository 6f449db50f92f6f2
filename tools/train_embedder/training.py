"""Trains token vectors on pairs that belong together, so that the mean of a text's vectors is near that of its partner.

In-batch negatives with a scaled cosine (multiple negatives ranking, Henderson et al. 2017), in both directions. Several trainings
from the same start are averaged (model soups, Wortsman et al. 2022): better on every figure than one of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import cross_entropy, embedding_bag, normalize

from train_embedder.letters import LearntVectors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    TokenPair = tuple[Sequence[int], Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Settings of a training.

    Attributes:
        dimension: Length of a vector.
        epochs: How often the sources are gone through.
        batch: Pairs of a batch, all from one source: from different sources they would be told apart by their style.
        learning_rate: At its highest, after `warm_up` of all steps; it falls in a half cosine to `final` of it.
        warm_up: Share of steps, in [0, 1].
        final: Share of `learning_rate`, in [0, 1].
        scales: One training each: cosines are multiplied by it before the softmax.
        spread: Standard deviation of a vector's numbers before training.
        tokens: Of a text, this many are read.
        shares: Source to the share of its pairs that an epoch draws, in (0, 1]; 1 where it is not named.
        letters: Weight of a token's runs of letters while it learns, see `LearntVectors`.
        runs: Shortest and longest of them, in characters.
        lengths: The length of each vector is raised to this power; below 1, words differ less in how much they count.
        asking: Vectors of `QUESTION_WORDS` are multiplied by it.
        counting: Vectors of tokens of digits are multiplied by it.
        naming: Vectors of names are multiplied by it.
        seed: Of everything that is drawn.
    """

    dimension: int = 256
    epochs: int = 4
    batch: int = 1024
    learning_rate: float = 0.05
    warm_up: float = 0.1
    final: float = 0.02
    scales: tuple[float, ...] = (20.0, 10.0)
    spread: float = 0.4
    tokens: int = 96
    shares: Mapping[str, float]
    letters: float = 0.35
    runs: tuple[int, int] = (3, 5)
    lengths: float = 0.8
    asking: float = 0.75
    counting: float = 2.0
    naming: float = 1.3
    seed: int = 0


QUESTION_WORDS = (
    *("what", "which", "do", "does", "did", "can", "could", "should", "would", "will"),
    *("i", "you", "me", "my", "we", "our", "your", "am", "are", "is", "was", "were", "it", "they", "if", "have", "has"),
)
"""They say that something is asked, not what. Who, where, when, why and how are none of them: they say what kind of thing."""

SHIPPED = Recipe(shares={"pairs_wn_def": 0.5, "pairs_wn_ex_hyper": 0.5, "pairs_wn_syn": 0.5})
"""What the weights in the package were trained with."""


def train(
    sources: Mapping[str, Sequence[TokenPair]],
    *,
    tokens: Sequence[str],
    unknown: int,
    names: Collection[str] = (),
    recipe: Recipe,
    tell: Callable[[str], None] = print,
) -> NDArray[np.float32]:
    """Return one vector per token, shape (len(tokens), dimension); that of `unknown` is zero.

    One thread, and one seed: the same arguments give the same bytes on the same machine and version of torch.

    Args:
        sources: Pairs of texts as ids, by their source.
        tokens: Texts of the tokens, in the order of their ids.
        unknown: Id of the token that stands for what is not in the vocabulary.
        names: Words that nearly always begin with a capital, in lower case (`pairs.names_in`).
        recipe: How to train.
        tell: Called with each line of progress.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    try:
        mean = np.zeros((len(tokens), recipe.dimension), dtype=np.float32)
        for number, scale in enumerate(recipe.scales):
            tell(f"training {number + 1} of {len(recipe.scales)}, scale {scale}")
            learnt = LearntVectors(
                tokens,
                dimension=recipe.dimension,
                spread=recipe.spread,
                weight=recipe.letters,
                lengths=recipe.runs,
                unknown=unknown,
                # The mean of two means something only where both began at the same place.
                generator=np.random.default_rng(recipe.seed),
            )
            generator = np.random.default_rng([recipe.seed, number])
            _train(learnt, sources, unknown=unknown, scale=scale, generator=generator, recipe=recipe, tell=tell)
            vectors = learnt.numbers()
            mean += vectors / np.median(np.linalg.norm(vectors, axis=1))
        return mean * _factors(tokens, names, mean, recipe)[:, None]
    finally:
        torch.use_deterministic_algorithms(mode=False)
        torch.set_num_threads(threads)


def _factors(tokens: Sequence[str], names: Collection[str], vectors: NDArray[np.float32], recipe: Recipe) -> NDArray[np.float32]:
    """Return what each token's vector is multiplied by after training; shape (len(tokens),).

    The sources are definitions and commands. They hold few questions, so that training does not find out how little the words say that
    ask; and few numbers and names that matter, so that it does not find out how much they say.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    factors = np.power(lengths, recipe.lengths - 1, out=np.ones_like(lengths), where=lengths > 0)
    for number, token in enumerate(tokens):
        if token in QUESTION_WORDS:
            factors[number] *= recipe.asking
        elif token.removeprefix("##").isdecimal():
            factors[number] *= recipe.counting
        elif token in names:
            factors[number] *= recipe.naming
    return factors


def _train(
    learnt: LearntVectors,
    sources: Mapping[str, Sequence[TokenPair]],
    *,
    unknown: int,
    scale: float,
    generator: np.random.Generator,
    recipe: Recipe,
    tell: Callable[[str], None],
) -> None:
    optimizer = torch.optim.AdamW(learnt.parameters(), lr=recipe.learning_rate)
    epochs = [_batches(sources, recipe, generator) for _ in range(recipe.epochs)]
    steps = sum(map(len, epochs))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step / max(1, steps), recipe))
    for number, epoch in enumerate(epochs, start=1):
        total = 0.0
        for pairs in epoch:
            loss = _loss(learnt(), pairs, unknown=unknown, scale=scale, tokens=recipe.tokens)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        tell(f"epoch {number} of {recipe.epochs}: {len(epoch)} batches, mean loss {total / max(1, len(epoch)):.4f}")


def _batches(sources: Mapping[str, Sequence[TokenPair]], recipe: Recipe, generator: np.random.Generator) -> list[list[TokenPair]]:
    """Return one epoch: every source in a new order, cut into batches, and these in a new order."""
    batches: list[list[TokenPair]] = []
    for name, pairs in sources.items():
        drawn = generator.permutation(len(pairs))[: math.ceil(len(pairs) * recipe.shares.get(name, 1.0))]
        whole = max(1, len(drawn) // recipe.batch) * recipe.batch  # a short batch has easy negatives
        batches += [
            [pairs[index] for index in drawn[first : first + recipe.batch]] for first in range(0, min(whole, len(drawn)), recipe.batch)
        ]
    return [batches[index] for index in generator.permutation(len(batches))]


def _rate(progress: float, recipe: Recipe) -> float:
    if progress < recipe.warm_up:
        return progress / recipe.warm_up
    fallen = (progress - recipe.warm_up) / (1 - recipe.warm_up)
    return recipe.final + (1 - recipe.final) * (1 + math.cos(math.pi * min(1.0, fallen))) / 2


def _loss(vectors: torch.Tensor, pairs: Sequence[TokenPair], *, unknown: int, scale: float, tokens: int) -> torch.Tensor:
    left, right = (_texts(vectors, [pair[side][:tokens] for pair in pairs], unknown) for side in (0, 1))
    cosines = scale * left @ right.T
    for side in (0, 1):
        # The same text twice in a batch is not a wrong answer.
        numbers: dict[tuple[int, ...], int] = {}
        text = torch.tensor([numbers.setdefault(tuple(pair[side]), len(numbers)) for pair in pairs])
        same = text[:, None] == text[None, :]
        cosines = cosines.masked_fill(same & ~torch.eye(len(pairs), dtype=torch.bool), -math.inf)
    target = torch.arange(len(pairs))
    return (cross_entropy(cosines, target) + cross_entropy(cosines.T, target)) / 2


def _texts(vectors: torch.Tensor, texts: Sequence[Sequence[int]], unknown: int) -> torch.Tensor:
    ids = torch.tensor(list(chain.from_iterable(texts)))
    offsets = torch.from_numpy(np.cumsum([0, *map(len, texts[:-1])]))
    return normalize(embedding_bag(ids, vectors, offsets, mode="mean", padding_idx=unknown), dim=1)
