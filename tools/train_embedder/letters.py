"""Token vectors while they are learnt: what a token's letters say, besides what the token says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import embedding_bag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_CONTINUES = "##"
_BEGINS = "<"


def runs_of(token: str, lengths: tuple[int, int]) -> list[str]:
    """Return the runs of letters in a token, from the shortest to the longest length; a word's beginning counts as a letter."""
    letters = token.removeprefix(_CONTINUES) if token.startswith(_CONTINUES) else _BEGINS + token
    shortest, longest = lengths
    return [letters[first : first + length] for length in range(shortest, longest + 1) for first in range(len(letters) - length + 1)]


class LearntVectors(torch.nn.Module):
    """A vector per token: its own, plus the weighted sum of the vectors of its runs of letters (fastText, Bojanowski et al. 2017).

    So rare forms of a word learn from the common ones. The sum over n runs is divided by the root of n: long tokens have many.

    Args:
        tokens: Texts, in the order of ids; those inside a word begin with `##`.
        dimension: Length of a vector.
        spread: Standard deviation of every vector's numbers before training.
        weight: Of the runs; at 0 there are none.
        lengths: Shortest and longest run, in characters.
        unknown: Id of the token whose vector stays zero.
        generator: Draws the vectors.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        *,
        dimension: int,
        spread: float,
        weight: float,
        lengths: tuple[int, int],
        unknown: int,
        generator: np.random.Generator,
    ) -> None:
        super().__init__()
        runs = [[] if number == unknown or not weight else runs_of(token, lengths) for number, token in enumerate(tokens)]
        numbers = {run: number for number, run in enumerate(dict.fromkeys(run for each in runs for run in each))}
        self._own = self._drawn(len(tokens), dimension, spread, generator)
        self._runs = self._drawn(len(numbers), dimension, spread, generator)
        self._numbers = torch.tensor([numbers[run] for each in runs for run in each], dtype=torch.int64)
        self._weights = torch.tensor([weight / math.sqrt(len(each)) for each in runs for _ in each], dtype=torch.float32)
        self._offsets = torch.from_numpy(np.cumsum([0, *map(len, runs[:-1])]))
        self._known = torch.ones(len(tokens), 1)
        self._known[unknown] = 0

    @staticmethod
    def _drawn(count: int, dimension: int, spread: float, generator: np.random.Generator) -> torch.nn.Parameter:
        return torch.nn.Parameter(torch.from_numpy(generator.normal(0, spread, (count, dimension)).astype(np.float32)))

    def forward(self) -> torch.Tensor:
        """Return the vectors; shape (tokens, dimension)."""
        vectors = self._own * self._known
        if not len(self._runs):
            return vectors
        return vectors + embedding_bag(self._numbers, self._runs, self._offsets, mode="sum", per_sample_weights=self._weights)

    def numbers(self) -> NDArray[np.float32]:
        """Return the vectors as they stand."""
        with torch.no_grad():
            return self().numpy().copy()
