"""Trains the prior of `PriorScorer` and writes its file.

PYTHONPATH=tools python -m train_prior [--data FOLDER] [--out FILE]
"""

# ruff: noqa: T201 -- a script that tells what it does

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from session_router.embedders.static import StaticEmbedder
from session_router.scorers.prior_file import SHIPPED, prior_text
from train_prior.outcomes import listed_prices, read_outcomes
from train_prior.spread import COVERAGE, cells_of, coverages, logits_left_out, spread_of
from train_prior.training import changed, prices_of_sizes, train

if TYPE_CHECKING:
    from collections.abc import Sequence

_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def main(arguments: Sequence[str] | None = None) -> None:
    """Do it."""
    parser = argparse.ArgumentParser(prog="train_prior", description="Trains the prior of PriorScorer.")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SESSION_ROUTER_DATA", _DATA)), help="folder of the outcomes")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="file to write")
    chosen = parser.parse_args(arguments)

    print(f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}; nothing is drawn: no seed")
    began = time.monotonic()
    embedder = StaticEmbedder()
    outcomes = read_outcomes(chosen.data, embedder)
    print(f"trained on: SHA-256 {outcomes.digest}")
    for family, questions in zip(*np.unique(outcomes.families, return_counts=True), strict=True):
        inside = outcomes.families[outcomes.asked] == family
        print(f"{family}: {questions} questions, {len(np.unique(outcomes.answered[inside]))} models, {inside.sum()} outcomes")

    prior = train(outcomes, embedder, np.ones(len(outcomes.scores), dtype=np.bool_), sizes=prices_of_sizes(listed_prices(chosen.data)))
    print(f"log odds {prior.level:+.3f} {-prior.harder:+.3f} x difficulty")
    print(f"  and relative price x ({prior.price:.3f} {prior.interaction:+.3f} x difficulty)")
    print(f"a model of 1 billion parameters is taken for ${prior.dollars:.3f}, growing with the power {prior.exponent:.3f}")
    logits, _ = logits_left_out(outcomes, embedder)
    cells = cells_of(outcomes, logits)
    prior = changed(prior, spread=spread_of(cells), coverage=COVERAGE)
    print(
        f"interval: log odds +- {prior.spread:.3f}, to hold {COVERAGE:.0%} of {len(cells)} models on data sets, family and model left out"
    )
    found = coverages(cells)
    for one in found:
        held = f"holds {one.covered:.0%} of {one.cells}; its width is {one.width:.2f}"
        print(f"{one.family}: an interval from the others (+- {one.spread:.2f}) {held}")
    print(f"in the mean over families: {np.mean([one.covered for one in found]):.0%}, width {np.mean([one.width for one in found]):.2f}")

    text = prior_text(prior, trained_on=outcomes.digest)
    chosen.out.write_text(text, encoding="ascii")
    print(f"{time.monotonic() - began:.0f} s")
    print(f"{chosen.out}: {len(text)} bytes, SHA-256 {hashlib.sha256(text.encode('ascii')).hexdigest()}")


if __name__ == "__main__":
    main()
