"""Trains the built-in embedder and writes its folder.

PYTHONPATH=tools python -m train_embedder [--data FOLDER] [--vocabulary FILE] [--out FOLDER] [--check | --new-vocabulary]
"""

# ruff: noqa: T201 -- a script that tells what it does

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from session_router.embedders.static import BUILT_IN, StaticEmbedder
from session_router.embedders.wordpiece import READ_TOKENS, read_wordpiece
from train_embedder.artefact import WEIGHTS, weights_of, write_artefact
from train_embedder.pairs import names_in, read_evaluation, read_sources, without
from train_embedder.training import SHIPPED, train
from train_embedder.vocabulary import tokens_of, write_vocabulary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from train_embedder.docstrings import Pair

_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
_TOKENS = 16_384


def main(arguments: Sequence[str] | None = None) -> None:
    """Do it."""
    parser = argparse.ArgumentParser(prog="train_embedder", description="Trains the built-in embedder.")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SESSION_ROUTER_DATA", _DATA)), help="folder of the pairs")
    parser.add_argument("--vocabulary", type=Path, default=BUILT_IN / "tokenizer.json", help="the tokenizer.json to train for")
    parser.add_argument("--out", type=Path, default=BUILT_IN, help="folder to write")
    parser.add_argument("--new-vocabulary", action="store_true", help="make the vocabulary anew, write it to --vocabulary, and stop")
    parser.add_argument("--check", action="store_true", help="write nothing, and fail unless the weights in --out are what training gives")
    chosen = parser.parse_args(arguments)

    print(f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}, {platform.machine()}")
    sources = _read(chosen.data)
    if chosen.new_vocabulary:
        write_vocabulary(chain.from_iterable(chain.from_iterable(sources.values())), chosen.vocabulary, size=_TOKENS, limit=READ_TOKENS)
        print(f"{chosen.vocabulary}: {read_wordpiece(chosen.vocabulary).size} tokens")
        return

    tokenizer = chosen.vocabulary.read_bytes()
    wordpiece = read_wordpiece(chosen.vocabulary)
    # A text without a token has no vector to be learnt.
    ids = {
        name: [pair for pair in ((wordpiece.encode(left), wordpiece.encode(right)) for left, right in pairs) if all(pair)]
        for name, pairs in sources.items()
    }
    (unknown,) = wordpiece.encode("\N{SNOWMAN}" * 101)
    began = time.monotonic()
    names = names_in(chain.from_iterable(chain.from_iterable(sources.values())))
    vectors = train(ids, tokens=tokens_of(tokenizer), unknown=unknown, names=names, recipe=SHIPPED)
    print(f"trained in {time.monotonic() - began:.0f} s, seed {SHIPPED.seed}")
    if chosen.check:
        _compare(weights_of(vectors), chosen.out / WEIGHTS)
        return
    digest = write_artefact(chosen.out, vectors, tokenizer)
    print(f"{chosen.out}: {sum(path.stat().st_size for path in chosen.out.iterdir())} bytes")
    print(f"model.safetensors: SHA-256 {digest}")
    print(f"fingerprint: {StaticEmbedder(chosen.out).fingerprint}")


def _compare(trained: bytes, path: Path) -> None:
    new, old = (hashlib.sha256(weights).hexdigest() for weights in (trained, path.read_bytes()))
    print(f"trained: SHA-256 {new}\n{path}: SHA-256 {old}")
    if new != old:
        why = "they are not the same: another version of Python, torch or numpy, another processor, or other pairs"
        raise SystemExit(why)


def _read(data: Path) -> dict[str, list[Pair]]:
    evaluation = read_evaluation(data)
    sources: dict[str, list[Pair]] = {}
    for name, pairs in read_sources(data).items():
        sources[name] = without(pairs, evaluation)
        print(f"{name}: {len(pairs)} pairs; {len(pairs) - len(sources[name])} were removed, as they hold an evaluation text")
    return sources


if __name__ == "__main__":
    main()
