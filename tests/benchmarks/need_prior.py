"""The prior on families and models that it has not seen, and what a score costs.

python tests/benchmarks/need_prior.py [--quick]
"""

from __future__ import annotations

import sys

import numpy as np
from _figure import SHARED, figure, is_quick, missing, say
from _need_prior import (
    GUARDED,
    LENGTH,
    LEXICAL,
    PRICE_ONLY,
    PRIOR,
    Measured,
    areas_under,
    brier_scores,
    errors_of_calibration,
    long_texts,
    microseconds,
    predictions,
    scorers,
    text_of,
)

NAMES = ["auc_cheap_fails", "brier", "calibration_error", "interval_coverage", "microseconds"]
FAMILIES = 17_061  # lines before the small families


def main() -> None:
    """Print the figures."""
    quick = is_quick(__doc__, means="a sample of the large families")
    data = SHARED / "data"
    if not (data / "prices.json").is_file():
        missing([f"need_prior.{name}" for name in NAMES], f"{data} is missing")
    predicted, covered = predictions(data, keep=lambda number: not quick or number >= FAMILIES or number % 20 == 0)
    for name, measure in (("auc_cheap_fails", areas_under), ("brier", brier_scores), ("calibration_error", errors_of_calibration)):
        per_family = {family: measure(predicted, family) for family in predicted.families}
        for family, ways in per_family.items():
            tell(f"need_prior.{name}.{family}", ways, n=int(predicted.of(family).sum()))
        for way in next(iter(per_family.values())):
            mean = float(np.mean([ways[way].value for ways in per_family.values()]))
            say(f"{name}, mean over families, {way}: {mean:.3f}")
        peers = {way: float(np.mean([ways[way].value for ways in per_family.values()])) for way in next(iter(per_family.values()))}
        figure(f"need_prior.{name}.mean", peers.pop(PRIOR), unit="share", n=len(per_family), peer=dict(peers), note="mean over families")
    for one in covered:
        note = f"interval of +- {one.spread:.2f} log odds from the other families; mean width {one.width:.2f}"
        figure(f"need_prior.interval_coverage.{one.family}", one.covered, unit="share of models on data sets", n=one.cells, note=note)
    shares = [one.covered for one in covered]
    figure(
        "need_prior.interval_coverage.mean", float(np.mean(shares)), unit="share", n=len(shares), target=">= 0.8", note="mean over families"
    )
    for tokens in (30, 80, 300):
        texts = [f"{number} {text_of(tokens)}" for number in range(50)]
        took = {name: microseconds(scorer, texts) for name, scorer in scorers().items()}
        figure(
            f"need_prior.microseconds.{tokens}_tokens",
            took[PRIOR],
            unit="us a score",
            n=len(texts),
            peer={name: took[name] for name in (LEXICAL, GUARDED)},
        )
    for script, text in long_texts().items():
        took = {name: microseconds(scorer, [text]) / 1e3 for name, scorer in scorers().items()}
        figure(
            f"need_prior.milliseconds.64k_{script}",
            took[PRIOR],
            unit="ms a score",
            n=1,
            target="<= 5",
            peer={name: took[name] for name in (LEXICAL, GUARDED)},
        )


def tell(name: str, ways: dict[str, Measured], *, n: int) -> None:
    """Print one figure of the prior beside the other ways, with every interval."""
    own = ways[PRIOR]
    intervals = ", ".join(
        f"{way} {ways[way].interval.low:.3f} to {ways[way].interval.high:.3f}" for way in (LEXICAL, PRICE_ONLY, LENGTH) if way in ways
    )
    peers = {way: measured.value for way, measured in ways.items() if way != PRIOR}
    figure(name, own.value, unit="share", n=n, low=own.interval.low, high=own.interval.high, peer=dict(peers), note=intervals)


if __name__ == "__main__":
    sys.exit(main())
