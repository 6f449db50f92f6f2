"""The pairs of texts that the embedder learns from, less everything it will be measured on."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from typing import TYPE_CHECKING

from train_embedder.docstrings import docstring_pairs, standard_library

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from train_embedder.docstrings import Pair

_RECORDED = ("pairs_wn_def", "pairs_wn_ex_hyper", "pairs_wn_syn", "pairs_tldr_cmd", "pairs_tldr_desc")
_EVALUATION = {"intents_banking77": ("text",), "intents_clinc150": ("text",), "cache_qqp": ("a", "b")}
_WORD = re.compile(r"\w+")
_LETTERS = re.compile(r"[^\W\d_]+")
_CAPITALS = 0.9  # share of its places at which a name begins with a capital; titles and typing errors have others
_INSIDE = 5  # words: a shorter text found inside another one is a phrase of the language, not a leak


def read_sources(data: Path) -> dict[str, list[Pair]]:
    """Return pairs by source: WordNet's and tldr's from `data`, docstrings from the running interpreter."""
    sources = {name: [(row["a"], row["b"]) for row in _rows(data / f"{name}.jsonl.gz")] for name in _RECORDED}
    return sources | {"docstrings": docstring_pairs(standard_library())}


def read_evaluation(data: Path) -> list[str]:
    """Return every text that a figure of the embedder is measured on."""
    return [row[key] for name, keys in _EVALUATION.items() for row in _rows(data / f"{name}.jsonl.gz") for key in keys]


def without(pairs: Sequence[Pair], evaluation: Iterable[str]) -> list[Pair]:
    """Return `pairs` less those where a side holds an evaluation text.

    A side holds a text when its words are the same, case and punctuation aside, or when it contains all words of the text, five or
    more, one after the other.
    """
    same: set[tuple[str, ...]] = set()
    beginnings: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for text in evaluation:
        words = _words(text)
        if words and words not in same:
            same.add(words)
            if len(words) >= _INSIDE:
                beginnings.setdefault(words[:_INSIDE], []).append(words)

    def holds(side: str) -> bool:
        words = _words(side)
        return words in same or any(
            words[start : start + len(text)] == text
            for start in range(len(words) - _INSIDE + 1)
            for text in beginnings.get(words[start : start + _INSIDE], ())
        )

    return [pair for pair in pairs if not any(map(holds, pair))]


def names_in(texts: Iterable[str]) -> frozenset[str]:
    """Return the words that nearly always begin with a capital, in lower case; the first word of a text may have one for that reason."""
    capital, places = Counter[str](), Counter[str]()
    for text in texts:
        for word in _LETTERS.findall(text)[1:]:
            places[word.lower()] += 1
            capital[word.lower()] += word[0].isupper()
    return frozenset(word for word, count in places.items() if capital[word] >= _CAPITALS * count)


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)
