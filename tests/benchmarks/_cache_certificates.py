"""How often a stratum is certified, over many histories of audits at once, and after how many of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks._figure import figure
from session_router.core.risk import upper_bound
from session_router.core.wager import PRIOR_AUDITS, PRIOR_SHARE, Target

if TYPE_CHECKING:
    from numpy.typing import NDArray

RUNS: Final = 10_000
ONE: Final = Target(wrong=0.01, strata=1)
TENTH: Final = Target(wrong=0.001, strata=1)
PROMISED: Final = {"1pct": (ONE, 330), "0.1pct": (TENTH, 3_300)}
"""Clean audits that certify: about 300 and 3,000, and a tenth more."""
ABOVE: Final = (0.0101, 0.012, 0.015, 0.02, 0.05)
BELOW: Final = (0.0, 0.001, 0.0025, 0.005)
ENTRIES: Final = 3_000
LATER: Final = 19
"""Audits of one entry after its first, where audits are clustered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadEntries:
    """Audits of many strata, told by their bad entries; all others are always right. Arrays have shape (runs, bad entries).

    Attributes:
        place: Of each bad entry among the entries of its stratum, from 0, rising.
        first: Whether its first audit finds it wrong.
        later: Whether its later ones do, shape (runs, bad entries, later audits).
    """

    place: NDArray[np.int64]
    first: NDArray[np.bool_]
    later: NDArray[np.bool_]


def drawn(share: float, *, entries: int, seed: int, later: int = 0, steady: float = 1.0, runs: int = RUNS) -> BadEntries:
    """Draw histories.

    Args:
        share: Of wrong ones among first audits.
        entries: In each history, about.
        seed: Of the draw.
        later: Audits of an entry after its first.
        steady: Chance that an audit of a bad entry finds it wrong.
        runs: Histories.
    """
    random = np.random.default_rng(seed)
    bad = share / steady
    most = max(1, int(entries * bad + 6 * np.sqrt(entries * bad) + 5)) if share else 1
    place = np.cumsum(random.geometric(bad, size=(runs, most)), axis=1) - 1 if share else np.full((runs, 1), entries)
    return BadEntries(place=place, first=random.random(place.shape) < steady, later=random.random((*place.shape, later)) < steady)


def certified_after(target: Target, bad: BadEntries, *, entries: int) -> NDArray[np.int64]:
    """Return the number of first audits after which each history is certified, or 0 where it never is; shape (runs,).

    The same arithmetic as `Wager.observed`: between bad entries the stake depends on how many came before alone.
    """
    delta, runs = target.judged_wrong, len(bad.place)
    counts = np.arange(entries + 1)
    wrongs = np.arange(bad.place.shape[1] + 1)
    prior = PRIOR_AUDITS / delta
    expected = (prior * PRIOR_SHARE * delta + wrongs[:, None]) / (prior + counts[None, :])
    stake = np.maximum(0.0, (delta - expected) / (delta * (1 - delta)))
    gained = np.concatenate([np.zeros((len(wrongs), 1)), np.cumsum(np.log1p(stake[:, :-1] * delta), axis=1)], axis=1)
    evidence, seen, wrong = np.zeros(runs), np.zeros(runs, dtype=np.int64), np.zeros(runs, dtype=np.int64)
    after = np.zeros(runs, dtype=np.int64)
    weights = (1 - delta) / np.arange(2, bad.later.shape[2] + 2)

    def goes_well(until: NDArray[np.int64]) -> None:
        reached = (after == 0) & (evidence + gained[wrong, until] - gained[wrong, seen] >= target.needed)
        for run in np.flatnonzero(reached):
            row = gained[wrong[run]]
            after[run] = np.searchsorted(row, target.needed - evidence[run] + row[seen[run]])
        evidence[:] += gained[wrong, until] - gained[wrong, seen]
        seen[:] = until

    for number in range(bad.place.shape[1]):
        place = np.minimum(bad.place[:, number], entries - 1)
        there = (bad.place[:, number] < entries) & (after == 0)
        goes_well(np.maximum(np.where(there, place, seen), seen))
        there &= after == 0
        first = bad.first[:, number]
        evidence += np.where(there, np.log1p(stake[wrong, seen] * np.where(first, delta - 1, delta)), 0.0)
        wrong += there & first
        seen += there
        after = np.where(there & (after == 0) & (evidence >= target.needed), seen, after)
        for weight, found in zip(weights, np.moveaxis(bad.later[:, number], -1, 0), strict=True):
            evidence += np.where(there & found, np.log1p(-np.minimum(stake[wrong, seen] * weight, 1 - 1e-12)), 0.0)
    goes_well(np.full(runs, entries))
    return after


def after_looking(target: Target, share: float, *, audits: int, seed: int) -> float:
    """Return how often a bettor is certified who looks at each label before the bet: all that is lawful but for that."""
    random = np.random.default_rng(seed)
    right = random.binomial(audits, 1 - share, size=RUNS)
    return float((right * np.log1p(target.judged_wrong / (1 - target.judged_wrong)) >= target.needed).mean())


def print_certificates() -> None:
    """Print the figures of false and of true certificates."""
    from property.test_wager_laws import clustered, peeking

    found = {share: certified_after(ONE, drawn(share, entries=ENTRIES, seed=20), entries=ENTRIES) > 0 for share in ABOVE}
    groups = {
        "clustered, each bad entry always wrong": drawn(0.0101, entries=ENTRIES, seed=21, later=LATER),
        "clustered, each bad entry wrong at half of its audits": drawn(0.0101, entries=ENTRIES, seed=22, later=LATER, steady=0.5),
        "clustered, each bad entry wrong at one audit in ten": drawn(0.0101, entries=ENTRIES, seed=23, later=LATER, steady=0.1),
    }
    clusters = {name: float((certified_after(ONE, bad, entries=ENTRIES) > 0).mean()) for name, bad in groups.items()}
    worst = max(*(float(one.mean()) for one in found.values()), *clusters.values())
    figure(
        "false_certifications",
        worst,
        unit="of histories",
        n=RUNS,
        target="<= 0.05",
        peer={
            **{f"{share:.2%} wrong": float(one.mean()) for share, one in found.items()},
            **clusters,
            "broken: audits of one entry counted as so many": float(
                clustered(ONE, 0.0101, audits=2_000, seed=24, weighted=False).certified.mean()
            ),
            "broken: looks at the label before the bet": after_looking(ONE, 0.0101, audits=ENTRIES, seed=25),
            "broken: a bound for one look, looked at all the time": peeking(0.0101, audits=ENTRIES, seed=26),
        },
        high=round(upper_bound(round(worst * RUNS), RUNS, delta=0.05), 5),
        note=f"target 1 %; certified at any time within {ENTRIES} entries; the worst of all error rates above 1 % and of the clusters",
    )
    for name, (target, promised) in PROMISED.items():
        entries = 4 * promised
        below = {share * target.wrong / ONE.wrong: None for share in BELOW}
        spread = {share: certified_after(target, drawn(share, entries=entries, seed=27, runs=1_000), entries=entries) for share in below}
        clean = spread[0.0]
        figure(
            f"audits_to_certify_{name}",
            int(np.median(clean)),
            unit="clean audits of different entries",
            n=len(clean),
            target=f"<= {promised}",
            peer={f"{share:.3%} wrong, certified within {entries}": float((one > 0).mean()) for share, one in spread.items() if share}
            | {f"{share:.3%} wrong, median": float(np.median(one[one > 0])) for share, one in spread.items() if share and one.any()},
            note="one stratum; with m strata the capital needed is m times as large",
        )
